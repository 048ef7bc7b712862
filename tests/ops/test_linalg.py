"""Inverses and determinants where no difference quotient can be the reference: errors, ranks."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import microgradx as mg
from tests.helpers import leaf
from tests.ops.derivatives import gradient, second_derivative
from tests.ops.table.row import full_rank

# ---------------------------------------------------------------------------- inverses


SINGULAR = [[1.0, 2.0], [2.0, 4.0]]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda t: mg.inv(t), r"inv of float64 \(2, 2\): Singular matrix"),
        (lambda t: np.linalg.solve(t, [1.0, 2.0]), r"solve of float64 \(2, 2\) and float64 \(2,\)"),
        (lambda t: mg.matrix_power(t, -2), "inv of float64"),
        (lambda t: mg.cholesky(t - 1), "cholesky of float64.*not positive definite"),
        (lambda t: mg.slogdet(t).logabsdet.backward(), "backward of slogdet.*Singular matrix"),
        (lambda t: mg.pinv(t).sum().backward(), r"backward of pinv.*rank 1 and not 2.*λ I"),
        (lambda t: mg.qr(t).Q.sum().backward(), "backward of qr.*first 2 columns are linearly dep"),
        (lambda t: mg.qr(t[:, [0, 0, 1]], "r").sum().backward(), "first 2 columns"),
        (lambda t: mg.inv(t[0]), "inv of float64"),
        (lambda t: mg.det(t[:1]), "det of float64.*square"),
        (lambda t: mg.matrix_power(t[:1], 2), "square"),
    ],
)
def test_what_has_no_result_or_derivative_raises_numpys_error(call, message):
    with pytest.raises(np.linalg.LinAlgError, match=message):
        call(leaf(SINGULAR))


def test_solve_broadcasts_as_numpys(generator):
    a, b = full_rank(generator, (2, 3, 3)), generator.normal(size=(2, 3))
    assert_array_equal(mg.solve(leaf(a[0]), leaf(b.T)).data, np.linalg.solve(a[0], b.T))
    x, y = leaf(a), leaf(b[0])
    mg.solve(x, y).sum().backward()
    inverse = np.linalg.inv(a)
    assert_allclose(y.grad, inverse.sum((0, 1)), rtol=1e-12)


def test_pinv_counts_small_singular_values_as_numpy_does(generator):
    x = full_rank(generator, (3, 3))  # singular values 1, 2, 3
    for settings in ({"rcond": 0.5}, {"rtol": 0.5}):
        t = leaf(x)
        out = np.linalg.pinv(t, **settings)
        assert_array_equal(out.data, np.linalg.pinv(x, **settings))
        with pytest.raises(np.linalg.LinAlgError, match="rank 2 and not 3"):
            out.sum().backward()
    with pytest.raises(np.linalg.LinAlgError, match="rank 2 and not 3"):
        mg.pinv(leaf([x, x]), np.array([0.1, 0.5])).sum().backward()
    with pytest.raises(ValueError, match="can't be both set"):
        mg.pinv(leaf(x), 0.1, rtol=0.1)


def test_powers_zero_and_one_of_matrices():
    t = leaf([[np.inf, 1.0], [2.0, 3.0]])
    out = mg.matrix_power(t, 0)
    assert_array_equal(out.data, np.eye(2))
    out.sum().backward()
    assert_array_equal(t.grad, np.zeros((2, 2)))
    assert mg.matrix_power(t, 1) is t
    with pytest.raises(TypeError):
        mg.matrix_power(t, 0.5)


# ---------------------------------------------------------------------------- determinants


def cofactors(x):
    n = len(x)
    minor = [
        [np.linalg.det(np.delete(np.delete(x, i, 0), j, 1)) * (-1) ** (i + j) for j in range(n)]
        for i in range(n)
    ]
    return np.array(minor)


RANK = {
    "0 of 1": [[0.0]],
    "1 of 2": SINGULAR,
    "0 of 2": np.zeros((2, 2)),
    "2 of 3, not exactly": [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [7.0, 8.0, 9.0]],
    "1 of 3": np.outer([1.0, 2.0, 3.0], [1.0, -1.0, 2.0]),
    "0 of 3": np.zeros((3, 3)),
    "2 of 4": np.diag([1.0, 0.0, 2.0, 0.0])[[1, 0, 2, 3]],
    "3 of 4": np.diag([1.0, 3.0, 2.0, 0.0])[[1, 0, 2, 3]],
    "4 of 4": np.diag([1.0, 3.0, -2.0, 4.0])[[1, 0, 2, 3]],
}


@pytest.mark.parametrize("rank", RANK)
def test_the_gradient_of_det_is_exact_at_singular_matrices(rank):
    x = np.array(RANK[rank])
    with np.errstate(all="ignore"):
        expected = cofactors(x)
    assert_allclose(gradient(mg.det, x), expected, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("rank", RANK)
def test_the_second_derivative_of_det_is_exact_at_singular_matrices(rank, generator):
    x = np.array(RANK[rank])
    v = generator.normal(size=x.shape)
    # det is a polynomial, of degree 2 in each pair of elements: this difference has no error but
    # that of rounding for n ≤ 4, if two steps are combined (Richardson).

    def along(h):
        return (gradient(mg.det, x + h * v) - gradient(mg.det, x - h * v)) / (2 * h)

    expected = (4 * along(0.1) - along(0.2)) / 3
    assert_allclose(second_derivative(mg.det, x, v), expected, rtol=1e-9, atol=1e-10)


def test_the_second_derivative_of_det_by_the_inverse_agrees_with_that_by_svd(generator):
    # On Tensors the rule of cofactors is another one, without svd.
    x, g = full_rank(generator, (2, 4, 4)), generator.normal(size=(2, 4, 4))
    rule = mg.ops.linalg.Cofactors()
    by_svd = rule.backward(g, rule(x), x)
    by_inverse = rule.backward(*(mg.as_tensor(a) for a in (g, rule(x), x)))
    assert_allclose(by_inverse.data, by_svd, rtol=1e-11)
    with pytest.raises(np.linalg.LinAlgError, match="Singular matrix"):
        rule.backward(*(mg.as_tensor(a) for a in (np.eye(2), np.eye(2), np.array(SINGULAR))))


def test_the_sign_of_slogdet_is_a_constant():
    t = leaf([[1.0, 2.0], [3.0, 4.0]])
    sign, logabsdet = np.linalg.slogdet(t)
    assert not sign.requires_grad
    assert sign.data == -1
    (sign * mg.exp(logabsdet)).backward()
    assert_allclose(t.grad, [[4, -3], [-2, 1]])


def test_integers_are_taken_as_floats():
    x = np.array([[3, 1], [1, 2]])
    for f in (mg.inv, mg.det, mg.cholesky, mg.eigvalsh, mg.svdvals, mg.pinv, mg.norm):
        assert_array_equal(f(mg.Tensor(x)).data, f(x))
    assert_array_equal(mg.norm(mg.Tensor(x), np.inf, axis=0).data, [3.0, 2.0])
    assert mg.norm(mg.Tensor(x), np.inf, axis=0).dtype == float
