"""Linear algebra where no difference quotient can be the reference: errors, ties, zeros, gauges."""

import itertools

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import microgradx as mg
from tests.ops.table.products import EINSUMS
from tests.ops.table.row import full_rank, symmetric


def leaf(x):
    return mg.Tensor(x, requires_grad=True, dtype=float)


def gradient(f, x):
    """Of the sum of what `f` gives, at `x`."""
    t = leaf(x)
    mg.sum(f(t)).backward()  # where a warning, of a division by 0 say, is an error
    return t.grad


def second(f, x, weights):
    """The gradient of Σ weights · (the gradient of f) at x: a Hessian-vector product."""
    t = leaf(x)
    mg.sum(f(t)).backward(create_graph=True)
    first, t.grad = t.grad, None
    if first.requires_grad:
        mg.sum(first * weights).backward()
    return np.zeros_like(t.data) if t.grad is None else t.grad


# ---------------------------------------------------------------------------- einsum


@pytest.mark.parametrize("optimize", [False, True, "optimal"])
@pytest.mark.parametrize(("subscripts", "shapes"), [(e[0], e[1:]) for e in EINSUMS])
def test_einsum_of_an_operand_alone_is_linear_in_it(subscripts, shapes, optimize, generator):
    # ⟨g, f(x)⟩ = ⟨∇, x⟩ for each operand, exactly, as the sum is linear in each.
    tensors = [leaf(generator.normal(size=shape)) for shape in shapes]
    out = mg.einsum(subscripts, *tensors, optimize=optimize)
    expected = np.einsum(subscripts, *(t.data for t in tensors), optimize=optimize)
    assert_array_equal(out.data, expected)
    g = generator.normal(size=out.shape)
    out.backward(g)
    for t in tensors:
        assert_allclose(np.sum(t.grad * t.data), np.sum(g * out.data), rtol=1e-11, atol=1e-13)


LISTS = [
    ([[0, 1], [1, 2], [0, 2]], [(2, 3), (3, 4)]),
    ([[0, 1], [1, 2]], [(2, 3), (3, 4)]),
    ([[1, 0]], [(2, 3)]),
    ([[0, 0]], [(3, 3)]),
    ([[0, 0], [0]], [(3, 3)]),
    ([[..., 0], [0, 1], [..., 1]], [(4, 2, 3), (3, 2)]),
    ([[30, 2], [2, 51]], [(2, 3), (3, 4)]),
    ([[30, 2], [2, 5]], [(2, 3), (3, 4)]),
    ([[], [0]], [(), (3,)]),
    ([[], []], [()]),
]


@pytest.mark.parametrize(("lists", "shapes"), LISTS)
def test_einsum_takes_lists_of_numbers(lists, shapes, generator):
    def operands(arrays):
        given = [each for pair in zip(arrays, lists, strict=False) for each in pair]
        return given + lists[len(arrays) :]

    arrays = [generator.normal(size=shape) for shape in shapes]
    expected = np.einsum(*operands(arrays))
    assert_array_equal(mg.einsum(*operands(arrays)), expected)
    tensors = [leaf(x) for x in arrays]
    for out in (mg.einsum(*operands(tensors)), np.einsum(*operands(tensors))):
        assert_array_equal(out.data, expected)
    assert mg.gradcheck(lambda *x: mg.einsum(*operands(x)), arrays, order=2)


def test_einsum_is_one_node_and_says_what_it_sums():
    x = leaf(np.ones((2, 3)))
    out = np.einsum("ij,kj->ik", x, x)
    assert repr(out.op) == "einsum(subscripts='ij,kj->ik')"
    assert out.inputs == (x, x)


@pytest.mark.parametrize(
    ("operands", "message"),
    [
        (("ij", [1.0, 2.0]), "einstein sum subscripts string contains too many subscripts"),
        (("i,j", [1.0]), "more operands provided"),
        (("i.", [1.0]), "ellipsis"),
        (("i->j", [1.0]), "output subscript 'j'|subscript 'j'"),
        (("i->ii", [1.0]), "multiple times"),
        (("i,i", [1.0, 2.0], [1.0, 2.0, 3.0]), "broadcast"),
        (("ii", np.ones((2, 3))), r"collapsing index 'i'|don't match"),
        (("...i->i", np.ones((2, 3))), "ellipsis"),
        (("i?", [1.0]), "invalid subscript"),
        ((), "einstein sum"),
        (([1.0], [52]), "from 0 to 51"),
    ],
)
def test_einsum_says_what_it_cannot_read(operands, message):
    tensors = [leaf(x) if isinstance(x, (list, np.ndarray)) else x for x in operands]
    if operands and not isinstance(operands[0], str):
        tensors[1] = operands[1]
    with pytest.raises(ValueError, match=message):
        mg.einsum(*tensors)


def test_einsum_optimizes_gradients_of_many_operands_too(generator):
    arrays = [generator.normal(size=(3, 3)) for _ in range(5)]
    tensors = [leaf(x) for x in arrays]
    mg.einsum("ab,bc,cd,de,ef->af", *tensors, optimize="greedy").sum().backward()
    before, after = np.linalg.multi_dot(arrays[:2]), np.linalg.multi_dot(arrays[3:])
    assert_allclose(tensors[2].grad, before.T @ np.ones((3, 3)) @ after.T, rtol=1e-12)


# ---------------------------------------------------------------------------- products


def test_dot_of_up_to_two_axes_is_the_node_of_matmul_or_multiply():
    x = leaf(np.ones((2, 2)))
    assert type(np.dot(x, x).op) is type((x @ x).op)
    assert np.dot(x, 2.0).op is mg.multiply
    assert x.dot(np.ones(2)).op is mg.matmul


def test_multi_dot_multiplies_in_the_cheapest_order():
    column, row, matrix = (leaf(np.ones(s)) for s in [(9, 1), (1, 9), (9, 9)])
    assert mg.multi_dot([matrix, column, row]).inputs[1] is row
    assert mg.multi_dot([column, row, matrix]).inputs[0] is column


def test_multi_dot_multiplies_in_an_order_that_costs_least():
    for order in itertools.permutations([2, 3, 7, 5, 4]):
        check_multi_dot(order)


def check_multi_dot(order):
    arrays = [np.ones(pair) for pair in itertools.pairwise(order)]
    out = mg.multi_dot([leaf(x) for x in arrays])
    assert_allclose(out.data, np.linalg.multi_dot(arrays))

    def cost(tensor):
        if tensor.op is None:
            return 0
        x, y = tensor.inputs
        return x.shape[0] * x.shape[1] * y.shape[1] + cost(x) + cost(y)

    def least(lengths):
        inner = range(1, len(lengths) - 1)
        products = (
            least(lengths[: k + 1]) + least(lengths[k:]) + lengths[0] * lengths[k] * lengths[-1]
            for k in inner
        )
        return min(products, default=0)

    assert cost(out) == least(order)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda t: mg.tensordot(t, np.ones((3, 2))), r"tensordot of shapes \(2, 3\) and \(3, 2\)"),
        (lambda t: mg.tensordot(t, t, axes=([5], [0])), "axis 5 is out of bounds"),
        (lambda t: mg.tensordot(t, t, axes=([0, 1], [0])), "same lengths"),
        (lambda t: mg.inner(t, np.ones(2)), "same lengths"),
        (lambda t: mg.dot(t, t), r"matmul of float64 \(2, 3\) and float64 \(2, 3\)"),
        (lambda t: mg.vdot(t, np.ones(5)), "matmul"),
        (lambda t: mg.vecdot(t, np.ones(2)), "vecdot of float64"),
        (lambda t: mg.vecdot(t, t, axis=2), "axis 2 is out of bounds"),
        (lambda t: mg.matvec(t, np.ones(2)), "matmul of float64"),
        (lambda t: mg.multi_dot([t]), "at least two arrays, not 1"),
        (lambda t: mg.multi_dot([t, np.ones(3), t]), r"\(3,\).*all must be matrices"),
        (lambda t: mg.multi_dot([t, t]), "matmul"),
        (lambda t: mg.matrix_transpose(t[0]), r"shape \(3,\): a matrix has two axes"),
    ],
)
def test_products_say_which_shapes_do_not_fit(call, message):
    with pytest.raises(ValueError, match=message):
        call(leaf(np.ones((2, 3))))


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
    assert_allclose(second(mg.det, x, v), expected, rtol=1e-9, atol=1e-10)


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
        second(lambda t: mg.eigvalsh(t) ** 2, REPEATED, WEIGHTS)


def test_singular_values_that_are_zero():
    # A singular value is never below 0: a kink, where the derivative is 0.
    rank_one = np.outer([3.0, 4.0], [0.0, 1.0])
    assert_allclose(
        gradient(lambda t: mg.norm(t, "nuc"), rank_one), [[0, 0.6], [0, 0.8]], atol=1e-12
    )
    assert_array_equal(gradient(mg.svdvals, np.zeros((3, 2))), np.zeros((3, 2)))
    assert_array_equal(gradient(lambda t: mg.norm(t, "nuc"), np.zeros((2, 2))), np.zeros((2, 2)))
    tall = np.array([[2.0, 0.0], [0.0, 0.0], [0.0, 0.0]])
    with pytest.raises(np.linalg.LinAlgError, match=r"not full rank.*use svdvals"):
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

    def recomposed(t):
        u, values, vt = mg.svd(t, full_matrices=False)
        return u * mg.expand_dims(values, -2) @ vt

    def polar(t):
        u, _, vt = mg.svd(t, full_matrices=False)
        return u @ vt

    assert_allclose(gradient(lambda t: recomposed(t) * g, x), g, rtol=1e-10)
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


# ---------------------------------------------------------------------------- norms


@pytest.mark.parametrize("order", [None, 1, 2, 3, 1.5, 0.5, -1, -2, np.inf, -np.inf, 0])
@pytest.mark.parametrize("x", [[0.0], [0.0, 0.0], [[0.0, 0.0], [3.0, 4.0]]])
def test_the_derivative_of_a_vectors_norm_is_0_where_it_is_0_in_both_orders(order, x):
    x = np.array(x)
    f = lambda t: mg.norm(t, order, axis=-1)  # noqa: E731
    with np.errstate(divide="ignore"):  # NumPy's own, for a negative power
        first, hessian = gradient(f, x), second(f, x, np.ones_like(x))
    assert_array_equal(np.atleast_2d(first)[0], np.zeros(x.shape[-1]))
    assert_array_equal(np.atleast_2d(hessian)[0], np.zeros(x.shape[-1]))
    assert np.all(np.isfinite(hessian))


@pytest.mark.parametrize("order", [None, "fro", "nuc", 1, -1, 2, -2, np.inf, -np.inf])
def test_the_derivative_of_a_matrix_norm_is_0_at_0(order):
    assert_array_equal(gradient(lambda t: mg.norm(t, order, axis=(0, 1)), np.zeros((2, 3))), 0)


def test_one_element_of_a_vector_may_be_0_in_both_orders():
    x = np.array([0.0, 3.0, -4.0])
    assert_allclose(gradient(mg.norm, x), [0, 0.6, -0.8])
    # The Hessian of |x| is (1 - x xᵀ / |x|²) / |x|.
    v = np.array([1.0, 2.0, 3.0])
    expected = (v - x * (x @ v) / 25) / 5
    assert_allclose(second(mg.norm, x, v), expected, atol=1e-15)
    for p in (1.5, 3, 4):
        assert gradient(lambda t, p=p: mg.norm(t, p), x)[0] == 0
        assert np.all(np.isfinite(second(lambda t, p=p: mg.norm(t, p), x, v)))
    assert gradient(lambda t: mg.norm(t, 0.5), x)[0] == 0


def test_norms_are_exact_for_large_and_small_numbers():
    assert_allclose(gradient(lambda t: mg.norm(t, 3), [3e80, 4e80]), [9, 16] / np.cbrt(91) ** 2)


def test_ties_of_norms_share_equally():
    assert_array_equal(gradient(lambda t: mg.norm(t, np.inf), [2.0, -2.0, 1.0]), [0.5, -0.5, 0])
    assert_array_equal(gradient(lambda t: mg.norm(t, 2), np.eye(2)), np.eye(2) / 2)


def test_how_many_are_not_0_has_the_derivative_0():
    assert mg.norm(leaf([0.0, 2.0, -3.0]), 0).data == 2
    assert_array_equal(gradient(lambda t: mg.norm(t, 0), [0.0, 2.0]), [0, 0])


@pytest.mark.parametrize(
    "call",
    [
        lambda t: np.linalg.norm(t, "fro", axis=0),
        lambda t: np.linalg.norm(t, 3),
        lambda t: np.linalg.norm(t, "what"),
        lambda t: np.linalg.norm(t, axis=(0, 0)),
        lambda t: np.linalg.norm(t, axis=2),
        lambda t: np.linalg.norm(t, None, axis=(0, 1, 2)),
        lambda t: np.linalg.matrix_norm(t, ord=0),
        lambda t: np.linalg.vector_norm(t, axis=5),
    ],
)
def test_what_is_no_norm_is_refused_as_numpy_refuses_it(call):
    x = np.ones((2, 3))
    with pytest.raises(ValueError, match=r".") as numpys:
        call(x)
    with pytest.raises(type(numpys.value)) as ours:
        call(leaf(x))
    assert str(ours.value) == str(numpys.value)


def test_integers_are_taken_as_floats():
    x = np.array([[3, 1], [1, 2]])
    for f in (mg.inv, mg.det, mg.cholesky, mg.eigvalsh, mg.svdvals, mg.pinv, mg.norm):
        assert_array_equal(f(mg.Tensor(x)).data, f(x))
    assert_array_equal(mg.norm(mg.Tensor(x), np.inf, axis=0).data, [3.0, 2.0])
    assert mg.norm(mg.Tensor(x), np.inf, axis=0).dtype == float


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
