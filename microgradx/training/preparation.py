"""The data of a training: checked, encoded for the loss, weighted, and split for validation."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import numpy as np

from microgradx.arrays.types import Array
from microgradx.common.messages import shorten, warn_caller
from microgradx.common.randomness import default_generator
from microgradx.data import stratified_split
from microgradx.data.frames import is_frame
from microgradx.data.tables import Table, TableEncoder
from microgradx.graph.grad_mode import no_grad
from microgradx.nn.module import Module
from microgradx.training.arguments import row_weights
from microgradx.training.features import FittedData, fitted_data
from microgradx.training.losses import losses_of_rows
from microgradx.training.prediction import compute_outputs
from microgradx.training.rows import read_rows, table_labels
from microgradx.training.targets import Task, find_task

__all__ = ["PreparedData", "check_single_row", "prepare_data", "warn_of_one_class"]


@dataclass
class PreparedData:
    """Rows to train on and, maybe, to validate on: features, targets as the loss takes them, and
    weights. What the outputs mean is in `task`; what the model will remember, in `fitted`."""

    X: Array
    y: Array
    weights: Array | None
    task: Task
    fitted: FittedData
    validation: tuple[Array, Array] | None = None
    validation_weights: Array | None = None
    validation_rows: Array | None = None  # of all, if they were split off


def prepare_data(
    model: Module,
    data: Any,
    label: Any,
    loss: Any,
    *,
    validation: Any = None,
    classes: Any = None,
    class_weight: Any = None,
    sample_weight: Any = None,
    validation_rows: Array | None = None,
    generator: np.random.Generator | None = None,
) -> PreparedData:
    """The data of `fit`, whose arguments these are; raises its errors, and changes nothing.

    `validation_rows` are those of an earlier split, which is made again.
    A model that was fitted before keeps the order of its columns and classes, if they are the same.
    Class weights count the rows that are trained on, and are not those of the validation rows.
    """
    split, encoder = None, None
    if isinstance(data, Table):
        if _is_share(validation):
            split = _split(data.labels, validation, generator, validation_rows)
        encoder = TableEncoder.fit(data, None if split is None else split[0])
        classes = data.label_names if classes is None else classes
        data = encoder.transform(data), table_labels(data)
    rows = read_rows(data, label, model, sample_weight=sample_weight)
    before = fitted_data(model)
    if before is not None and rows.columns and set(rows.columns) == set(before.columns or ()):
        rows = read_rows(data, label, model, before)  # in the order that the model knows
    shape = _find_output_shape(model, rows.X, encoder)
    if classes is None:
        classes = rows.class_names
    if classes is None and before is not None and before.task.knows(rows.y, shape):
        classes = before.classes
    task = find_task(loss, rows.y, shape, classes)
    targets = task.encode(rows.y, shape)
    width = rows.X.shape[1] if rows.X.ndim == 2 else None
    fitted = FittedData(rows.columns, width, task, loss, encoder)
    weights = row_weights(task, targets, None, sample_weight)
    if weights is not None or class_weight is not None:
        losses_of_rows(loss)
    train: Any = slice(None)
    test: Any = None
    held_out, held_out_weights = None, None
    if _is_share(validation):
        if split is None:
            labels = task.labels(targets)
            if labels is None or labels.ndim > 1:
                labels = np.zeros(len(targets), np.int64)  # all rows are alike
            split = _split(labels, validation, generator, validation_rows)
        train, test = split
        held_out = rows.X[test], targets[test]
        held_out_weights = None if weights is None else weights[test]
    elif validation is not None:
        held_out, held_out_weights = _read_validation(validation, label, model, fitted, shape)
    own = None if weights is None else weights[train]
    return PreparedData(
        rows.X[train],
        targets[train],
        row_weights(task, targets[train], class_weight, own),
        task,
        fitted,
        held_out,
        held_out_weights,
        test,
    )


def _find_output_shape(model: Module, X: Array, encoder: TableEncoder | None) -> tuple[int, ...]:
    """The shape of a row of outputs, as the model computes them for the first rows."""
    try:
        shape: tuple[int, ...] = compute_outputs(model, X[:2]).shape[1:]
        return shape
    except ValueError as error:
        if encoder is None:
            raise
        raise ValueError(
            f"each row of the table becomes {encoder.width} numbers, {shorten(encoder.names)}, and "
            f"the model does not take them: {error}"
        ) from None


def check_single_row(model: Module, X: Array, batch_size: int, drop_last: bool) -> None:
    """Raise ValueError if a batch will have a single row and the model cannot be trained on one.

    Batch normalisation cannot. A copy of the model tries it, and draws no random numbers.
    """
    rows, generator = len(X) % batch_size or min(len(X), batch_size), default_generator()
    if rows != 1 or (drop_last and batch_size > 1):
        return
    drawn = generator.bit_generator.state
    try:
        with no_grad():
            copy.deepcopy(model).train()(X[:1])
    except ValueError as error:
        raise ValueError(
            f"the last of {len(X)} rows is a batch of its own, which the model does not take "
            f"({error}); choose another batch_size than {batch_size}, or drop_last=True"
        ) from None
    finally:
        generator.bit_generator.state = drawn


def warn_of_one_class(model: Module, data: PreparedData) -> None:
    """Warn if all rows to train on have one label, so that there is nothing to tell apart.

    A model that was fitted before may go on with rows of one class.
    """
    labels = data.task.labels(data.y)
    if fitted_data(model) is not None or labels is None or labels.ndim != 1 or len(labels) == 1:
        return
    if np.any(labels != labels[0]):
        return
    assert data.task.classes is not None
    label = data.task.classes[labels[0]] if 0 <= labels[0] < len(data.task.classes) else labels[0]
    warn_caller(
        f"all {len(labels)} rows that are trained on have the label {str(label)!r}; the model will "
        "predict nothing else: give rows of other classes"
    )


def _is_share(validation: Any) -> bool:
    numbers = (int, float, np.integer, np.floating)
    return isinstance(validation, numbers) and not isinstance(validation, bool)


def _split(
    labels: Array, share: float, generator: np.random.Generator | None, test: Array | None
) -> tuple[Array, Array]:
    """Rows to train on and rows held out, with the same proportions of the classes.

    `test` has the rows held out by an earlier split, which is made again.
    """
    if not 0 < share < 1:
        raise ValueError(
            f"validation must be a share between 0 and 1, or (X, y), and not {share:g}"
        )
    if test is not None:
        return np.setdiff1d(np.arange(len(labels)), test), test
    if len(labels) < 2:
        raise ValueError(f"{len(labels)} row cannot be split; give validation rows as (X, y)")
    return stratified_split(labels, share, generator)


def _read_validation(
    validation: Any, label: Any, model: Module, fitted: FittedData, shape: tuple[int, ...]
) -> tuple[tuple[Array, Array], Array | None]:
    """Validation rows: `(X, y)`, `(X, y, weights)`, a Table, or a data frame."""
    weights = None
    if isinstance(validation, (tuple, list)) and len(validation) == 3:
        *validation, weights = validation
    has_rows = is_frame(validation) or isinstance(validation, (tuple, list, Table))
    if not has_rows:
        raise TypeError(
            "validation must be the share of the rows to hold out, such as 0.2, or a pair (X, y), "
            f"not {type(validation).__name__}"
        )
    try:
        rows = read_rows(
            validation, label if is_frame(validation) else None, model, fitted, weights
        )
        targets = fitted.task.encode(rows.y, shape)
    except (ValueError, TypeError) as error:
        raise type(error)(f"validation: {error}") from None
    return (rows.X, targets), row_weights(fitted.task, targets, None, weights)
