"""Rows of statistics."""

import numpy as np

import microgradx as mg
from microgradx.ops.statistics import POSITIONS
from tests.ops.table.row import REDUCED, apart, calls, positive, probability

SETTINGS = [
    ((shape, q), {"axis": axis, "keepdims": keepdims})
    for shape, axis in REDUCED
    for q, keepdims in [((), False), ((3,), True)]
]
METHODS = [(((5, 2), (4,)), {"axis": 0, "method": method}) for method in POSITIONS]
WEIGHTS = [
    *[
        ((shape, ()), {"axis": axis, "weights": np.array([1.0, 0, 2])})
        for shape, axis in [((3,), None), ((3, 2), 0), ((2, 3), 1)]
    ],
    (((3, 2), (2,)), {"weights": np.array([[0, 3], [1.0, 2], [0, 0.5]])}),
]


def percent(generator, shape):
    return 100 * probability(generator, shape)


def of_missing(function, numpy, **settings):
    """With and without NaN; by what is not."""
    shapes = [((4,), None), ((3, 4), 0), ((3, 4), -1), ((2, 3, 4), (0, 2))]
    of = [
        ((s,), {"axis": axis, "keepdims": k, **more})
        for s, axis in shapes
        for k in (False, True)
        for more in ({}, settings)
    ]
    return calls(function, *of, numpy=numpy, inputs=(apart,), rtol=1e-14)


def weighted(m, aweights, **settings):
    return mg.cov(m, aweights=aweights, **settings)


ROWS = {
    "quantile": calls(
        mg.quantile, *SETTINGS, *METHODS, numpy=np.quantile, inputs=(apart, probability), rtol=1e-14
    ),
    "quantile of weights": calls(
        lambda a, q, **settings: mg.quantile(a, q, method="inverted_cdf", **settings),
        *WEIGHTS,
        numpy=lambda a, q, **settings: np.quantile(a, q, method="inverted_cdf", **settings),
        inputs=(apart, probability),
    ),
    "percentile": calls(
        mg.percentile, *SETTINGS, numpy=np.percentile, inputs=(apart, percent), rtol=1e-13
    ),
    "nanquantile": calls(
        mg.nanquantile,
        *SETTINGS,
        *METHODS,
        numpy=np.nanquantile,
        inputs=(apart, probability),
        rtol=1e-13,
    ),
    "nanpercentile": calls(
        mg.nanpercentile, *SETTINGS, numpy=np.nanpercentile, inputs=(apart, percent), rtol=1e-13
    ),
    "nanmedian": of_missing(mg.nanmedian, np.nanmedian),
    "nanvar": of_missing(mg.nanvar, np.nanvar, ddof=1),
    "nanstd": of_missing(mg.nanstd, np.nanstd, correction=0.5),
    "cov": calls(
        mg.cov,
        *[((shape,), {}) for shape in [(4,), (3, 4), (1, 3), (0, 3)]],
        *[((4, 3), settings) for settings in ({"rowvar": False}, {"bias": True}, {"ddof": 0})],
        ((2, 4), {"fweights": np.array([1, 3, 0, 2])}),
        (((2, 4), (4,)), {}),
        (((2, 4), (3, 4)), {"rowvar": True}),
        (((4, 2), (4, 3)), {"rowvar": False}),
        numpy=np.cov,
        rtol=1e-14,
    ),
    "cov of weights": calls(
        weighted,
        (((2, 4), (4,)), {}),
        (((3,), (3,)), {"ddof": 0}),
        (((2, 4), (4,)), {"fweights": np.array([1, 3, 0, 2])}),
        numpy=lambda m, aweights, **settings: np.cov(m, aweights=aweights, **settings),
        inputs=(apart, positive),
        rtol=1e-14,
    ),
    "corrcoef": calls(
        mg.corrcoef,
        *[((shape,), {}) for shape in [(4,), (3, 4)]],
        ((4, 3), {"rowvar": False}),
        (((2, 4), (4,)), {}),
        numpy=np.corrcoef,
        rtol=1e-14,
    ),
}
