"""The arithmetic of one element as text."""

import numpy as np
import pytest

from microgradx.show.formulas.derivations import Einsum, Formula, Gather, LinearCombination, Reduce
from microgradx.show.formulas.numbers_in_formula import format_number, substitute_numbers


def array(values):
    return np.asarray(values, dtype=float)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.88137, "0.8814"),
        (-0.0, "0"),
        (2, "2"),
        (True, "1"),
        (12345.0, "1.234e+04"),
        (-1e-7, "-1e-07"),
        (np.float32(0.1), "0.1"),
        (np.nan, "NaN"),
        (np.inf, "inf"),
        (-np.inf, "-inf"),
    ],
)
def test_numbers_have_four_digits(value, text):
    assert format_number(value) == text


# ---------------------------------------------------------------------------- formulas


@pytest.mark.parametrize(
    ("template", "x", "y", "text"),
    [
        ("tanh({x})", 0.88137, 0, "tanh(0.8814)"),
        ("tanh({x})", -0.5, 0, "tanh(-0.5)"),
        ("{x} · {y}", 2, -3, "2 · (-3)"),
        ("{x} · {y}", -2, 3, "-2 · 3"),
        ("{x} - {y}", -2, -3, "-2 - (-3)"),
        ("-{x}", -3, 0, "-(-3)"),
        ("1 - {x}²", -0.5, 0, "1 - (-0.5)²"),
        ("{x}²", -3, 0, "(-3)²"),
        ("{x}²", 1e-5, 0, "(1e-05)²"),
        ("{x}^{y}", 2, -0.5, "2^(-0.5)"),
        ("{x}^{y}", -2, 3e-7, "(-2)^(3e-07)"),
        ("e^{x}", 0.5, 0, "e^0.5"),
        ("e^(-{x})", -3, 0, "e^(-(-3))"),
        ("|{x}|", -3, 0, "|-3|"),
        ("⌊{x} / {y}⌋", -3, -2, "⌊-3 / (-2)⌋"),
        ("max({x}, {y})", -3, -2, "max(-3, -2)"),
        ("√{x}", -4, 0, "√(-4)"),
        ("{x} if {x} > {y} else {y} · {x}", -3, -1, "-3 if -3 > -1 else -1 · (-3)"),
        ("{x} · {y}", np.nan, -np.inf, "NaN · (-inf)"),
        ("1 · π", 0, 0, "1 · π"),
    ],
)
def test_a_formula_with_numbers_in_its_slots(template, x, y, text):
    derivation = Formula(template, {"x": array(x), "y": array(y)})
    assert substitute_numbers(derivation, ()) == text


def test_operands_broadcast():
    derivation = Formula(
        "{x} · {y} + {z}", {"x": array([[1], [2]]), "y": array([3, 4]), "z": array(5)}
    )
    assert [substitute_numbers(derivation, index) for index in np.ndindex(2, 2)] == [
        "1 · 3 + 5",
        "1 · 4 + 5",
        "2 · 3 + 5",
        "2 · 4 + 5",
    ]


# ---------------------------------------------------------------------------- sums


def test_products_are_summed_over_the_letters_that_are_not_in_the_result():
    x, y = array([[0.5, -2], [1, 0]]), array([[1, -1], [0.25, 3]])
    derivation = Einsum("ij,jk->ik", (x, y), bias=array([0.1, -0.2]))
    assert substitute_numbers(derivation, (0, 0)) == "0.5 · 1 + (-2) · 0.25 + 0.1"
    assert substitute_numbers(derivation, (1, 1)) == "1 · (-1) + 0 · 3 + (-0.2)"
    assert substitute_numbers(Einsum("ij,kj->ik", (-x, y)), (0, 1)) == "-0.5 · 0.25 + 2 · 3"


def test_letters_run_in_the_order_of_their_appearance_the_last_one_fastest():
    derivation = Einsum("ji,kj->", (array([[1, 2]]), array([[3], [4]])))
    assert substitute_numbers(derivation, ()) == "1 · 3 + 1 · 4 + 2 · 3 + 2 · 4"


def test_an_axis_of_length_1_serves_every_value_of_its_letter():
    derivation = Einsum("ij,ij->j", (array([[1, 2], [3, 4]]), array([[5, 6]])))
    assert substitute_numbers(derivation, (1,)) == "2 · 6 + 4 · 6"
    derivation = Einsum("ij,ij->j", (array([[5, 6]]), array([[1, 2], [3, 4]])))
    assert substitute_numbers(derivation, (1,)) == "6 · 2 + 6 · 4"
    derivation = Einsum("ii->i", (array([[1, 2], [3, 4]]),))
    assert substitute_numbers(derivation, (1,)) == "4"


def test_long_sums_are_cut():
    ones = np.ones(40)
    assert substitute_numbers(Einsum("i,i->", (ones, ones)), ()) == " + ".join(["1 · 1"] * 16) + (
        " + … 24 more"
    )
    assert substitute_numbers(Einsum("i,i->", (ones, ones), bias=array(-1)), ()).endswith(
        "24 more + (-1)"
    )
    assert substitute_numbers(Einsum("i->", (ones[:16],)), ()) == " + ".join(["1"] * 16)
    assert substitute_numbers(LinearCombination(ones, 2 * np.ones(40)), ()).endswith(
        "1 · 2 + … 24 more"
    )
    assert substitute_numbers(Reduce(ones, (0,), "max(", ", ", ")"), ()) == (
        f"max({', '.join(['1'] * 16)}, … 24 more)"
    )


def test_a_sum_of_nothing_is_0():
    nothing = np.zeros((0,))
    assert substitute_numbers(Einsum("i,i->", (nothing, nothing)), ()) == "0"
    assert substitute_numbers(Einsum("i,i->", (nothing, nothing), bias=array(2)), ()) == "2"
    assert substitute_numbers(LinearCombination(array([1, 2]), np.zeros((2, 3))), (1,)) == "0"
    assert substitute_numbers(Reduce(nothing, (0,), "", " + ", ""), ()) == "0"


def test_weights_of_0_and_1_are_not_written():
    weights = array([[1, 0], [0, 0.5], [-2, np.nan]])
    derivation = LinearCombination(array([[-3, 4, 5]]), weights)
    assert substitute_numbers(derivation, (0,)) == "-3 + 5 · (-2)"
    assert substitute_numbers(derivation, (1,)) == "4 · 0.5 + 5 · NaN"
    derivation = LinearCombination(array([1, 2]), np.ones((2, 2, 2)), bias=array([[0.5], [-0.5]]))
    assert substitute_numbers(derivation, (1, 0)) == "1 + 2 + (-0.5)"


# ---------------------------------------------------------------------------- reductions


@pytest.mark.parametrize(
    ("opening", "joiner", "closing", "text"),
    [
        ("", " + ", "", "-1 + 2 + (-3)"),
        ("(", " + ", ") / 3", "(-1 + 2 + (-3)) / 3"),
        ("max(", ", ", ")", "max(-1, 2, -3)"),
        ("√(", "² + ", "²)", "√((-1)² + 2² + (-3)²)"),
        ("ln(e^", " + e^", ")", "ln(e^(-1) + e^2 + e^(-3))"),
        ("(|", "|^3 + |", "|^3)^(1 / 3)", "(|-1|^3 + |2|^3 + |-3|^3)^(1 / 3)"),
    ],
)
def test_a_reduction_joins_its_elements(opening, joiner, closing, text):
    assert (
        substitute_numbers(Reduce(array([-1, 2, -3]), (0,), opening, joiner, closing), ()) == text
    )


def test_a_reduction_is_along_its_axes():
    x = np.arange(24.0).reshape(2, 3, 4)

    def of(axes):
        return Reduce(x, axes, "", " + ", "")

    assert substitute_numbers(of((1,)), (1, 2)) == "14 + 18 + 22"
    assert substitute_numbers(of((0, 2)), (1,)) == "4 + 5 + 6 + 7 + 16 + 17 + 18 + 19"
    assert substitute_numbers(of((1,)), (1, 0, 2)) == "14 + 18 + 22"  # keepdims
    assert substitute_numbers(of((0, 2)), (1, 0)) == substitute_numbers(
        of((0, 2)), (1,)
    )  # a mixture: (3, 1)
    assert substitute_numbers(of(()), (1, 2, 3)) == "23"


# ---------------------------------------------------------------------------- elements moved


def test_an_element_that_was_moved_stands_alone():
    derivation = Gather((array([1, -2]), array([[3], [4]])), np.array([[3, 1], [-1, 0]]))
    assert [substitute_numbers(derivation, index) for index in np.ndindex(2, 2)] == [
        "4",
        "-2",
        "0",
        "1",
    ]
