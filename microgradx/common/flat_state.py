"""States as flat dicts of names and arrays, which `np.savez` writes and `np.load` reads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

__all__ = ["from_array", "refuse_misfits", "require_mapping", "to_array"]


def to_array(name: str, value: Any) -> np.ndarray[Any, Any]:
    """A copy of a number, text, list or array as an array; raises TypeError for anything else."""
    try:
        array = np.array(value)
    except ValueError:  # lists of different lengths
        array = np.array(None)
    if array.dtype.kind not in "fiubU":
        raise TypeError(
            f"{name} is {type(value).__name__}, and a state holds numbers, texts and arrays of them"
        )
    return array


def from_array(array: Any) -> Any:
    """The number, text or list that an array was made from."""
    return np.asarray(array).tolist()


def require_mapping(state: Any, owner: str) -> None:
    """Raise TypeError unless a state is a mapping."""
    if not isinstance(state, Mapping):
        raise TypeError(
            f"a state is a dict of names and arrays, not {type(state).__name__}; np.load(path) "
            f"reads one that np.savez(path, **{owner}.state_dict()) wrote"
        )


def refuse_misfits(misfits: list[str], owner: object, remedy: str) -> None:
    """Raise a ValueError that lists what does not fit, if anything does not."""
    if misfits:
        raise ValueError(
            f"the state does not fit this {type(owner).__name__}: {'; '.join(misfits)}. Nothing "
            f"was changed; {remedy}"
        )
