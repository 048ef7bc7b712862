"""Parses and evaluates formulas in mathematical notation, such as "1 / (1 + e⁻ˣ)"."""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Callable
from typing import Any

import numpy as np

from microgradx.arrays.dispatch import implementations

__all__ = ["COMPARISONS", "FUNCTIONS", "SUPERSCRIPTS", "FormulaError", "evaluate_formula"]

#: Functions that mathematics and NumPy call differently.
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

#: The opening bracket, the closing one, and the function of the value inside.
BRACKETS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "(": (")", lambda value: value),
    "|": ("|", np.absolute),
    "⌊": ("⌋", np.floor),
    "⌈": ("⌉", np.ceil),
}

#: The characters of an exponent as superscripts, and back.
SUPERSCRIPTS = str.maketrans("0123456789+-xyz", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ˣʸᶻ")
FROM_SUPERSCRIPTS = {raised: ordinary for ordinary, raised in SUPERSCRIPTS.items()}

TOKEN = re.compile(
    r"\s*(\d+\.?\d*(?:e[-+]?\d+)?|[A-Za-z_]\w*[₀-₉]*|[⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ˣʸᶻ]+|\*\*|\S)", re.ASCII
)


class FormulaError(ValueError):
    """The text is not a formula, or no formula can be written for the computation."""


def call_function(name: str, function: Any, arguments: list[Any]) -> Any:
    """Apply a function. One of two numbers, such as max, may have more than two arguments."""
    if isinstance(function, np.ufunc) and len(arguments) > function.nin == 2:
        return functools.reduce(function, arguments)
    if isinstance(function, np.ufunc) and len(arguments) != function.nin:
        raise FormulaError(f"{name} does not take {len(arguments)} arguments")
    return function(*arguments)


def evaluate_formula(
    formula: str, operands: dict[str, Any], call: Callable[..., Any] = call_function
) -> Any:
    """The value of a formula, with `operands` for the names in it; of arrays, elementwise.

    "2 x y" is a product, "ln x" the value of a function, "y if x > 0 else 0" a conditional.
    Functions are those of mathematics, of NumPy, and the ops; `call` receives their name, the
    function and its arguments. Names may stand in slots: "{x}²". Raises FormulaError for any
    other text.

    >>> evaluate_formula("x² + ln y", {"x": np.array([1.0, 2.0]), "y": 1.0})
    array([1., 4.])
    """
    parser = Parser(formula.replace("{", " ").replace("}", " "), operands, call)
    value = parser.conditional()
    if parser.tokens:
        raise FormulaError(f"{parser.next_token!r} is unexpected in {formula!r}")
    return value


class Parser:
    """A recursive-descent parser, with a method for each precedence, the loosest first."""

    def __init__(self, formula: str, operands: dict[str, Any], call: Callable[..., Any]) -> None:
        self.tokens = TOKEN.findall(formula)[::-1]
        self.operands = operands
        self.call = call

    @property
    def next_token(self) -> str:
        return self.tokens[-1] if self.tokens else ""

    def accept(self, *wanted: str) -> str:
        """Remove and return the next token if it is one of these, else an empty string."""
        return self.tokens.pop() if self.tokens and self.next_token in wanted else ""

    def expect(self, wanted: str) -> None:
        if not self.accept(wanted):
            raise FormulaError(f"{wanted!r} was expected, not {self.next_token!r}")

    def conditional(self) -> Any:
        value = self.disjunction()
        if not self.accept("if"):
            return value
        condition = self.disjunction()
        self.expect("else")
        return np.where(condition, value, self.conditional())

    def disjunction(self) -> Any:
        value = self.conjunction()
        while self.accept("or"):
            value = np.logical_or(value, self.conjunction())
        return value

    def conjunction(self) -> Any:
        value = self.comparison()
        while self.accept("and"):
            value = np.logical_and(value, self.comparison())
        return value

    def comparison(self) -> Any:
        value = self.sum()
        sign = self.accept(*COMPARISONS)
        return COMPARISONS[sign](value, self.sum()) if sign else value

    def sum(self) -> Any:
        sign = self.accept("+", "-")
        value = self.product()
        if sign == "-":
            value = np.negative(value)
        while sign := self.accept("+", "-"):
            value = (np.add if sign == "+" else np.subtract)(value, self.product())
        return value

    def product(self) -> Any:
        value = self.power()
        while True:
            if self.accept("/"):
                value = np.divide(value, self.power())
            elif self.accept("·", "*") or self.at_factor():
                value = np.multiply(value, self.power())
            else:
                return value

    def at_factor(self) -> bool:
        """Whether another factor follows without a sign between."""
        begins = self.next_token[:1].isalnum() or self.next_token in ("(", "⌊", "⌈", "√", "∛")
        return begins and self.next_token not in ("if", "else", "and", "or")

    def power(self) -> Any:
        is_e = self.next_token == "e" and "e" not in self.operands
        base = math.e if is_e else self.atom()
        if is_e:
            self.accept("e")
        if self.accept("^", "**"):
            exponent = self.atom()
        elif self.next_token and ord(self.next_token[0]) in FROM_SUPERSCRIPTS:
            text = self.tokens.pop().translate(FROM_SUPERSCRIPTS)
            exponent = Parser(text, self.operands, self.call).sum()
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
            value = self.conditional()
            self.expect(closing)
            return function(value)
        function = find_function(token)
        if not self.accept("("):
            return self.call(token, function, [self.power()])
        arguments = [self.conditional()]
        while self.accept(","):
            arguments.append(self.conditional())
        self.expect(")")
        return self.call(token, function, arguments)


def find_function(name: str) -> Callable[..., Any]:
    """The elementwise function of a name in mathematics, in NumPy, or among the ops."""
    function: Any = FUNCTIONS.get(name) or getattr(np, name, None)
    if not isinstance(function, np.ufunc):
        function = implementations.get(name)
    if function is None:
        raise FormulaError(f"{name!r} is not a known function")
    return function  # type: ignore[no-any-return]
