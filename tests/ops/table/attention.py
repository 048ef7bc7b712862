"""Rows of attention, bilinear maps and dropout."""

import numpy as np

from microgradx.nn import functional as F
from tests.ops.table.row import calls

ROWS = {
    "scaled_dot_product_attention": calls(
        F.scaled_dot_product_attention,
        (((2, 3), (4, 3), (4, 2)), {}),
        (((2, 2, 3), (2, 4, 3), (2, 4, 1)), {"scale": 0.7}),
        (((3, 2), (3, 2), (3, 2)), {"is_causal": True}),
        (((2, 3), (4, 3), (4, 2)), {"attn_mask": np.arange(8).reshape(2, 4) % 3 > 0}),
        (((2, 3), (4, 3), (4, 2), (2, 4)), {}),  # a mask that is learnt
    ),
    "bilinear": calls(
        F.bilinear,
        (((5, 3), (5, 2), (4, 3, 2)), {}),
        (((3,), (2,), (4, 3, 2), (4,)), {}),
        (((2, 0, 3), (2, 0, 2), (4, 3, 2), (4,)), {}),
    ),
    "dropout": calls(
        lambda x, **settings: F.dropout(x, generator=np.random.default_rng(0), **settings) * 1.0,
        *[((shape,), {"p": p}) for shape in [(), (3,), (2, 3), (0, 2)] for p in (0.3, 1.0)],
        (((2, 3),), {"training": False}),
    ),
}
