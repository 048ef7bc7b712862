"""Training steps that run as source written for them, for as long as it fits."""

from __future__ import annotations

import contextlib
import functools
import inspect
import itertools
import math
import operator
import os
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from microgradx.arrays.types import Array, unwrap
from microgradx.common.files import replacing
from microgradx.common.randomness import as_generator
from microgradx.compiler.capture import Captured, Group
from microgradx.compiler.module_text import NO_SOURCE, PROGRAMS, as_module, source_of_step
from microgradx.compiler.trace_step import captured_step, unchanged
from microgradx.compiler.tracing import CaptureError
from microgradx.data.batching import batches
from microgradx.engine import Tensor
from microgradx.graph.creation_order import creation_counter
from microgradx.graph.observers import observers
from microgradx.nn.module import Module, named_members, walk_members
from microgradx.optim.optimizer import Optimizer

__all__ = ["CompiledStep"]

_array_of = operator.attrgetter("array")
_number_of = operator.attrgetter("sequence_number")
_requires_grad_of = operator.attrgetter("requires_grad")
_hooks_of = operator.attrgetter("hooks")


class CompiledStep:
    """A training step, `step(X, y)`, that runs as source written for it: see `compile`.

    It changes the arrays of the parameters and of the optimiser's state in place, as an eager
    step does, so eager and compiled steps may take turns, and settings, learning rates and values
    may change between them. Gradients are not left in `grad`, nor is what `forward` sets as
    attributes of modules. Arrays of the optimiser's state are not to be replaced by hand, but by
    `load_state_dict`. One step at a time: it is not for several threads.

    >>> import microgradx as mg
    >>> model = mg.nn.MLP(2, (8,), 2, "tanh", generator=np.random.default_rng(0))
    >>> step = mg.compile(model, mg.cross_entropy, mg.optim.Adam(model.parameters(), lr=0.1))
    >>> X, y = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]), np.array([0, 1, 1, 0])
    >>> for _ in range(200):
    ...     loss = step(X, y)
    >>> loss < 0.05
    True
    """

    def __init__(self, model: Any, loss: Callable[[Any, Any], Any], optimizer: Optimizer) -> None:
        if not callable(model) or not callable(loss) or not isinstance(optimizer, Optimizer):
            raise TypeError(
                "compile takes a model, a loss (a function of what the model gives, and y) and an "
                f"optimiser of microgradx.optim, not {type(model).__name__}, "
                f"{type(loss).__name__} and {type(optimizer).__name__}"
            )
        self.model = model
        self.loss = loss
        self.optimizer = optimizer
        self._programs: OrderedDict[Any, _StepProgram] = OrderedDict()
        self._latest: _StepProgram | None = None
        self._output: Array | None = None  # of a step that was not compiled
        self._has_stepped = False

    def __call__(self, X: Any, y: Any) -> float:
        """Take one step on a batch, and give its loss, as it was before the step.

        Raises CaptureError for what cannot be compiled; IndexError for labels that are no class,
        before anything is changed; and, in the first call, what eager execution raises.
        """
        if type(X) is not np.ndarray or type(y) is not np.ndarray:
            X, y = np.asarray(unwrap(X)), np.asarray(unwrap(y))
        if observers.get():  # of single ops, of which there are none in a program
            return self._eager(X, y)
        program = self._latest
        if program is None or not program.fits(X, y):
            program = self._program(X, y)
            if program is None:
                loss_of_first = self._eager(X, y)
                # There is a state now, and so there can be a source. What cannot be captured is
                # said at the next call, as this step was taken.
                with contextlib.suppress(CaptureError):
                    self._program(X, y)
                return loss_of_first
        self._output = None
        loss: float = program.step(X, y, *[source() for source in program.sources])
        program.after_steps(1)
        return loss

    def epoch(
        self, X: Any, y: Any, batch_size: int, generator: np.random.Generator | None = None
    ) -> float:
        """One step for each batch of all rows, in an order drawn anew; gives the mean loss.

        Batches are those of `microgradx.data.batches(X, y, batch_size, generator)`, and errors its
        own and those of single steps.
        """
        rows = batches(X, y, batch_size, generator)
        X, y = rows.X, rows.y
        order = as_generator(generator).permutation(len(X))
        full = len(X) - len(X) % batch_size
        total = 0.0
        start = 0
        while start < full:
            first = order[start : start + batch_size]
            program = None if observers.get() else self._program(X[first], y[first])
            if program is None or program.epoch is None:
                total += self(X[first], y[first]) * batch_size
                start += batch_size
                continue
            losses: list[float] = []
            try:
                program.epoch(
                    X, y, order[start:full], losses, *[source() for source in program.sources]
                )
            finally:
                program.after_steps(len(losses))
            total += math.fsum(losses) * batch_size
            start = full
        if full < len(X):
            rest = order[full:]
            total += self(X[rest], y[rest]) * len(rest)
        return total / len(X)

    @property
    def output(self) -> Array:
        """What the model gave in the latest step (not in an epoch): a copy.

        Raises ValueError before the first step, and where it gives no single array of its own.
        """
        output = self._output
        if output is None and self._latest is not None:
            output = self._latest.output
        if output is None:
            raise ValueError(
                "there is no output to be shown: no step was taken yet, or the model gives "
                "something else than one Tensor that it computes"
            )
        return output.copy()

    @property
    def source(self) -> str:
        """The module that was written, of several that for the batches that most steps were of."""
        if not self._programs:
            raise ValueError(NO_SOURCE.format("call step(X, y)"))
        return max(self._programs.values(), key=operator.attrgetter("uses")).source

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write `source` to a file, which trains on made-up numbers when Python runs it."""
        text = self.source
        with replacing(path) as temporary:
            temporary.write_text(text, encoding="utf-8")

    # ------------------------------------------------------------------ programs

    def _eager(self, X: Array, y: Array) -> float:
        self.optimizer.zero_grad()
        output = self.model(X)
        total = self.loss(output, y)
        total.backward()
        self.optimizer.step()
        self.optimizer.zero_grad()
        self._has_stepped = True
        self._output = output.data if isinstance(output, Tensor) else None
        return float(total.item())

    def _program(self, X: Array, y: Array) -> _StepProgram | None:
        """The program for arrays like these: one from before that still fits, or a new one."""
        for name, array in (("X", X), ("y", y)):
            if array.dtype.kind not in "fiub":
                raise TypeError(f"{name} must hold numbers, and is of dtype {array.dtype}")
        key = X.shape, X.dtype, y.shape, y.dtype, self._situation()
        program = self._programs.get(key)
        if program is not None and program.is_bound():
            program.changes = Module.changes
        else:
            captured = self._captured(X, y)
            if captured is None:
                return None
            program = self._programs[key] = _StepProgram(self, captured, X, y)
        self._programs.move_to_end(key)
        while len(self._programs) > PROGRAMS:
            self._programs.popitem(last=False)
        self._latest = program
        return program

    def _situation(self) -> Any:
        """What else decides what a step computes: settings of modules and of the optimiser."""
        optimizer = self.optimizer
        return (
            tuple(getattr(optimizer, name) for name in optimizer.hyperparameters if name != "lr"),
            tuple((module.training, _setting(vars(module))) for module in self.modules()),
        )

    def reached(self) -> list[tuple[str, Any]]:
        """The Tensors and modules that model and loss consist of, or refer to, with their paths."""
        return list(walk_members([*_referred_to(self.model), *_referred_to(self.loss)]))

    def modules(self) -> list[Module]:
        """The modules among them."""
        return [member for _, member in self.reached() if isinstance(member, Module)]

    def leaves(self) -> list[tuple[str, Tensor]]:
        """The leaf Tensors among them that the optimiser does not train."""
        trained = set(self.optimizer.params)
        return [
            (path, member)
            for path, member in self.reached()
            if isinstance(member, Tensor) and member.is_leaf and member not in trained
        ]

    def _captured(self, X: Array, y: Array) -> Captured | None:
        keeps_nothing = self.optimizer.counters and not any(self.optimizer.state)
        if keeps_nothing and not self._has_stepped:
            return None  # the first step, an eager one, makes the state
        paths = {member: path for path, member in self.reached()}
        trained = self.optimizer.params
        named = [paths.get(t) or t.name or f"w{k + 1}" for k, t in enumerate(trained)]
        rest = self.leaves()
        names = _distinct([*_short(named), *(path for path, _ in rest)])
        parameters = dict(zip(names, trained, strict=False))
        constants = dict(zip(names[len(trained) :], (t for _, t in rest), strict=True))
        with unchanged(self.modules()):
            return captured_step(
                self.model, self.loss, self.optimizer, parameters, constants, self._groups, X, y
            )

    def _groups(self, used: dict[str, Tensor]) -> list[Group]:
        """Small parameters side by side, as the optimiser has laid them; the others one by one."""
        names = {tensor: name for name, tensor in used.items()}
        optimizer = self.optimizer
        groups = []
        for several in optimizer.flat_parameters:
            tensors = [optimizer.params[position] for position in several.positions]
            if all(t in names for t in tensors) and several.is_together(optimizer.state):
                groups.append(Group({names[t]: t for t in tensors}, several.values, several.state))
        taken = {t for group in groups for t in group.parameters.values()}
        for tensor, state in zip(optimizer.params, optimizer.state, strict=True):
            if tensor in names and tensor not in taken:
                groups.append(Group({names[tensor]: tensor}, tensor.array, state))
        return groups


class _StepProgram:
    """A program for a step, bound to the arrays that it changes, and what it was captured with."""

    def __init__(self, owner: CompiledStep, captured: Captured, X: Array, y: Array) -> None:
        title = _title(owner, X, y)
        defaults = {"lr": owner.optimizer.lr}
        self.source, lines = source_of_step(captured.program, title, defaults)
        make = as_module(self.source, "step", self)["make_step"]
        self.step, self.epoch, self.output = make(*captured.kept, **lines.data)
        self.sources = captured.sources
        self.counters = captured.counters
        self.shapes = X.shape, X.dtype, y.shape, y.dtype
        optimizer = self.optimizer = owner.optimizer
        names = [name for name in optimizer.hyperparameters if name != "lr"]
        self._settings_of = operator.attrgetter(*names, "__class__")
        self._settings = self._settings_of(optimizer)
        self._parameters = optimizer.params
        leaves = [*optimizer.params, *(tensor for _, tensor in owner.leaves())]
        self._leaves = leaves
        self._arrays = list(map(_array_of, leaves))
        self._requires_grad = list(map(_requires_grad_of, leaves))
        self._hooks = list(map(_hooks_of, leaves))
        self._states = optimizer.state
        self._containers = [
            container.values if isinstance(container, dict) else container.__iter__
            for module in owner.modules()
            for container in _containers(list(vars(module).values()))
        ]
        self._contents = list(self._items())
        self._groups = captured.groups
        states = [group.state for group in captured.groups]
        self._together = [
            several
            for several in optimizer.flat_parameters
            if any(several.state is state for state in states)
        ]
        self._kept = [dict(group.state) for group in captured.groups]
        used = {name: t for group in captured.groups for name, t in group.parameters.items()}
        self._regrouped = functools.partial(owner._groups, used)
        self.uses = 0
        #: When the parameters last changed, if the program counts steps.
        self._numbers: list[int] = []
        #: How many changes modules had seen when it last was certain that this still fits.
        self.changes = Module.changes

    def fits(self, X: Array, y: Array) -> bool:
        """Whether arrays, model and optimiser are as they were when it was captured."""
        return (
            X.shape == self.shapes[0]
            and X.dtype is self.shapes[1]
            and y.shape == self.shapes[2]
            and y.dtype is self.shapes[3]
            and Module.changes == self.changes
            and self._settings_of(self.optimizer) == self._settings
            and self._holds()
            and (not self._numbers or self._numbers == list(map(_number_of, self._parameters)))
        )

    def _holds(self) -> bool:
        """Whether the arrays, and what modules keep in lists and dicts, are still the same."""
        return (
            self.optimizer.state is self._states
            and all(map(operator.is_, map(_array_of, self._leaves), self._arrays))
            and self._requires_grad == list(map(_requires_grad_of, self._leaves))
            and all(map(operator.is_, map(_hooks_of, self._leaves), self._hooks))
            and (not self._containers or all(map(operator.is_, self._items(), self._contents)))
        )

    def is_bound(self) -> bool:
        """Whether the arrays of parameters and states are those that it changes, in step."""
        if not self._holds():
            return False
        groups = self._regrouped()
        return (
            len(groups) == len(self._groups)
            and all(
                now.values is then.values
                and now.state is then.state
                and now.state.keys() == kept.keys()
                and all(now.state[k] is v for k, v in kept.items() if isinstance(v, np.ndarray))
                for now, then, kept in zip(groups, self._groups, self._kept, strict=True)
            )
            and all(len({s[name] for s in states}) == 1 for states, name in self.counters)
        )

    def _items(self) -> Iterator[Any]:
        """All that is in the lists and dicts of modules."""
        return itertools.chain.from_iterable(values() for values in self._containers)

    def after_steps(self, count: int) -> None:
        """Count steps, and tell of them the graphs that used the parameters."""
        self.uses += count
        number = next(creation_counter)
        for parameter in self._parameters:
            parameter.sequence_number = number
        if self.counters:
            for states, name in self.counters:
                for state in states:
                    state[name] += count
            for several in self._together:
                several.sync_state(self._states)
            # By which a step that somebody else takes, with some of them, will be noticed.
            self._numbers = list(map(_number_of, self._parameters))


# ---------------------------------------------------------------------------- what steps depend on


def _referred_to(function: Any) -> list[tuple[str, Any]]:
    """The Tensors and modules that a model or a loss is, or that a function of Python's names."""
    if isinstance(function, (Module, Tensor)):
        return [("", function)]
    function = getattr(function, "func", function)  # of a functools.partial
    named = {"": getattr(function, "__self__", None)}
    if inspect.isfunction(function) or inspect.ismethod(function):
        variables = inspect.getclosurevars(function)
        named |= {**variables.globals, **variables.nonlocals}
    return [pair for name, value in named.items() for pair in named_members(name, value)]


def _containers(values: list[Any]) -> Iterator[Any]:
    """The lists and dicts among values, and those in them."""
    for value in values:
        if isinstance(value, (list, tuple, dict)):
            if not isinstance(value, tuple):
                yield value
            yield from _containers(list(value.values() if isinstance(value, dict) else value))


def _setting(value: Any) -> Any:
    """What an attribute of a module is, for a comparison later on."""
    if isinstance(value, (list, tuple)):
        return type(value), *map(_setting, value)
    if isinstance(value, dict):
        return dict, *((key, _setting(item)) for key, item in value.items())
    is_plain = isinstance(value, (bool, int, float, str, type(None)))
    return value if is_plain else _Identity(value)


class _Identity:
    """Equal for one object alone; which it holds, so that no other can take its place."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Identity) and other.value is self.value

    def __hash__(self) -> int:
        return id(self.value)


def _title(owner: CompiledStep, X: Array, y: Array) -> str:
    function = getattr(owner.loss, "func", owner.loss)  # of functools.partial
    loss = getattr(function, "__name__", type(function).__name__)
    return (
        f"One training step of {type(owner.model).__name__} with {loss} and "
        f"{type(owner.optimizer).__name__}, written by microgradx.\n\n"
        f"X has shape {X.shape} and dtype {X.dtype}, y has shape {y.shape} and dtype {y.dtype}.\n"
    )


def _short(paths: list[str]) -> list[str]:
    """Paths of parameters as names: the weight and bias of the second layer are W2 and b2."""
    layers = list(dict.fromkeys(path.rpartition(".")[0] for path in paths))
    short = []
    for path in paths:
        layer, _, last = path.rpartition(".")
        number = layers.index(layer) + 1 if len(layers) > 1 else ""
        short.append({"weight": f"W{number}", "bias": f"b{number}"}.get(last, path))
    return short


def _distinct(names: list[str]) -> list[str]:
    """The names, with numbers where one would come again."""
    distinct: dict[str, None] = {}
    for name in names:
        different, count = name, 1
        while different in distinct:
            count += 1
            different = f"{name}_{count}"
        distinct[different] = None
    return list(distinct)
