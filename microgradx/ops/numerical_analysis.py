"""Numerical analysis in one dimension: grids, interpolation, differences, integrals, polynomials.

Compositions of other ops, with the arguments of NumPy's functions of the same names.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index

from microgradx.arrays.dispatch import implements
from microgradx.arrays.types import as_array, as_floats
from microgradx.ops.elementwise import astype, floor, power
from microgradx.ops.indexing import diff
from microgradx.ops.reductions import sum
from microgradx.ops.shapes import expand_dims, moveaxis, reshape, zeros_like

__all__ = [
    "linspace",
    "logspace",
    "trapezoid",
    "polyval",
    "vander",
]


# ---------------------------------------------------------------------------- grids


@implements(np.linspace)
def linspace(
    start: Any,
    stop: Any,
    num: int = 50,
    endpoint: bool = True,
    retstep: bool = False,
    dtype: Any = None,
    axis: int = 0,
) -> Any:
    """`num` numbers from `start` to `stop` at equal distances: (1 - t) start + t stop.

    They lie along `axis` of the result. `start` and `stop` broadcast. Without `endpoint`, `stop`
    is left out. With `retstep`, returns the distance too. Integer dtypes round down.

    >>> linspace(0.0, 1.0, 5)
    array([0.  , 0.25, 0.5 , 0.75, 1.  ])
    """
    if num < 0:
        raise ValueError(f"num, how many numbers there are, must be 0 or more, not {num}")
    # Lists and integers are floats; Python's numbers take part in no promotion.
    start, stop = (x if isinstance(x, float) else as_floats(x) for x in (start, stop))
    steps = num - 1 if endpoint else num
    delta = np.subtract(stop, start)
    t = np.arange(num, dtype=delta.dtype) / max(steps, 1)
    t = t.reshape(-1, *(1,) * delta.ndim)
    out = moveaxis((1 - t) * start + t * stop, 0, axis)
    if dtype is not None:
        out = astype(floor(out) if np.dtype(dtype).kind in "iu" else out, dtype)
    return (out, delta / (steps if steps > 0 else np.nan)) if retstep else out


@implements(np.logspace)
def logspace(
    start: Any,
    stop: Any,
    num: int = 50,
    endpoint: bool = True,
    base: Any = 10.0,
    dtype: Any = None,
    axis: int = 0,
) -> Any:
    """`base` to the power of `num` numbers from `start` to `stop` at equal distances.

    >>> logspace(0.0, 2.0, 3)
    array([  1.,  10., 100.])
    """
    if np.ndim(base):
        start, stop, base = np.broadcast_arrays(*map(as_array, (start, stop, base)))
        base = expand_dims(base, axis)
    out = power(base, linspace(start, stop, num, endpoint, axis=axis))
    return out if dtype is None else astype(out, dtype)


# ---------------------------------------------------------------------------- integrals


@implements(np.trapezoid)
def trapezoid(y: Any, x: Any = None, dx: Any = 1.0, axis: int = -1) -> Any:
    """The integral of samples `y` along an axis by the trapezoidal rule, Σ dx (yᵢ + yᵢ₊₁) / 2.

    The samples are at `x`, a vector or in the shape of `y`, or else at distances `dx`.

    >>> trapezoid([1.0, 2.0, 3.0], x=[0.0, 1.0, 3.0])
    np.float64(6.5)
    """
    y = as_floats(y)
    axis = normalize_axis_index(axis, y.ndim)
    if x is not None:
        x = as_array(x)
        if x.ndim == 1:
            dx = reshape(diff(x), [-1 if i == axis else 1 for i in range(y.ndim)])
        else:
            dx = diff(x, axis=axis)
    before = (slice(None),) * axis
    ahead, behind = y[(*before, slice(1, None))], y[(*before, slice(None, -1))]
    return sum(dx * (ahead + behind) / 2.0, axis)


# ---------------------------------------------------------------------------- polynomials


@implements(np.polyval)
def polyval(p: Any, x: Any) -> Any:
    """The polynomial with coefficients `p`, the highest power first, at `x`: Horner's method.

    >>> polyval([1, 0, -2], [3.0, 4.0])
    array([ 7., 14.])
    """
    p, x = as_array(p), as_array(x)
    out = zeros_like(x)
    for coefficient in p:
        out = out * x + coefficient
    return out


@implements(np.vander)
def vander(x: Any, N: int | None = None, increasing: bool = False) -> Any:
    """The Vandermonde matrix of a vector: powers of x in each row, from N - 1 to 0 or reversed.

    >>> vander([1.0, 2.0, 3.0])
    array([[1., 1., 1.],
           [4., 2., 1.],
           [9., 3., 1.]])
    """
    x = as_array(x)
    if x.ndim != 1:
        raise ValueError(f"vander of shape {x.shape}: it takes a vector")
    exponents = np.arange(len(x) if N is None else N, dtype=x.dtype if x.dtype.kind == "f" else int)
    return power(x[:, None], exponents if increasing else exponents[::-1])
