"""Rows of the softmax family and of the losses."""

import numpy as np

import microgradx as mg
from tests.ops.table.row import along_axes, anywhere, calls, positive, probability, reduction


def log_probability(generator, shape):
    return np.log(probability(generator, shape))


ROWS = {
    "logsumexp": reduction(mg.logsumexp),
    "Softmax": along_axes(lambda x, axis: mg.Softmax(axis)(x)),
    "LogSoftmax": along_axes(lambda x, axis: mg.LogSoftmax(axis)(x)),
    "LogSumExp": along_axes(lambda x, axis: mg.LogSumExp(axis)(x)),
    "SoftmaxCrossEntropy": calls(
        lambda x: mg.SoftmaxCrossEntropy()(x, np.array([0, 2])), (((2, 3),), {})
    ),
    "softmax": calls(
        lambda x, t, **settings: mg.softmax(x, temperature=t, **settings),
        *[
            ((shape, t), {"axis": axis, "fused": fused})
            for shape, t, axis in [((3,), (), -1), ((2, 3), (), 0), ((2, 3), (2, 1), -1)]
            for fused in (True, False)
        ],
        inputs=(anywhere, positive),
    ),
    "softmin": along_axes(mg.softmin),
    "log_softmax": calls(
        lambda x, t, **settings: mg.log_softmax(x, temperature=t, **settings),
        *[
            ((shape, t), {"axis": axis, "fused": fused})
            for shape, t, axis in [((3,), (), -1), ((2, 3), (), 0), ((2, 3), (2, 1), -1)]
            for fused in (True, False)
        ],
        inputs=(anywhere, positive),
    ),
    "cross_entropy": calls(
        lambda x, **settings: mg.cross_entropy(x, np.array([0, 2, 1, 0]), **settings),
        *[
            (((4, 3),), {"fused": fused, "reduction": reduction_, **settings})
            for fused in (True, False)
            for reduction_ in ("mean", "sum", "none")
            for settings in (
                {},
                {"label_smoothing": 0.15},
                {"weight": np.array([0.5, 2, 1])},
                {"weight": np.array([0.5, 2, 1]), "ignore_index": 1, "label_smoothing": 0.3},
            )
        ],
    ),
    "nll_loss": calls(
        lambda x, **settings: mg.nll_loss(x, np.array([[0, 2], [1, 0]]), **settings),
        *[
            (((2, 3, 2),), {"axis": 1, "reduction": reduction_, "ignore_index": 2})
            for reduction_ in ("mean", "sum", "none")
        ],
        inputs=(log_probability,),
    ),
    "focal_loss": calls(
        lambda x, **settings: mg.focal_loss(x, np.array([0, 2, 1, 0]), **settings),
        *[
            (((4, 3),), {"gamma": gamma, "reduction": reduction_, **settings})
            for gamma, reduction_ in [(0, "mean"), (0.5, "sum"), (2.0, "mean"), (3.0, "none")]
            for settings in ({}, {"alpha": 0.25}, {"alpha": np.array([0.5, 2, 1])})
        ],
        (((4, 3),), {"alpha": np.array([0.5, 2, 1]), "ignore_index": 0}),
        (((3, 4),), {"axis": 0}),
    ),
    "kl_div": calls(
        mg.kl_div,
        *[
            (((2, 3), (2, 3)), {"reduction": reduction_, "log_target": log_target})
            for reduction_ in ("mean", "batchmean", "sum", "none")
            for log_target in (True, False)
        ],
        inputs=(log_probability, probability),
    ),
    "binary_cross_entropy": calls(
        mg.binary_cross_entropy,
        (((2, 3), (2, 3)), {}),
        (((3,), (3,)), {"reduction": "none", "weight": np.array([2.0, 1.0, 0.5])}),
        (((3,), (3,)), {"reduction": "sum"}),
        inputs=(probability, probability),
    ),
    **{
        name: calls(
            getattr(mg, name),
            *[
                (((2, 3), (2, 3)), {"reduction": reduction_, **settings, **weight})
                for reduction_ in ("mean", "sum", "none")
                for settings in ({}, {parameter: 0.4} if parameter else {})
                for weight in ({}, {"weight": np.array([0.5, 2, 0])})
            ],
            *[((shape, shape), {}) for shape in [(), (3,), (2, 0)]],
            inputs=(anywhere, positive),
        )
        for name, parameter in [
            ("mse_loss", None),
            ("l1_loss", None),
            ("huber_loss", "delta"),
            ("smooth_l1_loss", "beta"),
        ]
    },
    "binary_cross_entropy_with_logits": calls(
        mg.binary_cross_entropy_with_logits,
        (((2, 3), (2, 3)), {}),
        (((3,), (3,)), {"reduction": "none", "pos_weight": np.array([2.0, 1.0, 0.5])}),
        (((3,), (3,)), {"reduction": "sum", "weight": 3.0}),
        inputs=(anywhere, probability),
    ),
}
