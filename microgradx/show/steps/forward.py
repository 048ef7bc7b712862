"""The derivation of an op's result: how each element is computed from the inputs.

A derivation is returned only if it reproduces the values that the op itself computed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from microgradx.arrays.types import Array, as_read_only
from microgradx.engine import Op
from microgradx.ops import products
from microgradx.ops.elementwise import Elementwise
from microgradx.ops.normalisation import Normalise
from microgradx.ops.norms import Norm
from microgradx.ops.products import Linear, Matmul, Vecdot
from microgradx.ops.reductions import Max, Mean, Min, Prod, Std, Sum, Var
from microgradx.ops.softmax import LogSumExp
from microgradx.show.formulas.derivations import (
    Derivation,
    Einsum,
    Formula,
    Gather,
    LinearCombination,
    Reduce,
)
from microgradx.show.formulas.symbolic import parse_formula, trace_formula
from microgradx.show.formulas.verification import reproduces
from microgradx.show.steps.convolution import convolution_derivations
from microgradx.show.steps.op_probe import OpProbe, distinct_numbers, first_that_reproduces
from microgradx.show.steps.softmax import softmax_derivations

__all__ = ["jacobian", "derive_result", "is_jacobian_small", "gathers", "einsum_subscripts"]

#: The size up to which a Jacobian is computed, and the result that it belongs to.
MAX_JACOBIAN, MAX_RESULTS = 4096, 256


def derive_result(probe: OpProbe) -> Derivation | None:
    """How each element of the op's result is computed, if a line of text can say it."""
    if not probe.is_small:
        return None
    by_formula, moves = partial(formulas, probe), partial(gathers, probe.forward, probe.inputs)
    is_elementwise = isinstance(probe.op, Elementwise)
    return first_that_reproduces(
        [
            partial(reductions, probe),
            partial(einsums, probe),
            partial(softmax_derivations, probe),
            partial(normalisations, probe),
            partial(convolution_derivations, probe),
            *((by_formula, moves) if is_elementwise else (moves, by_formula)),
            partial(linear_combinations, probe),
        ],
        probe.out,
    )


def formulas(probe: OpProbe) -> Iterator[Formula]:
    """The op's own formula or, if that cannot be parsed, the one that its forward records."""
    for symbol in (
        parse_formula(probe.op.formula, probe.symbols),
        trace_formula(probe.forward, *probe.symbols.values()),
    ):
        if symbol is not None:
            yield symbol.formula


#: What reductions write before, between and after their n elements.
REDUCTIONS = {
    Sum: ("", " + ", ""),
    Mean: ("(", " + ", ") / {n}"),
    Prod: ("", " · ", ""),
    Max: ("max(", ", ", ")"),
    Min: ("min(", ", ", ")"),
    LogSumExp: ("ln(e^", " + e^", ")"),
    Norm: ("√(", "² + ", "²)"),
    # of squared deviations
    Var: ("(", " + ", ") / {n}"),
    Std: ("√((", " + ", ") / {n})"),
}


def reductions(probe: OpProbe) -> Iterator[Reduce]:
    op: Any = probe.op
    if type(op) in REDUCTIONS:
        (x,) = probe.inputs
        axes = range(x.ndim) if op.axis is None or x.ndim == 0 else op.axis
        axes = tuple(sorted(normalize_axis_tuple(axes, x.ndim)))
        n = op.count(x)
        if isinstance(op, Var):
            x, n = as_read_only((x - np.mean(x, axis=axes, keepdims=True)) ** 2), n - op.ddof
        opening, joiner, closing = REDUCTIONS[type(op)]
        if isinstance(op, Norm) and op.p != 2:
            p = f"{op.p:.9g}" if op.p > 0 else f"({op.p:.9g})"
            opening, joiner, closing = "(|", f"|^{p} + |", f"|^{p})^(1 / {p})"
        yield Reduce(x, axes, opening, joiner, closing.format(n=f"{n:.9g}"))


def normalisations(probe: OpProbe) -> Iterator[Formula]:
    op = probe.op
    if isinstance(op, Normalise):
        x, *parameters = probe.inputs
        statistics = op.statistics(x)
        operands = {"x": x, "mean": statistics.mean, "deviation": statistics.deviation}
        operands.update(zip("yz", (op.align(p, x) for p in parameters), strict=False))
        texts = ["({x} - {mean}) / {deviation}", " · {y}", " + {z}"]
        yield Formula("".join(texts[: len(probe.inputs)]), operands)


def einsum_subscripts(op: Op, inputs: tuple[Array, ...]) -> tuple[list[str], str] | None:
    """The subscripts of each factor, and of the sum of their products, as in np.einsum."""
    if isinstance(op, products.Einsum):
        *terms, result, _ = op.spell_out([x.ndim for x in inputs])
        return terms, result
    if isinstance(op, Matmul):
        cores = ["ij" if inputs[0].ndim > 1 else "j", "jk" if inputs[1].ndim > 1 else "j"]
    elif isinstance(op, (Linear, Vecdot)):
        cores = ["j", "kj" if isinstance(op, Linear) else "j"]
    else:
        return None
    leading = [x.ndim - len(core) for x, core in zip(inputs, cores, strict=False)]
    shared = "abcdefgh"[: max(leading)]  # they broadcast
    terms = [shared[len(shared) - n :] + core for n, core in zip(leading, cores, strict=True)]
    return terms, shared + "".join(c for c in "ik" if c in "".join(cores))


def einsums(probe: OpProbe) -> Iterator[Einsum]:
    found = einsum_subscripts(probe.op, probe.inputs)
    if found is not None:
        terms, result = found
        bias = probe.inputs[2] if isinstance(probe.op, Linear) else None
        yield Einsum(f"{','.join(terms)}->{result}", probe.inputs[: len(terms)], bias)


def gathers(function: Callable[..., Any], arrays: tuple[Array, ...]) -> Iterator[Gather]:
    """The source of each element, if the function copies elements: it is called with positions.

    Other numbers then show that it copies elements, whatever their values are.
    """
    operands = tuple(x for x in arrays if x.dtype.kind == "f")
    ends = np.cumsum([x.size for x in operands])

    def copies(numbers: Array) -> Array:
        parts = iter(np.split(numbers, ends[:-1]))
        return np.asarray(
            function(*(next(parts).reshape(x.shape) if x.dtype.kind == "f" else x for x in arrays))
        )

    source = np.asarray(copies(np.arange(1.0, ends[-1] + 1)), int) - 1
    others = distinct_numbers((ends[-1],))
    if np.array_equal(np.append(others, 0)[source], copies(others)):
        yield Gather(operands, source)


def linear_combinations(probe: OpProbe) -> Iterator[Gather | LinearCombination]:
    """Sums of one input's elements, each times the derivative with respect to it."""
    for position, x in enumerate(probe.inputs):
        if x.dtype.kind == "f" and is_jacobian_small(probe, position):
            derivatives = jacobian(probe, position).reshape(*probe.out.shape, x.size)
            weights = np.moveaxis(derivatives, -1, 0)
            if np.all((weights == 0) | (weights == 1)) and np.all(np.sum(weights, axis=0) == 1):
                yield Gather((x,), np.argmax(weights, axis=0))  # the largest of some, say
            before, after = probe.inputs[:position], probe.inputs[position + 1 :]
            bias = np.asarray(probe.forward(*before, np.zeros_like(x), *after))
            other = distinct_numbers(x.shape, x.dtype)
            if reproduces(
                LinearCombination(other, weights, bias), probe.forward(*before, other, *after)
            ):
                yield LinearCombination(x, weights, bias if np.any(bias) else None)


def is_jacobian_small(probe: OpProbe, position: int) -> bool:
    size: int = probe.out.size
    return size <= MAX_RESULTS and size * probe.inputs[position].size <= MAX_JACOBIAN


def jacobian(probe: OpProbe, position: int) -> Array:
    """The gradients of each element of the result, in C order, stacked."""
    units = np.eye(probe.out.size, dtype=probe.out.dtype).reshape(-1, *probe.out.shape)
    return np.stack([probe.rule(position, unit) for unit in units])
