"""NumPy by hand with every array allocated once and reused: the limit of what NumPy can do."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from benchmarks.harness import Ready, implements
from benchmarks.problems import (
    BETA1,
    BETA2,
    EPSILON,
    Arrays,
    Digits,
    Rows,
    SmallOps,
    Training,
    prepare_training,
    prepare_whole_training,
)

NAME = "NumPy by hand, preallocated"


class Perceptron:
    """Features first: a batch is a matrix with a column for each row of the data.

    Weights and bias of a layer are one matrix (out, in + 1), and the last input feature is always
    1, so neither the bias nor its gradient costs a call. All matrices are views of one vector, and
    so are all gradients, so the optimiser updates one array.
    """

    def __init__(self, training: Training, batch_size: int) -> None:
        given, sizes = training.parameters(), training.sizes
        self.layers = [
            np.column_stack((weight, bias)).shape
            for weight, bias in zip(given[::2], given[1::2], strict=True)
        ]
        total = sum(out * inputs for out, inputs in self.layers)
        self.w, self.g = np.zeros(total, np.float32), np.zeros(total, np.float32)
        self.A, self.dA = self.matrices(self.w), self.matrices(self.g)
        for A, weight, bias in zip(self.A, given[::2], given[1::2], strict=True):
            A[:, :-1], A[:, -1] = weight, bias
        self.tanh = training.activation == "tanh"
        n = batch_size
        # The inputs of each layer, with the last feature 1; the hidden values, without it.
        self.inputs = [np.ones((size + 1, n), np.float32) for size in sizes[:-1]]
        self.h = [matrix[:-1] for matrix in self.inputs]
        self.dh = [np.empty((size, n), np.float32) for size in sizes[:-1]]
        self.slope = [np.empty((size, n), np.float32) for size in sizes[:-1]]
        self.z, self.p, self.share = (np.empty((sizes[-1], n), np.float32) for _ in range(3))
        self.row, self.ones = np.empty(n, np.float32), np.ones(n, np.float32)
        # Sums are products with a vector of ones; with n for 1 they are multiplied by n.
        self.ns = np.full(sizes[-1], n, np.float32)
        self.shares = np.eye(sizes[-1], dtype=np.float32) / np.float32(n)
        self.n = n
        # 0-d arrays, as a Python number would be converted at every call.
        self.one, self.zero = np.array(1, np.float32), np.array(0, np.float32)

    def matrices(self, vector: np.ndarray) -> Arrays:
        """The vector as the matrices of the three layers."""
        ends = np.cumsum([out * inputs for out, inputs in self.layers])
        parts = np.split(vector, ends[:-1])
        return [part.reshape(shape) for part, shape in zip(parts, self.layers, strict=True)]

    def parts(self, vector: np.ndarray) -> Arrays:
        """The vector as W1, b1, W2, b2, W3, b3."""
        return [part for A in self.matrices(vector) for part in (A[:, :-1], A[:, -1])]

    def loss(self, X: np.ndarray, y: np.ndarray) -> float:
        """Returns the loss and writes its gradient to `g`."""
        A1, A2, A3 = self.A
        dA1, dA2, dA3 = self.dA
        x, i1, i2 = self.inputs
        h0, h1, h2 = self.h
        _, dh1, dh2 = self.dh
        z, p, share, row, n = self.z, self.p, self.share, self.row, self.n
        # forward
        h0[...] = X.T
        np.dot(A1, x, h1)
        self.activate(h1)
        np.dot(A2, i1, h2)
        self.activate(h2)
        np.dot(A3, i2, z)
        # softmax, shifted only where an exponential could otherwise overflow or vanish
        if np.vdot(z, z) > 3600:
            np.maximum.reduce(z, 0, None, row)
            np.subtract(z, row, z)
        np.exp(z, p)
        np.dot(self.ns, p, row)
        np.divide(p, row, p)
        # (p - y) / n and loss
        self.shares.take(y, 1, share, "clip")
        np.subtract(p, share, p)
        np.log(row, row)
        loss = float(np.dot(row, self.ones)) / n - math.log(n) - float(np.vdot(share, z))
        # backward
        np.dot(p, i2.T, dA3)
        np.dot(A3[:, :-1].T, p, dh2)
        self.times_slope(dh2, h2, self.slope[2])
        np.dot(dh2, i1.T, dA2)
        np.dot(A2[:, :-1].T, dh2, dh1)
        self.times_slope(dh1, h1, self.slope[1])
        np.dot(dh1, x.T, dA1)
        return loss

    def activate(self, h: np.ndarray) -> None:
        if self.tanh:
            np.tanh(h, h)
        else:
            np.maximum(h, self.zero, out=h)

    def times_slope(self, g: np.ndarray, h: np.ndarray, slope: np.ndarray) -> None:
        if self.tanh:
            np.multiply(h, h, slope)
            np.subtract(self.one, slope, slope)
        else:
            np.greater(h, self.zero, slope)
        np.multiply(g, slope, g)


class SGD:
    def __init__(self, model: Perceptron, lr: float) -> None:
        self.w, self.g, self.lr = model.w, model.g, np.array(lr, np.float32)

    def step(self) -> None:
        np.multiply(self.g, self.lr, self.g)
        np.subtract(self.w, self.g, self.w)


class Adam:
    """w -= η m̂ / (√v̂ + ε), with the corrections of m̂ and v̂ moved to η and ε."""

    def __init__(self, model: Perceptron, lr: float) -> None:
        self.w, self.g, self.lr, self.t = model.w, model.g, lr, 0
        self.m, self.v, self.scratch = (np.zeros_like(self.w) for _ in range(3))
        self.rate, self.epsilon = np.array(0, np.float32), np.array(0, np.float32)
        self.beta1, self.rest1, self.beta2, self.rest2 = (
            np.array(beta, np.float32) for beta in (BETA1, 1 - BETA1, BETA2, 1 - BETA2)
        )

    def step(self) -> None:
        w, g, m, v, scratch = self.w, self.g, self.m, self.v, self.scratch
        self.t += 1
        unbias = (1 - BETA2**self.t) ** 0.5
        self.rate[...] = self.lr * unbias / (1 - BETA1**self.t)
        self.epsilon[...] = EPSILON * unbias
        np.multiply(m, self.beta1, m)
        np.multiply(g, self.rest1, scratch)
        np.add(m, scratch, m)
        np.multiply(v, self.beta2, v)
        np.multiply(g, g, g)
        np.multiply(g, self.rest2, g)
        np.add(v, g, v)
        np.sqrt(v, g)
        np.add(g, self.epsilon, g)
        np.divide(m, g, g)
        np.multiply(g, self.rate, g)
        np.subtract(w, g, w)


OPTIMIZERS: dict[str, Any] = {"SGD": SGD, "Adam": Adam}


@implements("training step", NAME)
def training_step(training: Training) -> Ready:
    model = Perceptron(training, len(training.batches[0][1]))
    optimizer = OPTIMIZERS[training.optimizer](model, training.lr)
    batches = training.turns()

    def run() -> float:
        X, y = next(batches)
        loss = model.loss(X, y)
        optimizer.step()
        return loss

    def gradients() -> tuple[float, Arrays]:
        return model.loss(*training.batches[0]), [g.copy() for g in model.parts(model.g)]

    return prepare_training(run, lambda: model.parts(model.w), gradients)


@implements("digits", NAME)
def digits(problem: Digits) -> Ready:
    (X, y), training = problem.train, problem.training

    def run() -> np.ndarray:
        model = Perceptron(training, problem.batch_size)
        optimizer = Adam(model, training.lr)
        # The last batch of an epoch is smaller; it shares the weights of the others' model.
        smaller = Perceptron(training, len(X) % problem.batch_size)
        smaller.A, smaller.dA = model.A, model.dA
        for order in problem.orders():
            for rows in problem.rows_of(order):
                (model if len(rows) == problem.batch_size else smaller).loss(X[rows], y[rows])
                optimizer.step()
        h = problem.test[0]
        for last, A in zip((False, False, True), model.A, strict=True):
            h = h @ A[:, :-1].T + A[:, -1]
            h = h if last else np.maximum(h, 0)
        return h

    return prepare_whole_training(run, problem.test)


@implements("small ops", NAME)
def small_ops(problem: SmallOps) -> Ready:
    x, w, b = problem.inputs()
    tanhs = list(np.empty((problem.rounds, 8), np.float32))
    h, g, dw, db, scratch = (np.empty(8, np.float32) for _ in range(5))
    one = np.array(1, np.float32)

    def run() -> tuple[Any, Arrays]:
        tanh, add, subtract, multiply = np.tanh, np.add, np.subtract, np.multiply
        h[...] = x
        for t in tanhs:
            tanh(h, t)
            multiply(t, w, h)
            add(h, b, h)
        total = add.reduce(h)
        g.fill(1)
        dw.fill(0)
        db.fill(0)
        for t in reversed(tanhs):
            add(db, g, db)
            multiply(g, t, scratch)
            add(dw, scratch, dw)
            multiply(g, w, g)
            multiply(t, t, scratch)
            subtract(one, scratch, scratch)
            multiply(g, scratch, g)
        return total, [g, dw, db]

    return Ready(run, lambda: dict(zip(("value", "gradient"), run(), strict=True)))


@implements("cross-entropy", NAME)
def cross_entropy(problem: Rows) -> Ready:
    """One block of rows after another, each small enough for the cache.

    The maximum is subtracted only where an exponential could otherwise overflow or vanish.
    """
    z, y = problem.inputs()
    n, classes = z.shape
    dz = np.empty_like(z)
    block = min(n, max(1, 2**18 // classes))
    starts, row = np.arange(block) * classes, np.empty((block, 1), np.float32)
    # Sums are products with a vector of ones; with n for 1 they are multiplied by n.
    ns, ones = np.full((classes, 1), n, np.float32), np.ones(block, np.float32)
    share = np.array(1 / n, np.float32)

    def run() -> tuple[float, np.ndarray]:
        loss = 0.0
        for start in range(0, n, block):
            logits, p, labels = (a[start : start + block] for a in (z, dz, y))
            size = len(labels)
            c, right = row[:size], starts[:size] + labels
            if not is_moderate(logits):
                np.maximum.reduce(logits, 1, None, c, True)
                np.subtract(logits, c, p)
                logits = p
            loss -= float(np.dot(logits.reshape(-1).take(right), ones[:size]))
            np.exp(logits, p)
            np.dot(p, ns, c)
            loss += float(np.dot(np.log(c[:, 0]), ones[:size]))
            np.divide(p, c, p)
            p.reshape(-1)[right] -= share
        return loss / n - math.log(n), dz

    def is_moderate(logits: np.ndarray) -> bool:
        if np.vdot(logits, logits) < 3600:
            return True
        return np.maximum.reduce(logits, None) < 60 and np.minimum.reduce(logits, None) > -60

    return Ready(run, lambda: dict(zip(("loss", "gradient"), run(), strict=True)))
