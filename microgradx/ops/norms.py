"""Norms of vectors and of matrices."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from microgradx.arrays.dispatch import implements
from microgradx.arrays.summation import compute_wide
from microgradx.arrays.types import Axis, as_array, as_floats
from microgradx.engine import Tensor
from microgradx.ops.decompositions import svdvals
from microgradx.ops.linalg import inv
from microgradx.ops.reductions import NormGradient, Reduction

__all__ = [
    "norm",
    "matrix_norm",
    "vector_norm",
    "cond",
]


class Norm(Reduction):
    """(Σ |x|ᵖ)¹ᐟᵖ. Where it is 0, its derivative is 0, by convention, and its second one NaN."""

    formula = "(Σ |x|ᵖ)¹ᐟᵖ"

    def __init__(self, p: Any = 2, axis: Axis = None, keepdims: bool = False) -> None:
        super().__init__(axis, keepdims)
        self.p = p

    def forward(self, x):
        return _norm_of_array(x, None if self.p == 2 else self.p, self.axis, self.keepdims)

    def backward(self, g, out, x):
        return self.expand(g, x) * NormGradient(self.p, self.axis)(x)


def _norm_of_array(x, ord, axis: Axis, keepdims: bool):
    settings = {"ord": ord, "axis": axis, "keepdims": keepdims}
    return compute_wide(np.linalg.norm, x.size, x, **settings)


@implements(np.linalg.norm)
def norm(x: Any, ord: Any = None, axis: Axis = None, keepdims: bool = False) -> Any:
    """The norm of vectors along an axis, or of matrices along two; of all elements by default.

    `ord` for vectors: the p of (Σ |x|ᵖ)¹ᐟᵖ, 2 by default; inf and -inf, the largest and the
    smallest |x|; 0, the number of elements that are not 0. For matrices: "fro", the root of the sum
    of squares, by default; "nuc", the sum of the singular values; 2 and -2, the largest and the
    smallest of them; 1 and -1, the largest and the smallest sum of |x| in a column, inf and -inf in
    a row. At kinks, the derivative at 0 is 0, and ties share it equally. Raises NumPy's ValueError
    for other orders.

    >>> norm([3.0, 4.0])
    np.float64(5.0)
    """
    if not isinstance(x, Tensor):
        return _norm_of_array(as_array(x), ord, axis, keepdims)
    x = as_floats(x)
    np.linalg.norm(np.ones((1,) * x.ndim), ord, axis)  # its error, if any
    if ord is None and axis is None:
        return Norm(2, None, keepdims)(x)
    axes = tuple(range(x.ndim)) if axis is None else normalize_axis_tuple(axis, x.ndim)
    if len(axes) == 1:
        return _vector_norm(x, 2 if ord is None else ord, axes[0], keepdims)
    if ord in (None, "fro", "f"):
        return Norm(2, axes, keepdims)(x)
    matrices = np.transpose(x, [*(i for i in range(x.ndim) if i not in axes), *axes])
    result = _matrix_norm(matrices, ord)
    return np.expand_dims(result, axes) if keepdims else result


def _vector_norm(x, p, axis: int, keepdims: bool):
    if p == 0:
        return np.sum(np.abs(np.sign(x)), axis=axis, keepdims=keepdims)
    reduction: Any = {1: np.sum, np.inf: _max_or_0, -np.inf: np.min}.get(p)
    if reduction is None:
        return Norm(p, axis, keepdims)(x)
    return reduction(np.abs(x), axis=axis, keepdims=keepdims)


def _max_or_0(x, axis: int, keepdims: bool = False):
    """The maximum of numbers that are not negative, or 0, as a sum of none, if there are none."""
    reduction = np.max if x.shape[axis] else np.sum
    return reduction(x, axis=axis, keepdims=keepdims)


def _matrix_norm(x, order):
    if order == "nuc":
        return np.sum(svdvals(x), axis=-1)
    extreme: Any = _max_or_0 if order > 0 else np.min
    if abs(order) == 2:
        return extreme(svdvals(x), axis=-1)
    along, across = (-2, -1) if abs(order) == 1 else (-1, -2)
    sums = np.sum(np.abs(x), axis=along, keepdims=True)
    return np.squeeze(extreme(sums, axis=across, keepdims=True), (-2, -1))


@implements(np.linalg.matrix_norm)
def matrix_norm(x: Any, /, *, keepdims: bool = False, ord: Any = "fro") -> Any:
    """The norm of each matrix in a stack; see `norm` for `ord`.

    >>> matrix_norm([[[3.0, 0.0], [0.0, 4.0]]], ord=2)
    array([4.])
    """
    return norm(as_array(x), ord, (-2, -1), keepdims)


@implements(np.linalg.vector_norm)
def vector_norm(x: Any, /, *, axis: Axis = None, keepdims: bool = False, ord: Any = 2) -> Any:
    """The norm of vectors along an axis, or of all elements along several as one vector.

    >>> vector_norm([[1.0, 2.0], [2.0, 0.0]])
    np.float64(3.0)
    """
    if not isinstance(x, Tensor):
        numpy_norm: Any = np.linalg.vector_norm
        return numpy_norm(as_array(x), axis=axis, keepdims=keepdims, ord=ord)
    axes = tuple(range(x.ndim)) if axis is None else normalize_axis_tuple(axis, x.ndim)
    rest = [i for i in range(x.ndim) if i not in axes]
    shape = [math.prod(x.shape[i] for i in axes), *(x.shape[i] for i in rest)]
    vectors = np.reshape(np.transpose(x, [*axes, *rest]), shape)
    result = norm(vectors, ord, 0)
    return np.expand_dims(result, axes) if keepdims else result


@implements(np.linalg.cond)
def cond(x: Any, p: Any = None) -> Any:
    """The condition number of each matrix, |x| |x⁻¹|: by how much errors of a solution can grow.

    With the 2-norm, the default, it is the largest singular value over the smallest; see `norm` for
    other `p`. Of a singular matrix it is infinite, and its backward raises LinAlgError or is NaN.

    >>> cond([[2.0, 0.0], [0.0, 1.0]])
    np.float64(2.0)
    """
    x = as_floats(x)
    if x.ndim < 2 or x.size == 0:
        raise np.linalg.LinAlgError(f"cond of shape {x.shape}: there is no matrix, or an empty one")
    if p in (None, 2, -2):
        s = svdvals(x)
        return s[..., -1] / s[..., 0] if p == -2 else s[..., 0] / s[..., -1]
    return norm(x, p, (-2, -1)) * norm(inv(x), p, (-2, -1))
