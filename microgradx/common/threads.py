"""Threads for work on large arrays, which NumPy itself does on one; and locks between threads.

The work is cut into blocks, whose size depends on the arrays alone. Threads, be they one or many,
take block after block, and results come back in the order of the blocks: they are the same, to
the bit, for any number of threads. NumPy releases Python's global lock while it computes.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable
from contextvars import copy_context
from functools import cache
from threading import Lock
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakSet

import numpy as np

if TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor

__all__ = ["get_num_threads", "make_lock", "set_num_threads"]

Block = TypeVar("Block")
Result = TypeVar("Result")

_VARIABLE = "MICROGRADX_NUM_THREADS"
_num_threads: int | None = None  # not yet asked for


def get_num_threads() -> int:
    """How many threads work on a large array.

    If `set_num_threads` did not say so, it is the environment variable MICROGRADX_NUM_THREADS, or
    else the number of processors that this process may use. Raises ValueError if the variable
    holds no number from 1 up.

    >>> get_num_threads() >= 1
    True
    """
    global _num_threads
    if _num_threads is None:
        _num_threads = _choose_num_threads()
    return _num_threads


def set_num_threads(n: int) -> None:
    """Let `n` threads work on a large array: 1 for none but the caller's own.

    No result depends on it. The threads of the BLAS library, in matrix products, are set by that
    library's own variables (OPENBLAS_NUM_THREADS). Raises TypeError if `n` is not an integer, and
    ValueError if it is less than 1.

    >>> set_num_threads(2)
    >>> get_num_threads()
    2
    """
    global _num_threads
    if not isinstance(n, (int, np.integer)) or isinstance(n, bool):
        raise TypeError(f"the number of threads must be an integer from 1 up, not {n!r}")
    if n < 1:
        raise ValueError(f"the number of threads must be 1 or more, not {n}")
    _num_threads = int(n)


def _choose_num_threads() -> int:
    asked = os.environ.get(_VARIABLE, "").strip()
    if asked:
        if not asked.isdecimal() or int(asked) < 1:
            raise ValueError(
                f"the environment variable {_VARIABLE} must be a number of threads from 1 up, "
                f"not {asked!r}"
            )
        return int(asked)
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def map_blocks(function: Callable[[Block], Result], blocks: Iterable[Block]) -> list[Result]:
    """`function` of each block, in the order of the blocks, computed on several threads.

    The caller's thread is one of them. The others see the caller's context: its np.errstate, and
    whether gradients are recorded. If `function` raises, no further block is begun, those begun are
    finished, and the error of the first block that failed reaches the caller.
    """
    blocks = list(blocks)
    workers = min(get_num_threads(), len(blocks))
    if workers <= 1:
        return [function(block) for block in blocks]
    pending = deque(enumerate(blocks))
    results: list[Any] = [None] * len(blocks)
    errors: list[tuple[int, BaseException]] = []

    def work() -> None:
        index = -1  # an interrupt may come before the first block
        try:
            while pending:
                try:
                    index, block = pending.popleft()
                except IndexError:  # another thread was faster
                    return
                results[index] = function(block)
        except BaseException as error:
            pending.clear()
            errors.append((index, error))

    helpers = _start(work, workers - 1)
    work()
    for helper in helpers:
        # What has not begun by now has nothing left to do. Waiting for it might be for ever, where
        # `function` itself maps blocks and all threads do so.
        if not helper.cancel():
            helper.result()
    if errors:
        try:
            raise min(errors, key=lambda failed: failed[0])[1]
        finally:
            errors.clear()  # or the error would hold itself, and the arrays, by its traceback
    return results


def _start(work: Callable[[], None], count: int) -> list[Future[None]]:
    """Have `work` done on `count` more threads, or on as many as can be had."""
    started: list[Future[None]] = []
    try:
        while len(started) < count:
            started.append(_executor().submit(copy_context().run, work))
    except RuntimeError:  # no thread can be started: the system's limit, or Python is exiting
        pass
    return started


@cache
def _executor() -> ThreadPoolExecutor:
    """Made when first needed; it starts threads as they are asked for, and keeps them."""
    # Loaded here, since it takes milliseconds, and most programs need no threads.
    from concurrent.futures import ThreadPoolExecutor

    return ThreadPoolExecutor(max_workers=1024, thread_name_prefix="microgradx")


# ---------------------------------------------------------------------------- forked processes

_locks: WeakSet[Any] = WeakSet()


def make_lock() -> Lock:
    """A lock that is free in a forked process, whichever thread held it at the fork."""
    lock = Lock()
    _locks.add(lock)
    return lock


def _leave_threads_behind() -> None:
    """In a forked process, which has none of the threads: no locks of theirs, nor the threads."""
    _executor.cache_clear()
    for lock in _locks:
        if lock.locked():
            lock.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_threads_behind)
