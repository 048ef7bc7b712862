"""What is suspicious in a table, though it can be used: columns that give away the label, or none.

Each is a line that names the columns and says how to leave them out.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

import numpy as np

from microgradx.arrays.types import Array
from microgradx.common.messages import shorten
from microgradx.data.tables.columns import Column, Values, drop_option

__all__ = ["counts_rows", "find_suspicions", "propose_image"]

IDENTIFIER = re.compile(
    r"(?:.*[ _.-])?(?:id|ids|uid|uuid|guid|identifier|index|idx|serial|rowid|row|rownum"
    r"|row[ _.-]?(?:number|names?)|unnamed: ?\d+)|.*[a-z]I[dD]|(?:no|nr|number|sno|s\.no)\.?",
)

#: Fewer rows show nothing.
MIN_ROWS = 10


def find_suspicions(
    columns: Sequence[Column], values: Sequence[Values], labels: Array, classes: int
) -> list[str]:
    """Columns that identify rows, copy the label, never change, or have numbers too long."""
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


def _is_rounded(column: Column, values: Array) -> bool:
    with np.errstate(invalid="ignore"):
        large = np.abs(values) > 2**53
    if not np.any(large):
        return False
    return all(re.fullmatch(r"[+-]?\d+(\.0*)?", text) for text in column.texts if text)
