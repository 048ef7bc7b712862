"""Features of any kind as an array, checked, and with the columns that a model was fitted on."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from microgradx.arrays.types import Array, as_array, fits_dtype, unwrap
from microgradx.common.messages import quote, shorten, warn_caller
from microgradx.data.frames import column_names, is_frame, numeric_columns
from microgradx.data.tables import Table, TableEncoder, read_new_rows
from microgradx.nn.module import Module
from microgradx.training.targets import Task

__all__ = ["FittedData", "NotFiniteError", "encode_rows", "fitted_data", "read_features"]


class NotFiniteError(ValueError):
    """Features are NaN or infinite; the message names the columns."""


@dataclass(frozen=True, eq=False)
class FittedData:
    """What a model remembers of the data that it was fitted on, as its attribute `fitted_data`.

    columns: the names of the features' columns, if they came in a data frame.
    width: the number of columns, if the features were a table.
    task: what its outputs mean, and the classes.
    loss: the loss of the training.
    encoder: what turns a `Table` into features, if the model was fitted on one.
    """

    columns: tuple[str, ...] | None
    width: int | None
    task: Task
    loss: Any
    encoder: TableEncoder | None = None

    @property
    def classes(self) -> Array | None:
        return self.task.classes


def fitted_data(model: Any) -> FittedData | None:
    """What a model remembers of the data that it was fitted on."""
    found: FittedData | None = (
        vars(model).get("fitted_data") if hasattr(model, "__dict__") else None
    )
    return found


def read_features(
    X: Any, model: Module, fitted: FittedData | None = None
) -> tuple[Array, tuple[str, ...] | None]:
    """Features as an array of finite numbers, and the names of their columns if they have some.

    A data frame is read by the names of the columns that the model was fitted on, in whatever order
    it has them; others are ignored. Floats are cast to the dtype of the parameters. Raises
    ValueError for missing columns, NaN and infinities, and names all of them.
    """
    if fitted is not None and fitted.encoder is not None:
        classes = [] if fitted.classes is None else fitted.classes.tolist()
        return _cast(encode_rows(X, fitted.encoder, classes), model), None
    if isinstance(X, Table):
        raise ValueError(
            "the model was not fitted on a Table, and so has no encoder of its columns; give an "
            "array, or a data frame of numbers"
        )
    columns, width = (fitted.columns, fitted.width) if fitted else (None, None)
    names: tuple[str, ...] | None = None
    if is_frame(X):
        names = column_names(X)
        if columns is not None:
            missing = [name for name in columns if name not in names]
            if missing:
                one = len(missing) == 1
                raise ValueError(
                    f"the column{'s' * (not one)} {shorten(missing)} {'is' if one else 'are'} "
                    f"missing, and the model was fitted on {'it' if one else 'them'}; there are "
                    f"{shorten(names)}"
                )
            names = columns
        array = numeric_columns(X, names)
    else:
        array = _as_numbers(X)
    if array.ndim == 0:
        raise ValueError("X must have rows, its first axis, and is a single number")
    if width is not None and array.ndim == 1:
        raise ValueError(
            f"X of shape {array.shape} has no columns, and the model was fitted on {width}; for a "
            "single row write [row]"
        )
    if len(array) == 0:
        raise ValueError(f"X of shape {array.shape} has no rows; give at least one")
    if width is not None and array.ndim == 2 and array.shape[1] != width:
        raise ValueError(
            f"X has {array.shape[1]} columns, and the model was fitted on {width}; give the same "
            "columns in the same order, or a data frame, whose columns are found by their names"
        )
    _check_finite(array, names or columns)
    return _cast(array, model), names


def encode_rows(X: Any, encoder: TableEncoder, label_names: Sequence[str]) -> Array:
    """The rows of a table, a file, a data frame, or of numbers as a table has them, encoded."""
    if is_frame(X) or isinstance(X, (str, os.PathLike)):
        X = read_new_rows(X, encoder.schema, label_names)
    if isinstance(X, Table):
        for column, unseen in encoder.unseen(X).items():
            warn_caller(
                f"{quote(column)} has categories that the training rows did not have, "
                f"{shorten(unseen)}; they count as none"
            )
    return encoder.transform(X)


def _as_numbers(X: Any) -> Array:
    """An array of numbers; of a table in lists or of objects, with NaN for what is missing."""
    if hasattr(X, "toarray"):
        raise TypeError(f"X is sparse, {type(X).__name__}; write X.toarray()")
    unwrapped = unwrap(X)
    try:
        array = np.asarray(unwrapped) if isinstance(unwrapped, (list, tuple)) else unwrapped
    except ValueError:
        raise ValueError(
            "X has rows of different lengths; each must have the same number of features"
        ) from None
    if getattr(getattr(array, "dtype", None), "kind", "") in "OUS" and np.ndim(array) == 2:
        columns = {str(k): list(column) for k, column in enumerate(np.asarray(X, object).T)}
        return numeric_columns(columns, [*columns])
    try:
        return as_array(array)
    except TypeError as error:
        raise TypeError(f"X must hold numbers: {error}") from None


def _check_finite(array: Array, names: tuple[str, ...] | None) -> None:
    """Raise ValueError that names all columns with NaN or infinities, and counts them."""
    if array.dtype.kind != "f" or bool(np.all(np.isfinite(array))):
        return
    array = np.asarray(array)
    missing, infinite = np.isnan(array), np.isinf(array)
    wrong = missing | infinite
    rows = np.flatnonzero(wrong.reshape(len(array), -1).any(axis=1))
    found = []
    if array.ndim == 2:
        for column in np.flatnonzero(wrong.any(axis=0)).tolist():
            name = quote(names[column]) if names else f"column {column}"
            counts = [
                f"{np.count_nonzero(kind[:, column])} {what}"
                for kind, what in ((missing, "NaN"), (infinite, "infinite"))
                if np.any(kind[:, column])
            ]
            found.append(f"{name} ({', '.join(counts)})")
        listed = ", ".join(found[:20]) + (
            f" and {len(found) - 20} more columns" * (len(found) > 20)
        )
    else:
        listed = (
            f"{np.count_nonzero(missing)} NaN and {np.count_nonzero(infinite)} infinite numbers"
        )
    raise NotFiniteError(
        f"X has numbers that are not finite, in {len(rows)} of {len(array)} rows, the first in row "
        f"{rows[0]}: {listed}; leave such rows or columns out, or fill in numbers, such as the "
        "mean of the column"
        + (
            "; microgradx.read_table(frame, label=…) makes a Table of the data frame, for which "
            "fit does so"
        )
        * bool(names)
    )


def _cast(array: Array, model: Module) -> Array:
    """Floats in the dtype of the parameters, as layers compute in it."""
    dtypes = {parameter.dtype for parameter in model.parameters()}
    if array.dtype.kind != "f" or len(dtypes) != 1:
        return array
    dtype = dtypes.pop()
    if not fits_dtype(array, dtype):
        raise ValueError(
            f"X has numbers that are too large for the parameters' dtype, {dtype}: up to "
            f"{np.max(np.abs(array)):g}; standardise its columns, with "
            "microgradx.data.StandardScaler say"
        )
    return array.astype(dtype, copy=False)
