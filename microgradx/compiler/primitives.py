"""Primitives: what the calls of a traced program may be, besides NumPy's functions."""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np

from microgradx.arrays.bounds import check_range
from microgradx.arrays.types import Array
from microgradx.common.nested import leaves_of

__all__ = [
    "IN_PLACE",
    "VIEWS",
    "add_at",
    "cast",
    "concatenate_flat",
    "draw",
    "flat_slice",
    "may_raise",
    "set_item",
    "softmax_cross_entropy",
]


def set_item(array: Array, index: Any, value: Any) -> Array:
    """The array after `array[index] = value`."""
    array[index] = value
    return array


def add_at(array: Array, index: Any, value: Any) -> Array:
    """The array after `np.add.at(array, index, value)`."""
    np.add.at(array, index, value)
    return array


#: Primitives that write to their first argument; in a program, their result is a new value.
IN_PLACE = (set_item, add_at)


def cast(array: Array, dtype: Any) -> Array:
    """The array in another dtype."""
    return array.astype(dtype)


def concatenate_flat(*arrays: Array) -> Array:
    """The elements of all arrays in one flat array."""
    return np.concatenate([array.reshape(-1) for array in arrays])


def flat_slice(array: Array, start: int, shape: tuple[int, ...]) -> Array:
    """The part of a flat array that begins at `start`, in a shape."""
    return array[start : start + math.prod(shape)].reshape(shape)


def draw(generator: np.random.Generator, method: str, *args: Any, **kwargs: Any) -> Array:
    """Random numbers, new ones in every call."""
    return getattr(generator, method)(*args, **kwargs)


def softmax_cross_entropy(
    logits: Array, labels: Array, divisor: float, label_smoothing: float
) -> tuple[Array, Array]:
    """The sum of the rows' losses over a divisor, and its gradient: only shapes and dtypes here.

    The lines that compute them are in `compiler.cross_entropy`.
    """
    return np.zeros((), logits.dtype), np.zeros_like(logits)


def may_raise(function: Any, args: Any) -> bool:
    """Whether a call with arguments of these shapes raises an error for some values of them."""
    if function in (operator.getitem, set_item, add_at):  # an index may be out of bounds
        return any(hasattr(part, "dtype") for part in leaves_of(args[1]))
    return function in _RAISING or getattr(function, "__module__", None) == "numpy.linalg"


_RAISING = {check_range, softmax_cross_entropy, np.take, np.take_along_axis, np.choose}
_RAISING |= {np.ravel_multi_index, np.unravel_index}

#: Functions that may return a view of their first argument.
VIEWS = {
    *(operator.getitem, np.reshape, np.ravel, np.transpose, np.swapaxes, np.moveaxis),
    *(np.rollaxis, np.expand_dims, np.squeeze, np.broadcast_to, np.diagonal, np.flip, np.fliplr),
    *(np.flipud, np.rot90, np.atleast_1d, np.atleast_2d, np.atleast_3d, np.matrix_transpose),
    np.lib.stride_tricks.sliding_window_view,
    flat_slice,
}
