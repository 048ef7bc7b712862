"""The formula of one element with numbers in it: "0.5 · 1 + (-2) · 0.25 + 0.1"."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from microgradx.arrays.types import Array
from microgradx.show.formulas.derivations import (
    Derivation,
    Einsum,
    Formula,
    Gather,
    LinearCombination,
    Reduce,
)

#: How many terms of a longer sum are written.
MAX_TERMS = 16

#: After these, and at the beginning, a negative number needs no parentheses.
OPENINGS = (
    *("(", "|", "⌊", "⌈", ", ", "if ", "else ", "and ", "or ", "not "),
    *("= ", "< ", "> ", "≤ ", "≥ ", "≠ "),
)
SUPERSCRIPTS = "⁰¹²³⁴⁵⁶⁷⁸⁹⁻"


def format_number(value: Any) -> str:
    """Four significant digits; -0.0 is 0, and booleans are 1 and 0.

    >>> [format_number(x) for x in (-0.0, 2 / 3, 1e-7, float("nan"))]
    ['0', '0.6667', '1e-07', 'NaN']
    """
    value = float(value)
    return "NaN" if np.isnan(value) else f"{value + 0.0:.4g}"


def substitute_numbers(derivation: Derivation, index: tuple[int, ...]) -> str:
    """The derivation of the element at `index`, with numbers in it.

    * Formula: the template, with the operands' elements in its slots. A negative number is in
      parentheses, except at the beginning and after `OPENINGS`. Next to "^" or a superscript, every
      negative number is, and every one with an exponent, such as 1e-05.
    * Einsum: the summed letters run in order of first appearance, the last one fastest. Along an
      axis of length 1 the index is 0, whatever its letter's is.
    * LinearCombination: the elements of nonzero weight, in C order; a weight of 1 is not written.
    * Reduce: all elements along the axes, in C order. The index is one of the other axes or, if it
      has more entries, of all axes of the operand, from the last on.
    * Gather: the element alone, or 0.

    Of more than 16 terms, the first 16 are written, and the number of the others. An empty sum
    is 0.

    >>> product = Formula("{x} · {y}", {"x": np.array([2.0, -3.0]), "y": np.array(-1.0)})
    >>> substitute_numbers(product, (1,))
    '-3 · (-1)'
    >>> matrix, vector = np.array([[0.5, -2.0]]), np.array([1.0, 0.25])
    >>> substitute_numbers(Einsum("ij,j->i", (matrix, vector), bias=np.array([0.1])), (0,))
    '0.5 · 1 + (-2) · 0.25 + 0.1'
    """
    if isinstance(derivation, Formula):
        text, *slots = re.split(r"\{(\w+)\}", derivation.template)
        for name, after in zip(slots[::2], slots[1::2], strict=True):
            text = append_number(text, element_at(derivation.operands[name], index), after) + after
        return text
    if isinstance(derivation, Gather):
        elements = np.concatenate([np.ravel(operand) for operand in derivation.operands])
        source = derivation.source[index]
        return format_number(0 if source < 0 else elements[source])
    if isinstance(derivation, Reduce):
        return _write_reduction(derivation, index)
    if isinstance(derivation, Einsum):
        terms, count = _einsum_terms(derivation, index)
    else:
        terms, count = _linear_terms(derivation, index)
    return _write_sum(terms, count, derivation.bias, index)


def element_at(array: Array, index: tuple[int, ...]) -> Any:
    """The element of the array at an index of the shape that it broadcasts to."""
    own = index[len(index) - array.ndim :]
    return array[tuple(i if n > 1 else 0 for i, n in zip(own, array.shape, strict=True))]


def append_number(before: str, value: Any, after: str = "") -> str:
    """The text `before` followed by a number, in parentheses where it needs them."""
    text = format_number(value)
    if before.endswith("^") or after.startswith(("^", *SUPERSCRIPTS)):
        is_enclosed = text.startswith("-") or "e" in text
    else:
        is_enclosed = text.startswith("-") and before != "" and not before.endswith(OPENINGS)
    return f"{before}({text})" if is_enclosed else before + text


def _einsum_terms(
    derivation: Einsum, index: tuple[int, ...]
) -> tuple[Iterable[Sequence[Any]], int]:
    """The terms, each a list of factors, and how many there are."""
    inputs, result = derivation.subscripts.split("->")
    factors = list(zip(inputs.split(","), derivation.operands, strict=True))
    lengths: dict[str, int] = {}
    for letters, operand in factors:
        for letter, length in zip(letters, operand.shape, strict=True):
            if lengths.get(letter, 1) == 1:
                lengths[letter] = length
    at = dict(zip(result, index, strict=True))
    summed = [letter for letter in lengths if letter not in at]

    def terms() -> Iterable[Sequence[Any]]:
        for values in itertools.product(*(range(lengths[letter]) for letter in summed)):
            at.update(zip(summed, values, strict=True))
            yield [element_at(x, tuple(at[letter] for letter in letters)) for letters, x in factors]

    return terms(), math.prod(lengths[letter] for letter in summed)


def _linear_terms(
    derivation: LinearCombination, index: tuple[int, ...]
) -> tuple[Iterable[Sequence[Any]], int]:
    weights = derivation.weights[(slice(None), *index)]
    nonzero = np.flatnonzero(weights)
    terms = ((derivation.operand.flat[i], weights[i]) for i in nonzero)
    return (term[: 1 if term[1] == 1 else 2] for term in terms), len(nonzero)


def _write_sum(
    terms: Iterable[Sequence[Any]], count: int, bias: Array | None, index: tuple[int, ...]
) -> str:
    text = ""
    for term in itertools.islice(terms, MAX_TERMS):
        for i, factor in enumerate(term):
            text = append_number(text + (" · " if i else " + " if text else ""), factor)
    if count > MAX_TERMS:
        text += f" + … {count - MAX_TERMS} more"
    if bias is not None:
        text = append_number(f"{text} + " if text else "", element_at(bias, index))
    return text or "0"


def _write_reduction(derivation: Reduce, index: tuple[int, ...]) -> str:
    ndim, axes = derivation.operand.ndim, derivation.axes
    if len(index) == ndim - len(axes):
        others = iter(index)
        selection = [slice(None) if axis in axes else next(others) for axis in range(ndim)]
    else:
        added = ndim - len(index)
        selection = [slice(None) if a in axes else index[a - added] for a in range(ndim)]
    elements = derivation.operand[tuple(selection)].ravel()
    text = derivation.opening
    for i, value in enumerate(elements[:MAX_TERMS], start=1):
        after = derivation.closing if i == elements.size else derivation.joiner
        text = append_number(text, value, after) + after
    if elements.size > MAX_TERMS:
        text += f"… {elements.size - MAX_TERMS} more{derivation.closing}"
    return text or "0"
