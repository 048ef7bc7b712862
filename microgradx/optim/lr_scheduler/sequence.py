"""Schedules one after the other: a warm-up, then a decay."""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Mapping
from typing import Any

from microgradx.optim.lr_scheduler.plateau import ReduceLROnPlateau
from microgradx.optim.lr_scheduler.scheduler import LRScheduler, check_count
from microgradx.optim.optimizer import Optimizer

__all__ = ["SequentialLR"]


class SequentialLR(LRScheduler):
    """Several schedules of one optimiser, each from one of the `milestones` to the next.

    Each begins with its own epoch 0. A warm-up, then a cosine:

    >>> import microgradx as mg
    >>> optimizer = mg.optim.SGD([mg.Tensor(0.0, requires_grad=True)], lr=0.4)
    >>> schedule = mg.optim.lr_scheduler
    >>> warm_up = schedule.LinearLR(optimizer, start_factor=0.5, total_iters=2)
    >>> cosine = schedule.CosineAnnealingLR(optimizer, T_max=2)
    >>> scheduler = schedule.SequentialLR(optimizer, [warm_up, cosine], milestones=[2])
    >>> rates = []
    >>> for epoch in range(5):
    ...     rates += scheduler.get_last_lr()
    ...     scheduler.step()
    >>> [round(rate, 6) for rate in rates]
    [0.2, 0.3, 0.4, 0.2, 0.0]

    Raises ValueError unless there is one milestone less than there are schedulers, for milestones
    that do not increase, for schedulers of another optimiser, and for `ReduceLROnPlateau`, whose
    `step` needs a metric.
    """

    saved = ("milestones",)

    def __init__(
        self,
        optimizer: Optimizer,
        schedulers: Iterable[LRScheduler],
        milestones: Iterable[int],
        last_epoch: int = -1,
    ) -> None:
        self.schedulers = list(schedulers)
        self.milestones = list(milestones)
        for k, scheduler in enumerate(self.schedulers):
            kind = type(scheduler).__name__
            if not isinstance(scheduler, LRScheduler):
                raise TypeError(f"scheduler {k} is no scheduler but {kind}")
            if isinstance(scheduler, ReduceLROnPlateau):
                raise ValueError(f"scheduler {k} is a {kind}, whose step needs a metric")
            if scheduler.optimizer is not optimizer:
                raise ValueError(f"scheduler {k}, a {kind}, is that of another optimiser")
        super().__init__(optimizer, last_epoch)

    def check_settings(self) -> None:
        if len(self.milestones) != len(self.schedulers) - 1:
            raise ValueError(
                f"there are {len(self.schedulers)} schedulers and {len(self.milestones)} "
                "milestones; give one milestone less than schedulers, where one follows another"
            )
        for milestone in self.milestones:
            check_count("a milestone", milestone)
        if sorted(set(self.milestones)) != self.milestones:
            raise ValueError(f"milestones must increase, and are {self.milestones}")

    def step(self) -> None:
        """Go to the next epoch. If that raises, everything stays as it is."""
        epoch = self.last_epoch + 1
        active = self._find_active(epoch)
        if active > 0 and self.milestones[active - 1] == epoch:
            self.schedulers[active]._restart()
        else:
            self.schedulers[active].step()
        self._follow(epoch)

    def _find_active(self, epoch: int) -> int:
        return bisect.bisect_right(self.milestones, epoch)

    def _follow(self, epoch: int) -> None:
        self._find_base_lrs()
        self.last_epoch = epoch
        self._last_lr = self.schedulers[self._find_active(epoch)].get_last_lr()

    def _take_initial_step(self) -> None:
        """Begin with the first schedule only: each has taken an initial step when it was made."""
        for group in self.optimizer.param_groups:
            group["lr"] = group["initial_lr"]
        for scheduler in self.schedulers:
            scheduler._undo_initial_step()
        epoch = self.last_epoch + 1
        self.schedulers[self._find_active(0)]._take_initial_step()
        self._follow(epoch)

    def _undo_initial_step(self) -> None:
        self.schedulers[self._find_active(0)]._undo_initial_step()
        super()._undo_initial_step()

    def _restart(self) -> None:
        self.schedulers[self._find_active(0)]._restart()
        self._follow(0)

    # ------------------------------------------------------------------ state

    def _list_entries(self) -> dict[str, Any]:
        return super()._list_entries() | {
            f"schedulers.{k}.{name}": value
            for k, scheduler in enumerate(self.schedulers)
            for name, value in scheduler._list_entries().items()
        }

    def _find_misfits(self, values: Mapping[str, Any]) -> list[str]:
        return super()._find_misfits(values) + [
            f"schedulers.{k}: {misfit}"
            for k, scheduler in enumerate(self.schedulers)
            for misfit in scheduler._find_misfits(_of_scheduler(values, k))
        ]

    def _restore(self, values: Mapping[str, Any]) -> None:
        for k, scheduler in enumerate(self.schedulers):
            scheduler._restore(_of_scheduler(values, k))
        super()._restore(values)


def _of_scheduler(values: Mapping[str, Any], k: int) -> dict[str, Any]:
    prefix = f"schedulers.{k}."
    return {name.removeprefix(prefix): x for name, x in values.items() if name.startswith(prefix)}
