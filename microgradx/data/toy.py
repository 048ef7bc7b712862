"""Toy data sets: points in the plane, whose classes and decision boundaries can be drawn.

Each function returns X, float64 of shape (n, 2), and labels y, int64 of shape (n,). The labels
alternate, so the sizes of the classes differ by at most 1.
"""

from __future__ import annotations

import math
import operator

import numpy as np

from microgradx.arrays.types import Array
from microgradx.common.randomness import as_generator

__all__ = ["moons", "spirals", "blobs"]


def moons(
    n: int, noise: float = 0.1, generator: np.random.Generator | None = None
) -> tuple[Array, Array]:
    """Two interleaving half circles of radius 1.

    Class 0 is the upper half of the circle around (0, 0), class 1 the lower half of the circle
    around (1, ½); `noise` is the standard deviation of the normal noise added to both coordinates.

    >>> X, y = moons(100)
    >>> X.shape, y[:4].tolist()
    ((100, 2), [0, 1, 0, 1])

    Raises ValueError for fewer than 2 points, and for a noise that is negative or not finite.
    """
    y = _alternate_labels(n, 2, noise)
    generator = as_generator(generator)
    angle = math.pi * (generator.random(n) + y)
    X = np.column_stack([np.cos(angle) + y, np.sin(angle) + y / 2])
    return X + generator.normal(0, noise, X.shape), y


def spirals(
    n: int, classes: int = 3, noise: float = 0.03, generator: np.random.Generator | None = None
) -> tuple[Array, Array]:
    """Spiral arms, one for each class, that wind once around the centre, out to radius 1.

    No straight line separates them; `noise` is as in `moons`.

    >>> X, y = spirals(99, classes=3, noise=0)
    >>> bool((X**2).sum(axis=1).max() <= 1)
    True

    Raises ValueError for fewer than 2 classes, fewer points than classes, or noise as in `moons`.
    """
    y = _alternate_labels(n, classes, noise)
    generator = as_generator(generator)
    radius = generator.uniform(0.1, 1, n)  # at the centre itself all arms meet
    angle = 2 * math.pi * (radius + y / classes)
    X = np.column_stack([radius * np.cos(angle), radius * np.sin(angle)])
    return X + generator.normal(0, noise, X.shape), y


def blobs(
    n: int, classes: int = 3, noise: float = 0.2, generator: np.random.Generator | None = None
) -> tuple[Array, Array]:
    """Normally distributed clouds, one for each class, around centres on the unit circle.

    `noise` is their standard deviation in both coordinates.

    >>> X, y = blobs(4, classes=4, noise=0)
    >>> X.round(6) + 0.0
    array([[ 1.,  0.],
           [ 0.,  1.],
           [-1.,  0.],
           [ 0., -1.]])

    Raises ValueError where `spirals` does.
    """
    y = _alternate_labels(n, classes, noise)
    angle = 2 * math.pi * y / classes
    X = np.column_stack([np.cos(angle), np.sin(angle)])
    return X + as_generator(generator).normal(0, noise, X.shape), y


def _alternate_labels(n: int, classes: int, noise: float) -> Array:
    """The labels 0, 1, …, 0, 1, …; raises ValueError for settings that make no data set."""
    n, classes = operator.index(n), operator.index(classes)
    if classes < 2:
        raise ValueError(f"classes must be 2 or more, not {classes}")
    if n < classes:
        raise ValueError(f"n must be {classes} or more, a point for each class, not {n}")
    if not 0 <= noise < math.inf:
        raise ValueError(f"noise must be at least 0 and finite, not {noise}")
    return np.arange(n, dtype=np.int64) % classes
