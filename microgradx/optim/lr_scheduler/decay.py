"""Schedules that multiply the learning rate: by steps, along a line, or as a function says."""

from __future__ import annotations

import bisect
from collections.abc import Callable, Iterable

from microgradx.optim.lr_scheduler.scheduler import LRScheduler, check_count, check_factor
from microgradx.optim.optimizer import Optimizer, check_setting

__all__ = ["ConstantLR", "ExponentialLR", "LambdaLR", "LinearLR", "MultiStepLR", "StepLR"]


class LambdaLR(LRScheduler):
    """The first learning rate, times a function of the epoch, or a list of one for each group.

    The functions are not in the state: give the same ones to a scheduler that goes on.

    >>> import microgradx as mg
    >>> optimizer = mg.optim.SGD([mg.Tensor(0.0, requires_grad=True)], lr=0.1)
    >>> scheduler = mg.optim.lr_scheduler.LambdaLR(optimizer, lambda epoch: 0.5**epoch)
    >>> scheduler.step()
    >>> scheduler.get_last_lr()
    [0.05]

    Raises TypeError for what is no function.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        lr_lambda: Callable[[int], float] | Iterable[Callable[[int], float]],
        last_epoch: int = -1,
    ) -> None:
        self.lr_lambda = lr_lambda if callable(lr_lambda) else list(lr_lambda)
        super().__init__(optimizer, last_epoch)

    def check_settings(self) -> None:
        functions = self.lr_lambda if isinstance(self.lr_lambda, list) else [self.lr_lambda]
        if not all(map(callable, functions)):
            raise TypeError(f"lr_lambda must be a function, or a list of them, not {functions!r}")

    def get_lr(self) -> list[float]:
        functions = self.lr_lambda if isinstance(self.lr_lambda, list) else [self.lr_lambda]
        factors = [function(self.last_epoch) for function in functions]
        factors = self._for_groups("lr_lambda", factors if len(factors) > 1 else factors[0])
        return [base_lr * factor for base_lr, factor in zip(self.base_lrs, factors, strict=True)]


class StepLR(LRScheduler):
    """Multiplies the learning rate by `gamma` after every `step_size` epochs.

    >>> import microgradx as mg
    >>> optimizer = mg.optim.SGD([mg.Tensor(0.0, requires_grad=True)], lr=0.4)
    >>> scheduler = mg.optim.lr_scheduler.StepLR(optimizer, step_size=2, gamma=0.5)
    >>> for epoch in range(4):
    ...     scheduler.step()
    >>> scheduler.get_last_lr()
    [0.1]

    Raises ValueError for a `step_size` below 1 or a negative `gamma`.
    """

    saved = ("step_size", "gamma")

    def __init__(
        self, optimizer: Optimizer, step_size: int, gamma: float = 0.1, last_epoch: int = -1
    ) -> None:
        self.step_size, self.gamma = step_size, gamma
        super().__init__(optimizer, last_epoch)

    def check_settings(self) -> None:
        check_count("step_size", self.step_size, least=1)
        check_setting("gamma", self.gamma)

    def get_lr(self) -> list[float]:
        is_time = self.last_epoch > 0 and self.last_epoch % self.step_size == 0
        factor = self.gamma if is_time else 1.0
        return [group["lr"] * factor for group in self.optimizer.param_groups]

    def get_closed_form_lr(self) -> list[float]:
        factor = self.gamma ** (self.last_epoch // self.step_size)
        return [base_lr * factor for base_lr in self.base_lrs]


class MultiStepLR(LRScheduler):
    """Multiplies the learning rate by `gamma` at each epoch that is listed in `milestones`.

    >>> import microgradx as mg
    >>> optimizer = mg.optim.SGD([mg.Tensor(0.0, requires_grad=True)], lr=0.4)
    >>> scheduler = mg.optim.lr_scheduler.MultiStepLR(optimizer, milestones=[1, 3], gamma=0.5)
    >>> for epoch in range(3):
    ...     scheduler.step()
    >>> scheduler.get_last_lr()
    [0.1]

    Raises TypeError or ValueError for milestones that are not whole numbers from 0 up, and
    ValueError for a negative `gamma`.
    """

    saved = ("milestones", "gamma")

    def __init__(
        self,
        optimizer: Optimizer,
        milestones: Iterable[int],
        gamma: float = 0.1,
        last_epoch: int = -1,
    ) -> None:
        self.milestones, self.gamma = sorted(milestones), gamma
        super().__init__(optimizer, last_epoch)

    def check_settings(self) -> None:
        for milestone in self.milestones:
            check_count("a milestone", milestone)
        check_setting("gamma", self.gamma)

    def get_lr(self) -> list[float]:
        factor = self.gamma ** self.milestones.count(self.last_epoch)
        return [group["lr"] * factor for group in self.optimizer.param_groups]

    def get_closed_form_lr(self) -> list[float]:
        factor = self.gamma ** bisect.bisect_right(self.milestones, self.last_epoch)
        return [base_lr * factor for base_lr in self.base_lrs]


class ConstantLR(LRScheduler):
    """The learning rate times `factor` in the first `total_iters` epochs, then as it was.

    >>> import microgradx as mg
    >>> optimizer = mg.optim.SGD([mg.Tensor(0.0, requires_grad=True)], lr=0.4)
    >>> scheduler = mg.optim.lr_scheduler.ConstantLR(optimizer, factor=0.5, total_iters=2)
    >>> rates = []
    >>> for epoch in range(4):
    ...     rates += scheduler.get_last_lr()
    ...     scheduler.step()
    >>> rates
    [0.2, 0.2, 0.4, 0.4]

    Raises ValueError for a `factor` that is not from 0 to 1, or a negative `total_iters`.
    """

    saved = ("factor", "total_iters")

    def __init__(
        self,
        optimizer: Optimizer,
        factor: float = 1.0 / 3,
        total_iters: int = 5,
        last_epoch: int = -1,
    ) -> None:
        self.factor, self.total_iters = factor, total_iters
        super().__init__(optimizer, last_epoch)

    def check_settings(self) -> None:
        check_factor("factor", self.factor)
        check_count("total_iters", self.total_iters)

    def get_lr(self) -> list[float]:
        if self.last_epoch == self.total_iters > 0 and self.factor == 0:
            return self.get_closed_form_lr()  # the learning rate of before is not in a 0
        factor = 1.0
        if self.last_epoch == 0 and self.total_iters > 0:
            factor = self.factor
        elif self.last_epoch == self.total_iters > 0:
            factor = 1.0 / self.factor
        return [group["lr"] * factor for group in self.optimizer.param_groups]

    def get_closed_form_lr(self) -> list[float]:
        factor = self.factor if self.last_epoch < self.total_iters else 1.0
        return [base_lr * factor for base_lr in self.base_lrs]


class LinearLR(LRScheduler):
    """The learning rate times a factor on a line, from `start_factor` to `end_factor`: a warm-up.

    The line ends at epoch `total_iters`; from then on the factor is `end_factor`.

    >>> import microgradx as mg
    >>> optimizer = mg.optim.SGD([mg.Tensor(0.0, requires_grad=True)], lr=0.4)
    >>> scheduler = mg.optim.lr_scheduler.LinearLR(optimizer, start_factor=0.25, total_iters=3)
    >>> rates = []
    >>> for epoch in range(4):
    ...     rates += scheduler.get_last_lr()
    ...     scheduler.step()
    >>> [round(rate, 6) for rate in rates]
    [0.1, 0.2, 0.3, 0.4]

    Raises ValueError for factors that are not from 0 to 1, a `start_factor` of 0, or a negative
    `total_iters`.
    """

    saved = ("start_factor", "end_factor", "total_iters")

    def __init__(
        self,
        optimizer: Optimizer,
        start_factor: float = 1.0 / 3,
        end_factor: float = 1.0,
        total_iters: int = 5,
        last_epoch: int = -1,
    ) -> None:
        self.start_factor, self.end_factor = start_factor, end_factor
        self.total_iters = total_iters
        super().__init__(optimizer, last_epoch)

    def check_settings(self) -> None:
        check_factor("start_factor", self.start_factor)
        check_factor("end_factor", self.end_factor)
        check_count("total_iters", self.total_iters)
        if self.start_factor == 0:
            raise ValueError(
                "start_factor must be above 0, as each epoch multiplies the learning rate of the "
                "one before; a small one is nearly the same"
            )

    def get_lr(self) -> list[float]:
        rates = [group["lr"] for group in self.optimizer.param_groups]
        change = self.end_factor - self.start_factor
        if self.last_epoch == 0:
            factor = self.start_factor if self.total_iters > 0 else self.end_factor
        elif self._is_initial or self.last_epoch > self.total_iters:
            return rates
        else:
            before = self.total_iters * self.start_factor + (self.last_epoch - 1) * change
            factor = max(0.0, 1.0 + change / before)  # where it is 0, rounding may be below
        return [rate * factor for rate in rates]

    def get_closed_form_lr(self) -> list[float]:
        done = min(self.last_epoch / self.total_iters, 1.0) if self.total_iters else 1.0
        factor = self.start_factor + (self.end_factor - self.start_factor) * done
        return [base_lr * factor for base_lr in self.base_lrs]


class ExponentialLR(LRScheduler):
    """Multiplies the learning rate by `gamma` after each epoch.

    >>> import microgradx as mg
    >>> optimizer = mg.optim.SGD([mg.Tensor(0.0, requires_grad=True)], lr=0.4)
    >>> scheduler = mg.optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.5)
    >>> scheduler.step()
    >>> scheduler.get_last_lr()
    [0.2]

    Raises ValueError for a negative `gamma`.
    """

    saved = ("gamma",)

    def __init__(self, optimizer: Optimizer, gamma: float, last_epoch: int = -1) -> None:
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def check_settings(self) -> None:
        check_setting("gamma", self.gamma)

    def get_lr(self) -> list[float]:
        factor = 1.0 if self._is_initial else self.gamma
        return [group["lr"] * factor for group in self.optimizer.param_groups]

    def get_closed_form_lr(self) -> list[float]:
        return [base_lr * self.gamma**self.last_epoch for base_lr in self.base_lrs]
