"""Rows of the ops that move elements about."""

import numpy as np

import microgradx as mg
from tests.ops.table.row import calls

ROWS = {
    "reshape": calls(
        mg.reshape,
        ((2, 3), {"shape": (3, 2)}),
        ((2, 3), {"shape": -1}),
        ((2, 3), {"shape": (1, 6, -1)}),
        ((), {"shape": (1,)}),
        ((0, 3), {"shape": (3, 0)}),
        numpy=np.reshape,
    ),
    "transpose": calls(
        mg.transpose,
        *[(s, {}) for s in [((),), ((3,),), ((2, 3),), ((2, 0, 3),)]],
        (((2, 3, 4),), {"axes": (2, 0, 1)}),
        (((2, 3, 4),), {"axes": (-1, 0, -2)}),
        numpy=np.transpose,
    ),
    "swapaxes": calls(mg.swapaxes, (((2, 3, 4),), {"axis1": 0, "axis2": -1}), numpy=np.swapaxes),
    "expand_dims": calls(
        mg.expand_dims,
        (((2, 3),), {"axis": -1}),
        (((2, 3),), {"axis": (0, 2)}),
        (((),), {"axis": 0}),
        numpy=np.expand_dims,
    ),
    "squeeze": calls(
        mg.squeeze,
        (((2, 1, 3, 1),), {}),
        (((2, 1, 3, 1),), {"axis": -1}),
        (((1,),), {}),
        numpy=np.squeeze,
    ),
    "broadcast_to": calls(
        mg.broadcast_to,
        (((3,),), {"shape": (2, 3)}),
        (((2, 1),), {"shape": (4, 2, 3)}),
        (((),), {"shape": (2,)}),
        (((1, 3),), {"shape": (0, 3)}),
        numpy=np.broadcast_to,
    ),
    "getitem": calls(
        mg.getitem,
        *[
            (((4, 3),), {"index": index})
            for index in [
                1,
                -1,
                slice(None, None, -2),
                (slice(1, 3), 0),
                (..., None, 1),
                None,
                [0, 0, 1],
                (np.array([0, 3, 0]), np.array([1, 1, 1])),
                (slice(None), [2, 0, 2]),
                np.arange(12).reshape(4, 3) % 2 == 0,
                (np.array([True, False, True, True]), 1),
                [],
                (np.array([[0], [3]]), [0, 2]),
            ]
        ],
    ),
    "concatenate": calls(
        lambda *x, axis: mg.concatenate(x, axis),
        (((2, 3), (1, 3)), {"axis": 0}),
        (((2, 3), (2, 1), (2, 0)), {"axis": -1}),
        (((2, 3), (2,)), {"axis": None}),
    ),
    "stack": calls(
        lambda *x, axis: mg.stack(x, axis),
        (((2, 3), (2, 3)), {"axis": 0}),
        (((2,), (2,)), {"axis": -1}),
        (((), (), ()), {"axis": 0}),
    ),
}
