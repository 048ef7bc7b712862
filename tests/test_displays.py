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
    assert str(loss.trace()) == str(loss.trace())
    assert loss.explain().html == mg.explain(loss).html


def test_the_sum_of_the_diagonal_is_numpys_function(loss):
    matrix = mg.Tensor(np.eye(3))
    for arguments, settings in (((1,), {}), ((), {"axis1": 1})):
        with pytest.raises(TypeError, match=r"diagonal is np\.trace\(t, offset"):
            matrix.trace(*arguments, **settings)
    assert np.trace(matrix).item() == 3


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
