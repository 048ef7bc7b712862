"""What captured programs say beside NumPy's functions: a few calls that are several lines each."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from microgradx.arrays.types import Array

__all__ = ["check_labels", "drawn", "joined", "piece", "softmax_cross_entropy"]


def joined(*arrays: Array) -> Array:
    """All elements, one array after the other."""
    return np.concatenate([array.reshape(-1) for array in arrays])


def piece(array: Array, start: int, shape: tuple[int, ...]) -> Array:
    """A part of a flat array, as an array of a shape of its own."""
    return array[start : start + math.prod(shape)].reshape(shape)


def drawn(generator: np.random.Generator, method: str, *args: Any, **kwargs: Any) -> Array:
    """Random numbers, others in every call."""
    return getattr(generator, method)(*args, **kwargs)


def check_labels(labels: Array, classes: int, ignored: int | None = None) -> None:
    """Raise IndexError unless all labels are classes, or the one that is ignored."""
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
    """The sum of the rows' losses over a divisor, and its gradient: shapes and dtypes, to begin."""
    return np.zeros((), logits.dtype), np.zeros_like(logits)
