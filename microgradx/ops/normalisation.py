"""Normalisation to mean 0 and variance 1, for batch and layer normalisation."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from microgradx.arrays.summation import mean_along, sum_along, widen
from microgradx.engine import Op

__all__ = ["Normalise"]


class Statistics(NamedTuple):
    """Arrays or Tensors; all but `normalised` have length 1 along the reduced axes."""

    mean: Any
    variance: Any  # biased: the mean of the squared deviations
    deviation: Any  # √(variance + ε)
    normalised: Any


class Normalise(Op):
    """x with mean 0 and variance 1 over `axes`, then times y and plus z, if they are given.

    y and z have the lengths of x along `parameter_axes`. No axis is negative.

    >>> Normalise(axes=(0,), parameter_axes=(1,), eps=0)(np.array([[1.0, 5.0], [3.0, 1.0]]))
    array([[-1.,  1.],
           [ 1., -1.]])
    """

    formula = "(x - μ) / √(σ² + ε) · y + z"

    def __init__(
        self, axes: tuple[int, ...], parameter_axes: tuple[int, ...], eps: float = 1e-5
    ) -> None:
        self.axes = axes
        self.parameter_axes = parameter_axes
        self.eps = eps

    @property
    def derivatives(self) -> tuple[Any, ...]:  # type: ignore[override]
        return self.by_x, self.by_y, self.by_z

    def statistics(self, x) -> Statistics:
        if self.saved is not None and isinstance(x, np.ndarray):
            return self.saved  # type: ignore[no-any-return]
        x = widen(x)
        mean = self.mean(x)
        centred = x - mean
        variance = self.mean(centred * centred)
        deviation = np.sqrt(variance + self.eps)
        return Statistics(mean, variance, deviation, centred / deviation)

    def forward(self, x, y=None, z=None):
        out = self.statistics(x).normalised
        if y is not None:
            out = out * self.align(y, x)
        if z is not None:
            out = out + self.align(z, x)
        if x.dtype != np.float16:
            return out
        return out.astype(np.result_type(*(each.dtype for each in (x, y, z) if each is not None)))

    def forward_saving(self, x, y=None, z=None):
        self.saved = self.statistics(x)
        return self.forward(x, y, z)

    def by_x(self, g, out, x, y=None, z=None):
        _, _, deviation, n = self.statistics(x)
        g = widen(g) if y is None else widen(g) * self.align(y, x)
        return (g - self.mean(g) - n * self.mean(g * n)) / deviation

    def by_y(self, g, out, x, y, z=None):
        return sum_along(g * self.statistics(x).normalised, self.other_axes(x))

    def by_z(self, g, out, x, y, z):
        return sum_along(g, self.other_axes(x))

    def mean(self, x):
        return mean_along(x, self.axes, keepdims=True)

    def other_axes(self, x) -> tuple[int, ...]:
        """The axes along which y and z are broadcast."""
        return tuple(axis for axis in range(x.ndim) if axis not in self.parameter_axes)

    def align(self, parameter: Any, x: Any) -> Any:
        """y or z in a shape that broadcasts to the shape of x."""
        return np.expand_dims(parameter, self.other_axes(x))
