"""The computations: networks, their data and other inputs, the same for every library."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import numpy as np

from benchmarks.harness import Ready

Arrays = list[np.ndarray]
Batch = tuple[np.ndarray, np.ndarray]

# Adam's settings, which are the same in all libraries.
BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8


# ---------------------------------------------------------------------------- training steps


@dataclass(frozen=True)
class Training:
    """Steps of training a perceptron with two hidden layers: forward, backward, update.

    The loss is the mean cross-entropy of softmax. `sizes` are those of the input, two hidden layers
    and the output; `batches` are used in turn, again and again.
    """

    sizes: tuple[int, int, int, int]
    activation: Literal["tanh", "relu"]
    optimizer: Literal["SGD", "Adam"]
    lr: float
    batches: tuple[Batch, ...]

    def parameters(self) -> Arrays:
        """New arrays W1, b1, W2, b2, W3, b3 to start from, weights of shape (out, in)."""
        generator = np.random.default_rng(1)
        arrays = []
        for inputs, outputs in itertools.pairwise(self.sizes):
            deviation = np.sqrt((2 if self.activation == "relu" else 1) / inputs)
            arrays.append(generator.normal(0, deviation, (outputs, inputs)).astype(np.float32))
            arrays.append(generator.normal(0, 0.05, outputs).astype(np.float32))
        return arrays

    def turns(self, convert: Callable[[np.ndarray], Any] = lambda x: x) -> Iterator[Any]:
        """The batches in an endless cycle, as arrays of a library."""
        return itertools.cycle([(convert(X), convert(y)) for X, y in self.batches])


def prepare_training(
    run: Callable[[], float],
    parameters: Callable[[], Arrays],
    gradients: Callable[[], tuple[float, Arrays]] | None = None,
) -> Ready:
    """A training step to time. Its outputs are the gradients, and the effect of three steps.

    `run` takes one step and returns the loss before it. `parameters` returns the current ones, in
    the problem's order and shapes, and `gradients` the loss and gradients of the first batch, if
    the library shows them. The *change* of parameters is compared, as it is small beside them.
    """

    def outputs() -> dict[str, Any]:
        found: dict[str, Any] = {}
        if gradients is not None:
            found["loss"], found["gradient"] = gradients()
        before = [array.copy() for array in parameters()]
        found["loss of three steps"] = [run() for _ in range(3)]
        found["change by three steps"] = [
            after - array for after, array in zip(parameters(), before, strict=True)
        ]
        return found

    return Ready(run, outputs)


def moons_training() -> Training:
    """2-16-16-2 with tanh, batches of 32 points of two moons."""
    from microgradx.data import moons

    X, y = moons(576, 0.2, np.random.default_rng(0))
    return Training((2, 16, 16, 2), "tanh", "SGD", 0.05, _make_batches(X, y, 32))


def digits_training(optimizer: Literal["SGD", "Adam"]) -> Training:
    """64-64-32-10 with relu, batches of 32 of the real handwritten digits."""
    X, y, _, _ = split_digits()
    lr = 0.05 if optimizer == "SGD" else 1e-3
    return Training((64, 64, 32, 10), "relu", optimizer, lr, _make_batches(X, y, 32))


def wide_training() -> Training:
    """784-256-128-10 with relu, batches of 128 synthetic images of MNIST's size."""
    generator = np.random.default_rng(0)
    y = generator.integers(10, size=1280)
    X = generator.random((10, 784))[y] + generator.normal(0, 0.5, (1280, 784))
    return Training((784, 256, 128, 10), "relu", "SGD", 0.01, _make_batches(X, y, 128))


def _make_batches(X: np.ndarray, y: np.ndarray, size: int) -> tuple[Batch, ...]:
    """All complete batches."""
    X = X.astype(np.float32)
    y = y.astype(np.int64)
    starts = range(0, len(X) - size + 1, size)
    return tuple((X[i : i + size].copy(), y[i : i + size].copy()) for i in starts)


@cache
def split_digits() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """scikit-learn's handwritten digits: 1,437 rows to train on, 360 held out, their labels."""
    from sklearn.datasets import load_digits

    from microgradx.data import stratified_split

    X, y = load_digits(return_X_y=True)
    X = (X / 16).astype(np.float32)
    train, test = stratified_split(y, 0.2, np.random.default_rng(0))
    return X[train], y[train], X[test], y[test]


# ---------------------------------------------------------------------------- a whole training


@dataclass(frozen=True)
class Digits:
    """A whole training: the digits, 64-64-32-10 with relu, Adam, batches of 32.

    The rows are shuffled in each epoch, in the same order for all; the last batch is smaller.
    """

    epochs: int
    training: Training
    train: Batch
    test: Batch
    batch_size: int = 32

    def orders(self) -> Iterator[np.ndarray]:
        """For each epoch, the rows in a random order."""
        generator = np.random.default_rng(2)
        for _ in range(self.epochs):
            yield generator.permutation(len(self.train[0]))

    def rows_of(self, order: np.ndarray) -> Iterator[np.ndarray]:
        """The rows of each batch of an epoch."""
        return (
            order[start : start + self.batch_size]
            for start in range(0, len(order), self.batch_size)
        )


def digits_whole(epochs: int = 30) -> Digits:
    X, y, X_test, y_test = split_digits()
    return Digits(epochs, digits_training("Adam"), (X, y), (X_test, y_test))


def prepare_whole_training(run: Callable[[], np.ndarray], test: Batch) -> Ready:
    """A training to time: `run` returns the logits of the rows held out.

    Two implementations drift apart by rounding, so only the accuracy is compared; another workload
    compares their steps.
    """
    return Ready(run, lambda: {"accuracy": float(np.mean(run().argmax(axis=1) == test[1]))})


# ---------------------------------------------------------------------------- small operations


@dataclass(frozen=True)
class SmallOps:
    """A chain of `n` ops on 8 elements: tanh, times w, plus b, again and again; then the sum.

    Forward and backward, with gradients for x, w and b.
    """

    n: int

    def inputs(self) -> Arrays:
        """x, w and b, such that values and gradients neither vanish nor explode."""
        generator = np.random.default_rng(0)
        x = generator.normal(size=8)
        w = generator.uniform(1.0, 1.1, size=8)
        b = generator.normal(0, 0.05, size=8)
        return [array.astype(np.float32) for array in (x, w, b)]

    @property
    def rounds(self) -> int:
        return self.n // 3


# ---------------------------------------------------------------------------- cross-entropy


@dataclass(frozen=True)
class Rows:
    """The mean cross-entropy of rows of logits, and its gradient."""

    rows: int
    classes: int

    def inputs(self) -> Batch:
        """Logits and labels; the same arrays at each call, to save memory."""
        return _logits(self.rows, self.classes)


@cache
def _logits(rows: int, classes: int) -> Batch:
    generator = np.random.default_rng(0)
    z = generator.standard_normal((rows, classes), np.float32)
    z *= 2
    return z, generator.integers(classes, size=rows)


# ---------------------------------------------------------------------------- convolutions


@dataclass(frozen=True)
class Images:
    """Steps of training a small convolutional network on images of one channel, by SGD.

    conv 3×3 to 8 channels, relu, max-pool 2, conv 3×3 to 16, relu, max-pool 2, linear to 10.
    """

    batches: tuple[Batch, ...]
    lr: float = 0.02

    @property
    def size(self) -> int:
        return self.batches[0][0].shape[-1]

    def parameters(self) -> Arrays:
        """Kernels and bias, twice, of shape (out, in, 3, 3), then weights (out, in) and bias."""
        generator = np.random.default_rng(1)
        shapes = [(8, 1, 3, 3), (16, 8, 3, 3), (10, 16 * (self.size // 4) ** 2)]
        arrays = []
        for shape in shapes:
            fan_in = np.prod(shape[1:])
            arrays.append(generator.normal(0, np.sqrt(2 / fan_in), shape).astype(np.float32))
            arrays.append(generator.normal(0, 0.05, shape[0]).astype(np.float32))
        return arrays

    def turns(self, convert: Callable[[np.ndarray], Any] = lambda x: x) -> Iterator[Any]:
        return itertools.cycle([(convert(X), convert(y)) for X, y in self.batches])


def digit_images(size: int, batch_size: int = 32, batches: int = 8) -> Images:
    """The digits as images of 8×8, or 28×28: three times as large, with a margin of 2.

    A little noise keeps pixels from being equal: libraries differ in the gradient of ties.
    """
    X, y, _, _ = split_digits()
    X, y = X[: batch_size * batches].reshape(-1, 1, 8, 8), y[: batch_size * batches]
    if size == 28:
        X = np.pad(np.kron(X, np.ones((3, 3))), ((0, 0), (0, 0), (2, 2), (2, 2)))
    X = X + np.random.default_rng(0).normal(0, 0.05, X.shape)
    return Images(_make_batches(X, y, batch_size))


@dataclass(frozen=True)
class Layer:
    """One layer on a batch of images, forward and backward, from a given upstream gradient."""

    shape: tuple[int, int, int, int]
    channels: int  # of the output

    def inputs(self) -> Arrays:
        """Images, kernels, bias, and the gradient at the output of a conv2d of them."""
        generator = np.random.default_rng(0)
        n, c, height, width = self.shape
        shapes = self.shape, (self.channels, c, 3, 3), (self.channels,)
        out = (n, self.channels, height, width)
        return [generator.standard_normal(shape, np.float32) for shape in (*shapes, out)]


# ---------------------------------------------------------------------------- second order


@dataclass(frozen=True)
class Curvature:
    """The Hessian matrix of a training's loss, by its parameters, times a vector."""

    training: Training

    def direction(self) -> Arrays:
        generator = np.random.default_rng(3)
        return [generator.standard_normal(p.shape, np.float32) for p in self.training.parameters()]
