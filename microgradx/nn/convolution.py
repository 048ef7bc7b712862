"""Convolutions as modules."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Literal

import numpy as np

from microgradx.arrays.types import Array
from microgradx.engine import Tensor, as_tensor
from microgradx.nn.arguments import Size, check_sizes
from microgradx.nn.functional_convolution import conv1d, conv2d, padding_widths
from microgradx.nn.initialisation import he_uniform
from microgradx.nn.module import Module
from microgradx.ops.rearrangements import pad

__all__ = ["Conv1d", "Conv2d"]

PaddingMode = Literal["zeros", "reflect", "replicate", "circular"]

#: What numpy.pad calls those that are not of zeros.
_NUMPY_MODES: dict[str, Any] = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}


class _Convolution(Module):
    """What the convolutions share; see `Conv2d`."""

    _convolve: ClassVar[Callable[..., Any]]
    _spatial: ClassVar[int]

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size,
        stride: Size = 1,
        padding: Size | Literal["same", "valid"] = 0,
        dilation: Size = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: PaddingMode = "zeros",
        *,
        initialisation: Callable[..., Array] = he_uniform,
        dtype: Any = np.float32,
        generator: np.random.Generator | None = None,
    ) -> None:
        name = type(self).__name__
        (in_channels,) = check_sizes(name, "in_channels", in_channels, 1)
        (out_channels,) = check_sizes(name, "out_channels", out_channels, 1)
        (groups,) = check_sizes(name, "groups", groups, 1)
        if in_channels % groups or out_channels % groups:
            raise ValueError(
                f"{name}: in_channels={in_channels}, out_channels={out_channels} and groups="
                f"{groups}; groups must divide both numbers of channels"
            )
        if padding_mode not in ("zeros", *_NUMPY_MODES):
            raise ValueError(
                f"{name}: padding_mode={padding_mode!r}; it must be one of zeros, "
                + ", ".join(_NUMPY_MODES)
            )
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.kernel_size = check_sizes(name, "kernel_size", kernel_size, self._spatial)
        self.stride = check_sizes(name, "stride", stride, self._spatial)
        self.dilation = check_sizes(name, "dilation", dilation, self._spatial)
        self.padding = padding
        self.groups = groups
        self.padding_mode = padding_mode
        self._widths = padding_widths(name, padding, self.kernel_size, self.stride, self.dilation)
        shape = (out_channels, in_channels // groups, *self.kernel_size)
        self.weight = Tensor(initialisation(shape, generator=generator, dtype=dtype), True)
        self.bias = Tensor(np.zeros(out_channels, dtype), True) if bias else None

    def forward(self, x: Any) -> Tensor:
        x, padding = as_tensor(x, self.weight.dtype), self.padding
        if self.padding_mode != "zeros":
            widths = [*[(0, 0)] * (x.ndim - self._spatial), *self._widths]
            x, padding = pad(x, widths, mode=_NUMPY_MODES[self.padding_mode]), 0
        settings = self.stride, padding, self.dilation, self.groups
        return self._convolve(x, self.weight, self.bias, *settings)  # type: ignore[no-any-return]

    def extra_repr(self) -> str:
        settings = [f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}"]
        defaults = {"stride": (1,) * self._spatial, "padding": 0, "dilation": (1,) * self._spatial}
        defaults |= {"groups": 1, "padding_mode": "zeros"}
        for name, default in defaults.items():
            if (value := getattr(self, name)) != default:
                settings.append(f"{name}={value!r}")
        return ", ".join([*settings, *["bias=False"] * (self.bias is None)])


class Conv1d(_Convolution):
    """Slides weights along signals, (N, C, L) or (C, L): `nn.functional.conv1d`.

    `weight` has shape (out_channels, in_channels / groups, kernel_size); the settings are those of
    `Conv2d`.

    >>> import microgradx as mg
    >>> mg.nn.Conv1d(2, 4, kernel_size=3, padding="same")(np.ones((5, 2, 20))).shape
    (5, 4, 20)
    """

    _convolve = staticmethod(conv1d)
    _spatial = 1


class Conv2d(_Convolution):
    """Slides weights over images, (N, C, H, W) or (C, H, W): `nn.functional.conv2d`.

    `weight`, of shape (out_channels, in_channels / groups, *kernel_size), is drawn by
    `initialisation`, a function as `Linear` takes it; `bias`, of shape (out_channels,), starts at
    0, or is None with `bias=False`. What `stride`, `padding` (also "same" and "valid"), `dilation`
    and `groups` mean, and the size of the result, is said in `nn.functional.conv2d`. The padding is
    of zeros, or, by `padding_mode`, a mirror image ("reflect"), the pixels of the edge
    ("replicate"), or those of the opposite edge ("circular"). Inputs are cast to the dtype of the
    parameters.

    >>> import microgradx as mg
    >>> layer = mg.nn.Conv2d(1, 4, kernel_size=3, stride=2, padding=1)
    >>> layer(np.ones((5, 1, 8, 8))).shape, layer.weight.shape
    ((5, 4, 4, 4), (4, 1, 3, 3))

    Raises ValueError for settings, and for inputs, that do not fit.
    """

    _convolve = staticmethod(conv2d)
    _spatial = 2
