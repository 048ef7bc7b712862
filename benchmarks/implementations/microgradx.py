"""microgradx, as any user writes it; and the same through `microgradx.compile`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

import microgradx as mg
from benchmarks.harness import THREADS, Ready, Unavailable, implements
from benchmarks.implementations.by_hand import layer_outputs
from benchmarks.problems import (
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
from microgradx.nn import functional as F

EAGER, COMPILED = "microgradx", "microgradx, compiled"

if hasattr(mg, "set_num_threads"):
    mg.set_num_threads(THREADS)


def compile_or_skip(*args: Any) -> Any:
    if not hasattr(mg, "compile"):
        raise Unavailable("microgradx has no compile")
    return mg.compile(*args)


def set_parameters(model: Any, values: Arrays) -> None:
    for parameter, value in zip(model.parameters(), values, strict=True):
        parameter.data = value


def loss_and_gradients(loss: Any, parameters: list[Any]) -> tuple[float, Arrays]:
    return loss.item(), list(mg.autograd.grad(loss, parameters))


# ---------------------------------------------------------------------------- perceptrons


def model_and_optimizer(training: Training) -> tuple[Any, Any]:
    inputs, *hidden, outputs = training.sizes
    model = mg.nn.MLP(inputs, hidden, outputs, training.activation)
    set_parameters(model, training.parameters())
    return model, getattr(mg.optim, training.optimizer)(model.parameters(), lr=training.lr)


def prepare_eager_step(model: Any, optimizer: Any, problem: Training | Images) -> Ready:
    parameters = list(model.parameters())
    batches = problem.turns()

    def run() -> float:
        X, y = next(batches)
        optimizer.zero_grad()
        loss = mg.cross_entropy(model(X), y)
        loss.backward()
        optimizer.step()
        return loss.item()

    def gradients() -> tuple[float, Arrays]:
        X, y = problem.batches[0]
        return loss_and_gradients(mg.cross_entropy(model(X), y), parameters)

    return prepare_training(run, lambda: [p.data for p in parameters], gradients)


def prepare_compiled_step(model: Any, optimizer: Any, problem: Training | Images) -> Ready:
    parameters = list(model.parameters())
    step = compile_or_skip(model, mg.cross_entropy, optimizer)
    batches = problem.turns()

    def run() -> float:
        X, y = next(batches)
        return step(X, y)

    return prepare_training(run, lambda: [p.data for p in parameters])


@implements("training step", EAGER)
def training_step(training: Training) -> Ready:
    model, optimizer = model_and_optimizer(training)
    return prepare_eager_step(model, optimizer, training)


@implements("training step", COMPILED)
def compiled_training_step(training: Training) -> Ready:
    model, optimizer = model_and_optimizer(training)
    return prepare_compiled_step(model, optimizer, training)


@implements("digits", EAGER)
def digits(problem: Digits) -> Ready:
    X, y = problem.train

    def run() -> np.ndarray:
        model, optimizer = model_and_optimizer(problem.training)
        generator = np.random.default_rng(2)
        batches = mg.data.batches(X, y, problem.batch_size, generator)
        for _ in range(problem.epochs):
            for X_batch, y_batch in batches:
                optimizer.zero_grad()
                loss = mg.cross_entropy(model(X_batch), y_batch)
                loss.backward()
                optimizer.step()
        with mg.no_grad():
            return model(problem.test[0]).data

    return prepare_whole_training(run, problem.test)


@implements("digits", COMPILED)
def compiled_digits(problem: Digits) -> Ready:
    """Including the compilation, which is part of every training."""
    X, y = problem.train

    def run() -> np.ndarray:
        model, optimizer = model_and_optimizer(problem.training)
        generator = np.random.default_rng(2)
        step = compile_or_skip(model, mg.cross_entropy, optimizer)
        for _ in range(problem.epochs):
            step.epoch(X, y, problem.batch_size, generator)
        with mg.no_grad():
            return model(problem.test[0]).data

    return prepare_whole_training(run, problem.test)


# ---------------------------------------------------------------------------- second order


@implements("Hessian-vector product", EAGER)
def hessian_vector_product(problem: Curvature) -> Ready:
    parameters, v = tuple(problem.training.parameters()), tuple(problem.direction())
    loss = functional_loss(*problem.training.batches[0])

    def run() -> Any:
        return mg.hvp(loss, parameters, v)

    return Ready(run, lambda: {"product": run()})


@implements("Hessian-vector product", COMPILED)
def compiled_hessian_vector_product(problem: Curvature) -> Ready:
    parameters, v = tuple(problem.training.parameters()), tuple(problem.direction())

    @compile_or_skip
    def product(X: Any, y: Any, parameters: Any, v: Any) -> Any:
        return mg.hvp(functional_loss(X, y), parameters, v)

    def run() -> Any:
        return product(*problem.training.batches[0], parameters, v)

    return Ready(run, lambda: {"product": run()})


def functional_loss(X: Any, y: Any) -> Any:
    """The loss of a batch, as a function of the parameters."""

    def loss(W1: Any, b1: Any, W2: Any, b2: Any, W3: Any, b3: Any) -> Any:
        h1 = mg.relu(mg.linear(X, W1, b1))
        h2 = mg.relu(mg.linear(h1, W2, b2))
        return mg.cross_entropy(mg.linear(h2, W3, b3), y)

    return loss


@implements("Hessian-vector product", "microgradx, grad of grad")
def grad_of_grad(problem: Curvature) -> Ready:
    model, _ = model_and_optimizer(problem.training)
    parameters = list(model.parameters())
    v = problem.direction()
    X, y = problem.training.batches[0]

    def run() -> Any:
        loss = mg.cross_entropy(model(X), y)
        gradients = mg.autograd.grad(loss, parameters, create_graph=True)
        slope = sum(mg.sum(g * each) for g, each in zip(gradients, v, strict=True))
        return mg.autograd.grad(slope, parameters)

    return Ready(run, lambda: {"product": run()})


# ---------------------------------------------------------------------------- small operations


@implements("small ops", EAGER)
def small_ops(problem: SmallOps) -> Ready:
    x, w, b = (mg.Tensor(array, requires_grad=True) for array in problem.inputs())

    def run() -> tuple[float, Arrays]:
        x.grad = w.grad = b.grad = None
        h = x
        for _ in range(problem.rounds):
            h = mg.tanh(h) * w + b
        total = h.sum()
        total.backward()
        return total.item(), [x.grad, w.grad, b.grad]

    return Ready(run, lambda: dict(zip(("value", "gradient"), run(), strict=True)))


@implements("small ops", COMPILED)
def compiled_small_ops(problem: SmallOps) -> Ready:
    inputs = problem.inputs()

    def f(x: Any, w: Any, b: Any) -> Any:
        h = x
        for _ in range(problem.rounds):
            h = np.tanh(h) * w + b
        return np.sum(h)

    step = compile_or_skip(mg.value_and_grad(f, argnums=(0, 1, 2)))

    def outputs() -> dict[str, Any]:
        value, gradients = step(*inputs)
        return {"value": value, "gradient": list(gradients)}

    return Ready(lambda: step(*inputs), outputs)


# ---------------------------------------------------------------------------- cross-entropy


@implements("cross-entropy", EAGER)
def cross_entropy(problem: Rows) -> Ready:
    logits, y = problem.inputs()
    z = mg.as_tensor(logits).requires_grad_()

    def run() -> tuple[float, np.ndarray]:
        z.grad = None
        loss = mg.cross_entropy(z, y)
        loss.backward()
        return loss.item(), z.grad

    return Ready(run, lambda: dict(zip(("loss", "gradient"), run(), strict=True)))


# ---------------------------------------------------------------------------- convolutions


class Net(mg.nn.Module):
    """The small convolutional network."""

    def __init__(self, problem: Images) -> None:
        K1, c1, K2, c2, W, b = problem.parameters()
        self.kernels1 = mg.Tensor(K1, requires_grad=True)
        self.bias1 = mg.Tensor(c1, requires_grad=True)
        self.kernels2 = mg.Tensor(K2, requires_grad=True)
        self.bias2 = mg.Tensor(c2, requires_grad=True)
        self.out = mg.nn.Linear(W.shape[1], W.shape[0])
        set_parameters(self.out, [W, b])

    def forward(self, x: Any) -> Any:
        x = F.max_pool2d(F.relu(F.conv2d(x, self.kernels1, self.bias1, padding=1)), 2)
        x = F.max_pool2d(F.relu(F.conv2d(x, self.kernels2, self.bias2, padding=1)), 2)
        return self.out(x.reshape(len(x), -1))


@implements("cnn step", EAGER)
def cnn_step(problem: Images) -> Ready:
    model = Net(problem)
    optimizer = mg.optim.SGD(model.parameters(), lr=problem.lr)
    return prepare_eager_step(model, optimizer, problem)


@implements("cnn step", COMPILED)
def compiled_cnn_step(problem: Images) -> Ready:
    model = Net(problem)
    optimizer = mg.optim.SGD(model.parameters(), lr=problem.lr)
    return prepare_compiled_step(model, optimizer, problem)


@implements("conv2d", EAGER)
def conv2d(problem: Layer) -> Ready:
    *inputs, g = problem.inputs()
    x, k, b = (mg.Tensor(array, requires_grad=True) for array in inputs)

    def run() -> Iterator[Any]:
        x.grad = k.grad = b.grad = None
        out = F.conv2d(x, k, b, padding=1)
        out.backward(g)
        return out.data, x.grad, k.grad, b.grad

    return Ready(run, lambda: layer_outputs(*run()))


@implements("max_pool2d", EAGER)
def max_pool2d(problem: Layer) -> Ready:
    images, _, _, g = problem.inputs()
    x = mg.Tensor(images, requires_grad=True)
    g = F.max_pool2d(g, 2)

    def run() -> Iterator[Any]:
        x.grad = None
        out = F.max_pool2d(x, 2)
        out.backward(g)
        return out.data, x.grad

    return Ready(run, lambda: layer_outputs(*run()))
