"""Tests of significance on rows, by the normal distribution."""

from __future__ import annotations

import math

import numpy as np

from microgradx.arrays.types import Array

__all__ = ["CONFIRMED", "SIGNIFICANT", "difference_score", "paired_score"]

#: Standard errors beyond which a difference is no chance: p < 0.001, on one side.
SIGNIFICANT = 3.1
#: The same for a second condition: p < 0.01.
CONFIRMED = 2.33


def paired_score(differences: Array) -> float:
    """The mean in standard errors of itself: Student's t."""
    error = float(np.std(differences, ddof=1)) / math.sqrt(len(differences))
    mean = float(np.mean(differences))
    return mean / error if error > 0 else math.copysign(math.inf, mean) if mean else 0.0


def difference_score(a: Array, b: Array) -> float:
    """How far the mean of `a` is above that of `b`, in standard errors: Welch's t."""
    error = math.sqrt(np.var(a, ddof=1) / len(a) + np.var(b, ddof=1) / len(b))
    difference = float(np.mean(a) - np.mean(b))
    return difference / error if error > 0 else math.copysign(math.inf, difference or -1)
