"""A training step that runs as generated NumPy source."""

from __future__ import annotations

import contextlib
import itertools
import math
import operator
import os
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import numpy as np

from microgradx.arrays.types import Array, unwrap
from microgradx.clipping import (
    check_clip_value,
    check_max_norm,
    clip_grad_norm_,
    clip_grad_value_,
    clip_values,
    scale_to_norm,
)
from microgradx.common.files import replacing
from microgradx.common.floating_point import WarningsAtCaller
from microgradx.common.randomness import as_generator
from microgradx.common.threads import make_lock
from microgradx.compiler.members import (
    as_key,
    name_leaves,
    referenced_members,
    walk_containers,
)
from microgradx.compiler.module_text import NO_SOURCE, PROGRAMS
from microgradx.compiler.restoring import leave_unchanged
from microgradx.compiler.settings import SettingsWatch
from microgradx.compiler.step_program import StepProgram
from microgradx.compiler.tables import let_index_tables
from microgradx.compiler.trace_step import trace_step
from microgradx.compiler.traced_program import ParameterGroup, TracedProgram
from microgradx.compiler.tracing import CaptureError
from microgradx.data.batching import batches
from microgradx.engine import Tensor
from microgradx.graph.creation_order import creation_counter
from microgradx.graph.observers import observers
from microgradx.nn.module import Module, walk_members
from microgradx.optim.optimizer import Optimizer

__all__ = ["CompiledStep"]

# After all that modules hold, so that one object more, or one less, is seen too.
_END = object()


class CompiledStep:
    """A training step, `step(X, y)`, that runs as generated NumPy source: see `compile`.

    It changes the arrays of the parameters and of the optimiser's state in place, as an eager step
    does. So eager and compiled steps may take turns, and settings, learning rates and values may
    change between them. It leaves no gradients in `grad`, and no attributes that `forward` sets on
    modules. Replace the optimiser's state with `load_state_dict` only. Threads may share a step:
    one waits while another takes it. Others may use the model while it is traced.

    >>> import microgradx as mg
    >>> model = mg.nn.MLP(2, (8,), 2, "tanh", generator=np.random.default_rng(0))
    >>> step = mg.compile(model, mg.cross_entropy, mg.optim.Adam(model.parameters(), lr=0.1))
    >>> X, y = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]), np.array([0, 1, 1, 0])
    >>> for _ in range(200):
    ...     loss = step(X, y)
    >>> loss < 0.05
    True
    """

    def __init__(
        self,
        model: Any,
        loss: Callable[[Any, Any], Any],
        optimizer: Optimizer,
        *,
        clip_grad_norm: float | None = None,
        clip_grad_value: float | None = None,
    ) -> None:
        if not callable(model) or not callable(loss) or not isinstance(optimizer, Optimizer):
            raise TypeError(
                "compile takes a model, a loss (a function of the model's output and y) and an "
                f"optimiser of microgradx.optim, not {type(model).__name__}, "
                f"{type(loss).__name__} and {type(optimizer).__name__}"
            )
        self.model = model
        self.loss = loss
        self.optimizer = optimizer
        if clip_grad_norm is not None and clip_grad_value is not None:
            raise ValueError(
                "clip_grad_norm scales all gradients by one factor, and clip_grad_value clips each "
                "number; give one of them"
            )
        self.clip_grad_norm = None if clip_grad_norm is None else check_max_norm(clip_grad_norm)
        self.clip_grad_value = (
            None if clip_grad_value is None else check_clip_value(clip_grad_value)
        )
        self._programs: OrderedDict[Any, StepProgram] = OrderedDict()
        self._latest: StepProgram | None = None
        self._output: Array | None = None  # of a step that was not compiled
        self._settings_watch = SettingsWatch(optimizer)
        # Of the parameters after the latest compiled step, if steps are counted.
        self._sequence_numbers: list[int] = []
        self._lock = make_lock()  # all threads change the same parameters

    def __call__(self, X: Any, y: Any) -> float:
        """Take one step on a batch, and return the loss before the step.

        Raises CaptureError for what cannot be compiled; IndexError for labels that are not classes,
        before anything is changed; and, in the first call, what eager execution raises.
        """
        with self._lock, WarningsAtCaller():
            return self._step(X, y)

    def _step(self, X: Any, y: Any) -> float:
        if type(X) is not np.ndarray or type(y) is not np.ndarray:
            X, y = np.asarray(unwrap(X)), np.asarray(unwrap(y))
        if observers.get():  # they observe ops, of which a program has none
            return self._eager(X, y)
        program = self._latest
        shapes = X.shape, X.dtype, y.shape, y.dtype
        if program is None or program.shapes != shapes or self._has_changed():
            program = self._program(X, y)
            if program is None:
                loss_of_first = self._eager(X, y)
                # Now there is a state, so a program can be traced, for its source. If forward has
                # become another by this step, the next call raises the error, as this one is taken.
                with contextlib.suppress(CaptureError):
                    self._program(X, y)
                return loss_of_first
        self._output = None
        loss: float = program.step(X, y, *[source() for source in program.sources])
        self._count_steps(program, 1)
        return loss

    def epoch(
        self, X: Any, y: Any, batch_size: int, generator: np.random.Generator | None = None
    ) -> float:
        """Take one step for each batch of all rows, in a new random order; return the mean loss.

        The batches are those of `microgradx.data.batches(X, y, batch_size, generator)`. Raises the
        errors of `batches` and of single steps.
        """
        with self._lock, WarningsAtCaller():
            return self._epoch(X, y, batch_size, generator)

    def _epoch(
        self, X: Any, y: Any, batch_size: int, generator: np.random.Generator | None
    ) -> float:
        rows = batches(X, y, batch_size, generator)
        X, y = rows.X, rows.y
        order = as_generator(generator).permutation(len(X))
        full = len(X) - len(X) % batch_size
        total = 0.0
        start = 0
        while start < full:
            first = order[start : start + batch_size]
            is_first = observers.get() or self._latest is None
            program = None if is_first else self._program(X[first], y[first])
            if program is None or program.epoch is None:
                total += self._step(X[first], y[first]) * batch_size
                start += batch_size
                continue
            losses: list[float] = []
            try:
                program.epoch(
                    X, y, order[start:full], losses, *[source() for source in program.sources]
                )
            finally:
                self._count_steps(program, len(losses))
            total += math.fsum(losses) * batch_size
            start = full
        if full < len(X):
            rest = order[full:]
            total += self._step(X[rest], y[rest]) * len(rest)
        return total / len(X)

    @property
    def output(self) -> Array:
        """A copy of the model's output in the latest step (not in an epoch).

        Raises ValueError before the first step, and if the output is not a Tensor that the model
        computes.
        """
        output = self._output
        if output is None and self._latest is not None:
            output = self._latest.output
        if output is None:
            raise ValueError(
                "there is no output: no step was taken yet, or the model returns something else "
                "than one Tensor that it computes"
            )
        return output.copy()

    @property
    def source(self) -> str:
        """The generated module; of several, the one with which most steps were taken."""
        if not self._programs:
            raise ValueError(NO_SOURCE.format("call step(X, y)"))
        return max([*self._programs.values()], key=operator.attrgetter("uses")).source

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write `source` to a file, which trains on example data when Python runs it."""
        text = self.source
        with replacing(path) as temporary:
            temporary.write_text(text, encoding="utf-8")

    # ------------------------------------------------------------------ programs

    def _eager(self, X: Array, y: Array) -> float:
        self.optimizer.zero_grad()
        output = self.model(X)
        total = self.loss(output, y)
        total.backward()
        if self.clip_grad_norm is not None:
            clip_grad_norm_(self.optimizer.params, self.clip_grad_norm)
        if self.clip_grad_value is not None:
            clip_grad_value_(self.optimizer.params, self.clip_grad_value)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self._output = output.data if isinstance(output, Tensor) else None
        return float(total.item())

    def _program(self, X: Array, y: Array) -> StepProgram | None:
        """The program for arrays like these: an earlier one that still fits, or a new one.

        None if the optimiser has no state yet, and the next step can be compiled.
        """
        for name, array in (("X", X), ("y", y)):
            if array.dtype.kind not in "fiub":
                raise TypeError(f"{name} must hold numbers, and is of dtype {array.dtype}")
        optimizer = self.optimizer
        roots = [*referenced_members(self.model), *referenced_members(self.loss)]
        paths = {member: path for path, member in walk_members(roots)}
        attributes = [vars(member) for member in paths if isinstance(member, Module)]
        self._settings_watch.find_scheduled()
        settings = *self._settings_watch.read_key(), *map(as_key, attributes)
        key = X.shape, X.dtype, y.shape, y.dtype, settings
        leaves = [member for member in paths if isinstance(member, Tensor) and member.is_leaf]
        leaves = list(dict.fromkeys([*optimizer.params, *leaves]))
        program = self._programs.get(key)
        if program is None or not self._is_bound(program, leaves):
            hooks = [hook for leaf in leaves for hook in leaf.hooks]
            owners = self.model, self.loss, *paths, *hooks
            try:
                with leave_unchanged(optimizer, *owners), let_index_tables(*owners):
                    traced = self._trace(X, y, leaves, paths)
                program = StepProgram(self.model, self.loss, optimizer, traced, X, y)
            except CaptureError:
                if not self._settings_watch.stop_scheduling():
                    raise
                return self._program(X, y)  # the update may need the values of settings
            if not traced.has_state:
                return None  # an eager step makes it; this one only shows what cannot be compiled
            self._programs[key] = program
            program.bindings = self._list_bindings(leaves, traced.groups)
        self._remember(attributes, leaves)
        self._programs.move_to_end(key)
        while len(self._programs) > PROGRAMS:
            self._programs.popitem(last=False)
        self._latest = program
        return program

    def _clip(self, gradients: list[Array]) -> list[Array]:
        if self.clip_grad_norm is not None:
            return scale_to_norm(gradients, self.clip_grad_norm)[0]
        if self.clip_grad_value is not None:
            return clip_values(gradients, self.clip_grad_value)
        return gradients

    def _trace(
        self, X: Array, y: Array, leaves: list[Tensor], paths: dict[Any, str]
    ) -> TracedProgram:
        trained = len(self.optimizer.params)
        tensors = list(zip(name_leaves(leaves, trained, paths), leaves, strict=True))
        parameters, constants = dict(tensors[:trained]), dict(tensors[trained:])
        return trace_step(
            self.model,
            self.loss,
            self.optimizer,
            parameters,
            constants,
            self._groups,
            self._clip,
            self._settings_watch.scheduled,
            X,
            y,
        )

    def _groups(self, used: dict[str, Tensor]) -> list[ParameterGroup]:
        """The groups in which the optimiser updates parameters: flat ones, and one by one."""
        names = {tensor: name for name, tensor in used.items()}
        optimizer = self.optimizer
        groups = []
        for flat in optimizer.flat_parameters:
            tensors = [optimizer.params[position] for position in flat.positions]
            if all(t in names for t in tensors) and flat.is_together(optimizer.state):
                parameters = {names[t]: t for t in tensors}
                groups.append(ParameterGroup(parameters, flat.values, flat.state, flat.group))
        taken = {t for group in groups for t in group.parameters.values()}
        settings = {t: group for group in optimizer.param_groups for t in group["params"]}
        for tensor, state in zip(optimizer.params, optimizer.state, strict=True):
            if tensor in names and tensor not in taken:
                parameters = {names[tensor]: tensor}
                groups.append(ParameterGroup(parameters, tensor.array, state, settings[tensor]))
        return groups

    # ------------------------------------------------------------------ what has changed

    def _remember(self, attributes: list[dict[str, Any]], leaves: list[Tensor]) -> None:
        """Remember what the latest program depends on."""
        self._states = self.optimizer.state
        self._settings = self._settings_watch.read_key()
        self._leaves = [(leaf, leaf.array, leaf.requires_grad, leaf.hooks) for leaf in leaves]
        self._containers = [*walk_containers(attributes), (_END,)]
        self._contents = list(itertools.chain.from_iterable(self._containers))

    def _has_changed(self) -> bool:
        """Whether something that the latest program depends on was replaced by another object.

        It may be an equal one; then `_program` finds that program again.
        """
        optimizer = self.optimizer
        settings = self._settings_watch.read_key()
        if optimizer.state is not self._states or settings != self._settings:
            return True
        for leaf, array, requires_grad, hooks in self._leaves:
            if (
                leaf.array is not array
                or leaf.requires_grad is not requires_grad
                or leaf.hooks is not hooks
            ):
                return True
        contents = itertools.chain.from_iterable(self._containers)
        numbers = self._sequence_numbers
        return not all(map(operator.is_, contents, self._contents)) or (
            bool(numbers) and numbers != [p.sequence_number for p in optimizer.params]
        )

    def _list_bindings(self, leaves: list[Tensor], groups: list[ParameterGroup]) -> list[Any]:
        """The objects that a program reads and writes, or whose change makes it another program."""
        bindings: list[Any] = [self.optimizer.state]
        for leaf in leaves:
            bindings += [leaf.array, leaf.requires_grad, leaf.hooks]
        for group in groups:
            arrays = [x for x in group.state.values() if isinstance(x, np.ndarray)]
            bindings += [group.values, group.state, *group.state, *arrays]
        return bindings

    def _is_bound(self, program: StepProgram, leaves: list[Tensor]) -> bool:
        """Whether a program changes the present arrays, and its counts are equal in all states."""
        bindings = self._list_bindings(leaves, self._groups(program.parameters))
        return (
            len(bindings) == len(program.bindings)
            and all(map(operator.is_, bindings, program.bindings))
            and all(
                len({state[name] for state in states}) == 1 for states, name in program.counters
            )
        )

    def _count_steps(self, program: StepProgram, count: int) -> None:
        """Mark the parameters as changed, and count the steps in the optimiser's state."""
        program.uses += count
        number = next(creation_counter)
        for tensor in program.changed_tensors:
            tensor.sequence_number = number
        for states, name in program.counters:
            for state in states:
                state[name] += count
        for flat in program.flat_parameters:
            flat.sync_state(self.optimizer.state)
        if program.counters:
            self._sequence_numbers = [p.sequence_number for p in self.optimizer.params]
