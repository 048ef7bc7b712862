"""Memory for large results, which is used again.

When an array of many megabytes is freed, its memory returns to the system, and the next array gets
other memory, every page of which the system clears first. That takes longer than to fill it: a
new gradient of 300 MB costs more than its loss. So the memory of such an array is kept here, and
lent to the next one. At most one buffer is kept, and only while nobody uses it; `release_memory`
returns it to the system.
"""

from __future__ import annotations

import math
import sys
from sys import getrefcount
from typing import Any

import numpy as np

__all__ = ["is_unshared", "pooled_empty", "release_memory"]

Array = np.ndarray[Any, Any]

#: From this size on, in bytes, the C library returns freed memory to the system.
LARGE = 1 << 25

# Freed buffers: at most one. Taking from and adding to a list is safe between threads.
_spare: list[Array] = []


class PooledBuffer:
    """Memory lent to one array. It comes back when the array is gone, and all views of it."""

    def __init__(self, memory: Array, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        self.memory = memory
        self.__array_interface__ = {
            "data": memory.__array_interface__["data"],
            "shape": shape,
            "typestr": dtype.str,
            "version": 3,
        }

    def __del__(self) -> None:
        _spare[:] = [self.memory]


def pooled_empty(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """`np.empty`, for results that live for a step; a large one reuses the memory of another."""
    size = math.prod(shape) * dtype.itemsize
    if size < LARGE:
        return np.empty(shape, dtype)
    try:
        memory = _spare.pop()
    except IndexError:  # none is free, or another thread was faster
        memory = np.empty(0, np.uint8)
    if not size <= memory.size <= 2 * size:
        memory = np.empty(size, np.uint8)
    return np.asarray(PooledBuffer(memory, shape, dtype))


# What getrefcount says, in `is_unshared`, of an array that only one variable of the caller's refers
# to. From Python 3.14 on, references of arguments may be left out; where they are not, no array
# passes for unshared, which is safe.
_ONE_REFERENCE = 3 if sys.version_info < (3, 14) else 1


def is_unshared(array: Any) -> bool:
    """Whether one variable of the caller's refers to an array, and nothing to its memory besides.

    Then it can be kept, and be written to, without a copy: it is no view of another array, and
    contiguous.
    """
    return (
        getrefcount(array) == _ONE_REFERENCE
        and type(array) is np.ndarray
        and (array.base is None or isinstance(array.base, PooledBuffer))
        and array.flags.carray
    )


def release_memory() -> None:
    """Return to the system the memory, if any, that is kept for the next large gradient.

    >>> release_memory()
    """
    _spare.clear()
