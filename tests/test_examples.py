"""Every example runs, and prints what it is there to show."""

import re
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest

import microgradx as mg

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "examples"

# What each must print, among other things.
OUTPUT = {
    "first_nan": ["the forward of exp returned inf", "e = np.exp(logits)", "subtract the maximum"],
    "newton": ["at [1. 1. 1.]"],
    "numerical_stability": ["naive softmax:  [nan", "cross_entropy:  200.0", "8.279875e-08"],
    "own_op": ["gradients agree", "the gradient does not agree", "one of several uses"],
    "probabilities": ["[0.8668 0.1173 0.0159]", "costs 0.01005", "ln 10 = 2.3026"],
    "small_images": ["  (0) Conv2d        (1, 16, 8, 8)", "split 0: 9", "mean: 9"],
    "softmax_by_hand": ["[-0.34099886  0.24243297  0.09856589]", "softmax.svg"],
    "tiny_engine": [],
    "train_spirals": ["ln 3 = 1.099", "accuracy on the training data: 9"],
}


def test_every_example_is_known():
    assert set(OUTPUT) == {path.stem for path in EXAMPLES.glob("*.py")}


@pytest.mark.parametrize("name", OUTPUT)
def test_example(name, tmp_path, monkeypatch, capsys):
    if name == "softmax_by_hand":
        pytest.importorskip("pygraphviz")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [name, "--quick"])
    runpy.run_path(str(EXAMPLES / f"{name}.py"))
    out = capsys.readouterr().out
    for line in OUTPUT[name]:
        assert line in out
    if name == "softmax_by_hand":
        assert out.count("[-0.34099886  0.24243297  0.09856589]") == 3
        assert (tmp_path / "softmax.svg").read_text().rstrip().endswith("</svg>")


@pytest.mark.slow
def test_a_convolutional_network_reads_99_of_100_digits(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["small_images"])
    runpy.run_path(str(EXAMPLES / "small_images.py"))
    splits = re.findall(r"split \d: ([\d.]+)%", out := capsys.readouterr().out)
    mean = re.search(r"mean: ([\d.]+)%", out)
    assert float(mean[1]) >= 99
    assert np.mean([*map(float, splits)]) == pytest.approx(float(mean[1]), abs=0.1)
    assert len(splits) == 5


# ---------------------------------------------------------------------------- the tiny engine

TINY = EXAMPLES / "tiny_engine.py"


def test_the_tiny_engine_has_at_most_fifty_lines_which_the_guide_shows():
    text = TINY.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 50
    assert f"```python\n{text}```\n" in (ROOT / "docs" / "guide.md").read_text(encoding="utf-8")


def random_program(generator):
    """Arrays of shapes that broadcast, and steps: an op, and which values so far it is given."""
    shapes = [(), (3,), (1, 3), (3, 1), (3, 3), (2, 1, 3)]
    arrays = [generator.normal(size=shapes[i]) for i in generator.permutation(len(shapes))]
    values, steps = list(arrays), []
    while len(steps) < 15:
        name = str(generator.choice(["add", "multiply", "matmul", "tanh"]))
        given = generator.integers(len(values), size=1 if name == "tanh" else 2).tolist()
        x = [values[i] for i in given]
        if name == "matmul" and not (x[0].ndim == x[1].ndim == 2 and len(x[1]) == x[0].shape[1]):
            continue
        values.append(getattr(np, name)(*x))
        steps.append((name, given))
    return arrays, steps


@pytest.mark.parametrize("seed", range(20))
def test_the_tiny_engine_computes_the_gradients_of_the_package(seed):
    tiny = runpy.run_path(str(TINY))
    arrays, steps = random_program(np.random.default_rng(seed))
    tensors = [mg.Tensor(array, requires_grad=True) for array in arrays]
    tiny_tensors = [tiny["Tensor"](array) for array in arrays]
    for values, ops in ((tensors, vars(mg)), (tiny_tensors, tiny)):
        for name, given in steps:
            values.append(ops[name](*(values[i] for i in given)))
    (tensors[-1] + tensors[-2]).sum().backward()
    tiny["add"](tiny_tensors[-1], tiny_tensors[-2]).backward()
    for x, y in zip(tensors[: len(arrays)], tiny_tensors, strict=False):
        np.testing.assert_allclose(y.grad, 0 if x.grad is None else x.grad, rtol=1e-10, atol=1e-12)
