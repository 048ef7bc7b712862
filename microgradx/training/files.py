"""Files that are read: what cannot be used is said in one line."""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from microgradx.array_methods import Array

__all__ = ["InputError", "load_arrays"]


class InputError(ValueError):
    """What someone gave cannot be used; one line says what, where, and how to mend it.

    >>> raise InputError("iris.csv, line 3, column 2 ('width'): 'wide' is not a number")
    Traceback (most recent call last):
    microgradx.training.files.InputError: iris.csv, line 3, column 2 ('width'): ...
    """


def existing(path: str | Path) -> Path:
    """`path`, if there is a file."""
    path = Path(path)
    if path.is_dir():
        raise InputError(f"{path} is a directory, and a file is needed")
    if not path.exists():
        raise InputError(f"{path}: there is no such file")
    return path


def load_arrays(path: Path, *wanted: str) -> tuple[dict[str, Array], str]:
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
                return arrays, abridged(loaded.files) or "none"
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


def shown(text: str) -> str:
    """A name or cell in a message: quoted, and cut where it would fill the line."""
    return repr(text if len(text) <= 40 else text[:39] + "…")


def abridged(names: Sequence[str]) -> str:
    """Names in a message: the first of them, and how many more there are."""
    listed = ", ".join(shown(name) for name in names[:6])
    return listed if len(names) <= 6 else f"{listed} and {len(names) - 6} more"
