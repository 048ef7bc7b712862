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
from microgradx.ops.softmax import SoftmaxCrossEntropy
from microgradx.show.graphs.rendering import RenderingError, render
from microgradx.training import load_classifier, load_table

SMALL = ("--hidden", "8", "--epochs", "3")


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
        classifier.encoder.mean, data.features[training].mean(axis=0), rtol=1e-12
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


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_digits_with_the_defaults(train, without_pictures, seed):
    pytest.importorskip("sklearn")
    status, out, _ = train("--seed", str(seed))
    assert status == 0
    assert "359 held out" in out
    assert float(re.search(r"Held-out accuracy: ([\d.]+)%", out)[1]) >= 97


def test_small_tables_are_trained_for_more_epochs(train, without_pictures):
    _, out, _ = train("--data", "moons", "--hidden", "", "--out", "run")
    assert "epoch 100/100" in out  # 480 rows in batches of 32: 15 steps an epoch, 1,500 in all
    assert "2 → 2, no hidden layer" in out


def test_label_smoothing_is_named_where_losses_differ_by_it(train, without_pictures):
    for smoothing, is_named in (("0.1", True), ("0", False)):
        _, out, _ = train("--data", "moons", *SMALL, "--label-smoothing", smoothing)
        assert ("(without the label smoothing of 0.1)" in out) == is_named


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
    # 480 rows in batches of 32 are 15 an epoch, so it was the second.
    assert "Stopped by Ctrl-C in epoch 2 of 100; what was learnt until then is kept" in run.stdout
    assert "batches 20\n" in run.stdout
    assert " 2/100" in run.stdout
    assert " 3/40" not in run.stdout
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
