"""Batch, layer and root mean square normalisation, with PyTorch's names and arguments."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from microgradx.arrays.summation import widen
from microgradx.arrays.types import as_floats, unwrap
from microgradx.engine import Tensor
from microgradx.graph.scopes import scope
from microgradx.nn.arguments import Size, check_integers
from microgradx.ops.normalisation import Normalise
from microgradx.ops.shapes import reshape

__all__ = ["batch_norm", "layer_norm", "rms_norm"]


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
    shape = _check_last_axes("layer_norm", x, normalized_shape)
    weight, bias = _check_weight_and_bias("layer_norm", x, shape, weight, bias)
    axes = tuple(range(x.ndim - len(shape), x.ndim))
    return _normalise(Normalise(axes, axes, eps), x, weight, bias)


@scope
def rms_norm(
    input: Any, normalized_shape: Size, weight: Any = None, eps: float | None = None
) -> Any:
    """x / √(mean x² + eps) · weight, with the mean over the last axes: `layer_norm` without μ.

    `normalized_shape` is the shape of `input` along these axes, and of `weight`. `eps` is by
    default the distance from 1 to the next number, of float32 for float16. Raises ValueError for
    shapes that do not fit. Source: B. Zhang and R. Sennrich, "Root mean square layer
    normalization", 2019.

    >>> rms_norm(np.array([[1.0, 7.0]]), 2)
    array([[0.2, 1.4]])
    """
    x = as_floats(input)
    shape = _check_last_axes("rms_norm", x, normalized_shape)
    weight, _ = _check_weight_and_bias("rms_norm", x, shape, weight, None)
    wide = widen(x)
    axes = tuple(range(x.ndim - len(shape), x.ndim))
    if eps is None:
        eps = float(np.finfo(np.promote_types(x.dtype, np.float32)).eps)
    out = wide / np.sqrt(np.mean(wide * wide, axis=axes, keepdims=True) + eps)
    if weight is not None:
        out = out * weight
    return out.astype(x.dtype) if wide is not x else out


def _check_last_axes(name: str, x: Any, normalized_shape: Size) -> tuple[int, ...]:
    shape = check_integers(name, "normalized_shape", normalized_shape)
    if not shape or 0 in shape or x.shape[-len(shape) :] != shape:
        raise ValueError(
            f"{name}: an input of shape {x.shape} and normalized_shape={shape}; the latter "
            "must be the lengths of the input's last axes, at least one, and none of them 0"
        )
    return shape


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
        if isinstance(each, Tensor):
            each.data = values
        else:
            np.copyto(each, values, casting="same_kind")


def _align_channels(parameter: Any, x: Any) -> Any:
    """(C,) as (C, 1, …), which broadcasts against x of shape (N, C, …)."""
    return reshape(parameter, (-1, *(1 for _ in x.shape[2:])))
