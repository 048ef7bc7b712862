"""Reductions: sums, products, extremes and statistics over one axis, several, or all of them.

They take `axis` (an integer, a tuple, None for all) and `keepdims` as in NumPy, and raise
ValueError for an axis out of range, or for the maximum of no elements. Cumulative sums and
products, which keep the axis, are here too, and the reductions that have no gradient.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index, normalize_axis_tuple

from microgradx.arrays.dispatch import implements, nondifferentiable
from microgradx.arrays.summation import (
    accumulation_dtype,
    cumsum_along,
    mean_along,
    sum_along,
    widen,
)
from microgradx.arrays.types import Axis, as_array, as_floats, is_known_true, unwrap
from microgradx.engine import Op
from microgradx.ops.elementwise import where
from microgradx.ops.indexing import sort
from microgradx.ops.shapes import atleast_1d, concatenate, expand_dims, moveaxis, ravel, reshape

__all__ = [
    "sum",
    "mean",
    "prod",
    "max",
    "min",
    "ptp",
    "var",
    "std",
    "median",
    "average",
    "nansum",
    "nanprod",
    "nanmax",
    "nanmin",
    "nanmean",
    "cumsum",
    "cumprod",
    "cumulative_sum",
    "cumulative_prod",
    "nancumsum",
    "nancumprod",
    "argmax",
    "argmin",
    "nanargmax",
    "nanargmin",
    "any",
    "all",
    "count_nonzero",
]


class Reduction(Op):
    """The settings that reductions share, and the shape in which results broadcast to inputs."""

    def __init__(self, axis: Axis = None, keepdims: bool = False) -> None:
        self.axis = axis
        self.keepdims = keepdims

    def expand(self, reduced: Any, x: Any) -> Any:
        """A result, or its gradient, with the reduced axes of `x` back, at length 1."""
        if self.keepdims or x.ndim == 0:
            return reduced
        if self.axis is None:
            return np.reshape(reduced, (1,) * x.ndim)
        return np.expand_dims(reduced, self.axis)

    def count(self, x) -> int:
        """How many elements of `x` are reduced to each element of the result."""
        if self.axis is None:
            return math.prod(x.shape)
        axes = self.axis if isinstance(self.axis, tuple) else (self.axis,)
        return math.prod(x.shape[axis] for axis in axes)


class Sum(Reduction):
    formula = "Σ x"

    def forward(self, x):
        return sum_along(x, self.axis, self.keepdims)

    def backward(self, g, out, x):
        return np.broadcast_to(self.expand(g, x), x.shape)


class Mean(Reduction):
    formula = "Σ x / n"

    def forward(self, x):
        return mean_along(x, self.axis, self.keepdims)

    def backward(self, g, out, x):
        return np.broadcast_to(self.expand(widen(g) * (1 / (self.count(x) or 1)), x), x.shape)


class Max(Reduction):
    formula = "max x"

    def forward(self, x):
        return np.max(x, axis=self.axis, keepdims=self.keepdims)

    def backward(self, g, out, x):
        # Ties share the gradient equally. The position of the extremum is a constant.
        extreme = self.expand(out, x)
        is_extreme = (x == extreme) | (np.isnan(x) & np.isnan(extreme))
        ties = np.sum(is_extreme, axis=self.axis, keepdims=True)
        share = self.expand(g, x) / ties.astype(np.promote_types(x.dtype, np.float32))
        return np.where(is_extreme, share, 0)


class Min(Max):
    formula = "min x"

    def forward(self, x):
        return np.min(x, axis=self.axis, keepdims=self.keepdims)


class NanMax(Max):
    formula = "max x"

    def forward(self, x):
        return np.nanmax(x, axis=self.axis, keepdims=self.keepdims)


class NanMin(Max):
    formula = "min x"

    def forward(self, x):
        return np.nanmin(x, axis=self.axis, keepdims=self.keepdims)


class Prod(Reduction):
    formula = "Π x"

    def forward(self, x):
        return _compute_wide(np.prod, as_array(x), axis=self.axis, keepdims=self.keepdims)

    def backward(self, g, out, x):
        rows, unflatten = flatten_axes(widen(x, x.size), self.axis)
        return self.expand(g, x) * unflatten(product_of_others(rows))


class Var(Reduction):
    formula = "Σ (x - mean)² / (n - ddof)"

    def __init__(self, axis: Axis = None, keepdims: bool = False, ddof: float = 0) -> None:
        super().__init__(axis, keepdims)
        self.ddof = ddof

    def forward(self, x):
        settings = {"axis": self.axis, "keepdims": self.keepdims, "ddof": self.ddof}
        return _compute_wide(np.var, x, **settings)

    def backward(self, g, out, x):
        # That x moves the mean too changes nothing: the deviations add up to 0.
        deviation = widen(x) - self.mean(widen(x))
        return self.expand(g, x) * (2 * deviation / self.freedom(x))

    def mean(self, x):
        """The mean, in the type of its sum: what is subtracted should not be rounded before."""
        dtype = accumulation_dtype(x.dtype, x.size)
        return mean_along(x, self.axis, keepdims=True, dtype=dtype)

    def freedom(self, x) -> float:
        """The degrees of freedom, n - ddof, or NaN if there are none."""
        freedom = self.count(x) - self.ddof
        return freedom if freedom > 0 else math.nan


class Std(Var):
    formula = "√var x"

    def forward(self, x):
        settings = {"axis": self.axis, "keepdims": self.keepdims, "ddof": self.ddof}
        return _compute_wide(np.std, x, **settings)

    def backward(self, g, out, x):
        if x.size == 0:
            return np.zeros_like(x)
        # The norm of the deviations, by √(n - ddof). Distances from one of the elements have a
        # mean that is exact where all are equal.
        distance = widen(x) - np.min(unwrap(x), axis=self.axis, keepdims=True)
        direction = NormGradient(2, self.axis)(distance - self.mean(distance))
        return self.expand(widen(g) / math.sqrt(self.freedom(x)), x) * direction


class NormGradient(Reduction):
    """The gradient of a norm, sign x (|x| / ‖x‖)ᵖ⁻¹, with ‖x‖ = (Σ |x|ᵖ)¹ᐟᵖ: for p = 2, x / ‖x‖.

    Where the norm is 0, so is its gradient, by convention. But the curvature there is infinite, so
    the derivative of this is NaN: a 0 would say that the second derivative of ‖x‖² is not 2 but 0.

    >>> NormGradient()(np.array([3.0, 4.0]))
    array([0.6, 0.8])
    """

    name = "norm_gradient"
    formula = "sign x (|x| / ‖x‖)ᵖ⁻¹"

    def __init__(self, p: float = 2, axis: Axis = None) -> None:
        super().__init__(axis, keepdims=True)
        self.p = p

    def forward(self, x):
        x = widen(x)
        size = np.abs(x)
        if x.size == 0:
            return size
        largest = np.max(size, axis=self.axis, keepdims=True)
        divisor = np.where((largest == 0) | np.isinf(largest), 1, largest)
        if self.p == 2:
            x = x / divisor  # now no square overflows, and not all underflow
            norm = np.sqrt(sum_along(x * x, self.axis, keepdims=True))
            return x / np.where(norm == 0, 1, norm)
        # Of a 0, and of all where a negative power of 0 is infinite, it is 0.
        is_zero = x == 0
        size = np.where(is_zero, 1, size / divisor)
        powers = np.where(is_zero, 0 if self.p > 0 else np.inf, size**self.p)
        norm = sum_along(powers, self.axis, keepdims=True) ** (1 / self.p)
        share = (size / np.where(norm == 0, 1, norm)) ** (self.p - 1)
        return np.where(norm == 0, 0, np.sign(x) * share)

    def backward(self, g, out, x):
        # (p - 1) (|x / ‖x‖|ᵖ⁻² g - out Σ out g) / ‖x‖, where ‖x‖ is Σ out x.
        norm = sum_along(out * x, self.axis, keepdims=True)
        norm = np.where(norm == 0, np.nan, norm)
        along = out * sum_along(out * g, self.axis, keepdims=True)
        if self.p == 2:
            return (g - along) / norm
        size = np.where((x == 0) & (self.p < 2), np.nan, np.abs(x) / norm)
        return (self.p - 1) * (g * size ** (self.p - 2) - along) / norm


class Cumsum(Op):
    formula = "x₁ + … + xₖ"

    def __init__(self, axis: int) -> None:
        self.axis = axis

    def forward(self, x):
        return cumsum_along(x, self.axis)

    def backward(self, g, out, x):
        return np.flip(cumsum_along(np.flip(g, self.axis), self.axis), self.axis)


class Cumprod(Op):
    formula = "x₁ · … · xₖ"

    def __init__(self, axis: int) -> None:
        self.axis = axis

    def forward(self, x):
        return _compute_wide(np.cumprod, x, axis=self.axis)

    def backward(self, g, out, x):
        # xᵢ is a factor of all products from the i-th on, so its gradient is x₁ … xᵢ₋₁ times
        # Σⱼ gⱼ xᵢ₊₁ … xⱼ, which is computed from the end by r ← gᵢ + xᵢ₊₁ r: no division by 0.
        x, g = widen(x, x.shape[self.axis]), widen(g, x.shape[self.axis])
        rows, gs = np.moveaxis(x, self.axis, 0), np.moveaxis(g, self.axis, 0)
        if len(rows) == 0:
            return np.zeros_like(x)
        r = gs[-1]
        behind = [r]
        for i in range(len(rows) - 2, -1, -1):
            r = gs[i] + rows[i + 1] * r
            behind.append(r)
        gradient = _product_before(np.moveaxis(rows, 0, -1)) * np.stack(behind[::-1], -1)
        return np.moveaxis(gradient, -1, self.axis)


def _compute_wide(reduction, x, **settings):
    """A reduction of NumPy's in a type wide enough for all of `x`, rounded at the end."""
    wide = accumulation_dtype(x.dtype, x.size)
    if wide is x.dtype:
        return reduction(x, **settings)
    return reduction(x, dtype=wide, **settings).astype(x.dtype)


def _product_before(x):
    """For each element along the last axis, the product of those before it."""
    return np.concatenate([np.ones_like(x[..., :1]), np.cumprod(x[..., :-1], axis=-1)], axis=-1)


def product_of_others(x):
    """For each element along the last axis, the product of all others: exact where some are 0."""
    return _product_before(x) * np.flip(_product_before(np.flip(x, -1)), -1)


def flatten_axes(x, axis: Axis) -> tuple[Any, Callable[[Any], Any]]:
    """`x` with the axes of a reduction flattened into its last one, and the inverse function."""
    # NumPy accepts axis=0 for a 0-d array.
    all_axes = axis is None or x.ndim == 0
    axes = normalize_axis_tuple(range(x.ndim) if all_axes else axis, x.ndim)  # type: ignore[arg-type]
    last = tuple(range(-len(axes), 0))
    moved = moveaxis(x, axes, last)
    kept = moved.shape[: x.ndim - len(axes)]

    def unflatten(rows):
        return moveaxis(reshape(rows, moved.shape), last, axes)

    return reshape(moved, (*kept, math.prod(moved.shape[len(kept) :]))), unflatten


# ---------------------------------------------------------------------------- sums and extremes


@implements(np.sum)
def sum(a: Any, axis: Axis = None, *, keepdims: bool = False) -> Any:
    """The sum over `axis`. Each element receives the gradient of its sum.

    >>> sum([[1, 2], [3, 4]], axis=0)
    array([4, 6])
    """
    return Sum(axis, keepdims)(a)


@implements(np.mean)
def mean(a: Any, axis: Axis = None, *, keepdims: bool = False) -> Any:
    """The mean over `axis`, of n elements. Each element receives 1/n of its mean's gradient.

    >>> mean([[1, 2], [3, 4]], axis=0)
    array([2., 3.])
    """
    return Mean(axis, keepdims)(a)


@implements(np.max, np.amax)
def max(a: Any, axis: Axis = None, *, keepdims: bool = False) -> Any:
    """The maximum over `axis`. Elements that tie for it share its gradient equally.

    >>> max([[1, 4], [3, 2]], axis=0)
    array([3, 4])
    """
    return Max(axis, keepdims)(a)


@implements(np.min, np.amin)
def min(a: Any, axis: Axis = None, *, keepdims: bool = False) -> Any:
    """The minimum over `axis`. Elements that tie for it share its gradient equally.

    >>> min([[1, 4], [3, 2]], axis=0)
    array([1, 2])
    """
    return Min(axis, keepdims)(a)


@implements(np.prod)
def prod(a: Any, axis: Axis = None, *, keepdims: bool = False) -> Any:
    """The product over `axis`. Its derivative by an element is the product of the others.

    >>> prod([[1, 2], [3, 4]], axis=0)
    array([3, 8])
    """
    return Prod(axis, keepdims)(a)


@implements(np.ptp)
def ptp(a: Any, axis: Axis = None, *, keepdims: bool = False) -> Any:
    """The maximum minus the minimum over `axis`.

    >>> ptp([[1, 4], [3, 2]], axis=0)
    array([2, 2])
    """
    return max(a, axis, keepdims=keepdims) - min(a, axis, keepdims=keepdims)


@implements(np.cumsum)
def cumsum(a: Any, axis: int | None = None) -> Any:
    """The cumulative sum along `axis`, or of the flattened array.

    >>> cumsum([1, 2, 3])
    array([1, 3, 6])
    """
    return _accumulate(Cumsum, a, axis)


@implements(np.cumprod)
def cumprod(a: Any, axis: int | None = None) -> Any:
    """The cumulative product along `axis`, or of the flattened array; exact at zeros, as `prod`.

    >>> cumprod([1, 2, 3])
    array([1, 2, 6])
    """
    return _accumulate(Cumprod, a, axis)


@implements(np.cumulative_sum)
def cumulative_sum(x: Any, /, *, axis: int | None = None, include_initial: bool = False) -> Any:
    """`cumsum`, behind a 0 if `include_initial`. Raises ValueError for several axes and no `axis`.

    >>> cumulative_sum([1, 2, 3], include_initial=True)
    array([0, 1, 3, 6])
    """
    return _accumulate_one_axis(cumsum, x, axis, 0 if include_initial else None)


@implements(np.cumulative_prod)
def cumulative_prod(x: Any, /, *, axis: int | None = None, include_initial: bool = False) -> Any:
    """`cumprod`, behind a 1 if `include_initial`. Raises ValueError for several axes and no `axis`.

    >>> cumulative_prod([1, 2, 3], include_initial=True)
    array([1, 1, 2, 6])
    """
    return _accumulate_one_axis(cumprod, x, axis, 1 if include_initial else None)


def _accumulate_one_axis(accumulate: Callable[..., Any], x, axis: int | None, initial: int | None):
    x = atleast_1d(x)
    if axis is None and x.ndim > 1:
        raise ValueError(f"an array of shape {x.shape} has several axes: give one, axis=0 say")
    axis = normalize_axis_index(axis or 0, x.ndim)
    out = accumulate(x, axis)
    if initial is None:
        return out
    shape = (*out.shape[:axis], 1, *out.shape[axis + 1 :])
    return concatenate([np.full(shape, initial, out.dtype), out], axis)


def _accumulate(op: Callable[[int], Op], a, axis: int | None):
    a = as_array(a)
    if axis is None or a.ndim == 0:
        a, axis = ravel(a), axis or 0
    return op(normalize_axis_index(axis, a.ndim))(a)


# ---------------------------------------------------------------------------- statistics


@implements(np.var)
def var(
    a: Any,
    axis: Axis = None,
    *,
    ddof: float = 0,
    keepdims: bool = False,
    correction: float | None = None,
) -> Any:
    """The variance over `axis`, Σ (x - mean)² / (n - ddof). `correction` is another name for ddof.

    >>> var([1, 2, 3, 4]), var([1, 2, 3, 4], ddof=1)
    (np.float64(1.25), np.float64(1.6666666666666667))
    """
    return Var(axis, keepdims, choose_ddof(ddof, correction))(as_floats(a))


@implements(np.std)
def std(
    a: Any,
    axis: Axis = None,
    *,
    ddof: float = 0,
    keepdims: bool = False,
    correction: float | None = None,
) -> Any:
    """The standard deviation over `axis`: the root of `var`. Where it is 0, so is its derivative.

    >>> std([1, 2, 3, 4])
    np.float64(1.118033988749895)
    """
    return Std(axis, keepdims, choose_ddof(ddof, correction))(as_floats(a))


def choose_ddof(ddof: float, correction: float | None) -> float:
    if correction is None:
        return ddof
    if ddof != 0:
        raise ValueError(f"ddof={ddof} and correction={correction} mean the same: give one")
    return correction


@implements(np.median)
def median(a: Any, axis: Axis = None, *, keepdims: bool = False) -> Any:
    """The middle element over `axis`, or the mean of the two in the middle; NaN if one is NaN.

    Raises ValueError where there are no elements.

    >>> median([3, 1, 2, 10])
    np.float64(2.5)
    """
    a = as_array(a)
    rows, _ = flatten_axes(a, axis)
    n = rows.shape[-1]
    if n == 0:
        raise ValueError(f"no elements of shape {a.shape} have a median along axis {axis}")
    ordered = sort(rows)
    middle = mean(ordered[..., (n - 1) // 2 : n // 2 + 1], axis=-1)
    if a.dtype.kind == "f":  # NaN is sorted to the end
        last = ordered[..., -1]
        middle = where(np.isnan(last), last, middle)
    if not keepdims:
        return middle
    return expand_dims(middle, tuple(range(a.ndim)) if axis is None else axis)


@implements(np.average)
def average(
    a: Any,
    axis: Axis = None,
    weights: Any = None,
    returned: bool = False,
    *,
    keepdims: bool = False,
) -> Any:
    """The weighted mean over `axis`: Σ w x / Σ w.

    `weights` have the shape of `a`, or of its axes that are averaged; they receive gradients too.
    With `returned`, returns the sum of the weights as well. Raises ValueError for another shape,
    ZeroDivisionError for weights that add up to 0.

    >>> average([1.0, 2.0], weights=[3, 1])
    np.float64(1.25)
    """
    a = as_floats(a)
    if weights is None:
        weights = np.ones_like(unwrap(a))
    weights = align_weights(as_array(weights), a, axis)
    dtype = np.result_type(a.dtype, weights.dtype)
    a, weights = widen(a), widen(weights)
    total = sum(weights * np.ones_like(unwrap(a)), axis, keepdims=keepdims)
    if is_known_true(np.any(unwrap(total) == 0)):
        raise ZeroDivisionError("the weights of an average add up to 0")
    result = sum(a * weights, axis, keepdims=keepdims) / total
    results = (result, total) if returned else (result,)
    results = tuple(each if each.dtype == dtype else each.astype(dtype) for each in results)
    return results if returned else results[0]


def align_weights(weights, a, axis: Axis):
    """Weights in the shape of `a`, or of its axes that are reduced, as they broadcast to `a`."""
    if weights.shape == a.shape:
        return weights
    axes = normalize_axis_tuple(range(a.ndim) if axis is None else axis, a.ndim)
    if weights.shape != tuple(a.shape[i] for i in axes):
        raise ValueError(
            f"weights of shape {weights.shape} for an array of shape {a.shape}, averaged over "
            f"axis {axis}; they need its shape, or the shape of the averaged axes"
        )
    in_order = moveaxis(weights, range(len(axes)), np.argsort(np.argsort(axes)).tolist())
    return reshape(in_order, [n if i in axes else 1 for i, n in enumerate(a.shape)])


@implements(np.nansum)
def nansum(a: Any, axis: Axis = None, *, keepdims: bool = False) -> Any:
    """The sum over `axis` of the elements that are not NaN; NaNs receive no gradient.

    >>> nansum([1.0, np.nan])
    np.float64(1.0)
    """
    return sum(where(np.isnan(as_array(a)), 0, a), axis, keepdims=keepdims)


@implements(np.nanprod)
def nanprod(a: Any, axis: Axis = None, *, keepdims: bool = False) -> Any:
    """The product over `axis` of the elements that are not NaN; NaNs receive no gradient.

    >>> nanprod([2.0, 3.0, np.nan])
    np.float64(6.0)
    """
    return prod(where(np.isnan(as_array(a)), 1, a), axis, keepdims=keepdims)


@implements(np.nanmax)
def nanmax(a: Any, axis: Axis = None, *, keepdims: bool = False) -> Any:
    """The maximum over `axis` of the elements that are not NaN. Ties share its gradient equally.

    Where all are NaN, it is NaN, and NumPy warns.

    >>> nanmax([1.0, np.nan])
    np.float64(1.0)
    """
    return NanMax(axis, keepdims)(as_array(a))


@implements(np.nanmin)
def nanmin(a: Any, axis: Axis = None, *, keepdims: bool = False) -> Any:
    """The minimum over `axis` of the elements that are not NaN. Ties share its gradient equally.

    Where all are NaN, it is NaN, and NumPy warns.

    >>> nanmin([1.0, np.nan])
    np.float64(1.0)
    """
    return NanMin(axis, keepdims)(as_array(a))


@implements(np.nancumsum)
def nancumsum(a: Any, axis: int | None = None) -> Any:
    """The cumulative sum along `axis`, with 0 for NaN, or of the flattened array.

    >>> nancumsum([1.0, np.nan, 3.0])
    array([1., 1., 4.])
    """
    return cumsum(where(np.isnan(as_array(a)), 0, a), axis)


@implements(np.nancumprod)
def nancumprod(a: Any, axis: int | None = None) -> Any:
    """The cumulative product along `axis`, with 1 for NaN, or of the flattened array.

    >>> nancumprod([2.0, np.nan, 3.0])
    array([2., 2., 6.])
    """
    return cumprod(where(np.isnan(as_array(a)), 1, a), axis)


@implements(np.nanmean)
def nanmean(a: Any, axis: Axis = None, *, keepdims: bool = False) -> Any:
    """The mean over `axis` of the elements that are not NaN; NaNs receive no gradient.

    >>> nanmean([1.0, 2.0, np.nan])
    np.float64(1.5)
    """
    a = as_floats(a)
    count = np.sum(~np.isnan(a), axis=axis, keepdims=keepdims)
    total = nansum(widen(a), axis, keepdims=keepdims)
    mean = total / count.astype(total.dtype)
    return mean if mean.dtype == a.dtype else mean.astype(a.dtype)


# ---------------------------------------------------------------------------- without a gradient

argmax = nondifferentiable(np.argmax)
argmin = nondifferentiable(np.argmin)
nanargmax = nondifferentiable(np.nanargmax)
nanargmin = nondifferentiable(np.nanargmin)
any = nondifferentiable(np.any)
all = nondifferentiable(np.all)
count_nonzero = nondifferentiable(np.count_nonzero)
