"""The gradient that a rule computes for each input, compared with finite differences."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from microgradx.arrays.broadcasting import unbroadcast
from microgradx.arrays.types import Array, unwrap
from microgradx.autograd import accumulate_seeds
from microgradx.checking.finite_differences import DerivativeEstimate, FiniteDifferences
from microgradx.engine import Op, Tensor, as_tensor, sweep
from microgradx.graph.grad_mode import enable_grad, grad_enabled

__all__ = [
    "GradientComparison",
    "Tolerance",
    "are_equal",
    "as_list",
    "can_broadcast",
    "compare_gradients",
    "compare_op_gradients",
    "gradient_function",
    "make_generator",
    "sample_indices",
]

#: A function of Tensors that returns a list of Tensors.
Function = Callable[..., list[Tensor]]


@dataclass(frozen=True)
class Tolerance:
    """How close analytic and numeric gradients must be, and how the numeric one is computed."""

    absolute: float
    relative: float
    step: float
    precision: float  # of the coarsest dtype among the inputs
    is_scaled: bool = True  # whether `absolute` is relative to the gradient's largest element
    refine: bool = True  # whether differences with other steps are tried where something differs


@dataclass
class GradientComparison:
    """The gradient at one input: `analytic` by the rule, `numeric` by differences.

    Both have the input's shape; `numeric` is NaN at elements that were not sampled. For each
    sampled element, `jacobian_columns` holds the derivatives of all outputs by it, concatenated,
    and `estimates` the derivative with other steps, if that was needed.
    """

    differences: FiniteDifferences
    input_index: int
    analytic: Array
    has_gradient: bool
    outputs: list[Array]
    op: Op | None = None
    error: Exception | None = None  # what the rule raised
    raw_gradient: Any = None  # what the rule returned, if its shape does not fit the input
    numeric: Array = field(init=False)
    wrong: Array = field(init=False)
    error_ratio: Array = field(init=False)  # |analytic - numeric| as a multiple of the tolerance
    is_inconclusive: Array = field(init=False)  # whether rounding could hide a wrong gradient
    jacobian_columns: dict[tuple[int, ...], Array] = field(default_factory=dict)
    estimates: dict[tuple[int, ...], DerivativeEstimate] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.numeric = np.full(self.analytic.shape, np.nan)
        self.wrong = np.zeros(self.analytic.shape, bool)
        self.error_ratio = np.zeros(self.analytic.shape)
        self.is_inconclusive = np.zeros(self.analytic.shape, bool)

    @property
    def tensor(self) -> Tensor:
        return self.differences.tensors[self.input_index]

    @property
    def weights(self) -> Array:
        """The gradient arriving at the outputs, concatenated."""
        return self.differences.weights

    @property
    def wrong_indices(self) -> list[tuple[int, ...]]:
        return [index for index in self.jacobian_columns if self.wrong[index]]

    def compare_elements(self, indices: list[tuple[int, ...]], tolerance: Tolerance) -> None:
        differences, i = self.differences, self.input_index
        noises = {}
        for index in indices:
            self.jacobian_columns[index], noises[index] = differences.jacobian_column(i, index)
            self.numeric[index] = differences.weighted_sum(self.jacobian_columns[index])
        # What counts as nearly 0 depends on the other elements of the same gradient.
        known = [abs(float(a[index])) for a in (self.numeric, self.analytic) for index in indices]
        scale = max([value for value in known if np.isfinite(value)], default=0.0)
        for index in indices:
            analytic, noise = float(self.analytic[index]), noises[index]
            ratio = _error_ratio(analytic, float(self.numeric[index]), noise, scale, tolerance)
            if not ratio <= 1 and tolerance.refine:  # NaN counts as different
                estimate = self.estimates[index] = differences.estimate_derivative(i, index)
                if np.isfinite(estimate.value) and not estimate.is_kink:
                    self.numeric[index] = estimate.value
                    noise = estimate.error if np.isfinite(estimate.error) else 0.0
                    ratio = _error_ratio(analytic, estimate.value, noise, scale, tolerance)
            self.is_inconclusive[index] = noise > 0.01 * abs(analytic) > 0
            self.error_ratio[index] = ratio if ratio == ratio else np.inf
            self.wrong[index] = not ratio <= 1


def _error_ratio(
    analytic: float, numeric: float, noise: float, scale: float, tolerance: Tolerance
) -> float:
    absolute = tolerance.absolute * (min(max(scale, 1e-6), 1) if tolerance.is_scaled else 1)
    allowed = absolute + tolerance.relative * abs(numeric) + 10 * noise
    return 0.0 if analytic == numeric else abs(analytic - numeric) / max(allowed, 1e-300)


def compare_gradients(
    function: Function,
    tensors: list[Tensor],
    elements: dict[int, list[tuple[int, ...]]],
    weights: Sequence[Array],
    tolerance: Tolerance,
) -> list[GradientComparison]:
    """One comparison for each input that `elements` has indices for. A rule's errors propagate."""
    outputs = function(*tensors)
    arrived = dict(sweep(accumulate_seeds(zip(outputs, weights, strict=True))))
    differences = FiniteDifferences(
        function, tensors, _concatenate(weights), tolerance.step, tolerance.precision
    )
    return [
        _compare_input(differences, i, indices, arrived.get(tensors[i]), outputs, tolerance)
        for i, indices in elements.items()
    ]


def compare_op_gradients(
    op: Op,
    inputs: Sequence[Tensor],
    elements: dict[int, list[tuple[int, ...]]],
    order: int,
    tolerance: Tolerance,
) -> list[GradientComparison]:
    """The same for one op alone. A rule's errors, and gradients that do not fit, are recorded."""
    tensors = [Tensor(x.data) for x in inputs]
    for i in elements:
        tensors[i].requires_grad_()
    out = op(*tensors)
    generator = make_generator(0)
    g = np.asarray(generator.normal(size=out.shape)).astype(out.dtype)

    def function(*tensors: Tensor) -> list[Tensor]:
        return [op(*tensors)]

    differences = FiniteDifferences(
        function, tensors, _concatenate([g]), tolerance.step, tolerance.precision
    )
    if order == 2:
        gradient = gradient_function(function, [g], list(elements))
        weights = [generator.normal(size=tensors[i].shape) for i in elements]
        try:
            return compare_gradients(gradient, tensors, elements, weights, tolerance)
        except (ValueError, TypeError, IndexError) as raised:
            nothing = _compare_input(differences, 0, [], None, [out], tolerance)
            nothing.op, nothing.error = op, raised
            return [nothing]
    comparisons = []
    for i, indices in elements.items():
        gradient, raw, error = _gradient_by_rule(out, g, i)
        comparison = _compare_input(differences, i, indices, gradient, [out], tolerance)
        comparison.op, comparison.raw_gradient, comparison.error = op, raw, error
        comparisons.append(comparison)
    return comparisons


def _compare_input(
    differences: FiniteDifferences,
    i: int,
    indices: list[tuple[int, ...]],
    gradient: Any,
    outputs: list[Tensor],
    tolerance: Tolerance,
) -> GradientComparison:
    analytic = np.zeros(differences.tensors[i].shape) if gradient is None else gradient
    comparison = GradientComparison(
        differences, i, analytic, gradient is not None, [out.data for out in outputs]
    )
    comparison.compare_elements(indices, tolerance)
    return comparison


def _gradient_by_rule(out: Tensor, g: Array, i: int) -> tuple[Any, Any, Exception | None]:
    """The gradient at an op's input `i`; what the rule returned if that does not fit; its error."""
    op, x = out.op, out.inputs[i]
    assert op is not None
    try:
        gradient = op.gradient_at(i, g, out.data, *(tensor.data for tensor in out.inputs))
    except Exception as error:
        return None, None, error
    if gradient is None:
        return None, None, None
    try:
        return unbroadcast(gradient, x.data), None, None
    except ValueError as error:
        raw = np.asarray(gradient, float)
        fitted = np.full(x.shape, np.nan)
        if raw.T.shape == x.shape:
            fitted = raw.T
        elif can_broadcast(raw.shape, x.shape):
            fitted = np.broadcast_to(raw, x.shape)
        return fitted, raw, error


def gradient_function(
    function: Function, weights: Sequence[Array], positions: Sequence[int]
) -> Function:
    """The gradient of a function's weighted outputs at the inputs at `positions`, as a function."""

    def gradient(*tensors: Tensor) -> list[Tensor]:
        create_graph = grad_enabled.get()
        with enable_grad():
            seeds = [as_tensor(weight) if create_graph else weight for weight in weights]
            outputs = accumulate_seeds(zip(function(*tensors), seeds, strict=True))
            arrived = dict(sweep(outputs, create_graph=create_graph))
            xs = [tensors[i] for i in positions]
            return [as_tensor(arrived.get(x, np.zeros_like(x.data))) for x in xs]

    return gradient


# ---------------------------------------------------------------------------- arrays and indices


def make_generator(seed: int) -> np.random.Generator:
    """Not default_rng(seed), which may also have made the inputs: g would then be equal to them."""
    return np.random.default_rng([seed, 20220613])


def sample_indices(
    x: Tensor, samples: int, generator: np.random.Generator
) -> list[tuple[int, ...]]:
    """The indices of all elements, or of some at random if there are more than `samples`."""
    flat: Any = range(x.size)
    if x.size > samples:
        flat = np.sort(generator.choice(x.size, samples, replace=False))
    return [tuple(int(i) for i in np.unravel_index(k, x.shape)) for k in flat]


def can_broadcast(shape: tuple[int, ...], to: tuple[int, ...]) -> bool:
    try:
        return np.broadcast_shapes(shape, to) == to
    except ValueError:
        return False


def are_equal(some: list[Any], others: list[Any], rtol: float = 0, atol: float = 0) -> bool:
    """Whether arrays or Tensors have the same shapes and values; NaN is equal to NaN."""
    return len(some) == len(others) and all(
        np.shape(a) == np.shape(b) and np.allclose(a, b, rtol, atol, equal_nan=True)
        for a, b in zip(unwrap(some), unwrap(others), strict=True)
    )


def as_list(result: Any) -> list[Any]:
    """The results of a function: one, or a list or tuple of several."""
    return list(result) if isinstance(result, (list, tuple)) else [result]


def _concatenate(arrays: Sequence[Array]) -> Array:
    """The elements of all arrays as one vector of float64."""
    return np.concatenate([np.asarray(a, float).ravel() for a in arrays] or [np.zeros(0)])
