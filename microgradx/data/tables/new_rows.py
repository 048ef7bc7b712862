"""New rows for a trained classifier, read as its schema says."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from microgradx.arrays.types import Array
from microgradx.common.files import require_file
from microgradx.common.messages import InputError, shorten
from microgradx.data.frames import is_frame
from microgradx.data.tables.arrays import read_arrays
from microgradx.data.tables.cells import is_missing
from microgradx.data.tables.columns import Column, Problems, Sheet, interpret_as
from microgradx.data.tables.frames import sheet_of_frame
from microgradx.data.tables.labels import LABEL_NAMES, find_class, find_column, has_label
from microgradx.data.tables.reading import sheet_of_arrays, sheet_of_file
from microgradx.data.tables.schema import TableSchema
from microgradx.data.tables.table import Table

__all__ = ["read_new_rows"]


def read_new_rows(
    source: Any,
    schema: TableSchema,
    label_names: Sequence[str],
    *,
    label: str | int | None = None,
    header: bool | None = None,
    features: str | None = None,
) -> Table:
    """The rows of a file or a data frame, as a classifier with this schema and classes takes them.

    Columns are found by name, in any order, and others are ignored; where there are no names, by
    position. Cells such as 1.234, which may have either decimal mark, are read as their file tells,
    or else as the table was. A label is read where there is one; a label that is blank or not known
    is -1.

    Raises InputError for rows that do not fit.
    """
    if not is_frame(source) and Path(source).suffix.lower() == ".npz":
        name = None if label is None else str(label)
        arrays = read_arrays(require_file(source), name, features, need_labels=False)
        sheet, target = sheet_of_arrays(str(source), arrays)
        columns = _match_by_position(sheet, sheet.columns, schema, has_label=bool(len(target)))
        label_column = target if len(target) else None
    else:
        known = [*(schema.feature_names or ()), schema.label]
        # A column without a name in the header is called by its position.
        known = [name for name in known if not name.startswith("column ")] or known
        in_memory = is_frame(source)
        sheet = sheet_of_frame(source) if in_memory else sheet_of_file(source, label, header, known)
        columns, label_column = _match(sheet, schema, label_names, label)
        if sheet.decimal in (None, ";"):
            sheet.decimal = schema.decimal or sheet.decimal
    problems = Problems(sheet)
    values = [interpret_as(schema.kind(i), sheet, c, problems) for i, c in enumerate(columns)]
    problems.check()
    labels, remarks = _read_labels(sheet, label_column, label_names)
    return Table(
        np.stack([column.values for column in values], axis=1),
        labels,
        tuple(label_names),
        schema,
        tuple(column.categories for column in values),
        (*sheet.remarks, *remarks),
        sheet.source,
    )


def _match(
    sheet: Sheet, schema: TableSchema, label_names: Sequence[str], label: str | int | None
) -> tuple[list[Column], Column | None]:
    """The columns that are the features, in their order, and the one of labels."""
    target = None if label is None else find_column(sheet, label, "--label")
    names = [column.title for column in sheet.columns]
    if sheet.has_header and schema.feature_names:
        lacking = [name for name in schema.feature_names if name not in names]
        if lacking:
            raise InputError(
                f"{sheet.source}: the header lacks {shorten(lacking)}; it has "
                f"{shorten([column.title for column in sheet.columns])}"
            )
        twice = [name for name in (*schema.feature_names, schema.label) if names.count(name) > 1]
        if twice:
            raise InputError(f"{sheet.source}: several columns are called {shorten(twice)}")
        if target is None and schema.label in names:
            target = sheet.columns[names.index(schema.label)]
        return [sheet.columns[names.index(name)] for name in schema.feature_names], target
    if target is None and sheet.has_header:
        target = _find_named_label(sheet, schema)
    if target is None:
        target = _find_label_by_position(sheet, schema, label_names)
    rest = [column for column in sheet.columns if column is not target]
    return _match_by_position(sheet, rest, schema, target is not None), target


def _find_named_label(sheet: Sheet, schema: TableSchema) -> Column | None:
    for names in ((schema.label,), LABEL_NAMES):
        named = [c for c in sheet.columns if c.name and c.name.strip().lower() in names]
        exact = [c for c in sheet.columns if c.name == schema.label]
        if len(exact or named) == 1:
            return (exact or named)[0]
    return None


def _find_label_by_position(
    sheet: Sheet, schema: TableSchema, label_names: Sequence[str]
) -> Column | None:
    """The label column where no name tells it: by its place, if it holds classes of the model."""
    columns, dropped = len(sheet.columns), len(schema.dropped)
    if columns not in (schema.columns + 1, schema.width):
        return None
    is_known = schema.label_position >= 0
    place = schema.label_position if is_known else columns - 1
    if columns < schema.width:  # those that were left out are not there
        place -= sum(column.position < place for column in schema.dropped)
    at_place = sheet.columns[place]
    fits = _holds_classes(at_place, label_names)
    if columns == schema.columns + 1 and dropped == 1 and not fits:
        return None  # what was left out is there, and no label
    if fits and is_known:
        return at_place
    fitting = [column for column in sheet.columns if _holds_classes(column, label_names)]
    if len(fitting) == 1:
        return fitting[0]
    if is_known:
        return at_place
    raise InputError(
        f"{sheet.source} has {columns} columns and the model {schema.columns} features, so that "
        "one may be the label; say which with --label NAME, or its position, such as --label 1"
    )


def _holds_classes(column: Column, label_names: Sequence[str]) -> bool:
    texts = [text for text in column.texts if not is_missing(text)]
    return bool(texts) and all(find_class(text, label_names) >= 0 for text in texts)


def _match_by_position(
    sheet: Sheet, columns: list[Column], schema: TableSchema, has_label: bool
) -> list[Column]:
    """The features among columns without the label, which may have those that were left out."""
    if len(columns) == schema.columns:
        return columns
    if len(columns) == schema.width - 1:
        label = schema.label_position % schema.width
        others = [i for i in range(schema.width) if i != label]
        return [columns[others.index(i)] for i in schema.positions]
    names = shorten([schema.feature_name(i) for i in range(schema.columns)])
    besides = " besides the label" if has_label else ""
    raise InputError(
        f"{sheet.source} has {len(columns)} columns{besides}, and the model was trained on "
        f"{schema.columns} ({names})"
    )


def _read_labels(
    sheet: Sheet, column: Column | None, label_names: Sequence[str]
) -> tuple[Array, list[str]]:
    """Labels as indices of the model's classes; -1 for what is blank or unknown, which is said."""
    if column is None:
        return np.full(sheet.rows, -1), []
    by_code = np.array([find_class(text, label_names) for text in column.texts])
    blank = ~has_label(column)
    labels = np.where(blank, -1, by_code[column.codes])
    known = {text for text, code in zip(column.texts, by_code, strict=True) if code >= 0}
    unknown = [t for t in column.texts if t not in known and not is_missing(t)]
    if not unknown:
        return labels, []
    if not known:
        return labels, [
            f"none of the labels in {sheet.source} is known to the model, whose classes are "
            f"{shorten(label_names)}"
        ]
    return labels, [f"the model does not know the labels {shorten(unknown)}, so they do not count"]
