"""Splits into training rows and test rows."""

from __future__ import annotations

from typing import Any

import numpy as np

from microgradx.arrays.types import Array, unwrap
from microgradx.common.randomness import as_generator
from microgradx.data.rows import check_rows

__all__ = ["stratified_split", "train_test_split"]


def stratified_split(
    y: Any, test_size: float, generator: np.random.Generator | None = None
) -> tuple[Array, Array]:
    """Indices of training rows and of test rows, with the same proportions of classes in both.

    `y` holds a label of any kind for each row, and `test_size` is the fraction of rows to test on.
    Of n rows, round(n · test_size) are drawn at random: from each class its share, rounded down,
    and one more from the classes with the largest remainders. Each class has at least one row in
    each part, even if this makes the test part larger or smaller. Both results are ascending.

    >>> train, test = stratified_split(["a"] * 8 + ["b"] * 4, 0.25)
    >>> (test < 8).sum().item(), (test >= 8).sum().item()
    (2, 1)

    Raises ValueError for a test_size that is not between 0 and 1, a `y` that is not
    one-dimensional, no rows, or a class with a single row.
    """
    y = np.asarray(unwrap(y))
    if y.ndim != 1 or y.size == 0:
        raise ValueError(f"y of shape {y.shape} must have one axis, with a label for each row")
    if not 0 < test_size < 1:
        raise ValueError(f"test_size must be between 0 and 1, not {test_size}")
    classes, labels, counts = np.unique(y, return_inverse=True, return_counts=True)
    if np.any(counts < 2):
        rare = classes[counts < 2].tolist()
        examples = ", ".join(map(repr, rare[:5])) + (", …" if len(rare) > 5 else "")
        raise ValueError(
            f"{len(rare)} of {len(classes)} classes have a single row: {examples}; each needs 2 or "
            "more, one for each part: leave such rows out, or find more"
        )
    shares = counts * test_size
    sizes = np.floor(shares).astype(int)
    missing = round(len(y) * test_size) - sizes.sum()
    sizes[np.argsort(sizes - shares, stable=True)[:missing]] += 1
    sizes = np.clip(sizes, 1, counts - 1)
    generator = as_generator(generator)
    is_test = np.zeros(len(y), bool)
    for label, size in enumerate(sizes):
        is_test[generator.permutation(np.flatnonzero(labels == label))[:size]] = True
    return np.flatnonzero(~is_test), np.flatnonzero(is_test)


def train_test_split(
    X: Any,
    y: Any,
    test_size: float = 0.2,
    generator: np.random.Generator | None = None,
    *,
    stratify: bool = True,
) -> tuple[Array, Array, Array, Array]:
    """X_train, X_test, y_train, y_test: rows split by `stratified_split`.

    `stratify=False` ignores the classes, for targets that are not labels.

    >>> X_train, X_test, y_train, y_test = train_test_split(np.ones((10, 3)), [0, 1] * 5)
    >>> X_train.shape, X_test.shape
    ((8, 3), (2, 3))

    Raises ValueError for X and y of different lengths, and where `stratified_split` does.
    """
    X, y = check_rows(X, y)
    labels = y if stratify else np.zeros(len(y), int)  # else all are one class
    train, test = stratified_split(labels, test_size, generator)
    return X[train], X[test], y[train], y[test]
