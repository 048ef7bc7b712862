"""Rows of the ops that move elements about."""

import numpy as np

import microgradx as mg
from tests.ops.table.row import SHAPES, calls


def join(function, numpy, *shapes):
    """Of functions that take their arrays in one list."""
    row = calls(lambda *arrays: function(arrays), *[(each, {}) for each in shapes])
    row.numpy = lambda *arrays: numpy(arrays)
    return row


def square(vector):
    """A matrix, for a vector."""
    return vector[:, None] * vector


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
    "permute_dims": calls(
        mg.permute_dims, (((2, 3, 4),), {"axes": (2, 0, 1)}), numpy=np.permute_dims
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
    "concatenate": calls(
        lambda *x, axis: mg.concatenate(x, axis),
        (((2, 3), (1, 3)), {"axis": 0}),
        (((2, 3), (2, 1), (2, 0)), {"axis": -1}),
        (((2, 3), (2,)), {"axis": None}),
    ),
    "concat": calls(
        lambda *x, axis: mg.concat(x, axis=axis),
        (((2, 3), (1, 3)), {"axis": 0}),
        numpy=lambda *x, axis: np.concat(x, axis=axis),
    ),
    "stack": calls(
        lambda *x, axis: mg.stack(x, axis),
        (((2, 3), (2, 3)), {"axis": 0}),
        (((2,), (2,)), {"axis": -1}),
        (((), (), ()), {"axis": 0}),
    ),
    "ravel": calls(mg.ravel, *[((s,), {}) for s in SHAPES], numpy=np.ravel),
    "flatten": calls(mg.flatten, (((2, 3),), {})),
    "moveaxis": calls(
        mg.moveaxis,
        (((2, 3, 4),), {"source": 0, "destination": -1}),
        (((2, 3, 4),), {"source": (0, -1), "destination": (1, 0)}),
        numpy=np.moveaxis,
    ),
    "atleast_1d": calls(mg.atleast_1d, *[((s,), {}) for s in SHAPES], numpy=np.atleast_1d),
    "atleast_2d": calls(
        mg.atleast_2d, *[((s,), {}) for s in SHAPES], (((2,), ()), {}), numpy=np.atleast_2d
    ),
    "atleast_3d": calls(mg.atleast_3d, *[((s,), {}) for s in SHAPES], numpy=np.atleast_3d),
    "vstack": join(mg.vstack, np.vstack, ((2, 3), (3,)), ((2,), (2,))),
    "hstack": join(mg.hstack, np.hstack, ((2, 3), (2, 1)), ((2,), ()), ((), ())),
    "dstack": join(mg.dstack, np.dstack, ((2, 3), (2, 3, 2)), ((2,), (2,))),
    "column_stack": join(mg.column_stack, np.column_stack, ((2, 3), (2,)), ((3,), (3,))),
    "append": calls(
        mg.append,
        (((2, 3), (3,)), {}),
        (((2, 3), (1, 3)), {"axis": 0}),
        (((2, 3), (2, 1)), {"axis": -1}),
        numpy=np.append,
    ),
    "broadcast_arrays": calls(
        mg.broadcast_arrays, (((2, 1), (3,), ()), {}), numpy=np.broadcast_arrays
    ),
    "meshgrid": calls(
        mg.meshgrid,
        (((2,), (3,)), {}),
        (((2,), (3,), (4,)), {"indexing": "ij"}),
        (((2,), (3,), ()), {"sparse": True}),
        (((2,),), {}),
        numpy=np.meshgrid,
    ),
    "split": calls(
        mg.split,
        ((4, 3), {"indices_or_sections": 2}),
        ((4, 3), {"indices_or_sections": [1, 1, 3], "axis": 0}),
        ((2, 4), {"indices_or_sections": 4, "axis": -1}),
        numpy=np.split,
    ),
    "array_split": calls(
        mg.array_split,
        ((5, 3), {"indices_or_sections": 3}),
        ((2,), {"indices_or_sections": 3}),
        ((2, 4), {"indices_or_sections": (3, 9), "axis": 1}),
        numpy=np.array_split,
    ),
    "hsplit": calls(
        mg.hsplit,
        ((2, 4), {"indices_or_sections": 2}),
        ((4,), {"indices_or_sections": [1]}),
        numpy=np.hsplit,
    ),
    "vsplit": calls(mg.vsplit, ((4, 2), {"indices_or_sections": 2}), numpy=np.vsplit),
    "dsplit": calls(mg.dsplit, ((2, 1, 4), {"indices_or_sections": 2}), numpy=np.dsplit),
    "unstack": calls(mg.unstack, ((2, 3), {}), ((2, 3), {"axis": -1}), numpy=np.unstack),
    "rollaxis": calls(
        mg.rollaxis,
        *[
            ((2, 3, 4), {"axis": axis, "start": start})
            for axis in (0, 1, -1)
            for start in range(-3, 4)
        ],
        numpy=np.rollaxis,
    ),
    "block": calls(
        lambda *x: mg.block([[x[0], x[1]], [x[2]]]),
        (((2, 3), (2, 1), (4,)), {}),
        (((1, 2, 2), (2, 1), (1, 3)), {}),
        numpy=lambda *x: np.block([[x[0], x[1]], [x[2]]]),
    ),
    "block of numbers": calls(
        lambda *x: mg.block([*x]),
        *[(shapes, {}) for shapes in [((), ()), ((2,), ()), ((2, 1), (2, 3)), ((3,),)]],
        numpy=lambda *x: np.block([*x]),
    ),
    "apply_along_axis": calls(
        lambda arr, axis, func: mg.apply_along_axis(func, axis, arr),
        *[((2, 3, 2), {"axis": axis, "func": np.sum}) for axis in (0, 1, -1)],
        *[
            ((2, 3), {"axis": axis, "func": func})
            for axis in (0, 1)
            for func in (np.cumsum, square)
        ],
        ((3,), {"axis": 0, "func": np.exp}),
        numpy=lambda arr, axis, func: np.apply_along_axis(func, axis, arr),
    ),
    "apply_over_axes": calls(
        lambda a, axes: mg.apply_over_axes(np.sum, a, axes),
        *[((2, 3, 4), {"axes": axes}) for axes in ([0, 2], 1, [-1])],
        numpy=lambda a, axes: np.apply_over_axes(np.sum, a, axes),
    ),
    "full_like": calls(
        lambda value: mg.full_like(np.zeros((2, 3), value.dtype), value), (((3,),), {}), (((),), {})
    ),
}
