"""From the features of a table to the numbers that a network takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from microgradx.arrays.types import Array
from microgradx.common.messages import InputError, shorten
from microgradx.data.scaling import StandardScaler
from microgradx.data.tables.schema import TableSchema
from microgradx.data.tables.table import Table

__all__ = ["TableEncoder"]

LARGEST = 1e6  # standard deviations: more are cut, so that no layer overflows


@dataclass(frozen=True)
class TableEncoder:
    """What `fit` learnt from the training rows, to encode these and any others.

    A number or truth value becomes (x - mean) / scale; a missing one 0, which is the mean. A
    category becomes a column for each category of the training rows, 1 for its own and 0 for the
    others; a missing one is 0 in all, and so is one that the training rows do not have. For each
    of the columns `indicators` another one says by 1 that the value was missing.

    mean, scale: (width,), of the encoded columns; 0 and 1 for categories and indicators. The pixels
        of images share one mean and one scale: with a scale of its own, a pixel at the edge that is
        nearly always white would count as much as the strokes.

    >>> table = Table(np.array([[1.0, 0], [3, 1]]), np.array([0, 1]), ("no", "yes"),
    ...               TableSchema(2, ("age", "sex"), kinds=("number", "category")),
    ...               ((), ("f", "m")))
    >>> encoder = TableEncoder.fit(table)
    >>> encoder.names
    ['age', 'sex=f', 'sex=m']
    >>> encoder.transform(table)
    array([[-1.,  1.,  0.],
           [ 1.,  0.,  1.]], dtype=float32)
    """

    schema: TableSchema
    mean: Array
    scale: Array
    categories: tuple[tuple[str, ...], ...] = ()  # of each column; () for numbers
    indicators: tuple[int, ...] = ()

    @classmethod
    def fit(cls, table: Table, rows: Any = None) -> TableEncoder:
        """An encoder for tables like this, learnt from some rows, or from all.

        Raises InputError for columns of numbers too large to have a standard deviation.
        """
        training = table if rows is None else table.take(rows)
        schema, features = table.schema, training.features
        categories = tuple(
            tuple(names[k] for k in (_indices_in(features[:, i]) if names else ()))
            for i, names in enumerate(table.categories if schema.has_categories else ())
        )
        indicators: tuple[int, ...] = ()
        if schema.missing == "indicator":
            indicators = tuple(np.flatnonzero(np.isnan(features).any(axis=0)).tolist())
        unscaled = cls(schema, np.zeros(0), np.zeros(0), categories, indicators)
        mean, scale = unscaled._measure(unscaled._expand(training))
        return cls(schema, mean, scale, categories, indicators)

    @property
    def width(self) -> int:
        """The number of encoded columns."""
        if not self.schema.has_categories:
            return self.schema.columns + len(self.indicators)
        return sum(self._widths()) + len(self.indicators)

    @property
    def origins(self) -> Array:
        """The feature that each encoded column comes from."""
        of_features = np.repeat(np.arange(self.schema.columns), self._widths())
        return np.concatenate([of_features, np.array(self.indicators, dtype=np.int64)])

    @property
    def names(self) -> list[str]:
        """What the encoded columns are called."""
        names = []
        for i in range(self.schema.columns):
            name = self.schema.feature_name(i)
            if self.schema.kind(i) == "category":
                names += [f"{name}={category}" for category in self.categories[i]]
            else:
                names.append(name)
        return names + [f"{self.schema.feature_name(i)} is missing" for i in self.indicators]

    def transform(self, rows: Table | Any) -> Array:
        """Encoded features (rows, width) of float32: of a table, or of numbers (rows, columns)."""
        with np.errstate(over="ignore"):
            scaled = (self._expand(rows) - self.mean) / self.scale
        scaled[np.isnan(scaled)] = 0
        return np.clip(scaled, -LARGEST, LARGEST).astype(np.float32)

    def unseen(self, table: Table) -> dict[str, list[str]]:
        """The categories of a table that the training rows did not have, by column."""
        found = {}
        for i, known in enumerate(self.categories):
            names = table.categories_of(i) if self.schema.kind(i) == "category" else ()
            there = [names[k] for k in (_indices_in(table.features[:, i]) if names else ())]
            unknown = [name for name in there if name not in known]
            if unknown:
                found[self.schema.feature_name(i)] = unknown
        return found

    def _widths(self) -> list[int]:
        """How many encoded columns each feature has."""
        kinds = [self.schema.kind(i) for i in range(self.schema.columns)]
        return [
            len(self.categories[i]) if kind == "category" else 1 for i, kind in enumerate(kinds)
        ]

    def _expand(self, rows: Table | Any) -> Array:
        """The encoded columns before they are scaled, with NaN for missing values."""
        features, categories = self._features_of(rows)
        if not self.schema.has_categories:
            parts = [features]
        else:
            parts = []
            for i, known in enumerate(self.categories):
                column = features[:, i : i + 1]
                if self.schema.kind(i) == "category":
                    # The table's own index of each known category; -1, of no cell, if it has none.
                    index = {name: k for k, name in enumerate(categories[i])}
                    column = column == np.array([index.get(name, -1) for name in known])
                parts.append(column)
        parts += [np.isnan(features[:, i : i + 1]) for i in self.indicators]
        return np.concatenate(parts, axis=1, dtype=np.float64)

    def _features_of(self, rows: Table | Any) -> tuple[Array, tuple[tuple[str, ...], ...]]:
        if isinstance(rows, Table):
            return rows.features, rows.categories
        features = np.asarray(rows)
        if features.ndim != 2 or features.shape[1] != self.schema.columns:
            names = shorten([self.schema.feature_name(i) for i in range(self.schema.columns)])
            raise ValueError(
                f"features of shape {features.shape} do not fit; they must be (rows, "
                f"{self.schema.columns}): {names}; or give a data frame, whose columns are found "
                "by their names"
            )
        if self.schema.has_categories:
            raise ValueError(
                "columns of categories are encoded from a Table or a data frame, not from an array"
            )
        try:
            return features.astype(np.float64, copy=False), ()
        except (TypeError, ValueError) as error:
            raise ValueError(f"features must be numbers, or a data frame: {error}") from None

    def _measure(self, expanded: Array) -> tuple[Array, Array]:
        """Mean and scale of each encoded column; categories and indicators stay 0 and 1."""
        values = expanded.reshape(-1, 1) if self.schema.image_shape else expanded
        missing = np.isnan(values)
        with np.errstate(over="ignore", invalid="ignore"):
            fitted = StandardScaler().fit(np.where(missing, 0, values))
            for i in np.flatnonzero(missing.any(axis=0)).tolist():
                present = values[~missing[:, i], i : i + 1]
                column = StandardScaler().fit(present if len(present) else [[0.0]])
                fitted.mean[i], fitted.scale[i] = column.mean[0], column.scale[0]
        if self.schema.image_shape:
            shape = expanded.shape[1:]
            mean, scale = np.broadcast_to(fitted.mean, shape), np.broadcast_to(fitted.scale, shape)
        else:
            is_flag = self._are_flags()
            mean, scale = np.where(is_flag, 0, fitted.mean), np.where(is_flag, 1, fitted.scale)
        if not np.all(np.isfinite(scale)):
            wrong = [self.names[i] for i in np.flatnonzero(~np.isfinite(scale)).tolist()]
            raise InputError(
                f"the numbers in {shorten(wrong)} are too large to have a standard deviation; "
                "divide them by a power of ten"
            )
        return mean, scale

    def _are_flags(self) -> Array:
        """Which encoded columns are those of categories, and indicators."""
        is_category = [self.schema.kind(i) == "category" for i in range(self.schema.columns)]
        of_features = np.repeat(is_category, self._widths())
        return np.concatenate([of_features, np.ones(len(self.indicators), dtype=bool)])


def _indices_in(column: Array) -> list[int]:
    """The categories in a column, each once, as their indices."""
    indices: list[int] = np.unique(column[~np.isnan(column)]).astype(np.int64).tolist()
    return indices
