"""Functions composed of ops: softmax as the textbook has it, losses, and activations.

Each takes arrays or Tensors. Arrays in, arrays out; a Tensor anywhere in, a Tensor out.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Literal

import numpy as np
from numpy.lib.array_utils import normalize_axis_index

from microgradx.arrays.dispatch import implements
from microgradx.arrays.types import (
    Array,
    Axis,
    as_array,
    as_floats,
    as_number,
    is_known_true,
    unwrap,
)
from microgradx.common.messages import warn_caller
from microgradx.engine import Tensor, as_tensor
from microgradx.graph.scopes import scope
from microgradx.ops.activations import softplus
from microgradx.ops.elementwise import exp, log
from microgradx.ops.reductions import sum
from microgradx.ops.softmax import (
    LogSoftmax,
    LogSumExp,
    Softmax,
    SoftmaxCrossEntropy,
    cooled,
    weighed_labels,
)

__all__ = [
    "softmax",
    "log_softmax",
    "logsumexp",
    "cross_entropy",
    "nll_loss",
    "binary_cross_entropy_with_logits",
]

LossReduction = Literal["mean", "sum", "none"]

# ---------------------------------------------------------------------------- softmax


@implements("softmax")
@scope
def softmax(x: Any, axis: int = -1, temperature: Any = 1.0, *, fused: bool = True) -> Any:
    """Probabilities from logits: eˣ / Σ eˣ over `axis`.

    Logits are shifted by the largest of their row, which changes no result and lets none
    overflow, and then divided by the temperature: below 1 it sharpens the probabilities, above 1
    it flattens them. `fused=False` composes them from max, exp, sum and a division, for the graph
    to show; the default is one node, more exact and faster.

    The result has the shape and dtype of `x`. A row with +inf or NaN, or with nothing but -inf,
    is NaN. Raises ValueError for a temperature that is not positive. Source: J. S. Bridle, 1990.

    >>> softmax([2.0, 1.0, 0.1])
    array([0.65900114, 0.24243297, 0.09856589])
    """
    x = as_floats(x)
    y = _checked_temperature(temperature, x)
    if fused:
        return Softmax(axis)(x) if y is None else Softmax(axis)(x, y)
    e = exp(cooled(x, axis, y))
    return e / sum(e, axis=axis, keepdims=True)


@implements("log_softmax")
@scope
def log_softmax(x: Any, axis: int = -1, temperature: Any = 1.0, *, fused: bool = True) -> Any:
    """The logarithm of softmax, x - ln Σ eˣ over `axis`, which never takes the logarithm of 0.

    Arguments, shape, dtype and errors are those of `softmax`.

    >>> log_softmax([2.0, 1.0, 0.1])
    array([-0.41703002, -1.41703002, -2.31703002])
    """
    x = as_floats(x)
    y = _checked_temperature(temperature, x)
    if fused:
        return LogSoftmax(axis)(x) if y is None else LogSoftmax(axis)(x, y)
    z = cooled(x, axis, y)
    return z - log(sum(exp(z), axis=axis, keepdims=True))


@implements("logsumexp")
def logsumexp(x: Any, axis: Axis = None, *, keepdims: bool = False) -> Any:
    """ln Σ eˣ over `axis`, without overflow: a smooth maximum, whose gradient is softmax.

    Of no elements it is -inf, the logarithm of an empty sum. Raises ValueError for an axis that
    there is not.

    >>> logsumexp([1000.0, 1000.0])
    array(1000.69314718)
    """
    return LogSumExp(axis, keepdims)(as_floats(x))


def _checked_temperature(temperature: Any, x: Any) -> Any:
    """The temperature in the dtype of the logits; None if it changes nothing."""
    if type(temperature) is float and temperature == 1.0:
        return None
    values = as_array(unwrap(temperature))
    with np.errstate(over="ignore"):
        cast = values.astype(x.dtype)
    if is_known_true(~np.all(cast > 0)):
        raise ValueError(
            f"temperature must be positive in {x.dtype}, not {values}; towards 0 softmax picks "
            "the largest logit, so for that use argmax"
        )
    return temperature if isinstance(temperature, Tensor) else cast


# ---------------------------------------------------------------------------- losses


@scope
def cross_entropy(
    logits: Any,
    target: Any,
    *,
    axis: int = -1,
    weight: Any = None,
    label_smoothing: float = 0.0,
    ignore_index: int | None = None,
    reduction: LossReduction = "mean",
    fused: bool = True,
) -> Any:
    """The loss of a classifier: how surprised its probabilities are by the right classes, -ln p.

    `logits` are raw scores, not probabilities, with the classes along `axis` (the last by
    default). `target` holds either integer labels, in the logits' shape without that axis, or
    probabilities, in the logits' shape, which add up to 1 in each row (or 0: a row that counts
    for nothing); these receive gradients too if they require them.

    weight: one factor for each class.
    label_smoothing: the share ε of each target that is spread over all C classes:
        y (1 - ε) + ε / C.
    ignore_index: rows with this label count for nothing (integer labels only).
    reduction: "mean" (over rows; with integer labels and class weights, divided by the sum of
        the rows' weights), "sum", or "none": a loss for each row.
    fused: as one node, `SoftmaxCrossEntropy`, whose gradient is p - y; False composes it.

    The result has the dtype of the logits. If every row is ignored it is NaN for "mean" and 0
    for "sum", with gradients of 0. All as in PyTorch, but for the axis and -100, which is not
    ignored unless you say so. Raises ValueError, TypeError or IndexError for what does not fit.

    >>> cross_entropy([[2.0, 1.0, 0.1]], [0])
    array(0.41703002)
    """
    logits, target, weight = _checked(logits, target, axis, weight, ignore_index, reduction)
    label_smoothing = float(label_smoothing)  # of Python, which promotes no dtype
    if not 0 <= label_smoothing <= 1:
        raise ValueError(f"label_smoothing must be from 0 to 1, not {label_smoothing}")
    _warn_of_probabilities(logits)
    if isinstance(logits, Tensor):
        target = as_tensor(target)
    inputs = (logits, target) if weight is None else (logits, target, weight)
    op = _op(axis, label_smoothing, ignore_index, reduction)
    if fused:
        return op(*inputs)
    log_p = log_softmax(logits, axis, fused=False)
    if target.ndim != logits.ndim and not label_smoothing:
        return _nll(log_p, target, axis, weight, ignore_index, reduction)
    y, divisor = op.weighed_targets(*inputs)
    # A logit of -inf may weigh 0, as all do in rows that count for nothing.
    is_void = (unwrap(y) == 0) & ~np.isfinite(log_p)
    losses = -sum(y * np.where(is_void, 0, log_p), axis=axis)
    return _reduced(losses, divisor, reduction)


_op = lru_cache(maxsize=64)(SoftmaxCrossEntropy)  # the same settings are the same op


@scope
def nll_loss(
    log_probabilities: Any,
    target: Any,
    *,
    axis: int = -1,
    weight: Any = None,
    ignore_index: int | None = None,
    reduction: LossReduction = "mean",
) -> Any:
    """The negative log-likelihood of integer labels: what follows log_softmax in cross_entropy.

    Arguments, result and errors are those of `cross_entropy`, with log-probabilities for logits.

    >>> nll_loss(log_softmax([[2.0, 1.0, 0.1]]), [0])
    np.float64(0.41703001627783354)
    """
    log_p, labels, weight = _checked(
        log_probabilities, target, axis, weight, ignore_index, reduction
    )
    if labels.ndim == log_p.ndim:
        raise ValueError("nll_loss takes integer labels; for probabilities use cross_entropy")
    return _nll(log_p, labels, axis, weight, ignore_index, reduction)


@scope
def binary_cross_entropy_with_logits(
    logits: Any,
    target: Any,
    *,
    weight: Any = None,
    pos_weight: Any = None,
    reduction: LossReduction = "mean",
) -> Any:
    """The loss of yes-or-no answers, -y ln p - (1 - y) ln(1 - p), with p = sigmoid(logits).

    `target`, of the logits' shape, holds the y, from 0 to 1. `weight` scales the losses and
    `pos_weight` the part of y = 1; both broadcast. It is computed as
    y softplus(-x) + (1 - y) softplus(x), which neither overflows nor takes ln 0. The result has the
    dtype of the logits. Raises ValueError for shapes that differ, targets outside 0 to 1, negative
    weights and an unknown reduction.

    >>> binary_cross_entropy_with_logits([0.0, 2.0], [1.0, 1.0])
    np.float64(0.4100375958014589)
    """
    _check_reduction(reduction)
    logits = as_floats(logits)
    y = as_floats(target).astype(logits.dtype)
    if logits.shape != y.shape:
        raise ValueError(
            f"logits of shape {logits.shape} and target of shape {y.shape}; they must be the same"
        )
    if is_known_true(np.any((unwrap(y) < 0) | (unwrap(y) > 1))):
        raise ValueError("the target must hold probabilities, from 0 to 1, of the answer yes")
    positive = y * softplus(-logits)
    if pos_weight is not None:
        positive = positive * _as_weight(pos_weight, logits)
    losses = positive + (1 - y) * softplus(logits)
    if weight is not None:
        losses = losses * _as_weight(weight, logits)
    return _reduced(losses, losses.size, reduction)


def _nll(
    log_p: Any, labels: Any, axis: int, weight: Any, ignore_index: int | None, reduction: str
) -> Any:
    """The loss of integer labels that were checked."""
    labels, counted, importance = weighed_labels(unwrap(labels), weight, ignore_index)
    index = list(np.indices(labels.shape, sparse=True))
    index.insert(axis % log_p.ndim, labels)
    importance = importance.astype(log_p.dtype)
    losses = np.where(counted, -log_p[tuple(index)], 0) * importance
    return _reduced(losses, as_number(np.sum(importance, dtype=np.float64)), reduction)


def _reduced(losses: Any, divisor: Any, reduction: str) -> Any:
    if reduction == "none":
        return losses
    total = sum(losses)
    if reduction == "sum":
        return total
    if not isinstance(divisor, (int, float)):
        return total / np.where(divisor == 0, np.nan, divisor).astype(total.dtype)
    # If no row counts there is no mean, but the gradients are known: 0.
    return total / divisor if divisor else total + np.nan


def _checked(
    logits: Any, target: Any, axis: int, weight: Any, ignore_index: int | None, reduction: str
) -> tuple[Any, Any, Any]:
    """Logits, target and class weights that fit one another, of dtypes that fit."""
    _check_reduction(reduction)
    logits = as_floats(logits)
    shape = logits.shape
    if not shape:
        raise ValueError("logits need an axis of classes, and these are a single number")
    if ignore_index is not None and not isinstance(ignore_index, (int, np.integer)):
        raise TypeError(f"ignore_index is a label, an integer, and not {ignore_index!r}")
    axis = normalize_axis_index(axis, len(shape))
    classes = shape[axis]
    if classes == 0:
        raise ValueError(f"logits of shape {shape} have no classes along axis {axis}")
    rows = shape[:axis] + shape[axis + 1 :]
    if not isinstance(target, Tensor):
        target = as_array(target)
    values = unwrap(target)
    if values.shape == rows:
        _check_labels(values, classes, ignore_index)
    elif values.shape == shape:
        if ignore_index is not None:
            raise ValueError(
                "ignore_index is for integer labels; to ignore rows of probabilities, leave them "
                "out, or set them to 0"
            )
        _check_probabilities(values, axis)
        if values.dtype != logits.dtype:
            target = target.astype(logits.dtype)
    else:
        raise ValueError(
            f"a target of shape {values.shape} does not fit logits of shape {shape} with "
            f"classes along axis {axis}; labels need shape {rows}, probabilities {shape}"
        )
    if weight is not None:
        weight = _as_weight(weight, logits)
        if weight.shape != (classes,):
            raise ValueError(
                f"weight has shape {weight.shape}; it needs one factor for each class: {(classes,)}"
            )
    return logits, target, weight


def _as_weight(weight: Any, logits: Any) -> Array:
    """Weights as an array of the logits' dtype, so that they do not promote the loss."""
    if isinstance(weight, Tensor) and weight.requires_grad:
        raise ValueError("weights are constants for a loss: pass weight.detach()")
    weight = as_array(unwrap(weight)).astype(logits.dtype, copy=False)
    if is_known_true(np.any(weight < 0)):
        raise ValueError("weights must be 0 or more: a negative one would reward mistakes")
    return weight


def _check_reduction(reduction: str) -> None:
    if reduction not in ("mean", "sum", "none"):
        raise ValueError(f'reduction must be "mean", "sum" or "none", not {reduction!r}')


def _check_labels(labels: Array, classes: int, ignore_index: int | None) -> None:
    if labels.dtype.kind not in "iu":
        raise TypeError(
            f"labels must be integers, and these are {labels.dtype}; write labels.astype(int), or "
            "give probabilities in the shape of the logits"
        )
    if isinstance(labels, np.ndarray):
        # As unsigned integers, negative ones are larger than any number of classes.
        unsigned = labels.astype(np.uint64)
        if unsigned.size == 0 or unsigned.item(unsigned.argmax()) < classes:
            return
    if hasattr(labels, "check_labels"):  # of a program, which then checks them in each call
        labels.check_labels(classes, ignore_index)
        return
    outside = (labels < 0) | (labels >= classes)
    if ignore_index is not None:
        outside &= labels != ignore_index
    if is_known_true(np.any(outside)):
        row, named = _first(outside)
        raise IndexError(
            f"label {labels[row]} in row {named} is not one of the "
            f"{classes} classes, 0 to {classes - 1}; to leave such rows out, pass ignore_index"
        )


def _check_probabilities(values: Array, axis: int) -> None:
    totals = np.sum(values, axis)
    # Rows of zeros are left: they count for nothing, as ignored ones do.
    wrong = np.any(values < 0, axis) | ((np.abs(totals - 1) > 1e-2) & (totals != 0))
    if is_known_true(np.any(wrong)):
        raise ValueError(
            f"row {_first(wrong)[1]} of the target, which has the logits' shape, "
            "does not hold probabilities: they must be 0 or more, and add up to 1; divide them by "
            "their sum, or give integer labels, one for each row"
        )


def _first(wrong: Array) -> tuple[tuple[int, ...], str]:
    """The index of the first row that is wrong, and what a message calls it."""
    row = tuple(int(i) for i in np.argwhere(wrong)[0])
    return row, str(row[0] if len(row) == 1 else row)


def _warn_of_probabilities(logits: Any) -> None:
    """Warn, at the caller's line, where logits are in truth the output of a softmax."""
    if not isinstance(logits, Tensor):
        return
    if isinstance(logits.op, Softmax) or any(scope.name == "softmax" for scope in logits.scopes):
        warn_caller(
            "cross_entropy was given the output of a softmax, and applies softmax itself: the "
            "gradients fade, and the loss cannot approach 0; give it the logits, from before "
            "the softmax"
        )
