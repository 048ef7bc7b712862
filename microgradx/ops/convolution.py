"""Convolution and pooling: a window slides over an image, or along a signal.

Arrays have PyTorch's layout, (N, C, …): batch, channels, and any number of spatial axes. Output
sizes are those of V. Dumoulin and F. Visin, "A guide to convolution arithmetic for deep learning",
2016.

A convolution is a product of matrices, once each window is a column of a matrix: im2col (K.
Chellapilla, S. Puri and P. Simard, "High performance convolutional neural networks for document
processing", 2006). A copy of all windows is larger than the image by the size of the kernel, and
memory is what takes the time. So images lie in memory as (height, channels, width, batch), and
windows are copied along the width only, to (height, channels, kernel width, output width, batch).
As many rows of this as the kernel has are contiguous: they are the matrix for one row of the
output. The matrix for the next row begins one row further down, and overlaps it.

A result is a view of such an array, with its axes in PyTorch's order, and an input that is such a
view is not copied. Pooling takes one element of all windows at a time, which is a slice, and keeps
the order of the axes in memory.
"""

from __future__ import annotations

import itertools
import math
import operator
from collections.abc import Iterable, Sequence
from functools import reduce
from typing import Any

import numpy as np

from microgradx.arrays.summation import (
    compute_wide,
    multiply_matrices,
    sum_along,
    widen,
)
from microgradx.arrays.types import is_ndarray, match_kind, memory_order
from microgradx.engine import Op
from microgradx.ops.elementwise import mask_gradient
from microgradx.ops.indexing import AddAt

__all__ = [
    "Convolution",
    "MaxPool",
    "AveragePool",
]

#: One number for each spatial axis.
Sizes = tuple[int, ...]

#: How many elements are added before and after each axis.
Padding = tuple[tuple[int, int], ...]

#: Of the window along each axis: kernel size, stride and dilation.
Axes = Sequence[tuple[int, int, int]]


class SlidingWindow(Op):
    """The settings that convolution and pooling share."""

    def __init__(
        self, kernel_size: Sizes, stride: Sizes, padding: Padding, dilation: Sizes
    ) -> None:
        self.kernel_size = kernel_size
        self.stride = stride
        self.padding = padding
        self.dilation = dilation
        self.axes = tuple(zip(kernel_size, stride, dilation, strict=True))

    def output_sizes(self, shape: Sizes) -> Sizes:
        """The spatial sizes of the output for an input of shape (N, C, …)."""
        return count_positions(padded_shape(shape[2:], self.padding), self.axes)


# ---------------------------------------------------------------------------- windows


def count_positions(sizes: Sequence[int], axes: Axes) -> Sizes:
    """How many positions a window has along each of the axes, of these sizes with padding."""
    return tuple(
        (size - d * (k - 1) - 1) // s + 1 for size, (k, s, d) in zip(sizes, axes, strict=True)
    )


def kernel_slices(positions: Sizes, axes: Axes) -> list[tuple[slice, ...]]:
    """For each element of the kernel, the slices that hold it for all positions of the window."""
    along_axes = (
        [slice(i * d, i * d + s * (n - 1) + 1, s) for i in range(k)]
        for n, (k, s, d) in zip(positions, axes, strict=True)
    )
    return list(itertools.product(*along_axes))


def windows(x, first: int, axes: Axes):
    """All windows over (…, *sizes, …), axes from `first` on, as (…, *kernel, *positions, …).

    Of an ndarray it is a view, and in a program too.
    """
    end = first + len(axes)
    kernel, stride, dilation = zip(*axes, strict=True)
    positions = count_positions(x.shape[first:end], axes)
    shape = (*x.shape[:first], *kernel, *positions, *x.shape[end:])
    if isinstance(x, np.ndarray):
        before, steps, behind = x.strides[:first], x.strides[first:end], x.strides[end:]
        within, between = map(operator.mul, steps, dilation), map(operator.mul, steps, stride)
        strides = (*before, *within, *between, *behind)
        return np.ndarray(shape, x.dtype, x, strides=strides)  # checked, unlike as_strided
    leading = (slice(None),) * first
    if is_ndarray(x):
        spans = tuple(d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True))
        x = np.lib.stride_tricks.sliding_window_view(x, spans, tuple(range(first, end)))
        x = x[(*leading, *(slice(None, None, s) for s in stride))]
        x = x[(..., *(slice(None, None, d) for d in dilation))]
        last = x.ndim - len(axes)
        return np.transpose(x, (*range(first), *range(last, x.ndim), *range(first, last)))
    elements = [x[leading + index] for index in kernel_slices(positions, axes)]
    return np.reshape(np.stack(elements, first), shape)


def add_windows(x, first: int, axes: Axes, sizes: Sizes):
    """The adjoint of `windows`: for each element, the sum of what the windows hold for it."""
    middle, end = first + len(axes), first + 2 * len(axes)
    leading = (slice(None),) * first
    parts = [x[leading + index] for index in np.ndindex(*x.shape[first:middle])]
    slices = [leading + index for index in kernel_slices(x.shape[middle:end], axes)]
    return add_at_slices(parts, slices, (*x.shape[:first], *sizes, *x.shape[end:]), x)


def add_at_slices(
    parts: Iterable[Any],
    slices: list[tuple[Any, ...]],
    shape: Sizes,
    like,
    are_disjoint: bool = False,
):
    """Zeros to which each part is added at its slice, with the axes of `like` in memory."""
    parts = iter(parts)
    first = next(parts)
    pairs = zip(itertools.chain([first], parts), slices, strict=True)
    if not are_ndarrays(like, first):
        return reduce(operator.add, [AddAt(index, shape)(part) for part, index in pairs])
    out = match_kind(np.zeros_like(like, shape=shape), [first])
    for part, index in pairs:
        if are_disjoint:
            out[index] = part
        elif isinstance(out, np.ndarray):
            out[index] += part
        else:  # the same, in a program
            np.add.at(out, index, part)
    return out


def add_padding(x, padding: Padding, value: float = 0.0):
    """`x` with a margin of `value`, and the same order of axes in memory."""
    if not any(map(any, padding)):
        return x
    if not is_ndarray(x):
        return np.pad(x, padding, constant_values=value)
    out = np.full_like(x, value, shape=padded_shape(x.shape, padding))
    out[inner_slices(out.shape, padding)] = x
    return out


def padded_shape(shape: Sequence[int], padding: Sequence[tuple[int, int]]) -> Sizes:
    return tuple(size + sum(width) for size, width in zip(shape, padding, strict=True))


def remove_padding(x, padding: Padding):
    return x[inner_slices(x.shape, padding)]


def inner_slices(shape: Sizes, padding: Padding) -> tuple[slice, ...]:
    """Where the elements lie in an array of this shape that are not padding."""
    return tuple(
        slice(before, size - after) if before or after else slice(None)
        for size, (before, after) in zip(shape, padding, strict=True)
    )


# ---------------------------------------------------------------------------- convolution


def to_hcwn(x):
    """(N, C, H, …, W) as (H, C, …, W, N). A signal, (N, C, L), is an image of one row."""
    if x.ndim == 3:
        x = np.expand_dims(x, 2)
    return np.transpose(x, (2, 1, *range(3, x.ndim), 0))


def to_nchw(x):
    """(H, C, …, W, N) as (N, C, H, …, W)."""
    return np.transpose(x, (x.ndim - 1, 1, 0, *range(2, x.ndim - 1)))


def as_contiguous(x):
    return np.ascontiguousarray(x, like=x) if is_ndarray(x) else x


def are_ndarrays(*arrays) -> bool:
    return all(map(is_ndarray, arrays))


def matmul_in_pieces(weights, matrices):
    """weights · matrices, for each row of the output; of ndarrays, a few columns at a time.

    Up to a million multiplications, OpenBLAS does not rearrange the operands first. That is up to
    twice as fast, unless fewer than 128 columns are left.
    """
    columns = matrices.shape[-1]
    width = 1_000_000 // (math.prod(weights.shape[-2:]) or 1) // 32 * 32
    if not 128 <= width < columns or not isinstance(matrices, np.ndarray):
        return np.matmul(weights, matrices)
    shape = (*matrices.shape[:-2], weights.shape[-2], columns)
    out = np.empty(shape, np.result_type(weights, matrices))
    for start in range(0, columns, width):
        piece = (..., slice(start, start + width))
        np.matmul(weights, matrices[piece], out=out[piece])
    return out


class Convolution(SlidingWindow):
    """Each window times the weights, summed: x (N, C, …), w (O, C / groups, *kernel), b (O,).

    b may be left out.

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
        self.height_axis, *self.width_axes = ((1, 1, 1),) * is_signal + self.axes
        self.height_padding, *self.width_padding = ((0, 0),) * is_signal + padding

    @property
    def derivatives(self) -> tuple[Any, ...]:  # type: ignore[override]
        return self.by_input, self.by_weight, self.by_bias

    def forward(self, x, w, b=None):
        if x.dtype == np.float16:
            inputs = [x, w] if b is None else [x, w, b]
            return self.forward(*map(widen, inputs)).astype(np.result_type(*inputs))
        weights = self.group_weights(w)
        weights = np.reshape(weights, (*weights.shape[:2], -1))
        out = matmul_in_pieces(weights, self.im2col(x))
        if b is not None:
            b = np.reshape(b, (self.groups, -1, 1))
            in_place = isinstance(out, np.ndarray) and out.dtype == b.dtype
            out = np.add(out, b, out=out) if in_place else out + b
        batch, channels, (height, *widths) = x.shape[0], w.shape[0], self.output_sizes(x.shape)
        out = np.reshape(out, (out.shape[0], channels, *(widths or [height]), batch))
        return np.reshape(to_nchw(out), (batch, channels, height, *widths))

    def forward_saving(self, x, w, b=None):
        self.saved = self.im2col(widen(x))
        return self.forward(x, w, b)

    def by_input(self, g, out, x, w, b=None):
        # Along the width, the gradients of the windows are added up. Along the height, the product
        # does that: of the kernel in reverse, and g with zeros around and, by stride, between rows.
        (kernel, stride, dilation), (above, below) = self.height_axis, self.height_padding
        height, channels, *sizes, _ = to_hcwn(x).shape
        g, w = widen(g), widen(w)
        reach = dilation * (kernel - 1)
        g = as_contiguous(to_hcwn(g))
        rows = (slice(reach, reach + stride * (g.shape[0] - 1) + 1, stride),)
        g = AddAt(rows, (reach + above + height + below, *g.shape[1:]))(g)
        g = windows(g, 0, ((kernel, 1, dilation),))[:, above : above + height]
        weights = np.flip(self.group_weights(w), 2)
        weights = np.transpose(weights, (0, *range(3, weights.ndim), 2, 1))
        weights = np.reshape(weights, (self.groups, -1, math.prod(weights.shape[-2:])))
        gradient = matmul_in_pieces(weights, self.as_matrices(g, 0))
        widths = [k for k, _, _ in self.width_axes]
        gradient = np.reshape(gradient, (height, channels, *widths, *g.shape[3:]))
        padded_sizes = padded_shape(sizes, self.width_padding)
        gradient = add_windows(gradient, 2, self.width_axes, padded_sizes)
        gradient = remove_padding(gradient, ((0, 0), (0, 0), *self.width_padding, (0, 0)))
        return np.reshape(to_nchw(gradient), x.shape)

    def by_weight(self, g, out, x, w, b=None):
        # x gᵀ and not g xᵀ, its transpose: BLAS is faster at it.
        g = np.swapaxes(self.gradient_as_matrix(widen(g)), -1, -2)
        products = multiply_matrices(self.im2col(widen(x)), g)
        gradient = np.swapaxes(sum_along(products, 0), -1, -2)
        gradient = np.reshape(gradient, self.group_weights(w).shape)
        return np.reshape(np.swapaxes(gradient, 2, 3), w.shape)

    def by_bias(self, g, out, x, w, b):
        return np.reshape(sum_along(self.gradient_as_matrix(g), (0, 3)), b.shape)

    def im2col(self, x):
        """(output height, groups, kernel height · C / groups · kernel width, columns).

        Each column is a window: one for each position along the width and each image of the batch.
        """
        if self.saved is not None and isinstance(x, np.ndarray):
            return self.saved
        x = as_contiguous(to_hcwn(x))
        x = add_padding(x, (self.height_padding, (0, 0), *self.width_padding, (0, 0)))
        x = as_contiguous(windows(x, 2, self.width_axes))
        return self.as_matrices(windows(x, 0, (self.height_axis,)), len(self.width_axes))

    def gradient_as_matrix(self, g):
        """(N, O, …) as (output height, groups, O / groups, columns): the shape of the product."""
        height, channels, *columns = to_hcwn(g).shape
        shape = (height, self.groups, channels // self.groups, math.prod(columns))
        return np.reshape(to_hcwn(g), shape)

    def as_matrices(self, x, width_axes: int):
        """(kernel height, rows, C, *kernel width, *columns) in the shape that `im2col` returns.

        `width_axes` is how many axes the kernel's width has. With one group and no dilation of the
        height, the result is a view.
        """
        kernel_height, rows, channels, *others = x.shape
        x = np.reshape(x, (kernel_height, rows, self.groups, channels // self.groups, *others))
        x = np.transpose(x, (1, 2, 0, *range(3, x.ndim)))
        size = kernel_height * channels // self.groups * math.prod(others[:width_axes])
        return np.reshape(x, (rows, self.groups, size, math.prod(others[width_axes:])))

    def group_weights(self, w):
        """w as (groups, O / groups, kernel height, C / groups, *kernel width)."""
        kernel = [k for k, _, _ in (self.height_axis, *self.width_axes)]
        w = np.reshape(w, (self.groups, w.shape[0] // self.groups, w.shape[1], *kernel))
        return np.swapaxes(w, 2, 3)


# ---------------------------------------------------------------------------- pooling


class Pooling(SlidingWindow):
    """A reduction of each window to one number."""

    @property
    def full_padding(self) -> Padding:
        return ((0, 0), (0, 0), *self.padding)

    def slices(self, x) -> list[tuple[Any, ...]]:
        """For each element of the kernel, the slice of padded x that holds it for all windows."""
        return [(..., *index) for index in kernel_slices(self.output_sizes(x.shape), self.axes)]

    def scatter(self, parts: Iterable[Any], x):
        """For each element of x, the sum of what the parts, one for each slice, hold for it."""
        are_disjoint = all(s > d * (k - 1) for k, s, d in self.axes)
        shape = padded_shape(x.shape, self.full_padding)
        gradient = add_at_slices(parts, self.slices(x), shape, x, are_disjoint)
        return remove_padding(gradient, self.full_padding)


class MaxPool(Pooling):
    """The maximum of each window. Elements that tie for it share its gradient equally.

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

    def forward(self, x):
        padded = add_padding(x, self.full_padding, -np.inf)
        return reduce(np.maximum, [padded[index] for index in self.slices(x)])

    def backward(self, g, out, x):
        # NaN, which equals nothing, pads here: padding of -inf would tie with elements of -inf.
        padded = add_padding(x, self.full_padding, np.nan)
        are_largest = [np.equal(padded[index], out) for index in self.slices(x)]
        counting = np.uint8 if len(are_largest) < 256 else np.promote_types(x.dtype, np.float32)
        ties = sum(are_largest, np.zeros_like(out, dtype=counting))
        share = match_memory_order(g, out) / np.maximum(ties, 1)
        count = len(are_largest)
        share = widen(share, count)
        return self.scatter((mask_gradient(share, mask) for mask in are_largest), widen(x, count))


def match_memory_order(g, like):
    """g with its axes in the order in memory that those of `like` have; to mix orders is slow."""
    if not are_ndarrays(g, like) or g.strides == like.strides:
        return g
    order = memory_order(like)
    g = as_contiguous(np.transpose(g, order))
    return np.transpose(g, tuple(map(order.index, range(g.ndim))))


class AveragePool(Pooling):
    """The sum of each window, divided by n: the number of elements in it, or `divisor`.

    `counted` is how much of the padding is counted in n.

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

    def forward(self, x):
        return compute_wide(self.average, math.prod(self.kernel_size), x)

    def average(self, x):
        padded = add_padding(x, self.full_padding)
        return reduce(np.add, [padded[index] for index in self.slices(x)]) / self.divisors(x)

    def backward(self, g, out, x):
        count = math.prod(self.kernel_size)
        x = widen(x, count)
        share = match_memory_order(widen(g, count), out) / self.divisors(x)
        return self.scatter(itertools.repeat(share, count), x)

    def divisors(self, x: Any) -> Any:
        """The one divisor, or an array with one for each position of the window."""
        if self.divisor is not None:
            return self.divisor
        if not any(map(any, self.padding)):
            return math.prod(self.kernel_size)
        counts = []
        for size, n, (k, s, _), (start, _), (before, after) in zip(
            x.shape[2:],
            self.output_sizes(x.shape),
            self.axes,
            self.padding,
            self.counted,
            strict=True,
        ):
            starts = s * np.arange(n) - start
            counts.append(np.minimum(starts + k, size + after) - np.maximum(starts, -before))
        return reduce(np.multiply.outer, counts).astype(x.dtype)
