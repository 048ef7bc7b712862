"""Norms where no difference quotient can be the reference: kinks, ties, zeros."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import microgradx as mg
from tests.helpers import leaf
from tests.ops.derivatives import gradient, second_derivative

ZEROS = [[0.0], [0.0, 0.0], [[0.0, 0.0], [3.0, 4.0]]]


@pytest.mark.parametrize("order", [None, 1, 2, 3, 1.5, 0.5, -1, -2, np.inf, -np.inf, 0])
@pytest.mark.parametrize("x", ZEROS)
def test_the_derivative_of_a_vectors_norm_is_0_where_it_is_0(order, x):
    x = np.array(x)
    with np.errstate(divide="ignore"):  # NumPy warns of a negative power
        first = gradient(lambda t: mg.norm(t, order, axis=-1), x)
    assert_array_equal(np.atleast_2d(first)[0], np.zeros(x.shape[-1]))


@pytest.mark.parametrize("order", [None, 2, 3, 1.5, 0.5, -1, -2])
@pytest.mark.parametrize("x", ZEROS)
def test_the_second_derivative_of_a_vectors_norm_is_nan_where_it_is_0(order, x):
    x = np.array(x)
    with np.errstate(divide="ignore"):
        for f in (lambda n: n, lambda n: n**2, lambda n: np.exp(-(n**2))):
            hessian = second_derivative(
                lambda t, f=f: f(mg.norm(t, order, axis=-1)), x, np.ones_like(x)
            )
            rows = np.atleast_2d(hessian)
            assert np.all(np.isnan(rows[0]))
            assert np.all(np.isfinite(rows[1:]))


@pytest.mark.parametrize("order", [1, np.inf, -np.inf, 0])
def test_the_second_derivative_of_a_piecewise_linear_norm_is_0(order):
    hessian = second_derivative(lambda t: mg.norm(t, order), np.zeros(3), np.ones(3))
    assert_array_equal(hessian, np.zeros(3))


@pytest.mark.parametrize("order", [None, "fro", "nuc", 1, -1, 2, -2, np.inf, -np.inf])
def test_the_derivative_of_a_matrix_norm_is_0_at_0(order):
    assert_array_equal(gradient(lambda t: mg.norm(t, order, axis=(0, 1)), np.zeros((2, 3))), 0)


@pytest.mark.parametrize("order", [None, "fro", "nuc", 2])
def test_the_second_derivative_of_a_matrix_norm_is_nan_at_0(order):
    def f(x):
        return mg.norm(x, order, axis=(0, 1)) ** 2

    assert np.all(np.isnan(second_derivative(f, np.zeros((2, 3)), np.ones((2, 3)))))


def test_a_singular_value_that_is_0_leaves_the_largest_its_second_derivative():
    x, v = np.diag([3.0, 0.0]), np.array([[1.0, 2.0], [3.0, 4.0]])
    # The largest singular value of [[s, a], [b, c]] is s + (a² + b²) / 2s + …, for small a, b, c.
    expected = [[0, 2 / 3], [1, 0]]
    assert_allclose(second_derivative(lambda t: mg.norm(t, 2), x, v), expected, atol=1e-15)


def test_one_element_of_a_vector_may_be_0_in_both_orders():
    x = np.array([0.0, 3.0, -4.0])
    assert_allclose(gradient(mg.norm, x), [0, 0.6, -0.8])
    # The Hessian of |x| is (1 - x xᵀ / |x|²) / |x|.
    v = np.array([1.0, 2.0, 3.0])
    expected = (v - x * (x @ v) / 25) / 5
    assert_allclose(second_derivative(mg.norm, x, v), expected, atol=1e-15)
    for p in (0.5, 1.5, 3, 4):
        assert gradient(lambda t, p=p: mg.norm(t, p), x)[0] == 0
        hessian = second_derivative(lambda t, p=p: mg.norm(t, p), x, v)
        assert np.isfinite(hessian[0]) == (p > 2)  # |x|ᵖ⁻² is infinite at 0
        assert np.all(np.isfinite(hessian[1:]))


def test_norms_are_exact_for_large_and_small_numbers():
    for scale in (1e200, 1e-200, 1e-310):
        for p in (1.5, 2, 3, -1):
            with np.errstate(over="ignore", divide="ignore"):  # of the norm itself
                of_large = gradient(lambda t, p=p: mg.norm(t, p), np.array([3.0, 4.0]) * scale)
            assert_allclose(of_large, gradient(lambda t, p=p: mg.norm(t, p), [3.0, 4.0]))
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


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
@pytest.mark.parametrize(
    "function",
    [
        lambda x: np.linalg.norm(x),
        lambda x: np.linalg.norm(x, 3),
        lambda x: np.linalg.norm(x, 1.5),
        lambda x: np.hypot(x[0], x[1]),
    ],
    ids=["2", "3", "1.5", "hypot"],
)
def test_beside_an_infinite_element_the_others_have_no_share(function):
    assert_array_equal(mg.grad(function)(np.array([1.0, np.inf])), [0, np.nan])
    assert_array_equal(mg.grad(function)(np.array([-np.inf, 2.0])), [np.nan, 0])
