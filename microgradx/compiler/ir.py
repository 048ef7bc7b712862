"""The intermediate representation: a program of values, each an input, a constant or a call.

It is in static single assignment form: a value never changes, and what NumPy changes in place is a
new value here. Calls stand in the order in which they were made.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from microgradx.common.nested import leaves_of

__all__ = [
    "Comment",
    "Constant",
    "FunctionCall",
    "Input",
    "Program",
    "Value",
    "arguments_of",
    "escape_braces",
    "is_uniform",
    "values_in",
]


@dataclass(eq=False)
class Value:
    """An array of the program, or a Python number (dtype None)."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any] | None
    #: Its name, if one is known; it need not be unique.
    name: str = field(default="", kw_only=True)
    #: Whether the name is a variable's of the user, which no other name replaces.
    has_variable_name: bool = field(default=False, kw_only=True)

    @property
    def is_number(self) -> bool:
        return self.dtype is None

    @property
    def size(self) -> int:
        return math.prod(self.shape)


@dataclass(eq=False)
class Input(Value):
    """An argument of every call of the program, or an array that persists between calls."""

    #: If persistent, a "parameter", a "state" of the optimiser, or a "constant" of the model.
    role: str = field(default="constant", kw_only=True)
    #: The persistent array itself, whose memory layout decides what can be a view of it.
    array: Any = field(default=None, kw_only=True)


@dataclass(eq=False)
class Constant(Value):
    """An array that is the same in every call of the program."""

    data: Any


@dataclass(eq=False)
class FunctionCall(Value):
    """The result of a NumPy function, of an operator, or of a primitive."""

    function: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    #: Whether it does more than return a result: drawing changes a generator, a check may raise.
    has_side_effects: bool = False
    #: How many arrays it returns; 0 for one that is not in a tuple or list.
    result_count: int = 0
    #: The kinds of floating-point errors of which it does not warn, such as "over".
    silenced: tuple[str, ...] = ()
    #: Whether it is a part of the optimiser's update, after whose variables numbers are named.
    is_update: bool = False
    #: The order of its axes in memory, as NumPy chose it.
    order: tuple[int, ...] = ()

    @property
    def is_number(self) -> bool:
        return self.dtype is None and not self.result_count


@dataclass
class Program:
    """Calls in their order, with their inputs and results."""

    calls: list[FunctionCall]
    #: Arrays that persist between calls: parameters, optimiser state, constants of a model.
    persistent: list[Input]
    #: The arguments of each call.
    arguments: list[Input]
    results: list[Value]
    #: The new value of each persistent array that the program changes.
    updates: dict[Value, Value]
    #: Arguments that are greater by one in the next call.
    counters: list[Input] = field(default_factory=list)
    #: The comment on each call, if there is one.
    comments: dict[FunctionCall, Comment] = field(default_factory=dict)
    #: What y is to the loss, if known: "labels" or "probabilities", and the number of classes.
    target: tuple[str, int] = ("", 0)
    #: Names of numbers, from the optimiser's variables.
    number_names: dict[float, str] = field(default_factory=dict)


@dataclass(eq=False)
class Comment:
    """A comment on several calls: an op's forward or backward, or an update.

    In the text, {0}, {1}, … stand for the names of values; other braces are escaped.
    """

    text: str
    values: tuple[Value, ...] = ()


def escape_braces(text: str) -> str:
    """A text as a part of a comment, in which its braces are just braces."""
    return text.replace("{", "{{").replace("}", "}}")


def values_in(structure: Any) -> Iterator[Value]:
    """The values in a nested structure of arguments."""
    return (value for value in leaves_of(structure) if isinstance(value, Value))


def arguments_of(call: FunctionCall) -> Iterator[Value]:
    """The values that a call reads."""
    return values_in((call.args, call.kwargs))


def is_uniform(data: np.ndarray[Any, Any]) -> bool:
    """Whether all elements are the same number; 0 and -0 differ."""
    is_equal = data.size > 0 and bool((data == data.flat[0]).all())
    return is_equal and (data.dtype.kind != "f" or len(np.unique(np.signbit(data))) == 1)
