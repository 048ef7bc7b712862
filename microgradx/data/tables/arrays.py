"""Features and labels from NPZ files, whatever their arrays are called."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from microgradx.arrays.types import Array
from microgradx.common.messages import InputError, quote
from microgradx.common.npz import ArrayFile, open_arrays
from microgradx.data.tables.images import check_image_shape

__all__ = ["ArrayTable", "read_arrays"]

#: What arrays of features and labels are called, the likeliest first.
FEATURES = (
    *("X", "x", "X_train", "x_train", "train_X", "train_x", "train_images", "train_data", "data"),
    *("features", "images", "inputs", "samples", "X_test", "x_test", "test_images", "arr_0"),
)
LABELS = (
    *("y", "Y", "y_train", "Y_train", "train_y", "train_labels", "target", "targets", "labels"),
    *("label", "classes", "outputs", "y_test", "test_labels", "arr_1"),
)


@dataclass
class ArrayTable:
    """Features (rows, columns) of float64, and the texts of the labels, if there are any."""

    features: Array
    image_shape: tuple[int, ...] | None
    labels: list[str] | None
    label_name: str
    remarks: list[str]


def read_arrays(
    path: Path, label: str | None = None, features: str | None = None, *, need_labels: bool = True
) -> ArrayTable:
    """The arrays of an NPZ file that are features and labels.

    Raises InputError for a file without them, and for arrays of other shapes and dtypes.
    """
    with open_arrays(path) as file:
        name = _choose_features(file, features)
        x = file.read(name)
        table, image_shape = _flatten(path, name, x)
        label_name = _choose_labels(file, name, x.shape, label)
        if label_name is None and need_labels:
            raise InputError(
                f"{path}: no array of labels was found{_of_name(label)}; there are "
                f"{_list_arrays(file)}; give the array of labels with --label NAME"
            )
        labels = None
        if label_name is not None:
            labels = _label_texts(path, label_name, file.read(label_name), name, len(x))
    remarks = []
    if name != "X" or label_name not in ("y", None):
        and_labels = f", labels from {quote(label_name)}" if label_name else ""
        remarks.append(f"features are from the array {quote(name)}{and_labels}")
    return ArrayTable(table, image_shape, labels, label_name or "y", remarks)


def _of_name(name: str | None) -> str:
    return f": none is called {quote(name)}" if name else ""


def _list_arrays(file: ArrayFile) -> str:
    described = [f"{quote(name)} of shape {file.header(name).shape}" for name in file.names[:8]]
    more = f" and {len(file.names) - 8} more" if len(file.names) > 8 else ""
    return ", ".join(described) + more if described else "none"


def _shape(file: ArrayFile, name: str) -> tuple[int, ...] | None:
    """The shape of an array of numbers or texts; None for others, which are never loaded."""
    try:
        header = file.header(name)
    except InputError:
        return None
    return header.shape if header.dtype.kind in "fiubU" else None


def _choose_features(file: ArrayFile, given: str | None) -> str:
    names = [given] if given else [name for name in FEATURES if name in file.names]
    if not names:
        tables = [name for name in file.names if len(_shape(file, name) or ()) >= 2]
        names = tables if len(tables) == 1 else []
    if not names or names[0] not in file.names:
        raise InputError(
            f"{file.path}: no array of features was found{_of_name(given)}; there are "
            f"{_list_arrays(file)}; give the array of features with --features NAME"
        )
    return names[0]


def _choose_labels(
    file: ArrayFile, features: str, shape: tuple[int, ...], given: str | None
) -> str | None:
    if given:
        return given if given in file.names else None
    others = [name for name in file.names if name != features]
    partner = {
        old: features.replace("X", new).replace("x", new) for old, new in (("X", "y"), ("x", "y"))
    }
    partners = [*partner.values(), features.replace("images", "labels").replace("data", "labels")]
    for name in (*partners, *LABELS):
        if name in others and (_shape(file, name) or (0,))[0] == shape[0]:
            return name
    fitting = [
        name for name in others if (_shape(file, name) or (0, 0, 0)) in ((shape[0],), (shape[0], 1))
    ]
    if len(fitting) == 1:
        return fitting[0]
    named = [name for name in LABELS if name in others]
    return named[0] if named else None


def _flatten(path: Path, name: str, x: Array) -> tuple[Array, tuple[int, ...] | None]:
    if x.dtype.kind not in "fiub" or x.ndim not in (2, 3, 4) or x.size == 0:
        raise InputError(
            f"{path}: {name} must be numbers of shape (rows, columns), or (rows, height, width) "
            f"with or without an axis of channels, not {x.dtype} of shape {x.shape}"
        )
    image_shape = check_image_shape(x.shape[1:]) if x.ndim > 2 else None
    with np.errstate(over="ignore"):
        features = x.reshape(len(x), -1).astype(np.float64)
    infinite = np.argwhere(np.isinf(features.reshape(x.shape)))
    if len(infinite):
        first = ", ".join(f"{name}{list(map(int, place))}" for place in infinite[:4])
        more = f" and {len(infinite) - 4} more" if len(infinite) > 4 else ""
        place = tuple(map(int, infinite[0]))
        raise InputError(
            f"{path}: {first}{more} {'is' if len(infinite) == 1 else 'are'} {x[place]}, not a "
            "finite number; correct the array, or put NaN there, which counts as missing"
        )
    return features, image_shape


def _label_texts(path: Path, name: str, labels: Array, features: str, rows: int) -> list[str]:
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim == 2 and len(labels) == rows and labels.dtype.kind in "fiub":
        is_one_hot = np.all((labels == 0) | (labels == 1)) and np.all(labels.sum(axis=1) == 1)
        labels = labels.argmax(axis=1) if is_one_hot else labels
    if labels.shape != (rows,):
        raise InputError(
            f"{path}: {name} must have one label for each row of {features}, shape {(rows,)}, not "
            f"{labels.shape}"
        )
    if labels.dtype.kind not in "fiubU":
        raise InputError(f"{path}: {name} must be integers or text, not {labels.dtype}")
    if labels.dtype.kind == "f":
        present = labels[~np.isnan(labels)]
        if not np.all(present == np.floor(present)):
            raise InputError(
                f"{path}: {name} must be integers or text, not {labels.dtype} with fractions"
            )
        texts: Sequence[str] = ["" if x != x else str(int(x)) for x in labels.tolist()]
        return list(texts)
    return [str(label).strip() for label in labels.tolist()]
