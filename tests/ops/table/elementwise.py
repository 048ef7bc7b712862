"""Rows of the elementwise ops."""

import numpy as np

import microgradx as mg
from tests.ops.table.row import SHAPES, apart, binary, calls, positive, unary

ROWS = {
    "add": binary(mg.add, np.add),
    "subtract": binary(mg.subtract, np.subtract),
    "multiply": binary(mg.multiply, np.multiply),
    "divide": binary(mg.divide, np.divide, second=positive),
    "floor_divide": binary(mg.floor_divide, np.floor_divide, second=positive),
    "power": binary(mg.power, np.power, first=positive),
    "negative": unary(mg.negative, np.negative),
    "positive": unary(mg.positive, np.positive),
    "sign": unary(mg.sign, np.sign, apart),
    "exp": unary(mg.exp, np.exp),
    "log": unary(mg.log, np.log, positive),
    "log1p": unary(mg.log1p, np.log1p, positive),
    "sqrt": unary(mg.sqrt, np.sqrt, positive),
    "tanh": unary(mg.tanh, np.tanh),
    "sigmoid": unary(mg.sigmoid),
    "softplus": unary(mg.softplus),
    "relu": unary(mg.relu, inputs=apart),
    "absolute": unary(mg.absolute, np.absolute, apart),
    "abs": unary(mg.abs, np.abs, apart),
    "maximum": binary(mg.maximum, np.maximum, first=apart),
    "minimum": binary(mg.minimum, np.minimum, first=apart),
    "clip": calls(
        mg.clip,
        *[((s,), {"a_min": -0.6, "a_max": 0.6}) for s in SHAPES],
        ((4,), {"a_min": None, "a_max": 0.6}),
        ((4,), {"min": 0.6}),
        ((4,), {"a_min": None, "a_max": None}),
        numpy=np.clip,
        inputs=(apart,),
    ),
    "where": calls(
        lambda x, y: mg.where(np.array([True, False, True]), x, y),
        *[(pair, {}) for pair in [((3,), (3,)), ((2, 3), ()), ((), (2, 1))]],
    ),
    "copy": unary(mg.copy, np.copy),
    "stop_gradient": unary(mg.stop_gradient),
    "astype": unary(lambda x: mg.astype(x, np.float64)),
}
