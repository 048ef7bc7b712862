"""Names of Tensors: their own, or those of the variables that hold them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from types import FrameType
from typing import Any

import numpy as np

from microgradx.arrays.types import Array
from microgradx.common.messages import printable
from microgradx.engine import Tensor
from microgradx.show.formulas.numbers_in_formula import format_number

#: Longer names are cut.
MAX_LENGTH = 80


class Names:
    """The names of Tensors, as code in a stack frame knows them; nothing is written to a Tensor.

    A Tensor's own name comes first, then the local or global variable that holds it. For a
    constant, a variable that holds its array also counts, even in another precision, as layers cast
    their inputs. Very long names are cut.
    """

    def __init__(self, frame: FrameType) -> None:
        self.holders: dict[int, str] = {}  # by the id of what is held
        self.arrays: dict[tuple[int, ...], list[tuple[str, Array]]] = {}  # of floats, by shape
        for name, value in visible_variables(frame).items():
            self.holders.setdefault(id(value), name)
            array = value.data if isinstance(value, Tensor) else value
            if isinstance(array, np.ndarray) and array.shape and array.dtype.kind == "f":
                self.arrays.setdefault(array.shape, []).append((name, array))

    def find(self, tensor: Tensor) -> str | None:
        """The name of a Tensor, if it has one."""
        found = tensor.name or self.holders.get(id(tensor))
        if found is None and tensor.op is None and not tensor.requires_grad:
            found = self.holders.get(id(tensor.data))
            if found is None and tensor.shape in self.arrays:
                found = self._find_cast(tensor)
        if not found:
            return None
        return found if len(found) <= MAX_LENGTH else f"{found[: MAX_LENGTH - 1]}…"

    def is_held(self, tensor: Tensor) -> bool:
        """Whether a variable holds the Tensor itself."""
        return id(tensor) in self.holders

    def _find_cast(self, tensor: Tensor) -> str | None:
        """The name of a variable that holds the Tensor's values in another precision."""
        for name, array in self.arrays[tensor.shape]:
            if (
                tensor.dtype.kind == "f"
                and tensor.dtype != array.dtype
                and np.array_equal(array.astype(tensor.dtype), tensor.data, equal_nan=True)
            ):
                return name
        return None


def name_all(tensors: Sequence[Tensor], output: Tensor, frame: FrameType) -> dict[Tensor, str]:
    """A printable name for each Tensor: its name, or else its value, or v1, v2, …"""
    known = Names(frame)
    names = {x: printable(name) for x in tensors if (name := known.find(x))}
    taken = {*names.values()}
    if "output" not in taken:
        names.setdefault(output, "output")
    free = (name for i in count(1) if (name := f"v{i}") not in taken)
    for tensor in tensors:
        if tensor not in names:
            is_number = tensor.op is None and not tensor.requires_grad and tensor.size == 1
            names[tensor] = (
                format_number(np.asarray(tensor.data).item()) if is_number else next(free)
            )
    return names


def visible_variables(frame: FrameType) -> dict[str, Any]:
    """The variables that code in the stack frame sees, the local ones first.

    Names that are not identifiers, or begin with an underscore (as `_` in a notebook), are left
    out.
    """
    variables = dict(frame.f_locals)
    for name, value in dict(frame.f_globals).items():
        variables.setdefault(name, value)
    return {
        name: value
        for name, value in variables.items()
        if name.isidentifier() and not name.startswith("_")
    }
