"""The losses of regressions: errors between inputs and targets of one shape."""

from __future__ import annotations

from typing import Any

import numpy as np

from microgradx.arrays.types import as_floats
from microgradx.functional.loss_reduction import LossReduction, reduce_weighted
from microgradx.graph.scopes import scope
from microgradx.ops.elementwise import clip

__all__ = ["mse_loss", "l1_loss", "huber_loss", "smooth_l1_loss"]


@scope
def mse_loss(
    input: Any, target: Any, *, weight: Any = None, reduction: LossReduction = "mean"
) -> Any:
    """The squared error, (x - y)².

    `input` x and `target` y have one shape; both receive gradients. `weight` scales the losses, and
    the mean is then divided by the sum of the weights. The result has the dtype of `input`. Raises
    ValueError for shapes that differ, negative weights and an unknown reduction.

    >>> mse_loss([1.0, 2.0], [1.0, 4.0])
    np.float64(2.0)
    """
    error = _error(input, target)
    return reduce_weighted(error * error, weight, reduction)


@scope
def l1_loss(
    input: Any, target: Any, *, weight: Any = None, reduction: LossReduction = "mean"
) -> Any:
    """The absolute error, |x - y|, with the derivative 0 at 0; see `mse_loss`.

    >>> l1_loss([1.0, 2.0], [1.0, 4.0])
    np.float64(1.0)
    """
    return reduce_weighted(np.abs(_error(input, target)), weight, reduction)


@scope
def huber_loss(
    input: Any,
    target: Any,
    *,
    delta: float = 1.0,
    weight: Any = None,
    reduction: LossReduction = "mean",
) -> Any:
    """Half the squared error up to `delta`, and a line beyond: δ (|x - y| - δ / 2); see `mse_loss`.

    Raises ValueError for a `delta` that is not positive. Source: P. J. Huber, 1964.

    >>> huber_loss([1.0, 2.0], [1.5, 4.0], reduction="none")
    array([0.125, 1.5  ])
    """
    if not delta > 0:
        raise ValueError(f"delta must be positive, not {delta}")
    error = _error(input, target)
    limited = clip(error, -delta, delta)
    return reduce_weighted(limited * (error - limited / 2), weight, reduction)


@scope
def smooth_l1_loss(
    input: Any,
    target: Any,
    *,
    beta: float = 1.0,
    weight: Any = None,
    reduction: LossReduction = "mean",
) -> Any:
    """`huber_loss` divided by `delta`, here `beta`, and `l1_loss` for 0. Source: R. Girshick, 2015.

    >>> smooth_l1_loss([1.0, 2.0], [1.5, 4.0], beta=0.5, reduction="none")
    array([0.25, 1.75])
    """
    if beta == 0:
        return l1_loss(input, target, weight=weight, reduction=reduction)
    return huber_loss(input, target, delta=beta, weight=weight, reduction=reduction) / beta


def _error(input: Any, target: Any) -> Any:
    """x - y, in the dtype of x; shapes that broadcast would compare each x with each y."""
    x, y = as_floats(input), as_floats(target)
    if x.shape != y.shape:
        raise ValueError(
            f"input of shape {x.shape} and target of shape {y.shape}; they must be the same: "
            "reshape one of them, or write target[:, None]"
        )
    return x - (y if y.dtype == x.dtype else y.astype(x.dtype))
