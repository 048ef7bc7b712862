"""Compiled steps that clip gradients: as `clip_grad_norm_` or `clip_grad_value_`, and a step."""

import math

import numpy as np
import pytest

import microgradx as mg
from microgradx import nn, optim
from tests.compiler.test_steps import batch, close

CLIPS = {
    "norm": {"clip_grad_norm": 0.1},
    "a norm that is never reached": {"clip_grad_norm": 1e9},
    "a norm without limit": {"clip_grad_norm": math.inf},
    "a norm of nothing": {"clip_grad_norm": 0},
    "value": {"clip_grad_value": 0.01},
    "a value without limit": {"clip_grad_value": np.inf},
}
OPTIMISERS = {
    "SGD": lambda params: optim.SGD(params, lr=0.5),
    "momentum": lambda params: optim.SGD(params, lr=0.5, momentum=0.9),
    "Adam": lambda params: optim.Adam(params, lr=0.01),
}


class Net(nn.Module):
    """Small and large parameters, one that the loss does not use, and one that is frozen."""

    def __init__(self, dtype):
        generator = np.random.default_rng(0)
        self.first = nn.Linear(5, 150, dtype=dtype, generator=generator)
        self.middle = nn.Linear(150, 60, dtype=dtype, generator=generator)
        self.last = nn.Linear(60, 3, dtype=dtype, generator=generator)
        self.unused = nn.Linear(2, 2, dtype=dtype, generator=generator)
        self.first.bias.requires_grad_(False)

    def forward(self, x):
        return self.last(mg.tanh(self.middle(mg.tanh(self.first(x)))))


def clip_and_step(model, optimizer, X, y, clip_grad_norm=None, clip_grad_value=None):
    optimizer.zero_grad()
    loss = mg.cross_entropy(model(X), y)
    loss.backward()
    if clip_grad_norm is not None:
        nn.utils.clip_grad_norm_(optimizer.params, clip_grad_norm)
    else:
        nn.utils.clip_grad_value_(optimizer.params, clip_grad_value)
    optimizer.step()
    return loss.item()


CASES = [
    *((name, "Adam", np.float64) for name in CLIPS),
    *(("norm", name, np.float64) for name in ("SGD", "momentum")),
    *((name, "SGD", np.float32) for name in ("norm", "value")),
]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "optimiser", "dtype"), CASES)
def test_clipped_steps(name, optimiser, dtype):
    models = [Net(dtype) for _ in "ab"]
    optimizers = [OPTIMISERS[optimiser](model.parameters()) for model in models]
    step = mg.compile(models[1], mg.cross_entropy, optimizers[1], **CLIPS[name])
    generator = np.random.default_rng(1)
    rtol = 1e-10 if dtype == np.float64 else 1e-4
    for rows in (8, 3, 8):
        X, y = batch(generator, rows, dtype)
        expected = clip_and_step(models[0], optimizers[0], X, y, **CLIPS[name])
        assert step(X, y) == pytest.approx(expected, rel=rtol)
        for ours, eager in zip(*(model.parameters() for model in models), strict=True):
            close(ours.data, eager.data, rtol)
    assert all(p.grad is None for p in models[1].parameters())


def test_the_norm_is_that_of_all_parameters_together():
    first, second = (mg.Tensor(np.zeros(2), requires_grad=True) for _ in "ab")
    step = mg.compile(
        lambda x: x,
        lambda z, y: mg.sum(first * [3.0, 0.0]) + mg.sum(second * [0.0, 4.0]),
        optim.SGD([first, second], lr=1.0),
        clip_grad_norm=1.0,
    )
    step(np.zeros(1), np.zeros(1))
    np.testing.assert_allclose(-first.data, [0.6, 0.0], rtol=1e-6)
    np.testing.assert_allclose(-second.data, [0.0, 0.8], rtol=1e-6)


def test_epochs_and_eager_steps_clip_too():
    models = [Net(np.float64) for _ in "abc"]
    optimizers = [OPTIMISERS["Adam"](model.parameters()) for model in models]
    steps = [
        mg.compile(model, mg.cross_entropy, optimizer, clip_grad_norm=0.1)
        for model, optimizer in zip(models, optimizers, strict=True)
    ]
    X, y = batch(np.random.default_rng(1), 24, np.float64)
    for rows in mg.data.batches(X, y, 8, np.random.default_rng(2)):
        steps[0](*rows)
    steps[1].epoch(X, y, 8, np.random.default_rng(2))
    for rows in mg.data.batches(X, y, 8, np.random.default_rng(2)):
        with mg.detect_anomaly():  # which observes ops
            steps[2](*rows)
    for model in models[1:]:
        for ours, expected in zip(model.parameters(), models[0].parameters(), strict=True):
            close(ours.data, expected.data, 1e-12)


def test_limits_are_checked():
    model = Net(np.float64)
    optimizer = OPTIMISERS["SGD"](model.parameters())
    for name, value, error in (
        ("clip_grad_norm", -1.0, "max_norm must be at least 0, not -1.0"),
        ("clip_grad_value", np.nan, "clip_value must be at least 0, not nan"),
    ):
        with pytest.raises(ValueError, match=error):
            mg.compile(model, mg.cross_entropy, optimizer, **{name: value})
    with pytest.raises(TypeError, match="max_norm must be a number, not '1'"):
        mg.compile(model, mg.cross_entropy, optimizer, clip_grad_norm="1")
    with pytest.raises(ValueError, match="give one of them"):
        mg.compile(model, mg.cross_entropy, optimizer, clip_grad_norm=1.0, clip_grad_value=1.0)
    with pytest.raises(TypeError, match="compile takes a model, a loss"):
        mg.compile(lambda x: x, clip_grad_norm=1.0)
