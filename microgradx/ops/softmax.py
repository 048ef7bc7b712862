"""The fused softmax family: one node each, and as exact as the dtype of the logits allows.

How rows of logits are computed, fast and without losing digits, is in `softmax_rows`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from microgradx.arrays.types import Array, Axis, as_number, unwrap
from microgradx.common.memory import pooled_empty
from microgradx.engine import Op, Tensor
from microgradx.ops.elementwise import stop_gradient
from microgradx.ops.reductions import Reduction
from microgradx.ops.softmax_rows import (
    Exponentials,
    as_rows,
    constants,
    from_rows,
    harmless,
    in_blocks,
    losses_and_gradients,
    of_few_labels,
    of_labels,
    of_probabilities,
)

__all__ = [
    "Softmax",
    "LogSoftmax",
    "LogSumExp",
    "SoftmaxCrossEntropy",
]


def _axes(axis: Axis, x: Array) -> tuple[int, ...]:
    if axis is None:
        return tuple(range(x.ndim))
    return axis if isinstance(axis, tuple) else (axis,)


def cooled(x: Any, axis: Axis, temperature: Any = None) -> Any:
    """Logits divided by a temperature, shifted first so that neither this nor exp can overflow.

    The shift, by the maximum, changes no softmax, and is a constant for the derivative.
    """
    z = x - stop_gradient(np.max(x, axis=axis, keepdims=True))
    if temperature is None:
        return z
    with np.errstate(over="ignore"):
        return z / temperature


class Normalisation(Op):
    """What softmax and its logarithm share: logits x and, if given, a temperature y."""

    def __init__(self, axis: Axis = -1) -> None:
        self.axis = axis

    @property
    def derivatives(self) -> tuple[Any, ...]:  # type: ignore[override]
        return self.by_logits, self.by_temperature

    def by_shifted(self, g: Any, out: Any) -> Any:
        """The gradient at the shifted and divided logits."""
        raise NotImplementedError

    def by_logits(self, g: Any, out: Any, x: Any, y: Any = None) -> Any:
        gradient = self.by_shifted(g, out)
        return gradient if y is None else gradient / y

    def by_temperature(self, g: Any, out: Any, x: Any, y: Any) -> Any:
        gradient = self.by_shifted(g, out)
        if x.size == 0:  # no maximum to shift by
            return gradient
        # A logit of -inf stays where it is at any temperature.
        z = np.where(np.isfinite(x), cooled(x, self.axis), 0)
        return -gradient * z / (y * y)

    def of_rows(
        self, x: Array, y: Array | None, function: Callable[[Exponentials], Array]
    ) -> Array:
        """What `function` makes of the exponentials of each row."""
        if x.size == 0:
            return np.zeros_like(x)
        axes = _axes(self.axis, x)
        z = as_rows(x, axes)
        temperature = None if y is None else as_rows(np.broadcast_to(y, x.shape), axes)
        return from_rows(in_blocks(function, z, np.empty(z.shape, x.dtype), temperature), x, axes)


class Softmax(Normalisation):
    """Exponentials, divided by their sum, over `axis`.

    >>> Softmax()(np.array([0.0, 0.0]))
    array([0.5, 0.5])
    """

    formula = "eˣ / Σ eˣ"

    def forward(self, x: Any, y: Any = None) -> Any:
        if not isinstance(x, np.ndarray):
            e = np.exp(cooled(x, self.axis, y))
            return e / np.sum(e, axis=self.axis, keepdims=True)
        return self.of_rows(x, y, lambda e: e.exponentials / (e.chosen + e.others))

    def by_shifted(self, g: Any, out: Any) -> Any:
        return out * (g - np.sum(g * out, axis=self.axis, keepdims=True))


class LogSoftmax(Normalisation):
    """The logarithm of softmax over `axis`, computed without forming the softmax.

    >>> LogSoftmax()(np.array([0.0, 1000.0]))
    array([-1000.,     0.])
    """

    name = "log_softmax"
    formula = "x - ln Σ eˣ"

    def forward(self, x: Any, y: Any = None) -> Any:
        if not isinstance(x, np.ndarray):
            z = cooled(x, self.axis, y)
            return z - np.log(np.sum(np.exp(z), axis=self.axis, keepdims=True))
        # `chosen` is exactly 1, or NaN in a row that has no softmax.
        return self.of_rows(x, y, lambda e: e.differences - e.chosen * np.log1p(e.others))

    def by_shifted(self, g: Any, out: Any) -> Any:
        return g - np.exp(out) * np.sum(g, axis=self.axis, keepdims=True)


class LogSumExp(Reduction):
    """ln Σ eˣ over `axis`, a smooth maximum, without overflow.

    >>> LogSumExp()(np.array([1000.0, 1000.0]))
    array(1000.69314718)
    """

    formula = "ln Σ eˣ"

    def forward(self, x: Any) -> Any:
        if not isinstance(x, np.ndarray):
            shift = np.max(x, axis=self.axis, keepdims=True)
            out = np.log(np.sum(np.exp(x - shift), axis=self.axis, keepdims=True)) + shift
            return out if self.keepdims else np.squeeze(out, self.axis)
        axes = _axes(self.axis, x)
        z = as_rows(x, axes)
        rows = np.full((len(z), 1), -np.inf, x.dtype)  # the logarithm of an empty sum
        if z.size:
            in_blocks(self.of_exponentials, z, rows)
        remaining = np.moveaxis(x, axes, range(-len(axes), 0)).shape[: x.ndim - len(axes)]
        out = rows.reshape(remaining)
        return np.expand_dims(out, axes) if self.keepdims else out

    @staticmethod
    def of_exponentials(e: Exponentials) -> Array:
        return np.where(np.isfinite(e.shift), e.shift + np.log1p(e.others), e.shift)

    def backward(self, g: Any, out: Any, x: Any) -> Any:
        return self.expand(g, x) * Softmax(self.axis)(x)


class SoftmaxCrossEntropy(Op):
    """Softmax and cross-entropy in one node: the loss of logits x, given targets y.

    Its gradient at the logits, p - y with p = softmax(x), is written by hand. Neither direction
    ever forms ln 0 or an exponential that overflows.

    Inputs: logits; target, either integer labels (the shape of the logits without the class axis)
    or probabilities (the shape of the logits); and, if given, a weight for each class. They are
    taken as they are: `microgradx.cross_entropy` checks them, and says what the settings mean.

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

    # ------------------------------------------------------------------ for arrays of any kind

    def forward(self, logits: Any, target: Any, weight: Any = None) -> Any:
        if isinstance(logits, np.ndarray):
            return self._loss_and_gradient(logits, target, weight, False)[0]
        return self._of_other_arrays(logits, target, weight)[0]

    def by_logits(self, g: Any, out: Any, logits: Any, target: Any, weight: Any = None) -> Any:
        if isinstance(g, np.ndarray) and isinstance(logits, np.ndarray):
            return self._gradient_kept(g, logits, target, weight)
        if self.saved is not None and not isinstance(g, Tensor):
            return self.saved * (np.expand_dims(g, self.axis) if self.reduction == "none" else g)
        y, divisor = self.weighed_targets(logits, target, weight)
        mass = np.sum(y, axis=self.axis, keepdims=True)
        p = np.where(mass == 0, 0, mass * Softmax(self.axis)(logits))
        return (p - y) * self._spread(g, divisor)

    def by_target(self, g: Any, out: Any, logits: Any, target: Any, weight: Any = None) -> Any:
        # The loss is linear in soft targets: what they weigh is -ln p, as far as not smoothed.
        each = -(1 - self.label_smoothing) * LogSoftmax(self.axis)(logits)
        if weight is not None:
            each = each * self._beside_classes(weight, logits)
        return each * self._spread(g, target.size / logits.shape[self.axis])

    def weighed_targets(self, logits: Any, target: Any, weight: Any = None) -> tuple[Any, Any]:
        """The y in Σ y (-ln p), in the logits' shape, and what "mean" divides the sum by.

        A row of y sums to 1, unless class weights or an ignored label have it otherwise.
        """
        classes = logits.shape[self.axis]
        if target.ndim == logits.ndim:
            y, counted, divisor = target, 1, target.size / classes
        else:
            labels = np.expand_dims(target, self.axis)
            hits = labels == self._beside_classes(np.arange(classes), logits)
            y, counted = hits.astype(logits.dtype), 1
            divisor = target.size if weight is None else None
            if self.ignore_index is not None:
                counted = (labels != self.ignore_index).astype(logits.dtype)
                y, divisor = y * counted, None
        smoothed = y
        if self.label_smoothing:
            smoothed = y * (1 - self.label_smoothing) + counted * (self.label_smoothing / classes)
        if weight is not None:
            weight = self._beside_classes(weight, logits)
            y, smoothed = y * weight, smoothed * weight
        if divisor is None:
            # A number of Python's: neither summed in float16, nor promoting anything.
            divisor = as_number(np.sum(unwrap(y), dtype=np.float64))
        return smoothed, divisor

    def _beside_classes(self, values: Any, logits: Any) -> Any:
        """One value for each class, in a shape that broadcasts along the class axis."""
        after = logits.ndim - 1 - self.axis % logits.ndim
        return np.reshape(values, (-1, *(1 for _ in range(after))))

    def _spread(self, g: Any, divisor: Any) -> Any:
        """What each row weighs in the final result, in a shape that broadcasts to the logits."""
        if self.reduction == "none":
            return np.expand_dims(g, self.axis)
        return g * _inverse(divisor, g.dtype) if self.reduction == "mean" else g

    def forward_saving(self, logits: Any, target: Any, weight: Any = None) -> Any:
        if isinstance(logits, np.ndarray):
            loss, self.saved = self._loss_and_gradient(logits, target, weight, True)
        else:
            loss, self.saved = self._of_other_arrays(logits, target, weight)
        return loss

    def _of_other_arrays(self, logits: Any, target: Any, weight: Any) -> tuple[Any, Any]:
        """Loss and gradient by what all arrays have in common with NumPy's."""
        y, divisor = self.weighed_targets(logits, target, weight)
        axes = (self.axis,)
        losses, gradient = losses_and_gradients(as_rows(logits, axes), as_rows(y, axes))
        loss = np.sum(losses)
        if self.reduction == "none":
            loss = np.reshape(losses, np.moveaxis(logits, self.axis, -1).shape[:-1])
        elif self.reduction == "mean":
            loss = loss / divisor
            gradient = gradient * _inverse(divisor, gradient.dtype)
        return loss.astype(logits.dtype), from_rows(gradient.astype(logits.dtype), logits, axes)

    # ------------------------------------------------------------------ for NumPy's: fast and exact

    def _gradient_kept(self, g: Array, logits: Array, target: Array, weight: Any) -> Array:
        """What forward kept, times g; given away, and computed again for who asks again."""
        gradient = vars(self).pop("saved", None)  # in one step, so that no two threads get it
        if gradient is None:
            gradient = self._loss_and_gradient(logits, target, weight, True)[1]
        if self.reduction == "none":
            return np.multiply(gradient, np.expand_dims(g, self.axis), out=gradient)
        return gradient if g.item() == 1 else np.multiply(gradient, g, out=gradient)

    def _loss_and_gradient(
        self, logits: Array, target: Array, weight: Array | None, want_gradient: bool
    ) -> tuple[Array, Array | None]:
        axis, are_rows = self.axis, logits.ndim == 2 and self.axis in (1, -1)
        if (
            are_rows
            and target.ndim == 1
            and weight is None
            and self.ignore_index is None
            and not self.label_smoothing
            and self.reduction != "none"
            and harmless(logits)
        ):
            rows = len(logits)
            factor = constants(1 / rows if self.reduction == "mean" else 1.0, rows)
            losses, gradient = of_few_labels(logits, target, factor, want_gradient)
            return np.asarray(losses.dot(factor), logits.dtype), gradient
        with np.errstate(all="ignore"):
            if are_rows:
                return self._of_rows(logits, target, weight, want_gradient)
            of_classes = target.ndim == logits.ndim
            loss, gradient = self._of_rows(
                as_rows(logits, (axis,)),
                as_rows(target, (axis,)) if of_classes else target.reshape(-1),
                weight,
                want_gradient,
            )
        if gradient is not None:
            gradient = from_rows(gradient, logits, (axis,))
        if self.reduction == "none":
            loss = loss.reshape(np.moveaxis(logits, axis, -1).shape[:-1])
        return loss, gradient

    def _of_rows(
        self, z: Array, target: Array, weight: Array | None, want_gradient: bool
    ) -> tuple[Array, Array | None]:
        """Loss and gradient of rows of logits, of any kind and number."""
        gradient = pooled_empty(z.shape, z.dtype) if want_gradient else None
        importance: Any = np.ones(len(z))
        if target.ndim == 1:
            labels, _, importance = weighed_labels(target, weight, self.ignore_index)
        divisor = float(np.sum(importance, dtype=np.float64))
        scale = 1 / (divisor or 1) if self.reduction == "mean" else 1.0
        if target.ndim == 1 and not self.label_smoothing:
            factor = importance.astype(np.promote_types(z.dtype, np.float64)) * scale
            ignored = factor == 0
            losses = np.where(ignored, 0, of_labels(z, labels, factor, gradient) * factor)
            if gradient is not None:
                gradient[ignored] = 0
        else:
            by_rows = SoftmaxCrossEntropy(-1, self.label_smoothing, self.ignore_index)

            def targets(rows: slice) -> Array:
                return by_rows.weighed_targets(z[rows], target[rows], weight)[0]

            losses = of_probabilities(z, targets, scale, gradient) * scale
        if self.reduction != "none":
            no_mean = self.reduction == "mean" and not divisor
            losses = np.asarray(np.nan if no_mean else np.sum(losses))
        return losses.astype(z.dtype, copy=False), gradient


def _inverse(divisor: Any, dtype: Any) -> Any:
    """What a sum is multiplied with for its mean. If every row was ignored, the sum is 0."""
    if isinstance(divisor, (int, float)):
        return 1 / (divisor or 1)
    return (1 / np.where(divisor == 0, 1, divisor)).astype(dtype)


def weighed_labels(
    labels: Array, weight: Array | None, ignore_index: int | None
) -> tuple[Array, Array, Array]:
    """Labels, whether each counts, and how much. Ignored ones are set to 0, which is a class."""
    counted = labels != ignore_index
    labels = np.where(counted, labels, 0)
    return labels, counted, np.where(counted, 1 if weight is None else weight[labels], 0)
