"""From the cells of a column to its kind and its values, with what is wrong in it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from microgradx.arrays.types import Array
from microgradx.common.messages import InputError, quote, shorten
from microgradx.data.tables.cells import (
    decimal_mark,
    is_date,
    is_missing,
    is_missing_number,
    parse_boolean,
    parse_number,
)
from microgradx.data.tables.schema import DecimalHint, Kind
from microgradx.data.tables.text_files import list_numbers

__all__ = [
    "MAX_CATEGORIES",
    "Column",
    "Problems",
    "Sheet",
    "Values",
    "drop_option",
    "find_decimal_hint",
    "interpret",
    "interpret_as",
]

#: More are refused: each category is a column of the network's input.
MAX_CATEGORIES = 64


class Column:
    """The cells of a column: texts, or numbers as a data frame or an array has them.

    `texts` are those that differ, and `codes` has for each row the index of its text.

    >>> column = Column("size", 0, cells=["big", "small", "big"])
    >>> column.texts, column.codes
    (['big', 'small'], array([0, 1, 0]))
    """

    def __init__(
        self,
        name: str | None,
        position: int,
        *,
        cells: Sequence[str] | None = None,
        numbers: Array | None = None,
    ) -> None:
        self.name = name
        self.position = position  # among all columns, from 0
        self.numbers = numbers
        self._cells = cells

    @cached_property
    def _indexed(self) -> tuple[list[str], Array]:
        index: dict[str, int] = {}
        codes = [index.setdefault(cell, len(index)) for cell in self.cells()]
        return list(index), np.array(codes, dtype=np.int64)

    @property
    def texts(self) -> list[str]:
        return self._indexed[0]

    @property
    def codes(self) -> Array:
        return self._indexed[1]

    @property
    def title(self) -> str:
        """What messages call it, and `--drop` and `--label` find it by."""
        return self.name or f"column {self.position + 1}"

    def __len__(self) -> int:
        return len(self.numbers if self._cells is None else self._cells)  # type: ignore[arg-type]

    def cells(self) -> Sequence[str]:
        if self._cells is None and self.numbers is not None:
            self._cells = [_format_number(number) for number in self.numbers.tolist()]
        return self._cells or []

    def counts(self) -> list[int]:
        """How many rows have each text."""
        counts: list[int] = np.bincount(self.codes, minlength=len(self.texts)).tolist()
        return counts

    def take(self, rows: Array) -> Column:
        if self.numbers is not None:
            return Column(self.name, self.position, numbers=self.numbers[rows])
        cells = self.cells()
        return Column(self.name, self.position, cells=[cells[row] for row in rows.tolist()])


def _format_number(number: float) -> str:
    if number != number:
        return ""
    return str(int(number)) if number == number // 1 and abs(number) < 2**63 else repr(number)


@dataclass
class Sheet:
    """The columns of a table before anything is made of their cells."""

    source: str  # what messages call it
    columns: list[Column]
    has_header: bool
    lines: Array | None = None  # the line of each row in the file
    decimal: DecimalHint | None = None
    remarks: list[str] = field(default_factory=list)

    @property
    def rows(self) -> int:
        return len(self.columns[0])

    def take(self, rows: Array) -> Sheet:
        lines = None if self.lines is None else self.lines[rows]
        columns = [column.take(rows) for column in self.columns]
        return Sheet(self.source, columns, self.has_header, lines, self.decimal, self.remarks)

    def number_rows(self, rows: Sequence[int]) -> str:
        """Where rows are: the lines of a file, or the rows of a data frame, from 0."""
        if self.lines is None:
            return list_numbers(list(rows), "row")
        return list_numbers(self.lines[list(rows)].tolist())


def find_decimal_hint(columns: Iterable[Column], separator: str = "") -> DecimalHint | None:
    """What columns of texts say of the decimal mark of the whole table; None if they disagree."""
    marks = {decimal_mark(column.texts) for column in columns if column.numbers is None} - {None}
    if not marks:
        return ";" if separator == ";" else None
    if len(marks) > 1:
        return None
    return "," if "," in marks else "."


@dataclass
class Values:
    """A column that is understood: numbers, with NaN for missing, or the codes of categories."""

    kind: Kind
    values: Array  # (rows,) of float64
    categories: tuple[str, ...] = ()


class Problems:
    """All that is wrong with a table, to be said at once."""

    def __init__(self, sheet: Sheet) -> None:
        self.sheet = sheet
        self._cells: list[tuple[int, int, str, str]] = []  # row, position, column, what is wrong
        self._columns: list[str] = []

    def add_cells(self, column: Column, codes: Iterable[int], what: str) -> None:
        """Cells of a column, those with these texts."""
        for code in codes:
            for row in np.flatnonzero(column.codes == code).tolist():
                name = f" ({quote(column.name)})" if column.name else ""
                wrong = f"{quote(column.texts[code])} {what}"
                self._cells.append((row, column.position, name, wrong))

    def add(self, text: str) -> None:
        self._columns.append(text)

    def check(self) -> None:
        """Raise InputError if there are any."""
        parts = []
        cells = sorted(self._cells)
        where = "row" if self.sheet.lines is None else "line"
        for row, position, name, wrong in cells[:6]:
            line = row if self.sheet.lines is None else int(self.sheet.lines[row])
            parts.append(f"{where} {line}, column {position + 1}{name}: {wrong}")
        if len(cells) > 6:
            others = cells[6:]
            columns = sorted({position + 1 for _, position, _, _ in others})
            cells_more = "1 more cell" if len(others) == 1 else f"{len(others)} more cells"
            parts.append(f"and {cells_more}, in {list_numbers(columns, 'column')}")
        if cells:
            parts.append("mend these cells, or empty them: empty ones count as missing")
        separator = ", " if cells else ": "
        if cells or self._columns:
            raise InputError(f"{self.sheet.source}{separator}{'; '.join(parts + self._columns)}")


def drop_option(columns: Iterable[Column]) -> str:
    """The option that leaves columns out."""
    names = [column.name or str(column.position + 1) for column in columns]
    plain = re.compile(r"[\w.]+")  # what a shell passes on as it is
    return "--drop " + " ".join(n if plain.fullmatch(n) else f'"{n}"' for n in names)


# ---------------------------------------------------------------------------- kinds


def interpret(sheet: Sheet, columns: Sequence[Column], problems: Problems) -> list[Values | None]:
    """What the columns hold; None for one that cannot be a feature, which `problems` then names."""
    understood = [_interpret_column(sheet, column, problems) for column in columns]
    dates = [c for c, v in zip(columns, understood, strict=True) if v == "date"]
    if dates:
        problems.add(
            f"{shorten([column.title for column in dates])}: dates or times, which are not read; "
            f"leave them out, {drop_option(dates)}, or write what matters of them as numbers"
        )
    many = [c for c, v in zip(columns, understood, strict=True) if v == "many"]
    if many:
        counts = ", ".join(f"{quote(c.title)} has {len(c.texts):,}" for c in many[:6])
        more = f" and {len(many) - 6} more columns" if len(many) > 6 else ""
        problems.add(
            f"too many different texts for categories, of which a column may have "
            f"{MAX_CATEGORIES}: {counts}{more}; leave them out, {drop_option(many)}"
        )
    return [values if isinstance(values, Values) else None for values in understood]


def _interpret_column(sheet: Sheet, column: Column, problems: Problems) -> Values | str | None:
    """Values, or "date", "many" or "empty" for what is none; bad cells are added to `problems`."""
    if column.numbers is not None:
        return _check_numbers(column, problems)
    present = [i for i, text in enumerate(column.texts) if not is_missing(text)]
    texts = [column.texts[i] for i in present]
    if not texts:
        return "empty"
    decimal = _decimal_mark_of(sheet, texts)
    numbers = {i: parse_number(column.texts[i], decimal) for i in present}
    others = [i for i, number in numbers.items() if number is None]
    if others:
        truth = parse_boolean(texts)
        if truth:
            return _numbers_of(column, {i: truth[column.texts[i]] for i in present}, "boolean")
        if sum(map(is_date, texts)) >= 0.9 * len(texts):
            return "date"
        if len(others) < len(present):
            others = [i for i in others if not is_missing_number(column.texts[i])]
    counts = column.counts()
    cells, total = sum(counts[i] for i in others), sum(counts[i] for i in present)
    # Among numbers a few texts are mistakes; more of them make it a column of texts: 2, 4, more.
    if cells == total or cells >= max(3, total / 10):
        if len(texts) > MAX_CATEGORIES:
            return "many"
        return _categories_of(column, present)
    problems.add_cells(column, others, "is not a number")
    infinite = [i for i, number in numbers.items() if number is not None and abs(number) == np.inf]
    problems.add_cells(column, infinite, "is not a finite number")
    return None if others or infinite else _numbers_of(column, numbers, "number")


def interpret_as(kind: Kind, sheet: Sheet, column: Column, problems: Problems) -> Values:
    """A column of new rows, which must be of a known kind."""
    if column.numbers is not None and kind != "category":
        return _check_numbers(column, problems) or Values(kind, column.numbers)
    present = [i for i, text in enumerate(column.texts) if not is_missing(text)]
    if kind == "category":
        return _categories_of(column, present)
    texts = [column.texts[i] for i in present]
    decimal = _decimal_mark_of(sheet, texts)
    truth = {text: value for text in texts for value in (parse_boolean([text]) or {}).values()}
    # Truth values may be spelt in another way than in training; among numbers they are mistakes.
    has_numbers = any(parse_number(text, decimal) is not None for text in texts)
    words = truth if kind == "boolean" or not has_numbers else {}
    numbers = {
        i: words.get(column.texts[i], parse_number(column.texts[i], decimal)) for i in present
    }
    others = [i for i, n in numbers.items() if n is None and not is_missing_number(column.texts[i])]
    wanted = "truth value" if kind == "boolean" else kind
    problems.add_cells(column, others, f"is not a {wanted}")
    infinite = [i for i, number in numbers.items() if number is not None and abs(number) == np.inf]
    problems.add_cells(column, infinite, "is not a finite number")
    return _numbers_of(column, numbers, kind)


def _check_numbers(column: Column, problems: Problems) -> Values | None:
    numbers: Any = column.numbers
    if np.any(np.isinf(numbers)):
        infinite = [i for i, text in enumerate(column.texts) if text in ("inf", "-inf")]
        problems.add_cells(column, infinite, "is not a finite number")
        return None
    return Values("number", numbers)


def _numbers_of(column: Column, numbers: dict[int, Any], kind: Kind) -> Values:
    by_code = np.full(len(column.texts), np.nan)
    for code, number in numbers.items():
        by_code[code] = np.nan if number is None else number
    return Values(kind, by_code[column.codes])


def _categories_of(column: Column, present: list[int]) -> Values:
    """Categories in alphabetical order: they must not depend on the order of the rows."""
    categories = sorted(column.texts[i] for i in present)
    index = {text: i for i, text in enumerate(categories)}
    by_code = np.array([index.get(text, np.nan) for text in column.texts], dtype=np.float64)
    return Values("category", by_code[column.codes], tuple(categories))


def _decimal_mark_of(sheet: Sheet, texts: list[str]) -> str:
    """The decimal mark of a column: what it shows itself, or else what the whole table does."""
    mark = decimal_mark(texts)
    if mark:
        return mark
    # Where semicolons separate cells, 1,234 has a decimal comma; 1.234 has a decimal point, unless
    # other columns show commas.
    suggesting = ",;" if any("," in text for text in texts) else ","
    return "," if sheet.decimal is not None and sheet.decimal in suggesting else "."
