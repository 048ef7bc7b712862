"""Cross-entropy of rows of logits in one piece of plain code, exact wherever the logits are."""

from __future__ import annotations

import numpy as np

from microgradx.array_methods import Array

__all__ = ["cross_entropy_of_rows"]


def cross_entropy_of_rows(logits: Array, y: Array) -> tuple[Array, Array]:
    """Losses Σ y (-ln p) of rows, and their gradients p Σ y - y, for weighed targets y."""
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
    log_p = difference + rounded_off - one * np.log1p(others)
    losses = -np.sum(np.where(y == 0, 0, y * log_p), axis=1)
    # Where p and y are both nearly 1, their difference is that of what they leave to the others.
    mass = np.sum(y, axis=1, keepdims=True)
    left = np.sum(np.where(is_largest, 0, y), axis=1, keepdims=True) - mass * others / (one + others)
    gradient = np.where(is_largest & (y > mass / 2), left, mass * e / (one + others) - y)
    is_void = np.all(y == 0, axis=1, keepdims=True)
    return losses, np.where(is_void, 0, gradient)
