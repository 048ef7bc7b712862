"""Primitives: what the calls of a traced program may be, besides NumPy's functions."""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np

from microgradx.arrays.types import Array

__all__ = [
    "IN_PLACE",
    "VIEWS",
    "add_at",
    "cast",
    "check_labels",
    "concatenate_flat",
    "draw",
    "flat_slice",
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


def check_labels(labels: Array, classes: int, ignored: int | None = None) -> None:
    """Raise IndexError unless each label is a class, or the one to ignore."""
    if labels.size == 0 or (labels.min() >= 0 and labels.max() < classes):
        return
    wrong = (labels < 0) | (labels >= classes)
    if ignored is not None:
        wrong &= labels != ignored
    if wrong.any():
        raise IndexError(
            f"label {labels[wrong][0]} is not one of the {classes} classes, 0 to {classes - 1}"
        )


def softmax_cross_entropy(
    logits: Array, labels: Array, divisor: float, label_smoothing: float
) -> tuple[Array, Array]:
    """The sum of the rows' losses over a divisor, and its gradient: only shapes and dtypes here.

    The lines that compute them are in `compiler.cross_entropy`.
    """
    return np.zeros((), logits.dtype), np.zeros_like(logits)


#: Functions that may return a view of their first argument.
VIEWS = {
    *(operator.getitem, np.reshape, np.ravel, np.transpose, np.swapaxes, np.moveaxis),
    *(np.rollaxis, np.expand_dims, np.squeeze, np.broadcast_to, np.diagonal, np.flip, np.fliplr),
    *(np.flipud, np.rot90, np.atleast_1d, np.atleast_2d, np.atleast_3d, np.matrix_transpose),
    flat_slice,
}
