"""A table as it was understood: features with their kinds, labels, and a preview of all that."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from microgradx.arrays.types import Array
from microgradx.common.messages import printable, quote
from microgradx.data.tables.images import describe_shape
from microgradx.data.tables.schema import TableSchema

__all__ = ["Table"]

SHOWN = 20  # features in a preview


@dataclass(frozen=True)
class Table:
    """Rows of features, with a label for each row; `print(table)` shows what was understood.

    features: (rows, columns) of float64. NaN is a missing value. A column of the kind "category"
        holds indices of its `categories`.
    labels: (rows,) of integers, which index `label_names`; -1 where a new row has none, or one
        that is not known.
    categories: for each column its texts, in the order of their indices; () for numbers.
    notes: what is odd about the table, a line each.
    """

    features: Array
    labels: Array
    label_names: tuple[str, ...]
    schema: TableSchema
    categories: tuple[tuple[str, ...], ...] = ()
    notes: tuple[str, ...] = ()
    source: str = ""
    label_reason: str = ""  # why this column is the label, where nobody said so

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: Any) -> Table:
        """The table of some rows, given by their indices or by a mask."""
        return Table(
            self.features[rows],
            self.labels[rows],
            self.label_names,
            self.schema,
            self.categories,
            self.notes,
            self.source,
            self.label_reason,
        )

    def categories_of(self, column: int) -> tuple[str, ...]:
        return self.categories[column] if self.categories else ()

    def cell(self, row: int, column: int) -> str:
        """A feature as it would stand in a file; blank if it is missing."""
        value = float(self.features[row, column])
        if value != value:
            return ""
        categories = self.categories_of(column)
        return categories[int(value)] if categories else f"{value:.6g}"

    def __str__(self) -> str:
        return "\n".join(_describe(self))

    def __repr__(self) -> str:
        rows, columns = self.features.shape
        classes = len(self.label_names)
        return f"Table({rows} rows, {columns} features, {classes} classes)"


def _describe(table: Table) -> list[str]:
    schema = table.schema
    reason = f", {table.label_reason} (--label gives another)" if table.label_reason else ""
    lines = [f"Label      {quote(schema.label_title)}{reason}: {_describe_classes(table)}"]
    if schema.image_shape:
        low, high = (f"{end(table.features):g}" for end in (np.nanmin, np.nanmax))
        shape = describe_shape(schema.image_shape)
        lines.append(f"Features   images of {shape} pixels, from {low} to {high}")
    else:
        names = [schema.feature_name(i) for i in range(schema.columns)]
        width = min(24, max(map(len, names[:SHOWN])))
        for i, name in enumerate(names[:SHOWN]):
            title = "Features" if i == 0 else ""
            described = _describe_feature(table, i)
            lines.append(f"{title:10} {_cut(name, 24):{width}}  {described}")
        if len(names) > SHOWN:
            lines.append(f"{'':10} and {len(names) - SHOWN} more: {_count_kinds(table)} in all")
    for column in schema.dropped[:SHOWN]:
        lines.append(f"Left out   {quote(column.name)}: {column.reason}")
    if len(schema.dropped) > SHOWN:
        lines.append(f"           and {len(schema.dropped) - SHOWN} more")
    lines += [f"Note       {note}" for note in table.notes]
    return [printable(line) for line in lines]


def _describe_classes(table: Table) -> str:
    counts = np.bincount(table.labels[table.labels >= 0], minlength=len(table.label_names))
    pairs = list(zip(table.label_names, counts.tolist(), strict=True))
    shown = ", ".join(f"{quote(name)} {count}" for name, count in pairs[:10])
    more = f" and {len(pairs) - 10} more" if len(pairs) > 10 else ""
    return f"{len(pairs)} classes: {shown}{more}"


def _describe_feature(table: Table, i: int) -> str:
    kind, values = table.schema.kind(i), table.features[:, i]
    present = values[~np.isnan(values)]
    missing = len(values) - len(present)
    if kind == "category":
        counts = np.bincount(present.astype(np.int64), minlength=len(table.categories_of(i)))
        order: Sequence[int] = np.argsort(-counts, kind="stable").tolist()
        most = ", ".join(f"{quote(table.categories_of(i)[k])} {counts[k]}" for k in order[:3])
        text = f"category  {len(order)}: {most}{', …' if len(order) > 3 else ''}"
    elif len(present):
        text = f"{kind:8}  {present.min():g} to {present.max():g}"
    else:
        text = kind
    if not missing:
        return text
    instead = "of no category" if kind == "category" else "the mean instead"
    said = ", and a column that says so" if table.schema.missing == "indicator" else ""
    return f"{text}; {missing} missing, {instead}{said}"


def _count_kinds(table: Table) -> str:
    kinds = [table.schema.kind(i) for i in range(table.schema.columns)]
    counted = [(kinds.count(kind), kind) for kind in ("number", "boolean", "category")]
    plural = {"number": "numbers", "boolean": "booleans", "category": "categories"}
    return ", ".join(f"{count} {plural[kind]}" for count, kind in counted if count)


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"
