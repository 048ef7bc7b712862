"""Files: written whole, or not at all; and what cannot be read is said in one line."""

from __future__ import annotations

import os
import re
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from microgradx.common.messages import InputError, printable

fcntl: Any
try:
    import fcntl
except ImportError:  # Windows has no such locks
    fcntl = None

__all__ = ["ReplacedFiles", "check_directory", "check_file", "replacing", "require_file"]

#: What is neither a file nor nothing.
KINDS = {
    stat.S_IFDIR: "a directory",
    stat.S_IFLNK: "a symbolic link that leads back to itself",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def check_directory(path: Path) -> None:
    """Raise FileNotFoundError, before any work, where there is no directory to save a file in."""
    if not path.parent.is_dir():
        raise FileNotFoundError(
            f"there is no directory {str(path.parent)!r} to save {path.name!r} in; create it first"
        )


def check_file(path: str | os.PathLike[str]) -> os.stat_result | None:
    """The state of a file, or None if there is none; a symbolic link is followed.

    Raises InputError for directories, devices and the like: reading one may never end, and
    writing must not replace it.
    """
    name = printable(os.fspath(path))
    if "\0" in os.fspath(path):
        raise InputError(f"{name!r} cannot be the name of a file; leave the null character out")
    target = os.path.realpath(path)
    if not os.path.lexists(target):
        return None
    state = os.lstat(target)
    kind = stat.S_IFMT(state.st_mode)
    if kind != stat.S_IFREG:
        raise InputError(f"{name} is {KINDS.get(kind, 'something else')}, and a file is needed")
    return state


def require_file(path: str | os.PathLike[str]) -> Path:
    """`path`, if there is a file."""
    if check_file(path) is None:
        raise InputError(f"{printable(os.fspath(path))}: there is no such file")
    return Path(path)


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A temporary path to write to, beside `path`, which replaces it if all went well.

    Whoever reads `path` meanwhile, or after an interruption, sees the old file or the new one,
    and never half of one. A file that is replaced keeps its permissions and, where the system
    allows it, its owner; a symbolic link stays, and the file it leads to is replaced. What a
    killed process left there of the same file is removed.

    Raises InputError if `path` is a directory, a device or the like, and FileNotFoundError if
    there is no directory to write to.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as directory:
    ...     path = Path(directory) / "numbers.txt"
    ...     with replacing(path) as temporary:
    ...         written = temporary.write_text("1 2 3")
    ...     path.read_text()
    '1 2 3'
    """
    old = check_file(path)
    target = Path(os.path.realpath(path))
    check_directory(target)
    # Cut, so that a long name does not become one that is too long for the system.
    start, ending = f".{target.stem[:40]}-", target.suffix[:40]
    _remove_abandoned(target.parent, start, ending)
    temporary = target.with_name(f"{start}{secrets.token_hex(8)}{ending}")
    try:
        with _create_locked(temporary, 0o666 if old is None else 0o600):
            yield temporary
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())  # or a power failure could leave an empty file
            if old is not None:
                with suppress(OSError, AttributeError):  # only the superuser gives files away
                    os.chown(temporary, old.st_uid, old.st_gid)
                temporary.chmod(stat.S_IMODE(old.st_mode))
            for log in _logs.get():
                log.append((os.fspath(path), temporary.stat()))
            os.replace(temporary, target)
    except OSError as error:
        if error.errno is None or error.filename not in (None, temporary, str(temporary)):
            raise
        raise OSError(error.errno, error.strerror, os.fspath(path)) from None
    finally:
        temporary.unlink(missing_ok=True)


class ReplacedFiles:
    """The files that were written while this was in use: whatever happened, their names are true.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as directory, ReplacedFiles() as files:
    ...     with replacing(os.path.join(directory, "numbers.txt")) as temporary:
    ...         written = temporary.write_text("1 2 3")
    ...     [os.path.basename(name) for name in files.names()]
    ['numbers.txt']
    """

    def __init__(self) -> None:
        self._log: list[tuple[str, os.stat_result]] = []

    def __enter__(self) -> ReplacedFiles:
        self._token = _logs.set((*_logs.get(), self._log))
        return self

    def __exit__(self, *exception: Any) -> None:
        _logs.reset(self._token)

    def names(self) -> list[str]:
        """Those that are in place: one may have been interrupted before it was, or right after."""
        names: dict[str, None] = {}
        for name, state in self._log:
            with suppress(OSError):
                if os.path.samestat(os.stat(name), state):
                    names[name] = None
        return list(names)


_logs: ContextVar[tuple[list[tuple[str, os.stat_result]], ...]] = ContextVar("logs", default=())


@contextmanager
def _create_locked(path: Path, mode: int) -> Iterator[None]:
    """Create a file, and lock it as long as this process writes it.

    The lock ends with the process, however it ends, so that others know what is abandoned.
    """
    while True:
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, mode)
        if fcntl is None:
            os.close(descriptor)  # Windows replaces no file that is open
            yield
            return
        with suppress(OSError):  # a file system without locks: nobody else can have it either
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        if path.exists():
            break
        os.close(descriptor)  # another process was faster, and has removed it
    try:
        yield
    finally:
        os.close(descriptor)


def _remove_abandoned(directory: Path, start: str, ending: str) -> None:
    """Remove the temporary files of processes that ended while they wrote."""
    pattern = re.compile(f"{re.escape(start)}[0-9a-f]{{16}}{re.escape(ending)}")
    with suppress(OSError):  # a directory that cannot be listed, a file of another user
        for name in filter(pattern.fullmatch, os.listdir(directory) if fcntl else ()):
            descriptor = os.open(directory / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                os.unlink(directory / name)
            except BlockingIOError:  # it is being written
                pass
            finally:
                os.close(descriptor)
