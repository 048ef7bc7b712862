"""What hypotheses about a rule share: a cause, and whether a predicted gradient is the rule's.

A hypothesis is a function of a comparison. It yields the causes that could be behind this gradient:
each predicts the gradient that a certain mistake would produce, at every element.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from microgradx.arrays.types import Array
from microgradx.checking.comparison import GradientComparison

__all__ = ["Cause", "gradient_for", "is_close", "join_with_and", "matches"]


class Cause(NamedTuple):
    """The kind of a mistake, and a sentence about it."""

    kind: str
    text: str


def matches(comparison: GradientComparison, predicted: Array, actual: Array | None = None) -> bool:
    """Whether the prediction is the analytic gradient, wherever differences can tell.

    With `actual`, whether it is that instead: what a changed rule would return, say.
    """
    actual = comparison.analytic if actual is None else actual
    decided = np.isfinite(comparison.numeric) & ~comparison.is_undecided
    if predicted.shape != actual.shape or not np.any(actual[decided]):
        return False  # too many mistakes would predict a rule that returns only zeros
    expected, actual = predicted[decided], actual[decided]
    scale = np.max(np.abs(comparison.numeric[decided]), initial=0)
    is_near = np.abs(actual - expected) <= 1e-6 * np.abs(expected) + 1e-8 * scale
    # At 0, x in place of x³ predicts 0 / 0, which says nothing.
    is_void = ~np.isfinite(expected) & (actual == 0)
    return bool(np.all(is_near | is_void) and np.any(is_near))


def gradient_for(comparison: GradientComparison, weights: Array) -> Array:
    """The numeric gradient of the outputs' sum with other weights."""
    gradient = np.full(comparison.numeric.shape, np.nan)
    for index, column in comparison.jacobian_columns.items():
        gradient[index] = np.sum(weights * column)
    return gradient


def is_close(a: Any, b: Any) -> Any:
    return np.abs(a - b) <= 1e-5 * np.abs(b)


def join_with_and(items: Iterable[Any]) -> str:
    return " and ".join(map(str, items))
