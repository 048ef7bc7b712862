"""Softmax and its loss: the textbook, and the fused ops that compute it fast, with all digits.

The rows of a NumPy array are computed in `softmax_rows`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from microgradx.arrays.summation import sum_along
from microgradx.arrays.types import Axis, as_number, filled_vector, match_kind, unwrap
from microgradx.engine import Op, Tensor
from microgradx.ops.elementwise import stop_gradient
from microgradx.ops.reductions import Reduction
from microgradx.ops.softmax_rows import (
    SMALL,
    as_rows,
    from_rows,
    loss_and_gradient,
    losses_and_gradients,
    map_exponentials,
)

__all__ = ["Softmax", "LogSoftmax", "LogSumExp", "SoftmaxCrossEntropy"]


# ---------------------------------------------------------------------------- the textbook


def softmax(z, axis=-1, temperature=None):
    """Probabilities from logits: p = eᶻ / Σ eᶻ."""
    e = np.exp(scale_logits(z, axis, temperature))
    return e / sum_along(e, axis, keepdims=True)


def softmax_vjp(g, p, axis=-1):
    """The gradient at the logits, from g at p. The Jacobian of softmax is diag(p) - p pᵀ."""
    return p * (g - sum_along(g * p, axis, keepdims=True))


def log_softmax(z, axis=-1, temperature=None):
    """ln p = z - ln Σ eᶻ, which never takes the logarithm of 0."""
    z = scale_logits(z, axis, temperature)
    return z - np.log(sum_along(np.exp(z), axis, keepdims=True))


def cross_entropy(log_p, y, axis=-1):
    """The loss of each row, -Σ y ln p, for a target distribution y."""
    is_void = (unwrap(y) == 0) & ~np.isfinite(log_p)  # 0 · ln 0 is 0
    return -sum_along(y * np.where(is_void, 0, log_p), axis)


def cross_entropy_gradient(p, y):
    """The gradient of the loss at the logits."""
    return p - y


def balance_gradient(gradient, p, axis=-1):
    """A gradient at the logits, with its entry at a p above ½ computed from the others.

    Since all logits may move alike, it sums to 0; where 1 - p is small, its formula cancels.
    """
    is_large = unwrap(p) > 0.5  # of one in a row at most
    others = sum_along(np.where(is_large, 0, gradient), axis, keepdims=True)
    return np.where(is_large, -others, gradient)


def scale_logits(z, axis, temperature=None):
    """Logits divided by a temperature, shifted first so that neither this nor exp can overflow.

    The shift, by the maximum, changes no softmax, and is a constant for the derivative.
    """
    z = z - stop_gradient(np.max(z, axis=axis, keepdims=True))
    if temperature is None:
        return z
    with np.errstate(over="ignore"):
        return z / temperature


# ---------------------------------------------------------------------------- one node each


def _as_axes(axis, x):
    if axis is None:
        return tuple(range(x.ndim))
    return axis if isinstance(axis, tuple) else (axis,)


class OfLogits(Op):
    """What softmax and its logarithm share: logits x and, if given, a temperature y."""

    def __init__(self, axis: Axis = -1) -> None:
        self.axis = axis

    @property
    def derivatives(self) -> tuple[Any, ...]:  # type: ignore[override]
        return self.by_logits, self.by_temperature

    def by_scaled_logits(self, g, out):
        """The gradient at the shifted logits, divided by the temperature."""
        raise NotImplementedError

    def by_logits(self, g, out, x, y=None):
        gradient = self.by_scaled_logits(g, out)
        return gradient if y is None else gradient / y

    def by_temperature(self, g, out, x, y):
        gradient = self.by_scaled_logits(g, out)
        if x.size == 0:  # no maximum to shift by
            return gradient
        # A logit of -inf stays where it is at any temperature.
        z = np.where(np.isfinite(x), scale_logits(x, self.axis), 0)
        return -gradient * z / (y * y)

    def map_rows(self, function, x, y):
        """What `function` makes of the shifted exponentials of each row."""
        if x.size == 0:
            return np.zeros_like(x)
        axes = _as_axes(self.axis, x)
        z = as_rows(x, axes)
        temperature = None if y is None else as_rows(np.broadcast_to(y, x.shape), axes)
        return from_rows(map_exponentials(function, z, z.shape[1], temperature), x, axes)


class Softmax(OfLogits):
    """Exponentials, divided by their sum, over `axis`.

    >>> Softmax()(np.array([0.0, 0.0]))
    array([0.5, 0.5])
    """

    formula = "eˣ / Σ eˣ"

    def forward(self, x, y=None):
        return self.map_rows(lambda m, z, e, largest, others: e / (1 + others), x, y)

    def by_scaled_logits(self, g, out):
        return balance_gradient(softmax_vjp(g, out, self.axis), out, self.axis)


class LogSoftmax(OfLogits):
    """The logarithm of softmax over `axis`, computed without forming the softmax.

    >>> LogSoftmax()(np.array([0.0, 1000.0]))
    array([-1000.,     0.])
    """

    name = "log_softmax"
    formula = "x - ln Σ eˣ"

    def forward(self, x, y=None):
        return self.map_rows(lambda m, z, e, largest, others: z - np.log1p(others), x, y)

    def by_scaled_logits(self, g, out):
        p = np.exp(out)
        gradient = g - p * sum_along(g, self.axis, keepdims=True)
        return balance_gradient(gradient, p, self.axis)


class LogSumExp(Reduction):
    """ln Σ eˣ over `axis`, a smooth maximum, without overflow.

    >>> LogSumExp()(np.array([1000.0, 1000.0]))
    array(1000.69314718)
    """

    formula = "ln Σ eˣ"

    def forward(self, x):
        axes = _as_axes(self.axis, x)
        z = as_rows(x, axes)

        def log_of_sum(m, z, e, largest, others):
            return np.where(np.isfinite(m), m + np.log1p(others), m)

        if z.size:
            rows = map_exponentials(log_of_sum, z, 1)
        else:
            rows = np.full((len(z), 1), -np.inf, x.dtype)  # the logarithm of an empty sum
        remaining = np.moveaxis(x, axes, range(-len(axes), 0)).shape[: x.ndim - len(axes)]
        out = np.reshape(rows, remaining)
        return np.expand_dims(out, axes) if self.keepdims else out

    def backward(self, g, out, x):
        return self.expand(g, x) * Softmax(self.axis)(x)


class SoftmaxCrossEntropy(Op):
    """Softmax and cross-entropy in one node: the loss of logits x, given targets y.

    Its gradient at the logits, p - y with p = softmax(x), is written by hand. Neither direction
    ever forms ln 0 or an exponential that overflows.

    Inputs: logits; target, either integer labels (the shape of the logits without the class axis)
    or probabilities (the shape of the logits); and, if given, a weight for each class. They are
    not checked: `microgradx.cross_entropy` checks them, and says what the settings mean.

    >>> SoftmaxCrossEntropy()(np.array([[2.0, 1.0, 0.1]]), np.array([0]))
    array(0.41703002)
    """

    name = "softmax_cross_entropy"
    formula = "-Σ y ln softmax(x)"

    def __init__(
        self,
        axis: int = -1,
        label_smoothing: float = 0.0,
        ignore_index: int | None = None,
        reduction: str = "mean",
    ) -> None:
        self.axis = axis
        self.label_smoothing = label_smoothing
        self.ignore_index = ignore_index
        self.reduction = reduction

    @property
    def derivatives(self) -> tuple[Any, ...]:  # type: ignore[override]
        return self.by_logits, self.by_target, None

    def forward(self, logits, target, weight=None):
        return self.loss_and_gradient(logits, target, weight, want_gradient=False)[0]

    def forward_saving(self, logits, target, weight=None):
        loss, self.saved = self.loss_and_gradient(logits, target, weight, want_gradient=True)
        return loss

    def by_logits(self, g, out, logits, target, weight=None):
        if not isinstance(g, Tensor):
            return self._scale_saved_gradient(g, logits, target, weight)
        y, divisor = self.target_distribution(logits, target, weight)
        total = sum_along(y, self.axis, keepdims=True)  # 1, without class weights or ignored rows
        p = Softmax(self.axis)(logits)
        gradient = cross_entropy_gradient(np.where(total == 0, 0, total * p), y)
        return balance_gradient(gradient, p, self.axis) * self._row_gradient(g, divisor)

    def by_target(self, g, out, logits, target, weight=None):
        # The loss is linear in the target distribution, as far as that is not smoothed.
        each = -(1 - self.label_smoothing) * LogSoftmax(self.axis)(logits)
        if weight is not None:
            each = each * self._along_classes(weight, logits)
        return each * self._row_gradient(g, target.size / logits.shape[self.axis])

    # ------------------------------------------------------------------ targets

    def target_distribution(self, logits, target, weight=None):
        """The y in Σ y (-ln p), in the logits' shape, and the divisor of the mean.

        A row of y sums to 1, unless class weights or an ignored label change that.
        """
        classes = logits.shape[self.axis]
        if target.ndim == logits.ndim:
            y, counted, divisor = target, 1, target.size / classes
        else:
            labels = np.expand_dims(target, self.axis)
            hits = labels == self._along_classes(np.arange(classes), logits)
            y, counted = hits.astype(logits.dtype), 1
            divisor = target.size if weight is None else None
            if self.ignore_index is not None:
                counted = (labels != self.ignore_index).astype(logits.dtype)
                y, divisor = y * counted, None
        smoothed = y
        if self.label_smoothing:
            smoothed = y * (1 - self.label_smoothing) + counted * (self.label_smoothing / classes)
        if weight is not None:
            weight = self._along_classes(weight, logits)
            y, smoothed = y * weight, smoothed * weight
        if divisor is None:
            # A Python number: neither summed in float16, nor promoting anything.
            divisor = as_number(np.sum(unwrap(y), dtype=np.float64))
        return smoothed, divisor

    def _along_classes(self, values, logits):
        """One value for each class, in a shape that broadcasts along the class axis."""
        after = logits.ndim - 1 - self.axis % logits.ndim
        return np.reshape(values, (-1, *(1 for _ in range(after))))

    def _row_gradient(self, g, divisor):
        """The gradient at the loss of each row, in a shape that broadcasts to the logits."""
        if self.reduction == "none":
            return np.expand_dims(g, self.axis)
        return g * _invert_divisor(divisor, g.dtype) if self.reduction == "mean" else g

    # ------------------------------------------------------------------ loss and gradient at once

    def loss_and_gradient(self, logits, target, weight, want_gradient):
        """The loss, and its gradient at the logits: None if not wanted, of NumPy arrays."""
        axes = (self.axis,)
        if not isinstance(logits, np.ndarray):
            y, divisor = self.target_distribution(logits, target, weight)
            if self.reduction == "mean":  # first of all, as the sum might overflow
                y = y * _invert_divisor(divisor, y.dtype)
            with np.errstate(all="ignore"):
                loss, gradient = losses_and_gradients(as_rows(logits, axes), as_rows(y, axes))
            if self.reduction != "none":
                loss = sum_along(loss)
            is_void = self.reduction == "mean" and divisor == 0
            if is_void is not False:
                loss = loss + np.where(is_void, np.nan, 0)
            loss, gradient = loss.astype(logits.dtype), gradient.astype(logits.dtype)
        else:
            is_matrix = logits.ndim == 2 and self.axis in (1, -1)
            z, y = logits, target
            if not is_matrix:
                z = as_rows(logits, axes)
                y = target.reshape(-1) if target.ndim < logits.ndim else as_rows(target, axes)
            y, row_weight, divisor = self._weigh_rows(z, y, weight)
            is_total = self.reduction != "none"
            loss, gradient = loss_and_gradient(z, y, row_weight, is_total, want_gradient)
            if self.reduction == "mean" and not divisor:
                loss = np.asarray(np.nan, logits.dtype)
            if is_matrix:
                return loss, gradient
        if self.reduction == "none":
            loss = np.reshape(loss, np.moveaxis(logits, self.axis, -1).shape[:-1])
        return loss, gradient if gradient is None else from_rows(gradient, logits, axes)

    def _weigh_rows(self, z, target, weight):
        """Labels, or a function for distributions; the weight of each row; the mean's divisor."""
        divisor = float(len(z))
        sample_weight = None  # all are 1
        is_labels = target.ndim == 1
        if is_labels and (weight is not None or self.ignore_index is not None):
            labels, _, sample_weight = weigh_labels(target, weight, self.ignore_index)
            divisor = float(np.sum(sample_weight, dtype=np.float64))
        scale = 1 / (divisor or 1) if self.reduction == "mean" else 1.0
        if is_labels and not self.label_smoothing:
            if sample_weight is None:
                return target, _equal_weights(scale, z), divisor
            dtype = np.promote_types(z.dtype, np.float64)
            return labels, np.multiply(sample_weight, scale, dtype=dtype), divisor
        of_rows = SoftmaxCrossEntropy(-1, self.label_smoothing, self.ignore_index)

        def distribution(rows):
            return of_rows.target_distribution(z[rows], target[rows], weight)[0]

        return distribution, _equal_weights(scale, z), divisor

    def _scale_saved_gradient(self, g, logits, target, weight):
        """What forward saved, times g; given away, and computed again if it is asked for again."""
        gradient = vars(self).pop("saved", None)  # in one step, so that no two threads get it
        if gradient is None:
            gradient = self.loss_and_gradient(logits, target, weight, want_gradient=True)[1]
        factor = np.expand_dims(g, self.axis) if self.reduction == "none" else g
        if not (isinstance(gradient, np.ndarray) and isinstance(factor, np.ndarray)):
            self.saved = gradient  # nobody writes into it
            return gradient * factor
        if self.reduction != "none" and g.item() == 1:
            return gradient
        return np.multiply(gradient, factor, out=gradient)


def _equal_weights(scale, z):
    # Few rows come again in the next step, and their vector is kept; many would fill the memory.
    return filled_vector(scale, len(z)) if z.size <= SMALL else np.full(len(z), scale)


def _invert_divisor(divisor, dtype):
    """What a sum is multiplied by for its mean. If every row was ignored, the sum is 0."""
    if isinstance(divisor, (int, float)):
        return 1 / (divisor or 1)
    return (1 / np.where(divisor == 0, 1, divisor)).astype(dtype)


def weigh_labels(labels, weight, ignore_index):
    """Labels, whether each counts, and how much. Ignored ones are set to 0, which is a class."""
    counted = labels != ignore_index
    labels = np.where(counted, labels, 0)
    each = 1 if weight is None else match_kind(weight, (labels,))[labels]
    return labels, counted, np.where(counted, each, 0)
