"""Layers as modules."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from microgradx.arrays.types import Array
from microgradx.common.messages import describe
from microgradx.common.randomness import as_generator
from microgradx.engine import Tensor, as_tensor
from microgradx.nn.functional import bilinear
from microgradx.nn.functional_dropout import check_probability, dropout
from microgradx.nn.init import uniform_
from microgradx.nn.initialisation import he_uniform
from microgradx.nn.module import Module
from microgradx.ops.products import linear, matmul
from microgradx.ops.shapes import reshape

__all__ = ["Bilinear", "Dropout", "Flatten", "Identity", "Linear"]


class Linear(Module):
    """x wᵀ + b: maps inputs of shape (…, in_features) to outputs of shape (…, out_features).

    `weight`, of shape (out_features, in_features), is drawn by `initialisation`: `nn.he_uniform`
    and the like, a function of `nn.init`, or any `f(shape, *, generator, dtype)` that returns an
    array. `bias`, of shape (out_features,), starts at 0, or is None with `bias=False`. Inputs are
    cast to the dtype of the parameters, so float64 data do not slow a float32 network down.

    >>> import microgradx as mg
    >>> mg.nn.Linear(4, 3)(np.ones((5, 4))).shape
    (5, 3)

    Raises ValueError for sizes below 1, and for an input whose last axis has another length.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        *,
        initialisation: Callable[..., Array] = he_uniform,
        dtype: Any = np.float32,
        generator: np.random.Generator | None = None,
    ) -> None:
        if min(in_features, out_features) < 1:
            raise ValueError(
                "a linear layer needs at least 1 input and 1 output, "
                f"not in_features={in_features} and out_features={out_features}"
            )
        self.in_features = in_features
        self.out_features = out_features
        shape = (out_features, in_features)
        weight = initialisation(shape, generator=generator, dtype=dtype)
        self.weight = Tensor(weight, requires_grad=True)
        self.bias = Tensor(np.zeros(out_features, dtype), requires_grad=True) if bias else None

    def forward(self, x: Any) -> Tensor:
        weight, bias = self.weight, self.bias
        x = as_tensor(x, weight.array.dtype)
        if x.array.shape[-1:] != weight.array.shape[1:]:
            raise ValueError(
                f"an input of shape {x.shape} does not fit {self!r}, which has "
                f"{describe(weight)}; the input's last axis must have length {self.in_features}"
            )
        if bias is None:
            return matmul(x, weight.T)  # type: ignore[no-any-return]
        return linear(x, weight, bias)  # type: ignore[no-any-return]

    def extra_repr(self) -> str:
        return (
            f"in_features={self.in_features}, out_features={self.out_features}, "
            f"bias={self.bias is not None}"
        )


class Bilinear(Module):
    """x₁ᵀ A x₂ + b, for a matrix A for each output: `nn.functional.bilinear`.

    Maps inputs of shape (…, in1_features) and (…, in2_features) to (…, out_features). `weight`, of
    shape (out_features, in1_features, in2_features), and `bias`, (out_features,) or None, are drawn
    uniformly between ±1 / √in1_features, as in PyTorch.

    >>> import microgradx as mg
    >>> mg.nn.Bilinear(4, 3, 2)(np.ones((5, 4)), np.ones((5, 3))).shape
    (5, 2)

    Raises ValueError for sizes below 1, and for inputs that do not fit.
    """

    def __init__(
        self,
        in1_features: int,
        in2_features: int,
        out_features: int,
        bias: bool = True,
        *,
        dtype: Any = np.float32,
        generator: np.random.Generator | None = None,
    ) -> None:
        shape = (out_features, in1_features, in2_features)
        if min(shape) < 1:
            raise ValueError(
                "a bilinear layer needs at least 1 of each, not "
                f"in1_features={in1_features}, in2_features={in2_features} and "
                f"out_features={out_features}"
            )
        self.in1_features = in1_features
        self.in2_features = in2_features
        self.out_features = out_features
        limit = 1 / math.sqrt(in1_features)
        draw = functools.partial(uniform_, a=-limit, b=limit, generator=generator, dtype=dtype)
        self.weight = Tensor(draw(shape), requires_grad=True)
        self.bias = Tensor(draw((out_features,)), requires_grad=True) if bias else None

    def forward(self, input1: Any, input2: Any) -> Any:
        dtype = self.weight.dtype
        return bilinear(as_tensor(input1, dtype), as_tensor(input2, dtype), self.weight, self.bias)

    def extra_repr(self) -> str:
        return (
            f"in1_features={self.in1_features}, in2_features={self.in2_features}, "
            f"out_features={self.out_features}, bias={self.bias is not None}"
        )


class Dropout(Module):
    """In training, sets each element to 0 with probability `p` and scales the rest by 1 / (1 - p).

    After `eval()`, the output is the input itself. See `nn.functional.dropout`.

    >>> Dropout(0.5).eval()(np.array([1.0, 2.0]))
    array([1., 2.])

    Raises ValueError for a `p` outside [0, 1].
    """

    def __init__(self, p: float = 0.5, generator: np.random.Generator | None = None) -> None:
        check_probability(p)
        as_generator(generator)  # raises here, not at the first call, if it is not a generator
        self.p = p
        self.generator = generator

    def forward(self, x: Any) -> Any:
        return dropout(x, self.p, self.training, generator=self.generator)

    def extra_repr(self) -> str:
        return f"p={self.p}"


class Flatten(Module):
    """Merges the axes from `start_dim` to `end_dim`: all but the first, (n, 8, 8) to (n, 64).

    >>> Flatten()(np.zeros((5, 8, 8))).shape
    (5, 64)

    Raises ValueError for an input that does not have these axes.
    """

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        self.start_dim = start_dim
        self.end_dim = end_dim

    def forward(self, x: Any) -> Any:
        shape = np.shape(x)
        start, end = (
            axis + len(shape) if axis < 0 else axis for axis in (self.start_dim, self.end_dim)
        )
        if not 0 <= start <= end < len(shape):
            hint = "; if it is one sample, pass x[None], a batch of one" if len(shape) == 1 else ""
            raise ValueError(
                f"an input of shape {shape} does not fit {self!r}, which merges the axes "
                f"{self.start_dim} to {self.end_dim}{hint}"
            )
        return reshape(x, (*shape[:start], math.prod(shape[start : end + 1]), *shape[end + 1 :]))

    def extra_repr(self) -> str:
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class Identity(Module):
    """Returns its input: what takes the place of a layer that is left out.

    Any arguments are taken, and ignored.

    >>> Identity(54)(3.0)
    3.0
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass

    def forward(self, x: Any) -> Any:
        return x
