"""Trace a function of arrays."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from microgradx.arrays.types import unwrap
from microgradx.common.nested import map_nested
from microgradx.compiler.names import argument_names, use_variable_names
from microgradx.compiler.restoring import leave_unchanged
from microgradx.compiler.tables import let_index_tables
from microgradx.compiler.traced_program import ProgramBuilder, TracedProgram
from microgradx.compiler.tracing import CaptureError, TracedArray, TracedNumber
from microgradx.graph.creation_order import creation_counter

__all__ = ["trace_function"]


def trace_function(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> TracedProgram:
    """Trace a function of the arrays among its arguments; all else is constant.

    It is traced twice, to see that it computes the same both times.
    """
    fingerprints = []
    names = argument_names(function, args, kwargs)
    for _ in range(2):
        builder = ProgramBuilder()
        builder.naming.function_start = next(creation_counter)

        def add_inputs(name: str, x: Any, builder: ProgramBuilder = builder) -> Any:
            return map_nested(functools.partial(_add_input, builder, name), x)

        with (
            leave_unchanged(function),
            let_index_tables(function),
            builder.tracing(),
            use_variable_names(function, builder.number_names),
        ):
            result = function(
                *map(add_inputs, names, args),
                **{name: add_inputs(name, x) for name, x in kwargs.items()},
            )
        fingerprints.append(builder.fingerprint())
    if fingerprints[0] != fingerprints[1]:
        raise CaptureError(
            "the function computes something else each time it is called, with numbers that are "
            "drawn or counted outside of it; pass what changes as an argument: an array, or a "
            "numpy.random.Generator to draw from"
        )
    results: list[TracedArray | TracedNumber] = []

    def add_result(x: Any) -> Any:
        x = unwrap(x)
        if isinstance(x, np.ndarray):
            x = builder.tracer.constant(x)
        if not isinstance(x, (TracedArray, TracedNumber)):
            return x
        results.append(x)
        x.value.name = x.value.name or "result"
        return _Result(len(results) - 1)

    structure = map_nested(add_result, result)
    traced = builder.build(results, {})
    traced.rebuild = lambda arrays: map_nested(
        lambda x: arrays[x.position] if type(x) is _Result else x, structure
    )
    return traced


@dataclass
class _Result:
    """Stands in the function's result for a result of the program."""

    position: int


def _add_input(builder: ProgramBuilder, name: str, x: Any) -> Any:
    x = unwrap(x)
    if isinstance(x, np.random.Generator):
        return builder.add_generator(x, name)
    return (
        builder.add_argument(np.asarray(x), name) if isinstance(x, (np.ndarray, np.generic)) else x
    )
