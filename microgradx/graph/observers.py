"""Observers: what is told of every result and of every gradient."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Protocol

__all__ = ["Observer", "observe", "observers"]


class Observer(Protocol):
    """What watches a computation, in the thread, or context of asynchronous code, that asked."""

    def forward(self, op: Any, inputs: Any, out: Any) -> None:
        """Called after `op` of the Tensors `inputs` made the Tensor `out`."""

    def backward(self, out: Any, x: Any, g: Any, gradient: Any) -> None:
        """Called after the rule of `out.op` made `gradient`, for its input `x`, from `g`."""


#: The observers of this context, in the order in which they came.
observers: ContextVar[tuple[Observer, ...]] = ContextVar("observers", default=())


@contextmanager
def observe(observer: Observer) -> Iterator[None]:
    """Tell `observer` of everything that is computed inside the `with`, in this context."""
    observers.set((*observers.get(), observer))
    try:
        yield
    finally:
        # Not reset to what it was: observers may leave in another order than they came in.
        observers.set(tuple(other for other in observers.get() if other is not observer))
