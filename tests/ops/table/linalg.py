"""Rows of products and of linear algebra."""

import numpy as np

import microgradx as mg
from tests.ops.table.row import calls

ROWS = {
    "matmul": calls(
        mg.matmul,
        *[
            (pair, {})
            for pair in [
                ((3,), (3,)),
                ((2, 3), (3,)),
                ((3,), (3, 2)),
                ((2, 3), (3, 4)),
                ((5, 2, 3), (3, 4)),
                ((2, 3), (5, 3, 4)),
                ((5, 1, 2, 3), (4, 3, 2)),
                ((3,), (5, 3, 2)),
                ((5, 2, 3), (3,)),
                ((0, 3), (3, 2)),
                ((2, 0), (0, 2)),
            ]
        ],
        numpy=np.matmul,
    ),
    "linear": calls(
        mg.linear,
        *[((x, (4, 3), (4,)), {}) for x in [(2, 3), (3,), (5, 2, 3), (0, 3)]],
    ),
}
