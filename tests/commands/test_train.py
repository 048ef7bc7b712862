"""The command `train`, from data to a model and its pictures."""

import re
import signal
import subprocess
import sys
import threading
from xml.etree import ElementTree

import numpy as np
import pytest

from microgradx.cli import main
from microgradx.commands import train as command
from microgradx.data import stratified_split
from microgradx.ops.softmax import SoftmaxCrossEntropy
from microgradx.show.graphs.rendering import RenderingError, render
from microgradx.training import load_classifier, load_table

SMALL = ("--hidden", "8", "--epochs", "3")


def split_held_out(labels, seed):
    """The rows to train on, and those held out, as the command with this seed splits them."""
    streams = np.random.SeedSequence(seed).spawn(2)
    return stratified_split(labels, 0.2, np.random.default_rng(streams[1]))


def can_render():
    try:
        return bool(render("digraph { a }", "svg"))
    except RenderingError:
        return False


def test_a_training_reports_and_writes_all_its_files(train, tmp_path):
    pytest.importorskip("matplotlib")
    if not can_render():
        pytest.skip("needs Graphviz")
    status, out, err = train("--data", "moons", *SMALL, "--out", "a directory/inside")
    assert (status, err) == (0, "")
    directory = tmp_path / "a directory" / "inside"
    files = ["curves.png", "graph.svg", "model.npz", "predictions.png", "reliability.png"]
    assert sorted(path.name for path in directory.iterdir()) == files
    for name in files:
        assert str(directory.relative_to(tmp_path) / name) in out
    assert "600 rows of 2 features, 2 classes; 480 rows to learn from, 120 held out" in out
    assert "2 → 8 → 2, relu; 42 parameters" in out
    assert "are (p - y)/16, to within" in out
    assert "42 parameters agree with finite differences" in out
    assert out.count("\nepoch ") == 6  # of both trainings
    assert (
        "on all 480 training rows, of which 96 were kept for calibration, for 3 of 3 epochs" in out
    )

    held_out = re.search(r"Held-out accuracy: ([\d.]+)% \((\d+) of 120 rows wrong\)", out)
    rows = re.findall(r"^  (upper|lower) +(\d+|·) +(\d+|·) +[\d.]+%$", out, re.MULTILINE)
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
    _, out, _ = train("--data", "moons", *SMALL, "--out", "run", "--seed", "3")
    streams = np.random.SeedSequence(3).spawn(2)
    data = load_table("moons", generator=np.random.default_rng(streams[0]))
    training, held_out = split_held_out(data.labels, seed=3)
    classifier = load_classifier(tmp_path / "run" / "model.npz")
    p = classifier.predict_proba(data.features[held_out])
    right = np.mean(p.argmax(axis=1) == data.labels[held_out])
    assert f"Held-out accuracy: {right:.2%}" in out
    np.testing.assert_allclose(
        classifier.encoder.mean, data.features[training].mean(axis=0), rtol=1e-12
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("--optimizer adam --lr 0.01", "--optimizer sgd --lr 0.01"),
        ("--optimizer sgd --lr 0.01", "--optimizer momentum --lr 0.01"),
        ("--lr 0.01", "--lr 0.02"),
        ("--label-smoothing 0", "--label-smoothing 0.1"),
        ("--weight-decay 0", "--weight-decay 5"),
        ("--optimizer sgd --weight-decay 0", "--optimizer sgd"),
        ("--dropout 0", "--dropout 0.5"),
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


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_digits_with_the_defaults(train, without_pictures, seed):
    pytest.importorskip("sklearn")
    status, out, _ = train("--seed", str(seed))
    assert status == 0
    assert "359 held out" in out
    assert float(re.search(r"Held-out accuracy: ([\d.]+)%", out)[1]) >= 97


def test_small_tables_are_trained_for_more_epochs(train, without_pictures):
    _, out, _ = train("--data", "moons", "--hidden", "", "--out", "run", "--no-early-stopping")
    assert "epoch 125/125" in out  # 384 rows in batches of 32: 12 steps an epoch, 1,500 in all
    assert "2 → 2, no hidden layer" in out


@pytest.fixture
def write_table(tmp_path):
    """Write 400 rows of columns that say little of the label; every n-th row is "rare"."""

    def write(every, columns=2):
        generator = np.random.default_rng(0)
        labels = np.where(np.arange(400) % every, "frequent", "rare")
        x = generator.normal(size=(400, columns))
        x[:, 0] += 2 * (labels == "rare")
        names = [f"x{i}" for i in range(columns)]
        rows = [
            ",".join([*map(str, row.round(4)), name]) for row, name in zip(x, labels, strict=True)
        ]
        (tmp_path / "rows.csv").write_text("\n".join([",".join([*names, "label"]), *rows]))

    return write


def test_the_report_says_what_the_accuracy_is_worth(train, without_pictures, write_table):
    write_table(10)
    _, out, _ = train("--data", "rows.csv", *SMALL, "--out", "run", "--epochs", "20")
    assert "Majority share:    90.00%, the accuracy of always answering 'frequent'" in out
    recalls = [
        float(x) for x in re.findall(r"^  (?:frequent|rare) .* ([\d.]+)%$", out, re.MULTILINE)
    ]
    balanced = float(re.search(r"Balanced accuracy: ([\d.]+)%", out)[1])
    assert balanced == pytest.approx(np.mean(recalls), abs=0.05)
    _, out, _ = train("--data", "rows.csv", *SMALL, "--class-weight", "balanced", "--epochs", "20")
    assert float(re.search(r"Balanced accuracy: ([\d.]+)%", out)[1]) > balanced + 10


def test_probabilities_are_reported_and_stored_at_the_temperature_that_is_used(
    train, tmp_path, without_pictures, write_table
):
    from microgradx import metrics
    from microgradx.data.tables import read_table

    write_table(2, columns=20)
    for options, fitted in (((), True), (("--temperature", "3"), False)):
        # A network that was trained for too long, so that a temperature helps.
        wild = ("--epochs", "60", "--weight-decay", "0", "--no-early-stopping", "--lr", "0.05")
        _, out, _ = train("--data", "rows.csv", "--hidden", "64", *wild, *options, "--out", "run")
        classifier = load_classifier(tmp_path / "run" / "model.npz")
        found = re.search(r"^Temperature ([\d.]+): (.*)$", out, re.MULTILINE)
        assert float(found[1]) == pytest.approx(classifier.temperature, rel=1e-3)
        assert found[2].startswith("fitted to 64 rows" if fitted else "as it was given")
        after, before = map(
            float, re.search(r"log-loss: ([\d.]+), and ([\d.]+) at temperature 1", out).groups()
        )
        assert after < before
        table = read_table(tmp_path / "rows.csv")
        _, held_out = split_held_out(table.labels, seed=0)
        p = classifier.predict_proba(table.take(held_out))
        labels = table.labels[held_out]
        assert metrics.log_loss(labels, p) == pytest.approx(after, abs=1e-4)
        error = metrics.expected_calibration_error(labels, p)
        reported = re.search(r"calibration error: ([\d.]+), and [\d.]+ at", out)[1]
        assert error == pytest.approx(float(reported), abs=1e-4)


def test_a_table_too_small_for_a_calibration_part_is_learnt_whole(
    train, tmp_path, without_pictures
):
    (tmp_path / "tiny.csv").write_text("\n".join(["x,y", *(f"{i},{i % 2}" for i in range(50))]))
    _, out, _ = train("--data", "tiny.csv", *SMALL)
    assert "Temperature 1: not fitted: the table has too few rows" in out
    assert "Now on all" not in out


def test_dropout_is_trained_with_and_kept(train, tmp_path, without_pictures):
    train("--data", "moons", *SMALL, "--dropout", "0.5", "--out", "a")
    train("--data", "moons", *SMALL, "--out", "b")
    a, b = (load_classifier(tmp_path / name / "model.npz") for name in "ab")
    assert (a.dropout, b.dropout) == (0.5, 0.0)
    x = np.random.default_rng(0).normal(size=(5, 2))
    np.testing.assert_array_equal(a.logits(x), a.logits(x))
    assert not np.array_equal(a.logits(x), b.logits(x))


def test_early_stopping_waits_for_patience(train, without_pictures):
    options = ("--data", "moons", "--hidden", "8", "--epochs", "60", "--lr", "0.1")
    _, out, _ = train(*options, "--patience", "2")
    assert "epoch 60/60" not in out
    last = max(map(int, re.findall(r"^epoch +(\d+)/60", out, re.MULTILINE)))
    assert f"for {max(last - 2, 6)} of 60 epochs" in out  # at least a tenth of them
    _, out, _ = train(*options, "--no-early-stopping")
    assert "for 60 of 60 epochs" in out


def test_ctrl_c_while_it_learns_all_rows_keeps_the_model_before(train, tmp_path, monkeypatch):
    from microgradx.training.experiment import Experiment

    models = []

    def interrupted_refit(self, refit=Experiment.refit):
        models.append(self.classifier.model.state_dict())
        self._fit.keywords["callbacks"] = [
            lambda training: training.epoch == 1 and signal.raise_signal(signal.SIGINT)
        ]
        return refit(self)

    monkeypatch.setattr(Experiment, "refit", interrupted_refit)
    monkeypatch.setattr(command, "_save_pictures", lambda *arguments: [])
    status, out, _ = train("--data", "moons", *SMALL, "--out", "run")
    assert status == 130
    assert "Stopped by Ctrl-C; the model is the one before." in out
    state = load_classifier(tmp_path / "run" / "model.npz").model.state_dict()
    for name, weight in models[0].items():
        np.testing.assert_array_equal(state[name], weight)


def test_a_network_too_large_for_the_memory_is_one_line(train, without_pictures):
    status, _, err = train("--data", "moons", "--hidden", "1000,999999999")
    assert status == 2
    assert err.count("\n") == 1
    assert "not enough memory" in err


# ---------------------------------------------------------------------------- pictures that fail


def test_without_matplotlib_and_graphviz_the_rest_is_done(train, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "pygraphviz", None)
    monkeypatch.setenv("PATH", "")
    status, out, err = train("--data", "moons", *SMALL, "--out", "run")
    assert status == 0
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["model.npz"]
    lines = err.splitlines()
    assert [line.split()[1] for line in lines] == [
        "graph.svg",
        "curves.png",
        "predictions.png",
        "reliability.png",
    ]
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


# ---------------------------------------------------------------------------- interruptions

INTERRUPTED = """
import signal, sys
from microgradx import cli
from microgradx.commands import train
from microgradx.training.progress import ProgressLines

signal.signal(signal.SIGINT, signal.default_int_handler)
batches = 0

def batch(self):
    global batches
    batches += 1
    if batches == 20:
        for _ in range({times}):
            signal.raise_signal(signal.SIGINT)

ProgressLines.batch = batch
train._save_pictures = lambda *arguments: []
status = cli.main(sys.argv[1:])
print("batches", batches)
sys.exit(status)
"""


def run_interrupted(tmp_path, times):
    arguments = ("train", "--data", "moons", "--hidden", "8", "--out", "run")
    return subprocess.run(
        [sys.executable, "-c", INTERRUPTED.format(times=times), *arguments],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )


def test_ctrl_c_keeps_what_was_learnt(tmp_path):
    run = run_interrupted(tmp_path, times=1)
    assert run.returncode == 130
    assert run.stderr == ""
    # 384 rows in batches of 32 are 12 an epoch, so it was the second.
    assert "Stopped by Ctrl-C in epoch 2 of 125; what was learnt until then is kept" in run.stdout
    assert "batches 20\n" in run.stdout
    assert " 2/125" in run.stdout
    assert " 3/125" not in run.stdout
    assert "Held-out accuracy" in run.stdout
    assert load_classifier(tmp_path / "run" / "model.npz").hidden_sizes == (8,)


def test_ctrl_c_twice_quits_at_once(tmp_path):
    run = run_interrupted(tmp_path, times=2)
    assert run.returncode == 130
    assert run.stderr == "\nmicrogradx: interrupted; no file was changed\n"
    assert list((tmp_path / "run").iterdir()) == []


def test_ctrl_c_before_and_after_the_training_has_no_traceback(train, monkeypatch):
    def interrupt(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "_print_verification", interrupt)
    status, _, err = train("--data", "moons", "--out", "run")
    assert (status, err) == (130, "\nmicrogradx: interrupted; no file was changed\n")


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
