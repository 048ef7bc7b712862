"""Scopes: the composed functions and modules that a Tensor is a result of."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

from microgradx.graph.creation_order import creation_counter

__all__ = ["Scope", "leave_scope", "scope"]

F = TypeVar("F", bound=Callable[..., Any])

_new = tuple.__new__


class Scope(NamedTuple):
    """A call of a composed function or module, on the Tensor that is its result.

    What that was computed from, as far as its sequence number is larger than `start`, was computed
    inside the scope.
    """

    called: Any  # the function, or the class of the module
    start: int

    @property
    def name(self) -> str:
        return str(self.called.__name__)

    @property
    def is_module(self) -> bool:
        return isinstance(self.called, type)


def leave_scope(called: Any, start: int, out: Any) -> Any:
    """Append to the scopes of a result that of the call it is the result of; returns the result.

    `start` is the number that was taken from the creation counter at the call: all Tensors made
    since have larger ones. Of a tuple of results the first is marked, as others may be inside.
    """
    result = out[0] if type(out) is tuple and out else out
    if getattr(result, "op", None) is not None and result.sequence_number > start:
        result.scopes += (_new(Scope, (called, start)),)  # in a third of the time of Scope(…)
    return out


def scope(function: F) -> F:
    """Let drawings group what the decorated function computes, under the function's name."""

    @functools.wraps(function)
    def scoped(*args: Any, **kwargs: Any) -> Any:
        start = next(creation_counter)
        return leave_scope(function, start, function(*args, **kwargs))

    return scoped  # type: ignore[return-value]
