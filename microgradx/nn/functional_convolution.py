"""Convolution and pooling, with PyTorch's names and arguments."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from microgradx.arrays.types import as_floats
from microgradx.graph.scopes import scope
from microgradx.nn.arguments import Size, check_sizes
from microgradx.ops.convolution import (
    AveragePool,
    Convolution,
    MaxPool,
    Padding,
    Sizes,
    SlidingWindow,
)
from microgradx.ops.shapes import expand_dims, reshape

__all__ = [
    "adaptive_avg_pool1d",
    "adaptive_avg_pool2d",
    "avg_pool1d",
    "avg_pool2d",
    "conv1d",
    "conv2d",
    "max_pool1d",
    "max_pool2d",
    "padding_widths",
]

# ---------------------------------------------------------------------------- convolution


def conv1d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Size = 1,
    padding: Size | Literal["same", "valid"] = 0,
    dilation: Size = 1,
    groups: int = 1,
) -> Any:
    """Slide weights along signals: `conv2d` with one spatial axis; see there for the settings.

    `input` has shape (N, C, L) or (C, L), `weight` (O, C / groups, K), `bias` (O,), and the result
    (N, O, M) or (O, M).

    >>> conv1d(np.array([[1.0, 3.0, 6.0, 10.0]]), np.array([[[-1.0, 1.0]]]))
    array([[2., 3., 4.]])
    """
    return _convolve("conv1d", 1, input, weight, bias, stride, padding, dilation, groups)


def conv2d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Size = 1,
    padding: Size | Literal["same", "valid"] = 0,
    dilation: Size = 1,
    groups: int = 1,
) -> Any:
    """Slide weights over images: out[n, o, p] = b[o] + Σ w[o, c, k] x[n, c, stride p + dilation k].

    `input` has shape (N, C, H, W) or, without a batch, (C, H, W); `weight` (O, C / groups, K, L);
    `bias` (O,). The result is (N, O, P, Q) or (O, P, Q), with
    P = ⌊(H + 2 padding - dilation (K - 1) - 1) / stride⌋ + 1, and Q likewise.

    stride: the distance from one position of the window to the next.
    padding: the number of zeros added on each side; "same": as many as make P = H and Q = W (with
        stride 1; if their total is odd, one more after than before); "valid": none.
    dilation: the distance between the elements in a window.
    groups: the number of parts into which channels in and out are split; each part is a convolution
        of its own.

    The first three may be pairs, for the two axes. The weights are not flipped, so mathematics
    calls this a cross-correlation.

    Raises ValueError for shapes and settings that do not fit, and TypeError for settings that are
    not integers. Source: V. Dumoulin and F. Visin, "A guide to convolution arithmetic for deep
    learning", 2016.

    >>> image = np.arange(9.0).reshape(1, 3, 3)
    >>> conv2d(image, np.array([[[[1.0, 0.0], [0.0, -1.0]]]]))
    array([[[-4., -4.],
            [-4., -4.]]])
    """
    return _convolve("conv2d", 2, input, weight, bias, stride, padding, dilation, groups)


def _convolve(
    name: str,
    spatial: int,
    input: Any,
    weight: Any,
    bias: Any,
    stride: Size,
    padding: Size | str,
    dilation: Size,
    groups: int,
) -> Any:
    x, is_unbatched = _add_batch_axis(name, spatial, input)
    w = as_floats(weight)
    strides = check_sizes(name, "stride", stride, spatial)
    dilations = check_sizes(name, "dilation", dilation, spatial)
    (groups,) = check_sizes(name, "groups", groups, 1)
    if w.ndim != spatial + 2 or 0 in w.shape:
        raise ValueError(
            f"{name}: a weight of shape {w.shape}; it needs {spatial + 2} axes, (channels out, "
            f"channels in / groups, {_KERNEL_AXES[spatial]}), none of them empty"
        )
    channels = w.shape[1] * groups
    if x.shape[1] != channels or w.shape[0] % groups:
        hint = ""
        if is_unbatched and channels == 1:
            hint = ". If these are several with one channel, pass x[:, None]"
        elif x.shape[-1] == channels:
            axis = 1 - is_unbatched
            hint = f". If the channels are the last axis, pass np.moveaxis(x, -1, {axis})"
        raise ValueError(
            f"{name}: an input of shape {_drop_batch_axis(x.shape, is_unbatched)}, with "
            f"{x.shape[1]} channels, and a weight of shape {w.shape} do not fit groups={groups}; "
            f"the input needs {w.shape[1]} · {groups} = {channels} channels, and the "
            f"weight a number of channels out that {groups} divides{hint}"
        )
    parameters = [w]
    if bias is not None:
        b = as_floats(bias)
        if b.shape != w.shape[:1]:
            raise ValueError(
                f"{name}: a bias of shape {b.shape} for a weight of shape {w.shape}; it needs one "
                f"number for each channel out: {w.shape[:1]}"
            )
        parameters.append(b)
    kernel = w.shape[2:]
    widths = padding_widths(name, padding, kernel, strides, dilations)
    op = Convolution(kernel, strides, widths, dilations, groups)
    return _apply(op, is_unbatched, x, *parameters)


# ---------------------------------------------------------------------------- pooling


def max_pool1d(
    input: Any,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
) -> Any:
    """The largest element in a window along a signal, (N, C, L) or (C, L); see `max_pool2d`.

    >>> max_pool1d(np.array([[1.0, 3.0, 4.0, 2.0]]), 2)
    array([[3., 4.]])
    """
    return _max_pool("max_pool1d", 1, input, kernel_size, stride, padding, dilation, ceil_mode)


def max_pool2d(
    input: Any,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
) -> Any:
    """The largest element in a window at each of its positions, channel by channel.

    `input` has shape (N, C, H, W) or (C, H, W), and the result (N, C, P, Q) or (C, P, Q), with
    P = ⌊(H + 2 padding - dilation (kernel_size - 1) - 1) / stride⌋ + 1, and Q likewise.

    stride: the distance from one position of the window to the next; by default the window's size,
        so that windows do not overlap.
    padding: the number of -inf, which never win, added on each side; at most half the window.
    dilation: the distance between the elements in a window.
    ceil_mode: whether to round P and Q up, so that the last window may reach beyond the edge; but
        it must start within the image or the padding before it.

    All but the last may be pairs, for the two axes. Elements that tie share the gradient equally
    (in PyTorch, the first receives all of it). A window with NaN results in NaN, without gradient.
    Raises ValueError for shapes and settings that do not fit, and TypeError for settings that are
    not integers.

    >>> max_pool2d(np.array([[[1.0, 2.0, 5.0, 6.0], [3.0, 4.0, 7.0, 8.0]]]), 2)
    array([[[4., 8.]]])
    """
    return _max_pool("max_pool2d", 2, input, kernel_size, stride, padding, dilation, ceil_mode)


def _max_pool(name: str, spatial: int, input: Any, *settings: Any) -> Any:
    x, is_unbatched = _add_batch_axis(name, spatial, input)
    return _apply(MaxPool(*_check_windows(name, x, *settings)), is_unbatched, x)


def avg_pool1d(
    input: Any,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Any:
    """The mean of the elements in a window along a signal, (N, C, L) or (C, L); see `avg_pool2d`.

    >>> avg_pool1d(np.array([[1.0, 3.0, 4.0, 2.0]]), 2)
    array([[2., 3.]])
    """
    settings = kernel_size, stride, padding, ceil_mode, count_include_pad, None
    return _avg_pool("avg_pool1d", 1, input, *settings)


def avg_pool2d(
    input: Any,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Any:
    """The mean of the elements in a window at each of its positions, channel by channel.

    Shapes, errors, `stride`, `padding` (here zeros) and `ceil_mode` are as in `max_pool2d`.

    count_include_pad: whether the zeros of the padding count as elements of the mean; what
        `ceil_mode` adds beyond the padding never does.
    divisor_override: the number by which to divide the sum instead.

    >>> avg_pool2d(np.array([[[1.0, 2.0, 5.0, 6.0], [3.0, 4.0, 7.0, 8.0]]]), 2)
    array([[[2.5, 6.5]]])
    """
    settings = kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override
    return _avg_pool("avg_pool2d", 2, input, *settings)


def _avg_pool(
    name: str,
    spatial: int,
    input: Any,
    kernel_size: Size,
    stride: Size | None,
    padding: Size,
    ceil_mode: bool,
    count_include_pad: bool,
    divisor: int | None,
) -> Any:
    x, is_unbatched = _add_batch_axis(name, spatial, input)
    if divisor == 0:
        raise ValueError(f"{name}: divisor_override must not be 0; None divides by the count")
    windows = _check_windows(name, x, kernel_size, stride, padding, 1, ceil_mode)
    kernel, strides, widths, _ = windows
    counted = tuple((before, before) if count_include_pad else (0, 0) for before, _ in widths)
    return _apply(AveragePool(kernel, strides, widths, counted, divisor), is_unbatched, x)


@scope
def adaptive_avg_pool1d(input: Any, output_size: Size | None) -> Any:
    """Means of `output_size` parts of a signal, (N, C, L) or (C, L); see `adaptive_avg_pool2d`.

    >>> adaptive_avg_pool1d(np.array([[1.0, 3.0, 4.0, 2.0]]), 2)
    array([[2., 3.]])
    """
    return _adaptive_avg_pool("adaptive_avg_pool1d", 1, input, output_size)


@scope
def adaptive_avg_pool2d(input: Any, output_size: int | Sequence[int | None] | None) -> Any:
    """Means of as many parts of an image as the output has elements, whatever the image's size.

    `input` has shape (N, C, H, W) or (C, H, W), and the result (N, C, P, Q) or (C, P, Q), where
    `output_size` is (P, Q), or one number for both; None stands for the size of the image. Part p
    has the rows from ⌊p H / P⌋ up to ⌈(p + 1) H / P⌉, and columns likewise. A result of size 1 is
    the mean of the image. Raises ValueError for shapes and sizes that do not fit.

    >>> adaptive_avg_pool2d(np.array([[[1.0, 2.0, 5.0, 6.0], [3.0, 4.0, 7.0, 8.0]]]), 1)
    array([[[4.5]]])
    """
    return _adaptive_avg_pool("adaptive_avg_pool2d", 2, input, output_size)


def _adaptive_avg_pool(name: str, spatial: int, input: Any, output_size: Any) -> Any:
    x = as_floats(input)
    shape = _add_batch_axis(name, spatial, x)[0].shape
    if 0 in shape[1:]:
        raise ValueError(f"{name}: an input of shape {x.shape} has no elements to take means of")
    sizes = output_size if isinstance(output_size, Sequence) else (output_size,) * spatial
    if len(sizes) == spatial:
        pairs = zip(shape[2:], sizes, strict=True)
        sizes = tuple(size if wanted is None else wanted for size, wanted in pairs)
    parts = check_sizes(name, "output_size", sizes, spatial)
    for axis, count in zip(range(x.ndim - spatial, x.ndim), parts, strict=True):
        x = _means_of_parts(x, axis, count)
    return x


def _means_of_parts(x: Any, axis: int, parts: int) -> Any:
    """The means of parts of about the same length along an axis; they may overlap."""
    size, before = x.shape[axis], (slice(None),) * axis
    slices = [slice(k * size // parts, -(-(k + 1) * size // parts)) for k in range(parts)]
    return np.stack([np.mean(x[(*before, part)], axis=axis) for part in slices], axis)


def _check_windows(
    name: str,
    x: Any,
    kernel_size: Size,
    stride: Size | None,
    padding: Size,
    dilation: Size,
    ceil_mode: bool,
) -> tuple[Sizes, Sizes, Padding, Sizes]:
    """The settings of a pooling op, with padding as far as the last window reaches."""
    spatial = x.ndim - 2
    kernel = check_sizes(name, "kernel_size", kernel_size, spatial)
    strides = kernel if stride is None else check_sizes(name, "stride", stride, spatial)
    dilations = check_sizes(name, "dilation", dilation, spatial)
    paddings = check_sizes(name, "padding", padding, spatial, least=0)
    widths = []
    for size, k, s, p, d in zip(x.shape[2:], kernel, strides, paddings, dilations, strict=True):
        extent = d * (k - 1) + 1
        if p > extent // 2:
            raise ValueError(
                f"{name}: padding={paddings} is more than half of a window with kernel_size="
                f"{kernel} and dilation={dilations}, so some windows would hold nothing else; "
                "make it smaller, or the kernel larger"
            )
        after = p
        if ceil_mode:
            last = -((extent - size - 2 * p) // s) * s  # where the last window starts
            if last >= size + p:
                last -= s
            after = max(p, last + extent - size - p)
        widths.append((p, after))
    return kernel, strides, tuple(widths), dilations


# ---------------------------------------------------------------------------- arguments

_KERNEL_AXES = {1: "kernel length", 2: "kernel height, kernel width"}
_SPATIAL_AXES = {1: "length", 2: "height, width"}


def _add_batch_axis(name: str, spatial: int, input: Any) -> tuple[Any, bool]:
    """The input with a batch axis, and whether it had none."""
    x = as_floats(input)
    if x.ndim not in (spatial + 1, spatial + 2):
        raise ValueError(
            f"{name}: an input of shape {x.shape}, with {x.ndim} axes; it needs "
            f"{spatial + 2}, (batch, channels, {_SPATIAL_AXES[spatial]}), or {spatial + 1} "
            "without the batch"
        )
    is_unbatched = x.ndim == spatial + 1
    return (expand_dims(x, 0) if is_unbatched else x), is_unbatched


def _drop_batch_axis(shape: tuple[int, ...], is_unbatched: bool) -> tuple[int, ...]:
    return shape[1:] if is_unbatched else shape


def _apply(op: SlidingWindow, is_unbatched: bool, x: Any, *parameters: Any) -> Any:
    """The op's result, without the batch axis if the input had none."""
    if 0 in x.shape[1:] or min(op.output_sizes(x.shape)) < 1:
        raise ValueError(
            f"{op.name}: an input of shape {_drop_batch_axis(x.shape, is_unbatched)}, with padding "
            f"{op.padding}, has no room for a window of size {op.kernel_size} with dilation "
            f"{op.dilation}; give a larger input, more padding or a smaller kernel"
        )
    out = op(x, *parameters)
    return reshape(out, out.shape[1:]) if is_unbatched else out


def padding_widths(
    name: str, padding: Size | str, kernel: Sizes, stride: Sizes, dilation: Sizes
) -> Padding:
    """The number of zeros before and after, for each spatial axis."""
    if padding == "same":
        if set(stride) != {1}:
            raise ValueError(
                f'{name}: padding="same" with stride={stride}; the result has the size of the '
                "input only with stride=1: give the padding as integers"
            )
        totals = [d * (k - 1) for k, d in zip(kernel, dilation, strict=True)]
        return tuple((total // 2, total - total // 2) for total in totals)
    if padding == "valid":
        padding = 0
    if isinstance(padding, str):
        raise ValueError(
            f'{name}: padding={padding!r}; it is "same", "valid", an integer or one for each '
            "spatial axis"
        )
    widths = check_sizes(name, "padding", padding, len(kernel), least=0)
    return tuple((width, width) for width in widths)
