"""What all commands share: help, errors, and how they end."""

import os
import re
import shlex
import subprocess
import sys

import pytest

from microgradx import Tensor
from microgradx.cli import main

# ---------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("train --data none.csv", "none.csv: there is no such file"),
        ("train --data number", "there is no data set called 'number'"),
        ("train --data bad.csv", "bad.csv, line 3, column 2 ('height'): 'x' is not a number"),
        ("train --data one.csv", "every row has the same label"),
        ("train --data few.csv", "too few rows with the label 'b'"),
        ("train --data bad.csv --label sort", "no column is called 'sort'"),
        ("train --data moons --out bad.csv", "--out bad.csv is a file; give a directory"),
        ("train --data moons --out bad.csv/run", "bad.csv"),
        ("train --data huge.csv", "'column 1' are too large"),
        ("train --data moons --lr 1e30 --hidden 8", "lower the learning rate"),
        ("train --hidden 64;32", "argument --hidden: must be sizes from 1 up"),
        ("train --hidden 0", "argument --hidden"),
        ("train --epochs 0", "argument --epochs: must be a whole number from 1 up, not '0'"),
        ("train --batch-size many", "argument --batch-size"),
        ("train --lr -1", "argument --lr: must be a positive number"),
        ("train --lr nan", "argument --lr"),
        ("train --temperature 0", "must be a number from 1e-30 to 1e30, not '0'"),
        ("predict a.npz few.csv --temperature 1e-320", "argument --temperature: must be a number"),
        ("softmax 1 2 --target 0 --temperature 1e-320", "from 1e-30 to 1e30, not '1e-320'"),
        (f"softmax 1 2 --target {'9' * 5000}", "there is no class '9999"),
        (f"train --seed {'9' * 5000}", "argument --seed: must be a whole number"),
        (f"train --epochs {'9' * 5000}", "argument --epochs: must be a whole number"),
        ("train --label-smoothing 1.5", "argument --label-smoothing: must be a number from 0 to 1"),
        ("train --seed -1", "argument --seed: must be a whole number from 0 up"),
        ("train --activation sine", "invalid choice: 'sine'"),
        ("train --optimiser adam", "unrecognized arguments"),
        ("train few.csv", "unrecognized arguments: few.csv; a table is given as --data few.csv"),
        ("train few.csv --lr 1", "a table is given as --data few.csv"),
        ("train --data few.csv --sed 1", "unrecognized arguments: --sed 1; python"),
        ("predict a.npz few.csv bad.csv", "unrecognized arguments: bad.csv; python"),
        ("doctor --data few.csv --drop A B out/m.npz", "takes all words after it, 'out/m.npz' too"),
        ("predict none.npz few.csv", "none.npz: there is no such file"),
        ("predict bad.csv few.csv", "bad.csv is damaged, or not an NPZ file"),
        ("predict", "the following arguments are required: MODEL, FILE"),
        ("learn", "invalid choice: 'learn'"),
        ("", "required: COMMAND"),
    ],
)
def test_errors_are_one_line_and_status_2(capsys, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.csv").write_text("width,height,kind\n1,2,a\n3,x,b\n")
    (tmp_path / "one.csv").write_text("1,a\n2,a\n")
    (tmp_path / "few.csv").write_text("1,a\n2,a\n3,b\n")
    (tmp_path / "huge.csv").write_text("1e300,a\n-1e300,a\n2e300,b\n1,b\n" * 3)
    assert main(arguments.split()) == 2
    out, err = capsys.readouterr()
    assert err.startswith("microgradx: error: ")
    assert err.count("\n") == 1
    assert message in err
    assert "Written" not in out
    assert not list(tmp_path.glob("**/*.npz"))


# ---------------------------------------------------------------------------- help

# Each with its arguments.
COMMANDS = {
    "train": (
        *("--data", "--label", "--hidden", "--activation", "--epochs", "--batch-size", "--lr"),
        *("--optimizer", "--label-smoothing", "--temperature", "--compile", "--seed", "--out"),
        *("--drop", "--missing", "--header", "--no-header", "--image", "--features"),
    ),
    "predict": ("MODEL", "FILE", "--label", "--header", "--no-header", "--features"),
    "doctor": ("MODEL", "--data", "--label", "--hidden", "--epochs", "--lr", "--optimizer"),
    "explain": ("EXPRESSION", "NAME=VALUE", "--out"),
    "draw": ("EXPRESSION", "NAME=VALUE", "--out", "--depth", "--max-nodes", "--no-gradients"),
    "softmax": ("LOGIT", "--target", "--temperature", "--label-smoothing", "--names", "--out"),
    "info": (),
}


def read_help(capsys, *command):
    with pytest.raises(SystemExit) as exit:
        main([*command, "--help"])
    assert exit.value.code == 0
    return capsys.readouterr().out


def test_help_names_the_commands_and_their_arguments(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    for command, words in {(): tuple(COMMANDS), **{(c,): w for c, w in COMMANDS.items()}}.items():
        help_text = read_help(capsys, *command)
        assert [word for word in words if word not in help_text] == []
        assert max(map(len, help_text.splitlines())) <= 80


def test_the_examples_of_the_help_work(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    examples = []
    for command in COMMANDS:
        help_text = read_help(capsys, command).replace("\\\n", "")
        usage, *found = re.findall(r"python -m microgradx (.*)", help_text)
        assert usage.startswith(command)
        examples += found
    assert len(examples) >= 7
    for example in examples:
        arguments = shlex.split(example.partition("|")[0])
        status = main(arguments)
        err = capsys.readouterr().err
        if "needs Graphviz" not in err:
            assert (status, err) == (0, "")


def test_help_loads_nothing_heavy():
    script = f"""
import sys
from microgradx.cli import main
for command in {[*COMMANDS]}:
    try:
        main([command, "--help"])
    except SystemExit:
        pass
heavy = ("sklearn", "matplotlib", "rich", "graphviz", "pygraphviz", "microgradx.show")
print([name for name in heavy if name in sys.modules])
"""
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout.splitlines()[-1] == "[]"


# ---------------------------------------------------------------------------- how commands end


@pytest.mark.parametrize("arguments", [("draw", "a*a", "a=1"), ("softmax", "2", "1", "--target=0")])
def test_ctrl_c_has_no_traceback(capsys, monkeypatch, arguments):
    def interrupt(*arguments, **settings):
        raise KeyboardInterrupt

    monkeypatch.setattr(Tensor, "__new__", interrupt)
    assert main(arguments) == 130
    assert capsys.readouterr().err == "\nmicrogradx: interrupted; no file was changed\n"


def test_output_that_cannot_be_written_is_an_error():
    full = "/dev/full"
    if not os.path.exists(full):
        pytest.skip("needs a device that is always full")
    with open(full, "w") as stdout:
        run = subprocess.run(
            [sys.executable, "-m", "microgradx", "info"],
            stdout=stdout,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert run.returncode == 2
    assert run.stderr == "microgradx: error: [Errno 28] No space left on device\n"


@pytest.mark.skipif(os.name != "posix", reason="pipes")
def test_a_closed_pipe_is_not_an_error():
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "wb") as closed:
        run = subprocess.run(
            [sys.executable, "-m", "microgradx", "draw", "a*a", "a=1"],
            stdout=closed,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert (run.returncode, run.stderr) == (0, "")


def test_on_a_terminal_with_few_characters(tmp_path):
    run = subprocess.run(
        [sys.executable, "-m", "microgradx", "softmax", "2", "1", "--target", "0"],
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        text=True,
    )
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout.startswith("p = exp(z - m) / ? exp(z - m)")
