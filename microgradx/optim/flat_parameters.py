"""Small parameters in one flat array, so that one update serves them all.

The ten or so NumPy calls of an update take microseconds each, however few numbers they change. An
optimiser whose update is elementwise therefore moves its small parameters into one flat array, and
their own arrays become views of it. Their state lies in such arrays too, and their gradients are
copied into another. Copying a large gradient would take longer than it saves, so large parameters
are updated one by one, where they are.
"""

from __future__ import annotations

import itertools
import operator
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.lib.array_utils import byte_bounds

from microgradx.arrays.types import Array
from microgradx.common.memory import is_unshared
from microgradx.engine import Tensor
from microgradx.graph.creation_order import creation_counter

__all__ = ["FlatParameters", "flatten", "unflatten"]

#: Parameters of more numbers than this are updated one by one.
MAX_SIZE = 8192


class FlatParameters:
    """Parameters whose arrays are, in their order, the views of one flat array, `values`.

    `positions` are the indices of the parameters in the optimiser, `group` is the group whose
    settings they have. The arrays in `state` have the shape of `values`; the state that the
    optimiser keeps for each parameter holds views of them.
    """

    def __init__(self, parameters: dict[int, Tensor], group: dict[str, Any], values: Array) -> None:
        self.positions = list(parameters)
        self.group = group
        self.values = values
        self.gradients = np.empty_like(values)
        self.state: dict[str, Any] = {}
        self._parameters = list(parameters.values())
        arrays = [parameter.array for parameter in self._parameters]
        gradients = unflatten(self.gradients, self._parameters)
        self._members = list(zip(self._parameters, arrays, gradients, strict=True))
        # The flat arrays of which the parameters' states hold views, and all that these states held
        # when they were last the same as `state`.
        self._viewed: dict[str, Array] = {}
        self._entries: list[Any] = []

    def gather(self, states: list[dict[str, Any]]) -> bool:
        """Copy the gradients into `gradients`, and return whether one update can serve all.

        It can if each parameter has a gradient that fits and is still a view of `values`, and if
        the states of the parameters agree.
        """
        for parameter, array, gradient in self._members:
            g = parameter.grad
            if type(g) is not np.ndarray or g.shape != array.shape or parameter.array is not array:
                return False
            gradient[...] = g
        return self._has_state_of(states)

    def is_together(self, states: list[dict[str, Any]]) -> bool:
        """Whether the parameters are still views of `values`, with states that agree."""
        return all(p.array is array for p, array, _ in self._members) and self._has_state_of(states)

    def sync_state(self, states: list[dict[str, Any]]) -> None:
        """After an update: mark the parameters as changed, and put the new state into `states`."""
        number = next(creation_counter)
        for parameter in self._parameters:
            parameter.sequence_number = number
        self._share_state(states)

    def _share_state(self, states: list[dict[str, Any]]) -> None:
        """Let the states of the parameters hold what `state` holds, arrays as views."""
        for name, value in self.state.items():
            parts = [value] * len(self.positions)
            if isinstance(value, np.ndarray):
                if self._viewed.get(name) is value:
                    continue
                self._viewed[name] = value
                parts = unflatten(value, self._parameters)
            for position, part in zip(self.positions, parts, strict=True):
                states[position][name] = part
        if self.state:
            self._entries = self._read_entries(states)

    def _read_entries(self, states: list[dict[str, Any]]) -> list[Any]:
        return [entry for position in self.positions for entry in states[position].values()]

    def _has_state_of(self, states: list[dict[str, Any]]) -> bool:
        """Whether `state` is what the parameters' states are, or can be made of them."""
        if not (self.state or any(states)):
            return True
        entries = self._read_entries(states)
        is_synced = len(entries) == len(self._entries)
        return (is_synced and all(map(operator.is_, entries, self._entries))) or self._load(states)

    def _load(self, states: list[dict[str, Any]]) -> bool:
        """Make `state` of states that somebody has set; False if they do not agree."""
        own = [states[position] for position in self.positions]
        if any(state.keys() != own[0].keys() for state in own):
            return False
        loaded: dict[str, Any] = {}
        for name, first in own[0].items():
            parts = [state[name] for state in own]
            if all(isinstance(part, np.ndarray) for part in parts):
                loaded[name] = np.concatenate([part.ravel() for part in parts])
            elif any(isinstance(part, np.ndarray) or part != first for part in parts):
                return False
            else:
                loaded[name] = first
        self.state, self._viewed = loaded, {}
        self._share_state(states)  # at once, as a compiled step without counts never syncs
        return True


def flatten(parameters: dict[int, Tensor], group: dict[str, Any]) -> list[FlatParameters]:
    """Move the small parameters of each dtype into one flat array; the rest stay as they are.

    The parameters are those of a group, by their positions in the optimiser.

    An array that something else refers to is not moved: whoever holds it would be left with an
    array that is no longer the parameter's. Parameters that are already views of one array, in
    this order, as another optimiser has arranged them, are not moved either.
    """
    flat = []
    for dtype in dict.fromkeys(parameter.dtype for parameter in parameters.values()):
        small = {
            i: parameter
            for i, parameter in parameters.items()
            if parameter.dtype == dtype and 0 < parameter.size <= MAX_SIZE
        }
        values = _find_flat_array(list(small.values()))
        if values is None:
            small = {i: parameter for i, parameter in small.items() if _is_movable(parameter)}
            values = _move(list(small.values())) if len(small) > 1 else None
        if values is not None:
            flat.append(FlatParameters(small, group, values))
    return flat


def unflatten(values: Array, parameters: Iterable[Tensor]) -> list[Array]:
    """Views of a flat array, one for each parameter, in their shapes."""
    views = []
    start = 0
    for parameter in parameters:
        stop = start + parameter.size
        views.append(values[start:stop].reshape(parameter.shape))
        start = stop
    return views


def _is_movable(parameter: Tensor) -> bool:
    """Whether nothing but the parameter refers to its array."""
    array, parameter.array = parameter.array, None  # only `array` may refer to it meanwhile
    is_movable = is_unshared(array)
    parameter.array = array
    return is_movable


def _move(parameters: list[Tensor]) -> Array:
    values = np.concatenate([parameter.array.ravel() for parameter in parameters])
    for parameter, view in zip(parameters, unflatten(values, parameters), strict=True):
        parameter.array = view
    return values


def _find_flat_array(parameters: list[Tensor]) -> Array | None:
    """The flat array of which the parameters' arrays are the views, in this order, if there is one.

    It may be part of a longer one.
    """
    arrays = [parameter.array for parameter in parameters]
    base = arrays[0].base if len(arrays) > 1 else None
    if not isinstance(base, np.ndarray) or base.ndim != 1 or base.dtype != arrays[0].dtype:
        return None
    if not base.flags.carray or any(a.base is not base or not a.flags.carray for a in arrays):
        return None
    bounds = [byte_bounds(array) for array in arrays]
    if any(end != start for (_, end), (start, _) in itertools.pairwise(bounds)):
        return None
    offset, _ = byte_bounds(base)
    first, stop = ((bound - offset) // base.itemsize for bound in (bounds[0][0], bounds[-1][1]))
    return base[first:stop]
