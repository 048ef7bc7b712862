"""Sums in a type that is wide enough for them.

NumPy adds float32 up in float32. Neighbours in memory it adds pairwise, which loses little; along
other axes it adds one number after the other, and of 10⁷ equal numbers two digits are left. The
sums of float16 stand still at 2048, and overflow at 65,520. Here float16 is added up in float64,
and float32 in such a way that the error is below 10⁻⁶ of Σ |x| for 10⁷ numbers, along any axis:
few of them one after the other, then those sums in float64.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from microgradx.arrays.types import Array, ArrayHolder, Axis, as_array, filled_vector, is_ndarray

__all__ = [
    "FEW",
    "HALF",
    "add_gradients",
    "SHORT",
    "accumulation_dtype",
    "compute_wide",
    "cumsum_along",
    "mean_along",
    "multiply_matrices",
    "sum_along",
    "sum_rows",
    "widen",
]

HALF, DOUBLE = np.dtype(np.float16), np.dtype(np.float64)

#: So many numbers of float32 are added one after the other with an error below 10⁻⁶ of Σ |x|.
FEW = 64

#: So many products of float32 are left to BLAS: of vectors it adds up one after the other, of
#: matrices a few hundred.
SHORT, LONG = 512, 1 << 14

#: So many products are added up at a time.
PIECE = 2048

#: How many numbers of a type may be added up in it, by the type's character.
LIMITS = {"e": 0, "f": FEW}

#: Up to this size, the conversion to float64 takes less time than any detour around it.
SMALL = 1 << 13


def accumulation_dtype(dtype: Any, count: int) -> Any:
    """The type in which `count` numbers are to be added up, one after the other.

    >>> accumulation_dtype(np.dtype(np.float32), 10_000)
    dtype('float64')
    """
    return DOUBLE if count > LIMITS.get(dtype.char, math.inf) else dtype


def widen(x: Any, count: int = 1) -> Any:
    """An array or a Tensor in the type in which `count` of its numbers are to be added up.

    float16 becomes float64, whatever the count: its squares overflow too.
    """
    return x if count <= LIMITS.get(x.dtype.char, math.inf) else x.astype(DOUBLE)


def sum_along(x: Any, axis: Axis = None, keepdims: bool = False, dtype: Any = None) -> Any:
    """np.sum, right to 10⁻⁶ of Σ |x| for 10⁷ numbers of float32, to the rounding for float16.

    The result has the `dtype`, by default that of np.sum.

    >>> sum_along(np.full((4096, 1), 1, np.float16), axis=0)
    array([4.096e+03], dtype=float16)
    """
    if isinstance(x, ArrayHolder):
        return np.sum(x, axis=axis, keepdims=keepdims)  # type: ignore[call-overload]
    x = x if type(x) is np.ndarray else as_array(x)
    total = _accumulate(x, axis, keepdims)
    dtype = dtype or (x.dtype if x.dtype.char in LIMITS else total.dtype)
    return total if total.dtype is dtype else total.astype(dtype)


def mean_along(x: Any, axis: Axis = None, keepdims: bool = False, dtype: Any = None) -> Any:
    """np.mean, as exact as `sum_along`: the sum is divided before it is rounded to the `dtype`.

    >>> mean_along(np.full((70_000, 1), 2, np.float16), axis=0)
    array([2.], dtype=float16)
    """
    if isinstance(x, ArrayHolder):
        return np.mean(x, axis=axis, keepdims=keepdims)  # type: ignore[call-overload]
    x = x if type(x) is np.ndarray else as_array(x)
    if not is_ndarray(x):
        wide = accumulation_dtype(x.dtype, x.size)
        settings: Any = {} if wide is x.dtype else {"dtype": wide}
        mean = np.mean(x, axis=axis, keepdims=keepdims, **settings)
    elif x.dtype.kind == "f":
        total = _accumulate(x, axis, keepdims)
        mean = total / (x.size // (total.size or 1))
    else:
        mean = np.mean(x, axis=axis, keepdims=keepdims)
    dtype = dtype or (x.dtype if x.dtype.char in LIMITS else mean.dtype)
    return mean if mean.dtype is dtype else mean.astype(dtype)


def cumsum_along(x: Any, axis: int) -> Any:
    """np.cumsum along an axis, as exact as `sum_along`.

    >>> cumsum_along(np.full(4096, 1, np.float16), axis=0)[-1]
    np.float16(4.096e+03)
    """
    wide = accumulation_dtype(x.dtype, x.shape[axis])
    if isinstance(x, ArrayHolder) or wide is x.dtype:
        return np.cumsum(x, axis=axis)
    return np.cumsum(x, axis=axis, dtype=wide).astype(x.dtype)


def compute_wide(function: Any, count: int, *arrays: Any, **settings: Any) -> Any:
    """What a function makes of arrays in the type in which it can add up `count` numbers.

    The result is rounded to the type of the arrays. Of Tensors, the op does so.

    >>> compute_wide(np.vdot, 70_000, np.ones(70_000, np.float16), np.full(70_000, 0.5, np.float16))
    np.float16(3.5e+04)
    """
    dtypes = {x.dtype for x in arrays}
    dtype = dtypes.pop() if len(dtypes) == 1 else np.result_type(*dtypes)
    wide = accumulation_dtype(dtype, count)
    if wide is dtype or any(isinstance(x, ArrayHolder) for x in arrays):
        return function(*arrays, **settings)
    return function(*(x.astype(wide) for x in arrays), **settings).astype(dtype)


def multiply_matrices(x: Any, y: Any) -> Any:
    """np.matmul, with long sums in float64; float16 is right to its rounding.

    A piece of a long sum is multiplied at a time, which takes little memory.
    """
    if x.size <= SHORT and x.dtype is not HALF and x.ndim == 2 == y.ndim:
        return np.dot(x, y)  # the same, and faster
    count = x.shape[-1] if x.shape else 0
    is_vector = min(x.ndim, y.ndim) < 2 or 1 in (x.shape[-2], y.shape[-1])
    limit = SHORT if is_vector else LONG
    if count <= limit and x.dtype.char != "e" != y.dtype.char:
        return np.matmul(x, y)
    if type(x) is not np.ndarray or type(y) is not np.ndarray or y.shape[-2:][:1] != (count,):
        return compute_wide(np.matmul, 1 if count <= limit else count, x, y)
    dtype = np.result_type(x, y)
    if dtype.char not in LIMITS:
        return np.matmul(x, y)
    total = np.matmul(x[..., :0], y[..., :0, :] if y.ndim > 1 else y[:0], dtype=DOUBLE)
    for start in range(0, count, PIECE):
        piece = slice(start, start + PIECE)
        of_y = y[..., piece, :] if y.ndim > 1 else y[piece]
        total = total + np.matmul(x[..., piece].astype(DOUBLE), of_y.astype(DOUBLE))
    return total.astype(dtype)


def add_gradients(total: Any, gradient: Any, count: int) -> Any:
    """The sum of `count` gradients and one more; of many, in a wider type."""
    if count > FEW or total.dtype is HALF:
        total = widen(total, count)
    total = total + gradient
    return np.asarray(total) if isinstance(total, np.generic) else total


def sum_rows(x: Array) -> Array:
    """Σᵢ xᵢⱼ of a matrix; of few rows by a product with ones, in a third of the time of np.sum."""
    if len(x) > 2 * FEW or x.dtype is HALF:
        return sum_along(x, 0)
    return np.dot(filled_vector(1.0, len(x), x.dtype), x)


# ---------------------------------------------------------------------------- how


def _accumulate(x: Array, axis: Axis, keepdims: bool) -> Any:
    """Σ x, not yet rounded to the type of x."""
    limit = LIMITS.get(x.dtype.char)
    if limit is None or x.size <= limit:
        return _reduce(x, axis, keepdims)
    if limit and is_ndarray(x):
        if _adds_few_in_turn(x, axis):
            return _reduce(x, axis, keepdims)
        if x.size > SMALL and x.flags.c_contiguous:
            return _reduce_in_stages(x, axis, keepdims)
    return _reduce(x, axis, keepdims, DOUBLE)


def _adds_few_in_turn(x: Array, axis: Any) -> bool:
    """Whether NumPy adds up few numbers one after the other: pairwise, or because there are few."""
    if axis is None:
        return bool(x.flags.forc)
    if type(axis) is not int or not -x.ndim <= axis < x.ndim:
        return bool(axis == ())
    return bool(x.shape[axis] <= FEW or (axis % x.ndim == x.ndim - 1 and x.flags.c_contiguous))


_add_reduce: Any = np.add.reduce


def _reduce(x: Array, axis: Axis, keepdims: bool = False, dtype: Any = None) -> Any:
    if type(x) is np.ndarray:  # np.sum takes twice as long for few numbers
        return _add_reduce(x, axis, dtype, None, keepdims)
    settings: Any = {} if dtype is None else {"dtype": dtype}
    return np.sum(x, axis=axis, keepdims=keepdims, **settings)


def _reduce_in_stages(x: Array, axis: Any, keepdims: bool) -> Any:
    """The sum of a contiguous array, over one group of neighbouring axes after the other."""
    axes = sorted(normalize_axis_tuple(axis, x.ndim, "axis"))
    shape = list(x.shape)
    total = x
    for stop in reversed([i + 1 for i in axes if i + 1 not in axes]):
        start = stop - 1
        while start - 1 in axes:
            start -= 1
        sizes = (math.prod(each) for each in (shape[:start], shape[start:stop], shape[stop:]))
        total = _sum_middle(np.reshape(total, tuple(sizes)))
        shape[start:stop] = [1] * (stop - start)
    if not keepdims:
        shape = [length for i, length in enumerate(shape) if i not in axes]
    return np.reshape(total, shape)


def _sum_middle(x: Array) -> Array:
    """Σⱼ xᵢⱼₖ."""
    before, count, after = x.shape
    if after == 1:
        return _reduce(np.reshape(x, (before, count)), 1)  # pairwise
    if count <= FEW or x.dtype is DOUBLE:
        return _reduce(x, 1)
    # Rows that lie far apart are added up first: that is one product for all that lies between.
    distance = count // FEW
    main, rest = x[:, : FEW * distance], x[:, FEW * distance :]
    ones = filled_vector(1.0, FEW, x.dtype)
    sums = np.matmul(ones, np.reshape(main, (before, FEW, distance * after)))
    total = _reduce(np.reshape(sums, (before, distance, after)), 1, dtype=DOUBLE)
    return total if count % FEW == 0 else total + _reduce(rest, 1)
