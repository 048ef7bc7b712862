"""Plain arrays that integers of the batch index: `table[y]`, `np.take(table, y, axis=0)`.

NumPy asks only the array that is indexed, and not the index. So, while a program is traced, the
arrays that a model and a loss refer to are views of a class of their own.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from microgradx.arrays.types import Array
from microgradx.common.nested import leaves_of
from microgradx.common.variables import global_names
from microgradx.compiler.tracing import TracedArray
from microgradx.nn.module import Module

__all__ = ["let_index_tables"]


class _Table(np.ndarray[Any, Any]):
    """An array that traced integers may index, and that is like any other else."""

    #: The variable or attribute that holds it.
    name = ""

    def __getitem__(self, index: Any) -> Any:
        traced = _find_traced(index)
        return super().__getitem__(index) if traced is None else self._trace(traced)[index]

    def take(self, indices: Any, axis: Any = None, out: Any = None, mode: Any = "raise") -> Any:
        traced = _find_traced(indices)
        if traced is None:
            return super().take(indices, axis, out, mode)
        return np.take(self._trace(traced), indices, axis, out, mode)

    def _trace(self, traced: TracedArray) -> TracedArray:
        constant = traced.tracer.constant(np.array(self))
        constant.value.name = self.name
        return constant


def _find_traced(index: Any) -> TracedArray | None:
    return next((x for x in leaves_of(index) if isinstance(x, TracedArray)), None)


def _as_table(array: Array, name: str) -> _Table:
    table: _Table = array.view(_Table)
    table.name = name
    return table


@contextmanager
def let_index_tables(*roots: Any) -> Iterator[None]:
    """Let traced integers index the arrays that modules and functions refer to.

    Other threads see views of the same arrays, which do what arrays do.
    """
    undo: list[Callable[[], None]] = []
    seen: set[Any] = set()
    for root in roots:
        functions = [root]
        if isinstance(root, Module):
            _replace_items(vars(root), undo)
            functions = [type(root).forward, *vars(root).values()]
        for function in functions:
            _replace_variables(getattr(function, "func", function), undo, seen)
    try:
        yield
    finally:
        for put_back in undo:
            put_back()


def _replace_items(content: Any, undo: list[Callable[[], None]]) -> None:
    """Replace the arrays in a dict or list, and in those inside it."""
    items = content.items() if isinstance(content, dict) else enumerate(content)
    for key, value in [*items]:
        if isinstance(value, (dict, list)):
            _replace_items(value, undo)
        elif _is_table(value):
            content[key] = _as_table(value, key if isinstance(key, str) else "")
            undo.append(functools.partial(content.__setitem__, key, value))


def _replace_variables(function: Any, undo: list[Callable[[], None]], seen: set[Any]) -> None:
    """Replace the arrays to which a function refers, or one beside it that it refers to."""
    function = getattr(function, "__func__", function)
    if not inspect.isfunction(function) or function in seen or _is_ours(function):
        return
    seen.add(function)
    code, variables = function.__code__, function.__globals__
    for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
        try:
            value = cell.cell_contents
        except ValueError:  # a variable that is not set yet
            continue
        if _is_table(value):
            cell.cell_contents = _as_table(value, name)
            undo.append(functools.partial(setattr, cell, "cell_contents", value))
        _replace_variables(value, undo, seen)
    for name in global_names(code):
        value = variables.get(name)
        if _is_table(value):
            variables[name] = _as_table(value, name)
            undo.append(functools.partial(variables.__setitem__, name, value))
        elif getattr(value, "__globals__", None) is variables:
            _replace_variables(value, undo, seen)


def _is_table(value: Any) -> bool:
    return type(value) is np.ndarray and value.ndim > 0 and value.dtype.kind in "fiub"


def _is_ours(function: Any) -> bool:
    return str(function.__module__).startswith("microgradx.")
