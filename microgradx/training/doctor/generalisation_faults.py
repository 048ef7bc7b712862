"""Faults that show on other rows: overfitting, overconfidence, a leak, rows in both parts."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from microgradx.arrays.types import Array
from microgradx.data import batches
from microgradx.functional import log_softmax
from microgradx.graph.grad_mode import no_grad
from microgradx.training.doctor.case import Case, Setup, quiet
from microgradx.training.doctor.data_faults import flatten_rows
from microgradx.training.doctor.findings import Finding
from microgradx.training.doctor.loss_probe import BINARY_LOSSES, LossProbe
from microgradx.training.doctor.statistics_of_rows import (
    difference_score,
    paired_score,
)
from microgradx.training.doctor.trials import Remedy, affordable_steps, prepare

__all__ = ["find_generalisation_faults", "find_leaks", "find_shared_rows"]

#: Deviations beyond which a difference is no chance: p < 0.001, on one side.
SIGNIFICANT = 3.1
#: The same for a second condition: p < 0.01.
CONFIRMED = 2.33


# ---------------------------------------------------------------------------- leaks


def find_leaks(case: Case) -> Iterator[Finding]:
    """A column that predicts the label alone, far better than any other, as its copy would."""
    if case.labels is None or case.X.ndim != 2 or case.X.shape[1] < 2 or len(case.X) < 30:
        return
    X, labels = flatten_rows(case.X), case.labels
    right = np.array([_predict_by_column(column, labels) for column in X.T], float)
    accuracies = right.mean(axis=1)
    leaks = [
        j
        for j in np.argsort(-accuracies)
        if _is_like_a_copy(X[:, j], labels, accuracies[j], len(X.T))
    ]
    if not leaks or len(leaks) == len(right):
        return
    best_other = max(set(range(len(right))) - set(leaks), key=lambda j: float(accuracies[j]))
    for j in leaks:
        if paired_score(right[j] - right[best_other]) < SIGNIFICANT:
            continue
        name = case.column_name(int(j))
        yield Finding(
            "a column that predicts the label",
            f"{name[0].upper()}{name[1:]} alone predicts {accuracies[j]:.1%} of the labels; the "
            f"best other column {accuracies[best_other]:.1%}.",
            f"If {name} is a copy of the label, an identifier, or known only afterwards, leave "
            "it out; otherwise a threshold on it needs no network.",
            {
                "column": int(j),
                "accuracy": float(accuracies[j]),
                "of the best other": float(accuracies[best_other]),
            },
            "warning",
        )


def _is_like_a_copy(values: Array, labels: Array, accuracy: float, columns: int) -> bool:
    """Whether a column holds codes of the classes, or clusters, or counts through sorted rows.

    A feature that is cut by a threshold is none of these: two halves of a normal distribution lie
    2.7 of their deviations apart, those of a uniform one 3.5.
    """
    present = np.unique(labels)
    distinct = np.unique(values)
    if len(distinct) <= 2 * len(present):
        return accuracy >= 0.95
    if accuracy < 0.99 or columns < 3:  # of two columns, the better one may well be enough
        return False
    steps = np.diff(distinct)
    if len(distinct) == len(values) and np.ptp(steps) <= 1e-3 * steps.max():
        return True
    groups = sorted((values[labels == k] for k in present), key=lambda group: float(group.mean()))
    return all(
        b.mean() - a.mean() > 4 * max(np.sqrt((a.var() + b.var()) / 2), 1e-30)
        for a, b in pairwise(groups)
    )


def _predict_by_column(values: Array, labels: Array) -> Array:
    """For each row, whether the other rows with the nearest values of a column have its label."""
    order = np.argsort(values, kind="stable")
    sorted_values, sorted_labels = values[order], labels[order]
    _, first, group, counts = np.unique(
        sorted_values, return_index=True, return_inverse=True, return_counts=True
    )
    table = np.zeros((len(first), int(labels.max()) + 1))
    np.add.at(table, (group, sorted_labels), 1)
    rows = np.arange(len(values))
    # Of equal values the others decide; a value of its own has the label of the nearest one.
    others = table[group].copy()
    others[rows, sorted_labels] -= 1
    right = np.argmax(others, axis=1) == sorted_labels
    alone = counts[group] == 1
    gaps = np.r_[np.inf, np.diff(sorted_values), np.inf]
    agrees = sorted_labels[1:] == sorted_labels[:-1]
    before, after = np.r_[False, agrees], np.r_[agrees, False]
    nearest = (before & (gaps[:-1] <= 1.001 * gaps[1:])) | (after & (gaps[1:] <= 1.001 * gaps[:-1]))
    result = np.empty(len(values), bool)
    result[order] = np.where(alone, nearest, right)
    return result


# ---------------------------------------------------------------------------- shared rows


def find_shared_rows(X: Array, validation: tuple[Array, Array]) -> Iterator[Finding]:
    """Rows of the validation set that are in the training set too."""
    held_out = validation[0]
    training = {row.tobytes() for row in flatten_rows(X).astype(np.float32) + 0.0}
    rows = flatten_rows(held_out).astype(np.float32) + 0.0
    shared = sum(row.tobytes() in training for row in rows)
    if shared < 0.05 * len(rows):
        return
    expected = _expected_coincidences(flatten_rows(X), flatten_rows(held_out))
    if shared <= 10 * expected + 1:
        return
    yield Finding(
        "rows in both parts",
        f"{shared} of {len(rows)} validation rows ({shared / len(rows):.0%}) are also training "
        f"rows; by chance it would be {expected:.1g}. What is measured on them is memory.",
        "Remove duplicates before the split, np.unique(X, axis=0), and add copies of rare rows, or "
        "augmented rows, only to the training part after it.",
        {"shared": shared, "rows": len(rows), "by chance": expected},
    )


def _expected_coincidences(X: Array, held_out: Array) -> float:
    """How many rows would be found in X by chance, if columns were independent."""
    logs = np.zeros(len(held_out))
    for j in range(X.shape[1]):
        values, counts = np.unique(X[:, j], return_counts=True)
        place = np.minimum(np.searchsorted(values, held_out[:, j]), len(values) - 1)
        logs += np.log(np.where(values[place] == held_out[:, j], counts[place], 0.5) / len(X))
    return float(np.sum(np.minimum(1, len(X) * np.exp(logs))))


# ---------------------------------------------------------------------------- trained models


def find_generalisation_faults(case: Case) -> Iterator[Finding]:
    """Overfitting and miscalibration of a trained model, on validation rows."""
    if case.validation is None or case.labels is None:
        return
    X, y = case.validation
    setup = case.copy()
    probe_y = case.probe.find_labels(y)
    if probe_y is None or len(X) < 20:
        return
    logits = _logits(setup, case, X, y)
    training = _logits(setup, case, case.X, case.y)
    if logits is None or training is None:
        return
    losses, training_losses = _row_losses(logits, probe_y), _row_losses(training, case.labels)
    miscalibration = list(_find_miscalibration(logits, probe_y))
    if any(
        finding.numbers["confidence"] < finding.numbers["accuracy"] for finding in miscalibration
    ):
        yield from miscalibration  # and too little confidence is no overfitting
        return
    found = list(_find_overfitting(case, losses, training_losses, logits, training, probe_y))
    yield from found or miscalibration


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


def _find_overfitting(
    case: Case, losses: Array, training_losses: Array, logits: Array, training: Array, labels: Array
) -> Iterator[Finding]:
    """A copy whose training stops early is better on the validation rows."""
    if difference_score(losses, training_losses) < SIGNIFICANT:
        return
    assert case.labels is not None
    assert case.validation is not None
    best, step = _train_with_early_stopping(case, case.validation, labels)
    if best is None or paired_score(losses - best) < CONFIRMED:
        return
    accuracy = float(np.mean(logits.argmax(axis=1) == labels))
    training_accuracy = float(np.mean(training.argmax(axis=1) == case.labels))
    yield Finding(
        "overfitting",
        f"The loss is {training_losses.mean():.3g} on training rows and {losses.mean():.3g} on "
        f"validation rows (accuracy {training_accuracy:.1%} and {accuracy:.1%}); a copy with fresh "
        f"weights, stopped after {step} steps, has {best.mean():.3g} there.",
        "Stop early, at the lowest validation loss; or use a smaller network, weight decay, "
        "dropout, or more rows.",
        {
            "training loss": float(training_losses.mean()),
            "validation loss": float(losses.mean()),
            "stopped early": float(best.mean()),
            "steps": step,
        },
        "warning",
    )


def _train_with_early_stopping(
    case: Case, validation: tuple[Array, Array], labels: Array
) -> tuple[Array | None, int]:
    """The validation losses of rows where their mean was the lowest, and the step."""
    setup = prepare(case, Remedy(weights=True, adam=True))
    X, y = validation
    best: Array | None = None
    at = step = 0
    steps = affordable_steps(case, 400)
    generator = case.generator()
    with quiet():
        while step < steps:
            for rows, targets in batches(setup.X, setup.y, min(32, len(setup.X)), generator):
                setup.model.train()
                if step == steps or not math.isfinite(setup.take_step(rows, targets)):
                    return best, at
                step += 1
                if step % 10 == 0:
                    logits = _logits(setup, case, X, y)
                    losses = None if logits is None else _row_losses(logits, labels)
                    if losses is not None and (best is None or losses.mean() < best.mean()):
                        best, at = losses, step
    return best, at


def _find_miscalibration(logits: Array, labels: Array) -> Iterator[Finding]:
    log_p = np.asarray(log_softmax(logits))
    predicted = np.argmax(log_p, axis=1)
    confidence = np.exp(np.max(log_p, axis=1))
    right = (predicted == labels).astype(float)
    gap = float(np.mean(confidence - right))
    # Of five points or more, and beyond chance.
    if abs(gap) < 0.05 or abs(paired_score(confidence - right)) < SIGNIFICANT:
        return
    temperature, gain = _cross_fit_temperature(logits, labels)
    loss = float(_row_losses(logits, labels).mean())
    if paired_score(gain) < CONFIRMED:
        return
    which = "overconfident" if gap > 0 else "underconfident"
    yield Finding(
        "miscalibrated probabilities",
        f"The model is {which} on validation rows: its mean confidence is {confidence.mean():.1%}, "
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
    grid = np.geomspace(0.05, 20, 121)
    halves = np.arange(len(labels)) % 2
    losses = np.array([_row_losses(logits / t, labels) for t in grid])
    now = _row_losses(logits, labels)
    gain = np.empty(len(labels))
    for half in (0, 1):
        best = int(np.argmin(losses[:, halves != half].mean(axis=1)))
        gain[halves == half] = (now - losses[best])[halves == half]
    return float(grid[np.argmin(losses.mean(axis=1))]), gain
