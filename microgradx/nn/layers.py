"""Layers, activations and a loss as modules, and the networks that are made of them."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Literal

import numpy as np

from microgradx.arrays.types import Array, as_array
from microgradx.common.messages import describe
from microgradx.common.randomness import as_generator
from microgradx.engine import Tensor, as_tensor
from microgradx.functional import LossReduction, cross_entropy, log_softmax, softmax
from microgradx.nn.initialisation import glorot_uniform, he_uniform
from microgradx.nn.module import Module
from microgradx.ops.activations import relu, sigmoid, softplus
from microgradx.ops.elementwise import tanh
from microgradx.ops.products import linear, matmul
from microgradx.ops.shapes import reshape

__all__ = [
    "Linear",
    "ReLU",
    "Tanh",
    "Sigmoid",
    "Softplus",
    "Softmax",
    "LogSoftmax",
    "Dropout",
    "Flatten",
    "CrossEntropyLoss",
    "Sequential",
    "MLP",
]


class Linear(Module):
    """The layer x wᵀ + b: inputs of shape (…, in_features) give outputs (…, out_features).

    `weight`, of shape (out_features, in_features), is drawn by `initialisation`; `bias`, of shape
    (out_features,), starts at 0, and is None if there shall be none. Inputs of any other dtype
    are cast to that of the parameters, so float64 data leave a float32 network fast.

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
        weight = initialisation((out_features, in_features), generator, dtype)
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


# ---------------------------------------------------------------------------- activations


class ReLU(Module):
    """max(x, 0), elementwise: `microgradx.relu`.

    >>> ReLU()(np.array([-1.0, 2.0]))
    array([0., 2.])
    """

    def forward(self, x: Any) -> Any:
        return relu(x)


class Tanh(Module):
    """tanh x, elementwise: `microgradx.tanh`.

    >>> Tanh()(np.array([0.0, 100.0]))
    array([0., 1.])
    """

    def forward(self, x: Any) -> Any:
        return tanh(x)


class Sigmoid(Module):
    """1 / (1 + e⁻ˣ), elementwise: `microgradx.sigmoid`.

    >>> Sigmoid()(np.array([0.0, 100.0]))
    array([0.5, 1. ])
    """

    def forward(self, x: Any) -> Any:
        return sigmoid(x)


class Softplus(Module):
    """ln(1 + eˣ), elementwise, a smooth relu: `microgradx.softplus`.

    >>> Softplus()(np.array([-1000.0, 1000.0]))
    array([   0., 1000.])
    """

    def forward(self, x: Any) -> Any:
        return softplus(x)


class Softmax(Module):
    """Probabilities from logits over `axis`, at a temperature: `microgradx.softmax`.

    For a network that ends in logits; `CrossEntropyLoss` takes those, not these probabilities.

    >>> Softmax()(np.array([0.0, 0.0]))
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
    """The logarithm of `Softmax`, computed without forming it: `microgradx.log_softmax`.

    >>> LogSoftmax()(np.array([0.0, 1000.0]))
    array([-1000.,     0.])
    """

    def forward(self, x: Any) -> Any:
        return log_softmax(x, self.axis, self.temperature)


# ---------------------------------------------------------------------------- other modules


class Dropout(Module):
    """In training, each element is set to 0 with probability `p`, and the others grow by 1/(1 - p).

    So the expected output is the input, and in use, after `eval()`, the output is the input
    itself. Source: N. Srivastava et al., "Dropout", 2014, section 10.

    >>> Dropout(0.5).eval()(np.array([1.0, 2.0]))
    array([1., 2.])

    Raises ValueError for a `p` outside [0, 1].
    """

    def __init__(self, p: float = 0.5, generator: np.random.Generator | None = None) -> None:
        if not 0 <= p <= 1:
            raise ValueError(
                f"p, the probability of an element to be dropped, is {p}; it must be from 0 to 1"
            )
        as_generator(generator)  # refuses what is none now, and not at the first call
        self.p = p
        self.generator = generator

    def forward(self, x: Any) -> Any:
        if not self.training or self.p == 0:
            return x
        x = as_array(x)
        dtype = x.dtype if x.dtype.kind == "f" else np.dtype(np.float64)
        kept = as_generator(self.generator).random(x.shape, np.float32) >= self.p
        scale = 1 / (1 - self.p) if self.p < 1 else 0
        return x * (kept * dtype.type(scale))

    def extra_repr(self) -> str:
        return f"p={self.p}"


class Flatten(Module):
    """All axes but the first as one: (n, 8, 8) becomes (n, 64).

    >>> Flatten()(np.zeros((5, 8, 8))).shape
    (5, 64)

    Raises ValueError for a single number, which has no first axis.
    """

    def forward(self, x: Any) -> Any:
        shape = np.shape(x)
        if not shape:
            raise ValueError("Flatten keeps the first axis, and its input is a single number")
        return reshape(x, (shape[0], math.prod(shape[1:])))


class CrossEntropyLoss(Module):
    """The loss of a classifier, from its logits and the labels: `microgradx.cross_entropy`.

    The settings are those of `cross_entropy`, which also says what is raised for what.

    >>> CrossEntropyLoss(reduction="sum")(np.array([[2.0, 1.0, 0.1]]), np.array([0]))
    array(0.41703002)
    """

    def __init__(
        self,
        *,
        axis: int = -1,
        weight: Any = None,
        label_smoothing: float = 0.0,
        ignore_index: int | None = None,
        reduction: LossReduction = "mean",
        fused: bool = True,
    ) -> None:
        self.axis = axis
        self.weight = weight
        self.label_smoothing = label_smoothing
        self.ignore_index = ignore_index
        self.reduction = reduction
        self.fused = fused

    def forward(self, logits: Any, target: Any) -> Any:
        return cross_entropy(
            logits,
            target,
            axis=self.axis,
            weight=self.weight,
            label_smoothing=self.label_smoothing,
            ignore_index=self.ignore_index,
            reduction=self.reduction,
            fused=self.fused,
        )

    def extra_repr(self) -> str:
        return f"label_smoothing={self.label_smoothing}, reduction={self.reduction!r}"


# ---------------------------------------------------------------------------- networks


class Sequential(Module):
    """Modules one after the other, each given what the one before it gave.

    They are its attributes "0", "1", …, and so their parameters are "0.weight", "0.bias", and so
    on. `len`, iteration and indexing work; a slice is a Sequential of the same modules.

    >>> import microgradx as mg
    >>> net = mg.nn.Sequential(mg.nn.Linear(2, 8), mg.nn.Tanh(), mg.nn.Linear(8, 3))
    >>> [name for name, _ in net.named_parameters()]
    ['0.weight', '0.bias', '2.weight', '2.bias']

    Raises TypeError for a part that is not a Module.
    """

    def __init__(self, *layers: Module) -> None:
        for i, layer in enumerate(layers):
            if not isinstance(layer, Module):
                raise TypeError(
                    f"part {i} is not a Module but {type(layer).__name__}; "
                    "write nn.ReLU() for the function relu, and Sequential(*layers) for a list"
                )
        for i, layer in enumerate(layers):
            setattr(self, str(i), layer)

    def forward(self, x: Any) -> Any:
        for name, layer in vars(self).items():
            if name.isdecimal():
                x = layer(x)
        return x

    def __iter__(self) -> Iterator[Module]:
        return (layer for name, layer in vars(self).items() if name.isdecimal())

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __getitem__(self, index: int | slice) -> Any:
        layers = list(self)
        return Sequential(*layers[index]) if isinstance(index, slice) else layers[index]


class MLP(Sequential):
    """A multilayer perceptron: linear layers, with an activation after each but the last.

    Inputs have shape (…, in_features), outputs, the logits, (…, out_features); `hidden_sizes` are
    the widths between, and may be empty. Dropout, if not 0, follows each activation. Weights start
    as He et al. (before relu) or Glorot and Bengio (before tanh or sigmoid, and in the last layer)
    have it; see `nn.initialisation`. Everything is drawn from one generator.

    >>> import microgradx as mg
    >>> mg.nn.MLP(64, (32,), 10, "tanh")
    MLP(
      (0): Linear(in_features=64, out_features=32, bias=True)
      (1): Tanh()
      (2): Linear(in_features=32, out_features=10, bias=True)
    )

    Raises ValueError for sizes below 1, an unknown activation, a dropout outside [0, 1].
    """

    def __init__(
        self,
        in_features: int,
        hidden_sizes: Sequence[int],
        out_features: int,
        activation: Literal["relu", "tanh", "sigmoid"] = "relu",
        dropout: float = 0.0,
        *,
        dtype: Any = np.float32,
        generator: np.random.Generator | None = None,
    ) -> None:
        if activation not in _ACTIVATIONS:
            raise ValueError(
                f"activation must be one of {', '.join(_ACTIVATIONS)}, not {activation!r}"
            )
        if not isinstance(hidden_sizes, Iterable):
            raise TypeError(
                f"hidden_sizes must be a sequence, such as (64, 32), not {hidden_sizes!r}"
            )
        activation_layer, initialisation = _ACTIVATIONS[activation]
        linear_layer = functools.partial(Linear, dtype=dtype, generator=generator)
        layers: list[Module] = []
        for size in hidden_sizes:
            layers.append(linear_layer(in_features, size, initialisation=initialisation))
            layers.append(activation_layer())
            if dropout:
                layers.append(Dropout(dropout, generator))
            in_features = size
        layers.append(linear_layer(in_features, out_features, initialisation=glorot_uniform))
        super().__init__(*layers)


# What stands for an activation, and the weights that suit a layer before it.
_ACTIVATIONS: dict[str, tuple[type[Module], Callable[..., Array]]] = {
    "relu": (ReLU, he_uniform),
    "tanh": (Tanh, glorot_uniform),
    "sigmoid": (Sigmoid, glorot_uniform),
}
