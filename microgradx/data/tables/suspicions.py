"""What is suspicious in a table, though it can be used: columns that give away the label, or none.

Each is a line that names the columns and says how to leave them out.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

import numpy as np

from microgradx.arrays.types import Array
from microgradx.common.messages import quote, shorten
from microgradx.data.tables.columns import Column, Values, drop_option

__all__ = ["counts_rows", "find_suspicions", "propose_image"]

IDENTIFIER = re.compile(
    r"(?:.*[ _.-])?(?:id|ids|uid|uuid|guid|identifier|index|idx|serial|rowid|row|rownum"
    r"|row[ _.-]?(?:number|names?)|unnamed: ?\d+)|.*[a-z]I[dD]|(?:no|nr|number|sno|s\.no)\.?",
)

#: A word in the name of a column of dates.
DATE_NAME = re.compile(r"(?:.*[^a-z])?(?:date|day|dob|period|month|yyyymm(?:dd)?)(?:[^a-z].*)?")

#: What stands for a missing value where all cells must be numbers.
SENTINEL = re.compile(r"-?9{2,}|-9")

#: Fewer rows show nothing.
MIN_ROWS = 10


def find_suspicions(
    columns: Sequence[Column], values: Sequence[Values], labels: Array, classes: int
) -> list[str]:
    """Columns that identify rows, copy the label, never change, or have numbers that are none."""
    pairs = list(zip(columns, values, strict=True))
    found = []
    named = [c for c, v in pairs if _identifies(c, v)]
    if named:
        found.append(
            f"{shorten([c.title for c in named])}: identifies or counts the rows; what is learnt "
            f"from it is worthless for new ones; leave it out: {drop_option(named)}"
        )
    copies = [c for c, v in pairs if _copies(v.values, labels, classes)]
    if copies:
        found.append(
            f"{shorten([c.title for c in copies])}: a copy of the label, one value for each class; "
            f"if new rows do not have it, leave it out: {drop_option(copies)}"
        )
    constant = [c for c, v in pairs if _is_constant(v.values)]
    if constant:
        found.append(f"{shorten([c.title for c in constant])}: the same in every row, says nothing")
    long = [c for c, v in pairs if v.kind == "number" and _is_rounded(c, v.values)]
    if long:
        found.append(
            f"{shorten([c.title for c in long])}: whole numbers of more than 15 digits, which are "
            f"rounded; if they identify rows, leave them out: {drop_option(long)}"
        )
    dates = [c for c, v in pairs if v.kind == "number" and _are_dates(c, v.values)]
    if dates:
        found.append(
            f"{shorten([c.title for c in dates])}: dates as numbers, such as {dates[0].texts[0]}, "
            f"whose differences mean nothing; leave them out, {drop_option(dates)}, or write what "
            "matters of them, such as the month"
        )
    for column, value in pairs:
        sentinel = _find_sentinel(value.values) if value.kind == "number" else None
        if sentinel is not None:
            count = int(np.sum(value.values == sentinel))
            found.append(
                f"{quote(column.title)}: {sentinel:.0f} in {count} rows, far from all others; if "
                "it stands for a missing value, empty these cells"
            )
    return found


def propose_image(features: Array) -> list[str]:
    """A question, if the features could be the pixels of square images, from 0 to 255."""
    side = math.isqrt(features.shape[1])
    if side < 4 or side**2 != features.shape[1] or np.any(features != np.floor(features)):
        return []
    is_pixels = features.min() == 0 and 16 <= features.max() <= 255 and np.mean(features == 0) > 0.2
    text = (
        f"the features look like the pixels of images; if they are, say so: --image {side}x{side}"
    )
    return [text] if is_pixels else []


def counts_rows(values: Array) -> bool:
    """Whether numbers go up, or down, by one from row to row."""
    steps = np.diff(values)
    return len(steps) > 0 and abs(steps[0]) == 1 and bool(np.all(steps == steps[0]))


def _identifies(column: Column, values: Values) -> bool:
    numbers = values.values
    rows = len(numbers)
    if rows < MIN_ROWS or np.any(np.isnan(numbers)):
        return False
    if counts_rows(numbers) and values.kind == "number":
        return True
    different = len(np.unique(numbers))
    whole = bool(np.all(numbers == np.floor(numbers)))
    name = column.name or ""
    if (IDENTIFIER.fullmatch(name) or IDENTIFIER.fullmatch(name.lower())) and whole:
        return different > rows / 2
    if values.kind == "category":
        return different == rows
    # Sorted or not, the numbers from 1 to the number of rows; or a first column of long numbers.
    if not whole or different < 0.9 * rows:
        return False
    spread = numbers.max() - numbers.min()
    return bool((different == rows == spread + 1) or (column.position == 0 and spread > 100 * rows))


def _copies(values: Array, labels: Array, classes: int) -> bool:
    if len(labels) < MIN_ROWS or np.any(np.isnan(values)):
        return False
    distinct, codes = np.unique(values, return_inverse=True)
    pairs = len(np.unique(codes.reshape(-1) * classes + labels)) if len(distinct) == classes else 0
    return pairs == classes


def _is_constant(values: Array) -> bool:
    present = values[~np.isnan(values)]
    return len(values) > 1 and len(present) == len(values) and bool(np.all(present == present[0]))


def _are_dates(column: Column, values: Array) -> bool:
    """Whether all numbers are days such as 20200131, or by the column's name months: 202001."""
    present = np.unique(values[~np.isnan(values)])
    if len(present) < 2 or np.any(present != np.floor(present)):
        return False
    if present.min() >= 10_000_000:
        months, days = present // 100, present % 100
    elif DATE_NAME.fullmatch((column.name or "").lower()):
        months, days = present, np.ones_like(present)
    else:
        return False
    years, months = months // 100, months % 100
    ranges = (years, 1800, 2200), (months, 1, 12), (days, 1, 31)
    are_in_range = all(bool(np.all((low <= x) & (x <= high))) for x, low, high in ranges)
    return are_in_range and (len(present) >= MIN_ROWS or column.name is not None)


def _find_sentinel(values: Array) -> float | None:
    """A number of nines, the least or the most, which is repeated and far from the others."""
    present = values[~np.isnan(values)]
    if len(present) < MIN_ROWS:
        return None
    for end in (float(present.min()), float(present.max())):
        others = present[present != end]
        if len(present) - len(others) < 2 or len(np.unique(others)) < 2:
            continue
        distance = np.min(np.abs(others - end))
        if SENTINEL.fullmatch(f"{end:.0f}") and distance > others.max() - others.min():
            return end
    return None


def _is_rounded(column: Column, values: Array) -> bool:
    with np.errstate(invalid="ignore"):
        large = np.abs(values) > 2**53
    if not np.any(large):
        return False
    return all(re.fullmatch(r"[+-]?\d+(\.0*)?", text) for text in column.texts if text)
