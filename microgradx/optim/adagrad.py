"""Adagrad: gradients divided by the root of the sum of all squares so far."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from microgradx.arrays.types import Array
from microgradx.optim.optimizer import Optimizer, check_setting

__all__ = ["Adagrad"]


class Adagrad(Optimizer):
    """Adagrad, with a learning rate that decays, as in PyTorch.

    With learning rate η and weight decay λ, at the t-th step of a parameter w:

        g = gradient + λ w, or -gradient + λ w to maximize
        s = s + g²                    from initial_accumulator_value
        w = w - η / (1 + (t - 1) lr_decay) · g / (√s + ε)

    A parameter whose `grad` is None stays as it is, and so does its t. Source: J. Duchi et al.,
    "Adaptive subgradient methods for online learning and stochastic optimization", 2011.

    >>> import microgradx as mg
    >>> w = mg.Tensor([1.0, -3.0], requires_grad=True)
    >>> optimiser = mg.optim.Adagrad([w], lr=0.1)
    >>> (w * w).sum().backward()
    >>> optimiser.step()
    >>> w.data
    array([ 0.9, -2.9])

    Raises ValueError for settings that are negative or not finite, and for parameters that
    `Optimizer` refuses.
    """

    hyperparameters = (
        *("lr", "lr_decay", "weight_decay", "initial_accumulator_value", "eps", "maximize"),
    )
    buffers = ("sum_of_squares",)
    counters = ("t",)
    elementwise = True

    lr_decay: float
    initial_accumulator_value: float
    eps: float

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-2,
        lr_decay: float = 0.0,
        weight_decay: float = 0.0,
        initial_accumulator_value: float = 0.0,
        eps: float = 1e-10,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(
            params,
            lr,
            lr_decay=lr_decay,
            weight_decay=weight_decay,
            initial_accumulator_value=initial_accumulator_value,
            eps=eps,
            maximize=maximize,
        )

    @classmethod
    def check_settings(cls, settings: Mapping[str, Any]) -> None:
        for name in cls.hyperparameters[:-1]:
            check_setting(name, settings[name])

    def update(self, w: Array, g: Array, state: dict[str, Any]) -> None:
        g = self.add_weight_decay(w, g)
        if not state:
            state.update(t=0, sum_of_squares=np.full_like(w, self.initial_accumulator_value))
        state["t"] += 1
        s = state["sum_of_squares"]
        s += g * g
        step = np.sqrt(s)
        step += self.eps
        step = g / step
        step *= self.lr / (1 + (state["t"] - 1) * self.lr_decay)
        w -= step
