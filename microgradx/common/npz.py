"""NPZ files of arrays, read without trust: they may come from anywhere.

Such a file is a ZIP archive with a member `name.npy` for each array: a header, which is a Python
literal of dtype, order and shape, and then the numbers. What it promises is checked before memory
is taken for it, and nothing is ever unpickled.
"""

from __future__ import annotations

import ast
import math
import os
import struct
import sys
import warnings
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any, NamedTuple

import numpy as np

from microgradx.common.files import require_file
from microgradx.common.messages import InputError, printable, quote, shorten

__all__ = ["ArrayFile", "ArrayHeader", "load_arrays", "open_arrays"]

MAGIC = b"\x93NUMPY"
ENDING = ".npy"

#: The longest header of an array, in bytes: NumPy's own limit.
MAX_HEADER = 10_000

#: An array may take this many bytes, or this many times the size of its file.
MAX_BYTES, MAX_RATIO = 2**24, 100

MAX_AXES = 32

#: So many bytes are read at a time.
CHUNK = 2**20

#: What cannot be read raises one of these, or an OSError.
ERRORS = (
    *(ValueError, TypeError, LookupError, ArithmeticError, RuntimeError, SyntaxError),
    *(EOFError, zipfile.BadZipFile, zlib.error, struct.error),
)


class ArrayHeader(NamedTuple):
    """What a file says of an array."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    order: Any  # "C" or "F"


class ArrayFile:
    """The arrays of an open NPZ file: `names`, and by name `header` and `read`.

    Each raises InputError, in one line, for what is damaged or too large.
    """

    def __init__(self, file: IO[bytes], path: str | os.PathLike[str]) -> None:
        self.path = printable(os.fspath(path))
        self.size = os.fstat(file.fileno()).st_size
        if file.read(len(MAGIC)) == MAGIC:
            raise InputError(f"{self.path} is a single array; write it with np.savez(path, X=, y=)")
        with self._say_what_is_wrong():
            self._archive = zipfile.ZipFile(file)
            members = self._archive.infolist()
        for name, count in Counter(member.filename for member in members).items():
            if count > 1:
                raise InputError(f"{self.path} is damaged: it has {quote(name)} {count} times")
        self._members = {
            member.filename.removesuffix(ENDING): member
            for member in members
            if member.filename.endswith(ENDING)
        }
        self.names = list(self._members)

    def header(self, name: str) -> ArrayHeader:
        """Dtype and shape of an array, which the file is large enough to hold."""
        with self._say_what_is_wrong(), self._open(name) as stream:
            return self._read_header(name, stream)

    def read(self, name: str) -> np.ndarray[Any, Any]:
        """An array, in the byte order of this machine."""
        with self._say_what_is_wrong(), self._open(name) as stream:
            dtype, shape, order = self._read_header(name, stream)
            array = np.empty(shape, dtype, order)
            # The transpose of an array in Fortran's order is in C's, so that this is a view.
            content = (array.T if order == "F" else array).reshape(-1).view(np.uint8).data
            for start in range(0, len(content), CHUNK):
                part = content[start : start + CHUNK]
                if stream.readinto(part) < len(part):
                    raise EOFError("fewer numbers than the header says")
            if stream.read(1):  # and the checksum is compared here
                raise ValueError("more numbers than the header says")
        array = array.astype(dtype.newbyteorder("="), copy=False)
        if dtype.kind == "U" and np.any(array.reshape(-1).view(np.uint32) > sys.maxunicode):
            raise self._damaged()
        return array

    def _open(self, name: str) -> Any:
        member = self._members[name]
        if member.flag_bits & 0x1:
            raise InputError(f"{self.path}: its array {quote(name)} is encrypted; save it as it is")
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ValueError("another compression than NumPy's")
        if member.header_offset < 0 or member.header_offset + member.compress_size > self.size:
            raise ValueError("a member beyond the end of the file")
        if member.file_size > max(MAX_BYTES, MAX_RATIO * self.size):
            raise InputError(
                f"{self.path}: its array {quote(name)} would take {member.file_size:,} bytes, and "
                f"the file has {self.size:,}; such large ones must be saved without compression, "
                "by np.savez"
            )
        return self._archive.open(member)

    def _read_header(self, name: str, stream: IO[bytes]) -> ArrayHeader:
        """Read the header of an array, after which come its numbers, and check all of it."""
        magic, version = stream.read(len(MAGIC)), stream.read(2)
        if magic != MAGIC or version not in (b"\1\0", b"\2\0", b"\3\0"):
            raise ValueError("no array, or one of a newer NumPy")
        length_format = "<H" if version == b"\1\0" else "<I"
        (length,) = struct.unpack(length_format, stream.read(struct.calcsize(length_format)))
        if length > MAX_HEADER:
            raise ValueError("a header that is too long")
        dtype, is_fortran, shape = _parse_header(stream.read(length).decode())
        if dtype.hasobject:
            raise InputError(
                f"{self.path}: its array {quote(name)} holds Python objects, which are never "
                "loaded; save plain arrays"
            )
        if dtype.kind == "V":
            raise InputError(f"{self.path}: its array {quote(name)} has fields; save plain arrays")
        # Without the first condition, (0, 10**30) would fit any array without elements.
        size = self._members[name].file_size
        if (
            max(shape, default=0) > size
            or math.prod(shape) * dtype.itemsize != size - stream.tell()
        ):
            raise ValueError("a shape that does not fit the size")
        return ArrayHeader(dtype, shape, "F" if is_fortran else "C")

    @contextmanager
    def _say_what_is_wrong(self) -> Iterator[None]:
        try:
            yield
        except InputError:
            raise
        except ERRORS:
            raise self._damaged() from None

    def _damaged(self) -> InputError:
        return InputError(f"{self.path} is damaged, or not an NPZ file of np.savez")


def _parse_header(text: str) -> tuple[np.dtype[Any], bool, tuple[int, ...]]:
    """Dtype, whether the order is Fortran's, and shape, as the header of an array has them."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # odd literals, old dtypes
            header = ast.literal_eval(text)
            if type(header) is not dict or set(header) != {"descr", "fortran_order", "shape"}:
                raise ValueError("not dtype, order and shape")
            if type(header["descr"]) not in (str, list):
                raise ValueError("no dtype")
            dtype = np.dtype(header["descr"])
    except MemoryError:  # of the parser
        raise ValueError("deeply nested") from None
    is_fortran, shape = header["fortran_order"], header["shape"]
    if type(is_fortran) is not bool or type(shape) is not tuple or len(shape) > MAX_AXES:
        raise ValueError("no such order or shape")
    if any(type(n) is not int or n < 0 for n in shape):
        raise ValueError("no such shape")
    return dtype, is_fortran, shape


@contextmanager
def open_arrays(path: str | os.PathLike[str]) -> Iterator[ArrayFile]:
    """Open an NPZ file. Raises InputError for what is no file, is damaged, or is of another kind.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as directory:
    ...     path = os.path.join(directory, "table.npz")
    ...     np.savez(path, X=np.ones((3, 2)), y=np.arange(3))
    ...     with open_arrays(path) as arrays:
    ...         arrays.names, arrays.header("X").shape, arrays.read("y")
    (['X', 'y'], (3, 2), array([0, 1, 2]))
    """
    with require_file(path).open("rb") as file:
        yield ArrayFile(file, path)


def load_arrays(
    path: str | os.PathLike[str], *wanted: str
) -> tuple[dict[str, np.ndarray[Any, Any]], str]:
    """Those of the wanted arrays that an NPZ file has; and the names of all, for a message."""
    with open_arrays(path) as file:
        arrays = {name: file.read(name) for name in wanted if name in file.names}
        return arrays, shorten(file.names) or "none"
