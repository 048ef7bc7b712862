"""Initial weights, random, of a variance that keeps signals from vanishing or exploding.

Each function takes a shape: (out, in) for a linear layer, (out, in, …) for a convolution. fan_in
is the number of inputs that an output sums over, fan_out the number of outputs that an input
reaches. Numbers are drawn as float64 and then cast, so a seed means the same weights in any dtype.

He's initialisation is for layers before relu, which sets half of its inputs to 0; Glorot's for
layers before tanh or sigmoid, and for the last layer. Sources: K. He et al., "Delving deep into
rectifiers", 2015, equation 10; X. Glorot and Y. Bengio, "Understanding the difficulty of training
deep feedforward neural networks", 2010, equations 12 and 16.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from microgradx.arrays.types import Array
from microgradx.common.randomness import as_generator

__all__ = ["compute_fans", "he_normal", "he_uniform", "glorot_normal", "glorot_uniform"]


def he_normal(
    shape: Sequence[int],
    generator: np.random.Generator | None = None,
    dtype: Any = np.float32,
) -> Array:
    """Normal, with mean 0 and variance 2 / fan_in.

    >>> he_normal((3, 2)).shape
    (3, 2)
    """
    fan_in, _ = compute_fans(shape)
    return _normal(math.sqrt(2 / fan_in), shape, generator, dtype)


def he_uniform(
    shape: Sequence[int],
    generator: np.random.Generator | None = None,
    dtype: Any = np.float32,
) -> Array:
    """Uniform between ±√(6 / fan_in), which has the variance of `he_normal`.

    >>> bool((abs(he_uniform((3, 6))) <= 1).all())
    True
    """
    fan_in, _ = compute_fans(shape)
    return _uniform(math.sqrt(6 / fan_in), shape, generator, dtype)


def glorot_normal(
    shape: Sequence[int],
    generator: np.random.Generator | None = None,
    dtype: Any = np.float32,
) -> Array:
    """Normal, with mean 0 and variance 2 / (fan_in + fan_out).

    >>> glorot_normal((3, 2), dtype=np.float64).dtype
    dtype('float64')
    """
    return _normal(math.sqrt(2 / sum(compute_fans(shape))), shape, generator, dtype)


def glorot_uniform(
    shape: Sequence[int],
    generator: np.random.Generator | None = None,
    dtype: Any = np.float32,
) -> Array:
    """Uniform between ±√(6 / (fan_in + fan_out)), which has the variance of `glorot_normal`.

    >>> bool((abs(glorot_uniform((2, 4))) <= 1).all())
    True
    """
    return _uniform(math.sqrt(6 / sum(compute_fans(shape))), shape, generator, dtype)


def compute_fans(shape: Sequence[int]) -> tuple[int, int]:
    """fan_in and fan_out of weights. Raises ValueError for a shape that has none."""
    if len(shape) < 2 or min(shape) < 1:
        raise ValueError(
            f"weights of shape {tuple(shape)} have no fan-in and fan-out; "
            "give (out, in) or (out, in, …), each 1 or more"
        )
    receptive_field = math.prod(shape[2:])
    return shape[1] * receptive_field, shape[0] * receptive_field


def _normal(
    deviation: float, shape: Sequence[int], generator: np.random.Generator | None, dtype: Any
) -> Array:
    return as_generator(generator).normal(0, deviation, shape).astype(dtype, copy=False)


def _uniform(
    limit: float, shape: Sequence[int], generator: np.random.Generator | None, dtype: Any
) -> Array:
    return as_generator(generator).uniform(-limit, limit, shape).astype(dtype, copy=False)
