"""Ctrl-C at any moment: status 130, no traceback, and files that are old or new, and said to be."""

import os
import re
import signal
import subprocess
import sys
import threading

import pytest

from microgradx import cli
from microgradx.training import load_classifier

TRAIN = ("train", "--data", "moons", "--hidden", "4", "--epochs", "2", "--out", "run")

# ---------------------------------------------------------------------------- imports

#: Presses Ctrl-C when a module is about to be imported.
SITECUSTOMIZE = """
import os, signal, sys

signal.signal(signal.SIGINT, signal.default_int_handler)

class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == os.environ["INTERRUPTED_MODULE"]:
            signal.raise_signal(signal.SIGINT)

sys.meta_path.insert(0, Finder())
"""


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="signals")
@pytest.mark.parametrize(
    "module",
    [
        "numpy",
        "numpy.linalg",
        "microgradx.engine",
        "microgradx.__main__",
        "microgradx.cli",
        "microgradx.commands.train",
        "microgradx.show.explanation",
        "microgradx.show.step_text",
    ],
)
def test_while_modules_are_imported(tmp_path, module):
    (tmp_path / "sitecustomize.py").write_text(SITECUSTOMIZE)
    path = os.pathsep.join([str(tmp_path), *filter(None, sys.path)])
    done = subprocess.run(
        [sys.executable, "-m", "microgradx", "explain", "a*a", "a=1"],
        env={**os.environ, "PYTHONPATH": path, "INTERRUPTED_MODULE": module},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (130, "")
    assert re.fullmatch("\nmicrogradx: interrupted(; no file was changed)?\n", done.stderr)


# ---------------------------------------------------------------------------- commands


class PressingCtrlC:
    """Presses Ctrl-C at the n-th line of this package that is run; counts the lines."""

    def __init__(self, n):
        self.n, self.lines = n, 0

    def __enter__(self):
        self.before = sys.gettrace()
        self.handler = signal.signal(signal.SIGINT, signal.default_int_handler)
        sys.settrace(self.trace)
        return self

    def __exit__(self, *exception):
        sys.settrace(self.before)
        signal.signal(signal.SIGINT, self.handler)

    def trace(self, frame, event, argument):
        if "microgradx" not in frame.f_code.co_filename:
            return None
        if event == "line":
            self.lines += 1
            if self.lines == self.n:
                signal.raise_signal(signal.SIGINT)
        return self.trace


@pytest.fixture
def run_interrupted(capsys, tmp_path, monkeypatch, without_pictures):
    """Runs a command whose n-th line is interrupted; returns status, stdout, stderr and lines."""
    monkeypatch.chdir(tmp_path)

    def run(n, *arguments):
        with PressingCtrlC(n) as lines:
            status = cli.main(arguments)
        return status, *capsys.readouterr(), lines.lines

    return run


def count_lines(run_interrupted, *arguments):
    """The lines of a command that is not interrupted, and has nothing to import any more."""
    statuses = [run_interrupted(-1, *arguments) for _ in range(2)]
    assert [status for status, *_ in statuses] == [0, 0]
    return statuses[-1][-1]


def is_interrupted_by(status, out, err):
    """Whether the command was stopped; else it had ended, or was told to stop after a step."""
    if status == 130 and "Stopped by Ctrl-C" in out and err == "":
        return False
    assert status == 130, (status, out, err)
    assert err.startswith("\nmicrogradx: interrupted; "), err
    return True


@pytest.mark.skipif(threading.current_thread() is not threading.main_thread(), reason="signals")
@pytest.mark.parametrize(
    ("file", "arguments", "every"),
    [
        ("page.html", ("explain", "a*a", "a=1", "-o", "page.html"), 7),
        ("graph.dot", ("draw", "a*a", "a=1", "-o", "graph.dot"), 1),
        ("page.html", ("softmax", "2", "1", "--target", "0", "-o", "page.html"), 7),
    ],
)
def test_a_file_is_old_or_new_and_the_message_says_which(
    run_interrupted, tmp_path, file, arguments, every
):
    lines = count_lines(run_interrupted, *arguments)
    new = (tmp_path / file).read_bytes()
    # The last lines, among which the file is written, and some of the others.
    outcomes = set()
    for n in [*range(9, lines, lines // 5), *range(lines - 50, lines + 1, every)]:
        (tmp_path / file).write_text("old")
        status, out, err, _ = run_interrupted(n, *arguments)
        assert [path.name for path in tmp_path.iterdir()] == [file]
        content = (tmp_path / file).read_bytes()
        if is_interrupted_by(status, out, err):
            said = (
                f"new: {file}; other files are as before"
                if content == new
                else "no file was changed"
            )
            assert err == f"\nmicrogradx: interrupted; {said}\n"
        assert content in (b"old", new)
        outcomes.add(content)
    assert outcomes == {b"old", new}


@pytest.mark.slow
def test_what_was_learnt_is_kept(run_interrupted, tmp_path):
    """Once a step was taken there is a model, until all is written."""
    lines = count_lines(run_interrupted, *TRAIN)
    model = tmp_path / "run" / "model.npz"
    stopped = kept = 0
    for n in [*range(9, lines, lines // 9), *range(lines - 700, lines, 67)]:
        model.write_text("old")
        status, out, err, _ = run_interrupted(n, *TRAIN)
        assert [path.name for path in model.parent.iterdir()] == ["model.npz"]
        has_begun = "epoch" in out
        if is_interrupted_by(status, out, err):
            stopped += 1
            assert ("new: run/model.npz" in err) == has_begun
        assert (model.read_bytes() != b"old") == has_begun
        if has_begun:
            load_classifier(model)
            kept += 1
    assert stopped > 3
    assert kept > 3
