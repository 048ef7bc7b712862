"""Schedules of the learning rate: by name, as a function, or by `optim.lr_scheduler`."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal

import numpy as np

from microgradx.arrays.types import Array
from microgradx.common.messages import find_name, format_count
from microgradx.optim.lr_scheduler import LRScheduler, OneCycleLR, ReduceLROnPlateau
from microgradx.training.arguments import check_number

__all__ = ["Schedule", "cosine_decay", "find_schedule", "linear_decay", "one_cycle"]


def cosine_decay(done: float) -> float:
    """From 1 to 0 along half a cosine.

    Source: I. Loshchilov and F. Hutter, "SGDR", 2017, without restarts.

    >>> cosine_decay(0.5)
    0.5
    """
    return 0.5 * (1 + math.cos(math.pi * done))


def linear_decay(done: float) -> float:
    """From 1 to 0 along a line.

    >>> linear_decay(0.25)
    0.75
    """
    return 1 - done


def one_cycle(done: float) -> float:
    """From 1/25 up to 1 during the first 0.3, then down to 4e-7, each along half a cosine.

    Source: L. Smith and N. Topin, "Super-Convergence", 2018, with the defaults of PyTorch's
    OneCycleLR.

    >>> [round(one_cycle(done), 3) for done in (0, 0.3, 1)]
    [0.04, 1.0, 0.0]
    """
    start, low, peak = 1 / 25, 1 / 25 / 1e4, 0.3
    if done < peak:
        return 1 + (start - 1) * cosine_decay(done / peak)
    return low + (1 - low) * cosine_decay((done - peak) / (1 - peak))


NAMED: dict[str, Callable[[float], float]] = {
    "cosine": cosine_decay,
    "linear": linear_decay,
    "one_cycle": one_cycle,
}


def learning_rate(optimizer: Any) -> float:
    """The learning rate of the optimiser; of several parameter groups, of the first."""
    return float(optimizer.param_groups[0]["lr"])


class Schedule:
    """Sets the learning rate before each step, and after each epoch: this one does not."""

    #: What to call it in a message.
    name = "none"

    def before_step(self, done: float) -> None:
        """`done` is the share of all steps that were taken."""

    def after_step(self) -> None: ...

    def after_epoch(self, monitored: float) -> None: ...

    def end(self) -> None: ...

    def state_dict(self) -> dict[str, Array]:
        """What `load_state_dict` of another like it takes, to go on where this one is."""
        return {}

    def load_state_dict(self, state: dict[str, Array]) -> None: ...


class FactorSchedule(Schedule):
    """The rates that the optimiser had, times a function of the share of the training that is done.

    At the end the optimiser has its rates again.
    """

    def __init__(self, factor: Callable[[float], float], optimizer: Any) -> None:
        check_number("the factor of the learning rate that schedule(0.0) returns", factor(0.0))
        self.factor, self.optimizer = factor, optimizer
        self.name = getattr(factor, "__name__", type(factor).__name__)
        self.rates = [group["lr"] for group in optimizer.param_groups]

    def before_step(self, done: float) -> None:
        self._scale_rates(self.factor(done))

    def end(self) -> None:
        self._scale_rates(1.0)

    def _scale_rates(self, factor: float) -> None:
        for group, rate in zip(self.optimizer.param_groups, self.rates, strict=True):
            group["lr"] = rate * factor

    def state_dict(self) -> dict[str, Array]:
        return {"rates": np.array(self.rates)}

    def load_state_dict(self, state: dict[str, Array]) -> None:
        self.rates = state["rates"].tolist()


class SchedulerSchedule(Schedule):
    """A scheduler of `optim.lr_scheduler`, which goes on after each step or after each epoch."""

    def __init__(self, scheduler: LRScheduler, per: Literal["step", "epoch"]) -> None:
        self.scheduler, self.per = scheduler, per
        self.name = f"{type(scheduler).__name__} per {per}"

    def after_step(self) -> None:
        if self.per == "step":
            self.scheduler.step()

    def after_epoch(self, monitored: float) -> None:
        if isinstance(self.scheduler, ReduceLROnPlateau):
            self.scheduler.step(monitored)
        elif self.per == "epoch":
            self.scheduler.step()

    def state_dict(self) -> dict[str, Array]:
        return self.scheduler.state_dict()

    def load_state_dict(self, state: dict[str, Array]) -> None:
        self.scheduler.load_state_dict(state)


def find_schedule(schedule: Any, per: Any, optimizer: Any, steps: int) -> Schedule:
    """A schedule by its name, of a function, or of a scheduler; `steps` will be taken in all.

    per: "step" or "epoch": after what a scheduler goes on. None: OneCycleLR after each step, others
        after each epoch.

    Raises ValueError for an unknown name, a scheduler of another optimiser, and one that ends
    before the training, and TypeError for other objects.
    """
    if per is not None:
        find_name("schedule_per", per, ["step", "epoch"])
        if not isinstance(schedule, LRScheduler):
            raise ValueError(
                "schedule_per is for a scheduler of microgradx.optim.lr_scheduler; leave it out"
            )
    if schedule is None:
        return Schedule()
    if isinstance(schedule, str):
        return FactorSchedule(NAMED[find_name("schedule", schedule, NAMED)], optimizer)
    if isinstance(schedule, LRScheduler):
        per = per or ("step" if isinstance(schedule, OneCycleLR) else "epoch")
        _check_scheduler(schedule, per, optimizer, steps)
        return SchedulerSchedule(schedule, per)
    if callable(schedule) and not isinstance(schedule, type):
        return FactorSchedule(schedule, optimizer)
    raise TypeError(
        f"schedule must be a name, {', '.join(NAMED)}, a function of the share of the training "
        f"that is done, or one of microgradx.optim.lr_scheduler, not {schedule!r}"
    )


def _check_scheduler(scheduler: Any, per: str, optimizer: Any, steps: int) -> None:
    if scheduler.optimizer is not optimizer:
        raise ValueError(
            f"{type(scheduler).__name__} sets the learning rate of another optimiser; give "
            "optimizer= the one that it was made for"
        )
    if per == "step" and isinstance(scheduler, ReduceLROnPlateau):
        raise ValueError("ReduceLROnPlateau looks at each epoch; leave schedule_per out")
    if per == "step" and isinstance(scheduler, OneCycleLR) and scheduler.total_steps < steps:
        raise ValueError(
            f"OneCycleLR was made for {format_count(scheduler.total_steps, 'step')}, and the "
            f"training takes {steps}; write total_steps={steps}, or schedule='one_cycle'"
        )
