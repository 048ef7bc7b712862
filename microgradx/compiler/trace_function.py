"""A function of arrays, captured as a program."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from microgradx.arrays.types import unwrap
from microgradx.common.nested import map_nested
from microgradx.compiler.capture import Capture, Captured
from microgradx.compiler.names import names_of_arguments, names_of_locals
from microgradx.compiler.tracing import CaptureError, RecordedArray, RecordedNumber
from microgradx.engine import Tensor
from microgradx.graph.creation_order import creation_counter

__all__ = ["captured_function"]


def captured_function(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Captured:
    """A function of the arrays among its arguments; all else is the same in every call."""
    captures = []
    names = names_of_arguments(function, args, kwargs)
    for _ in range(2):
        capture = Capture()
        capture.naming.function_began = next(creation_counter)

        def recorded(name: str, x: Any, capture: Capture = capture) -> Any:
            return map_nested(functools.partial(_recorded_argument, capture, name), x)

        with capture.recording(), names_of_locals(function, capture.number_names):
            result = function(
                *map(recorded, names, args),
                **{name: recorded(name, x) for name, x in kwargs.items()},
            )
        captures.append((capture, result))
    if captures[0][0].fingerprint() != captures[1][0].fingerprint():
        raise CaptureError(
            "the function computes something else each time it is called, with numbers that are "
            "drawn or counted outside of it; pass what changes as an argument: an array, or a "
            "numpy.random.Generator to draw from"
        )
    results: list[RecordedArray | RecordedNumber] = []

    def placed(x: Any) -> Any:
        if isinstance(x, Tensor):
            x = x.array
        if isinstance(x, np.ndarray):
            x = capture.recorder.constant(x)
        if not isinstance(x, (RecordedArray, RecordedNumber)):
            return x
        results.append(x)
        x.value.name = x.value.name or "result"
        return _Result(len(results) - 1)

    structure = map_nested(placed, result)
    captured = capture.captured(results, {})
    captured.rebuilt = lambda arrays: map_nested(
        lambda x: arrays[x.position] if isinstance(x, _Result) else x, structure
    )
    return captured


@dataclass
class _Result:
    """The place of a result of the program in what the function gives."""

    position: int


def _recorded_argument(capture: Capture, name: str, x: Any) -> Any:
    x = unwrap(x)
    if isinstance(x, np.random.Generator):
        return capture.generator_argument(x, name)
    return capture.argument(np.asarray(x), name) if isinstance(x, (np.ndarray, np.generic)) else x
