"""Calibration: logits are scaled so that their softmax says how often it is right.

A network is trained until it is surer than it should be. A scaling with few parameters, fitted to
logits of rows that the network was not trained on, mends that.

Source: C. Guo et al., "On calibration of modern neural networks", 2017.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from microgradx.arrays.types import Array, as_floats, unwrap
from microgradx.common.messages import warn_caller
from microgradx.functional import cross_entropy, softmax
from microgradx.functional.given_activations import warn_of_activation
from microgradx.metrics.inputs import are_probabilities, encode_labels
from microgradx.transforms import hessian, value_and_grad

__all__ = ["LogitScaling", "TemperatureScaling", "VectorScaling"]

FOLDS = 10
MIN_ROWS = 20
#: The cross-validated log-loss must fall by this many of its standard errors: by more where
#: probabilities become sharper, as the loss of a mistake then has no bound. Chosen, like the number
#: of rows, on parts of 34 tables, and on logits that were calibrated already.
ERRORS_TO_FLATTEN, ERRORS_TO_SHARPEN = 1.0, 2.0
#: Logits that say nothing of the labels are divided by their range, times this.
NEARLY_INFINITE = 1e6


class LogitScaling:
    """What scalings share: weight · logits + bias, used only if cross-validation finds a benefit.

    On the rows that it is fitted to, a scaling always lowers the log-loss. So it is also fitted to
    nine tenths of them at a time, and measured on the others: there it must lower the log-loss, by
    more than a standard error of that, or two where probabilities become sharper. Otherwise, and
    with fewer than 20 rows, the logits stay as they are, and `message` says why.
    """

    #: Whether the logits are changed, and a sentence that says what was found.
    helps: bool
    message: str
    #: One number, or one for each class.
    weight: Any
    bias: Any

    def fit(self, logits: Any, labels: Any, *, warn: bool = True) -> Any:
        """Fit to logits (rows, classes) of held-out rows and their labels (rows,); returns self.

        Labels are the indices of the classes, or texts, which stand for them in sorted order. A
        logit of -inf excludes its class. Unless `warn` is False, warns if the logits stay as they
        are, and if they are probabilities. Raises ValueError for logits that are NaN or +inf, and
        for labels of no class, or of one that is excluded.
        """
        self._fit(logits, labels)
        if warn:
            _warn_of_probabilities(f"{type(self).__name__}.fit", logits)
        if warn and not self.helps:
            warn_caller(self.message)
        return self

    def transform(self, logits: Any) -> Any:
        """The logits (…, classes) scaled. Raises ValueError before `fit`."""
        self._require_fitted()
        return scale_logits(logits, self.weight, self.bias)

    def predict_proba(self, logits: Any) -> Any:
        """Calibrated probabilities (…, classes): the softmax of the scaled logits."""
        return softmax(self.transform(logits))

    def __repr__(self) -> str:
        if not hasattr(self, "weight"):
            return f"{type(self).__name__}(not fitted)"
        return f"{type(self).__name__}(weight={self.weight}, bias={self.bias})"

    def _require_fitted(self) -> None:
        if not hasattr(self, "weight"):
            name = type(self).__name__
            raise ValueError(f"this {name} is not fitted; call fit(logits, labels) first")

    def _fit(self, logits: Any, labels: Any) -> None:
        z, y = _check_rows(logits, labels)
        before = _measure(z, y)
        self.weight, self.bias, self.helps = 1.0, 0.0, False
        try:
            weight, bias = self.minimise(z, y)
            after = np.mean(_measure(scale_logits(z, weight, bias), y))
            gains = before - self._cross_validate(z, y)
        except _NoOptimumError as reason:
            self.message = f"the logits stay as they are: {reason}"
            return
        gain, error = np.mean(gains), np.std(gains, ddof=1) / np.sqrt(len(y))
        errors = ERRORS_TO_SHARPEN if np.any(weight > 1) else ERRORS_TO_FLATTEN
        self.helps = bool(gain > errors * error)
        found = f"{len(y):,} rows: log-loss {np.mean(before):.4f}, and {after:.4f} after scaling"
        judged = f"by cross-validation it changes by {-gain:+.4f} ± {error:.4f}"
        if self.helps:
            self.weight, self.bias = weight, bias
            self.message = f"fitted to {found}; {judged}"
        else:
            self.message = (
                f"the logits stay as they are, as {len(y):,} rows do not show that scaling lowers "
                f"the log-loss: {judged}"
            )

    def _cross_validate(self, z: Array, y: Array) -> Array:
        """The loss of each row, by a scaling fitted to others."""
        if len(y) < MIN_ROWS:
            raise _NoOptimumError(f"{len(y)} rows are too few to tell whether scaling helps")
        losses = np.empty(len(y))
        order = np.random.default_rng(0).permutation(len(y))
        for fold in np.array_split(order, min(FOLDS, len(y))):
            others = np.setdiff1d(order, fold)
            scaled = scale_logits(z[fold], *self.minimise(z[others], y[others]))
            losses[fold] = _measure(scaled, y[fold])
        return losses

    def minimise(self, z: Array, y: Array) -> tuple[Any, Any]:
        """The weight and bias of the least log-loss. Raises _NoOptimumError if there are none."""
        raise NotImplementedError


class TemperatureScaling(LogitScaling):
    """Divides logits by one temperature, so that the most probable class stays what it is.

    It is the T of the least log-loss of softmax(logits / T), found by Newton's method: the loss is
    convex in 1 / T, and `transforms` has its two derivatives. `temperature` stays 1 if that does
    not help, as where all rows are predicted right: the loss then falls until T = 0.

    >>> import microgradx as mg
    >>> generator = np.random.default_rng(0)
    >>> logits = generator.normal(size=(500, 3))
    >>> labels = mg.sample(logits, generator=generator)
    >>> overconfident = 4 * logits
    >>> scaling = TemperatureScaling().fit(overconfident, labels)
    >>> scaling
    TemperatureScaling(temperature=4.3173)
    >>> scaling.message
    'fitted to 500 rows: log-loss ...'
    >>> scaling.predict_proba([4.0, 0.0, 0.0]).round(2)
    array([0.56, 0.22, 0.22])
    """

    @property
    def temperature(self) -> float:
        """What divides the logits. Raises ValueError before `fit`."""
        self._require_fitted()
        return float(1 / self.weight)

    def __repr__(self) -> str:
        if not hasattr(self, "weight"):
            return super().__repr__()
        return f"TemperatureScaling(temperature={self.temperature:.6g})"

    def minimise(self, z: Array, y: Array) -> tuple[float, float]:
        return _find_inverse_temperature(z, y), 0.0


class VectorScaling(LogitScaling):
    """Multiplies the logits of each class by a weight, and adds a bias: 2 · classes numbers.

    They minimise the log-loss, plus (|w T - 1|² + |b|²) / 2 rows, where T is the temperature of the
    least log-loss: with few rows of a class, it stays close to temperature scaling.

    >>> generator = np.random.default_rng(0)
    >>> logits = generator.normal(size=(900, 3))
    >>> labels = (logits + [0.0, 0.0, 1.0] + generator.gumbel(size=(900, 3))).argmax(axis=1)
    >>> scaling = VectorScaling().fit(logits, labels)
    >>> (scaling.bias - scaling.bias[0]).round(1)
    array([ 0., -0.,  1.])
    """

    def minimise(self, z: Array, y: Array) -> tuple[Array, Array]:
        inverse_temperature = _find_inverse_temperature(z, y)
        classes = z.shape[1]
        excluded = np.isneginf(z)
        mask = np.where(excluded, -np.inf, 0.0)
        z = np.where(excluded, 0.0, z) * inverse_temperature

        def loss(parameters: Any) -> Any:
            weight, bias = parameters[:classes], parameters[classes:]
            penalty = (np.sum((weight - 1) ** 2) + np.sum(bias**2)) / (2 * len(y))
            return cross_entropy(z * weight + bias + mask, y) + penalty

        fitted = _minimise_convex(loss, np.repeat([1.0, 0.0], classes))
        return fitted[:classes] * inverse_temperature, fitted[classes:]


class _NoOptimumError(Exception):
    """No scaling has the least log-loss; the text says why."""


def _measure(z: Array, y: Array) -> Array:
    """The log-loss of each row, small enough to be squared."""
    losses: Array = np.minimum(cross_entropy(z, y, reduction="none"), 1e100)
    return losses


def scale_logits(logits: Any, weight: Any, bias: Any) -> Any:
    """weight · logits + bias, where -inf stays -inf for a weight of 0 too."""
    logits = as_floats(logits)
    weight, bias = (np.asarray(x, logits.dtype) for x in (weight, bias))
    excluded = np.isneginf(unwrap(logits))
    return np.where(excluded, -np.inf, np.where(excluded, 0.0, logits) * weight + bias)


def _warn_of_probabilities(name: str, logits: Any) -> None:
    """Warn, at the caller's line, of rows that a softmax was applied to already."""
    remedy = (
        "applies softmax itself: to probabilities no scaling of logits can be fitted; pass the "
        "logits, before the softmax, or else np.log(probabilities)"
    )
    if warn_of_activation(name, logits, ("softmax", "sigmoid"), remedy):
        return
    if are_probabilities(np.asarray(unwrap(logits))):
        warn_caller(f"{name} was given rows of numbers from 0 to 1 that sum to 1, but {remedy}")


def _check_rows(logits: Any, labels: Any) -> tuple[Array, Array]:
    z = np.asarray(unwrap(logits))
    if z.dtype.kind not in "iuf" or z.ndim != 2 or 0 in z.shape:
        raise ValueError(
            f"logits of dtype {z.dtype} and shape {z.shape} must be numbers of shape "
            "(rows, classes), with at least one row"
        )
    z = z.astype(np.float64)
    y = encode_labels(labels, None, z.shape[1])
    if len(y) != len(z):
        raise ValueError(f"{len(y)} labels, but logits of {len(z)} rows; give one label for each")
    wrong = np.isnan(z) | np.isposinf(z)
    if np.any(wrong):
        row = int(np.argwhere(wrong)[0][0])
        raise ValueError(f"logits have {z[wrong][0]} in row {row}; they must be finite, or -inf")
    impossible = np.isneginf(z[np.arange(len(y)), y])
    if np.any(impossible):
        row = int(np.argmax(impossible))
        raise ValueError(
            f"the logit of label {y[row]} in row {row} is -inf, so that its loss is infinite at "
            f"every scale; {impossible.sum()} of {len(y)} rows are so: leave them out"
        )
    return z, y


def _find_inverse_temperature(z: Array, y: Array) -> float:
    """1 / T of the least log-loss, which is convex in it."""
    excluded = np.isneginf(z)
    z = np.where(excluded, 0.0, z)
    largest = np.max(np.abs(z)) or 1.0
    z = z / largest  # before differences, which could overflow
    z = np.where(excluded, 0.0, z - np.max(np.where(excluded, -np.inf, z), axis=1, keepdims=True))
    of_label = z[np.arange(len(y)), y]
    spread = -np.min(z)
    if spread == 0:
        raise _NoOptimumError("all logits of a row are the same, at every temperature")
    if not np.any(of_label):
        raise _NoOptimumError(
            f"all {len(y):,} rows are predicted right, so that the log-loss falls until the "
            "temperature is 0"
        )
    z, of_label = z / spread, of_label / spread
    if np.mean(of_label) <= np.mean(np.sum(z, axis=1) / np.sum(~excluded, axis=1)):
        scaled = 1 / NEARLY_INFINITE  # the loss rises from 1 / T = 0
    else:
        mask = np.where(excluded, -np.inf, 0.0)
        scaled = _minimise_convex(lambda w: cross_entropy(z * w + mask, y), np.zeros(1)).item()
    return float(scaled / spread / largest)


def _minimise_convex(loss: Callable[[Any], Any], x: Array) -> Array:
    """The minimum of a smooth convex function, by Newton's method with backtracking from `x`.

    Source: S. Boyd and L. Vandenberghe, "Convex optimization", 2004, algorithm 9.5.
    """
    value_and_gradient, second_derivatives = value_and_grad(loss), hessian(loss)
    for _ in range(200):
        value, gradient = value_and_gradient(x)
        step = -np.linalg.lstsq(second_derivatives(x), gradient)[0]
        decrease = -gradient @ step  # twice what the quadratic model promises
        if decrease < 1e-10:
            return x + step  # whose error is of the order of 1e-10 squared
        size = 1.0
        while size > 1e-9 and loss(x + size * step) > value - 0.1 * size * decrease:
            size /= 2
        x = x + size * step
    return x
