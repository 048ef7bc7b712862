"""Derivatives by finite differences.

The central differences of two steps are extrapolated to the step 0 (L. F. Richardson, 1911). That
leaves an error of O(h⁴), so the step may be large enough that rounding does not matter. Where the
result differs from the rule's, the derivative is estimated again with ever smaller steps (C. J. F.
Ridders, "Accurate computation of F'(x)", 1982), and how the slopes from both sides behave as the
step shrinks tells a kink or a jump from a step that is too large, or a function that is too noisy.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from microgradx.arrays.types import Array
from microgradx.engine import Tensor
from microgradx.graph.grad_mode import no_grad

__all__ = ["DerivativeEstimate", "FiniteDifferences"]

SIDES = ("left", "right")


@dataclass(frozen=True)
class DerivativeEstimate:
    """A derivative by differences, its possible error, and how the slopes behave.

    `behaviour` is "smooth", or the reason why there is no derivative: "kink", "jump", "steep" (the
    slope grows without bound) or "domain edge" (on one side the function is not finite).
    """

    value: float
    error: float
    behaviour: str = "smooth"
    left: float = np.nan  # the slopes from both sides, with the smallest step that tells them apart
    right: float = np.nan
    step: float = np.nan  # the smallest step tried
    is_noisy: bool = False  # whether the function's rounding errors are larger than its dtype's
    is_flat: bool = False  # whether the smallest steps do not change the function at all

    @property
    def has_derivative(self) -> bool:
        return self.behaviour == "smooth"


@dataclass(frozen=True)
class _Slopes:
    """The slopes to the left and the right of a point, and the rounding error of both."""

    left: float
    right: float
    left_change: float  # of the function: the slope times the step, as rounded
    right_change: float
    central: float
    noise: float
    step: float

    @property
    def gap(self) -> float:
        return abs(self.right - self.left)


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
        self.used = slice(None) if np.all(weights) else np.flatnonzero(weights)
        self.step = step
        self.precision = precision

    def with_weights(self, weights: Array) -> FiniteDifferences:
        return FiniteDifferences(self.function, self.tensors, weights, self.step, self.precision)

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
    ) -> tuple[Array, Array]:
        """(f(x + h) - f(x - h)) / 2h for each output, and the rounding error of each.

        The error is the one that arises if each output is rounded to its dtype.
        """
        ahead, after = self.outputs_at(i, index, step)
        behind, before = self.outputs_at(i, index, -step)
        width = ahead - behind
        with np.errstate(all="ignore"):
            return (after - before) / width, self.precision * np.abs(after) / width

    def jacobian_column(self, i: int, index: tuple[int, ...]) -> tuple[Array, Array]:
        """The derivative of each output by the element, and the rounding error of each."""
        step = self.step_for(i, index)
        coarse, _ = self.central_difference(i, index, step)
        fine, noise = self.central_difference(i, index, step / 2)
        return (4 * fine - coarse) / 3, 4 * noise

    def step_for(self, i: int, index: tuple[int, ...]) -> float:
        return self.step * max(1.0, abs(self._value(i, index)))

    def weighted_sum(self, column: Array) -> float:
        """The sum over the outputs that have a weight."""
        with np.errstate(all="ignore"):
            return float(self.weights[self.used] @ column[self.used])

    def weighted_size(self, column: Array) -> float:
        """The same of absolute values."""
        with np.errstate(all="ignore"):
            return float(np.abs(self.weights[self.used]) @ np.abs(column[self.used]))

    def is_locally_constant(self, i: int, index: tuple[int, ...]) -> bool:
        """Whether a step that float64 would show does not change the outputs at all."""
        _, moved = self.outputs_at(i, index, 1e-6 * self.step_for(i, index))
        return bool(np.array_equal(moved, self.outputs(), equal_nan=True))

    def estimate_derivative(self, i: int, index: tuple[int, ...]) -> DerivativeEstimate:
        """The derivative of the weighted sum, by steps of many sizes, as accurate as they allow."""
        outputs, step = self.outputs(), 30 * self.step_for(i, index)
        moved = [self.outputs_at(i, index, offset)[1] != outputs for offset in (step, -step)]
        is_moved = np.any(moved, axis=0)
        # Rounding could hide only so much of a slope in the outputs that so large a step leaves.
        hidden = self.precision * self.weighted_size(np.where(is_moved, 0, outputs)) / step
        if not np.any(is_moved & (self.weights != 0)):
            return DerivativeEstimate(0.0, hidden, step=step, is_flat=True)
        differences = self.with_weights(np.where(is_moved, self.weights, 0))
        estimate = differences._estimate_by_all_steps(i, index, outputs)
        return replace(estimate, error=estimate.error + hidden)

    def _estimate_by_all_steps(
        self, i: int, index: tuple[int, ...], outputs: Array
    ) -> DerivativeEstimate:
        rounding, is_noisy = self._evaluation_noise(i, index, outputs)
        value, error, step = np.nan, np.inf, np.nan
        tried: list[_Slopes] = []
        extrapolation = _Extrapolation()
        for step in self._shrinking_steps(i, index):
            tried.append(self._slopes(i, index, step, outputs, rounding))
            extrapolation.add(tried[-1])
            value, error = extrapolation.value, extrapolation.error
            is_exact = 100 * error < min(tried[-1].noise, 1e-5 * abs(value))
            if is_exact and _is_confirmed(value, error, tried) and _is_gap_closing(tried[-3:]):
                break  # smaller steps would only add rounding errors
        tried = [each for each in tried if np.isfinite(each.central)]
        behaviour, left, right = _classify(tried)
        changes = [max(abs(each.left_change), abs(each.right_change)) for each in tried]
        least_change = min([change for change in changes if change > 0], default=0.0)
        largest_change = max(changes, default=np.inf)
        is_flat = bool(changes) and changes[-1] == 0
        if is_flat and rounding < least_change < 1e-6 * largest_change:
            rounding, is_noisy = least_change, True  # it changes in small steps
            extrapolation = _Extrapolation()
            tried = [replace(each, noise=2 * rounding / each.step) for each in tried]
            for each in tried:
                extrapolation.add(each)
            value, error = extrapolation.value, extrapolation.error
        if (is_noisy and rounding > 0.01 * largest_change) or not _is_confirmed(
            value, error, tried
        ):
            error = np.inf
        if self._is_domain_edge(i, index):
            behaviour = "domain edge"
        return DerivativeEstimate(value, error, behaviour, left, right, step, is_noisy, is_flat)

    def _value(self, i: int, index: tuple[int, ...]) -> float:
        return float(self.tensors[i].data[index])

    def _shrinking_steps(self, i: int, index: tuple[int, ...]) -> Iterator[float]:
        """Each about a third of the one before, down to the spacing of floats at the element.

        What is smaller than any of the function's constants may be has a scale of its own.
        """
        size = abs(self._value(i, index))
        spacing = float(np.spacing(self.tensors[i].data.dtype.type(size))) if size else 0.0
        step = 30 * self.step_for(i, index)
        while step > max(spacing, 1e-40):
            yield step if step > 100 * spacing else spacing * round(step / spacing)
            step /= 3
        step = min(step, size / 10)
        while step > spacing > 0:
            yield step if step > 100 * spacing else spacing * round(step / spacing)
            step /= 3

    def _slopes(
        self, i: int, index: tuple[int, ...], step: float, outputs: Array, rounding: float
    ) -> _Slopes:
        ahead, after = self.outputs_at(i, index, step)
        behind, before = self.outputs_at(i, index, -step)
        with np.errstate(all="ignore"):
            right_change = self.weighted_sum(after - outputs)
            left_change = self.weighted_sum(before - outputs)
            right, left = right_change / ahead, left_change / behind
            # Rounding may make the two offsets unequal; for a parabola this is exact all the same.
            central = (ahead * left - behind * right) / (ahead - behind)
            rounding = max(rounding, self.precision * self.weighted_size(after))
        noise = 2 * rounding / step
        return _Slopes(left, right, left_change, right_change, central, noise, step)

    def _is_domain_edge(self, i: int, index: tuple[int, ...]) -> bool:
        """Whether the function is not finite at the next float on one side, and is on the other."""
        value = self.tensors[i].data[index]
        finite = []
        for direction in (-np.inf, np.inf):
            offset = float(np.nextafter(value, value.dtype.type(direction))) - float(value)
            _, outputs = self.outputs_at(i, index, offset)
            finite.append(bool(np.isfinite(self.weighted_sum(outputs))))
        return finite[0] != finite[1]

    def _evaluation_noise(
        self, i: int, index: tuple[int, ...], outputs: Array
    ) -> tuple[float, bool]:
        """The rounding error of the weighted sum, and whether it is more than its dtype's.

        In a table of differences of neighbouring values, those of high orders are zero but for the
        noise (J. J. Moré and S. M. Wild, "Estimating computational noise", 2011), which is the same
        at a wider spacing.
        """
        size, step = abs(self._value(i, index)), 30 * self.step_for(i, index)
        least = self.precision * self.weighted_size(outputs)
        changes = [
            abs(self.weighted_sum(self.outputs_at(i, index, offset)[1] - outputs))
            for offset in (step, -step)
        ]
        scale = max([self.weighted_size(outputs), *filter(np.isfinite, changes)])
        # Small multiples of the spacing of floats are added without rounding.
        spacings = [5.0 * np.spacing(max(1.0, size)) * 32**k for k in range(8)]
        exact = 0
        for spacing in [float(np.spacing(size)), *spacings] if size else spacings:
            noise = self._difference_table_noise(i, index, spacing, outputs)
            if noise is None:
                continue
            exact += noise < 30 * least
            if exact == 2 or noise > 0.01 * scale:  # so much is the function itself
                break
            wider = self._difference_table_noise(i, index, 1023 * spacing, outputs)
            if noise > 30 * least and wider is not None and noise / 6 < wider < 6 * noise:
                return 2 * max(noise, wider), True
        return least, False

    def _difference_table_noise(
        self, i: int, index: tuple[int, ...], spacing: float, outputs: Array
    ) -> float | None:
        """The noise of values at points this far apart; None if most of the values are equal.

        Infinite if the differences have one sign, as those of a smooth function have.
        """
        towards_zero = -math.copysign(spacing, self._value(i, index))
        values = []
        for k in range(1, 10):  # without the point itself, which may be a kink
            _, moved = self.outputs_at(i, index, k * towards_zero)
            values.append(self.weighted_sum(moved - outputs))
        table = np.array(values)
        scale = float(np.max(np.abs(table)))
        if len(np.unique(table)) < 5 or not np.isfinite(scale):
            return None
        table, levels = np.diff(table / scale, 3), []
        for order in (4, 5, 6):
            table = np.diff(table)
            if order == 4 and np.all(table > 0) | np.all(table < 0):
                return np.inf
            factor = math.factorial(order) ** 2 / math.factorial(2 * order)
            levels.append(math.sqrt(factor * float(np.mean(table**2))))
        return scale * float(np.median(levels))


class _Extrapolation:
    """The limit of the central differences as the step shrinks, and its possible error."""

    def __init__(self) -> None:
        self.value, self.error = np.nan, np.inf
        self.steps: list[float] = []
        self.row: list[float] = []

    def add(self, slopes: _Slopes) -> None:
        """Add the differences with the next smaller step."""
        row = [slopes.central]
        for older, step in zip(self.row, reversed(self.steps), strict=False):
            ratio = min(step / slopes.step, 1e100) ** 2
            row.append(row[-1] + (row[-1] - older) / (ratio - 1))
            doubt = max(abs(row[-1] - row[-2]), abs(row[-1] - older)) + slopes.noise
            # If a smaller step contradicts it, large steps had agreed only by chance.
            if doubt < self.error or abs(row[-1] - self.value) > 10 * (self.error + doubt):
                self.value, self.error = row[-1], doubt
        self.steps.append(slopes.step)
        self.row = row[:8] if np.isfinite(slopes.central) else []


def _is_gap_closing(tried: Sequence[_Slopes]) -> bool:
    """Whether the slopes from both sides approach each other, as in a smooth function."""
    return len(tried) == 3 and all(
        smaller.gap < 0.6 * larger.gap + 3 * smaller.noise
        for larger, smaller in itertools.pairwise(tried)
    )


def _is_confirmed(derivative: float, error: float, tried: Sequence[_Slopes]) -> bool:
    """Whether the smallest steps do not agree on another derivative."""
    distances = [abs(each.central - derivative) for each in tried]
    allowed = [10 * (min(distances) + error + each.noise) for each in tried[-3:]]
    return not tried or any(x <= y for x, y in zip(distances[-3:], allowed, strict=True))


def _classify(tried: Sequence[_Slopes]) -> tuple[str, float, float]:
    """How slopes behave as the step shrinks: "smooth", "kink", "jump" or "steep"; and the last."""
    median = max(
        float(np.median([abs(getattr(each, side)) for each in tried] or [0.0])) for side in SIDES
    )
    for side in SIDES:
        resolved = _last_resolved(tried, side)
        slopes = [abs(getattr(each, side)) for each in resolved]
        if not slopes or slopes[-1] < 10 * median:
            continue
        changes = [getattr(each, f"{side}_change") for each in resolved]
        growth = np.diff(slopes)
        if np.ptp(changes) < 0.01 * np.max(np.abs(changes)):
            return "jump", resolved[-1].left, resolved[-1].right
        # Where it grows more slowly, but does not settle, the slope is infinite.
        if np.all(growth[1:] > 0.7 * growth[:-1]) and growth[0] > 10 * resolved[-1].noise:
            return "steep", resolved[-1].left, resolved[-1].right
    resolved = _last_resolved(tried, "gap")
    if resolved:
        first, second, last = (each.gap for each in resolved[-3:])
        # In a smooth function the gap shrinks with the step, at a kink it has a limit.
        if abs(last - second) < 0.3 * last and _limit(first, second, last) > 0.5 * last:
            return "kink", resolved[-1].left, resolved[-1].right
    return "smooth", np.nan, np.nan


def _last_resolved(tried: Sequence[_Slopes], what: str) -> Sequence[_Slopes]:
    """The five smallest steps at which this quantity would be larger than rounding errors.

    None, if there it is not: what larger steps saw lies next to the point, not at it.
    """
    sizes = [abs(getattr(each, what)) for each in tried]
    seen = [size for size, each in zip(sizes, tried, strict=True) if size > 30 * each.noise]
    if not seen:
        return ()
    resolving = [each for each in tried if seen[-1] > 30 * each.noise][-5:]
    is_there = all(abs(getattr(each, what)) > 30 * each.noise for each in resolving)
    return resolving if len(resolving) == 5 and is_there else ()


def _limit(first: float, second: float, third: float) -> float:
    """The limit of a sequence that approaches it geometrically (A. C. Aitken, 1926)."""
    bend = (third - second) - (second - first)
    return third - (third - second) ** 2 / bend if bend else third
