"""Activation functions: rows of the elementwise table, each with its derivative in one line.

At their kinks the derivatives are PyTorch's: 0 of relu, relu6, hardtanh and hardsigmoid, of
threshold and both shrinks, and the left one of leaky_relu and prelu.
"""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
from numpy.lib.array_utils import normalize_axis_index

from microgradx.arrays.dispatch import implements
from microgradx.arrays.types import ZERO, as_floats, is_known_true, unwrap
from microgradx.common.randomness import as_generator
from microgradx.graph.scopes import scope
from microgradx.ops.elementwise import (
    Elementwise,
    clip,
    exp,
    mask_gradient,
    sech_squared,
    sigmoid,
    tanh,
    where,
    write_docstrings,
)

__all__ = [
    "sigmoid",
    "logsigmoid",
    "softplus",
    "relu",
    "relu6",
    "leaky_relu",
    "elu",
    "selu",
    "celu",
    "prelu",
    "rrelu",
    "hardtanh",
    "hardsigmoid",
    "hardswish",
    "softsign",
    "tanhshrink",
    "softshrink",
    "hardshrink",
    "threshold",
    "glu",
    "silu",
    "mish",
    "gelu",
    "erf",
    "erfc",
]


# NumPy has neither; Python's are exact to the last digit or two.
_erf = np.frompyfunc(math.erf, 1, 1)
_erfc = np.frompyfunc(math.erfc, 1, 1)

#: These functions, by their names in Python's math module.
MATH_FUNCTIONS = {"erf": _erf, "erfc": _erfc}


def _map_floats(function, x):
    """A function of Python's floats, applied to each element, in the dtype of x."""
    x = as_floats(x)
    out = function(x)
    return np.asarray(out, x.dtype) if isinstance(x, np.ndarray) else out.astype(x.dtype)


def _negative_part(x):
    """min(x, 0), whose exponential cannot overflow. At 0, x receives all of the gradient."""
    return where(x > 0, 0, x)


def _exp_of_minus_square(x, divisor=1):
    """exp(-x² / divisor), also where x² is large, and its rounding error would be magnified."""
    x = np.clip(x, -40, 40)  # beyond which it underflows
    # n has so few digits that n² is exact; x² = n² + (x - n)(x + n).
    scale = {10: 4, 23: 2**8}.get(np.finfo(x.dtype).nmant, 2**18)
    n = np.rint(x * scale) / scale
    return exp(-n * n / divisor) * exp((n - x) * (n + x) / divisor)


def _normal_density(x):
    return _exp_of_minus_square(x, 2) * (1 / math.sqrt(2 * math.pi))


# fmt: off

logsigmoid = Elementwise(
    lambda x: -np.logaddexp(-as_floats(x), 0), "ln sigmoid x",
    lambda g, out, x: g * sigmoid(-x), name="logsigmoid")
softplus = Elementwise(
    lambda x: np.logaddexp(x, 0), "ln(1 + eˣ)", lambda g, out, x: g * sigmoid(x), name="softplus")
relu = Elementwise(
    lambda x: np.maximum(x, ZERO[x.dtype] if type(x) is np.ndarray else 0), "max(x, 0)",
    lambda g, out, x: mask_gradient(g, np.not_equal(out, ZERO[out.dtype])), name="relu")
_leaky_relu = Elementwise(
    lambda x, y: np.where(np.greater(x, 0), x, np.multiply(x, y)), "x if x > 0 else y · x",
    lambda g, out, x, y: np.where(x > 0, g, g * y),
    lambda g, out, x, y: np.where(x > 0, 0, g * x), name="leaky_relu")
_elu = Elementwise(
    lambda x, y: np.where(np.greater(x, 0), x, y * np.expm1(np.minimum(x, 0))),
    "x if x > 0 else y (eˣ - 1)",
    lambda g, out, x, y: np.where(x > 0, g, g * y * np.exp(_negative_part(x))),
    lambda g, out, x, y: np.where(x > 0, 0, g * np.expm1(_negative_part(x))), name="elu")
_hardtanh = Elementwise(
    np.clip, "min(max(x, y), z)",
    lambda g, out, x, y, z: mask_gradient(g, ~((x <= y) | (x >= z))),
    lambda g, out, x, y, z: mask_gradient(g, x <= y),
    lambda g, out, x, y, z: mask_gradient(g, x >= z), name="hardtanh")
softsign = Elementwise(
    lambda x: np.divide(x, 1 + np.abs(as_floats(x))), "x / (1 + |x|)",
    lambda g, out, x: g * np.square(1 / (1 + np.abs(x))), name="softsign")
tanhshrink = Elementwise(
    lambda x: np.subtract(as_floats(x), np.tanh(x)), "x - tanh x",
    lambda g, out, x: g * np.square(tanh(x)), name="tanhshrink")
silu = Elementwise(
    lambda x: x * sigmoid(x), "x sigmoid x",
    lambda g, out, x: g * sigmoid(x) * (1 + x * sigmoid(-x)), name="silu")
mish = Elementwise(
    lambda x: x * np.tanh(np.logaddexp(x, 0)), "x tanh(ln(1 + eˣ))",
    lambda g, out, x: g * (
        tanh(softplus(x)) + x * sigmoid(x) * sech_squared(softplus(x))), name="mish")
erf = Elementwise(
    lambda x: _map_floats(_erf, x), "erf x",
    lambda g, out, x: g * _exp_of_minus_square(x) * (2 / math.sqrt(math.pi)), name="erf")
erfc = Elementwise(
    lambda x: _map_floats(_erfc, x), "1 - erf x",
    lambda g, out, x: g * _exp_of_minus_square(x) * (-2 / math.sqrt(math.pi)), name="erfc")
_gelu = Elementwise(  # x Φ(x), with Φ the cumulative normal distribution
    lambda x: x * (_map_floats(_erfc, as_floats(x) * -(0.5**0.5)) / 2), "x (1 + erf(x / √2)) / 2",
    lambda g, out, x: g * (erfc(x * -(0.5**0.5)) / 2 + x * _normal_density(x)), name="gelu")

# fmt: on


@implements("leaky_relu")
def leaky_relu(x: Any, negative_slope: Any = 0.01) -> Any:
    """`x` where it is positive, `negative_slope` times `x` elsewhere; the slope can be learnt.

    Source: A. Maas et al., 2013; with a learnt slope, K. He et al., 2015.

    >>> leaky_relu([-1.0, 2.0])
    array([-0.01,  2.  ])
    """
    return _leaky_relu(x, negative_slope)


@implements("elu")
def elu(x: Any, alpha: Any = 1.0) -> Any:
    """`x` where it is positive, α (eˣ - 1) elsewhere. Source: D.-A. Clevert et al., 2016.

    >>> elu([-1000.0, 2.0])
    array([-1.,  2.])
    """
    return _elu(x, alpha)


@implements("selu")
@scope
def selu(x: Any) -> Any:
    """λ elu(x, α), with λ and α that preserve mean 0 and variance 1.

    Source: G. Klambauer et al., "Self-normalizing neural networks", 2017, equation 14.

    >>> selu([-1000.0, 1.0])
    array([-1.75809934,  1.05070099])
    """
    return 1.0507009873554805 * elu(as_floats(x), 1.6732632423543772)


@implements("celu")
@scope
def celu(x: Any, alpha: Any = 1.0) -> Any:
    """`x` where it is positive, α (e^(x/α) - 1) elsewhere: elu with a smooth kink for any α.

    Raises ValueError for an `alpha` of 0. Source: J. T. Barron, "Continuously differentiable
    exponential linear units", 2017.

    >>> celu([-1000.0, 2.0], alpha=0.5)
    array([-0.5,  2. ])
    """
    if is_known_true(np.any(np.equal(unwrap(alpha), 0))):
        raise ValueError("celu divides by alpha, which must not be 0; for alpha -> 0 take relu")
    x = as_floats(x)
    return where(x > 0, x, alpha * np.expm1(_negative_part(x) / alpha))


@implements("prelu")
def prelu(x: Any, weight: Any) -> Any:
    """`x` where it is positive, `weight` times `x` elsewhere, with a weight for each channel.

    `weight` holds one number, or as many as `x`, of shape (N, C, …), has channels. Raises
    ValueError for another number of weights. Source: K. He et al., 2015.

    >>> prelu([[-2.0, -2.0, 3.0]], [0.5, 0.1, 0.1])
    array([[-1. , -0.2,  3. ]])
    """
    x, weight = as_floats(x), as_floats(weight)
    if weight.size != 1:
        channels = x.shape[1] if x.ndim > 1 else 1
        if weight.shape != (channels,):
            raise ValueError(
                f"prelu: a weight of shape {weight.shape} for an input of shape {x.shape}; it "
                f"must hold 1 number, or one for each channel along axis 1: {channels}"
            )
        weight = weight.reshape((-1, *(1 for _ in x.shape[2:])))
    elif weight.ndim:
        weight = weight.reshape(())
    return _leaky_relu(x, weight)


@implements("rrelu")
def rrelu(
    x: Any,
    lower: float = 1 / 8,
    upper: float = 1 / 3,
    training: bool = False,
    *,
    generator: np.random.Generator | None = None,
) -> Any:
    """leaky_relu, with a slope for each element that is drawn between `lower` and `upper`.

    Only in training; otherwise the slope is the mean of the two. Raises ValueError for a `lower`
    above `upper`. Source: B. Xu et al., 2015.

    >>> rrelu([-1.0, 2.0], 0.1, 0.3)
    array([-0.2,  2. ])
    """
    if not lower <= upper:
        raise ValueError(f"rrelu needs a lower that is not above upper, not {lower} and {upper}")
    if not training:
        return _leaky_relu(x, (lower + upper) / 2)
    x = as_floats(x)
    share = as_generator(generator).random(x.shape, np.float32).astype(x.dtype)
    return _leaky_relu(x, lower + (upper - lower) * share)


@implements("hardtanh")
def hardtanh(x: Any, min_val: Any = -1.0, max_val: Any = 1.0) -> Any:
    """`x` limited to the range from `min_val` to `max_val`; at both, unlike `clip`, derivative 0.

    Raises ValueError for a `min_val` above `max_val`.

    >>> hardtanh([-3.0, 0.5, 3.0])
    array([-1. ,  0.5,  1. ])
    """
    if is_known_true(np.any(np.greater(unwrap(min_val), unwrap(max_val)))):
        raise ValueError(
            f"hardtanh needs a min_val that is not above max_val, not {min_val!r} and {max_val!r}; "
            "exchange them"
        )
    return _hardtanh(x, min_val, max_val)


@implements("relu6")
@scope
def relu6(x: Any) -> Any:
    """min(max(x, 0), 6). Source: A. Krizhevsky, 2010.

    >>> relu6([-1.0, 2.0, 9.0])
    array([0., 2., 6.])
    """
    return _hardtanh(x, 0.0, 6.0)


@implements("hardsigmoid")
@scope
def hardsigmoid(x: Any) -> Any:
    """min(max(x + 3, 0), 6) / 6. Source: M. Courbariaux et al., "BinaryConnect", 2015.

    >>> hardsigmoid([-3.0, 0.0, 9.0])
    array([0. , 0.5, 1. ])
    """
    return _hardtanh(as_floats(x) + 3, 0.0, 6.0) / 6


@implements("hardswish")
@scope
def hardswish(x: Any) -> Any:
    """x min(max(x + 3, 0), 6) / 6. Source: A. Howard et al., "Searching for MobileNetV3", 2019.

    >>> hardswish([-3.0, 1.0, 9.0])
    array([-0.        ,  0.66666667,  9.        ])
    """
    x = as_floats(x)
    return x * hardsigmoid(x)


@implements("softshrink")
@scope
def softshrink(x: Any, lambd: float = 0.5) -> Any:
    """x - λ above λ, x + λ below -λ, 0 between. Raises ValueError for a negative `lambd`.

    >>> softshrink([-2.0, 0.3, 2.0])
    array([-1.5,  0. ,  1.5])
    """
    x = as_floats(x)
    _check_lambd("softshrink", lambd)
    return x - clip(x, -lambd, lambd)


@implements("hardshrink")
def hardshrink(x: Any, lambd: float = 0.5) -> Any:
    """x where |x| > λ, 0 elsewhere. Raises ValueError for a negative `lambd`.

    >>> hardshrink([-2.0, 0.3, 2.0])
    array([-2.,  0.,  2.])
    """
    x = as_floats(x)
    _check_lambd("hardshrink", lambd)
    return where(np.abs(unwrap(x)) <= lambd, 0, x)


def _check_lambd(name: str, lambd: Any) -> None:
    if is_known_true(~np.all(np.greater_equal(unwrap(lambd), 0))):
        raise ValueError(f"{name} needs a lambd of 0 or more, not {lambd!r}")


@implements("threshold")
def threshold(x: Any, threshold: Any, value: Any) -> Any:
    """`x` where it is above the threshold, `value` elsewhere.

    >>> threshold([-1.0, 0.5, 2.0], 1.0, -7.0)
    array([-7., -7.,  2.])
    """
    x = as_floats(x)
    return where(unwrap(x) <= unwrap(threshold), value, x)


@implements("glu")
@scope
def glu(x: Any, axis: int = -1) -> Any:
    """a sigmoid(b), where a and b are the first and the second half of `x` along `axis`.

    Raises ValueError for an odd length. Source: Y. Dauphin et al., 2017.

    >>> glu([1.0, 2.0, 0.0, 0.0])
    array([0.5, 1. ])
    """
    x = as_floats(x)
    length = x.shape[normalize_axis_index(axis, x.ndim)]
    if length % 2:
        raise ValueError(
            f"glu: an input of shape {x.shape} has {length} elements along axis {axis}, which is "
            "not a number that 2 divides"
        )
    a, b = np.split(x, 2, axis)
    return a * sigmoid(b)


@implements("gelu")
@scope
def gelu(x: Any, approximate: Literal["none", "tanh"] = "none") -> Any:
    """x Φ(x), with Φ the cumulative normal distribution; "tanh" approximates it by one.

    The approximation is x (1 + tanh(√(2/π) (x + 0.044715 x³))) / 2. Raises ValueError for another
    `approximate`. Source: D. Hendrycks and K. Gimpel, 2016.

    >>> gelu([-1.0, 1.0])
    array([-0.15865525,  0.84134475])
    """
    if approximate == "none":
        return _gelu(x)
    if approximate != "tanh":
        raise ValueError(f'approximate must be "none" or "tanh", not {approximate!r}')
    x = as_floats(x)
    near = np.clip(x, -32, 32)  # beyond which the slope of tanh is 0, but x³ may overflow
    # (1 + tanh z) / 2 = sigmoid 2z, which does not cancel
    return x * sigmoid(2 * math.sqrt(2 / math.pi) * (near + 0.044715 * (near * near * near)))


__test__ = write_docstrings(
    {
        sigmoid: ("sigmoid([0.0, 2.0])", "array([0.5       , 0.88079708])"),
        logsigmoid: ("logsigmoid([-10.0, 0.0])", "array([-10.0000454 ,  -0.69314718])"),
        softplus: ("softplus([0.0, 1000.0])", "array([6.93147181e-01, 1.00000000e+03])"),
        relu: ("relu([-1, 2])", "array([0, 2])"),
        softsign: ("softsign([-1.0, 3.0])", "array([-0.5 ,  0.75])"),
        tanhshrink: ("tanhshrink([0.0, 1.0])", "array([0.        , 0.23840584])"),
        silu: ("silu([0.0, 1.0])", "array([0.        , 0.73105858])"),
        mish: ("mish([0.0, 1.0])", "array([0.        , 0.86509839])"),
        erf: ("erf([0.0, 1.0])", "array([0.        , 0.84270079])"),
        erfc: ("erfc([0.0, 10.0])", "array([1.00000000e+00, 2.08848758e-45])"),
    }
)
