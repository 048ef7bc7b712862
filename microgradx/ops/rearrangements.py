"""Functions that only move, repeat or drop elements, and fill with 0: one op serves all of them.

Its backward applies the NumPy function to the positions 1, 2, 3, … instead of the elements. That
shows where each element went, and so which gradients to add up for it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np

from microgradx.arrays.dispatch import implements
from microgradx.arrays.types import as_array, unwrap
from microgradx.engine import Op, Tensor
from microgradx.ops.elementwise import astype
from microgradx.ops.indexing import add_at, getitem
from microgradx.ops.reductions import sum
from microgradx.ops.shapes import concatenate, reshape

__all__ = [
    "flip",
    "fliplr",
    "flipud",
    "roll",
    "rot90",
    "repeat",
    "tile",
    "resize",
    "sliding_window_view",
    "pad",
    "insert",
    "delete",
    "diag",
    "diagflat",
    "diagonal",
    "trace",
    "tril",
    "triu",
]


class Rearrangement(Op):
    """A NumPy function that rearranges x, with its settings; new elements are 0."""

    formula = "x"

    def __init__(self, function: Callable[..., Any], **settings: Any) -> None:
        self.name = function.__name__
        self.function = function
        self.settings = settings

    def forward(self, x):
        return self.function(x, **self.settings)

    def backward(self, g, out, x):
        positions = self.function(np.arange(1, x.size + 1).reshape(x.shape), **self.settings)
        return reshape(add_at(g, positions, (x.size + 1,))[1:], x.shape)

    def __repr__(self) -> str:
        settings = [f"{name}={value!r}" for name, value in self.settings.items()]
        return f"{self.name}({', '.join(settings)})"


@implements(np.flip)
def flip(m: Any, axis: int | tuple[int, ...] | None = None) -> Any:
    """`m` in reverse order along the axes, by default all of them.

    >>> flip([1, 2, 3])
    array([3, 2, 1])
    """
    return Rearrangement(np.flip, axis=axis)(m)


@implements(np.fliplr)
def fliplr(m: Any) -> Any:
    """`m` in reverse order along the second axis.

    >>> fliplr([[1, 2], [3, 4]])
    array([[2, 1],
           [4, 3]])
    """
    return Rearrangement(np.fliplr)(m)


@implements(np.flipud)
def flipud(m: Any) -> Any:
    """`m` in reverse order along the first axis.

    >>> flipud([[1, 2], [3, 4]])
    array([[3, 4],
           [1, 2]])
    """
    return Rearrangement(np.flipud)(m)


@implements(np.roll)
def roll(a: Any, shift: Any, axis: Any = None) -> Any:
    """`a` shifted along the axes; elements beyond the end come in at the start.

    >>> roll([1, 2, 3], 1)
    array([3, 1, 2])
    """
    return Rearrangement(np.roll, shift=shift, axis=axis)(a)


@implements(np.rot90)
def rot90(m: Any, k: int = 1, axes: tuple[int, int] = (0, 1)) -> Any:
    """`m` rotated by k times 90 degrees, from the first of two axes towards the second.

    >>> rot90([[1, 2], [3, 4]])
    array([[2, 4],
           [1, 3]])
    """
    return Rearrangement(np.rot90, k=k, axes=axes)(m)


@implements(np.repeat)
def repeat(a: Any, repeats: Any, axis: int | None = None) -> Any:
    """Each element, or slice along an axis, repeated in place.

    >>> repeat([1, 2], 2)
    array([1, 1, 2, 2])
    """
    return Rearrangement(np.repeat, repeats=unwrap(repeats), axis=axis)(a)


@implements(np.tile)
def tile(A: Any, reps: Any) -> Any:
    """The whole array repeated along each axis.

    >>> tile([1, 2], 2)
    array([1, 2, 1, 2])
    """
    return Rearrangement(np.tile, reps=unwrap(reps))(A)


@implements(np.resize)
def resize(a: Any, new_shape: Any) -> Any:
    """The elements, from the first again after the last, in a shape that may be larger or smaller.

    >>> resize([1, 2, 3], (2, 2))
    array([[1, 2],
           [3, 1]])
    """
    return Rearrangement(np.resize, new_shape=unwrap(new_shape))(a)


@implements(np.lib.stride_tricks.sliding_window_view)
def sliding_window_view(x: Any, window_shape: Any, axis: Any = None) -> Any:
    """All windows of a shape along axes, by default all; they lie along new axes at the end.

    >>> sliding_window_view(np.array([1, 2, 3, 4]), 3)
    array([[1, 2, 3],
           [2, 3, 4]])
    """
    function = np.lib.stride_tricks.sliding_window_view
    return Rearrangement(function, window_shape=window_shape, axis=axis)(x)


@implements(np.pad)
def pad(
    array: Any,
    pad_width: Any,
    mode: Literal["constant", "edge", "reflect", "symmetric", "wrap"] = "constant",
    *,
    constant_values: Any = 0,
    reflect_type: Literal["even"] = "even",
) -> Any:
    """`array` with a margin of so many elements before and after each axis; see numpy.pad.

    The margin holds `constant_values`, or copies of elements, which receive the gradients of all
    their copies.

    >>> pad([1, 2, 3], 2, mode="reflect")
    array([3, 2, 1, 2, 3, 2, 1])

    Raises ValueError for other modes, and for `constant_values` with a mode that has none.
    """
    modes = ("constant", "edge", "reflect", "symmetric", "wrap")
    if mode not in modes or reflect_type != "even":
        raise ValueError(
            f"pad has derivatives for the modes {', '.join(modes)} with even reflections, not "
            f"for mode={mode!r}, reflect_type={reflect_type!r}"
        )
    padded = Rearrangement(np.pad, pad_width=pad_width, mode=mode)(array)
    if not np.any(unwrap(constant_values)):
        return padded
    if mode != "constant" or isinstance(constant_values, Tensor):
        raise ValueError("constant_values are numbers, without a gradient, for mode='constant'")
    blank = np.zeros_like(unwrap(array), subok=False)
    return padded + np.pad(blank, pad_width, constant_values=constant_values)


@implements(np.delete)
def delete(arr: Any, obj: Any, axis: int | None = None) -> Any:
    """`arr` without the elements, or slices along an axis, that `obj` says: integers, slice, mask.

    >>> delete([1, 2, 3, 4], [0, -1])
    array([2, 3])
    """
    return Rearrangement(np.delete, obj=unwrap(obj), axis=axis)(arr)


@implements(np.insert)
def insert(arr: Any, obj: Any, values: Any, axis: int | None = None) -> Any:
    """`arr` with `values`, in its dtype, before the elements or slices that `obj` says.

    >>> insert([1, 2, 3], [1, 3], [10, 20])
    array([ 1, 10,  2,  3, 20])
    """
    arr = as_array(arr)
    values = astype(as_array(values), arr.dtype)
    # Numbers in place of the elements of both show where each one goes.
    numbers = np.arange(arr.size + values.size)
    old, new = numbers[: arr.size].reshape(arr.shape), numbers[arr.size :].reshape(values.shape)
    return getitem(concatenate((arr, values), None), np.insert(old, unwrap(obj), new, axis))


# ---------------------------------------------------------------------------- matrices


@implements(np.diag)
def diag(v: Any, k: int = 0) -> Any:
    """The k-th diagonal of a matrix, or the matrix that has a vector for its k-th diagonal.

    >>> diag([[1, 2], [3, 4]])
    array([1, 4])
    """
    return Rearrangement(np.diag, k=k)(v)


@implements(np.diagflat)
def diagflat(v: Any, k: int = 0) -> Any:
    """The matrix that has all elements of `v`, flattened, for its k-th diagonal.

    >>> diagflat([[1], [2]])
    array([[1, 0],
           [0, 2]])
    """
    return Rearrangement(np.diagflat, k=k)(v)


@implements(np.diagonal)
def diagonal(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    """The diagonal of two axes, as the last axis of the result.

    >>> diagonal([[1, 2], [3, 4]])
    array([1, 4])
    """
    return Rearrangement(np.diagonal, offset=offset, axis1=axis1, axis2=axis2)(a)


@implements(np.trace)
def trace(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    """The sum of the diagonal of two axes.

    >>> trace([[1, 2], [3, 4]])
    np.int64(5)
    """
    return sum(diagonal(a, offset, axis1, axis2), axis=-1)


# Those of np.linalg are of the last two axes.
implements(np.linalg.diagonal)(lambda x, /, *, offset=0: diagonal(x, offset, -2, -1))
implements(np.linalg.trace)(lambda x, /, *, offset=0: trace(x, offset, -2, -1))


@implements(np.tril)
def tril(m: Any, k: int = 0) -> Any:
    """The lower triangle of the last two axes, up to the k-th diagonal; 0 elsewhere.

    >>> tril([[1, 2], [3, 4]])
    array([[1, 0],
           [3, 4]])
    """
    return Rearrangement(np.tril, k=k)(m)


@implements(np.triu)
def triu(m: Any, k: int = 0) -> Any:
    """The upper triangle of the last two axes, from the k-th diagonal on; 0 elsewhere.

    >>> triu([[1, 2], [3, 4]])
    array([[1, 2],
           [0, 4]])
    """
    return Rearrangement(np.triu, k=k)(m)
