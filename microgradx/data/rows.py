"""The check that features and targets have the same rows."""

from __future__ import annotations

from typing import Any

import numpy as np

from microgradx.arrays.types import Array, unwrap

__all__ = ["check_rows"]


def check_rows(X: Any, y: Any) -> tuple[Array, Array]:
    """X and y as arrays; raises ValueError unless they have the same number of rows, at least one.

    >>> X, y = check_rows([[1.0, 2.0], [3.0, 4.0]], [0, 1])
    >>> X.shape, y.shape
    ((2, 2), (2,))
    """
    X, y = np.asarray(unwrap(X)), np.asarray(unwrap(y))
    if X.ndim == 0 or y.ndim == 0 or len(X) != len(y):
        raise ValueError(
            f"X of shape {X.shape} and y of shape {y.shape} must have the same number of rows, "
            "their first axis"
        )
    if len(X) == 0:
        raise ValueError(f"X of shape {X.shape} and y of shape {y.shape} have no rows; give some")
    return X, y
