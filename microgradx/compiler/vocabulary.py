"""What captured programs say beside NumPy's functions: a few calls that are several lines each."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from microgradx.array_methods import Array

__all__ = ["drawn", "joined", "piece", "softmax_cross_entropy"]


def joined(*arrays: Array) -> Array:
    """All elements, one array after the other."""
    return np.concatenate([array.reshape(-1) for array in arrays])


def piece(array: Array, start: int, shape: tuple[int, ...]) -> Array:
    """A part of a flat array, as an array of a shape of its own."""
    return array[start : start + math.prod(shape)].reshape(shape)


def drawn(generator: np.random.Generator, method: str, *args: Any, **kwargs: Any) -> Array:
    """Random numbers, others in every call."""
    return getattr(generator, method)(*args, **kwargs)  # type: ignore[no-any-return]


def softmax_cross_entropy(logits: Array, labels: Array, divisor: float) -> tuple[Array, Array]:
    """The sum of the rows' losses over a divisor, and its gradient, p - y."""
    rows = np.arange(len(labels))
    e = np.exp(logits - logits.max(axis=1, keepdims=True))
    p = e / e.sum(axis=1, keepdims=True)
    loss = -np.log(p[rows, labels]).sum() / divisor
    p[rows, labels] -= 1
    return np.asarray(loss, logits.dtype), p / np.asarray(divisor, logits.dtype)
