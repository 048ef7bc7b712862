"""Hypotheses about a rule that are tested by running it, or the op's forward, a little changed."""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from microgradx.arrays.broadcasting import unbroadcast
from microgradx.arrays.types import Array
from microgradx.checking.comparison import (
    GradientComparison,
    make_generator,
    sample_indices,
)
from microgradx.checking.predictions import Cause, is_close, join_with_and, matches
from microgradx.engine import Tensor, as_tensor, reverse_topological_order, sweep
from microgradx.graph.grad_mode import enable_grad
from microgradx.ops.elementwise import copy

__all__ = [
    "diagnose_argument_order",
    "diagnose_first_row_only",
    "diagnose_gradient_order",
    "diagnose_misnamed_arguments",
    "diagnose_missing_derivative",
    "diagnose_missing_use",
    "diagnose_wrong_variable",
]


# ---------------------------------------------------------------------------- the rule


def diagnose_argument_order(comparison: GradientComparison) -> Iterator[Cause]:
    """The rule is right if it is called with its arguments in another order."""
    names, arguments = _names_and_arguments(comparison)
    if not 3 <= len(arguments) <= 5:
        return
    own_order = tuple(range(len(arguments)))
    orders = sorted(
        itertools.permutations(own_order),
        key=lambda order: sum(k != own for k, own in zip(order, own_order, strict=True)),
    )
    for order in orders[1:]:
        gradients = _gradients_by_rule(comparison, [arguments[k] for k in order])
        if all(_is_right(comparison, j, gradients.get(j)) for j in range(len(arguments) - 2)):
            called, needed = ", ".join(names), ", ".join(names[k] for k in order)
            yield Cause(
                "arguments in the wrong order",
                f"backward is called as backward({called}), and would be right if it were called "
                f"as backward({needed}). Its parameters are ({', '.join(_parameters(comparison))}):"
                " they must be the upstream gradient, the output and the inputs, in this order",
            )


def diagnose_misnamed_arguments(comparison: GradientComparison) -> Iterator[Cause]:
    """The same, where already the names of the parameters tell."""
    if comparison.op is not None and _parameters(comparison)[:2] != ["g", "out"]:
        yield from diagnose_argument_order(comparison)


def diagnose_wrong_variable(comparison: GradientComparison) -> Iterator[Cause]:
    """The rule is right if one of its arguments stands for another, or a function of itself."""
    names, arguments = _names_and_arguments(comparison)
    i = comparison.input_index
    for k in range(1, len(arguments)):
        others = [(names[j], arguments[j]) for j in range(1, len(arguments)) if j != k]
        others += [(f"{f.__name__}({names[k]})", f(arguments[k])) for f in (np.exp, np.log)]
        for name, value in others:
            if np.shape(value) == np.shape(arguments[k]):
                changed = [*arguments[:k], value, *arguments[k + 1 :]]
                if _is_right(comparison, i, _gradients_by_rule(comparison, changed).get(i)):
                    yield Cause(
                        "wrong variable",
                        f"the rule is right with {name} in place of {names[k]}: its formula has "
                        f"{names[k]}, where {name} is due",
                    )


def diagnose_gradient_order(comparison: GradientComparison) -> Iterator[Cause]:
    """What the rule returns is right in another order."""
    names, arguments = _names_and_arguments(comparison)
    inputs, i = range(len(arguments) - 2), comparison.input_index
    gradients = _gradients_by_rule(comparison, arguments, fit=False)
    for order in itertools.permutations(inputs) if len(inputs) in {2, 3} else ():
        if order[i] != i and all(_is_right(comparison, j, gradients.get(order[j])) for j in inputs):
            returned = [names[2 + order.index(k)] for k in inputs]
            yield Cause(
                "gradients in the wrong order",
                f"the rule returns the gradients at {', '.join(returned)}, in this order; it must "
                f"return them in the order of the inputs, {', '.join(names[2:])}",
            )


def diagnose_first_row_only(comparison: GradientComparison) -> Iterator[Cause]:
    """The rule uses something of the first row for every row, or fills in only the first row."""
    wrong, numeric, analytic = comparison.wrong, comparison.numeric, comparison.analytic
    if wrong.ndim == 0 or len(wrong) < 2 or np.any(wrong[0]) or not np.any(numeric[0]):
        return
    rows = np.any(wrong[1:].reshape(len(wrong) - 1, -1), axis=1)
    if not np.all(rows) or not np.any(np.isfinite(numeric[0])):
        return
    where = "correct at index 0 of axis 0 and wrong at all others"
    if not np.any(analytic[1:]) and _only_the_first_is_filled(comparison):
        yield Cause(
            "outside the first row", f"{where}, where it is 0: does it fill in only the first row?"
        )
    elif _rows_are_independent(comparison) and _other_rows_follow_the_first(comparison):
        yield Cause(
            "outside the first row",
            f"{where}: the rule uses something of the first row for every row",
        )


def _rows_are_independent(comparison: GradientComparison) -> bool:
    """Whether the outputs' other rows do not depend on the input's first."""
    (outputs, *_) = comparison.outputs
    if len(comparison.outputs) > 1 or np.shape(outputs)[:1] != comparison.numeric.shape[:1]:
        return False
    others = np.ones(outputs.shape, bool)
    others[0] = False
    columns = comparison.jacobian_columns.items()
    return not any(np.any(column[others.ravel()]) for index, column in columns if index[0] == 0)


def _only_the_first_is_filled(comparison: GradientComparison) -> bool:
    """Whether the rule fills in the first row, whichever that is: also with the rows reversed."""
    _, arguments = _names_and_arguments(comparison)
    rows = comparison.numeric.shape[:1]
    arguments = [a[::-1] if a.shape[:1] == rows else a for a in arguments]
    gradient = _gradients_by_rule(comparison, arguments).get(comparison.input_index)
    return gradient is not None and bool(np.any(gradient[0])) and not np.any(gradient[1:])


def _other_rows_follow_the_first(comparison: GradientComparison) -> bool:
    """Whether the rule's other rows change if only the first row of its arguments does."""
    _, arguments = _names_and_arguments(comparison)
    changed = [argument.copy() for argument in arguments]
    for argument in changed:
        if argument.shape[:1] == comparison.numeric.shape[:1] and argument.dtype.kind == "f":
            argument[0] *= 1.1
    gradient = _gradients_by_rule(comparison, changed).get(comparison.input_index)
    return gradient is not None and not np.allclose(gradient[1:], comparison.analytic[1:])


def _names_and_arguments(comparison: GradientComparison) -> tuple[list[str], list[Array]]:
    """What the rule is called with: g, out and the inputs; nothing where it cannot be called."""
    op = comparison.op
    if op is None or op.derivatives or comparison.error is not None:
        return [], []
    inputs = [x.data for x in comparison.differences.tensors]
    (out,) = comparison.outputs
    g = comparison.weights.reshape(out.shape).astype(out.dtype)
    names = list("xyzabcdef"[: len(inputs)])
    return ["g", "out", *names], [g, out, *inputs]


def _parameters(comparison: GradientComparison) -> list[str]:
    assert comparison.op is not None
    return list(inspect.signature(comparison.op.backward).parameters)


def _gradients_by_rule(
    comparison: GradientComparison, arguments: Sequence[Any], fit: bool = True
) -> dict[int, Array]:
    """What the rule returns for each input if called like this, as far as that are gradients.

    With `fit`, in the input's shape.
    """
    op, inputs = comparison.op, comparison.differences.tensors
    if op is None or not arguments:
        return {}
    try:
        returned = op.backward(*[np.array(a) for a in arguments])
        returned = returned if isinstance(returned, (tuple, list)) else (returned,)
        return {
            i: unbroadcast(gradient, x.data) if fit else np.asarray(gradient)
            for i, (gradient, x) in enumerate(zip(returned, inputs, strict=True))
            if gradient is not None
        }
    except Exception:  # it was written for other arguments
        return {}


def _is_right(comparison: GradientComparison, i: int, gradient: Array | None) -> bool:
    """Whether this is the gradient at an input, by differences."""
    x = comparison.differences.tensors[i]
    if x.dtype.kind != "f":
        return True
    if gradient is None or gradient.shape != x.shape:
        return False
    if i == comparison.input_index:
        return matches(comparison, comparison.numeric, gradient)
    for index in sample_indices(x, 10, make_generator(0)):
        column, _ = comparison.differences.jacobian_column(i, index)
        expected = comparison.differences.weighted_sum(column)
        if not abs(gradient[index] - expected) <= 1e-5 * abs(expected) + 1e-9:
            expected = comparison.differences.estimate_derivative(i, index).value
            if not is_close(gradient[index], expected):
                return False
    return True


# ---------------------------------------------------------------------------- the forward


def diagnose_missing_use(comparison: GradientComparison) -> Iterator[Cause]:
    """A value that the op's own forward uses several times, with some of the uses left out."""
    graph = _record_forward(comparison)
    if graph is None:
        return
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
                if not matches(comparison, gradient):
                    continue
                name = "this input" if value is x else f"the result of {value.op!r}"
                where = join_with_and([repr(node.op) for node, _ in left_out])
                yield Cause(
                    "one of several uses",
                    f"the forward uses {name} {len(edges)} times, and the rule leaves out the use "
                    f"in {where}: add up the contributions of all uses",
                )
    return None


def diagnose_missing_derivative(comparison: GradientComparison) -> Iterator[Cause]:
    """A function in the op's own forward whose derivative is left out."""
    graph = _record_forward(comparison)
    if graph is None:
        return
    out, x = graph
    for node in reverse_topological_order(out):
        for i, value in enumerate(node.inputs):
            if not value.requires_grad or value.shape != node.shape:
                continue
            with _skipped_derivative(node, i):
                gradient = _gradient_at(x, out, comparison)
            if matches(comparison, gradient):
                yield Cause(
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
