"""Commands as a user gives them, in an empty directory."""

from functools import partial

import pytest

from microgradx import cli
from microgradx.commands import train as training


@pytest.fixture
def run(capsys, tmp_path, monkeypatch):
    """Runs a command; gives status, stdout and stderr."""
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
    monkeypatch.setattr(training, "_draw", lambda *arguments: [])
