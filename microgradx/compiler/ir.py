"""A captured program: values, each an input, a constant, or the result of one call.

It is in single assignment form: a value never changes, and what NumPy changes in place is a new
value here. The order of the calls is that in which they were made.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from microgradx.common.nested import leaves_of

__all__ = [
    "Call",
    "Constant",
    "Input",
    "Part",
    "Program",
    "Value",
    "arguments_of",
    "is_uniform",
    "values_in",
]


@dataclass(eq=False)
class Value:
    """What a name in the program stands for: an array, or a number of Python's (dtype None)."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any] | None
    #: What it is called, as far as somebody knows; it need not be unique.
    name: str = field(default="", kw_only=True)
    #: Whether the name is from a variable, which no other name replaces.
    is_named: bool = field(default=False, kw_only=True)

    @property
    def is_number(self) -> bool:
        return self.dtype is None

    @property
    def size(self) -> int:
        return math.prod(self.shape)


@dataclass(eq=False)
class Input(Value):
    """What the program is given at every call, or keeps from call to call and changes."""

    #: What is kept: a "parameter", a "state" of the optimiser's, or a "constant" of the model.
    role: str = field(default="constant", kw_only=True)
    #: The very array that is kept, whose layout says of what views can be made.
    array: Any = field(default=None, kw_only=True)


@dataclass(eq=False)
class Constant(Value):
    """What is the same in every call."""

    data: Any


@dataclass(eq=False)
class Call(Value):
    """The result of a function of NumPy's, of an operator, or of an entry of the vocabulary."""

    function: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    part: Part | None = None
    #: Whether another call with the same arguments would give something else, as drawing does.
    is_unique: bool = False
    #: How many arrays it gives; 0 for one that is none of several.
    count: int = 0

    @property
    def is_number(self) -> bool:
        return self.dtype is None and not self.count


@dataclass
class Program:
    """Calls, with what they are given, what they return, and what they leave changed."""

    calls: list[Call]
    #: Arrays that stay from call to call: parameters, an optimiser's state, buffers of a model.
    kept: list[Input]
    #: What each call is given.
    arguments: list[Input]
    results: list[Value]
    #: What kept arrays are at the end of a call, if another than at its beginning.
    changed: dict[Value, Value]
    #: Arguments that are greater by one in the next call.
    counters: list[Input] = field(default_factory=list)
    #: What y is to the loss, if that is known: "labels" or "probabilities", of so many classes.
    target: tuple[str, int] = ("", 0)
    #: What some numbers are called where they come from.
    number_names: dict[float, str] = field(default_factory=dict)


@dataclass(eq=False)
class Part:
    """What several calls do together, as a comment says it: an op's forward, backward, an update.

    In the text, {0}, {1}, … stand for the names of values.
    """

    text: str
    values: tuple[Value, ...] = ()


def values_in(structure: Any) -> Iterator[Value]:
    """The values among arguments."""
    return (value for value in leaves_of(structure) if isinstance(value, Value))


def arguments_of(call: Call) -> Iterator[Value]:
    """The values that a call takes."""
    return values_in((call.args, call.kwargs))


def is_uniform(data: np.ndarray[Any, Any]) -> bool:
    """Whether all elements are the same number, zeros by their sign too."""
    is_equal = data.size > 0 and bool((data == data.flat[0]).all())
    return is_equal and (data.dtype.kind != "f" or len(np.unique(np.signbit(data))) == 1)
