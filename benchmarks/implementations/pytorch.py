"""PyTorch on the CPU: eager, and a whole step by `torch.compile` if there is a C++ compiler."""

from __future__ import annotations

import os
import shutil
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from benchmarks.harness import THREADS, Ready, Unavailable, implements
from benchmarks.implementations.by_hand import layer_outputs
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

EAGER, COMPILED = "PyTorch", "torch.compile"

torch.set_num_threads(THREADS)


def compile_or_skip(function: Any) -> Any:
    if not (os.environ.get("CXX") or shutil.which("g++") or shutil.which("clang++")):
        raise Unavailable("torch.compile needs a C++ compiler")
    return torch.compile(function, fullgraph=True, dynamic=False)


def make_leaves(arrays: Arrays) -> list[torch.Tensor]:
    return [torch.tensor(array, requires_grad=True) for array in arrays]


def to_numpy(tensors: Any) -> Arrays:
    return [tensor.detach().numpy() for tensor in tensors]


# ---------------------------------------------------------------------------- perceptrons


class MLP(torch.nn.Sequential):
    def __init__(self, training: Training) -> None:
        activation = {"tanh": torch.nn.Tanh, "relu": torch.nn.ReLU}[training.activation]
        inputs, hidden1, hidden2, outputs = training.sizes
        super().__init__(
            torch.nn.Linear(inputs, hidden1),
            activation(),
            torch.nn.Linear(hidden1, hidden2),
            activation(),
            torch.nn.Linear(hidden2, outputs),
        )
        with torch.no_grad():
            for parameter, value in zip(self.parameters(), training.parameters(), strict=True):
                parameter.copy_(torch.from_numpy(value))


def make_optimizer(training: Training, model: MLP) -> Any:
    return getattr(torch.optim, training.optimizer)(model.parameters(), lr=training.lr)


@implements("training step", EAGER)
def training_step(training: Training) -> Ready:
    model = MLP(training)
    parameters = list(model.parameters())
    optimizer = make_optimizer(training, model)
    batches = training.turns(torch.from_numpy)

    def run() -> float:
        X, y = next(batches)
        optimizer.zero_grad()
        loss = F.cross_entropy(model(X), y)
        loss.backward()
        optimizer.step()
        return loss.item()

    def gradients() -> tuple[float, Arrays]:
        X, y = map(torch.from_numpy, training.batches[0])
        loss = F.cross_entropy(model(X), y)
        return loss.item(), to_numpy(torch.autograd.grad(loss, parameters))

    return prepare_training(run, lambda: to_numpy(parameters), gradients)


def make_compiled_step(training: Training) -> Any:
    """Forward, backward and update as one compiled function, which returns the loss.

    It is a function of the parameters, as the compiler does not trace `loss.backward()`. Parameters
    and optimiser state are updated in place.
    """
    activation = {"tanh": torch.tanh, "relu": torch.relu}[training.activation]

    def loss_of(parameters: Any, X: Any, y: Any) -> Any:
        W1, b1, W2, b2, W3, b3 = parameters
        h1 = activation(F.linear(X, W1, b1))
        h2 = activation(F.linear(h1, W2, b2))
        return F.cross_entropy(F.linear(h2, W3, b3), y)

    def step(parameters: Any, t: Any, ms: Any, vs: Any, X: Any, y: Any) -> Any:
        gradients, loss = torch.func.grad_and_value(loss_of)(parameters, X, y)
        if training.optimizer == "SGD":
            for w, g in zip(parameters, gradients, strict=True):
                w.sub_(training.lr * g)
            return loss
        t.add_(1)
        rate, unbias = training.lr / (1 - BETA1**t), 1 / torch.sqrt(1 - BETA2**t)
        for w, g, m, v in zip(parameters, gradients, ms, vs, strict=True):
            m.mul_(BETA1).add_((1 - BETA1) * g)
            v.mul_(BETA2).add_((1 - BETA2) * g * g)
            w.sub_(rate * m / (torch.sqrt(v) * unbias + EPSILON))
        return loss

    return compile_or_skip(step)


def make_state(training: Training) -> Any:
    """Parameters, and Adam's t, m and v."""
    parameters = [torch.from_numpy(p) for p in training.parameters()]
    ms, vs = ([torch.zeros_like(p) for p in parameters] for _ in range(2))
    return parameters, torch.zeros(()), ms, vs


@implements("training step", COMPILED)
def compiled_training_step(training: Training) -> Ready:
    step = make_compiled_step(training)
    parameters, *state = make_state(training)
    batches = training.turns(torch.from_numpy)

    def run() -> float:
        X, y = next(batches)
        return step(parameters, *state, X, y).item()

    return prepare_training(run, lambda: to_numpy(parameters))


@implements("digits", EAGER)
def digits(problem: Digits) -> Ready:
    X, y = map(torch.from_numpy, problem.train)

    def run() -> np.ndarray:
        model = MLP(problem.training)
        optimizer = make_optimizer(problem.training, model)
        for order in problem.orders():
            for rows in problem.rows_of(order):
                rows = torch.from_numpy(rows)
                optimizer.zero_grad()
                loss = F.cross_entropy(model(X[rows]), y[rows])
                loss.backward()
                optimizer.step()
        with torch.no_grad():
            return model(torch.from_numpy(problem.test[0])).numpy()

    return prepare_whole_training(run, problem.test)


@implements("digits", COMPILED)
def compiled_digits(problem: Digits) -> Ready:
    X, y = map(torch.from_numpy, problem.train)
    step = make_compiled_step(problem.training)
    model = MLP(problem.training)

    def run() -> np.ndarray:
        parameters, *state = make_state(problem.training)
        for order in problem.orders():
            for rows in problem.rows_of(order):
                rows = torch.from_numpy(rows)
                step(parameters, *state, X[rows], y[rows])
        named = dict(zip(dict(model.named_parameters()), parameters, strict=True))
        with torch.no_grad():
            test = torch.from_numpy(problem.test[0])
            return torch.func.functional_call(model, named, (test,)).numpy()

    return prepare_whole_training(run, problem.test)


@implements("Hessian-vector product", EAGER)
def hessian_vector_product(problem: Curvature) -> Ready:
    """The gradient of the product of the gradient with v."""
    model = MLP(problem.training)
    parameters = list(model.parameters())
    direction = [torch.from_numpy(v) for v in problem.direction()]
    X, y = map(torch.from_numpy, problem.training.batches[0])

    def run() -> Any:
        loss = F.cross_entropy(model(X), y)
        gradients = torch.autograd.grad(loss, parameters, create_graph=True)
        return torch.autograd.grad(gradients, parameters, grad_outputs=direction)

    return Ready(run, lambda: {"product": to_numpy(run())})


# ---------------------------------------------------------------------------- small operations


@implements("small ops", EAGER)
def small_ops(problem: SmallOps) -> Ready:
    x, w, b = make_leaves(problem.inputs())

    def run() -> tuple[float, Any]:
        x.grad = w.grad = b.grad = None
        h = x
        for _ in range(problem.rounds):
            h = torch.tanh(h) * w + b
        total = h.sum()
        total.backward()
        return total.item(), [x.grad, w.grad, b.grad]

    def outputs() -> dict[str, Any]:
        value, gradient = run()
        return {"value": value, "gradient": to_numpy(gradient)}

    return Ready(run, outputs)


# ---------------------------------------------------------------------------- cross-entropy


@implements("cross-entropy", EAGER)
def cross_entropy(problem: Rows) -> Ready:
    logits, labels = problem.inputs()
    z = torch.from_numpy(logits).requires_grad_()
    y = torch.from_numpy(labels)

    def run() -> tuple[float, np.ndarray]:
        z.grad = None
        loss = F.cross_entropy(z, y)
        loss.backward()
        return loss.item(), z.grad.numpy()

    return Ready(run, lambda: dict(zip(("loss", "gradient"), run(), strict=True)))


# ---------------------------------------------------------------------------- convolutions


class Net(torch.nn.Module):
    def __init__(self, problem: Images) -> None:
        super().__init__()
        self.conv1 = torch.nn.Conv2d(1, 8, 3, padding=1)
        self.conv2 = torch.nn.Conv2d(8, 16, 3, padding=1)
        self.out = torch.nn.Linear(16 * (problem.size // 4) ** 2, 10)
        with torch.no_grad():
            for parameter, value in zip(self.parameters(), problem.parameters(), strict=True):
                parameter.copy_(torch.from_numpy(value))

    def forward(self, x: Any) -> Any:
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        return self.out(x.flatten(1))


@implements("cnn step", EAGER)
def cnn_step(problem: Images) -> Ready:
    model = Net(problem)
    parameters = list(model.parameters())
    optimizer = torch.optim.SGD(parameters, lr=problem.lr)
    batches = problem.turns(torch.from_numpy)

    def run() -> float:
        X, y = next(batches)
        optimizer.zero_grad()
        loss = F.cross_entropy(model(X), y)
        loss.backward()
        optimizer.step()
        return loss.item()

    def gradients() -> tuple[float, Arrays]:
        X, y = map(torch.from_numpy, problem.batches[0])
        loss = F.cross_entropy(model(X), y)
        return loss.item(), to_numpy(torch.autograd.grad(loss, parameters))

    return prepare_training(run, lambda: to_numpy(parameters), gradients)


@implements("cnn step", COMPILED)
def compiled_cnn_step(problem: Images) -> Ready:
    parameters = [torch.from_numpy(p) for p in problem.parameters()]
    batches = problem.turns(torch.from_numpy)

    def loss_of(parameters: Any, X: Any, y: Any) -> Any:
        K1, c1, K2, c2, W, b = parameters
        h = F.max_pool2d(F.relu(F.conv2d(X, K1, c1, padding=1)), 2)
        h = F.max_pool2d(F.relu(F.conv2d(h, K2, c2, padding=1)), 2)
        return F.cross_entropy(F.linear(h.flatten(1), W, b), y)

    @compile_or_skip
    def step(parameters: Any, X: Any, y: Any) -> Any:
        gradients, loss = torch.func.grad_and_value(loss_of)(parameters, X, y)
        for w, g in zip(parameters, gradients, strict=True):
            w.sub_(problem.lr * g)
        return loss

    return prepare_training(
        lambda: step(parameters, *next(batches)).item(),
        lambda: to_numpy(parameters),
    )


@implements("conv2d", EAGER)
def conv2d(problem: Layer) -> Ready:
    *inputs, upstream = problem.inputs()
    x, k, b = make_leaves(inputs)
    g = torch.from_numpy(upstream)

    def run() -> Any:
        x.grad = k.grad = b.grad = None
        out = F.conv2d(x, k, b, padding=1)
        out.backward(g)
        return out, x.grad, k.grad, b.grad

    return Ready(run, lambda: layer_outputs(*to_numpy(run())))


@implements("max_pool2d", EAGER)
def max_pool2d(problem: Layer) -> Ready:
    images, _, _, upstream = problem.inputs()
    (x,) = make_leaves([images])
    g = F.max_pool2d(torch.from_numpy(upstream), 2)

    def run() -> Any:
        x.grad = None
        out = F.max_pool2d(x, 2)
        out.backward(g)
        return out, x.grad

    return Ready(run, lambda: layer_outputs(*to_numpy(run())))
