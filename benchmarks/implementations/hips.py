"""HIPS autograd: functions of arrays, written with its version of NumPy."""

from __future__ import annotations

from typing import Any

import autograd
import autograd.numpy as anp
import numpy as np

from benchmarks.harness import Ready, implements
from benchmarks.implementations.by_hand import OPTIMIZERS
from benchmarks.problems import (
    Arrays,
    Curvature,
    Digits,
    Rows,
    SmallOps,
    Training,
    prepare_training,
    prepare_whole_training,
)

NAME = "HIPS autograd"


def cross_entropy_of(z: Any, y: np.ndarray) -> Any:
    z = z - anp.max(z, axis=1, keepdims=True)
    log_p = z - anp.log(anp.sum(anp.exp(z), axis=1, keepdims=True))
    return -anp.mean(log_p[np.arange(len(y)), y])


# ---------------------------------------------------------------------------- perceptrons

ACTIVATIONS = {"tanh": anp.tanh, "relu": lambda x: anp.maximum(x, 0)}


def logits(activation: str, parameters: Any, X: np.ndarray) -> Any:
    W1, b1, W2, b2, W3, b3 = parameters
    f = ACTIVATIONS[activation]
    h1 = f(anp.dot(X, W1) + b1)
    h2 = f(anp.dot(h1, W2) + b2)
    return anp.dot(h2, W3) + b3


def make_loss(activation: str) -> Any:
    def loss(parameters: Any, X: np.ndarray, y: np.ndarray) -> Any:
        return cross_entropy_of(logits(activation, parameters, X), y)

    return loss


def make_parameters(training: Training) -> tuple[Arrays, Any]:
    parameters = [p.T.copy() for p in training.parameters()]
    return parameters, OPTIMIZERS[training.optimizer](parameters, training.lr)


@implements("training step", NAME)
def training_step(training: Training) -> Ready:
    parameters, optimizer = make_parameters(training)
    value_and_grad = autograd.value_and_grad(make_loss(training.activation))
    batches = training.turns()

    def run() -> float:
        loss, gradients = value_and_grad(parameters, *next(batches))
        optimizer.step(gradients)
        return float(loss)

    def gradients() -> tuple[float, Arrays]:
        loss, found = value_and_grad(parameters, *training.batches[0])
        return float(loss), [g.T for g in found]

    return prepare_training(run, lambda: [p.T for p in parameters], gradients)


@implements("digits", NAME)
def digits(problem: Digits) -> Ready:
    X, y = problem.train
    gradient = autograd.grad(make_loss(problem.training.activation))

    def run() -> np.ndarray:
        parameters, optimizer = make_parameters(problem.training)
        for order in problem.orders():
            for rows in problem.rows_of(order):
                optimizer.step(gradient(parameters, X[rows], y[rows]))
        return logits(problem.training.activation, parameters, problem.test[0])

    return prepare_whole_training(run, problem.test)


@implements("Hessian-vector product", NAME)
def hessian_vector_product(problem: Curvature) -> Ready:
    parameters, _ = make_parameters(problem.training)
    direction = [v.T.copy() for v in problem.direction()]
    X, y = problem.training.batches[0]
    gradient = autograd.grad(make_loss(problem.training.activation))

    def slope(parameters: Any) -> Any:
        gradients = gradient(parameters, X, y)
        return sum(anp.sum(g * v) for g, v in zip(gradients, direction, strict=True))

    product = autograd.grad(slope)
    return Ready(
        lambda: product(parameters), lambda: {"product": [r.T for r in product(parameters)]}
    )


# ---------------------------------------------------------------------------- small operations


@implements("small ops", NAME)
def small_ops(problem: SmallOps) -> Ready:
    inputs = problem.inputs()

    def chain(inputs: Any) -> Any:
        x, w, b = inputs
        h = x
        for _ in range(problem.rounds):
            h = anp.tanh(h) * w + b
        return anp.sum(h)

    value_and_grad = autograd.value_and_grad(chain)
    return Ready(
        lambda: value_and_grad(inputs),
        lambda: dict(zip(("value", "gradient"), value_and_grad(inputs), strict=True)),
    )


# ---------------------------------------------------------------------------- cross-entropy


@implements("cross-entropy", NAME)
def cross_entropy(problem: Rows) -> Ready:
    z, y = problem.inputs()
    value_and_grad = autograd.value_and_grad(cross_entropy_of)

    def outputs() -> dict[str, Any]:
        loss, gradient = value_and_grad(z, y)
        return {"loss": float(loss), "gradient": gradient.astype(np.float32)}  # it is float64

    return Ready(lambda: value_and_grad(z, y), outputs)
