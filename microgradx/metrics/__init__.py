"""Metrics of predictions: of labels, of probabilities, and of how far these are calibrated.

Each takes the true labels first, as scikit-learn's do. Accuracy, the confusion matrix, log-loss and
the calibration errors need NumPy alone; the others call scikit-learn, an extra.
"""

from microgradx.metrics.by_name import METRICS, Metric, find_metric
from microgradx.metrics.calibration import (
    Reliability,
    expected_calibration_error,
    maximum_calibration_error,
    reliability_curve,
)
from microgradx.metrics.labels import (
    accuracy,
    balanced_accuracy,
    confusion_matrix,
    f1,
    format_confusion_matrix,
    precision,
    recall,
)
from microgradx.metrics.probabilities import brier_score, log_loss, roc_auc, top_k_accuracy

__all__ = [
    "accuracy",
    "balanced_accuracy",
    "confusion_matrix",
    "format_confusion_matrix",
    "precision",
    "recall",
    "f1",
    "top_k_accuracy",
    "roc_auc",
    "log_loss",
    "brier_score",
    "Reliability",
    "reliability_curve",
    "expected_calibration_error",
    "maximum_calibration_error",
    "METRICS",
    "Metric",
    "find_metric",
]
