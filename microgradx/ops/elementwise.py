"""The table of elementwise ops: a function, its formula, and a derivative for each input.

In a derivative, `g` is the gradient at the output `out`, and x, y, z are the inputs; it runs on
arrays and on Tensors alike. The formulas are those of any calculus textbook. Where a function has
a kink, a comment states the convention.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from microgradx.arrays.dispatch import implements
from microgradx.arrays.types import ONE, ScalarCache, as_array, as_floats, unwrap
from microgradx.engine import Op, Tensor

__all__ = [
    "add",
    "subtract",
    "multiply",
    "divide",
    "true_divide",
    "floor_divide",
    "remainder",
    "mod",
    "fmod",
    "divmod",
    "modf",
    "power",
    "pow",
    "float_power",
    "square",
    "reciprocal",
    "negative",
    "positive",
    "exp",
    "exp2",
    "expm1",
    "log",
    "log2",
    "log10",
    "log1p",
    "sqrt",
    "cbrt",
    "logaddexp",
    "logaddexp2",
    "ldexp",
    "hypot",
    "sin",
    "cos",
    "tan",
    "arcsin",
    "asin",
    "arccos",
    "acos",
    "arctan",
    "atan",
    "arctan2",
    "atan2",
    "sinh",
    "cosh",
    "tanh",
    "arcsinh",
    "asinh",
    "arccosh",
    "acosh",
    "arctanh",
    "atanh",
    "sinc",
    "deg2rad",
    "radians",
    "rad2deg",
    "degrees",
    "absolute",
    "abs",
    "fabs",
    "copysign",
    "maximum",
    "minimum",
    "fmax",
    "fmin",
    "clip",
    "where",
    "select",
    "nan_to_num",
    "sign",
    "heaviside",
    "floor",
    "ceil",
    "trunc",
    "fix",
    "rint",
    "round",
    "copy",
    "stop_gradient",
    "astype",
]


class TableRow(Op):
    """A row of the table: a function, its formula, and a derivative for each input."""

    def __init__(
        self,
        function: Callable[..., Any],
        formula: str,
        *derivatives: Callable[..., Any] | None,
        name: str = "",
    ) -> None:
        self.name = name or function.__name__
        self.formula = formula
        self.forward = function  # type: ignore[method-assign]
        self.derivatives = derivatives
        self.arity = len(derivatives)


class Elementwise(TableRow):
    """A row that implements a NumPy function, or a function called `name` where NumPy has none."""

    def __init__(
        self,
        function: Callable[..., Any],
        formula: str,
        *derivatives: Callable[..., Any] | None,
        name: str = "",
    ) -> None:
        super().__init__(function, formula, *derivatives, name=name)
        is_numpy_function = getattr(np, self.name, None) is function
        implements(function if is_numpy_function else self.name)(self)


# ---------------------------------------------------------------------------- longer derivatives


def _power_by_base(g, out, x, y):
    # y xʸ⁻¹; x⁰ is constantly 1, of 0 and NaN too.
    base = np.where((y == 0) & ((x == 0) | np.isnan(x)), 1, x)
    return g * y * base ** (y - 1.0)


def _power_by_exponent(g, out, x, y):
    # xʸ ln x; 0ʸ is constantly 0 for y > 0, and 0 is also the convention at 0⁰.
    return g * out * np.log(np.where((x == 0) & (y >= 0), 1, x))


def _logaddexp_by_x(g, x, y, unit=1.0):
    # eˣ / (eˣ + eʸ) = sigmoid(x - y); equal infinities, whose difference is NaN, take half each.
    is_undefined = (x == y) & np.isinf(x)
    return g * sigmoid((np.where(is_undefined, 0, x) - np.where(is_undefined, 0, y)) * unit)


def _sigmoid(x):
    x = as_floats(x)
    e = np.exp(-np.abs(x))  # cannot overflow
    return np.where(np.greater_equal(x, 0), 1, e) / (1 + e)


MINUS_ONE, MINUS_TWO, FOUR = map(ScalarCache, (-1, -2, 4))


def _bell(x, rate, height):
    """c e / (1 + e)², with e = exp(a |x|) of a negative rate a: no overflow, no cancellation."""
    e = np.abs(x)
    if type(e) is not np.ndarray:
        e = np.exp(e * rate.value)
        return e * height.value / ((e + 1) * (e + 1))
    e *= rate[e.dtype]  # the same, in place
    np.exp(e, out=e)
    divisor = e + ONE[e.dtype]
    divisor *= divisor
    e *= height[e.dtype]
    e /= divisor
    return e


def _multiply_by_slope(g, slope, x):
    """g · slope(x); of arrays, in the memory of the slope."""
    if type(x) is not np.ndarray or type(g) is not np.ndarray:
        return g * slope(x)
    product = slope.forward(x)
    product *= g
    return product


def _sinc_by_x(g, out, x):
    # (cos πx - sinc x) / x; near 0, where that cancels, its Taylor series. Sine and cosine are of
    # the distance to the next integer n, since πx has lost the digits behind a large one.
    is_small = np.abs(x) < 0.5
    squared = np.where(is_small, math.pi * x, 0) ** 2
    series = 0.0 * squared
    for k in range(10, 0, -1):
        series = (-1) ** k * (2 * k / math.factorial(2 * k + 1)) + squared * series
    divisor = np.where(is_small, 1, x)
    n = np.rint(divisor)
    sign, r = 1 - 2 * np.mod(n, 2), divisor - n
    near_0 = np.sin(math.pi * (0.5 - np.sign(r) * r))  # the cosine, where it is small
    cosine = np.where(np.abs(r) < 0.25, np.cos(math.pi * r), near_0)
    quotient = sign * (cosine - np.sin(math.pi * r) / (math.pi * divisor)) / divisor
    return g * np.where(is_small, math.pi**2 * x * series, quotient)


class Cosine(Op):
    """x / √(x² + y²), the cosine of the angle of (x, y), and 0 at (0, 0), as every norm's gradient.

    There its derivative is infinite, and NaN, since a 0 would hide that (see `NormGradient`).
    """

    formula = "x / √(x² + y²)"
    derivatives = (
        lambda g, out, x, y: _divide_by_hypot(g * _cosine(y, x) ** 2, x, y, np.nan),
        lambda g, out, x, y: _divide_by_hypot(-g * out * _cosine(y, x), x, y, np.nan),
    )

    def forward(self, x, y):
        largest = np.maximum(np.abs(x), np.abs(y))
        largest = np.where((largest == 0) | np.isinf(largest), 1, largest)
        x, y = x / largest, y / largest  # of which no square overflows, and not both underflow
        norm = np.hypot(x, y)
        return x / np.where(norm == 0, 1, norm)


_cosine: Op = Cosine()


def _divide_by_hypot(g, x, y, at_0):
    """g / √(x² + y²), where neither overflows; and g divided by `at_0` at (0, 0)."""
    largest = unwrap(np.maximum(np.abs(x), np.abs(y)))
    is_0 = largest == 0
    scale = np.where(is_0 | np.isinf(largest), 1, largest)
    norm = np.where(is_0, at_0, np.hypot(x / scale, y / scale))
    return g / norm / scale


#: The dtype of the integers that are as large as floats of a dtype.
SAME_SIZE_INTEGER = {np.dtype(f"f{size}"): np.dtype(f"i{size}") for size in (2, 4, 8)}


def mask_gradient(g, mask):
    """`g` where the mask is true and 0 elsewhere, also where g is infinite.

    This is np.where(mask, g, 0), which takes ten times as long as a product. A product of the
    numbers would make NaN of 0 · ∞; a product of their bits, read as integers, does not.
    """
    integer = SAME_SIZE_INTEGER.get(g.dtype) if type(g) is np.ndarray else None
    if integer is None:
        return np.where(mask, g, 0)
    return np.multiply(g.view(integer), mask.astype(integer)).view(g.dtype)


def _choose(g, x, y, is_better):
    """The gradient at x of a choice between x and y, which takes a NaN if there is one."""
    is_tie = (x == y) | (np.isnan(x) & np.isnan(y))
    return np.where(is_tie, g / 2, mask_gradient(g, is_better | np.isnan(x)))


def _choose_number(g, x, y, is_better):
    """The gradient at x of a choice between x and y, which passes over a NaN."""
    is_tie = (x == y) | (np.isnan(x) & np.isnan(y))
    return np.where(is_tie, g / 2, mask_gradient(g, is_better | np.isnan(y)))


# ---------------------------------------------------------------------------- the table
# fmt: off

# arithmetic
add = Elementwise(np.add, "x + y", lambda g, out, x, y: g, lambda g, out, x, y: g)
subtract = Elementwise(np.subtract, "x - y", lambda g, out, x, y: g, lambda g, out, x, y: -g)
multiply = Elementwise(np.multiply, "x · y", lambda g, out, x, y: g * y, lambda g, out, x, y: g * x)
divide = true_divide = Elementwise(
    np.divide, "x / y", lambda g, out, x, y: g / y, lambda g, out, x, y: -g * out / y)
power = pow = Elementwise(np.power, "xʸ", _power_by_base, _power_by_exponent)
square = Elementwise(np.square, "x²", lambda g, out, x: g * (2 * x))
reciprocal = Elementwise(np.reciprocal, "1 / x", lambda g, out, x: -g * out * out)
negative = Elementwise(np.negative, "-x", lambda g, out, x: -g)
positive = Elementwise(np.positive, "+x", lambda g, out, x: g)
implements(np.conjugate, np.real)(positive)  # of real numbers

# exponentials, logarithms, roots
exp = Elementwise(np.exp, "eˣ", lambda g, out, x: g * out)
exp2 = Elementwise(np.exp2, "2ˣ", lambda g, out, x: g * out * math.log(2))
expm1 = Elementwise(np.expm1, "eˣ - 1", lambda g, out, x: g * np.exp(x))
log = Elementwise(np.log, "ln x", lambda g, out, x: g / x)
log2 = Elementwise(np.log2, "log₂ x", lambda g, out, x: g / math.log(2) / x)
log10 = Elementwise(np.log10, "log₁₀ x", lambda g, out, x: g / math.log(10) / x)
log1p = Elementwise(np.log1p, "ln(1 + x)", lambda g, out, x: g / (1 + x))
sqrt = Elementwise(np.sqrt, "√x", lambda g, out, x: g / (2 * out))
cbrt = Elementwise(np.cbrt, "∛x", lambda g, out, x: g / (3 * out) / out)
logaddexp = Elementwise(
    np.logaddexp, "ln(eˣ + eʸ)",
    lambda g, out, x, y: _logaddexp_by_x(g, x, y), lambda g, out, x, y: _logaddexp_by_x(g, y, x))
logaddexp2 = Elementwise(
    np.logaddexp2, "log₂(2ˣ + 2ʸ)",
    lambda g, out, x, y: _logaddexp_by_x(g, x, y, math.log(2)),
    lambda g, out, x, y: _logaddexp_by_x(g, y, x, math.log(2)))
sigmoid = Elementwise(  # its slope is out (1 - out), which cancels at large x
    _sigmoid, "1 / (1 + e⁻ˣ)",
    lambda g, out, x: _multiply_by_slope(g, sigmoid_slope, x), name="sigmoid")
sigmoid_slope: Op = TableRow(
    lambda x: _bell(x, MINUS_ONE, ONE), "e⁻ˣ / (1 + e⁻ˣ)²",
    lambda g, out, x: -g * out * np.tanh(x / 2), name="sigmoid_slope")
hypot = Elementwise(  # at (0, 0) its derivative is 0, and its second one NaN
    np.hypot, "√(x² + y²)",
    lambda g, out, x, y: g * _cosine(x, y), lambda g, out, x, y: g * _cosine(y, x))

# trigonometric and hyperbolic functions; 1 - x² as a product, which does not cancel near 1, and
# √(1 + x²) as hypot, since x² overflows
sin = Elementwise(np.sin, "sin x", lambda g, out, x: g * np.cos(x))
cos = Elementwise(np.cos, "cos x", lambda g, out, x: -g * np.sin(x))
tan = Elementwise(np.tan, "tan x", lambda g, out, x: g * (1 + out * out))
arcsin = asin = Elementwise(
    np.arcsin, "arcsin x", lambda g, out, x: g / np.sqrt((1 - x) * (1 + x)))
arccos = acos = Elementwise(
    np.arccos, "arccos x", lambda g, out, x: -g / np.sqrt((1 - x) * (1 + x)))
arctan = atan = Elementwise(
    np.arctan, "arctan x", lambda g, out, x: g / np.hypot(1, x) / np.hypot(1, x))
arctan2 = atan2 = Elementwise(  # y / (x² + y²) and -x / (x² + y²)
    np.arctan2, "the angle of (y, x)",
    lambda g, out, x, y: _divide_by_hypot(g * _cosine(y, x), x, y, np.inf),
    lambda g, out, x, y: _divide_by_hypot(-g * _cosine(x, y), x, y, np.inf))
sinh = Elementwise(np.sinh, "sinh x", lambda g, out, x: g * np.cosh(x))
cosh = Elementwise(np.cosh, "cosh x", lambda g, out, x: g * np.sinh(x))
tanh = Elementwise(  # its slope is 1 - out², which cancels at large x
    np.tanh, "tanh x", lambda g, out, x: _multiply_by_slope(g, sech_squared, x))
sech_squared: Op = TableRow(
    lambda x: _bell(x, MINUS_TWO, FOUR), "1 / cosh² x",
    lambda g, out, x: -2 * g * out * np.tanh(x), name="sech_squared")
arcsinh = asinh = Elementwise(np.arcsinh, "arsinh x", lambda g, out, x: g / np.hypot(1, x))
arccosh = acosh = Elementwise(
    np.arccosh, "arcosh x", lambda g, out, x: g / (np.sqrt(x - 1) * np.sqrt(x + 1)))
arctanh = atanh = Elementwise(np.arctanh, "artanh x", lambda g, out, x: g / ((1 - x) * (1 + x)))
sinc = Elementwise(np.sinc, "sin(πx) / (πx)", _sinc_by_x)
deg2rad = radians = Elementwise(np.deg2rad, "π x / 180", lambda g, out, x: g * (math.pi / 180))
rad2deg = degrees = Elementwise(np.rad2deg, "180 x / π", lambda g, out, x: g * (180 / math.pi))
implements(np.radians)(radians)
implements(np.degrees)(degrees)

# kinks: the derivative of |x| at 0 is 0, by convention
absolute = abs = Elementwise(np.absolute, "|x|", lambda g, out, x: g * np.sign(x))
fabs = Elementwise(np.fabs, "|x|", lambda g, out, x: g * np.sign(x))
copysign = Elementwise(
    np.copysign, "|x| if y ≥ 0 else -|x|",
    lambda g, out, x, y: g * np.sign(x) * np.sign(out), lambda g, out, x, y: np.zeros_like(y))

# choices: the gradient goes to what was chosen, a NaN too, and ties share it equally; at a bound,
# clip passes it on to x
maximum = Elementwise(
    np.maximum, "max(x, y)",
    lambda g, out, x, y: _choose(g, x, y, x > y), lambda g, out, x, y: _choose(g, y, x, y > x))
minimum = Elementwise(
    np.minimum, "min(x, y)",
    lambda g, out, x, y: _choose(g, x, y, x < y), lambda g, out, x, y: _choose(g, y, x, y < x))
fmax = Elementwise(  # of a number and NaN, the number
    np.fmax, "max(x, y)",
    lambda g, out, x, y: _choose_number(g, x, y, x > y),
    lambda g, out, x, y: _choose_number(g, y, x, y > x))
fmin = Elementwise(
    np.fmin, "min(x, y)",
    lambda g, out, x, y: _choose_number(g, x, y, x < y),
    lambda g, out, x, y: _choose_number(g, y, x, y < x))
_clip = Elementwise(
    np.clip, "min(max(x, y), z)",
    lambda g, out, x, y, z: mask_gradient(g, ~((x < y) | (x > z))),
    lambda g, out, x, y, z: mask_gradient(g, (x < y) & (y <= z)),
    lambda g, out, x, y, z: mask_gradient(g, (z < x) | (z < y)))
_where = Elementwise(
    np.where, "y if x else z",
    None,
    lambda g, out, x, y, z: mask_gradient(g, x),
    lambda g, out, x, y, z: np.where(x, 0, g))

# steps: the derivative is 0 between the jumps; in x - ⌊x / y⌋ y, the step is a constant factor
sign = Elementwise(np.sign, "sign x", lambda g, out, x: np.zeros_like(x))
floor = Elementwise(np.floor, "⌊x⌋", lambda g, out, x: np.zeros_like(x))
ceil = Elementwise(np.ceil, "⌈x⌉", lambda g, out, x: np.zeros_like(x))
trunc = fix = Elementwise(np.trunc, "x, rounded towards 0", lambda g, out, x: np.zeros_like(x))
implements(np.fix)(fix)
rint = Elementwise(np.rint, "x, rounded", lambda g, out, x: np.zeros_like(x))
floor_divide = Elementwise(
    np.floor_divide, "⌊x / y⌋",
    lambda g, out, x, y: np.zeros_like(x), lambda g, out, x, y: np.zeros_like(y))
remainder = mod = Elementwise(
    np.remainder, "x - ⌊x / y⌋ y",
    lambda g, out, x, y: g, lambda g, out, x, y: -g * np.floor_divide(x, y))

fmod = Elementwise(  # the quotient, rounded towards 0, without the rounding error of x / y
    np.fmod, "x - trunc(x / y) y",
    lambda g, out, x, y: g, lambda g, out, x, y: -g * np.rint((x - out) / y))
heaviside = Elementwise(
    np.heaviside, "y if x = 0 else (1 + sign x) / 2",
    lambda g, out, x, y: np.zeros_like(x), lambda g, out, x, y: mask_gradient(g, x == 0))
_fraction = Elementwise(
    lambda x: np.modf(x)[0], "x - trunc(x)", lambda g, out, x: g, name="modf")

# the same values; stop_gradient stays visible in the graph
copy = Elementwise(np.copy, "x", lambda g, out, x: g)
stop_gradient = Elementwise(lambda x: x, "x", None, name="stop_gradient")

# fmt: on
# ---------------------------------------------------------------------------- with settings


@implements(np.clip)
def clip(a: Any, a_min: Any = None, a_max: Any = None, *, min: Any = None, max: Any = None) -> Any:
    """`a` limited to the range from `a_min` (or `min`) to `a_max` (or `max`); None is no limit.

    The gradient goes to `a` where it lies within the bounds or on them, else to the bound.

    >>> clip([-3, 0, 3], -1, 2)
    array([-1,  0,  2])
    """
    if (min is not None and a_min is not None) or (max is not None and a_max is not None):
        raise ValueError("clip was given a bound twice: min is a_min, and max is a_max")
    lowest = a_min if min is None else min
    highest = a_max if max is None else max
    dtype = as_array(unwrap(a)).dtype
    limits = np.iinfo(dtype) if dtype.kind in "iu" else None
    if lowest is None:
        lowest = limits.min if limits else -np.inf
    if highest is None:
        highest = limits.max if limits else np.inf
    return _clip(a, lowest, highest)


@implements(np.where)
def where(condition: Any, x: Any = None, y: Any = None) -> Any:
    """`x` where the condition is true, `y` elsewhere; each receives the gradient there.

    With a condition alone, returns the indices where it is true, as plain arrays.

    >>> where([True, False], 1, 2)
    array([1, 2])
    """
    if x is None and y is None:
        return np.nonzero(unwrap(condition))
    condition = (
        astype(condition, bool) if isinstance(condition, Tensor) else as_array(condition, bool)
    )
    return _where(condition, x, y)


@implements(np.select)
def select(condlist: Sequence[Any], choicelist: Sequence[Any], default: Any = 0) -> Any:
    """At each index, the element of the first choice whose condition is true, or `default`.

    >>> x = np.array([-2, 1, 5])
    >>> select([x < 0, x < 3], [0, x], 9)
    array([0, 1, 9])

    Raises ValueError for no conditions, or another number of choices.
    """
    if len(condlist) != len(choicelist) or len(condlist) == 0:
        raise ValueError(
            f"select needs one choice for each condition, not {len(choicelist)} for {len(condlist)}"
        )
    out = default
    for condition, choice in zip(reversed(condlist), reversed(choicelist), strict=True):
        out = where(condition, choice, out)
    return out


@implements(np.divmod)
def divmod(x1: Any, x2: Any, /) -> tuple[Any, Any]:
    """`floor_divide(x1, x2)` and `remainder(x1, x2)`.

    >>> divmod([7, -7], 2)
    (array([ 3, -4]), array([1, 1]))
    """
    return floor_divide(x1, x2), remainder(x1, x2)


@implements(np.modf, "modf")
def modf(x: Any, /) -> tuple[Any, Any]:
    """The fractional part of `x` and the integral one, both with its sign.

    >>> modf([1.5, -2.5])
    (array([ 0.5, -0.5]), array([ 1., -2.]))
    """
    return _fraction(x), trunc(x)


@implements(np.ldexp)
def ldexp(x1: Any, x2: Any, /) -> Any:
    """`x1` times 2 to the power of integers, `x2`, which receive no gradient.

    >>> ldexp([0.5, 3.0], [1, 2])
    array([ 1., 12.])
    """
    x1, y = as_floats(x1), as_array(unwrap(x2))
    # In two steps, as 2ʸ may overflow where the result does not.
    first = y // 2
    return x1 * np.ldexp(ONE[x1.dtype], first) * np.ldexp(ONE[x1.dtype], y - first)


@implements(np.float_power)
def float_power(x1: Any, x2: Any, /) -> Any:
    """`power(x1, x2)` in float64, whatever the inputs are.

    >>> float_power([1, 2], -1)
    array([1. , 0.5])
    """
    return power(*(astype(as_array(x), np.float64) for x in (x1, x2)))


class NanToNum(Op):
    name = "nan_to_num"
    formula = "x if it is finite"

    def __init__(
        self, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None
    ) -> None:
        self.nan = nan
        self.posinf = posinf
        self.neginf = neginf

    def forward(self, x):
        return np.nan_to_num(x, nan=self.nan, posinf=self.posinf, neginf=self.neginf)

    def backward(self, g, out, x):
        return mask_gradient(g, np.isfinite(x))


@implements(np.nan_to_num)
def nan_to_num(
    x: Any, *, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None
) -> Any:
    """`x` with NaN and the infinities replaced, by default by 0 and the largest numbers.

    Elements that were replaced receive no gradient.

    >>> nan_to_num([1.0, np.nan])
    array([1., 0.])
    """
    return NanToNum(nan, posinf, neginf)(x)


class Round(Op):
    formula = "x, rounded"

    def __init__(self, decimals: int = 0) -> None:
        self.decimals = decimals

    def forward(self, x):
        return np.round(x, self.decimals)

    def backward(self, g, out, x):
        return np.zeros_like(x)


@implements(np.round, np.around)
def round(a: Any, decimals: int = 0) -> Any:
    """`a` rounded to a number of decimals, halves to the even digit. The derivative is 0.

    >>> round([0.5, 1.55], 1)
    array([0.5, 1.6])
    """
    return Round(decimals)(a)


class AsType(Op):
    """x in another dtype; the sweep casts every gradient back to its input's dtype."""

    formula = "x"

    def __init__(self, dtype: np.dtype[Any]) -> None:
        self.dtype = dtype

    def forward(self, x):
        return x.astype(self.dtype)

    def backward(self, g, out, x):
        return g


@implements(np.astype)
def astype(x: Any, dtype: Any) -> Any:
    """A copy of `x` in another dtype; no gradient flows through integers or booleans.

    >>> astype(np.array([1.5]), int)
    array([1])
    """
    dtype = np.dtype(dtype)
    if isinstance(x, Tensor) and dtype.kind != "f":
        x = x.detach()
    return AsType(dtype)(x)


# ---------------------------------------------------------------------------- documentation


def write_docstrings(examples: dict[Elementwise, tuple[str, str]]) -> dict[str, str]:
    """Write the docstrings of ops, each with its example: a call and its result.

    Returns them by name. A module assigns them to `__test__`, since doctest does not look for the
    docstrings of instances.
    """
    for op, (call, result) in examples.items():
        op.__doc__ = (
            f"{op.name}({', '.join('xyz'[: op.arity])}) = {op.formula}, elementwise.\n\n"
            "Inputs broadcast and dtypes promote as in NumPy. The result is a Tensor if an input "
            f"is one, else an array.\n\n>>> {call}\n{result}\n"
        )
    return {op.name: str(op.__doc__) for op in examples}


__test__ = write_docstrings(
    {
        add: ("add([1, 2], 3)", "array([4, 5])"),
        subtract: ("subtract([1, 2], 3)", "array([-2, -1])"),
        multiply: ("multiply([1, 2], 3)", "array([3, 6])"),
        divide: ("divide([1, 2], 4)", "array([0.25, 0.5 ])"),
        power: ("power([1, 2, 3], 2)", "array([1, 4, 9])"),
        square: ("square([1, -3])", "array([1, 9])"),
        reciprocal: ("reciprocal([2.0, 4.0])", "array([0.5 , 0.25])"),
        negative: ("negative([1, -2])", "array([-1,  2])"),
        positive: ("positive([1, -2])", "array([ 1, -2])"),
        exp: ("exp([0, 1])", "array([1.        , 2.71828183])"),
        exp2: ("exp2([0, 3])", "array([1., 8.])"),
        expm1: ("expm1([0, 1e-20])", "array([0.e+00, 1.e-20])"),
        log: ("log([1, 10])", "array([0.        , 2.30258509])"),
        log2: ("log2([1, 8])", "array([0., 3.])"),
        log10: ("log10([1, 1000])", "array([0., 3.])"),
        log1p: ("log1p([0, 1e-20])", "array([0.e+00, 1.e-20])"),
        sqrt: ("sqrt([4, 9])", "array([2., 3.])"),
        cbrt: ("cbrt([8, -27])", "array([ 2., -3.])"),
        logaddexp: ("logaddexp([0, 1000], 0)", "array([6.93147181e-01, 1.00000000e+03])"),
        hypot: ("hypot([3, 0], [4, 0])", "array([5., 0.])"),
        sin: ("sin([0, 1])", "array([0.        , 0.84147098])"),
        cos: ("cos([0, 1])", "array([1.        , 0.54030231])"),
        tan: ("tan([0, 1])", "array([0.        , 1.55740772])"),
        arcsin: ("arcsin([0, 1])", "array([0.        , 1.57079633])"),
        arccos: ("arccos([0, 1])", "array([1.57079633, 0.        ])"),
        arctan: ("arctan([0, 1])", "array([0.        , 0.78539816])"),
        arctan2: ("arctan2([1, -1], [1, -1])", "array([ 0.78539816, -2.35619449])"),
        sinh: ("sinh([0, 1])", "array([0.        , 1.17520119])"),
        cosh: ("cosh([0, 1])", "array([1.        , 1.54308063])"),
        tanh: ("tanh([0, 1])", "array([0.        , 0.76159416])"),
        arcsinh: ("arcsinh([0, 1])", "array([0.        , 0.88137359])"),
        arccosh: ("arccosh([1, 2])", "array([0.       , 1.3169579])"),
        arctanh: ("arctanh([0, 0.5])", "array([0.        , 0.54930614])"),
        deg2rad: ("deg2rad([0, 180])", "array([0.        , 3.14159265])"),
        rad2deg: ("rad2deg([0.0, np.pi])", "array([  0., 180.])"),
        logaddexp2: ("logaddexp2([0, 1000], 0)", "array([   1., 1000.])"),
        fabs: ("fabs([-1, 2])", "array([1., 2.])"),
        copysign: ("copysign([1, -2], -1)", "array([-1., -2.])"),
        fmod: ("fmod([7, -7], 2)", "array([ 1, -1])"),
        heaviside: ("heaviside([-2, 0, 3], 0.5)", "array([0. , 0.5, 1. ])"),
        _fraction: ("modf([1.5, -2.5])[0]", "array([ 0.5, -0.5])"),
        sinc: ("sinc([0, 0.5])", "array([1.        , 0.63661977])"),
        absolute: ("absolute([-1, 2])", "array([1, 2])"),
        maximum: ("maximum([1, 2], [2, 1])", "array([2, 2])"),
        minimum: ("minimum([1, 2], [2, 1])", "array([1, 1])"),
        fmax: ("fmax([1, np.nan], [2, 1])", "array([2., 1.])"),
        fmin: ("fmin([1, np.nan], [2, 1])", "array([1., 1.])"),
        sign: ("sign([-2, 0, 3])", "array([-1,  0,  1])"),
        floor: ("floor([-1.5, 1.5])", "array([-2.,  1.])"),
        ceil: ("ceil([-1.5, 1.5])", "array([-1.,  2.])"),
        trunc: ("trunc([-1.5, 1.5])", "array([-1.,  1.])"),
        rint: ("rint([0.5, 1.5])", "array([0., 2.])"),
        floor_divide: ("floor_divide([7, -7], 2)", "array([ 3, -4])"),
        remainder: ("remainder([7, -7], 2)", "array([1, 1])"),
        copy: ("copy([1, 2])", "array([1, 2])"),
        stop_gradient: ("stop_gradient(np.array([1, 2]))", "array([1, 2])"),
    }
)
