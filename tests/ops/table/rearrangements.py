"""Rows of the ops that move elements about."""

import numpy as np

import microgradx as mg
from tests.ops.table.row import SHAPES, calls

# Where elements are deleted, or inserted, along an axis.
OBJECTS = (1, -1, slice(0, 2), slice(None, None, 2), [0, 2], [], np.array([2, 2, 0]))

ROWS = {
    "flip": calls(
        mg.flip,
        *[((s,), {}) for s in SHAPES],
        ((2, 3, 4), {"axis": (0, -1)}),
        ((2, 3), {"axis": -1}),
        numpy=np.flip,
    ),
    "fliplr": calls(mg.fliplr, ((2, 3), {}), numpy=np.fliplr),
    "flipud": calls(mg.flipud, ((2, 3), {}), numpy=np.flipud),
    "roll": calls(
        mg.roll,
        ((5,), {"shift": 2}),
        ((2, 3), {"shift": -4}),
        ((2, 3), {"shift": (1, 2), "axis": (0, 1)}),
        ((0, 3), {"shift": 1}),
        numpy=np.roll,
    ),
    "rot90": calls(
        mg.rot90,
        *[((2, 3, 4), {"k": k, "axes": axes}) for k in range(4) for axes in [(0, 1), (2, 0)]],
    ),
    "repeat": calls(
        mg.repeat,
        ((), {"repeats": 3}),
        ((2, 3), {"repeats": 2}),
        ((2, 3), {"repeats": [1, 0, 3], "axis": -1}),
        ((2, 3), {"repeats": 0, "axis": 0}),
        numpy=np.repeat,
    ),
    "tile": calls(
        mg.tile,
        ((), {"reps": 3}),
        ((2, 3), {"reps": 2}),
        ((2,), {"reps": (3, 2)}),
        ((2, 1), {"reps": (2, 1, 3)}),
        numpy=np.tile,
    ),
    "resize": calls(
        mg.resize,
        *[(shape, {"new_shape": (2, 4)}) for shape in [(3,), (3, 5), (), (0,)]],
        ((2, 3), {"new_shape": 5}),
        numpy=np.resize,
    ),
    "sliding_window_view": calls(
        mg.sliding_window_view,
        *[((5,), {"window_shape": n}) for n in (1, 2, 5)],
        ((3, 4), {"window_shape": (2, 3)}),
        ((3, 4), {"window_shape": 2, "axis": 0}),
        ((2, 4), {"window_shape": (2, 2), "axis": (1, 1)}),
        numpy=np.lib.stride_tricks.sliding_window_view,
    ),
    "delete": calls(
        mg.delete,
        *[((3, 4), {"obj": obj, "axis": axis}) for obj in OBJECTS for axis in (0, -1)],
        ((2, 3), {"obj": -1}),
        ((3,), {"obj": np.array([True, False, True]), "axis": 0}),
        numpy=np.delete,
    ),
    "insert": calls(
        lambda arr, values, obj, axis=None: mg.insert(arr, obj, values, axis),
        *[(((3, 4), ()), {"obj": obj, "axis": axis}) for obj in OBJECTS for axis in (0, -1)],
        *[(((3, 4), (4,)), {"obj": obj, "axis": 0}) for obj in OBJECTS],
        (((3, 4), (3, 2)), {"obj": [1, 3], "axis": 1}),
        (((3, 4), (2, 3)), {"obj": 2, "axis": 1}),
        (((2, 3), (2,)), {"obj": [6, 0]}),
        (((0,), (2,)), {"obj": 0}),
        numpy=lambda arr, values, obj, axis=None: np.insert(arr, obj, values, axis),
    ),
    "diagflat": calls(
        mg.diagflat,
        *[(s, {"k": k}) for s in [(3,), (2, 2), (), (0,)] for k in (0, 1, -1)],
        numpy=np.diagflat,
    ),
    "pad": calls(
        mg.pad,
        ((3,), {"pad_width": 1}),
        ((2, 3), {"pad_width": ((0, 1), (2, 0)), "constant_values": 1.5}),
        ((0, 3), {"pad_width": 1}),
        *[
            ((2, 3), {"pad_width": ((1, 0), (2, 2)), "mode": mode})
            for mode in ("edge", "reflect", "symmetric", "wrap")
        ],
        numpy=np.pad,
    ),
    "diag": calls(
        mg.diag,
        *[(s, {"k": k}) for s in [(3,), (2, 4), (0,)] for k in (0, 1, -1)],
        numpy=np.diag,
    ),
    "diagonal": calls(
        mg.diagonal,
        ((2, 3), {}),
        ((2, 3), {"offset": -1}),
        ((2, 3, 4), {"offset": 1, "axis1": -1, "axis2": 0}),
        numpy=np.diagonal,
    ),
    "trace": calls(
        mg.trace,
        ((3, 3), {}),
        ((2, 3, 4), {"offset": 1, "axis1": 1, "axis2": 2}),
        numpy=np.trace,
    ),
    "tril": calls(mg.tril, *[(s, {"k": k}) for s in [(3, 3), (2, 3, 4), (3,)] for k in (0, 1, -1)]),
    "triu": calls(mg.triu, *[(s, {"k": k}) for s in [(3, 3), (2, 3, 4), (3,)] for k in (0, 1, -1)]),
}
