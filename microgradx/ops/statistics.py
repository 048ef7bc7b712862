"""Statistics of samples: quantiles, covariances, and those that leave NaNs out."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from microgradx.arrays.dispatch import implements, nondifferentiable
from microgradx.arrays.summation import widen
from microgradx.arrays.types import ArrayHolder, Axis, as_array, as_floats, is_known_true, unwrap
from microgradx.common.messages import warn_caller
from microgradx.ops.elementwise import astype, clip, sqrt, where
from microgradx.ops.indexing import sort, take_along_axis
from microgradx.ops.norms import vector_norm
from microgradx.ops.products import matmul
from microgradx.ops.reductions import align_weights, choose_ddof, flatten_axes, nanmean, sum
from microgradx.ops.shapes import concatenate, moveaxis, ravel, reshape, squeeze

__all__ = [
    "quantile",
    "percentile",
    "nanquantile",
    "nanpercentile",
    "nanmedian",
    "nanvar",
    "nanstd",
    "cov",
    "corrcoef",
]

# ---------------------------------------------------------------------------- quantiles

#: Where the quantile q of n elements is in ascending order, from 0: between two, where it is not an
#: integer. Source: Hyndman and Fan, 'Sample quantiles in statistical packages' (1996); the last
#: four are NumPy's.
POSITIONS: dict[str, Callable[[Any, Any], Any]] = {
    "inverted_cdf": lambda n, q: np.ceil(n * q) - 1,
    "averaged_inverted_cdf": lambda n, q: (np.floor(n * q) + np.ceil(n * q) - 1) / 2,
    "closest_observation": lambda n, q: np.rint(n * q) - 1,
    "interpolated_inverted_cdf": lambda n, q: n * q - 1,
    "hazen": lambda n, q: n * q - 0.5,
    "weibull": lambda n, q: (n + 1) * q - 1,
    "linear": lambda n, q: (n - 1) * q,
    "median_unbiased": lambda n, q: (n + 1 / 3) * q - 2 / 3,
    "normal_unbiased": lambda n, q: (n + 1 / 4) * q - 5 / 8,
    "lower": lambda n, q: np.floor((n - 1) * q),
    "higher": lambda n, q: np.ceil((n - 1) * q),
    "midpoint": lambda n, q: (np.floor((n - 1) * q) + np.ceil((n - 1) * q)) / 2,
    "nearest": lambda n, q: np.rint((n - 1) * q),
}


@implements(np.quantile)
def quantile(
    a: Any,
    q: Any,
    axis: Axis = None,
    *,
    method: str = "linear",
    keepdims: bool = False,
    weights: Any = None,
) -> Any:
    """The number below which a part `q` of the elements over `axis` lies; NaN if one is NaN.

    The axes of `q`, if it has some, are the first of the result. The elements in order are joined
    by lines, or by steps, as NumPy's `method` says. The two that a quantile lies between share its
    gradient, and `q` receives the slope of the line. With `weights`, constants in the shape of `a`
    or along its axis, the method must be "inverted_cdf".

    >>> quantile([3.0, 1.0, 2.0, 10.0], [0.5, 1.0])
    array([ 2.5, 10. ])

    Raises ValueError for a `q` outside 0 to 1, another method, or no elements.
    """
    return _quantile("quantile", a, q, axis, method, keepdims, weights, skips_nan=False)


@implements(np.percentile)
def percentile(
    a: Any,
    q: Any,
    axis: Axis = None,
    *,
    method: str = "linear",
    keepdims: bool = False,
    weights: Any = None,
) -> Any:
    """`quantile` with `q` in percent, from 0 to 100.

    >>> percentile([3.0, 1.0, 2.0, 10.0], 50)
    array(2.5)
    """
    q = _as_fraction(q)
    return _quantile("percentile", a, q, axis, method, keepdims, weights, skips_nan=False)


@implements(np.nanquantile)
def nanquantile(
    a: Any,
    q: Any,
    axis: Axis = None,
    *,
    method: str = "linear",
    keepdims: bool = False,
    weights: Any = None,
) -> Any:
    """`quantile` of the elements that are not NaN; NaNs receive no gradient.

    >>> nanquantile([3.0, np.nan, 2.0], 0.5)
    array(2.5)
    """
    return _quantile("nanquantile", a, q, axis, method, keepdims, weights, skips_nan=True)


@implements(np.nanpercentile)
def nanpercentile(
    a: Any,
    q: Any,
    axis: Axis = None,
    *,
    method: str = "linear",
    keepdims: bool = False,
    weights: Any = None,
) -> Any:
    """`nanquantile` with `q` in percent, from 0 to 100.

    >>> nanpercentile([3.0, np.nan, 2.0], 50)
    array(2.5)
    """
    q = _as_fraction(q)
    return _quantile("nanpercentile", a, q, axis, method, keepdims, weights, skips_nan=True)


@implements(np.nanmedian)
def nanmedian(a: Any, axis: Axis = None, *, keepdims: bool = False) -> Any:
    """The `median` of the elements that are not NaN; NaNs receive no gradient.

    >>> nanmedian([3.0, np.nan, 2.0])
    array(2.5)
    """
    return nanquantile(a, 0.5, axis, keepdims=keepdims)


def _as_fraction(percent: Any) -> Any:
    return (percent if isinstance(percent, (int, float)) else as_floats(percent)) / 100


def _quantile(
    name: str, a, q, axis: Axis, method: str, keepdims: bool, weights, *, skips_nan: bool
):
    a = as_floats(a)
    is_number = isinstance(q, (int, float))  # which takes part in no promotion
    q = np.asarray(q, float) if is_number else as_floats(q)
    if is_known_true(~np.all((unwrap(q) >= 0) & (unwrap(q) <= 1))):
        raise ValueError(f"{name} takes numbers from 0 to {100 if 'percentile' in name else 1}")
    if method not in POSITIONS:
        raise ValueError(f"method must be one of {', '.join(POSITIONS)}, not {method!r}")
    rows, _ = flatten_axes(a, axis)
    n = rows.shape[-1]
    if n == 0:
        raise ValueError(f"no elements of shape {a.shape} have a {name} along axis {axis}")
    missing = np.isnan(unwrap(rows))
    count = n if not skips_nan else np.sum(~missing, axis=-1, keepdims=True).astype(q.dtype)
    ordered = sort(rows)  # NaNs at the end
    if weights is None:
        position = POSITIONS[method](count, ravel(q))
    elif method == "inverted_cdf":
        weight_rows, _ = flatten_axes(_broadcast_weights(weights, a, axis), axis)
        position = _weighted_position(unwrap(rows), np.where(missing, 0, weight_rows), ravel(q))
    else:
        raise ValueError(f'weights are for method="inverted_cdf" alone, not for {method!r}')

    last = np.maximum(count - 1, 0) if skips_nan else n - 1
    position = clip(position, 0, last)
    below = np.floor(unwrap(position))
    low, high = (_pick(ordered, i.astype(int)) for i in (below, np.minimum(below + 1, last)))
    share = astype(position - below, a.dtype if is_number else np.result_type(a.dtype, q.dtype))
    out = low + (high - low) * share
    is_nan = count == 0 if skips_nan else np.any(missing, axis=-1, keepdims=True)
    nan = np.nan if skips_nan else ordered[..., -1:]  # the NaN itself, which receives the gradient
    out = moveaxis(where(is_nan, nan, out), -1, 0)
    kept = np.sum(np.broadcast_to(0, a.shape), axis=axis, keepdims=keepdims).shape
    return reshape(out, q.shape + kept)


def _pick(rows, positions):
    """The elements of each row at positions: its own, or the same in all rows."""
    leading = (1,) * (rows.ndim - positions.ndim)
    return take_along_axis(rows, np.reshape(positions, leading + positions.shape))


def _broadcast_weights(weights, a, axis: Axis):
    weights = np.broadcast_to(align_weights(as_array(unwrap(weights)), a, axis), a.shape)
    if is_known_true(np.any(weights < 0)):
        raise ValueError("the weights of a quantile must be 0 or more")
    return weights


def _weighted_position(rows, weights, q):
    """The first element, in ascending order, up to which at least a part q of the weight lies."""
    cumulated = np.cumsum(np.take_along_axis(weights, np.argsort(rows), -1), -1)
    parts = (cumulated / cumulated[..., -1:])[..., None, :]
    is_before = (parts < np.reshape(unwrap(q), (-1, 1))) | (parts == 0)
    return np.minimum(np.sum(is_before, axis=-1), rows.shape[-1] - 1).astype(q.dtype)


# ---------------------------------------------------------------------------- without NaNs


@implements(np.nanvar)
def nanvar(
    a: Any,
    axis: Axis = None,
    *,
    ddof: float = 0,
    keepdims: bool = False,
    correction: float | None = None,
) -> Any:
    """The variance over `axis` of the elements that are not NaN; see `var`.

    >>> nanvar([1.0, 3.0, np.nan])
    np.float64(1.0)
    """
    deviation, freedom = _nan_deviation(a, axis, choose_ddof(ddof, correction), keepdims)
    return _narrow(sum(deviation * deviation, axis, keepdims=keepdims) / freedom, a)


@implements(np.nanstd)
def nanstd(
    a: Any,
    axis: Axis = None,
    *,
    ddof: float = 0,
    keepdims: bool = False,
    correction: float | None = None,
) -> Any:
    """The standard deviation over `axis` of the elements that are not NaN; see `std`.

    >>> nanstd([1.0, 3.0, np.nan])
    np.float64(1.0)
    """
    deviation, freedom = _nan_deviation(a, axis, choose_ddof(ddof, correction), keepdims)
    return _narrow(vector_norm(deviation, axis=axis, keepdims=keepdims) / np.sqrt(freedom), a)


def _nan_deviation(a, axis: Axis, ddof: float, keepdims: bool):
    """The deviations from the mean, 0 for NaNs, and the degrees of freedom, NaN for none."""
    a = widen(as_floats(a))
    missing = np.isnan(unwrap(a))
    deviation = where(missing, 0, a - nanmean(a, axis, keepdims=True))
    freedom = np.sum(~missing, axis=axis, keepdims=keepdims) - ddof
    return deviation, np.where(freedom > 0, freedom, np.nan).astype(a.dtype)


def _narrow(result, a):
    """A result that was computed in a wider type in that of `a`."""
    dtype = as_floats(a).dtype
    return result if result.dtype == dtype else astype(result, dtype)


# ---------------------------------------------------------------------------- covariance


@implements(np.cov)
def cov(
    m: Any,
    y: Any = None,
    rowvar: bool = True,
    bias: bool = False,
    ddof: int | None = None,
    fweights: Any = None,
    aweights: Any = None,
) -> Any:
    """The covariances of variables, each a row of samples: Σ w (x - mean) (x - mean)ᵀ / (n - ddof).

    Without `rowvar` variables are columns; `y` has further ones. `ddof` is 1 by default, and 0 with
    `bias`. `fweights` are how often each sample counts; `aweights`, its weight, may receive
    gradients, and divide by Σ w - ddof Σ w² / Σ w. Raises ValueError for shapes that do not fit,
    and negative weights.

    >>> cov([[0.0, 1.0, 2.0], [2.0, 1.0, 0.0]])
    array([[ 1., -1.],
           [-1.,  1.]])
    """
    x = _as_rows(m, y, rowvar)
    if ddof is None:
        ddof = 0 if bias else 1
    if ddof != int(ddof):
        raise ValueError(f"ddof must be an integer, not {ddof}")
    counts = _check_weights("fweights", unwrap(fweights), x)
    if counts is not None and is_known_true(np.any(counts != np.rint(counts))):
        raise TypeError("fweights, how often each sample counts, must be integers")
    aweights = _check_weights("aweights", aweights, x)
    if counts is None and aweights is None:
        deviation = widen(x) - np.mean(widen(x), axis=1, keepdims=True)
        weighted, freedom = deviation, x.shape[1] - ddof
    else:
        w = counts if aweights is None else aweights if counts is None else counts * aweights
        w = widen(w)
        total = sum(w)
        deviation = widen(x) - np.expand_dims(matmul(widen(x), w) / total, 1)
        weighted = deviation * w
        freedom = total - ddof * (1 if aweights is None else sum(w * aweights) / total)
    if is_known_true(unwrap(freedom) <= 0):
        warn_caller("a covariance of too few samples has no degrees of freedom")
    # Not by a branch, as a compiled program is the same for all values.
    freedom = where(unwrap(freedom) <= 0, np.full((), np.nan, deviation.dtype), freedom)
    return _narrow(squeeze(matmul(weighted, deviation.T) / freedom), x)


def _as_rows(m, y, rowvar: bool):
    """The variables of both as rows."""
    parts = []
    for part in (m,) if y is None else (m, y):
        part = as_floats(part)
        if part.ndim > 2:
            raise ValueError(f"cov of shape {part.shape}; it takes a vector or a matrix of samples")
        rows = np.atleast_2d(part)
        parts.append(rows if rowvar or part.ndim < 2 else rows.T)
    return concatenate(parts) if len(parts) > 1 and parts[0].shape[0] else parts[0]


def _check_weights(name: str, weights, x):
    if weights is None:
        return None
    weights = astype(as_array(weights), x.dtype)
    if weights.shape != x.shape[1:]:
        raise ValueError(f"{name} of shape {weights.shape} for {x.shape[1]} samples")
    if is_known_true(np.any(unwrap(weights) < 0)):
        raise ValueError(f"{name} must be 0 or more")
    return weights


@implements(np.corrcoef)
def corrcoef(x: Any, y: Any = None, rowvar: bool = True) -> Any:
    """The correlation coefficients of variables: `cov` divided by their standard deviations.

    >>> corrcoef([[0.0, 1.0, 2.0], [2.0, 1.0, 0.0]])
    array([[ 1., -1.],
           [-1.,  1.]])
    """
    rows = _as_rows(x, y, rowvar)
    covariance = cov(widen(rows))
    if covariance.ndim == 0:
        return _narrow(covariance / covariance, rows)
    deviation = sqrt(np.diagonal(covariance))
    return _narrow(clip(covariance / deviation[:, None] / deviation, -1, 1), rows)


# ---------------------------------------------------------------------------- without a gradient


def _refuse_weights(function: Callable[..., Any]) -> None:
    """Enter a histogram: counts have no gradient by the samples, but they would by weights."""
    count = nondifferentiable(function)
    signature = inspect.signature(function)

    @functools.wraps(function)
    def answer(*args: Any, **kwargs: Any) -> Any:
        if isinstance(signature.bind(*args, **kwargs).arguments.get("weights"), ArrayHolder):
            raise TypeError(
                f"np.{function.__name__} with a Tensor for weights has no rule, so no gradient "
                "could flow; write np.bincount(np.digitize(x, edges), weights), or, if no gradient "
                "is wanted, use t.detach().numpy()"
            )
        return count(*args, **kwargs)

    implements(function)(answer)


for _function in (np.histogram, np.histogram2d, np.histogramdd, np.histogram_bin_edges):
    _refuse_weights(_function)
