"""Formulas as mathematicians write them, "1 / (1 + e⁻ˣ)", read and computed."""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Callable
from typing import Any

import numpy as np

from microgradx.arrays.dispatch import implementations

__all__ = ["COMPARISONS", "FUNCTIONS", "SUPERSCRIPTS", "NoFormula", "evaluate"]

#: Functions whose names in mathematics are not NumPy's.
FUNCTIONS: dict[str, Any] = {
    "√": np.sqrt,
    "∛": np.cbrt,
    "ln": np.log,
    "log₂": np.log2,
    "log₁₀": np.log10,
    "arsinh": np.arcsinh,
    "arcosh": np.arccosh,
    "artanh": np.arctanh,
    "round": np.rint,
    "max": np.maximum,
    "min": np.minimum,
}

COMPARISONS: dict[str, Any] = {
    "<": np.less,
    ">": np.greater,
    "≤": np.less_equal,
    "≥": np.greater_equal,
    "=": np.equal,
    "≠": np.not_equal,
}

#: What encloses a formula, how it ends, and what is made of its value.
BRACKETS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "(": (")", lambda value: value),
    "|": ("|", np.absolute),
    "⌊": ("⌋", np.floor),
    "⌈": ("⌉", np.ceil),
}

#: What may stand in an exponent, raised.
SUPERSCRIPTS = str.maketrans("0123456789+-xyz", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ˣʸᶻ")
ORDINARY = {raised: ordinary for ordinary, raised in SUPERSCRIPTS.items()}

TOKEN = re.compile(
    r"\s*(\d+\.?\d*(?:e[-+]?\d+)?|[A-Za-z_]\w*[₀-₉]*|[⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ˣʸᶻ]+|\*\*|\S)", re.ASCII
)


class NoFormula(ValueError):
    """Text that is no formula, or a computation of which none can be written."""


def call(name: str, function: Any, arguments: list[Any]) -> Any:
    """Functions of two numbers may have more: the largest of several."""
    if isinstance(function, np.ufunc) and len(arguments) > function.nin == 2:
        return functools.reduce(function, arguments)
    if isinstance(function, np.ufunc) and len(arguments) != function.nin:
        raise NoFormula(f"{name} of {len(arguments)} numbers")
    return function(*arguments)


def evaluate(formula: str, operands: dict[str, Any], call: Callable[..., Any] = call) -> Any:
    """The value of a formula, with `operands` for the names in it; of arrays, elementwise.

    "2 x y" is a product, "ln x" a function's value, "y if x > 0 else 0" a choice. Functions are
    those of mathematics, of NumPy, and our ops; `call` is given their name, themselves, and what
    they are of. Names may stand in slots: "{x}²". Raises NoFormula for any other text.

    >>> evaluate("x² + ln y", {"x": np.array([1.0, 2.0]), "y": 1.0})
    array([1., 4.])
    """
    reader = Reader(formula.replace("{", " ").replace("}", " "), operands, call)
    value = reader.choice()
    if reader.tokens:
        raise NoFormula(f"{reader.next!r} is not expected in {formula!r}")
    return value


class Reader:
    """Takes a formula apart, from left to right: a method for each way in which parts are joined.

    First come those that bind the least; each asks the next one for its parts.
    """

    def __init__(self, formula: str, operands: dict[str, Any], call: Callable[..., Any]) -> None:
        self.tokens = TOKEN.findall(formula)[::-1]
        self.operands = operands
        self.call = call

    @property
    def next(self) -> str:
        return self.tokens[-1] if self.tokens else ""

    def take(self, *wanted: str) -> str:
        """The next token if it is one of these, else nothing."""
        return self.tokens.pop() if self.tokens and self.next in wanted else ""

    def require(self, wanted: str) -> None:
        if not self.take(wanted):
            raise NoFormula(f"{wanted!r} is expected, and not {self.next!r}")

    def choice(self) -> Any:
        value = self.disjunction()
        if not self.take("if"):
            return value
        condition = self.disjunction()
        self.require("else")
        return np.where(condition, value, self.choice())

    def disjunction(self) -> Any:
        value = self.conjunction()
        while self.take("or"):
            value = np.logical_or(value, self.conjunction())
        return value

    def conjunction(self) -> Any:
        value = self.comparison()
        while self.take("and"):
            value = np.logical_and(value, self.comparison())
        return value

    def comparison(self) -> Any:
        value = self.sum()
        sign = self.take(*COMPARISONS)
        return COMPARISONS[sign](value, self.sum()) if sign else value

    def sum(self) -> Any:
        sign = self.take("+", "-")
        value = self.product()
        if sign == "-":
            value = np.negative(value)
        while sign := self.take("+", "-"):
            value = (np.add if sign == "+" else np.subtract)(value, self.product())
        return value

    def product(self) -> Any:
        value = self.power()
        while True:
            if self.take("/"):
                value = np.divide(value, self.power())
            elif self.take("·", "*") or self.at_factor():
                value = np.multiply(value, self.power())
            else:
                return value

    def at_factor(self) -> bool:
        """Whether another factor follows that no sign announces."""
        begins = self.next[:1].isalnum() or self.next in ("(", "⌊", "⌈", "√", "∛")
        return begins and self.next not in ("if", "else", "and", "or")

    def power(self) -> Any:
        is_e = self.next == "e" and "e" not in self.operands
        base = math.e if is_e else self.atom()
        if is_e:
            self.take("e")
        if self.take("^", "**"):
            exponent = self.atom()
        elif self.next and ord(self.next[0]) in ORDINARY:
            exponent = Reader(self.tokens.pop().translate(ORDINARY), self.operands, self.call).sum()
        else:
            return base
        return np.exp(exponent) if is_e else base**exponent

    def atom(self) -> Any:
        token = self.tokens.pop() if self.tokens else ""
        if token in self.operands:
            return self.operands[token]
        if token == "π":
            return math.pi
        if token[:1].isdigit():
            return float(token)
        if token in BRACKETS:
            closing, function = BRACKETS[token]
            value = self.choice()
            self.require(closing)
            return function(value)
        function = function_called(token)
        if not self.take("("):
            return self.call(token, function, [self.power()])
        arguments = [self.choice()]
        while self.take(","):
            arguments.append(self.choice())
        self.require(")")
        return self.call(token, function, arguments)


def function_called(name: str) -> Callable[..., Any]:
    """The elementwise function that a name means: in mathematics, in NumPy, or among our ops."""
    function: Any = FUNCTIONS.get(name) or getattr(np, name, None)
    if not isinstance(function, np.ufunc):
        function = implementations.get(name)
    if function is None:
        raise NoFormula(f"{name!r} is not known")
    return function  # type: ignore[no-any-return]
