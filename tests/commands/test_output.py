"""What commands print: escaped, and never in the way of what they do."""

import csv
import io
import os
import subprocess
import sys

import numpy as np
import pytest

from microgradx.commands.output import csv_cell
from microgradx.training import load_classifier

SMALL = ("--hidden", "8", "--epochs", "3")
ESCAPE = "\x1b[2J\x1b]0;owned\x07"
BIDIRECTIONAL = "\u202egnp.exe"

posix = pytest.mark.skipif(os.name != "posix", reason="pipes and devices")


# ---------------------------------------------------------------------------- escapes


def assert_harmless(text):
    assert [line for line in text.splitlines() if not line.isprintable()] == []
    assert "\r" not in text


def test_labels_and_names_with_escapes_are_printed_escaped(run, without_pictures, tmp_path):
    labels = [f"{ESCAPE}a", f"{BIDIRECTIONAL}\r\nb"]
    x = np.random.default_rng(0).normal(size=(60, 2))
    y = np.where(x[:, 0] > 0, *labels)
    data, out = f"data{ESCAPE}.csv", f"out{ESCAPE}"
    rows = [[*row, label] for row, label in zip(x.tolist(), y.tolist(), strict=True)]
    with open(data, "w", newline="") as file:
        csv.writer(file).writerows([["one", "two", f"label{ESCAPE}"], *rows])
    status, printed, err = run("train", "--data", data, *SMALL, "--out", out)
    assert (status, err) == (0, "")
    assert_harmless(printed)
    assert r"\x1b[2J" in printed
    model = os.path.join(out, "model.npz")
    assert set(load_classifier(model).label_names) == {*labels}
    status, printed, err = run("predict", model, data)
    assert status == 0
    assert_harmless(printed + err)
    rows = [row["label"] for row in csv.DictReader(io.StringIO(printed))]
    assert set(rows) == {r"\x1b[2J\x1b]0;owned\x07a", r"\u202egnp.exe\r\nb"}
    for arguments in (
        ("train", "--data", data, "--label", ESCAPE),
        ("predict", f"none{ESCAPE}", data),
        ("predict", model, f"none{ESCAPE}.csv"),
        ("predict", data, data),
        ("explain", "a", f"a{ESCAPE}=1"),
        ("explain", f"a{ESCAPE}", "a=1"),
        ("explain", "a*a", "a=1", "-o", f"{ESCAPE}.png"),
        ("draw", "a*a", "a=1", "-o", f"none{ESCAPE}/a.svg"),
        ("draw", "a*a", "a=1", "--depth", ESCAPE),
        ("softmax", "1", ESCAPE, "--target", "0"),
        ("softmax", "1", "2", "--target", ESCAPE),
        ("softmax", "1", "2", "--target", "0", "-o", ESCAPE),
        (ESCAPE,),
    ):
        status, printed, err = run(*arguments)
        assert (status, printed if arguments[0] != "softmax" else "") == (2, ""), arguments
        assert_harmless(printed + err)
    status, printed, _ = run("softmax", "1", "2", "--target", "0", "--names", f"{ESCAPE},b")
    assert status == 0
    assert_harmless(printed)
    status, printed, _ = run("draw", "a*a", "a=1", "-o", f"{ESCAPE}.dot")
    assert status == 0
    assert_harmless(printed)


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("cat", "cat"),
        ("", ""),
        ("a=b", "a=b"),
        ("=1+1", "'=1+1"),
        ('=HYPERLINK("http://x")', '\'=HYPERLINK("http://x")'),
        ("+x", "'+x"),
        ("-x", "'-x"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("  =1", "'  =1"),
        ("＝1", "'＝1"),  # which some spreadsheets take for =
        ("-", "-"),
        ("+", "+"),
        ("+++", "+++"),
        ("=", "="),
        ("- ", "'- "),
        ("--x", "'--x"),
        ("@", "'@"),
        ("-1+2", "'-1+2"),
        ("-inf", "'-inf"),
        ("-1_000", "'-1_000"),
        ("-1", "-1"),
        ("+5", "+5"),
        ("-1.5e-3", "-1.5e-3"),
        ("-.5", "-.5"),
        ("\t=1", r"\t=1"),
        ("\r=1", r"\r=1"),
    ],
)
def test_cells_are_data_and_no_formulas(text, cell):
    assert csv_cell(text) == cell


def test_predicted_formulas_are_data(run, without_pictures):
    x = np.random.default_rng(0).normal(size=(60, 2))
    np.savez("table.npz", X=x, y=np.where(x[:, 0] > 0, "=cmd|' /C calc'!A0", "-1"))
    assert run("train", "--data", "table.npz", "--hidden", "", "--out", "run")[0] == 0
    status, out, err = run("predict", "run/model.npz", "table.npz")
    assert status == 0
    labels = {row["label"] for row in csv.DictReader(io.StringIO(out))}
    assert labels == {"'=cmd|' /C calc'!A0", "-1"}
    assert float(err.split()[1].rstrip("%")) > 80  # which compares the labels themselves


# ---------------------------------------------------------------------------- nobody listens

COMMANDS = {
    "train": ("train", "--data", "moons", *SMALL, "--out", "run"),
    "explain": ("explain", "a*a", "a=1"),
    "draw": ("draw", "a*a", "a=1", "-o", "graph.dot"),
    "softmax": ("softmax", "2", "1", "--target", "0", "-o", "page.html"),
    "info": ("info",),
}
FILES = {"train": "run/model.npz", "draw": "graph.dot", "softmax": "page.html"}

#: Runs a command after closing descriptors, or with a pipe that nobody reads.
WITHOUT_PICTURES = """
import os, sys
from microgradx.cli import main
from microgradx.commands import train
train._save_pictures = lambda *arguments: []
sys.exit(main(sys.argv[1:]))
"""


def run_in_shell(redirections, command, tmp_path):
    script = f'exec "$0" "$@" {redirections}'
    return subprocess.run(
        ["sh", "-c", script, sys.executable, "-c", WITHOUT_PICTURES, *COMMANDS[command]],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )


@pytest.mark.slow
@posix
@pytest.mark.parametrize("command", COMMANDS)
def test_closed_streams_are_no_error(command, tmp_path):
    for redirections in (">&-", ">&- 2>&-", "<&- >&- 2>&-"):
        done = run_in_shell(redirections, command, tmp_path)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        if command in FILES:
            assert (tmp_path / FILES[command]).stat().st_size > 0
            (tmp_path / FILES[command]).unlink()


@posix
def test_errors_do_not_go_to_stdout_if_stderr_is_closed(tmp_path):
    command = ["sh", "-c", 'exec "$0" -m microgradx explain "a+" 2>&-', sys.executable]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")


@posix
def test_a_reader_that_goes_away_loses_no_training(tmp_path):
    read, write = os.pipe()
    os.close(read)  # as `head` does, but at once
    with os.fdopen(write, "wb") as closed:
        done = subprocess.run(
            [sys.executable, "-c", WITHOUT_PICTURES, *COMMANDS["train"]],
            cwd=tmp_path,
            stdout=closed,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert (done.returncode, done.stderr) == (0, "")
    assert load_classifier(tmp_path / "run" / "model.npz").hidden_sizes == (8,)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is always full")
@pytest.mark.parametrize("command", COMMANDS)
def test_a_full_disk_is_an_error_and_loses_no_file(command, tmp_path):
    done = run_in_shell("> /dev/full", command, tmp_path)
    assert done.returncode == 2
    assert done.stderr == "microgradx: error: [Errno 28] No space left on device\n"
    if command in FILES:
        assert (tmp_path / FILES[command]).stat().st_size > 0
    assert run_in_shell("2> /dev/full", command, tmp_path).returncode == 0


@posix
@pytest.mark.parametrize("kind", ["a directory", "a named pipe", "a device"])
def test_outputs_that_are_no_files_are_refused(run, kind):
    make = {
        "a directory": os.mkdir,
        "a named pipe": os.mkfifo,
        "a device": lambda name: os.symlink("/dev/full", name),
    }[kind]
    for name, arguments in (
        ("a.html", ("explain", "a*a", "a=1", "-o")),
        ("a.dot", ("draw", "a*a", "a=1", "-o")),
        ("b.html", ("softmax", "1", "2", "--target", "0", "-o")),
    ):
        make(name)
        status, _, err = run(*arguments, name)
        assert (status, err) == (
            2,
            f"microgradx: error: {name} is {kind}, and a file is needed\n",
        )
    make("model.npz")
    status, out, err = run("predict", "model.npz", "a.csv")
    assert (status, out) == (2, "")
    assert err == f"microgradx: error: model.npz is {kind}, and a file is needed\n"
