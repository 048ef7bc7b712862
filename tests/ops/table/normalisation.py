"""Rows of batch and layer normalisation."""

import numpy as np

import microgradx as mg
from microgradx.nn import functional as F
from tests.ops.table.row import calls

ROWS = {
    "Normalise": calls(
        lambda *x, axes, parameter_axes: mg.Normalise(axes, parameter_axes)(*x),
        (((4, 3), (3,), (3,)), {"axes": (0,), "parameter_axes": (1,)}),
        (((2, 3, 2), (3,)), {"axes": (0, 2), "parameter_axes": (1,)}),
        (((2, 3, 4), (2, 4), (2, 4)), {"axes": (1, 2), "parameter_axes": (0, 2)}),
        ((2, 3), {"axes": (1,), "parameter_axes": (1,)}),
    ),
    "batch_norm": calls(
        lambda x, *parameters, training: F.batch_norm(
            x,
            None if training else np.arange(3, dtype=x.dtype),
            None if training else np.arange(1, 4, dtype=x.dtype),
            *parameters,
            training=training,
        ),
        *[
            ((shape, *parameters), {"training": training})
            for shape in [(4, 3), (2, 3, 2), (2, 3, 2, 2)]
            for parameters in [(), ((3,),), ((3,), (3,))]
            for training in (True, False)
        ],
        (((0, 3), (3,), (3,)), {"training": False}),
    ),
    "layer_norm": calls(
        lambda x, *parameters, shape: F.layer_norm(x, shape, *parameters),
        (((4, 3),), {"shape": 3}),
        (((2, 4, 3), (3,)), {"shape": (3,)}),
        (((2, 4, 3), (4, 3), (4, 3)), {"shape": (4, 3)}),
        (((4,), (4,), (4,)), {"shape": [4]}),
        (((0, 3), (3,), (3,)), {"shape": 3}),
    ),
    "rms_norm": calls(
        lambda x, *parameters, shape: F.rms_norm(x, shape, *parameters),
        (((4, 3),), {"shape": 3}),
        (((2, 4, 3), (4, 3)), {"shape": (4, 3)}),
        (((4,), (4,)), {"shape": [4]}),
        (((0, 3), (3,)), {"shape": 3}),
    ),
}
