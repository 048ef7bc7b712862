"""Ctrl-C between the steps of a training, rather than in the middle of one."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

__all__ = ["defer_interrupt"]

_pressed: ContextVar[threading.Event | None] = ContextVar("pressed", default=None)


@contextmanager
def defer_interrupt() -> Iterator[Callable[[], bool]]:
    """Yields a function that returns whether Ctrl-C was pressed. A second Ctrl-C interrupts.

    An exception could strike in the middle of an optimiser's step. A loop that asks between steps
    leaves parameters of whole steps only. Where this is used inside of itself, all are told.
    Outside the main thread, or where SIGINT has another handler, nothing changes and the function
    returns False.
    """
    outer = _pressed.get()
    if outer is not None:
        yield outer.is_set
        return
    if (
        threading.current_thread() is not threading.main_thread()
        or signal.getsignal(signal.SIGINT) is not signal.default_int_handler
    ):
        yield lambda: False
        return
    pressed = threading.Event()

    def handle(number: int, frame: Any) -> None:
        pressed.set()
        signal.signal(signal.SIGINT, signal.default_int_handler)

    token = _pressed.set(pressed)
    signal.signal(signal.SIGINT, handle)
    try:
        yield pressed.is_set
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        _pressed.reset(token)
