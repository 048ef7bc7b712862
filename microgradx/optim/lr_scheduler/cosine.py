"""Schedules along half a cosine, once or again and again."""

from __future__ import annotations

import math

from microgradx.optim.lr_scheduler.scheduler import LRScheduler, check_count
from microgradx.optim.optimizer import Optimizer, check_setting

__all__ = ["CosineAnnealingLR", "CosineAnnealingWarmRestarts"]


class CosineAnnealingLR(LRScheduler):
    """From the first learning rate η₀ to `eta_min` in `T_max` epochs, along half a cosine.

        η = η_min + (η₀ - η_min) (1 + cos(π epoch / T_max)) / 2

    Each epoch multiplies the distance to `eta_min` of the one before, so that a learning rate that
    was changed in between goes on from there. After `T_max` the curve rises again. Source:
    I. Loshchilov and F. Hutter, "SGDR: stochastic gradient descent with warm restarts", 2017,
    without restarts.

    >>> import microgradx as mg
    >>> optimizer = mg.optim.SGD([mg.Tensor(0.0, requires_grad=True)], lr=0.4)
    >>> scheduler = mg.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=2)
    >>> rates = []
    >>> for epoch in range(3):
    ...     rates += scheduler.get_last_lr()
    ...     scheduler.step()
    >>> [round(rate, 6) for rate in rates]
    [0.4, 0.2, 0.0]

    Raises ValueError for a `T_max` below 1 or a negative `eta_min`.
    """

    saved = ("T_max", "eta_min")

    def __init__(
        self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0, last_epoch: int = -1
    ) -> None:
        self.T_max, self.eta_min = T_max, eta_min
        super().__init__(optimizer, last_epoch)

    def check_settings(self) -> None:
        check_count("T_max", self.T_max, least=1)
        check_setting("eta_min", self.eta_min)

    def get_lr(self) -> list[float]:
        rates = [group["lr"] for group in self.optimizer.param_groups]
        if self._is_initial:
            return rates
        before, now = self._height(self.last_epoch - 1), self._height(self.last_epoch)
        if (self.last_epoch - 1 - self.T_max) % (2 * self.T_max) == 0:  # after a 0
            return [
                rate + (base_lr - self.eta_min) * now / 2
                for rate, base_lr in zip(rates, self.base_lrs, strict=True)
            ]
        # One that was set below eta_min would become negative where the curve rises.
        rates = [now / before * (rate - self.eta_min) + self.eta_min for rate in rates]
        return [max(0.0, rate) for rate in rates]

    def get_closed_form_lr(self) -> list[float]:
        height = self._height(self.last_epoch) / 2
        return [self.eta_min + (base_lr - self.eta_min) * height for base_lr in self.base_lrs]

    def _height(self, epoch: int) -> float:
        return 1 + math.cos(math.pi * epoch / self.T_max)


class CosineAnnealingWarmRestarts(LRScheduler):
    """Half a cosine from the first learning rate to `eta_min`, and from the start again.

        η = η_min + (η₀ - η_min) (1 + cos(π T_cur / T_i)) / 2

    The first period has `T_0` epochs, each further one `T_mult` times as many as the one before.
    `step(epoch)` goes to an epoch, which may be a fraction: `epoch + batch / batches`. Source:
    I. Loshchilov and F. Hutter, "SGDR: stochastic gradient descent with warm restarts", 2017.

    >>> import microgradx as mg
    >>> optimizer = mg.optim.SGD([mg.Tensor(0.0, requires_grad=True)], lr=0.4)
    >>> scheduler = mg.optim.lr_scheduler.CosineAnnealingWarmRestarts(optimizer, T_0=2)
    >>> rates = []
    >>> for epoch in range(4):
    ...     rates += scheduler.get_last_lr()
    ...     scheduler.step()
    >>> [round(rate, 6) for rate in rates]
    [0.4, 0.2, 0.4, 0.2]

    Raises ValueError for a `T_0` or `T_mult` below 1, a negative `eta_min`, or a negative epoch.
    """

    saved = ("T_0", "T_mult", "eta_min", "T_i", "T_cur")

    def __init__(
        self,
        optimizer: Optimizer,
        T_0: int,
        T_mult: int = 1,
        eta_min: float = 0.0,
        last_epoch: int = -1,
    ) -> None:
        self.T_0, self.T_mult, self.eta_min = T_0, T_mult, eta_min
        #: The length of the present period, and how much of it is done.
        self.T_i, self.T_cur = T_0, float(last_epoch)
        super().__init__(optimizer, last_epoch)

    def check_settings(self) -> None:
        check_count("T_0", self.T_0, least=1)
        check_count("T_mult", self.T_mult, least=1)
        check_count("T_i", self.T_i, least=1)
        check_setting("eta_min", self.eta_min)

    def get_lr(self) -> list[float]:
        height = (1 + math.cos(math.pi * self.T_cur / self.T_i)) / 2
        return [self.eta_min + (base_lr - self.eta_min) * height for base_lr in self.base_lrs]

    def step(self, epoch: float | None = None) -> None:
        if epoch is None and self.last_epoch >= 0:
            epoch, done, length = self.last_epoch + 1, self.T_cur + 1, self.T_i
        else:
            epoch = done = check_setting("epoch", 0 if epoch is None else epoch)
            length = self.T_0
        while self.T_mult > 1 and done >= length:
            done, length = done - length, length * self.T_mult
        before = self.T_cur, self.T_i
        self.T_cur, self.T_i = float(done % length), length
        try:
            self._go_to(math.floor(epoch), self.get_lr)
        except BaseException:
            self.T_cur, self.T_i = before
            raise

    def _restart(self) -> None:
        self.step(0)
