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
    "extract": calls(
        lambda arr, condition: mg.extract(condition, arr),
        ((2, 3), {"condition": np.array([[True, False, True], [False, True, True]])}),
        ((3,), {"condition": [0, 0, 0]}),
    ),
    "choose": calls(
        lambda *choices, a, mode="raise": mg.choose(a, choices, mode=mode),
        (((3,), (3,)), {"a": np.array([0, 1, 1])}),
        (((2, 3), (), (3,)), {"a": np.array([[2], [0]])}),
        (((3,), (3,)), {"a": np.array([-1, 5, 0]), "mode": "clip"}),
        (((3,), (3,)), {"a": np.array([-1, 5, 0]), "mode": "wrap"}),
        numpy=lambda *choices, a, mode="raise": np.choose(a, choices, mode=mode),
    ),
    "piecewise": calls(
        lambda x, **settings: mg.piecewise(x, *settings.values()),
        ((4,), {"condlist": np.array([True, False, True, False]), "funclist": [np.exp, np.sin]}),
        ((2, 2), {"condlist": [np.eye(2) == 1], "funclist": [3.0]}),
        ((2,), {"condlist": [[True, False], [True, True]], "funclist": [np.exp, np.square]}),
        ((3,), {"condlist": [[False] * 3], "funclist": [np.log, np.negative]}),
        numpy=lambda x, **settings: np.piecewise(x, *settings.values()),
    ),
    "bincount": calls(
        lambda weights, x, **settings: mg.bincount(x, weights, **settings),
        ((5,), {"x": np.array([0, 3, 3, 1, 0])}),
        ((2,), {"x": np.array([1, 1]), "minlength": 4}),
        ((0,), {"x": np.zeros(0, int)}),
        numpy=lambda weights, x, **settings: np.bincount(x, weights, **settings),
    ),
    "diff between ends": calls(
        lambda a, *ends, **settings: mg.diff(a, 1, -1, *ends, **settings),
        *[(shapes, {}) for shapes in [((3,), ()), ((2, 3), (2, 1), ()), ((2, 3), (), (2, 2))]],
        numpy=lambda a, *ends, **settings: np.diff(a, 1, -1, *ends, **settings),
    ),
    "ediff1d": calls(
        mg.ediff1d,
        *[(shapes, {}) for shapes in [((4,),), ((2, 3),), ((3,), ()), ((3,), (2,), (1,)), ((1,),)]],
        numpy=np.ediff1d,
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
