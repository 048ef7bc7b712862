"""Files: written whole, or not at all; and what cannot be read is said in one line."""

from __future__ import annotations

import os
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from microgradx.common.messages import InputError, shorten

__all__ = ["check_directory", "load_arrays", "replacing", "require_file"]


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


def require_file(path: str | Path) -> Path:
    """`path`, if there is a file."""
    path = Path(path)
    if path.is_dir():
        raise InputError(f"{path} is a directory, and a file is needed")
    if not path.exists():
        raise InputError(f"{path}: there is no such file")
    return path


def load_arrays(path: Path, *wanted: str) -> tuple[dict[str, np.ndarray[Any, Any]], str]:
    """Those of the wanted arrays that an NPZ file has; and the names of all, for a message.

    Nothing is ever unpickled. Raises InputError for what is damaged, or not an NPZ file.
    """
    try:
        with path.open("rb") as file:
            loaded = np.load(file, allow_pickle=False)
            if not isinstance(loaded, np.lib.npyio.NpzFile):
                raise InputError(f"{path} is a single array; write it with np.savez(path, X=, y=)")
            with loaded:
                arrays = {name: loaded[name] for name in wanted if name in loaded.files}
                return arrays, shorten(loaded.files) or "none"
    except InputError:
        raise
    except (
        *(ValueError, EOFError, KeyError, NotImplementedError),
        *(zipfile.BadZipFile, zlib.error, struct.error),
    ) as error:
        if "allow_pickle" in str(error) and zipfile.is_zipfile(path):
            raise InputError(
                f"{path} holds Python objects, which are never loaded; save plain arrays"
            ) from None
        raise InputError(f"{path} is damaged, or not an NPZ file of np.savez") from None
