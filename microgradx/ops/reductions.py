"""Reductions: ops that turn an axis, several, or all of them into one number each.

They take `axis` (an integer, a tuple, None for all) and `keepdims` as NumPy's do, and raise a
ValueError for an axis that there is not, or for the largest of no elements.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from microgradx.array_methods import Axis, implements
from microgradx.engine import Op

__all__ = [
    "sum",
    "mean",
    "max",
    "min",
]


class Reduction(Op):
    """What reductions share: their settings, and how a result is laid beside its input again."""

    def __init__(self, axis: Axis = None, keepdims: bool = False) -> None:
        self.axis = axis
        self.keepdims = keepdims

    def expand(self, reduced: Any, x: Any) -> Any:
        """A result, or its gradient, with the reduced axes of `x` back, at length 1."""
        if self.keepdims or x.ndim == 0:
            return reduced
        if self.axis is None:
            return np.reshape(reduced, (1,) * x.ndim)
        return np.expand_dims(reduced, self.axis)

    def count(self, x: Any) -> int:
        """How many elements of `x` each element of the result is made from."""
        if self.axis is None:
            return math.prod(x.shape)
        axes = self.axis if isinstance(self.axis, tuple) else (self.axis,)
        return math.prod(x.shape[axis] for axis in axes)


class Sum(Reduction):
    formula = "Σ x"

    def forward(self, x: Any) -> Any:
        return np.sum(x, axis=self.axis, keepdims=self.keepdims)

    def backward(self, g: Any, out: Any, x: Any) -> Any:
        return np.broadcast_to(self.expand(g, x), x.shape)


class Mean(Reduction):
    formula = "Σ x / n"

    def forward(self, x: Any) -> Any:
        return np.mean(x, axis=self.axis, keepdims=self.keepdims)

    def backward(self, g: Any, out: Any, x: Any) -> Any:
        return np.broadcast_to(self.expand(g * (1 / (self.count(x) or 1)), x), x.shape)


class Max(Reduction):
    formula = "max x"

    def forward(self, x: Any) -> Any:
        return np.max(x, axis=self.axis, keepdims=self.keepdims)

    def backward(self, g: Any, out: Any, x: Any) -> Any:
        # Ties share the gradient equally. Where the extremum stands is a constant.
        is_extreme = x == self.expand(out, x)
        ties = np.sum(is_extreme, axis=self.axis, keepdims=True)
        share = self.expand(g, x) / ties.astype(np.promote_types(x.dtype, np.float32))
        return np.where(is_extreme, share, 0)


class Min(Max):
    formula = "min x"

    def forward(self, x: Any) -> Any:
        return np.min(x, axis=self.axis, keepdims=self.keepdims)


@implements(np.sum)
def sum(x: Any, axis: Axis = None, *, keepdims: bool = False) -> Any:
    """The sum over `axis`. Each element receives the gradient of the sum it is part of.

    >>> sum([[1, 2], [3, 4]], axis=0)
    array([4, 6])
    """
    return Sum(axis, keepdims)(x)


@implements(np.mean)
def mean(x: Any, axis: Axis = None, *, keepdims: bool = False) -> Any:
    """The mean over `axis`, of n elements. Each element receives 1/n of its mean's gradient.

    >>> mean([[1, 2], [3, 4]], axis=0)
    array([2., 3.])
    """
    return Mean(axis, keepdims)(x)


@implements(np.max, np.amax)
def max(x: Any, axis: Axis = None, *, keepdims: bool = False) -> Any:
    """The largest element over `axis`. Elements that tie for it share its gradient equally.

    >>> max([[1, 4], [3, 2]], axis=0)
    array([3, 4])
    """
    return Max(axis, keepdims)(x)


@implements(np.min, np.amin)
def min(x: Any, axis: Axis = None, *, keepdims: bool = False) -> Any:
    """The smallest element over `axis`. Elements that tie for it share its gradient equally.

    >>> min([[1, 4], [3, 2]], axis=0)
    array([1, 2])
    """
    return Min(axis, keepdims)(x)
