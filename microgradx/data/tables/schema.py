"""What the columns of a table are: what must be known to read new rows of the same kind."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

__all__ = ["DecimalHint", "Dropped", "Kind", "Missing", "TableSchema"]

Kind = Literal["number", "boolean", "category"]

#: What becomes of missing values: see `TableEncoder`; "drop" leaves the rows out.
Missing = Literal["mean", "drop", "indicator"]

#: What a table says of the cells that may have either decimal mark, 1,234 and 1.234: the one that
#: its other columns show; ";" if none shows any, and semicolons separate the cells.
DecimalHint = Literal[".", ",", ";"]


class Dropped(NamedTuple):
    """A column that is no feature."""

    position: int  # among all columns of the table
    name: str
    reason: str


@dataclass(frozen=True)
class TableSchema:
    """The columns of a table: what must be known to read new rows of the same kind.

    >>> schema = TableSchema(2, ("age", "sex"), kinds=("number", "category"))
    >>> schema.feature_name(1), schema.kind(1)
    ('sex', 'category')
    """

    columns: int  # how many features there are
    feature_names: tuple[str, ...] | None = None  # None: the table had no header
    label: str = "label"  # the label column's name ...
    label_position: int = -1  # ... and its position among all columns; -1: it has none, or the last
    image_shape: tuple[int, ...] | None = None  # the features of a row are the pixels of an image
    kinds: tuple[Kind, ...] | None = None  # None: all are numbers
    dropped: tuple[Dropped, ...] = ()
    missing: Missing = "mean"
    decimal: DecimalHint | None = None  # for new rows that do not tell it themselves

    def feature_name(self, i: int) -> str:
        """The name of a feature, or its position in the table if that had no header."""
        return self.feature_names[i] if self.feature_names else f"column {self.positions[i] + 1}"

    @property
    def label_title(self) -> str:
        """The name of the label column, or its position in the table if that had no header."""
        is_nameless = self.feature_names is None and self.label_position >= 0
        return f"column {self.label_position + 1}" if is_nameless else self.label

    def kind(self, i: int) -> Kind:
        return self.kinds[i] if self.kinds else "number"

    @property
    def has_categories(self) -> bool:
        return self.kinds is not None and "category" in self.kinds

    @property
    def width(self) -> int:
        """The number of all columns: features, label and those that were dropped."""
        return self.columns + 1 + len(self.dropped)

    @property
    def positions(self) -> list[int]:
        """Where the features stand among all columns."""
        others = {self.label_position % self.width, *(column.position for column in self.dropped)}
        return [i for i in range(self.width) if i not in others]
