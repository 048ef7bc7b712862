"""Formulas as mathematicians write them, read."""

import math

import numpy as np
import pytest

from microgradx.show.formulas.formula_parser import FormulaError, evaluate_formula

X, Y, Z = np.array([0.5, -2.0, 3.0]), np.array([2.0, 2.0, -1.0]), np.array([1.0, 0.0, 4.0])


@pytest.mark.parametrize(
    ("formula", "value"),
    [
        ("x + y - z", X + Y - Z),
        ("-x + y", -X + Y),
        ("x - (y - z)", X - (Y - Z)),
        ("x - y · z", X - Y * Z),
        ("x / y · z", X / Y * Z),
        ("x / y / 2", X / Y / 2),
        ("x * y ** 2", X * Y**2),
        ("2 x y", 2 * X * Y),
        ("x (1 + y) / 2", X * (1 + Y) / 2),
        ("(x + 1)(y - 1)", (X + 1) * (Y - 1)),
        ("-x²", -(X**2)),
        ("(-x)²", (-X) ** 2),
        ("x⁻² + x³", X**-2.0 + X**3),
        ("2ˣ", 2**X),
        ("|x|ʸ", np.abs(X) ** Y),
        ("2ˣ⁻¹", 2 ** (X - 1)),
        ("2^(x - 1)", 2 ** (X - 1)),
        ("1 / (1 + e⁻ˣ)", 1 / (1 + np.exp(-X))),
        ("e^(-x²)", np.exp(-(X**2))),
        ("√(x² + y²)", np.hypot(X, Y)),
        ("3 √2 / √π", np.full((), 3 * math.sqrt(2 / math.pi))),
        ("∛x", np.cbrt(X)),
        ("ln(1 + z)", np.log1p(Z)),
        ("ln |x|", np.log(np.abs(X))),
        ("ln sigmoid x", -np.log1p(np.exp(-X))),
        ("log₂(1 + z) - log₁₀ 100", np.log2(1 + Z) - 2),
        ("x tanh(x) + arsinh x", X * np.tanh(X) + np.arcsinh(X)),
        ("sin(πx) / (πx)", np.sinc(X)),
        ("||x| - 1|", np.abs(np.abs(X) - 1)),
        ("⌊x / y⌋ y + ⌈x⌉", np.floor(X / Y) * Y + np.ceil(X)),
        ("min(max(x, y), z)", np.minimum(np.maximum(X, Y), Z)),
        ("max(x, y, z, 1)", np.max([X, Y, Z, np.ones(3)], axis=0)),
        ("x if x > 0 else y · x", np.where(X > 0, X, Y * X)),
        ("1 if x ≥ y and x ≤ z or y = 2 else 0", ((X >= Y) & (X <= Z)) | (Y == 2)),
        ("1 if x < 0 else 2 if z ≠ 4 else 3", [2, 1, 3]),
        ("{x}² · {y}", X**2 * Y),
        ("1.5e-3 x", 1.5e-3 * X),
        ("erf x", [math.erf(x) for x in X]),
    ],
)
def test_formulas_mean_what_they_say(formula, value):
    np.testing.assert_allclose(
        evaluate_formula(formula, {"x": X, "y": Y, "z": Z}), value, rtol=1e-14
    )


def test_e_may_be_the_name_of_an_operand():
    assert evaluate_formula("e² + e", {"e": 3.0}) == 12
    assert evaluate_formula("e", {}) == math.e


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x, rounded",
        "x, rounded towards 0",
        "the angle of (y, x)",
        "Σ x",
        "xᵀ",
        "x +",
        "x + * y",
        "(x",
        "x)",
        "|x",
        "x if y",
        "w",
        "x y w",
        "x^^2",
        "x²^2",
        "max()",
        "ln(x, y)",
        "x.shape",
        "x[0]",
        "x; y",
        "__import__('os')",
        "lambda: x",
        "1 < x < 2",
    ],
)
def test_other_text_is_no_formula(text):
    with pytest.raises(FormulaError):
        evaluate_formula(text, {"x": X, "y": Y})


def test_the_error_says_what_is_wrong():
    with pytest.raises(FormulaError, match="',' is unexpected in 'x, rounded'"):
        evaluate_formula("x, rounded", {"x": X})
    with pytest.raises(FormulaError, match="'w' is not a known function"):
        evaluate_formula("w", {})
    with pytest.raises(FormulaError, match=r"'\)' was expected, not ''"):
        evaluate_formula("(x", {"x": X})
    with pytest.raises(FormulaError, match="ln does not take 2 arguments"):
        evaluate_formula("ln(x, y)", {"x": X, "y": Y})
