"""What the doctor sees of a training step that it is given."""

from __future__ import annotations

import numpy as np
import pytest

import microgradx as mg
from microgradx import nn, optim
from tests.training.doctor.cases import generator, mlp, table


class OwnSGD(optim.SGD):
    """An optimiser whose `step` does more, and then calls the one of its base."""

    def step(self):
        self.calls = getattr(self, "calls", 0) + 1
        super().step()


class WithoutBase(optim.SGD):
    def step(self):
        with mg.no_grad():
            for p in self.params:
                p.data = p.data - self.lr * p.grad


def make_step(model, optimizer):
    def step(X, y):
        optimizer.zero_grad()
        mg.cross_entropy(model(X), y).backward()
        optimizer.step()

    return step


@pytest.mark.parametrize("kind", [optim.SGD, optim.Adam, OwnSGD, WithoutBase])
@pytest.mark.parametrize("optimizer", [None, "sgd"])
def test_an_optimiser_is_seen_that_was_not_passed_and_restored(kind, optimizer):
    model = mlp(4, [16], 3)
    own = kind(model.parameters(), lr=0.01)
    step = make_step(model, own)
    step(*table("iris"))
    weights, state = model.state_dict(), own.state_dict()
    calls = getattr(own, "calls", None)
    found = mg.diagnose(model, table("iris"), optimizer=optimizer, lr=0.03, step=step)
    assert not found, str(found)
    assert getattr(own, "calls", None) == calls
    for kept, now in ((weights, model.state_dict()), (state, own.state_dict())):
        assert kept.keys() == now.keys()
        for name, value in kept.items():
            np.testing.assert_array_equal(now[name], value)
    assert optim.Optimizer.step.__qualname__ == "Optimizer.step"
    assert not hasattr(optim.Optimizer.step, "__wrapped__")


def test_weights_may_be_changed_without_an_optimiser():
    model = mlp(4, [16], 3)

    def step(X, y):
        model.zero_grad()
        mg.cross_entropy(model(X), y).backward()
        with mg.no_grad():
            for p in model.parameters():
                p.data = p.data - 0.01 * p.grad

    found = mg.diagnose(model, table("iris"), lr=0.03, step=step)
    assert not found, str(found)


def test_the_optimiser_of_another_model_takes_no_step_of_this_one():
    model, other = mlp(4, [16], 3), mlp(4, [16], 3)
    step = make_step(model, optim.SGD(other.parameters(), lr=0.1))
    found = mg.diagnose(model, table("iris"), step=step)
    assert found.kinds == ["no step"]


class Late:
    """Calls in an order of its own, one letter for each."""

    def __init__(self, model, optimizer, order):
        self.model, self.optimizer, self.order = model, optimizer, order

    def __call__(self, X, y):
        for letter in self.order:
            if letter == "f":
                self.loss = mg.cross_entropy(self.model(X), y)
            elif letter == "b":
                self.loss.backward()
            elif letter == "s":
                self.optimizer.step()
            else:
                self.optimizer.zero_grad()


@pytest.mark.parametrize(
    ("order", "kind"),
    [
        ("fbzs", "gradients reset before the step"),
        ("fbs", "zero_grad forgotten"),
        ("zfsb", "step before backward"),
        ("zfb", "no step"),
        ("zfs", "no backward"),
    ],
)
def test_the_order_that_was_seen_is_told_from_the_one_that_must_be(order, kind):
    model = nn.Linear(4, 3, generator=generator())
    step = Late(model, optim.SGD(model.parameters(), lr=0.01), order)
    found = mg.diagnose(model, table("iris"), lr=0.1, step=step)[0]
    names = {"z": "zero_grad", "f": "forward", "b": "backward", "s": "step"}
    assert found.kind == kind
    assert f"your order was {' → '.join(names[letter] for letter in order)}" in found.sentence
    assert "the order must be zero_grad → forward → backward → step." in found.remedy
