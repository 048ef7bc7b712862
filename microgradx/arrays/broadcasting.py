"""Broadcasting, and the way back: the gradient of what was broadcast is a sum."""

from __future__ import annotations

from typing import Any

import numpy as np

from microgradx.arrays.summation import sum_along
from microgradx.arrays.types import Array, as_array

__all__ = ["broadcast_axes", "unbroadcast"]


def broadcast_axes(shape: tuple[int, ...], to: tuple[int, ...]) -> tuple[int, ...]:
    """The axes of `to` along which an array of `shape` is repeated when it is broadcast to it.

    >>> broadcast_axes((3, 1), (2, 3, 4))
    (0, 2)
    """
    added = len(to) - len(shape)
    return tuple(i for i in range(len(to)) if i < added or shape[i - added] != to[i])


def unbroadcast(gradient: Any, x: Array) -> Any:
    """The gradient of `x`, in its shape and dtype, from that of `x` broadcast to another shape.

    It is the sum over the axes along which `x` was repeated. Raises ValueError where the shape of
    `gradient` is not one that `x` can be broadcast to.

    >>> unbroadcast(np.ones((2, 3)), np.zeros((2, 1)))
    array([[3.],
           [3.]])
    """
    gradient = as_array(gradient)
    shape = x.shape
    if gradient.shape != shape:
        added = gradient.ndim - len(shape)
        axes = broadcast_axes(shape, gradient.shape)
        if added < 0 or any(i >= added and shape[i - added] != 1 for i in axes):
            raise ValueError(
                f"a gradient of shape {gradient.shape} for an input of shape {shape}; "
                "it must have the shape that the input, or the input broadcast, has"
            )
        gradient = as_array(np.reshape(sum_along(gradient, axes, dtype=x.dtype), shape))
    return gradient if gradient.dtype == x.dtype else gradient.astype(x.dtype)
