"""JAX: each computation as one function under `jax.jit`, the whole training step included."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.flatten_util import ravel_pytree

from benchmarks.harness import Ready, implements
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

NAME, VECTOR = "JAX, jit", "JAX, jit of one vector"

tree_map = jax.tree_util.tree_map


def to_numpy(tree: Any) -> Arrays:
    return [np.asarray(leaf) for leaf in jax.tree_util.tree_leaves(tree)]


def cross_entropy_of(z: Any, y: Any) -> Any:
    return -jnp.mean(jax.nn.log_softmax(z)[jnp.arange(len(y)), y])


# ---------------------------------------------------------------------------- perceptrons


def logits(activation: str, parameters: Any, X: Any) -> Any:
    W1, b1, W2, b2, W3, b3 = parameters
    f = {"tanh": jnp.tanh, "relu": jax.nn.relu}[activation]
    h1 = f(X @ W1.T + b1)
    h2 = f(h1 @ W2.T + b2)
    return h2 @ W3.T + b3


def make_loss(activation: str) -> Any:
    def loss(parameters: Any, X: Any, y: Any) -> Any:
        return cross_entropy_of(logits(activation, parameters, X), y)

    return loss


def update(optimizer: str, lr: float, parameters: Any, state: Any, gradients: Any) -> Any:
    """The parameters and the optimiser's state after a step."""
    if optimizer == "SGD":
        return tree_map(lambda w, g: w - lr * g, parameters, gradients), state
    t, m, v = state
    t = t + 1
    m = tree_map(lambda m, g: BETA1 * m + (1 - BETA1) * g, m, gradients)
    v = tree_map(lambda v, g: BETA2 * v + (1 - BETA2) * g * g, v, gradients)
    rate, unbias = lr / (1 - BETA1**t), 1 / jnp.sqrt(1 - BETA2**t)
    new = tree_map(
        lambda w, m, v: w - rate * m / (jnp.sqrt(v) * unbias + EPSILON), parameters, m, v
    )
    return new, (t, m, v)


def make_state(training: Training, *, as_vector: bool = False) -> tuple[Any, Any, Any]:
    """Parameters and optimiser state before the first step; a function that restores shapes."""
    parameters: Any = [jnp.asarray(p) for p in training.parameters()]
    unravel: Any = list
    if as_vector:
        parameters, unravel = ravel_pytree(parameters)
    if training.optimizer == "SGD":
        return parameters, (), unravel
    m, v = (tree_map(jnp.zeros_like, parameters) for _ in range(2))
    return parameters, (jnp.zeros((), jnp.float32), m, v), unravel


def make_step(training: Training, unravel: Any) -> Any:
    """A whole training step, not yet compiled."""
    loss = make_loss(training.activation)

    def step(parameters: Any, state: Any, X: Any, y: Any) -> Any:
        value, gradients = jax.value_and_grad(lambda p: loss(unravel(p), X, y))(parameters)
        return value, *update(training.optimizer, training.lr, parameters, state, gradients)

    return step


@implements("training step", NAME)
def training_step(training: Training, *, as_vector: bool = False) -> Ready:
    parameters, state, unravel = make_state(training, as_vector=as_vector)
    step = jax.jit(make_step(training, unravel), donate_argnums=(0, 1))
    batches = training.turns(jnp.asarray)

    def run() -> float:
        nonlocal parameters, state
        value, parameters, state = step(parameters, state, *next(batches))
        return float(value)  # waits for the result

    def gradients() -> tuple[float, Arrays]:
        value_and_grad = jax.value_and_grad(make_loss(training.activation))
        value, found = value_and_grad(unravel(parameters), *training.batches[0])
        return float(value), to_numpy(found)

    return prepare_training(run, lambda: to_numpy(unravel(parameters)), gradients)


@implements("training step", VECTOR)
def training_step_of_one_vector(training: Training) -> Ready:
    """All parameters in one vector, by `ravel_pytree`: fewer buffers to pass at each call."""
    return training_step(training, as_vector=True)


@implements("digits", NAME)
def digits(problem: Digits, *, as_vector: bool = False) -> Ready:
    training = problem.training
    X, y = (jnp.asarray(each) for each in problem.train)
    _, _, unravel = make_state(training, as_vector=as_vector)
    step = make_step(training, unravel)

    @partial(jax.jit, donate_argnums=(0, 1))
    def step_at(parameters: Any, state: Any, rows: Any) -> Any:
        return step(parameters, state, X[rows], y[rows])[1:]

    def run() -> np.ndarray:
        parameters, state, _ = make_state(training, as_vector=as_vector)
        for order in problem.orders():
            for rows in problem.rows_of(order):
                parameters, state = step_at(parameters, state, rows)
        return np.asarray(logits(training.activation, unravel(parameters), problem.test[0]))

    return prepare_whole_training(run, problem.test)


@implements("digits", VECTOR)
def digits_of_one_vector(problem: Digits) -> Ready:
    return digits(problem, as_vector=True)


@implements("digits", "JAX, jit of an epoch")
def digits_by_epochs(problem: Digits) -> Ready:
    """`lax.scan` over the batches of an epoch; the last, smaller one is a step of its own."""
    training = problem.training
    X, y = (jnp.asarray(each) for each in problem.train)
    _, _, unravel = make_state(training, as_vector=True)
    step = make_step(training, unravel)
    full = len(X) // problem.batch_size

    @partial(jax.jit, donate_argnums=(0, 1))
    def epoch(parameters: Any, state: Any, order: Any) -> Any:
        def body(carried: Any, rows: Any) -> Any:
            return step(*carried, X[rows], y[rows])[1:], None

        rows = order[: full * problem.batch_size].reshape(full, problem.batch_size)
        carried, _ = lax.scan(body, (parameters, state), rows)
        last = order[full * problem.batch_size :]
        return step(*carried, X[last], y[last])[1:]

    def run() -> np.ndarray:
        parameters, state, _ = make_state(training, as_vector=True)
        for order in problem.orders():
            parameters, state = epoch(parameters, state, order)
        return np.asarray(logits(training.activation, unravel(parameters), problem.test[0]))

    return prepare_whole_training(run, problem.test)


@implements("Hessian-vector product", NAME)
def hessian_vector_product(problem: Curvature) -> Ready:
    """Forward mode over reverse mode."""
    training = problem.training
    parameters = [jnp.asarray(p) for p in training.parameters()]
    direction = [jnp.asarray(v) for v in problem.direction()]
    X, y = (jnp.asarray(each) for each in training.batches[0])
    gradient = jax.grad(make_loss(training.activation))

    @jax.jit
    def product(p: Any, v: Any, X: Any, y: Any) -> Any:
        return jax.jvp(lambda p: gradient(p, X, y), (p,), (v,))[1]

    def run() -> Any:
        return jax.block_until_ready(product(parameters, direction, X, y))

    return Ready(run, lambda: {"product": to_numpy(run())})


# ---------------------------------------------------------------------------- small operations


@implements("small ops", NAME)
def small_ops(problem: SmallOps) -> Ready:
    inputs = [jnp.asarray(array) for array in problem.inputs()]

    @jax.jit
    def value_and_grad(*inputs: Any) -> Any:
        def chain(x: Any, w: Any, b: Any) -> Any:
            h = x
            for _ in range(problem.rounds):
                h = jnp.tanh(h) * w + b
            return h.sum()

        return jax.value_and_grad(chain, argnums=(0, 1, 2))(*inputs)

    def run() -> Any:
        return jax.block_until_ready(value_and_grad(*inputs))

    def outputs() -> dict[str, Any]:
        value, gradient = run()
        return {"value": float(value), "gradient": to_numpy(gradient)}

    return Ready(run, outputs)


# ---------------------------------------------------------------------------- cross-entropy


@implements("cross-entropy", NAME)
def cross_entropy(problem: Rows) -> Ready:
    z, y = (jnp.asarray(each) for each in problem.inputs())
    value_and_grad = jax.jit(jax.value_and_grad(cross_entropy_of))

    def run() -> Any:
        return jax.block_until_ready(value_and_grad(z, y))

    def outputs() -> dict[str, Any]:
        loss, gradient = run()
        return {"loss": float(loss), "gradient": np.asarray(gradient)}

    return Ready(run, outputs)


# ---------------------------------------------------------------------------- convolutions


def convolve(x: Any, k: Any, b: Any) -> Any:
    names = ("NCHW", "OIHW", "NCHW")
    out = lax.conv_general_dilated(x, k, (1, 1), "SAME", dimension_numbers=names)
    return out + b[:, None, None]


def max_pool(x: Any) -> Any:
    window = (1, 1, 2, 2)
    return lax.reduce_window(x, -jnp.inf, lax.max, window, window, "VALID")


@implements("cnn step", NAME)
def cnn_step(problem: Images) -> Ready:
    parameters = [jnp.asarray(p) for p in problem.parameters()]
    batches = problem.turns(jnp.asarray)

    def loss(parameters: Any, X: Any, y: Any) -> Any:
        K1, c1, K2, c2, W, b = parameters
        h = max_pool(jax.nn.relu(convolve(X, K1, c1)))
        h = max_pool(jax.nn.relu(convolve(h, K2, c2)))
        return cross_entropy_of(h.reshape(len(X), -1) @ W.T + b, y)

    value_and_grad = jax.jit(jax.value_and_grad(loss))

    @partial(jax.jit, donate_argnums=0)
    def step(parameters: Any, X: Any, y: Any) -> Any:
        value, gradients = value_and_grad(parameters, X, y)
        return value, tree_map(lambda w, g: w - problem.lr * g, parameters, gradients)

    def run() -> float:
        nonlocal parameters
        value, parameters = step(parameters, *next(batches))
        return float(value)

    def gradients() -> tuple[float, Arrays]:
        value, found = value_and_grad(parameters, *problem.batches[0])
        return float(value), to_numpy(found)

    return prepare_training(run, lambda: to_numpy(parameters), gradients)


@implements("conv2d", NAME)
def conv2d(problem: Layer) -> Ready:
    *inputs, g = (jnp.asarray(array) for array in problem.inputs())

    @jax.jit
    def forward_and_backward(g: Any, *inputs: Any) -> Any:
        out, pull = jax.vjp(convolve, *inputs)
        return out, *pull(g)

    def run() -> Any:
        return jax.block_until_ready(forward_and_backward(g, *inputs))

    return Ready(run, lambda: layer_outputs(*to_numpy(run())))


@implements("max_pool2d", NAME)
def max_pool2d(problem: Layer) -> Ready:
    x, _, _, g = (jnp.asarray(array) for array in problem.inputs())
    g = max_pool(g)

    @jax.jit
    def forward_and_backward(g: Any, x: Any) -> Any:
        out, pull = jax.vjp(max_pool, x)
        return out, *pull(g)

    def run() -> Any:
        return jax.block_until_ready(forward_and_backward(g, x))

    return Ready(run, lambda: layer_outputs(*to_numpy(run())))
