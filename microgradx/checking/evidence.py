"""What a rule says of each input of a function, beside what differences say."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from microgradx.arrays.broadcasting import unbroadcast
from microgradx.arrays.types import Array
from microgradx.autograd import accumulate_seeds
from microgradx.checking.differences import Differences, Slope
from microgradx.engine import Op, Tensor, as_tensor, sweep
from microgradx.graph.grad_mode import enable_grad, grad_enabled

__all__ = [
    "Evidence",
    "Tolerance",
    "broadcasts",
    "evidence",
    "evidence_of_op",
    "gradient_function",
    "random_stream",
]

#: A function of Tensors, with a list of Tensors as its result.
Function = Callable[..., list[Tensor]]


@dataclass(frozen=True)
class Tolerance:
    """How near an analytic gradient must come to the numeric one, and how that is found."""

    absolute: float
    relative: float
    step: float
    precision: float  # of the coarsest dtype among the inputs
    is_scaled: bool = True  # whether `absolute` is a share of the gradient's largest element
    refine: bool = True  # whether what differs is looked at more closely, with other steps


@dataclass
class Evidence:
    """The gradient at one input: `analytic` by the rule, `numeric` by differences.

    Both have the input's shape; `numeric` is NaN at elements that were not sampled. `columns` has,
    for each sampled element, the derivatives of all outputs by it, one after the other, and
    `slopes` what a closer look found.
    """

    differences: Differences
    position: int
    analytic: Array
    reached: bool
    outputs: list[Array]
    op: Op | None = None
    error: Exception | None = None  # what the rule raised, if it did
    raw: Any = None  # what it had answered, where that had not the shape of the input
    numeric: Array = field(init=False)
    wrong: Array = field(init=False)
    excess: Array = field(init=False)  # |analytic - numeric|, as a multiple of what is allowed
    is_hidden: Array = field(init=False)  # whether rounding would hide a wrong gradient
    columns: dict[tuple[int, ...], Array] = field(default_factory=dict)
    slopes: dict[tuple[int, ...], Slope] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.numeric = np.full(self.analytic.shape, np.nan)
        self.wrong = np.zeros(self.analytic.shape, bool)
        self.excess = np.zeros(self.analytic.shape)
        self.is_hidden = np.zeros(self.analytic.shape, bool)

    @property
    def tensor(self) -> Tensor:
        return self.differences.tensors[self.position]

    @property
    def weights(self) -> Array:
        """The gradient arriving at the outputs, one after the other."""
        return self.differences.weights

    def look(self, indices: list[tuple[int, ...]], tolerance: Tolerance) -> None:
        """Compare the elements at these indices."""
        noises = {}
        for index in indices:
            self.columns[index], noises[index] = self.differences.column(self.position, index)
            self.numeric[index] = self.differences.weighed(self.columns[index])
        # What counts as nearly 0 is a matter of the other elements of the same gradient.
        known = [abs(float(a[index])) for a in (self.numeric, self.analytic) for index in indices]
        scale = max([value for value in known if np.isfinite(value)], default=0.0)
        for index in indices:
            analytic, noise = float(self.analytic[index]), noises[index]
            excess = _excess(analytic, float(self.numeric[index]), noise, scale, tolerance)
            if not excess <= 1 and tolerance.refine:  # so written that NaN counts as different
                slope = self.slopes[index] = self.differences.slope(self.position, index)
                if np.isfinite(slope.value) and not slope.is_kink:
                    self.numeric[index] = slope.value
                    noise = slope.error if np.isfinite(slope.error) else 0.0
                    excess = _excess(analytic, slope.value, noise, scale, tolerance)
            self.is_hidden[index] = noise > 0.01 * abs(analytic) > 0
            self.excess[index] = excess if excess == excess else np.inf
            self.wrong[index] = not excess <= 1


def _excess(
    analytic: float, numeric: float, noise: float, scale: float, tolerance: Tolerance
) -> float:
    """|analytic - numeric|, as a multiple of what is allowed."""
    absolute = tolerance.absolute * (min(max(scale, 1e-6), 1) if tolerance.is_scaled else 1)
    allowed = absolute + tolerance.relative * abs(numeric) + 10 * noise
    return 0.0 if analytic == numeric else abs(analytic - numeric) / max(allowed, 1e-300)


def evidence(
    function: Function,
    tensors: list[Tensor],
    elements: dict[int, list[tuple[int, ...]]],
    weights: Sequence[Array],
    tolerance: Tolerance,
) -> list[Evidence]:
    """Of each input that `elements` has indices for. What a rule raises is passed on."""
    outputs = function(*tensors)
    arrived = dict(sweep(accumulate_seeds(zip(outputs, weights, strict=True))))
    differences = Differences(
        function, tensors, _joined(weights), tolerance.step, tolerance.precision
    )
    found = []
    for i, indices in elements.items():
        gradient = arrived.get(tensors[i])
        analytic = np.zeros(tensors[i].shape) if gradient is None else gradient
        each = Evidence(
            differences, i, analytic, gradient is not None, [out.data for out in outputs]
        )
        each.look(indices, tolerance)
        found.append(each)
    return found


def evidence_of_op(
    op: Op,
    inputs: Sequence[Tensor],
    elements: dict[int, list[tuple[int, ...]]],
    order: int,
    tolerance: Tolerance,
) -> list[Evidence]:
    """The same of one op alone. What its rule raises, and answers that do not fit, are noted."""
    tensors = [Tensor(x.data) for x in inputs]
    for i in elements:
        tensors[i].requires_grad_()
    out = op(*tensors)
    generator = random_stream(0)
    g = np.asarray(generator.normal(size=out.shape)).astype(out.dtype)

    def function(*tensors: Tensor) -> list[Tensor]:
        return [op(*tensors)]

    differences = Differences(function, tensors, _joined([g]), tolerance.step, tolerance.precision)
    if order == 2:
        slope = gradient_function(function, [g], list(elements))
        weights = [generator.normal(size=tensors[i].shape) for i in elements]
        try:
            return evidence(slope, tensors, elements, weights, tolerance)
        except (ValueError, TypeError, IndexError) as raised:
            nothing = np.zeros(tensors[0].shape)
            return [Evidence(differences, 0, nothing, False, [out.data], op, raised)]
    found = []
    for i, indices in elements.items():
        analytic, raw, error = _answer(out, g, i)
        is_reached = analytic is not None
        analytic = analytic if is_reached else np.zeros(tensors[i].shape)
        each = Evidence(differences, i, analytic, is_reached, [out.data], op, error, raw)
        each.look(indices, tolerance)
        found.append(each)
    return found


def _answer(out: Tensor, g: Array, i: int) -> tuple[Any, Any, Exception | None]:
    """An op's gradient at its i-th input; what it answered if that does not fit; what it raised."""
    op, x = out.op, out.inputs[i]
    assert op is not None
    values = [tensor.data for tensor in out.inputs]
    try:
        answer = op.gradient_at(i, g, out.data, *values)
    except Exception as error:
        return None, None, error
    if answer is None:
        return None, None, None
    try:
        return unbroadcast(answer, x.data), None, None
    except ValueError as error:
        raw = np.asarray(answer, float)
        fitted = np.full(x.shape, np.nan)
        if raw.T.shape == x.shape:
            fitted = raw.T
        elif broadcasts(raw.shape, x.shape):
            fitted = np.broadcast_to(raw, x.shape)
        return fitted, raw, error


def broadcasts(shape: tuple[int, ...], to: tuple[int, ...]) -> bool:
    """Whether an array of a shape can be broadcast to another."""
    try:
        return np.broadcast_shapes(shape, to) == to
    except ValueError:
        return False


def random_stream(seed: int) -> np.random.Generator:
    """Random numbers that are not also a student's: default_rng(0) made half of all test data."""
    return np.random.default_rng([seed, 20220613])


def gradient_function(
    function: Function, weights: Sequence[Array], moved: Sequence[int]
) -> Function:
    """The gradient of a function's weighted outputs at its moved inputs, as a function itself."""

    def gradient(*tensors: Tensor) -> list[Tensor]:
        create_graph = grad_enabled.get()
        with enable_grad():
            seeds = [as_tensor(weight) if create_graph else weight for weight in weights]
            outputs = accumulate_seeds(zip(function(*tensors), seeds, strict=True))
            arrived = dict(sweep(outputs, create_graph=create_graph))
            return [
                as_tensor(arrived.get(tensors[i], np.zeros_like(tensors[i].data))) for i in moved
            ]

    return gradient


def _joined(arrays: Sequence[Array]) -> Array:
    """Arrays as one vector of float64."""
    return np.concatenate([np.asarray(a, float).ravel() for a in arrays] or [np.zeros(0)])
