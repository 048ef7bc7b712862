"""`fit`: compared with the same steps written out; where it stops, and what it returns."""

import math
from functools import partial

import numpy as np
import pytest

import microgradx as mg
from microgradx import cross_entropy, nn, optim
from microgradx.training import Callback, DivergenceError

ROWS = 23


@pytest.fixture
def data():
    generator = np.random.default_rng(0)
    x = generator.normal(size=(ROWS, 3))
    return x, (x[:, 0] > 0).astype(int)


def make_model(lr=0.1, **settings):
    settings = {"dtype": np.float64, "generator": np.random.default_rng(1), **settings}
    model = nn.MLP(3, [5], 2, **settings)
    return model, optim.SGD(model.parameters(), lr)


def fit(model, data, **settings):
    return mg.fit(model, data, **{"progress": False, "epochs": 3, "batch_size": 5, **settings})


@pytest.mark.parametrize("compiled", [False, True])
def test_it_takes_the_steps_of_gradient_descent(data, compiled):
    x, y = data
    model, optimizer = make_model()
    history = fit(
        model, data, optimizer=optimizer, schedule=lambda done: 1 - done, compiled=compiled,
        generator=np.random.default_rng(2),
    )  # fmt: skip

    reference, _ = make_model()
    generator = np.random.default_rng(2)
    step, steps = 0, 3 * 5
    for row in history:
        losses, hits = [], []
        order = generator.permutation(ROWS)
        for start in range(0, ROWS, 5):
            rows = order[start : start + 5]
            logits = reference(x[rows])
            losses += cross_entropy(logits, y[rows], reduction="none").tolist()
            hits += (logits.data.argmax(axis=1) == y[rows]).tolist()
            reference.zero_grad()
            cross_entropy(logits, y[rows]).backward()
            rate = 0.1 * (1 - step / steps)
            for parameter in reference.parameters():
                parameter.data = parameter.data - rate * parameter.grad
            step += 1
        assert row["loss"] == pytest.approx(np.mean(losses), rel=1e-12)
        assert row["accuracy"] == pytest.approx(np.mean(hits), rel=1e-12)
        assert row["lr"] == pytest.approx(rate, rel=1e-12)
    for name, weight in model.state_dict().items():
        np.testing.assert_allclose(weight, reference.state_dict()[name], rtol=1e-12)
    assert history["epoch"].tolist() == [1, 2, 3]
    assert optimizer.lr == 0.1
    assert (history.compiled_step is not None) == compiled


def test_validation_rows_are_measured_without_dropout_and_change_nothing(data):
    x, y = data
    weights = []
    for validation in (None, (x[:7], y[:7])):
        # The masks of dropout are drawn as well, so the weights would tell.
        model, _ = make_model(dropout=0.5, dtype=np.float32)
        history = fit(model, data, validation=validation, generator=np.random.default_rng(2))
        weights.append(model.state_dict())
    assert all(np.array_equal(weights[0][name], weights[1][name]) for name in weights[0])
    measured = mg.evaluate(model, (x[:7], y[:7]))
    assert history[-1]["validation_loss"] == measured["loss"]
    assert history[-1]["validation_accuracy"] == measured["accuracy"]


def test_it_trains_in_training_mode_and_evaluation_leaves_each_mode(data):
    seen = []

    class Look(Callback):
        def on_batch_end(self, training):
            seen.append(model.training)

    model, _ = make_model(dropout=0.5)
    model.eval()
    fit(model, data, callbacks=[Look()], validation=data, batch_size=10)
    assert seen == [True] * 9
    dropout = next(module for module in model.modules() if isinstance(module, nn.Dropout))
    dropout.training = False
    modes = [module.training for module in model.modules()]
    for call in (mg.predict, mg.predict_proba):
        call(model, data[0])
        assert [module.training for module in model.modules()] == modes
    mg.evaluate(model, data)
    assert [module.training for module in model.modules()] == modes
    with pytest.raises(ValueError, match="columns"):
        mg.evaluate(model, (data[0][:, :2], data[1]))
    assert [module.training for module in model.modules()] == modes


@pytest.mark.parametrize("steps", [1, 3, 5, 8])
def test_a_callback_stops_it_between_steps(data, steps):
    class Stop(Callback):
        def on_batch_end(self, training):
            if training.step == steps:
                training.stop()

    model, _ = make_model()
    history = fit(model, data, validation=data, callbacks=[Stop()])
    assert history.stopped_early
    assert not history.interrupted
    assert len(history) == math.ceil(steps / 5)
    assert history[-1]["validation_loss"] == mg.evaluate(model, data)["loss"]


def test_a_loss_that_is_not_finite_ends_it_with_advice(data):
    model, optimizer = make_model(lr=1e300)
    with pytest.raises(DivergenceError, match=r"in epoch \d+, in step .*rate, which is 1e\+300"):
        fit(model, data, optimizer=optimizer, epochs=20)


def test_loss_of_rows_can_be_smoothed(data):
    model, _ = make_model()
    fit(model, data, loss=partial(cross_entropy, label_smoothing=0.1))
    assert mg.predict(model, data[0]).shape == (ROWS,)
