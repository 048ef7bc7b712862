"""What metrics are given: labels of any kind, and probabilities that are ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from microgradx.arrays.types import Array, unwrap
from microgradx.common.messages import InputError, shorten

__all__ = [
    "are_probabilities",
    "check_label_pairs",
    "check_probabilities",
    "encode_labels",
    "import_sklearn_metrics",
]

#: How far from 1 a row of probabilities may sum: about as far as four decimals can take it.
SUM_TOLERANCE = 1e-3


def check_label_pairs(labels: Any, predicted: Any) -> tuple[Array, Array]:
    """True and predicted labels as arrays (rows,) of the same kind: numbers or texts."""
    labels, predicted = as_labels(labels, "labels"), as_labels(predicted, "predicted labels")
    if labels.shape != predicted.shape:
        raise ValueError(
            f"labels of shape {labels.shape} and predicted labels of shape {predicted.shape}; "
            "both must be (rows,)"
        )
    if labels.size == 0:
        raise ValueError("there are no rows to measure; give at least one")
    if (labels.dtype.kind == "U") != (predicted.dtype.kind == "U"):
        raise TypeError(
            f"labels such as {labels[0].item()!r}, but predicted labels such as "
            f"{predicted[0].item()!r}; give both as texts or both as numbers"
        )
    return labels, predicted


def as_labels(values: Any, what: str) -> Array:
    """Labels as an array (rows,) of integers, booleans, floats or texts, none of them missing."""
    array = np.asarray(unwrap(values))
    if array.ndim != 1:
        remedy = "for the most probable class of each row, take .argmax(axis=1)"
        raise ValueError(
            f"{what} of shape {array.shape} must be (rows,)"
            + (f"; {remedy}" if array.ndim == 2 else "")
        )
    if array.dtype.kind == "O":
        is_text = [isinstance(value, str) for value in array]
        if any(is_text) and not all(is_text):
            other = array[is_text.index(False)]
            raise TypeError(
                f"{what} hold texts and {other!r}; give texts or numbers alone, and leave rows "
                "without a label out"
            )
        array = np.array(array.tolist()) if array.size else array.astype(int)
    if array.dtype.kind not in "biufUT":
        raise TypeError(f"{what} of dtype {array.dtype} must be numbers or texts, without gaps")
    if array.dtype.kind == "f" and np.any(np.isnan(array)):
        raise ValueError(
            f"{what} have NaN in row {int(np.argmax(np.isnan(array)))}; leave rows without a label "
            "out"
        )
    return array.astype(np.str_) if array.dtype.kind == "T" else array


def encode_labels(
    labels: Any, classes: Sequence[Any] | Array | None, columns: int | None = None
) -> Array:
    """Labels (rows,) as indices of their classes, 0 to `columns` - 1.

    Without `classes`, numbers are indices already, and texts stand for their place in sorted order.
    """
    labels = as_labels(labels, "labels")
    if classes is None and labels.dtype.kind != "U":
        indices: Array = labels.astype(np.intp)
        if columns is not None and np.any(
            wrong := (indices < 0) | (indices >= columns) | (indices != labels)
        ):
            raise ValueError(
                f"label {labels[wrong][0].item()!r} does not fit {columns} classes, "
                f"0 to {columns - 1}; name the classes, in the order of the columns: classes=[…]"
            )
        return indices
    values, inverse = np.unique(labels, return_inverse=True)
    known = (values if classes is None else as_labels(classes, "classes")).tolist()
    index_of = {name: index for index, name in enumerate(known)}
    if columns is not None and len(known) != columns:
        raise ValueError(
            f"probabilities of {columns} classes, but {len(known)} labels: "
            f"{shorten([*map(str, known)])}; name the classes, in the order of the columns: "
            "classes=[…]"
        )
    if len(index_of) < len(known):
        raise ValueError(f"a class stands twice in {shorten([*map(str, known)])}; name each once")
    unknown = [value for value in values.tolist() if value not in index_of]
    if unknown:
        raise ValueError(
            f"label {unknown[0]!r} is none of the classes {shorten([*map(str, known)])}; "
            "name all classes"
        )
    return np.array([index_of[value] for value in values.tolist()], np.intp)[inverse]


def are_probabilities(rows: Array) -> bool:
    """Whether all rows (rows, classes), which may hold infinities, are from 0 to 1 and sum to 1.

    A single class has no other probability than 1, so its rows are not told from other numbers.
    """
    return rows.shape[1] > 1 and not np.any(_find_wrong_rows(rows)[0])


def _find_wrong_rows(p: Array) -> tuple[Array, Array, Array]:
    """Which rows are no probabilities; which of these have numbers outside 0 to 1; all sums."""
    with np.errstate(over="ignore"):  # of huge logits
        sums = p.sum(axis=1, dtype=np.float64)
    outside = np.any((p < 0) | (p > 1 + SUM_TOLERANCE), axis=1)
    return outside | (np.abs(sums - 1) > SUM_TOLERANCE), outside, sums


def check_probabilities(probabilities: Any) -> Array:
    """Probabilities as floats (rows, classes), of which each row sums to 1.

    One axis holds those of the second of two classes, as in scikit-learn. Whole numbers along it
    are refused: they are classes, such as an argmax returns.
    """
    p = np.asarray(unwrap(probabilities))
    if p.dtype.kind not in "biuf":
        raise TypeError(f"probabilities of dtype {p.dtype} must be numbers")
    if p.ndim == 1 and p.size and p.dtype.kind != "f":
        raise TypeError(
            f"probabilities of dtype {p.dtype} and shape {p.shape}, such as {p[0]}, are classes, "
            "not probabilities; pass the numbers from 0 to 1 that they were chosen by, before "
            ".argmax(axis=1) or > 0.5"
        )
    if p.dtype.kind != "f":
        p = p.astype(np.float64)
    if p.ndim not in (1, 2) or 0 in p.shape:
        raise ValueError(
            f"probabilities of shape {p.shape} must be (rows, classes), or (rows,) for those of "
            "the second of two classes, with at least one row"
        )
    is_finite = np.isfinite(p)
    if not np.all(is_finite):
        row = int(np.argwhere(~is_finite)[0][0])
        raise ValueError(f"probabilities have {p[~is_finite][0]} in row {row}; they must be finite")
    if p.ndim == 1:
        p = np.stack([1 - p, p], axis=1)
    wrong, outside, sums = _find_wrong_rows(p)
    if np.any(wrong):
        row = int(np.argmax(wrong))
        found = f"goes from {p[row].min():g} to {p[row].max():g}"
        raise ValueError(
            f"row {row} of the probabilities {found if outside[row] else f'sums to {sums[row]:g}'}"
            "; its numbers must be from 0 to 1, and sum to 1: of logits, take the softmax"
        )
    return p


def import_sklearn_metrics(name: str) -> Any:
    """scikit-learn's metrics; raises InputError, which names the extra, if it is not installed."""
    try:
        from sklearn import metrics
    except ImportError:
        raise InputError(
            f'{name} is computed by scikit-learn: pip install "microgradx[data]"'
        ) from None
    return metrics
