"""Rows of convolution and pooling."""

import microgradx as mg
from microgradx.nn import functional as F
from tests.ops.table.row import apart, calls


def window(kernel_size, stride=(1, 1), padding=((0, 0), (0, 0)), dilation=(1, 1)):
    return {"settings": (kernel_size, stride, padding, dilation)}


SHAPE = (2, 2, 4, 5)
SEVERAL = [
    window((2, 3)),
    window((1, 1)),
    window((3, 2), stride=(2, 1), dilation=(1, 2)),
    window((2, 2), stride=(1, 3), padding=((1, 0), (0, 2))),
    window((2, 3), padding=((0, 3), (2, 1)), dilation=(3, 2)),
]
CONV1D = [
    (((2, 3, 5), (4, 3, 2), (4,)), {}),
    (((2, 3, 5), (4, 3, 2)), {"stride": 2, "padding": 1}),
    (((2, 4, 6), (2, 2, 3), (2,)), {"groups": 2, "dilation": 2, "padding": "same"}),
    (((0, 3, 5), (4, 3, 2), (4,)), {}),
    (((3, 5), (4, 3, 1)), {}),
]
CONV2D = [
    (((2, 2, 4, 5), (3, 2, 2, 3), (3,)), {}),
    (((2, 2, 4, 5), (3, 2, 2, 3)), {"stride": (2, 1), "padding": (1, 2)}),
    (((1, 2, 5, 4), (2, 2, 2, 2), (2,)), {"stride": (1, 2), "dilation": (3, 1)}),
    (((2, 4, 3, 3), (4, 2, 3, 2), (4,)), {"groups": 2, "padding": "same"}),
    (((1, 3, 3, 4), (3, 1, 2, 2)), {"groups": 3, "padding": "valid"}),
    (((2, 2, 3, 2), (3, 2, 1, 1), (3,)), {}),
    (((2, 2, 1, 1), (3, 2, 1, 1), (3,)), {}),
    (((2, 1, 1, 2), (1, 1, 3, 3)), {"padding": 1}),
    (((0, 2, 4, 5), (3, 2, 2, 3), (3,)), {"padding": 1}),
    (((2, 4, 3), (1, 2, 2, 2), (1,)), {"padding": (0, 1)}),
]
POOLING = [
    ((2, 2, 4, 6), {"kernel_size": 2}),
    ((1, 2, 5, 4), {"kernel_size": (3, 2), "stride": (2, 1), "padding": (1, 0)}),
    ((2, 1, 5, 6), {"kernel_size": 2, "stride": (3, 2), "padding": 1, "ceil_mode": True}),
    ((2, 2, 1, 1), {"kernel_size": 1}),
    ((2, 3, 2), {"kernel_size": 2, "stride": 1}),
    ((0, 2, 4, 4), {"kernel_size": 2}),
]
SIGNALS = [
    ((2, 2, 6), {"kernel_size": 2}),
    ((1, 5), {"kernel_size": 3, "stride": 2, "padding": 1, "ceil_mode": True}),
    ((0, 2, 4), {"kernel_size": 2}),
]

ROWS = {
    "Convolution": calls(
        lambda *x, settings: mg.Convolution(*settings)(*x),
        (((2, 2, 4, 5), (3, 2, 2, 3), (3,)), SEVERAL[0]),
        (((2, 2, 4, 5), (3, 2, 3, 2)), SEVERAL[2]),
    ),
    "MaxPool": calls(
        lambda x, settings: mg.MaxPool(*settings)(x),
        *[(SHAPE, settings) for settings in SEVERAL[:3]],
        ((2, 3, 5), window((2,), (2,), ((1, 1),), (1,))),
        inputs=(apart,),
    ),
    "AveragePool": calls(
        lambda x, counted, divisor: mg.AveragePool(
            (2, 3), (2, 1), ((1, 0), (0, 2)), counted, divisor
        )(x),
        (SHAPE, {"counted": ((0, 0), (0, 1)), "divisor": None}),
        (SHAPE, {"counted": ((0, 0), (0, 0)), "divisor": 3}),
    ),
    "conv1d": calls(F.conv1d, *CONV1D),
    "conv2d": calls(F.conv2d, *CONV2D),
    "max_pool1d": calls(F.max_pool1d, *SIGNALS, inputs=(apart,)),
    "max_pool2d": calls(
        F.max_pool2d,
        *POOLING,
        ((1, 2, 6, 5), {"kernel_size": 2, "stride": 1, "dilation": (3, 2)}),
        inputs=(apart,),
    ),
    "avg_pool1d": calls(F.avg_pool1d, *SIGNALS),
    "avg_pool2d": calls(
        F.avg_pool2d,
        *POOLING,
        ((1, 2, 5, 4), {"kernel_size": 3, "padding": 1, "count_include_pad": False}),
        ((1, 2, 5, 4), {"kernel_size": 3, "padding": 1, "divisor_override": 4}),
    ),
    "adaptive_avg_pool1d": calls(
        F.adaptive_avg_pool1d,
        *[((2, 3, 5), {"output_size": size}) for size in (1, 3, 8)],
        ((0, 3, 5), {"output_size": 2}),
    ),
    "adaptive_avg_pool2d": calls(
        F.adaptive_avg_pool2d,
        *[((2, 2, 4, 5), {"output_size": size}) for size in (1, (None, 3), (4, 2))],
        ((1, 3, 2), {"output_size": 1}),
    ),
}
