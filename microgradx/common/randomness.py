"""Where randomness comes from: one generator for the process, unless another is passed in."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

import numpy as np

__all__ = ["manual_seed", "default_generator", "as_generator"]

_default = np.random.default_rng()

# While a program is traced: returns what replaces a generator, and records what is drawn.
generator_tracer: ContextVar[Callable[[np.random.Generator], Any] | None] = ContextVar(
    "generator_tracer", default=None
)


def manual_seed(seed: int) -> np.random.Generator:
    """Seed what draws without a generator of its own: the same seed, the same numbers.

    Returns the new default generator. Raises TypeError for a seed that is not an integer, and
    ValueError for a negative one.

    >>> a = manual_seed(0).random(3)
    >>> b = manual_seed(0).random(3)
    >>> bool((a == b).all())
    True
    """
    global _default
    if not isinstance(seed, (int, np.integer)):
        raise TypeError(f"a seed must be an integer from 0 up, not {seed!r}")
    if seed < 0:
        raise ValueError(f"a seed must be an integer from 0 up, not {seed}")
    _default = np.random.default_rng(int(seed))
    return _default


def default_generator() -> np.random.Generator:
    """The generator used where none is passed in. Ask again after `manual_seed`: it is another.

    >>> default_generator() is default_generator()
    True
    """
    return _default


def as_generator(generator: Any) -> np.random.Generator:
    """The generator that was passed in, or the default one for None.

    >>> as_generator(None) is default_generator()
    True
    """
    if generator is None:
        generator = _default
    if not isinstance(generator, np.random.Generator):
        raise TypeError(
            f"generator must be a numpy.random.Generator, not {generator!r}; "
            "np.random.default_rng(0) makes one from the seed 0"
        )
    tracer = generator_tracer.get()
    return generator if tracer is None else tracer(generator)


def _leave_lock_behind() -> None:
    """In a forked process: the thread that was drawing at the fork is not here to release it."""
    global _default
    lock = _default.bit_generator.lock
    if lock.acquire(blocking=False):
        lock.release()
    else:
        _default = copy.deepcopy(_default)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_lock_behind)
