"""Formulas that computations write themselves.

A `Symbol` is an array that implements NumPy's protocols and records its formula. The derivative of
an op, called with symbols instead of arrays, returns its own formula: "1 - out²".
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Callable
from typing import Any

import numpy as np

from microgradx.arrays.types import Array
from microgradx.show.formulas import formula_printer
from microgradx.show.formulas.derivations import Formula
from microgradx.show.formulas.formula_parser import SUPERSCRIPTS, FormulaError, evaluate_formula
from microgradx.show.formulas.formula_printer import PRINTERS, Text

__all__ = ["Symbol", "literal", "parse_formula", "display_formula", "slot", "trace_formula"]

#: A longer formula explains nothing.
MAX_LENGTH = 80


class Symbol(np.lib.mixins.NDArrayOperatorsMixin):
    """An array with its formula: a text, and the `operands` for the slots in it."""

    def __init__(self, value: Any, text: Text, operands: dict[str, Array]) -> None:
        self.value = np.asarray(value)
        self.text = text
        self.operands = operands

    @property
    def formula(self) -> Formula:
        return Formula(self.text.inside(formula_printer.CHOICE), self.operands)

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
        raise FormulaError("the computation depends on a value")

    def astype(self, dtype: Any) -> Symbol:
        return Symbol(self.value.astype(dtype), self.text, self.operands)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if method != "__call__" or kwargs:
            raise FormulaError(f"there is no notation for {ufunc.__name__}.{method} or keywords")
        value = ufunc(*(x.value if isinstance(x, Symbol) else x for x in inputs))
        if ufunc in GUARDS and (np.all(value) or not np.any(value)):
            return np.bool_(np.any(value))
        name = ufunc.__name__.removesuffix(" (vectorized)")  # as np.frompyfunc adds
        print_result = PRINTERS.get(ufunc) or functools.partial(formula_printer.function_call, name)
        return combine(value, print_result, *inputs)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if function not in ARRAY_FUNCTIONS:
            raise FormulaError(f"there is no notation for {function.__name__}")
        return ARRAY_FUNCTIONS[function](*args, **kwargs)


#: Tests by which rules avoid points without a derivative. If all elements agree, no conditional is
#: written.
GUARDS = {np.equal, np.not_equal, np.isnan, np.isinf, np.isfinite}


def slot(name: str, array: Array) -> Symbol:
    """An array printed as a slot of this name."""
    return Symbol(array, Text(f"{{{name}}}"), {name: array})


#: Numbers that have a name.
CONSTANTS = {
    math.pi: Text("π"),
    math.log(2): Text("ln(2)"),
    math.log(10): Text("ln(10)"),
    math.pi / 180: Text("π / 180", formula_printer.PRODUCT),
    180 / math.pi: Text("180 / π", formula_printer.PRODUCT),
    2 / math.sqrt(math.pi): Text("2 / √π", formula_printer.PRODUCT),
}


def literal(value: Any) -> Symbol:
    """A number, or an array of one repeated number, printed as that number."""
    array = np.asarray(value)
    if array.size == 0 or not np.all(array == array.flat[0]):
        raise FormulaError("an array of several numbers has no name")
    number = array.flat[0].item()
    if isinstance(number, bool):
        return Symbol(array, formula_printer.TRUE if number else formula_printer.FALSE, {})
    size = abs(number)
    text = CONSTANTS.get(size, Text(f"{size:.{9 if size % 1 == 0 else 4}g}"))
    if 0 < size < 1 and size == 1 / round(1 / size):
        text = Text(f"1 / {round(1 / size)}", formula_printer.PRODUCT)
    return Symbol(array, text._replace(minus=number < 0), {})


def as_symbol(x: Any) -> Symbol:
    return x if isinstance(x, Symbol) else literal(x)


def combine(value: Any, print_result: Callable[..., Text], *inputs: Any) -> Symbol:
    """A result, printed from how its inputs are printed."""
    symbols = [as_symbol(x) for x in inputs]
    text = print_result(*(symbol.text for symbol in symbols))
    operands: dict[str, Array] = {}
    for symbol in symbols:
        for name, array in symbol.operands.items():
            if operands.setdefault(name, array) is not array:
                raise FormulaError(f"two operands are called {name}")
    used = re.findall(r"\{(\w+)\}", text.magnitude)
    return Symbol(value, text, {name: operands[name] for name in operands if name in used})


def apply(function: Callable[..., Any], print_result: Callable[..., Text], *inputs: Any) -> Symbol:
    symbols = [as_symbol(x) for x in inputs]
    return combine(function(*(symbol.value for symbol in symbols)), print_result, *symbols)


# ---------------------------------------------------------------------------- of whole arrays


def where(condition: Any, a: Any, b: Any) -> Symbol:
    return apply(np.where, formula_printer.conditional, condition, a, b)


def sum_of(x: Any, axis: Any = None, keepdims: bool = False, dtype: Any = None) -> Symbol:
    value = np.sum(x.value, axis=axis, keepdims=keepdims, dtype=dtype)
    return literal(value) if x.dtype == bool else combine(value, formula_printer.summation, x)


def mean_of(x: Any, axis: Any = None, keepdims: bool = False, dtype: Any = None) -> Symbol:
    """A mean is not a formula of the elements at its index, so it becomes an operand itself."""
    return slot("mean", np.mean(x.value, axis=axis, keepdims=keepdims, dtype=dtype))


def transpose(x: Any, axes: Any = None) -> Symbol:
    if x.ndim > 2:
        raise FormulaError("only the last two axes of a matrix can be swapped in a formula")
    return combine(np.transpose(x.value, axes), formula_printer.transpose, x) if x.ndim == 2 else x


def swap_axes(x: Any, first: int, second: int) -> Symbol:
    if {first % x.ndim, second % x.ndim} != {x.ndim - 1, x.ndim - 2}:
        raise FormulaError("only the last two axes of a matrix can be swapped in a formula")
    return combine(np.swapaxes(x.value, first, second), formula_printer.transpose, x)


def dot(a: Any, b: Any) -> Symbol:
    return apply(np.dot, formula_printer.matrix_product, a, b)


def einsum(subscripts: str, *operands: Any, optimize: Any = False) -> Symbol:
    inputs, result = subscripts.split("->")
    is_sum = set(inputs) - set(result) - {","}

    def print_products(*texts: Text) -> Text:
        product = functools.reduce(formula_printer.multiply, texts)
        return formula_printer.summation(product) if is_sum else product

    return apply(functools.partial(np.einsum, subscripts), print_products, *operands)


def keeping_text(function: Any) -> Callable[..., Symbol]:
    """For functions that rearrange an array without changing the formula of its elements."""

    def rearrange(x: Symbol, *args: Any, **kwargs: Any) -> Symbol:
        return Symbol(function(x.value, *args, **kwargs), x.text, x.operands)

    return rearrange


def constant_array(function: Any) -> Callable[..., Symbol]:
    return lambda x, *args, **kwargs: literal(function(x.value, *args, **kwargs))


#: What Symbols do for NumPy functions that are not ufuncs.
ARRAY_FUNCTIONS: dict[Any, Callable[..., Symbol]] = {
    np.where: where,
    np.sum: sum_of,
    np.mean: mean_of,
    np.transpose: transpose,
    np.swapaxes: swap_axes,
    np.dot: dot,
    np.einsum: einsum,
    **{
        function: keeping_text(function)
        for function in (np.reshape, np.expand_dims, np.squeeze, np.broadcast_to, np.copy)
    },
    **{function: constant_array(function) for function in (np.zeros_like, np.ones_like)},
}

# ---------------------------------------------------------------------------- formulas


def trace_formula(function: Callable[..., Any], *arguments: Any) -> Symbol | None:
    """The formula that a function records on symbols; None if it has none of one line."""
    try:
        symbol = as_symbol(function(*arguments))
    except Exception:  # the rules of user-defined ops may do anything
        return None
    return symbol if len(display_formula(symbol.formula.template)) <= MAX_LENGTH else None


def parse_formula(formula: str, operands: dict[str, Symbol]) -> Symbol | None:
    """A formula of symbols; None if the text is not a formula in their names."""

    def call(name: str, function: Callable[..., Any], inputs: list[Any]) -> Symbol:
        if isinstance(function, np.ufunc):
            return as_symbol(function(*map(as_symbol, inputs)))
        return apply(function, functools.partial(formula_printer.function_call, name), *inputs)

    return trace_formula(evaluate_formula, formula, {"π": literal(math.pi), **operands}, call)


def display_formula(template: str) -> str:
    """A formula with letters for its slots, and superscripts for simple exponents.

    >>> display_formula("{y} · {x}^({y} - 1)")
    'y · xʸ⁻¹'
    """

    def to_superscript(match: re.Match[str]) -> str:
        return match[1].strip("()").replace(" ", "").translate(SUPERSCRIPTS)

    letters = template.replace("{", "").replace("}", "")
    return re.sub(r"\^([xyz]\b|\([-+ xyz\d]+\))", to_superscript, letters)
