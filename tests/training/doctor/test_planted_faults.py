"""Planted faults: each must come out first, with its remedy, and with no other beside it."""

from __future__ import annotations

import numpy as np
import pytest

import microgradx as mg
from microgradx import nn, optim
from tests.training.doctor.cases import (
    CNN,
    adam,
    digits_model,
    generator,
    images,
    mlp,
    raw_table,
    sgd,
    table,
    train,
)

#: For each fault, by a name: the finding, a part of its remedy, and what makes the case.
FAULTS = {}


def fault(kind, remedy):
    def add(make):
        FAULTS[make.__name__] = kind, remedy, make
        return make

    return add


def shuffled(name):
    X, y = table(name)
    return X, generator(1).permutation(y)


def one_column(y):
    return y[:, None].astype(float)


def with_weights(model, change):
    for parameter in model.parameters():
        parameter.data = change(parameter.data)
    return model


def scaled_weights(model, factor):
    return with_weights(model, lambda w: w * factor if w.ndim > 1 else w)


# ---------------------------------------------------------------------------- the learning rate


@fault("learning rate too large", "Lower the learning rate")
def rate_50_of_sgd_on_digits():
    model = digits_model()
    return model, table("digits"), {"optimizer": sgd(model, 50)}


@fault("learning rate too large", "Lower the learning rate")
def rate_2_of_sgd_on_digits():
    model = digits_model()
    return model, table("digits"), {"optimizer": sgd(model, 2)}


@fault("learning rate too large", "Lower the learning rate")
def rate_3_of_adam_on_digits():
    model = digits_model(64, 32, activation="tanh")
    return model, table("digits"), {"optimizer": adam(model, 3)}


@fault("learning rate too large", "Lower the learning rate")
def rate_that_broke_the_weights_before():
    model = digits_model()
    optimizer = sgd(model, 50)
    train(model, optimizer, table("digits"), 1)
    return model, table("digits"), {"optimizer": optimizer}


@fault("learning rate too large", "Lower the learning rate")
def rate_5_of_sgd_with_a_sum_over_rows():
    model = mlp(13, (16,), 3)
    loss = nn.CrossEntropyLoss(reduction="sum")
    return model, table("wine"), {"optimizer": sgd(model, 5), "loss": loss}


@fault("learning rate too small", "Raise the learning rate")
def rate_1e_5_of_sgd_on_digits():
    model = digits_model()
    return model, table("digits"), {"optimizer": sgd(model, 1e-5)}


@fault("learning rate too small", "Raise the learning rate")
def rate_1e_7_of_adam_on_wine():
    model = mlp(13, (16,), 3)
    return model, table("wine"), {"optimizer": adam(model, 1e-7)}


@fault("learning rate too small", "Raise the learning rate")
def rate_1e_6_of_adam_for_a_cnn():
    model = CNN()
    return model, images(), {"optimizer": adam(model, 1e-6)}


@fault("weight decay too strong", "Lower the weight decay")
def weight_decay_5():
    model = digits_model()
    return model, table("digits"), {"optimizer": sgd(model, 0.1, weight_decay=5)}


# ---------------------------------------------------------------------------- the features


@fault("features not standardised", "Standardise the features")
def raw_wine_with_sgd():
    model = mlp(13, (16,), 3)
    return model, raw_table("wine"), {"optimizer": sgd(model, 0.05)}


@fault("features not standardised", "Standardise the features")
def raw_wine_with_adam():
    model = mlp(13, (16,), 3)
    return model, raw_table("wine"), {"optimizer": adam(model)}


@fault("features not standardised", "Standardise the features")
def digits_that_are_tiny():
    X, y = table("digits")
    model = digits_model()
    return model, (X * 1e-4, y), {"optimizer": sgd(model)}


@fault("features not standardised", "Standardise the features")
def digits_far_from_0():
    X, y = table("digits")
    model = digits_model()
    return model, (X + 1000, y), {"optimizer": sgd(model)}


@fault("features not finite", "Leave such rows or columns out")
def one_nan():
    X, y = table("digits")
    X = X.copy()
    X[3, 5] = np.nan
    model = digits_model()
    return model, (X, y), {"optimizer": adam(model)}


@fault("targets not standardised", "Standardise the targets")
def targets_of_100_000():
    X = generator(3).normal(size=(300, 3))
    model = mlp(3, (16,), 1)
    y = 1e5 * (X @ [1.0, 2.0, -1.0])[:, None]
    return model, (X, y), {"optimizer": adam(model), "loss": mg.mse_loss}


# ---------------------------------------------------------------------------- the labels


@fault("labels unrelated to features", "one permutation")
def shuffled_digits():
    model = digits_model()
    return model, shuffled("digits"), {"optimizer": adam(model, 0.003)}


@fault("labels unrelated to features", "one permutation")
def shuffled_moons():
    model = mlp(2, (16,), 2)
    return model, shuffled("moons"), {"optimizer": adam(model)}


@fault("labels unrelated to features", "one permutation")
def shuffled_iris():
    model = mlp(4, (16,), 3)
    return model, shuffled("iris"), {"optimizer": sgd(model)}


@fault("contradictory labels", "Keep the columns that tell the rows apart")
def rows_that_are_all_alike_but_two():
    X = np.zeros((200, 3))
    X[100:] = 1
    model = mlp(3, (8,), 2)
    return model, (X, generator().integers(0, 2, 200)), {"optimizer": adam(model)}


# ---------------------------------------------------------------------------- the network


@fault("zero initialisation", "Draw the weights at random")
def weights_of_0():
    model = with_weights(digits_model(), np.zeros_like)
    return model, table("digits"), {"optimizer": sgd(model)}


@fault("constant initialisation", "Draw the weights at random")
def weights_of_a_tenth():
    model = with_weights(mlp(4, (16,), 3, "tanh"), lambda w: np.full_like(w, 0.1))
    return model, table("iris"), {"optimizer": adam(model)}


@fault("dead units", "leaky_relu")
def all_units_dead():
    model = digits_model()
    model[0].bias.data = np.full(64, -100.0)
    return model, table("digits"), {"optimizer": adam(model, 0.003)}


@fault("dead units", "leaky_relu")
def two_thirds_of_the_units_dead():
    model = digits_model(48, 24)
    model[2].bias.data = np.where(np.arange(24) < 16, -100.0, 0)
    return model, table("digits"), {"optimizer": adam(model, 0.003)}


@fault("dead units", "leaky_relu")
def all_kernels_of_a_cnn_dead():
    model = CNN()
    model.offsets.data = np.full(8, -50.0)
    return model, images(), {"optimizer": adam(model, 0.003)}


@fault("saturated units", "smaller weights")
def sigmoids_with_large_weights():
    model = digits_model(activation="sigmoid")
    model[0].weight.data = 100 * model[0].weight.data
    return model, table("digits"), {"optimizer": adam(model, 0.003)}


@fault("vanishing gradients", "relu with he_uniform")
def ten_layers_of_sigmoids():
    model = digits_model(*[32] * 10, activation="sigmoid")
    return model, table("digits"), {"optimizer": sgd(model)}


@fault("initialisation", "too small")
def eight_layers_of_small_weights():
    model = scaled_weights(digits_model(*[32] * 8), 0.05)
    return model, table("digits"), {"optimizer": sgd(model)}


@fault("initialisation", "too large")
def weights_30_times_as_large():
    model = scaled_weights(digits_model(64, 64), 30)
    return model, table("digits"), {"optimizer": adam(model, 0.003)}


class Detached(nn.Module):
    def __init__(self):
        self.hidden = nn.Linear(64, 32, generator=generator())
        self.out = nn.Linear(32, 10, generator=generator())

    def forward(self, x):
        return self.out(mg.relu(self.hidden(x)).detach())


@fault("no gradient reaches parameters", ".detach()")
def a_graph_that_is_cut():
    model = Detached()
    return model, table("digits"), {"optimizer": adam(model)}


@fault("the network cannot learn this", "hidden layers")
def a_linear_model_of_spirals():
    model = mlp(2, (), 3)
    return model, table("spirals"), {"optimizer": adam(model)}


@fault("the network cannot learn this", "hidden layers")
def one_hidden_unit():
    model = digits_model(1)
    return model, table("digits"), {"optimizer": adam(model)}


class MixedRows(nn.Module):
    """Subtracts the mean over axis 0, the rows, where that over the features was meant."""

    def __init__(self):
        self.out = nn.Linear(64, 10, generator=generator())

    def forward(self, x):
        h = self.out(x)
        return h - h.mean(axis=0, keepdims=True)


@fault("wrong axis in the model", "axis=-1")
def a_mean_over_the_rows():
    model = MixedRows()
    return model, table("digits"), {"optimizer": adam(model)}


# ---------------------------------------------------------------------------- the loss


@fault("softmax applied twice", "Pass the logits")
def softmax_before_cross_entropy():
    model = nn.Sequential(digits_model(), nn.Softmax())
    return model, table("digits"), {"optimizer": adam(model, 0.003)}


@fault("softmax applied twice", "Pass the logits")
def softmax_inside_the_loss():
    model = mlp(2, (16,), 2)
    loss = lambda out, y: mg.cross_entropy(np.exp(out) / np.exp(out).sum(axis=1, keepdims=True), y)  # noqa: E731
    return model, table("moons"), {"optimizer": sgd(model), "loss": loss}


@fault("softmax before nll_loss", "log_softmax")
def softmax_before_nll_loss():
    model = nn.Sequential(mlp(4, (16,), 3), nn.Softmax())
    return model, table("iris"), {"optimizer": adam(model), "loss": mg.nll_loss}


@fault("logits passed to nll_loss", "cross_entropy")
def logits_to_nll_loss():
    model = digits_model()
    return model, table("digits"), {"optimizer": adam(model, 0.003), "loss": mg.nll_loss}


@fault("sigmoid applied twice", "Pass the logits")
def sigmoid_before_binary_cross_entropy():
    X, y = table("moons")
    model = nn.Sequential(mlp(2, (16,), 1), nn.Sigmoid())
    loss = mg.binary_cross_entropy_with_logits
    return model, (X, one_column(y)), {"optimizer": adam(model), "loss": loss}


@fault("relu after the last layer", "Remove the relu")
def relu_on_logits():
    model = nn.Sequential(digits_model(), nn.ReLU())
    return model, table("digits"), {"optimizer": sgd(model, 0.01)}


@fault("bounded logits", "Remove the activation")
def tanh_on_logits():
    model = nn.Sequential(digits_model(), nn.Tanh())
    return model, table("digits"), {"optimizer": adam(model)}


@fault("wrong axis in the loss", "axis=-1")
def log_softmax_over_the_rows():
    model = digits_model()
    loss = lambda out, y: mg.nll_loss(mg.log_softmax(out, axis=0), y)  # noqa: E731
    return model, table("digits"), {"optimizer": adam(model, 0.003), "loss": loss}


@fault("wrong shapes in the loss", "model(X)[:, 0]")
def a_column_minus_a_row():
    X = generator(3).normal(size=(300, 3))
    model = mlp(3, (16,), 1)
    loss = lambda out, y: ((out - y) ** 2).mean()  # noqa: E731
    return model, (X, X @ [1.0, 2.0, -1.0]), {"optimizer": adam(model), "loss": loss}


@fault("targets out of reach", "Remove the activation")
def sigmoid_for_targets_beyond_1():
    X = generator(3).normal(size=(300, 3))
    model = nn.Sequential(mlp(3, (16,), 1), nn.Sigmoid())
    y = (X @ [1.0, 2.0, -1.0])[:, None]
    return model, (X, y), {"optimizer": adam(model), "loss": mg.mse_loss}


@fault("loss below its floor", "Check its sign")
def a_sign_forgotten():
    model = digits_model()
    loss = lambda out, y: mg.log_softmax(out)[np.arange(len(y)), y].mean()  # noqa: E731
    return model, table("digits"), {"optimizer": adam(model, 0.003), "loss": loss}


@fault("loss not finite", "pass the logits to cross_entropy")
def exponentials_that_overflow():
    X, y = table("digits")
    model = digits_model()

    def loss(out, labels):
        p = np.exp(out) / np.exp(out).sum(axis=1, keepdims=True)
        return -mg.log(p)[np.arange(len(labels)), labels].mean()

    return model, (X * 20, y), {"optimizer": adam(model), "loss": loss}


# ---------------------------------------------------------------------------- the optimiser


@fault("parameters not in the optimiser", "Pass all of model.parameters()")
def the_last_layer_is_not_held():
    model = digits_model()
    return model, table("digits"), {"optimizer": optim.Adam(model[0].parameters(), lr=0.01)}


@fault("parameters of another model", "Make the optimiser after the model")
def an_optimiser_of_another_model():
    return digits_model(), table("digits"), {"optimizer": adam(digits_model())}


@fault("no trainable parameters", "unfreeze()")
def a_frozen_model():
    model = digits_model()
    optimizer = adam(model)
    model.freeze()
    return model, table("digits"), {"optimizer": optimizer}


@fault("gradients that add up", "zero_grad()")
def gradients_of_an_epoch():
    model = digits_model()
    optimizer = sgd(model, 0.01)
    for _ in range(3):
        for X, y in mg.data.batches(*table("digits"), 32, generator()):
            mg.cross_entropy(model(X), y).backward()
            optimizer.step()
    return model, table("digits"), {"optimizer": optimizer}


# ---------------------------------------------------------------------------- the user's step


def own_step(*calls, model=None, lr=0.01):
    """A step that makes these calls, in this order."""
    model = model or digits_model()
    optimizer = adam(model, lr)

    def step(X, y):
        state = {}
        actions = {
            "zero_grad": optimizer.zero_grad,
            "forward": lambda: state.update(loss=mg.cross_entropy(model(X), y)),
            "backward": lambda: state["loss"].backward(),
            "step": optimizer.step,
        }
        for call in calls:
            actions[call]()

    return model, table("digits"), {"optimizer": optimizer, "step": step}


@fault("zero_grad forgotten", "zero_grad()")
def no_zero_grad():
    return own_step("forward", "backward", "step")


@fault("step before backward", "backward() before optimizer.step()")
def step_before_backward():
    return own_step("forward", "zero_grad", "step", "backward")


@fault("step before backward", "backward() before optimizer.step()")
def step_before_forward_and_backward():
    return own_step("step", "forward", "backward", "zero_grad")


@fault("gradients reset before the step", "zero_grad() before backward()")
def zero_grad_before_step():
    return own_step("forward", "backward", "zero_grad", "step")


@fault("no step", "optimizer.step() after loss.backward()")
def no_step():
    return own_step("zero_grad", "forward", "backward")


@fault("no backward", "loss.backward()")
def no_backward():
    return own_step("zero_grad", "forward", "step")


@fault("evaluation mode while training", "model.train()")
def evaluation_mode():
    return own_step(
        "zero_grad", "forward", "backward", "step", model=digits_model(dropout=0.3).eval()
    )


@fault("evaluation mode", "model.train()")
def evaluation_mode_without_a_step():
    model = digits_model(dropout=0.3).eval()
    return model, table("digits"), {"optimizer": adam(model)}


# ---------------------------------------------------------------------------- other rows


def split(data, share=0.3):
    X, X_held_out, y, y_held_out = mg.data.train_test_split(
        *data, test_size=share, generator=generator()
    )
    return (X, y), (X_held_out, y_held_out)


def trained(model, data, epochs, lr=0.01, loss=mg.cross_entropy):
    training, validation = data
    optimizer = adam(model, lr)
    train(model, optimizer, training, epochs, loss)
    return model, training, {"optimizer": optimizer, "validation": validation, "loss": loss}


def noisy_moons(rows):
    X, y = mg.data.moons(rows, 0.3, generator(5))
    return X, np.where(generator(6).random(rows) < 0.2, 1 - y, y)


@fault("overfitting", "Stop early")
def a_hundred_rows_of_noise():
    X = generator(6).normal(size=(200, 20))
    y = (X[:, 0] + X[:, 1] + generator(7).normal(size=200) > 0).astype(int)
    return trained(mlp(20, (128,), 2), split((X, y), 0.5), 100)


@fault("overfitting", "Stop early")
def digits_with_wrong_labels():
    X, y = table("digits")
    wrong = generator(1).random(len(y)) < 0.3
    y = np.where(wrong, generator(2).integers(0, 10, len(y)), y)
    return trained(digits_model(256), split((X, y)), 40, 0.003)


@fault("miscalibrated probabilities", "TemperatureScaling")
def logits_six_times_as_large():
    model, data, settings = trained(mlp(2, (16,), 2), split(noisy_moons(1500)), 10)
    model[2].weight.data, model[2].bias.data = 6 * model[2].weight.data, 6 * model[2].bias.data
    return model, data, settings


@fault("miscalibrated probabilities", "lower label smoothing")
def label_smoothing_of_two_fifths():
    loss = lambda out, y: mg.cross_entropy(out, y, label_smoothing=0.4)  # noqa: E731
    return trained(digits_model(), split(table("digits")), 15, 0.003, loss)


def leaky_wine(column):
    X, y = table("wine")
    model = mlp(14, (16,), 3)
    return model, (np.insert(X, 3, column, axis=1), y), {"optimizer": adam(model)}


@fault("a column that predicts the label", "leave it out")
def a_copy_of_the_label():
    return leaky_wine(table("wine")[1])


@fault("a column that predicts the label", "leave it out")
def a_noisy_copy_of_the_label():
    return leaky_wine(table("wine")[1] + generator(1).normal(0, 0.05, 178))


@fault("a column that predicts the label", "an identifier")
def row_numbers_of_sorted_rows():
    return leaky_wine(np.linspace(-1.7, 1.7, 178))


@fault("rows in both parts", "before the split")
def validation_rows_among_the_training_rows():
    (X, y), (X_held_out, y_held_out) = split(table("wine"))
    both = np.concatenate([X, X_held_out]), np.concatenate([y, y_held_out])
    return trained(mlp(13, (16,), 3), (both, (X_held_out, y_held_out)), 10)


@fault("rows in both parts", "before the split")
def rows_copied_before_the_split():
    X, y = table("digits")
    return trained(digits_model(), split((np.tile(X[:600], (3, 1)), np.tile(y[:600], 3))), 5)


QUICK = {
    "rate_1e_7_of_adam_on_wine",
    "raw_wine_with_adam",
    "shuffled_iris",
    "weights_of_a_tenth",
    "softmax_before_nll_loss",
    "a_column_minus_a_row",
    "an_optimiser_of_another_model",
    "no_zero_grad",
    "a_copy_of_the_label",
}


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=() if n in QUICK else pytest.mark.slow) for n in FAULTS]
)
def test_a_planted_fault_is_found_alone(name):
    kind, remedy, make = FAULTS[name]
    model, data, settings = make()
    found = mg.diagnose(model, data, **settings)
    assert found.kinds == [kind]
    assert remedy in found[0].remedy
    assert not any(np.isnan(value) for value in found[0].numbers.values())


def test_there_are_faults_of_all_kinds():
    assert len(FAULTS) >= 40
    assert len({kind for kind, _, _ in FAULTS.values()}) >= 25
