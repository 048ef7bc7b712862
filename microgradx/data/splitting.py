"""Rows to learn from, and rows held out to test on."""

from __future__ import annotations

from typing import Any

import numpy as np

from microgradx.arrays.types import Array, unwrap
from microgradx.common.randomness import as_generator
from microgradx.data.rows import paired_rows

__all__ = ["stratified_split", "train_test_split"]


def stratified_split(
    y: Any, test_size: float, generator: np.random.Generator | None = None
) -> tuple[Array, Array]:
    """Indices of training rows and of test rows, with the classes in both in the same proportions.

    `y` holds a label for each row, of any kind. Of n rows, round(n · test_size) are drawn for
    the test; each class gives its share of them, rounded down, and the places still free go to
    those with the largest remainders. Each class has at least one row in each part, if need be
    beyond that number. Both results are in ascending order.

    >>> train, test = stratified_split(["a"] * 8 + ["b"] * 4, 0.25)
    >>> (test < 8).sum().item(), (test >= 8).sum().item()
    (2, 1)

    Raises ValueError for a fraction that is not between 0 and 1, a `y` with other than one axis,
    no rows, or a class with a single row.
    """
    y = np.asarray(unwrap(y))
    if y.ndim != 1 or y.size == 0:
        raise ValueError(f"y of shape {y.shape} must have one axis, with a label for each row")
    if not 0 < test_size < 1:
        raise ValueError(f"test_size must be between 0 and 1, not {test_size}")
    classes, members, counts = np.unique(y, return_inverse=True, return_counts=True)
    if np.any(counts < 2):
        alone = classes[counts < 2].tolist()
        shown = ", ".join(map(repr, alone[:5])) + (", …" if len(alone) > 5 else "")
        raise ValueError(
            f"{len(alone)} of {len(classes)} classes have a single row: {shown}; each needs 2 or "
            "more, one for each part: leave such rows out, or find more"
        )
    shares = counts * test_size
    sizes = np.floor(shares).astype(int)
    free = round(len(y) * test_size) - sizes.sum()
    sizes[np.argsort(sizes - shares, stable=True)[:free]] += 1
    sizes = np.clip(sizes, 1, counts - 1)
    generator = as_generator(generator)
    tested = np.zeros(len(y), bool)
    for label, size in enumerate(sizes):
        tested[generator.permutation(np.flatnonzero(members == label))[:size]] = True
    return np.flatnonzero(~tested), np.flatnonzero(tested)


def train_test_split(
    X: Any,
    y: Any,
    test_size: float = 0.2,
    generator: np.random.Generator | None = None,
    *,
    stratify: bool = True,
) -> tuple[Array, Array, Array, Array]:
    """X_train, X_test, y_train, y_test: the rows, drawn as by `stratified_split`.

    `stratify=False` pays no regard to `y`, for targets that are not labels.

    >>> X_train, X_test, y_train, y_test = train_test_split(np.ones((10, 3)), [0, 1] * 5)
    >>> X_train.shape, X_test.shape
    ((8, 3), (2, 3))

    Raises ValueError for X and y of different lengths, and as `stratified_split`.
    """
    X, y = paired_rows(X, y)
    labels = y if stratify else np.zeros(len(y), int)  # without labels, all are of one class
    train, test = stratified_split(labels, test_size, generator)
    return X[train], X[test], y[train], y[test]
