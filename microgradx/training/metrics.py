"""How good predictions are."""

from __future__ import annotations

from typing import Any

import numpy as np

from microgradx.arrays.types import Array, unwrap

__all__ = ["accuracy", "confusion_matrix"]


def accuracy(predicted: Any, labels: Any) -> float:
    """The share of rows whose predicted label, (rows,) of integers, is the true one.

    Raises ValueError for different shapes, or if there are no rows.

    >>> accuracy([0, 1, 1, 2], [0, 1, 2, 2])
    0.75
    """
    predicted, labels = _checked(predicted, labels)
    if labels.size == 0:
        raise ValueError("there are no rows, so no share of them is right; give at least one")
    return float(np.mean(predicted == labels))


def confusion_matrix(labels: Any, predicted: Any, classes: int) -> Array:
    """How many rows of each true label (down) were given each label (across).

    The result is (classes, classes) of integers; on its diagonal is what was right. Raises
    ValueError for different shapes, and for labels outside 0 ... classes - 1.

    >>> confusion_matrix([0, 1, 2, 2], [0, 1, 1, 2], classes=3)
    array([[1, 0, 0],
           [0, 1, 0],
           [0, 1, 1]])
    """
    predicted, labels = _checked(predicted, labels)
    for values in (labels, predicted):
        if values.size and not 0 <= values.min() <= values.max() < classes:
            raise ValueError(
                f"labels from {values.min()} to {values.max()} do not fit {classes} classes, "
                f"0 to {classes - 1}"
            )
    counts = np.bincount(labels * classes + predicted, minlength=classes * classes)
    return counts.reshape(classes, classes)


def _checked(predicted: Any, labels: Any) -> tuple[Array, Array]:
    predicted, labels = np.asarray(unwrap(predicted)), np.asarray(unwrap(labels))
    if predicted.shape != labels.shape or labels.ndim != 1:
        raise ValueError(
            f"predicted labels of shape {predicted.shape} and labels of shape {labels.shape}; "
            "both must be (rows,)"
        )
    return predicted, labels
