"""Proof, before a training, that its gradients will be right: those of this model, on this data.

Two independent witnesses: the formula of the gradient at the logits, p - y, with softmax and loss
composed of their parts; and finite differences of the whole model's loss at its parameters.
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
    """What was compared, and how far apart it was at most."""

    rows: int
    logits_error: float  # max |fused gradient - (p - y) / rows|
    checked: int  # parameters that were moved ...
    parameters: int  # ... of how many
    parameters_error: float  # |gradient - finite difference|, as a share of what is allowed


def verify_gradients(
    model: Any, features: Array, labels: Array, *, label_smoothing: float = 0.0, seed: int = 0
) -> Verification:
    """Compare the gradients of the mean cross-entropy of `model` with what they must be.

    model: with float64 parameters, since differences in float32 drown in rounding.
    features, labels: (rows, columns) of float64 and (rows,) of integers; a few rows are enough.
    seed: draws the elements, 20 of each parameter at most, that are moved.

    Raises ArithmeticError if the gradient at the logits is not (p - y) / rows, and GradcheckError
    if one at the parameters is not what finite differences say.
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
    # Written so that NaN counts as different.
    if not logits_error <= 1e-12:
        raise ArithmeticError(
            f"the gradient at the logits differs from (p - y) / {len(labels)} by {logits_error:.2g}"
        )

    def loss(*_: Tensor) -> Any:
        return cross_entropy(model(features), labels, label_smoothing=label_smoothing)

    parameters = list(model.parameters())
    # A small step, since differences across the kink of a relu have no meaning.
    report = gradcheck(loss, parameters, eps=1e-7, samples=20, seed=seed)
    size = sum(parameter.size for parameter in parameters)
    return Verification(len(labels), logits_error, report.checked, size, report.largest_error)
