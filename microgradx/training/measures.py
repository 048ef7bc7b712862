"""Loss and metrics of a model's outputs for all rows, by name."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from typing import Any

import numpy as np

from microgradx.arrays.types import Array
from microgradx.engine import Tensor
from microgradx.graph.grad_mode import no_grad
from microgradx.metrics import Metric, find_metric
from microgradx.training.losses import WeightedLoss
from microgradx.training.targets import Task

__all__ = ["find_metrics", "measure_loss", "measure_metrics", "weigh_rows"]


def find_metrics(metrics: Any, task: Task) -> list[Metric]:
    """Metrics by their names, or functions; by default the accuracy, where there are classes.

    Raises ValueError for unknown names, for one that needs classes where there are none, and for
    the same name twice, and TypeError for what is neither a name nor a function.
    """
    if metrics is None:
        metrics = ["accuracy"] if task.is_classification else []
    if isinstance(metrics, (str, Metric)) or not isinstance(metrics, Iterable):
        metrics = [metrics]
    given = list(metrics)
    if task.is_classification:
        given = list(map(_take_predictions, given))
    found = list(map(find_metric, given))
    for asked in given:
        if isinstance(asked, str) and not task.is_classification:
            raise ValueError(
                f"the metric {asked} is for classes, and the targets are numbers; give a function "
                "of targets and outputs"
            )
    names = [metric.name for metric in found]
    for name in names:
        if names.count(name) > 1 or name in ("epoch", "lr", "loss"):
            raise ValueError(f"there is more than one metric or number called {name!r}; rename it")
    return found


def _take_predictions(metric: Any) -> Any:
    """A function of labels and predicted labels, f(y_true, y_pred), as one of probabilities.

    So scikit-learn calls the arguments of its metrics. Its log_loss alone takes probabilities.
    """
    function = getattr(metric, "func", metric)  # of a functools.partial
    if not inspect.isfunction(function) or function.__name__ == "log_loss":
        return metric
    if [*inspect.signature(function).parameters][:2] != ["y_true", "y_pred"]:
        return metric
    return Metric(function.__name__, lambda labels, p: metric(labels, np.argmax(p, axis=1)))


def measure_metrics(
    metrics: list[Metric], task: Task, targets: Array, outputs: Array
) -> dict[str, float]:
    """The metrics, by name. Functions get labels and probabilities, or numbers and outputs."""
    if not metrics:
        return {}
    labels = task.labels(targets)
    if labels is None:
        return {metric.name: metric(targets, outputs) for metric in metrics}
    probabilities = task.probabilities(outputs)
    labels, probabilities = labels.reshape(-1), probabilities.reshape(-1, probabilities.shape[-1])
    if task.ignored is not None:
        counted = labels != task.ignored
        labels, probabilities = labels[counted], probabilities[counted]
    return {metric.name: metric(labels, probabilities) for metric in metrics}


def measure_loss(loss: Any, targets: Array, outputs: Array) -> float:
    """The loss of all rows together."""
    with no_grad(), np.errstate(over="ignore", invalid="ignore"):
        value = loss(Tensor(outputs), targets)
    return float(value.item())


def weigh_rows(loss: Any, targets: Array, weights: Array | None) -> tuple[Any, Array]:
    """A loss and targets for it, such that rows count by their weights, of which the mean is 1.

    So the mean over equal batches is Σ w l / Σ w over all rows, in whatever batches they come, and
    a row of weight 2 counts as much as two rows.
    """
    if weights is None:
        return loss, targets
    weighted = WeightedLoss(loss, targets.dtype, targets.shape[1:])
    flat = targets.reshape(len(targets), -1).astype(np.float64)
    return weighted, np.column_stack([flat, weights / weights.mean()])
