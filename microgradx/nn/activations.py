"""Activation functions as modules."""

from __future__ import annotations

from typing import Any

from microgradx.functional import log_softmax, softmax
from microgradx.nn.module import Module
from microgradx.ops.activations import relu, sigmoid, softplus
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
    """ln(1 + eˣ), elementwise, a smooth relu: `microgradx.softplus`.

    >>> Softplus()([-1000.0, 1000.0])
    array([   0., 1000.])
    """

    def forward(self, x: Any) -> Any:
        return softplus(x)


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
