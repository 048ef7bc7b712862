"""Module, the base of layers and networks: finds, names, saves and loads parameters.

Nothing is registered. A module is an ordinary object, and its parameters and submodules are looked
up in its attributes on each request.
"""

from __future__ import annotations

import reprlib
from collections.abc import Iterable, Iterator, Mapping
from textwrap import indent
from typing import TYPE_CHECKING, Any

import numpy as np

from microgradx.arrays.pytorch_habits import refuse_arguments
from microgradx.arrays.types import Array, as_array, fits_dtype, unwrap
from microgradx.engine import Tensor
from microgradx.graph.creation_order import creation_counter
from microgradx.graph.scopes import leave_scope

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["Module", "named_members", "walk_members"]


class Module:
    """A function with parameters. A subclass sets attributes and writes `forward`.

    Its parameters are the leaf Tensors that require gradients among its attributes and its
    submodules' attributes, also inside lists, tuples and dicts. They are listed in the order of
    assignment, under dotted paths, and each once, however often it is used. A parameter without a
    name gets its path as name, which error messages and drawings show.

    >>> import microgradx as mg
    >>> class Line(mg.nn.Module):
    ...     def __init__(self):
    ...         self.slope = mg.Tensor(2.0, requires_grad=True)
    ...         self.offset = mg.Tensor(1.0, requires_grad=True)
    ...     def forward(self, x):
    ...         return self.slope * x + self.offset
    >>> line = Line()
    >>> line(3.0).item()
    7.0
    >>> [name for name, _ in line.named_parameters()]
    ['slope', 'offset']
    """

    #: True in training, False after `eval()`; `Dropout`, for example, is active only in training.
    training: bool = True

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        refuse_arguments(cls.__name__, cls.__init__, kwargs)
        return super().__new__(cls)

    def __init__(self) -> None:  # takes nothing, where a subclass has none
        pass

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError(
            f"{type(self).__name__} has no forward(self, x); write it, to say what is computed"
        )

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        start = next(creation_counter)
        return leave_scope(type(self), start, self.forward(*args, **kwargs))

    def __setattr__(self, name: str, value: Any) -> None:
        if _is_parameter(vars(self).get(name)) and not isinstance(value, (Tensor, type(None))):
            raise TypeError(
                f"{type(self).__name__}.{name} is a parameter, and {type(value).__name__} cannot "
                f"be trained; set its values with .{name}.data = …, or assign a Tensor"
            )
        super().__setattr__(name, value)
        for path, member in walk_members(named_members(name, value)):
            # A name that is the end of this path was set here, when the module had no parent yet.
            if _is_parameter(member) and f".{path}".endswith(f".{member.name or path}"):
                member.name = path

    # ------------------------------------------------------------------ parameters and modules

    def named_parameters(self) -> Iterator[tuple[str, Tensor]]:
        """Pairs of dotted path and parameter, such as ("hidden.weight", Tensor(…))."""
        for path, member in walk_members([("", self)]):
            if _is_parameter(member):
                yield path, member

    def parameters(self) -> Iterator[Tensor]:
        """The leaf Tensors that require gradients, here and in all submodules."""
        return (parameter for _, parameter in self.named_parameters())

    def named_modules(self) -> Iterator[tuple[str, Module]]:
        """Pairs of dotted path and module, beginning with this module, whose path is ""."""
        for path, member in walk_members([("", self)]):
            if isinstance(member, Module):
                yield path, member

    def modules(self) -> Iterator[Module]:
        """This module and all its submodules."""
        return (module for _, module in self.named_modules())

    def zero_grad(self) -> None:
        """Set the gradients of all parameters to None."""
        for parameter in self.parameters():
            parameter.zero_grad()

    # ------------------------------------------------------------------ training and evaluation

    def train(self, mode: bool = True) -> Self:
        """Set `training` here and in all submodules; returns the module itself."""
        for module in self.modules():
            module.training = bool(mode)
        return self

    def eval(self) -> Self:
        """The same as `train(False)`."""
        return self.train(False)

    # ------------------------------------------------------------------ saving and loading

    def state_dict(self) -> dict[str, Array]:
        """A copy of the array of each leaf Tensor, parameter or constant, under its path."""
        return {path: tensor.data.copy() for path, tensor in self._named_leaves()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Copy in what `state_dict` returned, or `np.load` of a file that `np.savez` made of it.

        Raises ValueError, which lists all differences, and changes nothing if names are missing or
        unexpected, or if shapes or kinds of numbers differ, or numbers are too large.
        """
        if not isinstance(state, Mapping):
            raise TypeError(
                f"a state is a dict of names and arrays, not {type(state).__name__}; "
                "np.load(path) reads one that np.savez(path, **module.state_dict()) wrote"
            )
        leaves = dict(self._named_leaves())
        values = {path: as_array(unwrap(state[path])) for path in leaves if path in state}
        misfits = [f"{path} is missing" for path in leaves if path not in state]
        misfits += [f"{path} is unexpected" for path in state if path not in leaves]
        for path, value in values.items():
            leaf = leaves[path]
            if value.shape != leaf.shape:
                misfits.append(f"{path} has shape {value.shape} and must have {leaf.shape}")
            elif not np.can_cast(value.dtype, leaf.dtype, "same_kind"):
                misfits.append(f"{path} has dtype {value.dtype} and must have {leaf.dtype}")
            elif not fits_dtype(value, leaf.dtype):
                misfits.append(f"{path} has numbers that are too large for {leaf.dtype}")
        if misfits:
            raise ValueError(
                f"the state does not fit this {type(self).__name__}: {'; '.join(misfits)}. "
                "Nothing was changed; build the module as it was when its state was saved"
            )
        for path, value in values.items():
            leaves[path].data = value

    def _named_leaves(self) -> Iterator[tuple[str, Tensor]]:
        for path, member in walk_members([("", self)]):
            if isinstance(member, Tensor) and member.is_leaf:
                yield path, member

    # ------------------------------------------------------------------ representation

    def extra_repr(self) -> str:
        """The settings, as the module's repr shows them between parentheses."""
        return ""

    @reprlib.recursive_repr(fillvalue="…")
    def __repr__(self) -> str:
        parts = [
            f"({path}): {member!r}"
            for name, value in vars(self).items()
            for path, member in named_members(name, value)
            if isinstance(member, Module)
        ]
        settings = self.extra_repr()
        if not parts:
            return f"{type(self).__name__}({settings})"
        inside = "\n".join([settings, *parts] if settings else parts)
        return f"{type(self).__name__}(\n{indent(inside, '  ')}\n)"


def named_members(path: str, value: Any) -> Iterator[tuple[str, Tensor | Module]]:
    """The Tensors and modules in an attribute, also inside lists, tuples and dicts, with paths."""
    if isinstance(value, (Tensor, Module)):
        yield path, value
    elif isinstance(value, (list, tuple, dict)):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for name, item in items:
            yield from named_members(f"{path}.{name}", item)


def walk_members(
    members: Iterable[tuple[str, Tensor | Module]],
) -> Iterator[tuple[str, Any]]:
    """The members and, depth first, the members of the modules among them, each once."""
    seen: dict[int, Tensor | Module] = {}
    pending = list(members)[::-1]
    while pending:
        path, member = pending.pop()
        if id(member) in seen:
            continue
        seen[id(member)] = member
        yield path, member
        if isinstance(member, Module):
            inner_members = [
                (f"{path}.{inner}" if path else inner, item)
                for name, value in vars(member).items()
                for inner, item in named_members(name, value)
            ]
            pending.extend(reversed(inner_members))


def _is_parameter(member: Any) -> bool:
    return isinstance(member, Tensor) and member.is_leaf and member.requires_grad
