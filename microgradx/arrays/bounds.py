"""The check of integers that are labels or indices."""

from __future__ import annotations

from typing import Any

import numpy as np

from microgradx.arrays.types import Array

__all__ = ["check_bounds", "check_range"]


def check_bounds(integers: Array, *arguments: Any) -> None:
    """`check_range`, of a program that is being traced in each of its calls."""
    if hasattr(integers, "check_range"):
        integers.check_range(*arguments)
    else:
        check_range(integers, *arguments)


def check_range(
    integers: Array,
    count: int,
    noun: str = "label",
    nouns: str = "classes",
    ignored: int | None = None,
) -> None:
    """Raise IndexError unless each integer is from 0 to count - 1, or the one to ignore."""
    if integers.size == 0 or (integers.min() >= 0 and integers.max() < count):
        return
    wrong = (integers < 0) | (integers >= count)
    if ignored is not None:
        wrong &= integers != ignored
    if wrong.any():
        first = tuple(map(int, np.argwhere(wrong)[0]))
        row = f" in row {first[0] if len(first) == 1 else first}" if first else ""
        hint = "; to ignore such rows, pass ignore_index" if noun == "label" else ""
        raise IndexError(
            f"{noun} {integers[first]}{row} is not one of the {count} {nouns}, 0 to {count - 1}"
            f"{hint}"
        )
