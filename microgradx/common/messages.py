"""How error messages speak of Tensors and ops."""

from __future__ import annotations

import difflib
import inspect
import os
import sys
import warnings
from collections.abc import Iterable, Sequence
from types import FrameType
from typing import Any

import numpy as np

# What no user wrote: frames of these directories, and of compiled code, are passed over.
_ours = (
    os.path.join(os.path.dirname(os.path.dirname(__file__)), ""),
    os.path.join(os.path.dirname(np.__file__), ""),
    "<compiled ",
)


def printable(text: str) -> str:
    """Text in which line breaks, control characters and their like are spelt out."""
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text
    )


def describe(x: Any) -> str:
    """A Tensor in a message: its name if it has one, dtype, shape, and the op that made it."""
    made = f", made by {x.op!r}" if x.op is not None else ""
    return f"{f'Tensor {x.name!r}' if x.name else 'a Tensor'} ({x.dtype}, shape {x.shape}{made})"


def format_inputs(inputs: tuple[Any, ...]) -> str:
    """The inputs of an op in a message."""
    return " and ".join(f"{x.name or x.dtype} {x.shape}" for x in inputs)


class OperandError(ValueError):
    """Operands that do not fit each other. In `reason`, {0}, {1} and so on stand for their names.

    An operand without a name that can stand in an expression is called x, y or z, as in the
    formulas of ops.
    """

    def __init__(self, op: str, operands: Sequence[Any], reason: str) -> None:
        self.reason = reason
        names = [getattr(x, "name", None) or "" for x in operands]
        letters = (c for c in "xyzabcdefghijklmnopqrstuvw" if c not in names)
        names = [name if name.isidentifier() else next(letters) for name in names]
        shapes = [f"{name} {np.shape(x)}" for name, x in zip(names, operands, strict=True)]
        super().__init__(f"{op} of {' and '.join(shapes)}: {reason.format(*names)}")

    def __reduce__(self) -> Any:
        return ValueError, self.args  # what a process sends to another


#: What to do about an error in a rule, by what the error says.
REMEDIES = {
    "read-only": "a rule may not write into what it is given",
    "backward() takes": "its arguments are those of backward(self, g, out, *inputs)",
    "backward() missing": "its arguments are those of backward(self, g, out, *inputs)",
}


def with_context(error: Exception, where: str, inputs: tuple[Any, ...]) -> Exception:
    """An error again, of its kind, that also says which op raised it, and for which inputs."""
    if isinstance(error, OperandError):
        return OperandError(where, inputs, error.reason)
    kinds = (np.exceptions.AxisError, np.linalg.LinAlgError, IndexError, ValueError, TypeError)
    kind = next(kind for kind in kinds if isinstance(error, kind))
    return kind(f"{where} of {format_inputs(inputs)}: {add_remedy(str(error))}")


def add_remedy(text: str) -> str:
    """What an error in a rule says, and what to do about it."""
    return text + "".join(f"; {remedy}" for cause, remedy in REMEDIES.items() if cause in text)


def wrong_gradient_count(returned: Any, inputs: int) -> ValueError:
    """The error for a `backward` that did not return a gradient for each of an op's inputs."""
    each = "the gradient" if inputs == 1 else f"a tuple of {inputs} gradients"
    if returned is None:
        return ValueError(
            f"it returned None; is a `return` missing? It must return {each} "
            "(with None in a tuple, such as (None,), for an input that has no gradient)"
        )
    count = len(returned) if isinstance(returned, (tuple, list)) else 1
    as_list = ": a list counts as that; write np.array(...)" if isinstance(returned, list) else ""
    return ValueError(
        f"it returned {count} gradient{'s' * (count != 1)} for {inputs} "
        f"input{'s' * (inputs != 1)}{as_list}; it must return {each}, with None for an input that "
        "has none"
    )


def format_call(name: str, instance: Any, unless_in: type) -> str:
    """A call of an op or module in a message: its name, and the settings that are not defaults.

    `unless_in` is the class whose attributes are not among the settings.
    """
    attributes = vars(instance)
    settings = [
        f"{setting}={attributes[setting]!r}"
        for setting, parameter in inspect.signature(type(instance)).parameters.items()
        if setting in attributes
        and not hasattr(unless_in, setting)
        and not np.array_equal(attributes[setting], parameter.default)
    ]
    return f"{name}({', '.join(settings)})" if settings else name


def quote(text: str) -> str:
    """A name or cell in a message: quoted, and cut where it would fill the line."""
    return repr(text if len(text) <= 40 else text[:39] + "…")


def format_count(number: int, noun: str) -> str:
    """
    >>> format_count(1, "step"), format_count(1200, "step")
    ('1 step', '1,200 steps')
    """
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def shorten(names: Sequence[str]) -> str:
    """Names in a message: the first of them, and how many more there are."""
    first = ", ".join(quote(name) for name in names[:6])
    return first if len(names) <= 6 else f"{first} and {len(names) - 6} more"


def find_name(kind: str, name: str, known: Iterable[str]) -> str:
    """`name`, if it is known; raises ValueError that shows the nearest one and the others.

    >>> find_name("optimiser", "adm", ["adam", "sgd"])
    Traceback (most recent call last):
    ValueError: there is no optimiser called 'adm'; did you mean 'adam'? There are adam, sgd
    """
    known = sorted(known)
    if name in known:
        return name
    near = difflib.get_close_matches(name.lower(), known, 1, 0.5)
    hint = f"did you mean {near[0]!r}? There are " if near else "there are "
    raise ValueError(f"there is no {kind} called {name!r}; {hint}{', '.join(known)}")


class InputError(ValueError):
    """What someone gave cannot be used; one line says what, where, and how to mend it.

    >>> raise InputError("iris.csv, line 3, column 2 ('width'): 'wide' is not a number")
    Traceback (most recent call last):
    microgradx.common.messages.InputError: iris.csv, line 3, column 2 ('width'): ...
    """


def find_caller_frame() -> FrameType:
    """The innermost frame outside this package and NumPy: the line that a user wrote.

    It goes by files and not by modules' names, which doctests borrow.
    """
    frame = sys._getframe(1)
    while frame.f_code.co_filename.startswith(_ours) and frame.f_back is not None:
        frame = frame.f_back
    return frame


def warn_caller(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn at the line that a user wrote."""
    frame = find_caller_frame()
    warnings.warn_explicit(
        message,
        category,
        frame.f_code.co_filename,
        frame.f_lineno,
        module=frame.f_globals.get("__name__"),
        registry=frame.f_globals.setdefault("__warningregistry__", {}),
    )
