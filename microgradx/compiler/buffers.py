"""The memory plan: which buffer holds each value of a program, and which buffers are free again.

A call may write over an operand that is not read again. Other results go to buffers that are free
again, or to new ones. To tell views from copies, the plan works on arrays with the memory layout of
those of the program.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import numpy as np

from microgradx.arrays.types import Array, memory_order
from microgradx.compiler.ir import FunctionCall, Input, Program, Value, arguments_of
from microgradx.compiler.primitives import may_raise

__all__ = ["Buffer", "BufferPlan", "Location", "new_array"]


@dataclass(eq=False)
class Buffer:
    """An array of the program, which several values may use, one after the other."""

    name: str
    array: Array
    #: Whether the program may write to it.
    is_writable: bool
    #: Whether it is the same array in every call, so that views of it can be made beforehand.
    is_fixed: bool
    #: Whether it keeps its values between calls of the program.
    is_persistent: bool = False
    #: How many of the values in it will be read again.
    readers: int = 0


@dataclass(eq=False)
class Location:
    """Where a value is: its name in the source, and a buffer, or a view of one."""

    name: str
    array: Array
    buffer: Buffer


class BufferPlan:
    """The locations of values, up to the call that is being written."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.locations: dict[Value, Location] = {}
        #: Of a call that returns several arrays, the location of each.
        self.items: dict[Value, dict[int, Location]] = {}
        #: Where values must be put by the calls that compute them: in parts of a flat array.
        self.targets: dict[Value, Location] = {}
        #: The parts of each flat array, in their order; a value may come several times.
        self.parts: dict[Value, list[Location]] = {}
        #: By value, the position of the call that reads it last.
        self.last_read: dict[Value, int] = {}
        # An error, for a label that is no class, say, leaves all as it was: what persists is
        # written to after the last call that may raise one.
        raising = (i for i, c in enumerate(program.calls) if may_raise(c.function, c.args))
        self._last_raising = max(raising, default=-1)
        self._free: defaultdict[Any, list[Buffer]] = defaultdict(list)
        for i, call in enumerate(program.calls):
            self.last_read.update(dict.fromkeys(arguments_of(call), i))
        ends = [*program.results, *program.updates.values()]
        self.last_read.update(dict.fromkeys(ends, len(program.calls)))

    def bind(self, value: Value, location: Location) -> None:
        """Record where a value is from now on."""
        self.locations[value] = location
        location.buffer.readers += value in self.last_read

    def bind_input(self, value: Input, name: str) -> None:
        is_persistent = value.array is not None
        array = value.array if is_persistent else np.empty(value.shape, value.dtype)
        buffer = Buffer(
            name,
            array,
            is_writable=value in self.program.updates,
            is_fixed=is_persistent,
            is_persistent=is_persistent,
        )
        self.bind(value, Location(name, array, buffer))

    def release(self, call: FunctionCall, i: int) -> None:
        """Free the buffers that a call has read for the last time."""
        for value in dict.fromkeys(arguments_of(call)):
            if self.last_read[value] != i or value not in self.locations:
                continue
            buffer = self.locations[value].buffer
            buffer.readers -= 1
            if not buffer.readers:
                self.free(buffer)

    def free(self, buffer: Buffer) -> None:
        if buffer.is_writable and buffer.is_fixed and not buffer.is_persistent:
            self._free[_layout(buffer.array)].append(buffer)

    def take_free(self, like: Array) -> Buffer | None:
        """A buffer of this shape, dtype and order in memory that is free again, if there is one."""
        free = self._free[_layout(like)]
        return free.pop() if free else None

    def find_target(self, call: FunctionCall, i: int) -> Location | None:
        """Where a call must put its result, or an operand that it can write over."""
        if call in self.targets:
            return self.targets[call]
        for value in arguments_of(call):
            if self.can_overwrite(value, call, i) and self.is_last_read(value, i):
                location = self.locations[value]
                if memory_order(location.array) == call.order:  # or it would take longer
                    return location
        return None

    def can_overwrite(self, value: Value, call: FunctionCall, i: int) -> bool:
        """Whether an elementwise call may put its result where an operand was."""
        return (
            isinstance(call.function, np.ufunc)
            and not call.function.signature
            and self.last_read[value] == i
            and (value.shape, value.dtype) == (call.shape, call.dtype)
        )

    def is_last_read(self, value: Value, i: int) -> bool:
        """Whether a call is the last to read a buffer that the program may write to."""
        location = self.locations.get(value)
        return (
            location is not None
            and self.last_read[value] == i
            and location.buffer.is_writable
            and location.buffer.is_fixed
            and (i > self._last_raising or not location.buffer.is_persistent)
            and location.buffer.readers == 1
            and np.transpose(location.array, memory_order(location.array)).flags.carray
        )


def new_array(name: str, value: Value) -> Location:
    """The location of an array that is made anew in each call."""
    array = np.empty(value.shape, value.dtype)
    return Location(name, array, Buffer(name, array, is_writable=False, is_fixed=False))


def _layout(array: Array) -> Any:
    return array.shape, array.strides, array.dtype
