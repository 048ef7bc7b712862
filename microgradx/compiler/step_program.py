"""The program of a training step: the functions of a generated module, and their arrays."""

from __future__ import annotations

from typing import Any
from weakref import WeakValueDictionary

from microgradx.arrays.types import Array
from microgradx.compiler.module_text import load_module, name_in_title, write_step_module
from microgradx.compiler.traced_program import TracedProgram
from microgradx.engine import Tensor
from microgradx.optim.optimizer import Optimizer

__all__ = ["StepProgram"]

# By id, the arrays of buffers that programs change in place, in which nothing else has a part.
_own_arrays: WeakValueDictionary[int, Array] = WeakValueDictionary()


class StepProgram:
    """The functions of a generated module, and what they were made for."""

    #: The objects that it reads and writes.
    bindings: list[Any]

    def __init__(
        self,
        model: Any,
        loss: Any,
        optimizer: Optimizer,
        traced: TracedProgram,
        X: Array,
        y: Array,
    ) -> None:
        title, defaults = _module_title(model, loss, optimizer, X, y), traced.numbers
        self.source, lines = write_step_module(traced.program, title, defaults)
        make = load_module(self.source, "step", self)["make_step"]
        for i, value in enumerate(traced.program.persistent):
            if value in traced.buffers:
                traced.persistent[i] = _own_array(traced.buffers[value])
        self.step, self.epoch, self.output = make(*traced.persistent, **lines.data)
        self.shapes = X.shape, X.dtype, y.shape, y.dtype
        self.sources = traced.sources
        self.counters = traced.counters
        self.parameters = {n: t for group in traced.groups for n, t in group.parameters.items()}
        # Where steps are counted, flat parameters pass on the counts, and are marked as changed.
        states = [group.state for group in traced.groups if traced.counters]
        self.flat_parameters = [
            flat
            for flat in optimizer.flat_parameters
            if any(flat.state is state for state in states)
        ]
        positions = {position for flat in self.flat_parameters for position in flat.positions}
        one_by_one = [p for k, p in enumerate(optimizer.params) if k not in positions]
        self.changed_tensors = [*one_by_one, *traced.buffers.values()]
        self.uses = 0


def _own_array(buffer: Tensor) -> Array:
    """The array of a buffer, which is copied if it may be shared: programs change it in place."""
    if _own_arrays.get(id(buffer.array)) is not buffer.array:
        buffer.array = buffer.array.copy(order="K")
        _own_arrays[id(buffer.array)] = buffer.array
    return buffer.array


def _module_title(model: Any, loss: Any, optimizer: Optimizer, X: Array, y: Array) -> str:
    function = getattr(loss, "func", loss)  # func: of functools.partial
    model_name, loss_name, optimizer_name = map(
        name_in_title, (type(model), function, type(optimizer))
    )
    return (
        f"One training step of {model_name} with {loss_name} and {optimizer_name}, written by "
        "microgradx.\n\n"
        f"X has shape {X.shape} and dtype {X.dtype}, y has shape {y.shape} and dtype {y.dtype}.\n"
    )
