"""Ops that take elements of an array by index, and those that put elements there.

`Index` and `AddAt` are each other's adjoint: what one reads, the other adds back, once for each
time that it was read. Sorting, selecting along an axis and embeddings are made of them.

Like NumPy's functions of the same names, they raise IndexError for an index out of bounds.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index

from microgradx.arrays.bounds import check_bounds
from microgradx.arrays.dispatch import implements
from microgradx.arrays.summation import widen
from microgradx.arrays.types import (
    Array,
    UnknownValues,
    as_array,
    as_floats,
    is_known_true,
    match_kind,
    present_values,
    unwrap,
)
from microgradx.common.messages import describe
from microgradx.engine import Op, Tensor
from microgradx.ops.elementwise import stop_gradient, where
from microgradx.ops.shapes import (
    broadcast_arrays,
    broadcast_to,
    concatenate,
    ravel,
    stack,
    zeros_like,
)

__all__ = [
    "getitem",
    "take",
    "take_along_axis",
    "compress",
    "extract",
    "choose",
    "piecewise",
    "bincount",
    "diff",
    "ediff1d",
    "sort",
    "partition",
    "one_hot",
    "embedding",
]


class Index(Op):
    """Elements of x at an index. Arrays in the index are inputs, the rest of it is a setting."""

    name = "getitem"
    formula = "x[index]"

    def __init__(self, index: tuple[Any, ...]) -> None:
        self.index = index

    def forward(self, x, *arrays):
        return match_kind(x, arrays)[_fill_index(self.index, arrays)]

    def backward(self, g, out, x, *arrays):
        gradient = AddAt(self.index, x.shape)(g, *arrays)
        return gradient, *(None for _ in arrays)


class AddAt(Op):
    """The adjoint of `Index`: zeros to which x is added at an index. Repeated indices add up."""

    name = "add_at"
    formula = "0[index] += x"

    def __init__(self, index: tuple[Any, ...], shape: tuple[int, ...]) -> None:
        self.index = index
        self.shape = shape

    def forward(self, x, *arrays):
        x, index = match_kind(x, arrays), _fill_index(self.index, arrays)
        if any(array.dtype.kind != "b" for array in arrays):
            # As often as there are entries in the index, an element may be repeated.
            addends = widen(x, max(array.size for array in arrays))
            out = np.zeros_like(addends, shape=self.shape)
            np.add.at(out, index, addends)
            return out if addends is x else out.astype(x.dtype)
        out = np.zeros_like(x, shape=self.shape)
        out[index] = x  # slices, integers and masks repeat no element
        return out

    def backward(self, g, out, x, *arrays):
        return Index(self.index)(g, *arrays), *(None for _ in arrays)


class SetAt(Op):
    """x with y at an index. Where the index repeats an element, the last value stays."""

    name = "set_at"
    formula = "x[index] = y"

    def __init__(self, index: tuple[Any, ...]) -> None:
        self.index = index

    def forward(self, x, y, *arrays):
        out = match_kind(x, (y, *arrays)).copy()
        out[_fill_index(self.index, arrays)] = y
        return out

    def backward(self, g, out, x, y, *arrays):
        arrays = unwrap(arrays)
        index = _fill_index(self.index, arrays)
        # For each element of the result, 0 if it is from x, or else the number of y's element.
        source = match_kind(np.zeros(x.shape, int), arrays)
        numbers = np.arange(1, y.size + 1).reshape(y.shape)
        source[index] = numbers
        by_y = np.where(source[index] == numbers, g[index], 0)
        return np.where(source == 0, g, 0), by_y, *(None for _ in arrays)


class _ArrayPlaceholder:
    """Stands for an array in the template of an index."""

    def __repr__(self) -> str:
        return "array"


_ARRAY = _ArrayPlaceholder()


def _fill_index(template: tuple[Any, ...], arrays: Sequence[Any]) -> tuple[Any, ...]:
    remaining = iter(arrays)
    return tuple(next(remaining) if part is _ARRAY else part for part in template)


def _split_index(index) -> tuple[tuple[Any, ...], list[Array]]:
    """An index as a template, and the arrays that fill it."""
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

    An element that is repeated receives the sum of its gradients.

    >>> getitem(np.array([10, 20, 30]), [0, 0, 2])
    array([10, 10, 30])
    """
    template, arrays = _split_index(index)
    return Index(template)(x, *arrays)


def add_at(x, positions: Array, shape: tuple[int, ...]):
    """Zeros to which the elements of x are added at positions along the first axis."""
    return AddAt((_ARRAY,), shape)(x, positions)


# ---------------------------------------------------------------------------- functional updates


@implements("at")
class At:
    """`t.at[index].set(v)` and `t.at[index].add(v)` return what `t[index] = v` would make of t.

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
    """A Tensor and an index into it, with the updates of the elements there."""

    def __init__(self, x: Tensor, index: Any) -> None:
        self._x = x
        self._index = index

    def get(self) -> Any:
        """`x[index]`."""
        return getitem(self._x, self._index)

    def set(self, value: Any) -> Any:
        """x with `value`, which broadcasts, at the index.

        Elements that are replaced receive no gradient. Raises TypeError where the dtype of x cannot
        hold the value, ValueError where its shape does not broadcast.
        """
        template, arrays = _split_index(self._index)
        return SetAt(template)(self._x, self._convert(value), *arrays)

    def add(self, value: Any) -> Any:
        """x with `value` added at the index. Repeated indices add up, as in numpy.add.at."""
        template, arrays = _split_index(self._index)
        return self._x + AddAt(template, self._x.shape)(self._convert(value), *arrays)

    def _convert(self, value: Any) -> Any:
        """The value in the dtype of x and the shape of x[index]."""
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
    """The elements, or the slices along an axis, at indices of any shape.

    >>> take([[1, 2], [3, 4]], [1, 0, 1], axis=1)
    array([[2, 1, 2],
           [4, 3, 4]])
    """
    if axis is None:
        a, axis = ravel(a), 0
    a = as_array(a)
    before = (slice(None),) * normalize_axis_index(axis, a.ndim)
    indices = as_array(unwrap(indices))
    if indices.dtype == bool or indices.size == 0:  # here booleans are not a mask
        indices = indices.astype(int)
    return getitem(a, (*before, indices))


@implements(np.take_along_axis)
def take_along_axis(arr: Any, indices: Any, axis: int | None = -1) -> Any:
    """The elements along an axis at indices that differ for each position along the other axes.

    argsort, and argmax with keepdims, return such indices.

    >>> take_along_axis([[10, 30, 20]], np.array([[1, 2]]), axis=1)
    array([[30, 20]])
    """
    if axis is None:
        arr, axis = ravel(arr), 0
    arr, indices = as_array(arr), as_array(unwrap(indices))
    if indices.ndim != arr.ndim:
        raise ValueError(
            f"indices of shape {indices.shape} for an array of shape {arr.shape}; they need as "
            "many axes, of the same lengths or 1 except along the axis that is indexed"
        )
    index = list(np.indices(arr.shape, sparse=True))
    index[normalize_axis_index(axis, arr.ndim)] = indices
    return getitem(arr, tuple(index))


@implements(np.compress)
def compress(condition: Any, a: Any, axis: int | None = None) -> Any:
    """The elements, or the slices along an axis, whose condition is true.

    >>> compress([True, False], [[1, 2], [3, 4]], axis=1)
    array([[1],
           [3]])
    """
    return take(a, np.flatnonzero(unwrap(condition)), axis)


@implements(np.extract)
def extract(condition: Any, arr: Any) -> Any:
    """The elements whose condition is true, along one axis.

    >>> extract([[True, False], [False, True]], [[1, 2], [3, 4]])
    array([1, 4])
    """
    return compress(np.ravel(unwrap(condition)), ravel(arr))


@implements(np.choose)
def choose(a: Any, choices: Sequence[Any], *, mode: str = "raise") -> Any:
    """At each index, the element of the choice whose number is in `a`; all broadcast.

    `mode` is for numbers without a choice: "raise" an IndexError, "wrap" around, or "clip".

    >>> choose([1, 0], [[1, 2], [10, 20]])
    array([10,  2])
    """
    numbers, *arrays = broadcast_arrays(as_array(unwrap(a)), *choices)
    if numbers.dtype.kind not in "iub":
        raise TypeError(f"choices are numbered by integers, not by {numbers.dtype}")
    count = len(arrays)
    if mode == "clip":
        numbers = np.clip(numbers, 0, count - 1)
    elif mode == "wrap":
        numbers = numbers % count
    elif is_known_true(np.any((numbers < 0) | (numbers >= count))):
        numbers = present_values(numbers)
        raise IndexError(
            f"numbers from {np.min(numbers)} to {np.max(numbers)} are not all among the {count} "
            f'choices, 0 to {count - 1}; mode="clip" or "wrap" makes them so'
        )
    return take_along_axis(stack(arrays), np.expand_dims(numbers.astype(int), 0), 0)[0]


@implements(np.piecewise)
def piecewise(
    x: Any, condlist: Sequence[Any], funclist: Sequence[Any], *args: Any, **kw: Any
) -> Any:
    """Where a condition is true, what its function makes of the elements of `x` there.

    A number in place of a function is a constant. Of several conditions that are true the last
    counts; one function more than conditions is for where none is true, and else there is 0. Each
    function sees only its own elements, so that no other one can make a gradient NaN. The result
    has the dtype of `x`. Raises ValueError for another number of functions.

    >>> piecewise(np.array([-2.0, 3.0]), [np.array([True, False])], [0, np.sqrt])
    array([0.        , 1.73205081])
    """
    x = as_array(x)
    conditions = [np.broadcast_to(unwrap(c), x.shape) for c in _as_conditions(condlist, x)]
    if len(funclist) == len(conditions) + 1:
        conditions.append(~np.any(conditions, axis=0))
    if len(funclist) != len(conditions):
        raise ValueError(
            f"{len(conditions)} conditions need as many functions, or one more, not {len(funclist)}"
        )
    out = zeros_like(x)
    for condition, function in zip(conditions, funclist, strict=True):
        if np.any(condition):
            value = function(x[condition], *args, **kw) if callable(function) else function
            out = At(out)[condition].set(value)
    return out


def _as_conditions(condlist: Any, x: Any) -> Sequence[Any]:
    """The conditions as a list, also if it is but one that is not in a list."""
    is_one = np.isscalar(condlist) or (np.ndim(unwrap(condlist[0])) == 0 and x.ndim > 0)
    return [condlist] if is_one else condlist


@implements(np.bincount)
def bincount(x: Any, /, weights: Any = None, minlength: int = 0) -> Any:
    """How often each integer from 0 occurs, or the sum of its weights: the sums of groups.

    Weights receive the gradient of their sum. Without them the counts are a plain array.

    >>> bincount([0, 2, 2], weights=[1.0, 2.0, 3.0])
    array([1., 0., 5.])

    Raises ValueError for negative integers and for another number of weights.
    """
    x = unwrap(x)
    if weights is None:
        return np.bincount(x, minlength=minlength)
    x, weights = np.asarray(x), as_floats(weights)
    count = len(np.bincount(x, minlength=minlength))
    if weights.shape != x.shape:
        raise ValueError(f"weights of shape {weights.shape} for integers of shape {x.shape}")
    return add_at(weights, x, (count,))


@implements(np.diff)
def diff(a: Any, n: int = 1, axis: int = -1, prepend: Any = None, append: Any = None) -> Any:
    """The differences of neighbouring elements along an axis, taken `n` times.

    Elements to `prepend` and `append`, a number or an array, are joined to it first.

    >>> diff([1, 4, 9, 16]), diff([1, 4], prepend=0)
    (array([3, 5, 7]), array([1, 3]))
    """
    a = as_array(a)
    axis = normalize_axis_index(axis, a.ndim)
    if n < 0:
        raise ValueError(f"n, how often differences are taken, must be 0 or more, not {n}")
    if n == 0:
        return a
    row = (*a.shape[:axis], 1, *a.shape[axis + 1 :])
    ends = [x if x is None else as_array(x) for x in (prepend, append)]
    ends = [x if x is None or x.ndim else broadcast_to(x, row) for x in ends]
    parts = [part for part in (ends[0], a, ends[1]) if part is not None]
    a = concatenate(parts, axis) if len(parts) > 1 else a
    before = (slice(None),) * axis
    behind, ahead = (*before, slice(1, None)), (*before, slice(None, -1))
    for _ in range(n):
        a = a[behind] - a[ahead]
    return a


@implements(np.ediff1d)
def ediff1d(ary: Any, to_end: Any = None, to_begin: Any = None) -> Any:
    """The differences of neighbouring elements of the flattened array, between two other arrays.

    >>> ediff1d([[1, 2], [4, 7]], to_begin=0)
    array([0, 1, 2, 3])
    """
    differences = diff(ravel(ary))
    ends = [x if x is None else ravel(x) for x in (to_begin, to_end)]
    parts = [part for part in (ends[0], differences, ends[1]) if part is not None]
    return concatenate(parts) if len(parts) > 1 else differences


@implements(np.sort)
def sort(a: Any, axis: int | None = -1, kind: Any = None, *, stable: bool | None = None) -> Any:
    """The elements in ascending order along an axis. Each receives its own gradient.

    >>> sort([3, 1, 2])
    array([1, 2, 3])
    """
    return _reorder(np.argsort, a, axis, kind=kind, stable=stable)


@implements(np.partition)
def partition(a: Any, kth: Any, axis: int | None = -1, kind: Any = "introselect") -> Any:
    """The elements with the one at `kth` as in sorted order, smaller ones before, others behind.

    >>> partition([3, 1, 2], 0)[0]
    np.int64(1)
    """
    return _reorder(np.argpartition, a, axis, kth=kth, kind=kind)


def _reorder(order, a, axis: int | None, **settings):
    if axis is None:
        a, axis = ravel(a), -1
    return take_along_axis(a, order(unwrap(a), axis=axis, **settings), axis)


# ---------------------------------------------------------------------------- classes and rows


@implements("one_hot")
def one_hot(labels: Any, num_classes: int | None = None, *, dtype: Any = float) -> Array:
    """Integer labels of shape (…) as rows of shape (…, classes): 1 at the label, 0 elsewhere.

    `num_classes` is by default one more than the largest label. Returns a plain array. Raises
    TypeError for labels that are not integers, IndexError for a label out of range.

    >>> one_hot([2, 0])
    array([[0., 0., 1.],
           [1., 0., 0.]])
    """
    labels = as_array(unwrap(labels))
    if labels.dtype.kind not in "iu":
        raise TypeError(f"labels must be integers, not {labels.dtype}")
    if num_classes is None:
        try:
            num_classes = int(np.max(labels, initial=-1)) + 1
        except UnknownValues as error:
            raise type(error)(
                "one_hot makes as many columns as there are labels in this batch, and a compiled "
                "program has fixed shapes; pass num_classes"
            ) from None
    num_classes = operator.index(num_classes)
    check_bounds(labels, num_classes, "class", "classes")
    return (labels[..., None] == np.arange(num_classes)).astype(dtype)


@implements("embedding")
def embedding(input: Any, weight: Any, padding_idx: int | None = None) -> Any:
    """The rows of `weight` (rows, features) at integers of shape (…), as (…, features).

    A row that is repeated receives the sum of its gradients; the row `padding_idx` receives none.
    Raises TypeError for indices that are not integers, IndexError for an index out of range, and
    ValueError for a `padding_idx` out of range.

    >>> embedding([1, 1], np.array([[1.0, 2.0], [3.0, 4.0]]))
    array([[3., 4.],
           [3., 4.]])
    """
    indices = as_array(unwrap(input))
    if indices.dtype.kind not in "iu":
        raise TypeError(
            f"an embedding is looked up by integers, not by {indices.dtype}; write x.astype(int)"
        )
    rows = len(weight)
    check_bounds(indices, rows, "index", "rows of the embedding")
    found = take(weight, indices, axis=0)
    if padding_idx is None:
        return found
    is_padding = (indices == check_padding(padding_idx, rows))[..., None]
    return where(is_padding, stop_gradient(found), found)


def check_padding(padding_idx: int, rows: int) -> int:
    """The row for padding, counted from the start; raises ValueError if there is none."""
    if not -rows <= padding_idx < rows:
        raise ValueError(
            f"padding_idx={padding_idx} is not one of the {rows} rows, 0 to {rows - 1}"
        )
    return padding_idx % rows
