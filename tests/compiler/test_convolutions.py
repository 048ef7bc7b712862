"""Compiled convolutions and pooling: the numbers of eager steps, in arrays made beforehand."""

import re

import numpy as np
import pytest

import microgradx as mg
from microgradx import nn, optim

CONVOLUTIONS = {
    "padding": {"padding": 1},
    "stride": {"padding": (0, 2), "stride": (2, 1)},
    "dilation": {"padding": 2, "dilation": (2, 1)},
    "groups": {"padding": 1, "groups": 2, "bias": False},
    "all": {"padding": 1, "stride": (1, 2), "dilation": (1, 2), "groups": 2},
}
POOLING = {
    "max, apart": nn.MaxPool2d(2),
    "max, overlapping": nn.MaxPool2d(3, 1, padding=1),
    "mean, overlapping": nn.AvgPool2d((3, 2), 1, padding=1),
}
#: Each convolution with one kind of pooling, and each pooling with one convolution.
PAIRS = [(convolution, "max, overlapping") for convolution in CONVOLUTIONS]
PAIRS += [("padding", "max, apart"), ("stride", "mean, overlapping")]
BATCHES = [slice(0, 8), slice(8, 13), slice(2, 10), slice(8, 13)]


def make_network(convolution, pool, dtype):
    g = np.random.default_rng(0)
    settings = {**CONVOLUTIONS[convolution], "dtype": dtype, "generator": g}
    layers = nn.Sequential(
        *(nn.Conv2d(2, 4, 3, **settings), nn.BatchNorm2d(4, dtype=dtype), nn.ReLU()),
        *(nn.Conv2d(4, 6, (2, 3), **settings), nn.BatchNorm2d(6, dtype=dtype), nn.Tanh()),
        *(POOLING[pool], nn.Flatten()),
    )
    width = layers(np.zeros((1, 2, 12, 14))).shape[1]
    return nn.Sequential(layers, nn.Linear(width, 3, dtype=dtype, generator=g))


def make_rows(dtype):
    g = np.random.default_rng(1)
    X = np.round(g.normal(size=(13, 2, 12, 14))).astype(dtype)  # with ties for the maximum
    return X, g.integers(0, 3, len(X))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("convolution", "pool"), PAIRS)
def test_steps_are_those_of_eager_execution(convolution, pool, dtype):
    X, y = make_rows(dtype)
    compiled, eager = (make_network(convolution, pool, dtype) for _ in range(2))
    step = mg.compile(compiled, mg.cross_entropy, optim.SGD(compiled.parameters(), lr=0.05))
    optimizer = optim.SGD(eager.parameters(), lr=0.05)
    tolerance = 2e-4 if dtype is np.float32 else 1e-11
    for rows in BATCHES:
        optimizer.zero_grad()
        loss = mg.cross_entropy(eager(X[rows]), y[rows])
        loss.backward()
        optimizer.step()
        assert step(X[rows], y[rows]) == pytest.approx(loss.item(), rel=tolerance)
        expected = eager.state_dict()
        for name, array in compiled.state_dict().items():
            assert array.dtype == expected[name].dtype
            np.testing.assert_allclose(array, expected[name], tolerance, tolerance, err_msg=name)
    check_that_steps_make_no_arrays(step)


def check_that_steps_make_no_arrays(step):
    body = step.source.partition("    def step(")[2].partition("\n    def ")[0]
    called = re.findall(r"^ +\w+ = ([\w.]+)\(", body, re.MULTILINE)
    assert set(called) <= {"transpose", "dot", "far_cross_entropy"}  # views of X, and the loss


def test_the_batch_may_be_as_large_as_the_image():
    """Then an array has the same shape in every order of its axes."""
    g = np.random.default_rng(0)
    X, y = g.normal(size=(8, 8, 8, 8)), g.integers(0, 3, 8)

    def make():
        settings = {"dtype": np.float64, "generator": np.random.default_rng(0)}
        return nn.Sequential(
            *(nn.Conv2d(8, 8, 3, padding=1, **settings), nn.ReLU(), nn.MaxPool2d(1, 2)),
            *(nn.Flatten(), nn.Linear(128, 3, **settings)),
        )

    compiled, eager = make(), make()
    mg.compile(compiled, mg.cross_entropy, optim.SGD(compiled.parameters(), lr=0.05))(X, y)
    optimizer = optim.SGD(eager.parameters(), lr=0.05)
    mg.cross_entropy(eager(X), y).backward()
    optimizer.step()
    for w, expected in zip(compiled.parameters(), eager.parameters(), strict=True):
        np.testing.assert_allclose(w.data, expected.data, 1e-11, 1e-11)


def test_arrays_keep_the_order_of_axes_that_numpy_chooses():
    """In another order, each function would take several times as long."""
    X, y = make_rows(np.float32)
    network = nn.Sequential(nn.Conv2d(2, 4, 3), nn.Tanh(), nn.Flatten(), nn.Linear(480, 3))
    step = mg.compile(network, mg.cross_entropy, optim.SGD(network.parameters()))
    step(X, y)
    assert "tanh_1 = empty((10, 4, 12, 13), float32).transpose((3, 1, 0, 2))" in step.source
