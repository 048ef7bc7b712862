"""A function of arrays that runs as generated NumPy source."""

from __future__ import annotations

import functools
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import numpy as np

from microgradx.common.floating_point import WarningsAtCaller
from microgradx.compiler.module_text import (
    NO_SOURCE,
    PROGRAMS,
    load_module,
    name_in_title,
    write_function_module,
)
from microgradx.compiler.trace_function import trace_function
from microgradx.compiler.tracing import Traced
from microgradx.engine import Tensor
from microgradx.graph.observers import observers
from microgradx.nn.module import Module

__all__ = ["CompiledFunction"]


class CompiledFunction:
    """A function of arrays that runs as generated NumPy source: see `compile`.

    Arrays and random generators among the arguments, also in lists, tuples and dicts, are inputs
    of the program. Anything else, Python numbers too, is a constant of it: for another value there
    is another program. The latest few programs are kept. Threads may call it at the same time:
    each call has arrays of its own.

    >>> import microgradx as mg
    >>> @mg.compile
    ... def gap(x, y):
    ...     return np.mean((x - y) ** 2)
    >>> gap(np.array([1.0, 2.0]), np.array([1.0, 4.0]))
    array(2.)
    >>> print(gap.source.partition("def function")[2])
    (x, y):
            subtract(x, y, out=scratch)
            multiply(scratch, scratch, out=scratch)
            mean(scratch, out=result)
    <BLANKLINE>
            return result.copy()
    <BLANKLINE>
        return function
    <BLANKLINE>
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        if not callable(function) or isinstance(function, (Tensor, Module)):
            raise TypeError(
                f"compile takes a function of arrays, not {type(function).__name__}; for a "
                "training step write compile(model, loss, optimizer)"
            )
        functools.update_wrapper(self, function)
        self._function = function
        self._programs: OrderedDict[Any, _FunctionProgram] = OrderedDict()
        self._latest: _FunctionProgram | None = None

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if observers.get():  # they observe ops, of which a program has none
            return self._function(*args, **kwargs)
        arrays: list[Any] = []
        try:
            key = _signature((args, kwargs), arrays)
        except _TrackedArgument:  # the function is being differentiated or traced
            return self._function(*args, **kwargs)
        program = self._programs.get(key)
        if program is None:
            program = _FunctionProgram(self._function, args, kwargs)
        if program is not self._latest:
            # Other threads may do the same at any time.
            self._programs.pop(key, None)
            self._programs[key] = self._latest = program
            while len(self._programs) > PROGRAMS:
                self._programs.popitem(last=False)
        results = program.run(*arrays, *[source() for source in program.sources])
        return program.rebuild(results if program.result_count > 1 else (results,))

    @property
    def source(self) -> str:
        """The module that was generated for the arrays of the latest call."""
        if self._latest is None:
            raise ValueError(NO_SOURCE.format("call the function"))
        return self._latest.source


class _FunctionProgram:
    def __init__(
        self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        traced = trace_function(function, args, kwargs)
        self.source, lines = write_function_module(
            traced.program, f"The function {name_in_title(function)}, written by microgradx."
        )
        make = load_module(self.source, "function", self)["make_function"]
        self._make = functools.partial(make, **lines.data)
        # Functions that no call runs, each with arrays of its own. To take from a list, and to add
        # to it, is safe between threads.
        self._idle = [self._make()]
        self.sources = traced.sources
        self.result_count = len(traced.program.results)
        self.rebuild: Any = traced.rebuild

    def run(self, *inputs: Any) -> Any:
        try:
            function = self._idle.pop()
        except IndexError:  # all are at work in other threads
            function = self._make()
        try:
            with WarningsAtCaller():
                return function(*inputs)
        finally:
            self._idle.append(function)


def _signature(structure: Any, arrays: list[Any]) -> Any:
    """A key that is equal for arguments of the same program; their arrays are added to a list."""
    kind = type(structure)
    if kind is np.ndarray:
        arrays.append(structure)
        return structure.shape, structure.dtype
    if isinstance(structure, Tensor) and not structure.requires_grad:
        return _signature(structure.array, arrays)
    if isinstance(structure, (Tensor, Traced)):
        raise _TrackedArgument
    if isinstance(structure, (np.ndarray, np.generic)):
        return _signature(np.asarray(structure), arrays)
    if isinstance(structure, np.random.Generator):
        arrays.append(structure)
        return kind
    if isinstance(structure, (list, tuple)):
        return kind, *(_signature(item, arrays) for item in structure)
    if isinstance(structure, dict):
        return kind, *((key, _signature(item, arrays)) for key, item in structure.items())
    try:
        hash(structure)
    except TypeError:
        raise TypeError(
            f"an argument of a compiled function must be an array or hashable, and {structure!r}, "
            f"a {kind.__name__}, is neither; pass arrays, numbers, strings, or lists, tuples and "
            "dicts of them"
        ) from None
    return kind, repr(structure) if kind is float else structure  # 0.0 and -0.0 differ


class _TrackedArgument(Exception):
    """An argument is traced, or requires gradients."""
