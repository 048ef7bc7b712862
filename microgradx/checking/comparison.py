"""The gradient that a rule computes for each input, compared with finite differences."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

from microgradx.arrays.broadcasting import unbroadcast
from microgradx.arrays.types import Array, unwrap
from microgradx.autograd import accumulate_seeds
from microgradx.checking.finite_differences import DerivativeEstimate, FiniteDifferences
from microgradx.engine import Op, Tensor, as_tensor, reverse_topological_order, sweep
from microgradx.graph.grad_mode import enable_grad, grad_enabled

__all__ = [
    "GradientComparison",
    "Tolerance",
    "agree_elsewhere",
    "are_equal",
    "as_list",
    "can_broadcast",
    "compare_elsewhere",
    "compare_gradients",
    "compare_op_gradients",
    "find_kink",
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
    magnitude: float = 1.0  # of the function, if less than 1: of this, a millionth is nearly 0

    def error_ratio(self, analytic: float, numeric: float, noise: float, scale: float) -> float:
        """|analytic - numeric| as a multiple of what is allowed; NaN counts as infinite.

        `scale` is the size of the gradient's largest element, and `noise` the numeric one's error.
        """
        scale = min(max(scale, 1e-6 * self.magnitude), 1) if self.is_scaled else 1
        allowed = self.absolute * scale + self.relative * abs(numeric) + 10 * noise
        if analytic == numeric:
            return 0.0
        ratio = abs(analytic - numeric) / max(allowed, 1e-300)
        return ratio if ratio == ratio else np.inf


@dataclass
class GradientComparison:
    """The gradient at one input: `analytic` by the rule, `numeric` by differences.

    Both have the input's shape; `numeric` is NaN at elements that were not sampled. For each
    sampled element, `jacobian_columns` holds the derivatives of all outputs by it, concatenated,
    `rounding` their rounding errors, and `estimates` the derivative with other steps, if that was
    needed.
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
    is_undecided: Array = field(init=False)  # of the wrong: differences cannot tell there
    error_ratio: Array = field(init=False)  # |analytic - numeric| as a multiple of the tolerance
    is_inconclusive: Array = field(init=False)  # whether rounding could hide a wrong gradient
    jacobian_columns: dict[tuple[int, ...], Array] = field(default_factory=dict)
    rounding: dict[tuple[int, ...], Array] = field(default_factory=dict)
    estimates: dict[tuple[int, ...], DerivativeEstimate] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.numeric = np.full(self.analytic.shape, np.nan)
        self.wrong = np.zeros(self.analytic.shape, bool)
        self.is_undecided = np.zeros(self.analytic.shape, bool)
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

    @property
    def is_wrong(self) -> bool:
        """Whether the rule is: it raised an error, or differs where differences can tell."""
        return self.error is not None or bool(np.any(self.wrong & ~self.is_undecided))

    @property
    def decided_count(self) -> int:
        """At how many elements differences can tell, and are not 0."""
        decided = np.isfinite(self.numeric) & ~self.is_undecided
        return int(np.sum(decided & (self.numeric != 0)))

    def measure(self, indices: list[tuple[int, ...]]) -> None:
        for index in indices:
            self.jacobian_columns[index], self.rounding[index] = self.differences.jacobian_column(
                self.input_index, index
            )

    def compare_elements(self, tolerance: Tolerance) -> None:
        differences, i = self.differences, self.input_index
        for index, column in self.jacobian_columns.items():
            self.numeric[index] = differences.weighted_sum(column)
        # What counts as nearly 0 depends on the other elements of the same gradient.
        known = np.abs([*self.numeric.flat, *self.analytic.flat])
        scale = float(np.max(known[np.isfinite(known)], initial=0))
        for index, rounding in self.rounding.items():
            analytic, noise = float(self.analytic[index]), differences.weighted_size(rounding)
            ratio = tolerance.error_ratio(analytic, float(self.numeric[index]), noise, scale)
            if ratio > 1 and tolerance.refine:
                estimate = self.estimates[index] = differences.estimate_derivative(i, index)
                if estimate.is_flat and analytic == 0:
                    self.numeric[index] = ratio = 0.0
                elif not estimate.has_derivative or np.isnan(estimate.value):
                    self.is_undecided[index] = True
                else:
                    self.numeric[index], noise = estimate.value, estimate.error
                    ratio = tolerance.error_ratio(analytic, estimate.value, noise, scale)
                    # Nothing is confirmed by differences that are too coarse.
                    if ratio <= 1 and noise > (1e-6 if estimate.is_noisy else 1e-3) * scale:
                        self.is_undecided[index], ratio = True, np.inf
            self.is_inconclusive[index] = noise > 0.01 * abs(analytic) > 0
            self.error_ratio[index] = ratio
            self.wrong[index] = ratio > 1


#: The gradient at an input, for a gradient arriving at all outputs, concatenated.
GradientAt = Callable[[int, Array], "_Gradient"]


class _Gradient(NamedTuple):
    """The gradient by a rule, None if there is none; what it returned, if that does not fit."""

    value: Any
    raw: Any = None
    error: Exception | None = None


def compare_gradients(
    function: Function,
    tensors: list[Tensor],
    elements: dict[int, list[tuple[int, ...]]],
    weights: Sequence[Array],
    tolerance: Tolerance,
) -> list[GradientComparison]:
    """One comparison for each input that `elements` has indices for. A rule's errors propagate."""
    outputs = function(*tensors)

    def gradient_at(i: int, weights: Array) -> _Gradient:
        seeds = zip(outputs, _split(weights, outputs), strict=True)
        try:
            return _Gradient(dict(sweep(accumulate_seeds(seeds))).get(tensors[i]))
        except (AttributeError, ArithmeticError, LookupError, NameError) as error:
            raise ValueError(str(error)) from error

    differences = FiniteDifferences(
        function, tensors, _concatenate(weights), tolerance.step, tolerance.precision
    )
    return _compare(differences, elements, gradient_at, outputs, tolerance)


def compare_op_gradients(
    op: Op,
    inputs: Sequence[Tensor],
    elements: dict[int, list[tuple[int, ...]]],
    order: int,
    tolerance: Tolerance,
    seed: int = 0,
) -> list[GradientComparison]:
    """The same for one op alone. A rule's errors, and gradients that do not fit, are recorded."""
    tensors = [Tensor(x.data) for x in inputs]
    for i in elements:
        tensors[i].requires_grad_()
    out = op(*tensors)
    generator = make_generator(seed)
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
        except Exception as raised:
            return [GradientComparison(differences, 0, np.zeros(()), False, [out.data], op, raised)]
    return _compare(
        differences,
        elements,
        lambda i, weights: _gradient_by_rule(out, _split(weights, [out])[0], i),
        [out],
        tolerance,
        op,
    )


def compare_elsewhere(
    comparison: GradientComparison, tolerance: Tolerance
) -> list[GradientComparison]:
    """The same comparison of an op at two other points near by, without zeros and ties."""
    op, i = comparison.op, comparison.input_index
    tolerance = replace(tolerance, refine=False)  # these points have no peculiarities
    generator = make_generator(1)
    found: list[GradientComparison] = []
    for size in (0.2, 0.2, 1e-2, 1e-2, 1e-4, 1e-4):
        inputs = [_move(x, size, generator) for x in comparison.differences.tensors]
        elements = {i: list(comparison.jacobian_columns)}
        try:
            if op is None or not np.all(np.isfinite(op(*inputs).data)):
                continue
            seed = len(found) + 1
            comparisons = compare_op_gradients(op, inputs, elements, 1, tolerance, seed)
        except Exception:  # outside its domain
            continue
        found += comparisons
        if len(found) == 2:
            break
    return found


def agree_elsewhere(comparisons: Sequence[GradientComparison], tolerance: Tolerance) -> bool:
    """Whether a function's gradients agree at a point near by, without zeros and ties."""
    differences = comparisons[0].differences
    tensors, generator = differences.tensors, make_generator(2)
    elements = {each.input_index: list(each.jacobian_columns) for each in comparisons}
    before = [x.data.copy() for x in tensors]
    try:
        for x in tensors:
            x.data[...] = _move(x, 0.1, generator).data
        weights = _split(differences.weights, differences.function(*tensors))
        found = compare_gradients(differences.function, tensors, elements, weights, tolerance)
        return not any(np.any(each.wrong) for each in found)
    except (ValueError, TypeError, IndexError):
        return False
    finally:
        for x, data in zip(tensors, before, strict=True):
            x.data[...] = data


def find_kink(outputs: Sequence[Tensor], tolerance: Tolerance) -> Op | None:
    """The first op behind the outputs whose inputs are at a kink, or at the edge of its domain."""
    generator = make_generator(3)
    for node in reversed(reverse_topological_order(*outputs)):
        op = node.op
        if op is None:
            continue
        tensors = [as_tensor(x.data.copy()) for x in node.inputs]

        def function(*tensors: Tensor, op: Op = op) -> list[Tensor]:
            return [as_tensor(op(*tensors))]

        g = generator.normal(size=node.size)
        differences = FiniteDifferences(function, tensors, g, tolerance.step, tolerance.precision)
        for i, x in enumerate(node.inputs):
            for index in sample_indices(x, 20, generator) if x.requires_grad else ():
                if not differences.estimate_derivative(i, index).has_derivative:
                    return op
    return None


def _move(x: Tensor, size: float, generator: np.random.Generator) -> Tensor:
    if x.dtype.kind != "f":
        return x
    factor = 1 + size * generator.uniform(-1, 1, size=x.shape)
    return as_tensor(np.where(x.data == 0, factor - 1, x.data * factor), x.dtype)


def _compare(
    differences: FiniteDifferences,
    elements: dict[int, list[tuple[int, ...]]],
    gradient_at: GradientAt,
    outputs: list[Tensor],
    tolerance: Tolerance,
    op: Op | None = None,
) -> list[GradientComparison]:
    """Comparisons for all outputs together, and where these agree, for those of each size alone.

    A mistake in a small output would otherwise hide behind the rounding errors of a large one.
    """

    def compare(weights: Array, measured: GradientComparison | None, i: int) -> GradientComparison:
        gradient = gradient_at(i, weights)
        has_gradient = gradient.value is not None
        comparison = GradientComparison(
            differences.with_weights(weights),
            i,
            gradient.value if has_gradient else np.zeros(differences.tensors[i].shape),
            has_gradient,
            [out.data for out in outputs],
            op,
            gradient.error,
            gradient.raw,
        )
        if measured is None:
            comparison.measure(elements[i])
        else:
            comparison.jacobian_columns = measured.jacobian_columns
            comparison.rounding = measured.rounding
        comparison.compare_elements(tolerance)
        return comparison

    comparisons = [compare(differences.weights, None, i) for i in elements]
    if any(np.any(each.wrong) or each.error is not None for each in comparisons):
        return comparisons
    groups = _outputs_by_size(_concatenate([out.data for out in outputs]), comparisons)
    parts = [
        [compare(differences.weights * group, each, each.input_index) for each in comparisons]
        for group in (groups if len(groups) > 1 else ())
    ]
    for part in parts:
        if any(each.is_wrong for each in part):
            return part
    for k, each in enumerate(comparisons if parts else ()):
        each.is_inconclusive = np.any([part[k].is_inconclusive for part in parts], axis=0)
    return comparisons


def _outputs_by_size(outputs: Array, comparisons: list[GradientComparison]) -> list[Array]:
    """Masks of the outputs whose sizes, and whose derivatives' sizes, are about the same."""
    columns = [c for each in comparisons for c in each.jacobian_columns.values()]
    slopes = np.max(np.abs(columns), axis=0, initial=0) if columns else np.zeros_like(outputs)
    labels = [_group_by_size(np.abs(outputs)), _group_by_size(np.nan_to_num(slopes))]
    pairs = np.stack(labels, axis=1)
    return [np.all(pairs == pair, axis=1) for pair in np.unique(pairs, axis=0)]


def _group_by_size(sizes: Array) -> Array:
    """A number for each, the same for those less than 10⁴ times as large as their smallest."""
    labels, label, smallest = np.zeros(len(sizes), int), 0, 0.0
    for k in np.argsort(sizes):
        if sizes[k] > 1e4 * smallest:
            label, smallest = label + 1, float(sizes[k])
        labels[k] = label
    return labels


def _gradient_by_rule(out: Tensor, g: Array, i: int) -> _Gradient:
    """The gradient at an op's input `i`."""
    op, x = out.op, out.inputs[i]
    assert op is not None
    try:
        gradient = op.gradient_at(i, g, out.data, *(tensor.data for tensor in out.inputs))
    except Exception as error:
        return _Gradient(None, error=error)
    if gradient is None:
        return _Gradient(None)
    try:
        return _Gradient(unbroadcast(gradient, x.data))
    except TypeError as error:  # it is not an array of numbers
        return _Gradient(None, error=error)
    except ValueError as error:
        raw = np.asarray(gradient, float)
        fitted = np.full(x.shape, np.nan)
        if raw.T.shape == x.shape:
            fitted = raw.T
        elif can_broadcast(raw.shape, x.shape):
            fitted = np.broadcast_to(raw, x.shape)
        return _Gradient(fitted, raw, error)


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


def _split(vector: Array, outputs: Sequence[Tensor]) -> list[Array]:
    """The elements of a vector as arrays of the outputs' shapes and dtypes."""
    ends = np.cumsum([out.size for out in outputs])
    parts = np.split(vector, ends)[:-1]
    return [
        part.reshape(out.shape).astype(out.dtype) for part, out in zip(parts, outputs, strict=True)
    ]


def _concatenate(arrays: Sequence[Array]) -> Array:
    """The elements of all arrays as one vector of float64."""
    return np.concatenate([np.asarray(a, float).ravel() for a in arrays] or [np.zeros(0)])
