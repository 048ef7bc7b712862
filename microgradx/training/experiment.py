"""A whole training: split a table, train a classifier on most rows, measure it on the others."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np

from microgradx.data import stratified_split
from microgradx.data.tables import Table, TableEncoder
from microgradx.engine import Tensor
from microgradx.functional import cross_entropy
from microgradx.nn import MLP
from microgradx.optim import SGD, Adam
from microgradx.training.classifier import Activation, Classifier
from microgradx.training.datasets import load_table
from microgradx.training.history import History
from microgradx.training.loop import fit
from microgradx.training.prediction import evaluate
from microgradx.training.verification import Verification, verify_gradients

__all__ = ["Experiment"]


class Experiment:
    """A table, of which a fifth of the rows is held out, and a classifier to train on the others.

    `reading` has options of `read_table`. The same seed gives the same bits. The loss is the
    cross-entropy with label smoothing.

    >>> experiment = Experiment("moons", hidden_sizes=(8,), label_smoothing=0.0)
    >>> history = experiment.train("adam", lr=0.01, epochs=20)
    >>> experiment.evaluate()["accuracy"] > 0.8
    True
    """

    def __init__(
        self,
        data: str | Path | Table,
        *,
        reading: Mapping[str, Any] | None = None,
        hidden_sizes: tuple[int, ...] = (256,),
        activation: Activation = "relu",
        temperature: float = 1.0,
        label_smoothing: float = 0.05,
        batch_size: int = 32,
        seed: int = 0,
    ) -> None:
        # A stream for each use: more rows, say, must not change the weights that are drawn.
        streams = np.random.SeedSequence(seed).spawn(4)
        for_data, for_split, for_weights, self._for_batches = map(np.random.default_rng, streams)
        table = (
            data
            if isinstance(data, Table)
            else load_table(data, generator=for_data, **reading or {})
        )
        self.table = table
        training, held_out = stratified_split(table.labels, 0.2, for_split)
        self.classifier = Classifier.from_architecture(
            TableEncoder.fit(table, training),
            table.label_names,
            hidden_sizes=hidden_sizes,
            activation=activation,
            temperature=temperature,
            generator=for_weights,
        )
        self.classifier.preview = str(table)
        encode = self.classifier.encoder.transform
        self.x, self.y = encode(table.take(training)), table.labels[training]
        self.rows_held_out = table.take(held_out)
        self.x_held_out = encode(self.rows_held_out)
        self.y_held_out = table.labels[held_out]
        self.label_smoothing, self.batch_size, self.seed = label_smoothing, batch_size, seed
        self.loss = partial(cross_entropy, label_smoothing=label_smoothing)

    @property
    def steps_per_epoch(self) -> int:
        return math.ceil(len(self.y) / self.batch_size)

    def verify_gradients(self) -> Verification:
        """Check the gradients on a few rows, in float64, where a wrong one cannot hide."""
        classifier = self.classifier
        twin = MLP(
            classifier.encoder.width,
            classifier.hidden_sizes,
            len(classifier.label_names),
            classifier.activation,
            dtype=np.float64,
            generator=np.random.default_rng(0),
        )
        twin.load_state_dict(classifier.model.state_dict())
        return verify_gradients(
            twin,
            self.x[:16].astype(np.float64),
            self.y[:16],
            label_smoothing=self.label_smoothing,
            seed=self.seed,
        )

    def train(
        self,
        optimizer: Literal["sgd", "momentum", "adam"],
        *,
        lr: float,
        epochs: int,
        compiled: bool | None = False,
        progress: bool = False,
    ) -> History:
        """Train the classifier by `fit`; the learning rate falls to 0 along a cosine."""
        model = self.classifier.model
        momentum = 0.9 if optimizer == "momentum" else 0.0
        adam_or_sgd = (
            Adam(model.parameters(), lr)
            if optimizer == "adam"
            else SGD(model.parameters(), lr, momentum=momentum)
        )
        return fit(
            model,
            (self.x, self.y),
            optimizer=adam_or_sgd,
            epochs=epochs,
            batch_size=self.batch_size,
            loss=self.loss,
            schedule="cosine",
            validation=(self.x_held_out, self.y_held_out),
            compiled=compiled,
            generator=self._for_batches,
            progress=progress,
        )

    def evaluate(self) -> dict[str, float]:
        """Cross-entropy (without label smoothing) and accuracy on the rows held out."""
        held_out = self.x_held_out, self.y_held_out
        return evaluate(self.classifier.model, held_out, loss="cross_entropy")

    def loss_of_few_rows(self, rows: int = 4) -> Any:
        """The loss of a training step on a few rows: a Tensor with its graph, to be drawn."""
        self.classifier.model.train()
        logits = self.classifier.model(Tensor(self.x[:rows], name="features"))
        loss = self.loss(logits, Tensor(self.y[:rows], name="labels"))
        loss.name = "loss"
        return loss
