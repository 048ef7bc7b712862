"""The state of an optimiser as a flat dict of names and arrays, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from microgradx.arrays.types import Array, as_array, fits_dtype, unwrap
from microgradx.common.flat_state import from_array, refuse_misfits, require_mapping, to_array
from microgradx.engine import Tensor
from microgradx.optim.parameter_groups import ParameterGroup

__all__ = ["pack_state", "unpack_state"]


def pack_state(optimizer: Any) -> dict[str, Array]:
    """A copy of settings and state under their names."""
    entries: dict[str, Any] = {}
    names = _name_parameters(optimizer.params)
    for k, group in enumerate(optimizer.param_groups):
        settings = {name: value for name, value in group.items() if name != "params"}
        entries |= {f"param_groups.{k}.{name}": value for name, value in settings.items()}
        entries[f"param_groups.{k}.params"] = [names[tensor] for tensor in group["params"]]
    for tensor, state in zip(optimizer.params, optimizer.state, strict=True):
        entries |= {f"state.{names[tensor]}.{name}": value for name, value in state.items()}
    # All names once more: which parameters have a state is not known otherwise.
    entries["entries"] = list(entries)
    return {name: to_array(name, value) for name, value in entries.items()}


def unpack_state(
    optimizer: Any, state: Mapping[str, Any]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The settings of each group and the state of each parameter.

    Raises ValueError, which lists all that does not fit.
    """
    require_mapping(state, "optimizer")
    names = _name_parameters(optimizer.params)
    misfits = _compare_entries(state)
    expected = {"entries"}
    settings: list[dict[str, Any]] = []
    for k, group in enumerate(optimizer.param_groups):
        prefix = f"param_groups.{k}."
        required = (*optimizer.hyperparameters, "params")
        possible = (*required, "initial_lr")
        expected |= {prefix + name for name in possible}
        entries = {
            name: from_array(state[prefix + name]) for name in possible if prefix + name in state
        }
        misfits += [f"{prefix}{name} is missing" for name in required if name not in entries]
        members = [names[tensor] for tensor in group["params"]]
        saved = entries.pop("params", members)
        if saved != members:
            misfits.append(f"{prefix}params are {_list(saved)} and must be {_list(members)}")
        try:
            ParameterGroup(type(optimizer)).replace_settings(entries)
        except (TypeError, ValueError) as error:
            misfits.append(f"{prefix[:-1]}: {error}")
        settings.append(entries)
    states: list[dict[str, Any]] = []
    for tensor in optimizer.params:
        prefix = f"state.{names[tensor]}."
        kept = (*optimizer.counters, *optimizer.buffers)
        expected |= {prefix + name for name in kept}
        states.append({})
        for name in kept:
            if prefix + name in state:
                try:
                    read = _read_count if name in optimizer.counters else _read_buffer
                    states[-1][name] = read(tensor, state[prefix + name])
                except (TypeError, ValueError) as error:
                    misfits.append(f"{prefix}{name} {error}")
    misfits += [f"{name} is unexpected" for name in state if name not in expected]
    refuse_misfits(
        list(dict.fromkeys(misfits)),
        optimizer,
        "make the optimiser as it was when its state was saved",
    )
    return settings, states


def _name_parameters(parameters: list[Tensor]) -> dict[Tensor, str]:
    """The names of parameters, or their positions, each different from all others."""
    names: dict[str, Tensor] = {}
    for position, parameter in enumerate(parameters):
        name = parameter.name or str(position)
        names[name if name not in names else f"{name} ({position})"] = parameter
    return {parameter: name for name, parameter in names.items()}


def _compare_entries(state: Mapping[str, Any]) -> list[str]:
    """What is missing of the names that a state says it has."""
    if "entries" not in state:
        return ["entries is missing"]
    listed = from_array(state["entries"])
    if not isinstance(listed, list) or not all(isinstance(name, str) for name in listed):
        return ["entries is not a list of names"]
    return [f"{name} is missing" for name in listed if name not in state] + [
        f"{name} is unexpected" for name in state if name not in (*listed, "entries")
    ]


def _read_count(tensor: Tensor, value: Any) -> int:
    array = as_array(unwrap(value))
    if array.shape != () or array.dtype.kind not in "iu" or array < 0:
        raise ValueError(f"must be a whole number from 0 up, not {from_array(array)!r}")
    return int(array)


def _read_buffer(tensor: Tensor, value: Any) -> Array:
    array = as_array(unwrap(value))
    dtype = np.promote_types(tensor.dtype, np.float32)
    if array.shape != tensor.shape:
        raise ValueError(f"has shape {array.shape} and must have {tensor.shape}")
    if not fits_dtype(array, dtype):
        raise ValueError(f"has numbers that are too large for {dtype}")
    return np.array(array, dtype)


def _list(names: Any) -> str:
    return ", ".join(map(str, names)) if isinstance(names, list) else repr(names)
