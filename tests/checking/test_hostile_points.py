"""gradcheck on right functions where differences are hard: it agrees, or says why it cannot tell.

A cause that it names for a right rule is a false one, unless it is one of those that the point has.
"""

import math

import numpy as np
import pytest

import microgradx as mg
from tests.checking.wrong_rules import wrong as op_of

GENERATOR = np.random.default_rng(11)
MATRIX = GENERATOR.normal(size=(4, 4))


def hilbert(n):
    return 1 / (np.arange(n)[:, None] + np.arange(n) + 1.0)


#: sin(x), computed with errors of 1e-7 that look random.
noisy_sine = op_of(
    lambda x: np.sin(x) + 1e-7 * np.sin(1e16 * np.sin(12345.678 * x)),
    lambda g, out, x: g * np.cos(x),
)


def cancelling(x):
    """x, computed as a difference of large numbers."""
    return (np.sin(x) + 1e8) - 1e8


def in_blocks(x):
    """A discontinuous function with slope 1 everywhere else."""
    return x + 0.5 * np.floor(x)


def piecewise(x):
    return np.where(x < 1, x**2, 2 * x - 1 + (x - 1) ** 3)


NEXT_TO_1 = np.nextafter(1.0, 2.0)
CANNOT_TELL = {"step too large", "evaluation noise"}

# By name: the function, its inputs, and the kinds that are true of the point; none: it must agree.
RIGHT = {
    # large arguments
    "sin at 1e6": (np.sin, [1e6], ()),
    "sin at 1e12": (np.sin, [1e12], ()),
    "sin at 1e13 and 1": (np.sin, [[1e13, 1.0]], ()),
    "sin at 1e15": (np.sin, [1e15], CANNOT_TELL),
    "sin at 1e17": (np.sin, [1e17], CANNOT_TELL),
    "cos at -3e11": (np.cos, [[-3e11, 2.0]], ()),
    "tan at 1e10": (np.tan, [1e10], ()),
    "exp at 700": (np.exp, [[700.0, -700.0]], ()),
    "log at 1e300": (np.log, [[1e300, 1e-300]], ()),
    "reciprocal at 1e100": (np.reciprocal, [[1e100, -1e-100]], ()),
    "tanh at 18": (np.tanh, [[18.0, -18.0, 0.5]], ()),
    "sigmoid at 40": (mg.sigmoid, [[40.0, -40.0]], ()),
    "softplus at 1000": (mg.softplus, [[1000.0, -30.0]], ()),
    "cube of 1e100": (lambda x: x**3, [[1e90, 1.0]], ()),
    "arctan at 1e200": (np.arctan, [[1e10, 1.0]], ()),
    "sin of 1e6 x": (lambda x: np.sin(1e6 * x), [[1.0, 0.3]], CANNOT_TELL),
    "sin of 1e9 x": (lambda x: np.sin(1e9 * x), [1.0], CANNOT_TELL),
    "log-sum-exp of 1e5": (mg.logsumexp, [[1e5, 1e5 - 3, 2.0]], ()),
    "softmax of 1e3": (mg.softmax, [[1e3, 1e3 - 1, 1.0]], ()),
    "norm of 1e150": (mg.norm, [[3e150, 4e150]], ()),
    # tiny arguments
    "log at 1e-300": (np.log, [1e-300], ()),
    "log at 1e-300, 1e-20 and 1": (np.log, [[1e-300, 1e-20, 1.0]], ()),
    "log at the smallest number": (np.log, [5e-324], {"kink", "not finite"}),
    "sqrt at 1e-300": (np.sqrt, [[1e-300, 4.0]], ()),
    "sqrt at 1e-20": (np.sqrt, [1e-20], ()),
    "cube root at 1e-30": (np.cbrt, [[1e-30, -1e-9]], ()),
    "exp at 1e-300": (np.exp, [[1e-300, -1e-20]], ()),
    "reciprocal at 1e-150": (np.reciprocal, [1e-150], ()),
    "tanh of 1e20 x": (lambda x: np.tanh(1e20 * x), [[1e-20, 0.0]], ()),
    "square at 1e-200": (np.square, [[1e-200, 0.0]], ()),
    "x log x at 1e-100": (lambda x: x * np.log(x), [1e-100], ()),
    "norm at 1e-160": (mg.norm, [[3e-150, 4e-150]], ()),
    # near singularities
    "log1p at -1 + 1e-6": (np.log1p, [-1 + 1e-6], ()),
    "log1p at -1 + 1e-10": (np.log1p, [[-1 + 1e-10, 0.5]], ()),
    "log1p at -1 + 1e-13": (np.log1p, [-1 + 1e-13], CANNOT_TELL),
    "log1p at -1 + 1e-15": (np.log1p, [-1 + 1e-15], CANNOT_TELL),
    "arcsin at 1 - 1e-10": (np.arcsin, [[1 - 1e-10, 0.2]], ()),
    "arctanh at 1 - 1e-12": (np.arctanh, [1 - 1e-12], CANNOT_TELL),
    "arccosh at 1 + 1e-10": (np.arccosh, [1 + 1e-10], CANNOT_TELL),
    "1 / (x - 1) at 1 + 1e-8": (lambda x: 1 / (x - 1), [1 + 1e-8], CANNOT_TELL),
    "1 / (x - 1) next to 1": (lambda x: 1 / (x - 1), [NEXT_TO_1], {"kink", *CANNOT_TELL}),
    "tan at π/2": (np.tan, [math.pi / 2 - 1e-7], CANNOT_TELL),
    "√(1 - x²) at 1 - 1e-9": (lambda x: np.sqrt(1 - x * x), [1 - 1e-9], CANNOT_TELL),
    # a domain that ends at the point
    "sqrt at 0": (np.sqrt, [[0.0, 1.0]], {"kink"}),
    "arccos at 1": (np.arccos, [[1.0, 0.5]], {"kink"}),
    # no domain at the point
    "log at 0": (np.log, [[0.0, 1.0]], {"not finite"}),
    "cube root at 0": (np.cbrt, [[0.0, 1.0]], {"kink", "not finite"}),
    # huge outputs next to small ones
    "squares of 1e10 and 1e-5": (np.square, [[1e10, 1e-5]], ()),
    "two outputs, 1e12 and 1": (lambda x: (1e12 * np.sin(x), np.cos(x)), [[0.3, 2.0]], ()),
    "exp at 20 and -20": (np.exp, [[20.0, -20.0, 0.0]], ()),
    "exp at 300 and -300": (np.exp, [[300.0, -300.0]], ()),
    "1e-20 tanh": (lambda x: 1e-20 * np.tanh(x), [[0.4, 1.0]], ()),
    "1e20 tanh": (lambda x: 1e20 * np.tanh(x), [[0.4, 1.0]], ()),
    "1e10 plus a small function": (lambda x: 1e10 + np.sin(x), [[0.4, 1.0]], ()),
    "softmax with a tail": (mg.softmax, [[0.0, -25.0, -12.0]], ()),
    "log-softmax with a tail": (mg.log_softmax, [[40.0, 0.0, 13.0]], ()),
    "product of 1e8 and 1e-8": (mg.prod, [[1e8, 1e-8, 3.0]], ()),
    # ill-conditioned
    "inverse of a Hilbert matrix": (np.linalg.inv, [hilbert(4)], CANNOT_TELL),
    "determinant of a Hilbert matrix": (np.linalg.det, [hilbert(4)], CANNOT_TELL),
    "x^7 expanded, near its zero": (
        lambda x: x**3 - 3 * x**2 + 3 * x - 1,
        [1.001],
        CANNOT_TELL,
    ),
    "sin x + 1e8 - 1e8": (cancelling, [[0.3, 1.2]], CANNOT_TELL | {"coarse dtype"}),
    "random errors of 1e-7": (noisy_sine, [[0.3, 1.2]], CANNOT_TELL),
    "1 - cos at 1e-7": (lambda x: 1 - np.cos(x), [1e-7], CANNOT_TELL),
    "exp(x) - 1 at 1e-12": (lambda x: np.exp(x) - 1, [1e-12], ()),
    "variance far from 0": (mg.var, [[1e6, 1e6 + 1, 1e6 + 3]], CANNOT_TELL),
    # computed in less than float64
    "exp in float32": (
        op_of(
            lambda x: np.exp(x.astype(np.float32)).astype(float), lambda g, out, x: g * np.exp(x)
        ),
        [[0.3, 1.2]],
        {"coarse dtype", *CANNOT_TELL},
    ),
    # steps in other coordinates
    "log of exp of 100 x": (lambda x: np.log(np.exp(100 * x)), [[0.3, -1.0]], ()),
    "1e-8 x": (lambda x: np.tanh(1e-8 * x), [[3e8, 1.0]], ()),
    "sin of log of x": (lambda x: np.sin(np.log(x)), [[1e-50, 1e50]], ()),
    # piecewise, near kinks
    "relu at 1e-9": (mg.relu, [[1e-9, -1e-9, 1.0]], ()),
    "relu at 1e-15": (mg.relu, [[1e-15, -1e-15]], ()),
    "relu of x - 1, at 1 + 1e-9": (lambda x: mg.relu(x - 1), [[1 + 1e-9, 1 - 1e-9]], ()),
    "abs at 1e-12": (np.abs, [[1e-12, -1e-12]], ()),
    "max, 1e-9 apart": (mg.max, [[2.0, 2.0 + 1e-9, 1.0]], ()),
    "maximum at 1e10, 1 apart": (lambda x: np.maximum(x, 1e10), [1e10 + 1], ()),
    "clip, 1e-10 inside": (lambda x: np.clip(x, -1, 1), [[1 - 1e-10, -1 + 1e-10]], ()),
    "leaky relu at -1e-10": (mg.leaky_relu, [[-1e-10, 1.0]], ()),
    "elu at 1e-9": (mg.elu, [[1e-9, -1e-9]], ()),
    "sort, 1e-9 apart": (np.sort, [[1.0, 1.0 + 1e-9, 0.0]], ()),
    "huber at its bound": (lambda x: mg.where(np.abs(x) < 1, x**2 / 2, np.abs(x) - 0.5), [1.0], ()),
    "piecewise and smooth": (piecewise, [[1.0, 1 + 1e-9]], ()),
    # at kinks
    "relu at 0": (mg.relu, [[0.0, 1.0]], {"kink"}),
    "abs of sin at π": (lambda x: np.abs(np.sin(x)), [math.pi], {"kink", "step too large"}),
    "abs plus a steep parabola": (lambda x: np.abs(x) + 1e6 * x**2, [0.0], ()),
    "relu plus a line, at 0": (lambda x: mg.relu(x) + 3 * x, [0.0], {"kink"}),
    "max with a tie of three": (mg.max, [[3.0, 3.0, 3.0, 1.0]], {"kink"}),
    "norm at 0": (mg.norm, [[0.0, 0.0]], ()),
    "|x|^1.5 at 0": (lambda x: np.abs(x) ** 1.5, [0.0], ()),
    "relu^1.2 at 0": (lambda x: mg.relu(x) ** 1.2, [0.0], {"step too large", "not finite"}),
    # discontinuities
    "floor at 2": (np.floor, [[2.0, 0.5]], {"kink"}),
    "sign at 0": (np.sign, [[0.0, 0.5]], {"kink"}),
    "round at a half": (np.round, [[0.5, 1.2]], {"kink"}),
    "blocks, at 1": (in_blocks, [[1.0, 0.5]], {"kink"}),
    "blocks, 1e-9 next to 1": (in_blocks, [[1 + 1e-9, 1 - 1e-9]], ()),
    "floor, 1e-9 next to 2": (np.floor, [[2 - 1e-9, 2 + 1e-9]], ()),
    "a step of x": (lambda x: np.where(x > 0.5, 2 * x, x), [0.5], {"kink"}),
    # plateaus and constants
    "relu of negatives": (mg.relu, [[-1.0, -1e-9]], ()),
    "clip outside": (lambda x: np.clip(x, -1, 1), [[5.0, -3.0]], ()),
    "floor at 1.5": (np.floor, [[1.5, -0.3]], ()),
    "a constant": (lambda x: 0 * x + 3, [[0.5, 1.0]], ()),
    "x - x": (lambda x: x - x, [[0.5, 1.0]], ()),
    "sum of softmax": (lambda x: mg.softmax(x).sum(), [[0.5, 1.0, 30.0]], ()),
    "square at 0": (np.square, [[0.0, 1.0]], ()),
    "x^10 at 0": (lambda x: x**10, [[0.0, 1e-3]], ()),
    "tanh at 400": (np.tanh, [[400.0, -400.0]], ()),
    "exp(-1/x²) at 0.03": (lambda x: np.exp(-1 / x**2), [[0.03, 0.5]], ()),
}


@pytest.mark.parametrize("name", RIGHT)
def test_a_right_function_agrees_or_the_reason_why_not_is_true(name):
    function, inputs, kinds = RIGHT[name]
    report = mg.gradcheck(function, [np.asarray(x, float) for x in inputs], raise_exception=False)
    if not report or not kinds:
        assert report.cause in (kinds or [None]), report.message
        assert bool(report) == (report.cause is None), report.message


def test_what_differences_cannot_tell_is_not_called_wrong():
    report = mg.gradcheck(np.sin, np.array([1e17]), raise_exception=False)
    assert report.message.startswith("finite differences cannot tell whether the gradient is right")
    assert "the step is too large here" in report.message
    assert "not confirmed at 1 of 1 elements" in report.message
    report = mg.gradcheck(noisy_sine, np.array([0.3]), raise_exception=False)
    assert "the function's own rounding errors" in " ".join(report.message.split())


@pytest.mark.parametrize("point", [1e12, -1 + 1e-10, 1e-300, 1e-9, 0.5])
def test_where_differences_need_other_steps_a_wrong_rule_is_still_found(point):
    functions = (np.sin, np.cos), (np.log1p, lambda x: 1 / (1 + x)), (np.sqrt, np.reciprocal)
    for function, derivative in functions:
        op = op_of(function, lambda g, out, x, slope=derivative: 3 * g * slope(x))
        with np.errstate(all="ignore"):
            if np.isfinite(function(point)):
                report = mg.gradcheck(op, np.array([point]), raise_exception=False)
                assert not report
                assert report.cause not in {"kink", "step too large"}, report.message


triple_sine = op_of(np.sin, lambda g, out, x: 3 * g * np.cos(x))
X = np.array([0.3, 2.0])


@pytest.mark.parametrize(
    ("f", "x"),
    [
        (lambda x: (triple_sine(x), 1e10 * x**2), X),
        (lambda x: (1e-5 * triple_sine(x), 1e5 + x), X),
        (lambda x: np.stack([triple_sine(x), 1e10 * np.cos(x)]), X),
        (lambda x: triple_sine(x) * np.array([1e-10, 1.0]), X),
        (lambda x: triple_sine(x).sum() + 1e10 * np.exp(x).sum(), X),
        (lambda x: (triple_sine(x), np.sin(1e5 * x)), X),
        (op_of(np.square, lambda g, out, x: np.where(x < 1, 3, 1) * 2 * g * x), [1e-5, 1e5]),
        (op_of(np.exp, lambda g, out, x: np.where(x < 0, 3, 1) * g * out), [-11.0, 12.0]),
    ],
)
def test_a_mistake_next_to_an_output_much_larger_is_found(f, x):
    report = mg.gradcheck(f, np.asarray(x), raise_exception=False)
    assert not report
    assert report.op is not None


@pytest.mark.parametrize("scale", [1e-30, 1e-10, 1e10, 1e30])
def test_a_mistake_is_found_at_any_scale(scale):
    report = mg.gradcheck(lambda x: scale * triple_sine(x), X, raise_exception=False)
    assert report.cause == "constant factor"
