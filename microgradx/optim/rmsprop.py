"""RMSprop: gradients divided by a running root mean square."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from microgradx.arrays.types import Array
from microgradx.optim.optimizer import Optimizer, check_setting

__all__ = ["RMSprop"]


class RMSprop(Optimizer):
    """RMSprop, with momentum, and centered if asked for, as in PyTorch.

    With learning rate η, momentum μ and weight decay λ, for each parameter w:

        g = gradient + λ w, or -gradient + λ w to maximize
        s = α s + (1 - α) g²          the moving mean of the squares, from 0
        d = g / (√s + ε)              centered: √(s - m²), with m = α m + (1 - α) g
        w = w - η d                   with momentum: w - η v, where v = μ v + d

    Rounding may make s - m² negative, where PyTorch's root is NaN; here it is 0. A parameter whose
    `grad` is None stays as it is. Sources: T. Tieleman and G. Hinton, "Lecture 6.5: rmsprop", 2012;
    A. Graves, "Generating sequences with recurrent neural networks", 2013, for the centered form.

    >>> import microgradx as mg
    >>> w = mg.Tensor([1.0, -3.0], requires_grad=True)
    >>> optimiser = mg.optim.RMSprop([w], lr=0.1, alpha=0.75)
    >>> (w * w).sum().backward()
    >>> optimiser.step()
    >>> w.data.round(6)
    array([ 0.8, -2.8])

    Raises ValueError for settings that are negative or not finite, for an alpha above 1, and for
    parameters that `Optimizer` refuses.
    """

    hyperparameters = ("lr", "alpha", "eps", "weight_decay", "momentum", "centered", "maximize")
    buffers = ("mean_square", "mean", "velocity")
    elementwise = True

    alpha: float
    eps: float
    momentum: float
    centered: bool

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum: float = 0.0,
        centered: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(
            params,
            lr,
            alpha=alpha,
            eps=eps,
            weight_decay=weight_decay,
            momentum=momentum,
            centered=centered,
            maximize=maximize,
        )

    @classmethod
    def check_settings(cls, settings: Mapping[str, Any]) -> None:
        for name in ("lr", "alpha", "eps", "weight_decay", "momentum"):
            check_setting(name, settings[name])
        if settings["alpha"] > 1:
            raise ValueError(f"alpha must be at most 1, not {settings['alpha']}")

    def update(self, w: Array, g: Array, state: dict[str, Any]) -> None:
        g = self.add_weight_decay(w, g)
        alpha = self.alpha
        if "mean_square" not in state:
            state["mean_square"] = np.zeros_like(w)
        s = state["mean_square"]
        s *= alpha
        s += (1 - alpha) * (g * g)
        if self.centered:
            if "mean" not in state:
                state["mean"] = np.zeros_like(w)
            m = state["mean"]
            m *= alpha
            m += (1 - alpha) * g
            s = np.maximum(s - m * m, 0)
        step = np.sqrt(s)
        step += self.eps
        step = g / step
        momentum = self.momentum
        if momentum:
            if "velocity" not in state:
                state["velocity"] = np.zeros_like(w)
            v = state["velocity"]
            v *= momentum
            v += step
            step = v
        w -= self.lr * step
