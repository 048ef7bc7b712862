"""Summaries of arrays for drawings: a few elements, or the range and a strip of means."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from microgradx.arrays.types import Array

#: Arrays of up to this many elements are written in full.
FEW = 6

#: The number of cells in a strip.
CELLS = 16


class Summary(NamedTuple):
    """A snapshot of an array."""

    shape: tuple[int, ...]
    #: The name of its dtype, "float64" in either byte order.
    dtype: str
    #: The rows of a small array; empty for a large one.
    lines: list[list[Any]]
    #: The minimum, mean and maximum of the finite elements of a large array, if it has any.
    spread: list[Any]
    #: The means of up to 16 sections of a large array; NaN where an element is not finite.
    strip: list[float]
    nans: int
    infinities: int

    @property
    def is_finite(self) -> bool:
        return not (self.nans or self.infinities)

    @property
    def alarms(self) -> list[str]:
        """The numbers of NaN and inf elements, in words."""
        counts = ((self.nans, "NaN"), (self.infinities, "inf"))
        return [f"{count:,} {what}" for count, what in counts if count]


def summarize(array: Array) -> Summary:
    array = np.asarray(array)
    finite = array[np.isfinite(array)]
    nans = int(np.isnan(array).sum())
    infinities = array.size - finite.size - nans
    lines: list[list[Any]] = []
    spread: list[Any] = []
    strip: list[float] = []
    if array.size > FEW:
        if finite.size:
            spread = [*_to_python(finite.min()), _mean(finite), *_to_python(finite.max())]
        strip = [_mean(section) for section in np.array_split(array.ravel(), CELLS) if section.size]
    elif array.size:
        # A column is written as a row.
        length = array.shape[-1] if array.shape[-1:] > (1,) else array.size
        lines = [_to_python(line) for line in array.reshape(-1, length)]
    return Summary(array.shape, array.dtype.name, lines, spread, strip, nans, infinities)


def _to_python(values: Array) -> list[Any]:
    """Elements as Python numbers, also from `np.longdouble`."""
    values = values.astype(np.float64) if values.dtype.kind == "f" else values
    return np.atleast_1d(values).tolist()  # type: ignore[no-any-return]


def _mean(array: Array) -> float:
    if not np.isfinite(array).all():
        return np.nan
    # Divided first, so that the sum cannot overflow.
    return float(np.sum(np.divide(array, array.size, dtype=np.float64)))
