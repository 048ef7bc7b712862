"""What pictures show of an array: a few elements as they are, of many the spread and a strip."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from microgradx.arrays.types import Array

#: The largest number of elements that are all written out.
FEW = 6

#: The largest number of cells in a strip.
CELLS = 16


class Summary(NamedTuple):
    """An array as it was when it was summed up; what happens to it later makes no difference."""

    shape: tuple[int, ...]
    dtype: Any
    #: All elements of a small array, in lines as it has them; of a large one, none.
    lines: list[list[Any]]
    #: Of a large array, least, mean and greatest of the finite elements, if there are any.
    spread: list[Any]
    #: Of a large array, the means of up to 16 stretches; NaN where an element is not finite.
    strip: list[float]
    nans: int
    infinities: int

    @property
    def is_finite(self) -> bool:
        return not (self.nans or self.infinities)

    @property
    def alarms(self) -> list[str]:
        """How many elements are not finite, in words."""
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
            spread = [*_plain(finite.min()), _mean(finite), *_plain(finite.max())]
        strip = [_mean(stretch) for stretch in np.array_split(array.ravel(), CELLS) if stretch.size]
    elif array.size:
        # A column takes less room as a line.
        length = array.shape[-1] if array.shape[-1:] > (1,) else array.size
        lines = [_plain(line) for line in array.reshape(-1, length)]
    return Summary(array.shape, array.dtype, lines, spread, strip, nans, infinities)


def _plain(values: Array) -> list[Any]:
    """Elements as Python's numbers, of which `np.longdouble` has none."""
    values = values.astype(np.float64) if values.dtype.kind == "f" else values
    return np.atleast_1d(values).tolist()  # type: ignore[no-any-return]


def _mean(array: Array) -> float:
    if not np.isfinite(array).all():
        return np.nan
    # Divided first, so that a sum of large numbers cannot overflow.
    return float(np.sum(np.divide(array, array.size, dtype=np.float64)))
