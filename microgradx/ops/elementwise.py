"""Elementwise ops: for each, what NumPy computes and one derivative for each input.

In a derivative, `g` is the gradient at the output `out`, and x, y, z are the inputs; it runs on
arrays and on Tensors alike. The formulas are those of any calculus textbook; where a function has
a kink, the convention stands beside it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from microgradx.array_methods import Array, as_array, as_floats, implements, plain
from microgradx.engine import Op, Tensor

__all__ = [
    "add",
    "subtract",
    "multiply",
    "divide",
    "floor_divide",
    "power",
    "negative",
    "positive",
    "sign",
    "exp",
    "log",
    "log1p",
    "sqrt",
    "tanh",
    "sigmoid",
    "softplus",
    "relu",
    "absolute",
    "abs",
    "maximum",
    "minimum",
    "clip",
    "where",
    "copy",
    "stop_gradient",
    "astype",
]


class Elementwise(Op):
    """A row of the table: a function of elements, its formula, a derivative for each input.

    It is entered for NumPy's function of that name, or under the name where NumPy has none.
    """

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
        is_numpys = getattr(np, self.name, None) is function
        implements(function if is_numpys else self.name)(self)


def _power_by_base(g: Any, out: Any, x: Any, y: Any) -> Any:
    # y xʸ⁻¹; at 0⁰ it is 0 · 0⁻¹, whose limit along the constant y = 0 is 0.
    return g * y * x ** np.where((x == 0) & (y == 0), 1, y - 1.0)


def _power_by_exponent(g: Any, out: Any, x: Any, y: Any) -> Any:
    # xʸ ln x; 0ʸ is constantly 0 for y > 0, and 0 is also the convention at 0⁰.
    return g * out * np.log(np.where((x == 0) & (y >= 0), 1, x))


def _sigmoid(x: Array) -> Array:
    x = as_floats(x)
    e = np.exp(-np.abs(x))  # of -|x|, so that it cannot overflow
    return np.where(np.greater_equal(x, 0), 1, e) / (1 + e)


def _softplus(x: Array) -> Array:
    return np.logaddexp(x, 0)


def _relu(x: Array) -> Array:
    return np.maximum(x, 0)


def _same(x: Array) -> Array:
    return x


# ---------------------------------------------------------------------------- the table
# fmt: off

# arithmetic
add = Elementwise(np.add, "x + y", lambda g, out, x, y: g, lambda g, out, x, y: g)
subtract = Elementwise(np.subtract, "x - y", lambda g, out, x, y: g, lambda g, out, x, y: -g)
multiply = Elementwise(np.multiply, "x · y", lambda g, out, x, y: g * y, lambda g, out, x, y: g * x)
divide = Elementwise(
    np.divide, "x / y", lambda g, out, x, y: g / y, lambda g, out, x, y: -g * out / y)
power = Elementwise(np.power, "xʸ", _power_by_base, _power_by_exponent)
negative = Elementwise(np.negative, "-x", lambda g, out, x: -g)
positive = Elementwise(np.positive, "+x", lambda g, out, x: g)

# functions
exp = Elementwise(np.exp, "eˣ", lambda g, out, x: g * out)
log = Elementwise(np.log, "ln x", lambda g, out, x: g / x)
log1p = Elementwise(np.log1p, "ln(1 + x)", lambda g, out, x: g / (1 + x))
sqrt = Elementwise(np.sqrt, "√x", lambda g, out, x: g / (2 * out))
tanh = Elementwise(np.tanh, "tanh x", lambda g, out, x: g * (1 - out * out))
sigmoid = Elementwise(
    _sigmoid, "1 / (1 + e⁻ˣ)", lambda g, out, x: g * out * (1 - out), name="sigmoid")
softplus = Elementwise(_softplus, "ln(1 + eˣ)", lambda g, out, x: g * sigmoid(x), name="softplus")

# kinks: the derivative of relu and of |x| at 0 is 0, by convention
relu = Elementwise(_relu, "max(x, 0)", lambda g, out, x: np.where(out > 0, g, 0), name="relu")
absolute = abs = Elementwise(np.absolute, "|x|", lambda g, out, x: g * np.sign(x))

# choices: by where, as a factor 0 would make NaN of an infinite g; ties share the gradient
# equally; at a bound, clip passes it on to x
maximum = Elementwise(
    np.maximum, "max(x, y)",
    lambda g, out, x, y: np.where(x == y, g / 2, np.where(x > y, g, 0)),
    lambda g, out, x, y: np.where(x == y, g / 2, np.where(x < y, g, 0)))
minimum = Elementwise(
    np.minimum, "min(x, y)",
    lambda g, out, x, y: np.where(x == y, g / 2, np.where(x < y, g, 0)),
    lambda g, out, x, y: np.where(x == y, g / 2, np.where(x > y, g, 0)))
_clip = Elementwise(
    np.clip, "min(max(x, y), z)",
    lambda g, out, x, y, z: np.where((x >= y) & (x <= z), g, 0),
    lambda g, out, x, y, z: np.where((x < y) & (y <= z), g, 0),
    lambda g, out, x, y, z: np.where((z < x) | (z < y), g, 0))
_where = Elementwise(
    np.where, "y if x else z",
    None,
    lambda g, out, x, y, z: np.where(x, g, 0),
    lambda g, out, x, y, z: np.where(x, 0, g))

# steps: the derivative is 0 wherever there is one
sign = Elementwise(np.sign, "sign x", lambda g, out, x: np.zeros_like(x))
floor_divide = Elementwise(
    np.floor_divide, "⌊x / y⌋",
    lambda g, out, x, y: np.zeros_like(x), lambda g, out, x, y: np.zeros_like(y))

# the same values; stop_gradient is a constant that can still be seen in the graph
copy = Elementwise(np.copy, "x", lambda g, out, x: g)
stop_gradient = Elementwise(_same, "x", None, name="stop_gradient")

# fmt: on
# ---------------------------------------------------------------------------- with arguments


@implements(np.clip)
def clip(x: Any, a_min: Any = None, a_max: Any = None, *, min: Any = None, max: Any = None) -> Any:
    """`x` limited to between `a_min` and `a_max` (or `min`, `max`); None means no limit.

    A gradient goes to `x` where it lies within the bounds or on them, else to the bound.

    >>> clip([-3, 0, 3], -1, 2)
    array([-1,  0,  2])
    """
    lowest = a_min if min is None else min
    highest = a_max if max is None else max
    dtype = as_array(plain(x)).dtype
    limits = np.iinfo(dtype) if dtype.kind in "iu" else None
    if lowest is None:
        lowest = limits.min if limits else -np.inf
    if highest is None:
        highest = limits.max if limits else np.inf
    return _clip(x, lowest, highest)


@implements(np.where)
def where(condition: Any, x: Any, y: Any) -> Any:
    """`x` where the condition is true, `y` elsewhere; each receives the gradient of its places.

    >>> where([True, False], 1, 2)
    array([1, 2])
    """
    condition = (
        astype(condition, bool) if isinstance(condition, Tensor) else as_array(condition, bool)
    )
    return _where(condition, x, y)


class AsType(Op):
    """x in another dtype; the sweep casts every gradient back to its input's dtype."""

    formula = "x"

    def __init__(self, dtype: np.dtype[Any]) -> None:
        self.dtype = dtype

    def forward(self, x: Any) -> Any:
        return x.astype(self.dtype)

    def backward(self, g: Any, out: Any, x: Any) -> Any:
        return g


@implements(np.astype)
def astype(x: Any, dtype: Any) -> Any:
    """`x` in another dtype, always a copy; to integers or booleans no gradient can flow.

    >>> astype(np.array([1.5]), int)
    array([1])
    """
    dtype = np.dtype(dtype)
    if isinstance(x, Tensor) and dtype.kind != "f":
        x = x.detach()
    return AsType(dtype)(x)


# ---------------------------------------------------------------------------- documentation

EXAMPLES = {
    add: ("add([1, 2], 3)", "array([4, 5])"),
    subtract: ("subtract([1, 2], 3)", "array([-2, -1])"),
    multiply: ("multiply([1, 2], 3)", "array([3, 6])"),
    divide: ("divide([1, 2], 4)", "array([0.25, 0.5 ])"),
    power: ("power([1, 2, 3], 2)", "array([1, 4, 9])"),
    negative: ("negative([1, -2])", "array([-1,  2])"),
    positive: ("positive([1, -2])", "array([ 1, -2])"),
    exp: ("exp([0, 1])", "array([1.        , 2.71828183])"),
    log: ("log([1, 10])", "array([0.        , 2.30258509])"),
    log1p: ("log1p([0, 1e-20])", "array([0.e+00, 1.e-20])"),
    sqrt: ("sqrt([4, 9])", "array([2., 3.])"),
    tanh: ("tanh([0, 1])", "array([0.        , 0.76159416])"),
    sigmoid: ("sigmoid([0.0, 2.0])", "array([0.5       , 0.88079708])"),
    softplus: ("softplus([0.0, 1000.0])", "array([6.93147181e-01, 1.00000000e+03])"),
    relu: ("relu([-1, 2])", "array([0, 2])"),
    absolute: ("absolute([-1, 2])", "array([1, 2])"),
    maximum: ("maximum([1, 2], [2, 1])", "array([2, 2])"),
    minimum: ("minimum([1, 2], [2, 1])", "array([1, 1])"),
    sign: ("sign([-2, 0, 3])", "array([-1,  0,  1])"),
    floor_divide: ("floor_divide([7, -7], 2)", "array([ 3, -4])"),
    copy: ("copy([1, 2])", "array([1, 2])"),
    stop_gradient: ("stop_gradient(np.array([1, 2]))", "array([1, 2])"),
}
for op, (call, result) in EXAMPLES.items():
    op.__doc__ = (
        f"{op.name}({', '.join('xyz'[: len(op.derivatives)])}) = {op.formula}, elementwise.\n\n"
        "Inputs broadcast, and dtypes promote, as in NumPy. Arrays give an array; a Tensor among "
        f"them gives a Tensor.\n\n>>> {call}\n{result}\n"
    )

# Where doctest finds these examples: it does not look into instances by itself.
__test__ = {op.name: op.__doc__ for op in EXAMPLES}
