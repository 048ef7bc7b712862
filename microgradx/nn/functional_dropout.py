"""Dropout as a function, with PyTorch's name and arguments."""

from __future__ import annotations

from typing import Any

import numpy as np

from microgradx.arrays.pytorch_habits import INSTEAD_OF_ARGUMENT
from microgradx.arrays.types import as_array, refuse_subclasses
from microgradx.common.randomness import as_generator

__all__ = ["check_probability", "dropout"]


def check_probability(p: float) -> None:
    """Raise ValueError for a probability to be dropped that is not from 0 to 1."""
    if not 0 <= p <= 1:
        raise ValueError(
            f"p, the probability of an element to be dropped, is {p}; it must be from 0 to 1"
        )


def dropout(
    input: Any,
    p: float = 0.5,
    training: bool = True,
    inplace: bool = False,
    *,
    generator: np.random.Generator | None = None,
) -> Any:
    """Sets each element to 0 with probability `p`, and scales the rest by 1 / (1 - p).

    So the expected output equals the input. Not in training, the output is the input itself.
    Raises ValueError for a `p` outside [0, 1]. Source: N. Srivastava et al., "Dropout", 2014,
    section 10.

    >>> dropout(np.array([1.0, 2.0]), training=False)
    array([1., 2.])
    """
    check_probability(p)
    refuse_subclasses(input)
    if inplace:
        raise TypeError(f"dropout has no inplace=True; {INSTEAD_OF_ARGUMENT['inplace']}")
    if not training or p == 0:
        return input
    x = as_array(input)
    dtype = x.dtype if x.dtype.kind == "f" else np.dtype(np.float64)
    mask = as_generator(generator).random(x.shape, np.float32) >= p
    scale = 1 / (1 - p) if p < 1 else 0
    return x * (mask * dtype.type(scale))
