"""Ops that take elements of an array by index, and those that put elements there.

`Index` and `AddAt` are each other's adjoint: what one reads, the other adds back, once for each
time that it was read. Sorting, choosing along an axis and looking up rows are indices too.

Like NumPy's functions of the same names, they raise an IndexError for what is out of bounds.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index

from microgradx.arrays.dispatch import implements
from microgradx.arrays.types import Array, as_array, unwrap
from microgradx.common.messages import describe
from microgradx.engine import Op, Tensor
from microgradx.ops.elementwise import stop_gradient, where
from microgradx.ops.shapes import broadcast_to, ravel

__all__ = [
    "getitem",
    "take",
    "take_along_axis",
    "compress",
    "diff",
    "sort",
    "partition",
    "one_hot",
    "embedding",
]


class Index(Op):
    """Elements of x at an index; arrays in the index are inputs, the rest of it is a setting."""

    name = "getitem"
    formula = "x[index]"

    def __init__(self, index: tuple[Any, ...]) -> None:
        self.index = index

    def forward(self, x, *arrays):
        return x[_filled_in(self.index, arrays)]

    def backward(self, g, out, x, *arrays):
        gradient = AddAt(self.index, x.shape)(g, *arrays)
        return gradient, *(None for _ in arrays)


class AddAt(Op):
    """The adjoint of `Index`: zeros to which x is added at an index, once for each mention."""

    name = "add_at"
    formula = "0[index] += x"

    def __init__(self, index: tuple[Any, ...], shape: tuple[int, ...]) -> None:
        self.index = index
        self.shape = shape

    def forward(self, x, *arrays):
        out = np.zeros_like(x, shape=self.shape)
        index = _filled_in(self.index, arrays)
        if any(array.dtype.kind != "b" for array in arrays):
            np.add.at(out, index, x)
        else:
            out[index] = x  # slices, integers and masks reach no place twice
        return out

    def backward(self, g, out, x, *arrays):
        return Index(self.index)(g, *arrays), *(None for _ in arrays)


class SetAt(Op):
    """x, but y at an index. Where that mentions a place twice, the later one stays."""

    name = "set_at"
    formula = "x[index] = y"

    def __init__(self, index: tuple[Any, ...]) -> None:
        self.index = index

    def forward(self, x, y, *arrays):
        out = x.copy()
        out[_filled_in(self.index, arrays)] = y
        return out

    def backward(self, g, out, x, y, *arrays):
        index = _filled_in(self.index, [unwrap(array) for array in arrays])
        # What stands at each place in the end: 0 for x, or which element of y.
        source = np.zeros(x.shape, int)
        stays = np.arange(1, y.size + 1).reshape(y.shape)
        source[index] = stays
        of_y = np.where(source[index] == stays, g[index], 0)
        return np.where(source == 0, g, 0), of_y, *(None for _ in arrays)


class _Place:
    """Holds, in an index's template, the place of an array."""

    def __repr__(self) -> str:
        return "array"


_ARRAY = _Place()


def _filled_in(template: tuple[Any, ...], arrays: Sequence[Any]) -> tuple[Any, ...]:
    remaining = iter(arrays)
    return tuple(next(remaining) if part is _ARRAY else part for part in template)


def _taken_apart(index) -> tuple[tuple[Any, ...], list[Array]]:
    """An index as a template, and the arrays that fill it in."""
    parts = index if isinstance(index, tuple) else (index,)
    is_array = [isinstance(part, list) or hasattr(part, "__array_function__") for part in parts]
    template = tuple(_ARRAY if yes else part for part, yes in zip(parts, is_array, strict=True))
    arrays = [
        # An empty list is an array of floats to NumPy, but as an index it means no elements.
        np.asarray(unwrap(part), None if part else int) if isinstance(part, list) else unwrap(part)
        for part, yes in zip(parts, is_array, strict=True)
        if yes
    ]
    return template, arrays


@implements("getitem")
def getitem(x: Any, index: Any) -> Any:
    """`x[index]`: integers, slices, None, `...`, lists or arrays of integers, boolean masks.

    An element that is taken several times receives the sum of its gradients.

    >>> getitem(np.array([10, 20, 30]), [0, 0, 2])
    array([10, 10, 30])
    """
    template, arrays = _taken_apart(index)
    return Index(template)(x, *arrays)


def add_at(x, positions: Array, shape: tuple[int, ...]):
    """Zeros of a shape, to which the elements of x are added at positions along the first axis."""
    return AddAt((_ARRAY,), shape)(x, positions)


# ---------------------------------------------------------------------------- functional updates


@implements("at")
class At:
    """What `t.at` is: from `t.at[index]`, `set` and `add` make the array that an assignment would.

    >>> import microgradx as mg
    >>> t = mg.Tensor([1.0, 2.0, 3.0])
    >>> t.at[0].set(9.0)
    Tensor([9., 2., 3.])
    >>> t.at[[0, 0]].add(1.0)
    Tensor([3., 2., 3.])
    """

    def __init__(self, x: Tensor) -> None:
        self._x = x

    def __getitem__(self, index: Any) -> AtIndex:
        return AtIndex(self._x, index)


class AtIndex:
    """A Tensor and an index into it, waiting to be told what shall stand there."""

    def __init__(self, x: Tensor, index: Any) -> None:
        self._x = x
        self._index = index

    def get(self) -> Any:
        """`x[index]`, as it is."""
        return getitem(self._x, self._index)

    def set(self, value: Any) -> Any:
        """x with `value`, which broadcasts, at the index: what `x[index] = value` would make it.

        What was there before receives no gradient. Raises TypeError where the dtype of x cannot
        hold the value, ValueError where the shape does not fit.
        """
        template, arrays = _taken_apart(self._index)
        return SetAt(template)(self._x, self._fitted(value), *arrays)

    def add(self, value: Any) -> Any:
        """x with `value` added at the index, once for each mention, as numpy.add.at does."""
        template, arrays = _taken_apart(self._index)
        return self._x + AddAt(template, self._x.shape)(self._fitted(value), *arrays)

    def _fitted(self, value: Any) -> Any:
        """The value in the dtype of x, and in the shape that the index selects."""
        value = as_array(value)
        if not np.can_cast(value.dtype, self._x.dtype, "same_kind"):
            raise TypeError(
                f"{value.dtype} cannot be put into {describe(self._x)} without loss; convert "
                f"that first: t.astype({value.dtype})"
            )
        if value.dtype != self._x.dtype:
            value = value.astype(self._x.dtype)
        shape = np.shape(unwrap(self._x)[unwrap(self._index)])
        return value if value.shape == shape else broadcast_to(value, shape)


# ---------------------------------------------------------------------------- along an axis


@implements(np.take)
def take(a: Any, indices: Any, axis: int | None = None) -> Any:
    """The elements, or along an axis the slices, that the indices name, in their shape.

    >>> take([[1, 2], [3, 4]], [1, 0, 1], axis=1)
    array([[2, 1, 2],
           [4, 3, 4]])
    """
    if axis is None:
        a, axis = ravel(a), 0
    a = as_array(a)
    before = (slice(None),) * normalize_axis_index(axis, a.ndim)
    indices = np.asarray(unwrap(indices))
    if indices.dtype == bool or indices.size == 0:  # numbers here, and not a mask
        indices = indices.astype(int)
    return getitem(a, (*before, indices))


@implements(np.take_along_axis)
def take_along_axis(arr: Any, indices: Any, axis: int | None = -1) -> Any:
    """Along an axis, at each place of the others, the elements that the indices name there.

    What argsort or argmax (with keepdims) gave is such indices.

    >>> take_along_axis([[10, 30, 20]], np.array([[1, 2]]), axis=1)
    array([[30, 20]])
    """
    if axis is None:
        arr, axis = ravel(arr), 0
    arr, indices = as_array(arr), as_array(unwrap(indices))
    if indices.ndim != arr.ndim:
        raise ValueError(
            f"indices of shape {indices.shape} for an array of shape {arr.shape}; they need as "
            "many axes, of the same lengths or 1 but for the axis that is taken along"
        )
    index = list(np.indices(arr.shape, sparse=True))
    index[normalize_axis_index(axis, arr.ndim)] = indices
    return getitem(arr, tuple(index))


@implements(np.compress)
def compress(condition: Any, a: Any, axis: int | None = None) -> Any:
    """The elements, or along an axis the slices, whose condition is true.

    >>> compress([True, False], [[1, 2], [3, 4]], axis=1)
    array([[1],
           [3]])
    """
    return take(a, np.flatnonzero(unwrap(condition)), axis)


@implements(np.diff)
def diff(a: Any, n: int = 1, axis: int = -1) -> Any:
    """The differences of neighbours along an axis, `n` times over.

    >>> diff([1, 4, 9, 16])
    array([3, 5, 7])
    """
    a = as_array(a)
    before = (slice(None),) * normalize_axis_index(axis, a.ndim)
    behind, ahead = (*before, slice(1, None)), (*before, slice(None, -1))
    if n < 0:
        raise ValueError(f"n, how often differences are taken, must be 0 or more, not {n}")
    for _ in range(n):
        a = a[behind] - a[ahead]
    return a


@implements(np.sort)
def sort(a: Any, axis: int | None = -1, kind: Any = None, *, stable: bool | None = None) -> Any:
    """The elements in ascending order along an axis; each gradient goes where its element was.

    >>> sort([3, 1, 2])
    array([1, 2, 3])
    """
    return _ordered(np.argsort, a, axis, kind=kind, stable=stable)


@implements(np.partition)
def partition(a: Any, kth: Any, axis: int | None = -1, kind: Any = "introselect") -> Any:
    """The element that sorting would put at `kth` there, smaller ones before it, others behind.

    >>> partition([3, 1, 2], 0)[0]
    np.int64(1)
    """
    return _ordered(np.argpartition, a, axis, kth=kth, kind=kind)


def _ordered(order, a, axis: int | None, **settings):
    if axis is None:
        a, axis = ravel(a), -1
    return take_along_axis(a, order(unwrap(a), axis=axis, **settings), axis)


# ---------------------------------------------------------------------------- classes and rows


@implements("one_hot")
def one_hot(labels: Any, num_classes: int | None = None, *, dtype: Any = float) -> Array:
    """Integer labels of shape (…) as rows of shape (…, classes): 1 at the label, 0 elsewhere.

    `num_classes` is by default one more than the largest label. Gives a plain array. Raises
    TypeError for labels that are no integers, IndexError for one that is no class.

    >>> one_hot([2, 0])
    array([[0., 0., 1.],
           [1., 0., 0.]])
    """
    labels = np.asarray(unwrap(labels))
    if labels.dtype.kind not in "iu":
        raise TypeError(f"labels must be integers, and these are {labels.dtype}")
    if num_classes is None:
        num_classes = int(np.max(labels, initial=-1)) + 1
    classes = np.arange(operator.index(num_classes))
    if np.any((labels < 0) | (labels >= num_classes)):
        raise IndexError(
            f"labels from {labels.min()} to {labels.max()} are not all among the {num_classes} "
            f"classes, 0 to {num_classes - 1}"
        )
    return (labels[..., None] == classes).astype(dtype)


@implements("embedding")
def embedding(input: Any, weight: Any, padding_idx: int | None = None) -> Any:
    """The rows of `weight`, of shape (rows, features), that integers of shape (…) name.

    The result has shape (…, features). A row named several times receives the sum of its
    gradients; the row `padding_idx` receives none. Raises TypeError for indices that are no
    integers, IndexError for one that is no row.

    >>> embedding([1, 1], np.array([[1.0, 2.0], [3.0, 4.0]]))
    array([[3., 4.],
           [3., 4.]])
    """
    indices = np.asarray(unwrap(input))
    if indices.dtype.kind not in "iu":
        raise TypeError(f"an embedding is looked up by integers, and these are {indices.dtype}")
    rows = len(weight)
    if np.any((indices < 0) | (indices >= rows)):
        raise IndexError(
            f"indices from {indices.min()} to {indices.max()} are not all among the {rows} rows "
            f"of the embedding, 0 to {rows - 1}"
        )
    found = take(weight, indices, axis=0)
    if padding_idx is None:
        return found
    is_padding = (indices == padding_idx % rows)[..., None]
    return where(is_padding, stop_gradient(found), found)
