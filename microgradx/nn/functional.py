"""Layers, activations and losses as functions, with PyTorch's names and arguments.

>>> import numpy as np
>>> from microgradx.nn import functional as F
>>> F.relu(np.array([-1.0, 2.0]))
array([0., 2.])

Arrays in, arrays out; a Tensor anywhere in, a Tensor out. Activation functions take PyTorch's
arguments. Any other function that `microgradx` has too is the same one here, so classes are along
the last axis unless `axis` says otherwise.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from microgradx.arrays.types import as_floats
from microgradx.functional import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    cross_entropy,
    focal_loss,
    huber_loss,
    kl_div,
    l1_loss,
    log_softmax,
    mse_loss,
    nll_loss,
    smooth_l1_loss,
    softmax,
    softmin,
)
from microgradx.graph.scopes import scope
from microgradx.nn.functional_activations import (
    celu,
    elu,
    gelu,
    glu,
    hardshrink,
    hardsigmoid,
    hardswish,
    hardtanh,
    leaky_relu,
    logsigmoid,
    mish,
    prelu,
    relu,
    relu6,
    rrelu,
    selu,
    sigmoid,
    silu,
    softplus,
    softshrink,
    softsign,
    tanh,
    tanhshrink,
    threshold,
)
from microgradx.nn.functional_attention import scaled_dot_product_attention
from microgradx.nn.functional_convolution import (
    adaptive_avg_pool1d,
    adaptive_avg_pool2d,
    avg_pool1d,
    avg_pool2d,
    conv1d,
    conv2d,
    max_pool1d,
    max_pool2d,
)
from microgradx.nn.functional_dropout import dropout
from microgradx.nn.functional_normalisation import batch_norm, layer_norm, rms_norm
from microgradx.ops.indexing import embedding, one_hot
from microgradx.ops.products import linear as linear_with_bias
from microgradx.ops.products import matmul
from microgradx.ops.shape_errors import linear_error
from microgradx.ops.shapes import expand_dims, transpose

__all__ = [
    "conv1d",
    "conv2d",
    "max_pool1d",
    "max_pool2d",
    "avg_pool1d",
    "avg_pool2d",
    "adaptive_avg_pool1d",
    "adaptive_avg_pool2d",
    "batch_norm",
    "layer_norm",
    "rms_norm",
    "linear",
    "bilinear",
    "embedding",
    "dropout",
    "scaled_dot_product_attention",
    "one_hot",
    "relu",
    "relu6",
    "leaky_relu",
    "prelu",
    "rrelu",
    "elu",
    "selu",
    "celu",
    "gelu",
    "silu",
    "mish",
    "sigmoid",
    "logsigmoid",
    "tanh",
    "hardtanh",
    "hardsigmoid",
    "hardswish",
    "softplus",
    "softsign",
    "tanhshrink",
    "softshrink",
    "hardshrink",
    "threshold",
    "glu",
    "softmax",
    "softmin",
    "log_softmax",
    "cross_entropy",
    "nll_loss",
    "focal_loss",
    "kl_div",
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "mse_loss",
    "l1_loss",
    "huber_loss",
    "smooth_l1_loss",
]

# ---------------------------------------------------------------------------- linear layers


def linear(input: Any, weight: Any, bias: Any = None) -> Any:
    """x wᵀ + b, of shape (…, out): `input` is (…, in), `weight` (out, in), `bias` (out,) or None.

    Raises ValueError for shapes that do not fit.

    >>> linear([[1, 2]], [[1, 1], [1, -1]])
    array([[ 3, -1]])
    """
    if bias is not None:
        return linear_with_bias(input, weight, bias)
    try:
        return matmul(input, transpose(weight))
    except ValueError as error:  # of the transposed weight
        raise linear_error(error, input, weight) from None


@scope
def bilinear(input1: Any, input2: Any, weight: Any, bias: Any = None) -> Any:
    """x₁ᵀ A x₂ + b, for a matrix A for each output: of shapes (…, n) and (…, m), (…, out).

    `weight` has shape (out, n, m), `bias` (out,) or is None. Raises ValueError for shapes that do
    not fit.

    >>> bilinear([1.0, 2.0], [3.0, 4.0], [[[1.0, 0.0], [0.0, 1.0]]])
    array([11.])
    """
    x, y, w = as_floats(input1), as_floats(input2), as_floats(weight)
    if (
        w.ndim != 3
        or (x.shape[-1:], y.shape[-1:]) != (w.shape[1:2], w.shape[2:])
        or x.shape[:-1] != y.shape[:-1]
        or (bias is not None and np.shape(bias) != w.shape[:1])
    ):
        raise ValueError(
            f"bilinear: inputs of shape {x.shape} and {y.shape}, a weight of shape {w.shape} and "
            f"{'no bias' if bias is None else f'a bias of shape {np.shape(bias)}'}; the shapes "
            "must be (…, n), (…, m), (out, n, m) and (out,)"
        )
    outputs, n, m = w.shape
    matrix = transpose(w, (1, 0, 2)).reshape((n, outputs * m))
    rows = matmul(x, matrix).reshape((*x.shape[:-1], outputs, m))
    out = matmul(rows, expand_dims(y, -1)).reshape((*x.shape[:-1], outputs))
    return out if bias is None else out + as_floats(bias)
