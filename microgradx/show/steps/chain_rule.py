"""The chain rule: how each element of the gradient at an op's input is computed.

A derivation is returned only if it reproduces the gradient that the op's own rule computed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from microgradx.arrays.types import Array, as_read_only
from microgradx.ops.reductions import Reduction
from microgradx.show.formulas.derivations import (
    Derivation,
    Einsum,
    Formula,
    Gather,
    LinearCombination,
    Reduce,
    input_letter,
)
from microgradx.show.formulas.formula_printer import ONE, as_factor
from microgradx.show.formulas.symbolic import (
    Symbol,
    display_formula,
    parse_formula,
    slot,
    trace_formula,
)
from microgradx.show.formulas.verification import reproduces
from microgradx.show.steps.convolution import convolution_gradients
from microgradx.show.steps.forward import einsum_subscripts, gathers, is_jacobian_small, jacobian
from microgradx.show.steps.op_probe import Finder, OpProbe, distinct_numbers, first_that_reproduces
from microgradx.show.steps.softmax import loss_derivative

__all__ = ["GradientDerivation", "derive_gradient"]

# ---------------------------------------------------------------------------- local derivatives


class LocalDerivative(NamedTuple):
    """For each element of an input, the derivative of the one element that depends on it."""

    value: Array
    #: Its formula, if it has one.
    symbol: Symbol | None
    #: Aligns an array of the result's shape with `value`, as broadcasting needs it.
    align: Callable[[Array], Array]

    def times(self, g: Array) -> Formula:
        return Formula("{g} · {local}", {"g": self.align(g), "local": self.value})


#: Derivatives from textbooks, for ops whose rules are written for extreme numbers.
DERIVATIVES = {
    "clip": (
        "1 if x ≥ y and x ≤ z else 0",
        "1 if x < y and y ≤ z else 0",
        "1 if z < x or z < y else 0",
    ),
    "hardtanh": ("1 if x > y and x < z else 0", "1 if x ≤ y else 0", "1 if x ≥ z else 0"),
    "maximum": ("1 if x > y else 0", "1 if y > x else 0"),
    "minimum": ("1 if x < y else 0", "1 if y < x else 0"),
    "relu": ("1 if out > 0 else 0",),
    "log2": ("1 / (x · ln(2))",),
    "log10": ("1 / (x · ln(10))",),
    "cbrt": ("1 / (3 · out²)",),
    "logaddexp": ("e^(x - out)", "e^(y - out)"),
    "logaddexp2": ("2^(x - out)", "2^(y - out)"),
    "sigmoid": ("out · (1 - out)",),
    "tanh": ("1 - out²",),
    "arctan": ("1 / (1 + x²)",),
    "arccosh": ("1 / √((x - 1) · (x + 1))",),
    "erf": ("2 / √π · e^(-x²)",),
    "erfc": ("-2 / √π · e^(-x²)",),
    "hypot": ("x / out", "y / out"),
    "arctan2": ("y / (x² + y²)", "-x / (x² + y²)"),
    "sinc": ("(cos(πx) - out) / x",),
    "binary_cross_entropy": ("(1 - y) / (1 - x) - y / x", "ln(1 - x) - ln(x)"),
    "softsign": ("1 / (1 + |x|)²",),
    "softplus": ("1 / (1 + e⁻ˣ)",),
    "logsigmoid": ("1 / (1 + eˣ)",),
    "elu": ("1 if x > 0 else y · eˣ", "0 if x > 0 else eˣ - 1"),
    "silu": ("sigmoid(x) · (1 + x · sigmoid(-x))",),
    "mish": ("tanh(softplus(x)) + x · sigmoid(x) · (1 - tanh(softplus(x))²)",),
    "gelu": ("(1 + erf(x / √2)) / 2 + x · e^(-x² / 2) / √(2π)",),
    "prod": ("out / x",),
    "logsumexp": ("e^(x - out)",),
}


def norm_derivative(op: Any, out: Any, x: Any) -> Any:
    out = op.expand(out, x)
    return x / out if op.p == 2 else np.sign(x) * (np.abs(x) / out) ** (op.p - 1)


def std_derivative(op: Any, out: Any, x: Any) -> Any:
    deviation = x - np.mean(x, axis=op.axis, keepdims=True)
    return deviation / op.expand(out, x) / op.freedom(x)


#: The same, for ops whose settings decide the formula.
DERIVATIVES_BY_SETTINGS = {"norm": norm_derivative, "std": std_derivative}


def find_local_derivative(probe: OpProbe, position: int) -> LocalDerivative | None:
    """The gradient that the rule returns for ones, if for any other g it returns g times that."""
    try:
        with np.errstate(all="ignore"):
            value = as_read_only(probe.rule(position, np.ones_like(probe.out)))
            other = distinct_numbers(probe.out.shape, probe.out.dtype)
            gradient = np.asarray(probe.rule(position, other))
            for align in alignments(probe, position, value.ndim):
                local = LocalDerivative(value, None, align)
                if reproduces(local.times(other), gradient):
                    out = align(probe.out)
                    return local._replace(symbol=derivative_formula(probe, position, value, out))
    except Exception:
        return None
    return None


def alignments(probe: OpProbe, position: int, ndim: int) -> Iterator[Callable[[Array], Array]]:
    """The ways to align an array of the result's shape with the input."""
    op = probe.op
    yield lambda g: g
    if probe.out.size == 1:
        yield lambda g: np.reshape(g, ())
    if isinstance(op, Reduction):
        yield lambda g: np.asarray(op.expand(g, probe.inputs[position]))
    if ndim == probe.out.ndim + 1:
        yield from (partial(np.expand_dims, axis=axis) for axis in range(ndim))


def derivative_formula(probe: OpProbe, position: int, value: Array, out: Array) -> Symbol | None:
    """The formula of a local derivative, of the inputs and of `out`, aligned with the value."""
    of_loss = loss_derivative(probe, position, value)
    if of_loss is not None:
        return of_loss
    symbols = {**probe.symbols, "out": slot("out", out)}
    ones, inputs = Symbol(np.ones_like(probe.out), ONE, {}), tuple(probe.symbols.values())
    texts = DERIVATIVES.get(probe.op.name, ())[position : position + 1]
    of_settings = DERIVATIVES_BY_SETTINGS.get(probe.op.name)
    out_slot = slot("out", probe.out)
    for symbol in (
        *(parse_formula(text, symbols) for text in texts),
        trace_formula(of_settings, probe.op, out_slot, *inputs) if of_settings else None,
        trace_formula(probe.rule, position, ones, out_slot, inputs),
    ):
        if symbol is not None:
            used = {name: out if name == "out" else x for name, x in symbol.operands.items()}
            symbol = Symbol(value, symbol.text, used)
            if reproduces(symbol.formula, value):
                return symbol
    return None


# ---------------------------------------------------------------------------- gradients


class GradientDerivation(NamedTuple):
    """The part of a backward `Step` that says how its gradient is computed."""

    derivation: Derivation | None
    formula: str
    local: Array | None = None
    local_formula: str | None = None
    local_derivation: Derivation | None = None


def derive_gradient(
    probe: OpProbe, of_result: Derivation | None, position: int, g: Array, value: Array
) -> GradientDerivation:
    """How each element of `value`, the gradient at one of the op's inputs, is computed from `g`.

    `of_result` is the derivation of the op's result.
    """
    if not probe.is_small:
        return GradientDerivation(None, rule_formula(probe, position, "Σ g"))
    moves: Finder = partial(gathers, partial(probe.rule, position), (g,))
    if is_rearrangement(of_result):
        derivation = first_that_reproduces([moves], value)
        if derivation is not None:
            return GradientDerivation(derivation, "g, put back in place")
    local = find_local_derivative(probe, position)
    if local is not None:
        product = local.times(g)
        if reproduces(product, value):  # which it does not where infinity meets 0
            if local.symbol is None:
                text = rule_formula(probe, position, "g")
                return GradientDerivation(product, text, local.value)
            formula = local.symbol.formula
            text = display_formula(f"g · {as_factor(local.symbol.text)}")
            local_text = display_formula(formula.template)
            return GradientDerivation(product, text, local.value, local_text, formula)
    derivation = first_that_reproduces(
        [
            partial(einsum_gradients, probe, position, g, value.ndim),
            partial(convolution_gradients, probe, position, g),
            moves,
            partial(linear_combination_gradients, probe, position, g),
        ],
        value,
    )
    return GradientDerivation(derivation, rule_formula(probe, position, "Σ g"))


def is_rearrangement(derivation: Derivation | None) -> bool:
    """Whether elements are rearranged: anything but all of them, once each and in order."""
    return isinstance(derivation, Gather) and not np.array_equal(
        derivation.source.ravel(), np.arange(sum(x.size for x in derivation.operands))
    )


def rule_formula(probe: OpProbe, position: int, factor: str) -> str:
    """The formula that a rule records or, if it has none, the chain rule with this factor."""
    letter = input_letter(position)
    if not probe.has_few_inputs:
        return f"{factor} · ∂out/∂{letter}"
    g = slot("g", np.ones_like(probe.out))
    out, inputs = slot("out", probe.out), tuple(probe.symbols.values())
    symbol = trace_formula(probe.rule, position, g, out, inputs)
    if symbol is None or "g" not in symbol.operands:
        return f"{factor} · ∂out/∂{letter}"
    return display_formula(symbol.formula.template)


def einsum_gradients(
    probe: OpProbe, position: int, g: Array, ndim: int
) -> Iterator[Einsum | Reduce]:
    """The same products with g in the place of the input, and the input in that of the result."""
    found = einsum_subscripts(probe.op, probe.inputs)
    if found is None:
        return
    terms, result = found
    if position == len(terms):  # the bias of a layer
        yield Reduce(g, tuple(range(g.ndim - 1)), "", " + ", "")
        return
    own = terms[position]
    if len(own) != ndim:  # the sweep itself sums over broadcast axes
        own = "".join(c for c in result if c not in "ijk") + own.lstrip("abcdefgh")
    others = [i for i in range(len(terms)) if i != position]
    yield Einsum(
        f"{','.join([result, *(terms[i] for i in others)])}->{own}",
        (g, *(probe.inputs[i] for i in others)),
    )


def linear_combination_gradients(
    probe: OpProbe, position: int, g: Array
) -> Iterator[LinearCombination]:
    if is_jacobian_small(probe, position):
        yield LinearCombination(g, jacobian(probe, position))
