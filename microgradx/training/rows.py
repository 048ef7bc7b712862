"""Features and targets of any kind as pairs of arrays, checked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from microgradx.arrays.types import Array
from microgradx.common.messages import shorten
from microgradx.data.frames import check_indexes, column_names, is_frame, select_column
from microgradx.data.tables import Table
from microgradx.nn.module import Module
from microgradx.training.features import FittedData, read_features
from microgradx.training.targets import read_targets

__all__ = ["Rows", "read_rows", "table_labels"]


@dataclass
class Rows:
    """Features and targets with the same rows, and the names that came with them."""

    X: Array
    y: Array
    columns: tuple[str, ...] | None
    class_names: Array | None

    def __len__(self) -> int:
        return len(self.y)


def read_rows(
    data: Any,
    label: Any,
    model: Module,
    fitted: FittedData | None = None,
    sample_weight: Any = None,
) -> Rows:
    """The rows of `(X, y)`, of a Table, or of a data frame whose column `label` has the labels.

    `fitted` is what the model has been fitted on, whose columns are then looked for. Weights of the
    rows are not read, but an index of pandas that they have must be that of the rows.
    """
    X, y = _split_label(data, label)
    check_indexes(X=X, y=y, sample_weight=sample_weight)
    features, names = read_features(X, model, fitted)
    targets, class_names = read_targets(y)
    if len(features) != len(targets):
        raise ValueError(
            f"X has {len(features)} rows and y has {len(targets)}; each row needs a label"
        )
    return Rows(features, targets, names, class_names)


def table_labels(table: Table) -> Array:
    """The names of the labels of a table; None where it has none."""
    return np.array([*table.label_names, None], object)[table.labels]


def _split_label(data: Any, label: Any) -> tuple[Any, Any]:
    if label is not None and not is_frame(data):
        raise ValueError(
            "label= is for a data frame; a pair (X, y) and a Table have their labels: leave it out"
        )
    if isinstance(data, Table):
        return data, table_labels(data)
    if is_frame(data):
        names = column_names(data)
        if label is None:
            raise ValueError(
                f"a data frame needs label=, the name of its column of labels; there are "
                f"{shorten(names)}"
            )
        if str(label) not in names:
            raise ValueError(
                f"there is no column {str(label)!r} of labels; there are {shorten(names)}"
            )
        others = {name: select_column(data, name) for name in names if name != str(label)}
        return others, select_column(data, str(label))
    if isinstance(data, (tuple, list)) and len(data) == 2:
        return data[0], data[1]
    raise TypeError(
        "data must be a pair (X, y), a Table of read_table, or a data frame with label=, not "
        f"{type(data).__name__}" + (f" of {len(data)}" if isinstance(data, (tuple, list)) else "")
    )
