"""Rows of the reductions, and of running sums and products."""

import numpy as np

import microgradx as mg
from tests.ops.table.row import Row, anywhere, apart, calls, positive, reduction


def with_zeros(generator, shape):
    """Every other element is 0."""
    values = anywhere(generator, shape)
    values.flat[::2] = 0
    return values


def of_several(function, numpy=None, inputs=anywhere, **settings):
    """A reduction of at least two elements each, once more with other settings."""
    row = reduction(function, numpy, inputs)
    of = [(s, k) for s, k in row.calls if np.size(np.empty(s[0])) > 1]
    return Row(function, [*of, *[(s, {**k, **settings}) for s, k in of]], (inputs,), numpy)


RUNNING = [
    ((), {}),
    ((3,), {}),
    ((2, 3), {}),
    ((2, 3), {"axis": 0}),
    ((2, 3), {"axis": -1}),
    ((2, 0), {"axis": 1}),
    ((2, 1, 4), {"axis": 2}),
]

CUMULATIVE = [
    *[((3,), {}), ((2, 3), {"axis": 0}), ((2, 3), {"axis": -1, "include_initial": True})],
    *[((0,), {"include_initial": True}), ((4,), {"axis": 0, "include_initial": True})],
]

ROWS = {
    "sum": reduction(mg.sum, np.sum),
    "mean": reduction(mg.mean, np.mean),
    "prod": reduction(mg.prod, np.prod),
    "max": reduction(mg.max, np.max, apart),
    "min": reduction(mg.min, np.min, apart),
    "ptp": of_several(mg.ptp, np.ptp, apart),
    "var": of_several(mg.var, np.var, ddof=1),
    "std": of_several(mg.std, np.std, correction=0.5),
    "median": reduction(mg.median, np.median, apart),
    "nansum": reduction(mg.nansum, np.nansum),
    "nanmean": reduction(mg.nanmean, np.nanmean),
    "nanprod": reduction(mg.nanprod, np.nanprod),
    "nanmax": reduction(mg.nanmax, np.nanmax, apart),
    "nanmin": reduction(mg.nanmin, np.nanmin, apart),
    "nancumsum": calls(mg.nancumsum, *RUNNING, numpy=np.nancumsum),
    "nancumprod": calls(mg.nancumprod, *RUNNING, numpy=np.nancumprod),
    "average": calls(
        lambda a, weights, **settings: mg.average(a, weights=weights, **settings),
        (((3,), (3,)), {}),
        (((2, 3), (2, 3)), {"axis": 0}),
        (((2, 3), (3,)), {"axis": -1}),
        (((2, 3, 4), (4, 2)), {"axis": (2, 0)}),
        (((2, 3), (2, 3)), {"keepdims": True, "returned": True}),
        inputs=(anywhere, positive),
    ),
    "cumsum": calls(mg.cumsum, *RUNNING, numpy=np.cumsum),
    "cumprod": calls(mg.cumprod, *RUNNING, numpy=np.cumprod),
    "cumulative_sum": calls(mg.cumulative_sum, *CUMULATIVE, numpy=np.cumulative_sum),
    "cumulative_prod": calls(mg.cumulative_prod, *CUMULATIVE, numpy=np.cumulative_prod),
    # exact at zeros: the same ops, once more
    "prod of zeros": reduction(mg.prod, np.prod, with_zeros),
    "cumprod of zeros": calls(mg.cumprod, *RUNNING, numpy=np.cumprod, inputs=(with_zeros,)),
}
