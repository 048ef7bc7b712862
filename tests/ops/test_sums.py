"""Sums of many numbers in every op and loss, forward and backward, against the same in float64."""

import numpy as np
import pytest

import microgradx as mg
from microgradx.nn import functional as F

pytestmark = pytest.mark.slow

N = 70_000  # more than float16 can count, and enough for float32 to lose digits

M = 20_000  # float16 stands still at 2048

ROWS = np.zeros(N, int)
SHORT = np.arange(6.0).reshape(3, 2) + 1

#: Functions of an array (N, 2) that sum over N, or whose gradients do.
OF_COLUMNS = {
    "sum": lambda x: mg.sum(x, axis=0),
    "sum of all": mg.sum,
    "mean": lambda x: mg.mean(x, axis=0),
    "mean of all": mg.mean,
    "var": lambda x: mg.var(x, axis=0),
    "std": lambda x: mg.std(x, axis=0, ddof=1),
    "average": lambda x: mg.average(x, axis=0),
    "average, weighed": lambda x: mg.average(x, axis=0, weights=x),
    "nansum": lambda x: mg.nansum(x, axis=0),
    "nanmean": lambda x: mg.nanmean(x, axis=0),
    "nanvar": lambda x: mg.nanvar(x, axis=0),
    "cumsum": lambda x: mg.cumsum(x, axis=0)[-1],
    "trace": lambda x: mg.trace(np.reshape(x, (2, N // 2, 2))[:, :2]),
    "norm": lambda x: mg.norm(x, axis=0),
    "norm of all": lambda x: mg.norm(x),
    "norm of order 1": lambda x: mg.norm(x, 1, axis=0),
    "norm of order 3": lambda x: mg.norm(x, 3, axis=0),
    "matrix_norm": lambda x: mg.matrix_norm(x, ord=1),
    "vector_norm": lambda x: mg.vector_norm(x, axis=0),
    "einsum": lambda x: mg.einsum("ij->j", x),
    "einsum of two": lambda x: mg.einsum("ij,ij->j", x, x),
    "einsum, optimized": lambda x: mg.einsum("ij,ik->jk", x, x, optimize=True),
    "matmul": lambda x: np.matmul(x.T, x),
    "matmul of a vector": lambda x: np.matmul(x.T, np.ones(N, x.dtype)),
    "dot": lambda x: np.dot(x[:, 0], x[:, 1]),
    "vdot": lambda x: np.vdot(x, x),
    "inner": lambda x: np.inner(x.T, x.T),
    "vecdot": lambda x: np.vecdot(x, x, axis=0),
    "tensordot": lambda x: np.tensordot(x, x, axes=(0, 0)),
    "matvec": lambda x: mg.matvec(x.T, np.ones(N, x.dtype)),
    "vecmat": lambda x: mg.vecmat(np.ones(N, x.dtype), x),
    "logsumexp": lambda x: mg.logsumexp(x, axis=0),
    "batch_norm": lambda x: F.batch_norm(x, None, None, training=True),
    "layer_norm": lambda x: F.layer_norm(x.T, N),
    "conv1d": lambda x: F.conv1d(x.T[None], np.flip(x.T)[None]),
    "avg_pool2d": lambda x: F.avg_pool2d(np.reshape(x[:40_000], (1, 2, 200, 200)), 200),
    "cross_entropy": lambda x: mg.cross_entropy(x, ROWS),
    "cross_entropy, composed": lambda x: mg.cross_entropy(x, ROWS, fused=False),
    "cross_entropy, smoothed": lambda x: mg.cross_entropy(x, ROWS, label_smoothing=0.5),
    "cross_entropy, many classes": lambda x: mg.cross_entropy(x.T, ROWS[:2]),
    "nll_loss": lambda x: mg.nll_loss(-x, ROWS),
    "nll_loss, weighed": lambda x: mg.nll_loss(-x, ROWS, weight=np.array([2, 1.0])),
    "nll_loss, ignoring": lambda x: mg.nll_loss(-x, ROWS, ignore_index=1),
    "binary_cross_entropy_with_logits": lambda x: mg.binary_cross_entropy_with_logits(
        x, np.ones((N, 2))
    ),
}

#: Functions of a small array (3, 2), each of whose elements is used M times.
OF_FEW = {
    "broadcast_to": lambda x: np.broadcast_to(x, (M, 3, 2)),
    "multiply": lambda x: x * np.ones((M, 1, 1), x.dtype),
    "where": lambda x: np.where(np.ones((M, 1, 1), bool), x, 0),
    "getitem": lambda x: x[ROWS[:M]],
    "take": lambda x: np.take(x, ROWS[:M], axis=1),
    "take_along_axis": lambda x: np.take_along_axis(x, ROWS[:M][None], 1),
    "embedding": lambda x: F.embedding(ROWS[:M], x),
    "repeat": lambda x: np.repeat(x, M, axis=0),
    "tile": lambda x: np.tile(x, (M, 1)),
    "pad, edge": lambda x: np.pad(x, ((M, 0), (0, 0)), mode="edge"),
    "pad, wrap": lambda x: np.pad(x, ((M, 0), (0, 0)), mode="wrap"),
    "outer": lambda x: np.outer(x, np.ones(M, x.dtype)),
    "kron": lambda x: np.kron(x, np.ones((M, 1), x.dtype)),
    "linear, its bias": lambda x: F.linear(np.ones((M, 3), x.dtype), x.T, x[0]),
    "convolve": lambda x: np.convolve(x[:, 0], np.ones(M, x.dtype), "valid"),
}


def value_and_gradient(function, x, weights):
    value, pull = mg.vjp(function, x)
    return value, pull(weights.astype(value.dtype))[0]


def spacing(x, dtype):
    """The distance of neighbouring floats of a type, at the largest of `x`."""
    return float(np.spacing(np.max(np.abs(x)).astype(dtype)))


CASES = [(name, function, (N, 2)) for name, function in OF_COLUMNS.items()]
CASES += [(name, function, (3, 2)) for name, function in OF_FEW.items()]


@pytest.mark.parametrize(("name", "function", "shape"), CASES, ids=[name for name, _, _ in CASES])
@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_values_and_gradients(name, function, shape, dtype, generator):
    x = (generator.random(shape) / 8 + 0.01).astype(dtype)
    weights = generator.random(np.shape(function(x))).astype(dtype) + dtype(0.5)
    exact = value_and_gradient(function, x.astype(float), weights)
    ours = value_and_gradient(function, x, weights)
    for kind, result, expected in zip(("value", "gradient"), ours, exact, strict=True):
        assert result.dtype == dtype
        size = np.max(np.abs(expected))
        # In float16 some are two results, rounded one after the other.
        limit = 1e-6 * size if dtype == np.float32 else 1.5 * spacing(size, dtype)
        assert np.max(np.abs(result.astype(float) - expected)) <= limit, kind


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize("create_graph", [False, True])
def test_a_tensor_that_is_used_thousands_of_times(dtype, create_graph):
    x = mg.Tensor(np.full(3, 0.1, dtype), requires_grad=True)
    total = mg.sum(mg.stack([x * dtype(0.7) for _ in range(3_000)]))
    total.backward(create_graph=create_graph)
    gradient = np.asarray(x.grad.detach().data if create_graph else x.grad)
    assert gradient.dtype == dtype
    exact = 3_000 * float(dtype(0.7))
    np.testing.assert_allclose(gradient, exact, rtol=1e-6 if dtype == np.float32 else 2**-11)
    x.grad = None
