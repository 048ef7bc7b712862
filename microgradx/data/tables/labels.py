"""The label column: which it is, and its classes."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches

import numpy as np

from microgradx.arrays.types import Array
from microgradx.common.messages import InputError, quote, shorten
from microgradx.data.tables.cells import is_date, is_missing, parse_number
from microgradx.data.tables.columns import Column, Problems, Sheet
from microgradx.data.tables.schema import Dropped

__all__ = ["LABEL_NAMES", "encode_labels", "find_class", "find_column", "find_label", "has_label"]

#: What a label column is often called.
LABEL_NAMES = ("label", "labels", "target", "targets", "class", "y")

#: Numbers of more different values are measurements; whole ones only if some stand in one row.
MAX_MEASURED = 20

#: So few classes may have a row each in a table that is merely too small.
FEW_CLASSES = 5

REGRESSION = (
    "tables are for classes: for a regression give arrays, fit(model, (X, y), loss='mse_loss')"
)


def find_column(
    sheet: Sheet, name: str | int, option: str, dropped: Sequence[Dropped] = ()
) -> Column:
    """The column with a name, or else at a position, from 1 on; -1 is the last.

    dropped: the columns that are no longer in the sheet.

    Raises InputError if there is none, or if several have the name.
    """
    named = [column for column in sheet.columns if column.name == str(name)]
    if len(named) == 1 and not (isinstance(name, int) and not sheet.has_header):
        return named[0]
    if len(named) > 1:
        raise InputError(
            f"{sheet.source}: several columns are called {quote(str(name))}; give the position of "
            f"one, such as {option} {named[0].position + 1}"
        )
    text = str(name)
    for column in dropped:
        if text in (column.name, str(column.position + 1)):
            raise InputError(
                f"{sheet.source}: the column {quote(text)} of {option} is left out: {column.reason}"
            )
    if text.lstrip("+-").isdigit():
        position = int(text)
        at = [c for c in sheet.columns if c.position == position - 1 or position == -1][-1:]
        if at:
            return at[0]
        there = ", ".join(str(column.position + 1) for column in sheet.columns[:20])
        raise InputError(
            f"{sheet.source}: there is no column {position} for {option}; the positions are {there}"
            + (", …" if len(sheet.columns) > 20 else "")
        )
    if not sheet.has_header:
        raise InputError(
            f"{sheet.source}: no column is called {quote(text)}, as no header was found; give its "
            f"position, such as {option} {len(sheet.columns)}, or --header if there is one"
        )
    titles = {column.title.strip().casefold(): column.title for column in sheet.columns}
    near = get_close_matches(text.strip().casefold(), titles, 1, 0.7)
    hint = f"do you mean {quote(titles[near[0]])}? There" if near else "there"
    there = shorten([column.title for column in sheet.columns])
    raise InputError(f"{sheet.source}: no column is called {quote(text)}; {hint} are {there}")


def find_label(
    sheet: Sheet, label: str | int | None, dropped: Sequence[Dropped] = ()
) -> tuple[Column, str]:
    """The label column, and why it is that one, if nobody said so."""
    if label is not None:
        return find_column(sheet, label, "--label", dropped), ""
    last = sheet.columns[-1]
    alike = [c for c in sheet.columns if c.name and c.name.strip().lower() in LABEL_NAMES]
    if len(alike) == 1 and alike[0] is not last:
        return alike[0], "by its name"
    return last, "the last column"


def has_label(label: Column, row_codes: Array | None = None) -> Array:
    """For each row, whether it has a label: - is one where + is another."""
    texts = label.texts
    missing = [is_missing(text) and not (text == "-" and "+" in texts) for text in texts]
    return ~np.array(missing, dtype=bool)[label.codes if row_codes is None else row_codes]


def encode_labels(
    sheet: Sheet, label: Column, why: str, problems: Problems
) -> tuple[Array, tuple[str, ...], list[str]]:
    """Labels as integers, the classes in their natural order, and what is odd about them."""
    texts, counts = _canonical_texts(label.texts), label.counts()
    rows: dict[str, int] = {}
    for text, count in zip(texts, counts, strict=True):
        rows[text] = rows.get(text, 0) + count
    rare = [name for name, count in rows.items() if count < 2]
    taken = f"{quote(label.title)}, {why}, was taken for the label" if why else ""
    if len(rows) == 1:
        same = f"every row has the same label, {quote(texts[0])}, so there is nothing to learn"
        problems.add(f"{same}{_propose(sheet, label, taken)}")
    elif _are_measurements(rows, len(rare)):
        problems.add(
            f"the labels in {quote(label.title)} are {len(rows):,} different numbers, a "
            f"measurement and not classes{_propose(sheet, label, taken, f'; {REGRESSION}')}"
        )
    elif rare:
        are_numbers = all(parse_number(name) is not None for name in rows)
        hint = f"; if they are a measurement, {REGRESSION}" if are_numbers else ""
        if not sheet.has_header and texts[label.codes[0]] in rare:
            hint = "; if the first line is a header, say so with --header"
        problems.add(
            f"too few rows with the label {shorten(rare)}; each needs at least 2, one to learn "
            f"from and one to hold out: add rows, leave these out, or merge their classes{hint}"
            + (_propose(sheet, label, taken) if len(rare) > len(rows) / 2 else "")
        )
    ordered = sorted(rows, key=_order(rows))
    index = {name: i for i, name in enumerate(ordered)}
    by_code = np.array([index[text] for text in texts], dtype=np.int64)
    return by_code[label.codes], tuple(ordered), _remark_spellings(ordered)


def find_class(text: str, label_names: Sequence[str]) -> int:
    """The class that a label of new rows means, spelt a little differently or not; -1: none.

    >>> [find_class(text, ("0", "1")) for text in ("1", "1.0", "2")]
    [1, 1, -1]
    >>> find_class("TRUE", ("False", "True"))
    1
    """
    if text in label_names:
        return label_names.index(text)
    number = parse_number(text)
    for i, name in enumerate(label_names):
        if number is not None and parse_number(name) == number:
            return i
    alike = [i for i, name in enumerate(label_names) if name.casefold() == text.casefold()]
    return alike[0] if len(alike) == 1 else -1


def _canonical_texts(texts: list[str]) -> list[str]:
    """Whole numbers without a point, as 1.0 is what pandas makes of 1 beside a missing label."""
    numbers = [parse_number(text) for text in texts]
    whole = all(number is not None and number == number // 1 for number in numbers)
    if not whole or not any("." in text for text in texts):
        return texts
    return [str(int(number)) for number in numbers if number is not None]


def _are_measurements(rows: dict[str, int], rare: int) -> bool:
    numbers = [parse_number(name) for name in rows]
    if any(number is None for number in numbers):
        return False
    if all(number == number // 1 for number in numbers if number is not None):
        return rare > 0 and (len(rows) > MAX_MEASURED or 2 * rare > len(rows) > FEW_CLASSES)
    return len(rows) > MAX_MEASURED or 2 * rare > len(rows)


def _propose(sheet: Sheet, label: Column, taken: str, advice: str = "") -> str:
    """Which columns may hold the labels instead, after other advice."""
    if not taken:
        return advice
    rows = len(label)
    proposed = []
    for column in sheet.columns[:1000]:
        counts = [n for n, there in zip(column.counts(), _present(column), strict=True) if there]
        if column is not label and 2 <= len(counts) <= min(100, rows / 3) and min(counts) >= 2:
            numbers = [parse_number(text) for text in column.texts]
            is_date_column = any(map(is_date, column.texts))
            if not is_date_column and all(n is None or n == n // 1 for n in numbers):
                proposed.append(column)
    text = f" ({taken}){advice}"
    if proposed:
        first = proposed[0]
        option = f"--label {first.name or first.position + 1}"
        few = ", ".join(
            f"{quote(column.title)} with {shorten(sorted(column.texts)[:3])}"
            for column in proposed[:3]
        )
        return f"{text}; these columns may hold labels: {few}; say which, such as {option}"
    return f"{text}; say which column holds the labels with --label NAME, or its position"


def _present(column: Column) -> list[bool]:
    return [not is_missing(text) for text in column.texts]


def _order(names: dict[str, int]) -> type[str] | type[int] | type[float]:
    for kind in (int, float):
        try:
            for name in names:
                kind(name)
        except ValueError:
            continue
        return kind
    return str


def _remark_spellings(names: list[str]) -> list[str]:
    folded: dict[str, list[str]] = {}
    for name in names:
        folded.setdefault(" ".join(name.casefold().split()), []).append(name)
    return [
        f"the classes {shorten(alike)} differ only in how they are spelt; are they one?"
        for alike in folded.values()
        if len(alike) > 1
    ]
