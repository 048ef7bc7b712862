"""The command `predict`: labels of new rows."""

import csv
import io
import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from microgradx.training import load_classifier

SMALL = ("--hidden", "8", "--epochs", "3")


def write_table(path, rows=40, seed=0, header=True):
    """A CSV file of two classes that a line tells apart."""
    x = np.random.default_rng(seed).normal(size=(rows, 3))
    lines = ["width,height,depth,kind"] if header else []
    lines += [f"{a},{b},{c},{'big' if a + b > 0 else 'small'}" for a, b, c in x.tolist()]
    path.write_text("\n".join(lines) + "\n")
    return x


@pytest.fixture
def trained_model(train, tmp_path, without_pictures):
    x = write_table(tmp_path / "table.csv", rows=200)
    assert train("--data", "table.csv", "--out", "run", "--temperature", "2")[0] == 0
    return x, tmp_path / "run" / "model.npz"


def test_predictions_are_csv_with_a_line_for_each_row(trained_model, predict, tmp_path):
    x, model = trained_model
    write_table(tmp_path / "new.csv", rows=30, seed=1)
    status, out, err = predict(model, tmp_path / "new.csv")
    assert status == 0
    rows = list(csv.DictReader(io.StringIO(out)))
    x = write_table(tmp_path / "new.csv", rows=30, seed=1)
    classifier = load_classifier(model)
    p = classifier.predict_proba(x)  # at temperature 2, as trained
    assert [row["label"] for row in rows] == [classifier.label_names[i] for i in p.argmax(axis=1)]
    np.testing.assert_allclose(
        [float(row["probability"]) for row in rows], p.max(axis=1), atol=6e-5
    )
    truth = np.where(x[:, 0] + x[:, 1] > 0, "big", "small")
    share = np.mean([row["label"] == label for row, label in zip(rows, truth, strict=True)])
    assert share > 0.8
    assert f"{share:.2%} of the 30 rows" in err


def test_the_probabilities_of_all_classes_have_a_column_each(trained_model, predict, tmp_path):
    x, model = trained_model
    status, out, _ = predict(model, tmp_path / "table.csv", "--probabilities")
    assert status == 0
    classifier = load_classifier(model)
    table = pd.read_csv(io.StringIO(out))
    assert list(table.columns) == ["label", "probability", *classifier.label_names]
    p = table[list(classifier.label_names)]
    np.testing.assert_allclose(p, classifier.predict_proba(x), atol=1e-6)
    np.testing.assert_allclose(p.max(axis=1), table["probability"], atol=1e-4)
    assert (p.idxmax(axis=1) == table["label"]).all()


def test_the_temperature_of_a_prediction_can_be_chosen(trained_model, predict, tmp_path):
    _, model = trained_model
    cold, warm = (
        predict(model, tmp_path / "table.csv", "--temperature", t)[1].splitlines()[1:]
        for t in ("0.5", "5")
    )
    for a, b in zip(cold, warm, strict=True):
        assert a.split(",")[0] == b.split(",")[0]
        assert float(a.split(",")[1]) >= float(b.split(",")[1])
    assert cold != warm


def test_rows_without_labels_and_arrays(trained_model, predict, tmp_path):
    x, model = trained_model
    (tmp_path / "new.csv").write_text("depth,height,width\n0,1,1\n0,-1,-1\n")
    status, out, err = predict(model, tmp_path / "new.csv")
    assert (status, err) == (0, "")
    assert [line.split(",")[0] for line in out.splitlines()] == ["label", "big", "small"]
    np.savez(tmp_path / "new.npz", X=x[:5])
    status, out, err = predict(model, tmp_path / "new.npz")
    assert (status, err, out.count("\n")) == (0, "", 6)


def test_new_rows_that_do_not_fit_are_an_error(trained_model, predict, tmp_path):
    _, model = trained_model
    (tmp_path / "new.csv").write_text("width,height\n1,2\n")
    status, out, err = predict(model, tmp_path / "new.csv")
    assert (status, out) == (2, "")
    assert err.count("\n") == 1
    assert "new.csv" in err


def test_images_in_arrays(train, predict, tmp_path, without_pictures):
    generator = np.random.default_rng(0)
    y = np.repeat(["dark", "light"], 20)
    images = generator.integers(0, 100, (40, 3, 3)) + np.where(y == "light", 150, 0)[:, None, None]
    np.savez(tmp_path / "images.npz", X=images.astype(np.uint8), tone=y)
    status, *_ = train("--data", "images.npz", "--label", "tone", "--out", "run")
    assert status == 0
    assert load_classifier(tmp_path / "run" / "model.npz").schema.image_shape == (3, 3)
    status, _, err = predict(tmp_path / "run" / "model.npz", tmp_path / "images.npz")
    assert status == 0
    assert "100.00% of the 40 rows" in err


def test_labels_that_the_model_does_not_know_are_not_mistakes(
    train, predict, tmp_path, without_pictures
):
    write_table(tmp_path / "a.csv")
    train("--data", "a.csv", *SMALL, "--out", "run")
    rows = (tmp_path / "a.csv").read_text().replace("big", "huge").replace("small", "tiny")
    (tmp_path / "b.csv").write_text(rows)
    status, _, err = predict("run/model.npz", "b.csv")
    assert status == 0
    assert "none of the labels in b.csv is known to the model, whose classes are 'big'" in err


@pytest.mark.skipif(os.name != "posix", reason="pipes")
def test_a_closed_pipe_is_not_an_error(trained_model, tmp_path):
    _, model = trained_model
    write_table(tmp_path / "long.csv", rows=20_000)
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "wb") as closed:
        run = subprocess.run(
            [sys.executable, "-m", "microgradx", "predict", model, tmp_path / "long.csv"],
            stdout=closed,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert "Traceback" not in run.stderr
    assert "BrokenPipe" not in run.stderr


ANIMALS = "name;legs;coat;tame;kind\n" + "".join(
    f"{'ab'[i % 2]}{i};{2 + 2 * (i % 2)};{('fur', 'wool', '?')[i % 3]};{'yn'[i % 2]};"
    f"{('bird', 'cat')[i % 2] if i != 7 else ''}\n"
    for i in range(40)
)


def test_a_table_with_texts_is_understood_alike_in_training_and_prediction(
    train, predict, tmp_path, without_pictures
):
    (tmp_path / "animals.data").write_text(ANIMALS)
    status, out, err = train(
        *("--data", "animals.data", "--drop", "name", "--missing", "indicator", *SMALL),
        *("--out", "run"),
    )
    assert (status, err) == (0, "")
    assert "Label      'kind', the last column (--label gives another): 2 classes" in out
    assert "coat  category  2: 'fur'" in out
    assert "13 missing, of no category, and a column that says so" in out
    assert "Left out   'name': asked for" in out
    assert "1 row without a label is left out: line 9" in out
    assert "5 → 8 → 2" in out  # legs, two coats, tame, and that the coat is missing
    assert load_classifier(tmp_path / "run" / "model.npz").preview in out
    (tmp_path / "new.tsv").write_text("kind\tcoat\ttame\tlegs\ncat\tscales\tTRUE\t4\nemu\t\tF\t2\n")
    status, out, err = predict("run/model.npz", "new.tsv")
    assert status == 0
    assert len(out.splitlines()) == 3
    assert "'coat' has categories that the training rows did not have, 'scales'" in err
    assert "the model does not know the labels 'emu', so they do not count" in err
    assert "of the 1 rows that have a label" in err
