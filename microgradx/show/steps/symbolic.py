"""Formulas that computations write of themselves.

A `Symbol` is an array that speaks NumPy's protocols, and writes down what is done to it. An op's
derivative, run on symbols in place of arrays, writes its own formula: "1 - out²".
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Callable
from typing import Any

import numpy as np

from microgradx.arrays.types import Array
from microgradx.show.steps import formula_printer
from microgradx.show.steps.formula_parser import SUPERSCRIPTS, NoFormula, evaluate
from microgradx.show.steps.formula_printer import WRITERS, Rank, Text
from microgradx.show.steps.steps import Formula

__all__ = ["Symbol", "literal", "read", "shown", "slot", "written_by"]

#: A formula that is longer explains nothing.
LONGEST = 80


class Symbol(np.lib.mixins.NDArrayOperatorsMixin):
    """An array that knows how it is written, and what stands in the slots of that: `operands`."""

    def __init__(self, value: Any, text: Text, operands: dict[str, Array]) -> None:
        self.value = np.asarray(value)
        self.text = text
        self.operands = operands

    @property
    def formula(self) -> Formula:
        return Formula(self.text.at(Rank.CHOICE), self.operands)

    @property
    def shape(self) -> tuple[int, ...]:
        return self.value.shape

    @property
    def ndim(self) -> int:
        return self.value.ndim

    @property
    def size(self) -> int:
        return self.value.size

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.value.dtype

    @property
    def T(self) -> Symbol:
        return transpose(self)

    def __len__(self) -> int:
        return len(self.value)

    def __bool__(self) -> bool:
        raise NoFormula("what is computed depends on a value")

    def astype(self, dtype: Any) -> Symbol:
        return Symbol(self.value.astype(dtype), self.text, self.operands)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if method != "__call__" or kwargs:
            raise NoFormula(f"{ufunc.__name__} is used as no function is written")
        value = ufunc(*(x.value if isinstance(x, Symbol) else x for x in inputs))
        if ufunc in GUARDS and (np.all(value) or not np.any(value)):
            return np.bool_(np.any(value))
        name = ufunc.__name__.removesuffix(" (vectorized)")  # as np.frompyfunc adds
        write = WRITERS.get(ufunc) or functools.partial(formula_printer.applied, name)
        return made(value, write, *inputs)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if function not in FUNCTIONS_OF_ARRAYS:
            raise NoFormula(f"{function.__name__} is not written")
        return FUNCTIONS_OF_ARRAYS[function](*args, **kwargs)


#: Tests by which rules keep away from a place without a derivative. Where there is no such element,
#: nothing is written of them.
GUARDS = {np.equal, np.not_equal, np.isnan, np.isinf, np.isfinite}


def slot(name: str, array: Array) -> Symbol:
    """An array that is written as a slot of this name."""
    return Symbol(array, Text(f"{{{name}}}"), {name: array})


#: Numbers that have a name.
CONSTANTS = {
    math.pi: Text("π"),
    math.log(2): Text("ln(2)"),
    math.log(10): Text("ln(10)"),
    math.pi / 180: Text("π / 180", Rank.PRODUCT),
    180 / math.pi: Text("180 / π", Rank.PRODUCT),
    2 / math.sqrt(math.pi): Text("2 / √π", Rank.PRODUCT),
}


def literal(value: Any) -> Symbol:
    """A number, or an array that has the same one everywhere, written as that number."""
    array = np.asarray(value)
    if array.size == 0 or not np.all(array == array.flat[0]):
        raise NoFormula("an array of several numbers, which has no name")
    number = array.flat[0].item()
    if isinstance(number, bool):
        return Symbol(array, formula_printer.TRUE if number else formula_printer.FALSE, {})
    size = abs(number)
    text = CONSTANTS.get(size, Text(f"{size:.{9 if size % 1 == 0 else 4}g}"))
    if 0 < size < 1 and size == 1 / round(1 / size):
        text = Text(f"1 / {round(1 / size)}", Rank.PRODUCT)
    return Symbol(array, text._replace(minus=number < 0), {})


def as_symbol(x: Any) -> Symbol:
    return x if isinstance(x, Symbol) else literal(x)


def made(value: Any, write: Callable[..., Text], *inputs: Any) -> Symbol:
    """A result, written as its inputs are written."""
    symbols = [as_symbol(x) for x in inputs]
    text = write(*(symbol.text for symbol in symbols))
    operands: dict[str, Array] = {}
    for symbol in symbols:
        for name, array in symbol.operands.items():
            if operands.setdefault(name, array) is not array:
                raise NoFormula(f"two operands are called {name}")
    used = re.findall(r"\{(\w+)\}", text.size)
    return Symbol(value, text, {name: operands[name] for name in operands if name in used})


# ---------------------------------------------------------------------------- of whole arrays


def where(condition: Any, a: Any, b: Any) -> Symbol:
    symbols = [as_symbol(x) for x in (condition, a, b)]
    return made(np.where(*(symbol.value for symbol in symbols)), formula_printer.choice, *symbols)


def sum_of(x: Any, axis: Any = None, keepdims: bool = False) -> Symbol:
    value = np.sum(x.value, axis=axis, keepdims=keepdims)
    return literal(value) if x.dtype == bool else made(value, formula_printer.total, x)


def mean_of(x: Any, axis: Any = None, keepdims: bool = False) -> Symbol:
    """A mean has no formula of the elements at its place, so it is an operand itself."""
    return slot("mean", np.mean(x.value, axis=axis, keepdims=keepdims))


def transpose(x: Any, axes: Any = None) -> Symbol:
    if x.ndim > 2:
        raise NoFormula("axes in another order")
    return made(np.transpose(x.value, axes), formula_printer.transposed, x) if x.ndim == 2 else x


def swap_axes(x: Any, first: int, second: int) -> Symbol:
    if {first % x.ndim, second % x.ndim} != {x.ndim - 1, x.ndim - 2}:
        raise NoFormula("axes in another order")
    return made(np.swapaxes(x.value, first, second), formula_printer.transposed, x)


def dot(a: Any, b: Any) -> Symbol:
    a, b = as_symbol(a), as_symbol(b)
    return made(np.dot(a.value, b.value), formula_printer.matrix_product, a, b)


def einsum(subscripts: str, *operands: Any, optimize: Any = False) -> Symbol:
    inputs, result = subscripts.split("->")
    is_sum = set(inputs) - set(result) - {","}

    def write(*texts: Text) -> Text:
        product = functools.reduce(formula_printer.multiply, texts)
        return formula_printer.total(product) if is_sum else product

    symbols = [as_symbol(x) for x in operands]
    return made(np.einsum(subscripts, *(symbol.value for symbol in symbols)), write, *symbols)


def in_the_same_words(function: Any) -> Callable[..., Symbol]:
    """Of what only lays an array out in another way."""

    def lay_out(x: Symbol, *args: Any, **kwargs: Any) -> Symbol:
        return Symbol(function(x.value, *args, **kwargs), x.text, x.operands)

    return lay_out


def filled(function: Any) -> Callable[..., Symbol]:
    return lambda x, *args, **kwargs: literal(function(x.value, *args, **kwargs))


#: In place of NumPy's functions that are no ufuncs.
FUNCTIONS_OF_ARRAYS: dict[Any, Callable[..., Symbol]] = {
    np.where: where,
    np.sum: sum_of,
    np.mean: mean_of,
    np.transpose: transpose,
    np.swapaxes: swap_axes,
    np.dot: dot,
    np.einsum: einsum,
    **{
        function: in_the_same_words(function)
        for function in (np.reshape, np.expand_dims, np.squeeze, np.broadcast_to, np.copy)
    },
    **{function: filled(function) for function in (np.zeros_like, np.ones_like)},
}

# ---------------------------------------------------------------------------- what they are for


def written_by(function: Callable[..., Any], *arguments: Any) -> Symbol | None:
    """What a computation on symbols writes; None where that is no formula of a line."""
    try:
        symbol = as_symbol(function(*arguments))
    except Exception:  # rules of users' ops may do anything, and were made for arrays
        return None
    return symbol if len(shown(symbol.formula.template)) <= LONGEST else None


def read(formula: str, operands: dict[str, Symbol]) -> Symbol | None:
    """A formula as it is written of symbols for its letters; None if it is no such formula."""

    def call(name: str, function: Callable[..., Any], inputs: list[Any]) -> Symbol:
        if isinstance(function, np.ufunc):
            return as_symbol(function(*map(as_symbol, inputs)))
        symbols = [as_symbol(x) for x in inputs]
        value = function(*(symbol.value for symbol in symbols))
        return made(value, functools.partial(formula_printer.applied, name), *symbols)

    return written_by(evaluate, formula, {"π": literal(math.pi), **operands}, call)


def shown(template: str) -> str:
    """A formula with letters for its slots, and exponents raised as far as there is type for it.

    >>> shown("{y} · {x}^({y} - 1)")
    'y · xʸ⁻¹'
    """

    def raised(match: re.Match[str]) -> str:
        return match[1].strip("()").replace(" ", "").translate(SUPERSCRIPTS)

    letters = template.replace("{", "").replace("}", "")
    return re.sub(r"\^([xyz]\b|\([-+ xyz\d]+\))", raised, letters)
