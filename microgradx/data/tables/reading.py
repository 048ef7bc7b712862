"""Tables from files and data frames.

A table from elsewhere is rarely clean. Nothing is guessed, left out or filled in silently: what
was done is a note of the table, and what cannot be used is an `InputError`, which names all of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np

from microgradx.arrays.types import Array
from microgradx.common.files import require_file
from microgradx.common.messages import InputError, quote, shorten
from microgradx.data.frames import is_frame
from microgradx.data.tables.arrays import ArrayTable, read_arrays
from microgradx.data.tables.cells import is_missing
from microgradx.data.tables.columns import (
    Column,
    Problems,
    Sheet,
    Values,
    drop_option,
    find_decimal_hint,
    interpret,
)
from microgradx.data.tables.frames import (
    FRAME_SUFFIXES,
    read_frame_file,
    sheet_of_frame,
)
from microgradx.data.tables.headers import has_header
from microgradx.data.tables.images import (
    check_image_shape,
    describe_shape,
    parse_image_shape,
    recognise_image,
)
from microgradx.data.tables.labels import encode_labels, find_column, find_label, has_label
from microgradx.data.tables.schema import Dropped, Missing, TableSchema
from microgradx.data.tables.suspicions import find_suspicions, propose_image
from microgradx.data.tables.table import Table
from microgradx.data.tables.text_files import list_numbers, read_grid

__all__ = ["read_table", "sheet_of_arrays", "sheet_of_file"]


def read_table(
    source: Any,
    label: str | int | None = None,
    *,
    drop: str | int | Iterable[str | int] = (),
    missing: Missing = "mean",
    header: bool | None = None,
    image: str | Sequence[int] | None = None,
    features: str | None = None,
) -> Table:
    """A table from a file, or from a data frame of pandas or polars.

    source: a text file with any separator (.csv, .tsv, .data, .txt, .csv.gz and so on), an NPZ
        file, a file that pandas reads (.xlsx, .parquet), or a data frame.
    label: the name of the label column, or its position, from 1 on. Without it, the column that is
        called label, target, class or y, or else the last. In an NPZ file, the name of an array.
    drop: columns to leave out, by name or position.
    missing: what becomes of missing values. "mean": the column's mean instead, and no category.
        "indicator": that too, and for each such column another one that says where. "drop": rows
        with missing values are left out.
    header: whether the first line has the names of the columns; by default that is recognised.
    image: the shape of the images whose pixels are the columns, such as "28x28".
    features: the name of the array of features in an NPZ file.

    Rows without a label are left out. Raises InputError for what cannot be used, all of it at
    once, and OSError for a file that cannot be read.

    >>> import tempfile, os
    >>> path = os.path.join(tempfile.mkdtemp(), "animals.data")
    >>> with open(path, "w") as file:
    ...     _ = file.write("kind;legs;tame\\ncat;4;yes\\ncow;4;?\\nhen;2;yes\\nowl;2;no\\n" * 1)
    >>> print(read_table(path, drop="kind", label="legs"))
    Label      'legs': 2 classes: '2' 2, '4' 2
    Features   tame  boolean   0 to 1; 1 missing, the mean instead
    Left out   'kind': asked for
    """
    if missing not in get_args(Missing):
        raise InputError(f"missing must be mean, drop or indicator, not {missing!r}")
    drops = [drop] if isinstance(drop, str | int) else list(drop)
    shape = parse_image_shape(image) if isinstance(image, str) else image
    if not is_frame(source) and Path(source).suffix.lower() == ".npz":
        if drops or header is not None:
            raise InputError(f"{source}: drop and header are for tables with columns, not for NPZ")
        name = None if label is None else str(label)
        arrays = read_arrays(require_file(source), name, features)
        sheet, target = sheet_of_arrays(str(source), arrays)
        why = ""
        shape = arrays.image_shape if shape is None else shape
        dropped: list[Dropped] = []
    else:
        if features is not None:
            raise InputError("--features is the array of features in an NPZ file, and this is none")
        sheet = sheet_of_frame(source) if is_frame(source) else sheet_of_file(source, label, header)
        dropped = _find_dropped(sheet, drops)
        sheet = _without(sheet, dropped)
        dropped += _find_row_names(sheet)
        sheet = _without(sheet, dropped)
        if len(sheet.columns) < 2:
            raise InputError(_one_column(sheet))
        target, why = find_label(sheet, label, dropped)
        sheet.columns = [column for column in sheet.columns if column is not target]
        _require_different_names(sheet, target)
    return _make_table(sheet, target, why, dropped, missing, shape)


def sheet_of_file(
    path: Any, label: str | int | None, header: bool | None, known: Sequence[str] = ()
) -> Sheet:
    """The columns of a text file, or of one that pandas reads.

    known: the names that a header must have, if it is one of new rows.
    """
    path = require_file(path)
    if path.suffix.lower() in FRAME_SUFFIXES:
        return read_frame_file(path)
    grid = read_grid(path)
    has_names = grid.has_names or header
    if has_names is None:
        has_names = has_header(str(path), grid, label, known)
    names = [name or None for name in grid.rows[0]] if has_names else [None] * grid.width
    rows, lines = (grid.rows[1:], grid.lines[1:]) if has_names else (grid.rows, grid.lines)
    if not rows:
        raise InputError(f"{path} has a header and no rows")
    columns = [
        Column(name, i, cells=cells)
        for i, (name, cells) in enumerate(zip(names, zip(*rows, strict=True), strict=True))
    ]
    decimal = find_decimal_hint(columns, grid.separator)
    return Sheet(str(path), columns, has_names, np.array(lines), decimal, grid.remarks)


def sheet_of_arrays(source: str, arrays: ArrayTable) -> tuple[Sheet, Column]:
    columns = [Column(None, i, numbers=column) for i, column in enumerate(arrays.features.T)]
    target = Column(arrays.label_name, -1, cells=arrays.labels or [])
    return Sheet(source, columns, has_header=False, remarks=arrays.remarks), target


def _without(sheet: Sheet, dropped: list[Dropped]) -> Sheet:
    positions = {column.position for column in dropped}
    columns = [column for column in sheet.columns if column.position not in positions]
    if not columns:
        raise InputError(f"{sheet.source}: all columns are left out; keep a label and a feature")
    return replace(sheet, columns=columns)


def _find_dropped(sheet: Sheet, drops: Sequence[str | int]) -> list[Dropped]:
    """The columns to leave out; all of a name, and a text with commas may name several."""
    dropped: dict[int, Dropped] = {}
    titles = {column.name for column in sheet.columns}
    for given in drops:
        is_list = isinstance(given, str) and given not in titles and "," in given
        for name in str(given).split(",") if is_list else (given,):
            alike = [column for column in sheet.columns if column.name == str(name).strip()]
            for column in alike or [find_column(sheet, name, "--drop")]:
                dropped[column.position] = Dropped(column.position, column.title, "asked for")
    return list(dropped.values())


def _find_row_names(sheet: Sheet) -> list[Dropped]:
    """Columns without a name in a header that has others: the names or numbers of rows."""
    found = []
    for column in sheet.columns if sheet.has_header else ():
        is_unnamed = column.name is None or column.name.startswith("Unnamed: ")
        if is_unnamed and len(column) > 1 and len(column.texts) == len(column):
            found.append(Dropped(column.position, column.title, "names or numbers of the rows"))
    return found


def _one_column(sheet: Sheet) -> str:
    return (
        f"{sheet.source}: there is one column, {quote(sheet.columns[0].title)}"
        f" with {quote(sheet.columns[0].texts[0])}; a table needs features and a label, with "
        "commas, semicolons, tabs, pipes or spaces between them"
    )


def _require_different_names(sheet: Sheet, target: Column) -> None:
    named = [column for column in (*sheet.columns, target) if column.name]
    positions: dict[str, list[int]] = {}
    for column in named:
        positions.setdefault(column.name or "", []).append(column.position + 1)
    twice = {name: where for name, where in positions.items() if len(where) > 1}
    if twice:
        listed = "; ".join(
            f"{list_numbers(sorted(where), 'column')} are {'both' if len(where) == 2 else 'all'} "
            f"called {quote(name)}"
            for name, where in list(twice.items())[:6]
        )
        more = f"; and {len(twice) - 6} more names" if len(twice) > 6 else ""
        first = sorted(next(iter(twice.values())))[-1]
        raise InputError(
            f"{sheet.source}: {listed}{more}; names must differ: rename columns, or leave some "
            f"out by position, such as --drop {first}"
        )


# ---------------------------------------------------------------------------- from a sheet


def _make_table(
    sheet: Sheet,
    target: Column,
    why: str,
    dropped: list[Dropped],
    missing: Missing,
    shape: Sequence[int] | None,
) -> Table:
    notes = [*sheet.remarks]
    labelled = has_label(target)
    if not np.all(labelled):
        rows = np.flatnonzero(~labelled)
        notes.append(_say_left_out(sheet, rows, "without a label"))
        kept = np.flatnonzero(labelled)
        if not len(kept):
            raise InputError(f"{sheet.source}: no row has a label in {quote(target.title)}")
        sheet, target = sheet.take(kept), target.take(kept)
    empty = [column for column in sheet.columns if _is_empty(column)]
    dropped = dropped + [Dropped(c.position, c.title, "all its cells are empty") for c in empty]
    sheet = _without(sheet, dropped)
    problems = Problems(sheet)
    understood = interpret(sheet, sheet.columns, problems)
    pairs = [(c, v) for c, v in zip(sheet.columns, understood, strict=True) if v is not None]
    columns, values = [c for c, _ in pairs], [v for _, v in pairs]
    features = (
        np.stack([v.values for v in values], axis=1) if values else np.zeros((len(target), 0))
    )
    if missing == "drop" and np.any(np.isnan(features)):
        rows = np.flatnonzero(np.isnan(features).any(axis=1))
        notes.append(_say_left_out(sheet, rows, "with missing values"))
        kept = np.flatnonzero(~np.isnan(features).any(axis=1))
        if not len(kept):
            most = [c for c, v in pairs if np.all(np.isnan(v.values))] or [
                max(pairs, key=lambda pair: int(np.isnan(pair[1].values).sum()))[0]
            ]
            raise InputError(
                f"{sheet.source}: every row has a missing value, so that none is left; use "
                f"--missing mean, or leave out what is mostly empty: {drop_option(most)}"
            )
        features, target, sheet = features[kept], target.take(kept), sheet.take(kept)
        columns = sheet.columns if len(columns) == len(sheet.columns) else columns
        values = [Values(v.kind, v.values[kept], v.categories) for v in values]
    labels, label_names, remarks = encode_labels(sheet, target, why, problems)
    problems.check()
    notes += remarks
    names = tuple(column.title for column in columns) if sheet.has_header else None
    if shape is None and names:
        shape = recognise_image(names)
    shape = _check_pixels(sheet, shape, values)
    if shape is None:
        notes += find_suspicions(columns, values, labels, len(label_names))
        notes += propose_image(features)
    kinds = tuple(v.kind for v in values)
    schema = TableSchema(
        columns=len(columns),
        feature_names=names,
        label=target.title if sheet.has_header else target.name or "label",
        label_position=target.position,
        image_shape=shape,
        kinds=kinds if {*kinds} != {"number"} else None,
        dropped=tuple(sorted(dropped)),
        missing=missing,
        decimal=sheet.decimal,
    )
    categories = tuple(v.categories for v in values) if "category" in kinds else ()
    return Table(features, labels, label_names, schema, categories, tuple(notes), sheet.source, why)


def _say_left_out(sheet: Sheet, rows: Array, which: str) -> str:
    are = "row" if len(rows) == 1 else "rows"
    verb = "is" if len(rows) == 1 else "are"
    return f"{len(rows)} {are} {which} {verb} left out: {sheet.number_rows(rows.tolist())}"


def _is_empty(column: Column) -> bool:
    if column.numbers is not None:
        return bool(np.all(np.isnan(column.numbers)))
    return all(is_missing(text) for text in column.texts)


def _check_pixels(
    sheet: Sheet, shape: Sequence[int] | None, values: list[Values]
) -> tuple[int, ...] | None:
    if shape is None:
        return None
    shape = check_image_shape(shape)
    texts = [c for c, v in zip(sheet.columns, values, strict=True) if v.kind == "category"]
    if texts:
        raise InputError(
            f"{sheet.source}: {shorten([c.title for c in texts])}: no pixels but texts; leave them "
            f"out, {drop_option(texts)}"
        )
    if int(np.prod(shape)) != len(values):
        raise InputError(
            f"{sheet.source}: images of {describe_shape(shape)} have {int(np.prod(shape))} pixels, "
            f"and a row has {len(values)} features; give the shape that fits, or leave out the "
            "columns that are no pixels with --drop"
        )
    return shape
