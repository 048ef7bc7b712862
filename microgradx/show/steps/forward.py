"""Where each element of a result comes from: found out, and then checked.

What is found must hold for the op's own numbers, or nothing is said.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from microgradx.arrays.types import Array, as_read_only
from microgradx.engine import Op
from microgradx.ops.elementwise import Elementwise
from microgradx.ops.normalisation import Normalise
from microgradx.ops.norms import Norm
from microgradx.ops.products import Einsum, Linear, Matmul, Vecdot
from microgradx.ops.reductions import Max, Mean, Min, Prod, Std, Sum, Var
from microgradx.ops.softmax import LogSumExp
from microgradx.show.steps.op_probe import Application, first_that_holds, probe
from microgradx.show.steps.softmax import softmax_computed
from microgradx.show.steps.steps import Formula, How, Picked, Products, Reduced, Weighted
from microgradx.show.steps.symbolic import read, written_by
from microgradx.show.steps.verification import holds
from microgradx.show.steps.windows import windows_computed

__all__ = ["all_derivatives", "how_computed", "may_derive", "moved", "subscripts"]

#: All derivatives of all elements are computed if there are no more of them, and of results.
MOST_WEIGHTS, MOST_RESULTS = 4096, 256


def how_computed(applied: Application) -> How | None:
    """How each element of the op's result arises, if there is a saying it."""
    if not applied.is_small:
        return None
    formulas, moves = partial(by_formula, applied), partial(moved, applied.forward, applied.inputs)
    is_elementwise = isinstance(applied.op, Elementwise)
    return first_that_holds(
        [
            partial(reduced, applied),
            partial(products, applied),
            partial(softmax_computed, applied),
            partial(normalised, applied),
            partial(windows_computed, applied),
            *((formulas, moves) if is_elementwise else (moves, formulas)),
            partial(weighed, applied),
        ],
        applied.out,
    )


def by_formula(applied: Application) -> Iterator[Formula]:
    """As the op says that it computes or, if that is no formula, as its forward writes it."""
    for symbol in (
        read(applied.op.formula, applied.symbols),
        written_by(applied.forward, *applied.symbols.values()),
    ):
        if symbol is not None:
            yield symbol.formula


#: How reductions are written: before, between and behind the elements, of which there are n.
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


def reduced(applied: Application) -> Iterator[Reduced]:
    op: Any = applied.op
    if type(op) in REDUCTIONS:
        (x,) = applied.inputs
        axes = range(x.ndim) if op.axis is None or x.ndim == 0 else op.axis
        axes = tuple(sorted(normalize_axis_tuple(axes, x.ndim)))
        n = op.count(x)
        if isinstance(op, Var):
            x, n = as_read_only((x - np.mean(x, axis=axes, keepdims=True)) ** 2), n - op.ddof
        opening, joiner, closing = REDUCTIONS[type(op)]
        if isinstance(op, Norm) and op.p != 2:
            p = f"{op.p:.9g}" if op.p > 0 else f"({op.p:.9g})"
            opening, joiner, closing = "(|", f"|^{p} + |", f"|^{p})^(1 / {p})"
        yield Reduced(x, axes, opening, joiner, closing.format(n=f"{n:.9g}"))


def normalised(applied: Application) -> Iterator[Formula]:
    op = applied.op
    if isinstance(op, Normalise):
        x, *parameters = applied.inputs
        statistics = op.statistics(x)
        operands = {"x": x, "mean": statistics.mean, "deviation": statistics.deviation}
        operands.update(zip("yz", (op.beside(p, x) for p in parameters), strict=False))
        texts = ["({x} - {mean}) / {deviation}", " · {y}", " + {z}"]
        yield Formula("".join(texts[: len(applied.inputs)]), operands)


def subscripts(op: Op, inputs: tuple[Array, ...]) -> tuple[list[str], str] | None:
    """For the axes of what is multiplied and of the sum of products, as in np.einsum."""
    if isinstance(op, Einsum):
        *terms, result, _ = op.spelled([x.ndim for x in inputs])
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


def products(applied: Application) -> Iterator[Products]:
    found = subscripts(applied.op, applied.inputs)
    if found is not None:
        terms, result = found
        bias = applied.inputs[2] if isinstance(applied.op, Linear) else None
        yield Products(f"{','.join(terms)}->{result}", applied.inputs[: len(terms)], bias)


def moved(function: Callable[..., Any], arrays: tuple[Array, ...]) -> Iterator[Picked]:
    """From where each element was taken: told by what the function makes of positions.

    That it moves elements, whatever they are, shows in what it makes of other numbers.
    """
    operands = tuple(x for x in arrays if x.dtype.kind == "f")
    ends = np.cumsum([x.size for x in operands])

    def of(numbers: Array) -> Array:
        parts = iter(np.split(numbers, ends[:-1]))
        return np.asarray(
            function(*(next(parts).reshape(x.shape) if x.dtype.kind == "f" else x for x in arrays))
        )

    source = np.asarray(of(np.arange(1.0, ends[-1] + 1)), int) - 1
    others = probe((ends[-1],))
    if np.array_equal(np.append(others, 0)[source], of(others)):
        yield Picked(operands, source)


def weighed(applied: Application) -> Iterator[Picked | Weighted]:
    """As a sum of one input's elements, each times the derivative by it."""
    for position, x in enumerate(applied.inputs):
        if x.dtype.kind == "f" and may_derive(applied, position):
            derivatives = all_derivatives(applied, position).reshape(*applied.out.shape, x.size)
            weights = np.moveaxis(derivatives, -1, 0)
            if np.all((weights == 0) | (weights == 1)) and np.all(np.sum(weights, axis=0) == 1):
                yield Picked((x,), np.argmax(weights, axis=0))  # the largest of some, say
            before, after = applied.inputs[:position], applied.inputs[position + 1 :]
            bias = np.asarray(applied.forward(*before, np.zeros_like(x), *after))
            other = probe(x.shape, x.dtype)
            if holds(Weighted(other, weights, bias), applied.forward(*before, other, *after)):
                yield Weighted(x, weights, bias if np.any(bias) else None)


def may_derive(applied: Application, position: int) -> bool:
    size: int = applied.out.size
    return size <= MOST_RESULTS and size * applied.inputs[position].size <= MOST_WEIGHTS


def all_derivatives(applied: Application, position: int) -> Array:
    """Those of each element of the result, in C order, by those of what the rule answers with."""
    units = np.eye(applied.out.size, dtype=applied.out.dtype).reshape(-1, *applied.out.shape)
    return np.stack([applied.rule(position, unit) for unit in units])
