"""Rows of the reductions."""

import numpy as np

import microgradx as mg
from tests.ops.table.row import apart, reduction

ROWS = {
    "sum": reduction(mg.sum, np.sum),
    "mean": reduction(mg.mean, np.mean),
    "max": reduction(mg.max, np.max, apart),
    "min": reduction(mg.min, np.min, apart),
    "logsumexp": reduction(mg.logsumexp),
}
