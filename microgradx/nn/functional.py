"""Layers, activations and losses as functions, with PyTorch's names and arguments.

>>> from microgradx.nn import functional as F
>>> F.relu(np.array([-1.0, 2.0]))
array([0., 2.])

Arrays in, arrays out; a Tensor anywhere in, a Tensor out. Activation functions take PyTorch's
arguments. Any other function that `microgradx` has too is the same one here, so classes are along
the last axis unless `axis` says otherwise.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from microgradx.arrays.summation import widen
from microgradx.arrays.types import as_floats, unwrap
from microgradx.engine import Tensor
from microgradx.functional import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    cross_entropy,
    focal_loss,
    huber_loss,
    kl_div,
    l1_loss,
    log_softmax,
    mse_loss,
    nll_loss,
    smooth_l1_loss,
    softmax,
)
from microgradx.graph.scopes import scope
from microgradx.nn.functional_activations import (
    elu,
    gelu,
    hardtanh,
    leaky_relu,
    logsigmoid,
    mish,
    relu,
    relu6,
    selu,
    sigmoid,
    silu,
    softplus,
    tanh,
)
from microgradx.ops.convolution import (
    AveragePool,
    Convolution,
    MaxPool,
    Padding,
    Sizes,
    SlidingWindow,
)
from microgradx.ops.indexing import embedding, one_hot
from microgradx.ops.normalisation import Normalise
from microgradx.ops.products import linear as linear_with_bias
from microgradx.ops.products import matmul
from microgradx.ops.shape_errors import linear_error
from microgradx.ops.shapes import expand_dims, reshape, transpose

__all__ = [
    "conv1d",
    "conv2d",
    "max_pool2d",
    "avg_pool2d",
    "batch_norm",
    "layer_norm",
    "linear",
    "embedding",
    "one_hot",
    "relu",
    "relu6",
    "leaky_relu",
    "elu",
    "selu",
    "gelu",
    "silu",
    "mish",
    "sigmoid",
    "logsigmoid",
    "tanh",
    "hardtanh",
    "softplus",
    "softmax",
    "log_softmax",
    "cross_entropy",
    "nll_loss",
    "focal_loss",
    "kl_div",
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "mse_loss",
    "l1_loss",
    "huber_loss",
    "smooth_l1_loss",
]

#: One number, or one for each spatial axis.
Size = int | Sequence[int]

# ---------------------------------------------------------------------------- linear layers


def linear(input: Any, weight: Any, bias: Any = None) -> Any:
    """x wᵀ + b, of shape (…, out): `input` is (…, in), `weight` (out, in), `bias` (out,) or None.

    Raises ValueError for shapes that do not fit.

    >>> linear([[1, 2]], [[1, 1], [1, -1]])
    array([[ 3, -1]])
    """
    if bias is not None:
        return linear_with_bias(input, weight, bias)
    try:
        return matmul(input, transpose(weight))
    except ValueError as error:  # of the transposed weight
        raise linear_error(error, input, weight) from None


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
    strides = _check_sizes(name, "stride", stride, spatial)
    dilations = _check_sizes(name, "dilation", dilation, spatial)
    (groups,) = _check_sizes(name, "groups", groups, 1)
    if w.ndim != spatial + 2 or 0 in w.shape:
        raise ValueError(
            f"{name}: a weight of shape {w.shape}; it needs {spatial + 2} axes, (channels out, "
            f"channels in / groups, {_KERNEL_AXES[spatial]}), none of them empty"
        )
    if x.shape[1] != w.shape[1] * groups or w.shape[0] % groups:
        raise ValueError(
            f"{name}: an input of shape {_drop_batch_axis(x.shape, is_unbatched)}, with "
            f"{x.shape[1]} channels, and a weight of shape {w.shape} do not fit groups={groups}; "
            f"the input needs {w.shape[1]} · {groups} = {w.shape[1] * groups} channels, and the "
            f"weight a number of channels out that {groups} divides"
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
    widths = _padding_widths(name, padding, kernel, strides, dilations)
    op = Convolution(kernel, strides, widths, dilations, groups)
    return _apply(op, is_unbatched, x, *parameters)


# ---------------------------------------------------------------------------- pooling


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
    x, is_unbatched = _add_batch_axis("max_pool2d", 2, input)
    windows = _check_windows("max_pool2d", x, kernel_size, stride, padding, dilation, ceil_mode)
    return _apply(MaxPool(*windows), is_unbatched, x)


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
    x, is_unbatched = _add_batch_axis("avg_pool2d", 2, input)
    if divisor_override == 0:
        raise ValueError("avg_pool2d: divisor_override must not be 0; None divides by the count")
    kernel, strides, widths, _ = _check_windows(
        "avg_pool2d", x, kernel_size, stride, padding, 1, ceil_mode
    )
    counted = tuple((before, before) if count_include_pad else (0, 0) for before, _ in widths)
    return _apply(AveragePool(kernel, strides, widths, counted, divisor_override), is_unbatched, x)


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
    kernel = _check_sizes(name, "kernel_size", kernel_size, 2)
    strides = kernel if stride is None else _check_sizes(name, "stride", stride, 2)
    dilations = _check_sizes(name, "dilation", dilation, 2)
    paddings = _check_sizes(name, "padding", padding, 2, least=0)
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


# ---------------------------------------------------------------------------- normalisation


@scope
def batch_norm(
    input: Any,
    running_mean: Any,
    running_var: Any,
    weight: Any = None,
    bias: Any = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Any:
    """(x - μ) / √(σ² + eps) · weight + bias, for each channel of `input`, (N, C) or (N, C, …).

    In training, μ and σ² are mean and variance over all axes but the channel axis, and the running
    statistics, arrays of shape (C,) or None, are updated in place:
    running = (1 - momentum) running + momentum μ, and likewise for the variance, with the unbiased
    estimate σ² n / (n - 1). Otherwise μ and σ² are the running statistics. `weight` and `bias` have
    shape (C,) too.

    Raises ValueError for shapes that do not fit, for running statistics that are missing or cannot
    be written to, and in training for fewer than two values per channel. Source: S. Ioffe and C.
    Szegedy, "Batch normalization", 2015.

    >>> mean, variance = np.zeros(2), np.ones(2)
    >>> x = np.array([[1.0, 6.0], [3.0, 2.0]])
    >>> batch_norm(x, mean, variance, training=True).round(3)
    array([[-1.,  1.],
           [ 1., -1.]])
    >>> mean, variance
    (array([0.2, 0.4]), array([1.1, 1.7]))
    """
    x = as_floats(input)
    if x.ndim < 2:
        raise ValueError(
            f"batch_norm: an input of shape {x.shape}; it needs an axis of examples and one of "
            "channels: (N, C) or (N, C, …)"
        )
    channels = x.shape[1:2]
    weight, bias = _check_weight_and_bias("batch_norm", x, channels, weight, bias)
    running = _check_running(x, running_mean, running_var, training)
    if not training:
        # Copies, as training may update the running statistics before this graph's backward.
        wide = widen(x)
        mean, variance = (_align_channels(unwrap(each).astype(wide.dtype), x) for each in running)
        out = (wide - mean) / np.sqrt(variance + eps)
        if weight is not None:
            out = out * _align_channels(weight, x)
        if bias is not None:
            out = out + _align_channels(bias, x)
        return out.astype(x.dtype) if wide is not x else out
    axes = (0, *range(2, x.ndim))
    n = math.prod(x.shape[axis] for axis in axes)
    if n < 2:
        raise ValueError(
            f"batch_norm: an input of shape {x.shape} has {n} values per channel, and in training "
            "their variance needs at least 2; give a larger batch, or pass training=False"
        )
    op = Normalise(axes, (1,), eps)
    op.saved = op.statistics(unwrap(x))  # once, for the running statistics too
    out = _normalise(op, x, weight, bias)
    if running:
        batch = op.saved.mean.reshape(-1), op.saved.variance.reshape(-1) * (n / (n - 1))
        _update_running(running, batch, momentum)
    return out


def layer_norm(
    input: Any,
    normalized_shape: Size,
    weight: Any = None,
    bias: Any = None,
    eps: float = 1e-5,
) -> Any:
    """(x - μ) / √(σ² + eps) · weight + bias, with mean and variance over the last axes.

    `normalized_shape` is the shape of `input` along these axes, and of `weight` and `bias`. A row
    of equal numbers becomes 0 (plus `bias`). Raises ValueError for shapes that do not fit.
    Source: J. L. Ba, J. R. Kiros and G. E. Hinton, "Layer normalization", 2016.

    >>> layer_norm(np.array([[1.0, 3.0], [2.0, 2.0]]), 2).round(3)
    array([[-1.,  1.],
           [ 0.,  0.]])
    """
    x = as_floats(input)
    shape = _check_integers("layer_norm", "normalized_shape", normalized_shape)
    if not shape or 0 in shape or x.shape[-len(shape) :] != shape:
        raise ValueError(
            f"layer_norm: an input of shape {x.shape} and normalized_shape={shape}; the latter "
            "must be the lengths of the input's last axes, at least one, and none of them 0"
        )
    weight, bias = _check_weight_and_bias("layer_norm", x, shape, weight, bias)
    axes = tuple(range(x.ndim - len(shape), x.ndim))
    return _normalise(Normalise(axes, axes, eps), x, weight, bias)


def _normalise(op: Normalise, x: Any, weight: Any, bias: Any) -> Any:
    if weight is None and bias is not None:
        weight = np.ones(bias.shape, x.dtype)
    return op(x, *(parameter for parameter in (weight, bias) if parameter is not None))


def _check_weight_and_bias(
    name: str, x: Any, shape: tuple[int, ...], weight: Any, bias: Any
) -> list[Any]:
    """Weight and bias as arrays or Tensors of floats, or None; raises ValueError for others."""
    parameters = [None if each is None else as_floats(each) for each in (weight, bias)]
    for argument, each in zip(("weight", "bias"), parameters, strict=True):
        if each is not None and each.shape != shape:
            raise ValueError(
                f"{name}: a {argument} of shape {each.shape} for an input of shape {x.shape}; it "
                f"must have shape {shape}"
            )
    return parameters


def _check_running(x: Any, mean: Any, variance: Any, training: bool) -> tuple[Any, ...]:
    """The running statistics, () if there are none; raises ValueError or TypeError for others."""
    if training and mean is None and variance is None:
        return ()
    for name, each in (("running_mean", mean), ("running_var", variance)):
        if each is None:
            raise ValueError(
                f"batch_norm: {name} is None; give both running statistics, arrays of shape "
                f"{x.shape[1:2]}, or, with training=True, neither"
            )
        if (
            not isinstance(each, (np.ndarray, Tensor))
            or each.dtype.kind != "f"
            or (isinstance(each, Tensor) and each.requires_grad)
        ):
            raise TypeError(
                f"batch_norm: {name} must be an array of floats, or a Tensor of them that requires "
                f"no gradient, as it is updated in place; it is {each!r}"
            )
        if each.shape != x.shape[1:2]:
            raise ValueError(
                f"batch_norm: {name} of shape {each.shape} for an input of shape {x.shape}; it "
                f"needs one number for each channel: {x.shape[1:2]}"
            )
        if training and not unwrap(each).flags.writeable:
            raise ValueError(f"batch_norm: {name} is read-only and cannot be updated; copy it")
    return mean, variance


def _update_running(running: tuple[Any, ...], batch: tuple[Any, ...], momentum: float) -> None:
    """Update both running statistics, or neither: an error comes before anything is written."""
    updated = [
        (1 - momentum) * unwrap(each) + momentum * new
        for each, new in zip(running, batch, strict=True)
    ]
    for each, values in zip(running, updated, strict=True):
        np.copyto(unwrap(each), values, casting="same_kind")
        if isinstance(each, Tensor):
            each.mark_changed()


def _align_channels(parameter: Any, x: Any) -> Any:
    """(C,) as (C, 1, …), which broadcasts against x of shape (N, C, …)."""
    return reshape(parameter, (-1, *(1 for _ in x.shape[2:])))


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


def _check_integers(name: str, argument: str, value: Size) -> tuple[int, ...]:
    try:
        return tuple(map(operator.index, value if isinstance(value, Sequence) else [value]))
    except TypeError:
        raise TypeError(
            f"{name}: {argument} must be an integer, or a sequence of them, not {value!r}"
        ) from None


def _check_sizes(name: str, argument: str, value: Size, spatial: int, least: int = 1) -> Sizes:
    """A setting as one integer for each spatial axis."""
    sizes = _check_integers(name, argument, value)
    if len(sizes) == 1:
        sizes *= spatial
    if len(sizes) != spatial or min(sizes) < least:
        raise ValueError(
            f"{name}: {argument}={value}; it must be an integer of at least {least}"
            + (f", or {spatial} of them, one for each spatial axis" if spatial > 1 else "")
        )
    return sizes


def _padding_widths(
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
    widths = _check_sizes(name, "padding", padding, len(kernel), least=0)
    return tuple((width, width) for width in widths)
