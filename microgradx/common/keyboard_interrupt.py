"""Ctrl-C while `python -m microgradx` is still being imported: one line, and no traceback.

The package imports this first. Once the command runs, `cli.main` sees to it.
"""

from __future__ import annotations

import re
import sys
from contextlib import suppress
from types import TracebackType

__all__: list[str] = []


def _exit_on_interrupt(
    kind: type[BaseException], error: BaseException, traceback: TracebackType | None
) -> None:
    if not issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, traceback)
        return
    with suppress(OSError, AttributeError, ValueError):  # streams that are closed
        sys.stdout.flush()
        print("\nmicrogradx: interrupted", file=sys.stderr, flush=True)
    raise SystemExit(130)  # where Python would end itself by the signal


# Python's own command line, as nothing else can tell yet.
if re.search(r"(^|\0)-\w*m\0?microgradx(\0|$)", "\0".join(sys.orig_argv)):
    sys.excepthook = _exit_on_interrupt
