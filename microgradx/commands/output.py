"""What commands print: safe on every terminal, and never in the way of what they do."""

from __future__ import annotations

import io
import os
import re
import sys
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO

from microgradx.common.messages import printable

__all__ = ["csv_cell", "printable_lines", "tolerant_streams"]


class TolerantStream:
    """A text stream whose reader may go away: what it does not take is dropped, silently.

    So `train | head -1` trains on and writes its files. `failure` is the first error.
    """

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self.failure: OSError | None = None
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # for terminals that cannot show arrows

    def write(self, text: str) -> int:
        with self._tolerate():
            self.stream.write(text)
        return len(text)

    def flush(self) -> None:
        with self._tolerate():
            self.stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)

    @contextmanager
    def _tolerate(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self.failure = self.failure or error
            # What is in its buffer must go somewhere, or Python would fail again at its exit.
            with suppress(OSError), open(os.devnull, "w") as nowhere:
                os.dup2(nowhere.fileno(), self.stream.fileno())


@contextmanager
def tolerant_streams() -> Iterator[TolerantStream]:
    """Make stdout and stderr tolerant, for as long as a command runs; yields stdout."""
    before: Any = sys.stdout, sys.stderr
    with open(os.devnull, "w") as nowhere:
        # Python has None for what is closed, and print would write to stdout instead of stderr.
        streams: Any = [
            TolerantStream(nowhere if stream is None or stream.closed else stream)
            for stream in before
        ]
        try:
            sys.stdout, sys.stderr = streams
            yield streams[0]
        finally:
            for stream in streams:
                stream.flush()
            sys.stdout, sys.stderr = before


def printable_lines(text: str) -> str:
    """A text without control characters, which a terminal could obey, except line breaks."""
    return "\n".join(map(printable, text.split("\n")))


def csv_cell(text: str) -> str:
    """A text as a cell of a table in CSV, which a spreadsheet takes for a text or a number.

    One that it would take for a formula gets an apostrophe; control characters are spelt out. Signs
    alone, such as the classes + and -, have nothing to compute with.

    >>> [csv_cell(text) for text in ("cat", "-1.5", "=1+1", "-x", "-")]
    ['cat', '-1.5', "'=1+1", "'-x", '-']
    """
    text = printable(text)
    is_number = re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", text, re.ASCII)
    is_sign = re.fullmatch(r"[=+-]+", text)
    first = unicodedata.normalize("NFKC", text.lstrip()[:1])  # there are wide ones too
    return f"'{text}" if first in {*"=+-@"} and not (is_number or is_sign) else text
