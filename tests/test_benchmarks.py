"""The benchmarks compare outputs before they time, and measure correctly."""

import dataclasses
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks import harness, problems
from benchmarks.__main__ import main
from benchmarks.harness import REFERENCE, Effort, Measurement, Ready, Unavailable, find_disagreement
from benchmarks.implementations import by_hand, microgradx, preallocated
from benchmarks.long_chains import measure_chain
from benchmarks.report import BEGIN, END, format_report, write_page
from benchmarks.targets import TARGETS, Target

BRIEF = Effort(rounds=3, seconds=0.0)


# ---------------------------------------------------------------------------- implementations


def training(activation, optimizer):
    generator = np.random.default_rng(0)
    X = generator.normal(size=(4, 6, 3)).astype(np.float32)
    y = generator.integers(4, size=(4, 6))
    batches = tuple(zip(X, y, strict=True))
    return problems.Training((3, 5, 6, 4), activation, optimizer, 0.1, batches)


def images():
    generator = np.random.default_rng(0)
    X = generator.normal(size=(4, 3, 1, 8, 8)).astype(np.float32)
    y = generator.integers(10, size=(4, 3))
    return problems.Images(tuple(zip(X, y, strict=True)))


def digits():
    generator = np.random.default_rng(0)
    X = generator.normal(size=(30, 3)).astype(np.float32)
    y = (X[:, 0] > 0).astype(np.int64) + (X[:, 1] > 0)
    return problems.Digits(20, training("relu", "Adam"), (X, y), (X, y), batch_size=8)


PROBLEMS = [
    ("training step", training("tanh", "SGD")),
    ("training step", training("relu", "SGD")),
    ("training step", training("relu", "Adam")),
    ("digits", digits()),
    ("small ops", problems.SmallOps(9)),
    ("cross-entropy", problems.Rows(7, 3)),
    ("cross-entropy", problems.Rows(300, 1000)),  # more than one block
    ("cnn step", images()),
    ("conv2d", problems.Layer((2, 3, 4, 4), 5)),
    ("max_pool2d", problems.Layer((2, 3, 4, 4), 3)),
    ("Hessian-vector product", problems.Curvature(training("relu", "SGD"))),
]


@pytest.mark.parametrize(("computation", "problem"), PROBLEMS)
def test_all_that_needs_only_numpy_agrees(computation, problem):
    modules = {module.__name__ for module in (by_hand, preallocated, microgradx)}
    prepared = {
        name: prepare
        for name, prepare in harness.implementations(computation).items()
        if prepare.__module__ in modules
    }
    expected = prepared.pop(REFERENCE)(problem).outputs()
    assert prepared
    for name, prepare in prepared.items():
        try:
            ready = prepare(problem)
            outputs = ready.outputs()
        except Unavailable:
            continue
        assert find_disagreement(outputs, expected, 1e-5) is None, name
        ready.run()


@pytest.mark.parametrize("z", [[[1e4, 0, -1e4], [3, 0, -3]], [[-200, -199, -201], [0, 1, 0]]])
def test_extreme_logits_are_shifted(z, monkeypatch):
    given = np.array(z, np.float32), np.array([0, 1])
    monkeypatch.setattr(problems, "_logits", lambda rows, classes: given)
    expected = by_hand.cross_entropy(problems.Rows(2, 3)).outputs()
    assert (
        find_disagreement(preallocated.cross_entropy(problems.Rows(2, 3)).outputs(), expected)
        is None
    )


def test_extreme_logits_of_a_network_are_shifted():
    problem = training("relu", "SGD")
    X = np.float32(1e4) * problem.batches[0][0]
    naive, model = by_hand.Perceptron(problem), preallocated.Perceptron(problem, len(X))
    y = naive.logits(X).argmin(axis=1)
    y[1:] = naive.logits(X)[1:].argmax(axis=1)
    with np.errstate(divide="ignore"):  # the naive loss takes the logarithm of a p that vanished
        _, gradients = naive.loss_and_gradients(X, y)
    assert np.isfinite(model.loss(X, y))
    found = {"gradient": model.parts(model.g)}
    assert find_disagreement(found, {"gradient": [g.T for g in gradients]}) is None


def test_a_long_chain_is_measured():
    found = measure_chain("microgradx", 1000)
    assert found["survivors"] < 10
    assert found["seconds"] >= found["forward"] + found["backward"]


# ---------------------------------------------------------------------------- agreement


def test_outputs_that_differ():
    expected = {"loss": 2.0, "gradient": [np.ones(3, np.float32), np.eye(2, dtype=np.float32)]}
    assert find_disagreement(expected, expected) is None
    assert find_disagreement({"loss": 2.0}, expected) is None  # only what both name is compared
    for gradient, message in [
        ([np.ones(3, np.float32)], "1 arrays instead of 2"),
        ([np.ones(3), np.eye(2, dtype=np.float32)], "gradient 1 of 2: float64 instead of float32"),
        (
            [np.ones((3, 1), np.float32), np.eye(2, dtype=np.float32)],
            "shape (3, 1) instead of (3,)",
        ),
        ([np.ones(3, np.float32), 1.01 * np.eye(2, dtype=np.float32)], "2 of 2: off by 0.014"),
        ([np.ones(3, np.float32), np.full((2, 2), np.nan, np.float32)], "off by nan"),
    ]:
        assert message in find_disagreement({"gradient": gradient}, expected)
    assert "loss: off by 0.1" in find_disagreement({"loss": 2.1}, expected)
    assert "nothing to compare" in find_disagreement({"accuracy": 1.0}, expected)


def test_implementations_that_disagree_or_fail_are_not_timed(capsys):
    def ready(loss):
        return lambda: Ready(lambda: None, lambda: {"loss": loss})

    def broken():
        raise OSError("no such compiler\nmore")

    def absent():
        raise Unavailable("it needs a compiler")

    found = harness.measure(
        {"wrong": ready(2.0), REFERENCE: ready(1.0), "broken": broken, "absent": absent}, BRIEF
    )
    wrong, reference, broken, absent = found
    assert [one.failed for one in found] == [True, False, True, False]
    assert wrong.absent.startswith("disagrees with NumPy by hand: loss: off by 1")
    assert broken.absent == "OSError: no such compiler"
    assert absent.absent == "it needs a compiler"
    assert wrong.seconds is broken.seconds is absent.seconds is None
    assert reference.ratio == 1
    err = capsys.readouterr().err
    assert "!!! wrong" in err
    assert "!!! broken" in err
    assert "!!! absent" not in err


def test_a_reference_that_fails_is_an_error():
    with pytest.raises(ZeroDivisionError):
        harness.measure({REFERENCE: lambda: 1 / 0}, BRIEF)


# ---------------------------------------------------------------------------- time


class Clock:
    """A clock that the tests set."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def test_all_are_run_in_turns():
    clock, order = Clock(), []

    def run(name, seconds):
        def advance():
            order.append(name)
            clock.now += seconds

        return advance

    runs = {"A": run("A", 1.0), "B": run("B", 0.25)}
    times, faults = harness.time_in_turns(runs, Effort(rounds=4, seconds=1.0), clock)
    assert times == {"A": [1.0] * 4, "B": [0.25] * 4}
    assert [len(each) for each in faults.values()] == [4, 4]
    assert "".join(order[-20:]) == "ABBBB" * 4


def test_no_round_is_begun_after_the_limit_but_for_three():
    clock = Clock()

    def run():
        clock.now += 10.0

    for limit, rounds in (5.0, 3), (45.0, 5):
        times, _ = harness.time_in_turns({"A": run}, Effort(9, 1.0, limit), clock)
        assert len(times["A"]) == rounds


def test_ratios_are_within_rounds(monkeypatch):
    times = {REFERENCE: [1.0, 2.0, 10.0], "half": [0.5, 1.0, 5.0], "noisy": [1.0, 6.0, 20.0]}
    faults = {name: [0.0, 7.0, 9.0] for name in times}
    monkeypatch.setattr(harness, "time_in_turns", lambda runs, effort: (times, faults))
    prepared = dict.fromkeys(times, lambda: Ready(lambda: None, lambda: {"loss": 1.0}))
    reference, half, noisy = harness.measure(prepared, BRIEF, per=10)
    assert (reference.ratio, reference.seconds, reference.faults) == (1.0, 0.2, 7.0)
    assert (half.ratio, half.quartiles) == (0.5, (0.5, 0.5))
    assert (noisy.ratio, noisy.quartiles) == (2.0, (1.5, 2.5))


# ---------------------------------------------------------------------------- targets and report


def cases(**ratios):
    names = {"microgradx": "microgradx", "hand": REFERENCE, "peer": "PyTorch"}
    found = [Measurement(names[key], 1e-5, value, (value, value)) for key, value in ratios.items()]
    return {"W1, SGD": found}


def test_targets_are_judged():
    target = Target("W1, SGD", "microgradx", 0.8)
    assert target.verdict(cases(microgradx=0.8)) == "met"
    assert target.verdict(cases(microgradx=1.0)) == "not met, 25% above"
    assert target.verdict(cases(peer=1.0)) == "not measured"
    assert target.verdict({"W1, SGD": [Measurement("microgradx", absent="why")]}) == "not measured"
    ahead = Target("W1, SGD", "microgradx", 1.0, than=("PyTorch", "JAX, jit"))
    both = cases(microgradx=2.0, peer=4.0)
    both["W1, SGD"].append(Measurement("JAX, jit", 1e-5, 1.0))
    assert ahead.verdict(both) == "not met, 100% above"
    assert ahead.verdict(cases(microgradx=2.0, peer=2.0)) == "met"
    assert ahead.verdict(cases(microgradx=3.0, peer=2.0)) == "not met, 50% above"
    assert ahead.verdict(cases(microgradx=3.0)) == "not measured"
    assert (
        Target("W1, SGD", "microgradx", 9.0, "µs")
        .verdict(cases(microgradx=1.0))
        .startswith("not met")
    )


def results(found):
    peers = {"PyTorch": "missing"}
    machine = {"processor": "a CPU", "system": "an OS", "date": "today", "peers": peers}
    machine |= {"Python": "3", "NumPy": "2", "BLAS": "some"}
    as_json = {case: [dataclasses.asdict(one) for one in each] for case, each in found.items()}
    run = {"missing": {"jax": "ImportError"}, "cases": as_json, "failed": False}
    return json.loads(json.dumps({"machine": machine, "quick": True, "workloads": {"W1": [run]}}))


def test_the_report_shows_everything():
    found = cases(hand=1.0, microgradx=2.5, peer=0.5)
    found["W1, SGD"][2].quartiles = (0.25, 1.0)
    found["W1, SGD"].append(Measurement("MyGrad", absent="it is ill", failed=True))
    text = format_report(results(found))
    lines = {line.split("|")[1].strip(): line for line in text.splitlines() if line[:1] == "|"}
    assert "1 (10 µs)" in lines[REFERENCE]
    assert "0.50 (0.25–1.00)" in lines["PyTorch"]
    assert "–" in lines["MyGrad"]
    assert "* MyGrad (W1, SGD): it is ill." in text
    assert "Not loaded: jax (ImportError)." in text
    assert "quick run" in text
    assert "not met, 257% above | PyTorch 0.50" in text
    of_the_case = [target for target in TARGETS if target.case == "W1, SGD"]
    assert text.count("not measured") == len(of_the_case) - 1
    assert lines["W1, SGD"].split("|")[2:4] == [" 2.50       ", " PyTorch 0.50 "]  # who is faster


def test_the_page_keeps_what_is_written_by_hand(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n", encoding="utf-8")
    for _ in range(2):
        write_page(page, "new")
    assert page.read_text(encoding="utf-8") == f"before\n{BEGIN}\n\nnew\n\n{END}\nafter\n"
    page.write_text("no marks", encoding="utf-8")
    with pytest.raises(ValueError, match="lacks the lines"):
        write_page(page, "new")


# ---------------------------------------------------------------------------- the command


@pytest.mark.slow
def test_the_command(tmp_path, monkeypatch, capfd):
    page = tmp_path / "page.md"
    page.write_text(f"# Page\n{BEGIN}\n{END}\n", encoding="utf-8")
    words = [
        "W4",
        "--quick",
        "--only",
        "microgradx",
        "--out",
        str(tmp_path / "out"),
        "--page",
        str(page),
    ]
    monkeypatch.setattr(sys, "argv", ["benchmarks", *words])
    monkeypatch.chdir(Path(__file__).parent.parent)
    assert main() == 0
    text = page.read_text(encoding="utf-8")
    assert "| NumPy by hand " in text
    assert "preallocated" not in text
    assert "| microgradx " in capfd.readouterr().out
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names >= {"report.md", "results.json"}
    assert ("benchmarks.png" in names) == (tmp_path / "images" / "benchmarks.png").exists()


def test_a_failure_of_microgradx_sets_the_exit_status(tmp_path, monkeypatch, capsys):
    found = cases(hand=1.0)
    found["W1, SGD"].append(Measurement("microgradx", absent="it broke", failed=True))
    path = tmp_path / "results.json"
    path.write_text(json.dumps(results(found)), encoding="utf-8")
    words = ["--results", str(path), "--out", str(tmp_path / "out")]
    monkeypatch.setattr(sys, "argv", ["benchmarks", *words])
    assert main() == 1
    assert "!!! failed: microgradx (W1, SGD)" in capsys.readouterr().err
