"""Initial distributions by PyTorch's names: `nn.init.xavier_uniform_(layer.weight)`.

Each function fills a Tensor in place, and returns it. Given a shape instead of a Tensor, it returns
a new array of it, so each is also an `initialisation` that layers take:

>>> import functools
>>> import microgradx as mg
>>> layer = mg.nn.Linear(4, 3, initialisation=mg.nn.init.orthogonal_)
>>> tanh = functools.partial(xavier_uniform_, gain=calculate_gain("tanh"))
>>> layer = mg.nn.Conv2d(1, 8, 3, initialisation=tanh)

A generator may be passed in; numbers are drawn as float64 and then cast. fan_in is the number of
inputs that an output sums over, fan_out the number of outputs that an input reaches.

`kaiming_*` are He's distributions, `nn.he_*`, with a gain for other activations than relu, and
`xavier_*` Glorot's, `nn.glorot_*`. A bias starts at 0 here. PyTorch's layers start with weights by
`kaiming_uniform_(weight, a=math.sqrt(5))`, and biases between ±1 / √fan_in.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any, Literal

import numpy as np

from microgradx.arrays.types import Array
from microgradx.common.randomness import as_generator
from microgradx.engine import Tensor
from microgradx.nn.initialisation import compute_fans

__all__ = [
    "calculate_gain",
    "constant_",
    "dirac_",
    "eye_",
    "kaiming_normal_",
    "kaiming_uniform_",
    "normal_",
    "ones_",
    "orthogonal_",
    "sparse_",
    "trunc_normal_",
    "uniform_",
    "xavier_normal_",
    "xavier_uniform_",
    "zeros_",
]

Generator = np.random.Generator | None

_GAINS = {
    **dict.fromkeys(["linear", "conv1d", "conv2d", "conv3d", "sigmoid"], 1.0),
    "tanh": 5 / 3,
    "relu": math.sqrt(2),
    "selu": 3 / 4,
}


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """By how much weights are larger before an activation, so that signals keep their size.

    `param` is the negative slope of "leaky_relu", by default 0.01: the gain is √(2 / (1 + slope²)).

    >>> calculate_gain("relu") ** 2, calculate_gain("leaky_relu", 1)
    (2.0000000000000004, 1.0)
    """
    if nonlinearity == "leaky_relu":
        return math.sqrt(2 / (1 + (0.01 if param is None else param) ** 2))
    if nonlinearity not in _GAINS:
        raise ValueError(
            f"there is no gain for {nonlinearity!r}, but for leaky_relu, {', '.join(_GAINS)}"
        )
    return _GAINS[nonlinearity]


def uniform_(
    tensor: Any,
    a: float = 0.0,
    b: float = 1.0,
    *,
    generator: Generator = None,
    dtype: Any = np.float32,
) -> Any:
    """Uniform between a and b.

    >>> uniform_((2, 3), 5, 5)
    array([[5., 5., 5.],
           [5., 5., 5.]], dtype=float32)
    """
    return _fill(tensor, lambda shape, rng: rng.uniform(a, b, shape), generator, dtype)


def normal_(
    tensor: Any,
    mean: float = 0.0,
    std: float = 1.0,
    *,
    generator: Generator = None,
    dtype: Any = np.float32,
) -> Any:
    """Normal, with this mean and standard deviation.

    >>> normal_((3,), 2, 0)
    array([2., 2., 2.], dtype=float32)
    """
    return _fill(tensor, lambda shape, rng: rng.normal(mean, std, shape), generator, dtype)


def trunc_normal_(
    tensor: Any,
    mean: float = 0.0,
    std: float = 1.0,
    a: float = -2.0,
    b: float = 2.0,
    *,
    generator: Generator = None,
    dtype: Any = np.float32,
) -> Any:
    """Normal, but only between a and b (which are numbers, not multiples of `std`).

    >>> bool(abs(trunc_normal_((1000,), std=3)).max() <= 2)
    True
    """
    if not a < b or std < 0:
        raise ValueError(f"trunc_normal_: a={a}, b={b}, std={std}; a must be less than b, std >= 0")

    def draw(shape: tuple[int, ...], rng: np.random.Generator) -> Array:
        if std == 0:
            return np.full(shape, np.clip(mean, a, b))
        from statistics import NormalDist  # which takes long to import

        # By the inverse of the distribution function, in the lower tail, where that is accurate.
        sign = -1 if a > mean else 1
        low, high = sorted((sign * (a - mean) / std, sign * (b - mean) / std))
        below, up_to = (math.erfc(-x / math.sqrt(2)) / 2 for x in (low, high))
        u = rng.uniform(below, up_to, shape)
        quantile = np.vectorize(NormalDist().inv_cdf, otypes=[float])
        x = quantile(np.clip(u, np.finfo(float).tiny, 1 - np.finfo(float).epsneg))
        return np.clip(mean + sign * std * np.clip(x, low, high), a, b)

    return _fill(tensor, draw, generator, dtype)


def constant_(
    tensor: Any, val: float, *, generator: Generator = None, dtype: Any = np.float32
) -> Any:
    """The same number everywhere.

    >>> constant_((2,), 0.5)
    array([0.5, 0.5], dtype=float32)
    """
    return _fill(tensor, lambda shape, rng: np.full(shape, float(val)), generator, dtype)


def zeros_(tensor: Any, *, generator: Generator = None, dtype: Any = np.float32) -> Any:
    """0 everywhere.

    >>> import microgradx as mg
    >>> zeros_(mg.nn.Linear(2, 1).weight).data
    array([[0., 0.]], dtype=float32)
    """
    return constant_(tensor, 0, generator=generator, dtype=dtype)


def ones_(tensor: Any, *, generator: Generator = None, dtype: Any = np.float32) -> Any:
    """1 everywhere.

    >>> ones_((2,))
    array([1., 1.], dtype=float32)
    """
    return constant_(tensor, 1, generator=generator, dtype=dtype)


def eye_(tensor: Any, *, generator: Generator = None, dtype: Any = np.float32) -> Any:
    """1 on the diagonal of a matrix, and 0 elsewhere, so that a linear layer copies its input.

    >>> eye_((2, 3))
    array([[1., 0., 0.],
           [0., 1., 0.]], dtype=float32)
    """

    def draw(shape: tuple[int, ...], rng: np.random.Generator) -> Array:
        if len(shape) != 2:
            raise ValueError(f"eye_: a shape of {shape}; it needs two axes")
        return np.eye(*shape)

    return _fill(tensor, draw, generator, dtype)


def dirac_(
    tensor: Any, groups: int = 1, *, generator: Generator = None, dtype: Any = np.float32
) -> Any:
    """1 at the centre of kernel c of channel c, and 0 elsewhere, so that a convolution copies.

    >>> dirac_((1, 1, 3))
    array([[[0., 1., 0.]]], dtype=float32)
    """

    def draw(shape: tuple[int, ...], rng: np.random.Generator) -> Array:
        if len(shape) < 3 or shape[0] % groups:
            raise ValueError(
                f"dirac_: a shape of {shape} and groups={groups}; it needs (out, in, …) of a "
                "convolution, and groups must divide out"
            )
        weight = np.zeros(shape)
        each = shape[0] // groups
        centre = tuple(size // 2 for size in shape[2:])
        for out in range(shape[0]):
            if out % each < shape[1]:
                weight[(out, out % each, *centre)] = 1
        return weight

    return _fill(tensor, draw, generator, dtype)


def xavier_uniform_(
    tensor: Any, gain: float = 1.0, *, generator: Generator = None, dtype: Any = np.float32
) -> Any:
    """Uniform between ±gain · √(6 / (fan_in + fan_out)).

    >>> bool((abs(xavier_uniform_((2, 4))) <= 1).all())
    True
    """

    def draw(shape: tuple[int, ...], rng: np.random.Generator) -> Array:
        limit = gain * math.sqrt(6 / sum(compute_fans(shape)))
        return rng.uniform(-limit, limit, shape)

    return _fill(tensor, draw, generator, dtype)


def xavier_normal_(
    tensor: Any, gain: float = 1.0, *, generator: Generator = None, dtype: Any = np.float32
) -> Any:
    """Normal, with mean 0 and standard deviation gain · √(2 / (fan_in + fan_out)).

    >>> xavier_normal_((3, 2)).shape
    (3, 2)
    """

    def draw(shape: tuple[int, ...], rng: np.random.Generator) -> Array:
        return rng.normal(0, gain * math.sqrt(2 / sum(compute_fans(shape))), shape)

    return _fill(tensor, draw, generator, dtype)


Mode = Literal["fan_in", "fan_out"]


def kaiming_uniform_(
    tensor: Any,
    a: float = 0.0,
    mode: Mode = "fan_in",
    nonlinearity: str = "leaky_relu",
    *,
    generator: Generator = None,
    dtype: Any = np.float32,
) -> Any:
    """Uniform between ±gain · √(3 / fan), with the gain of an activation (a: its negative slope).

    >>> bool((abs(kaiming_uniform_((3, 6))) <= 1).all())
    True
    """

    def draw(shape: tuple[int, ...], rng: np.random.Generator) -> Array:
        limit = math.sqrt(3) * _kaiming_deviation(shape, a, mode, nonlinearity)
        return rng.uniform(-limit, limit, shape)

    return _fill(tensor, draw, generator, dtype)


def kaiming_normal_(
    tensor: Any,
    a: float = 0.0,
    mode: Mode = "fan_in",
    nonlinearity: str = "leaky_relu",
    *,
    generator: Generator = None,
    dtype: Any = np.float32,
) -> Any:
    """Normal, with mean 0 and standard deviation gain / √fan; see `kaiming_uniform_`.

    >>> kaiming_normal_((3, 2), mode="fan_out").shape
    (3, 2)
    """

    def draw(shape: tuple[int, ...], rng: np.random.Generator) -> Array:
        return rng.normal(0, _kaiming_deviation(shape, a, mode, nonlinearity), shape)

    return _fill(tensor, draw, generator, dtype)


def _kaiming_deviation(shape: tuple[int, ...], a: float, mode: str, nonlinearity: str) -> float:
    if mode not in ("fan_in", "fan_out"):
        raise ValueError(f"mode must be fan_in or fan_out, not {mode!r}")
    fan_in, fan_out = compute_fans(shape)
    fan = fan_in if mode == "fan_in" else fan_out
    return calculate_gain(nonlinearity, a) / math.sqrt(fan)


def orthogonal_(
    tensor: Any, gain: float = 1.0, *, generator: Generator = None, dtype: Any = np.float32
) -> Any:
    """Orthogonal rows, or columns if there are fewer, each of length `gain`; (out, in · …).

    Source: A. Saxe, J. McClelland and S. Ganguli, "Exact solutions to the nonlinear dynamics of
    learning in deep linear neural networks", 2014.

    >>> w = orthogonal_((2, 3), dtype=np.float64)
    >>> bool(np.allclose(w @ w.T, np.eye(2)))
    True
    """

    def draw(shape: tuple[int, ...], rng: np.random.Generator) -> Array:
        if len(shape) < 2:
            raise ValueError(f"orthogonal_: a shape of {shape}; it needs at least two axes")
        rows, columns = shape[0], math.prod(shape[1:])
        q, r = np.linalg.qr(rng.normal(size=(max(rows, columns), min(rows, columns))))
        q *= np.where(np.diag(r) < 0, -1, 1)  # so that each is as likely as any other
        return gain * np.reshape(q if rows >= columns else q.T, shape)

    return _fill(tensor, draw, generator, dtype)


def sparse_(
    tensor: Any,
    sparsity: float,
    std: float = 0.01,
    *,
    generator: Generator = None,
    dtype: Any = np.float32,
) -> Any:
    """Normal, with a share of 0 in each column of a matrix: `sparsity`, from 0 to 1.

    >>> int((sparse_((10, 3), sparsity=0.3) == 0).sum())
    9
    """

    def draw(shape: tuple[int, ...], rng: np.random.Generator) -> Array:
        if len(shape) != 2 or not 0 <= sparsity <= 1:
            raise ValueError(
                f"sparse_: a shape of {shape} and sparsity={sparsity}; it needs two axes, and a "
                "share from 0 to 1"
            )
        weight = rng.normal(0, std, shape)
        is_zero = np.arange(shape[0])[:, None] < math.ceil(sparsity * shape[0])
        weight[rng.permuted(np.broadcast_to(is_zero, shape), axis=0)] = 0
        return weight

    return _fill(tensor, draw, generator, dtype)


def _fill(
    tensor: Any,
    draw: Callable[[tuple[int, ...], np.random.Generator], Array],
    generator: Generator,
    dtype: Any,
) -> Any:
    """A Tensor filled with what is drawn for its shape, or, of a shape, a new array."""
    if isinstance(tensor, Tensor):
        tensor.data = draw(tensor.shape, as_generator(generator))
        return tensor
    try:
        shape = tuple(map(operator.index, tensor))
    except TypeError:
        raise TypeError(
            f"a Tensor is needed, such as layer.weight, or a shape, not {type(tensor).__name__}"
        ) from None
    return draw(shape, as_generator(generator)).astype(dtype, copy=False)
