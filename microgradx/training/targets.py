"""Targets: labels of any kind as the classes of a model, and outputs as predictions of them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from microgradx.arrays.types import Array, unwrap
from microgradx.common.messages import shorten
from microgradx.data.frames import (
    as_label_array,
    column_names,
    is_frame,
    is_missing,
    numeric_columns,
)
from microgradx.functional import softmax
from microgradx.ops.activations import sigmoid
from microgradx.training.losses import Outputs, ignored_label, loss_name, outputs_of

__all__ = ["Task", "find_task", "read_targets"]

#: Rows of probabilities may differ from a sum of 1 by so much, as float16 does.
SUM_TOLERANCE = 1e-3


@dataclass(frozen=True, eq=False)
class Task:
    """What a model's outputs mean: for which classes they are, and how they become predictions.

    outputs: what the outputs are: logits, log-probabilities, logits of binary labels, or values;
        unknown for a loss of one's own.
    classes: the classes in the order of the outputs, an array; None without classes.
    ignored: the label of rows that do not count, if there is one.
    one_hot: whether the loss takes probabilities alone, and no numbers of classes.
    target_shape: the shape of a row of targets that are numbers, and so of what is predicted.
    """

    outputs: Outputs
    classes: Array | None
    ignored: int | None = None
    one_hot: bool = False
    target_shape: tuple[int, ...] | None = None

    @property
    def is_binary(self) -> bool:
        """Whether each output is about the second of two classes."""
        return self.outputs.startswith("binary")

    @property
    def is_classification(self) -> bool:
        return self.classes is not None

    def encode(self, targets: Array, output_shape: tuple[int, ...], name: str = "y") -> Array:
        """Targets as the loss takes them, for outputs of `output_shape` (without the rows).

        Labels become the numbers of their classes, one-hot rows too. Raises ValueError for labels
        that are no class, and for shapes that do not fit.
        """
        check_present(targets, name)
        shape = targets.shape[1:]
        if self.outputs == "unknown":
            return targets
        if self.outputs == "values":
            return _as_values(targets, output_shape, name)
        if self.is_binary and not self.is_classification:
            return _check_unit_interval(_as_values(targets, output_shape, name), name)
        assert self.classes is not None
        if self.is_binary:
            encoded = self._encode_labels(targets.reshape(len(targets)), name)
            return encoded.reshape(len(targets), *output_shape).astype(np.float64)
        if shape == output_shape and targets.dtype.kind in "fiub":
            rows = _encode_rows(targets, name)
            return targets.astype(np.float64) if self.one_hot else rows
        if targets.ndim == 2 and shape == (1,) and len(output_shape) == 1:
            targets = targets[:, 0]
        if targets.shape[1:] != output_shape[:-1]:
            raise ValueError(_misfit(targets, output_shape, name))
        encoded = self._encode_labels(targets, name)
        return np.eye(len(self.classes))[encoded] if self.one_hot else encoded

    def knows(self, targets: Array, output_shape: tuple[int, ...]) -> bool:
        """Whether targets are labels among the classes, for outputs as many as these."""
        if self.classes is None or targets.shape[1:] == output_shape != ():
            return False
        count = 2 if self.is_binary else output_shape[-1]
        fits = len(self.classes) == count and _is_text(targets) == _is_text(self.classes)
        return fits and bool(np.all(np.isin(targets, self.classes)))

    def _encode_labels(self, labels: Array, name: str) -> Array:
        assert self.classes is not None
        classes = self.classes
        labels = _as_whole(labels)
        counts = np.zeros(labels.shape, bool)
        if self.ignored is not None and labels.dtype.kind in "iu":
            counts = labels == self.ignored
        order = np.argsort(classes, kind="stable")
        if _is_text(labels) == _is_text(classes):
            places = np.searchsorted(classes, labels, sorter=order).clip(0, len(classes) - 1)
            numbers = order[places]
            unknown = (classes[numbers] != labels) & ~counts
        else:
            numbers, unknown = np.zeros(labels.shape, np.int64), np.ones(labels.shape, bool)
        if np.any(unknown):
            wrong = [str(label) for label in np.unique(labels[unknown]).tolist()]
            raise ValueError(
                f"{name} has the label{'s' * (len(wrong) != 1)} {shorten(wrong)} in "
                f"{np.count_nonzero(unknown)} of {labels.size} rows, and the classes of the model "
                f"are {shorten([str(c) for c in classes.tolist()])}; leave such rows out, or train "
                "a model that has these classes"
            )
        return np.where(counts, self.ignored or 0, numbers).astype(np.int64)

    def labels(self, encoded: Array) -> Array | None:
        """The numbers of the classes, of encoded targets; None if there are none."""
        if self.classes is None:
            return None
        if self.is_binary:
            return encoded.reshape(-1).astype(np.int64)
        return encoded if encoded.dtype.kind in "iu" else np.argmax(encoded, axis=-1)

    def probabilities(self, outputs: Array) -> Array:
        """Probabilities (rows, …, classes) of the outputs; of binary logits alone, of each."""
        if self.outputs == "log_probabilities":
            return np.exp(outputs)
        if self.outputs == "logits":
            return np.asarray(softmax(outputs))
        p = outputs if self.outputs == "binary_probabilities" else np.asarray(sigmoid(outputs))
        if self.classes is None:
            return self._as_targets(p)
        p = p.reshape(len(p), 1)
        return np.concatenate([1 - p, p], axis=1)

    def predict(self, outputs: Array) -> Array:
        """The class of each row; without classes, the outputs, or 0 and 1 for binary logits."""
        if self.outputs in ("values", "unknown"):
            return self._as_targets(outputs)
        if self.is_binary:
            limit = 0.5 if self.outputs == "binary_probabilities" else 0.0
            numbers = (outputs > limit).astype(np.int64)
            if self.classes is None:
                return self._as_targets(numbers)
            return self.classes[numbers.reshape(len(outputs))]
        assert self.classes is not None
        return self.classes[np.argmax(outputs, axis=-1)]

    def _as_targets(self, outputs: Array) -> Array:
        """One number for each row in the shape that targets had, as (rows,) less (rows, 1) is a
        square."""
        if self.target_shape is None:
            return outputs
        if not math.prod(outputs.shape[1:]) == math.prod(self.target_shape) == 1:
            return outputs
        return outputs.reshape(len(outputs), *self.target_shape)


def find_task(
    loss: Any, targets: Array, output_shape: tuple[int, ...], classes: Any = None, name: str = "y"
) -> Task:
    """What a model with outputs of `output_shape` (without the rows) predicts of these targets.

    Raises ValueError, which names the numbers, if the classes do not fit the outputs.
    """
    check_present(targets, name)
    outputs, ignored = outputs_of(loss), ignored_label(loss)
    is_floating = targets.dtype.kind == "f" and not np.all(targets == np.round(targets))
    if outputs is None:  # a loss of one's own: whole numbers and texts are taken for labels
        has_labels = targets.dtype.kind != "f" and math.prod(output_shape) > 1
        outputs = "logits" if has_labels or classes is not None else "unknown"
    numbers = Task(outputs, None, target_shape=targets.shape[1:])
    if outputs == "unknown":
        return numbers
    if outputs == "values":
        if classes is not None:
            raise ValueError(f"{loss_name(loss)} is for numbers and has no classes; leave them out")
        if targets.dtype.kind not in "fiub":
            raise ValueError(
                f"{loss_name(loss)} compares numbers, and {name} has labels of dtype "
                f"{targets.dtype}; for labels write loss='cross_entropy'"
            )
        _check_values_fit(targets, output_shape, name, loss_name(loss))
        return numbers
    if outputs.startswith("binary"):
        if math.prod(output_shape) != 1:
            _check_values_fit(targets, output_shape, name, loss_name(loss))
            return numbers  # several labels in a row, each 0 or 1
        if is_floating:
            return numbers  # probabilities
        return Task(outputs, _find_classes(targets, 2, classes, None, name))
    count = output_shape[-1] if output_shape else 1
    if not output_shape or count == 1:
        raise ValueError(
            "the model has one output for each row, and cross_entropy needs one for each class: "
            "give it as many, or write loss='binary_cross_entropy_with_logits' for two classes, "
            "or loss='mse_loss' for numbers"
        )
    one_hot = loss_name(loss) == "kl_div"
    if targets.ndim > 1 and targets.shape[1:] == output_shape:
        found = np.arange(count) if classes is None else _as_classes(classes, count)
        return Task(outputs, found, None, one_hot)
    if targets.ndim == 2 and targets.shape[1] > 1 and len(output_shape) == 1:
        raise ValueError(_misfit(targets, output_shape, name))
    if is_floating:
        raise ValueError(
            f"{name} has numbers such as {targets[targets != np.round(targets)].flat[0]:g}, which "
            "are no classes; for numbers write loss='mse_loss'"
        )
    found = _find_classes(targets, count, classes, ignored, name)
    return Task(outputs, found, ignored, one_hot)


def _find_classes(
    targets: Array, count: int, classes: Any, ignored: int | None, name: str
) -> Array:
    """The classes of labels, as many as there are outputs."""
    if classes is not None:
        return _as_classes(classes, count)
    labels = _as_whole(targets)
    found = np.unique(labels)
    if ignored is not None and found.dtype.kind in "iu":
        found = found[found != ignored]
    if found.dtype.kind in "iu" and (not found.size or 0 <= found[0] <= found[-1] < count):
        return np.arange(count)
    if found.dtype.kind == "b" and count == 2:
        return np.array([False, True])
    if len(found) != count:
        listed = shorten([str(label) for label in found.tolist()])
        raise ValueError(
            f"{name} has {len(found)} class{'es' * (len(found) != 1)}, {listed}, and the model has "
            f"{count} outputs; give it an output for each class, or name the classes of its "
            "outputs, in their order, by classes=[…]"
        )
    return found


def _as_classes(classes: Any, count: int) -> Array:
    given = as_label_array(unwrap(classes))
    if given.ndim != 1 or given.dtype.kind not in "iubUS" or len(np.unique(given)) != len(given):
        raise ValueError("classes must be labels that differ: texts, or whole numbers")
    if len(given) != count:
        raise ValueError(f"classes has {len(given)} labels, and the model has {count} outputs")
    return given


def read_targets(y: Any, name: str = "y") -> tuple[Array, Array | None]:
    """Targets as an array, and the names of the classes if it is a data frame of several columns.

    Raises ValueError for labels that are missing or of mixed kinds, for numbers that are not
    finite, and TypeError for other objects.
    """
    names = None
    if is_frame(y):
        columns = column_names(y)
        if len(columns) == 1:
            y = next(iter(y.values())) if isinstance(y, dict) else y[next(iter(y.columns))]
        else:
            y, names = numeric_columns(y, columns), np.array(columns)
    array = as_label_array(unwrap(y))
    if array.ndim == 0:
        raise ValueError(f"{name} must have a label for each row, and is {array.item()!r}")
    check_present(array, name)
    if array.dtype.kind == "O":
        kinds = sorted({type(value).__name__ for value in array.flat})
        if kinds == ["str"]:
            return array.astype(str), names
        if set(kinds) <= {"bool", "bool_", "int", "float", "Decimal"} and "bool" not in kinds:
            return array.astype(np.float64), names
        raise TypeError(
            f"{name} mixes {' and '.join(kinds)}; labels must be of one kind: texts, whole "
            "numbers, or booleans"
        )
    if array.dtype.kind not in "fiubUS":
        raise TypeError(
            f"{name} has dtype {array.dtype}; labels are texts, whole numbers, booleans, or rows "
            "of probabilities"
        )
    return array, names


def check_present(targets: Array, name: str) -> None:
    """Raise ValueError for labels that are missing, and numbers that are not finite."""
    if targets.dtype.kind == "f":
        wrong = ~np.isfinite(targets)
    elif targets.dtype.kind == "O":
        wrong = np.array([is_missing(v) for v in targets.flat], bool).reshape(targets.shape)
    else:
        return
    if np.any(wrong):
        rows = np.flatnonzero(wrong.reshape(len(wrong), -1).any(axis=1))
        is_infinite = targets.dtype.kind == "f" and bool(np.any(np.isinf(targets)))
        what = "labels that are infinite or missing" if is_infinite else "missing labels"
        raise ValueError(
            f"{name} has {what} in {len(rows)} of {len(targets)} rows, the first in row {rows[0]}; "
            "leave such rows out"
        )


def _is_text(labels: Array) -> bool:
    return labels.dtype.kind in "US"


def _as_whole(labels: Array) -> Array:
    """Floats that are whole numbers, as data frames have them, as integers."""
    if labels.dtype.kind == "f" and np.all(labels == np.round(labels)):
        return labels.astype(np.int64)
    return labels


def _as_values(targets: Array, output_shape: tuple[int, ...], name: str) -> Array:
    """Numbers in the shape of the outputs: (rows,) and (rows, 1) are the same."""
    if targets.dtype.kind not in "fiub":
        raise ValueError(
            f"{name} has labels of dtype {targets.dtype}, and the model predicts numbers"
        )
    _check_values_fit(targets, output_shape, name, "the loss")
    targets = targets.reshape(len(targets), *output_shape)
    return targets.astype(np.result_type(targets, np.float32), copy=False)


def _check_values_fit(targets: Array, output_shape: tuple[int, ...], name: str, loss: str) -> None:
    """Raise ValueError unless each output has a number to be compared with."""
    shape = targets.shape[1:]
    if shape == output_shape or math.prod(shape) == math.prod(output_shape) == 1:
        return
    rows, width = len(targets), math.prod(output_shape)
    one = "" if math.prod(shape) != 1 else "the model one output for each row, or "
    labels = "" if math.prod(shape) != 1 else "; for labels of classes write loss='cross_entropy'"
    raise ValueError(
        f"{loss} compares each output with a number, and {name} of shape {targets.shape} does not "
        f"fit outputs of shape {(rows, *output_shape)}; give {one}{name} rows of {width} "
        f"number{'s' * (width != 1)}{labels}"
    )


def _check_unit_interval(targets: Array, name: str) -> Array:
    if targets.size and not 0 <= targets.min() <= targets.max() <= 1:
        raise ValueError(
            f"{name} has numbers from {targets.min():g} to {targets.max():g}; "
            "binary_cross_entropy_with_logits needs labels 0 and 1, or probabilities"
        )
    return targets


def _encode_rows(targets: Array, name: str) -> Array:
    """One-hot rows as labels; rows of probabilities as they are."""
    sums = targets.sum(axis=-1, dtype=np.float64)
    wrong = (abs(sums - 1) > SUM_TOLERANCE) | (targets.min(axis=-1) < 0)
    if np.any(wrong):
        row = np.argwhere(wrong)[0].tolist()
        raise ValueError(
            f"{name} of shape {targets.shape} must have probabilities or one-hot labels, and in "
            f"{np.count_nonzero(wrong)} rows they are negative or do not sum to 1; the sum of row "
            f"{row[0]} is {sums[tuple(row)]:g}"
        )
    if np.all((targets == 0) | (targets == 1)):
        return np.argmax(targets, axis=-1)
    return targets


def _misfit(targets: Array, output_shape: tuple[int, ...], name: str) -> str:
    rows, shape = len(targets), tuple(output_shape)
    width = shape[-1] if shape else 1
    return (
        f"{name} of shape {targets.shape} does not fit outputs of shape {(rows, *shape)}; give "
        f"labels of shape {(rows, *shape[:-1])}, or rows of {width} numbers"
    )
