"""First derivatives against mpmath, over the whole range of each dtype.

The bound is 4 units in the last place; docs/accuracy.md has the table of exceptions, which is read.
"""

import re
from pathlib import Path

import mpmath as mp
import numpy as np
import pytest

import microgradx as mg
from microgradx.ops import activations, elementwise
from tests.ops.test_table import TABLE

pytestmark = pytest.mark.slow

DTYPES = [np.float64, np.float32, np.float16]
BOUND = 4.0


# ---------------------------------------------------------------------------- references


def sigmoid(x):
    return 1 / (1 + mp.exp(-x))


def softplus(x):
    return mp.log1p(mp.exp(x)) if x < 100 else x + mp.log1p(mp.exp(-x))


def gelu_terms(x):
    return mp.erfc(-x / mp.sqrt(2)) / 2, x * mp.exp(-x * x / 2) / mp.sqrt(2 * mp.pi)


def gelu_tanh_terms(x):
    k, c = 2 * mp.sqrt(2 / mp.pi), mp.mpf("0.044715")
    z = k * (x + c * x**3)
    return sigmoid(z), x * sigmoid(z) * sigmoid(-z) * k * (1 + 3 * c * x * x)


def mish_terms(x):
    z = softplus(x)
    return mp.tanh(z), x * sigmoid(x) * mp.sech(z) ** 2


def sinc_terms(x):
    if abs(x) < mp.mpf("0.25"):
        k = mp.pi * x
        return (
            mp.nsum(
                lambda n: (-1) ** n * 2 * n * k ** (2 * n) / mp.factorial(2 * n + 1) / x, [1, 12]
            )
            if x
            else mp.mpf(0),
        )
    return mp.cospi(x) / x, -mp.sinpi(x) / (mp.pi * x * x)


SELU, ALPHA = mp.mpf("1.0507009873554804934"), mp.mpf("1.6732632423543772848")

#: The derivative of each op with one input; a tuple holds terms to be added.
UNARY = {
    "square": lambda x: 2 * x,
    "reciprocal": lambda x: -1 / x**2,
    "negative": lambda x: mp.mpf(-1),
    "positive": lambda x: mp.mpf(1),
    "exp": mp.exp,
    "exp2": lambda x: mp.log(2) * mp.mpf(2) ** x,
    "expm1": mp.exp,
    "log": lambda x: 1 / x,
    "log2": lambda x: 1 / x / mp.log(2),
    "log10": lambda x: 1 / x / mp.log(10),
    "log1p": lambda x: 1 / (1 + x),
    "sqrt": lambda x: 1 / (2 * mp.sqrt(x)),
    "cbrt": lambda x: 1 / (3 * mp.cbrt(abs(x)) ** 2),
    "sin": mp.cos,
    "cos": lambda x: -mp.sin(x),
    "tan": lambda x: mp.sec(x) ** 2,
    "arcsin": lambda x: 1 / mp.sqrt((1 - x) * (1 + x)),
    "arccos": lambda x: -1 / mp.sqrt((1 - x) * (1 + x)),
    "arctan": lambda x: 1 / (1 + x * x),
    "sinh": mp.cosh,
    "cosh": mp.sinh,
    "tanh": lambda x: mp.sech(x) ** 2,
    "arcsinh": lambda x: 1 / mp.sqrt(1 + x * x),
    "arccosh": lambda x: 1 / mp.sqrt((x - 1) * (x + 1)),
    "arctanh": lambda x: 1 / ((1 - x) * (1 + x)),
    "sinc": sinc_terms,
    "deg2rad": lambda x: mp.pi / 180,
    "rad2deg": lambda x: 180 / mp.pi,
    "sigmoid": lambda x: sigmoid(x) * sigmoid(-x),
    "logsigmoid": lambda x: sigmoid(-x),
    "softplus": sigmoid,
    "softsign": lambda x: 1 / (1 + abs(x)) ** 2,
    "tanhshrink": lambda x: mp.tanh(x) ** 2,
    "celu": lambda x: mp.mpf(1) if x > 0 else mp.exp(x),
    "silu": lambda x: (sigmoid(x), x * sigmoid(x) * sigmoid(-x)),
    "mish": mish_terms,
    "erf": lambda x: 2 / mp.sqrt(mp.pi) * mp.exp(-x * x),
    "erfc": lambda x: -2 / mp.sqrt(mp.pi) * mp.exp(-x * x),
    "gelu": lambda x: gelu_terms(max(x, mp.mpf(-1000))),  # whose exponent is within mpmath's range
    "gelu, tanh": gelu_tanh_terms,
    "elu": lambda x: mp.mpf(1) if x > 0 else mp.exp(x),
    "selu": lambda x: SELU if x > 0 else SELU * ALPHA * mp.exp(x),
}

#: The derivatives by x and by y of each op with two inputs.
BINARY = {
    "multiply": (lambda x, y: y, lambda x, y: x),
    "divide": (lambda x, y: 1 / y, lambda x, y: -x / y**2),
    # of positive x; (-1)ʸ⁻¹ has no sign where y - 1 is rounded
    "power": (
        lambda x, y: y * x ** (y - 1) if x > 0 else mp.nan,
        lambda x, y: x**y * mp.log(x) if x > 0 else mp.nan,
    ),
    "hypot": (lambda x, y: x / mp.hypot(x, y), lambda x, y: y / mp.hypot(x, y)),
    "arctan2": (lambda x, y: y / (x * x + y * y), lambda x, y: -x / (x * x + y * y)),
    "logaddexp": (lambda x, y: sigmoid(x - y), lambda x, y: sigmoid(y - x)),
    "logaddexp2": (
        lambda x, y: 1 / (1 + mp.mpf(2) ** (y - x)),
        lambda x, y: 1 / (1 + mp.mpf(2) ** (x - y)),
    ),
}

#: Their derivatives are 0, 1, or another gradient's, by exact rules; the tests are elsewhere.
PIECEWISE_LINEAR = {
    *("add", "subtract", "absolute", "fabs", "maximum", "minimum", "fmax", "fmin", "where"),
    *("sign", "floor", "ceil", "trunc", "rint", "floor_divide", "remainder", "fmod", "heaviside"),
    *("copysign", "copy", "stop_gradient", "relu", "clip", "hardtanh", "leaky_relu", "modf"),
}

FUNCTIONS = {
    **{name: getattr(mg, name) for name in {**UNARY, **BINARY} if name in TABLE},
    "gelu, tanh": lambda x: mg.gelu(x, approximate="tanh"),
}


def test_every_elementwise_op_has_a_reference():
    ops = {
        op.name
        for family in (elementwise, activations)
        for op in vars(family).values()
        if isinstance(op, elementwise.Elementwise)
    }
    assert ops - PIECEWISE_LINEAR - set(UNARY) - set(BINARY) == set()


# ---------------------------------------------------------------------------- the comparison


def exceptions():
    """The table of exceptions: units allowed, and whether tiny numbers count, by op and dtype."""
    text = (Path(__file__).parents[2] / "docs" / "accuracy.md").read_text(encoding="utf-8")
    row = r"^\| `(.+)` \| (float\d\d|all) \| (\d+)(, not of tiny numbers)? \|"
    rows = re.findall(row, text, re.MULTILINE)
    return {
        (name, dtype.__name__): (float(units), not but_tiny)
        for names, of, units, but_tiny in rows
        for name in names.split("`, `")
        for dtype in DTYPES
        if of in ("all", dtype.__name__)
    }


EXCEPTIONS = exceptions()


def check(name, out, variable, reference, *inputs):
    """That errors stay below the bound where the value is finite."""
    dtype = out.dtype
    bound, tiny_counts = EXCEPTIONS.get((name, dtype.name), (BOUND, True))
    smallest = 0 if tiny_counts else 1024 * float(np.finfo(dtype).tiny)
    error, where = 0.0, None
    with mp.workprec(200):
        for value, gradient, *numbers in zip(out.data, variable.grad, *inputs, strict=True):
            numbers = [mp.mpf(float(x)) for x in numbers]
            try:
                terms = reference(*numbers)
                terms = terms if isinstance(terms, tuple) else (terms,)
                sizes = [*numbers, *terms, numbers[0] / numbers[-1], numbers[-1] / numbers[0]]
            except (ZeroDivisionError, ValueError):
                continue  # outside the domain
            if not np.isfinite(value) or min(map(abs, sizes)) < smallest:
                continue
            found = units(gradient, terms)
            if found > error:
                error, where = found, (*map(float, numbers), float(gradient))
    assert error <= bound, (name, dtype.name, where)


def whole_range(dtype, count):
    """Numbers of both signs from the smallest to the largest, many of them where curves bend."""
    limits = np.finfo(dtype)
    smallest, largest = np.log(float(limits.smallest_subnormal)), np.log(float(limits.max))
    near_1 = np.logspace(-17, -1, count // 4)
    with np.errstate(over="ignore"):
        positive = np.concatenate(
            [
                np.exp(np.linspace(smallest, largest, count)[:-1]),
                *(1 + near_1, 1 - near_1, [1.0, float(limits.tiny), float(limits.max)]),
                np.linspace(0.1, 45, count),
                np.linspace(50, 110, count // 3),
                np.linspace(600, 760, count // 2),
            ]
        ).astype(dtype)
    positive = np.unique(positive[np.isfinite(positive) & (positive > 0)])
    return np.concatenate([-positive[::-1], positive])


def units(gradient, terms):
    """The error in units in the last place of the largest term."""
    terms = terms if isinstance(terms, tuple) else (terms,)
    if any(isinstance(t, mp.mpc) or not mp.isfinite(t) for t in terms):
        return 0.0
    limits, exact = np.finfo(gradient.dtype), mp.fsum(terms)
    largest = max(abs(t) for t in terms)
    if largest >= float(limits.max):
        return 0.0
    if not np.isfinite(gradient):
        return float(np.inf)
    unit = np.spacing(gradient.dtype.type(float(largest)))
    return float(abs(mp.mpf(float(gradient)) - exact) / float(unit))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", UNARY)
def test_derivatives_by_one_input(name, dtype):
    x = mg.Tensor(whole_range(dtype, 60), requires_grad=True)
    with np.errstate(all="ignore"):
        out = FUNCTIONS[name](x)
        out.backward(np.ones_like(x.data))
    check(name, out, x, UNARY[name], x.data)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", BINARY)
def test_derivatives_by_two_inputs(name, dtype):
    numbers = whole_range(dtype, 8)
    x, y = (mg.Tensor(np.ravel(a), requires_grad=True) for a in np.meshgrid(numbers, numbers))
    with np.errstate(all="ignore"):
        out = FUNCTIONS[name](x, y)
        out.backward(np.ones_like(x.data))
    for variable, reference in zip((x, y), BINARY[name], strict=True):
        check(name, out, variable, reference, x.data, y.data)
