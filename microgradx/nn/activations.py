"""Activation functions as modules."""

from __future__ import annotations

import math
from typing import Any

from microgradx.functional import log_softmax, softmax
from microgradx.nn.functional_activations import softplus
from microgradx.nn.module import Module
from microgradx.ops.activations import relu, sigmoid
from microgradx.ops.elementwise import tanh

__all__ = ["LogSoftmax", "ReLU", "Sigmoid", "Softmax", "Softplus", "Tanh"]


class ReLU(Module):
    """max(x, 0), elementwise: `microgradx.relu`.

    >>> ReLU()([-1.0, 2.0])
    array([0., 2.])
    """

    def forward(self, x: Any) -> Any:
        return relu(x)


class Tanh(Module):
    """tanh x, elementwise: `microgradx.tanh`.

    >>> Tanh()([0.0, 100.0])
    array([0., 1.])
    """

    def forward(self, x: Any) -> Any:
        return tanh(x)


class Sigmoid(Module):
    """1 / (1 + e⁻ˣ), elementwise: `microgradx.sigmoid`.

    >>> Sigmoid()([0.0, 100.0])
    array([0.5, 1. ])
    """

    def forward(self, x: Any) -> Any:
        return sigmoid(x)


class Softplus(Module):
    """ln(1 + e^(βx)) / β, elementwise, a smooth relu: `nn.functional.softplus`.

    >>> Softplus()([-1000.0, 1000.0])
    array([   0., 1000.])
    """

    def __init__(self, beta: float = 1.0, threshold: float = math.inf) -> None:
        self.beta = beta
        self.threshold = threshold

    def forward(self, x: Any) -> Any:
        return softplus(x, self.beta, self.threshold)

    def extra_repr(self) -> str:
        return "" if self.beta == 1 else f"beta={self.beta}"


class Softmax(Module):
    """Probabilities from logits along `axis`, at a temperature: `microgradx.softmax`.

    Not to be used before `CrossEntropyLoss`, which takes logits.

    >>> Softmax()([0.0, 0.0])
    array([0.5, 0.5])
    """

    def __init__(self, axis: int = -1, temperature: Any = 1.0) -> None:
        self.axis = axis
        self.temperature = temperature

    def forward(self, x: Any) -> Any:
        return softmax(x, self.axis, self.temperature)

    def extra_repr(self) -> str:
        return f"axis={self.axis}, temperature={self.temperature}"


class LogSoftmax(Softmax):
    """The logarithm of `Softmax`, accurate for any logits: `microgradx.log_softmax`.

    >>> LogSoftmax()([0.0, 1000.0])
    array([-1000.,     0.])
    """

    def forward(self, x: Any) -> Any:
        return log_softmax(x, self.axis, self.temperature)
