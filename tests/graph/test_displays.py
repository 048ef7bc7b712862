"""The methods by which a Tensor shows its graph: that they reach what does the work."""

import subprocess
import sys

import numpy as np
import pytest

import microgradx as mg


@pytest.fixture
def loss():
    x = mg.Tensor([1.0, -2.0], requires_grad=True, name="x")
    return (x * x).sum()


def test_the_methods_are_the_functions(loss):
    assert loss.draw(gradients=False).source == mg.draw(loss, gradients=False).source
    assert str(loss.steps()) == str(loss.steps())
    assert loss.explain().html == mg.explain(loss).html


def test_trace_is_the_sum_of_the_diagonal():
    matrix = mg.Tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    for total in (matrix.trace(), np.trace(matrix)):
        assert total.item() == 5
        assert total.op is not None
    assert matrix.trace(1).item() == matrix.trace(offset=1).item() == 2


def test_nothing_of_it_is_loaded_before_its_first_use():
    program = "\n".join(
        [
            "import sys, microgradx as mg",
            "assert not any('microgradx.show' in name for name in sys.modules)",
            "mg.Tensor(1.0).draw()",
            "assert 'microgradx.show.graphs.drawing' in sys.modules",
        ]
    )
    subprocess.run([sys.executable, "-c", program], check=True)
