"""Files are written whole, or not at all."""

import errno
import os
import socket
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from microgradx.common.files import replacing, require_file
from microgradx.common.messages import InputError


def test_the_file_is_replaced_when_all_went_well(tmp_path):
    path = tmp_path / "a b.txt"
    path.write_text("old")
    with replacing(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
        assert temporary.suffix == path.suffix
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_the_old_file_stays_when_writing_fails(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")

    def write_half():
        with replacing(path) as temporary:
            temporary.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_half()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


# ---------------------------------------------------------------------------- what is kept

posix = pytest.mark.skipif(os.name != "posix", reason="permissions, links and pipes")


def write_new(path):
    with replacing(path) as temporary:
        temporary.write_text("new")


@posix
@pytest.mark.parametrize("mode", [0o600, 0o644, 0o440, 0o755])
def test_a_file_that_is_replaced_keeps_its_permissions(tmp_path, mode):
    path = tmp_path / "a.txt"
    path.write_text("old")
    path.chmod(mode)
    with replacing(path) as temporary:
        # Meanwhile nobody reads what only the owner may read.
        assert stat.S_IMODE(temporary.stat().st_mode) == 0o600
        temporary.write_text("new")
    assert (path.read_text(), stat.S_IMODE(path.stat().st_mode)) == ("new", mode)


@posix
def test_a_new_file_has_the_permissions_of_others(tmp_path):
    (tmp_path / "other.txt").write_text("")
    write_new(tmp_path / "a.txt")
    assert (tmp_path / "a.txt").stat().st_mode == (tmp_path / "other.txt").stat().st_mode


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs a superuser")
def test_a_file_that_is_replaced_keeps_its_owner(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    os.chown(path, 1234, 2345)
    write_new(path)
    assert (path.stat().st_uid, path.stat().st_gid) == (1234, 2345)


@posix
def test_a_symbolic_link_stays_and_the_file_that_it_leads_to_is_replaced(tmp_path):
    (tmp_path / "there").mkdir()
    target, link, chain = tmp_path / "there" / "a.txt", tmp_path / "b.txt", tmp_path / "c.txt"
    target.write_text("old")
    link.symlink_to("there/a.txt")
    chain.symlink_to(link)
    with replacing(chain) as temporary:
        assert temporary.parent == target.parent  # on its file system
        temporary.write_text("new")
    assert link.is_symlink()
    assert chain.is_symlink()
    assert target.read_text() == "new"
    target.unlink()
    write_new(chain)  # a link to nothing yet
    assert target.read_text() == "new"
    assert list(target.parent.iterdir()) == [target]


def test_a_name_as_long_as_the_system_allows(tmp_path):
    path = tmp_path / ("é" * 120 + ".html")
    write_new(path)
    assert list(tmp_path.iterdir()) == [path]


# ---------------------------------------------------------------------------- what is refused


def make_socket(path):
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(path))


ODD_FILES = {
    "a directory": os.mkdir,
    "a named pipe": getattr(os, "mkfifo", None),
    "a socket": make_socket,
    "a device": lambda path: path.symlink_to("/dev/full"),
    "a symbolic link that leads back to itself": lambda path: path.symlink_to(path),
}


@posix
@pytest.mark.parametrize("kind", ODD_FILES)
def test_what_is_no_file_is_neither_read_nor_replaced(tmp_path, monkeypatch, kind):
    monkeypatch.chdir(tmp_path)  # the name of a socket may not be long
    path = Path("a.html")
    ODD_FILES[kind](path)
    before = path.lstat()
    for use in (require_file, write_new):
        with pytest.raises(InputError, match=f"^a.html is {kind}, and a file is needed$"):
            use(path)
    assert path.lstat() == before
    assert os.listdir() == ["a.html"]


def test_a_name_with_a_null_character_is_refused():
    for use in (require_file, write_new):
        with pytest.raises(InputError, match="cannot be the name of a file"):
            use("a\0b.html")


def test_errors_name_the_file_and_not_the_temporary_one(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no directory"):
        write_new(tmp_path / "none" / "a.txt")

    def write_to_a_full_disk():
        with replacing(tmp_path / "a.txt"):
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match=r"No space left on device: '.*/a\.txt'$"):
        write_to_a_full_disk()
    assert list(tmp_path.iterdir()) == []


# ---------------------------------------------------------------------------- after a kill

WRITER = """
import os, signal, sys
from microgradx.common.files import replacing

with replacing("a.txt") as temporary:
    temporary.write_text("half")
    print(temporary.name, flush=True)
    if sys.argv[1] == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    sys.stdin.read()
    temporary.write_text("whole")
"""


@posix
def test_what_a_killed_process_left_is_removed_and_what_is_being_written_is_not(tmp_path):
    path = tmp_path / "a.txt"

    def start(how):
        command = [sys.executable, "-c", WRITER, how]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        process = subprocess.Popen(command, cwd=tmp_path, text=True, **pipes)
        return process, tmp_path / process.stdout.readline().strip()

    killed, abandoned = start("killed")
    killed.communicate()
    of_another = tmp_path / ".b-0123456789abcdef.txt"
    of_another.write_text("half")
    alive, in_use = start("alive")
    try:
        assert not abandoned.exists()  # the second process has removed it
        write_new(path)
        assert sorted(tmp_path.iterdir()) == sorted([path, in_use, of_another])
        assert path.read_text() == "new"
    finally:
        alive.communicate("")
    assert path.read_text() == "whole"
    assert sorted(tmp_path.iterdir()) == sorted([path, of_another])


def test_threads_write_the_same_file_each_as_a_whole(tmp_path):
    path = tmp_path / "a.txt"

    def write(number):
        with replacing(path) as temporary:
            temporary.write_text(str(number) * 1000)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(write, range(10)))
    assert path.read_text() in [str(number) * 1000 for number in range(10)]
    assert list(tmp_path.iterdir()) == [path]
