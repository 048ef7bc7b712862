"""MyGrad with its memory guard off, as its manual advises for speed."""

from __future__ import annotations

from typing import Any

import mygrad as mg
import numpy as np
from mygrad.nnet.activations import relu
from mygrad.nnet.layers import conv_nd, max_pool
from mygrad.nnet.losses import softmax_crossentropy

from benchmarks.harness import Ready, implements
from benchmarks.implementations.by_hand import OPTIMIZERS, layer_outputs
from benchmarks.problems import (
    Arrays,
    Digits,
    Images,
    Layer,
    Rows,
    SmallOps,
    Training,
    prepare_training,
    prepare_whole_training,
)

NAME = "MyGrad"

mg.turn_memory_guarding_off()


def make_tensors(arrays: Arrays) -> list[Any]:
    return [mg.tensor(array) for array in arrays]


# ---------------------------------------------------------------------------- perceptrons


class Perceptron:
    """MyGrad has no optimisers, and no parameters of layers: these are by hand."""

    def __init__(self, training: Training) -> None:
        self.parameters = make_tensors([p.T.copy() for p in training.parameters()])
        self.activation = {"tanh": mg.tanh, "relu": relu}[training.activation]
        self.optimizer = OPTIMIZERS[training.optimizer](
            [p.data for p in self.parameters], training.lr
        )

    def logits(self, X: np.ndarray) -> Any:
        W1, b1, W2, b2, W3, b3 = self.parameters
        h1 = self.activation(mg.matmul(X, W1) + b1)
        h2 = self.activation(mg.matmul(h1, W2) + b2)
        return mg.matmul(h2, W3) + b3

    def step(self, X: np.ndarray, y: np.ndarray) -> Any:
        loss = softmax_crossentropy(self.logits(X), y)
        loss.backward()
        self.optimizer.step([p.grad for p in self.parameters])
        return loss


@implements("training step", NAME)
def training_step(training: Training) -> Ready:
    model = Perceptron(training)
    batches = training.turns()

    def gradients() -> tuple[float, Arrays]:
        X, y = training.batches[0]
        loss = softmax_crossentropy(model.logits(X), y)
        loss.backward()
        return loss.item(), [p.grad.T for p in model.parameters]

    return prepare_training(
        lambda: model.step(*next(batches)).item(),
        lambda: [p.data.T for p in model.parameters],
        gradients,
    )


@implements("digits", NAME)
def digits(problem: Digits) -> Ready:
    X, y = problem.train

    def run() -> np.ndarray:
        model = Perceptron(problem.training)
        for order in problem.orders():
            for rows in problem.rows_of(order):
                model.step(X[rows], y[rows])
        with mg.no_autodiff:
            return model.logits(problem.test[0]).data

    return prepare_whole_training(run, problem.test)


# ---------------------------------------------------------------------------- small operations


@implements("small ops", NAME)
def small_ops(problem: SmallOps) -> Ready:
    x, w, b = make_tensors(problem.inputs())

    def run() -> tuple[float, Arrays]:
        h = x
        for _ in range(problem.rounds):
            h = mg.tanh(h) * w + b
        total = h.sum()
        total.backward()
        return total.item(), [x.grad, w.grad, b.grad]

    return Ready(run, lambda: dict(zip(("value", "gradient"), run(), strict=True)))


# ---------------------------------------------------------------------------- cross-entropy


@implements("cross-entropy", NAME)
def cross_entropy(problem: Rows) -> Ready:
    logits, y = problem.inputs()
    z = mg.tensor(logits, copy=False)

    def run() -> tuple[float, np.ndarray]:
        loss = softmax_crossentropy(z, y)
        loss.backward()
        return loss.item(), z.grad

    return Ready(run, lambda: dict(zip(("loss", "gradient"), run(), strict=True)))


# ---------------------------------------------------------------------------- convolutions


def convolve(x: Any, k: Any, b: Any) -> Any:
    return conv_nd(x, k, stride=1, padding=1) + b[:, None, None]


@implements("cnn step", NAME)
def cnn_step(problem: Images) -> Ready:
    parameters = make_tensors(problem.parameters())
    optimizer = OPTIMIZERS["SGD"]([p.data for p in parameters], problem.lr)
    batches = problem.turns()

    def loss_of(X: np.ndarray, y: np.ndarray) -> Any:
        K1, c1, K2, c2, W, b = parameters
        h = max_pool(relu(convolve(X, K1, c1)), (2, 2), 2)
        h = max_pool(relu(convolve(h, K2, c2)), (2, 2), 2)
        return softmax_crossentropy(mg.matmul(h.reshape(len(X), -1), W.T) + b, y)

    def run() -> float:
        loss = loss_of(*next(batches))
        loss.backward()
        optimizer.step([p.grad for p in parameters])
        return loss.item()

    def gradients() -> tuple[float, Arrays]:
        loss = loss_of(*problem.batches[0])
        loss.backward()
        return loss.item(), [p.grad for p in parameters]

    return prepare_training(run, lambda: [p.data for p in parameters], gradients)


@implements("conv2d", NAME)
def conv2d(problem: Layer) -> Ready:
    *inputs, g = problem.inputs()
    x, k, b = make_tensors(inputs)

    def run() -> Any:
        out = convolve(x, k, b)
        out.backward(g)
        return out.data, x.grad, k.grad, b.grad

    return Ready(run, lambda: layer_outputs(*run()))


@implements("max_pool2d", NAME)
def max_pool2d(problem: Layer) -> Ready:
    images, _, _, upstream = problem.inputs()
    (x,) = make_tensors([images])
    g = max_pool(upstream, (2, 2), 2).data

    def run() -> Any:
        out = max_pool(x, (2, 2), 2)
        out.backward(g)
        return out.data, x.grad

    return Ready(run, lambda: layer_outputs(*run()))
