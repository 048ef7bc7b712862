"""Rows and columns that tell what they should not: a copy of the label, rows in both parts."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from microgradx.arrays.types import Array
from microgradx.training.doctor.case import Case
from microgradx.training.doctor.data_faults import flatten_rows
from microgradx.training.doctor.findings import Finding
from microgradx.training.doctor.statistics_of_rows import SIGNIFICANT, paired_score

__all__ = ["find_leaks", "find_shared_rows"]


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
