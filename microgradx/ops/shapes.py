"""Ops that move elements about: what they do to values, their adjoints undo to gradients.

Like NumPy's functions of the same names, they raise a ValueError for shapes and axes that do not
fit, and an IndexError for an index that is out of bounds.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index

from microgradx.array_methods import Axis, implements, plain
from microgradx.engine import Op, Tensor

__all__ = [
    "reshape",
    "transpose",
    "swapaxes",
    "expand_dims",
    "squeeze",
    "broadcast_to",
    "getitem",
    "concatenate",
    "stack",
]


class Reshape(Op):
    formula = "x"

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape = shape

    def forward(self, x: Any) -> Any:
        return np.reshape(x, self.shape)

    def backward(self, g: Any, out: Any, x: Any) -> Any:
        return np.reshape(g, x.shape)


class Transpose(Op):
    formula = "xᵀ"

    def __init__(self, axes: tuple[int, ...] | None) -> None:
        self.axes = axes

    def forward(self, x: Any) -> Any:
        return np.transpose(x, self.axes)

    def backward(self, g: Any, out: Any, x: Any) -> Any:
        if self.axes is None:
            return np.transpose(g)
        order = [axis % g.ndim for axis in self.axes]
        return np.transpose(g, tuple(order.index(axis) for axis in range(g.ndim)))


class BroadcastTo(Op):
    name = "broadcast_to"
    formula = "x"

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape = shape

    def forward(self, x: Any) -> Any:
        return np.broadcast_to(x, self.shape)

    def backward(self, g: Any, out: Any, x: Any) -> Any:
        return g  # the sweep sums over what was broadcast


class Index(Op):
    """Elements of x at an index; arrays in the index are inputs, the rest of it is a setting."""

    name = "getitem"
    formula = "x[index]"

    def __init__(self, template: tuple[Any, ...]) -> None:
        self.template = template

    def forward(self, x: Any, *arrays: Any) -> Any:
        return x[_filled_in(self.template, arrays)]

    def backward(self, g: Any, out: Any, x: Any, *arrays: Any) -> Any:
        gradient = AddAt(self.template, x.shape)(g, *arrays)
        return gradient, *(None for _ in arrays)


class AddAt(Op):
    """The adjoint of `Index`: zeros to which x is added at an index, once for each mention."""

    name = "add_at"
    formula = "0[index] += x"

    def __init__(self, template: tuple[Any, ...], shape: tuple[int, ...]) -> None:
        self.template = template
        self.shape = shape

    def forward(self, x: Any, *arrays: Any) -> Any:
        out = np.zeros_like(x, shape=self.shape)
        index = _filled_in(self.template, arrays)
        if any(array.dtype.kind != "b" for array in arrays):
            np.add.at(out, index, x)
        else:
            out[index] = x  # slices, integers and masks reach no place twice
        return out

    def backward(self, g: Any, out: Any, x: Any, *arrays: Any) -> Any:
        return Index(self.template)(g, *arrays), *(None for _ in arrays)


class _Place:
    """Holds, in an index's template, the place of an array."""

    def __repr__(self) -> str:
        return "array"


_ARRAY = _Place()


def _filled_in(template: tuple[Any, ...], arrays: Sequence[Any]) -> tuple[Any, ...]:
    remaining = iter(arrays)
    return tuple(next(remaining) if part is _ARRAY else part for part in template)


class Concatenate(Op):
    formula = "[x, y, …]"

    def __init__(self, axis: int | None) -> None:
        self.axis = axis

    def forward(self, *arrays: Any) -> Any:
        return np.concatenate(arrays, axis=self.axis)

    def backward(self, g: Any, out: Any, *arrays: Any) -> Any:
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


@implements(np.reshape)
def reshape(x: Any, shape: int | Sequence[int]) -> Any:
    """The same elements, in C order, in another shape; one length may be -1: what remains.

    >>> reshape([1, 2, 3, 4], (2, -1))
    array([[1, 2],
           [3, 4]])
    """
    return Reshape(_as_shape(shape))(x)


@implements(np.transpose)
def transpose(x: Any, axes: Sequence[int] | None = None) -> Any:
    """The axes in another order, reversed if none is given.

    >>> transpose([[1, 2], [3, 4]])
    array([[1, 3],
           [2, 4]])
    """
    return Transpose(None if axes is None else tuple(axes))(x)


@implements(np.swapaxes)
def swapaxes(x: Any, axis1: int, axis2: int) -> Any:
    """The axes in their order, but for two that change places.

    >>> swapaxes([[1, 2], [3, 4]], 0, 1)
    array([[1, 3],
           [2, 4]])
    """
    axes = list(range(np.ndim(x)))
    first, second = (normalize_axis_index(axis, len(axes)) for axis in (axis1, axis2))
    axes[first], axes[second] = second, first
    return transpose(x, axes)


@implements(np.expand_dims)
def expand_dims(x: Any, axis: int | Sequence[int]) -> Any:
    """With a new axis of length 1 at each place in the result that `axis` names.

    >>> expand_dims([1, 2], 0)
    array([[1, 2]])
    """
    shape = np.expand_dims(np.broadcast_to(0, np.shape(x)), axis).shape
    return reshape(x, shape)


@implements(np.squeeze)
def squeeze(x: Any, axis: Axis = None) -> Any:
    """Without the axes of length 1, or those of them that `axis` names.

    >>> squeeze([[1, 2]])
    array([1, 2])
    """
    return reshape(x, np.squeeze(np.broadcast_to(0, np.shape(x)), axis).shape)


@implements(np.broadcast_to)
def broadcast_to(x: Any, shape: int | Sequence[int]) -> Any:
    """Repeated, without copying, to a shape that it broadcasts to.

    >>> broadcast_to([1, 2], (2, 2))
    array([[1, 2],
           [1, 2]])
    """
    return BroadcastTo(_as_shape(shape))(x)


@implements("getitem")
def getitem(x: Any, index: Any) -> Any:
    """`x[index]`: integers, slices, None, `...`, lists or arrays of integers, boolean masks.

    An element that is taken several times receives the sum of its gradients.

    >>> getitem(np.array([10, 20, 30]), [0, 0, 2])
    array([10, 10, 30])
    """
    parts = index if isinstance(index, tuple) else (index,)
    is_array = [isinstance(part, (list, np.ndarray, Tensor)) for part in parts]
    template = tuple(_ARRAY if yes else part for part, yes in zip(parts, is_array, strict=True))
    arrays = [
        # An empty list is an array of floats to NumPy, but as an index it means no elements.
        np.asarray(plain(part), int if isinstance(part, list) and not part else None)
        for part, yes in zip(parts, is_array, strict=True)
        if yes
    ]
    return Index(template)(x, *arrays)


@implements(np.concatenate)
def concatenate(arrays: Sequence[Any], axis: int | None = 0) -> Any:
    """Arrays joined along an axis that they have, or flattened first if `axis` is None.

    >>> concatenate([[1, 2], [3]])
    array([1, 2, 3])
    """
    return Concatenate(axis)(*arrays)


@implements(np.stack)
def stack(arrays: Sequence[Any], axis: int = 0) -> Any:
    """Arrays of one shape, joined along a new axis.

    >>> stack([[1, 2], [3, 4]], axis=1)
    array([[1, 3],
           [2, 4]])
    """
    shapes = {np.shape(x) for x in arrays}
    if len(shapes) != 1:
        raise ValueError(f"stack needs arrays of one shape, not of {sorted(shapes)}")
    return concatenate([expand_dims(x, axis) for x in arrays], axis)
