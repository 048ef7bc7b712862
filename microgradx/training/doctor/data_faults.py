"""Faults of the rows: what cannot be learnt from, and features of very different scales."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from microgradx.arrays.types import Array
from microgradx.training.doctor.case import Case
from microgradx.training.doctor.findings import Finding
from microgradx.training.features import NotFiniteError

__all__ = [
    "FeatureScale",
    "are_related",
    "find_data_faults",
    "flatten_rows",
    "varying_columns",
]


def flatten_rows(X: Array) -> Array:
    return X.reshape(len(X), -1).astype(float)


def describe_not_finite(error: NotFiniteError) -> Finding:
    sentence, _, remedy = str(error).partition("; ")
    return Finding(
        "features not finite",
        f"{sentence}. One of them makes the loss of its batch, and then every weight, NaN.",
        f"{remedy[0].upper()}{remedy[1:]}.",
    )


def find_data_faults(case: Case) -> Iterator[Finding]:
    if case.labels is not None:
        present = np.unique(case.labels)
        if len(present) == 1:
            yield Finding(
                "a single class",
                f"All {len(case.labels)} labels are {present[0]}: there is nothing to tell apart.",
                "Check how the labels were read, and that the rows were not sorted by class before "
                "some were taken.",
                {"classes": 1},
            )
    if len(case.X) > 1 and not varying_columns(flatten_rows(case.X)).shape[1]:
        yield Finding(
            "constant features",
            f"All {len(case.X)} rows have the same features, so no prediction can depend on them.",
            "Check how the features were read and scaled.",
            {"varying columns": 0},
        )
        return
    yield from _find_contradictions(case)


def _find_contradictions(case: Case) -> Iterator[Finding]:
    """Rows with the same features and different labels, which nothing can tell apart."""
    if case.labels is None:
        return
    _, groups = np.unique(flatten_rows(case.X), axis=0, return_inverse=True)
    groups = groups.reshape(-1)
    table = np.zeros((groups.max() + 1, case.classes), int)
    np.add.at(table, (groups, case.labels), 1)
    best = int(table.max(axis=1).sum())
    majority = int(table.sum(axis=0).max())
    # Nothing to learn: as many are right by class frequencies alone.
    if len(table) < len(groups) and best <= majority + 0.05 * (len(groups) - majority):
        yield Finding(
            "contradictory labels",
            f"Only {len(table)} of {len(groups)} rows are different, and rows with the same "
            f"features have different labels: at best {best / len(groups):.1%} can be right, and "
            f"the most frequent class alone is right for {majority / len(groups):.1%}.",
            "Keep the columns that tell the rows apart, and check how they were read.",
            {"different rows": len(table), "best accuracy": best / len(groups)},
        )


# ---------------------------------------------------------------------------- scales


class FeatureScale(NamedTuple):
    """How the columns of features lie: their sizes, and their distance from 0."""

    smallest: float  # deviation of a column
    largest: float
    size: float  # the largest root mean square of a column
    offset: float  # √(Σ mean² / Σ variance) over the columns

    @classmethod
    def of(cls, X: Array) -> FeatureScale:
        flat = flatten_rows(X)
        if X.ndim > 2:  # pixels share a scale
            flat = flat.reshape(-1, 1)
        flat = varying_columns(flat)
        if not flat.shape[1]:
            return cls(1.0, 1.0, 1.0, 0.0)
        mean, deviation = flat.mean(axis=0), flat.std(axis=0)
        size = float(np.sqrt(np.max(mean**2 + deviation**2)))
        offset = float(np.sqrt(np.sum(mean**2) / np.sum(deviation**2)))
        return cls(float(deviation.min()), float(deviation.max()), size, offset)

    def is_bad(self, columns: int) -> bool:
        """Ten times off what initial weights are made for, or columns a hundred times apart.

        In tables of more than 20 columns some may well vary little, as pixels at the edge do.
        """
        is_apart = columns <= 20 and self.smallest < 0.01 * self.largest
        return self.size > 10 or self.size < 0.1 or self.offset > 10 or is_apart

    def __str__(self) -> str:
        if self.smallest > 0.5 * self.largest:
            text = f"deviations of {self.largest:.2g}"
        else:
            text = f"deviations from {self.smallest:.2g} to {self.largest:.2g}"
        return text + (f" and lie {self.offset:.2g} deviations from 0" if self.offset > 3 else "")


def varying_columns(flat: Array) -> Array:
    """The columns that are not constant, up to rounding."""
    return flat[:, np.ptp(flat, axis=0) > 1e-9 * np.abs(flat).max(axis=0)]


# ---------------------------------------------------------------------------- relation to labels


def are_related(
    X: Array, labels: Array, generator: np.random.Generator
) -> tuple[bool, float, float]:
    """Whether features say anything about labels; the neighbours' agreement, and that by chance.

    Two permutation tests, at 1 % together: the largest share of a column's variance, in ranks, that
    lies between classes; and how often a row's five nearest neighbours have its label.
    """
    flat = flatten_rows(X)
    n, permutations = len(flat), 399
    flat = varying_columns(flat)
    if flat.shape[1] == 0 or n < 10:
        return True, 1.0, 1.0
    ranks = np.argsort(np.argsort(flat, axis=0), axis=0).astype(float)
    ranks -= ranks.mean(axis=0)
    scaled = (flat - flat.mean(axis=0)) / flat.std(axis=0)
    squares = np.sum(scaled**2, axis=1)
    distances = squares[:, None] + squares - 2 * scaled @ scaled.T
    np.fill_diagonal(distances, np.inf)
    nearest = np.argpartition(distances, 5, axis=1)[:, :5]
    one_hot = np.eye(int(labels.max()) + 1)[labels]
    counts = np.maximum(one_hot.sum(axis=0), 1)

    def measure(orders: Array) -> Array:
        """Both statistics for each order of the labels, (orders, 2), by one matrix product."""
        permuted = labels[orders]
        sums = one_hot[orders].swapaxes(1, 2).reshape(-1, n) @ ranks
        between = sums.reshape(len(orders), -1, ranks.shape[1]) ** 2 / counts[:, None]
        agreement = np.mean(permuted[:, nearest] == permuted[:, :, None], axis=(1, 2))
        return np.column_stack([between.sum(axis=1).max(axis=1), agreement])

    (seen,) = measure(np.arange(n)[None])
    orders = generator.permuted(np.tile(np.arange(n), (permutations, 1)), axis=1)
    # A few at a time, so that they stay small.
    size = max(1, 1_000_000 // one_hot.size)
    chance = np.concatenate(
        [measure(orders[first : first + size]) for first in range(0, permutations, size)]
    )
    p = (1 + np.sum(chance >= seen, axis=0)) / (permutations + 1)
    return bool(2 * p.min() <= 0.01), float(seen[1]), float(chance[:, 1].mean())
