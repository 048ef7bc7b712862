"""What all losses share: the reduction of many losses to one, and weights."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from microgradx.arrays.summation import widen
from microgradx.arrays.types import Array, as_array, as_number, is_known_true, unwrap
from microgradx.engine import Tensor
from microgradx.ops.reductions import sum

__all__ = ["LossReduction", "as_weight", "check_reduction", "reduce_losses", "reduce_weighted"]

LossReduction = Literal["mean", "sum", "none"]


def check_reduction(reduction: str, *others: str) -> None:
    """Raise ValueError for a reduction that is not known to all losses, nor among `others`."""
    known = ('"mean"', *(f'"{other}"' for other in others), '"sum"')
    if reduction not in ("mean", "sum", "none", *others):
        raise ValueError(f'reduction must be {", ".join(known)} or "none", not {reduction!r}')


def as_weight(weight: Any, logits: Any) -> Array:
    """Weights as an array of the logits' dtype, so that they do not promote the loss."""
    if isinstance(weight, Tensor) and weight.requires_grad:
        raise ValueError("the weights of a loss must be constants: pass weight.detach()")
    weight = as_array(unwrap(weight)).astype(logits.dtype, copy=False)
    if is_known_true(np.any(weight < 0)):
        raise ValueError("weights must be 0 or more: a negative one would reward mistakes")
    return weight


def reduce_losses(losses: Any, divisor: Any, reduction: str) -> Any:
    if reduction == "none":
        return losses
    total = sum(widen(losses))  # which float16 could not hold, nor the divisor
    if reduction == "sum":
        reduced = total
    elif isinstance(divisor, (int, float)):
        # If all rows are ignored the mean is NaN, but its gradients are 0.
        reduced = total / divisor if divisor else total + np.nan
    else:  # the same for a divisor that is not known yet
        is_void = divisor == 0
        reduced = total / np.where(is_void, 1, divisor).astype(total.dtype)
        reduced = reduced + np.where(is_void, np.nan, 0).astype(total.dtype)
    return reduced if reduced.dtype == losses.dtype else reduced.astype(losses.dtype)


def reduce_weighted(losses: Any, weight: Any, reduction: str) -> Any:
    check_reduction(reduction)
    if weight is None:
        return reduce_losses(losses, losses.size, reduction)
    weight = np.broadcast_to(as_weight(weight, losses), losses.shape)
    divisor = as_number(np.sum(weight, dtype=np.float64))
    return reduce_losses(losses * weight, divisor, reduction)
