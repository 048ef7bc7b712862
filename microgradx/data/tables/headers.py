"""Whether the first row of a file has the names of the columns."""

from __future__ import annotations

from collections.abc import Sequence

from microgradx.common.messages import InputError, quote, shorten
from microgradx.data.tables.cells import is_missing, parse_number
from microgradx.data.tables.text_files import Grid

__all__ = ["has_header"]

SAMPLE = 1000  # rows that the first one is compared with


def has_header(source: str, grid: Grid, label: str | int | None, known: Sequence[str] = ()) -> bool:
    """Whether the first row has names: texts where others have numbers, or what no other row has.

    known: the names that new rows would have in their header.

    Raises InputError where it may be either, with a question.
    """
    first, rest = grid.rows[0], grid.rows[1 : SAMPLE + 1]
    if isinstance(label, str) and label in first and not label.lstrip("+-").isdigit():
        return True
    are_numbers = [_is_number(cell) for cell in first]
    if len(known) > 1 and {*known[:-1]} <= {*first}:
        return True
    if known and not rest:
        return False
    if not rest:
        return not any(are_numbers)
    counts = _counts_up(first)
    columns = list(zip(*rest, strict=True))
    numeric = [i for i, cells in enumerate(columns) if _is_numeric(cells)]
    texts = [i for i in numeric if not are_numbers[i] and not is_missing(first[i])]
    numbers = [i for i in numeric if are_numbers[i]]
    if texts and not numbers:
        return True
    others = [i for i in range(len(first)) if i not in numeric and first[i]]
    # A first cell that returns in its column is one of the categories there.
    returning = [i for i in others if first[i] in columns[i]]
    if not numbers and known:
        return any(cell in known for cell in first)
    if not numbers:
        return 2 * len(returning) < max(1, len(others))
    if counts and not returning and not known:
        whole = all("." not in cell for i in numbers for cell in columns[i])
        if not whole or any(are_numbers[i] for i in others) or not first[0] or texts:
            return True
        if others or any(not _is_number(cell) for cell in first):
            return True
        raise InputError(
            f"{source}, line {grid.lines[0]}: {shorten(first)} may be a header that counts the "
            "columns, or a row; say which with --header or --no-header (header=True or False)"
        )
    if texts:
        raise InputError(
            f"{source}, line {grid.lines[0]}, column {texts[0] + 1}: {quote(first[texts[0]])} is "
            "not a number; if this line is a header, say so with --header (header=True), or give "
            "the label column with --label NAME"
        )
    return False


def _counts_up(first: list[str]) -> bool:
    """Whether the numbers in a row are at least three in succession, as 0, 1, 2 and years."""
    numbers = [int(cell) for cell in first if cell.isdigit()]
    start = numbers[0] if numbers else -1
    is_start = start in (0, 1) or 1800 <= start <= 2200
    return len(numbers) >= 3 and is_start and numbers == list(range(start, start + len(numbers)))


def _is_numeric(cells: tuple[str, ...]) -> bool:
    present = [cell for cell in cells if not is_missing(cell)]
    return bool(present) and sum(map(_is_number, present)) >= 0.9 * len(present)


def _is_number(cell: str) -> bool:
    return parse_number(cell) is not None or parse_number(cell, ",") is not None
