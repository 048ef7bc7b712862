"""Compiled steps follow settings: of parameter groups, of schedules, and after a resumption."""

import io

import numpy as np
import pytest

import microgradx as mg
from microgradx import nn, optim
from microgradx.optim import lr_scheduler as schedules
from tests.compiler.test_steps import OPTIMISERS, Pair, batch, mlp, run_source


def with_two_groups(kind, *, weights, biases, **settings):
    """A function that makes an optimiser of weights and biases, with settings of their own."""

    def make(parameters):
        parameters = list(parameters)
        groups = [
            {"params": [p for p in parameters if p.ndim == 2], **weights},
            {"params": [p for p in parameters if p.ndim == 1], **biases},
        ]
        return getattr(optim, kind)(groups, **settings)

    return make


GROUPS = {
    "SGD": with_two_groups(
        "SGD",
        weights={"weight_decay": 0.1, "momentum": 0.9, "nesterov": True},
        biases={"lr": 0.01},
        lr=0.1,
    ),
    "AdamW": with_two_groups(
        "AdamW",
        weights={"betas": (0.8, 0.9), "amsgrad": True},
        biases={"weight_decay": 0.0, "lr": 0.02},
        lr=0.01,
    ),
    "RMSprop": with_two_groups(
        "RMSprop", weights={"centered": True}, biases={"momentum": 0.5, "alpha": 0.9}
    ),
    "Adagrad": with_two_groups("Adagrad", weights={"lr_decay": 0.1}, biases={"eps": 0.1}),
    "Lion": with_two_groups("Lion", weights={"lr": 0.01}, biases={"lr": 0.02}),
}


# The last has weights that are updated one by one.
@pytest.mark.parametrize(("name", "width"), [*((name, 7) for name in GROUPS), ("AdamW", 1200)])
def test_each_group_has_its_settings_and_its_learning_rate(name, width, generator):
    def make(g):
        return nn.MLP(5, (width,), 3, dtype=np.float64, generator=g)

    pair = Pair(make, GROUPS[name], dtype=np.float64)
    for step in range(6):
        for optimizer in pair.optimizers:
            optimizer.param_groups[step % 2]["lr"] *= 0.5
        pair.step(*batch(generator, dtype=np.float64))
    assert len(pair.compiled._programs) == 1


def test_the_source_has_a_learning_rate_for_each_group_and_trains(generator, tmp_path):
    pair = Pair(mlp(), GROUPS["AdamW"])
    for _ in range(2):
        pair.step(*batch(generator))
    assert "def step(X, y, lr1, t, lr2):" in pair.compiled.source
    losses = run_source(pair.compiled, tmp_path / "training.py")
    assert losses[-1] < losses[0]


def test_a_group_that_comes_later_is_trained_too(generator):
    pair = Pair(mlp(np.float64), lambda p: optim.Adam(list(p)[:2], lr=0.01), dtype=np.float64)
    for _ in range(2):
        pair.step(*batch(generator, dtype=np.float64))
    for model, optimizer in zip(pair.models, pair.optimizers, strict=True):
        optimizer.add_param_group({"params": list(model.parameters())[2:], "lr": 0.1})
    for _ in range(3):
        pair.step(*batch(generator, dtype=np.float64))


# ---------------------------------------------------------------------------- what changes


@pytest.mark.parametrize(
    "make",
    [
        lambda p: optim.SGD(p, momentum=0.5),
        lambda p: optim.Adam(p),
        lambda p: optim.RMSprop(p, momentum=0.1),
        lambda p: optim.Lion(p, weight_decay=0.1),
        with_two_groups("AdamW", weights={"lr": 0.01}, biases={"weight_decay": 0.0}),
    ],
)
def test_one_cycle_moves_momentum_of_compiled_steps_without_new_traces(make, generator):
    pair = Pair(mlp(np.float64), make, dtype=np.float64)
    schedulers = [
        schedules.OneCycleLR(optimizer, 0.05, total_steps=12) for optimizer in pair.optimizers
    ]
    for _ in range(11):
        pair.step(*batch(generator, dtype=np.float64))
        for scheduler in schedulers:
            scheduler.step()
    assert len(pair.compiled._programs) <= 2  # one in which it was not yet known to change


def test_settings_that_change_are_numbers_of_the_source_from_then_on(generator, tmp_path):
    pair = Pair(mlp(np.float64), OPTIMISERS["Adam"], dtype=np.float64)
    for decay, eps in ((0.01, 1e-8), (0.1, 1e-8), (0.2, 1e-8), (0.3, 1e-6), (0.0, 1e-6), (0.0, 0)):
        for optimizer in pair.optimizers:
            optimizer.weight_decay, optimizer.eps = decay, eps
        for _ in range(2):
            pair.step(*batch(generator, dtype=np.float64))
    assert "def step(X, y, lr, eps, t)" in pair.compiled._latest.source  # weight_decay is 0
    sources = [program.source for program in pair.compiled._programs.values()]
    assert any("def step(X, y, lr, weight_decay, t)" in source for source in sources)
    run_source(pair.compiled, tmp_path / "training.py")


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("SGD", {"momentum": 0.9}),
        ("SGD", {"maximize": True}),
        ("Adam", {"amsgrad": True}),
        ("RMSprop", {"momentum": 0.9}),
        ("RMSprop", {"centered": True}),
        ("AdamW", {"betas": (0.0, 0.5)}),
    ],
)
def test_what_is_turned_on_later_is_as_in_eager_steps(kind, change, generator):
    pair = Pair(mlp(np.float64), lambda p: getattr(optim, kind)(p, lr=0.01), dtype=np.float64)
    for settings in ({}, change):
        for optimizer in pair.optimizers:
            for name, value in settings.items():
                optimizer.param_groups[0][name] = value
        for _ in range(3):
            pair.step(*batch(generator, dtype=np.float64))


class Comparing(optim.Optimizer):
    """A user's optimiser whose rule needs the value of a setting."""

    hyperparameters = ("lr", "power")

    def __init__(self, params, lr=0.01, power=1.0):
        super().__init__(params, lr)
        self.power = power

    def update(self, w, g, state):
        w -= self.lr * (np.sign(g) if self.power < 0.5 else g * self.power)


def test_an_update_that_needs_the_values_of_settings_is_traced_for_each(generator):
    pair = Pair(mlp(np.float64), Comparing, dtype=np.float64)
    for power in (1.0, 2.0, 0.1, 0.7):
        for optimizer in pair.optimizers:
            optimizer.power = power
        for _ in range(2):
            pair.step(*batch(generator, dtype=np.float64))
    assert len(pair.compiled._programs) == 4


# ---------------------------------------------------------------------------- going on


RESUMED = [
    pytest.param(name, dtype, marks=[] if dtype == np.float32 else pytest.mark.slow)
    for name in OPTIMISERS
    if name not in ("own", "SGD", "weight decay")  # which keep no state
    for dtype in (np.float16, np.float32, np.float64)
]


@pytest.mark.parametrize(("name", "dtype"), RESUMED)
def test_a_resumed_training_is_to_the_bit_the_one_that_was_not_interrupted(name, dtype):
    """Steps, compiled where they can be, with a schedule, saved and loaded by np.savez."""

    def begin():
        model = mlp(dtype)(np.random.default_rng(1))
        optimizer = OPTIMISERS[name](model.parameters())
        scheduler = schedules.SequentialLR(
            optimizer,
            [schedules.LinearLR(optimizer, 0.5, total_iters=2), schedules.StepLR(optimizer, 2)],
            [3],
        )
        step = mg.compile(model, mg.cross_entropy, optimizer)
        return (model, optimizer, scheduler), step

    def train(parts, step, steps):
        for k in steps:
            step(*batch(np.random.default_rng(k), dtype=dtype))
            parts[2].step()

    uninterrupted, step = begin()
    train(uninterrupted, step, range(4))
    files = []
    for part in uninterrupted:
        files.append(io.BytesIO())
        np.savez(files[-1], **part.state_dict())
    train(uninterrupted, step, range(4, 7))
    resumed, step = begin()
    for part, file in zip(resumed, files, strict=True):
        file.seek(0)
        part.load_state_dict(np.load(file))
    train(resumed, step, range(4, 7))
    for ours, expected in zip(resumed, uninterrupted, strict=True):
        ours, expected = ours.state_dict(), expected.state_dict()
        assert ours.keys() == expected.keys()
        for entry, value in expected.items():
            assert ours[entry].tobytes() == value.tobytes(), entry


@pytest.fixture
def generator():
    return np.random.default_rng(0)
