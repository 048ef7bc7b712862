"""The losses of classifiers: cross-entropy, in all its forms."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from numpy.lib.array_utils import normalize_axis_index

from microgradx.arrays.bounds import check_bounds
from microgradx.arrays.summation import sum_along
from microgradx.arrays.types import (
    Array,
    as_array,
    as_floats,
    as_number,
    is_known_true,
    present_values,
    unwrap,
)
from microgradx.engine import Tensor, as_tensor
from microgradx.functional.given_activations import (
    warn_of_activation,
    warn_unless_log_probabilities,
)
from microgradx.functional.loss_reduction import (
    LossReduction,
    as_weight,
    check_reduction,
    reduce_losses,
)
from microgradx.functional.probabilities import log_softmax
from microgradx.graph.scopes import scope
from microgradx.ops import softmax as textbook
from microgradx.ops.losses import FocalLoss
from microgradx.ops.softmax import SoftmaxCrossEntropy, weigh_labels

__all__ = ["cross_entropy", "nll_loss", "focal_loss", "kl_div"]


@scope
def cross_entropy(
    logits: Any,
    target: Any,
    weight: Any = None,
    *,
    axis: int = -1,
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
    _warn_of_probabilities("cross_entropy", logits)
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
    return reduce_losses(textbook.cross_entropy(log_p, y, axis), divisor, reduction)


_cross_entropy_op = lru_cache(maxsize=64)(SoftmaxCrossEntropy)  # the same settings are the same op


@scope
def nll_loss(
    log_probabilities: Any,
    target: Any,
    weight: Any = None,
    *,
    axis: int = -1,
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
    warn_unless_log_probabilities("nll_loss", log_p)
    return _negative_log_likelihood(log_p, labels, axis, weight, ignore_index, reduction)


@scope
def focal_loss(
    logits: Any,
    target: Any,
    *,
    gamma: float = 2.0,
    alpha: Any = None,
    axis: int = -1,
    ignore_index: int | None = None,
    reduction: LossReduction = "mean",
) -> Any:
    """-(1 - p)ᵞ ln p, with p the probability of the label: easy rows, of a large p, count little.

    gamma: γ, 0 or more; 0 is `cross_entropy`, to the bit.
    alpha: one factor for each class, which means what `weight` does in `cross_entropy` (the mean is
        divided by the sum of the rows' factors), or one number that scales every loss.

    Integer labels only. The other arguments, the result and errors are as in `cross_entropy`; exact
    at extreme logits too. Source: T.-Y. Lin et al., "Focal loss for dense object detection", 2017,
    equation 5.

    >>> focal_loss([[2.0, 1.0, 0.1]], [0], gamma=2.0)
    np.float64(0.04849234340769347)
    """
    if not 0 <= gamma < np.inf:
        raise ValueError(f"gamma must be a finite number, 0 or more, not {gamma}")
    is_factor = alpha is not None and np.ndim(unwrap(alpha)) == 0
    weight = None if is_factor else alpha
    logits, labels, weight = _check_arguments(logits, target, axis, weight, ignore_index, reduction)
    if labels.ndim == logits.ndim:
        raise ValueError("focal_loss takes integer labels; for probabilities use cross_entropy")
    if gamma == 0:
        loss = cross_entropy(
            logits, labels, weight, axis=axis, ignore_index=ignore_index, reduction=reduction
        )
    else:
        _warn_of_probabilities("focal_loss", logits)

        def losses_of(labels: Array) -> Any:
            rows = _cross_entropy_op(axis, 0.0, None, "none")(logits, labels)
            return FocalLoss(float(gamma))(rows)

        loss = _reduce_rows(losses_of, labels, logits.dtype, weight, ignore_index, reduction)
    return loss * as_weight(alpha, logits) if is_factor else loss


@scope
def kl_div(
    input: Any,
    target: Any,
    *,
    reduction: Literal["mean", "batchmean", "sum", "none"] = "mean",
    log_target: bool = False,
) -> Any:
    """The Kullback-Leibler divergence of a distribution y from a model of it: y (ln y - x).

    `input` holds log-probabilities x, such as `log_softmax` returns; `target`, of the same shape, y
    or, with `log_target=True`, ln y. Where y is 0 so are the loss and its derivatives. "none" is
    the term of each element. "batchmean", the sum divided by the length of the first axis, is the
    divergence; "mean", PyTorch's default, divides by the number of elements.

    Warns if `input` cannot be log-probabilities. Raises ValueError for shapes that differ, negative
    probabilities and an unknown reduction.

    >>> kl_div(np.log([[0.5, 0.5]]), [[1.0, 0.0]], reduction="batchmean")
    np.float64(0.6931471805599453)
    """
    check_reduction(reduction, "batchmean")
    x = as_floats(input)
    y = as_floats(target).astype(x.dtype)
    if x.shape != y.shape:
        raise ValueError(
            f"kl_div: input of shape {x.shape} and target of shape {y.shape}; they must be the same"
        )
    warn_unless_log_probabilities("kl_div", x)
    if log_target:
        is_0 = unwrap(y) == -np.inf
        log_y = np.where(is_0, 0, y)
        y = np.exp(y)
    else:
        is_0 = unwrap(y) == 0
        if is_known_true(np.any(unwrap(y) < 0)):
            raise ValueError(
                "kl_div: the target must hold probabilities, 0 or more; if these are their "
                "logarithms, pass log_target=True"
            )
        log_y = np.log(np.where(is_0, 1, y))
    losses = y * (log_y - np.where(is_0, 0, x))
    if reduction != "batchmean":
        return reduce_losses(losses, losses.size, reduction)
    if not losses.ndim:
        raise ValueError('kl_div: "batchmean" divides by the first axis, and a number has none')
    return reduce_losses(losses, len(losses), "mean")


def _negative_log_likelihood(
    log_p: Any, labels: Any, axis: int, weight: Any, ignore_index: int | None, reduction: str
) -> Any:
    """The loss of integer labels, which have been checked."""

    def losses_of(labels: Array) -> Any:
        index = list(np.indices(labels.shape, sparse=True))
        index.insert(axis % log_p.ndim, labels)
        return -log_p[tuple(index)]

    return _reduce_rows(losses_of, labels, log_p.dtype, weight, ignore_index, reduction)


def _reduce_rows(
    losses_of: Callable[[Array], Any],
    labels: Any,
    dtype: Any,
    weight: Any,
    ignore_index: int | None,
    reduction: str,
) -> Any:
    """The losses of rows with these labels, weighted and reduced; ignored ones count for 0."""
    labels, counted, sample_weight = weigh_labels(unwrap(labels), weight, ignore_index)
    sample_weight = sample_weight.astype(dtype)
    losses = np.where(counted, losses_of(labels), 0) * sample_weight
    return reduce_losses(losses, as_number(np.sum(sample_weight, dtype=np.float64)), reduction)


def _check_arguments(
    logits: Any, target: Any, axis: int, weight: Any, ignore_index: int | None, reduction: str
) -> tuple[Any, Any, Any]:
    """Logits, target and class weights, in the logits' dtype; raises if shapes do not fit."""
    check_reduction(reduction)
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
        in_pytorch = values.shape == shape[:1] + shape[2:]
        raise ValueError(
            f"a target of shape {values.shape} does not fit logits of shape {shape} with "
            f"classes along axis {axis}; labels need shape {rows}, probabilities {shape}"
            + ("; if classes are along axis 1, as PyTorch has them, pass axis=1" * in_pytorch)
        )
    if weight is not None:
        weight = as_weight(weight, logits)
        if weight.shape != (classes,):
            raise ValueError(
                f"weight has shape {weight.shape}; it needs one factor for each class: {(classes,)}"
            )
    return logits, target, weight


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
    ignored = () if ignore_index is None else ("label", "classes", int(ignore_index))
    check_bounds(labels, classes, *ignored)


def _check_probabilities(values: Array, axis: int) -> None:
    totals = sum_along(values, axis)
    # Rows of zeros are allowed: they are ignored.
    wrong = np.any(values < 0, axis) | ((np.abs(totals - 1) > 1e-2) & (totals != 0))
    if is_known_true(np.any(wrong)):
        raise ValueError(
            f"row {_first_row(wrong)} of the target, which has the logits' shape, "
            "does not hold probabilities: they must be 0 or more, and sum to 1; divide them by "
            "their sum, or pass integer labels, one for each row"
        )


def _first_row(wrong: Array) -> str:
    """The index of the first row that is wrong."""
    row = tuple(int(i) for i in np.argwhere(present_values(wrong))[0])
    return str(row[0] if len(row) == 1 else row)


def _warn_of_probabilities(loss: str, logits: Any) -> None:
    warn_of_activation(
        loss,
        logits,
        ("softmax", "sigmoid"),
        "applies softmax itself: the gradients vanish, and the loss cannot approach 0; pass the "
        "logits, before the {0}",
    )
