"""Mini-batches: the rows of a data set, a few at a time."""

from __future__ import annotations

import operator
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from microgradx.arrays.types import Array
from microgradx.common.randomness import as_generator
from microgradx.data.rows import check_rows

__all__ = ["Batches", "batches"]


@dataclass(eq=False, repr=False)
class Batches:
    """What `batches` returns: each iteration is one pass; `len` is the number of batches."""

    X: Array
    y: Array
    batch_size: int
    generator: np.random.Generator | None
    shuffle: bool
    drop_last: bool

    def __len__(self) -> int:
        full, remaining = divmod(len(self.X), self.batch_size)
        return full if self.drop_last or not remaining else full + 1

    def __iter__(self) -> Iterator[tuple[Array, Array]]:
        starts = range(0, len(self) * self.batch_size, self.batch_size)
        order = as_generator(self.generator).permutation(len(self.X)) if self.shuffle else None
        for start in starts:
            rows: Any = slice(start, start + self.batch_size)
            if order is not None:
                rows = order[rows]
            yield self.X[rows], self.y[rows]


def batches(
    X: Any,
    y: Any,
    batch_size: int,
    generator: np.random.Generator | None = None,
    shuffle: bool = True,
    drop_last: bool = False,
) -> Batches:
    """Pairs of arrays, `batch_size` rows of X and the same rows of y.

    Each iteration over the result is one pass over all rows, shuffled anew unless `shuffle=False`.
    The last batch is smaller if `batch_size` does not divide the number of rows; `drop_last` leaves
    it out. Batches have the dtypes of X and y; without shuffling they are views.

    >>> for X_batch, y_batch in batches([[1.0], [2.0], [3.0]], [1, 2, 3], 2, shuffle=False):
    ...     print(X_batch.tolist(), y_batch.tolist())
    [[1.0], [2.0]] [1, 2]
    [[3.0]] [3]

    Raises ValueError for X and y of different lengths, for no rows, for a batch_size below 1, and
    for one that leaves no batch with drop_last.
    """
    X, y = check_rows(X, y)
    rows, batch_size = len(X), operator.index(batch_size)
    if batch_size < 1:
        raise ValueError(f"batch_size must be 1 or more, not {batch_size}")
    if drop_last and batch_size > rows:
        raise ValueError(
            f"with drop_last, {rows} rows give no batch of {batch_size}; "
            "lower batch_size, or keep the last batch"
        )
    as_generator(generator)  # raises here, not at the first pass, if it is not a generator
    return Batches(X, y, batch_size, generator, shuffle, drop_last)
