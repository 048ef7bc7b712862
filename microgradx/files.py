"""Files that are written: whole, or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["check_directory", "replacing"]


def check_directory(path: Path) -> None:
    """Raise FileNotFoundError, before any work, where there is no directory to save a file in."""
    if not path.parent.is_dir():
        raise FileNotFoundError(
            f"there is no directory {str(path.parent)!r} to save {path.name!r} in; create it first"
        )


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A temporary path to write to, beside `path`, which replaces it if all went well.

    Whoever reads `path` meanwhile, or after an interruption, sees the old file or the new one,
    and never half of one.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as directory:
    ...     path = Path(directory) / "numbers.txt"
    ...     with replacing(path) as temporary:
    ...         written = temporary.write_text("1 2 3")
    ...     path.read_text()
    '1 2 3'
    """
    path = Path(path)
    temporary = path.with_name(f".{path.stem}-{os.getpid()}{path.suffix}")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
