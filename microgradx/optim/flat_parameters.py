"""Parameters side by side in one array, so that one update serves many.

The ten or so functions of NumPy that an update calls take microseconds, on however few numbers.
An optimiser whose update is elementwise therefore moves its small parameters into one array, of
which theirs become views, keeps their state in such arrays too, and gives these to `update`, with
the gradients, which are copied beside one another first. To copy large gradients would take longer
than it saves, so large parameters are updated one by one, where they are.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from sys import getrefcount
from typing import Any

import numpy as np

from microgradx.arrays.types import Array
from microgradx.engine import Tensor
from microgradx.graph.creation_order import creation_counter

__all__ = ["FlatParameters", "flatten"]

#: Of more numbers than this a gradient is not worth copying.
SMALL = 8192


class FlatParameters:
    """Parameters whose arrays are views of one, `values`, in their order, and the state of all.

    `positions` are those that the parameters have in the optimiser. The arrays in `state` have the
    shape of `values`; what the optimiser keeps for each parameter are views of them.
    """

    def __init__(self, parameters: dict[int, Tensor], values: Array) -> None:
        self.positions = list(parameters)
        self.values = values
        self.gradients = np.empty_like(values)
        self.state: dict[str, Any] = {}
        self._parameters = list(parameters.values())
        places = views(self.gradients, self._parameters)
        self._members = [
            (p, p.array, place) for p, place in zip(self._parameters, places, strict=True)
        ]
        # What the optimiser's state for each parameter was last time.
        self._published: list[dict[str, Any]] = [{} for _ in parameters]

    def gather(self, states: list[dict[str, Any]]) -> bool:
        """Copy the gradients beside one another, if all parameters can take this step together.

        They can if each has a gradient that fits and has its place in `values` still, and if what
        the optimiser keeps for them agrees.
        """
        for parameter, array, place in self._members:
            g = parameter.grad
            if type(g) is not np.ndarray or g.shape != array.shape or parameter.array is not array:
                return False
            place[...] = g
        return self._agrees(states)

    def is_together(self, states: list[dict[str, Any]]) -> bool:
        """Whether the parameters lie in `values` still, with states that agree, in `state`."""
        return all(p.array is array for p, array, _ in self._members) and self._agrees(states)

    def _agrees(self, states: list[dict[str, Any]]) -> bool:
        return not (self.state or any(states)) or self._is_in_step(states) or self._join(states)

    def sync_state(self, states: list[dict[str, Any]]) -> None:
        """After an update, tell of it the graphs that used the parameters, and their states."""
        number = next(creation_counter)
        for parameter in self._parameters:
            parameter.sequence_number = number
        for name, value in self.state.items():
            parts = [value] * len(self.positions)
            if isinstance(value, np.ndarray):
                if name in self._published[0]:  # as views, which know already
                    continue
                parts = views(value, self._parameters)
            for position, published, part in zip(
                self.positions, self._published, parts, strict=True
            ):
                states[position][name] = published[name] = part

    def _is_in_step(self, states: list[dict[str, Any]]) -> bool:
        """Whether the states of the parameters still are what was last published."""
        for position, published in zip(self.positions, self._published, strict=True):
            state = states[position]
            if len(state) != len(published):
                return False
            for name, part in published.items():
                if state.get(name) is not part:
                    return False
        return True

    def _join(self, states: list[dict[str, Any]]) -> bool:
        """Take over states that somebody has set, if they can be those of parameters in step."""
        own = [states[position] for position in self.positions]
        joined: dict[str, Any] = {}
        for name, first in own[0].items():
            parts: list[Any] = [state.get(name) for state in own]
            if all(isinstance(part, np.ndarray) for part in parts):
                joined[name] = np.concatenate([part.ravel() for part in parts])
            elif any(isinstance(part, np.ndarray) or part != first for part in parts):
                return False
            else:
                joined[name] = first
        if any(state.keys() != joined.keys() for state in own):
            return False
        self.state = joined
        self._published = [{} for _ in own]
        return True


def views(values: Array, parameters: Iterable[Tensor]) -> list[Array]:
    """The parts of an array that belong to the parameters, in their shapes."""
    parts = []
    start = 0
    for parameter in parameters:
        stop = start + parameter.size
        parts.append(values[start:stop].reshape(parameter.shape))
        start = stop
    return parts


def flatten(parameters: Sequence[Tensor]) -> list[FlatParameters]:
    """Lay small parameters side by side, those of each dtype; what is not in the result is apart.

    Only arrays that nothing but their parameter refers to are moved, so nobody can be left with an
    array that is no longer the parameter's. Those that lie side by side already, as another
    optimiser laid them, stay.
    """
    found = []
    for dtype in dict.fromkeys(parameter.dtype for parameter in parameters):
        small = {
            i: parameter
            for i, parameter in enumerate(parameters)
            if parameter.dtype == dtype and 0 < parameter.size <= SMALL
        }
        values = _already(list(small.values()))
        if values is None:
            small = {i: parameter for i, parameter in small.items() if _is_movable(parameter)}
            values = _moved(list(small.values())) if len(small) > 1 else None
        if values is not None:
            found.append(FlatParameters(small, values))
    return found


def _is_movable(parameter: Tensor) -> bool:
    array = parameter.array
    # It may have one reference more than this variable's: the parameter's.
    is_unshared = getrefcount(array) == (3 if sys.version_info < (3, 14) else 2)
    return bool(is_unshared and array.flags.owndata and array.flags.writeable)


def _moved(parameters: list[Tensor]) -> Array:
    values = np.concatenate([parameter.array.ravel() for parameter in parameters])
    for parameter, view in zip(parameters, views(values, parameters), strict=True):
        parameter.array = view
    return values


def _already(parameters: list[Tensor]) -> Array | None:
    """The part of one array that the parameters' arrays are, in this order, if they are."""
    base = parameters[0].array.base if len(parameters) > 1 else None
    if base is None or base.ndim != 1 or not base.flags.carray or base.dtype != parameters[0].dtype:
        return None
    start = stop = _address(parameters[0].array)
    for parameter in parameters:
        array = parameter.array
        if array.base is not base or not array.flags.carray or _address(array) != stop:
            return None
        stop += array.nbytes
    first = (start - _address(base)) // base.itemsize
    return base[first : first + (stop - start) // base.itemsize]


def _address(array: Array) -> int:
    address: int = array.__array_interface__["data"][0]
    return address
