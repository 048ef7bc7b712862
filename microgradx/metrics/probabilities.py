"""Metrics of probabilities: top-k accuracy, log-loss, Brier score, area under the ROC curve.

Each takes labels (rows,) and probabilities (rows, classes); those of the second of two classes may
be given alone, as (rows,). Labels are the indices of the columns. Other labels are those of
`classes`, in the order of the columns; texts, without it, stand in sorted order. All raise
ValueError for labels that are not among the classes, for NaN, and for rows that do not sum to 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from microgradx.arrays.types import Array
from microgradx.metrics.inputs import check_probabilities, encode_labels, import_sklearn_metrics

__all__ = ["brier_score", "check_rows", "log_loss", "roc_auc", "top_k_accuracy"]


def check_rows(
    labels: Any, probabilities: Any, classes: Sequence[Any] | None
) -> tuple[Array, Array]:
    """Labels as indices (rows,), and probabilities (rows, classes) as floats."""
    p = check_probabilities(probabilities)
    indices = encode_labels(labels, classes, p.shape[1])
    if len(indices) != len(p):
        raise ValueError(
            f"{len(indices)} labels, but probabilities of {len(p)} rows; give one label for each"
        )
    return indices, p


def log_loss(labels: Any, probabilities: Any, *, classes: Sequence[Any] | None = None) -> float:
    """The mean of -ln p, where p is the probability of the true class: `cross_entropy`, of logits.

    A true class of probability 0 makes it infinite; scikit-learn's takes a tiny number for 0.

    >>> log_loss([0, 1], [[0.9, 0.1], [0.5, 0.5]])
    0.39925384810888576
    """
    indices, p = check_rows(labels, probabilities, classes)
    with np.errstate(divide="ignore"):
        losses = -np.log(p[np.arange(len(p)), indices], dtype=np.float64)
    return float(np.mean(losses))


def brier_score(labels: Any, probabilities: Any, *, classes: Sequence[Any] | None = None) -> float:
    """The mean of Σ (p - y)² over the classes, where y is 1 for the true one and 0 for others.

    Of two classes it is half of that, the error of one of them, as in scikit-learn, which computes
    it. Source: G. W. Brier, "Verification of forecasts expressed in terms of probability", 1950.

    >>> brier_score([0, 1], [[0.9, 0.1], [0.5, 0.5]])
    0.13
    """
    indices, p = check_rows(labels, probabilities, classes)
    if p.shape[1] == 1:
        return 0.0  # which scikit-learn refuses
    columns = np.arange(p.shape[1])
    score = import_sklearn_metrics("the Brier score").brier_score_loss
    return float(score(indices, normalise(p), labels=columns))


def roc_auc(
    labels: Any,
    probabilities: Any,
    *,
    classes: Sequence[Any] | None = None,
    average: str = "macro",
) -> float:
    """The area under the ROC curve: how often a row of a class has a larger p than one of another.

    Computed by scikit-learn. Of more than two classes, each that occurs is compared with the rest,
    and the areas are averaged as `average` says. NaN if only one class occurs.

    >>> roc_auc([0, 0, 1], [0.2, 0.6, 0.7])
    1.0
    """
    indices, p = check_rows(labels, probabilities, classes)
    present = np.unique(indices)
    if len(present) < 2:
        return float("nan")
    if p.shape[1] == 2:
        present = present[1:]
    area = import_sklearn_metrics("the area under the ROC curve").roc_auc_score
    return float(area(indices[:, None] == present, p[:, present], average=average))


def top_k_accuracy(
    labels: Any, probabilities: Any, k: int = 5, *, classes: Sequence[Any] | None = None
) -> float:
    """The share of rows whose true class is among the k most probable. Computed by scikit-learn.

    >>> top_k_accuracy([0, 1, 2], [[0.5, 0.3, 0.2], [0.5, 0.3, 0.2], [0.5, 0.3, 0.2]], k=2)
    0.6666666666666666
    """
    indices, p = check_rows(labels, probabilities, classes)
    if not isinstance(k, (int, np.integer)) or k < 1:
        raise ValueError(f"k must be a whole number from 1 up, not {k!r}")
    if k >= p.shape[1]:
        return 1.0  # scikit-learn warns
    scores = p[:, 1] if p.shape[1] == 2 else p
    top_k = import_sklearn_metrics("top-k accuracy").top_k_accuracy_score
    return float(top_k(indices, scores, k=k, labels=np.arange(p.shape[1])))


def normalise(p: Array) -> Array:
    """Rows that sum to 1 as closely as scikit-learn asks of float64."""
    p = p.astype(np.float64)
    return p / p.sum(axis=1, keepdims=True)
