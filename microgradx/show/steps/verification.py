"""Whether what is said of numbers is so: a `How` is computed as it says, and compared."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from microgradx.arrays.types import Array
from microgradx.show.steps.formula_parser import FUNCTIONS, NoFormula, evaluate
from microgradx.show.steps.steps import Formula, How, Picked, Products, Reduced, Weighted

__all__ = ["agree", "holds"]

#: Of more elements, a reduction is read with partial results in their place.
MOST_ELEMENTS = 1024


def agree(computed: Any, value: Array, terms: Any = 0.0) -> bool:
    """Whether arrays are the same but for rounding: by half of the digits, or those of the terms.

    `terms` are the sizes of what was summed, of which the sum may be a tiny rest.
    """
    computed = np.asarray(computed)
    if np.broadcast_shapes(computed.shape, value.shape) != value.shape:
        return False
    unit = np.finfo(value.dtype).eps
    with np.errstate(all="ignore"):
        near = np.abs(computed - value) <= np.sqrt(unit) * np.abs(value) + 64 * unit * terms
    near &= np.isfinite(computed) & np.isfinite(value)
    return bool(np.all(near | (computed == value) | (np.isnan(computed) & np.isnan(value))))


def holds(how: How, value: Array) -> bool:
    """Whether the elements of the value arise as it says; a formula is read from its text."""
    try:
        with np.errstate(all="ignore"):
            return _holds(how, value)
    except (NoFormula, ValueError, TypeError, IndexError):  # it says what cannot be computed
        return False


def _holds(how: How, value: Array) -> bool:
    if isinstance(how, Formula):
        return agree(evaluate(how.template, how.operands), value)
    if isinstance(how, Picked):
        elements = [np.ravel(operand) for operand in how.operands]
        return agree(np.concatenate([*elements, [0]])[how.source], value)
    if isinstance(how, Reduced):
        computed, terms = _reduced(how)
        return agree(computed.reshape(value.shape), value, terms.reshape(value.shape))
    computed, terms = _products(how) if isinstance(how, Products) else _weighted(how)
    bias = np.zeros(()) if how.bias is None else how.bias
    return agree(computed + bias, value, terms + np.abs(bias))


# Each of these gives what is computed, and the sizes of the terms.


def _products(how: Products) -> tuple[Array, Array]:
    operands = [np.asarray(operand, np.float64) for operand in how.operands]
    sizes = [np.abs(operand) for operand in operands]
    return np.einsum(how.subscripts, *operands), np.einsum(how.subscripts, *sizes)


def _weighted(how: Weighted) -> tuple[Array, Array]:
    weights = how.weights.reshape(how.operand.size, -1)
    # What weighs nothing is no term, be it infinite.
    terms = np.where(weights == 0, 0, how.operand.reshape(-1, 1) * weights)
    shape = how.weights.shape[1:]
    return np.sum(terms, axis=0).reshape(shape), np.sum(np.abs(terms), axis=0).reshape(shape)


def _reduced(how: Reduced) -> tuple[Array, Array]:
    axes = how.axes
    elements = np.moveaxis(how.operand, axes, range(len(axes)))
    elements = elements.reshape(
        math.prod(elements.shape[: len(axes)]), *elements.shape[len(axes) :]
    )
    terms = np.sum(np.abs(elements), axis=0) * (how.joiner == " + ")
    if len(elements) > MOST_ELEMENTS:
        name = how.opening.rstrip("(")
        folds = {" + ": np.add, " · ": np.multiply, ", ": FUNCTIONS.get(name)}
        fold = folds.get(how.joiner)
        if fold is None:
            raise NoFormula(f"{name} … of {len(elements)} elements")
        starts = np.arange(0, len(elements), len(elements) // MOST_ELEMENTS + 1)
        elements = fold.reduceat(elements, starts, axis=0)
    operands = {f"x{i}": element for i, element in enumerate(elements)}
    text = how.opening + how.joiner.join(operands) + how.closing
    return np.asarray(evaluate(text, operands) if text else terms), terms
