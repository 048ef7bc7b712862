"""The training loop: shuffle, and for each batch predict, measure, differentiate, step."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from microgradx.arrays.types import Array
from microgradx.data import batches
from microgradx.functional import cross_entropy
from microgradx.graph.grad_mode import no_grad
from microgradx.metrics import accuracy

if TYPE_CHECKING:
    from microgradx.compiler.compiled import CompiledStep

__all__ = ["Epoch", "History", "cosine_decay", "evaluate", "train"]


class Epoch(NamedTuple):
    """Loss and accuracy of one pass over the training rows.

    `loss` and `accuracy` are means over the training rows, measured as each batch is trained on;
    those of the validation rows are measured at the end of the epoch.
    """

    number: int
    loss: float
    accuracy: float
    validation_loss: float | None = None
    validation_accuracy: float | None = None


@dataclass
class History:
    """The epochs of a training, in order. If it was interrupted, the last may be incomplete."""

    epochs: list[Epoch] = field(default_factory=list)
    interrupted: bool = False


def train(
    model: Any,
    features: Array,
    labels: Array,
    *,
    optimizer: Any,
    epochs: int,
    batch_size: int,
    loss: Callable[[Any, Any], Any] = cross_entropy,
    decay: Callable[[float], float] | None = None,
    validation: tuple[Array, Array] | None = None,
    generator: np.random.Generator | None = None,
    compiled: CompiledStep | None = None,
    on_batch: Callable[[], None] | None = None,
    on_epoch: Callable[[Epoch], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> History:
    """Train a classifier on rows of features and their labels, by steps of `optimizer`.

    features, labels: (rows, columns) of floats and (rows,) of integers.
    loss: of logits (batch, classes) and labels (batch,); the mean over the batch.
    decay: maps the share of the training that is done to a factor of the learning rate.
    validation: features and labels to measure loss and accuracy on, after each epoch.
    generator: shuffles the rows in each epoch.
    compiled: what `microgradx.compile` returned for model, loss and optimizer. It takes the same
        steps, faster.
    on_batch, on_epoch: called after each batch and each epoch.
    should_stop: called after each step; if it returns True, the training ends.

    Raises FloatingPointError if the loss is not finite, ValueError if there are no rows.

    >>> import numpy as np
    >>> from microgradx import nn, optim
    >>> generator = np.random.default_rng(0)
    >>> x = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    >>> model = nn.MLP(2, [8], 2, generator=generator)
    >>> optimizer = optim.Adam(model.parameters(), lr=0.05)
    >>> history = train(model, x, np.array([0, 1, 1, 0]), optimizer=optimizer, epochs=100,
    ...                 batch_size=4, generator=generator)
    >>> history.epochs[-1].accuracy
    1.0
    """
    history = History()
    rows = len(labels)
    if rows == 0:
        raise ValueError("there are no rows to train on; give at least one")
    full_rate = optimizer.lr
    steps = epochs * math.ceil(rows / batch_size)
    step = 0
    for number in range(1, epochs + 1):
        model.train()
        loss_sum, right, seen = 0.0, 0, 0
        for x, y in batches(features, labels, batch_size, generator):
            if decay is not None:
                optimizer.lr = full_rate * decay(step / steps)
            with np.errstate(over="ignore", invalid="ignore"):  # the loss is checked below
                if compiled is None:
                    value, logits = _take_step(model, loss, optimizer, x, y)
                else:
                    value, logits = compiled(x, y), compiled.output
            step += 1
            if not math.isfinite(value):
                raise FloatingPointError(
                    f"the loss became {value} in epoch {number}: the steps are too large; lower "
                    f"the learning rate, which is {full_rate:g}"
                )
            loss_sum += value * len(y)
            right += int(np.count_nonzero(np.argmax(logits, axis=1) == y))
            seen += len(y)
            if on_batch is not None:
                on_batch()
            if should_stop is not None and should_stop():
                history.interrupted = True
                break
        validated = evaluate(model, *validation, loss=loss) if validation else (None, None)
        epoch = Epoch(number, loss_sum / seen, right / seen, *validated)
        history.epochs.append(epoch)
        if on_epoch is not None:
            on_epoch(epoch)
        if history.interrupted:
            break
    optimizer.lr = full_rate
    return history


def _take_step(
    model: Any, loss: Callable[[Any, Any], Any], optimizer: Any, x: Array, y: Array
) -> tuple[float, Array]:
    """One step; returns loss and logits. Its graph is freed before the next one is built."""
    optimizer.zero_grad()
    logits = model(x)
    batch_loss = loss(logits, y)
    batch_loss.backward()
    optimizer.step()
    return batch_loss.item(), logits.data


def evaluate(
    model: Any,
    features: Array,
    labels: Array,
    *,
    loss: Callable[[Any, Any], Any] = cross_entropy,
) -> tuple[float, float]:
    """Loss and accuracy of a model in evaluation mode, without recording a graph."""
    model.eval()
    with no_grad(), np.errstate(over="ignore", invalid="ignore"):
        logits = model(features)
        predicted = np.argmax(logits.data, axis=1)
        return float(loss(logits, labels).item()), accuracy(predicted, labels)


def cosine_decay(done: float) -> float:
    """From 1 to 0 along half a cosine.

    Source: I. Loshchilov and F. Hutter, "SGDR", 2017, without restarts.

    >>> cosine_decay(0.5)
    0.5
    """
    return 0.5 * (1 + math.cos(math.pi * done))
