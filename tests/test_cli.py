"""The main job as a user does it, by the command line."""

import csv
import io
import os
import re
import signal
import subprocess
import sys
import threading
from xml.etree import ElementTree

import numpy as np
import pytest

from microgradx import cli
from microgradx.cli import main
from microgradx.ops.softmax import SoftmaxCrossEntropy
from microgradx.show import drawing
from microgradx.show.rendering import RenderingError, render
from microgradx.training import load_classifier, load_table


def can_render():
    try:
        return bool(render("digraph { a }", "svg"))
    except RenderingError:
        return False


SMALL = ("--hidden", "8", "--epochs", "3")


@pytest.fixture
def train(capsys, tmp_path, monkeypatch):
    """Runs `train` in an empty directory; gives status, stdout and stderr."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        status = main(["train", *arguments])
        return status, *capsys.readouterr()

    return run


@pytest.fixture
def predict(capsys):
    def run(*arguments):
        status = main(["predict", *map(str, arguments)])
        return status, *capsys.readouterr()

    return run


@pytest.fixture
def without_pictures(monkeypatch):
    monkeypatch.setattr(cli, "_draw", lambda *arguments: [])


def table(path, rows=40, seed=0, header=True):
    """A CSV file of two classes that a line tells apart."""
    x = np.random.default_rng(seed).normal(size=(rows, 3))
    lines = ["width,height,depth,kind"] if header else []
    lines += [f"{a},{b},{c},{'big' if a + b > 0 else 'small'}" for a, b, c in x.tolist()]
    path.write_text("\n".join(lines) + "\n")
    return x


# ---------------------------------------------------------------------------- train


def test_a_training_tells_what_it_does_and_writes_all_its_files(train, tmp_path):
    pytest.importorskip("matplotlib")
    if not can_render():
        pytest.skip("needs Graphviz")
    status, out, err = train("--data", "moons", *SMALL, "--out", "a directory/inside")
    assert (status, err) == (0, "")
    directory = tmp_path / "a directory" / "inside"
    files = ["curves.png", "graph.svg", "model.npz", "predictions.png"]
    assert sorted(path.name for path in directory.iterdir()) == files
    for name in files:
        assert str(directory.relative_to(tmp_path) / name) in out
    assert "600 rows of 2 features, 2 classes; 480 rows to learn from, 120 held out" in out
    assert "2 → 8 → 2, relu; 42 parameters" in out
    assert "are (p - y)/16, to within" in out
    assert "42 parameters agree with finite differences" in out
    assert out.count("\nepoch ") == 3

    held_out = re.search(r"Held-out accuracy: ([\d.]+)% \((\d+) of 120 rows wrong\)", out)
    rows = re.findall(r"^  (upper|lower) +(\d+|·) +(\d+|·)$", out, re.MULTILINE)
    counts = np.array([[int(n.replace("·", "0")) for n in row[1:]] for row in rows])
    assert counts.sum() == 120
    assert counts.sum() - np.trace(counts) == int(held_out[2])
    assert float(held_out[1]) == pytest.approx(100 * np.trace(counts) / 120, abs=0.01)

    picture = (directory / "graph.svg").read_text()
    ElementTree.fromstring(picture)
    for text in ("0.weight", "0.bias", "2.weight", "2.bias", "features", "(4, 2)", "grad"):
        assert text in picture


def test_the_same_seed_gives_the_same_bits(train, tmp_path, without_pictures):
    for name, seed in (("a", "1"), ("b", "1"), ("c", "2")):
        assert train("--data", "spirals", *SMALL, "--seed", seed, "--out", name)[0] == 0
    a, b, c = ((tmp_path / name / "model.npz").read_bytes() for name in "abc")
    assert a == b
    assert a != c


def test_compiled_steps_train_the_same_and_are_kept(train, tmp_path, without_pictures):
    _, eager, _ = train("--data", "iris", *SMALL, "--out", "eager")
    status, out, _ = train("--data", "iris", *SMALL, "--out", "compiled", "--compile")
    assert status == 0
    assert "a training step as NumPy source" in out

    def report(text):
        return [line for line in text.splitlines() if "accuracy" in line.lower()]

    assert report(out) == report(eager)
    source = tmp_path / "compiled" / "step.py"
    run = subprocess.run([sys.executable, "-I", source], capture_output=True, text=True, check=True)
    assert run.stdout.startswith("epoch  1: loss ")


def test_the_held_out_rows_are_those_of_the_split_and_their_accuracy_is_true(
    train, tmp_path, without_pictures
):
    """What is printed is what the saved model does on rows that no training saw."""
    from microgradx.data import stratified_split

    _, out, _ = train("--data", "moons", *SMALL, "--out", "run", "--seed", "3")
    streams = np.random.SeedSequence(3).spawn(4)
    data = load_table("moons", generator=np.random.default_rng(streams[0]))
    training, held_out = stratified_split(data.labels, 0.2, np.random.default_rng(streams[1]))
    classifier = load_classifier(tmp_path / "run" / "model.npz")
    p = classifier.predict_proba(data.features[held_out])
    right = np.mean(p.argmax(axis=1) == data.labels[held_out])
    assert f"Held-out accuracy: {right:.2%}" in out
    np.testing.assert_allclose(
        classifier.standardiser.mean, data.features[training].mean(axis=0), rtol=1e-12
    )


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("--optimizer adam --lr 0.01", "--optimizer sgd --lr 0.01"),
        ("--optimizer sgd --lr 0.01", "--optimizer momentum --lr 0.01"),
        ("--lr 0.01", "--lr 0.02"),
        ("--label-smoothing 0", "--label-smoothing 0.1"),
        ("--activation relu", "--activation tanh"),
        ("--activation tanh", "--activation sigmoid"),
        ("--hidden 8", "--hidden 4,3"),
        ("--hidden 8", "--hidden="),
        ("--batch-size 32", "--batch-size 7"),
        ("--epochs 3", "--epochs 2"),
    ],
)
def test_options_reach_the_training(train, tmp_path, without_pictures, one, other):
    for options, name in ((one, "a"), (other, "b")):
        assert train("--data", "moons", *SMALL, *options.split(), "--out", name)[0] == 0
    a, b = (load_classifier(tmp_path / name / "model.npz") for name in "ab")
    x = np.random.default_rng(0).normal(size=(5, 2))
    assert not np.array_equal(a.logits(x), b.logits(x))


def test_many_classes_and_long_names_still_make_a_table():
    names = [f"a class with a rather long name, {i}" for i in range(12)]
    labels = np.arange(12)
    lines = cli._confusion(labels, labels, names).splitlines()
    assert len(lines) == 14
    assert all(len(line) <= 100 for line in lines)
    names = [f"{i}" for i in range(60)]
    predicted = np.where(np.arange(60) < 3, 59, np.arange(60))
    lines = cli._confusion(np.arange(60), predicted, names).splitlines()
    assert [line.split() for line in lines[1:]] == [[str(i), "59", "1"] for i in range(3)]


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_digits_with_the_defaults(train, without_pictures, seed):
    pytest.importorskip("sklearn")
    status, out, _ = train("--seed", str(seed))
    assert status == 0
    assert "359 held out" in out
    assert float(re.search(r"Held-out accuracy: ([\d.]+)%", out)[1]) >= 97


# ---------------------------------------------------------------------------- pictures that fail


def test_without_matplotlib_and_graphviz_the_rest_is_done(train, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)

    def no_graphviz(source, format):
        raise RenderingError("drawing pictures needs Graphviz")

    monkeypatch.setattr(drawing, "render", no_graphviz)
    status, out, err = train("--data", "moons", *SMALL, "--out", "run")
    assert status == 0
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["model.npz"]
    lines = err.splitlines()
    assert [line.split()[1] for line in lines] == ["graph.svg", "curves.png", "predictions.png"]
    assert "needs Graphviz" in lines[0]
    assert 'pip install "microgradx[plots]"' in lines[1]
    assert "model.npz" in out
    assert "graph.svg" not in out


# ---------------------------------------------------------------------------- wrong gradients


def test_a_wrong_gradient_is_an_error_before_the_training(train, tmp_path, monkeypatch):
    right = SoftmaxCrossEntropy.by_logits
    monkeypatch.setattr(SoftmaxCrossEntropy, "by_logits", lambda *args: -right(*args))
    status, out, err = train("--data", "moons", *SMALL, "--out", "run")
    assert status == 1
    assert err.startswith("microgradx: error: the gradient at the logits differs from (p - y)")
    assert "epoch" not in out
    assert list((tmp_path / "run").iterdir()) == []


# ---------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("train --data none.csv", "none.csv: there is no such file"),
        ("train --data number", "there is no data called 'number'"),
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
        ("train --temperature 0", "argument --temperature: must be a positive number, not '0'"),
        ("train --label-smoothing 1.5", "argument --label-smoothing: must be a number from 0 to 1"),
        ("train --seed -1", "argument --seed: must be a whole number from 0 up"),
        ("train --activation sine", "invalid choice: 'sine'"),
        ("train --optimiser adam", "unrecognized arguments"),
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


def test_help(capsys):
    for arguments in (["--help"], ["train", "--help"], ["predict", "--help"]):
        with pytest.raises(SystemExit) as exit:
            main(arguments)
        assert exit.value.code == 0
    said = capsys.readouterr().out
    for flag in (
        *("--data", "--label", "--hidden", "--activation", "--epochs", "--batch-size", "--lr"),
        *("--optimizer", "--label-smoothing", "--temperature", "--seed", "--out", "MODEL", "FILE"),
    ):
        assert flag in said


def test_help_loads_nothing_heavy():
    script = (
        "import sys; from microgradx import cli; cli._parser().format_help(); "
        "print([name for name in ('sklearn', 'matplotlib', 'rich', 'graphviz', 'pygraphviz',"
        " 'microgradx.show') if name in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout == "[]\n"


# ---------------------------------------------------------------------------- predict


@pytest.fixture
def trained(train, tmp_path, without_pictures):
    x = table(tmp_path / "table.csv", rows=200)
    assert train("--data", "table.csv", "--out", "run", "--temperature", "2")[0] == 0
    return x, tmp_path / "run" / "model.npz"


def test_predictions_are_csv_with_a_line_for_each_row(trained, predict, tmp_path):
    x, model = trained
    table(tmp_path / "new.csv", rows=30, seed=1)
    status, out, err = predict(model, tmp_path / "new.csv")
    assert status == 0
    rows = list(csv.DictReader(io.StringIO(out)))
    x = table(tmp_path / "new.csv", rows=30, seed=1)
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


def test_the_temperature_of_a_prediction_can_be_chosen(trained, predict, tmp_path):
    _, model = trained
    cold, warm = (
        predict(model, tmp_path / "table.csv", "--temperature", t)[1].splitlines()[1:]
        for t in ("0.5", "5")
    )
    for a, b in zip(cold, warm, strict=True):
        assert a.split(",")[0] == b.split(",")[0]
        assert float(a.split(",")[1]) >= float(b.split(",")[1])
    assert cold != warm


def test_rows_without_labels_and_arrays(trained, predict, tmp_path):
    x, model = trained
    (tmp_path / "new.csv").write_text("depth,height,width\n0,1,1\n0,-1,-1\n")
    status, out, err = predict(model, tmp_path / "new.csv")
    assert (status, err) == (0, "")
    assert [line.split(",")[0] for line in out.splitlines()] == ["label", "big", "small"]
    np.savez(tmp_path / "new.npz", X=x[:5])
    status, out, err = predict(model, tmp_path / "new.npz")
    assert (status, err, out.count("\n")) == (0, "", 6)


def test_new_rows_that_do_not_fit_are_an_error(trained, predict, tmp_path):
    _, model = trained
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
    assert load_classifier(tmp_path / "run" / "model.npz").layout.image_shape == (3, 3)
    status, _, err = predict(tmp_path / "run" / "model.npz", tmp_path / "images.npz")
    assert status == 0
    assert "100.00% of the 40 rows" in err


# ---------------------------------------------------------------------------- interruptions

INTERRUPTED = """
import signal, sys
from microgradx import cli
from microgradx.training.progress import Lines

signal.signal(signal.SIGINT, signal.default_int_handler)
batches = 0

def batch(self):
    global batches
    batches += 1
    if batches == 20:
        for _ in range({times}):
            signal.raise_signal(signal.SIGINT)

Lines.batch = batch
cli._draw = lambda *arguments: []
status = cli.main(sys.argv[1:])
print("batches", batches)
sys.exit(status)
"""


def interrupted(tmp_path, times):
    arguments = ("train", "--data", "moons", "--hidden", "8", "--out", "run")
    return subprocess.run(
        [sys.executable, "-c", INTERRUPTED.format(times=times), *arguments],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )


def test_ctrl_c_keeps_what_was_learnt(tmp_path):
    run = interrupted(tmp_path, times=1)
    assert run.returncode == 130
    assert run.stderr == ""
    # 480 rows in batches of 32 are 15 an epoch, so it was the second.
    assert "Stopped by Ctrl-C in epoch 2 of 100; what was learnt until then is kept" in run.stdout
    assert "batches 20\n" in run.stdout
    assert " 2/100" in run.stdout
    assert " 3/40" not in run.stdout
    assert "Held-out accuracy" in run.stdout
    assert load_classifier(tmp_path / "run" / "model.npz").hidden_sizes == (8,)


def test_ctrl_c_twice_quits_at_once(tmp_path):
    run = interrupted(tmp_path, times=2)
    assert run.returncode == 130
    assert run.stderr == "\nmicrogradx: interrupted\n"
    assert list((tmp_path / "run").iterdir()) == []


def test_ctrl_c_before_and_after_the_training_has_no_traceback(train, monkeypatch):
    def interrupt(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "_verify", interrupt)
    status, _, err = train("--data", "moons", "--out", "run")
    assert (status, err) == (130, "\nmicrogradx: interrupted\n")


def test_outside_the_main_thread_signals_are_left_alone(train, without_pictures):
    statuses = []
    before = signal.getsignal(signal.SIGINT)
    thread = threading.Thread(
        target=lambda: statuses.append(main(["train", "--data", "moons", *SMALL, "--out", "run"]))
    )
    thread.start()
    thread.join()
    assert statuses == [0]
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.skipif(os.name != "posix", reason="pipes")
def test_a_reader_that_has_had_enough(trained, tmp_path):
    _, model = trained
    table(tmp_path / "long.csv", rows=20_000)
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


def test_small_tables_are_trained_for_more_epochs(train, without_pictures):
    _, out, _ = train("--data", "moons", "--hidden", "", "--out", "run")
    assert "epoch 100/100" in out  # 480 rows in batches of 32: 15 steps an epoch, 1,500 in all
    assert "2 → 2, no hidden layer" in out


def test_label_smoothing_is_said_where_losses_differ_by_it(train, without_pictures):
    for smoothing, said in (("0.1", True), ("0", False)):
        _, out, _ = train("--data", "moons", *SMALL, "--label-smoothing", smoothing)
        assert ("(without the label smoothing of 0.1)" in out) == said


def test_labels_that_the_model_does_not_know_are_no_mistakes(
    train, tmp_path, capsys, without_pictures
):
    table(tmp_path / "a.csv")
    train("--data", "a.csv", *SMALL, "--out", "run")
    rows = (tmp_path / "a.csv").read_text().replace("big", "huge").replace("small", "tiny")
    (tmp_path / "b.csv").write_text(rows)
    assert main(["predict", "run/model.npz", "b.csv"]) == 0
    err = capsys.readouterr().err
    assert "none of the labels in b.csv is known to the model, whose classes are 'big'" in err


def test_a_network_too_large_for_the_memory_is_one_line(train, without_pictures):
    status, _, err = train("--data", "moons", "--hidden", "1000000000000")
    assert status == 2
    assert err.count("\n") == 1
    assert "not enough memory" in err
