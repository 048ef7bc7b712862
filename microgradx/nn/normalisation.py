"""Normalisation as modules: of batches, with running statistics, and of single examples."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from microgradx.arrays.types import as_floats
from microgradx.engine import Tensor, as_tensor
from microgradx.nn.arguments import Size, check_integers, check_sizes
from microgradx.nn.functional_normalisation import batch_norm, layer_norm, rms_norm
from microgradx.nn.module import Module

__all__ = ["BatchNorm1d", "BatchNorm2d", "LayerNorm", "RMSNorm"]


class _BatchNorm(Module):
    """What the batch normalisations share; see `BatchNorm1d`."""

    #: The shapes of the inputs that a subclass takes, by their number of axes.
    _shapes: ClassVar[Mapping[int, str]]

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        *,
        dtype: Any = np.float32,
    ) -> None:
        name = type(self).__name__
        (self.num_features,) = check_sizes(name, "num_features", num_features, 1)
        self.eps = _check_eps(name, eps)
        if momentum is not None and not 0 <= momentum <= 1:
            raise ValueError(f"{name}: momentum={momentum}; it must be from 0 to 1, or None")
        self.momentum = momentum
        zeros, ones = np.zeros(num_features, dtype), np.ones(num_features, dtype)
        self.weight = Tensor(ones, requires_grad=True) if affine else None
        self.bias = Tensor(zeros, requires_grad=True) if affine else None
        self.register_buffer("running_mean", zeros if track_running_stats else None)
        self.register_buffer("running_var", ones if track_running_stats else None)
        self.register_buffer("num_batches_tracked", 0 if track_running_stats else None)

    running_mean: Tensor | None
    running_var: Tensor | None
    num_batches_tracked: Tensor | None

    def forward(self, x: Any) -> Any:
        x = as_floats(x) if self.weight is None else as_tensor(x, self.weight.dtype)
        if x.ndim not in self._shapes or x.shape[1] != self.num_features:
            raise ValueError(
                f"an input of shape {x.shape} does not fit {self!r}; it must have shape "
                f"{' or '.join(self._shapes.values())} with C = {self.num_features}"
            )
        count = self.num_batches_tracked if self.training else None
        momentum = self.momentum
        if momentum is None:  # each batch has the same weight in the mean of all
            momentum = 0.0 if count is None else 1 / (count.data + 1)
        out = batch_norm(
            x,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            self.training or self.running_mean is None,
            momentum,
            self.eps,
        )
        if count is not None:
            count.data = count.data + 1
        return out

    def extra_repr(self) -> str:
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, "
            f"affine={self.weight is not None}, "
            f"track_running_stats={self.running_mean is not None}"
        )


class BatchNorm1d(_BatchNorm):
    """(x - μ) / √(σ² + eps) · weight + bias, for each channel of x, (N, C) or (N, C, L).

    In training, μ and σ² are those of the batch, and the buffers `running_mean` and `running_var`
    follow them: running = (1 - momentum) running + momentum new, with the unbiased variance, or,
    with `momentum=None`, as means of all batches, which `num_batches_tracked` counts. After
    `eval()`, μ and σ² are these buffers. `affine=False` leaves out weight and bias;
    `track_running_stats=False` leaves out the buffers, and batches are normalised by themselves.

    >>> import microgradx as mg
    >>> norm = mg.nn.BatchNorm1d(2)
    >>> norm(np.array([[1.0, 6.0], [3.0, 2.0]])).data.round(3)
    array([[-1.,  1.],
           [ 1., -1.]], dtype=float32)
    >>> norm.running_mean, norm.num_batches_tracked
    (Tensor([0.2, 0.4], dtype=float32), Tensor(1))

    Raises ValueError for an input of another shape, and in training for fewer than two values per
    channel. Source: S. Ioffe and C. Szegedy, "Batch normalization", 2015.
    """

    _shapes: ClassVar = {2: "(N, C)", 3: "(N, C, L)"}


class BatchNorm2d(_BatchNorm):
    """`BatchNorm1d` for images, (N, C, H, W): mean and variance are over N, H and W.

    >>> import microgradx as mg
    >>> mg.nn.BatchNorm2d(3)(np.ones((5, 3, 8, 8))).shape
    (5, 3, 8, 8)
    """

    _shapes: ClassVar = {4: "(N, C, H, W)"}


class LayerNorm(Module):
    """(x - μ) / √(σ² + eps) · weight + bias, with mean and variance over the last axes.

    `normalized_shape` is the shape of the input along these axes, or, of a single one, its length.
    `elementwise_affine=False` leaves out weight and bias, `bias=False` the bias.

    >>> import microgradx as mg
    >>> mg.nn.LayerNorm(2)(np.array([[1.0, 3.0], [2.0, 2.0]])).data.round(3)
    array([[-1.,  1.],
           [ 0.,  0.]], dtype=float32)

    Raises ValueError for an input of another shape. Source: J. L. Ba, J. R. Kiros and G. E. Hinton,
    "Layer normalization", 2016.
    """

    def __init__(
        self,
        normalized_shape: Size,
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        *,
        dtype: Any = np.float32,
    ) -> None:
        shape = _check_shape("LayerNorm", normalized_shape)
        self.normalized_shape = shape
        self.eps = _check_eps("LayerNorm", eps)
        has_bias = elementwise_affine and bias
        self.weight = Tensor(np.ones(shape, dtype), True) if elementwise_affine else None
        self.bias = Tensor(np.zeros(shape, dtype), True) if has_bias else None

    def forward(self, x: Any) -> Any:
        x = as_floats(x) if self.weight is None else as_tensor(x, self.weight.dtype)
        return layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return (
            f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.weight is not None}"
        )


class RMSNorm(Module):
    """x / √(mean x² + eps) · weight, with the mean over the last axes: `LayerNorm` without μ.

    `normalized_shape` is the shape of the input along these axes, or, of a single one, its length;
    `eps` is by default the distance from 1 to the next number, of float32 for float16.
    `elementwise_affine=False` leaves out the weight.

    >>> import microgradx as mg
    >>> mg.nn.RMSNorm(2)(np.array([[1.0, 7.0]])).data
    array([[0.2, 1.4]], dtype=float32)

    Raises ValueError for an input of another shape. Source: B. Zhang and R. Sennrich, "Root mean
    square layer normalization", 2019.
    """

    def __init__(
        self,
        normalized_shape: Size,
        eps: float | None = None,
        elementwise_affine: bool = True,
        *,
        dtype: Any = np.float32,
    ) -> None:
        shape = _check_shape("RMSNorm", normalized_shape)
        self.normalized_shape = shape
        self.eps = None if eps is None else _check_eps("RMSNorm", eps)
        self.weight = Tensor(np.ones(shape, dtype), True) if elementwise_affine else None

    def forward(self, x: Any) -> Any:
        x = as_floats(x) if self.weight is None else as_tensor(x, self.weight.dtype)
        return rms_norm(x, self.normalized_shape, self.weight, self.eps)

    def extra_repr(self) -> str:
        return (
            f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.weight is not None}"
        )


def _check_eps(name: str, eps: float) -> float:
    if not 0 <= eps < math.inf:
        raise ValueError(f"{name}: eps={eps}; it must be a small number from 0 up")
    return eps


def _check_shape(name: str, normalized_shape: Size) -> tuple[int, ...]:
    shape = check_integers(name, "normalized_shape", normalized_shape)
    if not shape or min(shape) < 1:
        raise ValueError(
            f"{name}: normalized_shape={shape}; it must have the lengths of the last axes of the "
            "input, at least one, and each 1 or more"
        )
    return shape
