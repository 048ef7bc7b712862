"""Derivatives by finite differences.

The central differences of two steps are extrapolated to the step 0 (L. F. Richardson, 1911). That
leaves an error of O(h⁴), so the step may be large enough that rounding does not matter. Where the
result differs from the rule's, the derivative is estimated again with ever smaller steps (C. J. F.
Ridders, "Accurate computation of F'(x)", 1982), and from both sides.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from microgradx.arrays.types import Array
from microgradx.engine import Tensor
from microgradx.graph.grad_mode import no_grad

__all__ = ["DerivativeEstimate", "FiniteDifferences"]


@dataclass(frozen=True)
class DerivativeEstimate:
    """A derivative by differences, its possible error, and the slopes from both sides."""

    value: float
    error: float
    left: float
    right: float
    noise: float  # the rounding error of left and right
    previous_gap: float  # |right - left| at a step three times as large

    @property
    def is_kink(self) -> bool:
        """Whether the slopes from the left and the right stay apart as the step shrinks."""
        gap = abs(self.right - self.left)
        # In a smooth function the gap shrinks with the step, until rounding widens it. At a kink
        # it stays the same, and at a jump it grows by more than rounding could.
        is_constant = 0.6 * self.previous_gap + 10 * self.noise < gap < 1.7 * self.previous_gap
        return is_constant or gap > 1e8 * self.noise > 0

    @property
    def is_domain_edge(self) -> bool:
        """Whether the function is undefined, or infinite, on one side."""
        return bool(np.isfinite(self.left) != np.isfinite(self.right))


class FiniteDifferences:
    """Differences of a function's outputs when one element of one input is moved.

    `function` takes the Tensors and returns a list of Tensors. The outputs are concatenated to one
    vector, and the derivative of interest is that of its sum weighted by `weights`. An element is
    given by the position `i` of its input and its `index` in that.
    """

    def __init__(
        self,
        function: Callable[..., list[Tensor]],
        tensors: list[Tensor],
        weights: Array,
        step: float,
        precision: float,
    ) -> None:
        self.function = function
        self.tensors = tensors
        self.weights = weights
        self.step = step
        self.precision = precision

    def outputs(self) -> Array:
        """The outputs as one vector of float64."""
        with no_grad(), np.errstate(all="ignore"):
            parts = [out.data.astype(np.float64).ravel() for out in self.function(*self.tensors)]
        return np.concatenate(parts) if parts else np.zeros(0)

    def outputs_at(self, i: int, index: tuple[int, ...], offset: float) -> tuple[float, Array]:
        """The outputs with the element moved by `offset`, after the rounded offset itself."""
        data = self.tensors[i].data
        value = data[index].copy()
        try:
            data[index] = value + offset
            return float(data[index]) - float(value), self.outputs()
        finally:
            data[index] = value

    def central_difference(
        self, i: int, index: tuple[int, ...], step: float
    ) -> tuple[Array, float]:
        """(f(x + h) - f(x - h)) / 2h for each output, and the rounding error of the weighted sum.

        The error is the one that arises if each output is rounded to its dtype.
        """
        ahead, after = self.outputs_at(i, index, step)
        behind, before = self.outputs_at(i, index, -step)
        width = ahead - behind
        with np.errstate(all="ignore"):
            size = float(np.sum(np.abs(self.weights * after)))
            return (after - before) / width, self.precision * size / width

    def jacobian_column(self, i: int, index: tuple[int, ...]) -> tuple[Array, float]:
        """The derivative of each output by the element, and the rounding error of their sum."""
        step = self.step_for(i, index)
        coarse, _ = self.central_difference(i, index, step)
        fine, noise = self.central_difference(i, index, step / 2)
        return (4 * fine - coarse) / 3, 4 * noise

    def step_for(self, i: int, index: tuple[int, ...]) -> float:
        return self.step * max(1.0, abs(float(self.tensors[i].data[index])))

    def estimate_derivative(self, i: int, index: tuple[int, ...]) -> DerivativeEstimate:
        """The derivative of the weighted sum, by steps of many sizes, as accurate as they allow."""
        step = 30 * self.step_for(i, index)
        smallest = 4 * self.precision * max(abs(float(self.tensors[i].data[index])), 1e-12)
        outputs = self.outputs()
        best, error = np.nan, np.inf
        left, right, rounding, previous_gap = np.nan, np.nan, 0.0, 0.0
        previous: list[float] = []
        while step > smallest:
            quotients, noise = self.central_difference(i, index, step)
            row = [self.weighted_sum(quotients)]
            for order, older in enumerate(previous, start=1):
                factor = 9.0**order
                row.append((factor * row[-1] - older) / (factor - 1))
                doubt = max(abs(row[-1] - row[-2]), abs(row[-1] - older)) + noise
                # If a smaller step contradicts it, large steps had agreed only by chance.
                if doubt < error or abs(row[-1] - best) > 1e3 * (error + doubt):
                    best, error = row[-1], doubt
            previous = row[:8] if np.isfinite(row[0]) else []
            # The error of a one-sided difference is O(h): take the smallest step above rounding.
            if not noise > 1e-6 * max(abs(left), abs(right), abs(row[0])):
                previous_gap = abs(right - left)
                right = self.one_sided_difference(i, index, step, outputs)
                left = self.one_sided_difference(i, index, -step, outputs)
                rounding = 2 * noise if np.isfinite(noise) else 0.0
            elif noise > 100 * error:
                break  # smaller steps would only add rounding errors
            step /= 3
        return DerivativeEstimate(best, error, left, right, rounding, previous_gap)

    def one_sided_difference(
        self, i: int, index: tuple[int, ...], step: float, outputs: Array
    ) -> float:
        offset, moved = self.outputs_at(i, index, step)
        with np.errstate(all="ignore"):
            return self.weighted_sum((moved - outputs) / offset)

    def weighted_sum(self, column: Array) -> float:
        with np.errstate(all="ignore"):
            return float(np.sum(self.weights * column))

    def is_locally_constant(self, i: int, index: tuple[int, ...]) -> bool:
        """Whether a step that float64 would show does not change the outputs at all."""
        _, moved = self.outputs_at(i, index, 1e-6 * self.step_for(i, index))
        return bool(np.array_equal(moved, self.outputs(), equal_nan=True))
