"""Activation functions with PyTorch's arguments, in PyTorch's order.

The work is done by microgradx's functions of the same names; their docstrings have the formulas.
"""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np

from microgradx.arrays.pytorch_habits import INSTEAD_OF_ARGUMENT
from microgradx.arrays.types import as_floats
from microgradx.ops import activations, elementwise
from microgradx.ops.elementwise import where

__all__ = [
    "celu",
    "elu",
    "gelu",
    "glu",
    "hardshrink",
    "hardsigmoid",
    "hardswish",
    "hardtanh",
    "leaky_relu",
    "logsigmoid",
    "mish",
    "prelu",
    "relu",
    "relu6",
    "rrelu",
    "selu",
    "sigmoid",
    "silu",
    "softplus",
    "softshrink",
    "softsign",
    "tanh",
    "tanhshrink",
    "threshold",
]


def _refuse_inplace(name: str, inplace: bool) -> None:
    if inplace:
        raise TypeError(f"{name} has no inplace=True; {INSTEAD_OF_ARGUMENT['inplace']}")


def relu(input: Any, inplace: bool = False) -> Any:
    """max(x, 0): `microgradx.relu`.

    >>> relu([-1.0, 2.0])
    array([0., 2.])
    """
    _refuse_inplace("relu", inplace)
    return activations.relu(input)


def relu6(input: Any, inplace: bool = False) -> Any:
    """min(max(x, 0), 6): `microgradx.relu6`.

    >>> relu6([-1.0, 9.0])
    array([0., 6.])
    """
    _refuse_inplace("relu6", inplace)
    return activations.relu6(input)


def leaky_relu(input: Any, negative_slope: Any = 0.01, inplace: bool = False) -> Any:
    """x where it is positive, `negative_slope` times x elsewhere: `microgradx.leaky_relu`.

    >>> leaky_relu([-1.0, 2.0], negative_slope=0.5)
    array([-0.5,  2. ])
    """
    _refuse_inplace("leaky_relu", inplace)
    return activations.leaky_relu(input, negative_slope)


def elu(input: Any, alpha: Any = 1.0, inplace: bool = False) -> Any:
    """x where it is positive, α (eˣ - 1) elsewhere: `microgradx.elu`.

    >>> elu([-1000.0, 2.0], alpha=0.5)
    array([-0.5,  2. ])
    """
    _refuse_inplace("elu", inplace)
    return activations.elu(input, alpha)


def selu(input: Any, inplace: bool = False) -> Any:
    """λ elu(x, α), with constants that preserve mean 0 and variance 1: `microgradx.selu`.

    >>> selu([0.0, 1.0])
    array([0.        , 1.05070099])
    """
    _refuse_inplace("selu", inplace)
    return activations.selu(input)


def celu(input: Any, alpha: Any = 1.0, inplace: bool = False) -> Any:
    """x where it is positive, α (e^(x/α) - 1) elsewhere: `microgradx.celu`.

    >>> celu([-1000.0, 2.0], alpha=0.5)
    array([-0.5,  2. ])
    """
    _refuse_inplace("celu", inplace)
    return activations.celu(input, alpha)


def prelu(input: Any, weight: Any) -> Any:
    """x where it is positive, a weight for each channel times x elsewhere: `microgradx.prelu`.

    >>> prelu([-1.0, 2.0], 0.5)
    array([-0.5,  2. ])
    """
    return activations.prelu(input, weight)


def rrelu(
    input: Any,
    lower: float = 1 / 8,
    upper: float = 1 / 3,
    training: bool = False,
    inplace: bool = False,
    *,
    generator: np.random.Generator | None = None,
) -> Any:
    """leaky_relu, in training with random slopes: `microgradx.rrelu`.

    >>> rrelu([-1.0, 2.0], 0.1, 0.3)
    array([-0.2,  2. ])
    """
    _refuse_inplace("rrelu", inplace)
    return activations.rrelu(input, lower, upper, training, generator=generator)


def silu(input: Any, inplace: bool = False) -> Any:
    """x sigmoid x: `microgradx.silu`.

    >>> silu([0.0, 1.0])
    array([0.        , 0.73105858])
    """
    _refuse_inplace("silu", inplace)
    return activations.silu(input)


def mish(input: Any, inplace: bool = False) -> Any:
    """x tanh(ln(1 + eˣ)): `microgradx.mish`.

    >>> mish([0.0, 1.0])
    array([0.        , 0.86509839])
    """
    _refuse_inplace("mish", inplace)
    return activations.mish(input)


def hardtanh(input: Any, min_val: Any = -1.0, max_val: Any = 1.0, inplace: bool = False) -> Any:
    """x limited to the range from `min_val` to `max_val`: `microgradx.hardtanh`.

    >>> hardtanh([-3.0, 0.5, 3.0], max_val=2.0)
    array([-1. ,  0.5,  2. ])
    """
    _refuse_inplace("hardtanh", inplace)
    return activations.hardtanh(input, min_val, max_val)


def hardsigmoid(input: Any, inplace: bool = False) -> Any:
    """min(max(x + 3, 0), 6) / 6: `microgradx.hardsigmoid`.

    >>> hardsigmoid([-3.0, 0.0, 9.0])
    array([0. , 0.5, 1. ])
    """
    _refuse_inplace("hardsigmoid", inplace)
    return activations.hardsigmoid(input)


def hardswish(input: Any, inplace: bool = False) -> Any:
    """x min(max(x + 3, 0), 6) / 6: `microgradx.hardswish`.

    >>> hardswish([1.0, 9.0])
    array([0.66666667, 9.        ])
    """
    _refuse_inplace("hardswish", inplace)
    return activations.hardswish(input)


def softshrink(input: Any, lambd: float = 0.5) -> Any:
    """x - λ above λ, x + λ below -λ, 0 between: `microgradx.softshrink`.

    >>> softshrink([-2.0, 0.3, 2.0])
    array([-1.5,  0. ,  1.5])
    """
    return activations.softshrink(input, lambd)


def hardshrink(input: Any, lambd: float = 0.5) -> Any:
    """x where |x| > λ, 0 elsewhere: `microgradx.hardshrink`.

    >>> hardshrink([-2.0, 0.3, 2.0])
    array([-2.,  0.,  2.])
    """
    return activations.hardshrink(input, lambd)


def threshold(input: Any, threshold: Any, value: Any, inplace: bool = False) -> Any:
    """x where it is above the threshold, `value` elsewhere: `microgradx.threshold`.

    >>> threshold([-1.0, 2.0], 1.0, -7.0)
    array([-7.,  2.])
    """
    _refuse_inplace("threshold", inplace)
    return activations.threshold(input, threshold, value)


def softsign(input: Any) -> Any:
    """x / (1 + |x|): `microgradx.softsign`.

    >>> softsign([-1.0, 3.0])
    array([-0.5 ,  0.75])
    """
    return activations.softsign(input)


def tanhshrink(input: Any) -> Any:
    """x - tanh x: `microgradx.tanhshrink`.

    >>> tanhshrink([0.0, 1.0])
    array([0.        , 0.23840584])
    """
    return activations.tanhshrink(input)


def glu(input: Any, axis: int = -1) -> Any:
    """The first half along an axis, times the sigmoid of the second: `microgradx.glu`.

    >>> glu([1.0, 2.0, 0.0, 0.0])
    array([0.5, 1. ])
    """
    return activations.glu(input, axis)


def gelu(input: Any, approximate: Literal["none", "tanh"] = "none") -> Any:
    """x Φ(x), with Φ the cumulative normal distribution: `microgradx.gelu`.

    >>> gelu([-1.0, 1.0])
    array([-0.15865525,  0.84134475])
    """
    return activations.gelu(input, approximate)


def softplus(input: Any, beta: Any = 1.0, threshold: Any = math.inf) -> Any:
    """ln(1 + e^(βx)) / β, and x itself where βx is above the threshold: `microgradx.softplus`.

    No threshold is needed here; PyTorch's default of 20 keeps its exponential from overflowing.

    >>> softplus([0.0, 1000.0], beta=2.0)
    array([3.4657359e-01, 1.0000000e+03])
    """
    if type(beta) in (int, float) and beta == 1:
        out = activations.softplus(input)
    else:
        input = as_floats(input)
        out = activations.softplus(input * beta) / beta
    if np.array_equal(threshold, math.inf):
        return out
    input = as_floats(input)
    return where(input * beta > threshold, input, out)


def sigmoid(input: Any) -> Any:
    """1 / (1 + e⁻ˣ): `microgradx.sigmoid`.

    >>> sigmoid([0.0, 2.0])
    array([0.5       , 0.88079708])
    """
    return activations.sigmoid(input)


def logsigmoid(input: Any) -> Any:
    """ln sigmoid x: `microgradx.logsigmoid`.

    >>> logsigmoid([-10.0, 0.0])
    array([-10.0000454 ,  -0.69314718])
    """
    return activations.logsigmoid(input)


def tanh(input: Any) -> Any:
    """tanh x: `microgradx.tanh`.

    >>> tanh([0.0, 100.0])
    array([0., 1.])
    """
    return elementwise.tanh(input)
