"""Metrics of predictions: accuracy and the confusion matrix."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from microgradx.arrays.types import Array, unwrap
from microgradx.common.messages import printable

__all__ = ["accuracy", "confusion_matrix", "format_confusion_matrix"]


def accuracy(predicted: Any, labels: Any) -> float:
    """The share of rows whose predicted label is the true one; both are (rows,) of integers.

    Raises ValueError for different shapes, or if there are no rows.

    >>> accuracy([0, 1, 1, 2], [0, 1, 2, 2])
    0.75
    """
    predicted, labels = _check_labels(predicted, labels)
    if labels.size == 0:
        raise ValueError("the accuracy of no rows is undefined; give at least one row")
    return float(np.mean(predicted == labels))


def confusion_matrix(labels: Any, predicted: Any, classes: int) -> Array:
    """Counts (classes, classes) of the rows with each true label (down) and prediction (across).

    The diagonal counts the right predictions. Raises ValueError for different shapes, and for
    labels outside 0 ... classes - 1.

    >>> confusion_matrix([0, 1, 2, 2], [0, 1, 1, 2], classes=3)
    array([[1, 0, 0],
           [0, 1, 0],
           [0, 1, 1]])
    """
    predicted, labels = _check_labels(predicted, labels)
    for values in (labels, predicted):
        if values.size and not 0 <= values.min() <= values.max() < classes:
            raise ValueError(
                f"labels from {values.min()} to {values.max()} do not fit {classes} classes, "
                f"0 to {classes - 1}"
            )
    counts = np.bincount(labels * classes + predicted, minlength=classes * classes)
    return counts.reshape(classes, classes)


def _check_labels(predicted: Any, labels: Any) -> tuple[Array, Array]:
    predicted, labels = np.asarray(unwrap(predicted)), np.asarray(unwrap(labels))
    if predicted.shape != labels.shape or labels.ndim != 1:
        raise ValueError(
            f"predicted labels of shape {predicted.shape} and labels of shape {labels.shape}; "
            "both must be (rows,)"
        )
    return predicted, labels


def format_confusion_matrix(labels: Any, predicted: Any, names: Sequence[str]) -> str:
    """The confusion matrix as text: a row for each true label, a column for each predicted one.

    With more than 26 classes it lists the most frequent mistakes instead.
    """
    counts = confusion_matrix(labels, predicted, len(names))
    names = [printable(name) for name in names]
    # Long names are shortened in the middle, as they often differ at their ends.
    names = [name if len(name) <= 16 else f"{name[:7]}…{name[-8:]}" for name in names]
    first = max(map(len, names))
    if len(names) > 26:
        mistakes = sorted(
            (-int(counts[i, j]), i, j) for i, j in zip(*counts.nonzero(), strict=True) if i != j
        )
        return "\n".join(
            ["The most frequent mistakes (true label, predicted label, rows):"]
            + [f"  {names[i]:{first}}  {names[j]:{first}}  {-n}" for n, i, j in mistakes[:20]]
        )
    width = max(first, len(str(counts.max())))
    headings = names
    if width * len(names) > 80:  # too wide: number the columns
        width = max(len(str(len(names))), len(str(counts.max())))
        headings = [str(i + 1) for i in range(len(names))]
        names = [f"{i + 1:2} {name}" for i, name in enumerate(names)]
        first += 3
    lines = ["True label (down) and predicted label (across):"]
    lines.append(" " * (first + 2) + "".join(f"  {name:>{width}}" for name in headings))
    for name, row in zip(names, counts.tolist(), strict=True):
        cells = "".join(f"  {n or '·':>{width}}" for n in row)
        lines.append(f"  {name:{first}}{cells}")
    return "\n".join(lines)
