"""Decompositions where no difference quotient can be the reference: ties, zeros, signs."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import microgradx as mg
from tests.ops.derivatives import gradient, leaf, second_derivative
from tests.ops.table.row import full_rank, symmetric

# ---------------------------------------------------------------------------- one triangle


@pytest.mark.parametrize(
    "f",
    [
        lambda x: mg.cholesky(x),
        lambda x: mg.eigvalsh(x),
        lambda x: mg.eigh(x).eigenvalues,
        lambda x: mg.eigh(x).eigenvectors,
    ],
)
def test_the_triangle_that_is_not_read_receives_nothing(f, generator):
    x = symmetric(generator, (3, 3))
    unread = x + np.triu(np.full((3, 3), 5.0), 1)  # which changes nothing
    assert_array_equal(f(unread), f(x))
    assert mg.gradcheck(f, unread, order=2)
    assert_array_equal(np.triu(gradient(lambda t: f(t) ** 3, unread), 1), np.zeros((3, 3)))


def test_the_upper_triangle_alone_if_asked_for(generator):
    x = symmetric(generator, (3, 3)) + np.tril(np.full((3, 3), 5.0), -1)
    for f in (
        lambda t: mg.cholesky(t, upper=True),
        lambda t: mg.eigvalsh(t, "U"),
        lambda t: mg.eigh(t, "u").eigenvectors,
    ):
        assert mg.gradcheck(f, x, order=2)
    with pytest.raises(ValueError, match="UPLO"):
        mg.eigh(leaf(x), "X")


# ---------------------------------------------------------------------------- equal values

REPEATED = np.diag([1.0, 1.0, 3.0])


@pytest.mark.parametrize(
    ("f", "expected"),
    [
        (lambda t: mg.eigvalsh(t), np.eye(3)),
        (lambda t: mg.eigh(t).eigenvalues, np.eye(3)),
        (lambda t: mg.eigvalsh(t) ** 3, np.diag([3.0, 3.0, 27.0])),
        (lambda t: mg.svdvals(t), np.eye(3)),
        (lambda t: mg.svd(t).S ** 2, 2 * REPEATED),
        (lambda t: mg.svd(t, compute_uv=False), np.eye(3)),
        (lambda t: mg.norm(t, "nuc"), np.eye(3)),
        (lambda t: mg.norm(t, 2), np.diag([0.0, 0.0, 1.0])),
        # The vector of the eigenvalue that is alone may be used.
        (lambda t: mg.eigh(t).eigenvectors[2, 2] ** 2, np.zeros((3, 3))),
        (lambda t: mg.svd(t).U[2, 0] ** 2, np.zeros((3, 3))),
    ],
)
def test_functions_of_values_have_gradients_where_values_are_equal(f, expected):
    assert_allclose(gradient(f, REPEATED), expected, atol=1e-14)


def test_a_lonely_vector_turns_towards_those_of_equal_values():
    x = REPEATED + 0.0
    f = lambda t: mg.eigh(t).eigenvectors[0, 2] * mg.eigh(t).eigenvectors[2, 2]  # noqa: E731
    assert_allclose(gradient(f, x), [[0, 0, 0], [0, 0, 0], [0.5, 0, 0]], atol=1e-14)


WEIGHTS = np.arange(9.0).reshape(3, 3) ** 2


@pytest.mark.parametrize("n", [2, 3])
@pytest.mark.parametrize(
    ("f", "message"),
    [
        (lambda t, w: mg.eigh(t).eigenvectors * w, r"eigenvalues 0 and 1 are equal.*use eigvalsh"),
        # v w vᵀ is x itself, and its gradient exists; but at equal values it cannot be had from
        # the parts: a zero here would be silently wrong.
        (lambda t, w: np.matmul(*spectral(t)) * w, r"eigenvalues 0 and 1 .*\(1 and 1\)"),
        (lambda t, w: mg.svd(t).U * w, r"singular values \d and \d are equal.*use svdvals"),
        (lambda t, w: mg.svd(t).Vh * w, r"singular values \d and \d are equal"),
        (lambda t, w: mg.svd(t).U @ mg.svd(t).Vh * w, r"singular values \d and \d are equal"),
    ],
)
def test_vectors_of_equal_values_have_no_derivative(f, message, n):
    x = REPEATED[:n, :n]
    with pytest.raises(ValueError, match=message):
        gradient(lambda t: f(t, WEIGHTS[:n, :n]), x)


def spectral(t):
    w, v = mg.eigh(t)
    return v * mg.expand_dims(w, -2), mg.matrix_transpose(v)


def test_equal_values_are_found_in_a_stack_and_to_within_rounding(generator):
    q = np.linalg.qr(generator.normal(size=(4, 4))).Q
    x = np.stack([np.diag([1.0, 2, 3, 4]), q * [5.0, 2, 2, 7] @ q.T])
    with pytest.raises(ValueError, match=r"eigenvalues 0 and 1 of matrix \(1,\)"):
        gradient(lambda t: mg.eigh(t).eigenvectors ** 3, x)
    gradient(lambda t: mg.eigh(t).eigenvalues, x)
    gradient(lambda t: mg.eigh(t).eigenvectors ** 3, x * [[[1]], [[0]]] + np.diag([0, 1, 2, 3]))


def test_the_second_derivative_of_equal_eigenvalues_is_refused():
    with pytest.raises(ValueError, match="eigenvalues 0 and 1 are equal"):
        second_derivative(lambda t: mg.eigvalsh(t) ** 2, REPEATED, WEIGHTS)


def test_singular_values_that_are_zero():
    # A singular value is never below 0: a kink, where the derivative is 0.
    rank_one = np.outer([3.0, 4.0], [0.0, 1.0])
    assert_allclose(
        gradient(lambda t: mg.norm(t, "nuc"), rank_one), [[0, 0.6], [0, 0.8]], atol=1e-12
    )
    assert_array_equal(gradient(mg.svdvals, np.zeros((3, 2))), np.zeros((3, 2)))
    assert_array_equal(gradient(lambda t: mg.norm(t, "nuc"), np.zeros((2, 2))), np.zeros((2, 2)))
    tall = np.array([[2.0, 0.0], [0.0, 0.0], [0.0, 0.0]])
    with pytest.raises(np.linalg.LinAlgError, match=r"not have full rank.*use svdvals"):
        gradient(lambda t: mg.svd(t, full_matrices=False).U * WEIGHTS[:, :2], tall)
    for a in (tall, tall.T):  # the vectors of what is not 0 may be used
        gradient(lambda t: mg.svd(t, full_matrices=False).U[:, 0] ** 3, a)
    assert_array_equal(gradient(lambda t: mg.svd(t).S, np.zeros((2, 2))), np.zeros((2, 2)))
    u, _, vt = np.linalg.svd(np.zeros((2, 2)))
    w = np.array([[1.0, 2.0], [3.0, 5.0]])

    def against_each_other(t):  # which does not change if both turn together
        parts = mg.svd(t)
        return parts.U * (u @ w) - parts.Vh.mT * (vt.T @ w)

    for turned in (lambda t: mg.svd(t).U * w, against_each_other):
        with pytest.raises(ValueError, match="singular values 0 and 1 are equal"):
            gradient(turned, np.zeros((2, 2)))


def test_full_matrices_that_are_not_square_are_refused_where_gradients_are_required():
    x = np.ones((3, 2))
    for call in (np.linalg.svd, mg.svd):
        with pytest.raises(ValueError, match=r"shape \(3, 2\).*write full_matrices=False"):
            call(leaf(x))
    assert np.linalg.svd(leaf(x), compute_uv=False).shape == (2,)
    assert mg.svd(leaf(np.eye(3))).U.shape == (3, 3)
    for t in (mg.Tensor(x), leaf(x)):
        with mg.no_grad():
            result = mg.svd(t)
        assert result.U.shape == (3, 3)
        assert_array_equal(result.Vh.data, np.linalg.svd(x).Vh)


# Results that do not depend on signs and order of vectors, with closed forms of the gradient.


def test_gradients_of_what_vectors_make_together_do_not_see_their_signs(generator):
    x, g = full_rank(generator, (2, 4, 3)), generator.normal(size=(2, 4, 3))
    s = x.mT @ x

    def recompose(t):
        u, values, vt = mg.svd(t, full_matrices=False)
        return u * mg.expand_dims(values, -2) @ vt

    def polar(t):
        u, _, vt = mg.svd(t, full_matrices=False)
        return u @ vt

    assert_allclose(gradient(lambda t: recompose(t) * g, x), g, rtol=1e-10)
    q, r = mg.qr(mg.Tensor(x))
    assert_allclose((q @ r).data, x)
    assert_allclose(gradient(lambda t: np.matmul(*mg.qr(t)) * g, x), g, rtol=1e-10)
    assert_allclose(gradient(lambda t: np.matmul(*mg.qr(t)) * g.mT, x.mT), g.mT, rtol=1e-10)
    # v w vᵀ: the lower triangle has both.
    h = generator.normal(size=(2, 3, 3))
    both = np.tril(h + h.mT, -1) + h * np.eye(3)
    assert_allclose(gradient(lambda t: np.matmul(*spectral(t)) * h, s), both, rtol=1e-9, atol=1e-12)
    l_lt = lambda t: mg.cholesky(t) @ mg.cholesky(t).mT * h  # noqa: E731
    assert_allclose(gradient(l_lt, s), both, rtol=1e-9, atol=1e-12)
    # The polar factor x (xᵀ x)^-½, by another way.
    other = lambda t: t @ inverse_root(t.mT @ t)  # noqa: E731
    assert_allclose(polar(x), other(mg.Tensor(x)).data)
    assert_allclose(
        gradient(lambda t: polar(t) * g, x), gradient(lambda t: other(t) * g, x), rtol=1e-9
    )
    assert mg.gradcheck(lambda t: polar(t) * g, x, order=2)


def inverse_root(t):
    w, v = mg.eigh(t)
    return v / mg.expand_dims(mg.sqrt(w), -2) @ mg.matrix_transpose(v)


def test_all_parts_together_agree_with_differences_in_both_orders(generator):
    s, x = symmetric(generator, (2, 3, 3)), full_rank(generator, (2, 4, 3))
    assert mg.gradcheck(mg.eigh, s, order=2)
    assert mg.gradcheck(mg.slogdet, s, order=2)
    for a in (x, x.mT.copy(), x[:, :3].copy()):
        assert mg.gradcheck(lambda t: mg.svd(t, full_matrices=False), a, order=2)
        assert mg.gradcheck(mg.qr, a, order=2)


def test_results_have_numpys_field_names(generator):
    x = symmetric(generator, (3, 3))
    for name in ("eigh", "svd", "qr", "slogdet"):
        fields = getattr(np.linalg, name)(x)._fields
        for a in (x, mg.Tensor(x), leaf(x)):
            result = getattr(np.linalg, name)(a)
            assert result._fields == fields
            ours = getattr(mg, name)(a)
            assert ours._fields == fields
            for one, other in zip(ours, getattr(np.linalg, name)(x), strict=True):
                assert_array_equal(mg.as_tensor(one).data, other)


def test_other_modes_and_arguments_are_refused_by_name():
    t = leaf(np.eye(3))
    with pytest.raises(ValueError, match=r"mode='complete'; use 'reduced' or 'r'"):
        np.linalg.qr(t, "complete")
    for function, argument in [(np.linalg.svd, "hermitian"), (np.linalg.pinv, "hermitian")]:
        with pytest.raises(TypeError, match=rf"np\.linalg\.{function.__name__}.*{argument}="):
            function(t, **{argument: True})
    with pytest.raises(TypeError, match=r"np\.einsum.*dtype="):
        np.einsum("ii", t, dtype=np.float32)
    assert mg.qr(np.eye(3), "complete")[0].shape == (3, 3)
    assert np.linalg.matrix_rank(t) == 3


def test_vectors_of_equal_values_are_refused_in_any_basis_that_numpy_chooses():
    """A diagonal matrix makes the basis a plain one, in which a gradient may seem to be 0."""
    z = mg.Tensor(np.diag([2.0, 2.0, 5.0]), requires_grad=True)
    for f in (
        lambda z: np.linalg.eigh(z).eigenvectors[0, 0],
        lambda z: np.abs(np.linalg.eigh(z).eigenvectors[:, 1]).sum(),
        lambda z: np.linalg.svd(z).U[1, 1],
        lambda z: np.linalg.svd(z).Vh[2, 0],
    ):
        with pytest.raises(ValueError, match="are equal to within rounding"):
            f(z).backward()
    np.linalg.eigh(z).eigenvectors[2, 2].backward()  # that of the third is not arbitrary
