"""A check, before a training, of the gradients of its model on its data.

There are two independent references: the formula p - y of the gradient at the logits, with softmax
composed of max, exp and sum; and finite differences of the model's loss at its parameters.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from microgradx.arrays.types import Array
from microgradx.checking.gradients import gradcheck
from microgradx.engine import Tensor
from microgradx.functional import cross_entropy, softmax
from microgradx.graph.grad_mode import no_grad

__all__ = ["Verification", "verify_gradients"]


class Verification(NamedTuple):
    """What was compared, and the largest differences."""

    rows: int
    logits_error: float  # max |fused gradient - (p - y) / rows|
    checked: int  # elements of parameters compared with finite differences ...
    parameters: int  # ... of how many
    parameters_error: float  # max |gradient - finite difference| / tolerance


def verify_gradients(
    model: Any, features: Array, labels: Array, *, label_smoothing: float = 0.0, seed: int = 0
) -> Verification:
    """Check the gradients of the mean cross-entropy of `model`.

    model: with float64 parameters; in float32, rounding would hide the differences.
    features, labels: (rows, columns) of float64 and (rows,) of integers; a few rows are enough.
    seed: chooses the elements to compare, at most 20 of each parameter.

    Raises ArithmeticError if the gradient at the logits is not (p - y) / rows, and GradcheckError
    if a gradient at the parameters differs from finite differences.
    """
    model.eval()
    with no_grad():
        values = model(features).data
    logits = Tensor(values, requires_grad=True)
    cross_entropy(logits, labels, label_smoothing=label_smoothing).backward()
    classes = values.shape[1]
    y = np.eye(classes)[labels] * (1 - label_smoothing) + label_smoothing / classes
    expected = (softmax(values, fused=False) - y) / len(labels)
    logits_error = float(np.max(np.abs(logits.grad - expected)))
    # `not <=`, so that NaN counts as different.
    if not logits_error <= 1e-12:
        raise ArithmeticError(
            f"the gradient at the logits differs from (p - y) / {len(labels)} by {logits_error:.2g}"
        )

    def loss(*_: Tensor) -> Any:
        return cross_entropy(model(features), labels, label_smoothing=label_smoothing)

    parameters = list(model.parameters())
    # A small step, as differences across the kink of a relu have no meaning.
    report = gradcheck(loss, parameters, eps=1e-7, samples=20, seed=seed)
    size = sum(parameter.size for parameter in parameters)
    return Verification(len(labels), logits_error, report.checked, size, report.largest_error)
