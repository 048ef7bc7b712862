"""How formulas are written: with no more parentheses, ones and zeros than a person would put."""

from __future__ import annotations

import functools
from collections.abc import Callable
from enum import IntEnum
from typing import Any, NamedTuple

import numpy as np

from microgradx.show.steps.formula_parser import COMPARISONS, FUNCTIONS, SUPERSCRIPTS

__all__ = [
    "FALSE",
    "TRUE",
    "WRITERS",
    "Rank",
    "Text",
    "applied",
    "as_factor",
    "choice",
    "is_number",
    "matrix_product",
    "multiply",
    "power",
    "total",
    "transposed",
]


class Rank(IntEnum):
    """How tightly the parts of a formula hold together, the loosest first."""

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


class Text(NamedTuple):
    """What is written; what decides where it needs parentheses; and whether a minus is before it.

    The minus is kept apart since it moves: x · (-y) is -x · y.
    """

    size: str
    rank: Rank = Rank.ATOM
    minus: bool = False

    def at(self, rank: Rank) -> str:
        """As it is written where anything looser than `rank` would be taken apart."""
        text, own = self.size, self.rank
        if self.minus:
            text, own = f"-{Text(text, own).at(Rank.SIGMA)}", Rank.NEGATIVE
        return text if own >= rank else f"({text})"


ZERO, ONE, TWO, TRUE, FALSE = map(Text, ("0", "1", "2", "True", "False"))


def add(a: Text, b: Text) -> Text:
    if b.minus:
        return subtract(a, negative(b))
    if ZERO in (a, b):
        return a if b == ZERO else b
    return Text(f"{a.at(Rank.SUM)} + {b.at(Rank.SIGMA)}", Rank.SUM)


def subtract(a: Text, b: Text) -> Text:
    if ZERO in (a, b):
        return a if b == ZERO else negative(b)
    if is_digit(a) and is_digit(b):
        difference = int(a.at(Rank.CHOICE)) - int(b.at(Rank.CHOICE))
        return Text(str(abs(difference)), minus=difference < 0)
    return Text(f"{a.at(Rank.SUM)} - {b.at(Rank.SIGMA)}", Rank.SUM)


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
    if b.size.startswith("1 / "):
        return Text(f"{a.at(Rank.PRODUCT)} {b.size[2:]}", Rank.PRODUCT)
    if is_number(b) and not is_number(a):
        a, b = b, a
    *others, last = a.size.split(" · ") if a.rank == Rank.PRODUCT else [a.at(Rank.POWER)]
    if last == b.at(Rank.POWER):
        return Text(" · ".join([*others, power(b, TWO).size]), Rank.PRODUCT)
    return Text(f"{a.at(Rank.PRODUCT)} · {b.at(Rank.SIGMA)}", Rank.PRODUCT)


def as_factor(a: Text) -> str:
    """As it stands behind a dot where it is to be seen as one factor."""
    is_one = a.rank >= Rank.PRODUCT and "/" not in a.size and not a.minus
    return a.at(Rank.CHOICE if is_one else Rank.ATOM)


def divide(a: Text, b: Text) -> Text:
    if a.minus:
        return negative(divide(negative(a), b))
    if b.minus:
        return negative(divide(a, negative(b)))
    if a == ZERO or b == ONE:
        return a
    return Text(f"{a.at(Rank.PRODUCT)} / {b.at(Rank.POWER)}", Rank.PRODUCT)


def power(a: Text, b: Text) -> Text:
    if b in (ZERO, ONE):
        return a if b == ONE else ONE
    if is_digit(b):
        return Text(a.at(Rank.ATOM) + b.at(Rank.CHOICE).translate(SUPERSCRIPTS), Rank.POWER)
    return Text(f"{a.at(Rank.ATOM)}^{b.at(Rank.ATOM)}", Rank.POWER)


def matrix_product(a: Text, b: Text) -> Text:
    if a.minus:
        return negative(matrix_product(negative(a), b))
    if ONE in (a, b):
        return total(a if b == ONE else b)
    return Text(f"{a.at(Rank.MATRICES)} {b.at(Rank.POWER)}", Rank.MATRICES)


def transposed(a: Text) -> Text:
    if a.size.endswith("ᵀ") and a.rank == Rank.POWER:
        return Text(a.size[:-1], minus=a.minus)
    return a._replace(size=f"{a._replace(minus=False).at(Rank.ATOM)}ᵀ", rank=Rank.POWER)


def total(a: Text) -> Text:
    return a._replace(size=f"Σ {a._replace(minus=False).at(Rank.PRODUCT)}", rank=Rank.SIGMA)


def conjunction(a: Text, b: Text) -> Text:
    if TRUE in (a, b) or FALSE in (a, b):
        return FALSE if FALSE in (a, b) else a if b == TRUE else b
    return Text(f"{a.at(Rank.AND)} and {b.at(Rank.COMPARISON)}", Rank.AND)


def disjunction(a: Text, b: Text) -> Text:
    if TRUE in (a, b) or FALSE in (a, b):
        return TRUE if TRUE in (a, b) else a if b == FALSE else b
    return Text(f"{a.at(Rank.OR)} or {b.at(Rank.AND)}", Rank.OR)


def choice(condition: Text, a: Text, b: Text) -> Text:
    if a == b or condition in (TRUE, FALSE):
        return b if condition == FALSE else a
    text = f"{a.at(Rank.OR)} if {condition.at(Rank.OR)} else {b.at(Rank.CHOICE)}"
    return Text(text, Rank.CHOICE)


def comparison(sign: str, a: Text, b: Text) -> Text:
    return Text(f"{a.at(Rank.SUM)} {sign} {b.at(Rank.SUM)}", Rank.COMPARISON)


def enclosed(opening: str, closing: str, a: Text) -> Text:
    return Text(f"{opening}{a.at(Rank.CHOICE)}{closing}")


def root(sign: str, a: Text) -> Text:
    return Text(f"{sign}{a.at(Rank.ATOM)}", Rank.POWER)


def applied(name: str, *arguments: Text) -> Text:
    return Text(f"{name}({', '.join(a.at(Rank.CHOICE) for a in arguments)})")


def exponential(a: Text) -> Text:
    return power(Text("e"), a) if a not in (ZERO, ONE) else ONE if a == ZERO else Text("e")


def is_digit(a: Text) -> bool:
    return len(a.size) == 1 and a.size.isdecimal()


def is_number(a: Text) -> bool:
    return a.size.replace(".", "", 1).isdecimal()


#: How the results of NumPy's functions are written.
WRITERS: dict[Any, Callable[..., Text]] = {
    np.add: add,
    np.subtract: subtract,
    np.negative: negative,
    np.positive: lambda a: a,
    np.multiply: multiply,
    np.divide: divide,
    np.floor_divide: lambda a, b: enclosed("⌊", "⌋", divide(a, b)),
    np.reciprocal: lambda a: divide(ONE, a),
    np.power: power,
    np.square: lambda a: power(a, TWO),
    np.exp: exponential,
    np.expm1: lambda a: subtract(exponential(a), ONE),
    np.log1p: lambda a: applied("ln", add(ONE, a)),
    np.hypot: lambda a, b: root("√", add(power(a, TWO), power(b, TWO))),
    np.sqrt: functools.partial(root, "√"),
    np.cbrt: functools.partial(root, "∛"),
    np.absolute: functools.partial(enclosed, "|", "|"),
    np.floor: functools.partial(enclosed, "⌊", "⌋"),
    np.ceil: functools.partial(enclosed, "⌈", "⌉"),
    np.matmul: matrix_product,
    np.logical_and: conjunction,
    np.bitwise_and: conjunction,
    np.logical_or: disjunction,
    np.bitwise_or: disjunction,
    **{ufunc: functools.partial(comparison, sign) for sign, ufunc in COMPARISONS.items()},
    **{
        ufunc: functools.partial(applied, name)
        for name, ufunc in FUNCTIONS.items()
        if name not in "√∛"
    },
}
