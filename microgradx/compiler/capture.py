"""What a program is captured with, and what comes of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from microgradx.arrays.types import Array
from microgradx.common.nested import map_nested
from microgradx.common.randomness import default_generator, generator_tracer
from microgradx.compiler.ir import Constant, Input, Program, Value, arguments_of
from microgradx.compiler.names import Naming
from microgradx.compiler.passes import simplified
from microgradx.compiler.primitives import joined, piece
from microgradx.compiler.tracing import RecordedArray, RecordedGenerator, RecordedNumber, Recorder
from microgradx.engine import Tensor
from microgradx.graph.grad_mode import enable_grad
from microgradx.graph.observers import observe

__all__ = ["Capture", "Captured", "Group"]


@dataclass
class Group:
    """Parameters that are updated as one, in `values`, with what the optimiser keeps for them.

    Several are parts of one flat array; one alone is an array of its own shape.
    """

    parameters: dict[str, Tensor]
    values: Array
    state: dict[str, Any]


@dataclass
class Captured:
    """A program, with the arrays that it keeps and where its arguments come from."""

    program: Program
    #: What the program keeps and changes: parameters, state, constants of the model.
    kept: list[Array]
    #: What gives, at each call, the arguments after the arrays: learning rate, counts, generators.
    sources: list[Callable[[], Any]]
    #: The states in which each count is, the same in all of them, and its name.
    counters: list[tuple[list[dict[str, Any]], str]] = field(default_factory=list)
    #: How the parameters were updated together.
    groups: list[Group] = field(default_factory=list)
    #: What is made of the program's results.
    rebuilt: Callable[[Sequence[Any]], Any] | None = None


class Capture:
    """What a program is captured with: a recorder, and the inputs that it has been given."""

    def __init__(self) -> None:
        self.recorder = Recorder()
        self.naming = Naming(self.recorder)
        self.arguments: list[tuple[Input, Callable[[], Any] | None]] = []
        self.kept: list[tuple[Input, Array]] = []
        self.number_names: dict[float, str] = {}
        self._generators: dict[int, RecordedGenerator] = {}

    def argument(self, example: Array, name: str) -> RecordedArray:
        recorded = self.recorder.array(example, name)
        recorded.is_given = True
        self.arguments.append((recorded.value, None))  # type: ignore[arg-type]
        return recorded

    def keep(self, array: Array, name: str) -> RecordedArray:
        recorded = self.recorder.array(array, name)
        recorded.value.array = array  # type: ignore[attr-defined]
        self.kept.append((recorded.value, array))  # type: ignore[arg-type]
        return recorded

    def number(self, example: float, name: str, source: Callable[[], Any]) -> RecordedNumber:
        recorded = self.recorder.number(example, name)
        self.arguments.append((recorded.value, source))  # type: ignore[arg-type]
        return recorded

    def generator(self, generator: np.random.Generator) -> RecordedGenerator:
        """What stands in for a generator that the model draws from."""
        if id(generator) not in self._generators:
            recorded = self.recorder.generator(generator, "generator")
            is_default = generator is default_generator()
            source = default_generator if is_default else lambda: generator
            self.arguments.append((recorded.value, source))  # type: ignore[arg-type]
            self._generators[id(generator)] = recorded
        return self._generators[id(generator)]

    def generator_argument(self, generator: np.random.Generator, name: str) -> RecordedGenerator:
        recorded = self.recorder.generator(generator, name)
        self.arguments.append((recorded.value, None))  # type: ignore[arg-type]
        return recorded

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Ops are observed, and what is drawn is recorded."""
        token = generator_tracer.set(self.generator)
        try:
            with observe(self.naming), enable_grad():
                yield
        finally:
            generator_tracer.reset(token)

    def captured(
        self,
        results: Sequence[RecordedArray | RecordedNumber],
        changed: Mapping[Value, RecordedArray],
    ) -> Captured:
        """The program so far, without what its results do not need."""
        ends = [recorded.value for recorded in (*results, *changed.values())]
        calls, values = simplified(self.recorder.calls, ends)
        needed = {*values, *(v for call in calls for v in arguments_of(call))}
        arguments = [(v, source) for v, source in self.arguments if source is None or v in needed]
        kept = [(v, array) for v, array in self.kept if v in needed or v in changed]
        changes = zip(changed, values[len(results) :], strict=True)
        program = Program(
            calls,
            [value for value, _ in kept],
            [value for value, _ in arguments],
            values[: len(results)],
            {start: end for start, end in changes if start is not end},
            number_names=self.number_names,
            target=self.naming.target,
        )
        sources = [source for _, source in arguments if source is not None]
        return Captured(program, [array for _, array in kept], sources)

    def fingerprint(self, start: int = 0) -> list[Any]:
        """What is the same for another capture, unless something is drawn or counted elsewhere."""
        calls = [c for c in self.recorder.calls[start:] if c.function not in (piece, joined)]
        positions: dict[Any, int] = {call: i for i, call in enumerate(calls)}

        def part(x: Any) -> Any:
            if isinstance(x, Constant):
                return x.data.tobytes()
            if isinstance(x, Value):
                return positions.get(x, x.name)
            return repr(x) if isinstance(x, (int, float)) else x

        return [(call.function, map_nested(part, (call.args, call.kwargs))) for call in calls]
