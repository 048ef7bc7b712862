"""What a model and a loss consist of: their Tensors and modules, settings as keys, and names."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from microgradx.engine import Tensor
from microgradx.nn.module import Module, named_members

__all__ = ["as_key", "name_leaves", "referenced_members", "walk_containers"]


def referenced_members(function: Any) -> list[tuple[str, Any]]:
    """The Tensors and modules that a model or a loss is, or to which a Python function refers."""
    if isinstance(function, (Module, Tensor)):
        return [("", function)]
    function = getattr(function, "func", function)  # of a functools.partial
    referenced = {"": getattr(function, "__self__", None)}
    if inspect.isfunction(function) or inspect.ismethod(function):
        variables = inspect.getclosurevars(function)
        referenced |= {**variables.globals, **variables.nonlocals}
    return [pair for name, value in referenced.items() for pair in named_members(name, value)]


def walk_containers(values: Iterable[Any]) -> Iterator[Iterable[Any]]:
    """The items of lists and dicts among values, and of those inside, in views of the present."""
    for value in values:
        if isinstance(value, (list, tuple, dict)):
            items = value.values() if isinstance(value, dict) else value
            if not isinstance(value, tuple):
                yield items
            yield from walk_containers(items)


def as_key(value: Any) -> Any:
    """An attribute as a part of a key: equal for equal settings and identical other objects."""
    if isinstance(value, (list, tuple)):
        return type(value), *map(as_key, value)
    if isinstance(value, dict):
        return dict, *((key, as_key(item)) for key, item in value.items())
    is_plain = isinstance(value, (bool, int, float, str, type(None)))
    return value if is_plain else _Identity(value)


class _Identity:
    """Equal only for the same object; it holds the object, so that no other can take its place."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Identity) and other.value is self.value

    def __hash__(self) -> int:
        return id(self.value)


# ---------------------------------------------------------------------------- names


def name_leaves(leaves: Sequence[Tensor], trained: int, paths: dict[Any, str]) -> list[str]:
    """A name for each leaf, of which the first are trained, after its path in the model."""
    names = [paths.get(leaf) or leaf.name or f"w{k + 1}" for k, leaf in enumerate(leaves)]
    return _make_unique([*_shorten_paths(names[:trained]), *map(_name_path, names[trained:])])


def _shorten_paths(paths: list[str]) -> list[str]:
    """Paths of parameters as names: the weight and bias of the second layer are W2 and b2."""
    layers = list(dict.fromkeys(path.rpartition(".")[0] for path in paths))
    names = []
    for path in paths:
        layer, _, last = path.rpartition(".")
        number = layers.index(layer) + 1 if len(layers) > 1 else ""
        name = {"weight": f"W{number}", "bias": f"b{number}"}.get(last)
        names.append(name or _name_path(path))
    return names


def _name_path(path: str) -> str:
    """A path as a name, which cannot begin with the number of a layer in a Sequential."""
    layer, _, last = path.rpartition(".")
    return f"{last}_{layer}" if layer[:1].isdigit() else path


def _make_unique(names: list[str]) -> list[str]:
    """The names, with a number at the end of each that occurred before."""
    unique: dict[str, None] = {}
    for name in names:
        candidate, count = name, 1
        while candidate in unique:
            count += 1
            candidate = f"{name}_{count}"
        unique[candidate] = None
    return list(unique)
