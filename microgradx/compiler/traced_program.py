"""A traced program, and the builder that gives it inputs while it is traced."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from microgradx.arrays.types import Array
from microgradx.common.nested import map_nested
from microgradx.common.randomness import default_generator, generator_tracer
from microgradx.compiler.ir import Constant, Input, Program, Value, arguments_of
from microgradx.compiler.names import NamingObserver
from microgradx.compiler.passes import simplify
from microgradx.compiler.primitives import concatenate_flat, flat_slice
from microgradx.compiler.tracing import TracedArray, TracedGenerator, TracedNumber, Tracer
from microgradx.engine import Tensor
from microgradx.graph.grad_mode import enable_grad
from microgradx.graph.observers import observe

__all__ = ["ParameterGroup", "ProgramBuilder", "TracedProgram"]


@dataclass
class ParameterGroup:
    """Parameters that are updated together: their values and the optimiser's state for them.

    The values of several parameters are one flat array; a single one keeps its shape. Their
    settings are those of one of the optimiser's own groups.
    """

    parameters: dict[str, Tensor]
    values: Array
    state: dict[str, Any]
    settings: dict[str, Any]


@dataclass
class TracedProgram:
    """A program, its persistent arrays, and functions that return its other inputs."""

    program: Program
    #: Parameters, optimiser state, constants of the model.
    persistent: list[Array]
    #: They return the arguments after the arrays: learning rate, counts, generators.
    sources: list[Callable[[], Any]]
    #: For each count, the states that hold it, and its name there.
    counters: list[tuple[list[dict[str, Any]], str]] = field(default_factory=list)
    groups: list[ParameterGroup] = field(default_factory=list)
    #: The constants of the model that a step changes, such as running means.
    buffers: dict[Value, Tensor] = field(default_factory=dict)
    #: Whether the state is the optimiser's; otherwise it is one like that of its first step.
    has_state: bool = True
    #: Of a function: makes its result from the results of the program.
    rebuild: Callable[[Sequence[Any]], Any] | None = None

    @property
    def numbers(self) -> dict[str, float]:
        """The present values of the arguments that are numbers, by name."""
        arguments = self.program.arguments
        names = [value.name for value in arguments[len(arguments) - len(self.sources) :]]
        values = [source() for source in self.sources]
        return {n: x for n, x in zip(names, values, strict=True) if isinstance(x, (int, float))}


class ProgramBuilder:
    """A tracer, with the inputs of the program so far; `build` returns the program."""

    def __init__(self) -> None:
        self.tracer = Tracer()
        self.naming = NamingObserver(self.tracer)
        self.arguments: list[tuple[Input, Callable[[], Any] | None]] = []
        self.persistent: list[tuple[Input, Array]] = []
        self.number_names: dict[float, str] = {}
        self._generators: dict[int, TracedGenerator] = {}

    def add_argument(self, example: Array, name: str) -> TracedArray:
        value = Input(example.shape, example.dtype, name=name)
        self.arguments.append((value, None))
        traced = TracedArray(self.tracer, example, value)
        traced.is_read_only = True
        return traced

    def add_persistent(self, array: Array, name: str, role: str = "constant") -> TracedArray:
        value = Input(array.shape, array.dtype, name=name, role=role, array=array)
        self.persistent.append((value, array))
        return TracedArray(self.tracer, array, value)

    def add_number(self, example: float, name: str, source: Callable[[], Any]) -> TracedNumber:
        value = Input((), None, name=name)
        self.arguments.append((value, source))
        return TracedNumber(self.tracer, example, value)

    def add_generator(
        self,
        generator: np.random.Generator,
        name: str,
        source: Callable[[], np.random.Generator] | None = None,
    ) -> TracedGenerator:
        value = Input((), None, name=name)
        self.arguments.append((value, source))
        return TracedGenerator(self.tracer, copy.deepcopy(generator), value)

    def trace_generator(self, generator: np.random.Generator) -> TracedGenerator:
        """The traced generator in place of one from which the model draws."""
        if id(generator) not in self._generators:
            is_default = generator is default_generator()
            source = default_generator if is_default else lambda: generator
            self._generators[id(generator)] = self.add_generator(generator, "generator", source)
        return self._generators[id(generator)]

    @contextmanager
    def tracing(self) -> Iterator[None]:
        """Observe ops, and trace random generators."""
        token = generator_tracer.set(self.trace_generator)
        try:
            with observe(self.naming), enable_grad():
                yield
        finally:
            generator_tracer.reset(token)

    def build(
        self,
        results: Sequence[TracedArray | TracedNumber],
        updates: Mapping[Value, TracedArray],
    ) -> TracedProgram:
        """The simplified program, without the inputs that its results do not need."""
        ends = [traced.value for traced in (*results, *updates.values())]
        calls, values = simplify(self.tracer.calls, ends)
        needed = {*values, *(v for call in calls for v in arguments_of(call))}
        arguments = [(v, source) for v, source in self.arguments if source is None or v in needed]
        persistent = [(v, array) for v, array in self.persistent if v in needed or v in updates]
        changes = zip(updates, values[len(results) :], strict=True)
        program = Program(
            calls,
            [value for value, _ in persistent],
            [value for value, _ in arguments],
            values[: len(results)],
            {start: end for start, end in changes if start is not end},
            comments=self.tracer.comments,
            number_names=self.number_names,
            target=self.naming.target,
        )
        sources = [source for _, source in arguments if source is not None]
        return TracedProgram(program, [array for _, array in persistent], sources)

    def fingerprint(self, start: int = 0) -> list[Any]:
        """The calls in a form that is equal for each trace of the same computation.

        It differs where numbers are drawn or counted outside of the program.
        """
        layout = (flat_slice, concatenate_flat)
        calls = [call for call in self.tracer.calls[start:] if call.function not in layout]
        positions: dict[Any, int] = {call: i for i, call in enumerate(calls)}

        def identify(x: Any) -> Any:
            if isinstance(x, Constant):
                return x.data.tobytes()
            if isinstance(x, Value):
                return positions.get(x, x.name)
            return repr(x) if isinstance(x, (int, float)) else x

        return [(call.function, map_nested(identify, (call.args, call.kwargs))) for call in calls]
