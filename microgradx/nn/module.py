"""What layers and networks have in common: parameters that can be found, named, saved and loaded.

Nothing is registered. A module is an ordinary object, and what belongs to it is read off its
attributes when somebody asks.
"""

from __future__ import annotations

import reprlib
from collections.abc import Iterable, Iterator, Mapping
from textwrap import indent
from typing import TYPE_CHECKING, Any

import numpy as np

from microgradx.arrays.types import Array, as_array, unwrap
from microgradx.engine import Tensor
from microgradx.graph.creation_order import creation_counter
from microgradx.graph.scopes import leave_scope

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["Module", "named_members", "walk_members"]


class Module:
    """A function with parameters. A subclass sets attributes and writes `forward`.

    Its parameters are the leaf Tensors that require gradients among its attributes and those of
    the modules among them, also in lists, tuples and dicts. They go in the order of assignment,
    under dotted paths, and each comes once, however often it is used. A parameter without a name
    of its own takes its path for one, for error messages and drawings to use.

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

    #: Whether it is being trained or used: `Dropout`, for one, is active only in training.
    training: bool = True
    #: How often an attribute of any module was set: what was made for a model may not fit any more.
    changes: int = 0

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
        Module.changes += 1
        for path, member in walk_members(named_members(name, value)):
            # A name that the path ends in was given in here, when less of the path was known.
            if _is_parameter(member) and f".{path}".endswith(f".{member.name or path}"):
                member.name = path

    # ------------------------------------------------------------------ parameters and modules

    def named_parameters(self) -> Iterator[tuple[str, Tensor]]:
        """Pairs of dotted path and parameter, such as ("hidden.weight", Tensor(…))."""
        for path, member in walk_members([("", self)]):
            if _is_parameter(member):
                yield path, member

    def parameters(self) -> Iterator[Tensor]:
        """The Tensors to be trained. One that requires no gradient is not among them."""
        return (parameter for _, parameter in self.named_parameters())

    def named_modules(self) -> Iterator[tuple[str, Module]]:
        """Pairs of dotted path and module, first this one under the path ""."""
        for path, member in walk_members([("", self)]):
            if isinstance(member, Module):
                yield path, member

    def modules(self) -> Iterator[Module]:
        """This module and all that are in it."""
        return (module for _, module in self.named_modules())

    def zero_grad(self) -> None:
        """Forget the accumulated gradients of all parameters."""
        for parameter in self.parameters():
            parameter.zero_grad()

    # ------------------------------------------------------------------ training and use

    def train(self, mode: bool = True) -> Self:
        """Set `training`, here and in all modules inside; gives the module itself."""
        for module in self.modules():
            module.training = bool(mode)
        return self

    def eval(self) -> Self:
        """The same as `train(False)`: from now on the module is used and not trained."""
        return self.train(False)

    # ------------------------------------------------------------------ saving and loading

    def state_dict(self) -> dict[str, Array]:
        """A copy of the array of each leaf Tensor, trained or constant, under its path."""
        return {path: tensor.data.copy() for path, tensor in self._named_leaves()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Copy in what `state_dict` gave, also as arrays that were saved with np.savez.

        It must fit exactly. If names are missing or unexpected, or shapes or kinds of numbers
        differ, a ValueError says which, and nothing was changed.
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

    # ------------------------------------------------------------------ as text

    def extra_repr(self) -> str:
        """The settings that its repr shows between the parentheses."""
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
    """The Tensors and modules that an attribute holds: itself, or inside lists, tuples, dicts."""
    if isinstance(value, (Tensor, Module)):
        yield path, value
    elif isinstance(value, (list, tuple, dict)):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for name, item in items:
            yield from named_members(f"{path}.{name}", item)


def walk_members(
    members: Iterable[tuple[str, Tensor | Module]],
) -> Iterator[tuple[str, Any]]:
    """The members, and all that is in those that are modules, each once, with their paths."""
    seen: dict[int, Tensor | Module] = {}
    pending = list(members)[::-1]
    while pending:
        path, member = pending.pop()
        if id(member) in seen:
            continue
        seen[id(member)] = member
        yield path, member
        if isinstance(member, Module):
            inside = [
                (f"{path}.{inner}" if path else inner, item)
                for name, value in vars(member).items()
                for inner, item in named_members(name, value)
            ]
            pending.extend(reversed(inside))


def _is_parameter(member: Any) -> bool:
    return isinstance(member, Tensor) and member.is_leaf and member.requires_grad
