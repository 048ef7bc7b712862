"""A smaller learning rate when a measure no longer improves."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

from microgradx.arrays.types import unwrap
from microgradx.optim.lr_scheduler.scheduler import LRScheduler, check_count
from microgradx.optim.optimizer import Optimizer, check_setting

__all__ = ["ReduceLROnPlateau"]


class ReduceLROnPlateau(LRScheduler):
    """Multiplies the learning rate by `factor` after more than `patience` epochs without progress.

    Call `step(metric)` after each epoch, with the validation loss for example. Progress is a metric
    below the best so far (above, with mode "max") by more than `threshold`, as a share of the best
    (threshold_mode "rel") or as a difference ("abs"). In `cooldown` epochs after a reduction none
    are counted. The learning rate does not go below `min_lr`, a number or one for each group, nor
    does it change by `eps` or less.

    >>> import microgradx as mg
    >>> optimizer = mg.optim.SGD([mg.Tensor(0.0, requires_grad=True)], lr=0.4)
    >>> scheduler = mg.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=1)
    >>> for loss in (1.0, 0.8, 0.8, 0.9):
    ...     scheduler.step(loss)
    >>> scheduler.get_last_lr()
    [0.2]

    Raises ValueError for a `factor` of 1 or more, and for settings that cannot be.
    """

    saved = (
        *("mode", "factor", "patience", "threshold", "threshold_mode", "cooldown", "min_lrs"),
        *("eps", "best", "num_bad_epochs", "cooldown_counter"),
    )

    def __init__(
        self,
        optimizer: Optimizer,
        mode: Literal["min", "max"] = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: Literal["rel", "abs"] = "rel",
        cooldown: int = 0,
        min_lr: float | Sequence[float] = 0.0,
        eps: float = 1e-8,
    ) -> None:
        self.mode, self.factor, self.patience = mode, factor, patience
        self.threshold, self.threshold_mode = threshold, threshold_mode
        self.cooldown, self.eps = cooldown, eps
        self.best = -math.inf if mode == "max" else math.inf
        self.num_bad_epochs = self.cooldown_counter = 0
        self._min_lr = min_lr
        self.min_lrs: list[float] = []
        super().__init__(optimizer)

    def check_settings(self) -> None:
        for name, choices in (("mode", ("min", "max")), ("threshold_mode", ("rel", "abs"))):
            if getattr(self, name) not in choices:
                raise ValueError(
                    f"{name} must be {choices[0]!r} or {choices[1]!r}, not {getattr(self, name)!r}"
                )
        check_setting("factor", self.factor, below=1)
        check_count("patience", self.patience)
        check_count("cooldown", self.cooldown)
        check_setting("threshold", self.threshold)
        check_setting("eps", self.eps)
        check_count("num_bad_epochs", self.num_bad_epochs)
        check_count("cooldown_counter", self.cooldown_counter)

    def _find_base_lrs(self) -> None:
        """It goes by the present learning rates alone."""

    def _take_initial_step(self) -> None:
        self.min_lrs = self._for_groups("min_lr", self._min_lr)
        self._go_to(0, self.get_lr)

    def get_lr(self) -> list[float]:
        return [group["lr"] for group in self.optimizer.param_groups]

    def step(self, metrics: Any) -> None:  # type: ignore[override]
        """Go to the next epoch, with the metric of the last: a number, or a Tensor of one."""
        metric = float(unwrap(metrics))
        if len(self.min_lrs) != len(self.optimizer.param_groups):
            self.min_lrs = self._for_groups("min_lr", self._min_lr)
        if self._is_better(metric):
            self.best = metric
            self.num_bad_epochs = 0
        else:
            self.num_bad_epochs += 1
        if self.cooldown_counter > 0:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        reduce = self.num_bad_epochs > self.patience
        if reduce:
            self.cooldown_counter, self.num_bad_epochs = self.cooldown, 0
        self._go_to(self.last_epoch + 1, self._reduce if reduce else self.get_lr)

    def _reduce(self) -> list[float]:
        pairs = zip(self.get_lr(), self.min_lrs, strict=True)
        reduced = [(rate, max(rate * self.factor, least)) for rate, least in pairs]
        return [new if old - new > self.eps else old for old, new in reduced]

    def _is_better(self, metric: float) -> bool:
        sign = 1.0 if self.mode == "min" else -1.0
        if self.threshold_mode == "rel":
            return sign * metric < sign * self.best * (1.0 - sign * self.threshold)
        return sign * metric < sign * self.best - self.threshold
