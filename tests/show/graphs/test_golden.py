"""The DOT source of telling graphs, to the byte, and the same in every process.

When a drawing is meant to change, look at what comes of it, and write the sources anew with

    python tests/show/graphs/test_golden.py
"""

import os
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

import microgradx as mg

GOLDEN = Path(__file__).parent / "golden"


class Block(mg.nn.Module):
    def __init__(self):
        self.hidden, self.out = linear(3, 3), linear(3, 3)

    def forward(self, x):
        return (x + self.out(mg.relu(self.hidden(x)))) / np.float32(4)


def linear(inputs, outputs):
    """A layer whose numbers are the same everywhere: small integers and their halves."""
    layer = mg.nn.Linear(inputs, outputs)
    layer.weight.data = np.arange(inputs * outputs).reshape(outputs, inputs) % 5 / 2 - 1
    layer.bias.data = np.arange(outputs) / 2
    return layer


# Gradients that would be 0 but for rounding are left out: processors round differently.


def mlp_step(**settings):
    network = mg.nn.Sequential(linear(4, 2), mg.nn.Tanh(), linear(2, 3))
    features = np.array([[0.5, -1.0, 2.0, 1.0], [-1.5, 0.0, 1.0, 1.0]])
    labels = np.array([0, 2])
    return mg.cross_entropy(network(features), labels, **settings)


def scalar_expression():
    a, b, c = (mg.Tensor(value, requires_grad=True) for value in (2.0, -3.0, 10.0))
    d = a * b
    return mg.draw(mg.tanh((d + c) / 8.0))


def product_with_itself():
    x = mg.Tensor([1.0, -2.0], requires_grad=True)
    return mg.draw(mg.sum(x * x))


def softmax_composed():
    logits = mg.Tensor([[2.0, 1.0, 0.1]], requires_grad=True)
    loss = mg.cross_entropy(logits, [0], fused=False)
    return mg.draw(loss, gradients=False)


def mlp_fused():
    return mg.draw(mlp_step())


def mlp_composed():
    return mg.draw(mlp_step(fused=False), gradients=False)


def mlp_closed():
    return mg.draw(mlp_step(fused=False), depth=0, expand="Sequential", gradients=False)


def blocks_repeated():
    x = mg.Tensor(np.arange(6, dtype=np.float32).reshape(2, 3) / 4, name="features")
    for block in [Block() for _ in range(12)]:
        x = block(x)
    return mg.draw(mg.sum(x), depth=0)


def chain_joined():
    x = start = mg.Tensor([0.5, 0.25], requires_grad=True)
    for _ in range(40):
        x = abs(x) * 1.0
    return mg.draw(mg.sum(x * start), max_nodes=20)


def oldest_left_out():
    a, b = (mg.Tensor(value, requires_grad=True) for value in (2.0, -3.0))
    for _ in range(30):
        a, b = a - b, abs(a) * 0.5
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return mg.draw(a * b, max_nodes=16)


def not_finite():
    x, w = (mg.Tensor(np.arange(-2.0, 6.0), requires_grad=True) for _ in range(2))
    with np.errstate(all="ignore"):
        return mg.draw(mg.sum(mg.log(x) * w))


def hostile_names_changed_since():
    name = 'a|b{c}<script>&"\n&lt;\\N'
    x = mg.Tensor([1.0, 2.0], requires_grad=True, name=name)
    out = mg.sum(x - np.array([3, 4]))
    x.data = [5.0, 6.0]
    return mg.draw(out)


GRAPHS = [
    scalar_expression,
    product_with_itself,
    softmax_composed,
    mlp_fused,
    mlp_composed,
    mlp_closed,
    blocks_repeated,
    chain_joined,
    oldest_left_out,
    not_finite,
    hostile_names_changed_since,
]


@pytest.mark.parametrize("graph", GRAPHS, ids=lambda graph: graph.__name__)
def test_the_source_is_as_it_was(graph):
    golden = GOLDEN / f"{graph.__name__}.dot"
    assert graph().source == golden.read_text(encoding="utf-8")


def test_there_are_no_others():
    assert {path.stem for path in GOLDEN.iterdir()} == {graph.__name__ for graph in GRAPHS}


def test_the_source_is_the_same_in_every_process(tmp_path):
    """Nothing depends on where objects lie in memory, or on how strings are hashed."""
    written = tmp_path / "golden"
    environment = {**os.environ, "PYTHONHASHSEED": "1"}
    subprocess.run([sys.executable, __file__, str(written)], check=True, env=environment)
    for path in GOLDEN.iterdir():
        assert (written / path.name).read_bytes() == path.read_bytes()


def write(directory):
    directory.mkdir(exist_ok=True)
    for graph in GRAPHS:
        (directory / f"{graph.__name__}.dot").write_text(graph().source, encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]) if len(sys.argv) > 1 else GOLDEN)
