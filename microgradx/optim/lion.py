"""Lion: steps of the learning rate, in the direction of the sign of a moving mean."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from microgradx.arrays.types import Array
from microgradx.optim.optimizer import Optimizer, check_betas, check_setting

__all__ = ["Lion"]


class Lion(Optimizer):
    """Lion, with decoupled weight decay. PyTorch has none.

    With learning rate η, betas β₁ and β₂ and weight decay λ, for each parameter w:

        c = β₁ m + (1 - β₁) g
        w = w - η (sign(c) + λ w)
        m = β₂ m + (1 - β₂) g        the moving mean of the gradients, from 0

    To maximize, g is the negative gradient. Each number moves by η in each step, so η is a third to
    a tenth of what suits Adam, and λ as much larger. A parameter whose `grad` is None stays as it
    is. Source: X. Chen et al., "Symbolic discovery of optimization algorithms", 2023, algorithm 2.

    >>> import microgradx as mg
    >>> w = mg.Tensor([1.0, -3.0], requires_grad=True)
    >>> optimiser = mg.optim.Lion([w], lr=0.1)
    >>> (w * w).sum().backward()
    >>> optimiser.step()
    >>> w.data
    array([ 0.9, -2.9])

    Raises ValueError for settings that are negative or not finite, for betas of 1 or more, and for
    parameters that `Optimizer` refuses.
    """

    hyperparameters = ("lr", "betas", "weight_decay", "maximize")
    buffers = ("m",)
    elementwise = True

    betas: tuple[float, float]

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-4,
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(params, lr, betas=betas, weight_decay=weight_decay, maximize=maximize)

    @classmethod
    def check_settings(cls, settings: Mapping[str, Any]) -> None:
        check_betas(settings["betas"])
        for name in ("lr", "weight_decay"):
            check_setting(name, settings[name])

    def update(self, w: Array, g: Array, state: dict[str, Any]) -> None:
        if "m" not in state:
            state["m"] = np.zeros_like(w)
        m = state["m"]
        beta1, beta2 = self.betas
        g = -g if self.maximize else g
        step = np.sign(beta1 * m + (1 - beta1) * g)
        m *= beta2
        m += (1 - beta2) * g
        if self.weight_decay:
            step += self.weight_decay * w
        w -= self.lr * step
