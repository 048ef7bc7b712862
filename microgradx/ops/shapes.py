"""Reshaping, reordering of axes, joining and splitting: gradients are moved back the same way.

Like NumPy's functions of the same names, they raise ValueError for shapes and axes that do not fit.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index, normalize_axis_tuple

from microgradx.arrays.dispatch import implements
from microgradx.arrays.types import Axis, as_array, unwrap
from microgradx.engine import Op, Tensor, as_tensor

__all__ = [
    "reshape",
    "ravel",
    "flatten",
    "transpose",
    "permute_dims",
    "moveaxis",
    "swapaxes",
    "rollaxis",
    "expand_dims",
    "squeeze",
    "broadcast_to",
    "broadcast_arrays",
    "atleast_1d",
    "atleast_2d",
    "atleast_3d",
    "concatenate",
    "concat",
    "stack",
    "vstack",
    "hstack",
    "dstack",
    "column_stack",
    "split",
    "array_split",
    "hsplit",
    "vsplit",
    "dsplit",
    "unstack",
    "append",
    "block",
    "meshgrid",
    "apply_along_axis",
    "apply_over_axes",
    "zeros_like",
    "ones_like",
    "full_like",
]


class Reshape(Op):
    formula = "x"

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape = shape

    def forward(self, x):
        return np.reshape(x, self.shape)

    def backward(self, g, out, x):
        return np.reshape(g, x.shape)


class Transpose(Op):
    formula = "xᵀ"

    def __init__(self, axes: tuple[int, ...] | None) -> None:
        self.axes = axes

    def forward(self, x):
        return np.transpose(x, self.axes)

    def backward(self, g, out, x):
        if self.axes is None:
            return np.transpose(g)
        order = [axis % g.ndim for axis in self.axes]
        return np.transpose(g, tuple(order.index(axis) for axis in range(g.ndim)))


class BroadcastTo(Op):
    name = "broadcast_to"
    formula = "x"

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape = shape

    def forward(self, x):
        return np.broadcast_to(x, self.shape)

    def backward(self, g, out, x):
        return g  # the sweep sums over what was broadcast


class Concatenate(Op):
    formula = "[x, y, …]"

    def __init__(self, axis: int | None) -> None:
        self.axis = axis

    def forward(self, *arrays):
        return np.concatenate(arrays, axis=self.axis)

    def backward(self, g, out, *arrays):
        gradients = []
        start = 0
        for x in arrays:
            if self.axis is None:
                stop = start + math.prod(x.shape)
                gradients.append(np.reshape(g[start:stop], x.shape))
            else:
                stop = start + x.shape[self.axis]
                part = (slice(None),) * (self.axis % g.ndim) + (slice(start, stop),)
                gradients.append(g[part])
            start = stop
        return tuple(gradients)


def _as_shape(shape: int | Sequence[int]) -> tuple[int, ...]:
    return tuple(shape) if isinstance(shape, Sequence) else (operator.index(shape),)


# ---------------------------------------------------------------------------- another shape


@implements(np.reshape)
def reshape(a: Any, shape: int | Sequence[int]) -> Any:
    """The same elements, in C order, in another shape; a length of -1 is inferred.

    >>> reshape([1, 2, 3, 4], (2, -1))
    array([[1, 2],
           [3, 4]])
    """
    return Reshape(_as_shape(shape))(a)


@implements(np.ravel, "flatten")
def ravel(a: Any) -> Any:
    """All elements along one axis, in C order. `flatten` is the same function.

    >>> ravel([[1, 2], [3, 4]])
    array([1, 2, 3, 4])
    """
    return reshape(a, -1)


flatten = ravel


@implements(np.transpose)
def transpose(a: Any, axes: Sequence[int] | None = None) -> Any:
    """The axes in another order, reversed if none is given.

    >>> transpose([[1, 2], [3, 4]])
    array([[1, 3],
           [2, 4]])
    """
    return Transpose(None if axes is None else tuple(axes))(a)


permute_dims = transpose


@implements(np.moveaxis)
def moveaxis(a: Any, source: int | Sequence[int], destination: int | Sequence[int]) -> Any:
    """The axes at `source` moved to `destination`; the others keep their order.

    >>> moveaxis(np.zeros((2, 3, 4)), 0, -1).shape
    (3, 4, 2)
    """
    ndim = np.ndim(unwrap(a))
    sources = normalize_axis_tuple(source, ndim, "source")
    destinations = normalize_axis_tuple(destination, ndim, "destination")
    if len(sources) != len(destinations):
        raise ValueError(
            f"moveaxis from {source} to {destination}: give one destination for each source"
        )
    order = [axis for axis in range(ndim) if axis not in sources]
    for place, axis in sorted(zip(destinations, sources, strict=True)):
        order.insert(place, axis)
    return transpose(a, order)


@implements(np.swapaxes)
def swapaxes(a: Any, axis1: int, axis2: int) -> Any:
    """`a` with two axes exchanged.

    >>> swapaxes([[1, 2], [3, 4]], 0, 1)
    array([[1, 3],
           [2, 4]])
    """
    axes = list(range(np.ndim(unwrap(a))))
    first, second = (normalize_axis_index(axis, len(axes)) for axis in (axis1, axis2))
    axes[first], axes[second] = second, first
    return transpose(a, axes)


@implements(np.rollaxis)
def rollaxis(a: Any, axis: int, start: int = 0) -> Any:
    """`a` with an axis rolled back to lie before the one at `start`; see `moveaxis`.

    >>> rollaxis(np.zeros((2, 3, 4)), 2).shape
    (4, 2, 3)
    """
    ndim = np.ndim(unwrap(a))
    axis = normalize_axis_index(axis, ndim)
    start = normalize_axis_index(start, ndim + 1) if start >= 0 else start + ndim
    return moveaxis(a, axis, start - 1 if axis < start else start)


@implements(np.expand_dims)
def expand_dims(a: Any, axis: int | Sequence[int]) -> Any:
    """`a` with a new axis of length 1 at each position `axis` of the result.

    >>> expand_dims([1, 2], 0)
    array([[1, 2]])
    """
    return reshape(a, np.expand_dims(np.broadcast_to(0, np.shape(unwrap(a))), axis).shape)


@implements(np.squeeze)
def squeeze(a: Any, axis: Axis = None) -> Any:
    """`a` without its axes of length 1, or without those that `axis` names.

    >>> squeeze([[1, 2]])
    array([1, 2])
    """
    return reshape(a, np.squeeze(np.broadcast_to(0, np.shape(unwrap(a))), axis).shape)


@implements(np.broadcast_to)
def broadcast_to(array: Any, shape: int | Sequence[int]) -> Any:
    """`array` broadcast to a shape, without copying.

    >>> broadcast_to([1, 2], (2, 2))
    array([[1, 2],
           [1, 2]])
    """
    return BroadcastTo(_as_shape(shape))(array)


@implements(np.broadcast_arrays)
def broadcast_arrays(*args: Any) -> tuple[Any, ...]:
    """Arrays broadcast to their common shape.

    >>> broadcast_arrays([1, 2], 3)
    (array([1, 2]), array([3, 3]))
    """
    arrays = [as_array(x) for x in args]
    shape = np.broadcast_shapes(*[x.shape for x in arrays])
    return tuple(broadcast_to(x, shape) for x in arrays)


@implements(np.atleast_1d)
def atleast_1d(*arys: Any) -> Any:
    """An array with at least one axis; a tuple for several arrays.

    >>> atleast_1d(3)
    array([3])
    """
    return _map_arrays(lambda x: reshape(x, 1) if x.ndim == 0 else x, arys)


@implements(np.atleast_2d)
def atleast_2d(*arys: Any) -> Any:
    """An array with at least two axes: a vector becomes a row; a tuple for several arrays.

    >>> atleast_2d([1, 2])
    array([[1, 2]])
    """
    return _map_arrays(lambda x: reshape(x, (1, -1)) if x.ndim < 2 else x, arys)


@implements(np.atleast_3d)
def atleast_3d(*arys: Any) -> Any:
    """An array with at least three axes: (n,) becomes (1, n, 1), and (m, n) becomes (m, n, 1).

    >>> atleast_3d([1, 2]).shape
    (1, 2, 1)
    """
    shapes: dict[int, Any] = {0: (1, 1, 1), 1: (1, -1, 1)}
    return _map_arrays(
        lambda x: x if x.ndim > 2 else reshape(x, shapes.get(x.ndim, (*x.shape, 1))), arys
    )


def _map_arrays(change: Callable[[Any], Any], arrays: tuple[Any, ...]):
    """For one array the result, for several a tuple of results, as in NumPy."""
    changed = tuple(change(as_array(x)) for x in arrays)
    return changed[0] if len(changed) == 1 else changed


# ---------------------------------------------------------------------------- joining


@implements(np.concatenate)
def concatenate(arrays: Sequence[Any], axis: int | None = 0) -> Any:
    """Arrays joined along an existing axis, or flattened first if `axis` is None.

    >>> concatenate([[1, 2], [3]])
    array([1, 2, 3])
    """
    return Concatenate(axis)(*arrays)


concat = concatenate


@implements(np.stack)
def stack(arrays: Sequence[Any], axis: int = 0) -> Any:
    """Arrays of one shape joined along a new axis.

    >>> stack([[1, 2], [3, 4]], axis=1)
    array([[1, 3],
           [2, 4]])
    """
    shapes = {np.shape(unwrap(x)) for x in arrays}
    if len(shapes) != 1:
        raise ValueError(f"stack needs arrays of one shape, not of {sorted(shapes)}")
    return concatenate([expand_dims(x, axis) for x in arrays], axis)


@implements(np.vstack)
def vstack(tup: Sequence[Any]) -> Any:
    """Arrays joined along the first axis, vectors as rows.

    >>> vstack([[1, 2], [3, 4]])
    array([[1, 2],
           [3, 4]])
    """
    return concatenate([atleast_2d(x) for x in tup])


@implements(np.hstack)
def hstack(tup: Sequence[Any]) -> Any:
    """Arrays joined along the second axis, vectors along the only one.

    >>> hstack([[1, 2], 3])
    array([1, 2, 3])
    """
    arrays = [atleast_1d(x) for x in tup]
    return concatenate(arrays, 0 if arrays and arrays[0].ndim == 1 else 1)


@implements(np.dstack)
def dstack(tup: Sequence[Any]) -> Any:
    """Arrays joined along the third axis.

    >>> dstack([[1, 2], [3, 4]]).shape
    (1, 2, 2)
    """
    return concatenate([atleast_3d(x) for x in tup], 2)


@implements(np.column_stack)
def column_stack(tup: Sequence[Any]) -> Any:
    """Arrays joined along the second axis, vectors as columns.

    >>> column_stack([[1, 2], [3, 4]])
    array([[1, 3],
           [2, 4]])
    """
    arrays = [as_array(x) for x in tup]
    return concatenate([reshape(x, (-1, 1)) if x.ndim < 2 else x for x in arrays], 1)


@implements(np.append)
def append(arr: Any, values: Any, axis: int | None = None) -> Any:
    """`values` behind `arr` along an axis, or both flattened first.

    >>> append([1, 2], 3)
    array([1, 2, 3])
    """
    arrays = [as_array(arr), as_array(values)]
    return concatenate([ravel(x) for x in arrays] if axis is None else arrays, axis or 0)


@implements(np.block)
def block(arrays: Any) -> Any:
    """Blocks joined: those in the innermost lists along the last axis, these along the one before.

    >>> block([[np.eye(2), np.zeros((2, 1))], [np.ones((1, 3))]])
    array([[1., 0., 0.],
           [0., 1., 0.],
           [1., 1., 1.]])

    Raises ValueError for lists of unequal depth, or empty ones.
    """
    depths = set(_list_depths(arrays))
    if len(depths) != 1:
        raise ValueError("block needs lists that are nested equally deep everywhere, and not empty")
    (depth,) = depths

    def join(part: Any, level: int) -> Any:
        if isinstance(part, list):
            blocks = [join(each, level - 1) for each in part]
            ndim = max(depth, *(each.ndim for each in blocks))
            blocks = [reshape(x, (1,) * (ndim - x.ndim) + x.shape) for x in blocks]
            return concatenate(blocks, -level)
        return as_array(part)

    return join(arrays, depth)


def _list_depths(arrays: Any) -> Iterator[int]:
    """How deep each array lies in nested lists; an empty list, and a tuple, is at no depth."""
    if isinstance(arrays, tuple) or (isinstance(arrays, list) and not arrays):
        yield -1
    elif isinstance(arrays, list):
        yield from (depth + 1 for part in arrays for depth in _list_depths(part))
    else:
        yield 0


@implements(np.meshgrid)
def meshgrid(*xi: Any, sparse: bool = False, indexing: str = "xy") -> tuple[Any, ...]:
    """The coordinates of the points of a grid, from the coordinates along each axis.

    >>> [x.tolist() for x in meshgrid([1, 2], [3, 4, 5])]
    [[[1, 2], [1, 2], [1, 2]], [[3, 3], [4, 4], [5, 5]]]

    Raises ValueError for an `indexing` that is neither "xy" nor "ij".
    """
    if indexing not in ("xy", "ij"):
        raise ValueError(f'indexing must be "xy" or "ij", not {indexing!r}')
    axes = list(range(len(xi)))
    if indexing == "xy":
        axes[:2] = reversed(axes[:2])
    vectors = [
        reshape(x, [-1 if i == axis else 1 for i in range(len(xi))])
        for x, axis in zip(xi, axes, strict=True)
    ]
    if sparse:
        return tuple(vectors)
    shape = np.broadcast_shapes(*[x.shape for x in vectors])
    return tuple(broadcast_to(x, shape) for x in vectors)


# ---------------------------------------------------------------------------- splitting


@implements(np.array_split)
def array_split(ary: Any, indices_or_sections: Any, axis: int = 0) -> list[Any]:
    """Parts along an axis: a number of nearly equal ones, or those between indices.

    >>> array_split(np.arange(5), 2)
    [array([0, 1, 2]), array([3, 4])]
    """
    ary = as_array(ary)
    axis = normalize_axis_index(axis, ary.ndim)
    parts = np.array_split(np.arange(ary.shape[axis]), indices_or_sections)
    before = (slice(None),) * axis
    slices = [slice(part[0], part[-1] + 1) if part.size else slice(0, 0) for part in parts]
    indices = [(*before, part) for part in slices]
    return [ary[index] for index in indices]


@implements(np.split)
def split(ary: Any, indices_or_sections: Any, axis: int = 0) -> list[Any]:
    """Parts along an axis: a number of equal ones, or those between indices.

    >>> split(np.arange(4), 2)
    [array([0, 1]), array([2, 3])]

    Raises ValueError where equal parts are not possible: see `array_split`.
    """
    ary = as_array(ary)
    if np.ndim(indices_or_sections) == 0 and ary.shape[axis] % indices_or_sections:
        raise ValueError(
            f"{ary.shape[axis]} elements along axis {axis} cannot be split into "
            f"{indices_or_sections} equal parts; array_split makes unequal ones"
        )
    return array_split(ary, indices_or_sections, axis)


@implements(np.vsplit)
def vsplit(ary: Any, indices_or_sections: Any) -> list[Any]:
    """`split` along the first of at least two axes.

    >>> [part.shape for part in vsplit(np.zeros((4, 3)), 2)]
    [(2, 3), (2, 3)]
    """
    return split(_require_axes(ary, 2), indices_or_sections, 0)


@implements(np.hsplit)
def hsplit(ary: Any, indices_or_sections: Any) -> list[Any]:
    """`split` along the second axis, of a vector along the only one.

    >>> [part.shape for part in hsplit(np.zeros((4, 3)), [1])]
    [(4, 1), (4, 2)]
    """
    ary = _require_axes(ary, 1)
    return split(ary, indices_or_sections, 1 if ary.ndim > 1 else 0)


@implements(np.dsplit)
def dsplit(ary: Any, indices_or_sections: Any) -> list[Any]:
    """`split` along the third axis.

    >>> [part.shape for part in dsplit(np.zeros((4, 3, 2)), 2)]
    [(4, 3, 1), (4, 3, 1)]
    """
    return split(_require_axes(ary, 3), indices_or_sections, 2)


def _require_axes(ary, least: int):
    ary = as_array(ary)
    if ary.ndim < least:
        raise ValueError(f"an array of shape {ary.shape} has fewer than {least} axes")
    return ary


@implements(np.unstack)
def unstack(x: Any, /, *, axis: int = 0) -> tuple[Any, ...]:
    """The slices along an axis, which `stack` would join again.

    >>> unstack(np.array([[1, 2], [3, 4]]))
    (array([1, 2]), array([3, 4]))
    """
    return tuple(moveaxis(_require_axes(x, 1), axis, 0))


# ---------------------------------------------------------------------------- a function of parts


@implements(np.apply_along_axis)
def apply_along_axis(
    func1d: Callable[..., Any], axis: int, arr: Any, *args: Any, **kwargs: Any
) -> Any:
    """What a function makes of each vector along an axis, in its place. It is a loop: slow.

    >>> apply_along_axis(lambda row: row - row[0], 1, [[1, 2], [5, 7]])
    array([[0, 1],
           [0, 2]])

    Raises ValueError where there are no vectors.
    """
    arr = as_array(arr)
    axis = normalize_axis_index(axis, arr.ndim)
    vectors = moveaxis(arr, axis, -1)
    *rest, length = vectors.shape
    if 0 in rest:
        raise ValueError(f"an array of shape {arr.shape} has no vectors along axis {axis}")
    rows = reshape(vectors, (math.prod(rest), length))
    results = [as_array(func1d(row, *args, **kwargs)) for row in rows]
    out = reshape(stack(results), (*rest, *results[0].shape))
    return moveaxis(out, range(len(rest), out.ndim), range(axis, axis + results[0].ndim))


@implements(np.apply_over_axes)
def apply_over_axes(func: Callable[[Any, int], Any], a: Any, axes: int | Sequence[int]) -> Any:
    """What `func(a, axis)`, a reduction say, makes of `a` for one axis after the other, all kept.

    >>> apply_over_axes(np.sum, np.ones((2, 3, 4)), [0, 2]).shape
    (1, 3, 1)
    """
    out = as_array(a)
    for axis in normalize_axis_tuple(axes, out.ndim):
        result = func(out, axis)
        out = result if result.ndim == out.ndim else expand_dims(result, axis)
    return out


# ---------------------------------------------------------------------------- constants


@implements(np.zeros_like)
def zeros_like(a: Any, dtype: Any = None, *, shape: Any = None) -> Any:
    """Zeros with the shape and dtype of `a`, or with others.

    >>> zeros_like(np.array([1.5, 2.0]))
    array([0., 0.])
    """
    return full_like(a, 0, dtype, shape=shape)


@implements(np.ones_like)
def ones_like(a: Any, dtype: Any = None, *, shape: Any = None) -> Any:
    """Ones with the shape and dtype of `a`, or with others.

    >>> ones_like(np.array([1.5, 2.0]))
    array([1., 1.])
    """
    return full_like(a, 1, dtype, shape=shape)


@implements(np.full_like)
def full_like(a: Any, fill_value: Any, dtype: Any = None, *, shape: Any = None) -> Any:
    """`fill_value`, which broadcasts, in the shape and dtype of `a`, or in others.

    `fill_value` receives a gradient, `a` does not.

    >>> full_like(np.array([1.5, 2.0]), 7)
    array([7., 7.])
    """
    like = as_array(unwrap(a))
    if not isinstance(fill_value, Tensor):
        filled = np.full_like(like, as_array(fill_value), dtype, shape=shape)
        return as_tensor(filled) if isinstance(a, Tensor) else filled
    cast = fill_value.astype(like.dtype if dtype is None else dtype)
    return broadcast_to(cast, like.shape if shape is None else shape)
