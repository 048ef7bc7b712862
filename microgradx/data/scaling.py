"""Standardisation: columns scaled to mean 0 and standard deviation 1."""

from __future__ import annotations

from typing import Any

import numpy as np

from microgradx.arrays.types import Array, as_array, unwrap

__all__ = ["StandardScaler"]


class StandardScaler:
    """(x - mean) / scale for each column, with mean and standard deviation of the training rows.

    `fit` computes `mean` and `scale`, float64 arrays with one number for each column, which can
    also be passed in. A constant column has scale 1. Test rows are transformed with the mean and
    scale of the training rows: fitting on test rows would leak them into the model.

    >>> scaler = StandardScaler().fit([[1.0, 5.0], [3.0, 5.0]])
    >>> scaler.transform([[1.0, 5.0], [4.0, 6.0]])
    array([[-1.,  0.],
           [ 2.,  1.]])

    Raises ValueError for data that are not a table, have no rows, contain NaN or infinity, or have
    another number of columns than were fitted, and for `transform` before `fit`.
    """

    mean: Array
    scale: Array

    def __init__(self, mean: Any = None, scale: Any = None) -> None:
        self.mean = None if mean is None else as_array(mean, np.float64).copy()
        self.scale = None if scale is None else as_array(scale, np.float64).copy()

    def fit(self, X: Any) -> StandardScaler:
        """Compute mean and standard deviation of the rows of X; returns the scaler itself."""
        X = _check_table(X)
        if len(X) == 0:
            raise ValueError(f"X of shape {X.shape} has no rows to compute mean and deviation of")
        deviation = X.std(axis=0)
        # Rounding of the mean can leave a constant column a deviation just above 0.
        constant = (X.max(axis=0) == X.min(axis=0)) | (deviation == 0)
        self.mean = X.mean(axis=0)
        self.scale = np.where(constant, 1.0, deviation)
        return self

    def transform(self, X: Any) -> Array:
        """The standardised rows of X, a new float64 array."""
        if self.mean is None or self.scale is None:
            raise ValueError("this StandardScaler has no mean and scale yet; call fit(X) first")
        X = _check_table(X)
        if X.shape[1:] != self.mean.shape:
            raise ValueError(
                f"X of shape {X.shape} has {X.shape[1]} columns, and the rows that were fitted had "
                f"{len(self.mean)}; give the same columns in the same order"
            )
        return (X - self.mean) / self.scale


def _check_table(X: Any) -> Array:
    """X as a float64 table; raises ValueError if it is not one, or not finite."""
    X = as_array(unwrap(X), np.float64)
    if X.ndim != 2:
        raise ValueError(f"X of shape {X.shape} must be a table: (rows, columns)")
    if not np.all(np.isfinite(X)):
        row, column = np.argwhere(~np.isfinite(X))[0].tolist()
        raise ValueError(
            f"X has {X[row, column]} in row {row}, column {column}; leave such rows out, or "
            "fill in numbers"
        )
    return X
