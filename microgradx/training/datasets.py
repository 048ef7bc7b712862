"""Data sets by name: those bundled with scikit-learn, and computed toys."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from microgradx.common.messages import InputError
from microgradx.data import moons, spirals
from microgradx.data.tables import Table, TableSchema, read_table

__all__ = ["load_table"]

BUNDLED = ("digits", "iris", "wine", "breast_cancer")
TOYS = ("moons", "spirals")


def load_table(
    data: str | Path,
    *,
    label: str | int | None = None,
    generator: np.random.Generator | None = None,
    **options: Any,
) -> Table:
    """A data set by its name, or from a file.

    digits, iris, wine, breast_cancer: bundled with scikit-learn, not downloaded.
    moons, spirals: 600 and 900 points of the plane, drawn with `generator`.
    anything else: a file, read by `read_table` with `label` and the other options.

    Raises InputError if there is no such data, if the file is not usable, or if scikit-learn
    is needed and not installed.
    """
    name = str(data)
    if name in BUNDLED + TOYS:
        asked = {"label": label, **options}
        given = [f"--{option}" for option, value in asked.items() if value not in (None, ())]
        if given:
            raise InputError(
                f"{', '.join(given)}: how to read a file, and {name} needs no such option"
            )
        return _load_bundled(name) if name in BUNDLED else _make_toy(name, generator)
    if not Path(name).suffix and not Path(name).exists() and Path(name).name == name:
        raise InputError(
            f"there is no data set called {name!r}; choose {', '.join(BUNDLED + TOYS)}, or give a "
            "file"
        )
    return read_table(data, label, **options)


def _load_bundled(name: str) -> Table:
    try:
        from sklearn import datasets
    except ImportError:
        raise InputError(
            f"{name} comes with scikit-learn, which is not installed: "
            'pip install "microgradx[data]", or use --data moons, which needs nothing'
        ) from None
    bunch: Any = getattr(datasets, f"load_{name}")()
    schema = TableSchema(
        bunch.data.shape[1],
        tuple(map(str, bunch.feature_names)),
        image_shape=bunch.images.shape[1:] if name == "digits" else None,
    )
    features, labels = bunch.data.astype(np.float64), bunch.target.astype(np.int64)
    return Table(features, labels, tuple(map(str, bunch.target_names)), schema)


def _make_toy(name: str, generator: np.random.Generator | None) -> Table:
    names: tuple[str, ...]
    if name == "moons":
        (features, labels), names = moons(600, 0.2, generator), ("upper", "lower")
    else:
        features, labels = spirals(900, 3, generator=generator)
        names = ("first", "second", "third")
    return Table(features, labels, names, TableSchema(2, ("x", "y")))
