"""`evaluate`, `predict`, `predict_proba`: what a model makes of rows, a batch at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from microgradx.arrays.types import Array
from microgradx.engine import Tensor
from microgradx.graph.grad_mode import no_grad
from microgradx.nn.module import Module
from microgradx.training.arguments import (
    check_count,
    check_model,
    explain_arguments,
    row_weights,
)
from microgradx.training.classifier import Classifier
from microgradx.training.features import fitted_data, read_features
from microgradx.training.losses import find_loss
from microgradx.training.measures import find_metrics, measure_loss, measure_metrics, weigh_rows
from microgradx.training.rows import read_rows
from microgradx.training.targets import Task, find_task

__all__ = ["compute_outputs", "evaluate", "evaluation_mode", "predict", "predict_proba"]

#: Rows at a time, where nothing else is asked for.
BATCH_SIZE = 512


@contextmanager
def evaluation_mode(model: Module) -> Iterator[None]:
    """The model in evaluation mode, without recording graphs; each submodule's mode is restored."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with no_grad(), np.errstate(over="ignore", invalid="ignore"):
            yield
    finally:
        for module, mode in modes:
            module.training = mode


def compute_outputs(model: Module, X: Array, batch_size: int = BATCH_SIZE) -> Array:
    """The outputs of a model in evaluation mode for all rows of X, so many at a time."""
    with evaluation_mode(model):
        try:
            parts = [
                _as_output(
                    model(X[start : start + batch_size]), min(batch_size, len(X) - start), model
                )
                for start in range(0, len(X), batch_size)
            ]
            if X.ndim == 1 and len(X) > 1 and parts[0].ndim == 1:
                _as_output(model(X[:1]), 1, model)  # a layer of as many inputs takes it for one row
        except ValueError as error:
            if X.ndim != 1:
                raise
            raise ValueError(
                f"X of shape {X.shape} is {len(X)} rows of a single number, which the model does "
                f"not take: {error}. X must be 2-D; for a single row write X[None]"
            ) from None
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _as_output(output: Any, rows: int, model: Module) -> Array:
    """The array of an output; raises if there is not one output for each row."""
    array = output.data if isinstance(output, Tensor) else output
    if not isinstance(array, np.ndarray):
        raise TypeError(
            f"{type(model).__name__} returned {type(output).__name__}; its forward must return one "
            "Tensor, with an output for each row"
        )
    if array.ndim == 0 or len(array) != rows:
        raise ValueError(
            f"{type(model).__name__} returned shape {array.shape} for {rows} rows; the first axis "
            "must have an output for each row"
        )
    return array


@explain_arguments
def predict(model: Any, X: Any, *, batch_size: int = BATCH_SIZE) -> Array:
    """The class of each row of X, as the labels in training had it; numbers of a regression.

    X: rows of features, an array, a list or a data frame; of that, columns are found by the names
        that the model was fitted on, in any order. Other columns are ignored. For a model that was
        fitted on a `Table` also a Table, or the name of a file of new rows.
    batch_size: how many rows are computed at a time.

    The model computes in evaluation mode, and keeps the mode that it had. One that was not fitted
    predicts the number of the largest output. A `Classifier`, which the command `train` made and
    `load_classifier` read, takes what a model of a `Table` takes, all rows at a time.

    >>> import microgradx as mg
    >>> model = mg.nn.MLP(1, [], 2, generator=np.random.default_rng(0))
    >>> data = [[-1.0], [1.0]], ["no", "yes"]
    >>> history = mg.fit(model, data, lr=0.1, epochs=30, progress=False)
    >>> predict(model, [[2.0], [-3.0]])
    array(['yes', 'no'], dtype='<U3')

    Raises ValueError for missing columns, NaN and infinities, and other numbers of columns.
    """
    if isinstance(model, Classifier):
        return model.predict(X)
    outputs, task = _predict_outputs(model, X, batch_size)
    return task.predict(outputs)


@explain_arguments
def predict_proba(model: Any, X: Any, *, batch_size: int = BATCH_SIZE) -> Array:
    """Probabilities (rows, classes) for the rows of X; the arguments are those of `predict`.

    The classes are in the order of `model.fitted_data.classes`; those of a `Classifier`, which has
    a temperature too, in the order of its `label_names`.

    >>> import microgradx as mg
    >>> model = mg.nn.MLP(2, [], 3, generator=np.random.default_rng(0))
    >>> predict_proba(model, np.zeros((1, 2))).shape
    (1, 3)

    Raises what `predict` raises, and ValueError for a model of numbers, which has no classes.
    """
    if isinstance(model, Classifier):
        return model.predict_proba(X)
    outputs, task = _predict_outputs(model, X, batch_size)
    if task.outputs in ("values", "unknown"):
        raise ValueError(
            "the model was fitted to numbers and has no classes; predict returns its numbers"
        )
    return task.probabilities(outputs)


def _predict_outputs(model: Any, X: Any, batch_size: int) -> tuple[Array, Task]:
    check_model(model)
    batch_size = check_count("batch_size", batch_size)
    fitted = fitted_data(model)
    array, _ = read_features(X, model, fitted)
    outputs = compute_outputs(model, array, batch_size)
    return outputs, fitted.task if fitted else _task_of_outputs(outputs)


def _task_of_outputs(outputs: Array) -> Task:
    """What outputs of a model that was not fitted are taken for."""
    if outputs.ndim < 2 or outputs.shape[-1] == 1:
        return Task("binary_logits", np.arange(2))
    return Task("logits", np.arange(outputs.shape[-1]))


@explain_arguments
def evaluate(
    model: Any,
    data: Any,
    *,
    label: Any = None,
    loss: Any = None,
    metrics: Any = None,
    sample_weight: Any = None,
    batch_size: int = BATCH_SIZE,
) -> dict[str, float]:
    """Loss and metrics of a model on rows with labels, by name.

    data, label, loss, metrics, sample_weight: as for `fit`. The loss is by default that of the
        training, or cross_entropy; it is the mean over the rows, in evaluation mode.
    batch_size: how many rows are computed at a time.

    The model keeps the mode that it had, in each of its modules.

    >>> import microgradx as mg
    >>> model = mg.nn.MLP(2, [], 2, generator=np.random.default_rng(0))
    >>> list(evaluate(model, (np.zeros((3, 2)), [0, 1, 1])))
    ['loss', 'accuracy']

    Raises ValueError and TypeError where `fit` does.
    """
    check_model(model)
    batch_size = check_count("batch_size", batch_size)
    fitted = fitted_data(model)
    loss = find_loss(loss or (fitted.loss if fitted else "cross_entropy"))
    rows = read_rows(data, label, model, fitted, sample_weight)
    outputs = compute_outputs(model, rows.X, batch_size)
    shape = outputs.shape[1:]
    task = fitted.task if fitted else find_task(loss, rows.y, shape)
    measures = find_metrics(metrics, task)
    targets = task.encode(rows.y, shape)
    weights = row_weights(task, targets, None, sample_weight)
    return {
        "loss": measure_loss(*weigh_rows(loss, targets, weights), outputs),
        **measure_metrics(measures, task, targets, outputs),
    }
