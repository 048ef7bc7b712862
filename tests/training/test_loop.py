"""The training loop: compared with the same steps written out; where it stops."""

import math

import numpy as np
import pytest

import microgradx as mg
from microgradx import cross_entropy, nn, optim
from microgradx.training import cosine_decay, evaluate, train

ROWS = 23


@pytest.fixture
def data():
    generator = np.random.default_rng(0)
    x = generator.normal(size=(ROWS, 3))
    return x, (x[:, 0] > 0).astype(int)


def make_model(lr=0.1):
    model = nn.MLP(3, [5], 2, dtype=np.float64, generator=np.random.default_rng(1))
    return model, optim.SGD(model.parameters(), lr)


def test_it_takes_the_steps_of_gradient_descent(data):
    x, y = data
    model, optimiser = make_model()
    history = train(
        model, x, y, optimizer=optimiser, epochs=3, batch_size=5,
        decay=lambda done: 1 - done, generator=np.random.default_rng(2),
    )  # fmt: skip

    reference, _ = make_model()
    generator = np.random.default_rng(2)
    step, steps = 0, 3 * 5
    for epoch in history.epochs:
        losses, hits = [], []
        order = generator.permutation(ROWS)
        for start in range(0, ROWS, 5):
            rows = order[start : start + 5]
            logits = reference(x[rows])
            losses += cross_entropy(logits, y[rows], reduction="none").tolist()
            hits += (logits.data.argmax(axis=1) == y[rows]).tolist()
            reference.zero_grad()
            cross_entropy(logits, y[rows]).backward()
            for parameter in reference.parameters():
                parameter.data = parameter.data - 0.1 * (1 - step / steps) * parameter.grad
            step += 1
        assert epoch.loss == pytest.approx(np.mean(losses), rel=1e-12)
        assert epoch.accuracy == pytest.approx(np.mean(hits), rel=1e-12)
    for name, weight in model.state_dict().items():
        np.testing.assert_allclose(weight, reference.state_dict()[name], rtol=1e-12)
    assert [epoch.number for epoch in history.epochs] == [1, 2, 3]
    assert optimiser.lr == 0.1


def test_compiled_steps_make_the_same_history(data):
    def train_model(*, compiled):
        model, optimiser = make_model()
        step = mg.compile(model, cross_entropy, optimiser) if compiled else None
        history = train(
            model, *data, optimizer=optimiser, epochs=3, batch_size=5, compiled=step,
            decay=cosine_decay, validation=data, generator=np.random.default_rng(2),
        )  # fmt: skip
        return history.epochs, model.state_dict()

    epochs, state = train_model(compiled=True)
    expected, reference = train_model(compiled=False)
    for epoch, eager in zip(epochs, expected, strict=True):
        assert epoch == pytest.approx(eager, rel=1e-12)
    for name, values in reference.items():
        np.testing.assert_allclose(state[name], values, rtol=1e-12)


def test_validation_rows_are_measured_without_dropout_and_change_nothing(data):
    x, y = data
    weights = []
    for validation in (None, (x[:7], y[:7])):
        model = nn.MLP(3, [5], 2, dropout=0.5, generator=np.random.default_rng(1))
        model.eval()
        optimiser = optim.Adam(model.parameters(), 0.01)
        generator = np.random.default_rng(2)
        # The masks of dropout are drawn as well, so the weights would tell.
        history = train(
            model, x, y, optimizer=optimiser, epochs=2, batch_size=6,
            validation=validation, generator=generator,
        )  # fmt: skip
        weights.append(model.state_dict())
    assert all(np.array_equal(weights[0][name], weights[1][name]) for name in weights[0])
    measured = history.epochs[-1]
    assert (measured.validation_loss, measured.validation_accuracy) == evaluate(model, x[:7], y[:7])
    assert not model.training


def test_it_trains_in_training_mode(data):
    seen = []
    model, optimiser = make_model()
    train(
        model, *data, optimizer=optimiser, epochs=2, batch_size=10, validation=data,
        on_batch=lambda: seen.append(model.training),
    )  # fmt: skip
    assert seen == [True] * 6


@pytest.mark.parametrize("steps", [1, 3, 5, 8])
def test_it_stops_between_steps(data, steps):
    done = []
    model, optimiser = make_model()
    history = train(
        model, *data, optimizer=optimiser, epochs=4, batch_size=5, validation=data,
        on_batch=lambda: done.append(1), should_stop=lambda: len(done) == steps,
    )  # fmt: skip
    assert history.interrupted
    assert len(done) == steps
    assert len(history.epochs) == math.ceil(steps / 5)
    last = history.epochs[-1]
    assert last.validation_loss == evaluate(model, *data)[0]


def test_without_should_stop_all_epochs_are_run(data):
    model, optimiser = make_model()
    reported = []
    history = train(
        model, *data, optimizer=optimiser, epochs=2, batch_size=100, on_epoch=reported.append
    )
    assert not history.interrupted
    assert reported == history.epochs


def test_a_loss_that_is_not_finite_ends_it_with_advice(data):
    model, optimiser = make_model(lr=1e300)
    with pytest.raises(FloatingPointError, match="lower the learning rate, which is 1e\\+300"):
        train(model, *data, optimizer=optimiser, epochs=20, batch_size=5)


def test_training_on_no_rows_is_an_error(data):
    model, optimiser = make_model()
    with pytest.raises(ValueError, match="no rows to train on"):
        train(
            model, np.empty((0, 3)), np.empty(0, int), optimizer=optimiser, epochs=1, batch_size=5
        )


def test_cosine_decay_falls_from_one_to_zero():
    values = [cosine_decay(done) for done in np.linspace(0, 1, 11)]
    assert values[0] == 1
    assert values[-1] == 0
    assert values == sorted(values, reverse=True)
