"""Verifies derivations: each is computed as it is written, and compared with the actual values."""

from __future__ import annotations

import math
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
from microgradx.show.formulas.formula_parser import FUNCTIONS, FormulaError, evaluate_formula

__all__ = ["is_close", "reproduces"]

#: A reduction of more elements is evaluated with partial results instead.
MAX_ELEMENTS = 1024


def is_close(computed: Any, value: Array, terms: Any = 0.0) -> bool:
    """Whether arrays agree up to rounding, in half of their digits.

    `terms` is the sum of the magnitudes of what was summed, where the sum may cancel.
    """
    computed = np.asarray(computed)
    if np.broadcast_shapes(computed.shape, value.shape) != value.shape:
        return False
    unit = np.finfo(value.dtype).eps
    with np.errstate(all="ignore"):
        near = np.abs(computed - value) <= np.sqrt(unit) * np.abs(value) + 64 * unit * terms
    near &= np.isfinite(computed) & np.isfinite(value)
    return bool(np.all(near | (computed == value) | (np.isnan(computed) & np.isnan(value))))


def reproduces(derivation: Derivation, value: Array) -> bool:
    """Whether a derivation, evaluated from its text, computes these values."""
    try:
        with np.errstate(all="ignore"):
            return _reproduces(derivation, value)
    except (FormulaError, ValueError, TypeError, IndexError):  # it cannot be computed
        return False


def _reproduces(derivation: Derivation, value: Array) -> bool:
    if isinstance(derivation, Formula):
        return is_close(evaluate_formula(derivation.template, derivation.operands), value)
    if isinstance(derivation, Gather):
        elements = [np.ravel(operand) for operand in derivation.operands]
        return is_close(np.concatenate([*elements, [0]])[derivation.source], value)
    if isinstance(derivation, Reduce):
        computed, terms = _compute_reduction(derivation)
        return is_close(computed.reshape(value.shape), value, terms.reshape(value.shape))
    computed, terms = (
        _compute_einsum(derivation)
        if isinstance(derivation, Einsum)
        else _compute_combination(derivation)
    )
    bias = np.zeros(()) if derivation.bias is None else derivation.bias
    return is_close(computed + bias, value, terms + np.abs(bias))


# Each of these returns the computed values, and the sums of the magnitudes of their terms.


def _compute_einsum(derivation: Einsum) -> tuple[Array, Array]:
    operands = [np.asarray(operand, np.float64) for operand in derivation.operands]
    sizes = [np.abs(operand) for operand in operands]
    return np.einsum(derivation.subscripts, *operands), np.einsum(derivation.subscripts, *sizes)


def _compute_combination(derivation: LinearCombination) -> tuple[Array, Array]:
    weights = derivation.weights.reshape(derivation.operand.size, -1)
    # An element of weight 0 is not a term, even if it is infinite.
    terms = np.where(weights == 0, 0, derivation.operand.reshape(-1, 1) * weights)
    shape = derivation.weights.shape[1:]
    return np.sum(terms, axis=0).reshape(shape), np.sum(np.abs(terms), axis=0).reshape(shape)


def _compute_reduction(derivation: Reduce) -> tuple[Array, Array]:
    axes = derivation.axes
    elements = np.moveaxis(derivation.operand, axes, range(len(axes)))
    elements = elements.reshape(
        math.prod(elements.shape[: len(axes)]), *elements.shape[len(axes) :]
    )
    terms = np.sum(np.abs(elements), axis=0) * (derivation.joiner == " + ")
    if len(elements) > MAX_ELEMENTS:
        name = derivation.opening.rstrip("(")
        folds = {" + ": np.add, " · ": np.multiply, ", ": FUNCTIONS.get(name)}
        fold = folds.get(derivation.joiner)
        if fold is None:
            raise FormulaError(f"{name} of {len(elements)} elements is too long to evaluate")
        starts = np.arange(0, len(elements), len(elements) // MAX_ELEMENTS + 1)
        elements = fold.reduceat(elements, starts, axis=0)
    operands = {f"x{i}": element for i, element in enumerate(elements)}
    text = derivation.opening + derivation.joiner.join(operands) + derivation.closing
    return np.asarray(evaluate_formula(text, operands) if text else terms), terms
