"""Softmax, its logarithm, and log-sum-exp."""

from __future__ import annotations

from typing import Any

import numpy as np

from microgradx.arrays.dispatch import implements
from microgradx.arrays.types import Axis, as_array, as_floats, is_known_true, present_values, unwrap
from microgradx.engine import Tensor
from microgradx.graph.scopes import scope
from microgradx.ops import softmax as textbook
from microgradx.ops.softmax import LogSoftmax, LogSumExp, Softmax

__all__ = ["softmax", "softmin", "log_softmax", "logsumexp"]


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


@implements("softmin")
@scope
def softmin(x: Any, axis: int = -1, temperature: Any = 1.0, *, fused: bool = True) -> Any:
    """softmax(-x): the smaller a number, the more probable. Arguments and errors as in `softmax`.

    >>> softmin([0.0, 0.0, 1000.0])
    array([0.5, 0.5, 0. ])
    """
    return softmax(-as_floats(x), axis, temperature, fused=fused)


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
