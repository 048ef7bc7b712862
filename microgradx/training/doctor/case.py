"""What is diagnosed: a model, data, loss and optimiser, as copies to experiment on."""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain, islice, repeat
from typing import Any

import numpy as np

from microgradx.arrays.types import Array
from microgradx.data import batches
from microgradx.engine import Tensor
from microgradx.graph.grad_mode import no_grad
from microgradx.training.arguments import find_optimizer
from microgradx.training.doctor.constant_predictions import best_constant_loss, lowest_loss
from microgradx.training.doctor.loss_probe import LossProbe
from microgradx.training.doctor.optimizer_settings import set_rate

__all__ = ["MAX_ROWS", "Case", "Setup", "quiet"]

#: At most so many rows are looked at, drawn at random.
MAX_ROWS = 1000


@contextmanager
def quiet() -> Iterator[None]:
    """Without the warnings that an experiment's numbers, or a fault, would raise."""
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@dataclass
class Setup:
    """Copies of model, loss and optimiser, with rows to train them on."""

    model: Any
    loss: Any
    optimizer: Any
    X: Array
    y: Array

    def measure_loss(self) -> float:
        """The loss of all rows, in evaluation mode."""
        modes = [(module, module.training) for module in self.model.modules()]
        self.model.eval()
        try:
            with no_grad(), quiet():
                return as_number(self.loss(self.model(self.X), self.y))
        finally:
            for module, mode in modes:
                module.training = mode

    def take_step(self, x: Array, y: Array) -> float:
        """One correct step; returns the loss before it."""
        self.optimizer.zero_grad()
        self.model.zero_grad()
        loss = self.loss(self.model(x), y)
        value = as_number(loss)
        if math.isfinite(value) and isinstance(loss, Tensor) and loss.requires_grad:
            total: Any = loss if loss.size == 1 else np.mean(loss)
            total.backward(retain_graph=False)
            self.optimizer.step()
        return value


def as_number(loss: Any) -> float:
    """A loss, or losses of rows, as one number."""
    return float(np.mean(loss.data if isinstance(loss, Tensor) else loss))


@dataclass
class Case:
    """A model with the rows, loss and optimiser that it is trained with. None of them changes.

    X and y are at most 1,000 of the user's rows; `labels` are those of y as whole numbers, one for
    each row, or None for what has no classes.
    """

    model: Any
    X: Array
    y: Array
    loss: Callable[[Any, Any], Any]
    optimizer: Any  # or its name, or None for Adam
    batch_size: int = 32
    lr: float | None = None  # if it is not the optimiser's own
    validation: tuple[Array, Array] | None = None
    seed: int = 0
    columns: Sequence[str] | None = None  # names of the features, if they have some
    trained_loss: float | None = None  # of the last epoch, if a training is over
    rows: int = field(init=False)

    def __post_init__(self) -> None:
        self.rows = len(self.X)
        if self.rows > MAX_ROWS:
            chosen = np.sort(self.generator().permutation(self.rows)[:MAX_ROWS])
            self.X, self.y = self.X[chosen], self.y[chosen]

    def generator(self) -> np.random.Generator:
        return np.random.default_rng(self.seed)

    def draw_batches(self, setup: Setup, steps: int) -> Iterator[tuple[Array, Array]]:
        """A batch for each step, from as many passes over the rows as that takes."""
        size, generator = min(self.batch_size, len(setup.X)), self.generator()
        passes = (batches(setup.X, setup.y, size, generator, drop_last=True) for _ in repeat(None))
        return islice(chain.from_iterable(passes), steps)

    def column_name(self, column: int) -> str:
        """A column of the features in a sentence."""
        return f"column {column}" if self.columns is None else f"column {self.columns[column]!r}"

    def copy(self) -> Setup:
        """Copies that share nothing with the user's objects, nor with each other's."""
        try:
            model, loss, optimizer = copy.deepcopy((self.model, self.loss, self.optimizer))
        except TypeError as error:
            raise TypeError(
                f"the doctor trains copies, and copy.deepcopy of model, loss and optimiser fails: "
                f"{error}; keep open files and the like outside of the model"
            ) from error
        if optimizer is None or isinstance(optimizer, str):
            optimizer = find_optimizer(optimizer or "adam", self.lr, model, loss)
        elif self.lr is not None:
            set_rate(optimizer, self.lr)
        return Setup(model.train(), loss, optimizer, self.X, self.y)

    # ------------------------------------------------------------------ what the loss is

    @cached_property
    def probe(self) -> LossProbe:
        """The loss of the model as it is, and how it is computed."""
        setup = self.copy()
        setup.model.eval()
        with quiet():
            return LossProbe(setup.model, setup.loss, self.X, self.y)

    @cached_property
    def labels(self) -> Array | None:
        return self.probe.find_labels(self.y)

    @property
    def classes(self) -> int:
        return 0 if self.labels is None else int(self.labels.max()) + 1

    @cached_property
    def constant_loss(self) -> float:
        """The lowest loss of a prediction that is the same for every row."""
        with quiet():
            return best_constant_loss(self.loss, self.probe, self.y, self.labels)

    @cached_property
    def lowest_loss(self) -> float | None:
        """The lowest loss that any prediction has, if that is known."""
        with quiet():
            return lowest_loss(self.loss, self.probe, self.y, self.labels)

    def explained(self, loss: float) -> float:
        """How far a loss has come from that of a constant prediction, 0, to the lowest, 1."""
        floor = self.lowest_loss or 0.0
        if not np.isfinite(loss):
            return -np.inf
        span = self.constant_loss - floor
        return float((self.constant_loss - loss) / span) if span > 0 else 0.0
