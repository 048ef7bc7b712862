"""The history of a training: a table with a row for each epoch."""

from __future__ import annotations

import csv
import html
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from microgradx.arrays.types import Array
from microgradx.common.files import replacing
from microgradx.common.messages import shorten
from microgradx.graph.displays import displays

__all__ = ["History"]


class History:
    """What `fit` returns: a table with a row for each epoch, and named numbers in its columns.

    The columns are epoch, lr (the rate of its last step), loss, the metrics, and with validation
    rows validation_loss and so on. `history["loss"]` is a column as an array, `history[-1]` a row
    as a dict; `len` counts the epochs.

    interrupted: whether Ctrl-C ended the training; then the last epoch may be incomplete.
    stopped_early: whether early stopping, or a callback, did.
    best_epoch: the epoch whose monitored value is the best; with early stopping the model has its
        weights. None if there is no such value.
    compiled_step: the compiled step, with its `source`; None if steps were not compiled, and then
        `notes` says why.
    notes: what else was noticed, in sentences.
    model, optimizer, loss_function, training_data, validation_data: what was trained, and with
        what; the data are pairs of arrays, as the loss took them.

    >>> history = History([{"epoch": 1, "loss": 0.7}, {"epoch": 2, "loss": 0.5}])
    >>> history["loss"], history[-1]["loss"]
    (array([0.7, 0.5]), 0.5)
    >>> history
    epoch  loss
        1   0.7
        2   0.5
    """

    model: Any = None
    optimizer: Any = None
    loss_function: Any = None
    training_data: tuple[Array, Array] | None = None
    validation_data: tuple[Array, Array] | None = None

    def __init__(self, rows: list[dict[str, float]] | None = None) -> None:
        self.rows: list[dict[str, float]] = [] if rows is None else rows
        self.interrupted = False
        self.stopped_early = False
        self.best_epoch: int | None = None
        self.compiled_step: Any = None
        self.notes: list[str] = []

    @property
    def columns(self) -> list[str]:
        return list(dict.fromkeys(name for row in self.rows for name in row))

    def __len__(self) -> int:
        return len(self.rows)

    def __bool__(self) -> bool:
        return True  # a training that has just begun is one too

    def __iter__(self) -> Iterator[dict[str, float]]:
        return iter(self.rows)

    def __getitem__(self, key: str | int) -> Any:
        if not isinstance(key, str):
            return self.rows[key]
        if key not in self.columns:
            raise KeyError(
                f"there is no column {key!r}; there are {shorten(self.columns) or 'none'}"
            )
        return np.array([row.get(key, np.nan) for row in self.rows])

    def to_dict(self) -> dict[str, list[float]]:
        """The columns as lists, by name: what `pandas.DataFrame` and `polars.DataFrame` take."""
        return {name: self[name].tolist() for name in self.columns}

    def to_csv(self, path: str | Path) -> None:
        """Write the table to a CSV file, with all digits."""
        with (
            replacing(path) as temporary,
            temporary.open("w", newline="", encoding="utf-8") as file,
        ):
            writer = csv.DictWriter(file, self.columns)
            writer.writeheader()
            writer.writerows(self.rows)

    def plot(self, path: str | Path | None = None) -> Any:
        """Draw the curves by matplotlib, into a file, or as a chart that notebooks show.

        Raises PlottingError without matplotlib, and ValueError if there are no epochs.
        """
        return displays["plot_history"](self, path)

    def diagnose(self) -> Any:
        """Why the network does not learn, in ranked sentences: see `microgradx.diagnose`."""
        return displays["diagnose"](self)

    def __repr__(self) -> str:
        cells = self._cells()
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        lines = [
            "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))
            for row in cells
        ]
        return "\n".join(lines) if self.rows else "History of no epochs"

    def _repr_html_(self) -> str:
        heading, *rows = self._cells()
        cells = ["".join(f"<td>{html.escape(cell)}</td>" for cell in row) for row in rows]
        head = "".join(f"<th>{html.escape(name)}</th>" for name in heading)
        body = "".join(f"<tr>{row}</tr>" for row in cells)
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"

    def _cells(self) -> list[list[str]]:
        """The table as texts: its heading, and the rows; of many, the first and the last."""
        names = self.columns
        rows = [[f"{row[n]:.4g}" if n in row else "" for n in names] for row in self.rows]
        if len(rows) > 60:
            rows = [*rows[:30], ["…"] * len(names), *rows[-30:]]
        return [names, *rows]
