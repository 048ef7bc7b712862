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
    "elu",
    "gelu",
    "hardtanh",
    "leaky_relu",
    "logsigmoid",
    "mish",
    "relu",
    "relu6",
    "selu",
    "sigmoid",
    "silu",
    "softplus",
    "tanh",
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
