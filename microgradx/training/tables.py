"""Tables of numbers with a label in each row, read from CSV and NPZ files.

A table from elsewhere is rarely clean. An `InputError` says what is wrong and where; nothing is
guessed, dropped or filled in silently.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from microgradx.arrays.types import Array
from microgradx.common.files import require_file
from microgradx.common.messages import InputError, quote, shorten
from microgradx.common.npz import load_arrays

__all__ = ["TableSchema", "Table", "read_new_rows", "read_table"]


@dataclass(frozen=True)
class TableSchema:
    """The columns of a table: what must be known to read new rows of the same kind."""

    columns: int  # how many features there are
    feature_names: tuple[str, ...] | None = None  # None: the table had no header
    label: str = "label"  # the label column's name ...
    label_position: int = -1  # ... and its position among all columns
    image_shape: tuple[int, int] | None = None  # the features of a row are the pixels of an image

    def feature_name(self, i: int) -> str:
        """The name of a feature, or its number if the table had no header."""
        return self.feature_names[i] if self.feature_names else f"column {i + 1}"


@dataclass(frozen=True)
class Table:
    """Rows of features, with a label for each row.

    features: (rows, columns) of float64, all finite.
    labels: (rows,) of integers, which index `label_names`.
    """

    features: Array
    labels: Array
    label_names: tuple[str, ...]
    schema: TableSchema


def read_table(path: str | Path, label: str | None = None) -> Table:
    """A table from a CSV or NPZ file.

    CSV: numeric columns and a label column, the last or the one that the header calls `label`.
    The first line is a header if no feature in it is a number. Labels may be any text.

    NPZ: an array `X`, of shape (rows, columns) or, for images, (rows, height, width), and an
    array `y`, or one called `label`, of shape (rows,), of integers or text.

    Raises InputError, with line and column, for a file that is missing, damaged or holds anything
    else, and OSError for a file that cannot be read.
    """
    path = _require_table(path)
    return _read_npz(path, label) if path.suffix.lower() == ".npz" else _read_csv(path, label)


def read_new_rows(path: str | Path, schema: TableSchema) -> tuple[Array, list[str] | None]:
    """Features (rows, columns) of a file with the given schema, and its labels if it has them.

    The columns of a CSV file with a header are found by name, in any order, and other columns are
    ignored. Without a header they are found by position. A label may be blank.

    Raises InputError for a file that does not fit.
    """
    path = _require_table(path)
    if path.suffix.lower() == ".npz":
        return _read_new_npz(path, schema)
    return _read_new_csv(path, schema)


def _require_table(path: str | Path) -> Path:
    path = require_file(path)
    if path.suffix.lower() not in (".csv", ".npz"):
        raise InputError(f"{path}: only files whose names end in .csv or .npz can be read")
    return path


# ---------------------------------------------------------------------------- CSV

Line = tuple[int, list[str]]  # line number, cells


def _read_csv(path: Path, label: str | None) -> Table:
    lines = _read_lines(path)
    first = lines[0][1]
    if len(first) < 2:
        raise InputError(
            f"{path}, line {lines[0][0]}: there is one column, {quote(first[0])}; a table needs "
            f"features and a label, separated by commas{_separator_hint(first[0])}"
        )
    position = len(first) - 1
    if label is not None:
        position = _find_label(label, path, lines[0])
    feature_columns = [i for i in range(len(first)) if i != position]
    names: tuple[str, ...] | None = None
    if label is not None or _is_header(path, lines[0], feature_columns):
        names = tuple(first)
        lines = lines[1:]
        _check_names(first, path)
    if not lines:
        raise InputError(f"{path} has a header and no rows")
    features = _parse_numbers(path, lines, feature_columns, names)
    labels = [cells[position] for _, cells in lines]
    for (number, _), text in zip(lines, labels, strict=True):
        if not text:
            raise InputError(f"{_locate(path, number, position, names)}: the label is missing")
    schema = TableSchema(
        columns=len(feature_columns),
        feature_names=tuple(names[i] for i in feature_columns) if names else None,
        label=names[position] if names else "label",
        label_position=position,
    )
    return _encode_table(path, features, labels, schema)


def _read_new_csv(path: Path, schema: TableSchema) -> tuple[Array, list[str] | None]:
    lines = _read_lines(path)
    first = lines[0][1]
    label_at: int | None
    names: tuple[str, ...] | None = None
    if schema.feature_names and set(schema.feature_names) <= set(first):
        _check_names(first, path)
        names = tuple(first)
        feature_columns = [first.index(name) for name in schema.feature_names]
        label_at = first.index(schema.label) if schema.label in first else None
    else:
        with_label = len(first) == schema.columns + 1
        if len(first) != schema.columns and not with_label:
            raise InputError(
                f"{path} has {len(first)} columns, and the model was trained on {schema.columns}"
                f" ({shorten([schema.feature_name(i) for i in range(schema.columns)])})"
            )
        label_at = schema.label_position % len(first) if with_label else None
        feature_columns = [i for i in range(len(first)) if i != label_at]
        if _is_header(path, lines[0], feature_columns):
            if schema.feature_names:
                missing = [name for name in schema.feature_names if name not in first]
                raise InputError(f"{path}: the header lacks {shorten(missing)}")
            names = tuple(first)
    if names:
        lines = lines[1:]
    if not lines:
        raise InputError(f"{path} has a header and no rows")
    features = _parse_numbers(path, lines, feature_columns, names)
    return features, None if label_at is None else [cells[label_at] for _, cells in lines]


def _read_lines(path: Path) -> list[Line]:
    """The lines of a CSV file that are not blank, all with the same number of cells."""
    lines: list[Line] = []
    number = 1
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file, strict=True)
            for cells in reader:
                if any(cell.strip() for cell in cells):
                    lines.append((number, [cell.strip() for cell in cells]))
                number = reader.line_num + 1
    except UnicodeDecodeError:
        raise InputError(
            f"{path} is not text in UTF-8; save it as CSV with that encoding"
        ) from None
    except csv.Error as error:
        raise InputError(f"{path}, line {number}: this is not CSV: {error}") from None
    if not lines:
        raise InputError(f"{path} is empty")
    number, first = lines[0]
    for other, cells in lines:
        if len(cells) != len(first):
            raise InputError(
                f"{path}, line {other}: it has {_count_cells(len(cells))}, and line {number} has "
                f"{_count_cells(len(first))}{_separator_hint(first[0])}"
            )
    return lines


def _separator_hint(cell: str) -> str:
    """A remedy for a table whose separator is not the comma."""
    found = [name for mark, name in ((";", "semicolons"), ("\t", "tabs")) if mark in cell]
    return f" ({found[0]} are not read as separators: save it with commas)" if found else ""


def _is_header(path: Path, line: Line, feature_columns: list[int]) -> bool:
    """Whether the first line has no numbers where rows have their features."""
    number, cells = line
    numeric = [_is_number(cells[i]) for i in feature_columns]
    if any(numeric) and not all(numeric):
        # A row with a mistake, taken for a header, would be lost silently.
        wrong = feature_columns[numeric.index(False)]
        raise InputError(
            f"{_locate(path, number, wrong, None)}: {_describe_cell(cells[wrong])}; if the line "
            "is a header, give the label column with --label NAME"
        )
    return not any(numeric)


def _find_label(label: str, path: Path, line: Line) -> int:
    number, cells = line
    if cells.count(label) == 1:
        return cells.index(label)
    if label in cells:
        raise InputError(f"{path}, line {number}: several columns are called {quote(label)}")
    raise InputError(
        f"{path}, line {number}: no column is called {quote(label)}; there are {shorten(cells)}"
    )


def _check_names(names: Sequence[str], path: Path) -> None:
    for i, name in enumerate(names):
        if not name:
            raise InputError(
                f"{path}: column {i + 1} has no name in the header; if it only counts the rows, "
                "save the table without it (pandas: to_csv(…, index=False)), else name it"
            )
        if name in names[:i]:
            raise InputError(
                f"{path}: columns {names.index(name) + 1} and {i + 1} are both called "
                f"{quote(name)}; names must differ"
            )


def _parse_numbers(
    path: Path, lines: list[Line], feature_columns: list[int], names: tuple[str, ...] | None
) -> Array:
    """The given columns as an array (rows, columns) of float64."""
    features = np.empty((len(lines), len(feature_columns)))
    for row, (number, cells) in enumerate(lines):
        for column, i in enumerate(feature_columns):
            if not _is_number(cells[i]):
                raise InputError(f"{_locate(path, number, i, names)}: {_describe_cell(cells[i])}")
            features[row, column] = float(cells[i])
            if not math.isfinite(features[row, column]):
                raise InputError(
                    f"{_locate(path, number, i, names)}: {quote(cells[i])} is not a finite number"
                )
    return features


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return "_" not in cell  # 1_000 is a number to Python only


def _locate(path: Path, line: int, column: int, names: tuple[str, ...] | None) -> str:
    name = f" ({quote(names[column])})" if names else ""
    return f"{path}, line {line}, column {column + 1}{name}"


def _describe_cell(cell: str) -> str:
    return f"{quote(cell)} is not a number" if cell else "the cell is empty"


def _count_cells(n: int) -> str:
    return f"{n} cell" if n == 1 else f"{n} cells"


# ---------------------------------------------------------------------------- NPZ


def _read_npz(path: Path, label: str | None) -> Table:
    name = "y" if label is None else label
    arrays, there = load_arrays(path, "X", name)
    features, image_shape = _flatten_features(path, arrays, there)
    if name not in arrays:
        raise InputError(
            f"{path}: no array is called {quote(name)}; there are {there}; give the array of "
            "labels with --label NAME"
        )
    labels = _label_texts(path, name, arrays[name], len(features))
    schema = TableSchema(features.shape[1], label=name, image_shape=image_shape)
    return _encode_table(path, features, labels, schema)


def _read_new_npz(path: Path, schema: TableSchema) -> tuple[Array, list[str] | None]:
    arrays, there = load_arrays(path, "X", schema.label, "y")
    features, _ = _flatten_features(path, arrays, there)
    if features.shape[1] != schema.columns:
        raise InputError(
            f"{path}: X has {features.shape[1]} features in a row, and the model was trained on "
            f"{schema.columns}"
        )
    name = schema.label if schema.label in arrays else "y"
    if name not in arrays:
        return features, None
    return features, _label_texts(path, name, arrays[name], len(features))


def _flatten_features(
    path: Path, arrays: dict[str, Array], there: str
) -> tuple[Array, tuple[int, int] | None]:
    if "X" not in arrays:
        raise InputError(f"{path}: no array is called 'X'; there are {there}")
    x = arrays["X"]
    if x.dtype.kind not in "fiub" or x.ndim not in (2, 3) or x.size == 0:
        raise InputError(
            f"{path}: X must be numbers of shape (rows, columns) or (rows, height, width), not "
            f"{x.dtype} of shape {x.shape}"
        )
    with np.errstate(over="ignore"):
        features = x.reshape(len(x), -1).astype(np.float64)
    if not np.all(np.isfinite(features)):
        place = tuple(int(i) for i in np.argwhere(~np.isfinite(x))[0])
        raise InputError(f"{path}: X{list(place)} is {x[place]}, not a finite number")
    return features, x.shape[1:] if x.ndim == 3 else None


def _label_texts(path: Path, name: str, labels: Array, rows: int) -> list[str]:
    if labels.shape != (rows,):
        raise InputError(
            f"{path}: {name} must have one label for each row of X, shape {(rows,)}, not "
            f"{labels.shape}"
        )
    if labels.dtype.kind == "f" and np.all(labels == np.floor(labels)):
        labels = labels.astype(np.int64)
    if labels.dtype.kind not in "iubU":
        raise InputError(f"{path}: {name} must be integers or text, not {labels.dtype}")
    return [str(label) for label in labels.tolist()]


# ---------------------------------------------------------------------------- labels


def _encode_table(path: Path, features: Array, labels: list[str], schema: TableSchema) -> Table:
    """The table with labels as integers, in their natural order; each class needs two rows."""
    names, counts = np.unique(np.array(labels, dtype=object), return_counts=True)
    rows = dict(zip(names.tolist(), counts.tolist(), strict=True))
    if len(rows) == 1:
        raise InputError(
            f"{path}: every row has the same label, {quote(labels[0])}, so there is nothing to "
            "learn"
        )
    rare = [name for name, count in rows.items() if count < 2]
    if rare:
        raise InputError(
            f"{path}: too few rows with the label {shorten(rare)}; each needs at least 2, one to "
            "learn from and one to hold out"
        )
    ordered = sorted(rows, key=int if all(map(_is_integer, rows)) else str)
    index = {name: i for i, name in enumerate(ordered)}
    encoded = np.array([index[label] for label in labels], dtype=np.int64)
    return Table(features, encoded, tuple(ordered), schema)


def _is_integer(text: str) -> bool:
    try:
        int(text)
    except ValueError:
        return False
    return True
