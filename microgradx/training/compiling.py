"""Whether the steps of a training can be compiled without a question."""

from __future__ import annotations

import inspect
from types import FunctionType
from typing import Any

import numpy as np

from microgradx.common.variables import global_names
from microgradx.nn.module import Module

__all__ = ["reason_not_to_compile"]

PACKAGE = __name__.partition(".")[0]

#: Variables of these kinds may get other values while a training runs: a compiled step, in which
#: they are constants, would not notice.
VARIABLE = (bool, int, float, list, dict, set, np.ndarray, np.generic)


def reason_not_to_compile(model: Module, loss: Any) -> str | None:
    """A variable of the user's that a compiled step would take for a constant, in a sentence.

    Only functions outside of this package can have one: a loss, or the `forward` of a module.
    Names in capitals are constants, as everywhere in Python.
    """
    functions = [type(module).forward for module in model.modules()]
    loss = getattr(loss, "func", loss)  # of a functools.partial
    functions.append(type(loss).forward if isinstance(loss, Module) else loss)
    for function in functions:
        if not inspect.isfunction(function):
            if not _is_ours(type(function)):
                return f"{type(function).__name__} has attributes that may change"
        elif not _is_ours(function):
            name = _find_variable(function)
            if name is not None:
                return f"{function.__qualname__} uses the variable {name!r}, which may change"
    return None


def _is_ours(definition: Any) -> bool:
    return str(definition.__module__).partition(".")[0] == PACKAGE


def _find_variable(function: FunctionType) -> str | None:
    known = function.__globals__
    names = [name for name in global_names(function.__code__) if name in known]
    variables: dict[str, Any] = {name: known[name] for name in names}
    variables |= inspect.getclosurevars(function).nonlocals
    for name, value in variables.items():
        if isinstance(value, VARIABLE) and not name.isupper():
            return name
    return None
