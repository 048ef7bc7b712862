"""Loading the state of a module: names and arrays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from microgradx.arrays.types import as_array, fits_dtype, unwrap
from microgradx.common.flat_state import refuse_misfits, require_mapping
from microgradx.engine import Tensor

__all__ = ["IncompatibleKeys", "load_state"]


class IncompatibleKeys(NamedTuple):
    """The names by which a state and a module differ."""

    missing_keys: list[str]
    unexpected_keys: list[str]

    def __repr__(self) -> str:
        if not any(self):
            return "<all names match>"
        return f"<missing: {self.missing_keys}; unexpected: {self.unexpected_keys}>"


def load_state(
    owner: object, leaves: Mapping[str, Tensor], state: Mapping[str, Any], strict: bool
) -> IncompatibleKeys:
    """Copy the arrays of a state into the leaves of their names; see `Module.load_state_dict`."""
    require_mapping(state, "module")
    values = {path: as_array(unwrap(state[path])) for path in leaves if path in state}
    missing = [path for path in leaves if path not in state]
    unexpected = [path for path in state if path not in leaves]
    misfits = []
    if strict:
        misfits += [f"{path} is missing" for path in missing]
        misfits += [f"{path} is unexpected" for path in unexpected]
    for path, value in values.items():
        leaf = leaves[path]
        if value.shape != leaf.shape:
            misfits.append(f"{path} has shape {value.shape} and must have {leaf.shape}")
        elif not np.can_cast(value.dtype, leaf.dtype, "same_kind"):
            misfits.append(f"{path} has dtype {value.dtype} and must have {leaf.dtype}")
        elif not fits_dtype(value, leaf.dtype):
            misfits.append(f"{path} has numbers that are too large for {leaf.dtype}")
    refuse_misfits(misfits, owner, "build the module as it was when its state was saved")
    for path, value in values.items():
        leaves[path].data = value
    return IncompatibleKeys(missing, unexpected)
