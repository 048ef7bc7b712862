"""Metrics by name, as `fit(metrics=[…])` takes them, all called with labels and probabilities."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from microgradx.arrays.types import Array
from microgradx.common.messages import find_name
from microgradx.metrics.calibration import expected_calibration_error, maximum_calibration_error
from microgradx.metrics.labels import accuracy, balanced_accuracy, f1, precision, recall
from microgradx.metrics.probabilities import brier_score, log_loss, roc_auc, top_k_accuracy

__all__ = ["METRICS", "Metric", "find_metric"]


class Metric(NamedTuple):
    """A metric with its name: of labels (rows,) of integers, and probabilities (rows, classes)."""

    name: str
    compute: Callable[[Array, Array], Any]

    def __call__(self, labels: Array, probabilities: Array) -> float:
        return float(self.compute(labels, probabilities))


def _predict(probabilities: Array) -> Array:
    predicted: Array = np.argmax(probabilities, axis=1)
    return predicted


METRICS: dict[str, Callable[[Array, Array], float]] = {
    "accuracy": lambda labels, p: accuracy(labels, _predict(p)),
    "balanced_accuracy": lambda labels, p: balanced_accuracy(labels, _predict(p)),
    "precision": lambda labels, p: float(precision(labels, _predict(p), classes=p.shape[1])),
    "recall": lambda labels, p: float(recall(labels, _predict(p), classes=p.shape[1])),
    "f1": lambda labels, p: float(f1(labels, _predict(p), classes=p.shape[1])),
    "log_loss": log_loss,
    "brier_score": brier_score,
    "roc_auc": roc_auc,
    "expected_calibration_error": expected_calibration_error,
    "maximum_calibration_error": maximum_calibration_error,
}


def find_metric(metric: str | Callable[[Array, Array], Any]) -> Metric:
    """A metric by its name, "top_5_accuracy" and the like too, or a function of yours as one.

    The function is called with labels (rows,) of integers and probabilities (rows, classes), and
    returns a number. Raises ValueError for a name that is not known, TypeError for what is neither.

    >>> find_metric("accuracy")(np.array([0, 1]), np.array([[0.9, 0.1], [0.6, 0.4]]))
    0.5
    >>> sorted(METRICS)[:3]
    ['accuracy', 'balanced_accuracy', 'brier_score']
    """
    if isinstance(metric, Metric):
        return metric
    if isinstance(metric, str):
        if metric in METRICS:
            return Metric(metric, METRICS[metric])
        if found := re.fullmatch(r"top_([1-9]\d*)_accuracy", metric):
            k = int(found[1])
            return Metric(metric, lambda labels, p: top_k_accuracy(labels, p, k))
        find_name("metric", metric, [*METRICS, "top_5_accuracy"])
    if callable(metric):
        return Metric(getattr(metric, "__name__", type(metric).__name__), metric)
    raise TypeError(f"a metric must be a name or a function, not {metric!r}")
