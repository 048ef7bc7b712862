"""The two ends of a loss: that of the best constant prediction, and the lowest that there is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from microgradx.arrays.types import Array
from microgradx.engine import Tensor
from microgradx.functional import log_softmax
from microgradx.training.doctor.loss_probe import BINARY_LOSSES, ERROR_LOSSES, LossProbe

__all__ = ["best_constant_loss", "entropy_of", "lowest_loss"]


def entropy_of(labels: Array) -> float:
    """-Σ p ln p of the class frequencies: the loss of predicting these for every row."""
    counts = np.bincount(labels)
    p = counts[counts > 0] / len(labels)
    return float(-np.sum(p * np.log(p)))


def best_constant_loss(
    loss: Callable[[Any, Any], Any], probe: LossProbe, y: Array, labels: Array | None
) -> float:
    """The lowest loss with one output for all rows, found by gradient descent from a good start.

    For a loss that has no lowest value, as of scores that should have been normalised, it is that
    of the class frequencies.
    """
    shape = probe.output.shape
    if not shape or shape[0] != len(y):
        return float(np.mean(probe.value.data))
    start = _start(probe, y, labels, shape)
    value, gradient = _loss_at(loss, start, y, shape)
    if labels is not None and probe.kind not in BINARY_LOSSES:
        reference = min(value, entropy_of(labels)) if not probe.kind else value
        if probe.kind != "cross_entropy":
            return reference
    point, rate = start, 1.0
    for _ in range(60):  # with Barzilai and Borwein's step, kept where it lowers the loss
        trial = point - rate * gradient
        lower, new_gradient = _loss_at(loss, trial, y, shape)
        if not lower <= value:
            rate /= 4
            continue
        step, change = trial - point, new_gradient - gradient
        curvature = float(np.sum(step * change))
        rate = float(np.sum(step * step)) / curvature if curvature > 0 else 2 * rate
        is_converged = value - lower <= 1e-9 * abs(value)
        point, value, gradient = trial, lower, new_gradient
        if is_converged:
            break
    return value


def _start(probe: LossProbe, y: Array, labels: Array | None, shape: tuple[int, ...]) -> Array:
    if labels is not None and len(shape) == 2 and shape[1] > int(labels.max()):
        counts = np.bincount(labels, minlength=shape[1])
        logits: Array = np.log(np.maximum(counts / len(labels), 1e-6))
        return np.asarray(log_softmax(logits))
    if labels is None and y.shape == shape and probe.kind not in BINARY_LOSSES:
        mean: Array = np.mean(y, axis=0, dtype=float)
        return np.log(np.maximum(mean, 1e-6)) if probe.kind == "cross_entropy" else mean
    return np.zeros(shape[1:])


def _loss_at(
    loss: Callable[[Any, Any], Any], c: Array, y: Array, shape: tuple[int, ...]
) -> tuple[float, Array]:
    """The loss of the prediction `c` for every row, and its gradient."""
    constant = Tensor(c, requires_grad=True, dtype=float)
    try:
        value = np.mean(loss(np.broadcast_to(constant, shape) + 0.0, y))
        value.backward()
    except (ValueError, TypeError, AttributeError):
        return np.inf, np.zeros_like(c)
    gradient = np.zeros_like(c) if constant.grad is None else constant.grad
    return float(value.data), gradient


def lowest_loss(
    loss: Callable[[Any, Any], Any], probe: LossProbe, y: Array, labels: Array | None
) -> float | None:
    """What a perfect prediction has: 0, or with label smoothing or soft targets their entropy."""
    if probe.kind in ERROR_LOSSES:
        return 0.0
    if probe.kind == "cross_entropy":
        smoothing = probe.settings.get("label_smoothing", 0.0)
        shape = probe.output.shape
        if len(shape) != 2 or not (smoothing or labels is None or y.ndim == 2):
            return 0.0
        target = np.eye(shape[1])[labels] if y.ndim == 1 else y
        target = target * (1 - smoothing) + smoothing / shape[1]
        return float(np.mean(loss(Tensor(np.log(np.maximum(target, 1e-12))), y).data))
    return 0.0 if labels is not None else None
