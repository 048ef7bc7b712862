"""Trainings without a fault, in which the doctor must find none."""

from __future__ import annotations

import numpy as np
import pytest

import microgradx as mg
from microgradx import nn
from tests.training.doctor.cases import (
    CNN,
    adam,
    digits_model,
    generator,
    images,
    mlp,
    sgd,
    table,
    train,
)

HEALTHY = {}


def healthy(make):
    HEALTHY[make.__name__] = make
    return make


@healthy
def digits_with_adam():
    model = digits_model()
    return model, table("digits"), {"optimizer": adam(model, 0.003)}


@healthy
def digits_with_sgd_and_tanh():
    model = digits_model(64, 32, activation="tanh")
    return model, table("digits"), {"optimizer": sgd(model)}


@healthy
def iris():
    model = mlp(4, (16,), 3)
    return model, table("iris"), {"optimizer": adam(model)}


@healthy
def wine():
    model = mlp(13, (16,), 3)
    return model, table("wine"), {"optimizer": adam(model)}


@healthy
def moons():
    model = mlp(2, (16,), 2)
    return model, table("moons"), {"optimizer": adam(model, 0.02)}


@healthy
def spirals_with_momentum():
    model = mlp(2, (64, 64), 3)
    return model, table("spirals"), {"optimizer": sgd(model, 0.05, momentum=0.9)}


@healthy
def cancer_with_dropout():
    model = mlp(30, (32,), 2, dropout=0.3)
    return model, table("breast_cancer"), {"optimizer": adam(model, 0.003)}


@healthy
def one_row_in_twelve_of_the_rare_class():
    X = generator(5).normal(size=(1000, 5))
    y = X[:, 0] + 0.5 * X[:, 1] + 0.3 * generator(6).normal(size=1000) > 1.8
    model = mlp(5, (16,), 2)
    return model, (X, y.astype(int)), {"optimizer": adam(model)}


@healthy
def three_labels_in_ten_wrong():
    X, y = table("moons")
    y = np.where(generator(5).random(600) < 0.3, 1 - y, y)
    model = mlp(2, (16,), 2)
    return model, (X, y), {"optimizer": adam(model)}


@healthy
def logistic_regression():
    model = mlp(2, (), 2)
    return model, table("moons"), {"optimizer": sgd(model)}


@healthy
def xor():
    X = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    model = mlp(2, (8,), 2)
    return model, (X, np.array([0, 1, 1, 0])), {"optimizer": adam(model, 0.05)}


@healthy
def a_regression():
    X = generator(3).normal(size=(300, 3))
    y = (X @ [1.0, 2.0, -1.0] + 0.1 * generator(4).normal(size=300))[:, None]
    model = mlp(3, (16,), 1)
    return model, (X, y), {"optimizer": adam(model), "loss": "mse_loss"}


@healthy
def one_logit():
    X, y = table("moons")
    model = mlp(2, (16,), 1)
    loss = mg.binary_cross_entropy_with_logits
    return model, (X, y), {"optimizer": adam(model, 0.02), "loss": loss}


@healthy
def log_softmax_and_nll_loss():
    model = nn.Sequential(digits_model(), nn.LogSoftmax())
    return model, table("digits"), {"optimizer": adam(model, 0.003), "loss": mg.nll_loss}


@healthy
def label_smoothing_and_class_weights():
    loss = nn.CrossEntropyLoss(label_smoothing=0.1, weight=np.array([1.0, 2.0, 3.0]))
    model = mlp(13, (16,), 3)
    return model, table("wine"), {"optimizer": adam(model), "loss": loss}


@healthy
def a_cnn():
    model = CNN()
    return model, images(), {"optimizer": adam(model, 0.003)}


@healthy
def batch_norm_and_named_labels():
    X, y = table("iris")
    model = nn.Sequential(
        nn.Linear(4, 16, generator=generator()),
        nn.BatchNorm1d(16),
        nn.ReLU(),
        nn.Linear(16, 3, generator=generator()),
    )
    names = np.array(["setosa", "versicolor", "virginica"])
    return model, (X, names[y]), {"optimizer": adam(model)}


@healthy
def a_step_that_adds_two_batches_up():
    model = digits_model()
    optimizer = adam(model)

    def step(X, y):
        optimizer.zero_grad()
        for half in (slice(0, 16), slice(16, None)):
            (mg.cross_entropy(model(X[half]), y[half]) / 2).backward()
        optimizer.step()

    return model, table("digits"), {"optimizer": optimizer, "step": step}


@healthy
def a_compiled_step():
    model = mlp(4, (16,), 3)
    optimizer = adam(model)
    step = mg.compile(model, mg.cross_entropy, optimizer)
    return model, table("iris"), {"optimizer": optimizer, "step": step}


def trained(name, model, epochs, lr):
    data = table(name)
    X, X_held_out, y, y_held_out = mg.data.train_test_split(
        *data, test_size=0.3, generator=generator()
    )
    optimizer = adam(model, lr)
    train(model, optimizer, (X, y), epochs)
    return model, (X, y), {"optimizer": optimizer, "validation": (X_held_out, y_held_out)}


@healthy
def trained_digits():
    return trained("digits", digits_model(), 15, 0.003)


@healthy
def trained_iris():
    return trained("iris", mlp(4, (16,), 3), 30, 0.01)


@healthy
def trained_moons():
    return trained("moons", mlp(2, (16,), 2), 30, 0.02)


@healthy
def trained_spirals():
    return trained("spirals", mlp(2, (64, 64), 3), 40, 0.01)


@healthy
def trained_breast_cancer():
    return trained("breast_cancer", mlp(30, (32,), 2), 15, 0.003)


QUICK = {"iris", "one_row_in_twelve_of_the_rare_class", "xor", "a_regression", "a_compiled_step"}


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=() if n in QUICK else pytest.mark.slow) for n in HEALTHY]
)
def test_nothing_is_found_in_a_healthy_training(name):
    model, data, settings = HEALTHY[name]()
    found = mg.diagnose(model, data, **settings)
    assert not found, str(found)
    assert "Nothing was found" in str(found)


def test_nothing_is_found_in_a_history():
    X, y = table("iris")
    model = mlp(4, (16,), 3)
    history = mg.fit(
        model, (X, y), lr=0.01, epochs=30, validation=0.2, generator=generator(), progress=False
    )
    assert not history.diagnose(), str(history.diagnose())


def test_a_history_is_diagnosed_at_its_largest_rate():
    X, y = table("wine")
    model = mlp(13, (16,), 3)
    history = mg.fit(
        model, (X, y), optimizer="sgd", lr=1e-6, epochs=3, schedule="cosine",
        generator=generator(), progress=False,
    )  # fmt: skip
    found = history.diagnose()
    assert found.kinds == ["learning rate too small"]
    assert found[0].numbers["lr"] == 1e-6
