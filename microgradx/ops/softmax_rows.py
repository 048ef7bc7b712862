"""Rows of logits: softmax's exponentials, the loss and its gradient, fast and with all digits.

What a textbook adds up, Σ exp(z), is kept in two parts, one class and the sum of all the others:
where the model is confident, the others are tiny, and would be rounded away in the sum. With e the
exponential of the label and O the sum of the others, the loss is ln(1 + O / e), and the gradient at
the label's logit -O / (e + O), which is p - 1 without its cancellation.

There are two ways to get there. The fast way takes the exponentials of the logits as they are: in
float64 where they are few, else in float32. It leaves the rows where one of them overflows, or is
lost that would have counted. The careful way shifts a row by its largest logit, so that no
exponential overflows and the largest is exactly 1, in float64. It takes the rows that the fast way
left, and logits of float64, of which every digit counts.

Large arrays are computed in blocks of rows that stay in a processor's cache between reading the
logits and writing their gradient. The blocks depend on the array alone, so the results are the same
bits for any number of threads.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np

from microgradx.arrays.types import filled_vector
from microgradx.common.memory import pooled_empty
from microgradx.common.threads import map_blocks

__all__ = [
    "as_rows",
    "from_rows",
    "label_losses_and_gradients",
    "loss_and_gradient",
    "losses_and_gradients",
    "map_exponentials",
    "shifted_exponentials",
]

SINGLE, DOUBLE = np.dtype(np.float32), np.dtype(np.float64)

#: Up to so many logits, NumPy's calls cost more than what they compute.
SMALL = 1 << 14

#: Up to this size, so few logits of float32 lose no probability to underflow, also if divided by
#: the number of rows: the smallest float32 is exp(-87), and exp(-2 · 38) / SMALL is larger.
HARMLESS = 38.0

#: Below so many classes one exponential may be all of a sum, with its error, so float64 it is.
FEW_CLASSES = 64

#: The size of a block, of logits or of gradient: both together fill a core's own cache.
BLOCK_BYTES = 1 << 20


# ---------------------------------------------------------------------------- matrices of rows


def as_rows(x, axes):
    """`x` as a matrix: a row for each place, with all elements along `axes` at that place."""
    last = np.moveaxis(x, axes, range(-len(axes), 0))
    columns = math.prod(last.shape[x.ndim - len(axes) :])
    return np.reshape(last, (math.prod(last.shape[: x.ndim - len(axes)]), columns))


def from_rows(rows, x, axes):
    """Back from `as_rows` to the shape of `x`."""
    last = np.moveaxis(x, axes, range(-len(axes), 0))
    return np.moveaxis(np.reshape(rows, last.shape), range(-len(axes), 0), axes)


def split_rows(shape, itemsize):
    """Slices of rows that fit the cache together; they depend on nothing but the array."""
    rows, classes = shape
    size = max(1, BLOCK_BYTES // (classes * itemsize))
    return [slice(start, start + size) for start in range(0, rows, size)]


# ---------------------------------------------------------------------------- the careful way


def shifted_exponentials(logits, temperature=None):
    """exp(z - m) of each row of logits z, with m the largest, and the sum of all but the largest.

    Returns m, z - m, exp(z - m), which is 1 at the largest, the column of that, and the sum of the
    others; m and the sum as columns. `temperature`, of the shape of the logits, divides z - m.
    """
    z = logits.astype(np.promote_types(logits.dtype, np.float64), copy=False)
    shift = np.max(z, axis=1, keepdims=True)
    difference = z - shift
    scaled = difference if temperature is None else difference / temperature
    e = np.exp(scaled)
    if z.dtype == logits.dtype:
        # What the subtraction rounded off (T. J. Dekker, 1971; D. E. Knuth, TAOCP 2, 4.2.2) is
        # added back to the first order. It does not count where logits of float32 became float64.
        virtual = z - difference
        rounded_off = (z - (difference + virtual)) + (virtual - shift)
        rounded_off = np.where(np.isfinite(difference), rounded_off, 0)
        e = e + e * (rounded_off if temperature is None else rounded_off / temperature)
    largest = np.argmax(z, axis=1)
    if isinstance(e, np.ndarray):
        at_largest = np.arange(len(e)), largest
        e_largest, e[at_largest] = e[at_largest], 0
        others = np.sum(e, axis=1, keepdims=True)
        e[at_largest] = e_largest
    else:
        is_largest = np.arange(z.shape[1]) == np.expand_dims(largest, 1)
        others = np.sum(np.where(is_largest, 0, e), axis=1, keepdims=True)
    # A row whose largest logit is not finite has no softmax: all of it is NaN.
    return shift, scaled, e, largest, others + 0 * shift


def losses_and_gradients(logits, y):
    """Losses Σ y (-ln p) of rows of logits, and their gradients p Σ y - y; for arrays of any kind.

    `y` is the target distribution of each row, times its weight.
    """
    _, difference, e, largest, others = shifted_exponentials(logits)
    is_largest = np.arange(logits.shape[1]) == np.expand_dims(largest, 1)
    log_p = difference - np.log1p(others)
    losses = -np.sum(np.where(y == 0, 0, y * log_p), axis=1)  # a logit of -inf may count for 0
    # Where p and y are both nearly 1, their difference is that of what they leave to the others.
    total = np.sum(y, axis=1, keepdims=True)
    p = e / (1 + others)
    rest = np.sum(np.where(is_largest, 0, y), axis=1, keepdims=True) - total * others / (1 + others)
    gradients = np.where(is_largest & (y > total / 2), rest, total * p - y)
    return losses, np.where(total == 0, 0, gradients)


def label_losses_and_gradients(logits, labels):
    """The same for NumPy arrays, where y is 1 at the label and 0 elsewhere."""
    _, difference, e, largest, others = shifted_exponentials(logits)
    at_labels = np.arange(len(labels)), labels
    losses = np.log1p(others[:, 0]) - difference[at_labels]
    e /= 1 + others
    others = others[:, 0]
    e[at_labels] = np.where(labels == largest, -others / (1 + others), e[at_labels] - 1)
    return losses, e


def map_exponentials(function, z, columns, temperature=None):
    """A function of the shifted exponentials of each row, which returns so many columns."""
    if not all(isinstance(x, np.ndarray) for x in (z, temperature) if x is not None):
        with np.errstate(all="ignore"):
            return function(*shifted_exponentials(z, temperature)).astype(z.dtype)
    out = np.empty_like(z, shape=(len(z), columns))  # in the memory layout of z

    def fill_block(rows):
        divisor = None if temperature is None else temperature[rows]
        out[rows] = function(*shifted_exponentials(z[rows], divisor))

    with np.errstate(all="ignore"):
        map_blocks(fill_block, split_rows(z.shape, 8))
    return out


# ---------------------------------------------------------------------------- loss and gradient


def loss_and_gradient(z, target, weight, is_total, want_gradient):
    """The losses of rows of logits, each times its weight, and their gradient, in the dtype of z.

    `target` holds a label for each row, or is a function that returns the target distributions of
    a slice of rows. Rows of weight 0 count for nothing. With `is_total` the loss is the sum over
    the rows. The gradient is None if it is not wanted.
    """
    is_labels = isinstance(target, np.ndarray)
    if is_labels:
        target = target.astype(np.intp, copy=False)  # those of uint64 would be added up as floats
        if cannot_overflow(z):
            gradient = np.empty(z.shape, z.dtype) if want_gradient else None
            e_label, others = _unshifted_block(z, target, weight, gradient, DOUBLE)
            losses = np.log1p(others / e_label)
            loss = losses.dot(weight) if is_total else losses * weight
            return np.asarray(loss, z.dtype), gradient
    gradient = pooled_empty(z.shape, z.dtype) if want_gradient else None
    with np.errstate(all="ignore"):
        if is_labels and z.itemsize < 8:
            losses, left = _unshifted_losses(z, target, weight, gradient)
            blocks = [left[rows] for rows in split_rows((len(left), z.shape[1]), 8)]
        else:
            losses = np.empty(len(z), np.promote_types(z.dtype, np.float64))
            blocks = split_rows(z.shape, 8)

        def careful_block(rows):
            if is_labels:
                losses[rows], gradients = label_losses_and_gradients(z[rows], target[rows])
            else:
                losses[rows], gradients = losses_and_gradients(z[rows], target(rows))
            if gradient is not None:
                gradient[rows] = gradients * weight[rows, None]

        map_blocks(careful_block, blocks)
        is_void = weight == 0
        losses = np.where(is_void, 0, losses * weight)
        if gradient is not None:
            gradient[is_void] = 0
        return np.asarray(np.sum(losses) if is_total else losses, z.dtype), gradient


# ---------------------------------------------------------------------------- the fast way


def cannot_overflow(z):
    """Whether rows are few, and no exponential of theirs can overflow or vanish in float64."""
    if z.dtype != np.float32 or not 0 < z.size <= SMALL:
        return False
    # The length of all logits as a vector, which takes less time to compute, often decides.
    limit = HARMLESS
    return bool(np.vdot(z, z) <= limit * limit or (z.min() >= -limit and z.max() <= limit))


def _unshifted_losses(z, labels, weight, gradient):
    """Losses from the exponentials of the logits as they are, and the rows that are left."""
    dtype = SINGLE if z.size > SMALL and z.shape[1] >= FEW_CLASSES else DOUBLE
    e_label = np.empty(len(z))
    others = np.empty_like(e_label)
    blocks = split_rows(z.shape, dtype.itemsize)

    def fill_block(rows):
        out = None if gradient is None else gradient[rows]
        e_label[rows], others[rows] = _unshifted_block(
            z[rows], labels[rows], weight[rows], out, dtype
        )

    map_blocks(fill_block, blocks)
    losses = np.log1p(others / e_label)
    factor = np.where(weight == 0, 1, weight / (e_label + others))
    limits: Any = np.finfo(dtype)
    is_exact = np.isfinite(losses) & (limits.tiny <= factor) & (factor <= limits.max)
    # What underflowed is less than any normal number still, unless a factor above 1 lifts it.
    if np.any(factor > 1):
        lowest = np.concatenate(map_blocks(lambda rows: np.min(z[rows], axis=1), blocks))
        is_exact &= (factor <= 1) | (lowest >= np.log(limits.tiny))
    return losses, np.flatnonzero(~is_exact)


def _unshifted_block(z, labels, weight, gradient, dtype):
    """exp(z) at the labels, and the sum of the others; the weighed gradient, unless it is None."""
    if gradient is not None and gradient.dtype is dtype:
        e = np.exp(z, gradient)
    else:
        e = z.astype(dtype, "C")
        np.exp(e, e)
    vector = e.ravel()
    at_labels = _row_starts(*e.shape) + labels
    if dtype is DOUBLE:
        e_label = vector[at_labels]
    else:
        e_label = np.exp(z[np.arange(len(z)), labels], dtype=np.float64)
    vector[at_labels] = 0
    others = e.dot(filled_vector(1.0, e.shape[1])) if dtype is DOUBLE else sum_rows(e)
    if gradient is not None:
        vector[at_labels] = -others
        factor = weight / (others + e_label)
        if e is gradient:
            np.multiply(e, factor.astype(dtype)[:, None], gradient)
        else:  # as vectors, which takes less time for few rows than broadcasting
            vector *= factor.repeat(e.shape[1])
            gradient[...] = e
    return e_label, others


def sum_rows(e):
    """Sums of rows of float32: of short pieces by BLAS, which is fastest, then of these."""
    rows, classes = e.shape
    length = piece_length(classes)
    if not length:
        return np.add.reduce(e, 1)
    sums = e.reshape(-1, length).dot(filled_vector(1.0, length, e.dtype))
    return sums.astype(np.float64).reshape(rows, -1).dot(filled_vector(1.0, classes // length))


@lru_cache(maxsize=32)
def piece_length(classes):
    """The length of pieces into which rows can be cut, short enough to sum in any order, or 0."""
    return max((length for length in range(64, 257) if classes % length == 0), default=0)


@lru_cache(maxsize=32)
def _row_starts(rows, classes):
    """Where each row begins in the vector of a whole matrix."""
    return np.arange(0, rows * classes, classes)
