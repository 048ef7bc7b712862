"""What an op passes on to its inputs, and how each element of that arises: the chain rule.

What is found must hold for what the op's own rule gave, or nothing is said.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

import numpy as np

from microgradx.arrays.types import Array, as_read_only
from microgradx.ops.reductions import Reduction
from microgradx.show.steps.formula_printer import ONE, as_factor
from microgradx.show.steps.forward import all_derivatives, may_derive, moved, subscripts
from microgradx.show.steps.op_probe import Application, Finder, first_that_holds, probe
from microgradx.show.steps.softmax import loss_derivative
from microgradx.show.steps.steps import Formula, How, Picked, Products, Reduced, Weighted
from microgradx.show.steps.symbolic import Symbol, read, shown, slot, written_by
from microgradx.show.steps.verification import holds
from microgradx.show.steps.windows import convolution_passed_on

__all__ = ["PassedOn", "passed_on"]

# ---------------------------------------------------------------------------- local derivatives


class Local(NamedTuple):
    """For each element of an input, the derivative of the one element that depends on it."""

    value: Array
    #: How that is written, if it is.
    written: Symbol | None
    #: Lays what has the result's shape beside `value`, so that elements meet their own.
    beside: Callable[[Array], Array]

    def times(self, g: Array) -> Formula:
        """What is passed on where `g` arrives."""
        return Formula("{g} · {local}", {"g": self.beside(g), "local": self.value})


#: Derivatives as textbooks have them, of ops whose rules take more care of extreme numbers.
DERIVATIVES = {
    "arctan2": ("y / (x² + y²)", "-x / (x² + y²)"),
    "sinc": ("(cos(πx) - out) / x",),
    "softplus": ("1 / (1 + e⁻ˣ)",),
    "logsigmoid": ("1 / (1 + eˣ)",),
    "elu": ("1 if x > 0 else y · eˣ", "0 if x > 0 else eˣ - 1"),
    "silu": ("sigmoid(x) · (1 + x · sigmoid(-x))",),
    "mish": ("tanh(softplus(x)) + x · sigmoid(x) · (1 - tanh(softplus(x))²)",),
    "gelu": ("(1 + erf(x / √2)) / 2 + x · e^(-x² / 2) / √(2π)",),
    "prod": ("out / x",),
    "logsumexp": ("e^(x - out)",),
}


def local_derivative(applied: Application, position: int) -> Local | None:
    """What the rule gives for ones, if for anything else it gives a product with that."""
    try:
        with np.errstate(all="ignore"):
            value = as_read_only(applied.rule(position, np.ones_like(applied.out)))
            other = probe(applied.out.shape, applied.out.dtype)
            answer = np.asarray(applied.rule(position, other))
            for beside in ways_to_lie(applied, position, value.ndim):
                local = Local(value, None, beside)
                if holds(local.times(other), answer):
                    out = beside(applied.out)
                    return local._replace(written=written_derivative(applied, position, value, out))
    except Exception:
        return None
    return None


def ways_to_lie(
    applied: Application, position: int, ndim: int
) -> Iterator[Callable[[Array], Array]]:
    """The ways from the result's shape back to the input's."""
    op = applied.op
    yield lambda g: g
    if applied.out.size == 1:
        yield lambda g: np.reshape(g, ())
    if isinstance(op, Reduction):
        yield lambda g: np.asarray(op.expand(g, applied.inputs[position]))
    if ndim == applied.out.ndim + 1:
        yield from (partial(np.expand_dims, axis=axis) for axis in range(ndim))


def written_derivative(
    applied: Application, position: int, value: Array, out: Array
) -> Symbol | None:
    """Its formula, of the inputs and of `out`, which lies beside the value."""
    of_loss = loss_derivative(applied, position, value)
    if of_loss is not None:
        return of_loss
    beside = {**applied.symbols, "out": slot("out", out)}
    ones, inputs = Symbol(np.ones_like(applied.out), ONE, {}), tuple(applied.symbols.values())
    for symbol in (
        *(read(text, beside) for text in DERIVATIVES.get(applied.op.name, ())[position:][:1]),
        written_by(applied.rule, position, ones, slot("out", applied.out), inputs),
    ):
        if symbol is not None:
            used = {name: out if name == "out" else x for name, x in symbol.operands.items()}
            symbol = Symbol(value, symbol.text, used)
            if holds(symbol.formula, value):
                return symbol
    return None


# ---------------------------------------------------------------------------- what is passed on


class PassedOn(NamedTuple):
    """What a step backward tells of what it passes on; see `Step`."""

    how: How | None
    formula: str
    local: Array | None = None
    local_formula: str | None = None
    local_how: How | None = None


def passed_on(
    applied: Application, computed: How | None, position: int, g: Array, value: Array
) -> PassedOn:
    """How each element arises of what an op passes on to one of its inputs, `g` having arrived.

    `computed` is how the op's result arose.
    """
    if not applied.is_small:
        return PassedOn(None, by_its_rule(applied, position, "Σ g"))
    moves: Finder = partial(moved, partial(applied.rule, position), (g,))
    if is_rearranged(computed):
        how = first_that_holds([moves], value)
        if how is not None:
            return PassedOn(how, "g, put back in place")
    local = local_derivative(applied, position)
    if local is not None and holds(local.times(g), value):  # an infinity times 0, say, is not 0
        if local.written is None:
            return PassedOn(local.times(g), by_its_rule(applied, position, "g"), local.value)
        formula, how = local.written.formula, local.times(g)
        text = shown(f"g · {as_factor(local.written.text)}")
        return PassedOn(how, text, local.value, shown(formula.template), formula)
    how = first_that_holds(
        [
            partial(products_passed_on, applied, position, g, value.ndim),
            partial(convolution_passed_on, applied, position, g),
            moves,
            partial(weighed_passed_on, applied, position, g),
        ],
        value,
    )
    return PassedOn(how, by_its_rule(applied, position, "Σ g"))


def is_rearranged(how: How | None) -> bool:
    """Whether elements are moved: not all are taken, each once and in their order."""
    return isinstance(how, Picked) and not np.array_equal(
        how.source.ravel(), np.arange(sum(x.size for x in how.operands))
    )


def by_its_rule(applied: Application, position: int, passed: str) -> str:
    """What a rule computes, as it writes it itself, or else what all rules do."""
    g = slot("g", np.ones_like(applied.out))
    out, inputs = slot("out", applied.out), tuple(applied.symbols.values())
    symbol = written_by(applied.rule, position, g, out, inputs)
    if symbol is None or "g" not in symbol.operands:
        return f"{passed} · ∂out/∂{list(applied.symbols)[position]}"
    return shown(symbol.formula.template)


def products_passed_on(
    applied: Application, position: int, g: Array, ndim: int
) -> Iterator[Products | Reduced]:
    """In the place of an input stands what arrives, and of the result the input."""
    found = subscripts(applied.op, applied.inputs)
    if found is None:
        return
    terms, result = found
    if position == len(terms):  # the bias of a layer
        yield Reduced(g, tuple(range(g.ndim - 1)), "", " + ", "")
        return
    own = terms[position]
    if len(own) != ndim:  # it is for the sweep to sum over what was broadcast
        own = "".join(c for c in result if c not in "ijk") + own.lstrip("abcdefgh")
    others = [i for i in range(len(terms)) if i != position]
    yield Products(
        f"{','.join([result, *(terms[i] for i in others)])}->{own}",
        (g, *(applied.inputs[i] for i in others)),
    )


def weighed_passed_on(applied: Application, position: int, g: Array) -> Iterator[Weighted]:
    if may_derive(applied, position):
        yield Weighted(g, all_derivatives(applied, position))
