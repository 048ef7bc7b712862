"""What the backward sweep starts from."""

from __future__ import annotations

from typing import Any

import numpy as np

from microgradx.arrays.types import ONE, as_array, unwrap
from microgradx.common.messages import describe

__all__ = ["initial_gradient", "match_kind"]


def initial_gradient(output: Any, gradient: Any = None) -> Any:
    """The gradient that the sweep starts from at `output`, of its shape and dtype: ones by default.

    Raises ValueError if the output requires no gradient, if it is not a single number and there is
    no `gradient`, or if that has another shape.
    """
    array = output.array
    if not output.requires_grad:
        raise ValueError(
            f"{describe(output)} does not require gradients, so there is nothing to compute; was "
            "an input made with requires_grad=True, and outside no_grad()?"
        )
    if gradient is None:
        if array.size != 1:
            raise ValueError(
                f"backward() of {describe(output)} needs a gradient of its shape, since it is not "
                "a single number; reduce it first, as in t.sum().backward(), or pass one"
            )
        if type(array) is np.ndarray:
            return ONE[array.dtype].reshape(array.shape)
        gradient = np.ones_like(array)
    gradient = as_array(gradient)
    if gradient.shape != array.shape:
        raise ValueError(
            f"a gradient of shape {gradient.shape} for {describe(output)}; the shapes must be the "
            "same: the gradient says how much each element counts"
        )
    gradient = match_kind(gradient, array)
    return gradient if gradient.dtype == array.dtype else gradient.astype(array.dtype)


def match_kind(gradient: Any, array: Any) -> Any:
    """The gradient as an array of the output's kind, Dask's say: all that follow will be so too."""
    is_other = type(array) is not np.ndarray and type(unwrap(gradient)) is np.ndarray
    return gradient * np.ones_like(array) if is_other else gradient
