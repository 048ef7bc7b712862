"""Derivatives as limits of difference quotients, taken numerically.

Central differences of two steps are extrapolated to the step 0 (L. F. Richardson, 1911), which
leaves an error of O(h⁴), so that the step may be large enough for rounding not to matter. Where
that is not what the rule says, the quotient is looked at more closely, with ever smaller steps
(C. J. F. Ridders, "Accurate computation of F'(x)", 1982), and from both sides.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from microgradx.arrays.types import Array
from microgradx.engine import Tensor
from microgradx.graph.grad_mode import no_grad

__all__ = ["Differences", "Slope"]


@dataclass(frozen=True)
class Slope:
    """A derivative by differences: its value, how far that may be off, and from either side."""

    value: float
    error: float
    left: float
    right: float
    noise: float  # what rounding makes of left and right
    before: float  # how far apart they were with a step three times as large

    @property
    def is_kink(self) -> bool:
        """Whether the slopes from both sides stay apart, however near."""
        apart = abs(self.right - self.left)
        # In a smooth function they come nearer as the step does, until rounding drives them apart;
        # at a kink they stay, and at a jump they part by more than rounding could.
        stay = 0.6 * self.before + 10 * self.noise < apart < 1.7 * self.before
        return stay or apart > 1e8 * self.noise > 0

    @property
    def is_edge(self) -> bool:
        """Whether the function is not defined, or infinite, on one side."""
        return bool(np.isfinite(self.left) != np.isfinite(self.right))


class Differences:
    """Differences of a function's outputs, when one element of one input is moved.

    `function` takes the Tensors and gives a list of Tensors. The outputs count as one long vector,
    and its elements weigh as `weights` say.
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

    def moved(self, i: int, index: tuple[int, ...], offset: float) -> tuple[float, Array]:
        """How far the element could be moved by about `offset`, and the outputs there."""
        data = self.tensors[i].data
        here = data[index].copy()
        try:
            data[index] = here + offset
            return float(data[index]) - float(here), self.outputs()
        finally:
            data[index] = here

    def central(self, i: int, index: tuple[int, ...], step: float) -> tuple[Array, float]:
        """The quotient (f(x + h) - f(x - h)) / 2h of each output, and its error by rounding.

        The error is that of the weighted sum, if each output is rounded as its dtype is.
        """
        ahead, after = self.moved(i, index, step)
        behind, before = self.moved(i, index, -step)
        width = ahead - behind
        with np.errstate(all="ignore"):
            size = float(np.sum(np.abs(self.weights * after)))
            return (after - before) / width, self.precision * size / width

    def column(self, i: int, index: tuple[int, ...]) -> tuple[Array, float]:
        """The derivative of each output by the element, and the rounding error of their sum."""
        step = self.step_at(i, index)
        coarse, _ = self.central(i, index, step)
        fine, noise = self.central(i, index, step / 2)
        return (4 * fine - coarse) / 3, 4 * noise

    def step_at(self, i: int, index: tuple[int, ...]) -> float:
        return self.step * max(1.0, abs(float(self.tensors[i].data[index])))

    def slope(self, i: int, index: tuple[int, ...]) -> Slope:
        """The derivative of the weighted sum, as near as steps of any size come to it."""
        step = 30 * self.step_at(i, index)
        smallest = 4 * self.precision * max(abs(float(self.tensors[i].data[index])), 1e-12)
        here = self.outputs()
        best, error = np.nan, np.inf
        left, right, rounding, before = np.nan, np.nan, 0.0, 0.0
        previous: list[float] = []
        while step > smallest:
            quotient, noise = self.central(i, index, step)
            row = [self.weighed(quotient)]
            for order, older in enumerate(previous, start=1):
                factor = 9.0**order
                row.append((factor * row[-1] - older) / (factor - 1))
                doubt = max(abs(row[-1] - row[-2]), abs(row[-1] - older)) + noise
                # What a smaller step refutes was a chance agreement of steps that were too large.
                if doubt < error or abs(row[-1] - best) > 1e3 * (error + doubt):
                    best, error = row[-1], doubt
            previous = row[:8] if np.isfinite(row[0]) else []
            # From one side the error is O(h), so the smallest step that is not all rounding.
            if not noise > 1e-6 * max(abs(left), abs(right), abs(row[0])):
                before = abs(right - left)
                right = self.one_sided(i, index, step, here)
                left = self.one_sided(i, index, -step, here)
                rounding = 2 * noise if np.isfinite(noise) else 0.0
            elif noise > 100 * error:
                break  # nothing but rounding from here on
            step /= 3
        return Slope(best, error, left, right, rounding, before)

    def one_sided(self, i: int, index: tuple[int, ...], step: float, here: Array) -> float:
        offset, there = self.moved(i, index, step)
        with np.errstate(all="ignore"):
            return self.weighed((there - here) / offset)

    def weighed(self, column: Array) -> float:
        with np.errstate(all="ignore"):
            return float(np.sum(self.weights * column))

    def is_stepped(self, i: int, index: tuple[int, ...]) -> bool:
        """Whether the outputs do not move at all with a step that float64 would show."""
        _, after = self.moved(i, index, 1e-6 * self.step_at(i, index))
        return bool(np.array_equal(after, self.outputs(), equal_nan=True))
