"""Numerical analysis: grids, interpolation, differences, integrals, polynomials, least squares.

Compositions of other ops, with the arguments of NumPy's functions of the same names.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index, normalize_axis_tuple

from microgradx.arrays import types
from microgradx.arrays.dispatch import implements
from microgradx.arrays.types import Axis, as_array, as_floats, is_known_true
from microgradx.common.messages import warn_caller
from microgradx.engine import Op
from microgradx.ops.decompositions import svdvals
from microgradx.ops.elementwise import astype, floor, power, remainder, where
from microgradx.ops.indexing import diff
from microgradx.ops.linalg import inv, pinv
from microgradx.ops.products import matmul, outer
from microgradx.ops.reductions import sum
from microgradx.ops.shapes import (
    broadcast_to,
    concatenate,
    expand_dims,
    moveaxis,
    reshape,
    zeros_like,
)

__all__ = [
    "linspace",
    "logspace",
    "geomspace",
    "interp",
    "unwrap",
    "gradient",
    "trapezoid",
    "polyval",
    "polyadd",
    "polysub",
    "polyder",
    "polyint",
    "vander",
    "lstsq",
    "polyfit",
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
    start, stop = _as_ends(start, stop)
    steps = num - 1 if endpoint else num
    delta = np.subtract(stop, start)
    t = (np.arange(num) / max(steps, 1)).astype(delta.dtype).reshape(-1, *(1,) * delta.ndim)
    out = moveaxis((1 - t) * start + t * stop, 0, axis)
    if dtype is not None:
        out = astype(floor(out) if np.dtype(dtype).kind in "iu" else out, dtype)
    return (out, delta / (steps if steps > 0 else np.nan)) if retstep else out


def _as_ends(*ends: Any) -> list[Any]:
    """As floats; Python's numbers take part in no promotion."""
    return [float(x) if isinstance(x, (int, float)) else as_floats(x) for x in ends]


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


@implements(np.geomspace)
def geomspace(
    start: Any,
    stop: Any,
    num: int = 50,
    endpoint: bool = True,
    dtype: Any = None,
    axis: int = 0,
) -> Any:
    """`num` numbers from `start` to `stop` in equal ratios. Both have the same sign.

    >>> geomspace(1.0, 8.0, 4)
    array([1., 2., 4., 8.])

    Raises ValueError for zeros.
    """
    start, stop = _as_ends(start, stop)
    if is_known_true(np.any(types.unwrap(start) == 0) | np.any(types.unwrap(stop) == 0)):
        raise ValueError("a geometric sequence includes no 0")
    # start · (stop / start)ᵗ, which is exact at both ends.
    t = linspace(0.0, 1.0, num, endpoint)
    ratio = np.divide(stop, start)
    t = t.astype(ratio.dtype).reshape(-1, *(1,) * ratio.ndim)
    out = moveaxis(where(t == 1, stop, start * ratio**t), 0, axis)
    return out if dtype is None else astype(out, dtype)


# ---------------------------------------------------------------------------- interpolation


@implements(np.interp)
def interp(
    x: Any, xp: Any, fp: Any, left: Any = None, right: Any = None, period: Any = None
) -> Any:
    """The piecewise linear function through the points (xp, fp), at `x`; `xp` is increasing.

    Before the first point it is `left`, behind the last one `right`, by default the values of these
    points. With a `period`, it is periodic in `x`, and `xp` may be in any order. At a point, the
    derivative by `x` is the slope to the right of it, which is 0 at the last one.

    >>> interp([0.5, 1.0, 9.0], [0.0, 1.0, 3.0], [0.0, 10.0, 20.0])
    array([ 5., 10., 20.])

    Raises ValueError for points that are not vectors of one length, or not in order.
    """
    xp, fp = as_floats(xp), as_floats(fp)
    x = np.asarray(x, xp.dtype) if isinstance(x, (int, float)) else as_floats(x)
    if xp.ndim != 1 or xp.shape != fp.shape or xp.size == 0:
        raise ValueError(
            f"interp through points xp of shape {xp.shape} and fp of shape {fp.shape}; both must "
            "be vectors of the same length, which is not 0"
        )
    if period is not None:
        x, xp = remainder(x, abs(period)), remainder(xp, abs(period))
        order = np.argsort(types.unwrap(xp))
        xp, fp = xp[order], fp[order]
        xp = concatenate([xp[-1:] - abs(period), xp, xp[:1] + abs(period)])
        fp = concatenate([fp[-1:], fp, fp[:1]])
        left = right = None
    points, at = types.unwrap(xp), types.unwrap(x)
    if is_known_true(np.any(points[1:] < points[:-1])):
        raise ValueError("the xp of interp must be increasing; sort xp, and fp in the same order")
    i = np.clip(np.searchsorted(points, at, side="right") - 1, 0, None)
    j = np.minimum(i + 1, len(points) - 1)
    is_below, is_above = at < points[0], at >= points[-1]
    width = xp[j] - xp[i]
    slope = (fp[j] - fp[i]) / where(types.unwrap(width) == 0, 1, width)
    inside = slope * where(is_below | is_above, 0, x - xp[i]) + fp[i]
    first = fp[0] if left is None else left
    last = fp[-1] if right is None else where(at == points[-1], fp[-1], right)
    return where(is_below, first, where(is_above, last, inside))


class Unwrap(Op):
    """x, to whose elements multiples of the period are added: between the jumps, constants."""

    formula = "x + k · period"

    def __init__(self, discont: float | None, axis: int, period: float) -> None:
        self.discont = discont
        self.axis = axis
        self.period = period

    def forward(self, x):
        return np.unwrap(x, self.discont, self.axis, period=self.period)

    def backward(self, g, out, x):
        return g


@implements(np.unwrap)
def unwrap(
    p: Any, discont: float | None = None, axis: int = -1, *, period: float = 2 * math.pi
) -> Any:
    """Angles along an axis, with periods added so that none jumps by more than half of one.

    Only jumps of at least `discont` are changed. The derivative is 1.

    >>> unwrap([0, 3, 2], period=4)
    array([ 0, -1, -2])
    """
    return Unwrap(discont, axis, period)(as_array(p))


# ---------------------------------------------------------------------------- differences


@implements(np.gradient)
def gradient(f: Any, *varargs: Any, axis: Axis = None, edge_order: int = 1) -> Any:
    """The derivatives of samples along each axis, or along `axis`, by central differences.

    `varargs` says where the samples are: one distance for all axes, or for each axis a distance or
    the coordinates. Inside, the slopes to both sides are averaged, each with the other's distance
    for its weight; at both ends, the slope of the first or last two samples is taken or, for
    `edge_order=2`, corrected for the curvature. Returns an array for one axis, else a tuple.

    >>> gradient([1.0, 4.0, 9.0, 16.0])
    array([3., 4., 6., 7.])

    Raises ValueError for fewer than `edge_order` + 1 samples, and coordinates that do not fit.
    """
    f = as_floats(f)
    axes = normalize_axis_tuple(range(f.ndim) if axis is None else axis, f.ndim)
    spacings = [as_floats(h) for h in varargs or (1.0,)]
    if len(spacings) == 1 and spacings[0].ndim == 0:
        spacings *= len(axes)
    if len(spacings) != len(axes):
        raise TypeError(f"gradient along {len(axes)} axes was given {len(varargs)} spacings")
    if edge_order not in (1, 2):
        raise ValueError(f"edge_order must be 1 or 2, not {edge_order}")
    slopes = tuple(_differentiate(f, h, i, edge_order) for h, i in zip(spacings, axes, strict=True))
    return slopes[0] if len(slopes) == 1 else slopes


def _differentiate(f, h, axis: int, edge_order: int):
    n = f.shape[axis]
    if n < edge_order + 1:
        raise ValueError(
            f"gradient along axis {axis}, of length {n}: edge_order={edge_order} needs "
            f"{edge_order + 1} samples"
        )
    if h.ndim and h.shape != (n,):
        raise ValueError(f"coordinates of shape {h.shape} for an axis of length {n}")
    f = moveaxis(f, axis, 0)
    h = diff(h) if h.ndim else broadcast_to(h, n - 1)
    h = reshape(h, (-1, *(1,) * (f.ndim - 1))).astype(f.dtype)
    slope = diff(f, axis=0) / h
    left, right, first, last = slope[:-1], slope[1:], slope[:1], slope[-1:]
    h_left, h_right = h[:-1], h[1:]
    inside = (h_right * left + h_left * right) / (h_left + h_right)
    if edge_order == 2:
        curvature = (right - left) / (h_left + h_right)
        first, last = first - h[:1] * curvature[:1], last + h[-1:] * curvature[-1:]
    return moveaxis(concatenate([first, inside, last]), 0, axis)


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


@implements(np.polyadd)
def polyadd(a1: Any, a2: Any) -> Any:
    """The coefficients of the sum of two polynomials, the highest power first.

    >>> polyadd([1, 2], [1, 0, 0])
    array([1, 1, 2])
    """
    a1, a2 = np.atleast_1d(as_array(a1)), np.atleast_1d(as_array(a2))
    n = max(len(a1), len(a2))
    return np.pad(a1, (n - len(a1), 0)) + np.pad(a2, (n - len(a2), 0))


@implements(np.polysub)
def polysub(a1: Any, a2: Any) -> Any:
    """The coefficients of the difference of two polynomials, the highest power first.

    >>> polysub([1, 2], [1, 0, 0])
    array([-1,  1,  2])
    """
    return polyadd(a1, np.negative(as_array(a2)))


@implements(np.polyder)
def polyder(p: Any, m: int = 1) -> Any:
    """The coefficients of the m-th derivative of a polynomial, the highest power first.

    >>> polyder([1, 1, 1])
    array([2, 1])
    """
    if m < 0:
        raise ValueError(f"the order of a derivative must be 0 or more, not {m}; see polyint")
    p = as_array(p)
    for _ in range(m):
        p = p[:-1] * np.arange(len(p) - 1, 0, -1).astype(p.dtype)
    return p


@implements(np.polyint)
def polyint(p: Any, m: int = 1, k: Any = None) -> Any:
    """The coefficients of the m-th integral of a polynomial, with constants `k`, by default 0.

    >>> polyint([2.0, 1.0], k=5)
    array([1., 1., 5.])
    """
    if m < 0:
        raise ValueError(f"the order of an integral must be 0 or more, not {m}; see polyder")
    p = as_floats(p)
    constants = np.zeros(m) if k is None else np.atleast_1d(as_floats(k))
    if len(constants) < m:
        constants = np.broadcast_to(constants, m)  # one for all integrals
    for i in range(m):
        integral = p / np.arange(len(p), 0, -1).astype(p.dtype)
        p = concatenate([integral, constants[i : i + 1].astype(p.dtype)])
    return p


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


# ---------------------------------------------------------------------------- least squares


@implements(np.linalg.lstsq)
def lstsq(a: Any, b: Any, rcond: Any = None) -> tuple[Any, Any, int, Any]:
    """The x with the least |b - a x|², the smallest of several: `pinv(a) b`.

    Returns x, the least squares for each column of `b` (none if `a` has not full rank, or not more
    rows than columns), the rank, and the singular values of `a`. Of these, up to `rcond` times the
    largest count as 0. The backward raises LinAlgError for a matrix without full rank.

    >>> lstsq([[1.0, 0.0], [1.0, 1.0], [1.0, 2.0]], [1.0, 3.0, 5.0])[0].round(6)
    array([1., 2.])
    """
    a, b = as_floats(a), as_floats(b)
    if a.ndim != 2 or b.ndim not in (1, 2) or len(a) != len(b):
        raise np.linalg.LinAlgError(
            f"lstsq of shapes {a.shape} and {b.shape}; they must be (m, n) and (m,) or (m, k)"
        )
    m, n = a.shape
    eps = np.finfo(a.dtype).eps
    cutoff = max(m, n) * eps if rcond is None else eps if rcond == -1 else rcond
    singular_values = svdvals(a)
    rank = int(np.linalg.matrix_rank(types.unwrap(a), rtol=cutoff))
    x = matmul(pinv(a, cutoff), b)
    differences = b - matmul(a, x)
    squares = np.sum(differences * differences, axis=0).reshape(-1)
    return x, squares if rank == n < m else squares[:0], rank, singular_values


@implements(np.polyfit)
def polyfit(
    x: Any,
    y: Any,
    deg: int,
    rcond: Any = None,
    full: bool = False,
    w: Any = None,
    cov: Any = False,
) -> Any:
    """The coefficients of the polynomial through points (x, y) by least squares: `lstsq` of powers.

    `y` has shape (n,), or (n, k) for k polynomials. Differences are weighted by `w`. With `full`,
    returns also the residuals, rank, singular values and `rcond`; with `cov`, the covariance
    matrix, which is not scaled for "unscaled". Raises ValueError and TypeError for points that do
    not fit.

    >>> polyfit([0.0, 1.0, 2.0], [1.0, 3.0, 5.0], 1).round(6)
    array([2., 1.])
    """
    x, y = as_floats(x), as_floats(y)
    if deg < 0:
        raise ValueError(f"the degree of a polynomial must be 0 or more, not {deg}")
    if x.ndim != 1 or y.ndim not in (1, 2) or len(x) == 0 or len(x) != len(y):
        raise TypeError(
            f"polyfit through points x of shape {x.shape} and y of shape {y.shape}; they need the "
            "shapes (n,) and (n,) or (n, k), with n of 1 or more"
        )
    rcond = len(x) * np.finfo(x.dtype).eps if rcond is None else rcond
    powers = vander(x, deg + 1)
    if w is not None:
        w = as_floats(w)
        powers = powers * w[:, None]
        y = y * (w if y.ndim == 1 else w[:, None])
    # Columns of length 1 make the equations well-conditioned.
    scale = np.sqrt(sum(powers * powers, 0))
    powers = powers / scale
    solution, *rest = lstsq(powers, y, rcond)
    coefficients = (solution.T / scale).T
    if full:
        return coefficients, *rest, rcond
    if rest[1] <= deg:
        warn_caller(
            f"a polynomial of degree {deg} is not determined by these points, of rank {rest[1]}: "
            "this is the one with the smallest coefficients; choose a lower degree"
        )
    if not cov:
        return coefficients
    covariance = inv(powers.T @ powers) / outer(scale, scale)
    if cov == "unscaled":
        return coefficients, covariance
    freedom = len(x) - (deg + 1)
    if freedom <= 0:
        raise ValueError(f"{len(x)} points are too few to scale the covariance matrix of {deg + 1}")
    factor = rest[0] / freedom
    return coefficients, covariance * factor if y.ndim == 1 else covariance[:, :, None] * factor
