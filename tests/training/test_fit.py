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
    settings = {"generator": np.random.default_rng(2), "compiled": False, **settings}
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
    assert model.training
    dropout = next(module for module in model.train().modules() if isinstance(module, nn.Dropout))
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


# ---------------------------------------------------------------------------- settings


@pytest.mark.parametrize("limit", [{"clip_grad_norm": 0.01}, {"clip_grad_value": 0.01}])
def test_gradients_are_clipped(data, limit):
    """Compiled and eager, as by the functions of nn.utils."""
    states = []
    for compiled in (True, False):
        model, optimizer = make_model(lr=1.0)
        fit(model, data, optimizer=optimizer, compiled=compiled, shuffle=False, **limit)
        states.append(model.state_dict())
    reference, optimizer = make_model(lr=1.0)
    for _ in range(3):
        for X, y in mg.data.batches(*data, 5, shuffle=False):
            optimizer.zero_grad()
            cross_entropy(reference(X), y).backward()
            if "clip_grad_norm" in limit:
                nn.utils.clip_grad_norm_(reference.parameters(), 0.01)
            else:
                nn.utils.clip_grad_value_(reference.parameters(), 0.01)
            optimizer.step()
    for state in states:
        for name, value in reference.state_dict().items():
            np.testing.assert_allclose(state[name], value, rtol=1e-11)


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize("batch_size", [5, ROWS])
def test_a_row_of_weight_2_counts_as_two_rows(data, compiled, batch_size):
    X, y = data
    weights = 1.0 + (np.arange(ROWS) % 2)
    repeated = np.repeat(np.arange(ROWS), weights.astype(int))
    model, _ = make_model()
    weighted = fit(
        model, data, sample_weight=weights, epochs=1, batch_size=ROWS, compiled=compiled
    )  # fmt: skip
    twin, _ = make_model()
    plain = fit(twin, (X[repeated], y[repeated]), epochs=1, batch_size=99, compiled=compiled)
    assert weighted[0]["loss"] == pytest.approx(plain[0]["loss"], rel=1e-12)
    for name, value in twin.state_dict().items():
        np.testing.assert_allclose(model.state_dict()[name], value, rtol=1e-9)
    assert mg.evaluate(model, data, sample_weight=weights)["loss"] == pytest.approx(
        mg.evaluate(model, (X[repeated], y[repeated]))["loss"], rel=1e-12
    )


@pytest.mark.parametrize(
    "weight", [{"no": 3.0, "yes": 1.0}, [3.0, 1.0], np.array([6, 2]), {"no": 3}]
)
def test_class_weights_are_those_of_pytorch_over_all_rows(data, weight):
    X, y = data
    model, _ = make_model()
    fit(model, (X, np.array(["no", "yes"])[y]), class_weight=weight, epochs=1, batch_size=ROWS)
    twin, _ = make_model()
    loss = partial(cross_entropy, weight=np.array([3.0, 1.0]))
    fit(twin, data, loss=loss, epochs=1, batch_size=ROWS, compiled=False)
    for name, value in twin.state_dict().items():
        np.testing.assert_allclose(model.state_dict()[name], value, rtol=1e-9)


def test_balanced_classes_weigh_the_same(data):
    X, y = data
    y = (np.arange(ROWS) < 4).astype(int)
    counts = np.bincount(y)
    histories = []
    for weight in ("balanced", ROWS / (2 * counts), {0: 1 / counts[0], 1: 1 / counts[1]}):
        model, _ = make_model()
        histories.append(fit(model, (X, y), class_weight=weight, compiled=False).rows)
    assert histories[0] == histories[1]
    assert histories[2][-1]["loss"] == pytest.approx(histories[0][-1]["loss"], rel=1e-6)


def test_validation_rows_are_a_stratified_share(data):
    X, _ = data
    y = (np.arange(ROWS) % 4 == 0).astype(int)
    model, _ = make_model()
    weights = np.arange(ROWS) + 1.0
    history = fit(model, (X, y), validation=0.35, sample_weight=weights)
    training, validation = history.training_data, history.validation_data
    assert (len(training[1]), len(validation[1])) == (15, 8)
    assert validation[1].sum() == 2
    rows = [np.flatnonzero((row == X).all(axis=1))[0] for row in validation[0].astype(float)]
    assert history[-1]["validation_loss"] == pytest.approx(
        mg.evaluate(model, (X[rows], y[rows]), sample_weight=weights[rows])["loss"]
    )


def test_metrics_by_name_and_functions(data):
    def share_of_first(labels, probabilities):
        assert probabilities.shape == (len(labels), 2)
        return np.mean(probabilities[:, 0])

    sklearn_metrics = pytest.importorskip("sklearn.metrics")
    model, _ = make_model()
    history = fit(
        model, data, metrics=["log_loss", "balanced_accuracy", "roc_auc", share_of_first],
        validation=data, shuffle=False,
    )  # fmt: skip
    assert history.columns[:7] == [
        "epoch", "lr", "loss", "log_loss", "balanced_accuracy", "roc_auc", "share_of_first"
    ]  # fmt: skip
    last = history[-1]
    assert last["loss"] == pytest.approx(last["log_loss"], rel=1e-6)
    assert last["validation_loss"] == pytest.approx(last["validation_log_loss"], rel=1e-6)
    p = mg.predict_proba(model, data[0])
    assert last["validation_share_of_first"] == pytest.approx(p[:, 0].mean())
    assert mg.evaluate(model, data, metrics="roc_auc")["roc_auc"] == last["validation_roc_auc"]
    by_predictions = partial(sklearn_metrics.f1_score, average="macro")
    measured = mg.evaluate(model, data, metrics=[by_predictions, sklearn_metrics.log_loss])
    expected = by_predictions(data[1], mg.predict(model, data[0]))
    assert measured["f1_score"] == pytest.approx(expected, abs=1e-12)
    assert measured["log_loss"] == pytest.approx(measured["loss"], rel=1e-6)


# ---------------------------------------------------------------------------- early stopping


class Break(Callback):
    """Spoils the weights from an epoch on, so that the losses rise."""

    def __init__(self, model, epoch):
        self.model, self.epoch = model, epoch

    def on_epoch_begin(self, training):
        if training.epoch >= self.epoch:
            for parameter in self.model.parameters():
                parameter.data = parameter.data * -3


@pytest.mark.parametrize("monitor", [None, "loss", "validation_accuracy"])
def test_early_stopping_restores_the_best_weights(data, monitor):
    model, _ = make_model()
    states = []
    history = fit(
        model, data, validation=data, epochs=30, early_stopping=True, patience=4, monitor=monitor,
        callbacks=[Break(model, 7), lambda training: states.append(model.state_dict())],
    )  # fmt: skip
    assert history.stopped_early
    column = history[monitor or "validation_loss"]
    best = int(np.argmax(column) if monitor == "validation_accuracy" else np.argmin(column))
    assert history.best_epoch == best + 1
    assert len(history) == best + 1 + 4
    assert history.notes == [
        f"Stopped early: {monitor or 'validation_loss'} has not improved for 4 epochs; the model "
        f"has the weights of epoch {best + 1}."
    ]
    for name, value in states[best].items():
        np.testing.assert_array_equal(model.state_dict()[name], value)


def test_early_stopping_restores_buffers_too(data):
    class Counting(nn.Module):
        def __init__(self):
            self.layer = nn.Linear(3, 2)
            self.register_buffer("count", np.zeros(()))

        def forward(self, x):
            if self.training:
                self.count.data = self.count.data + 1
            return self.layer(x)

    model = Counting()
    history = fit(model, data, epochs=30, early_stopping=True, monitor="loss", patience=2,
                  callbacks=[Break(model.layer, 4)])  # fmt: skip
    assert model.count.item() == history.best_epoch * 5 < len(history) * 5


def test_small_improvements_do_not_count(data):
    model, _ = make_model(lr=1e-4)
    history = fit(
        model, data, epochs=20, early_stopping=True, monitor="loss", patience=3, min_delta=1.0
    )
    assert len(history) == 4
    assert history.best_epoch == 1


def test_without_early_stopping_the_last_weights_stay(data):
    model, _ = make_model()
    history = fit(model, data, callbacks=[Break(model, 2)])
    assert history.best_epoch == 1
    assert len(history) == 3
    assert mg.evaluate(model, data)["loss"] > history[0]["loss"]


# ---------------------------------------------------------------------------- compiled


def test_what_cannot_be_compiled_is_trained_eagerly_and_said_once(data, capsys):
    class Branching(nn.Module):
        def __init__(self):
            self.layer = nn.Linear(3, 2, generator=np.random.default_rng(0))

        def forward(self, x):
            out = self.layer(x)
            return out if out.sum().item() > 0 else out * 2

    model = Branching()
    history = fit(model, data, progress=True, compiled=None)
    assert history.compiled_step is None
    assert len(history.notes) == 1
    assert history.notes[0].startswith("The steps were not compiled: a value is needed")
    assert capsys.readouterr().out.count("The steps were not compiled") == 1
    twin = Branching()
    assert fit(twin, data, compiled=False).columns == history.columns
    before = Branching().state_dict()
    model = Branching()
    with pytest.raises(mg.CaptureError):
        fit(model, data, compiled=True)
    for name, value in before.items():
        np.testing.assert_array_equal(model.state_dict()[name], value)


def test_a_variable_that_changes_is_not_taken_for_a_constant(data):
    """A loss whose weight a callback lowers."""

    def train(compiled):
        share = 1.0

        def loss(outputs, y):
            return cross_entropy(outputs, y) * share

        def lower(training):
            nonlocal share
            share *= 0.5

        model, _ = make_model()
        return fit(model, data, loss=loss, callbacks=[lower], compiled=compiled)

    history = train(None)
    assert history.rows == train(False).rows
    assert "uses the variable 'share', which may change" in history.notes[0]
    assert train(True).rows != history.rows


def test_modules_of_ones_own_are_compiled(data):
    class Own(nn.Module):
        def __init__(self):
            self.layer = nn.Linear(3, 2, generator=np.random.default_rng(0))
            self.scale = 2.0

        def forward(self, x):
            return self.layer(x) * self.scale

    history = fit(Own(), data, callbacks=[lambda training: setattr(training.model, "scale", 1.0)],
                  compiled=None)  # fmt: skip
    assert history.compiled_step is not None
    eager = fit(Own(), data, callbacks=[lambda training: setattr(training.model, "scale", 1.0)],
                compiled=False)  # fmt: skip
    assert history[-1]["loss"] == pytest.approx(eager[-1]["loss"], rel=1e-5)


# ---------------------------------------------------------------------------- schedules


SCHEDULERS = {
    "StepLR": (lambda o: optim.lr_scheduler.StepLR(o, 2), None),
    "per step": (lambda o: optim.lr_scheduler.ExponentialLR(o, 0.9), "step"),
    "warm-up": (lambda o: optim.lr_scheduler.LinearLR(o, 0.1, total_iters=10), "step"),
    "OneCycleLR": (lambda o: optim.lr_scheduler.OneCycleLR(o, 0.5, total_steps=25), None),
    "ReduceLROnPlateau": (lambda o: optim.lr_scheduler.ReduceLROnPlateau(o, patience=0), None),
}


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("name", SCHEDULERS)
def test_schedulers_are_stepped_as_in_a_loop(data, name, compiled):
    make, per = SCHEDULERS[name]
    model, optimizer = make_model()
    history = fit(
        model, data, optimizer=optimizer, schedule=make(optimizer), schedule_per=per, epochs=5,
        shuffle=False, compiled=compiled, validation=(data[0], 1 - data[1]),
    )  # fmt: skip
    reference, twin = make_model()
    scheduler = make(twin)
    rates = []
    per = per or ("step" if name == "OneCycleLR" else "epoch")
    for _ in range(5):
        for X, y in mg.data.batches(*data, 5, shuffle=False):
            twin.zero_grad()
            cross_entropy(reference(X), y).backward()
            rate = twin.param_groups[0]["lr"]
            twin.step()
            if per == "step":
                scheduler.step()
        rates.append(rate)
        if name == "ReduceLROnPlateau":  # the loss of the wrong labels rises
            scheduler.step(cross_entropy(reference(data[0]), 1 - data[1]).item())
        elif per == "epoch":
            scheduler.step()
    assert history["lr"].tolist() == rates
    assert len(set(rates)) > 1
    for key, value in reference.state_dict().items():
        np.testing.assert_allclose(model.state_dict()[key], value, rtol=1e-12)


@pytest.mark.parametrize(
    ("name", "factors"),
    [("cosine", [1, 0.5, 0.02]), ("linear", [1, 0.5, 0.1]), ("one_cycle", [0.04, 0.8, 0.05])],
)
def test_schedules_by_name(data, name, factors):
    rates = []

    class Watch(Callback):
        def on_batch_end(self, training):
            rates.append(training.lr)

    model, optimizer = make_model(lr=0.2)
    fit(model, data, optimizer=optimizer, schedule=name, epochs=2, callbacks=Watch())
    np.testing.assert_allclose([rates[0], rates[5], rates[9]], 0.2 * np.array(factors), rtol=0.25)
    assert optimizer.lr == 0.2


def test_groups_keep_their_proportions(data):
    model, _ = make_model()
    first, *others = model.parameters()
    groups = [{"params": [first], "lr": 0.1}, {"params": others, "lr": 0.01}]
    optimizer = optim.SGD(groups, lr=1.0)
    ratios = []
    fit(model, data, optimizer=optimizer, schedule="linear",
        callbacks=lambda t: ratios.append([g["lr"] for g in t.optimizer.param_groups]))  # fmt: skip
    assert np.ptp([a / b for a, b in ratios]) < 1e-9
    assert [group["lr"] for group in optimizer.param_groups] == [0.1, 0.01]
    assert ratios[0][0] < 0.1


# ---------------------------------------------------------------------------- again


def test_a_model_that_was_fitted_keeps_its_columns_and_classes(data):
    x, y = data
    model, _ = make_model()
    frame = {"a": x[:, 0], "b": x[:, 1], "c": x[:, 2]}
    names = np.array(["yes", "no"])[y]
    fit(model, (frame, names), classes=["yes", "no"])
    before = mg.evaluate(model, (frame, names))["loss"]
    turned = {name: frame[name][y == 1] for name in "cab"}  # of one class, and in another order
    history = fit(model, (turned, names[y == 1]), epochs=30)
    assert model.fitted_data.classes.tolist() == ["yes", "no"]
    assert model.fitted_data.columns == ("a", "b", "c")
    assert history[0]["loss"] < 2 * before
    assert (mg.predict(model, frame)[y == 1] == "no").all()


@pytest.mark.parametrize("rows", [21, 1])
def test_a_batch_of_one_row_is_refused_if_the_model_does_not_take_it(rows):
    X = np.random.default_rng(0).normal(size=(rows, 3))
    y = np.arange(rows) % 2
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.5), nn.Linear(4, 2))
    before = model.state_dict()
    drawn = mg.manual_seed(0).bit_generator.state
    with pytest.raises(ValueError, match=r"of its own, .*batch_size than 5, or drop_last=True"):
        mg.fit(model, (X, y), batch_size=5, progress=False)
    assert mg.manual_seed(0).bit_generator.state == drawn
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value, before[name])
    if rows > 1:
        assert fit(model, (X, y), drop_last=True, epochs=1)[0]["epoch"] == 1
        assert model.state_dict()["1.num_batches_tracked"] == 4


def test_an_attribute_with_the_name_of_a_variable_is_none(data, monkeypatch):
    """`self.attention`, while a list outside is called the same."""

    class Own(nn.Module):
        def __init__(self):
            self.attention = nn.Linear(3, 2, generator=np.random.default_rng(0))

        def forward(self, x):
            return self.attention(x)

    class InALambda(Own):
        def forward(self, x):
            return (lambda h: self.attention(h) * share)(x)  # noqa: F821

    monkeypatch.setitem(globals(), "attention", [1])
    monkeypatch.setitem(globals(), "share", 1.0)
    history = fit(Own(), data, compiled=None, epochs=1)
    assert history.notes == []
    assert history.compiled_step is not None
    history = fit(InALambda(), data, compiled=None, epochs=1)
    assert "uses the variable 'share', which may change" in history.notes[0]
