"""Pooling as modules."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from microgradx.nn.arguments import Size, check_sizes
from microgradx.nn.functional_convolution import (
    adaptive_avg_pool1d,
    adaptive_avg_pool2d,
    avg_pool1d,
    avg_pool2d,
    max_pool1d,
    max_pool2d,
)
from microgradx.nn.module import Module

__all__ = [
    "AdaptiveAvgPool1d",
    "AdaptiveAvgPool2d",
    "AvgPool1d",
    "AvgPool2d",
    "MaxPool1d",
    "MaxPool2d",
]


class _Pool(Module):
    """What the poolings with a window share. The settings are those of the function."""

    _pool: ClassVar[Callable[..., Any]]
    _spatial: ClassVar[int]

    def __init__(
        self, kernel_size: Size, stride: Size | None, padding: Size, ceil_mode: bool
    ) -> None:
        name, spatial = type(self).__name__, self._spatial
        check_sizes(name, "kernel_size", kernel_size, spatial)
        check_sizes(name, "stride", kernel_size if stride is None else stride, spatial)
        check_sizes(name, "padding", padding, spatial, least=0)
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding = padding
        self.ceil_mode = ceil_mode

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class _MaxPool(_Pool):
    def __init__(
        self,
        kernel_size: Size,
        stride: Size | None = None,
        padding: Size = 0,
        dilation: Size = 1,
        *,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__(kernel_size, stride, padding, ceil_mode)
        check_sizes(type(self).__name__, "dilation", dilation, self._spatial)
        self.dilation = dilation

    def forward(self, x: Any) -> Any:
        settings = self.stride, self.padding, self.dilation, self.ceil_mode
        return self._pool(x, self.kernel_size, *settings)


class MaxPool1d(_MaxPool):
    """The largest element in a window along signals: `nn.functional.max_pool1d`.

    >>> import numpy as np
    >>> MaxPool1d(2)(np.array([[1.0, 3.0, 4.0, 2.0]]))
    array([[3., 4.]])
    """

    _pool = staticmethod(max_pool1d)
    _spatial = 1


class MaxPool2d(_MaxPool):
    """The largest element in a window at each of its positions: `nn.functional.max_pool2d`.

    >>> import numpy as np
    >>> MaxPool2d(2)(np.ones((5, 3, 8, 8))).shape
    (5, 3, 4, 4)
    """

    _pool = staticmethod(max_pool2d)
    _spatial = 2


class AvgPool1d(_Pool):
    """The mean of the elements in a window along signals: `nn.functional.avg_pool1d`.

    >>> import numpy as np
    >>> AvgPool1d(2)(np.array([[1.0, 3.0, 4.0, 2.0]]))
    array([[2., 3.]])
    """

    _pool = staticmethod(avg_pool1d)
    _spatial = 1

    def __init__(
        self,
        kernel_size: Size,
        stride: Size | None = None,
        padding: Size = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:
        super().__init__(kernel_size, stride, padding, ceil_mode)
        self.count_include_pad = count_include_pad

    def forward(self, x: Any) -> Any:
        settings = self.stride, self.padding, self.ceil_mode, self.count_include_pad
        return self._pool(x, self.kernel_size, *settings)


class AvgPool2d(AvgPool1d):
    """The mean of the elements in a window at each of its positions: `nn.functional.avg_pool2d`.

    >>> import numpy as np
    >>> AvgPool2d(2)(np.ones((5, 3, 8, 8))).shape
    (5, 3, 4, 4)
    """

    _pool = staticmethod(avg_pool2d)
    _spatial = 2

    def __init__(
        self,
        kernel_size: Size,
        stride: Size | None = None,
        padding: Size = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> None:
        super().__init__(kernel_size, stride, padding, ceil_mode, count_include_pad)
        self.divisor_override = divisor_override

    def forward(self, x: Any) -> Any:
        settings = self.stride, self.padding, self.ceil_mode, self.count_include_pad
        return self._pool(x, self.kernel_size, *settings, self.divisor_override)


class AdaptiveAvgPool1d(Module):
    """Means of parts of signals, as many as `output_size`: `nn.functional.adaptive_avg_pool1d`.

    >>> import numpy as np
    >>> AdaptiveAvgPool1d(2)(np.array([[1.0, 3.0, 4.0, 2.0]]))
    array([[2., 3.]])
    """

    _pool: ClassVar[Callable[..., Any]] = staticmethod(adaptive_avg_pool1d)
    _spatial = 1

    def __init__(self, output_size: int | Sequence[int | None] | None) -> None:
        sizes = output_size if isinstance(output_size, Sequence) else (output_size,)
        known = [1 if size is None else size for size in sizes]  # None: that of the image
        check_sizes(type(self).__name__, "output_size", known, self._spatial)
        self.output_size = output_size

    def forward(self, x: Any) -> Any:
        return self._pool(x, self.output_size)

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"


class AdaptiveAvgPool2d(AdaptiveAvgPool1d):
    """Means of parts of images, as many as `output_size`: `nn.functional.adaptive_avg_pool2d`.

    `AdaptiveAvgPool2d(1)` takes the mean of each channel of an image of any size.

    >>> import numpy as np
    >>> AdaptiveAvgPool2d(1)(np.ones((5, 3, 8, 8))).shape
    (5, 3, 1, 1)
    """

    _pool = staticmethod(adaptive_avg_pool2d)
    _spatial = 2
