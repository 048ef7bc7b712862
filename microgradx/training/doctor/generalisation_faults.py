"""Faults that show on other rows: overfitting, and probabilities that are not calibrated."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from microgradx.arrays.types import Array
from microgradx.common.messages import format_count
from microgradx.functional import log_softmax
from microgradx.graph.grad_mode import no_grad
from microgradx.training.doctor.case import MAX_ROWS, Case, Setup, quiet
from microgradx.training.doctor.constant_predictions import entropy_of
from microgradx.training.doctor.findings import Finding
from microgradx.training.doctor.loss_probe import BINARY_LOSSES, LossProbe
from microgradx.training.doctor.statistics_of_rows import (
    CONFIRMED,
    SIGNIFICANT,
    difference_score,
    paired_score,
)
from microgradx.training.doctor.trials import STEPS, Remedy, affordable_steps, prepare

__all__ = ["find_generalisation_faults"]

#: What the lowest validation loss is exceeded by, as a share of the class frequencies' loss.
HARM = 0.1
TEMPERATURES = np.geomspace(0.05, 20, 121)


class Judged(NamedTuple):
    """What the trained weights give for training and validation rows."""

    training: Array  # logits
    validation: Array
    training_labels: Array
    labels: Array
    is_copy: bool  # of a short trial, and not the weights given
    #: Of training on these rows from the start: logits where the validation loss was the lowest.
    best: Array
    best_step: int
    steps: int

    def losses(self) -> tuple[Array, Array, Array, Array]:
        """The losses of training rows, of validation rows, of these at their minimum, and of these
        by the class frequencies."""
        counts = np.bincount(self.training_labels, minlength=self.validation.shape[1])
        return (
            _row_losses(self.training, self.training_labels),
            _row_losses(self.validation, self.labels),
            _row_losses(self.best, self.labels),
            _row_losses(np.tile(np.log(counts + 0.5), (len(self.labels), 1)), self.labels),
        )


def find_generalisation_faults(case: Case) -> Iterator[Finding]:
    """Overfitting and miscalibration, on validation rows.

    They are those of the model's weights, if these are trained, and else of a copy that is trained
    as the user would.
    """
    judged = _judge(case)
    if judged is None:
        return
    miscalibration = list(_find_miscalibration(judged))
    if any(
        finding.numbers["confidence"] < finding.numbers["accuracy"] for finding in miscalibration
    ):
        yield from miscalibration  # and too little confidence is no overfitting
        return
    yield from list(_find_overfitting(judged)) or miscalibration


def _judge(case: Case) -> Judged | None:
    if case.validation is None or case.labels is None or len(case.validation[0]) < 20:
        return None
    X, y = case.validation
    chosen = case.generator().permutation(len(X))[:MAX_ROWS]
    X, y = X[chosen], y[chosen]
    labels = case.probe.find_labels(y)
    setup = case.copy()
    training = _logits(setup, case, case.X, case.y)
    if labels is None or training is None:
        return None
    is_copy = not _is_trained(case, training)
    # What is trained already is compared with fresh weights that stop early.
    remedy = Remedy() if is_copy else Remedy(weights=True, adam=True)
    course = _Course.of(case, remedy, X, y, labels, STEPS if is_copy else 400)
    if course is None:
        return None
    if is_copy:
        setup = course.setup
        trained = _logits(setup, case, case.X, case.y)
        if trained is None or not _is_trained(case, trained):
            return None
        training = trained
    validation = _logits(setup, case, X, y)
    if validation is None:
        return None
    return Judged(
        training, validation, case.labels, labels, is_copy, course.best, course.at, course.steps
    )


def _is_trained(case: Case, logits: Array) -> bool:
    """Whether the loss of the training rows is clearly below that of the class frequencies.

    Overconfidence may raise it above. So what an optimiser has changed already is judged with the
    best temperature; initial weights are not, whose scores may agree with some labels by chance.
    """
    assert case.labels is not None
    losses = _row_losses(logits, case.labels)
    if any(getattr(case.optimizer, "state", ())):
        by_temperature = _losses_by_temperature(logits, case.labels)
        losses = by_temperature[np.argmin(by_temperature.mean(axis=1))]
    return bool(losses.mean() <= 0.9 * entropy_of(case.labels))


def _logits(setup: Setup, case: Case, X: Array, y: Array) -> Array | None:
    """Scores whose softmax are the probabilities, (rows, classes), as far as they can be known."""
    setup.model.eval()
    with no_grad(), quiet():
        probe = LossProbe(setup.model, setup.loss, X, y)
        scores = np.asarray(probe.output.data, float)
    if case.probe.kind in BINARY_LOSSES:
        z = scores.reshape(len(scores), -1)
        return np.column_stack([np.zeros(len(z)), z[:, 0]]) if z.shape[1] == 1 else None
    is_scores = scores.ndim == 2 and scores.shape[1] >= case.classes
    return scores if is_scores and np.isfinite(scores).all() else None


def _row_losses(logits: Array, labels: Array) -> Array:
    log_p = np.asarray(log_softmax(logits))
    return -log_p[np.arange(len(labels)), labels]


def _find_overfitting(judged: Judged) -> Iterator[Finding]:
    """The validation loss is far above that of training rows, and above what it could be.

    That is its own minimum, or the loss of the class frequencies.
    """
    training, validation, best, constant = judged.losses()
    is_constant = constant.mean() < best.mean()
    lowest = constant if is_constant else best
    harm = validation - lowest
    if (
        difference_score(validation, training) < SIGNIFICANT
        or paired_score(harm) < (SIGNIFICANT if judged.is_copy else CONFIRMED)
        or harm.mean() < HARM * entropy_of(judged.labels)
    ):
        return
    accuracies = [
        float(np.mean(logits.argmax(axis=1) == labels))
        for logits, labels in (
            (judged.training, judged.training_labels),
            (judged.validation, judged.labels),
        )
    ]
    whose = (
        f"After {format_count(judged.steps, 'step')} of a copy, the" if judged.is_copy else "The"
    )
    remedy = (
        "Stop early, at the lowest validation loss; or use a smaller network, weight decay, "
        "dropout, or more rows."
    )
    if is_constant:
        remedy = (
            "Use fewer columns, a smaller network, weight decay, dropout, or more rows: stopped "
            "early it is no better than a constant prediction either."
        )
        compared = "a constant prediction, the class frequencies, has"
    elif judged.is_copy:
        compared = f"after {format_count(judged.best_step, 'step')} it was"
    else:
        stop = format_count(judged.best_step, "step")
        compared = f"a copy with fresh weights, stopped after {stop}, has"
    yield Finding(
        "overfitting",
        f"{whose} loss is {training.mean():.3g} on training rows and {validation.mean():.3g} on "
        f"validation rows (accuracy {accuracies[0]:.1%} and {accuracies[1]:.1%}); {compared} "
        f"{lowest.mean():.3g} there.",
        remedy,
        {
            "training loss": float(training.mean()),
            "validation loss": float(validation.mean()),
            "lowest": float(lowest.mean()),
            "steps": judged.best_step,
        },
        "warning",
    )


@dataclass
class _Course:
    """A training of a copy, with the logits of validation rows where their loss was the lowest."""

    setup: Setup
    best: Array
    at: int
    steps: int

    @classmethod
    def of(
        cls, case: Case, remedy: Remedy, X: Array, y: Array, labels: Array, steps: int
    ) -> _Course | None:
        setup = prepare(case, remedy)
        course: _Course | None = None
        lowest = math.inf
        steps = affordable_steps(case, steps)
        with quiet():
            for step, (rows, targets) in enumerate(case.draw_batches(setup, steps), 1):
                setup.model.train()
                if not math.isfinite(setup.take_step(rows, targets)):
                    break
                if step % 10 and step != steps:
                    continue
                logits = _logits(setup, case, X, y)
                loss = math.inf if logits is None else float(_row_losses(logits, labels).mean())
                if logits is not None and loss < lowest:
                    lowest = loss
                    course = cls(setup, logits, step, steps)
        return course


def _find_miscalibration(judged: Judged) -> Iterator[Finding]:
    logits, labels = judged.validation, judged.labels
    log_p = np.asarray(log_softmax(logits))
    predicted = np.argmax(log_p, axis=1)
    confidence = np.exp(np.max(log_p, axis=1))
    right = (predicted == labels).astype(float)
    gap = float(np.mean(confidence - right))
    # Of five points or more, and beyond chance. A short training ends before its probabilities
    # are settled: too little confidence says nothing then, and too much only if it is far off.
    is_far = gap >= 0.15 if judged.is_copy else abs(gap) >= 0.05
    if not is_far or abs(paired_score(confidence - right)) < SIGNIFICANT:
        return
    temperature, gain = _cross_fit_temperature(logits, labels)
    loss = float(_row_losses(logits, labels).mean())
    if paired_score(gain) < CONFIRMED:
        return
    whose = (
        f"A copy, after {format_count(judged.steps, 'step')}," if judged.is_copy else "The model"
    )
    which = "overconfident" if gap > 0 else "underconfident"
    yield Finding(
        "miscalibrated probabilities",
        f"{whose} is {which} on validation rows: its mean confidence is {confidence.mean():.1%}, "
        f"and {right.mean():.1%} of its predictions are right; dividing the logits by "
        f"{temperature:.2g} lowers the loss from {loss:.3g} by {gain.mean():.2g}.",
        "Fit a temperature on rows that were not trained on: mg.TemperatureScaling(); "
        + ("stop earlier." if gap > 0 else "lower label smoothing."),
        {
            "confidence": float(confidence.mean()),
            "accuracy": float(right.mean()),
            "temperature": temperature,
        },
        "warning",
    )


def _cross_fit_temperature(logits: Array, labels: Array) -> tuple[float, Array]:
    """A temperature, and what each row's loss falls by with that fitted on the other half."""
    halves = np.arange(len(labels)) % 2
    losses = _losses_by_temperature(logits, labels)
    now = _row_losses(logits, labels)
    gain = np.empty(len(labels))
    for half in (0, 1):
        best = int(np.argmin(losses[:, halves != half].mean(axis=1)))
        gain[halves == half] = (now - losses[best])[halves == half]
    return float(TEMPERATURES[np.argmin(losses.mean(axis=1))]), gain


def _losses_by_temperature(logits: Array, labels: Array) -> Array:
    return np.array([_row_losses(logits / t, labels) for t in TEMPERATURES])
