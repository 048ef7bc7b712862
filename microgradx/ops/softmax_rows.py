"""Rows of logits: their exponentials, and the losses and gradients made from them.

What a textbook adds up, s = Σ exp(z), is kept here as two parts, e = exp(z) at one class and O, the
sum of the others: where the model is confident, the others are tiny, and in e + O they would be
rounded away. The loss of a label is ln(1 + O / e), and the gradient at its logit -O / (e + O),
which is p - 1 without its cancellation.

There are two ways to get there. The fast one takes the exponentials of the logits as they are,
as long as none of them overflows and none is lost that would have counted: in float64 if there are
few, and digits to spare, and else in float32. The careful one shifts a row by its largest logit m,
so that no exponential overflows and one of them is exactly 1, in float64. It takes the rows that
the fast one had to leave, and logits of float64, of which every digit counts: there, what the
subtraction z - m rounds off is added back to the first order (T. J. Dekker, "A floating-point
technique for extending the available precision", 1971; D. E. Knuth, TAOCP 2, 4.2.2).

Large arrays are computed in blocks of rows that stay in a processor's cache between reading the
logits and writing their gradient. Callers have floating-point errors ignored.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from microgradx.arrays.types import Array
from microgradx.common.threads import map_blocks

__all__ = [
    "Exponentials",
    "as_rows",
    "constants",
    "exponentials",
    "from_rows",
    "harmless",
    "losses_and_gradients",
    "in_blocks",
    "of_few_labels",
    "of_labels",
    "of_probabilities",
]

#: Up to so many logits, NumPy's calls cost more than what they compute.
_SMALL = 1 << 14

#: Below so many classes one exponential may be all of a sum, with its error, so float64 it is.
_FEW = 64

#: What a block of rows takes, of logits or of gradient: both together fill a core's own cache.
_BLOCK_BYTES = 1 << 20

#: Up to which size of so few logits of float32 no probability underflows, divided by the number of
#: rows: the smallest number is exp(-87), and the smallest probability exp(-2 · 38) / _SMALL.
_HARMLESS = 38.0


# ---------------------------------------------------------------------------- matrices of rows


def as_rows(x: Array, axes: tuple[int, ...]) -> Array:
    """`x` as a matrix: a row for each place, with all elements along `axes` at that place."""
    last = np.moveaxis(x, axes, range(-len(axes), 0))
    columns = math.prod(last.shape[x.ndim - len(axes) :])
    return np.reshape(last, (math.prod(last.shape[: x.ndim - len(axes)]), columns))


def from_rows(rows: Array, x: Array, axes: tuple[int, ...]) -> Array:
    """Back from `as_rows` to the shape of `x`."""
    last = np.moveaxis(x, axes, range(-len(axes), 0))
    return np.moveaxis(np.reshape(rows, last.shape), range(-len(axes), 0), axes)


# ---------------------------------------------------------------------------- shifted exponentials


class Exponentials(NamedTuple):
    """exp(z - shift) of each row of logits, and its sum in two parts."""

    shift: Array  # (rows, 1): the largest logit
    differences: Array  # (rows, classes): z - shift, divided by the temperature
    exponentials: Array  # (rows, classes)
    chosen: Array  # (rows, 1): the exponential of one class ...
    others: Array  # (rows, 1): ... and the sum of all the others


def exponentials(
    rows: Array, chosen: Array | None = None, temperature: Array | None = None
) -> Exponentials:
    """Of (rows, classes) of logits; `chosen` is a class for each row, the largest if not given.

    `temperature`, of the shape of `rows`, divides the differences.
    """
    z = rows.astype(np.promote_types(rows.dtype, np.float64), copy=False)
    row = np.arange(len(z))
    top = np.argmax(z, axis=1)
    chosen = top if chosen is None else chosen
    shift = z[row, top][:, None]
    differences = z - shift
    rounded_off: Any = 0
    if z.dtype == rows.dtype:
        virtual = z - differences
        rounded_off = (z - (differences + virtual)) + (virtual - shift)
        rounded_off = np.where(np.isfinite(differences), rounded_off, 0)
    if temperature is not None:
        differences = differences / temperature
        rounded_off = rounded_off / temperature
    e = np.exp(differences)
    if z.dtype == rows.dtype:
        e += e * rounded_off
    # The largest, which is 1, is added last: each sum with it in it rounds the small ones.
    e_top, e_chosen = e[row, top], e[row, chosen]
    e[row, top] = e[row, chosen] = 0
    others = np.sum(e, axis=1) + np.where(chosen == top, 0, e_top)
    e[row, top], e[row, chosen] = e_top, e_chosen
    return Exponentials(shift, differences, e, e_chosen[:, None], others[:, None])


def in_blocks(
    function: Callable[[Exponentials], Array],
    z: Array,
    out: Array,
    temperature: Array | None = None,
) -> Array:
    """`out`, filled row by row with a function of the exponentials; block by block."""

    def block(rows: slice) -> None:
        divisor = None if temperature is None else temperature[rows]
        out[rows] = function(exponentials(z[rows], temperature=divisor))

    with np.errstate(all="ignore"):
        map_blocks(block, _blocks(z.shape, 8))
    return out


def _blocks(shape: tuple[int, int], itemsize: int) -> list[slice]:
    """Rows that fit the cache together; how many depends on nothing but the array."""
    rows, classes = shape
    size = max(1, _BLOCK_BYTES // (classes * itemsize))
    return [slice(start, start + size) for start in range(0, rows, size)]


# ---------------------------------------------------------------------------- losses of labels


def harmless(z: Array) -> bool:
    """Whether `of_few_labels` can take these rows: they are few, and nothing can overflow."""
    if z.dtype != np.float32 or not 0 < z.size <= _SMALL:
        return False
    # The length of all logits as a vector, which takes less time to compute, often answers.
    limit = _HARMLESS
    return bool(np.vdot(z, z) <= limit * limit or (z.min() >= -limit and z.max() <= limit))


def of_few_labels(
    z: Array, labels: Array, factor: Array, want_gradient: bool
) -> tuple[Array, Array | None]:
    """`of_labels` for harmless rows, with as few calls of NumPy's as can be."""
    rows, classes = z.shape
    e = np.exp(z.astype(np.float64, "C"))
    vector = e.ravel()
    at_labels = _row_starts(rows, classes) + labels.astype(np.intp, copy=False)
    chosen = vector[at_labels]
    vector[at_labels] = 0
    others = e.dot(constants(1.0, classes))
    losses = np.log1p(others / chosen)
    if not want_gradient:
        return losses, None
    vector[at_labels] = -others
    vector *= (factor / (others + chosen)).repeat(classes)
    return losses, e.astype(np.float32)


def of_labels(z: Array, labels: Array, factor: Array, gradient: Array | None) -> Array:
    """The loss of each row of logits, whose class is `labels`, in float64.

    Into `gradient`, unless it is None, goes that of the losses, each times its `factor`. Block by
    block: the fast way, and the careful one for the rows that it left.
    """
    labels = labels.astype(np.intp, copy=False)  # those of uint64 would be added up as floats
    if z.itemsize < 8:
        losses, left = _unshifted(z, labels, factor, gradient)
    else:
        losses, left = np.empty(len(z), z.dtype), np.arange(len(z))

    def shifted(rows: Array) -> None:
        losses[rows], careful = _shifted(z[rows], labels[rows], gradient is not None)
        if gradient is not None:
            gradient[rows] = careful * factor[rows, None]

    map_blocks(shifted, [left[rows] for rows in _blocks((len(left), z.shape[1]), 8)])
    return losses


def _unshifted(
    z: Array, labels: Array, factor: Array, gradient: Array | None
) -> tuple[Array, Array]:
    """Losses and gradients from the exponentials of the logits as they are, and the rows left."""
    native = z.size > _SMALL and z.shape[1] >= _FEW
    dtype: np.dtype[Any] = np.dtype(np.float32 if native else np.float64)
    chosen = np.exp(z[np.arange(len(z)), labels], dtype=np.float64)
    others = np.empty_like(chosen)
    blocks = _blocks(z.shape, dtype.itemsize)

    def block(rows: slice) -> None:
        out = None if gradient is None else gradient[rows]
        if out is not None and z.dtype == dtype:
            e = np.exp(z[rows], out)
        else:
            e = z[rows].astype(dtype, "C")
            np.exp(e, e)
        vector = e.ravel()
        at_labels = _row_starts(*e.shape) + labels[rows]
        vector[at_labels] = 0
        others[rows] = sums = _row_sums(e)
        if out is not None:
            vector[at_labels] = -sums
            weight = factor[rows] / (sums + chosen[rows])
            np.multiply(e, weight.astype(dtype, copy=False)[:, None], out)

    map_blocks(block, blocks)
    losses = np.log1p(others / chosen)
    weight = np.where(factor == 0, 1, factor / (chosen + others))
    limits = np.finfo(dtype)
    trusted = np.isfinite(losses) & (limits.tiny <= weight) & (weight <= limits.max)
    # What underflowed is less than any normal number still, unless a weight above 1 lifts it.
    if np.any(weight > 1):
        lowest = np.concatenate(map_blocks(lambda rows: np.min(z[rows], axis=1), blocks))
        trusted &= (weight <= 1) | (lowest >= np.log(limits.tiny))
    return losses, np.flatnonzero(~trusted)


def _row_sums(e: Array) -> Array:
    """Sums of rows: of short pieces by BLAS, which is fastest, and of these in float64."""
    rows, classes = e.shape
    piece = _piece(classes)
    if not piece:
        return np.add.reduce(e, 1)
    sums = e.reshape(-1, piece).dot(constants(1.0, piece, e.dtype))
    return sums.astype(np.float64).reshape(rows, -1).dot(constants(1.0, classes // piece))


@lru_cache(maxsize=32)
def _piece(classes: int) -> int:
    """Into pieces of which length rows can be cut, so short that any order will do; 0 for none."""
    return max((length for length in range(64, 257) if classes % length == 0), default=0)


def _shifted(z: Array, labels: Array, want_gradient: bool) -> tuple[Array, Any]:
    """Losses of rows of any logits, and their gradients if wanted."""
    _, differences, e, chosen, others = exponentials(z, labels)
    at_labels = np.arange(len(z)), labels
    total = chosen + others
    # From -ln(e_label / total). Where the label has the largest logit, e_label is 1.
    behind = differences[at_labels]
    losses = np.where(behind == 0, np.log1p(others[:, 0]), np.log(total[:, 0]) - behind)
    if not want_gradient:
        return losses, None
    gradient = e / total
    gradient[at_labels] = -others[:, 0] / total[:, 0]
    return losses, gradient


@lru_cache(maxsize=32)
def _row_starts(rows: int, classes: int) -> Array:
    """Where each row begins in the vector of a whole matrix."""
    return np.arange(0, rows * classes, classes)


@lru_cache(maxsize=32)
def constants(value: float, count: int, dtype: Any = np.float64) -> Array:
    """A vector of one value, not to be written to; made once."""
    return np.full(count, value, dtype)


# ---------------------------------------------------------------------------- of probabilities


def of_probabilities(
    z: Array, targets: Callable[[slice], Array], factor: float, gradient: Array | None
) -> Array:
    """The loss of each row of logits; `targets` gives those of some rows, weighed probabilities.

    Into `gradient`, unless it is None, goes that of the losses, times `factor`.
    """
    losses = np.empty(len(z), np.promote_types(z.dtype, np.float64))

    def block(rows: slice) -> None:
        losses[rows], careful = losses_and_gradients(z[rows], targets(rows))
        if gradient is not None:
            gradient[rows] = careful * factor

    map_blocks(block, _blocks(z.shape, 8))
    return losses


def losses_and_gradients(logits: Array, y: Array) -> tuple[Array, Array]:
    """Losses Σ y (-ln p) of rows, and their gradients p Σ y - y, for weighed targets y.

    It is all in plain calls of NumPy's, for arrays of any kind.
    """
    z = logits.astype(np.promote_types(logits.dtype, np.float64))
    largest = np.max(z, axis=1, keepdims=True)
    difference = z - largest
    # What the subtraction rounds off, which counts where z is in float64 itself.
    virtual = z - difference
    rounded_off = (z - (difference + virtual)) + (virtual - largest)
    rounded_off = np.where(np.isfinite(difference), rounded_off, 0)
    e = np.exp(difference) * (1 + rounded_off)
    # The largest, which is 1, apart from the others: in their sum the small ones would be lost.
    is_largest = np.arange(z.shape[1]) == np.expand_dims(np.argmax(z, axis=1), 1)
    one = np.sum(np.where(is_largest, e, 0), axis=1, keepdims=True)
    others = np.sum(np.where(is_largest, 0, e), axis=1, keepdims=True)
    total = one + others
    log_p = difference + rounded_off - one * np.log1p(others)
    losses = -np.sum(np.where(y == 0, 0, y * log_p), axis=1)  # a logit of -inf may weigh 0
    # Where p and y are both nearly 1, their difference is that of what they leave to the others.
    mass = np.sum(y, axis=1, keepdims=True)
    left = np.sum(np.where(is_largest, 0, y), axis=1, keepdims=True) - mass * others / total
    gradient = np.where(is_largest & (y > mass / 2), left, mass * e / total - y)
    is_void = np.all(y == 0, axis=1, keepdims=True)
    return losses, np.where(is_void, 0, gradient)
