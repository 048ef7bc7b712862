"""Data and networks for the tests of the doctor."""

from __future__ import annotations

from functools import cache

import numpy as np

import microgradx as mg
from microgradx import nn, optim


def generator(seed=0):
    return np.random.default_rng(seed)


@cache
def table(name):
    """Features, standardised (digits by one scale), and labels."""
    from sklearn import datasets

    if name == "moons":
        return mg.data.moons(600, 0.2, generator(1))
    if name == "spirals":
        return mg.data.spirals(900, 3, generator=generator(2))
    X, y = getattr(datasets, f"load_{name}")(return_X_y=True)
    axis = None if name == "digits" else 0
    return (X - X.mean(axis=axis)) / X.std(axis=axis), y


@cache
def raw_table(name):
    from sklearn import datasets

    return getattr(datasets, f"load_{name}")(return_X_y=True)


def mlp(*arguments, seed=0, **settings):
    return nn.MLP(*arguments, generator=generator(seed), **settings)


def adam(model, lr=0.01, **settings):
    return optim.Adam(model.parameters(), lr=lr, **settings)


def sgd(model, lr=0.1, **settings):
    return optim.SGD(model.parameters(), lr=lr, **settings)


def digits_model(*hidden, activation="relu", **settings):
    return mlp(64, hidden or (64,), 10, activation, **settings)


class CNN(nn.Module):
    """Eight kernels, relu, pooling, and a linear layer, for 8 × 8 pixels."""

    def __init__(self, seed=0):
        draw = generator(seed)
        self.kernels = mg.Tensor(nn.he_uniform((8, 1, 3, 3), draw), requires_grad=True)
        self.offsets = mg.Tensor(np.zeros(8, np.float32), requires_grad=True)
        self.out = nn.Linear(8 * 16, 10, generator=draw)

    def forward(self, x):
        h = mg.relu(nn.functional.conv2d(x, self.kernels, self.offsets, padding=1))
        h = nn.functional.max_pool2d(h, 2)
        return self.out(h.reshape(len(h), -1))


def images():
    X, y = table("digits")
    return X.reshape(-1, 1, 8, 8).astype(np.float32), y


def train(model, optimizer, data, epochs, loss=mg.cross_entropy, batch_size=32, seed=3):
    """A correct training, by hand."""
    draw = generator(seed)
    with np.errstate(all="ignore"):
        for _ in range(epochs):
            for X, y in mg.data.batches(*data, batch_size, draw):
                optimizer.zero_grad()
                loss(model(X), y).backward()
                optimizer.step()
