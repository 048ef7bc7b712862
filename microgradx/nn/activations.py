"""Activation functions as modules. Each takes the settings of its function, and raises its errors.

`ACTIVATIONS` has those that work elementwise and need no settings, by the names of their functions.
"""

from __future__ import annotations

import inspect
import math
from typing import Any, Literal

import numpy as np

from microgradx.common.randomness import as_generator
from microgradx.engine import Tensor, as_tensor
from microgradx.functional import log_softmax, softmax, softmin
from microgradx.nn import functional_activations as functional
from microgradx.nn.function_module import FunctionModule
from microgradx.nn.layers import Identity
from microgradx.nn.module import Module
from microgradx.ops.activations import relu, sigmoid
from microgradx.ops.elementwise import tanh

__all__ = [
    "ACTIVATIONS",
    "CELU",
    "ELU",
    "GELU",
    "GLU",
    "Hardshrink",
    "Hardsigmoid",
    "Hardswish",
    "Hardtanh",
    "LeakyReLU",
    "LogSigmoid",
    "LogSoftmax",
    "Mish",
    "PReLU",
    "RReLU",
    "ReLU",
    "ReLU6",
    "SELU",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "Softmin",
    "Softplus",
    "Softshrink",
    "Softsign",
    "Tanh",
    "Tanhshrink",
    "Threshold",
    "check_activation",
    "make_activation",
]


# ---------------------------------------------------------------------------- of a number


class ReLU(FunctionModule):
    """max(x, 0): `microgradx.relu`.

    >>> ReLU()([-1.0, 2.0])
    array([0., 2.])
    """

    function = staticmethod(relu)


class ReLU6(FunctionModule):
    """min(max(x, 0), 6): `microgradx.relu6`.

    >>> ReLU6()([-1.0, 9.0])
    array([0., 6.])
    """

    function = staticmethod(functional.relu6)


class LeakyReLU(FunctionModule):
    """x where it is positive, `negative_slope` times x elsewhere: `microgradx.leaky_relu`.

    >>> LeakyReLU(0.5)([-1.0, 2.0])
    array([-0.5,  2. ])
    """

    function = staticmethod(functional.leaky_relu)
    settings = ("negative_slope",)

    def __init__(self, negative_slope: float = 0.01) -> None:
        self.negative_slope = negative_slope


class PReLU(Module):
    """leaky_relu with a slope that is learnt, one or one for each channel: `microgradx.prelu`.

    `weight`, of shape (num_parameters,), starts at `init`. Channels are along axis 1. Raises
    ValueError for a `num_parameters` below 1, and for an input with another number of channels.

    >>> PReLU(init=0.5)([-1.0, 2.0]).data
    array([-0.5,  2. ], dtype=float32)
    """

    def __init__(
        self, num_parameters: int = 1, init: float = 0.25, *, dtype: Any = np.float32
    ) -> None:
        if num_parameters < 1:
            raise ValueError(f"PReLU needs at least 1 parameter, not {num_parameters}")
        self.num_parameters = num_parameters
        self.init = init
        self.weight = Tensor(np.full(num_parameters, init, dtype), requires_grad=True)

    def forward(self, x: Any) -> Any:
        return functional.prelu(as_tensor(x, self.weight.dtype), self.weight)

    def extra_repr(self) -> str:
        return f"num_parameters={self.num_parameters}"


class RReLU(Module):
    """leaky_relu, in training with random slopes: `microgradx.rrelu`.

    >>> RReLU(0.1, 0.3).eval()([-1.0, 2.0])
    array([-0.2,  2. ])
    """

    def __init__(
        self,
        lower: float = 1 / 8,
        upper: float = 1 / 3,
        *,
        generator: np.random.Generator | None = None,
    ) -> None:
        as_generator(generator)  # raises here, not at the first call, if it is not a generator
        self.lower = lower
        self.upper = upper
        self.generator = generator

    def forward(self, x: Any) -> Any:
        return functional.rrelu(x, self.lower, self.upper, self.training, generator=self.generator)

    def extra_repr(self) -> str:
        return f"lower={self.lower}, upper={self.upper}"


class ELU(FunctionModule):
    """x where it is positive, α (eˣ - 1) elsewhere: `microgradx.elu`.

    >>> ELU(0.5)([-1000.0, 2.0])
    array([-0.5,  2. ])
    """

    function = staticmethod(functional.elu)
    settings = ("alpha",)

    def __init__(self, alpha: float = 1.0) -> None:
        self.alpha = alpha


class CELU(FunctionModule):
    """x where it is positive, α (e^(x/α) - 1) elsewhere: `microgradx.celu`.

    >>> CELU(0.5)([-1000.0, 2.0])
    array([-0.5,  2. ])
    """

    function = staticmethod(functional.celu)
    settings = ("alpha",)

    def __init__(self, alpha: float = 1.0) -> None:
        self.alpha = alpha


class SELU(FunctionModule):
    """λ elu(x, α), with constants that preserve mean 0 and variance 1: `microgradx.selu`.

    >>> SELU()([0.0, 1.0])
    array([0.        , 1.05070099])
    """

    function = staticmethod(functional.selu)


class GELU(FunctionModule):
    """x Φ(x), with Φ the cumulative normal distribution: `microgradx.gelu`.

    >>> GELU()([-1.0, 1.0])
    array([-0.15865525,  0.84134475])
    """

    function = staticmethod(functional.gelu)
    settings = ("approximate",)

    def __init__(self, approximate: Literal["none", "tanh"] = "none") -> None:
        self.approximate = approximate


class SiLU(FunctionModule):
    """x sigmoid x: `microgradx.silu`.

    >>> SiLU()([0.0, 1.0])
    array([0.        , 0.73105858])
    """

    function = staticmethod(functional.silu)


class Mish(FunctionModule):
    """x tanh(ln(1 + eˣ)): `microgradx.mish`.

    >>> Mish()([0.0, 1.0])
    array([0.        , 0.86509839])
    """

    function = staticmethod(functional.mish)


class Softplus(FunctionModule):
    """ln(1 + e^(βx)) / β, a smooth relu: `nn.functional.softplus`.

    >>> Softplus()([-1000.0, 1000.0])
    array([   0., 1000.])
    """

    function = staticmethod(functional.softplus)
    settings = ("beta", "threshold")

    def __init__(self, beta: float = 1.0, threshold: float = math.inf) -> None:
        self.beta = beta
        self.threshold = threshold


class Sigmoid(FunctionModule):
    """1 / (1 + e⁻ˣ): `microgradx.sigmoid`.

    >>> Sigmoid()([0.0, 100.0])
    array([0.5, 1. ])
    """

    function = staticmethod(sigmoid)


class LogSigmoid(FunctionModule):
    """ln sigmoid x: `microgradx.logsigmoid`.

    >>> LogSigmoid()([-10.0, 0.0])
    array([-10.0000454 ,  -0.69314718])
    """

    function = staticmethod(functional.logsigmoid)


class Hardsigmoid(FunctionModule):
    """min(max(x + 3, 0), 6) / 6: `microgradx.hardsigmoid`.

    >>> Hardsigmoid()([-3.0, 0.0, 9.0])
    array([0. , 0.5, 1. ])
    """

    function = staticmethod(functional.hardsigmoid)


class Hardswish(FunctionModule):
    """x min(max(x + 3, 0), 6) / 6: `microgradx.hardswish`.

    >>> Hardswish()([1.0, 9.0])
    array([0.66666667, 9.        ])
    """

    function = staticmethod(functional.hardswish)


class Tanh(FunctionModule):
    """tanh x: `microgradx.tanh`.

    >>> Tanh()([0.0, 100.0])
    array([0., 1.])
    """

    function = staticmethod(tanh)


class Hardtanh(FunctionModule):
    """x limited to the range from `min_val` to `max_val`: `microgradx.hardtanh`.

    >>> Hardtanh()([-3.0, 0.5, 3.0])
    array([-1. ,  0.5,  1. ])
    """

    function = staticmethod(functional.hardtanh)
    settings = ("min_val", "max_val")

    def __init__(self, min_val: float = -1.0, max_val: float = 1.0) -> None:
        self.min_val = min_val
        self.max_val = max_val


class Tanhshrink(FunctionModule):
    """x - tanh x: `microgradx.tanhshrink`.

    >>> Tanhshrink()([0.0, 1.0])
    array([0.        , 0.23840584])
    """

    function = staticmethod(functional.tanhshrink)


class Softsign(FunctionModule):
    """x / (1 + |x|): `microgradx.softsign`.

    >>> Softsign()([-1.0, 3.0])
    array([-0.5 ,  0.75])
    """

    function = staticmethod(functional.softsign)


class Softshrink(FunctionModule):
    """x - λ above λ, x + λ below -λ, 0 between: `microgradx.softshrink`.

    >>> Softshrink()([-2.0, 0.3, 2.0])
    array([-1.5,  0. ,  1.5])
    """

    function = staticmethod(functional.softshrink)
    settings = ("lambd",)

    def __init__(self, lambd: float = 0.5) -> None:
        self.lambd = lambd


class Hardshrink(FunctionModule):
    """x where |x| > λ, 0 elsewhere: `microgradx.hardshrink`.

    >>> Hardshrink()([-2.0, 0.3, 2.0])
    array([-2.,  0.,  2.])
    """

    function = staticmethod(functional.hardshrink)
    settings = ("lambd",)

    def __init__(self, lambd: float = 0.5) -> None:
        self.lambd = lambd


class Threshold(FunctionModule):
    """x where it is above the threshold, `value` elsewhere: `microgradx.threshold`.

    >>> Threshold(1.0, -7.0)([-1.0, 2.0])
    array([-7.,  2.])
    """

    function = staticmethod(functional.threshold)
    settings = ("threshold", "value")

    def __init__(self, threshold: float, value: float) -> None:
        self.threshold = threshold
        self.value = value


# ---------------------------------------------------------------------------- along an axis


class GLU(FunctionModule):
    """The first half along an axis, times the sigmoid of the second: `microgradx.glu`.

    >>> GLU()([1.0, 2.0, 0.0, 0.0])
    array([0.5, 1. ])
    """

    function = staticmethod(functional.glu)
    settings = ("axis",)

    def __init__(self, axis: int = -1) -> None:
        self.axis = axis


class Softmax(FunctionModule):
    """Probabilities from logits along `axis`, at a temperature: `microgradx.softmax`.

    Not to be used before `CrossEntropyLoss`, which takes logits.

    >>> Softmax()([0.0, 0.0])
    array([0.5, 0.5])
    """

    function = staticmethod(softmax)
    settings = ("axis", "temperature")

    def __init__(self, axis: int = -1, temperature: Any = 1.0) -> None:
        self.axis = axis
        self.temperature = temperature


class Softmin(Softmax):
    """`Softmax` of -x: `microgradx.softmin`.

    >>> Softmin()([0.0, 0.0, 1000.0])
    array([0.5, 0.5, 0. ])
    """

    function = staticmethod(softmin)


class LogSoftmax(Softmax):
    """The logarithm of `Softmax`, accurate for any logits: `microgradx.log_softmax`.

    >>> LogSoftmax()([0.0, 1000.0])
    array([-1000.,     0.])
    """

    function = staticmethod(log_softmax)


# ---------------------------------------------------------------------------- by name

ACTIVATIONS: dict[str, type[Module]] = {
    "relu": ReLU,
    "relu6": ReLU6,
    "leaky_relu": LeakyReLU,
    "prelu": PReLU,
    "rrelu": RReLU,
    "elu": ELU,
    "celu": CELU,
    "selu": SELU,
    "gelu": GELU,
    "silu": SiLU,
    "mish": Mish,
    "softplus": Softplus,
    "sigmoid": Sigmoid,
    "logsigmoid": LogSigmoid,
    "hardsigmoid": Hardsigmoid,
    "hardswish": Hardswish,
    "tanh": Tanh,
    "hardtanh": Hardtanh,
    "tanhshrink": Tanhshrink,
    "softsign": Softsign,
    "softshrink": Softshrink,
    "hardshrink": Hardshrink,
    "identity": Identity,
}


def check_activation(name: str) -> None:
    """Raise ValueError for a name that no activation has."""
    if name not in ACTIVATIONS:
        raise ValueError(f"an activation is one of {', '.join(ACTIVATIONS)}, not {name!r}")


def make_activation(
    name: str, dtype: Any = np.float32, generator: np.random.Generator | None = None
) -> Module:
    """The module of an activation by its function's name; raises ValueError for an unknown one.

    `dtype` is that of a parameter, `generator` draws what is random, if there is any.

    >>> make_activation("leaky_relu")
    LeakyReLU(negative_slope=0.01)
    """
    check_activation(name)
    known = inspect.signature(ACTIVATIONS[name]).parameters
    settings = {"dtype": dtype, "generator": generator}
    return ACTIVATIONS[name](**{key: settings[key] for key in known if key in settings})
