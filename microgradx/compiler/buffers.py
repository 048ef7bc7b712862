"""What lines of NumPy need besides their functions: names, and memory for every array.

While lines are written, memory is planned: a call may write over an operand that nothing reads any
more, other results go to arrays that are free again, or to new ones. To know what is a view and
what a copy, the plan works on arrays laid out as those of the program will be.
"""

from __future__ import annotations

import builtins
import keyword
import math
import operator
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from microgradx.arrays.types import Array
from microgradx.compiler.ir import (
    Call,
    Constant,
    Input,
    Part,
    Program,
    Value,
    arguments_of,
    is_uniform,
)
from microgradx.compiler.primitives import joined
from microgradx.compiler.tracing import CaptureError

__all__ = ["Place", "Result", "Writer", "Written", "piece_text"]

# NumPy's names that would hide one of Python's, if they were imported.
_HIDING = {*dir(builtins)} & {*dir(np)}

# What a variable cannot be called.
_TAKEN = {*dir(np), *dir(builtins), *keyword.kwlist, "np", "step", "function", "epoch"}
_TAKEN |= {
    "check_labels",
    "losses_and_gradients",
    "shifted_exponentials",
    "far_cross_entropy",
    "X_rows",
    "y_rows",
}

# Nor what is kept, beside these: what the functions around the step call theirs.
_AROUND = {"make_step", "made_up", "train", "teacher", "epochs", "history", "number", "generator"}
_AROUND |= {"losses", "order", "rows", "start"}

_OPERATORS = {
    operator.add: "+",
    operator.sub: "-",
    operator.mul: "*",
    operator.truediv: "/",
    operator.floordiv: "//",
    operator.mod: "%",
    operator.pow: "**",
}

# What an argument is called as an array.
_LONGER = {"lr": "learning_rate", "t": "step_count"}


@dataclass(eq=False)
class Memory:
    """An array of the program's, which several values may use, one after the other."""

    array: Array
    #: Whether the program may write to it.
    is_own: bool
    #: Whether it is the same array in every call, so that views of it can be made beforehand.
    is_fixed: bool
    #: How many of the values in it will still be read.
    readers: int = 0


@dataclass(eq=False)
class Place:
    """Where a value is: what the source calls it, and the memory, all of it or a view."""

    name: str
    array: Array
    memory: Memory


class Result(NamedTuple):
    """A result by its name."""

    name: str
    #: Whether it is the same array in every call.
    is_fixed: bool
    #: Whether nobody else holds the array.
    is_alone: bool


@dataclass
class Written:
    """A program as lines: what is made once, and what is done in each call."""

    kept: list[str] = field(default_factory=list)
    arguments: list[str] = field(default_factory=list)
    views_of_kept: list[str] = field(default_factory=list)
    constants: list[str] = field(default_factory=list)
    setup: list[str] = field(default_factory=list)
    body: list[str] = field(default_factory=list)
    results: list[Result] = field(default_factory=list)
    imports: set[str] = field(default_factory=set)
    #: Functions that the lines call, as text.
    helpers: list[str] = field(default_factory=list)
    #: Constants too large to be written down, by name.
    data: dict[str, Array] = field(default_factory=dict)


class Writer:
    """Names and memory of a program's values, and the lines so far."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.written = Written()
        self.places: dict[Value, Place] = {}
        #: Of a call that gives several arrays, where each is.
        self.several: dict[Value, dict[int, Place]] = {}
        #: Where values shall be put by the calls that make them.
        self.targets: dict[Value, Place] = {}
        #: Where the parts of joined arrays belong, in their order; one may come several times.
        self.pieces: dict[Value, list[Place]] = {}
        #: By value, the position of the call that reads it last.
        self.last_use: dict[Value, int] = {}
        self._taken = set(_TAKEN)
        self._counts: dict[str, int] = {}  # of names that were wished for, and taken
        self._free: defaultdict[Any, list[Place]] = defaultdict(list)
        self._known: dict[Any, str] = {}  # names of constants, of numbers, and of arrays' bits
        self._part: Part | None = None
        self._comments: dict[int, Part] = {}  # by their lines

    # ------------------------------------------------------------------ before the first line

    def prepare(self) -> None:
        """Find when values are read last, and give places to what the program is given."""
        program = self.program
        for i, call in enumerate(program.calls):
            self.last_use.update(dict.fromkeys(arguments_of(call), i))
        ends = [*program.results, *program.changed.values()]
        self.last_use.update(dict.fromkeys(ends, len(program.calls)))
        self._pass_names_back(program.calls)
        for value in program.kept:
            self._give(value, is_fixed=True)
            self.written.kept.append(self.places[value].name)
        for value in program.arguments:
            if value.is_number:
                is_generator = value.name == "generator"
                name = self.name if is_generator else self._name_around
                self._known[value] = name(value.name)
            else:
                self._give(value, is_fixed=False)
            self.written.arguments.append(self.text(value))
        for call in program.calls:
            if call.function is joined:
                self._lay_out(call)

    def _give(self, value: Input, *, is_fixed: bool) -> None:
        array = value.array if is_fixed else np.empty(value.shape, value.dtype)
        name = self._name_around if is_fixed else self.name
        memory = Memory(array, is_own=value in self.program.changed, is_fixed=is_fixed)
        self.settle(value, Place(name(value.name), array, memory))

    def _pass_names_back(self, calls: Sequence[Call]) -> None:
        """A value that is written over takes the name of what takes its place."""
        for i, call in reversed(list(enumerate(calls))):
            for value in arguments_of(call):
                if self.can_be_written_over(value, call, i) and isinstance(value, Call):
                    if call.name and not value.is_named and value.function is not joined:
                        value.name = call.name
                    break

    def _lay_out(self, call: Call) -> None:
        """Memory for arrays that stand one after the other, in which each is computed at once."""
        whole = self.targets[call] = self.buffer(call.shape, call.dtype, call.name)
        self.written.views_of_kept.append(self.written.setup.pop())
        start = 0
        pieces = self.pieces[call] = []
        for part in call.args:
            name = self.name(part.name or "part")
            line = f"{name} = {piece_text(whole.name, start, part.shape)}"
            self.written.views_of_kept.append(line)
            stop = start + math.prod(part.shape)
            view = whole.array[start:stop].reshape(part.shape)
            pieces.append(Place(name, view, whole.memory))
            self.targets.setdefault(part, pieces[-1])
            start = stop

    # ------------------------------------------------------------------ lines

    def step(self, line: str) -> None:
        """A line of what is done in each call."""
        self.written.body.append(line)

    def setup(self, line: str) -> None:
        """A line of what is done once."""
        self.written.setup.append(line)

    def comment(self, call: Call) -> None:
        """Say what the calls from here on do together, where that changes."""
        part = call.part
        if part is None or part is self._part:
            return
        self._part = part
        if self.written.body:
            self.step("")
        self._comments[len(self.written.body)] = part
        self.step("#")

    def finish(self) -> None:
        """Write the comments, now that all values have names."""
        lines = self.written.body
        for line, part in reversed(self._comments.items()):
            if lines[line + 1 : line + 2] in ([], [""]):  # it was all views, made beforehand
                del lines[line - 1 if line else 0 : line + 1]
                continue
            names = [self._name_in_comment(value) for value in part.values]
            self.written.body[line] = f"# {part.text.format(*names)}"

    def _name_in_comment(self, value: Value) -> str:
        if value in self.places:
            return self.places[value].name
        if isinstance(value, Constant) and not value.shape:
            return f"{value.data.item():g}"
        return value.name or "…"

    def help(self, source: str) -> None:
        """Let the source have a function that its lines call."""
        if source not in self.written.helpers:
            self.written.helpers.append(source)

    def use(self, name: str) -> str:
        """A function of NumPy's, by its name there, as the source calls it."""
        if name in _HIDING or "." in name:
            return f"np.{name}"
        self.written.imports.add(name)
        return name

    # ------------------------------------------------------------------ names and texts

    def name(self, wished: str) -> str:
        """A name for a variable, with a number if it is taken."""
        wished = re.sub(r"\W+", "_", wished).strip("_") or "value"
        if not wished.isidentifier():  # as it begins with a digit, or has one in it such as ²
            letters = "".join(x if f"_{x}".isidentifier() else "_" for x in wished)
            wished = letters if letters.isidentifier() else f"_{letters}"
        name, count = wished, self._counts.get(wished, 0 if wished in _TAKEN else 1)
        while name in self._taken:
            count += 1
            name = f"{wished}_{count}"
        self._taken.add(name)
        self._counts[wished] = count
        return name

    def _name_around(self, wished: str) -> str:
        """A name for what is kept, with which the functions around the step have to do."""
        return self.name(f"{wished}_kept" if wished in _AROUND else wished)

    def text(self, x: Any) -> str:
        """An argument as it stands in the source."""
        if isinstance(x, Constant):
            return self.constant(x)
        if isinstance(x, Value):
            return self.expression(x) if x.is_number else self.places[x].name
        if isinstance(x, np.dtype):
            return self.use(x.name if x.name != "bool" else "bool_")
        if isinstance(x, tuple):
            return f"({', '.join(map(self.text, x))}{',' * (len(x) == 1)})"
        if isinstance(x, list):
            return f"[{', '.join(map(self.text, x))}]"
        if isinstance(x, slice):
            return f"slice({self.text(x.start)}, {self.text(x.stop)}, {self.text(x.step)})"
        if x is Ellipsis:
            return "..."
        if isinstance(x, (float, np.floating)) and not np.isfinite(x):
            return {"inf": "np.inf", "-inf": "-np.inf"}.get(str(x), "np.nan")
        if isinstance(x, np.generic):
            return repr(x.item())
        if isinstance(x, type) and issubclass(x, (np.generic, int, float)):
            return self.text(np.dtype(x))
        if callable(x):
            raise CaptureError(
                f"a function of NumPy's is given {x!r}, a function or class of Python's, which a "
                "program that stands for itself cannot contain; write out what it does"
            )
        return repr(x)

    def index(self, index: Any) -> str:
        """An index as it stands between brackets."""
        parts = index if isinstance(index, tuple) and index else (index,)
        return ", ".join(self._slice(x) if isinstance(x, slice) else self.text(x) for x in parts)

    def _slice(self, x: slice) -> str:
        ends = ["" if end is None else self.text(end) for end in (x.start, x.stop, x.step)]
        return ":".join(ends[:2] if x.step is None else ends)

    def arguments(self, args: Sequence[Any], kwargs: dict[str, Any]) -> str:
        texts = [self.text(x) for x in args]
        return ", ".join([*texts, *(f"{name}={self.text(x)}" for name, x in kwargs.items())])

    def expression(self, value: Value, *, is_inner: bool = False) -> str:
        """Arithmetic on Python's numbers."""
        if value in self._known:
            return self._known[value]
        assert isinstance(value, Call)
        texts = [
            self.expression(x, is_inner=True) if isinstance(x, Value) else repr(x)
            for x in value.args
        ]
        if value.function is operator.neg:
            return f"(-{texts[0]})"
        text = f" {_OPERATORS[value.function]} ".join(texts)
        return f"({text})" if is_inner else text

    def constant(self, constant: Constant) -> str:
        """The name of an array that is the same in every call."""
        data = constant.data
        if data.ndim == 0:
            return self.scalar(data.item(), data.dtype)
        key = data.shape, data.dtype, data.tobytes()
        if key in self._known:
            return self._known[key]
        dtype = self.text(data.dtype)
        first = data.flat[0].item() if is_uniform(data) else None
        is_zero = first == 0 and not str(first).startswith("-")
        name = self._known[key] = self.name(
            constant.name
            or ("zeros" if is_zero else f"ones_{data.size}" if first == 1 else "constant")
        )
        if data.size == 0 or is_zero:
            made = f"{self.use('zeros')}({data.shape}, {dtype})"
        elif first == 1:
            made = f"{self.use('ones')}({data.shape}, {dtype})"
        elif first is not None:
            made = f"{self.use('full')}({data.shape}, {self.text(first)}, {dtype})"
        elif data.size <= 64:
            made = f"{self.use('array')}({self.text(data.tolist())}, {dtype})"
        else:
            self.written.data[name] = data
            return name
        self.written.constants.append(f"{name} = {made}")
        return name

    def filled(self, wished: str, shape: tuple[int, ...], number: float, dtype: Any) -> str:
        """The name of an array of one number."""
        return self.constant(Constant(shape, dtype, np.full(shape, number, dtype), name=wished))

    def ones(self, size: int, dtype: Any) -> str:
        return self.filled(f"ones_{size}", (size,), 1, dtype)

    def scalar(self, number: Any, dtype: Any) -> str:
        """A number as a 0-d array, which costs a function of NumPy's half as much to take."""
        dtype = np.dtype(dtype)
        key = number if isinstance(number, Value) else dtype.type(number).tobytes(), dtype
        if key in self._known:
            return self._known[key]
        if isinstance(number, Value):
            wished = number.name if isinstance(number, Call) else _LONGER.get(number.name, "")
            name = self._known[key] = self.name(wished or "number")
            self.setup(f"{name} = {self.use('empty')}((), {self.text(dtype)})")
            self.step(f"{name}[()] = {self.expression(number)}")
        else:
            wished = self.program.number_names.get(number) or _number_name(number)
            name = self._known[key] = self.name(wished)
            line = f"{name} = {self.use('array')}({self.text(number)}, {self.text(dtype)})"
            self.written.constants.append(line)
        return name

    # ------------------------------------------------------------------ memory

    def settle(self, value: Value, place: Place) -> None:
        """Say where a value is from now on."""
        self.places[value] = place
        place.memory.readers += value in self.last_use

    def settle_fresh(self, value: Value, name: str) -> None:
        """Say that a value is an array of this one call, that the line before has made."""
        self.settle(value, fresh(name, value))

    def settle_number(self, value: Value, name: str) -> None:
        """Say that a number is a variable."""
        self._known[value] = name

    def release(self, call: Call, i: int) -> None:
        """What a call has read for the last time leaves its memory to others."""
        for value in dict.fromkeys(arguments_of(call)):
            if self.last_use[value] != i or value not in self.places:
                continue
            place = self.places[value]
            place.memory.readers -= 1
            is_whole = place.array is place.memory.array
            if not place.memory.readers and is_whole and value not in self.program.kept:
                self.give_back(place)

    def give_back(self, place: Place) -> None:
        if place.memory.is_own and place.memory.is_fixed:
            self._free[place.array.shape, place.array.dtype].append(place)

    def buffer(self, shape: tuple[int, ...], dtype: Any, wished: str) -> Place:
        """An array that is free again, or a new one."""
        name, dtype = self.name(wished or "scratch"), np.dtype(dtype)
        if self._free[shape, dtype]:
            free = self._free[shape, dtype].pop()
            self.setup(f"{name} = {free.name}  # which is free again by then")
            return Place(name, free.array, free.memory)
        array = np.empty(shape, dtype)
        self.setup(f"{name} = {self.use('empty')}({shape}, {self.text(dtype)})")
        return Place(name, array, Memory(array, is_own=True, is_fixed=True))

    def destination(self, call: Call, i: int) -> Place:
        """Where a call shall put its result."""
        if call in self.targets:
            return self.targets[call]
        for value in arguments_of(call):
            if self.can_be_written_over(value, call, i) and self.is_free_after(value, i):
                return self.places[value]
        return self.buffer(call.shape, call.dtype, call.name)

    def can_be_written_over(self, value: Value, call: Call, i: int) -> bool:
        """Whether an elementwise call may put its result where an operand was."""
        return (
            isinstance(call.function, np.ufunc)
            and not call.function.signature
            and self.last_use[value] == i
            and (value.shape, value.dtype) == (call.shape, call.dtype)
        )

    def is_free_after(self, value: Value, i: int) -> bool:
        """Whether a call is the last to read the memory of a value, which the program may write."""
        place = self.places.get(value)
        return (
            place is not None
            and self.last_use[value] == i
            and place.memory.is_own
            and place.memory.is_fixed
            and place.memory.readers == 1
            and place.array.flags.carray
        )

    def bits_of(self, place: Place, dtype: Any) -> str:
        """The name of a view of an array as integers."""
        key = "bits", place.name
        if key not in self._known:
            self._known[key] = self.name(f"{place.name}_bits")
            self.setup(f"{self._known[key]} = {place.name}.view({self.text(np.dtype(dtype))})")
        return self._known[key]


def fresh(name: str, value: Value) -> Place:
    """The place of an array that each call makes anew."""
    array = np.empty(value.shape, value.dtype)
    return Place(name, array, Memory(array, is_own=False, is_fixed=False))


def piece_text(name: str, start: int, shape: tuple[int, ...]) -> str:
    """A part of a flat array in its shape."""
    text = f"{name}[{start}:{start + math.prod(shape)}]"
    return text if len(shape) == 1 else f"{text}.reshape({shape})"


def _number_name(number: Any) -> str:
    names = {0: "zero", 1: "one", 2: "two", 3: "three", -1: "minus_one", 0.5: "half"}
    if number in names:
        return names[number]
    text = re.sub(r"\W", "_", f"{abs(number):.6g}".replace("e-", "_e_minus_"))
    return f"{'minus' if number < 0 else 'number'}_{text}"
