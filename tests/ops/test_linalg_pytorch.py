"""Products and linear algebra side by side with PyTorch, where that is installed."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

import microgradx as mg
from tests.ops.table.products import EINSUMS
from tests.ops.table.row import anywhere, apart, full_rank, symmetric

pytestmark = pytest.mark.parity
torch = pytest.importorskip("torch")
linalg = torch.linalg

SQUARE = [(3, 3), (1, 1), (4, 3, 3), (2, 1, 2, 2), (0, 2, 2), (2, 0, 0)]
ANY = [(3, 3), (4, 2), (2, 4), (1, 1), (2, 4, 3), (2, 3, 4), (0, 3, 2)]


def not_contiguous(x):
    """The same values, not contiguous in memory."""
    return np.repeat(x[..., None], 2, axis=-1)[..., 0]


def check(ours, theirs, arrays, rtol=1e-9):
    """Values, and gradients of the sum of all results, each element times a random weight."""
    for layout in (np.copy, not_contiguous):
        generator = np.random.default_rng(5)
        tensors = [mg.as_tensor(layout(x)).requires_grad_() for x in arrays]
        torches = [torch.tensor(x, requires_grad=True) for x in arrays]
        outs, references = ours(*tensors), theirs(*torches)
        if not isinstance(outs, tuple):
            outs, references = (outs,), (references,)
        loss, reference_loss = 0, 0
        for out, reference in zip(outs, references, strict=True):
            assert out.shape == tuple(reference.shape)
            assert_allclose(out.data, reference.detach().numpy(), rtol=rtol, atol=1e-12)
            weight = generator.normal(size=out.shape)
            loss = loss + mg.sum(out * weight)
            reference_loss = reference_loss + (reference * torch.tensor(weight)).sum()
        loss.backward()
        reference_loss.backward()
        for t, reference in zip(tensors, torches, strict=True):
            assert_allclose(t.grad, reference.grad.numpy(), rtol=rtol, atol=1e-11)


# ---------------------------------------------------------------------------- products

PRODUCTS = {
    "matmul": (
        mg.matmul,
        torch.matmul,
        [((2, 3), (3, 4)), ((3,), (5, 3, 2)), ((5, 1, 2, 3), (4, 3, 2)), ((2, 0), (0, 2))],
    ),
    "linear": (mg.linear, torch.nn.functional.linear, [((5, 2, 3), (4, 3), (4,))]),
    "dot": (mg.dot, torch.dot, [((3,), (3,)), ((0,), (0,))]),
    "vdot": (mg.vdot, torch.vdot, [((3,), (3,))]),
    "inner": (mg.inner, torch.inner, [((2, 3), (4, 5, 3)), ((3,), (3,)), ((2, 0), (3, 0))]),
    "outer": (mg.outer, torch.outer, [((3,), (2,)), ((0,), (2,))]),
    "kron": (mg.kron, torch.kron, [((2, 3), (3, 2)), ((2,), (2, 1, 3)), ((2, 1, 3), (3,))]),
    "vecdot": (mg.vecdot, linalg.vecdot, [((2, 3), (3,)), ((4, 1, 3), (2, 3)), ((2, 0), (2, 0))]),
    "vecdot, first axis": (
        lambda x, y: mg.vecdot(x, y, axis=0),
        lambda x, y: linalg.vecdot(x, y, dim=0),
        [((3, 2), (3, 2))],
    ),
    "matvec": (mg.matvec, lambda x, y: (x @ y[..., None])[..., 0], [((2, 2, 3), (4, 1, 3))]),
    "vecmat": (mg.vecmat, lambda x, y: (x[..., None, :] @ y)[..., 0, :], [((4, 1, 2), (2, 3))]),
    "tensordot": (
        lambda x, y: mg.tensordot(x, y, axes=([1, 2], [1, 0])),
        lambda x, y: torch.tensordot(x, y, dims=([1, 2], [1, 0])),
        [((2, 3, 4), (4, 3, 5)), ((2, 0, 4), (4, 0))],
    ),
    "tensordot of one axis": (
        lambda x, y: mg.tensordot(x, y, 1),
        lambda x, y: torch.tensordot(x, y, 1),
        [((2, 3), (3, 2, 2))],
    ),
    "multi_dot": (
        lambda *x: mg.multi_dot(x),
        lambda *x: linalg.multi_dot(x),
        [((2, 5), (5, 1), (1, 4)), ((3,), (3, 4), (4, 2), (2,))],
    ),
}


@pytest.mark.parametrize(
    ("ours", "theirs", "shapes"),
    [
        pytest.param(ours, theirs, shapes, id=f"{name}-{shapes}")
        for name, (ours, theirs, each) in PRODUCTS.items()
        for shapes in each
    ],
)
def test_products(ours, theirs, shapes, generator):
    check(ours, theirs, [generator.normal(size=shape) for shape in shapes])


@pytest.mark.parametrize("einsum", EINSUMS, ids=str)
def test_einsum(einsum, generator):
    subscripts, *shapes = einsum
    arrays = [generator.normal(size=shape) for shape in shapes]
    check(
        lambda *x: mg.einsum(subscripts, *x), lambda *x: torch.einsum(subscripts, *x), arrays, 1e-11
    )


# ---------------------------------------------------------------------------- decompositions


def of_symmetric(f):
    """PyTorch shares the gradient between the triangles, NumPy reads one: ask both for x + xᵀ."""
    return lambda x: f((x + x.mT) / 2)


def of_squares(f):
    """The signs of vectors are arbitrary; their squares have none."""
    return lambda x: tuple(part**2 for part in f(x))


FUNCTIONS = {
    "matrix_transpose": (mg.matrix_transpose, lambda x: x.mT, ANY, anywhere),
    "inv": (mg.inv, linalg.inv, SQUARE, full_rank),
    "det": (mg.det, linalg.det, SQUARE, full_rank),
    "det of any": (mg.det, linalg.det, SQUARE, anywhere),
    "slogdet": (
        lambda x: mg.slogdet(x).logabsdet,
        lambda x: linalg.slogdet(x)[1],
        SQUARE,
        full_rank,
    ),
    "cholesky": (of_symmetric(mg.cholesky), of_symmetric(linalg.cholesky), SQUARE, symmetric),
    "cholesky, upper": (
        of_symmetric(lambda x: mg.cholesky(x, upper=True)),
        of_symmetric(lambda x: linalg.cholesky(x, upper=True)),
        SQUARE,
        symmetric,
    ),
    "pinv": (mg.pinv, linalg.pinv, ANY, full_rank),
    "matrix_power": (
        lambda x: mg.matrix_power(x, 5),
        lambda x: linalg.matrix_power(x, 5),
        SQUARE,
        full_rank,
    ),
    "matrix_power, negative": (
        lambda x: mg.matrix_power(x, -3),
        lambda x: linalg.matrix_power(x, -3),
        SQUARE,
        full_rank,
    ),
    "eigh": (
        of_symmetric(of_squares(mg.eigh)),
        of_symmetric(of_squares(linalg.eigh)),
        SQUARE,
        symmetric,
    ),
    "eigh, upper": (
        of_symmetric(of_squares(lambda x: mg.eigh(x, "U"))),
        of_symmetric(of_squares(lambda x: linalg.eigh(x, "U"))),
        SQUARE,
        symmetric,
    ),
    "eigvalsh": (of_symmetric(mg.eigvalsh), of_symmetric(linalg.eigvalsh), SQUARE, symmetric),
    "svd": (
        of_squares(lambda x: mg.svd(x, full_matrices=False)),
        of_squares(lambda x: linalg.svd(x, full_matrices=False)),
        ANY,
        full_rank,
    ),
    "svdvals": (mg.svdvals, linalg.svdvals, ANY, full_rank),
    "qr": (mg.qr, linalg.qr, ANY, full_rank),
    "qr, r": (lambda x: mg.qr(x, "r") ** 2, lambda x: linalg.qr(x)[1] ** 2, ANY, full_rank),
}


@pytest.mark.parametrize(
    ("ours", "theirs", "shape", "inputs"),
    [
        pytest.param(ours, theirs, shape, inputs, id=f"{name}-{shape}")
        for name, (ours, theirs, shapes, inputs) in FUNCTIONS.items()
        for shape in shapes
    ],
)
def test_functions_of_one_matrix(ours, theirs, shape, inputs, generator):
    check(ours, theirs, [inputs(generator, shape)])


@pytest.mark.parametrize(
    "shapes",
    [
        ((3, 3), (3,)),
        ((3, 3), (3, 2)),
        ((2, 3, 3), (3, 2)),
        ((3, 3), (2, 3, 2)),
        ((2, 1, 2, 2), (3, 2, 2)),
        ((0, 2, 2), (0, 2, 1)),
    ],
)
def test_solve(shapes, generator):
    check(mg.solve, linalg.solve, [full_rank(generator, shapes[0]), anywhere(generator, shapes[1])])


# ---------------------------------------------------------------------------- norms


@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("axis", [None, 0, -1, (0, 2), (0, 1, 2)])
@pytest.mark.parametrize("order", [2, 1, 3, 2.5, 0.5, np.inf, -np.inf, -1])
def test_vector_norms(order, axis, keepdims, generator):
    check(
        lambda x: mg.vector_norm(x, axis=axis, keepdims=keepdims, ord=order),
        lambda x: linalg.vector_norm(x, order, axis, keepdims),
        [apart(generator, (2, 3, 2))],
    )


@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("axis", [(0, 1), (2, 0), (-2, -1)])
@pytest.mark.parametrize("order", ["fro", "nuc", 1, -1, 2, -2, np.inf, -np.inf])
def test_matrix_norms(order, axis, keepdims, generator):
    check(
        lambda x: mg.norm(x, order, axis, keepdims),
        lambda x: linalg.norm(x, order, axis, keepdims),
        [apart(generator, (2, 3, 4))],
    )
    if axis == (-2, -1):
        check(
            lambda x: mg.matrix_norm(x, ord=order, keepdims=keepdims),
            lambda x: linalg.matrix_norm(x, order, keepdim=keepdims),
            [apart(generator, (2, 3, 4))],
        )


@pytest.mark.parametrize("shape", [(3,), (2, 3), (2, 3, 2), (0,)])
def test_the_norm_of_all_elements(shape, generator):
    check(mg.norm, linalg.norm, [anywhere(generator, shape)])


def test_the_norm_at_zero():
    x = mg.Tensor(np.zeros(3), requires_grad=True)
    y = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    mg.norm(x).backward()
    linalg.norm(y).backward()
    assert_allclose(x.grad, y.grad.numpy())
