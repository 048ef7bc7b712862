"""Convolution and pooling: what slides a window over an image, or along a signal.

Arrays come and go as PyTorch has them, (batch, channels, …), with any number of spatial axes.
Sizes are those of V. Dumoulin and F. Visin, "A guide to convolution arithmetic for deep learning",
2016.

A convolution is a product of matrices, once what each window sees is a column of one (K.
Chellapilla, S. Puri and P. Simard, "High performance convolutional neural networks for document
processing", 2006). To copy all that would make the array larger by the size of the kernel, and
memory is what takes the time. So in memory, images are (height, channels, width, batch), and only
the columns of windows are copied, to (height, channels, kernel width, positions, batch). As many
rows of this as the kernel has are one piece of memory, and the matrix for one row of positions.
The next row's begins one row further down, and overlaps it.

What is handed out is a view of such an array, with its axes in PyTorch's order, and what comes in
as such a view is not copied. Pooling takes one place of all windows at a time, which is a slice,
and leaves the order in memory as it is.
"""

from __future__ import annotations

import itertools
import math
import operator
from collections.abc import Iterable, Iterator, Sequence
from functools import reduce
from typing import Any

import numpy as np

from microgradx.arrays.types import Array
from microgradx.engine import Op
from microgradx.ops.indexing import AddAt

__all__ = [
    "Convolution",
    "MaxPool",
    "AveragePool",
]

#: One number for each spatial axis.
Sizes = tuple[int, ...]

#: How much is added before and after, for each axis.
Padding = tuple[tuple[int, int], ...]

#: How windows lie along each axis: size of the kernel, stride and dilation.
Axes = Sequence[tuple[int, int, int]]


class Sliding(Op):
    """What ops over windows share: their settings."""

    def __init__(
        self, kernel_size: Sizes, stride: Sizes, padding: Padding, dilation: Sizes
    ) -> None:
        self.kernel_size = kernel_size
        self.stride = stride
        self.padding = padding
        self.dilation = dilation
        self.axes = tuple(zip(kernel_size, stride, dilation, strict=True))

    def positions(self, shape: Sizes) -> Sizes:
        """How many positions the window has along each spatial axis of (N, C, …)."""
        return positions_in(padded_shape(shape[2:], self.padding), self.axes)


# ---------------------------------------------------------------------------- windows


def positions_in(sizes: Sequence[int], axes: Axes) -> Sizes:
    """How many positions a window has along each of the axes, of these sizes with padding."""
    return tuple(
        (size - d * (k - 1) - 1) // s + 1 for size, (k, s, d) in zip(sizes, axes, strict=True)
    )


def places_in(positions: Sizes, axes: Axes) -> list[tuple[slice, ...]]:
    """For each place in the kernel, where windows at all their positions have it."""
    along_axes = (
        [slice(i * d, i * d + s * (n - 1) + 1, s) for i in range(k)]
        for n, (k, s, d) in zip(positions, axes, strict=True)
    )
    return list(itertools.product(*along_axes))


def windows(x, first: int, axes: Axes):
    """What windows see: (…, *sizes, …), from the first axis on, as (…, *kernel, *positions, …).

    Of an ndarray it is a view.
    """
    end = first + len(axes)
    kernel, stride, dilation = zip(*axes, strict=True)
    positions = positions_in(x.shape[first:end], axes)
    shape = (*x.shape[:first], *kernel, *positions, *x.shape[end:])
    if isinstance(x, np.ndarray):
        before, steps, behind = x.strides[:first], x.strides[first:end], x.strides[end:]
        within, between = map(operator.mul, steps, dilation), map(operator.mul, steps, stride)
        strides = (*before, *within, *between, *behind)
        return np.ndarray(shape, x.dtype, x, strides=strides)  # checked, unlike as_strided
    whole = (slice(None),) * first
    seen = [x[whole + place] for place in places_in(positions, axes)]
    return np.reshape(np.stack(seen, first), shape)


def add_windows(x, first: int, axes: Axes, sizes: Sizes):
    """The adjoint of `windows`: each element is the sum of what windows see of it."""
    middle, end = first + len(axes), first + 2 * len(axes)
    whole = (slice(None),) * first
    parts = [x[whole + place] for place in np.ndindex(*x.shape[first:middle])]
    places = [whole + place for place in places_in(x.shape[middle:end], axes)]
    return add_at_places(parts, places, (*x.shape[:first], *sizes, *x.shape[end:]), x)


def add_at_places(
    parts: Iterable[Any],
    places: list[tuple[Any, ...]],
    shape: Sizes,
    like,
    apart: bool = False,
):
    """Zeros to which each part is added at its place; `apart` if no two places overlap.

    In memory, the axes are in the order of those of `like`.
    """
    pairs = zip(parts, places, strict=True)
    if not isinstance(like, np.ndarray):
        return reduce(operator.add, [AddAt(place, shape)(part) for part, place in pairs])
    out = np.zeros_like(like, shape=shape)
    for part, place in pairs:
        if apart:
            out[place] = part
        else:
            out[place] += part
    return out


def padded(x, padding: Padding, value: float = 0.0):
    """With a margin around it; in memory, the order of its axes stays."""
    if not any(map(any, padding)):
        return x
    if not isinstance(x, np.ndarray):
        return np.pad(x, padding, constant_values=value)
    out = np.full_like(x, value, shape=padded_shape(x.shape, padding))
    cropped(out, padding)[...] = x
    return out


def padded_shape(shape: Sequence[int], padding: Sequence[tuple[int, int]]) -> Sizes:
    return tuple(size + sum(width) for size, width in zip(shape, padding, strict=True))


def cropped(x, padding: Padding):
    """Without the margin."""
    edges = zip(x.shape, padding, strict=True)
    return x[tuple(slice(before, size - after) for size, (before, after) in edges)]


# ---------------------------------------------------------------------------- convolution


def rows_first(x):
    """(N, C, H, …, W) as (H, C, …, W, N). A signal, (N, C, L), is an image of one row."""
    if x.ndim == 3:
        x = np.expand_dims(x, 2)
    return np.transpose(x, (2, 1, *range(3, x.ndim), 0))


def batch_first(x):
    """(H, C, …, W, N) as (N, C, H, …, W)."""
    return np.transpose(x, (x.ndim - 1, 1, 0, *range(2, x.ndim - 1)))


def contiguous(x):
    return np.ascontiguousarray(x) if isinstance(x, np.ndarray) else x


def are_ndarrays(*arrays) -> bool:
    return all(isinstance(array, np.ndarray) for array in arrays)


def product(weights, matrices):
    """weights · matrices, for each row of positions; of ndarrays, a few columns at a time.

    Up to a million multiplications, OpenBLAS takes the operands as they lie, without rearranging
    them first. That is up to twice as fast, unless it leaves less than 128 columns.
    """
    columns = matrices.shape[-1]
    width = 1_000_000 // (math.prod(weights.shape[-2:]) or 1) // 32 * 32
    if not 128 <= width < columns or not are_ndarrays(weights, matrices):
        return np.matmul(weights, matrices)
    shape = (*matrices.shape[:-2], weights.shape[-2], columns)
    out = np.empty(shape, np.result_type(weights, matrices))
    for start in range(0, columns, width):
        some = (..., slice(start, start + width))
        np.matmul(weights, matrices[some], out=out[some])
    return out


class Convolution(Sliding):
    """Every window's product with the weights: x (N, C, …), w (O, C / groups, *kernel), b (O,).

    `kernel_size` is that of the weights; b may be left out.

    >>> smooth = Convolution((2,), (1,), ((0, 0),), (1,))
    >>> smooth(np.array([[[1.0, 3.0, 5.0]]]), np.array([[[0.5, 0.5]]]))
    array([[[2., 4.]]])
    """

    formula = "x ∗ w + b"

    def __init__(
        self,
        kernel_size: Sizes,
        stride: Sizes,
        padding: Padding,
        dilation: Sizes,
        groups: int = 1,
    ) -> None:
        super().__init__(kernel_size, stride, padding, dilation)
        self.groups = groups
        self.name = f"conv{len(kernel_size)}d"
        is_signal = len(kernel_size) == 1
        self.rows, *self.columns = ((1, 1, 1),) * is_signal + self.axes
        self.above_and_below, *self.beside = ((0, 0),) * is_signal + padding

    @property
    def derivatives(self) -> tuple[Any, ...]:  # type: ignore[override]
        return self.by_input, self.by_weight, self.by_bias

    def forward(self, x, w, b=None):
        weights = self.weights(w)
        out = product(np.reshape(weights, (*weights.shape[:2], -1)), self.seen(x))
        if b is not None:
            b = np.reshape(b, (self.groups, -1, 1))
            in_place = are_ndarrays(out, b) and out.dtype == b.dtype
            out = np.add(out, b, out=out) if in_place else out + b
        batch, channels, (rows, *columns) = x.shape[0], w.shape[0], self.positions(x.shape)
        out = np.reshape(out, (out.shape[0], channels, *(columns or [rows]), batch))
        return np.reshape(batch_first(out), (batch, channels, rows, *columns))

    def forward_saving(self, x, w, b=None):
        self.saved = self.seen(x)
        return self.forward(x, w, b)

    def by_input(self, g, out, x, w, b=None):
        # Along the columns, what windows saw of an element is added up. Along the rows, the product
        # does that: of the kernel in reverse, and g with zeros around and, by stride, between rows.
        (kernel, stride, dilation), (above, below) = self.rows, self.above_and_below
        height, channels, *sizes, _ = rows_first(x).shape
        reach = dilation * (kernel - 1)
        g = contiguous(rows_first(g))
        place = (slice(reach, reach + stride * (g.shape[0] - 1) + 1, stride),)
        g = AddAt(place, (reach + above + height + below, *g.shape[1:]))(g)
        g = windows(g, 0, ((kernel, 1, dilation),))[:, above : above + height]
        weights = np.flip(self.weights(w), 2)
        weights = np.transpose(weights, (0, *range(3, weights.ndim), 2, 1))
        weights = np.reshape(weights, (self.groups, -1, math.prod(weights.shape[-2:])))
        seen = product(weights, self.matrices(g, 0))
        widths = [k for k, _, _ in self.columns]
        seen = np.reshape(seen, (height, channels, *widths, *g.shape[3:]))
        out = add_windows(seen, 2, self.columns, padded_shape(sizes, self.beside))
        out = cropped(out, ((0, 0), (0, 0), *self.beside, (0, 0)))
        return np.reshape(batch_first(out), x.shape)

    def by_weight(self, g, out, x, w, b=None):
        # x gᵀ and not g xᵀ, its transpose: BLAS is faster at it.
        products = np.matmul(self.seen(x), np.swapaxes(self.arriving(g), -1, -2))
        transposed = np.swapaxes(np.sum(products, axis=0), -1, -2)
        return np.reshape(np.swapaxes(np.reshape(transposed, self.weights(w).shape), 2, 3), w.shape)

    def by_bias(self, g, out, x, w, b):
        g = self.arriving(g)
        sums = np.matmul(g, np.ones(g.shape[-1], g.dtype))  # faster than np.sum along two axes
        return np.reshape(np.sum(sums, axis=0), b.shape)

    def seen(self, x):
        """What windows see, as (rows, groups, kernel height · C / groups · kernel width, columns).

        Rows and columns are of positions; the batch counts among the latter.
        """
        if self.saved is not None and isinstance(x, np.ndarray):
            return self.saved
        x = contiguous(rows_first(x))
        x = padded(x, (self.above_and_below, (0, 0), *self.beside, (0, 0)))
        x = contiguous(windows(x, 2, self.columns))
        return self.matrices(windows(x, 0, (self.rows,)), len(self.columns))

    def arriving(self, g):
        """The gradient as (rows, groups, O / groups, columns)."""
        rows, channels, *columns = rows_first(g).shape
        shape = (rows, self.groups, channels // self.groups, math.prod(columns))
        return np.reshape(rows_first(g), shape)

    def matrices(self, x, kernel_axes: int):
        """(kernel height, rows, C, *kernel width, *columns) in the shape that `seen` gives.

        `kernel_axes` is how many the kernel's width has. With one group, and without dilation of
        rows, the result is a view.
        """
        height, rows, channels, *others = x.shape
        x = np.reshape(x, (height, rows, self.groups, channels // self.groups, *others))
        x = np.transpose(x, (1, 2, 0, *range(3, x.ndim)))
        size = height * channels // self.groups * math.prod(others[:kernel_axes])
        return np.reshape(x, (rows, self.groups, size, math.prod(others[kernel_axes:])))

    def weights(self, w):
        """As (groups, O / groups, kernel height, C / groups, *kernel width)."""
        kernel = [k for k, _, _ in (self.rows, *self.columns)]
        w = np.reshape(w, (self.groups, w.shape[0] // self.groups, w.shape[1], *kernel))
        return np.swapaxes(w, 2, 3)


# ---------------------------------------------------------------------------- pooling


class Pooling(Sliding):
    """What one number is made of for each window."""

    @property
    def margin(self) -> Padding:
        return ((0, 0), (0, 0), *self.padding)

    def places(self, x) -> list[tuple[Any, ...]]:
        """For each place in the kernel, where in padded x all windows have it."""
        return [(..., *place) for place in places_in(self.positions(x.shape), self.axes)]

    def put_back(self, parts: Iterable[Any], x):
        """To each element, the sum of what there is for it at the places of windows."""
        apart = all(s > d * (k - 1) for k, s, d in self.axes)
        shape = padded_shape(x.shape, self.margin)
        return cropped(add_at_places(parts, self.places(x), shape, x, apart), self.margin)


class MaxPool(Pooling):
    """The largest that each window sees. What ties for it shares its gradient equally.

    Padding never wins, and NaN always does. No gradient goes to the elements of a window with NaN.

    >>> MaxPool((2,), (2,), ((0, 0),), (1,))(np.array([[[1.0, 3.0, 5.0, 4.0]]]))
    array([[[3., 5.]]])
    """

    formula = "max of windows of x"

    def __init__(
        self, kernel_size: Sizes, stride: Sizes, padding: Padding, dilation: Sizes
    ) -> None:
        super().__init__(kernel_size, stride, padding, dilation)
        self.name = f"max_pool{len(kernel_size)}d"

    def forward(self, x: Array) -> Array:
        whole = padded(x, self.margin, -np.inf)
        return reduce(np.maximum, [whole[place] for place in self.places(x)])

    def backward(self, g, out, x):
        # NaN, which equals nothing, pads here: padding of -inf would tie with elements of -inf.
        whole = padded(x, self.margin, np.nan)
        are_largest = [np.equal(whole[place], out) for place in self.places(x)]
        counting = np.uint8 if len(are_largest) < 256 else x.dtype
        ties = sum(are_largest, np.zeros_like(out, dtype=counting))
        share = laid_out_like(out, g) / np.maximum(ties, 1)
        return self.put_back(chosen(are_largest, share), x)


def chosen(masks: list[Any], g) -> Iterator[Any]:
    """np.where(mask, g, 0) for each, as a product where that is the same: several times faster."""
    if isinstance(g, np.ndarray) and np.all(np.isfinite(g)):
        return (mask * g for mask in masks)
    return (np.where(mask, g, 0) for mask in masks)


def laid_out_like(x, g):
    """g with its axes in the order in memory that those of x have; to mix orders is slow."""
    if not are_ndarrays(x, g) or g.strides == x.strides:
        return g
    out = np.empty_like(x, dtype=g.dtype)
    out[...] = g
    return out


class AveragePool(Pooling):
    """The sum of what each window sees, divided by n: how much it covers, or `divisor`.

    `counted` says how much of the padding counts as covered.

    >>> AveragePool((2,), (2,), ((0, 0),), ((0, 0),))(np.array([[[1.0, 3.0, 5.0, 4.0]]]))
    array([[[2. , 4.5]]])
    """

    formula = "Σ of windows of x / n"

    def __init__(
        self,
        kernel_size: Sizes,
        stride: Sizes,
        padding: Padding,
        counted: Padding,
        divisor: int | None = None,
    ) -> None:
        super().__init__(kernel_size, stride, padding, dilation=(1,) * len(kernel_size))
        self.counted = counted
        self.divisor = divisor
        self.name = f"avg_pool{len(kernel_size)}d"

    def forward(self, x: Array) -> Array:
        whole = padded(x, self.margin)
        return reduce(np.add, [whole[place] for place in self.places(x)]) / self.covered(x)

    def backward(self, g, out, x):
        share = laid_out_like(out, g) / self.covered(x)
        return self.put_back(itertools.repeat(share, math.prod(self.kernel_size)), x)

    def covered(self, x: Any) -> Any:
        """The divisor, or one for each position."""
        if self.divisor is not None:
            return self.divisor
        if not any(map(any, self.padding)):
            return math.prod(self.kernel_size)
        counts = []
        for size, n, (k, s, _), (start, _), (before, after) in zip(
            x.shape[2:], self.positions(x.shape), self.axes, self.padding, self.counted, strict=True
        ):
            starts = s * np.arange(n) - start
            counts.append(np.minimum(starts + k, size + after) - np.maximum(starts, -before))
        return reduce(np.multiply.outer, counts).astype(x.dtype)
