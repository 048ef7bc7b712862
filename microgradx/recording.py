"""What ops record of themselves: whether at all, in which order, inside which calls, for whom."""

from __future__ import annotations

import functools
import inspect
import itertools
from collections.abc import Callable
from contextlib import ContextDecorator
from contextvars import ContextVar, Token
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["enable_grad", "is_grad_enabled", "no_grad"]

F = TypeVar("F", bound=Callable[..., Any])

# Every Tensor takes a number when it is made: the order of the computation, kept at no cost.
numbers = itertools.count(1)

# Whether ops record a graph: for each thread, and each context of asynchronous code, its own.
recording: ContextVar[bool] = ContextVar("recording", default=True)

# Whether a transform such as grad runs a function here, whose values are not to leave the graph.
transforming: ContextVar[bool] = ContextVar("transforming", default=False)

# What is told of every result: `forward(op, inputs, out)` and `backward(out, x, g, gradient)`.
observers: list[Any] = []


def is_grad_enabled() -> bool:
    """Whether ops record a graph here and now, in this thread and context.

    >>> with no_grad():
    ...     is_grad_enabled()
    False
    """
    return recording.get()


class Block(ContextDecorator):
    """A state that holds inside a `with`, or during each call of a function decorated with it."""

    def __call__(self, function: F) -> F:
        if inspect.isgeneratorfunction(function) or inspect.iscoroutinefunction(function):
            raise TypeError(
                f"{type(self).__name__}() cannot decorate {function.__name__}, which runs later, "
                "piece by piece; write `with` inside it"
            )
        return super().__call__(function)

    def _recreate_cm(self) -> Self:
        return type(self)()  # for each call its own, be it in another thread


class no_grad(Block):
    """Record no graph inside `with no_grad():`, or in a function decorated with `@no_grad()`.

    >>> import microgradx as mg
    >>> w = mg.Tensor(3.0, requires_grad=True)
    >>> with mg.no_grad():
    ...     print((w * w).requires_grad)
    False
    """

    _value = False

    def __init__(self) -> None:
        self._tokens: list[Token[bool]] = []

    def __enter__(self) -> None:
        self._tokens.append(recording.set(self._value))

    def __exit__(self, *error: object) -> None:
        recording.reset(self._tokens.pop())


class enable_grad(no_grad):
    """Record graphs again inside a `no_grad`; also as a decorator, `@enable_grad()`.

    >>> import microgradx as mg
    >>> w = mg.Tensor(3.0, requires_grad=True)
    >>> with mg.no_grad(), mg.enable_grad():
    ...     print((w * w).requires_grad)
    True
    """

    _value = True


class Scope(NamedTuple):
    """That a Tensor is the result of a composed function or module, and when that was entered.

    What it was computed from, as far as its number is larger than `start`, belongs to the scope.
    """

    name: str
    start: int
    is_module: bool


class Labels:
    """What a Tensor is called by, and in: its name, and the scopes whose result it is.

    Most have neither, so both share one place: pairs of what was called and when, or of the name
    and None.
    """

    __slots__ = ()
    _labels: tuple[tuple[Any, int | None], ...]

    @property
    def name(self) -> str | None:
        """What drawings and messages call it."""
        return next((label for label, start in self._labels if start is None), None)

    @name.setter
    def name(self, name: str | None) -> None:
        scopes = tuple(label for label in self._labels if label[1] is not None)
        self._labels = scopes if name is None else (*scopes, (name, None))  # type: ignore[misc]

    @property
    def scopes(self) -> tuple[Scope, ...]:
        """The composed functions and modules whose result it is, innermost first."""
        return tuple(
            Scope(called.__name__, start, isinstance(called, type))
            for called, start in self._labels
            if start is not None
        )

    def is_result_of(self, name: str) -> bool:
        """Whether it is the result of a scope of that name."""
        return any(start is not None and called.__name__ == name for called, start in self._labels)


def leave_scope(called: Any, start: int, out: Any) -> Any:
    """Leave, on a result, the mark by which drawings group what was computed inside.

    `start` is the number taken when it was called; all Tensors made since have larger ones.
    What was called, a function or the class of a module, is the scope's name by its `__name__`.
    """
    if getattr(out, "op", None) is not None and out.number > start:
        out._labels = (*out._labels, (called, start))
    return out


def scope(function: F) -> F:
    """Let drawings group what the decorated function computes, under the function's name."""

    @functools.wraps(function)
    def scoped(*args: Any, **kwargs: Any) -> Any:
        start = next(numbers)
        return leave_scope(function, start, function(*args, **kwargs))

    return scoped  # type: ignore[return-value]
