"""How gradients come into `.grad`: those of all leaves, or of none."""

from __future__ import annotations

from collections import deque
from itertools import repeat
from typing import Any

from microgradx.arrays.types import as_array
from microgradx.common.memory import is_unshared
from microgradx.common.threads import make_lock

__all__ = ["accumulate_gradients"]

_accumulating = make_lock()  # threads may share leaves


def accumulate_gradients(arrived: list[tuple[Any, Any]]) -> None:
    """Add to the `grad` of each Tensor the gradient that arrived for it; empties the list.

    Whatever interrupts it, Ctrl-C say, all have been added or none: the sums are computed first,
    and then assigned by a single call of C code, in which Python raises nothing.
    """
    with _accumulating:
        tensors, sums = [], []
        while arrived:
            tensor, g = arrived.pop()
            if tensor._grad is not None:
                g = as_array(tensor._grad + g)
            elif not is_unshared(g):
                g = g.copy()  # `grad` shares memory with nothing: what others might see is copied
            tensors.append(tensor)
            sums.append(g)
        deque(map(setattr, tensors, repeat("_grad"), sums), maxlen=0)
