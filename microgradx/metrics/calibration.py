"""How far probabilities are from the frequencies of being right: reliability and its errors.

A prediction's confidence is the probability of its class, the most probable one. Predictions are
sorted into bins of confidence. In each bin of a calibrated classifier, the share of right
predictions equals the mean confidence.

Sources: A. Niculescu-Mizil and R. Caruana, "Predicting good probabilities with supervised
learning", 2005, the diagram; M. P. Naeini et al., "Obtaining well calibrated probabilities using
Bayesian binning", 2015, both errors; C. Guo et al., "On calibration of modern neural networks",
2017, for more than two classes; K. Nguyen and B. O'Connor, "Posterior calibration and exploratory
analysis for natural language processing models", 2015, bins of equal mass.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np

from microgradx.arrays.types import Array
from microgradx.metrics.probabilities import check_rows

__all__ = [
    "BinStrategy",
    "Reliability",
    "expected_calibration_error",
    "maximum_calibration_error",
    "reliability_curve",
]

BinStrategy = Literal["uniform", "quantile"]


class Reliability(NamedTuple):
    """Predictions in bins of confidence. In an empty bin, accuracy and confidence are NaN.

    edges: (bins + 1,), ascending. A confidence that equals an edge is in the bin below it.
    count: (bins,), the number of predictions in each bin.
    confidence, accuracy: (bins,), the mean confidence, and the share of right predictions.
    """

    edges: Array
    count: Array
    confidence: Array
    accuracy: Array

    @property
    def gaps(self) -> Array:
        """|accuracy - confidence| of the bins that are not empty."""
        gaps: Array = np.abs(self.accuracy - self.confidence)
        return gaps[self.count > 0]


def reliability_curve(
    labels: Any,
    probabilities: Any,
    *,
    n_bins: int = 15,
    strategy: BinStrategy = "uniform",
    classes: Sequence[Any] | None = None,
) -> Reliability:
    """Confidence and accuracy of the predictions, in bins of confidence.

    strategy: "uniform", n_bins of equal width from 0 to 1, or "quantile", of equal mass: equally
        many predictions in each, as nearly as ties allow. Equal confidences share a bin, so that
        the order of the rows does not matter, and there may be fewer bins.

    labels, probabilities and classes are those of `log_loss`. Where several classes are most
    probable, the first is predicted. Raises ValueError as `log_loss` does, and for n_bins below 1.

    >>> curve = reliability_curve([0, 1, 1], [0.1, 0.8, 0.3], n_bins=5)
    >>> curve.count
    array([0, 0, 0, 2, 1])
    >>> curve.confidence[3:], curve.accuracy[3:]
    (array([0.75, 0.9 ]), array([0.5, 1. ]))
    """
    indices, p = check_rows(labels, probabilities, classes)
    if not isinstance(n_bins, (int, np.integer)) or n_bins < 1:
        raise ValueError(f"n_bins must be a whole number from 1 up, not {n_bins!r}")
    confidence = p.max(axis=1)
    is_right = p.argmax(axis=1) == indices
    if strategy == "uniform":
        edges = np.arange(n_bins + 1) / n_bins
    elif strategy == "quantile":
        ends = -(-np.arange(1, n_bins + 1) * len(p) // n_bins) - 1  # ceil(k rows / bins), less 1
        edges = np.unique([0, *np.sort(confidence)[ends]])
    else:
        raise ValueError(f'strategy must be "uniform" or "quantile", not {strategy!r}')
    # In the dtype of the probabilities: float32's 0.3 is on the edge 0.3, not above it.
    bins = np.searchsorted(edges[1:-1].astype(confidence.dtype), confidence)
    count = np.bincount(bins, minlength=len(edges) - 1)
    with np.errstate(invalid="ignore"):
        means = (
            np.bincount(bins, weights=values, minlength=len(count)) / count
            for values in (confidence, is_right)
        )
        return Reliability(edges, count, *means)


def expected_calibration_error(
    labels: Any,
    probabilities: Any,
    *,
    n_bins: int = 15,
    strategy: BinStrategy = "uniform",
    classes: Sequence[Any] | None = None,
) -> float:
    """The mean of |accuracy - confidence| over bins, weighted by their predictions: the ECE.

    Arguments and errors as in `reliability_curve`. Few rows make it large, even for probabilities
    that are right, as the accuracy in a bin is then a matter of chance.

    >>> round(expected_calibration_error([0, 1, 1], [0.1, 0.8, 0.3], n_bins=5), 12)
    0.2
    """
    curve = reliability_curve(
        labels, probabilities, n_bins=n_bins, strategy=strategy, classes=classes
    )
    return float(np.average(curve.gaps, weights=curve.count[curve.count > 0]))


def maximum_calibration_error(
    labels: Any,
    probabilities: Any,
    *,
    n_bins: int = 15,
    strategy: BinStrategy = "uniform",
    classes: Sequence[Any] | None = None,
) -> float:
    """The largest |accuracy - confidence| of a bin, empty ones left out: the MCE.

    Arguments and errors as in `reliability_curve`.

    >>> round(maximum_calibration_error([0, 1, 1], [0.1, 0.8, 0.3], n_bins=5), 12)
    0.25
    """
    curve = reliability_curve(
        labels, probabilities, n_bins=n_bins, strategy=strategy, classes=classes
    )
    return float(np.max(curve.gaps))
