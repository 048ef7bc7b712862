"""Products of matrices and vectors."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from microgradx.array_methods import implements
from microgradx.engine import Op

__all__ = [
    "matmul",
    "linear",
]


def _matmul_by_x(g: Any, out: Any, x: Any, y: Any) -> Any:
    if y.ndim == 1:
        return np.expand_dims(g, -1) * y
    if x.ndim == 1:
        return np.squeeze(np.matmul(np.expand_dims(g, -2), np.swapaxes(y, -1, -2)), -2)
    return np.matmul(g, np.swapaxes(y, -1, -2))  # g yᵀ


def _matmul_by_y(g: Any, out: Any, x: Any, y: Any) -> Any:
    if y.ndim == 1:
        return x * np.expand_dims(g, -1)
    if x.ndim == 1:
        return np.expand_dims(x, -1) * np.expand_dims(g, -2)
    return np.matmul(np.swapaxes(x, -1, -2), g)  # xᵀ g


class Matmul(Op):
    """The product of matrices, of stacks of them, or with vectors, as numpy.matmul.

    A vector on the left counts as a row, on the right as a column; leading axes broadcast. Raises
    ValueError for shapes that do not fit, and for single numbers.

    >>> matmul([[1, 2], [3, 4]], [1, 1])
    array([3, 7])
    """

    formula = "x y"
    derivatives = (_matmul_by_x, _matmul_by_y)

    def forward(self, x: Any, y: Any) -> Any:
        return np.matmul(x, y)


matmul = implements(np.matmul)(Matmul())


class Linear(Op):
    """A layer's x wᵀ + b as one node: x of shape (…, in), weight (out, in), bias (out,).

    >>> linear([[1, 2]], [[1, 1], [1, -1]], [10, 20])
    array([[13, 19]])
    """

    formula = "x yᵀ + z"
    derivatives = (
        lambda g, out, x, w, b: np.matmul(g, w),
        lambda g, out, x, w, b: np.matmul(np.transpose(_rows(g)), _rows(x)),
        lambda g, out, x, w, b: g,
    )

    def forward(self, x: Any, w: Any, b: Any) -> Any:
        return np.matmul(x, np.transpose(w)) + b


def _rows(x: Any) -> Any:
    """All leading axes as one."""
    return x if x.ndim == 2 else np.reshape(x, (math.prod(x.shape[:-1]), x.shape[-1]))


linear = implements("linear")(Linear())
