"""Metrics of predicted labels: accuracy, the confusion matrix, precision and recall.

Each takes the true labels and the predicted ones, (rows,) of numbers or of texts. All raise
ValueError for different shapes, missing labels and no rows, and TypeError for texts beside numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from microgradx.arrays.types import Array
from microgradx.common.messages import printable
from microgradx.metrics.inputs import check_label_pairs, encode_labels, import_sklearn_metrics

__all__ = [
    "accuracy",
    "balanced_accuracy",
    "confusion_matrix",
    "f1",
    "format_confusion_matrix",
    "precision",
    "recall",
]


def accuracy(labels: Any, predicted: Any) -> float:
    """The share of rows whose predicted label is the true one.

    >>> accuracy([0, 1, 2, 2], [0, 1, 1, 2])
    0.75
    >>> accuracy(["cat", "dog"], ["cat", "cat"])
    0.5
    """
    labels, predicted = check_label_pairs(labels, predicted)
    return float(np.mean(labels == predicted))


def confusion_matrix(
    labels: Any, predicted: Any, classes: int | Sequence[Any] | None = None
) -> Array:
    """Counts (classes, classes) of the rows with each true label (down) and prediction (across).

    The diagonal counts the right predictions. `classes` are the labels in the order of the matrix,
    or their number if they are 0, 1, 2 and so on; by default those that occur, sorted. Raises
    ValueError for labels that are not among them.

    >>> confusion_matrix(["cat", "dog", "dog"], ["cat", "cat", "dog"])
    array([[1, 0],
           [1, 1]])
    >>> confusion_matrix([0, 1, 2, 2], [0, 1, 1, 2], classes=3)
    array([[1, 0, 0],
           [0, 1, 0],
           [0, 1, 1]])
    """
    true, guessed, known = _encode_pairs(labels, predicted, classes)
    n = len(known)
    return np.bincount(true * n + guessed, minlength=n * n).reshape(n, n)


def _encode_pairs(
    labels: Any, predicted: Any, classes: int | Sequence[Any] | None
) -> tuple[Array, Array, Array]:
    """Labels and predictions as indices of the classes, and the classes."""
    labels, predicted = check_label_pairs(labels, predicted)
    if classes is None:
        known = np.unique(np.concatenate([labels, predicted]))
    else:
        known = np.arange(classes) if isinstance(classes, (int, np.integer)) else np.array(classes)
    return encode_labels(labels, known), encode_labels(predicted, known), known


# ---------------------------------------------------------------------------- by scikit-learn


def balanced_accuracy(labels: Any, predicted: Any) -> float:
    """The mean of the recall of each class that occurs. Computed by scikit-learn.

    >>> balanced_accuracy([0, 0, 0, 1], [0, 0, 0, 0])
    0.5
    """
    true, guessed, _ = _encode_pairs(labels, predicted, None)
    recall_score = import_sklearn_metrics("balanced accuracy").recall_score
    return float(recall_score(true, guessed, labels=np.unique(true), average="macro"))


def precision(
    labels: Any,
    predicted: Any,
    *,
    average: str | None = None,
    classes: int | Sequence[Any] | None = None,
) -> Any:
    """Of the rows predicted to be of a class, the share that is; 0 if none is predicted.

    Of two classes it is that of the second, in sorted order or in the order of `classes`, of more
    the mean over them ("macro"). `average` is scikit-learn's, which computes it: "macro", "micro",
    "weighted", or "none" for an array with a number for each class.

    >>> precision([0, 1, 1], [1, 1, 1])
    0.6666666666666666
    """
    return _score("precision_score", labels, predicted, average, classes)


def recall(
    labels: Any,
    predicted: Any,
    *,
    average: str | None = None,
    classes: int | Sequence[Any] | None = None,
) -> Any:
    """Of the rows of a class, the share that is predicted to be; arguments as in `precision`.

    >>> recall(["cat", "dog", "dog"], ["cat", "cat", "dog"], average="none")
    array([1. , 0.5])
    """
    return _score("recall_score", labels, predicted, average, classes)


def f1(
    labels: Any,
    predicted: Any,
    *,
    average: str | None = None,
    classes: int | Sequence[Any] | None = None,
) -> Any:
    """The harmonic mean of precision and recall; arguments as in `precision`.

    >>> f1([0, 1, 1], [1, 1, 1])
    0.8
    """
    return _score("f1_score", labels, predicted, average, classes)


def _score(
    name: str,
    labels: Any,
    predicted: Any,
    average: str | None,
    classes: int | Sequence[Any] | None,
) -> Any:
    true, guessed, known = _encode_pairs(labels, predicted, classes)
    if average is None:
        average = "binary" if len(known) == 2 else "macro"
    score = getattr(import_sklearn_metrics(name.replace("_", " ")), name)
    settings = {} if average == "binary" else {"labels": np.arange(len(known))}
    average = None if average == "none" else average
    result = score(true, guessed, average=average, zero_division=0, **settings)
    return result if average is None else float(result)


# ---------------------------------------------------------------------------- as text


def format_confusion_matrix(labels: Any, predicted: Any, names: Sequence[str]) -> str:
    """The confusion matrix as text: a row for each true label, a column for each predicted one.

    The last column is the recall of each class. With more than 26 classes, the most frequent
    mistakes are listed instead, and the classes of the least recall.
    """
    counts = confusion_matrix(labels, predicted, len(names))
    rows = counts.sum(axis=1).tolist()

    def recall_of(i: int) -> float:
        return float(counts[i, i] / rows[i])

    names = [printable(name) for name in names]
    # Long names are shortened in the middle, as they often differ at their ends.
    names = [name if len(name) <= 16 else f"{name[:7]}…{name[-8:]}" for name in names]
    first = max(map(len, names))
    if len(names) > 26:
        mistakes = sorted(
            (-int(counts[i, j]), i, j) for i, j in zip(*counts.nonzero(), strict=True) if i != j
        )
        heading = "The most frequent mistakes (true label, predicted label, rows):"
        if not mistakes:
            return f"{heading} none"
        worst = sorted((i for i in range(len(names)) if rows[i]), key=lambda i: recall_of(i))
        return "\n".join(
            [heading]
            + [f"  {names[i]:{first}}  {names[j]:{first}}  {-n}" for n, i, j in mistakes[:20]]
            + ["The least recall:"]
            + [f"  {names[i]:{first}}  {recall_of(i):.1%} of {rows[i]} rows" for i in worst[:20]]
        )
    width = max(first, len(str(counts.max())))
    headings = names
    if width * len(names) > 80:  # too wide: number the columns
        width = max(len(str(len(names))), len(str(counts.max())))
        headings = [str(i + 1) for i in range(len(names))]
        names = [f"{i + 1:2} {name}" for i, name in enumerate(names)]
        first += 3
    lines = ["True label (down) and predicted label (across):"]
    lines.append(
        " " * (first + 2) + "".join(f"  {name:>{width}}" for name in headings) + "  recall"
    )
    for i, name in enumerate(names):
        cells = "".join(f"  {n or '·':>{width}}" for n in counts[i].tolist())
        lines.append(f"  {name:{first}}{cells}  {f'{recall_of(i):.1%}' if rows[i] else '·':>6}")
    return "\n".join(lines)
