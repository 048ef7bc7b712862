"""Convolution and pooling: what slides a window over an image, or along a signal.

Everything here is made of `Windows`, which lays out what the window sees at each of its positions,
and of its adjoint, `AddWindows`. A convolution is then one product of matrices, in the manner of
K. Chellapilla, S. Puri and P. Simard, "High performance convolutional neural networks for document
processing", 2006; sizes are those of V. Dumoulin and F. Visin, "A guide to convolution arithmetic
for deep learning", 2016.

Arrays come and go as PyTorch has them, (batch, channels, …), with any number of spatial axes. In
memory the batch is last: so the product is one for the whole batch, and every loop of NumPy's
runs over long stretches. What is handed out is a view of that with its axes in PyTorch's order,
and what comes in is taken over without copying if it is such a view.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

from microgradx.array_methods import Array
from microgradx.engine import Op

__all__ = [
    "Windows",
    "AddWindows",
    "Convolution",
    "MaxPool",
    "AveragePool",
]

#: One number for each spatial axis.
Sizes = tuple[int, ...]

#: How much is added before and after, for each spatial axis.
Padding = tuple[tuple[int, int], ...]


def batch_last(x: Any) -> Any:
    """(N, C, …) as (C, …, N)."""
    return np.transpose(x, (*range(1, x.ndim), 0))


def batch_first(x: Any) -> Any:
    """(C, …, N) as (N, C, …)."""
    return np.transpose(x, (x.ndim - 1, *range(x.ndim - 1)))


class Sliding(Op):
    """What ops over windows share: their settings, and which elements a window sees."""

    def __init__(
        self, kernel_size: Sizes, stride: Sizes, padding: Padding, dilation: Sizes
    ) -> None:
        self.kernel_size = kernel_size
        self.stride = stride
        self.padding = padding
        self.dilation = dilation

    @property
    def sliding(self) -> tuple[Sizes, Sizes, Padding, Sizes]:
        """The settings, for another op over the same windows."""
        return self.kernel_size, self.stride, self.padding, self.dilation

    def positions(self, shape: Sizes) -> Sizes:
        """How many positions the window has along each spatial axis of (N, C, …)."""
        return tuple(
            (size + before + after - d * (k - 1) - 1) // s + 1
            for size, k, s, (before, after), d in zip(shape[2:], *self.sliding, strict=True)
        )

    def padded(self, x: Array, value: float = 0.0) -> Array:
        """(N, C, …) as (C, …, N), contiguous, with padding around it."""
        x = batch_last(x)
        if not any(map(any, self.padding)):
            return np.ascontiguousarray(x)
        whole = np.full(self.padded_shape(x.shape), value, x.dtype)
        whole[self.inside(x.shape)] = x
        return whole

    def padded_shape(self, shape: Sizes) -> Sizes:
        """Of (C, …, N) without the padding."""
        widths = ((0, 0), *self.padding, (0, 0))
        return tuple(size + sum(width) for size, width in zip(shape, widths, strict=True))

    def inside(self, shape: Sizes) -> tuple[slice, ...]:
        """Where (C, …, N) stands within the padding."""
        starts = (0, *(before for before, _ in self.padding), 0)
        return tuple(slice(i, i + size) for i, size in zip(starts, shape, strict=True))

    def places(self, positions: Sizes) -> Iterator[tuple[Any, Any]]:
        """For each place in the kernel, what all windows see there: an index into windows, (C,
        *kernel, *positions, N), and one into what they are windows of."""
        for place in np.ndindex(*self.kernel_size):
            seen = (
                slice(i * d, i * d + s * (n - 1) + 1, s)
                for i, d, s, n in zip(place, self.dilation, self.stride, positions, strict=True)
            )
            yield (slice(None), *place), (slice(None), *seen)

    def reduced(self, function: Any, padded: Array, positions: Sizes) -> Array:
        """What a ufunc makes of all that each window sees, as (N, C, …)."""
        (_, first), *others = self.places(positions)
        out = padded[first].copy()
        for _, place in others:
            function(out, padded[place], out=out)
        return batch_first(out)

    @property
    def kernel_axes(self) -> Sizes:
        """Which axes of windows are the kernel's."""
        return tuple(range(1, len(self.kernel_size) + 1))

    def beside_windows(self, out: Any) -> Any:
        """(N, C, *positions) in a shape that broadcasts to that of windows."""
        return np.expand_dims(batch_last(out), self.kernel_axes)


class Windows(Sliding):
    """What each window sees: (N, C, …) becomes (C, *kernel, *positions, N), a view.

    >>> x = np.array([[[1, 2, 3]]])
    >>> Windows((2,), (1,), ((0, 0),), (1,))(x)[0, ..., 0]
    array([[1, 2],
           [2, 3]])
    """

    formula = "windows of x"

    def __init__(
        self,
        kernel_size: Sizes,
        stride: Sizes,
        padding: Padding,
        dilation: Sizes,
        padded_with: float = 0.0,
    ) -> None:
        super().__init__(kernel_size, stride, padding, dilation)
        self.padded_with = padded_with

    def forward(self, x: Array) -> Array:
        whole = self.padded(x, self.padded_with)
        of_channel, *of_space, of_batch = whole.strides
        return as_strided(
            whole,
            (whole.shape[0], *self.kernel_size, *self.positions(x.shape), whole.shape[-1]),
            (
                of_channel,
                *(stride * d for stride, d in zip(of_space, self.dilation, strict=True)),
                *(stride * s for stride, s in zip(of_space, self.stride, strict=True)),
                of_batch,
            ),
            writeable=False,
        )

    def backward(self, g: Any, out: Any, x: Any) -> Any:
        return AddWindows(*self.sliding, x.shape)(g)


class AddWindows(Sliding):
    """The adjoint of `Windows`: each element is the sum of what windows see of it.

    >>> windows = np.array([[1, 2], [2, 3]])[None, ..., None]
    >>> AddWindows((2,), (1,), ((0, 0),), (1,), (1, 1, 3))(windows)
    array([[[1, 4, 3]]])
    """

    name = "add_windows"
    formula = "Σ of windows x"

    def __init__(
        self, kernel_size: Sizes, stride: Sizes, padding: Padding, dilation: Sizes, shape: Sizes
    ) -> None:
        super().__init__(kernel_size, stride, padding, dilation)
        self.shape = shape

    def forward(self, x: Array) -> Array:
        shape = (*self.shape[1:], self.shape[0])
        out = np.zeros(self.padded_shape(shape), x.dtype)
        for in_windows, in_padded in self.places(self.positions(self.shape)):
            out[in_padded] += x[in_windows]
        return batch_first(out[self.inside(shape)])

    def backward(self, g: Any, out: Any, x: Any) -> Any:
        return Windows(*self.sliding)(g)


class Convolution(Sliding):
    """Every window's product with the weights: x (N, C, …), w (O, C / groups, *kernel), b (O,).

    `kernel_size` is that of the weights; b may be left out. As matrices, one for each group, all
    of these are: what the windows see (C · kernel, positions · N), the weights (O, C · kernel),
    and the output, or a gradient that arrives there, (O, positions · N).

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

    @property
    def derivatives(self) -> tuple[Any, ...]:  # type: ignore[override]
        return self.by_input, self.by_weight, self.by_bias

    def forward(self, x: Any, w: Any, b: Any = None) -> Any:
        out = np.matmul(self.weights(w), self.seen(x))
        if b is not None:
            out = out + np.reshape(b, (self.groups, -1, 1))
        return batch_first(np.reshape(out, (w.shape[0], *self.positions(x.shape), x.shape[0])))

    def forward_and_keep(self, x: Any, w: Any, b: Any = None) -> Any:
        self.kept = self.seen(x)
        return self.forward(x, w, b)

    def by_input(self, g: Any, out: Any, x: Any, w: Any, b: Any = None) -> Any:
        windows = np.matmul(np.swapaxes(self.weights(w), 1, 2), self.arriving(g))  # wᵀ g
        shape = (x.shape[1], *self.kernel_size, *g.shape[2:], x.shape[0])
        return AddWindows(*self.sliding, x.shape)(np.reshape(windows, shape))

    def by_weight(self, g: Any, out: Any, x: Any, w: Any, b: Any = None) -> Any:
        # x gᵀ and not g xᵀ, its transpose: BLAS is faster at it.
        transposed = np.matmul(self.seen(x), np.swapaxes(self.arriving(g), 1, 2))
        return np.reshape(np.swapaxes(transposed, 1, 2), w.shape)

    def by_bias(self, g: Any, out: Any, x: Any, w: Any, b: Any) -> Any:
        return np.sum(g, axis=(0, *range(2, g.ndim)))

    def seen(self, x: Any) -> Any:
        if self.kept is not None and isinstance(x, np.ndarray):
            return self.kept
        return self.matrices(Windows(*self.sliding)(x), x.shape[1] * math.prod(self.kernel_size))

    def weights(self, w: Any) -> Any:
        return self.matrices(w, w.shape[0])

    def arriving(self, g: Any) -> Any:
        return self.matrices(batch_last(g), g.shape[1])

    def matrices(self, x: Any, rows: int) -> Any:
        """Leading axes as `rows`, shared out among the groups, and the others as columns."""
        columns = math.prod(x.shape) // rows  # -1 would not do: of an empty batch there are none
        return np.reshape(x, (self.groups, rows // self.groups, columns))


class MaxPool(Sliding):
    """The largest that each window sees. What ties for it shares its gradient equally.

    Padding never wins, and NaN always does. As in `microgradx.max`, no gradient goes to the
    elements of a window with NaN.

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
        return self.reduced(np.maximum, self.padded(x, -np.inf), self.positions(x.shape))

    def backward(self, g: Any, out: Any, x: Any) -> Any:
        # NaN, which equals nothing, pads here: padding of -inf would tie with elements of -inf.
        windows = Windows(*self.sliding, padded_with=np.nan)(x)
        is_largest = np.equal(windows, self.beside_windows(out), order="C")
        ties = np.sum(is_largest, axis=self.kernel_axes, keepdims=True, dtype=x.dtype)
        share = self.beside_windows(g) / np.maximum(ties, 1)
        return AddWindows(*self.sliding, x.shape)(_chosen(is_largest, share))


def _chosen(mask: Any, g: Any) -> Any:
    """np.where(mask, g, 0), as a product where that is the same: several times faster."""
    if isinstance(g, np.ndarray) and np.all(np.isfinite(g)):
        return mask * g
    return np.where(mask, g, 0)


class AveragePool(Sliding):
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
        total = self.reduced(np.add, self.padded(x), self.positions(x.shape))
        return batch_first(batch_last(total) / self.covered(x))

    def backward(self, g: Any, out: Any, x: Any) -> Any:
        share = np.expand_dims(batch_last(g) / self.covered(x), self.kernel_axes)
        shape = (x.shape[1], *self.kernel_size, *g.shape[2:], x.shape[0])
        return AddWindows(*self.sliding, x.shape)(np.broadcast_to(share, shape))

    def covered(self, x: Any) -> Any:
        """The divisor, or one for each position, in a shape that broadcasts to (C, …, N)."""
        if self.divisor is not None:
            return self.divisor
        lengths = zip(x.shape[2:], self.counted, strict=True)
        ones = np.ones((1, 1, *(size + sum(width) for size, width in lengths)), x.dtype)
        uncounted = tuple(
            (before - counted_before, after - counted_after)
            for (before, after), (counted_before, counted_after) in zip(
                self.padding, self.counted, strict=True
            )
        )
        windows = Windows(self.kernel_size, self.stride, uncounted, self.dilation)(ones)
        return np.sum(windows, axis=self.kernel_axes)
