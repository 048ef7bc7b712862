"""The best weights so far by a monitored value, and when to wait for better ones no longer."""

from __future__ import annotations

import math
from typing import Any

from microgradx.arrays.types import Array
from microgradx.common.messages import find_name
from microgradx.metrics import Metric

__all__ = ["BestWeights", "find_monitor", "is_minimised"]


def is_minimised(monitor: str) -> bool:
    """Whether a smaller value is better: of losses and errors.

    >>> [is_minimised(name) for name in ("validation_loss", "brier_score", "accuracy")]
    [True, True, False]
    """
    return any(word in monitor for word in ("loss", "error", "brier"))


class BestWeights:
    """Knows the epoch of the best value of a column of the history and, to restore them, keeps the
    model's weights and buffers.

    An epoch is better if it improves the best value by more than `min_delta`. After `patience`
    epochs without a better one, `update` returns True: the training should stop.
    """

    def __init__(self, monitor: str, patience: int, min_delta: float, *, restores: bool) -> None:
        self.monitor, self.patience, self.min_delta = monitor, patience, min_delta
        self.restores = restores
        self.best = math.inf  # of the value, or of minus it if larger ones are better
        self.epoch: int | None = None
        self.weights: dict[str, Array] | None = None

    def update(self, row: dict[str, float], model: Any) -> bool:
        if self.monitor not in row:
            raise ValueError(
                f"monitor is {self.monitor!r}, and the history has {', '.join(row)} alone"
            )
        epoch, value = int(row["epoch"]), row[self.monitor]
        value = value if is_minimised(self.monitor) else -value
        if value < self.best - self.min_delta:
            self.best, self.epoch = value, epoch
            self.weights = model.state_dict() if self.restores else None
        return self.restores and epoch - (self.epoch or 0) >= self.patience

    def restore(self, model: Any) -> None:
        """Give the model its best weights and buffers, if there are some."""
        if self.weights is not None:
            model.load_state_dict(self.weights)


def find_monitor(
    monitor: Any, metrics: list[Metric], has_validation: bool, early_stopping: bool = False
) -> str:
    """The column of the history to monitor: by default a loss, of the validation rows if there are.

    Raises ValueError for a column of validation rows where there are none, and where the training
    would stop early by a loss of rows that it learns by heart, unless that is asked for.
    """
    if monitor is None:
        if early_stopping and not has_validation:
            raise ValueError(
                "early_stopping looks at the loss of rows that are not trained on, and there are "
                "none; give validation=0.2 say, or monitor='loss' for that of the training rows"
            )
        return "validation_loss" if has_validation else "loss"
    if not isinstance(monitor, str):
        raise TypeError(f"monitor must be the name of a column of the history, not {monitor!r}")
    names = ["loss", *(metric.name for metric in metrics)]
    of_validation = [f"validation_{name}" for name in names]
    if monitor in of_validation and not has_validation:
        raise ValueError(
            f"monitor is {monitor!r}, and there are no validation rows; give validation=0.2 say"
        )
    return find_name("column of the history", monitor, names + of_validation * has_validation)
