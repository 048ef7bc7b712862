"""The writer of a program's source: its lines, and the names and texts of its values."""

from __future__ import annotations

import builtins
import keyword
import math
import operator
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from microgradx.arrays.types import Array
from microgradx.common.messages import printable, quote
from microgradx.compiler.buffers import Buffer, BufferPlan, Location
from microgradx.compiler.ir import (
    Comment,
    Constant,
    FunctionCall,
    Program,
    Value,
    arguments_of,
    is_uniform,
)
from microgradx.compiler.primitives import concatenate_flat
from microgradx.compiler.tracing import CaptureError

__all__ = ["Result", "SourceLines", "Writer", "flat_slice_text"]

# NumPy's names that would shadow a builtin if they were imported.
_SHADOWING = {*dir(builtins)} & {*dir(np)}

# Names that a variable must not have.
_RESERVED = {*dir(np), *dir(builtins), *keyword.kwlist, "np", "step", "function", "epoch"}
_RESERVED |= {"check_range", "shifted_exponentials", "far_cross_entropy"}
_RESERVED |= {"losses_and_gradients", "label_losses_and_gradients"}
_RESERVED |= {"X_rows", "y_rows", *(f"{name}_of_numbers" for name in dir(math))}

# Nor may persistent arrays have these, which are variables of the functions around the step.
_OUTER_NAMES = {"make_step", "make_example", "train", "teacher", "epochs", "history", "number"}
_OUTER_NAMES |= {"generator", "losses", "order", "rows", "start"}

_OPERATORS = {
    operator.add: "+",
    operator.sub: "-",
    operator.mul: "*",
    operator.truediv: "/",
    operator.floordiv: "//",
    operator.mod: "%",
    operator.pow: "**",
}

_LONGEST_NAME, _LONGEST_COMMENT = 60, 200

# Arguments of these types, besides arrays and numbers, can be written in a source.
_WRITTEN_AS_TEXT: tuple[Any, ...] = (bool, int, float, str, bytes, range, type(None))

# Names of numbers as 0-d arrays.
_LONG_NAMES = {"lr": "learning_rate", "t": "step_count"}


class Result(NamedTuple):
    """A result by its name."""

    name: str
    #: Whether it is the same array in every call.
    is_fixed: bool
    #: Whether nothing else refers to the array.
    is_unshared: bool


@dataclass
class SourceLines:
    """A program as lines: those that run once, and those that run in each call."""

    persistent: list[str] = field(default_factory=list)
    arguments: list[str] = field(default_factory=list)
    persistent_views: list[str] = field(default_factory=list)
    constants: list[str] = field(default_factory=list)
    setup: list[str] = field(default_factory=list)
    body: list[str] = field(default_factory=list)
    results: list[Result] = field(default_factory=list)
    imports: set[str] = field(default_factory=set)
    #: The source of functions that the lines call.
    helpers: list[str] = field(default_factory=list)
    #: Constants too large to be written as text, by name.
    data: dict[str, Array] = field(default_factory=dict)


class Writer:
    """The lines of a program so far, the names of its variables, and its memory plan."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.plan = BufferPlan(program)
        self.lines = SourceLines()
        self._used_names = set(_RESERVED)
        self._counts: dict[str, int] = {}  # by name, how often it was asked for
        self._known: dict[Any, str] = {}  # names of constants, of numbers, and of arrays' bits
        #: The kinds of floating-point errors of which the lines to come do not warn.
        self.silenced: tuple[str, ...] = ()
        self._silenced_block: tuple[str, ...] = ()  # those of the block that is open
        #: Names of numbers in the call that is being written.
        self.number_names: dict[float, str] = {}
        self._comment: Comment | None = None
        self._comments: dict[int, Comment] = {}  # by line
        self._propagate_names()
        for value in program.persistent:
            self.plan.bind_input(value, self._new_outer_name(value.name))
            self.lines.persistent.append(self.text(value))
        for value in program.arguments:
            if not value.is_number:
                self.plan.bind_input(value, self.new_name(value.name))
            elif value.name == "generator":
                self.name_number(value, self.new_name(value.name))
            else:
                self.name_number(value, self._new_outer_name(value.name))
            self.lines.arguments.append(self.text(value))
        for call in program.calls:
            if call.function is concatenate_flat:
                self._allocate_parts(call)

    def _propagate_names(self) -> None:
        """Give a value that is written over the name of the value in its place."""
        for i, call in reversed(list(enumerate(self.program.calls))):
            for value in arguments_of(call):
                if isinstance(value, FunctionCall) and self.plan.can_overwrite(value, call, i):
                    is_free = not value.has_variable_name and value.function is not concatenate_flat
                    if call.name and is_free:
                        value.name = call.name
                    break

    def _allocate_parts(self, call: FunctionCall) -> None:
        """Allocate a flat array, so that its parts are computed in place."""
        whole = self.plan.targets[call] = self.allocate(call.shape, call.dtype, call.name)
        self.lines.persistent_views.append(self.lines.setup.pop())
        start = 0
        parts = self.plan.parts[call] = []
        for part in call.args:
            name = self.new_name(part.name or "part")
            line = f"{name} = {flat_slice_text(whole.name, start, part.shape)}"
            self.lines.persistent_views.append(line)
            stop = start + math.prod(part.shape)
            view = whole.array[start:stop].reshape(part.shape)
            parts.append(Location(name, view, whole.buffer))
            self.plan.targets.setdefault(part, parts[-1])
            start = stop

    # ------------------------------------------------------------------ lines

    def add_line(self, line: str) -> None:
        """Add a line that runs in each call."""
        if self.silenced and self.silenced != self._silenced_block:
            is_all = {"divide", "invalid", "over"} <= {*self.silenced}  # NumPy warns of no others
            kinds = ("all",) if is_all else self.silenced
            settings = ", ".join(f'{kind}="ignore"' for kind in kinds)
            self.lines.body.append(f"with np.errstate({settings}):")
        self._silenced_block = self.silenced
        self.lines.body.append(f"    {line}" if self.silenced else line)

    def add_call(self, function: str, *arguments: str) -> None:
        """Add a line that calls a NumPy function."""
        self.add_line(f"{self.use(function)}({', '.join(arguments)})")

    def add_setup(self, line: str) -> None:
        """Add a line that runs once."""
        self.lines.setup.append(line)

    def add_comment(self, call: FunctionCall) -> None:
        """Comment on the calls from here on, where the comment changes."""
        comment = self.program.comments.get(call)
        if comment is None or comment is self._comment:
            return
        self._comment = comment
        if self.lines.body:
            self.add_line("")
        self._comments[len(self.lines.body)] = comment
        self.add_line("#")  # which also ends a block

    def finish_comments(self) -> None:
        """Write the comments, now that all values have names."""
        lines = self.lines.body
        for line, comment in reversed(self._comments.items()):
            if lines[line + 1 : line + 2] in ([], [""]):  # all of it was views, made beforehand
                del lines[line - 1 if line else 0 : line + 1]
                continue
            names = [self._name_in_comment(value) for value in comment.values]
            lines[line] = f"# {printable(comment.text.format(*names))[:_LONGEST_COMMENT]}"

    def _name_in_comment(self, value: Value) -> str:
        if value in self.plan.locations:
            return self.plan.locations[value].name
        if isinstance(value, Constant) and not value.shape:
            return f"{value.data.item():g}"
        return value.name or "…"

    def add_helper(self, source: str) -> None:
        """Add the source of a function that the lines call."""
        if source not in self.lines.helpers:
            self.lines.helpers.append(source)

    def use(self, name: str) -> str:
        """Import a NumPy function, and return its name in the source."""
        if name in _SHADOWING or "." in name:
            return f"np.{name}"
        self.lines.imports.add(name)
        return name

    # ------------------------------------------------------------------ names

    def new_name(self, wanted: str) -> str:
        """A name for a variable, with a number at its end if it is already used."""
        # Python reads names in this form: two that it reads alike are one name.
        wanted = unicodedata.normalize("NFKC", wanted[:_LONGEST_NAME])
        wanted = re.sub(r"\W+", "_", wanted).strip("_") or "value"
        if not wanted.isidentifier():  # it begins with a digit, or has one such as ² in it
            letters = "".join(x if f"_{x}".isidentifier() else "_" for x in wanted)
            wanted = letters if letters.isidentifier() else f"_{letters}"
        name, count = wanted, self._counts.get(wanted, 0 if wanted in _RESERVED else 1)
        while name in self._used_names:
            count += 1
            name = f"{wanted}_{count}"
        self._used_names.add(name)
        self._counts[wanted] = count
        return name

    def _new_outer_name(self, wanted: str) -> str:
        """A name that the functions around the step use too."""
        return self.new_name(f"{wanted}_kept" if wanted in _OUTER_NAMES else wanted)

    def name_number(self, value: Value, name: str) -> None:
        """Record the variable that holds a Python number."""
        self._known[value] = name

    def name_bits(self, location: Location, dtype: Any) -> str:
        """The name of a view of an array as integers."""
        key = "bits", location.name
        if key not in self._known:
            name = self._known[key] = self.new_name(f"{location.name}_bits")
            self.add_setup(f"{name} = {location.name}.view({self.text(np.dtype(dtype))})")
        return self._known[key]

    # ------------------------------------------------------------------ texts

    def text(self, x: Any) -> str:
        """The text of an argument."""
        if isinstance(x, Constant):
            return self.constant(x)
        if isinstance(x, Value):
            return self.expression(x) if x.is_number else self.plan.locations[x].name
        if isinstance(x, np.dtype):
            return self._dtype(x)
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
            x = x.item()
        if isinstance(x, type) and issubclass(x, (np.generic, int, float)):
            return self.text(np.dtype(x))
        for kind in _WRITTEN_AS_TEXT:
            if isinstance(x, kind):
                return str(kind.__repr__(x))  # that of the class itself, whatever a subclass has
        raise CaptureError(
            f"an argument of a NumPy function is {quote(repr(x))}, "
            f"{'a Python function or class' if callable(x) else f'a {type(x).__name__}'}, which "
            "the source of a program cannot contain; write out what it does, with arrays, numbers "
            "and strings"
        )

    def _dtype(self, dtype: np.dtype[Any]) -> str:
        name = dtype.name.replace("bool", "bool_")
        if dtype.fields is None and getattr(np, name, None) is dtype.type:
            return self.use(name) if dtype.isnative else f"np.dtype({dtype.str!r})"
        raise CaptureError(
            f"a compiled program computes with real numbers, not with {quote(str(dtype))}; "
            "convert them to numbers before"
        )

    def index(self, index: Any) -> str:
        """The text of an index between brackets."""
        parts = index if isinstance(index, tuple) and index else (index,)
        return ", ".join(self._slice(x) if isinstance(x, slice) else self.text(x) for x in parts)

    def _slice(self, x: slice) -> str:
        ends = ["" if end is None else self.text(end) for end in (x.start, x.stop, x.step)]
        return ":".join(ends[:2] if x.step is None else ends)

    def arguments(self, args: Sequence[Any], kwargs: dict[str, Any]) -> list[str]:
        """The texts of arguments by position and by name."""
        return [*map(self.text, args), *(f"{name}={self.text(x)}" for name, x in kwargs.items())]

    def expression(self, value: Value, *, is_inner: bool = False) -> str:
        """The text of arithmetic on Python numbers."""
        if value in self._known:
            return self._known[value]
        assert isinstance(value, FunctionCall)
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
        name = self._known[key] = self.new_name(
            constant.name
            or ("zeros" if is_zero else f"ones_{data.size}" if first == 1 else "constant")
        )
        if data.size == 0 or is_zero:
            text = f"{self.use('zeros')}({data.shape}, {dtype})"
        elif first == 1:
            text = f"{self.use('ones')}({data.shape}, {dtype})"
        elif first is not None:
            text = f"{self.use('full')}({data.shape}, {self.text(first)}, {dtype})"
        elif data.size <= 64:
            text = f"{self.use('array')}({self.text(data.tolist())}, {dtype})"
        else:
            self.lines.data[name] = data
            return name
        self.lines.constants.append(f"{name} = {text}")
        return name

    def full(self, wanted: str, shape: tuple[int, ...], number: float, dtype: Any) -> str:
        """The name of an array of one number."""
        return self.constant(Constant(shape, dtype, np.full(shape, number, dtype), name=wanted))

    def ones(self, size: int, dtype: Any) -> str:
        return self.full(f"ones_{size}", (size,), 1, dtype)

    def scalar(self, number: Any, dtype: Any) -> str:
        """The name of a number as a 0-d array, which NumPy takes in half the time of a number."""
        dtype = np.dtype(dtype)
        is_value = isinstance(number, Value)
        known_name = None if is_value else self.number_names.get(number)
        key = number if is_value else (dtype.type(number).tobytes(), known_name), dtype
        if key in self._known:
            return self._known[key]
        if isinstance(number, Value):
            is_computed = isinstance(number, FunctionCall)
            wanted = number.name if is_computed else _LONG_NAMES.get(number.name, "")
            name = self._known[key] = self.new_name(wanted or "number")
            self.add_setup(f"{name} = {self.use('empty')}((), {self.text(dtype)})")
            self.add_line(f"{name}[()] = {self.expression(number)}")
        else:
            name = self._known[key] = self.new_name(known_name or _number_name(number))
            line = f"{name} = {self.use('array')}({self.text(number)}, {self.text(dtype)})"
            self.lines.constants.append(line)
        return name

    # ------------------------------------------------------------------ memory

    def allocate(
        self, shape: tuple[int, ...], dtype: Any, wanted: str, order: tuple[int, ...] = ()
    ) -> Location:
        """A buffer that is free again, or a new one, under a name of its own.

        `order` is that of its axes in memory, by default their own.
        """
        name, dtype = self.new_name(wanted or "scratch"), np.dtype(dtype)
        order = order or tuple(range(len(shape)))
        in_memory = tuple(shape[axis] for axis in order)
        axes = tuple(map(order.index, range(len(shape))))
        array = np.empty(in_memory, dtype).transpose(axes)
        buffer = self.plan.take_free(array)
        if buffer is not None:
            self.add_setup(f"{name} = {buffer.name}  # which is free again by then")
            return Location(name, buffer.array, buffer)
        view = f".transpose({axes})" if axes != tuple(range(len(shape))) else ""
        self.add_setup(f"{name} = {self.use('empty')}({in_memory}, {self.text(dtype)}){view}")
        return Location(name, array, Buffer(name, array, is_writable=True, is_fixed=True))

    def destination(self, call: FunctionCall, i: int) -> Location:
        """The location for the result of a call."""
        target = self.plan.find_target(call, i)
        return target or self.allocate(call.shape, call.dtype, call.name, call.order)


def flat_slice_text(name: str, start: int, shape: tuple[int, ...]) -> str:
    """The text of a part of a flat array, in its shape."""
    text = f"{name}[{start}:{start + math.prod(shape)}]"
    return text if len(shape) == 1 else f"{text}.reshape({shape})"


def _number_name(number: Any) -> str:
    names = {0: "zero", 1: "one", 2: "two", 3: "three", -1: "minus_one", 0.5: "half"}
    if number in names:
        return names[number]
    text = re.sub(r"\W", "_", f"{abs(number):.6g}".replace("e-", "_e_minus_"))
    return f"{'minus' if number < 0 else 'number'}_{text}"
