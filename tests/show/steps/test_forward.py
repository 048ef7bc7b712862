"""Where elements come from: every derivation of every op reproduces the numbers of the op."""

import math
import re
from functools import lru_cache

import numpy as np
import pytest

import microgradx as mg
from microgradx.arrays.dispatch import implementations
from microgradx.show.formulas.derivations import Einsum, Formula, Gather, LinearCombination, Reduce
from microgradx.show.formulas.numbers_in_formula import substitute_numbers
from microgradx.show.formulas.symbolic import display_formula
from microgradx.show.steps.step_builder import steps_of
from tests.helpers import leaf
from tests.ops.test_table import TABLE, as_list

# ---------------------------------------------------------------------------- read independently

NAMES = {
    "ln": np.log,
    "sqrt": np.sqrt,
    "cbrt": np.cbrt,
    "arsinh": np.arcsinh,
    "arcosh": np.arccosh,
    "artanh": np.arctanh,
    "round": np.rint,
    "choice": np.where,
    "max": lambda *x: np.max(np.broadcast_arrays(*x), axis=0),
    "min": lambda *x: np.min(np.broadcast_arrays(*x), axis=0),
    "sigmoid": implementations["sigmoid"],
    "erf": implementations["erf"],
    "inf": math.inf,
    "softplus": implementations["softplus"],
    **{name: getattr(np, name) for name in ("sin", "cos", "tan", "sinh", "cosh", "tanh", "log2")},
    **{name: getattr(np, name) for name in ("arcsin", "arccos", "arctan", "arctan2", "log10")},
    **{name: getattr(np, name) for name in ("sign", "trunc", "floor", "ceil", "pi", "e")},
}


@lru_cache
def as_python(text):
    """A formula as an expression of Python's, by replacements."""
    text = re.sub(r"[⁰¹²³⁴⁵⁶⁷⁸⁹⁻]+", lambda m: f"**({m[0]})", text)
    text = text.translate(str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻₀₁₂·^{}π", "0123456789-012*^  π"))
    text = text.replace("^", "**").replace("π", "pi").replace("≥", ">=").replace("≤", "<=")
    text = re.sub(r"√ *(\w+)", r"sqrt(\1)", text).replace("√", "sqrt")
    text = re.sub(r"∛ *(\w+)", r"cbrt(\1)", text)
    text = re.sub(r"\|([^|]*)\|", r"abs(\1)", text)
    text = text.replace("⌊", "floor(").replace("⌋", ")").replace("⌈", "ceil(").replace("⌉", ")")
    text = re.sub(r" = ", " == ", text)
    if " if " in text:
        value, condition, other = re.fullmatch(r"(.*?) if (.*?) else (.*)", text).groups()
        parts = re.split(r" (and|or) ", condition)
        signs = {"and": "&", "or": "|"}
        condition = " ".join(signs.get(part, f"({part})") for part in parts)
        text = f"choice({condition}, {value}, {other})"
    return text


def value_of(derivation, shape):
    """What a derivation says, computed independently of how the package checks it."""
    if isinstance(derivation, Formula):
        return np.broadcast_to(
            eval(as_python(derivation.template), {**NAMES, **derivation.operands}), shape
        )
    if isinstance(derivation, Gather):
        return np.array([0.0, *np.concatenate([x.ravel() for x in derivation.operands])])[
            derivation.source + 1
        ]
    if isinstance(derivation, Reduce):
        kept = [axis for axis in range(derivation.operand.ndim) if axis not in derivation.axes]
        n = math.prod(derivation.operand.shape[axis] for axis in derivation.axes)
        rows = np.transpose(derivation.operand, [*kept, *derivation.axes]).reshape(
            math.prod(shape), n
        )
        texts = [derivation.joiner.join(f"({x!r})" for x in row.tolist()) for row in rows]
        values = [
            eval(as_python(derivation.opening + t + derivation.closing or "0"), NAMES)
            for t in texts
        ]
        return np.array(values).reshape(shape)
    bias = 0 if derivation.bias is None else derivation.bias
    if isinstance(derivation, Einsum):
        return np.einsum(derivation.subscripts, *derivation.operands) + bias
    assert isinstance(derivation, LinearCombination)
    return np.tensordot(derivation.operand.ravel(), derivation.weights, 1) + bias


def assert_derivation(derivation, value):
    assert value_of(derivation, value.shape).shape == value.shape
    np.testing.assert_allclose(value_of(derivation, value.shape), value, rtol=1e-7, atol=1e-10)


# ---------------------------------------------------------------------------- every op

#: Of these there is no saying where an element comes from, but for the smallest arrays.
FORWARD = {"round", "unwrap", "cumprod", "inv", "solve", "det", "slogdet", "cholesky", "pinv"}
FORWARD |= {"eigh", "eigvalsh", "svd", "svdvals", "qr", "conv2d"}
BACKWARD = {"conv2d", "qr"}


@pytest.mark.slow
@pytest.mark.parametrize("name", TABLE)
def test_every_step_of_every_op_is_explained(name):
    row = TABLE[name]
    for arrays, settings in row.samples(name):
        leaves = [mg.Tensor(array, requires_grad=True) for array in arrays]
        for out in as_list(row.function(*leaves, **settings)):
            if not out.requires_grad:
                continue
            product = out * np.random.default_rng(1).normal(size=out.shape)
            loss = product.sum()
            for step in steps_of(loss):
                if step.tensor is not product and step.tensor is not loss:
                    check_explanation(step)


def check_explanation(step):
    if step.derivation is None:
        excused = FORWARD if step.kind == "forward" else BACKWARD
        assert step.tensor.op.name in excused or step.value.size == 0
    else:
        assert_derivation(step.derivation, step.value)
    if step.local is not None:
        g = step.derivation.operands["g"]
        assert step.derivation.template == "{g} · {local}"
        assert g.size == step.upstream.size
        np.testing.assert_array_equal(np.sort(g, None), np.sort(step.upstream, None))
        np.testing.assert_allclose(g * step.local, step.value, rtol=1e-12)
    if step.local_derivation is not None:
        assert_derivation(step.local_derivation, step.local)
        assert step.local_formula == display_formula(step.local_derivation.template)
        factor = step.formula.removeprefix("g · ")
        assert factor in (step.local_formula, f"({step.local_formula})")


def test_formulas_of_single_derivatives_are_known_for_all_elementwise_ops():
    for name in TABLE:
        if not isinstance(getattr(mg, name, None), mg.ops.elementwise.Elementwise):
            continue
        for arrays, settings in list(TABLE[name].samples(name))[:1]:
            leaves = [mg.Tensor(array, requires_grad=True) for array in arrays]
            out = TABLE[name].function(*leaves, **settings)
            if out.requires_grad and out.size:
                for step in steps_of(out.sum()):
                    assert (step.kind == "backward") <= (step.local_derivation is not None), name


@pytest.mark.parametrize(
    ("op", "formulas"),
    [
        (mg.relu, ["1 if out > 0 else 0"]),
        (lambda x: mg.maximum(x, [2.0, 1.0, 4.0]), ["1 if x > y else 0"]),
        (mg.tanh, ["1 - out²"]),
        (mg.sigmoid, ["out · (1 - out)"]),
        (mg.log10, ["1 / (x · ln(10))"]),
        (mg.erf, ["2 / √π · e^(-x²)"]),
        (mg.arctan, ["1 / (1 + x²)"]),
        (mg.hypot, ["x / out", "y / out"]),
        (mg.logaddexp, ["e^(x - out)", "e^(y - out)"]),
        (lambda x: np.linalg.norm(x, 3), ["sign(x) · (|x| / out)²"]),
        (np.std, ["(x - mean) / out / 3"]),
    ],
)
def test_rules_for_extreme_numbers_show_the_formula_of_a_textbook(op, formulas):
    leaves = [leaf([0.5, 2.0, 3.0]) for _ in formulas]
    found = steps(op(*leaves).sum())
    local = [step.local_formula for step in found if step.tensor.op.name != "sum"]
    assert local == formulas


# ---------------------------------------------------------------------------- what is found


def steps(output, kind="backward"):
    return [step for step in steps_of(output) if step.kind == kind]


def test_a_product_of_matrices_says_what_is_multiplied_with_what():
    x, y = leaf(np.ones((2, 3))), leaf(np.ones((3, 2)))
    (forward, _), (_, to_x, to_y) = steps((x @ y).sum(), "forward"), steps((x @ y).sum())
    assert forward.derivation.subscripts == "ij,jk->ik"
    assert (to_x.derivation.subscripts, to_x.formula) == ("ik,jk->ij", "g yᵀ")
    assert (to_y.derivation.subscripts, to_y.formula) == ("ik,ij->jk", "xᵀ g")


def test_a_layer_adds_its_bias():
    x, w, b = leaf(np.ones((4, 3))), leaf(np.ones((2, 3))), leaf([0.5, -0.5])
    out = mg.linear(x, w, b)
    derivation = steps(out, "forward")[0].derivation
    assert (derivation.subscripts, derivation.bias.tolist()) == ("aj,kj->ak", [0.5, -0.5])
    _, to_x, to_w, to_b = steps(out.sum())
    assert [step.formula for step in (to_x, to_w, to_b)] == ["g y", "gᵀ x", "Σ g"]
    assert isinstance(to_b.derivation, Reduce)


def test_elements_that_are_moved_are_followed():
    x = leaf([[1, 2, 3], [4, 5, 6]])
    for out, source in (
        (x.T, [[0, 3], [1, 4], [2, 5]]),
        (x[:, ::2], [[0, 2], [3, 5]]),
        (np.flip(x, 1), [[2, 1, 0], [5, 4, 3]]),
        (np.pad(x[0], 1), [-1, 0, 1, 2, -1]),
        (np.concatenate([x[0], x[1]]), [0, 1, 2, 3, 4, 5]),
        (mg.sort(-x[0])[0], 0),
    ):
        step = steps(out, "forward")[-1]
        assert isinstance(step.derivation, Gather)
        np.testing.assert_array_equal(step.derivation.source, source)
    back = steps(x[:, ::2].sum())[-1]
    assert back.formula == "g, put back in place"
    np.testing.assert_array_equal(back.derivation.source, [[0, -1, 1], [2, -1, 3]])


def test_an_element_taken_twice_receives_the_sum():
    x = leaf([1, 2, 3])
    back = steps((x[[0, 0, 2]] * np.array([1.0, 10, 100])).sum())[-1]
    assert isinstance(back.derivation, LinearCombination)
    np.testing.assert_array_equal(back.derivation.weights, [[1, 0, 0], [1, 0, 0], [0, 0, 1]])


def test_reductions_have_local_derivatives_too():
    x = leaf([[1, 2], [3, 3]])
    for out, local, formula in (
        (x.sum(axis=0), [[1, 1], [1, 1]], "1"),
        (x.mean(axis=1), [[0.5, 0.5], [0.5, 0.5]], "1 / 2"),
        (x.prod(), [[18, 9], [6, 6]], "out / x"),
        (np.linalg.norm(x[0]), [1 / 5**0.5, 2 / 5**0.5], "x / out"),
        (x[0].var(), [-0.5, 0.5], "2 · (x - mean) / 2"),
        (x[:1].max(axis=1), [[0, 1]], "1 if x = out else 0"),
    ):
        step = next(s for s in steps(out.sum()) if s.tensor is out)
        np.testing.assert_allclose(step.local, local)
        assert step.local_formula == formula


def test_ties_share():
    step = steps(leaf([3, 1, 3]).max())[0]
    np.testing.assert_array_equal(step.local, [0.5, 0, 0.5])
    assert step.local_formula == "1 / 2 if x = out else 0"


def test_convolutions_and_pooling_are_explained_window_by_window():
    x, w, b = leaf(np.arange(9.0).reshape(1, 1, 3, 3)), leaf(np.ones((1, 1, 2, 2))), leaf([0.5])
    out = mg.nn.functional.conv2d(x, w * 2, b)
    step = steps(out, "forward")[-1]
    assert (
        substitute_numbers(step.derivation, (0, 0, 1, 0)) == "3 · 2 + 4 · 2 + 6 · 2 + 7 · 2 + 0.5"
    )
    _, to_x, to_w, to_b, _ = steps((out * out).sum())[2:]
    assert isinstance(to_x.derivation, LinearCombination)
    assert substitute_numbers(to_w.derivation, (0, 0, 0, 1)) == "33 · 1 + 49 · 2 + 81 · 4 + 97 · 5"
    assert substitute_numbers(to_b.derivation, (0,)) == "33 + 49 + 81 + 97"
    largest = steps(mg.nn.functional.max_pool2d(x, 2, 1, padding=1), "forward")[0]
    assert substitute_numbers(largest.derivation, (0, 0, 1, 1)) == "max(0, 1, 3, 4)"
    assert substitute_numbers(largest.derivation, (0, 0, 0, 0)) == "max(-inf, -inf, -inf, 0)"
    mean = steps(mg.nn.functional.avg_pool2d(x, 2, 1), "forward")[0]
    assert substitute_numbers(mean.derivation, (0, 0, 1, 1)) == "(4 + 5 + 7 + 8) / 4"


def test_an_infinite_gradient_times_0_has_no_local_derivative():
    x = leaf([-1.0, 4.0])
    step = steps(np.sqrt(mg.relu(x)).sum())[-1]
    np.testing.assert_array_equal(step.upstream, [np.inf, 0.25])
    np.testing.assert_array_equal(step.value, [0, 0.25])  # a closed gate lets nothing pass
    assert step.local is step.local_formula is step.local_derivation is None
    assert [substitute_numbers(step.derivation, (i,)) for i in (0, 1)] == ["0", "0.25"]


def test_a_power_with_a_whole_exponent_is_written_as_one():
    x = leaf([1.0, -2.0])
    for exponent, template, formula in (
        (2, "{x}²", "2 · x"),
        (3, "{x}³", "3 · x²"),
        (1, "{x}", "1"),
        (-1, "{x}⁻¹", "-x⁻²"),
    ):
        out = x**exponent
        forward, backward = steps(out, "forward")[0], steps(out.sum())[-1]
        assert (forward.formula, forward.derivation.template) == ("xʸ", template)
        assert backward.local_formula == formula
    y = leaf(2.0)
    assert steps((x[:1] ** y).sum())[1].local_formula == "y · xʸ⁻¹"


def test_nan_is_explained_as_any_number():
    x = leaf([-1.0, 4.0])
    with np.errstate(invalid="ignore"):
        out = np.sqrt(x)
        forward, _, backward = steps_of(out.sum())[0], *steps(out.sum())
    assert forward.derivation.template == "√{x}"
    assert backward.local_formula == "1 / (2 · out)"


# ---------------------------------------------------------------------------- users' ops


class Cube(mg.Op):
    formula = "x³"

    def forward(self, x):
        return x**3

    def backward(self, g, out, x):
        return g * 3 * x**2


def test_an_op_of_a_user_is_explained():
    forward, _, seed, backward = (
        *steps_of(Cube()(leaf([1, -2])).sum())[:3],
        steps(Cube()(leaf([1, -2])).sum())[-1],
    )
    assert (forward.formula, forward.derivation.template) == ("x³", "{x}³")
    assert seed.kind == "seed"
    assert (backward.formula, backward.local_formula) == ("g · 3 · x²", "3 · x²")


def test_a_formula_that_is_not_what_is_computed_is_not_used():
    class Wrong(Cube):
        formula = "x⁴"

    forward = steps_of(Wrong()(leaf([1.5, -2])))[0]
    assert forward.formula == "x⁴"  # what the op says of itself
    assert forward.derivation.template == "{x}³"  # and what it does


def test_an_op_without_a_formula_writes_one():
    class Own(mg.Op):
        def forward(self, x, y):
            return x * np.sin(y)

        def backward(self, g, out, x, y):
            return g * np.sin(y), g * x * np.cos(y)

    x, y = leaf([1.0, 2.0]), leaf(0.5)
    forward, _, _, _, to_x, to_y, total = steps_of(Own()(x, y).sum())
    assert forward.formula == "x · sin(y)"
    assert (to_x.formula, to_y.formula) == ("g · sin(y)", "g · x · cos(y)")
    assert total.formula == "summed over axis 0"


def test_an_op_that_nothing_is_known_of_is_called_by_its_name():
    class Riddle(mg.Op):
        def forward(self, x):
            return np.sort(x)[::-1].cumsum() ** 2

        def backward(self, g, out, x):
            raise AssertionError("never asked")

    forward = steps_of(Riddle()(leaf([1.0, 2.0])))[0]
    assert (forward.formula, forward.derivation) == ("riddle(x)", None)


def test_what_is_true_of_these_numbers_alone_is_not_said():
    class Sorted(mg.Op):
        def forward(self, x):
            return np.sort(x)

    class Length(mg.Op):
        def forward(self, x):
            return np.sqrt(np.sum(x * x))

        def backward(self, g, out, x):
            return g * x / out

    # As if nothing had been moved, and as if 5 were 3 · 0.6 + 4 · 0.8.
    assert steps_of(Sorted()(leaf([1.0, 2.0, 3.0])))[0].derivation is None
    forward, _, backward = steps_of(Length()(leaf([3.0, 4.0])))
    assert forward.derivation is None
    assert backward.local_formula == "x / out"


def test_rules_that_are_not_diagonal_pass_for_none():
    class Backwards(mg.Op):
        def forward(self, x):
            return x[::-1] * 2

        def backward(self, g, out, x):
            return g[::-1] * 2

    step = steps((Backwards()(leaf([1.0, 2.0, 3.0]))).sum())[-1]  # g is the same everywhere
    assert step.local is None
    np.testing.assert_array_equal(step.derivation.weights, 2 * np.eye(3)[::-1])


def test_large_arrays_are_not_looked_into():
    x = leaf(np.ones(1 << 19))
    forward, total, _, to_forward, to_x = steps_of((x * x).sum())[:5]
    assert forward.derivation is total.derivation is to_x.derivation is None
    assert (forward.formula, to_forward.formula) == ("x · y", "g")
    assert to_x.formula == "g · y"
