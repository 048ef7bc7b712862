"""Stochastic gradient descent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from microgradx.arrays.types import Array
from microgradx.optim.optimizer import Optimizer, check_setting

__all__ = ["SGD"]

#: The number of elements that are subtracted at a time.
BLOCK = 1 << 15


class SGD(Optimizer):
    """Stochastic gradient descent with (Nesterov) momentum and weight decay, as in PyTorch.

    With learning rate η, momentum μ, dampening τ and weight decay λ, for each parameter w:

        g = gradient + λ w, or -gradient + λ w to maximize
        v = g at the first step, then μ v + (1 - τ) g
        w = w - η v, or w - η (g + μ v) with nesterov

    A parameter whose `grad` is None stays as it is. Source: I. Sutskever et al., "On the
    importance of initialization and momentum in deep learning", 2013, in PyTorch's form.

    >>> import microgradx as mg
    >>> w = mg.Tensor(1.0, requires_grad=True)
    >>> optimiser = mg.optim.SGD([w], lr=0.1)
    >>> (w * w).backward()
    >>> optimiser.step()
    >>> w.item()
    0.8

    Raises ValueError for settings that are negative or not finite, for nesterov without momentum
    or with dampening, and for parameters that `Optimizer` refuses.
    """

    hyperparameters = ("lr", "momentum", "dampening", "weight_decay", "nesterov", "maximize")
    buffers = ("velocity",)
    elementwise = True

    momentum: float
    dampening: float
    nesterov: bool

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(
            params,
            lr,
            momentum=momentum,
            dampening=dampening,
            weight_decay=weight_decay,
            nesterov=nesterov,
            maximize=maximize,
        )

    @classmethod
    def check_settings(cls, settings: Mapping[str, Any]) -> None:
        for name in ("lr", "momentum", "dampening", "weight_decay"):
            check_setting(name, settings[name])
        momentum, dampening = settings["momentum"], settings["dampening"]
        if settings["nesterov"] and (momentum == 0 or dampening != 0):
            raise ValueError(
                f"nesterov needs a momentum above 0 and a dampening of 0, not {momentum} and "
                f"{dampening}"
            )

    def update(self, w: Array, g: Array, state: dict[str, Any]) -> None:
        g = self.add_weight_decay(w, g)
        momentum = self.momentum
        if momentum:
            if "velocity" not in state:
                state["velocity"] = np.copy(g)
            else:
                state["velocity"] *= momentum
                state["velocity"] += (1 - self.dampening) * g
            v = state["velocity"]
            g = g + momentum * v if self.nesterov else v
        if type(w) is np.ndarray and w.size > BLOCK and w.flags.carray and g.flags.carray:
            # Block by block, the products stay in the cache and need little memory.
            w, g = w.reshape(-1), g.reshape(-1)
            for start in range(0, w.size, BLOCK):
                w[start : start + BLOCK] -= self.lr * g[start : start + BLOCK]
        else:
            w -= self.lr * g
