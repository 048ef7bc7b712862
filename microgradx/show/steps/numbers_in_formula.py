"""The arithmetic of one element, with its numbers in it: "0.5 · 1 + (-2) · 0.25 + 0.1"."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from microgradx.arrays.types import Array
from microgradx.show.steps.steps import Formula, How, Picked, Products, Reduced, Weighted

#: Of a longer sum, so many terms are written.
MOST_TERMS = 16

#: Where a negative number needs no parentheses: behind these, and at the beginning.
OPENINGS = (
    *("(", "|", "⌊", "⌈", ", ", "if ", "else ", "and ", "or ", "not "),
    *("= ", "< ", "> ", "≤ ", "≥ ", "≠ "),
)
SUPERSCRIPTS = "⁰¹²³⁴⁵⁶⁷⁸⁹⁻"


def number(value: Any) -> str:
    """Four significant digits; -0.0 is 0, and booleans are 1 and 0.

    >>> number(-0.0), number(2 / 3), number(1e-7), number(float("nan"))
    ('0', '0.6667', '1e-07', 'NaN')
    """
    value = float(value)
    return "NaN" if np.isnan(value) else f"{value + 0.0:.4g}"


def written(how: How, index: tuple[int, ...]) -> str:
    """How the element at `index` was computed, with the numbers in it.

    * A formula is copied, with the operands' elements for its slots. A negative number stands in
      parentheses unless it is at the beginning or behind one of `OPENINGS`; next to "^" or a
      superscript also a number such as 1e-05 does, and every negative one.
    * Products: the letters that are not in the result run, in order of their first appearance,
      the last one fastest. Along an axis of length 1 the index is 0, whatever its letter's is.
    * Weighted: the elements whose weight is not 0, in C order; a weight of 1 is not written.
    * Reduced: all elements along the axes, in C order. The index is one of the other axes or, if
      it is longer than they are many, one of all the operand's, from the last on.
    * Picked: the element alone, or 0.

    Of more than 16 terms, the first 16 are written, and how many more there are. A sum of nothing
    is 0.

    >>> written(Formula("{x} · {y}", {"x": np.array([2.0, -3.0]), "y": np.array(-1.0)}), (1,))
    '-3 · (-1)'
    >>> matrix, vector = np.array([[0.5, -2.0]]), np.array([1.0, 0.25])
    >>> written(Products("ij,j->i", (matrix, vector), bias=np.array([0.1])), (0,))
    '0.5 · 1 + (-2) · 0.25 + 0.1'
    """
    if isinstance(how, Formula):
        text, *slots = re.split(r"\{(\w+)\}", how.template)
        for name, after in zip(slots[::2], slots[1::2], strict=True):
            text = placed(text, element(how.operands[name], index), after) + after
        return text
    if isinstance(how, Picked):
        elements = np.concatenate([np.ravel(operand) for operand in how.operands])
        source = how.source[index]
        return number(0 if source < 0 else elements[source])
    if isinstance(how, Reduced):
        return _reduction(how, index)
    if isinstance(how, Products):
        terms, count = _products(how, index)
    else:
        terms, count = _weighted(how, index)
    return _sum(terms, count, how.bias, index)


def element(array: Array, index: tuple[int, ...]) -> Any:
    """The element at an index of what the array broadcasts to."""
    own = index[len(index) - array.ndim :]
    return array[tuple(i if n > 1 else 0 for i, n in zip(own, array.shape, strict=True))]


def placed(before: str, value: Any, after: str = "") -> str:
    """What is written so far, and behind it a number, in parentheses where it needs them."""
    text = number(value)
    if before.endswith("^") or after.startswith(("^", *SUPERSCRIPTS)):
        needs = text.startswith("-") or "e" in text
    else:
        needs = text.startswith("-") and before != "" and not before.endswith(OPENINGS)
    return f"{before}({text})" if needs else before + text


def _products(how: Products, index: tuple[int, ...]) -> tuple[Iterable[Sequence[Any]], int]:
    """The terms, each as its factors, and how many there are."""
    inputs, result = how.subscripts.split("->")
    factors = list(zip(inputs.split(","), how.operands, strict=True))
    lengths: dict[str, int] = {}
    for letters, operand in factors:
        for letter, length in zip(letters, operand.shape, strict=True):
            if lengths.get(letter, 1) == 1:
                lengths[letter] = length
    place = dict(zip(result, index, strict=True))
    summed = [letter for letter in lengths if letter not in place]

    def terms() -> Iterable[Sequence[Any]]:
        for values in itertools.product(*(range(lengths[letter]) for letter in summed)):
            place.update(zip(summed, values, strict=True))
            yield [element(x, tuple(place[letter] for letter in letters)) for letters, x in factors]

    return terms(), math.prod(lengths[letter] for letter in summed)


def _weighted(how: Weighted, index: tuple[int, ...]) -> tuple[Iterable[Sequence[Any]], int]:
    weights = how.weights[(slice(None), *index)]
    places = np.flatnonzero(weights)
    terms = ((how.operand.flat[i], weights[i]) for i in places)
    return (term[: 1 if term[1] == 1 else 2] for term in terms), len(places)


def _sum(
    terms: Iterable[Sequence[Any]], count: int, bias: Array | None, index: tuple[int, ...]
) -> str:
    text = ""
    for term in itertools.islice(terms, MOST_TERMS):
        for i, factor in enumerate(term):
            text = placed(text + (" · " if i else " + " if text else ""), factor)
    if count > MOST_TERMS:
        text += f" + … {count - MOST_TERMS} more"
    if bias is not None:
        text = placed(f"{text} + " if text else "", element(bias, index))
    return text or "0"


def _reduction(how: Reduced, index: tuple[int, ...]) -> str:
    ndim = how.operand.ndim
    if len(index) == ndim - len(how.axes):
        others = iter(index)
        place = [slice(None) if axis in how.axes else next(others) for axis in range(ndim)]
    else:
        added = ndim - len(index)
        place = [slice(None) if a in how.axes else index[a - added] for a in range(ndim)]
    elements = how.operand[tuple(place)].ravel()
    text = how.opening
    for i, value in enumerate(elements[:MOST_TERMS], start=1):
        after = how.closing if i == elements.size else how.joiner
        text = placed(text, value, after) + after
    if elements.size > MOST_TERMS:
        text += f"… {elements.size - MOST_TERMS} more{how.closing}"
    return text or "0"
