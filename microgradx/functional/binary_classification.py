"""The losses of binary classifiers, one logit or probability for each label."""

from __future__ import annotations

from typing import Any

import numpy as np

from microgradx.arrays.types import as_floats, is_known_true, present_values, unwrap
from microgradx.functional.given_activations import warn_of_activation
from microgradx.functional.loss_reduction import (
    LossReduction,
    as_weight,
    check_reduction,
    reduce_losses,
)
from microgradx.graph.scopes import scope
from microgradx.ops.activations import softplus
from microgradx.ops.losses import binary_cross_entropy_of

__all__ = ["binary_cross_entropy", "binary_cross_entropy_with_logits"]


@scope
def binary_cross_entropy_with_logits(
    logits: Any,
    target: Any,
    weight: Any = None,
    *,
    pos_weight: Any = None,
    reduction: LossReduction = "mean",
) -> Any:
    """The loss of a binary classifier, -y ln p - (1 - y) ln(1 - p), with p = sigmoid(logits).

    `target`, of the logits' shape, holds y, from 0 to 1. `weight` scales the losses and
    `pos_weight` the term of y; both broadcast. Computed as y softplus(-x) + (1 - y) softplus(x),
    which neither overflows nor takes ln 0. The result has the dtype of the logits. Warns if it is
    given the output of a sigmoid. Raises ValueError for shapes that differ, targets outside 0 to 1,
    negative weights and an unknown reduction.

    >>> binary_cross_entropy_with_logits([0.0, 2.0], [1.0, 1.0])
    np.float64(0.4100375958014589)
    """
    check_reduction(reduction)
    logits, y = _check_inputs("logits", logits, target)
    warn_of_activation(
        "binary_cross_entropy_with_logits",
        logits,
        ("sigmoid", "logsigmoid", "softmax", "log_softmax"),
        "applies sigmoid itself: the loss cannot approach 0; pass the logits, before the {0}",
    )
    positive = y * softplus(-logits)
    if pos_weight is not None:
        positive = positive * as_weight(pos_weight, logits)
    return _reduce(positive + (1 - y) * softplus(logits), weight, reduction)


@scope
def binary_cross_entropy(
    input: Any, target: Any, weight: Any = None, *, reduction: LossReduction = "mean"
) -> Any:
    """The loss of a binary classifier, -y ln p - (1 - y) ln(1 - p), from its probabilities p.

    Logarithms are at least -100, and in the derivative, (1 - y) / (1 - p) - y / p, divisors are at
    least 10⁻¹², as in PyTorch; `binary_cross_entropy_with_logits` needs no such limits. Arguments
    and errors are as there. Raises ValueError for an `input` outside 0 to 1 too.

    >>> binary_cross_entropy([0.5, 1.0, 0.0], [1.0, 1.0, 1.0], reduction="none")
    array([  0.69314718,   0.        , 100.        ])
    """
    check_reduction(reduction)
    p, y = _check_inputs("input", input, target)
    values = unwrap(p)
    if is_known_true(np.any((values < 0) | (values > 1))):
        values = present_values(values)
        raise ValueError(
            "binary_cross_entropy takes probabilities, from 0 to 1, and was given numbers from "
            f"{np.min(values):.4g} to {np.max(values):.4g}; of logits take "
            "binary_cross_entropy_with_logits"
        )
    return _reduce(binary_cross_entropy_of(p, y), weight, reduction)


def _check_inputs(name: str, input: Any, target: Any) -> tuple[Any, Any]:
    """Both as floats, in the dtype of the first."""
    x = as_floats(input)
    y = as_floats(target).astype(x.dtype)
    if x.shape != y.shape:
        raise ValueError(
            f"{name} of shape {x.shape} and target of shape {y.shape}; they must be the same: "
            "reshape one of them, or write target[:, None]"
        )
    if is_known_true(np.any((unwrap(y) < 0) | (unwrap(y) > 1))):
        raise ValueError("the target must hold probabilities of the positive class, from 0 to 1")
    return x, y


def _reduce(losses: Any, weight: Any, reduction: str) -> Any:
    if weight is not None:
        losses = losses * as_weight(weight, losses)
    return reduce_losses(losses, losses.size, reduction)
