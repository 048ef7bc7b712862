"""Adam and AdamW: for each weight, steps divided by the size of its recent gradients."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from microgradx.arrays.types import Array
from microgradx.optim.optimizer import Optimizer, check_betas, check_setting

__all__ = ["Adam", "AdamW"]


class Adam(Optimizer):
    """Adam, with weight decay added to the gradient, as in PyTorch.

    With learning rate η, betas β₁ and β₂ and weight decay λ, at the t-th step of a parameter w:

        g = gradient + λ w, or -gradient + λ w to maximize
        m = β₁ m + (1 - β₁) g        the moving mean of the gradients, from 0
        v = β₂ v + (1 - β₂) g²       the moving mean of their squares, from 0
        w = w - η m̂ / (√v̂ + ε)      with m̂ = m / (1 - β₁ᵗ) and v̂ = v / (1 - β₂ᵗ)

    With amsgrad, the largest v so far is in the place of v in the last line. A parameter whose
    `grad` is None stays as it is, and so does its t. Sources: D. P. Kingma and J. Ba, "Adam: a
    method for stochastic optimization", 2015, algorithm 1; S. J. Reddi et al., "On the convergence
    of Adam and beyond", 2018, in PyTorch's form.

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

    hyperparameters = ("lr", "betas", "eps", "weight_decay", "amsgrad", "maximize")
    buffers = ("m", "v", "v_max")
    counters = ("t",)
    elementwise = True

    betas: tuple[float, float]
    eps: float
    amsgrad: bool

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(
            params,
            lr,
            betas=betas,
            eps=eps,
            weight_decay=weight_decay,
            amsgrad=amsgrad,
            maximize=maximize,
        )

    @classmethod
    def check_settings(cls, settings: Mapping[str, Any]) -> None:
        check_betas(settings["betas"])
        for name in ("lr", "eps", "weight_decay"):
            check_setting(name, settings[name])

    def update(self, w: Array, g: Array, state: dict[str, Any]) -> None:
        self.descend(w, self.add_weight_decay(w, g), state)

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
        if self.amsgrad:
            if "v_max" not in state:
                state["v_max"] = np.zeros_like(w)
            v = np.maximum(state["v_max"], v, out=state["v_max"])
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
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(params, lr, betas, eps, weight_decay, amsgrad, maximize=maximize)

    def update(self, w: Array, g: Array, state: dict[str, Any]) -> None:
        if self.weight_decay:
            w *= 1 - self.lr * self.weight_decay
        self.descend(w, -g if self.maximize else g, state)
