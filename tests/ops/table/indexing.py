"""Rows of the ops that take elements by index, and of those that put them there."""

import numpy as np

import microgradx as mg
from tests.ops.table.row import anywhere, apart, calls


def update(index, how):
    """`x.at[index].set(v)`, or `add`, also of arrays."""
    return lambda x, v: getattr(mg.ops.indexing.At(x)[index], how)(v)


UPDATES = [
    (((4, 3), (3,)), 1),
    (((4, 3), ()), -1),
    (((4, 3), (2, 3)), slice(None, None, -2)),
    (((4, 3), (3, 1)), [0, 0, 1]),
    (((4, 3), (2,)), (np.array([0, 3]), np.array([1, 1]))),
    (((4, 3), (1, 2)), (slice(None), [2, 0])),
    (((4, 3), ()), np.arange(12).reshape(4, 3) % 2 == 0),
    (((4, 3), (4, 1)), (..., None, 1)),
    (((3,), (0,)), []),
    (((), ()), ()),
]

ROWS = {
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
    **{
        f"at.{how} {i}": calls(update(index, how), (shapes, {}))
        for how in ("set", "add")
        for i, (shapes, index) in enumerate(UPDATES)
    },
    "take": calls(
        mg.take,
        ((4, 3), {"indices": [0, 0, 11]}),
        ((4, 3), {"indices": 1, "axis": 0}),
        ((4, 3), {"indices": np.array([[2, -1], [0, 2]]), "axis": -1}),
        ((4, 3), {"indices": [], "axis": 0}),
        numpy=lambda a, indices, axis=None: np.take(a, np.asarray(indices, int), axis),
    ),
    "take_along_axis": calls(
        mg.take_along_axis,
        ((3, 2), {"indices": np.array([[2, 0], [0, 0]]), "axis": 0}),
        ((3, 2), {"indices": np.array([[1], [0], [1]])}),
        ((3, 1), {"indices": np.zeros((3, 0), int), "axis": -1}),
        ((3, 2), {"indices": np.array([5, 5]), "axis": None}),
        numpy=lambda arr, indices, axis=-1: np.take_along_axis(arr, indices, axis),
    ),
    "compress": calls(
        lambda a, condition, axis=None: mg.compress(condition, a, axis),
        ((2, 3), {"condition": [True, False, True], "axis": 1}),
        ((2, 3), {"condition": [False, True]}),
    ),
    "diff": calls(
        mg.diff,
        ((4,), {}),
        ((3, 4), {"n": 2, "axis": 0}),
        ((1, 3), {"axis": 0}),
        ((2, 3), {"n": 0}),
        numpy=np.diff,
    ),
    "sort": calls(
        mg.sort,
        ((), {"axis": None}),
        ((5,), {}),
        ((3, 4), {"axis": 0}),
        ((3, 4), {"axis": None}),
        ((2, 0, 3), {"axis": -1, "stable": True}),
        numpy=np.sort,
        inputs=(apart,),
    ),
    "partition": calls(
        mg.partition,
        ((5,), {"kth": 2}),
        ((3, 4), {"kth": (0, -1), "axis": 0}),
        ((3, 4), {"kth": 5, "axis": None}),
        numpy=np.partition,
        inputs=(apart,),
    ),
    "embedding": calls(
        lambda weight, indices: mg.embedding(indices, weight),
        ((4, 3), {"indices": [1, 1, 0]}),
        ((4, 3), {"indices": np.array([[1, 3], [0, 1]])}),
        ((4, 3), {"indices": 2}),
        inputs=(anywhere,),
    ),
}
