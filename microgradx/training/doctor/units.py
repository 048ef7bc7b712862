"""The units of a network on the rows: which never change, seen by watching their activations."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from microgradx.arrays.types import Array
from microgradx.engine import Tensor

__all__ = ["ActivationLayer", "ActivationObserver", "layer_name"]

#: The derivative of an activation, as a share of its largest, from its input x and result out.
_RELATIVE_DERIVATIVES: dict[str, Callable[[Array, Array], Array]] = {
    "relu": lambda x, out: out > 0,
    "maximum": lambda x, out: x > 0,
    "hardtanh": lambda x, out: out == x,
    "tanh": lambda x, out: 1 - out * out,
    "sigmoid": lambda x, out: 4 * out * (1 - out),
}
#: Those that saturate; the others are linear or 0.
SATURATING = ("tanh", "sigmoid")


@dataclass
class ActivationLayer:
    """An activation in a network: where it is, what it is, and its derivative at each unit.

    `flat` is, for each unit, the share of the rows (and pixels) at which its derivative is less
    than a hundredth of the activation's largest.
    """

    name: str
    op: str
    out: Tensor
    flat: Array
    axis: int

    @property
    def is_saturating(self) -> bool:
        return self.op in SATURATING

    @property
    def stuck(self) -> Array:
        """Which units are flat at every row; of those that saturate, at nine of ten."""
        return self.flat >= (0.9 if self.is_saturating else 1)


class ActivationObserver:
    """Collects the activations of a forward pass."""

    def __init__(self) -> None:
        self.layers: list[ActivationLayer] = []

    def forward(self, op: Any, inputs: tuple[Tensor, ...], out: Tensor) -> None:
        derivative = _RELATIVE_DERIVATIVES.get(op.name)
        if derivative is None or out.ndim < 2 or out.op is None:
            return
        if op.name == "maximum" and (inputs[1].op is not None or np.any(inputs[1].array)):
            return
        x = inputs[0]
        relative = derivative(x.array, out.array)
        axis = 1 if out.ndim > 2 and _is_convolved(x) else out.ndim - 1
        others = tuple(i for i in range(out.ndim) if i != axis)
        flat = np.mean(relative < 0.01, axis=others)
        self.layers.append(ActivationLayer(layer_name(x), op.name, out, flat, axis))

    def backward(self, out: Tensor, x: Tensor, g: Any, gradient: Any) -> None:
        pass


def _is_convolved(x: Tensor) -> bool:
    return any(t.op is not None and t.op.name == "convolution" for t in _nearest(x))


def _nearest(x: Tensor) -> list[Tensor]:
    """A result and the ten or so that it was computed from last."""
    found = [x]
    for t in found:
        if len(found) > 12:
            break
        found += t.inputs
    return found


def layer_name(x: Tensor) -> str:
    """The path of the module whose parameter was used last on the way to a result."""
    for t in _nearest(x):
        if t.op is None and t.requires_grad and t.name:
            return t.name.rpartition(".")[0] or t.name
    return "?"
