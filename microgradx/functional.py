"""Softmax, log-softmax, and the losses of classifiers and of regressions, composed of ops.

Each takes arrays or Tensors. Arrays in, arrays out; a Tensor anywhere in, a Tensor out.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Literal

import numpy as np
from numpy.lib.array_utils import normalize_axis_index

from microgradx.arrays.dispatch import implements
from microgradx.arrays.summation import sum_along, widen
from microgradx.arrays.types import (
    Array,
    Axis,
    as_array,
    as_floats,
    as_number,
    is_known_true,
    present_values,
    unwrap,
)
from microgradx.common.messages import warn_caller
from microgradx.engine import Tensor, as_tensor
from microgradx.graph.scopes import scope
from microgradx.ops import softmax as textbook
from microgradx.ops.activations import softplus
from microgradx.ops.elementwise import clip
from microgradx.ops.reductions import sum
from microgradx.ops.softmax import LogSoftmax, LogSumExp, Softmax, SoftmaxCrossEntropy, weigh_labels

__all__ = [
    "softmax",
    "log_softmax",
    "logsumexp",
    "cross_entropy",
    "nll_loss",
    "binary_cross_entropy_with_logits",
    "mse_loss",
    "l1_loss",
    "huber_loss",
    "smooth_l1_loss",
]

LossReduction = Literal["mean", "sum", "none"]

# ---------------------------------------------------------------------------- softmax


@implements("softmax")
@scope
def softmax(x: Any, axis: int = -1, temperature: Any = 1.0, *, fused: bool = True) -> Any:
    """Probabilities from logits: eˣ / Σ eˣ over `axis`.

    The largest logit of each row is subtracted first, which prevents overflow and changes no
    result. Then logits are divided by the temperature: below 1 it sharpens the probabilities,
    above 1 it flattens them. `fused=False` composes softmax from max, exp, sum and divide, so that
    the graph shows them; the default is one node, more accurate and faster.

    The result has the shape and dtype of `x`. A row that contains +inf or NaN, or only -inf, is
    NaN. Raises ValueError for a temperature that is not positive. Source: J. S. Bridle, 1990.

    >>> softmax([2.0, 1.0, 0.1])
    array([0.65900114, 0.24243297, 0.09856589])
    """
    x, *y = _check_temperature(x, temperature)
    return Softmax(axis)(x, *y) if fused else textbook.softmax(x, axis, *y)


@implements("log_softmax")
@scope
def log_softmax(x: Any, axis: int = -1, temperature: Any = 1.0, *, fused: bool = True) -> Any:
    """The logarithm of softmax, x - ln Σ eˣ over `axis`; it never takes the logarithm of 0.

    Arguments, shape, dtype and errors as in `softmax`.

    >>> log_softmax([2.0, 1.0, 0.1])
    array([-0.41703002, -1.41703002, -2.31703002])
    """
    x, *y = _check_temperature(x, temperature)
    return LogSoftmax(axis)(x, *y) if fused else textbook.log_softmax(x, axis, *y)


@implements("logsumexp")
def logsumexp(x: Any, axis: Axis = None, *, keepdims: bool = False) -> Any:
    """ln Σ eˣ over `axis`, without overflow: a smooth maximum, whose gradient is softmax.

    Over no elements it is -inf, the logarithm of 0. Raises ValueError for an axis out of range.

    >>> logsumexp([1000.0, 1000.0])
    array(1000.69314718)
    """
    return LogSumExp(axis, keepdims)(as_floats(x))


def _check_temperature(x: Any, temperature: Any) -> tuple[Any, ...]:
    """Logits as floats, and the temperature in their dtype; without it if it changes nothing."""
    x = as_floats(x)
    if type(temperature) is float and temperature == 1.0:
        return (x,)
    values = as_array(unwrap(temperature))
    with np.errstate(over="ignore"):
        cast = values.astype(x.dtype)
    if is_known_true(~np.all(cast > 0)):
        raise ValueError(
            f"temperature must be positive in {x.dtype}, not {present_values(values)}; in the "
            "limit 0 softmax "
            "selects the largest logit: use argmax for that"
        )
    return x, temperature if isinstance(temperature, Tensor) else cast


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
    """The loss of a classifier: -ln p, where p is the probability of the correct class.

    `logits` are raw scores, not probabilities, with the classes along `axis` (the last by
    default). `target` holds either integer labels, in the logits' shape without that axis, or
    probabilities, in the logits' shape, which sum to 1 in each row (or to 0: that row is
    ignored). Probabilities receive gradients if they require them.

    weight: one factor for each class.
    label_smoothing: the fraction ε of each target that is spread over all C classes:
        y (1 - ε) + ε / C.
    ignore_index: rows with this label are ignored (integer labels only).
    reduction: "mean" (over rows; with integer labels and class weights, divided by the sum of
        the rows' weights), "sum", or "none": a loss for each row.
    fused: compute it as one node, `SoftmaxCrossEntropy`, whose gradient is p - y; False composes
        it from `log_softmax`.

    The result has the dtype of the logits. If every row is ignored it is NaN for "mean" and 0
    for "sum", with gradients of 0. All as in PyTorch, except for `axis`, and that -100 is ignored
    only on request. Raises ValueError, TypeError or IndexError for arguments that do not fit.

    >>> cross_entropy([[2.0, 1.0, 0.1]], [0])
    array(0.41703002)
    """
    logits, target, weight = _check_arguments(logits, target, axis, weight, ignore_index, reduction)
    label_smoothing = float(label_smoothing)  # Python floats promote no dtype
    if not 0 <= label_smoothing <= 1:
        raise ValueError(f"label_smoothing must be from 0 to 1, not {label_smoothing}")
    _warn_of_softmax(logits)
    if isinstance(logits, Tensor):
        target = as_tensor(target)
    inputs = (logits, target) if weight is None else (logits, target, weight)
    op = _cross_entropy_op(axis, label_smoothing, ignore_index, reduction)
    if fused:
        return op(*inputs)
    log_p = log_softmax(logits, axis, fused=False)
    if target.ndim != logits.ndim and not label_smoothing:
        return _negative_log_likelihood(log_p, target, axis, weight, ignore_index, reduction)
    y, divisor = op.target_distribution(*inputs)
    return _reduce_losses(textbook.cross_entropy(log_p, y, axis), divisor, reduction)


_cross_entropy_op = lru_cache(maxsize=64)(SoftmaxCrossEntropy)  # the same settings are the same op


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
    """The negative log-likelihood of integer labels: `cross_entropy` without its log_softmax.

    Takes log-probabilities; the other arguments, the result and errors as in `cross_entropy`.

    >>> nll_loss(log_softmax([[2.0, 1.0, 0.1]]), [0])
    np.float64(0.41703001627783354)
    """
    log_p, labels, weight = _check_arguments(
        log_probabilities, target, axis, weight, ignore_index, reduction
    )
    if labels.ndim == log_p.ndim:
        raise ValueError("nll_loss takes integer labels; for probabilities use cross_entropy")
    return _negative_log_likelihood(log_p, labels, axis, weight, ignore_index, reduction)


@scope
def binary_cross_entropy_with_logits(
    logits: Any,
    target: Any,
    *,
    weight: Any = None,
    pos_weight: Any = None,
    reduction: LossReduction = "mean",
) -> Any:
    """The loss of a binary classifier, -y ln p - (1 - y) ln(1 - p), with p = sigmoid(logits).

    `target`, of the logits' shape, holds y, from 0 to 1. `weight` scales the losses and
    `pos_weight` the term of y; both broadcast. Computed as y softplus(-x) + (1 - y) softplus(x),
    which neither overflows nor takes ln 0. The result has the dtype of the logits. Raises
    ValueError for shapes that differ, targets outside 0 to 1, negative weights and an unknown
    reduction.

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
        raise ValueError("the target must hold probabilities of the positive class, from 0 to 1")
    positive = y * softplus(-logits)
    if pos_weight is not None:
        positive = positive * _as_weight(pos_weight, logits)
    losses = positive + (1 - y) * softplus(logits)
    if weight is not None:
        losses = losses * _as_weight(weight, logits)
    return _reduce_losses(losses, losses.size, reduction)


@scope
def mse_loss(
    input: Any, target: Any, *, weight: Any = None, reduction: LossReduction = "mean"
) -> Any:
    """The squared error, (x - y)².

    `input` x and `target` y have one shape; both receive gradients. `weight` scales the losses, and
    the mean is then divided by the sum of the weights. The result has the dtype of `input`. Raises
    ValueError for shapes that differ, negative weights and an unknown reduction.

    >>> mse_loss([1.0, 2.0], [1.0, 4.0])
    np.float64(2.0)
    """
    error = _error(input, target)
    return _reduce_errors(error * error, weight, reduction)


@scope
def l1_loss(
    input: Any, target: Any, *, weight: Any = None, reduction: LossReduction = "mean"
) -> Any:
    """The absolute error, |x - y|, with the derivative 0 at 0; see `mse_loss`.

    >>> l1_loss([1.0, 2.0], [1.0, 4.0])
    np.float64(1.0)
    """
    return _reduce_errors(np.abs(_error(input, target)), weight, reduction)


@scope
def huber_loss(
    input: Any,
    target: Any,
    *,
    delta: float = 1.0,
    weight: Any = None,
    reduction: LossReduction = "mean",
) -> Any:
    """Half the squared error up to `delta`, and a line beyond: δ (|x - y| - δ / 2); see `mse_loss`.

    Raises ValueError for a `delta` that is not positive. Source: P. J. Huber, 1964.

    >>> huber_loss([1.0, 2.0], [1.5, 4.0], reduction="none")
    array([0.125, 1.5  ])
    """
    if not delta > 0:
        raise ValueError(f"delta must be positive, not {delta}")
    error = _error(input, target)
    limited = clip(error, -delta, delta)
    return _reduce_errors(limited * (error - limited / 2), weight, reduction)


@scope
def smooth_l1_loss(
    input: Any,
    target: Any,
    *,
    beta: float = 1.0,
    weight: Any = None,
    reduction: LossReduction = "mean",
) -> Any:
    """`huber_loss` divided by `delta`, here `beta`, and `l1_loss` for 0. Source: R. Girshick, 2015.

    >>> smooth_l1_loss([1.0, 2.0], [1.5, 4.0], beta=0.5, reduction="none")
    array([0.25, 1.75])
    """
    if beta == 0:
        return l1_loss(input, target, weight=weight, reduction=reduction)
    return huber_loss(input, target, delta=beta, weight=weight, reduction=reduction) / beta


def _error(input: Any, target: Any) -> Any:
    """x - y, in the dtype of x; shapes that broadcast would compare each x with each y."""
    x, y = as_floats(input), as_floats(target)
    if x.shape != y.shape:
        raise ValueError(
            f"input of shape {x.shape} and target of shape {y.shape}; they must be the same: "
            "reshape one of them, or write target[:, None]"
        )
    return x - (y if y.dtype == x.dtype else y.astype(x.dtype))


def _reduce_errors(losses: Any, weight: Any, reduction: str) -> Any:
    _check_reduction(reduction)
    if weight is None:
        return _reduce_losses(losses, losses.size, reduction)
    weight = np.broadcast_to(_as_weight(weight, losses), losses.shape)
    divisor = as_number(np.sum(weight, dtype=np.float64))
    return _reduce_losses(losses * weight, divisor, reduction)


def _negative_log_likelihood(
    log_p: Any, labels: Any, axis: int, weight: Any, ignore_index: int | None, reduction: str
) -> Any:
    """The loss of integer labels, which have been checked."""
    labels, counted, sample_weight = weigh_labels(unwrap(labels), weight, ignore_index)
    index = list(np.indices(labels.shape, sparse=True))
    index.insert(axis % log_p.ndim, labels)
    sample_weight = sample_weight.astype(log_p.dtype)
    losses = np.where(counted, -log_p[tuple(index)], 0) * sample_weight
    return _reduce_losses(losses, as_number(np.sum(sample_weight, dtype=np.float64)), reduction)


def _reduce_losses(losses: Any, divisor: Any, reduction: str) -> Any:
    if reduction == "none":
        return losses
    total = sum(widen(losses))  # which float16 could not hold, nor the divisor
    if reduction == "sum":
        reduced = total
    elif not isinstance(divisor, (int, float)):
        reduced = total / np.where(divisor == 0, np.nan, divisor).astype(total.dtype)
    else:  # if all rows are ignored the mean is NaN, but its gradients are 0
        reduced = total / divisor if divisor else total + np.nan
    return reduced if reduced.dtype == losses.dtype else reduced.astype(losses.dtype)


def _check_arguments(
    logits: Any, target: Any, axis: int, weight: Any, ignore_index: int | None, reduction: str
) -> tuple[Any, Any, Any]:
    """Logits, target and class weights, in the logits' dtype; raises if shapes do not fit."""
    _check_reduction(reduction)
    logits = as_floats(logits)
    shape = logits.shape
    if not shape:
        raise ValueError("logits need an axis of classes, but this is a single number")
    if ignore_index is not None and not isinstance(ignore_index, (int, np.integer)):
        raise TypeError(f"ignore_index must be an integer label, not {ignore_index!r}")
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
                "ignore_index is for integer labels; to ignore rows of probabilities, remove them "
                "or set them to 0"
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
        raise ValueError("the weights of a loss must be constants: pass weight.detach()")
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
            f"labels must be integers, not {labels.dtype}; use labels.astype(int), or pass "
            "probabilities in the shape of the logits"
        )
    if isinstance(labels, np.ndarray):
        # As unsigned integers, negative ones are larger than any number of classes.
        unsigned = labels.astype(np.uint64)
        if unsigned.size == 0 or unsigned.item(unsigned.argmax()) < classes:
            return
    if hasattr(labels, "check_labels"):  # a traced array: its program checks them at each call
        labels.check_labels(classes, ignore_index)
        return
    outside = (labels < 0) | (labels >= classes)
    if ignore_index is not None:
        outside &= labels != ignore_index
    if is_known_true(np.any(outside)):
        row, row_name = _first_row(outside)
        raise IndexError(
            f"label {labels[row]} in row {row_name} is not one of the "
            f"{classes} classes, 0 to {classes - 1}; to ignore such rows, pass ignore_index"
        )


def _check_probabilities(values: Array, axis: int) -> None:
    totals = sum_along(values, axis)
    # Rows of zeros are allowed: they are ignored.
    wrong = np.any(values < 0, axis) | ((np.abs(totals - 1) > 1e-2) & (totals != 0))
    if is_known_true(np.any(wrong)):
        raise ValueError(
            f"row {_first_row(wrong)[1]} of the target, which has the logits' shape, "
            "does not hold probabilities: they must be 0 or more, and sum to 1; divide them by "
            "their sum, or pass integer labels, one for each row"
        )


def _first_row(wrong: Array) -> tuple[tuple[int, ...], str]:
    """The index of the first row that is wrong, and its text for a message."""
    row = tuple(int(i) for i in np.argwhere(present_values(wrong))[0])
    return row, str(row[0] if len(row) == 1 else row)


def _warn_of_softmax(logits: Any) -> None:
    """Warn, at the caller's line, if logits are the output of a softmax."""
    if not isinstance(logits, Tensor):
        return
    if isinstance(logits.op, Softmax) or "softmax" in [
        scope.called.__name__ for scope in logits.scopes
    ]:
        warn_caller(
            "cross_entropy was given the output of a softmax, but applies softmax itself: the "
            "gradients vanish, and the loss cannot approach 0; pass the logits, before the "
            "softmax"
        )
