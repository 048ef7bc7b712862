"""Commands as a user runs them, in an empty directory."""

from functools import partial

import pytest

from microgradx import cli
from microgradx.commands import train as train_command


@pytest.fixture
def run(capsys, tmp_path, monkeypatch):
    """Runs a command; returns status, stdout and stderr."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        status = cli.main([str(argument) for argument in arguments])
        return status, *capsys.readouterr()

    return run


@pytest.fixture
def train(run):
    return partial(run, "train")


@pytest.fixture
def predict(run):
    return partial(run, "predict")


@pytest.fixture
def without_pictures(monkeypatch):
    monkeypatch.setattr(train_command, "_save_pictures", lambda *arguments: [])
