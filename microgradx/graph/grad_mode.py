"""Whether ops record a graph: no_grad, enable_grad."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from contextlib import ContextDecorator
from contextvars import ContextVar, Token
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["enable_grad", "is_grad_enabled", "no_grad"]

F = TypeVar("F", bound=Callable[..., Any])

# Whether ops record a graph: for each thread, and each context of asynchronous code, its own.
grad_enabled: ContextVar[bool] = ContextVar("grad_enabled", default=True)

# Whether a transform such as grad runs a function here, whose values are not to leave the graph.
transforming: ContextVar[bool] = ContextVar("transforming", default=False)


def is_grad_enabled() -> bool:
    """Whether ops record a graph here and now, in this thread and context.

    >>> with no_grad():
    ...     is_grad_enabled()
    False
    """
    return grad_enabled.get()


class StatefulContext(ContextDecorator):
    """A state that holds inside a `with`, or during each call of a function decorated with it."""

    def __call__(self, function: F) -> F:
        if inspect.isgeneratorfunction(function) or inspect.iscoroutinefunction(function):
            raise TypeError(
                f"{type(self).__name__}() cannot decorate {function.__name__}, which runs later, "
                "piece by piece; write `with` inside it"
            )
        return super().__call__(function)

    def _recreate_cm(self) -> Self:
        return type(self)()  # for each call its own: it may run in another thread


class no_grad(StatefulContext):
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
        self._tokens.append(grad_enabled.set(self._value))

    def __exit__(self, *error: object) -> None:
        grad_enabled.reset(self._tokens.pop())


class enable_grad(no_grad):
    """Record graphs again inside a `no_grad`; also as a decorator, `@enable_grad()`.

    >>> import microgradx as mg
    >>> w = mg.Tensor(3.0, requires_grad=True)
    >>> with mg.no_grad(), mg.enable_grad():
    ...     print((w * w).requires_grad)
    True
    """

    _value = True
