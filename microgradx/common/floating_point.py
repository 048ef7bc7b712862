"""NumPy's warnings of floating-point errors, at the line that a user wrote.

NumPy warns at the innermost line of Python that runs, which would be a line of an op. It can
also write what it finds to an object; the one here warns at the user's line.
"""

from __future__ import annotations

from contextvars import ContextVar, Token
from functools import lru_cache
from typing import Any

import numpy as np
from numpy._core import umath

from microgradx.common.messages import warn_caller

__all__ = ["WarningsAtCaller", "restore_warnings", "warn_at_caller"]

# The variable that np.errstate sets: np.errstate itself takes longer than most ops. It is not
# public; where it is missing, warnings name lines of ops.
error_handling: ContextVar[Any] = getattr(
    umath, "_extobj_contextvar", ContextVar("error_handling", default=None)
)


class _WarningLog:
    def write(self, message: str) -> None:
        warn_caller(message.removeprefix("Warning: ").rstrip("\n"), RuntimeWarning)


_log: Any = _WarningLog()


@lru_cache(maxsize=32)
def _warning_at_caller(handling: Any) -> Any:
    """The same `error_handling` as the current one, except that it warns at the user's line."""
    modes = np.geterr()
    if "call" in modes.values() or "log" in modes.values():
        return handling  # these go to an object of the user's, and there can be only one
    warnings: Any = {kind: "log" for kind, mode in modes.items() if mode == "warn"}
    with np.errstate(**warnings, call=_log):
        return error_handling.get()


def warn_at_caller() -> Token[Any]:
    """Let NumPy's warnings name the user's line, until `restore_warnings(token)`."""
    return error_handling.set(_warning_at_caller(error_handling.get()))


restore_warnings = error_handling.reset


class WarningsAtCaller:
    """In a `with` of this, NumPy's warnings of floating-point errors name the user's line."""

    __slots__ = ("_token",)

    def __enter__(self) -> None:
        self._token = warn_at_caller()

    def __exit__(self, *error: object) -> None:
        restore_warnings(self._token)
