"""One cycle: up to a large learning rate and down to a tiny one, with momentum the other way."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from microgradx.optim.lr_scheduler.scheduler import LRScheduler, check_count, check_factor
from microgradx.optim.optimizer import Optimizer, check_setting

__all__ = ["OneCycleLR"]


class OneCycleLR(LRScheduler):
    """Up to the learning rate `max_lr`, and down again.

    It begins at `max_lr / div_factor`, and ends at `max_lr / div_factor / final_div_factor`. An
    epoch is a step of the optimiser here. There are `total_steps`, or `epochs · steps_per_epoch`,
    of which the share `pct_start` leads up. Both ways are half a cosine ("cos") or a line
    ("linear"). With `three_phase`, the way down first has the length of the way up, and
    ends where that began. With `cycle_momentum`, the momentum (of Adam and its like β₁) goes from
    `max_momentum` to `base_momentum` and back.

    Numbers may be lists, one for each parameter group. Source: L. N. Smith and N. Topin,
    "Super-convergence: very fast training of neural networks using large learning rates", 2018, in
    PyTorch's form.

    >>> import microgradx as mg
    >>> optimizer = mg.optim.SGD([mg.Tensor(0.0, requires_grad=True)], lr=0.1, momentum=0.9)
    >>> scheduler = mg.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.5, total_steps=10)
    >>> scheduler.step(), scheduler.step()
    (None, None)
    >>> scheduler.get_last_lr(), optimizer.momentum
    ([0.5], 0.85)

    Raises ValueError for settings that cannot be, without a number of steps, for an optimiser
    without momentum, and from `step` after the last step.
    """

    saved = (
        *("total_steps", "pct_start", "three_phase", "anneal_strategy", "cycle_momentum"),
        *("final_div_factor", "max_lrs", "base_momentums", "max_momentums"),
    )

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: float | Sequence[float],
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: Literal["cos", "linear"] = "cos",
        cycle_momentum: bool = True,
        base_momentum: float | Sequence[float] = 0.85,
        max_momentum: float | Sequence[float] = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        last_epoch: int = -1,
    ) -> None:
        if total_steps is None and epochs is not None and steps_per_epoch is not None:
            check_count("epochs", epochs, least=1)
            check_count("steps_per_epoch", steps_per_epoch, least=1)
            total_steps = epochs * steps_per_epoch
        if total_steps is None:
            raise ValueError(
                "how many steps there are is not known; give total_steps, or epochs and "
                "steps_per_epoch"
            )
        self.total_steps, self.pct_start, self.three_phase = total_steps, pct_start, three_phase
        self.anneal_strategy, self.cycle_momentum = anneal_strategy, cycle_momentum
        self.final_div_factor = final_div_factor
        if not isinstance(optimizer, Optimizer):
            super().__init__(optimizer)  # which refuses it
        self.optimizer = optimizer
        for name, factor in (("div_factor", div_factor), ("final_div_factor", final_div_factor)):
            if check_setting(name, factor) == 0:
                raise ValueError(f"{name} must be above 0")
        self.max_lrs = self._for_groups("max_lr", max_lr)
        self.base_momentums = self._for_groups("base_momentum", base_momentum)
        self.max_momentums = self._for_groups("max_momentum", max_momentum)
        self.check_settings()
        if cycle_momentum:
            self.scheduled = ("lr", self._momentum_setting)
        if last_epoch == -1:
            for group, rate in zip(optimizer.param_groups, self.max_lrs, strict=True):
                group["initial_lr"] = rate / div_factor
        super().__init__(optimizer, last_epoch)

    def check_settings(self) -> None:
        check_count("total_steps", self.total_steps, least=1)
        check_factor("pct_start", self.pct_start)
        if self.anneal_strategy not in ("cos", "linear"):
            raise ValueError(
                f"anneal_strategy must be 'cos' or 'linear', not {self.anneal_strategy!r}"
            )
        if self.cycle_momentum and self._momentum_setting not in self.optimizer.hyperparameters:
            raise ValueError(
                f"{type(self.optimizer).__name__} has no momentum to cycle; give "
                "cycle_momentum=False"
            )

    @property
    def _momentum_setting(self) -> str:
        return "betas" if "betas" in self.optimizer.hyperparameters else "momentum"

    def get_lr(self) -> list[float]:
        lows, highs = self.base_lrs, self._for_groups("max_lr", self.max_lrs)
        ends = [low / self.final_div_factor for low in lows]
        turns = [lows, highs, lows, ends] if self.three_phase else [lows, highs, ends]
        return self._interpolate(turns)

    def _get_momentums(self) -> list[float]:
        lows, highs = self.base_momentums, self.max_momentums
        return self._interpolate([highs, lows, highs, highs][: 4 if self.three_phase else 3])

    def _interpolate(self, turns: list[list[float]]) -> list[float]:
        """The present values between two turns, each a list of one for each group."""
        step = self.last_epoch
        if step > self.total_steps:
            raise ValueError(
                f"this is step {step} of a schedule of {self.total_steps}; give OneCycleLR the "
                "number of all steps, epochs times batches"
            )
        up = float(self.pct_start * self.total_steps)
        stops = [0.0, up - 1, *([2 * up - 2] if self.three_phase else []), self.total_steps - 1]
        phase = next((k for k, stop in enumerate(stops[1:-1]) if step <= stop), len(stops) - 2)
        start, stop = stops[phase : phase + 2]
        done = (step - start) / (stop - start) if stop != start else 1.0
        ends = zip(turns[phase], turns[phase + 1], strict=True)
        return [self._anneal(first, last, done) for first, last in ends]

    def _anneal(self, start: float, end: float, done: float) -> float:
        if self.anneal_strategy == "cos":
            return end + (start - end) / 2.0 * (math.cos(math.pi * done) + 1)
        # After the last step, PyTorch's line goes on to learning rates below 0.
        return (end - start) * min(done, 1.0) + start

    def _write(self, lrs: list[float]) -> None:
        super()._write(lrs)
        if self.cycle_momentum:
            name = self._momentum_setting
            for group, momentum in zip(
                self.optimizer.param_groups, self._get_momentums(), strict=True
            ):
                is_beta = name == "betas"
                group[name] = (momentum, *group["betas"][1:]) if is_beta else momentum
