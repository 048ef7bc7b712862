"""Tracing runs the user's code, and leaves everything as it was: a `with` of `leave_unchanged`.

While a program is traced, `forward` may count, store, draw random numbers or write into an array.
A later call of the program does none of it, and a refused one must not have done it either.
"""

from __future__ import annotations

import functools
import inspect
import operator
import random
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from microgradx.common.randomness import default_generator
from microgradx.common.variables import global_names
from microgradx.nn.module import Module

__all__ = ["leave_unchanged"]

_GENERATORS = (np.random.Generator, np.random.RandomState)

# A search that has come across so many objects has left what belongs to the model.
_FAR = 10_000


@contextmanager
def leave_unchanged(*roots: Any) -> Iterator[None]:
    """Undo what happens to the attributes of modules, and to random generators.

    `roots` are modules, and functions, optimisers and other objects that may draw random numbers.
    What is left alone stays in place throughout: other threads may use it.
    """
    undo = [restore for root in roots if isinstance(root, Module) for restore in _undo(vars(root))]
    undo += [_undo_draws(generator) for generator in _find_generators(roots)]
    undo.append(functools.partial(random.setstate, random.getstate()))
    undo.append(functools.partial(np.random.set_state, np.random.get_state()))  # noqa: NPY002
    try:
        yield
    finally:
        for restore in undo:
            restore()


# ---------------------------------------------------------------------------- attributes


def _undo(content: Any) -> Iterator[Callable[[], None]]:
    """Functions that put the present items back into a dict or list, and those inside it."""
    if isinstance(content, dict):
        yield functools.partial(_put_items_back, content, dict(content))
    if isinstance(content, list):
        yield functools.partial(_put_list_back, content, list(content))
    if isinstance(content, (dict, list, tuple)):
        for item in [*(content.values() if isinstance(content, dict) else content)]:
            yield from _undo(item)
    if isinstance(content, np.ndarray) and content.flags.writeable:
        yield functools.partial(np.copyto, content, content.copy())


def _put_items_back(content: dict[Any, Any], before: dict[Any, Any]) -> None:
    for name in [name for name in content if name not in before]:
        del content[name]
    for name, value in before.items():
        if name not in content or content[name] is not value:
            content[name] = value


def _put_list_back(content: list[Any], before: list[Any]) -> None:
    if len(content) != len(before) or any(map(operator.is_not, content, before)):
        content[:] = before


# ---------------------------------------------------------------------------- random generators


def _undo_draws(generator: Any) -> Callable[[], None]:
    bits = generator.bit_generator if isinstance(generator, np.random.Generator) else None
    if bits is None:
        return functools.partial(generator.set_state, generator.get_state())
    return functools.partial(setattr, bits, "state", bits.state)


def _find_generators(roots: Iterable[Any]) -> list[Any]:
    """The generators that objects and functions hold, in variables and attributes."""
    pending = [default_generator(), *roots, *(x for root in roots for x in _attributes(root))]
    found: dict[int, Any] = {}
    while pending and len(found) < _FAR:
        value = pending.pop()
        if id(value) not in found:
            found[id(value)] = value
            pending += _members(value)
    return [value for value in found.values() if isinstance(value, _GENERATORS)]


def _attributes(value: Any) -> list[Any]:
    """The attributes of an object and of its class, such as an optimiser of the user's."""
    return [x for cls in type(value).__mro__ for x in vars(cls).values()] + [
        *getattr(value, "__dict__", {}).values()
    ]


def _members(value: Any) -> Iterable[Any]:
    """What a module, a container or a function refers to."""
    if isinstance(value, Module):
        return vars(value).values()
    if isinstance(value, dict):
        return value.values()
    if isinstance(value, (list, tuple)):
        return value
    if isinstance(value, functools.partial):
        return value.func, value.args, value.keywords
    if inspect.ismethod(value):
        return value.__self__, value.__func__
    if not inspect.isfunction(value) or str(value.__module__).startswith("microgradx."):
        return ()
    cells = [_content(cell) for cell in value.__closure__ or ()]
    names = [name for name in global_names(value.__code__) if name in value.__globals__]
    return [*cells, *(value.__defaults__ or ()), *(value.__globals__[name] for name in names)]


def _content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # a variable that is not set yet
        return None
