"""What kind of wrong a gradient is: hypotheses, each tested on the evidence.

A hypothesis says what a certain mistake would make of the gradient. The first that fits all
elements is named, the more special ones first; if none fits, nothing is named.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

from microgradx.arrays.types import Array
from microgradx.checking.evidence import Evidence, broadcasts
from microgradx.engine import Tensor, as_tensor, reverse_topological_order, sweep
from microgradx.graph.grad_mode import enable_grad
from microgradx.ops.elementwise import copy

__all__ = ["Cause", "cause_of"]


class Cause(NamedTuple):
    """The kind of a mistake, and a sentence on it."""

    kind: str
    text: str


def cause_of(found: Evidence, order: int = 1) -> Cause | None:
    """The cause of what is wrong with one input's gradient, if a hypothesis fits."""
    for hypothesis in HYPOTHESES if order == 1 else SECOND_ORDER_HYPOTHESES:
        cause = hypothesis(found)
        if cause is not None:
            return cause
    return None


# ---------------------------------------------------------------------------- without a formula


def missing_gradient(found: Evidence) -> Cause | None:
    if found.reached or found.error is not None or not np.any(found.wrong):
        return None
    where = (
        f"{found.op!r} gives None for it"
        if found.op is not None
        else "on its way to the result, was its value taken by .data, .detach(), float() or item()?"
    )
    return Cause("missing gradient", f"no gradient reached it, and it matters: {where}")


def zero_gradient(found: Evidence) -> Cause | None:
    if not found.reached or not np.any(found.wrong) or np.any(found.analytic):
        return None
    return Cause("missing gradient", "the rule gives nothing but zeros for it, and it matters")


def coarse_dtype(found: Evidence) -> Cause | None:
    """Outputs that stand still for small steps, and move as the rule says for large ones."""
    differences, i = found.differences, found.position
    apart = total = 0.0
    for index in [index for index in found.columns if found.wrong[index]][:20]:
        if not differences.is_stepped(i, index):
            return None
        column, _ = differences.central(i, index, 100 * differences.step_at(i, index))
        apart += abs(differences.weighed(column) - float(found.analytic[index]))
        total += float(np.sum(np.abs(found.weights * column)))
    if not apart < 0.2 * total:
        return None
    return Cause(
        "coarse dtype",
        "the result changes in steps, as if it were computed in float32 or less: the rule may be "
        "right, but the differences are too coarse; compute in float64 throughout",
    )


def kink(found: Evidence) -> Cause | None:
    wrong = [index for index in found.columns if found.wrong[index]]
    slopes = [found.slopes[index] for index in wrong if index in found.slopes]
    if (
        not wrong
        or len(slopes) < len(wrong)
        or not all(slope.is_kink or slope.is_edge for slope in slopes)
    ):
        return None
    index, slope = wrong[0], slopes[0]
    place = f"at {_named(index)}, where the input is {found.tensor.data[index]:.6g}"
    if slope.is_edge:
        return Cause(
            "kink",
            f"{place}, the function ends: on one side it is not finite, so differences say nothing "
            "there; check at another point",
        )
    low, high = sorted([slope.left, slope.right])
    analytic = float(found.analytic[index])
    slack = 1e-6 * (high - low)
    verdict = (
        "the rule's value lies between, as that of any convention does, so it may well be right"
        if low - slack <= analytic <= high + slack
        else "the rule's value does not even lie between"
    )
    return Cause(
        "kink",
        f"{place}, the slope is {slope.left:.6g} from the left and {slope.right:.6g} from the "
        f"right: a kink or a tie, where finite differences lie; {verdict}. Check at another point",
    )


def not_finite(found: Evidence) -> Cause | None:
    if np.any(found.wrong & ~np.isfinite(found.numeric)):
        return Cause(
            "not finite", "differences give NaN or infinity there, so they can say nothing of it"
        )
    bad = found.wrong & ~np.isfinite(found.analytic)
    if found.raw is not None or not np.any(bad):
        return None
    count = int(np.sum(bad))
    return Cause("not finite", f"the rule gives NaN or infinity at {count} elements")


def error_in_the_rule(found: Evidence) -> Cause | None:
    return None if found.error is None else Cause("error in the rule", str(found.error))


def constant_in_the_rule(found: Evidence) -> Cause | None:
    return Cause(
        "constant in the rule",
        "its first derivative is right and its second is not. Under create_graph=True the rule is "
        "run on Tensors, and something in it is a constant there that depends on an input: .data, "
        "float(), an array kept from the forward, or a value computed under no_grad",
    )


# ---------------------------------------------------------------------------- by place


def transposed(found: Evidence) -> Cause | None:
    numeric, analytic = found.numeric, found.analytic
    if numeric.ndim < 2:
        return None
    if found.raw is not None:
        turned = numeric if found.raw.shape == numeric.shape[::-1] else None
    else:
        turned = np.swapaxes(numeric, -1, -2)
    if turned is None or turned.shape != analytic.shape or not _fits(found, analytic, turned):
        return None
    shape = f", of shape {found.raw.shape}" if found.raw is not None else ""
    return Cause("transposed", f"the rule gives the transpose of the gradient{shape}")


def outside_the_first_row(found: Evidence) -> Cause | None:
    wrong, sampled = found.wrong, np.isfinite(found.numeric)
    if wrong.ndim == 0 or len(wrong) < 2 or np.any(wrong[0]) or not np.any(sampled[0]):
        return None
    rows = np.any(wrong[1:].reshape(len(wrong) - 1, -1), axis=1)
    if not np.all(rows) or not np.any(found.numeric[0]):
        return None
    return Cause(
        "outside the first row",
        "right at index 0 of axis 0 and wrong at all others: is something of the first row used "
        "for every row, or only the first one filled in?",
    )


# ---------------------------------------------------------------------------- by upstream gradient


def upstream_ignored(found: Evidence) -> Cause | None:
    if _fits(found, found.analytic, _pulled(found, np.ones_like(found.weights))):
        return Cause(
            "upstream gradient ignored",
            "the rule gives the derivative of the plain sum of the outputs: it does not use g, the "
            "gradient that arrives from above; the chain rule multiplies by it",
        )
    return None


def missing_sum(found: Evidence) -> Cause | None:
    """Only one slice of the outputs, along an axis, has been counted."""
    (outputs, *more) = found.outputs
    if more or outputs.size != found.weights.size:
        return None
    for axis in range(outputs.ndim):
        for place in range(outputs.shape[axis]) if outputs.shape[axis] > 1 else ():
            counted = np.zeros(outputs.shape)
            counted[(slice(None),) * axis + (place,)] = 1
            if _fits(found, found.analytic, _pulled(found, found.weights * counted.ravel())):
                return Cause(
                    "missing sum",
                    f"only index {place} of the output's axis {axis} is counted; this input is "
                    f"used along all of that axis, so its gradient is the sum over axis {axis} "
                    f"(of {outputs.shape[axis]} contributions)",
                )
    return None


def overwritten(found: Evidence) -> Cause | None:
    """Each wrong element has the contribution of one of the outputs that it has part in."""
    wrong = [index for index in found.columns if found.wrong[index]]
    for index in wrong:
        contributions = found.weights * found.columns[index]
        contributions = contributions[np.abs(contributions) > 0]
        if len(contributions) < 2 or not np.any(_near(contributions, found.analytic[index])):
            return None
    if len(wrong) < 2:
        return None
    return Cause(
        "missing sum",
        "of the several outputs that an element has part in, the rule counts only one: the "
        "contributions of all are added up (gradient[index] = g keeps but the last one where an "
        "index occurs twice; np.add.at(gradient, index, g) adds)",
    )


def double_sum(found: Evidence) -> Cause | None:
    """Elements share a total: the gradient, summed over axes of the input that it has."""
    shape = found.numeric.shape
    if not np.all(np.isfinite(found.numeric)):
        return None
    axes = [axis for axis in range(len(shape)) if shape[axis] > 1]
    for count in range(1, len(axes) + 1):
        for over in itertools.combinations(axes, count):
            if np.all(_near(found.numeric, np.mean(found.numeric, axis=over, keepdims=True))):
                continue  # elements that are all the same: a total is then a factor
            totals = np.broadcast_to(np.sum(found.numeric, axis=over, keepdims=True), shape)
            if _fits(found, found.analytic, totals):
                return Cause(
                    "double sum",
                    f"summed once too often: all along axis {_listed(over)} of the input the rule "
                    "gives the total of the gradient, not each element its own",
                )
    return None


# ---------------------------------------------------------------------------- by factor


def constant_factor(found: Evidence) -> Cause | None:
    numeric, analytic = found.numeric, found.analytic
    large = np.abs(np.where(np.isfinite(numeric), numeric, 0))
    if not np.any(large):
        return None
    at = np.unravel_index(int(np.argmax(large)), numeric.shape)
    factor = float(analytic[at] / numeric[at])
    if factor == 0 or _near(factor, 1) or not _fits(found, analytic, factor * numeric):
        return None
    named = _factor_named(factor, found)
    if named is None and np.sum(large > 0) < 2:
        return None  # of one element, every mistake is a constant factor
    return Cause(
        "constant factor", f"analytic / numeric is {named or f'{factor:.6g}'} at every element"
    )


def _factor_named(factor: float, found: Evidence) -> str | None:
    """What a factor is: a sign, a small number, a length or size of one of the arrays."""
    if _near(factor, -1):
        return "-1: the sign is wrong"
    sizes: dict[int, str] = {}
    arrays = [(f"input {i}", x.data) for i, x in enumerate(found.differences.tensors)]
    arrays += [("the output", out) for out in found.outputs]
    for name, array in arrays:
        for axis, length in enumerate(array.shape):
            what = "rows" if axis == 0 else "classes or columns"
            sizes.setdefault(length, f"the length of axis {axis} of {name}, the number of {what}")
        sizes.setdefault(array.size, f"the number of elements of {name}")
    sign = "-" if factor < 0 else ""
    for n, what in sorted(sizes.items()):
        if n > 1 and _near(abs(factor), n):
            return f"{sign}{n}, {what}: is a 1/{n} missing, as of a mean, or a factor {n} too many?"
        if n > 1 and _near(abs(factor), 1 / n):
            return f"{sign}1/{n}, with {n} {what}: is it divided by {n} once too often?"
    for n in (2, 3, 4):
        if _near(abs(factor), n):
            return f"{sign}{n}"
        if _near(abs(factor), 1 / n):
            return f"{sign}1/{n}"
    return None


def missing_factor(found: Evidence) -> Cause | None:
    """The gradient times, or divided by, a function of the values: a factor of the chain rule."""
    constants = (1.0, -1.0, 2.0, -2.0, 0.5, -0.5)
    for name, values in _factors(found):
        for power in (-1, 1):
            factor = values**power
            candidates = []
            if factor.shape == found.numeric.shape:
                candidates.append(found.numeric * factor)
            if len(found.outputs) == 1 and factor.shape == found.outputs[0].shape:
                candidates.append(_pulled(found, found.weights * factor.ravel()))
            for candidate in candidates:
                for constant in constants:
                    if not _fits(found, found.analytic, constant * candidate):
                        continue
                    sign = {1.0: "", -1.0: "-"}.get(constant, f"{constant:g} · ")
                    ratio = f"{sign}{name}" if power == 1 else f"{sign}1 / ({name})"
                    what = "too many" if power == 1 else "missing"
                    return Cause(
                        "missing factor",
                        f"analytic / numeric is {ratio}: in the chain rule a factor {name} is "
                        f"{what}",
                    )
    return None


def _factors(found: Evidence) -> Iterator[tuple[str, Array]]:
    """Factors that chain rules are made of, by name, in the shape of the input or the output."""
    shapes = {found.numeric.shape, *(out.shape for out in found.outputs)}

    def of(name: str, value: Array) -> Iterator[tuple[str, Array]]:
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

    values = [("out", out) for out in found.outputs]
    for i, x in enumerate(found.differences.tensors):
        if x.dtype.kind == "f":
            values.append(("x" if i == found.position else f"input {i}", x.data))
    for name, value in values:
        for shape in shapes:
            if broadcasts(value.shape, shape):
                for called, factor in of(name, np.broadcast_to(value, shape).astype(float)):
                    finite = factor[np.isfinite(factor)]
                    if finite.size and np.ptp(finite) > 1e-9 * np.max(np.abs(finite)):
                        yield called, factor


# ---------------------------------------------------------------------------- by the op's forward


def one_of_several_uses(found: Evidence) -> Cause | None:
    """A value that the op's own forward uses several times, with some of the uses left out."""
    graph = _forward_graph(found)
    if graph is None:
        return None
    out, x = graph
    uses: dict[Tensor, list[tuple[Tensor, int]]] = {}
    for node in reverse_topological_order(out):
        for position, value in enumerate(node.inputs):
            if value.requires_grad:
                uses.setdefault(value, []).append((node, position))
    for value, edges in uses.items():
        if len(edges) < 2:
            continue
        for i in range(len(edges)):
            for left_out in (edges[:i] + edges[i + 1 :], edges[i : i + 1]):
                with _without(left_out):
                    gradient = _gradient_at(x, out, found)
                if not _fits(found, found.analytic, gradient):
                    continue
                named = "it" if value is x else f"the result of {value.op!r}"
                where = _listed([repr(node.op) for node, _ in left_out])
                return Cause(
                    "one of several uses",
                    f"the forward uses {named} {len(edges)} times, and the rule leaves out the use "
                    f"in {where}: the contributions of all uses are added up",
                )
    return None


def missing_derivative(found: Evidence) -> Cause | None:
    """A function in the op's own forward whose derivative is left out."""
    graph = _forward_graph(found)
    if graph is None:
        return None
    out, x = graph
    for node in reverse_topological_order(out):
        for position, value in enumerate(node.inputs):
            if not value.requires_grad or value.shape != node.shape:
                continue
            with _passing_on(node, position):
                gradient = _gradient_at(x, out, found)
            if _fits(found, found.analytic, gradient):
                return Cause(
                    "missing factor",
                    f"the derivative of {node.op!r} is missing: the rule passes the gradient on "
                    "as if that were the identity",
                )
    return None


def _forward_graph(found: Evidence) -> tuple[Tensor, Tensor] | None:
    """The op's forward, computed with Tensors: its result, and the input in question."""
    if found.op is None:
        return None
    tensors = [as_tensor(t.data) for t in found.differences.tensors]
    x = tensors[found.position].requires_grad_()
    try:
        with enable_grad():
            out = found.op.forward(*tensors)
    except Exception:  # a forward need not be written for Tensors: then there is nothing to see
        return None
    seen = (
        isinstance(out, Tensor) and out.requires_grad and len(reverse_topological_order(out)) < 200
    )
    return (out, x) if seen else None


@contextmanager
def _without(uses: list[tuple[Tensor, int]]) -> Iterator[None]:
    """The graph, with these uses of values as if of constants."""
    before = [(node, node.inputs) for node, _ in uses]
    for node, position in uses:
        replaced = list(node.inputs)
        replaced[position] = _as_constant(replaced[position])
        node.inputs = tuple(replaced)
    try:
        yield
    finally:
        for node, inputs in reversed(before):
            node.inputs = inputs


@contextmanager
def _passing_on(node: Tensor, position: int) -> Iterator[None]:
    """The graph, with the node's gradient given to one of its inputs as it is."""
    op, inputs = node.op, node.inputs
    node.op, node.inputs = copy, (inputs[position],)
    try:
        yield
    finally:
        node.op, node.inputs = op, inputs


def _as_constant(x: Tensor) -> Tensor:
    constant = x.detach()
    constant.sequence_number = x.sequence_number  # not a change of the leaf it stands for
    return constant


def _gradient_at(x: Tensor, out: Tensor, found: Evidence) -> Array:
    arrived: dict[Tensor, Array] = dict(sweep({out: found.weights.reshape(out.shape)}))
    return arrived.get(x, np.zeros(x.shape))


# ---------------------------------------------------------------------------- comparing


def _fits(found: Evidence, analytic: Array, hypothetical: Array) -> bool:
    """Whether a hypothesis gives the analytic gradient, at every element that was sampled."""
    known = np.isfinite(found.numeric)
    if hypothetical.shape != analytic.shape or not np.any(analytic[known]):
        return False  # a rule that gives nothing but zeros would fit too many mistakes
    expected, actual = hypothetical[known], analytic[known]
    scale = np.max(np.abs(found.numeric[known]), initial=0)
    near = np.abs(actual - expected) <= 1e-6 * np.abs(expected) + 1e-8 * scale + 1e-12
    return bool(np.all(near))


def _pulled(found: Evidence, weights: Array) -> Array:
    """The numeric gradient if the outputs weighed otherwise."""
    gradient = np.full(found.numeric.shape, np.nan)
    for index, column in found.columns.items():
        gradient[index] = np.sum(weights * column)
    return gradient


def _near(a: Any, b: Any) -> Any:
    return np.abs(a - b) <= 1e-5 * np.abs(b)


def _named(index: tuple[int, ...]) -> str:
    return f"index {index[0] if len(index) == 1 else index}" if index else "its only element"


def _listed(items: Any) -> str:
    return " and ".join(str(item) for item in items)


#: In this order: what forbids other conclusions first, then the more special before the general.
HYPOTHESES: tuple[Callable[[Evidence], Cause | None], ...] = (
    missing_gradient,
    coarse_dtype,
    kink,
    zero_gradient,
    not_finite,
    transposed,
    upstream_ignored,
    outside_the_first_row,
    missing_sum,
    overwritten,
    double_sum,
    one_of_several_uses,
    constant_factor,
    missing_derivative,
    missing_factor,
    error_in_the_rule,
)
SECOND_ORDER_HYPOTHESES = (error_in_the_rule, coarse_dtype, kink, not_finite, constant_in_the_rule)
