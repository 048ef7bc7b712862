"""Labels drawn at random, with the probabilities of logits."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from microgradx.arrays.types import Array, unwrap
from microgradx.common.randomness import as_generator
from microgradx.functional import log_softmax, softmax

__all__ = ["gumbel_max", "sample"]

#: What rounding may add to a sum of probabilities.
ROUNDING = 1e-12


def sample(
    logits: Any,
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    generator: np.random.Generator | None = None,
) -> Any:
    """Draw a label for each row of logits (…, classes), with the probabilities of their softmax.

    temperature: divides the logits; in the limit 0 the largest logit wins, the first of several.
    top_k: only the k largest logits can be drawn; of equal ones, the first.
    top_p: only the fewest of the largest whose probabilities sum to p can be drawn, at least one.
        Temperature comes first, then top_k, then top_p.
    generator: draws one number for each row; the default one unless it is given.

    Returns integers (…), for a single row one integer. Raises ValueError for settings out of range,
    for logits that are NaN or +inf, and for rows of -inf alone. Source of top_p: A. Holtzman et
    al., "The curious case of neural text degeneration", 2020.

    >>> generator = np.random.default_rng(0)
    >>> draws = sample(np.broadcast_to([2.0, 1.0, 0.1], (1000, 3)), generator=generator)
    >>> np.bincount(draws) / 1000, softmax([2.0, 1.0, 0.1])
    (array([0.637, 0.268, 0.095]), array([0.65900114, 0.24243297, 0.09856589]))
    >>> sample([2.0, 1.0, 0.1], temperature=0)
    np.int64(0)
    """
    z = _filter_logits(logits, temperature, top_k, top_p)
    sums = np.cumsum(softmax(z), axis=-1)
    # Below the last sum, however it is rounded; a class of probability 0 adds nothing, and so is
    # never the first whose sum is larger.
    drawn = as_generator(generator).random(z.shape[:-1])[..., None] * sums[..., -1:]
    return np.argmax(sums > drawn, axis=-1)


def gumbel_max(
    logits: Any,
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    generator: np.random.Generator | None = None,
) -> Any:
    """Draw as `sample` does, by the largest of logit / temperature + Gumbel noise in each row.

    It needs no probabilities, and draws a number for each logit. Arguments, result and errors as in
    `sample`. Source: E. J. Gumbel, "Statistical theory of extreme values", 1954.

    >>> gumbel_max([[0.0, 1.0], [90.0, 0.0]], generator=np.random.default_rng(0))
    array([1, 0])
    """
    z = _filter_logits(logits, temperature, top_k, top_p)
    return np.argmax(z + as_generator(generator).gumbel(size=z.shape), axis=-1)


def _filter_logits(
    logits: Any, temperature: float, top_k: int | None, top_p: float | None
) -> Array:
    """Logits at temperature 1, in float64, with -inf for what cannot be drawn."""
    z = np.asarray(unwrap(logits))
    _check(z, temperature, top_k, top_p)
    z = z.astype(np.float64)
    if temperature == 0:
        temperature, top_k = 1.0, 1
    z = log_softmax(z, temperature=temperature)
    if top_k is None and top_p is None:
        return z
    order = np.argsort(-z, axis=-1, kind="stable")
    z = np.take_along_axis(z, order, axis=-1)
    if top_k is not None:
        z[..., int(top_k) :] = -np.inf
    if top_p is not None and top_p < 1:
        p = softmax(z)
        before = np.cumsum(p, axis=-1) - p
        before[..., 0] = -1  # the largest is kept, however small top_p is
        z[before > top_p - ROUNDING] = -np.inf
    filtered = np.empty_like(z)
    np.put_along_axis(filtered, order, z, axis=-1)
    return filtered


def _check(logits: Array, temperature: float, top_k: int | None, top_p: float | None) -> None:
    if logits.dtype.kind not in "iuf" or logits.ndim == 0 or logits.shape[-1] == 0:
        raise ValueError(
            f"logits of dtype {logits.dtype} and shape {logits.shape} must be numbers with an axis "
            "of classes, the last"
        )
    if not (_is_number(temperature) and 0 <= temperature < math.inf):
        raise ValueError(f"temperature must be a number from 0 up, not {temperature!r}")
    if top_k is not None and not (_is_number(top_k) and top_k >= 1 and int(top_k) == top_k):
        raise ValueError(f"top_k must be a whole number from 1 up, not {top_k!r}")
    if top_p is not None and not (_is_number(top_p) and 0 < top_p <= 1):
        raise ValueError(f"top_p must be above 0 and at most 1, not {top_p!r}")
    largest = logits.max(axis=-1)
    if not np.all(np.isfinite(largest)):
        row = tuple(np.argwhere(~np.isfinite(largest))[0].tolist())
        raise ValueError(
            f"the largest logit of row {row[0] if len(row) == 1 else row} is {largest[row]}; each "
            "row needs a finite one, and none that is NaN or +inf"
        )


def _is_number(x: Any) -> bool:
    return isinstance(x, (int, float, np.integer, np.floating)) and not isinstance(x, bool)
