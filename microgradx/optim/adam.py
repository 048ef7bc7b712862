"""Adam and AdamW: for each weight, steps divided by the size of its recent gradients."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from microgradx.arrays.types import Array
from microgradx.engine import Tensor
from microgradx.optim.optimizer import Optimizer, check_setting

__all__ = ["Adam", "AdamW"]


class Adam(Optimizer):
    """Adam, with weight decay added to the gradient, as in PyTorch.

    With learning rate η, betas β₁ and β₂ and weight decay λ, at the t-th step of a parameter w:

        g = gradient + λ w
        m = β₁ m + (1 - β₁) g        the moving mean of the gradients, from 0
        v = β₂ v + (1 - β₂) g²       the moving mean of their squares, from 0
        w = w - η m̂ / (√v̂ + ε)      with m̂ = m / (1 - β₁ᵗ) and v̂ = v / (1 - β₂ᵗ)

    A parameter whose `grad` is None stays as it is, and so does its t. Source: D. P. Kingma and
    J. Ba, "Adam: a method for stochastic optimization", 2015, algorithm 1.

    >>> import microgradx as mg
    >>> w = mg.Tensor([1.0, -100.0], requires_grad=True)
    >>> optimiser = mg.optim.Adam([w], lr=0.1)
    >>> (w * w).sum().backward()
    >>> optimiser.step()
    >>> w.data
    array([  0.9, -99.9])

    Raises ValueError for settings that are negative or not finite, for betas of 1 or more, and for
    parameters that `Optimizer` refuses.
    """

    hyperparameters = ("lr", "betas", "eps", "weight_decay")
    buffers = ("m", "v")
    counters = ("t",)
    elementwise = True

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[tuple[str, Tensor]],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(params, lr)
        if np.shape(betas) != (2,):
            raise ValueError(f"betas must be two numbers, such as (0.9, 0.999), not {betas!r}")
        beta1, beta2 = betas
        self.betas = (
            check_setting("betas[0]", beta1, below=1),
            check_setting("betas[1]", beta2, below=1),
        )
        self.eps = check_setting("eps", eps)
        self.weight_decay = check_setting("weight_decay", weight_decay)

    def update(self, w: Array, g: Array, state: dict[str, Any]) -> None:
        if self.weight_decay:
            g = g + self.weight_decay * w
        self.descend(w, g, state)

    def descend(self, w: Array, g: Array, state: dict[str, Any]) -> None:
        """The update without weight decay."""
        if not state:
            state.update(t=0, m=np.zeros_like(w), v=np.zeros_like(w))
        state["t"] += 1
        t, m, v = state["t"], state["m"], state["v"]
        beta1, beta2 = self.betas
        m *= beta1
        m += (1 - beta1) * g
        v *= beta2
        v += (1 - beta2) * (g * g)
        # η m̂ / (√v̂ + ε), with the corrections of m̂ and v̂ as factors outside the arrays.
        correction = (1 - beta2**t) ** 0.5
        step = np.sqrt(v)
        step += self.eps * correction
        step = m / step
        step *= self.lr * correction / (1 - beta1**t)
        w -= step


class AdamW(Adam):
    """Adam with decoupled weight decay: not added to the gradient; w is multiplied by 1 - η λ.

    Takes the arguments of `Adam` with another default of `weight_decay`, and raises its errors.
    Source: I. Loshchilov and F. Hutter, "Decoupled weight decay regularization", 2019, in PyTorch's
    form.

    >>> import microgradx as mg
    >>> w = mg.Tensor([2.0], requires_grad=True)
    >>> w.grad = np.array([0.0])
    >>> mg.optim.AdamW([w], lr=0.1, weight_decay=0.5).step()
    >>> w.data
    array([1.9])
    """

    elementwise = True

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[tuple[str, Tensor]],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
    ) -> None:
        super().__init__(params, lr, betas, eps, weight_decay)

    def update(self, w: Array, g: Array, state: dict[str, Any]) -> None:
        w *= 1 - self.lr * self.weight_decay
        self.descend(w, g, state)
