"""Faults and healthy trainings planted by somebody who had not read the doctor's code.

Each is a function that returns model, data, and what else `diagnose` takes; `KINDS` has the
findings that it must have, none for healthy trainings. A seed draws other weights and rows.
"""

from __future__ import annotations

import numpy as np

import microgradx as mg
from microgradx import nn, optim
from tests.training.doctor.cases import generator, mlp, raw_table

#: For each case, by its name: the kinds of findings, and the function that makes it.
CASES = {}


def finds(*kinds):
    def add(make):
        CASES[make.__name__] = list(kinds), make
        return make

    return add


healthy = finds()


def pixels():
    X, y = raw_table("digits")
    return X / 16, y


def standardised(name):
    X, y = raw_table(name)
    deviation = X.std(axis=0)
    return (X - X.mean(axis=0)) / np.where(deviation == 0, 1, deviation), y


def linear(*sizes, seed=0):
    return nn.Linear(*sizes, generator=generator(seed))


def with_optimizer(model, data, kind="SGD", loss=mg.cross_entropy, validation=None, **settings):
    optimizer = getattr(optim, kind)(model.parameters(), **settings)
    return model, data, {"loss": loss, "optimizer": optimizer, "validation": validation}


def with_step(make_step, model, data, kind="SGD", **settings):
    model, data, settings = with_optimizer(model, data, kind, **settings)
    return model, data, {**settings, "step": make_step(model, settings["optimizer"])}


# ---------------------------------------------------------------------------- data


@finds("labels unrelated to features")
def shuffled_labels(seed=0):
    X, y = pixels()
    data = X, generator(seed).permutation(y)
    return with_optimizer(mlp(64, [32], 10, seed=seed), data, "Adam", lr=0.003)


@finds("labels unrelated to features")
def a_rare_class_at_random(seed=0):
    draw = generator(seed)
    data = draw.normal(size=(1000, 5)), (draw.random(1000) < 0.03).astype(int)
    return with_optimizer(mlp(5, [16], 2, seed=seed), data, lr=0.1)


@finds("targets unrelated to features")
def shuffled_targets(seed=0):
    draw = generator(seed)
    X = draw.normal(size=(300, 4))
    data = X, draw.permutation(X @ [1.0, -2.0, 0.5, 1.0])[:, None]
    return with_optimizer(mlp(4, [16], 1, seed=seed), data, "Adam", lr=0.01, loss="mse_loss")


@finds("features not standardised")
def raw_wine(seed=0):
    return with_optimizer(mlp(13, [32], 3, seed=seed), raw_table("wine"), lr=0.01)


@finds("features not standardised")
def raw_breast_cancer_with_adam(seed=0):
    model = mlp(30, [32], 2, "tanh", seed=seed)
    return with_optimizer(model, raw_table("breast_cancer"), "Adam", lr=0.001)


@finds("constant features")
def the_same_features_in_every_row(seed=0):
    data = np.ones((150, 4)), raw_table("iris")[1]
    return with_optimizer(mlp(4, [16], 3, seed=seed), data, lr=0.1)


@finds("a column that predicts the label")
def a_column_of_scaled_labels(seed=0):
    X, y = standardised("wine")
    data = np.insert(X, 6, 1.5 * y - 1, axis=1), y
    return with_optimizer(mlp(14, [32], 3, seed=seed), data, "Adam", lr=0.01, validation=0.3)


@finds("rows in both parts")
def half_of_the_validation_rows_were_trained_on(seed=0):
    X, y = standardised("iris")
    validation = X[90:], y[90:]
    return with_optimizer(
        mlp(4, [16], 3, seed=seed), (X[:120], y[:120]), "Adam", lr=0.01, validation=validation
    )


@finds("overfitting")
def a_hundred_columns_for_seventy_rows(seed=0):
    draw = generator(seed)
    X = draw.normal(size=(120, 100))
    y = (X[:, 0] + draw.normal(size=120) > 0).astype(int)
    model = mlp(100, [128], 2, seed=seed)
    return with_optimizer(model, (X, y), "Adam", lr=0.01, validation=0.4)


# ---------------------------------------------------------------------------- learning rate


@finds("learning rate too large")
def rate_100(seed=0):
    return with_optimizer(mlp(30, [32], 2, seed=seed), standardised("breast_cancer"), lr=100.0)


@finds("learning rate too small")
def rate_1e_6(seed=0):
    return with_optimizer(mlp(30, [32], 2, seed=seed), standardised("breast_cancer"), lr=1e-6)


@finds("learning rate too large")
def rate_3_with_momentum_99(seed=0):
    return with_optimizer(mlp(13, [32], 3, seed=seed), standardised("wine"), lr=3.0, momentum=0.99)


@finds("weight decay too strong")
def weight_decay_5(seed=0):
    return with_optimizer(
        mlp(13, [32], 3, seed=seed), standardised("wine"), lr=0.1, weight_decay=5.0
    )


# ---------------------------------------------------------------------------- network


@finds("zero initialisation")
def weights_of_zero(seed=0):
    model = mlp(13, [32, 16], 3, seed=seed)
    for parameter in model.parameters():
        parameter.data = np.zeros_like(parameter.data)
    return with_optimizer(model, standardised("wine"), lr=0.1)


@finds("vanishing gradients")
def nine_layers_of_sigmoid(seed=0):
    model = mlp(4, [16] * 9, 3, "sigmoid", seed=seed)
    return with_optimizer(model, standardised("iris"), lr=0.1)


@finds("dead units")
def biases_of_minus_50(seed=0):
    model = mlp(13, [32], 3, seed=seed)
    model[0].bias.data = np.full_like(model[0].bias.data, -50)
    return with_optimizer(model, standardised("wine"), lr=0.1)


@finds("saturated units")
def tanh_of_weights_200_times_as_large(seed=0):
    model = mlp(13, [32], 3, "tanh", seed=seed)
    model[0].weight.data = 200 * model[0].weight.data
    return with_optimizer(model, standardised("wine"), lr=0.01)


@finds("relu after the last layer")
def relu_at_the_end(seed=0):
    model = nn.Sequential(linear(13, 32, seed=seed), nn.ReLU(), linear(32, 3, seed=seed), nn.ReLU())
    model[2].bias.data = np.full(3, -5.0, dtype=np.float32)
    return with_optimizer(model, standardised("wine"), lr=0.1)


@finds("dropout too strong")
def dropout_of_99_in_100(seed=0):
    dropout = nn.Dropout(0.99, generator=generator(seed))
    model = nn.Sequential(
        linear(64, 32, seed=seed), nn.ReLU(), dropout, linear(32, 10, seed=seed + 1)
    )
    return with_optimizer(model, pixels(), lr=0.05)


@finds("the network cannot learn this")
def two_linear_layers_on_spirals(seed=0):
    data = mg.data.spirals(600, 3, generator=generator(seed))
    model = nn.Sequential(linear(2, 32, seed=seed), linear(32, 3, seed=seed + 1))
    return with_optimizer(model, data, "Adam", lr=0.01)


class TwoLayers(nn.Module):
    """What happens between two linear layers is given as a function."""

    def __init__(self, columns, classes, between, seed=0):
        self.first = linear(columns, 16, seed=seed)
        self.second = linear(16, classes, seed=seed + 1)
        self.between = between

    def forward(self, x):
        return self.second(self.between(self.first(x)))


@finds("loss not finite")
def a_logarithm_of_relu(seed=0):
    model = TwoLayers(4, 3, lambda h: np.log(np.maximum(h, 0)), seed)
    return with_optimizer(model, standardised("iris"), lr=0.1)


@finds("no gradient reaches parameters")
def detached_hidden_layer(seed=0):
    model = TwoLayers(64, 10, lambda h: np.maximum(h, 0).detach(), seed)
    return with_optimizer(model, pixels(), lr=0.1)


@finds("the network cannot learn this")
def features_multiplied_by_zero(seed=0):
    model = TwoLayers(4, 3, lambda h: np.maximum(0 * h, 0), seed)
    return with_optimizer(model, standardised("iris"), lr=0.1)


@healthy
def only_the_last_layer_is_trained(seed=0):
    """As in fine-tuning: whoever freezes layers knows."""
    model = mlp(64, [32], 10, seed=seed)
    model[0].requires_grad_(False)
    return with_optimizer(model, pixels(), lr=0.1)


# ---------------------------------------------------------------------------- loss


@finds("softmax applied twice")
def softmax_before_cross_entropy(seed=0):
    model = nn.Sequential(mlp(64, [32], 10, seed=seed), nn.Softmax(-1))
    return with_optimizer(model, pixels(), lr=0.1)


@finds("sigmoid applied twice")
def sigmoid_before_the_loss_of_logits(seed=0):
    model = nn.Sequential(mlp(30, [16], 1, seed=seed), nn.Sigmoid())
    loss = "binary_cross_entropy_with_logits"
    return with_optimizer(model, standardised("breast_cancer"), lr=0.1, loss=loss)


@finds("wrong axis in the loss")
def log_softmax_along_the_rows(seed=0):
    loss = lambda z, y: mg.nll_loss(mg.log_softmax(z, axis=0), y)  # noqa: E731
    return with_optimizer(mlp(4, [16], 3, seed=seed), standardised("iris"), lr=0.1, loss=loss)


@finds("softmax before nll_loss")
def nll_loss_of_probabilities(seed=0):
    loss = lambda z, y: mg.nll_loss(mg.softmax(z), y)  # noqa: E731
    return with_optimizer(mlp(4, [16], 3, seed=seed), standardised("iris"), lr=0.1, loss=loss)


@finds("logits passed to nll_loss")
def nll_loss_of_logits(seed=0):
    model = mlp(4, [16], 3, seed=seed)
    return with_optimizer(model, standardised("iris"), lr=0.1, loss=mg.nll_loss)


@finds("loss below its floor")
def a_loss_of_the_wrong_sign(seed=0):
    loss = lambda z, y: -mg.cross_entropy(z, y)  # noqa: E731
    return with_optimizer(mlp(13, [32], 3, seed=seed), standardised("wine"), lr=0.1, loss=loss)


# ---------------------------------------------------------------------------- steps and optimisers


@finds("zero_grad forgotten")
def no_zero_grad(seed=0):
    def make_step(model, optimizer):
        def step(X, y):
            loss = mg.cross_entropy(model(X), y)
            loss.backward()
            optimizer.step()
            return loss

        return step

    return with_step(make_step, mlp(4, [16], 3, seed=seed), standardised("iris"), lr=0.1)


@finds("step before backward")
def step_first(seed=0):
    def make_step(model, optimizer):
        def step(X, y):
            optimizer.zero_grad()
            loss = mg.cross_entropy(model(X), y)
            optimizer.step()
            loss.backward()

        return step

    model = mlp(4, [16], 3, seed=seed)
    return with_step(make_step, model, standardised("iris"), "Adam", lr=0.01)


@finds("gradients reset before the step")
def zero_grad_after_backward(seed=0):
    def make_step(model, optimizer):
        def step(X, y):
            mg.cross_entropy(model(X), y).backward()
            optimizer.zero_grad()
            optimizer.step()

        return step

    model = mlp(4, [16], 3, seed=seed)
    return with_step(make_step, model, standardised("iris"), "Adam", lr=0.01)


@finds("evaluation mode while training")
def a_step_in_evaluation_mode(seed=0):
    def make_step(model, optimizer):
        def step(X, y):
            optimizer.zero_grad()
            mg.cross_entropy(model(X), y).backward()
            optimizer.step()

        return step

    model = nn.Sequential(
        linear(13, 32, seed=seed), nn.BatchNorm1d(32), nn.ReLU(), linear(32, 3, seed=seed + 1)
    )
    return with_step(make_step, model.eval(), standardised("wine"), "Adam", lr=0.01)


@finds("parameters of another model")
def an_optimiser_of_another_model(seed=0):
    model, other = mlp(4, [16], 3, seed=seed), mlp(4, [16], 3, seed=seed + 1)
    optimizer = optim.SGD(other.parameters(), lr=0.1)
    return model, standardised("iris"), {"loss": mg.cross_entropy, "optimizer": optimizer}


@finds("parameters not in the optimiser")
def the_last_layer_is_not_in_the_optimiser(seed=0):
    model = mlp(4, [16], 3, seed=seed)
    optimizer = optim.SGD(model[0].parameters(), lr=0.1)
    return model, standardised("iris"), {"loss": mg.cross_entropy, "optimizer": optimizer}


# ---------------------------------------------------------------------------- healthy trainings


@healthy
def digits_with_a_cnn(seed=0):
    model = nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1, generator=generator(seed)),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        linear(128, 10, seed=seed + 1),
    )
    X, y = pixels()
    return with_optimizer(model, (X.reshape(-1, 1, 8, 8), y), "Adam", lr=0.003, validation=0.2)


@healthy
def iris_with_momentum(seed=0):
    model = mlp(4, [8], 3, "tanh", seed=seed)
    return with_optimizer(model, standardised("iris"), lr=0.1, momentum=0.9, validation=0.3)


@healthy
def softmax_regression_on_digits(seed=0):
    return with_optimizer(linear(64, 10, seed=seed), pixels(), lr=0.5, validation=0.2)


@healthy
def breast_cancer_with_adamw(seed=0):
    model = mlp(30, [16], 2, seed=seed)
    return with_optimizer(model, standardised("breast_cancer"), "AdamW", lr=0.003, validation=0.2)


@healthy
def moons_with_wrong_labels(seed=0):
    draw = generator(seed)
    X, y = mg.data.moons(500, 0.3, generator=draw)
    y = np.where(draw.random(500) < 0.15, 1 - y, y)
    return with_optimizer(mlp(2, [16], 2, seed=seed), (X, y), "Adam", lr=0.01, validation=0.3)


@healthy
def a_rare_class(seed=0):
    draw = generator(seed)
    X = draw.normal(size=(1500, 4))
    y = (X[:, 0] + X[:, 1] + 0.5 * draw.normal(size=1500) > 2.6).astype(int)
    return with_optimizer(mlp(4, [16], 2, seed=seed), (X, y), "Adam", lr=0.01, validation=0.3)


@healthy
def wine_with_label_smoothing(seed=0):
    loss = nn.CrossEntropyLoss(label_smoothing=0.1)
    return with_optimizer(
        mlp(13, [16], 3, seed=seed),
        standardised("wine"),
        "RMSprop",
        lr=0.003,
        loss=loss,
        validation=0.3,
    )


@healthy
def breast_cancer_with_a_single_logit(seed=0):
    return with_optimizer(
        mlp(30, [16], 1, seed=seed),
        standardised("breast_cancer"),
        "Adam",
        lr=0.005,
        loss="binary_cross_entropy_with_logits",
        validation=0.3,
    )


HEALTHY = [name for name, (kinds, _) in CASES.items() if not kinds]
