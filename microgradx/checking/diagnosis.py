"""What is wrong with a gradient: hypotheses, each tested on a comparison with finite differences.

A hypothesis predicts the gradient that a certain mistake would produce. The first that predicts
every element is reported, the more specific ones first; if none does, no cause is reported.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

from microgradx.arrays.types import Array
from microgradx.checking.comparison import GradientComparison, can_broadcast
from microgradx.engine import Tensor, as_tensor, reverse_topological_order, sweep
from microgradx.graph.grad_mode import enable_grad
from microgradx.ops.elementwise import copy

__all__ = ["Cause", "diagnose_undecided", "find_cause"]


class Cause(NamedTuple):
    """The kind of a mistake, and a sentence about it."""

    kind: str
    text: str


def find_cause(comparison: GradientComparison, order: int = 1) -> Cause | None:
    """The cause of a wrong gradient at one input, if a hypothesis fits."""
    for diagnose in HYPOTHESES if order == 1 else SECOND_ORDER_HYPOTHESES:
        cause = diagnose(comparison)
        if cause is not None:
            return cause
    return None


# ---------------------------------------------------------------------------- without a prediction


def diagnose_missing_gradient(comparison: GradientComparison) -> Cause | None:
    if comparison.has_gradient or comparison.error is not None or not np.any(comparison.wrong):
        return None
    where = (
        f"{comparison.op!r} returns None for it"
        if comparison.op is not None
        else "is its value taken by .data, .detach(), float() or item() on the way to the result?"
    )
    return Cause(
        "missing gradient", f"no gradient reached this input, but the result depends on it: {where}"
    )


def diagnose_zero_gradient(comparison: GradientComparison) -> Cause | None:
    is_zero = comparison.has_gradient and not np.any(comparison.analytic)
    if not is_zero or not np.any(comparison.wrong):
        return None
    return Cause(
        "missing gradient", "the rule returns only zeros, but the result depends on this input"
    )


def diagnose_coarse_dtype(comparison: GradientComparison) -> Cause | None:
    """Outputs that are constant for small steps, and change as the rule predicts for large ones."""
    differences, i = comparison.differences, comparison.input_index
    error = total = 0.0
    for index in comparison.wrong_indices[:20]:
        if not differences.is_locally_constant(i, index):
            return None
        column, _ = differences.central_difference(i, index, 100 * differences.step_for(i, index))
        error += abs(differences.weighted_sum(column) - float(comparison.analytic[index]))
        total += float(np.sum(np.abs(comparison.weights * column)))
    if not error < 0.2 * total:
        return None
    return Cause(
        "coarse dtype",
        "the result changes in steps, as if it were computed in float32 or less: the rule may be "
        "correct, but the differences are too coarse to tell; compute in float64 throughout",
    )


def diagnose_undecided(comparison: GradientComparison) -> Cause | None:
    """Points at which finite differences cannot tell, because there is no derivative, or ..."""
    indices = comparison.wrong_indices
    if not indices or not np.all(comparison.is_undecided[comparison.wrong]):
        return None
    return _describe_undecided(comparison, indices[0])


def _describe_undecided(comparison: GradientComparison, index: tuple[int, ...]) -> Cause:
    estimate = comparison.estimates[index]
    where = (
        f"at {_format_index(index)}, where the input is {float(comparison.tensor.data[index])!r}"
    )
    low, high = sorted([estimate.left, estimate.right])
    slack = 1e-6 * (high - low)
    if estimate.behaviour == "domain edge":
        return Cause(
            "kink",
            f"{where}, the function's domain ends: on one side it is not finite, so finite "
            "differences say nothing; check at another point",
        )
    if estimate.behaviour == "jump":
        return Cause(
            "kink",
            f"{where}, the function has a jump or a tie: it has no derivative there, and finite "
            "differences are meaningless. Check at another point",
        )
    if estimate.behaviour == "steep":
        return Cause(
            "kink",
            f"{where}, the function is infinitely steep: its slope grows without bound as the "
            "step shrinks, so finite differences are meaningless. Check at another point",
        )
    if estimate.behaviour == "kink":
        verdict = (
            "the rule's value lies between the two, as any convention would, so it may be correct"
            if low - slack <= float(comparison.analytic[index]) <= high + slack
            else "the rule's value does not even lie between the two"
        )
        return Cause(
            "kink",
            f"{where}, the slope is {estimate.left:.6g} from the left and {estimate.right:.6g} "
            "from the right: a kink or a tie, where finite differences are meaningless; "
            f"{verdict}. Check at another point",
        )
    if estimate.is_noisy and np.isfinite(estimate.error):
        return Cause(
            "evaluation noise",
            f"{where}, the function's own rounding errors are too large for finite differences: "
            f"they are {estimate.value:.3g}, give or take {estimate.error:.1g}, so the rule may be "
            "correct. Does the function subtract numbers that are nearly equal? Check at another "
            "point, or the parts of the function by themselves",
        )
    return Cause(
        "step too large",
        f"{where}, the step is too large here: finite differences do not settle, even with a step "
        f"of {estimate.step:.1g}, so the rule may be correct. Check at a point where the function "
        "changes more slowly",
    )


def diagnose_not_finite(comparison: GradientComparison) -> Cause | None:
    if np.any(comparison.wrong & ~np.isfinite(comparison.numeric)):
        return Cause("not finite", "finite differences are NaN or infinite there: they say nothing")
    analytic = comparison.analytic
    count = int(np.sum(comparison.wrong & ~np.isfinite(analytic)))
    if comparison.raw_gradient is not None or not count:
        return None
    return Cause(
        "not finite", f"the rule returns NaN or infinity at {count} of {analytic.size} elements"
    )


def diagnose_error_in_rule(comparison: GradientComparison) -> Cause | None:
    error = comparison.error
    if error is None:
        return None
    is_missing = "returned None" in str(error)
    return Cause("missing gradient" if is_missing else "error in the rule", str(error))


def diagnose_constant_in_rule(comparison: GradientComparison) -> Cause | None:
    return Cause(
        "constant in the rule",
        "the first derivative is correct, the second is not. With create_graph=True the rule runs "
        "on Tensors, and something in it that depends on an input is a constant there: .data, "
        "float(), an array saved by the forward, or a value computed under no_grad",
    )


# ---------------------------------------------------------------------------- by position


def diagnose_transpose(comparison: GradientComparison) -> Cause | None:
    numeric, raw = comparison.numeric, comparison.raw_gradient
    if numeric.ndim < 2 or (raw is not None and raw.shape != numeric.shape[::-1]):
        return None
    # A gradient of another shape has been transposed already, to fit the input.
    if not _matches(comparison, numeric if raw is not None else np.swapaxes(numeric, -1, -2)):
        return None
    shape = f", of shape {raw.shape}" if raw is not None else ""
    return Cause("transposed", f"the rule returns the transpose of the gradient{shape}")


def diagnose_first_row_only(comparison: GradientComparison) -> Cause | None:
    wrong, numeric = comparison.wrong, comparison.numeric
    if wrong.ndim == 0 or len(wrong) < 2 or np.any(wrong[0]) or not np.any(numeric[0]):
        return None
    rows = np.any(wrong[1:].reshape(len(wrong) - 1, -1), axis=1)
    if not np.all(rows) or not np.any(np.isfinite(numeric[0])):
        return None
    return Cause(
        "outside the first row",
        "correct at index 0 of axis 0 and wrong at all others: does the rule use something of the "
        "first row for every row, or fill in only the first row?",
    )


# ---------------------------------------------------------------------------- by upstream gradient


def diagnose_ignored_upstream(comparison: GradientComparison) -> Cause | None:
    if not _matches(comparison, _gradient_for(comparison, np.ones_like(comparison.weights))):
        return None
    return Cause(
        "upstream gradient ignored",
        "the rule returns the derivative of the plain sum of the outputs: it does not use g, the "
        "upstream gradient; the chain rule multiplies by it",
    )


def diagnose_missing_sum(comparison: GradientComparison) -> Cause | None:
    """Only one slice of the outputs, along an axis, has been counted."""
    (outputs, *more) = comparison.outputs
    if more or outputs.size != comparison.weights.size:
        return None
    for axis in range(outputs.ndim):
        for i in range(outputs.shape[axis]) if outputs.shape[axis] > 1 else ():
            counted = np.zeros(outputs.shape)
            counted[(slice(None),) * axis + (i,)] = 1
            if _matches(
                comparison, _gradient_for(comparison, comparison.weights * counted.ravel())
            ):
                return Cause(
                    "missing sum",
                    f"only index {i} of the output's axis {axis} is counted; this input is used "
                    f"along all of that axis, so its gradient is the sum over axis {axis} "
                    f"(of {outputs.shape[axis]} contributions)",
                )
    return None


def diagnose_overwriting(comparison: GradientComparison) -> Cause | None:
    """Each wrong element holds the contribution of just one of the outputs that depend on it."""
    for index in comparison.wrong_indices:
        contributions = comparison.weights * comparison.jacobian_columns[index]
        contributions = contributions[np.abs(contributions) > 0]
        is_one = np.any(_is_close(contributions, comparison.analytic[index]))
        if len(contributions) < 2 or not is_one:
            return None
    if len(comparison.wrong_indices) < 2:
        return None
    return Cause(
        "missing sum",
        "several outputs depend on an element, and the rule counts only one of them: add up the "
        "contributions of all (gradient[index] = g keeps only the last one where an index occurs "
        "twice; np.add.at(gradient, index, g) adds)",
    )


def diagnose_double_sum(comparison: GradientComparison) -> Cause | None:
    """The gradient is summed over axes that the input has: all elements hold the total."""
    numeric = comparison.numeric
    if not np.all(np.isfinite(numeric)):
        return None
    axes = [axis for axis in range(numeric.ndim) if numeric.shape[axis] > 1]
    for count in range(1, len(axes) + 1):
        for over in itertools.combinations(axes, count):
            if np.all(_is_close(numeric, np.mean(numeric, axis=over, keepdims=True))):
                continue  # all elements are equal: their sum is a constant factor
            totals = np.sum(numeric, axis=over, keepdims=True)
            if _matches(comparison, np.broadcast_to(totals, numeric.shape)):
                return Cause(
                    "double sum",
                    "summed once too often: every element has the total of the gradient along "
                    f"{'axis' if count == 1 else 'axes'} {_join_with_and(over)} of the input, "
                    "instead of its own",
                )
    return None


# ---------------------------------------------------------------------------- by factor


def diagnose_constant_factor(comparison: GradientComparison) -> Cause | None:
    numeric, analytic = comparison.numeric, comparison.analytic
    size = np.abs(np.where(np.isfinite(numeric), numeric, 0))
    if not np.any(size):
        return None
    largest = np.unravel_index(int(np.argmax(size)), numeric.shape)
    factor = float(analytic[largest] / numeric[largest])
    if factor == 0 or _is_close(factor, 1) or not _matches(comparison, factor * numeric):
        return None
    number, explanation = _explain_factor(factor, comparison)
    if not number and np.sum(size > 0) < 2:
        return None  # for a single element, every mistake is a constant factor
    number = number or f"{factor:.6g}"
    return Cause("constant factor", f"analytic / numeric is {number} at every element{explanation}")


def _explain_factor(factor: float, comparison: GradientComparison) -> tuple[str, str]:
    """A sign, a small number, or a length or size of an array, and what that suggests."""
    if _is_close(factor, -1):
        return "-1", ": the sign is wrong"
    sizes: dict[int, str] = {}
    arrays = [(f"input {i}", x.data) for i, x in enumerate(comparison.differences.tensors)]
    arrays += [("the output", out) for out in comparison.outputs]
    for name, array in arrays:
        for axis, length in enumerate(array.shape):
            what = "rows" if axis == 0 else "classes or columns"
            sizes.setdefault(length, f"the length of axis {axis} of {name}, the number of {what}")
        sizes.setdefault(array.size, f"the number of elements of {name}")
    sign = "-" if factor < 0 else ""
    for n, what in sorted(sizes.items()):
        if n > 1 and _is_close(abs(factor), n):
            question = f"is a 1/{n} missing, as of a mean, or a factor {n} too many?"
            return f"{sign}{n}", f". {n} is {what}: {question}"
        if n > 1 and _is_close(abs(factor), 1 / n):
            return f"{sign}1/{n}", f". {n} is {what}: is it divided by {n} once too often?"
    for n in (2, 3, 4):
        if _is_close(abs(factor), n):
            return f"{sign}{n}", ""
        if _is_close(abs(factor), 1 / n):
            return f"{sign}1/{n}", ""
    return "", ""


def diagnose_missing_factor(comparison: GradientComparison) -> Cause | None:
    """The gradient times, or divided by, a function of the values: a factor of the chain rule."""
    for name, values in _candidate_factors(comparison):
        for power in (-1, 1):
            factor = values**power
            candidates = []
            if factor.shape == comparison.numeric.shape:
                candidates.append(comparison.numeric * factor)
            if len(comparison.outputs) == 1 and factor.shape == comparison.outputs[0].shape:
                candidates.append(_gradient_for(comparison, comparison.weights * factor.ravel()))
            for candidate, constant in itertools.product(
                candidates, (1.0, -1.0, 2.0, -2.0, 0.5, -0.5)
            ):
                if _matches(comparison, constant * candidate):
                    sign = {1.0: "", -1.0: "-"}.get(constant, f"{constant:g} · ")
                    ratio = f"{sign}{name}" if power == 1 else f"{sign}1 / ({name})"
                    remedy = "one too many" if power == 1 else "missing"
                    return Cause(
                        "missing factor",
                        f"analytic / numeric is {ratio}: in the chain rule a factor {name} is "
                        f"{remedy}",
                    )
    return None


def _candidate_factors(comparison: GradientComparison) -> Iterator[tuple[str, Array]]:
    """Common factors of chain rules, by name, in the shape of the input or the output."""
    shapes = {comparison.numeric.shape, *(out.shape for out in comparison.outputs)}
    values = [("out", out) for out in comparison.outputs]
    for i, x in enumerate(comparison.differences.tensors):
        if x.dtype.kind == "f":
            values.append(("x" if i == comparison.input_index else f"input {i}", x.data))
    for (name, value), shape in itertools.product(values, shapes):
        if can_broadcast(value.shape, shape):
            value = np.broadcast_to(value, shape).astype(float)
            for factor_name, factor in _functions_of(name, value):
                finite = factor[np.isfinite(factor)]
                if finite.size and np.ptp(finite) > 1e-9 * np.max(np.abs(finite)):
                    yield factor_name, factor


def _functions_of(name: str, value: Array) -> Iterator[tuple[str, Array]]:
    yield name, value
    yield f"{name}²", value**2
    yield f"1 - {name}", 1 - value
    yield f"1 + {name}", 1 + value
    yield f"1 - {name}²", 1 - value**2
    yield f"1 + {name}²", 1 + value**2
    yield f"{name} (1 - {name})", value * (1 - value)
    yield f"√(1 - {name}²)", np.sqrt(1 - value**2)
    yield f"√(1 + {name}²)", np.sqrt(1 + value**2)
    for function in (np.exp, np.sin, np.cos, np.sinh, np.cosh, np.abs, np.log, np.sqrt):
        yield f"{function.__name__}({name})", function(value)


# ---------------------------------------------------------------------------- by the op's forward


def diagnose_missing_use(comparison: GradientComparison) -> Cause | None:
    """A value that the op's own forward uses several times, with some of the uses left out."""
    graph = _record_forward(comparison)
    if graph is None:
        return None
    out, x = graph
    uses: dict[Tensor, list[tuple[Tensor, int]]] = {}
    for node in reverse_topological_order(out):
        for i, value in enumerate(node.inputs):
            if value.requires_grad:
                uses.setdefault(value, []).append((node, i))
    for value, edges in uses.items():
        for i in range(len(edges)) if len(edges) > 1 else ():
            for left_out in (edges[:i] + edges[i + 1 :], edges[i : i + 1]):
                with _ignored_uses(left_out):
                    gradient = _gradient_at(x, out, comparison)
                if not _matches(comparison, gradient):
                    continue
                name = "this input" if value is x else f"the result of {value.op!r}"
                where = _join_with_and([repr(node.op) for node, _ in left_out])
                return Cause(
                    "one of several uses",
                    f"the forward uses {name} {len(edges)} times, and the rule leaves out the use "
                    f"in {where}: add up the contributions of all uses",
                )
    return None


def diagnose_missing_derivative(comparison: GradientComparison) -> Cause | None:
    """A function in the op's own forward whose derivative is left out."""
    graph = _record_forward(comparison)
    if graph is None:
        return None
    out, x = graph
    for node in reverse_topological_order(out):
        for i, value in enumerate(node.inputs):
            if not value.requires_grad or value.shape != node.shape:
                continue
            with _skipped_derivative(node, i):
                gradient = _gradient_at(x, out, comparison)
            if _matches(comparison, gradient):
                return Cause(
                    "missing factor",
                    f"the derivative of {node.op!r} is missing: the rule passes the gradient on "
                    "as if that were the identity",
                )
    return None


def _record_forward(comparison: GradientComparison) -> tuple[Tensor, Tensor] | None:
    """The op's forward, computed with Tensors: its result, and the input in question."""
    if comparison.op is None:
        return None
    tensors = [as_tensor(t.data) for t in comparison.differences.tensors]
    x = tensors[comparison.input_index].requires_grad_()
    try:
        with enable_grad():
            out = comparison.op.forward(*tensors)
    except Exception:  # a forward need not run on Tensors
        return None
    if not isinstance(out, Tensor) or not out.requires_grad:
        return None
    return (out, x) if len(reverse_topological_order(out)) < 200 else None


@contextmanager
def _ignored_uses(uses: list[tuple[Tensor, int]]) -> Iterator[None]:
    """The graph with these uses of values replaced by uses of constants."""
    before = [(node, node.inputs) for node, _ in uses]
    for node, i in uses:
        constant = node.inputs[i].detach()
        constant.sequence_number = node.inputs[i].sequence_number  # no leaf was changed
        node.inputs = (*node.inputs[:i], constant, *node.inputs[i + 1 :])
    try:
        yield
    finally:
        for node, inputs in reversed(before):
            node.inputs = inputs


@contextmanager
def _skipped_derivative(node: Tensor, i: int) -> Iterator[None]:
    """The graph with the node's gradient passed on unchanged to its input `i`."""
    op, inputs = node.op, node.inputs
    node.op, node.inputs = copy, (inputs[i],)
    try:
        yield
    finally:
        node.op, node.inputs = op, inputs


def _gradient_at(x: Tensor, out: Tensor, comparison: GradientComparison) -> Array:
    arrived: dict[Tensor, Array] = dict(sweep({out: comparison.weights.reshape(out.shape)}))
    return arrived.get(x, np.zeros(x.shape))


# ---------------------------------------------------------------------------- predictions


def _matches(comparison: GradientComparison, predicted: Array) -> bool:
    """Whether the prediction is the analytic gradient, at every element that was sampled."""
    sampled = np.isfinite(comparison.numeric) & ~comparison.is_undecided
    analytic = comparison.analytic
    if predicted.shape != analytic.shape or not np.any(analytic[sampled]):
        return False  # too many mistakes would predict a rule that returns only zeros
    expected, actual = predicted[sampled], analytic[sampled]
    scale = np.max(np.abs(comparison.numeric[sampled]), initial=0)
    is_close = np.abs(actual - expected) <= 1e-6 * np.abs(expected) + 1e-8 * scale + 1e-12
    return bool(np.all(is_close))


def _gradient_for(comparison: GradientComparison, weights: Array) -> Array:
    """The numeric gradient of the outputs' sum with other weights."""
    gradient = np.full(comparison.numeric.shape, np.nan)
    for index, column in comparison.jacobian_columns.items():
        gradient[index] = np.sum(weights * column)
    return gradient


def _is_close(a: Any, b: Any) -> Any:
    return np.abs(a - b) <= 1e-5 * np.abs(b)


def _format_index(index: tuple[int, ...]) -> str:
    return f"index {index[0] if len(index) == 1 else index}" if index else "its only element"


def _join_with_and(items: Any) -> str:
    return " and ".join(map(str, items))


#: In this order: first those that rule out all others, then the specific before the general.
HYPOTHESES: tuple[Callable[[GradientComparison], Cause | None], ...] = (
    diagnose_missing_gradient,
    diagnose_coarse_dtype,
    diagnose_undecided,
    diagnose_zero_gradient,
    diagnose_not_finite,
    diagnose_transpose,
    diagnose_ignored_upstream,
    diagnose_first_row_only,
    diagnose_missing_sum,
    diagnose_overwriting,
    diagnose_double_sum,
    diagnose_missing_use,
    diagnose_constant_factor,
    diagnose_missing_derivative,
    diagnose_missing_factor,
    diagnose_error_in_rule,
)
SECOND_ORDER_HYPOTHESES = (
    diagnose_error_in_rule,
    diagnose_coarse_dtype,
    diagnose_undecided,
    diagnose_not_finite,
    diagnose_constant_in_rule,
)
