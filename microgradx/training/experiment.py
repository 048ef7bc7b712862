"""A whole training: split a table, train and calibrate a classifier, measure it on other rows."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np

from microgradx.arrays.types import Array
from microgradx.data import stratified_split
from microgradx.data.tables import Table, TableEncoder
from microgradx.engine import Tensor
from microgradx.functional import cross_entropy, softmax
from microgradx.metrics import find_metric
from microgradx.nn import MLP
from microgradx.training.calibration import MIN_ROWS, TemperatureScaling
from microgradx.training.classifier import Activation, Classifier
from microgradx.training.datasets import load_table
from microgradx.training.defaults import OptimizerName, choose_settings, make_optimizer
from microgradx.training.history import History
from microgradx.training.loop import fit
from microgradx.training.model_description import MAX_TEMPERATURE, MIN_TEMPERATURE
from microgradx.training.prediction import compute_outputs
from microgradx.training.schedules import cosine_decay
from microgradx.training.verification import Verification, verify_gradients

__all__ = ["Experiment"]

CALIBRATION_SIZE = 0.2
MIN_REFIT = 0.1


class Experiment:
    """A table, of which a fifth of the rows is held out, and a classifier to train on the others.

    Of those, another fifth is for calibration: it tells when to stop, and at which temperature the
    probabilities are right. Then `refit` trains the network anew on all of them. Tables with fewer
    than 20 rows for calibration have no such part.

    reading: options of `read_table`.
    hidden_sizes, weight_decay: by default those of `choose_settings`.
    temperature: divides the logits; by default it is fitted.
    class_weight: "balanced" for a loss in which each class counts the same.

    The same seed gives the same bits.

    >>> experiment = Experiment("moons", hidden_sizes=(8,))
    >>> history = experiment.train("adam", lr=0.01, epochs=20)
    >>> experiment.calibrate()
    >>> experiment.evaluate()["accuracy"] > 0.8
    True
    """

    def __init__(
        self,
        data: str | Path | Table,
        *,
        reading: Mapping[str, Any] | None = None,
        hidden_sizes: tuple[int, ...] | None = None,
        activation: Activation = "relu",
        temperature: float | None = None,
        label_smoothing: float = 0.0,
        weight_decay: float | None = None,
        dropout: float = 0.0,
        class_weight: Literal["balanced"] | None = None,
        batch_size: int = 32,
        seed: int = 0,
    ) -> None:
        # A stream for each use: more rows, say, must not change the weights that are drawn.
        streams = np.random.SeedSequence(seed).spawn(5)
        for_data, for_split, self._for_batches = (
            np.random.default_rng(streams[i]) for i in (0, 1, 3)
        )
        self._for_weights = streams[2]
        table = (
            data
            if isinstance(data, Table)
            else load_table(data, generator=for_data, **reading or {})
        )
        self.table = table
        training, held_out = stratified_split(table.labels, 0.2, for_split)
        learning, calibration = _hold_out(table.labels[training], np.random.default_rng(streams[4]))
        self.settings = choose_settings(len(learning), batch_size)
        self.hidden_sizes = self.settings.hidden_sizes if hidden_sizes is None else hidden_sizes
        self.activation, self.dropout = activation, dropout
        self.weight_decay, self.class_weight = weight_decay, class_weight
        self.classifier = self._make_classifier(TableEncoder.fit(table, training))
        self.classifier.preview = str(table)
        encode = self.classifier.encoder.transform
        self.x_training, self.y_training = encode(table.take(training)), table.labels[training]
        self.x, self.y = self.x_training[learning], self.y_training[learning]
        self.x_calibration = self.x_training[calibration]
        self.y_calibration = self.y_training[calibration]
        self.held_out = held_out  # their indices in the table
        self.rows_held_out = table.take(held_out)
        self.x_held_out = encode(self.rows_held_out)
        self.y_held_out = table.labels[held_out]
        self.label_smoothing, self.batch_size, self.seed = label_smoothing, batch_size, seed
        self.loss = partial(cross_entropy, label_smoothing=label_smoothing)
        self.temperature_note: str | None = None
        if temperature is not None:
            self.classifier.temperature = temperature
            self.temperature_note = "as it was given"

    def _make_classifier(self, encoder: TableEncoder) -> Classifier:
        return Classifier.from_architecture(
            encoder,
            self.table.label_names,
            hidden_sizes=self.hidden_sizes,
            activation=self.activation,
            dropout=self.dropout,
            generator=np.random.default_rng(self._for_weights),
        )

    def verify_gradients(self) -> Verification:
        """Check the gradients on a few rows, in float64, where a wrong one cannot hide."""
        classifier = self.classifier
        twin = MLP(
            classifier.encoder.width,
            classifier.hidden_sizes,
            len(classifier.label_names),
            classifier.activation,
            classifier.dropout,
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
        optimizer: OptimizerName = "adam",
        *,
        lr: float | None = None,
        epochs: int | None = None,
        early_stopping: bool = True,
        patience: int | None = None,
        compiled: bool | None = None,
        progress: bool = False,
    ) -> History:
        """Train the classifier by `fit`; the learning rate falls to 0 along a cosine.

        With `early_stopping`, the classifier gets the weights of the epoch in which the loss of the
        calibration rows was the least.
        """
        self.epochs = epochs = self.settings.epochs if epochs is None else epochs
        self._fit = partial(
            fit,
            batch_size=self.batch_size,
            loss=self.loss,
            class_weight=self.class_weight,
            compiled=compiled,
            generator=self._for_batches,
            progress=progress,
        )
        self._make_optimizer = partial(
            make_optimizer,
            name=optimizer,
            lr=lr,
            weight_decay=self.weight_decay,
            settings=self.settings,
        )
        has_calibration = len(self.y_calibration) > 0
        self.history = self._fit(
            self.classifier.model,
            (self.x, self.y),
            optimizer=self._make_optimizer(self.classifier.model),
            epochs=epochs,
            schedule="cosine",
            validation=(self.x_calibration, self.y_calibration) if has_calibration else None,
            early_stopping=early_stopping and has_calibration,
            patience=math.ceil(epochs / 4) if patience is None else patience,
        )
        best = self.history.best_epoch if early_stopping and has_calibration else None
        self.refit_epochs = max(best or epochs, math.ceil(epochs * MIN_REFIT))
        return self.history

    def calibrate(self) -> None:
        """Fit the temperature to the calibration rows, unless one was given.

        `temperature_note` then says what was found.
        """
        if self.temperature_note is not None:
            return
        if len(self.y_calibration) == 0:
            self.temperature_note = "not fitted: the table has too few rows to hold some out for it"
            return
        scaling = TemperatureScaling()
        logits = compute_outputs(self.classifier.model, self.x_calibration)
        scaling.fit(logits, self.y_calibration, warn=False)
        self.temperature_note = scaling.message
        limits = MIN_TEMPERATURE, MAX_TEMPERATURE
        self.classifier.temperature = float(np.clip(scaling.temperature, *limits))

    def refit(self) -> History:
        """Train the network anew, on the calibration rows too, until the best epoch.

        That is no earlier than a tenth of all epochs, as it is a matter of chance with few rows for
        calibration. The learning rate falls as it did. After Ctrl-C, the classifier keeps its
        weights.
        """
        model = self._make_classifier(self.classifier.encoder).model
        share = self.refit_epochs / self.epochs
        history = self._fit(
            model,
            (self.x_training, self.y_training),
            optimizer=self._make_optimizer(model),
            epochs=self.refit_epochs,
            schedule=lambda done: cosine_decay(done * share),
        )
        if not history.interrupted:
            self.classifier.model.load_state_dict(model.state_dict())
        return history

    def held_out_probabilities(self, temperature: float | None = None) -> Array:
        """Probabilities of the rows held out, at the classifier's temperature or another."""
        logits = compute_outputs(self.classifier.model, self.x_held_out)
        used = self.classifier.temperature if temperature is None else temperature
        probabilities: Array = softmax(logits.astype(np.float64), temperature=used)
        return probabilities

    def evaluate(self, temperature: float | None = None) -> dict[str, float]:
        """Accuracy, log-loss and expected calibration error on the rows held out."""
        p, labels = self.held_out_probabilities(temperature), self.y_held_out
        names = ("accuracy", "log_loss", "expected_calibration_error")
        return {name: find_metric(name)(labels, p) for name in names}

    def loss_of_few_rows(self, rows: int = 4) -> Any:
        """The loss of a training step on a few rows: a Tensor with its graph, to be drawn."""
        self.classifier.model.train()
        logits = self.classifier.model(Tensor(self.x[:rows], name="features"))
        loss = self.loss(logits, Tensor(self.y[:rows], name="labels"))
        loss.name = "loss"
        return loss


def _hold_out(labels: Array, generator: np.random.Generator) -> tuple[Array, Array]:
    """Rows to learn from, and a fifth of the rows for calibration; none if those are too few.

    A class with a single row is learnt.
    """
    rows = np.arange(len(labels))
    frequent = rows[np.bincount(labels)[labels] >= 2]
    if round(CALIBRATION_SIZE * len(frequent)) < MIN_ROWS:
        return rows, rows[:0]
    _, chosen = stratified_split(labels[frequent], CALIBRATION_SIZE, generator)
    calibration = frequent[chosen]
    return np.setdiff1d(rows, calibration), calibration
