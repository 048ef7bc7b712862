"""Module, the base of layers and networks: finds, names, freezes, saves and loads parameters.

Nothing needs to be registered. A module is an ordinary object, and its parameters, buffers and
submodules are looked up in its attributes on each request.
"""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from textwrap import indent
from typing import TYPE_CHECKING, Any

from microgradx.arrays.pytorch_habits import (
    INSTEAD_OF_MODULE_ATTRIBUTE,
    MissingAttribute,
    refuse_arguments,
)
from microgradx.arrays.types import Array
from microgradx.engine import Tensor
from microgradx.graph.creation_order import creation_counter
from microgradx.graph.scopes import leave_scope
from microgradx.nn.state import IncompatibleKeys, load_state
from microgradx.nn.summary import Summary, summarise

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["Module", "named_members", "walk_members"]


class Module:
    """A function with parameters. A subclass sets attributes and writes `forward`.

    Its parameters are the leaf Tensors that require gradients, or did until they were frozen, among
    its attributes and its submodules' attributes, also inside lists, tuples and dicts. They are
    listed in the order of assignment, under dotted paths, and each once, however often it is used.
    A parameter without a name gets its path as name, which error messages and drawings show. All
    other leaf Tensors are buffers: they are saved, and not trained.

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

    # ------------------------------------------------------------------ parameters and buffers

    def named_parameters(self, recurse: bool = True) -> Iterator[tuple[str, Tensor]]:
        """Pairs of dotted path and parameter, such as ("hidden.weight", Tensor(…)).

        `recurse=False` leaves out those of submodules.
        """
        return (pair for pair in self._named_leaves(recurse) if _is_parameter(pair[1]))

    def parameters(self, recurse: bool = True) -> Iterator[Tensor]:
        """The leaf Tensors that are trained, or frozen, here and in all submodules."""
        return (parameter for _, parameter in self.named_parameters(recurse))

    def register_buffer(self, name: str, tensor: Any, persistent: bool = True) -> None:
        """Set an attribute to a Tensor that is saved but not trained, such as a running mean.

        An array is copied; None stands for a buffer that is not there. `forward` gives it other
        values by `self.name.data = values`. One that is not `persistent` is left out of
        `state_dict`. (A constant Tensor that is assigned to an attribute is a buffer too.)

        >>> module = Module()
        >>> module.register_buffer("steps", 0)
        >>> module.state_dict()
        {'steps': array(0)}

        Raises TypeError for a Tensor that requires gradients, and ValueError for a name that is
        taken, or is not that of an attribute.
        """
        if not isinstance(name, str) or not name.isidentifier():
            raise ValueError(
                f"a buffer is an attribute, and cannot be called {name!r}; write letters, digits "
                "and underscores"
            )
        others = {key: kept for key, kept in self._persistence.items() if key != name}
        if hasattr(self, name) and name not in self._persistence:
            raise ValueError(
                f"{type(self).__name__}.{name} exists already; give the buffer another name"
            )
        buffer = tensor if tensor is None or isinstance(tensor, Tensor) else Tensor(tensor)
        self._check_buffer(name, buffer)
        self._persistence = {**others, name: bool(persistent)}
        setattr(self, name, buffer)

    #: Of each registered buffer, whether it is saved.
    _persistence: Mapping[str, bool] = {}

    def named_buffers(self, recurse: bool = True) -> Iterator[tuple[str, Tensor]]:
        """Pairs of dotted path and buffer, such as ("norm.running_mean", Tensor(…))."""
        return (pair for pair in self._named_leaves(recurse) if _is_buffer(pair[1]))

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """The leaf Tensors that are not trained, here and in all submodules."""
        return (buffer for _, buffer in self.named_buffers(recurse))

    def zero_grad(self) -> None:
        """Set the gradients of all parameters to None."""
        for parameter in self.parameters():
            parameter.zero_grad()

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Set whether all parameters are trained; returns the module itself.

        Frozen ones stay among `parameters()` and in `state_dict`. They lose their gradients, so
        that no optimiser changes them. Running statistics are updated all the same: `eval()` is
        what keeps them as they are.
        """
        for parameter in self.parameters():
            parameter.requires_grad_(requires_grad)
            if not requires_grad:
                parameter.zero_grad()
        return self

    def freeze(self) -> Self:
        """Keep all parameters as they are: the same as `requires_grad_(False)`.

        >>> import microgradx as mg
        >>> net = mg.nn.Sequential(mg.nn.Linear(2, 8), mg.nn.Linear(8, 3))
        >>> net[0].freeze()
        Linear(in_features=2, out_features=8, bias=True)
        >>> [name for name, p in net.named_parameters() if p.requires_grad]
        ['1.weight', '1.bias']
        """
        return self.requires_grad_(False)

    def unfreeze(self) -> Self:
        """Train all parameters again: the same as `requires_grad_(True)`."""
        return self.requires_grad_(True)

    def get_parameter(self, target: str) -> Tensor:
        """The parameter at a dotted path. Raises AttributeError, with the paths that there are."""
        parameter: Tensor = self._find(target, "parameter", _is_parameter)
        return parameter

    def get_buffer(self, target: str) -> Tensor:
        """The buffer at a dotted path. Raises AttributeError, with the paths that there are."""
        buffer: Tensor = self._find(target, "buffer", _is_buffer)
        return buffer

    # ------------------------------------------------------------------ submodules

    def named_modules(self) -> Iterator[tuple[str, Module]]:
        """Pairs of dotted path and module, beginning with this module, whose path is ""."""
        for path, member in walk_members([("", self)]):
            if isinstance(member, Module):
                yield path, member

    def modules(self) -> Iterator[Module]:
        """This module and all its submodules."""
        return (module for _, module in self.named_modules())

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """Pairs of path and module: the submodules of this module, and none of theirs."""
        seen: set[Module] = set()
        for path, member in self._members():
            if isinstance(member, Module) and member not in seen:
                seen.add(member)
                yield path, member

    def children(self) -> Iterator[Module]:
        """The submodules of this module, and none of theirs."""
        return (module for _, module in self.named_children())

    def add_module(self, name: str, module: Module | None) -> None:
        """Set an attribute to a module; the name may be computed, as in f"layer{i}"."""
        if not isinstance(module, (Module, type(None))):
            raise TypeError(f"{name} must be a Module, not {type(module).__name__}")
        if not isinstance(name, str) or not name or "." in name:
            raise ValueError(f"a module cannot be called {name!r}; paths are made with dots")
        if hasattr(self, name) and not isinstance(getattr(self, name), (Module, type(None))):
            raise ValueError(
                f"{type(self).__name__}.{name} exists already; give the module another name"
            )
        setattr(self, name, module)

    def get_submodule(self, target: str) -> Module:
        """The module at a dotted path. Raises AttributeError, with the paths that there are."""
        module: Module = self._find(target, "submodule", lambda x: isinstance(x, Module))
        return module

    def apply(self, function: Callable[[Module], Any]) -> Self:
        """Call a function with each module, submodules first; returns the module itself.

        >>> import microgradx as mg
        >>> def start_at_0(module):
        ...     if isinstance(module, mg.nn.Linear):
        ...         mg.nn.init.zeros_(module.weight)
        >>> mg.nn.MLP(2, (8,), 3).apply(start_at_0)([1.0, 2.0]).data
        array([0., 0., 0.], dtype=float32)
        """
        order: dict[Module, None] = {}
        pending: list[Module] = [self]
        while pending:
            module = pending.pop()
            if module not in order:
                order[module] = None
                pending.extend(module.children())
        for module in reversed(order):
            function(module)
        return self

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
        """A copy of the array of each parameter, frozen or not, and buffer, under its path."""
        return {path: tensor.data.copy() for path, tensor in self._saved_leaves().items()}

    def load_state_dict(self, state: Mapping[str, Any], strict: bool = True) -> IncompatibleKeys:
        """Copy in what `state_dict` returned, or `np.load` of a file that `np.savez` made of it.

        `strict=False` takes what the state and the module both have, such as all layers but the
        last of a network with other classes; the names that only one of them has are returned.

        Raises ValueError, which lists all differences, and changes nothing if names are missing or
        unexpected, or if shapes or kinds of numbers differ, or numbers are too large.
        """
        return load_state(self, self._saved_leaves(), state, strict)

    def _saved_leaves(self) -> dict[str, Tensor]:
        """Parameters, and those of the buffers that are saved, under their paths."""
        left_out = {
            vars(module).get(name)
            for module in self.modules()
            for name, is_saved in module._persistence.items()
            if not is_saved
        }
        return {path: leaf for path, leaf in self._named_leaves() if leaf not in left_out}

    # ------------------------------------------------------------------ attributes

    def __setattr__(self, name: str, value: Any) -> None:
        if name in self._persistence:
            self._check_buffer(name, value)
        elif _is_parameter(vars(self).get(name)) and not isinstance(value, (Tensor, type(None))):
            raise TypeError(
                f"{type(self).__name__}.{name} is a parameter, and {type(value).__name__} cannot "
                f"be trained; set its values with .{name}.data = …, or assign a Tensor"
            )
        super().__setattr__(name, value)
        for path, member in walk_members(named_members(name, value)):
            # A name that is the end of this path was set here, when the module had no parent yet.
            if _is_parameter(member) and f".{path}".endswith(f".{member.name or path}"):
                member.name = path

    def _check_buffer(self, name: str, value: Any) -> None:
        """Raise TypeError for what a buffer cannot be."""
        if value is None or (isinstance(value, Tensor) and not value.requires_grad):
            return
        what = "requires gradients" if isinstance(value, Tensor) else f"is {type(value).__name__}"
        raise TypeError(
            f"{type(self).__name__}.{name} is a buffer, a Tensor that requires no gradient, and "
            f"the value {what}; set its values with .{name}.data = …, of a Tensor's .data"
        )

    def _members(self) -> Iterator[tuple[str, Tensor | Module]]:
        """The Tensors and modules in the attributes, with their paths."""
        for name, value in vars(self).items():
            yield from named_members(name, value)

    def _named_leaves(self, recurse: bool = True) -> Iterator[tuple[str, Tensor]]:
        own = (pair for pair in self._members() if isinstance(pair[1], Tensor))
        for path, member in walk_members([("", self)] if recurse else own):
            if _is_leaf(member):
                yield path, member

    def _find(self, target: str, kind: str, is_of_kind: Callable[[Any], bool]) -> Any:
        """The member at a dotted path, if it is of a kind."""
        member: Any = self
        for name in target.split(".") if target else []:
            if isinstance(member, (list, tuple)):
                member = dict(enumerate(member))
            members = member if isinstance(member, dict) else getattr(member, "__dict__", {})
            member = {str(key): value for key, value in members.items()}.get(name)
        if not is_of_kind(member):
            found = [path for path, x in walk_members([("", self)]) if path and is_of_kind(x)]
            raise AttributeError(
                f"{type(self).__name__} has no {kind} {target!r}; it has "
                + (", ".join(map(repr, found)) or "none")
            )
        return member

    # ------------------------------------------------------------------ representation

    def summary(self, *inputs: Any, dtype: Any = None) -> Summary:
        """A table of the modules, with the shapes of their outputs and how many numbers they have.

        Each input of `forward` is given by its shape, or as an array. A shape may be without the
        axis of the batch; `dtype` says of what its zeros are: by default the parameters' dtype, or
        integers, if only these are taken. Without inputs nothing is called, and there are no output
        shapes. A copy of the module is called in evaluation mode, so the module, its gradients, and
        random generators stay as they are.

        >>> import microgradx as mg
        >>> net = mg.nn.Sequential(mg.nn.Conv2d(1, 4, 3), mg.nn.BatchNorm2d(4).freeze())
        >>> net.summary((1, 8, 8))
        layer              output shape  parameters  frozen  buffers
        Sequential         (1, 4, 6, 6)
          (0) Conv2d       (1, 4, 6, 6)          40
          (1) BatchNorm2d  (1, 4, 6, 6)           8       8        9
        <BLANKLINE>
        48 parameters, 40 trainable and 8 frozen; 9 numbers in buffers

        Raises ValueError for shapes that the module does not take.
        """
        return summarise(self, inputs, dtype)

    def extra_repr(self) -> str:
        """The settings, as the module's repr shows them between parentheses."""
        return ""

    @reprlib.recursive_repr(fillvalue="…")
    def __repr__(self) -> str:
        parts = [
            f"({path}): {member!r}"
            for path, member in self._members()
            if isinstance(member, Module)
        ]
        settings = self.extra_repr()
        if not parts:
            return f"{type(self).__name__}({settings})"
        inside = "\n".join([settings, *parts] if settings else parts)
        return f"{type(self).__name__}(\n{indent(inside, '  ')}\n)"


# A __getattr__ would do so too, but hide from type checkers which attributes there are.
for _name in INSTEAD_OF_MODULE_ATTRIBUTE:
    setattr(Module, _name, MissingAttribute(_name, INSTEAD_OF_MODULE_ATTRIBUTE))


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
                (f"{path}.{inner}" if path else inner, item) for inner, item in member._members()
            ]
            pending.extend(reversed(inner_members))


def _is_leaf(member: Any) -> bool:
    return isinstance(member, Tensor) and member.is_leaf


def _is_parameter(member: Any) -> bool:
    return _is_leaf(member) and (member.requires_grad or member.is_frozen)


def _is_buffer(member: Any) -> bool:
    return _is_leaf(member) and not _is_parameter(member)
