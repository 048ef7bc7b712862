"""Formulas that computations write of themselves, when they are run on symbols."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import microgradx as mg
from microgradx.ops import activations, elementwise
from microgradx.show.formulas.formula_parser import FormulaError, evaluate_formula
from microgradx.show.formulas.formula_printer import ONE
from microgradx.show.formulas.symbolic import (
    Symbol,
    display_formula,
    literal,
    parse_formula,
    slot,
    trace_formula,
)

X, Y = np.array([0.5, 2.0, 3.0]), np.array([2.0, 0.25, 1.5])
x, y = slot("x", X), slot("y", Y)


def text(symbol):
    return display_formula(symbol.formula.template)


# ---------------------------------------------------------------------------- writing


@pytest.mark.parametrize(
    ("symbol", "formula"),
    [
        (x + y * x, "x + y · x"),
        ((x + y) * x, "(x + y) · x"),
        (x - (y - x), "x - (y - x)"),
        (x - (y + x), "x - (y + x)"),
        ((x - y) - x, "x - y - x"),
        (x / (y * x), "x / (y · x)"),
        (x / y * x, "x / y · x"),
        (x * (y / x), "x · y / x"),
        (-(x + y), "-(x + y)"),
        (-x * y, "-x · y"),
        (x * -y, "-x · y"),
        (-x * -y, "x · y"),
        (-x / -y, "x / y"),
        (x + -y, "x - y"),
        (x - -y, "x - (-y)"),
        ((-x) ** 2, "(-x)²"),
        (-(x**2), "-x²"),
        ((x * y) ** 3, "(x · y)³"),
        (x**y, "xʸ"),
        (x ** (y - 1), "xʸ⁻¹"),
        (x ** (y * 2), "x^(2 · y)"),
        (x**-1, "x⁻¹"),
        ((x**2) ** y, "(x²)ʸ"),
        (x * x, "x²"),
        (y * x * x, "y · x²"),
        (x * 2, "2 · x"),
        (1 * x + 0, "x"),
        (x * 0, "0"),
        (0 - x, "-x"),
        (x / 1, "x"),
        (x * (1 / y), "x / y"),
        (1 - np.tanh(x) ** 2, "1 - tanh(x)²"),
        (np.exp(-x), "e⁻ˣ"),
        (np.exp(x - y), "eˣ⁻ʸ"),
        (np.exp(0 * x), "1"),
        (np.sqrt(x * x + y), "√(x² + y)"),
        (np.sqrt(x) ** 2, "(√x)²"),
        (np.abs(x - y) / 2, "|x - y| / 2"),
        (np.floor_divide(x, y), "⌊x / y⌋"),
        (np.log(x) * math.log(2), "ln(x) · ln(2)"),
        (x * math.pi, "x · π"),
        (x / 3, "x / 3"),
        (x * (1 / 3), "x / 3"),
        (x * 0.3, "0.3 · x"),
        (x * -2, "-2 · x"),
        (np.hypot(x, y), "√(x² + y²)"),
        (np.maximum(x, np.minimum(y, 1)), "max(x, min(y, 1))"),
        (np.heaviside(x, 1), "heaviside(x, 1)"),
        (np.where(x > 0, 1, 0), "1 if x > 0 else 0"),
        (np.where((x > 0) & (y <= 1), x + 1, y), "x + 1 if x > 0 and y ≤ 1 else y"),
        (np.where((x > 0) | (y < 0), x, x), "x"),
        (2 * np.where(x > 0, x, y), "2 · (x if x > 0 else y)"),
        (np.expand_dims(np.reshape(x, -1), 0) * y, "x · y"),
        (np.sum(x * y) - x, "Σ x · y - x"),
        (x * np.sum(x + y), "x · Σ (x + y)"),
        (np.sum(x) * x, "(Σ x) · x"),
        (x - np.mean(x), "x - mean"),
        (np.zeros_like(x) + y, "y"),
    ],
)
def test_what_is_computed_is_written_as_a_person_would(symbol, formula):
    assert text(symbol) == formula


def test_products_of_matrices_are_written_side_by_side():
    a, b = slot("a", np.ones((2, 3))), slot("b", np.ones((3, 2)))
    assert text(a @ b) == "a b"
    assert text(-(np.swapaxes(a, 0, 1) @ b.T)) == "-aᵀ bᵀ"
    assert text((a + a) @ b) == "(a + a) b"
    assert text(a.T.T @ b) == "a b"
    assert text(np.dot(np.ones(2), a)) == "Σ a"
    assert text(np.einsum("ij,jk->ik", a, b)) == "Σ a · b"
    assert text(np.einsum("ij,ji->ij", a, b)) == "a · b"


def test_guards_that_no_element_meets_are_not_written():
    safe = np.where(y == 0, 1, y)
    assert text(np.where(y == 0, 0, x / safe)) == "x / y"
    assert text(np.where((x == 0) & (y == 0), 1, x)) == "x"
    assert text(np.where(np.isnan(x) | (x > y), 1, 0)) == "1 if x > y else 0"
    some = slot("x", np.array([0.0, 1.0]))
    assert text(np.where(some == 0, 0, some)) == "0 if x = 0 else x"


def test_values_and_operands_come_along():
    symbol = np.exp(x) * x - y
    np.testing.assert_array_equal(symbol.value, np.exp(X) * X - Y)
    assert symbol.operands == {"x": X, "y": Y}
    assert (x * 0 + y).operands == {"y": Y}  # only what is written
    assert (symbol.shape, symbol.ndim, symbol.size, symbol.dtype) == ((3,), 1, 3, np.float64)


def test_what_has_no_formula_writes_none():
    for function in (np.sort, np.cumsum, np.add.reduce, lambda x: x[0], lambda x: x and -x):
        assert trace_formula(function, x) is None
    assert trace_formula(lambda x: x + np.array([1.0, 2.0, 3.0]), x) is None  # a nameless array
    assert (
        trace_formula(lambda x: np.transpose(x, (1, 0, 2)), slot("x", np.ones((1, 2, 3)))) is None
    )
    assert trace_formula(lambda x: np.sin(np.cos(x + 1)) * np.sin(x + 2) ** 3 / 5, x) is not None
    assert trace_formula(lambda x: sum(np.sin(x) * i for i in range(2, 12)), x) is None  # too long
    with pytest.raises(FormulaError, match="two operands are called x"):
        x + slot("x", Y)


NUMBERS = {"one": np.float64(1), "two": np.float64(2), "some": np.float64(0.3)}

EXPRESSIONS = st.recursive(
    st.sampled_from(["x", "y", *NUMBERS]),
    lambda parts: st.one_of(
        st.tuples(st.sampled_from("+-*/"), parts, parts).map("({0[1]} {0[0]} {0[2]})".format),
        parts.map("(-{})".format),
        parts.map("np.exp(np.tanh({}))".format),
        parts.map("np.sqrt(np.abs({}))".format),
        st.tuples(parts, st.sampled_from(["2", "3", "-1"])).map("({0[0]} ** {0[1]})".format),
        st.tuples(parts, parts).map("np.abs({0[0]}) ** np.tanh({0[1]})".format),
        st.tuples(parts, parts, parts).map("np.where({0[0]} > {0[1]}, {0[2]}, {0[1]})".format),
    ),
    max_leaves=8,
)


@given(EXPRESSIONS)
def test_what_is_written_reads_as_what_was_computed(expression):
    with np.errstate(all="ignore"):
        value = eval(expression, {"np": np, "x": X, "y": Y, **NUMBERS})
        literals = {name: literal(number) for name, number in NUMBERS.items()}
        symbol = trace_formula(eval, expression, {"np": np, "x": x, "y": y, **literals})
        if symbol is None or not np.all(np.isfinite(value)):
            return
        again = evaluate_formula(symbol.formula.template, symbol.operands)
    np.testing.assert_allclose(np.broadcast_to(again, np.shape(value)), value, rtol=1e-9)


# ---------------------------------------------------------------------------- derivatives


def derivative(op, *arrays, position=0):
    """As its rule writes it, run on symbols with a gradient of 1."""
    out = np.asarray(op.forward(*arrays))
    inputs = [slot(name, array) for name, array in zip("xyz", arrays, strict=False)]
    symbol = trace_formula(
        op.derivatives[position], Symbol(np.ones_like(out), ONE, {}), slot("out", out), *inputs
    )
    np.testing.assert_allclose(
        np.broadcast_to(symbol.value, out.shape), op.derivatives[position](np.ones(3), out, *arrays)
    )
    return text(symbol)


@pytest.mark.parametrize(
    ("op", "formula"),
    [
        (mg.exp, "out"),
        (mg.log, "1 / x"),
        (mg.sqrt, "1 / (2 · out)"),
        (mg.square, "2 · x"),
        (mg.reciprocal, "-out²"),
        (mg.negative, "-1"),
        (mg.cos, "-sin(x)"),
        (mg.arcsin, "1 / √((1 - x) · (1 + x))"),
        (mg.absolute, "sign(x)"),
    ],
)
def test_rules_write_their_own_formulas(op, formula):
    assert derivative(op, np.array([0.2, 0.5, 0.9])) == formula


@pytest.mark.parametrize(
    ("op", "by_x", "by_y"),
    [
        (mg.add, "1", "1"),
        (mg.subtract, "1", "-1"),
        (mg.multiply, "y", "x"),
        (mg.divide, "1 / y", "-out / y"),
        (mg.power, "y · xʸ⁻¹", "out · ln(x)"),
    ],
)
def test_rules_of_two_inputs_write_a_formula_for_each(op, by_x, by_y):
    arrays = np.array([0.5, 2.0, 3.0]), np.array([2.0, 0.25, 1.0])
    assert derivative(op, *arrays) == by_x
    assert derivative(op, *arrays, position=1) == by_y


def test_a_rule_of_a_user_writes_its_formula_too():
    class Cube(mg.Op):
        def forward(self, x):
            return x**3

        def backward(self, g, out, x):
            return g * 3 * x**2

    one = Symbol(np.ones(3), ONE, {})
    assert text(trace_formula(Cube().backward, one, slot("out", X**3), x)) == "3 · x²"
    assert text(trace_formula(Cube().forward, x)) == "x³"


# ---------------------------------------------------------------------------- reading


@pytest.mark.parametrize(
    ("formula", "template"),
    [
        ("x³", "{x}³"),
        ("eˣ", "e^{x}"),
        ("xʸ", "{x}^{y}"),
        ("√(x² + y²)", "√({x}² + {y}²)"),
        ("tanh x", "tanh({x})"),
        ("1 / (1 + e⁻ˣ)", "1 / (1 + e^(-{x}))"),
        ("x sigmoid x", "{x} · sigmoid({x})"),
        ("y (eˣ - 1)", "{y} · (e^{x} - 1)"),
        ("sin(πx) / (πx)", "sin(π · {x}) / (π · {x})"),
        ("180 x / π", "180 · {x} / π"),
        ("x / √(2π)", "{x} / √(2 · π)"),
        ("x - ⌊x / y⌋ y", "{x} - ⌊{x} / {y}⌋ · {y}"),
        ("x if x > 0 else y · x", "{x} if {x} > 0 else {y} · {x}"),
        ("1", "1"),
    ],
)
def test_formulas_become_templates(formula, template):
    symbol = parse_formula(formula, {"x": x, "y": y})
    assert symbol.formula.template == template
    assert set(symbol.operands) == {name for name in "xy" if f"{{{name}}}" in template}


@pytest.mark.parametrize("formula", ["", "x, rounded", "Σ x", "x₁ + … + xₖ", "x yᵀ + z"])
def test_prose_becomes_none(formula):
    assert parse_formula(formula, {"x": x, "y": y}) is None


def test_the_formulas_of_all_elementwise_ops_are_read_or_written():
    prose = {"trunc", "rint", "arctan2"}
    generator = np.random.default_rng(0)
    for op in [*vars(elementwise).values(), *vars(activations).values()]:
        if not isinstance(op, elementwise.Elementwise):
            continue
        arrays = [generator.uniform(0.2, 0.9, 3) + (op.name == "arccosh") for _ in range(op.arity)]
        operands = dict(zip("xyz", arrays, strict=False))
        slots = {name: slot(name, array) for name, array in operands.items()}
        symbol = parse_formula(op.formula, slots)
        assert (symbol is None) == (op.name in prose), op.name
        if symbol is None:
            symbol = trace_formula(op.forward, *slots.values())
        value = evaluate_formula(symbol.formula.template, operands)
        np.testing.assert_allclose(value, op.forward(*arrays), rtol=1e-12, err_msg=op.name)


def test_numbers_that_are_known_by_name():
    assert text(literal(np.full((2, 2), -math.pi))) == "-π"
    assert text(literal(1 / 7)) == "1 / 7"
    assert text(literal(2)) == "2"
    assert text(literal(True)) == "True"
    for nameless in (np.array([1.0, 2.0]), np.zeros(0), np.array(np.nan)):
        with pytest.raises(FormulaError, match="no name"):
            literal(nameless)
