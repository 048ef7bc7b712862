"""Modules made of other modules: sequences of layers, and the multilayer perceptron."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Literal

import numpy as np

from microgradx.arrays.types import Array
from microgradx.nn.activations import ReLU, Sigmoid, Tanh
from microgradx.nn.initialisation import glorot_uniform, he_uniform
from microgradx.nn.layers import Dropout, Linear
from microgradx.nn.module import Module

__all__ = ["MLP", "Sequential"]


class Sequential(Module):
    """Calls modules one after the other, each on the output of the one before it.

    The modules are attributes called "0", "1", …, so parameters are called "0.weight", "0.bias",
    and so on. `len`, iteration and indexing work; a slice is a Sequential of the same modules.

    >>> import microgradx as mg
    >>> net = mg.nn.Sequential(mg.nn.Linear(2, 8), mg.nn.Tanh(), mg.nn.Linear(8, 3))
    >>> [name for name, _ in net.named_parameters()]
    ['0.weight', '0.bias', '2.weight', '2.bias']

    Raises TypeError for an argument that is not a Module.
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
        for name, layer in vars(self).items():  # a little faster than `for layer in self`
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


#: For each activation of an MLP: its module, and the initialisation of the layer before it.
_ACTIVATIONS: dict[str, tuple[type[Module], Callable[..., Array]]] = {
    "relu": (ReLU, he_uniform),
    "tanh": (Tanh, glorot_uniform),
    "sigmoid": (Sigmoid, glorot_uniform),
}


class MLP(Sequential):
    """A multilayer perceptron: linear layers, with an activation after each but the last.

    Maps inputs of shape (…, in_features) to logits of shape (…, out_features); `hidden_sizes` are
    the widths of the layers between, and may be empty. Dropout, if not 0, follows each activation.
    Weights are initialised as He et al. recommend before relu, and as Glorot and Bengio do before
    tanh, before sigmoid and in the last layer; see `nn.initialisation`. `generator` draws the
    weights and the dropout.

    >>> import microgradx as mg
    >>> mg.nn.MLP(64, (32,), 10, "tanh")
    MLP(
      (0): Linear(in_features=64, out_features=32, bias=True)
      (1): Tanh()
      (2): Linear(in_features=32, out_features=10, bias=True)
    )

    Raises ValueError for sizes below 1, an unknown activation, or a dropout outside [0, 1].
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
        activation_class, initialisation = _ACTIVATIONS[activation]
        linear = functools.partial(Linear, dtype=dtype, generator=generator)
        layers: list[Module] = []
        for size in hidden_sizes:
            layers.append(linear(in_features, size, initialisation=initialisation))
            layers.append(activation_class())
            if dropout:
                layers.append(Dropout(dropout, generator))
            in_features = size
        layers.append(linear(in_features, out_features, initialisation=glorot_uniform))
        super().__init__(*layers)
