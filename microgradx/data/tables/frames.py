"""Data frames of pandas and polars, and the files that pandas reads into them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import date, time, timedelta
from decimal import Decimal
from numbers import Real
from pathlib import Path
from typing import Any

import numpy as np

from microgradx.arrays.types import Array
from microgradx.common.messages import InputError
from microgradx.data.frames import is_missing
from microgradx.data.tables.columns import Column, Sheet, find_decimal_hint

__all__ = ["FRAME_SUFFIXES", "read_frame_file", "sheet_of_frame"]

#: Files that pandas reads, by their ending, and what it needs for them.
FRAME_SUFFIXES = {
    ".parquet": ("read_parquet", "pyarrow"),
    ".feather": ("read_feather", "pyarrow"),
    ".xlsx": ("read_excel", "openpyxl"),
    ".xls": ("read_excel", "xlrd"),
    ".ods": ("read_excel", "odfpy"),
}


def sheet_of_frame(frame: Any, source: str = "the data frame") -> Sheet:
    """The columns of a data frame, without its index."""
    if isinstance(frame, Mapping):
        columns = [_make_column(str(n), frame[n], i) for i, n in enumerate(frame)]
        return Sheet(source, columns, has_header=True, decimal=find_decimal_hint(columns))
    if not len(frame) or not len(frame.columns):
        raise InputError(f"{source} is empty: it has {len(frame)} rows")
    columns = []
    for i, name in enumerate(frame.columns):
        series = frame.iloc[:, i] if hasattr(frame, "iloc") else frame.to_series(i)
        columns.append(_make_column(str(name), series, i))
    return Sheet(source, columns, has_header=True, decimal=find_decimal_hint(columns))


def _make_column(name: str, series: Any, position: int) -> Column:
    numbers = _as_numbers(series)
    if numbers is not None:
        return Column(name, position, numbers=numbers)
    values = series.to_list() if hasattr(series, "to_list") else list(series)
    return Column(name, position, cells=["" if is_missing(x) else _as_text(x) for x in values])


def _as_numbers(series: Any) -> Array | None:
    """A column of numbers as float64, with NaN for missing; None for any other.

    Numbers among None, and decimal numbers, come as objects: as texts they could be misread.
    """
    try:
        array = np.asarray(series)
    except (TypeError, ValueError):
        return None
    if array.dtype.kind == "O" and array.ndim == 1:
        present = [x for x in array.tolist() if not is_missing(x)]
        if not present or not all(map(_is_number, present)):
            return None
        array = np.array([math.nan if is_missing(x) else float(x) for x in array.tolist()])
    return array.astype(np.float64) if array.dtype.kind in "iuf" else None


def _is_number(value: Any) -> bool:
    return isinstance(value, (Real, Decimal)) and not isinstance(value, bool)


def _as_text(value: Any) -> str:
    """A cell as a text file would have it."""
    if isinstance(value, float) and value == value // 1:
        return str(int(value))  # pandas turns integers beside a missing value into floats
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        return f"{value.seconds // 3600:02}:{value.seconds // 60 % 60:02}"
    return str(value).strip()


def read_frame_file(path: Path) -> Sheet:
    """The columns of a file that pandas reads, such as a spreadsheet."""
    function, package = FRAME_SUFFIXES[path.suffix.lower()]
    try:
        import pandas

        frame = getattr(pandas, function)(path)
    except ImportError:
        raise InputError(
            f"{path}: files of this kind are read by pandas with {package}, and one of them is not "
            f"installed: pip install pandas {package}, or save the table as CSV"
        ) from None
    except Exception as error:  # each of these readers has errors of its own
        message = " ".join(str(error).split())
        raise InputError(f"{path} cannot be read by pandas: {message}; save it as CSV") from error
    return sheet_of_frame(frame, str(path))
