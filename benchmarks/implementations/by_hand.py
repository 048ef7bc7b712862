"""NumPy by hand: the code a good student writes, without autograd. The unit of every ratio."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from benchmarks.harness import REFERENCE, Ready, implements
from benchmarks.problems import (
    BETA1,
    BETA2,
    EPSILON,
    Arrays,
    Curvature,
    Digits,
    Images,
    Layer,
    Rows,
    SmallOps,
    Training,
    prepare_training,
    prepare_whole_training,
)

# ---------------------------------------------------------------------------- perceptrons


def tanh(x: np.ndarray) -> np.ndarray:
    return np.tanh(x)


def tanh_slope(h: np.ndarray) -> np.ndarray:
    """tanh'(x) where tanh(x) = h."""
    return 1 - h * h


def relu(x: np.ndarray) -> np.ndarray:
    return np.maximum(x, 0)


def relu_slope(h: np.ndarray) -> np.ndarray:
    return h > 0


ACTIVATIONS = {"tanh": (tanh, tanh_slope), "relu": (relu, relu_slope)}


class Perceptron:
    """Two hidden layers with weights of shape (in, out), for X W + b."""

    def __init__(self, training: Training) -> None:
        self.parameters = [p.T.copy() for p in training.parameters()]
        self.activation, self.slope = ACTIVATIONS[training.activation]

    def logits(self, X: np.ndarray) -> np.ndarray:
        W1, b1, W2, b2, W3, b3 = self.parameters
        h1 = self.activation(X @ W1 + b1)
        h2 = self.activation(h1 @ W2 + b2)
        return h2 @ W3 + b3

    def loss_and_gradients(self, X: np.ndarray, y: np.ndarray) -> tuple[Any, Arrays]:
        W1, b1, W2, b2, W3, b3 = self.parameters
        rows, n = np.arange(len(y)), len(y)
        # forward
        h1 = self.activation(X @ W1 + b1)
        h2 = self.activation(h1 @ W2 + b2)
        z = h2 @ W3 + b3
        # softmax and loss
        e = np.exp(z - z.max(axis=1, keepdims=True))
        p = e / e.sum(axis=1, keepdims=True)
        loss = -np.log(p[rows, y]).mean()
        # backward
        dz = p
        dz[rows, y] -= 1
        dz /= n
        dW3, db3 = h2.T @ dz, dz.sum(axis=0)
        da2 = (dz @ W3.T) * self.slope(h2)
        dW2, db2 = h1.T @ da2, da2.sum(axis=0)
        da1 = (da2 @ W2.T) * self.slope(h1)
        dW1, db1 = X.T @ da1, da1.sum(axis=0)
        return loss, [dW1, db1, dW2, db2, dW3, db3]


class SGD:
    def __init__(self, parameters: Arrays, lr: float) -> None:
        self.parameters, self.lr = parameters, lr

    def step(self, gradients: Arrays) -> None:
        for w, g in zip(self.parameters, gradients, strict=True):
            w -= self.lr * g


class Adam:
    def __init__(self, parameters: Arrays, lr: float) -> None:
        self.parameters, self.lr, self.t = parameters, lr, 0
        self.m = [np.zeros_like(w) for w in parameters]
        self.v = [np.zeros_like(w) for w in parameters]

    def step(self, gradients: Arrays) -> None:
        self.t += 1
        for i, (w, g) in enumerate(zip(self.parameters, gradients, strict=True)):
            self.m[i] = BETA1 * self.m[i] + (1 - BETA1) * g
            self.v[i] = BETA2 * self.v[i] + (1 - BETA2) * g**2
            m_hat = self.m[i] / (1 - BETA1**self.t)
            v_hat = self.v[i] / (1 - BETA2**self.t)
            w -= self.lr * m_hat / (np.sqrt(v_hat) + EPSILON)


OPTIMIZERS: dict[str, Any] = {"SGD": SGD, "Adam": Adam}


@implements("training step", REFERENCE)
def training_step(training: Training) -> Ready:
    model = Perceptron(training)
    optimizer = OPTIMIZERS[training.optimizer](model.parameters, training.lr)
    batches = training.turns()

    def run() -> float:
        X, y = next(batches)
        loss, gradients = model.loss_and_gradients(X, y)
        optimizer.step(gradients)
        return float(loss)

    def gradients() -> tuple[float, Arrays]:
        loss, gradients = model.loss_and_gradients(*training.batches[0])
        return float(loss), [g.T for g in gradients]

    return prepare_training(run, lambda: [w.T for w in model.parameters], gradients)


@implements("digits", REFERENCE)
def digits(problem: Digits) -> Ready:
    X, y = problem.train

    def run() -> np.ndarray:
        model = Perceptron(problem.training)
        optimizer = Adam(model.parameters, problem.training.lr)
        for order in problem.orders():
            for rows in problem.rows_of(order):
                _, gradients = model.loss_and_gradients(X[rows], y[rows])
                optimizer.step(gradients)
        return model.logits(problem.test[0])

    return prepare_whole_training(run, problem.test)


@implements("Hessian-vector product", REFERENCE)
def hessian_vector_product(problem: Curvature) -> Ready:
    """Forward and backward, and their derivatives along v, marked R.

    Source: B. Pearlmutter, "Fast exact multiplication by the Hessian", 1994. relu'' is 0.
    """
    training = problem.training
    W1, b1, W2, b2, W3, b3 = (p.T.copy() for p in training.parameters())
    V1, c1, V2, c2, V3, c3 = (v.T.copy() for v in problem.direction())
    X, y = training.batches[0]
    rows, n = np.arange(len(y)), len(y)

    def run() -> Arrays:
        h1 = relu(X @ W1 + b1)
        s1 = h1 > 0
        Rh1 = (X @ V1 + c1) * s1
        h2 = relu(h1 @ W2 + b2)
        s2 = h2 > 0
        Rh2 = (Rh1 @ W2 + h1 @ V2 + c2) * s2
        z = h2 @ W3 + b3
        Rz = Rh2 @ W3 + h2 @ V3 + c3
        e = np.exp(z - z.max(axis=1, keepdims=True))
        p = e / e.sum(axis=1, keepdims=True)
        Rdz = p * (Rz - (p * Rz).sum(axis=1, keepdims=True)) / n
        dz = p
        dz[rows, y] -= 1
        dz /= n
        da2 = (dz @ W3.T) * s2
        Rda2 = (Rdz @ W3.T + dz @ V3.T) * s2
        Rda1 = (Rda2 @ W2.T + da2 @ V2.T) * s1
        return [
            X.T @ Rda1,
            Rda1.sum(axis=0),
            Rh1.T @ da2 + h1.T @ Rda2,
            Rda2.sum(axis=0),
            Rh2.T @ dz + h2.T @ Rdz,
            Rdz.sum(axis=0),
        ]

    return Ready(run, lambda: {"product": [r.T for r in run()]})


# ---------------------------------------------------------------------------- small operations


@implements("small ops", REFERENCE)
def small_ops(problem: SmallOps) -> Ready:
    x, w, b = problem.inputs()

    def run() -> tuple[Any, Arrays]:
        h = x
        tanhs = []
        for _ in range(problem.rounds):
            t = np.tanh(h)
            h = t * w + b
            tanhs.append(t)
        total = h.sum()
        g = np.ones_like(h)
        dw, db = np.zeros_like(w), np.zeros_like(b)
        for t in reversed(tanhs):
            db += g
            dw += g * t
            g = g * w * (1 - t * t)
        return total, [g, dw, db]

    return Ready(run, lambda: dict(zip(("value", "gradient"), run(), strict=True)))


# ---------------------------------------------------------------------------- cross-entropy


@implements("cross-entropy", REFERENCE)
def cross_entropy(problem: Rows) -> Ready:
    z, y = problem.inputs()
    rows, n = np.arange(len(y)), len(y)

    def run() -> tuple[float, np.ndarray]:
        e = np.exp(z - z.max(axis=1, keepdims=True))
        p = e / e.sum(axis=1, keepdims=True)
        loss = -np.log(p[rows, y]).mean()
        dz = p
        dz[rows, y] -= 1
        dz /= n
        return float(loss), dz

    return Ready(run, lambda: dict(zip(("loss", "gradient"), run(), strict=True)))


# ---------------------------------------------------------------------------- convolutions


def convolve(x: np.ndarray, k: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A 3×3 convolution with padding 1 as one matrix product, and the matrix of all patches."""
    n, c, height, width = x.shape
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    patches = sliding_window_view(padded, (3, 3), axis=(2, 3))  # (n, c, height, width, 3, 3)
    columns = patches.transpose(0, 2, 3, 1, 4, 5).reshape(-1, c * 9)
    out = columns @ k.reshape(len(k), -1).T + b
    return out.reshape(n, height, width, len(k)).transpose(0, 3, 1, 2), columns


def convolution_gradients(
    g: np.ndarray, columns: np.ndarray, k: np.ndarray
) -> tuple[np.ndarray, np.ndarray, Callable[[], np.ndarray]]:
    """Gradients of kernels and bias, and a function that computes the gradient of the images."""
    n, out, height, width = g.shape
    g = g.transpose(0, 2, 3, 1).reshape(-1, out)

    def image_gradient() -> np.ndarray:
        patches = (g @ k.reshape(out, -1)).reshape(n, height, width, -1, 3, 3)
        padded = np.zeros((n, k.shape[1], height + 2, width + 2), g.dtype)
        for i in range(3):
            for j in range(3):
                patch = patches[..., i, j].transpose(0, 3, 1, 2)
                padded[:, :, i : i + height, j : j + width] += patch
        return padded[:, :, 1:-1, 1:-1]

    return (g.T @ columns).reshape(k.shape), g.sum(axis=0), image_gradient


def max_pool(x: np.ndarray) -> np.ndarray:
    """The maximum of each 2×2 block."""
    n, c, height, width = x.shape
    return x.reshape(n, c, height // 2, 2, width // 2, 2).max(axis=(3, 5))


def pooling_gradient(g: np.ndarray, x: np.ndarray, largest: np.ndarray) -> np.ndarray:
    """The gradient goes to the maximum of each block; ties occur only where relu is 0."""
    g, largest = (np.repeat(np.repeat(a, 2, axis=2), 2, axis=3) for a in (g, largest))
    return g * (x == largest)


@implements("cnn step", REFERENCE)
def cnn_step(problem: Images) -> Ready:
    parameters = problem.parameters()
    batches = problem.turns()

    def loss_and_gradients(X: np.ndarray, y: np.ndarray) -> tuple[Any, Arrays]:
        K1, c1, K2, c2, W, b = parameters
        rows, n = np.arange(len(y)), len(y)
        z1, columns1 = convolve(X, K1, c1)
        h1 = relu(z1)
        m1 = max_pool(h1)
        z2, columns2 = convolve(m1, K2, c2)
        h2 = relu(z2)
        m2 = max_pool(h2)
        flat = m2.reshape(n, -1)
        z = flat @ W.T + b
        e = np.exp(z - z.max(axis=1, keepdims=True))
        p = e / e.sum(axis=1, keepdims=True)
        loss = -np.log(p[rows, y]).mean()
        dz = p
        dz[rows, y] -= 1
        dz /= n
        dW, db = dz.T @ flat, dz.sum(axis=0)
        dm2 = (dz @ W).reshape(m2.shape)
        dz2 = pooling_gradient(dm2, h2, m2) * (h2 > 0)
        dK2, dc2, dm1 = convolution_gradients(dz2, columns2, K2)
        dz1 = pooling_gradient(dm1(), h1, m1) * (h1 > 0)
        dK1, dc1, _ = convolution_gradients(dz1, columns1, K1)
        return loss, [dK1, dc1, dK2, dc2, dW, db]

    def run() -> float:
        loss, gradients = loss_and_gradients(*next(batches))
        for w, g in zip(parameters, gradients, strict=True):
            w -= problem.lr * g
        return float(loss)

    return prepare_training(
        run, lambda: parameters, lambda: loss_and_gradients(*problem.batches[0])
    )


@implements("conv2d", REFERENCE)
def conv2d(problem: Layer) -> Ready:
    x, k, b, g = problem.inputs()

    def run() -> Iterable[np.ndarray]:
        out, columns = convolve(x, k, b)
        dk, db, dx = convolution_gradients(g, columns, k)
        return out, dx(), dk, db

    return Ready(run, lambda: layer_outputs(*run()))


@implements("max_pool2d", REFERENCE)
def max_pool2d(problem: Layer) -> Ready:
    x, _, _, g = problem.inputs()
    g = max_pool(g)

    def run() -> Iterable[np.ndarray]:
        out = max_pool(x)
        return out, pooling_gradient(g, x, out)

    return Ready(run, lambda: layer_outputs(*run()))


def layer_outputs(out: np.ndarray, *gradients: np.ndarray) -> dict[str, Any]:
    return {"output": out, "gradient": list(gradients)}
