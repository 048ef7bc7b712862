"""Hypotheses about a rule that predict its gradient from the numeric one, or the Jacobian."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np

from microgradx.arrays.types import Array
from microgradx.checking.comparison import GradientComparison, can_broadcast
from microgradx.checking.predictions import Cause, gradient_for, is_close, join_with_and, matches

__all__ = [
    "diagnose_constant_factor",
    "diagnose_diagonal_only",
    "diagnose_double_sum",
    "diagnose_forward_direction",
    "diagnose_identity",
    "diagnose_ignored_upstream",
    "diagnose_misplaced",
    "diagnose_missing_factor",
    "diagnose_missing_mask",
    "diagnose_missing_sum",
    "diagnose_overwriting",
    "diagnose_transpose",
    "diagnose_wrong_axis",
]


# ---------------------------------------------------------------------------- by position


def diagnose_transpose(comparison: GradientComparison) -> Iterator[Cause]:
    numeric, raw = comparison.numeric, comparison.raw_gradient
    if numeric.ndim < 2 or (raw is not None and raw.shape != numeric.shape[::-1]):
        return
    # A gradient of another shape has been transposed already, to fit the input.
    if not matches(comparison, numeric if raw is not None else np.swapaxes(numeric, -1, -2)):
        return
    shape = f", of shape {raw.shape}" if raw is not None else ""
    yield Cause(
        "transposed",
        f"the rule returns the transpose of the gradient{shape} (an axis that was summed away "
        "comes back by np.expand_dims(g, axis), not by broadcasting alone)",
    )


def diagnose_forward_direction(comparison: GradientComparison) -> Iterator[Cause]:
    """The rule multiplies g by the Jacobian, as the forward does with a change of its input."""
    columns = comparison.jacobian_columns
    if comparison.weights.size != comparison.analytic.size or len(columns) < len(
        comparison.weights
    ):
        return
    jacobian = np.stack(list(columns.values()), axis=1)
    if matches(comparison, (jacobian @ comparison.weights).reshape(comparison.analytic.shape)):
        yield Cause(
            "transposed",
            "the rule multiplies g by the Jacobian instead of its transpose: it moves g forward, "
            "as the forward moves values, and must move it back (w.T for w, the inverse of a "
            "permutation, a shift or cumulative sum from the other end)",
        )


def diagnose_misplaced(comparison: GradientComparison) -> Iterator[Cause]:
    """The right values at the wrong positions: reversed, or off by one."""
    numeric, analytic = comparison.numeric, comparison.analytic
    for axis, length in enumerate(numeric.shape):
        if length > 1 and matches(comparison, np.flip(numeric, axis)):
            yield Cause("misplaced", f"the rule returns the gradient reversed along axis {axis}")
        for shift in (1, -1) if length > 2 else ():
            shifted = np.roll(numeric, shift, axis)
            # What falls off the end may come back at the other, or be lost.
            edge = (slice(None),) * axis + (0 if shift > 0 else -1,)
            shifted[edge] = analytic[edge]
            if np.ptp(numeric) > 0 and matches(comparison, shifted):
                yield Cause(
                    "misplaced", f"the rule returns the gradient off by one along axis {axis}"
                )


def diagnose_missing_mask(comparison: GradientComparison) -> Iterator[Cause]:
    """Right where the gradient is not 0, and not 0 where it should be."""
    decided = np.isfinite(comparison.numeric) & ~comparison.is_undecided
    is_zero = decided & (np.abs(comparison.numeric) <= 1e-9 * np.abs(comparison.analytic))
    wrong = decided & comparison.wrong
    if np.any(wrong) and np.all(is_zero[wrong]) and np.any(decided & ~wrong & ~is_zero):
        yield Cause(
            "missing mask",
            "right where the gradient is not 0, but where the output does not depend on this "
            "input the rule does not return 0: multiply by a mask, such as (x > 0)",
        )


# ---------------------------------------------------------------------------- by upstream gradient


def diagnose_ignored_upstream(comparison: GradientComparison) -> Iterator[Cause]:
    if not matches(comparison, gradient_for(comparison, np.ones_like(comparison.weights))):
        return
    yield Cause(
        "upstream gradient ignored",
        "the rule returns the derivative of the plain sum of the outputs: it does not use g, the "
        "upstream gradient; the chain rule multiplies by it",
    )


def diagnose_missing_sum(comparison: GradientComparison) -> Iterator[Cause]:
    """Only one slice of the outputs, along an axis, has been counted."""
    (outputs, *more) = comparison.outputs
    if more or outputs.size != comparison.weights.size:
        return
    used = [np.reshape(c != 0, outputs.shape) for c in comparison.jacobian_columns.values()]
    for axis in range(outputs.ndim):
        is_shared = any(np.any(np.sum(each, axis=axis) > 1) for each in used)
        for i in range(outputs.shape[axis]) if is_shared else ():
            counted = np.zeros(outputs.shape)
            counted[(slice(None),) * axis + (i,)] = 1
            if matches(comparison, gradient_for(comparison, comparison.weights * counted.ravel())):
                yield Cause(
                    "missing sum",
                    f"only index {i} of the output's axis {axis} is counted; this input is used "
                    f"along all of that axis, so its gradient is the sum over axis {axis} "
                    f"(of {outputs.shape[axis]} contributions)",
                )
    return


def diagnose_diagonal_only(comparison: GradientComparison) -> Iterator[Cause]:
    """Each element is multiplied by the derivative of its own output only."""
    if len(comparison.outputs) > 1 or comparison.outputs[0].shape != comparison.analytic.shape:
        return
    own = np.full(comparison.analytic.shape, np.nan)
    weights = comparison.weights.reshape(own.shape)
    for index, column in comparison.jacobian_columns.items():
        own[index] = (column.reshape(own.shape) * weights)[index]
    if matches(comparison, own):
        yield Cause(
            "missing sum",
            "for each element only the output at its own index is counted, as if the op worked "
            "element by element; other outputs depend on it too: add up their contributions (for "
            "softmax, out * (g - np.sum(g * out, axis, keepdims=True)))",
        )


def diagnose_wrong_axis(comparison: GradientComparison) -> Iterator[Cause]:
    """The contributions of the outputs are summed over other axes than the input was broadcast."""
    columns = comparison.jacobian_columns
    (outputs, *more) = comparison.outputs
    if more or outputs.ndim < 2 or len(columns) < comparison.analytic.size:
        return
    contributions = comparison.weights * np.sum(list(columns.values()), axis=0)
    for axis in range(outputs.ndim):
        total = np.sum(contributions.reshape(outputs.shape), axis=axis)
        if total.size == comparison.analytic.size and matches(
            comparison, total.reshape(comparison.analytic.shape)
        ):
            yield Cause(
                "wrong axis",
                f"the gradient is summed over axis {axis} of the output, along which this input "
                "was not broadcast; sum over the other",
            )


def diagnose_overwriting(comparison: GradientComparison) -> Iterator[Cause]:
    """Each wrong element holds the contribution of just one of the outputs that depend on it."""
    for index in comparison.wrong_indices:
        contributions = comparison.weights * comparison.jacobian_columns[index]
        contributions = contributions[np.abs(contributions) > 0]
        is_one = np.any(is_close(contributions, comparison.analytic[index]))
        if len(contributions) < 2 or not is_one:
            return
    if len(comparison.wrong_indices) < 2:
        return
    yield Cause(
        "missing sum",
        "several outputs depend on an element, and the rule counts only one of them: add up the "
        "contributions of all (gradient[index] = g keeps only the last one where an index occurs "
        "twice; np.add.at(gradient, index, g) adds)",
    )


def diagnose_double_sum(comparison: GradientComparison) -> Iterator[Cause]:
    """The gradient is summed over axes that the input has: all elements hold the total."""
    numeric = comparison.numeric
    if not np.all(np.isfinite(numeric)):
        return
    axes = [axis for axis in range(numeric.ndim) if numeric.shape[axis] > 1]
    for count in range(1, len(axes) + 1):
        for over in itertools.combinations(axes, count):
            if np.all(is_close(numeric, np.mean(numeric, axis=over, keepdims=True))):
                continue  # all elements are equal: their sum is a constant factor
            totals = np.sum(numeric, axis=over, keepdims=True)
            if matches(comparison, np.broadcast_to(totals, numeric.shape)):
                yield Cause(
                    "double sum",
                    "summed once too often: every element has the total of the gradient along "
                    f"{'axis' if count == 1 else 'axes'} {join_with_and(over)} of the input, "
                    "instead of its own",
                )
    return


# ---------------------------------------------------------------------------- by factor


def diagnose_constant_factor(comparison: GradientComparison) -> Iterator[Cause]:
    numeric, analytic = comparison.numeric, comparison.analytic
    size = np.abs(np.where(np.isfinite(numeric), numeric, 0))
    if not np.any(size):
        return
    largest = np.unravel_index(int(np.argmax(size)), numeric.shape)
    factor = float(analytic[largest] / numeric[largest])
    if factor == 0 or is_close(factor, 1) or not matches(comparison, factor * numeric):
        return
    number, explanation = _explain_factor(factor, comparison)
    number = number or f"{factor:.6g}"
    yield Cause("constant factor", f"analytic / numeric is {number} at every element{explanation}")


def _explain_factor(factor: float, comparison: GradientComparison) -> tuple[str, str]:
    """A sign, a small number, or a length or size of an array, and what that suggests."""
    if is_close(factor, -1):
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
    is_elementwise = comparison.outputs[0].shape == comparison.analytic.shape
    for n, what in sorted(sizes.items()):
        is_chance = is_elementwise and n <= 4  # such a factor has other reasons too
        if n > 1 and is_close(abs(factor), n):
            question = f"is a 1/{n} missing, as of a mean, or a factor {n} too many?"
            return f"{sign}{n}", "" if is_chance else f". {n} is {what}: {question}"
        if n > 1 and is_close(abs(factor), 1 / n):
            question = f"is it divided by {n} once too often?"
            return f"{sign}1/{n}", "" if is_chance else f". {n} is {what}: {question}"
    for n in (2, 3, 4):
        if is_close(abs(factor), n):
            return f"{sign}{n}", ""
        if is_close(abs(factor), 1 / n):
            return f"{sign}1/{n}", ""
    return "", ""


def diagnose_identity(comparison: GradientComparison) -> Iterator[Cause]:
    """The rule passes g on as it is."""
    (outputs, *more) = comparison.outputs
    if more:
        return
    shape = comparison.analytic.shape
    g = comparison.weights.reshape(outputs.shape)
    for axis in (None, *range(len(shape))) if outputs.ndim else (None,):
        expanded = g if axis is None else np.expand_dims(g, axis)
        if can_broadcast(expanded.shape, shape) and matches(
            comparison, np.broadcast_to(expanded, shape)
        ):
            yield Cause(
                "missing factor",
                "the rule passes g on as it is: the derivative of the forward is missing",
            )
            return


def diagnose_missing_factor(comparison: GradientComparison) -> Iterator[Cause]:
    """The gradient times, or divided by, a function of the values: a factor of the chain rule."""
    for name, values in _candidate_factors(comparison):
        for power in (-1, 1):
            factor = values**power
            candidates = []
            if factor.shape == comparison.numeric.shape:
                candidates.append(comparison.numeric * factor)
            if len(comparison.outputs) == 1 and factor.shape == comparison.outputs[0].shape:
                candidates.append(gradient_for(comparison, comparison.weights * factor.ravel()))
            for candidate, constant in itertools.product(
                candidates, (1.0, -1.0, 2.0, -2.0, 0.5, -0.5)
            ):
                if matches(comparison, constant * candidate):
                    sign = {1.0: "", -1.0: "-"}.get(constant, f"{constant:g} · ")
                    ratio = f"{sign}{name}" if power == 1 else f"{sign}1 / ({name})"
                    remedy = "one too many" if power == 1 else "missing"
                    yield Cause(
                        "missing factor",
                        f"analytic / numeric is {ratio}: in the chain rule a factor {name} is "
                        f"{remedy}",
                    )
    return


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
            yield from _functions_of(name, value)


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
