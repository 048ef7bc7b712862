"""Prints formulas with no more parentheses, ones and zeros than a person would write."""

from __future__ import annotations

import functools
from collections.abc import Callable
from enum import IntEnum
from typing import Any, NamedTuple

import numpy as np

from microgradx.show.formulas.formula_parser import COMPARISONS, FUNCTIONS, SUPERSCRIPTS

__all__ = [
    "FALSE",
    "TRUE",
    "PRINTERS",
    "Precedence",
    "Text",
    "function_call",
    "as_factor",
    "conditional",
    "is_number",
    "matrix_product",
    "multiply",
    "power",
    "summation",
    "transpose",
]


class Precedence(IntEnum):
    """How tightly the parts of a formula bind, the loosest first."""

    CHOICE = 0
    OR = 1
    AND = 2
    COMPARISON = 3
    SUM = 4
    NEGATIVE = 5
    SIGMA = 6
    PRODUCT = 7
    MATRICES = 8
    POWER = 9
    ATOM = 10


CHOICE, OR, AND, COMPARISON, SUM, NEGATIVE, SIGMA, PRODUCT, MATRICES, POWER, ATOM = Precedence


class Text(NamedTuple):
    """A formula without its sign, the precedence of its outermost operation, and its sign.

    The sign is separate because it moves: x · (-y) is printed as -x · y.
    """

    magnitude: str
    precedence: Precedence = ATOM
    minus: bool = False

    def inside(self, precedence: Precedence) -> str:
        """The text inside an operation of this precedence, in parentheses if it binds less."""
        text, own = self.magnitude, self.precedence
        if self.minus:
            text, own = f"-{Text(text, own).inside(SIGMA)}", NEGATIVE
        return text if own >= precedence else f"({text})"


ZERO, ONE, TWO, TRUE, FALSE = map(Text, ("0", "1", "2", "True", "False"))


def add(a: Text, b: Text) -> Text:
    if b.minus:
        return subtract(a, negative(b))
    if ZERO in (a, b):
        return a if b == ZERO else b
    return Text(f"{a.inside(SUM)} + {b.inside(SIGMA)}", SUM)


def subtract(a: Text, b: Text) -> Text:
    if ZERO in (a, b):
        return a if b == ZERO else negative(b)
    if is_digit(a) and is_digit(b):
        difference = int(a.inside(CHOICE)) - int(b.inside(CHOICE))
        return Text(str(abs(difference)), minus=difference < 0)
    return Text(f"{a.inside(SUM)} - {b.inside(SIGMA)}", SUM)


def negative(a: Text) -> Text:
    return a if a == ZERO else a._replace(minus=not a.minus)


def multiply(a: Text, b: Text) -> Text:
    if a.minus:
        return negative(multiply(negative(a), b))
    if b.minus:
        return negative(multiply(a, negative(b)))
    if ZERO in (a, b):
        return ZERO
    if ONE in (a, b):
        return a if b == ONE else b
    if b.magnitude.startswith("1 / "):
        return Text(f"{a.inside(PRODUCT)} {b.magnitude[2:]}", PRODUCT)
    if is_number(b) and not is_number(a):
        a, b = b, a
    *others, last = a.magnitude.split(" · ") if a.precedence == PRODUCT else [a.inside(POWER)]
    if last == b.inside(POWER):
        return Text(" · ".join([*others, power(b, TWO).magnitude]), PRODUCT)
    return Text(f"{a.inside(PRODUCT)} · {b.inside(SIGMA)}", PRODUCT)


def as_factor(a: Text) -> str:
    """The text after a dot, where it should be read as one factor."""
    is_one = a.precedence >= PRODUCT and "/" not in a.magnitude and not a.minus
    return a.inside(CHOICE if is_one else ATOM)


def divide(a: Text, b: Text) -> Text:
    if a.minus:
        return negative(divide(negative(a), b))
    if b.minus:
        return negative(divide(a, negative(b)))
    if a == ZERO or b == ONE:
        return a
    return Text(f"{a.inside(PRODUCT)} / {b.inside(POWER)}", PRODUCT)


def power(a: Text, b: Text) -> Text:
    if b in (ZERO, ONE):
        return a if b == ONE else ONE
    if is_digit(b):
        return Text(a.inside(ATOM) + b.inside(CHOICE).translate(SUPERSCRIPTS), POWER)
    return Text(f"{a.inside(ATOM)}^{b.inside(ATOM)}", POWER)


def matrix_product(a: Text, b: Text) -> Text:
    if a.minus:
        return negative(matrix_product(negative(a), b))
    if ONE in (a, b):
        return summation(a if b == ONE else b)
    return Text(f"{a.inside(MATRICES)} {b.inside(POWER)}", MATRICES)


def transpose(a: Text) -> Text:
    if a.magnitude.endswith("ᵀ") and a.precedence == POWER:
        return Text(a.magnitude[:-1], minus=a.minus)
    return a._replace(magnitude=f"{a._replace(minus=False).inside(ATOM)}ᵀ", precedence=POWER)


def summation(a: Text) -> Text:
    return a._replace(magnitude=f"Σ {a._replace(minus=False).inside(PRODUCT)}", precedence=SIGMA)


def conjunction(a: Text, b: Text) -> Text:
    if TRUE in (a, b) or FALSE in (a, b):
        return FALSE if FALSE in (a, b) else a if b == TRUE else b
    return Text(f"{a.inside(AND)} and {b.inside(COMPARISON)}", AND)


def disjunction(a: Text, b: Text) -> Text:
    if TRUE in (a, b) or FALSE in (a, b):
        return TRUE if TRUE in (a, b) else a if b == FALSE else b
    return Text(f"{a.inside(OR)} or {b.inside(AND)}", OR)


def conditional(condition: Text, a: Text, b: Text) -> Text:
    if a == b or condition in (TRUE, FALSE):
        return b if condition == FALSE else a
    text = f"{a.inside(OR)} if {condition.inside(OR)} else {b.inside(CHOICE)}"
    return Text(text, CHOICE)


def comparison(sign: str, a: Text, b: Text) -> Text:
    return Text(f"{a.inside(SUM)} {sign} {b.inside(SUM)}", COMPARISON)


def enclose(opening: str, closing: str, a: Text) -> Text:
    return Text(f"{opening}{a.inside(CHOICE)}{closing}")


def root(sign: str, a: Text) -> Text:
    return Text(f"{sign}{a.inside(ATOM)}", POWER)


def function_call(name: str, *arguments: Text) -> Text:
    return Text(f"{name}({', '.join(a.inside(CHOICE) for a in arguments)})")


def exponential(a: Text) -> Text:
    return power(Text("e"), a) if a not in (ZERO, ONE) else ONE if a == ZERO else Text("e")


def is_digit(a: Text) -> bool:
    return len(a.magnitude) == 1 and a.magnitude.isdecimal()


def is_number(a: Text) -> bool:
    return a.magnitude.replace(".", "", 1).isdecimal()


#: How the results of ufuncs are printed.
PRINTERS: dict[Any, Callable[..., Text]] = {
    np.add: add,
    np.subtract: subtract,
    np.negative: negative,
    np.positive: lambda a: a,
    np.multiply: multiply,
    np.divide: divide,
    np.floor_divide: lambda a, b: enclose("⌊", "⌋", divide(a, b)),
    np.reciprocal: lambda a: divide(ONE, a),
    np.power: power,
    np.square: lambda a: power(a, TWO),
    np.exp: exponential,
    np.expm1: lambda a: subtract(exponential(a), ONE),
    np.log1p: lambda a: function_call("ln", add(ONE, a)),
    np.hypot: lambda a, b: root("√", add(power(a, TWO), power(b, TWO))),
    np.sqrt: functools.partial(root, "√"),
    np.cbrt: functools.partial(root, "∛"),
    np.absolute: functools.partial(enclose, "|", "|"),
    np.floor: functools.partial(enclose, "⌊", "⌋"),
    np.ceil: functools.partial(enclose, "⌈", "⌉"),
    np.matmul: matrix_product,
    np.logical_and: conjunction,
    np.bitwise_and: conjunction,
    np.logical_or: disjunction,
    np.bitwise_or: disjunction,
    **{ufunc: functools.partial(comparison, sign) for sign, ufunc in COMPARISONS.items()},
    **{
        ufunc: functools.partial(function_call, name)
        for name, ufunc in FUNCTIONS.items()
        if name not in "√∛"
    },
}
