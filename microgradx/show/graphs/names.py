"""Names of Tensors: their own, or those of the variables that hold them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
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


def find_names(tensors: Iterable[Tensor], frame: FrameType) -> dict[Tensor, str]:
    """The names of those Tensors that have one; nothing is written to them.

    A Tensor's own name comes first, then the local or global variable of the stack frame that holds
    it. For a constant, a variable that holds its array also counts, even in another precision, as
    layers cast their inputs. Very long names are cut.
    """
    variables = visible_variables(frame)
    holders: dict[int, str] = {}
    for name, value in variables.items():
        holders.setdefault(id(value), name)
    arrays = {
        name: value.data if isinstance(value, Tensor) else value
        for name, value in variables.items()
        if isinstance(value, (Tensor, np.ndarray))
    }

    names: dict[Tensor, str] = {}
    for tensor in tensors:
        found = tensor.name or holders.get(id(tensor))
        if found is None and tensor.op is None and not tensor.requires_grad:
            found = holders.get(id(tensor.data)) or next(
                (name for name, array in arrays.items() if _is_cast(tensor, array)), None
            )
        if found:
            names[tensor] = found if len(found) <= MAX_LENGTH else f"{found[: MAX_LENGTH - 1]}…"
    return names


def name_all(tensors: Sequence[Tensor], output: Tensor, frame: FrameType) -> dict[Tensor, str]:
    """A printable name for each Tensor: its name, or else its value, or v1, v2, …"""
    names = {x: printable(name) for x, name in find_names(tensors, frame).items()}
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


def _is_cast(tensor: Tensor, array: Array) -> bool:
    """Whether the Tensor holds the values of the array in another precision."""
    return (
        tensor.shape == array.shape != ()
        and tensor.dtype.kind == array.dtype.kind == "f"
        and tensor.dtype != array.dtype
        and np.array_equal(array.astype(tensor.dtype), tensor.data, equal_nan=True)
    )
