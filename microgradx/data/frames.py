"""Data frames of pandas and polars: their columns as arrays of numbers, without importing either.

A dict of columns counts as a data frame too.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from microgradx.arrays.types import Array
from microgradx.common.messages import quote, shorten

__all__ = ["as_label_array", "check_indexes", "column_names", "is_frame", "numeric_columns"]


def _class_of(library: str, *names: str) -> tuple[Any, ...]:
    """The classes of a library, if it was imported: else nothing can be an instance of them."""
    module = sys.modules.get(library)
    return tuple(getattr(module, name) for name in names if hasattr(module, name))


def is_frame(data: Any) -> bool:
    """Whether `data` has columns with names: of pandas, of polars, or a dict.

    >>> is_frame({"width": [1.0, 2.0]}), is_frame(np.ones((2, 1)))
    (True, False)

    Raises TypeError for a polars LazyFrame, which has no rows yet.
    """
    if isinstance(data, _class_of("polars", "LazyFrame")):
        raise TypeError("a LazyFrame of polars has no rows yet; write frame.collect()")
    frames = (*_class_of("pandas", "DataFrame"), *_class_of("polars", "DataFrame"))
    return isinstance(data, (Mapping, *frames))


def is_series(data: Any) -> bool:
    """Whether `data` is a column of pandas or polars."""
    kinds = *_class_of("pandas", "Series", "Index", "Categorical"), *_class_of("polars", "Series")
    return isinstance(data, kinds)


def check_indexes(**data: Any) -> None:
    """Raise ValueError if objects of pandas have indexes that differ, so rows do not belong
    together."""
    kinds = _class_of("pandas", "DataFrame", "Series")
    indexed = [(name, x.index) for name, x in data.items() if kinds and isinstance(x, kinds)]
    for name, index in indexed[1:]:
        first, expected = indexed[0]
        if len(index) == len(expected) and not index.equals(expected):
            pairs = zip(expected.tolist(), index.tolist(), strict=True)
            row, one, other = next((i, a, b) for i, (a, b) in enumerate(pairs) if a != b)
            raise ValueError(
                f"{first} and {name} have different indexes, {one!r} and {other!r} in row {row}; "
                "bring their rows into one order, by .loc[index], or write .to_numpy() where they "
                "belong together by position"
            )


def column_names(frame: Any) -> tuple[str, ...]:
    """The names of the columns, as texts. Raises ValueError if two are the same."""
    names = [str(name) for name in (frame if isinstance(frame, Mapping) else frame.columns)]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(
            f"several columns are called {shorten(twice)}; give each a name of its own"
        )
    return tuple(names)


def select_column(frame: Any, name: str) -> Any:
    """The column whose name, as a text, is `name`."""
    keys = list(frame) if isinstance(frame, Mapping) else list(frame.columns)
    return frame[keys[[str(key) for key in keys].index(name)]]


def numeric_columns(frame: Any, names: Sequence[str]) -> Array:
    """The columns `names` of a data frame as an array (rows, columns); missing values are NaN.

    Raises ValueError that lists all columns that have no numbers: texts, dates and the like.

    >>> numeric_columns({"a": [1, 2], "b": [0.5, None]}, ["b", "a"])
    array([[0.5, 1. ],
           [nan, 2. ]])
    """
    columns, others = [], []
    if isinstance(frame, Mapping):
        check_indexes(**{quote(name): select_column(frame, name) for name in names})
    for name in names:
        column = select_column(frame, name)
        if np.ndim(column) == 0:
            raise ValueError(
                f"the column {quote(name)} is a single value; give a list of values, one for a row"
            )
        values = _as_numbers(column)
        if values is None:
            others.append(name)
        else:
            columns.append(values)
    if others:
        one = len(others) == 1
        raise ValueError(
            f"the column{'s' * (not one)} {shorten(others)} {'has' if one else 'have'} no numbers "
            "but texts, dates or other objects; leave them out, turn them into numbers, or let "
            "microgradx.read_table read the table, which encodes categories"
        )
    lengths = {name: len(values) for name, values in zip(names, columns, strict=True)}
    if len(set(lengths.values())) > 1:
        listed = ", ".join(f"{quote(name)} {length}" for name, length in lengths.items())
        raise ValueError(f"columns must have the same number of rows, and have: {listed}")
    return np.stack(columns, axis=1) if columns else np.empty((0, 0))


def _as_numbers(column: Any) -> Array | None:
    """A column as numbers, with NaN for what is missing; None if it has no numbers."""
    if is_series(column):
        if isinstance(column, _class_of("polars", "Series")):
            if not (column.dtype.is_numeric() or column.dtype == _polars_type("Boolean")):
                return None if len(column.drop_nulls()) else np.full(len(column), np.nan)
            if column.null_count() or column.dtype.is_decimal():
                column = column.cast(_polars_type("Float64"))
        elif column.dtype.kind in "fiub" and column.isna().any():
            return np.asarray(column.to_numpy(dtype=np.float64, na_value=np.nan))
        elif column.dtype.kind in "iub" and not isinstance(column.dtype, np.dtype):
            return np.asarray(column.to_numpy(dtype=column.dtype.numpy_dtype))
        column = column.to_numpy()
    values = np.asarray(column)
    if values.dtype.kind == "O":  # numbers among None, as in lists and old data frames
        if any(isinstance(value, str) for value in values.flat):
            return None
        try:
            values = np.array([np.nan if is_missing(v) else v for v in values.flat], np.float64)
        except (TypeError, ValueError):
            return None
    return values if values.dtype.kind in "fiub" and values.ndim == 1 else None


def _polars_type(name: str) -> Any:
    return getattr(sys.modules["polars"], name)


def is_missing(value: Any) -> bool:
    """Whether a value stands for none: None, NaN, NaT, or pandas' NA.

    >>> [is_missing(value) for value in (None, float("nan"), np.datetime64("NaT"), "", 0)]
    [True, True, True, False, False]
    """
    if value is None or type(value).__name__ == "NAType":
        return True
    if isinstance(value, (str, bytes)):
        return False
    try:
        return bool(value != value)
    except (TypeError, ValueError):
        return False


def as_label_array(labels: Any) -> Array:
    """Labels as an array: of a list, an array, or a column of a data frame.

    Those that are texts become an array of texts; what is missing is left, for a check to find.
    """
    if is_series(labels):
        labels = labels.to_list() if hasattr(labels, "to_list") else list(labels)
    try:
        return np.asarray(labels) if not isinstance(labels, list) else _from_list(labels)
    except ValueError:
        raise ValueError(
            "labels have rows of different lengths; give one label for a row"
        ) from None


def _from_list(values: list[Any]) -> Array:
    kinds = set(map(type, values))
    mixed = any(issubclass(kind, str) for kind in kinds) and len(kinds) > 1
    # NumPy would write 1 as "1", and None as "None".
    return np.array(values, dtype=object) if mixed or type(None) in kinds else np.asarray(values)
