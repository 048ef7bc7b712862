"""Modules made of other modules: sequences, lists and dicts, and the multilayer perceptron."""

from __future__ import annotations

import functools
from collections.abc import (
    Iterable,
    Iterator,
    Mapping,
    MutableMapping,
    MutableSequence,
    Sequence,
)
from typing import TYPE_CHECKING, Any

import numpy as np

from microgradx.nn.activations import check_activation, make_activation
from microgradx.nn.initialisation import glorot_uniform, he_uniform
from microgradx.nn.layers import Dropout, Linear
from microgradx.nn.module import Module

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["MLP", "ModuleDict", "ModuleList", "Sequential"]


class _Container(Module):
    """Modules in an order, which are attributes."""

    #: The names of these attributes.
    _names: Sequence[str] = ()

    def add_module(self, name: str, module: Module | None) -> None:
        super().add_module(name, module)
        if name not in self._names:
            self._names = [*self._names, name]

    def __len__(self) -> int:
        return len(self._names)


class _ListContainer(_Container, MutableSequence[Any]):
    """Modules in an order, called "0", "1", … unless they have names, that can be changed."""

    #: How one is made of a list.
    _of_list = "ModuleList(layers)"

    def __iter__(self) -> Iterator[Any]:
        return map(vars(self).__getitem__, self._names)

    def __setitem__(self, index: Any, module: Any) -> None:
        self.add_module(self._names[index], module)

    def __delitem__(self, index: int | slice) -> None:
        pairs = self._pairs()
        del pairs[index]
        self._arrange(pairs)

    def insert(self, index: int, module: Module) -> None:
        """Put a module before the one at `index`."""
        pairs = self._pairs()
        pairs.insert(index, (None, module))
        self._arrange(pairs)

    def append(self, module: Module) -> Self:  # type: ignore[override]
        """Put a module at the end; returns the container itself."""
        return self.extend([module])

    def extend(self, modules: Iterable[Module]) -> Self:  # type: ignore[override]
        """Put modules at the end; returns the container itself."""
        self._arrange([*self._pairs(), *[(None, module) for module in modules]])
        return self

    def _pairs(self) -> list[tuple[str | None, Any]]:
        return list(zip(self._names, self, strict=True))

    def _arrange(self, pairs: list[tuple[str | None, Any]]) -> None:
        """Hold modules with these names; numbers, and None, stand for their positions."""
        pairs = [
            (name, make_activation(module) if isinstance(module, str) else module)
            for name, module in pairs
        ]
        for i, (_, module) in enumerate(pairs):
            if not isinstance(module, Module):
                raise TypeError(
                    f"part {i} is not a Module but {type(module).__name__}; write nn.ReLU() for "
                    f"the function relu, and {self._of_list} for a list"
                )
        for name in self._names:
            delattr(self, name)
        self._names = ()
        for i, (before, module) in enumerate(pairs):
            after = str(i) if before is None or before.isdecimal() else before
            if before is not None:
                _rename_parameters(module, before, after)
            self.add_module(after, module)


def _rename_parameters(module: Module, before: str, after: str) -> None:
    """Let parameters whose names end in their paths below `before` have those below `after`."""
    for path, parameter in module.named_parameters():
        old = f"{before}.{path}"
        if f".{parameter.name}".endswith(f".{old}"):
            parameter.name = f"{str(parameter.name).removesuffix(old)}{after}.{path}"


class Sequential(_ListContainer):
    """Calls modules one after the other, each on the output of the one before it.

    The modules are attributes called "0", "1", …, so parameters are called "0.weight", "0.bias",
    and so on; of a dict, they have its names. `len`, iteration, indexing, `append`, `extend`,
    `insert` and `del` work as with lists; a slice is a Sequential of the same modules.

    >>> import microgradx as mg
    >>> net = mg.nn.Sequential(mg.nn.Linear(2, 8), mg.nn.Tanh()).append(mg.nn.Linear(8, 3))
    >>> [name for name, _ in net.named_parameters()]
    ['0.weight', '0.bias', '2.weight', '2.bias']

    An activation may be given by its name: Sequential(nn.Linear(2, 8), "tanh", nn.Linear(8, 3)).
    Raises TypeError for another argument that is not a Module, ValueError for an unknown name.
    """

    _of_list = "Sequential(*layers)"

    def __init__(self, *layers: Module | str | Mapping[str, Module | str]) -> None:
        if len(layers) == 1 and isinstance(layers[0], Mapping):
            self._arrange([*layers[0].items()])
        else:
            self.extend(layers)  # type: ignore[arg-type]

    def forward(self, x: Any) -> Any:
        attributes = vars(self)
        for name in self._names:
            x = attributes[name](x)
        return x

    def __getitem__(self, index: int | slice) -> Any:
        layers = list(self)
        return Sequential(*layers[index]) if isinstance(index, slice) else layers[index]


class ModuleList(_ListContainer):
    """A list of modules, for a `forward` that says how they are called.

    They are called "0", "1", … as in Sequential. Lists, tuples and dicts of modules will do as
    well.

    >>> import microgradx as mg
    >>> heads = mg.nn.ModuleList(mg.nn.Linear(4, n) for n in (2, 3))
    >>> [head(np.ones(4)).shape for head in heads]
    [(2,), (3,)]

    Raises TypeError for an item that is not a Module.
    """

    def __init__(self, modules: Iterable[Module] = ()) -> None:
        self.extend(modules)

    def __getitem__(self, index: int | slice) -> Any:
        layers = list(self)
        return ModuleList(layers[index]) if isinstance(index, slice) else layers[index]


class ModuleDict(_Container, MutableMapping[str, Any]):
    """Modules by their names, for a `forward` that says how they are called.

    >>> import microgradx as mg
    >>> heads = mg.nn.ModuleDict({"colour": mg.nn.Linear(4, 2), "size": mg.nn.Linear(4, 3)})
    >>> heads["size"](np.ones(4)).shape
    (3,)

    Raises TypeError for a value that is not a Module, ValueError for a name that cannot be that of
    an attribute.
    """

    __eq__, __hash__ = Module.__eq__, Module.__hash__

    def __init__(self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]] = ()) -> None:
        self.update(modules)

    def __getitem__(self, name: str) -> Any:
        return {key: vars(self)[key] for key in self._names}[name]

    def __setitem__(self, name: str, module: Module) -> None:
        self.add_module(name, module)

    def __delitem__(self, name: str) -> None:
        self[name]  # raises KeyError
        delattr(self, name)
        self._names = [key for key in self._names if key != name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)


#: Activations that leave small and large numbers distinct on one side at least: He's are for them.
_RECTIFIERS = {
    *("relu", "relu6", "leaky_relu", "prelu", "rrelu", "elu", "celu"),
    *("gelu", "silu", "mish", "softplus", "hardswish"),
}


class MLP(Sequential):
    """A multilayer perceptron: linear layers, with an activation after each but the last.

    Maps inputs of shape (…, in_features) to logits of shape (…, out_features); `hidden_sizes` are
    the widths of the layers between, and may be empty. `activation` is the name of a function such
    as "relu", "tanh" or "gelu". Dropout, if not 0, follows each activation. Weights are initialised
    as He et al. recommend before relu and its relatives, and as Glorot and Bengio do before all
    others, such as tanh, and in the last layer; see `nn.initialisation`. `generator` draws the
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
        activation: str = "relu",
        dropout: float = 0.0,
        *,
        dtype: Any = np.float32,
        generator: np.random.Generator | None = None,
    ) -> None:
        check_activation(activation)
        if not isinstance(hidden_sizes, Iterable):
            raise TypeError(
                f"hidden_sizes must be a sequence, such as (64, 32), not {hidden_sizes!r}"
            )
        initialisation = he_uniform if activation in _RECTIFIERS else glorot_uniform
        linear = functools.partial(Linear, dtype=dtype, generator=generator)
        layers: list[Module] = []
        for size in hidden_sizes:
            layers.append(linear(in_features, size, initialisation=initialisation))
            layers.append(make_activation(activation, dtype, generator))
            if dropout:
                layers.append(Dropout(dropout, generator))
            in_features = size
        layers.append(linear(in_features, out_features, initialisation=glorot_uniform))
        super().__init__(*layers)
