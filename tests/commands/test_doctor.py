"""The command `doctor`: a diagnosis of a training, or of a trained model."""

import numpy as np
import pytest

import microgradx as mg
from microgradx.cli import main


def test_a_training_is_diagnosed(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments = ("--data", "moons", "--hidden", "8", "--epochs", "2", "--optimizer", "sgd")
    assert main(["doctor", *arguments, "--lr", "1e-6"]) == 0
    out = capsys.readouterr().out
    assert "1. learning rate too small (error). With the learning rate 1e-06 the loss went" in out
    assert "Raise the learning rate to about" in out
    assert list(tmp_path.iterdir()) == []


def test_a_training_that_diverges_is_diagnosed(capsys):
    arguments = ("--data", "moons", "--hidden", "8", "--epochs", "2", "--optimizer", "sgd")
    assert main(["doctor", *arguments, "--lr", "1e30"]) == 0
    assert "1. learning rate too large (error)" in capsys.readouterr().out


def test_columns_are_called_by_their_names(capsys, tmp_path):
    generator = np.random.default_rng(0)
    X = generator.normal(size=(120, 3))
    y = (X[:, 0] + generator.normal(size=120) > 0).astype(int)
    lines = [f"{a:.4f},{b:.4f},{c:.4f},{3 + label},{['no', 'yes'][label]}"
             for (a, b, c), label in zip(X, y, strict=True)]  # fmt: skip
    path = tmp_path / "table.csv"
    path.write_text("\n".join(["a,b,c,outcome,label", *lines]), encoding="utf-8")
    assert main(["doctor", "--data", str(path), "--hidden", "8", "--epochs", "20"]) == 0
    assert "Column 'outcome' alone predicts 100.0% of the labels" in capsys.readouterr().out


@pytest.mark.slow
def test_a_model_is_examined_on_rows(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    X, y = mg.data.blobs(300, generator=np.random.default_rng(0))
    np.savez("rows.npz", X=X, y=y)
    assert main(["train", "--data", "rows.npz", "--hidden", "8", "--out", "out"]) == 0
    capsys.readouterr()
    assert main(["doctor", "out/model.npz", "--data", "rows.npz"]) == 0
    assert "Nothing was found" in capsys.readouterr().out
    np.savez("rows.npz", X=X, y=np.random.default_rng(0).permutation(y))
    assert main(["doctor", "out/model.npz", "--data", "rows.npz"]) == 0
    assert "labels unrelated to features" in capsys.readouterr().out
    np.savez("rows.npz", X=X)
    assert main(["doctor", "out/model.npz", "--data", "rows.npz"]) == 2
    assert "rows.npz has no labels; the doctor needs rows that have some" in capsys.readouterr().err
