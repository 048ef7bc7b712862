"""Grids, interpolation, differences, integrals, polynomials: at knots and ends; what is refused."""

import numpy as np
import pytest

import microgradx as mg
from tests.helpers import leaf
from tests.ops.test_statistics import gradients

INF = np.inf


# ---------------------------------------------------------------------------- interpolation


def test_at_a_point_interp_has_the_slope_to_its_right():
    x = [-1.0, 0, 1, 2, 3, 4, INF, -INF]
    xp, fp = [0.0, 1, 3], [0.0, 10, 20]
    out = np.interp(leaf(x), xp, fp)
    np.testing.assert_array_equal(out.data, np.interp(x, xp, fp))
    by_x, by_xp, by_fp = gradients(np.interp, x, xp, fp)
    assert by_x == [0, 10, 5, 5, 0, 0, 0, 0]
    assert by_xp == [-10, -7.5, -2.5]  # where x lies inside: at 0, at 1 and 2, at 2
    assert by_fp == [3, 1.5, 3.5]


def test_the_value_at_the_last_point_is_that_of_the_point():
    x, r = leaf([3.0, 4.0]), leaf(7.0)
    out = np.interp(x, [0.0, 3.0], [1.0, 2.0], right=r)
    assert out.data.tolist() == [2, 7]
    out.sum().backward()
    assert r.grad == 1


def test_interp_of_points_that_coincide_is_numpys():
    x, xp, fp = np.array([-1, 0, 0.5, 1, 2]), [0.0, 0, 1, 1], [1.0, 2, 3, 4]
    np.testing.assert_array_equal(mg.interp(x, xp, fp), np.interp(x, xp, fp))
    for gradient in gradients(np.interp, x, xp, fp):
        assert np.all(np.isfinite(gradient))


def test_interp_of_one_point_and_of_a_float32():
    assert mg.interp([0.0, 1.0, 2.0], [1.0], [5.0], left=0.0, right=9.0).tolist() == [0, 5, 9]
    points = np.float32([0, 1])
    assert np.interp(leaf(0.5, dtype=np.float32), points, points).dtype == np.float32
    assert mg.interp(0.5, points, points).dtype == np.float32


def test_interp_refuses_points_that_make_no_function():
    x = leaf([0.5])
    with pytest.raises(ValueError, match="xp of interp must be increasing"):
        np.interp(x, [1.0, 0.0], [0.0, 1.0])
    with pytest.raises(ValueError, match=r"xp of shape \(2,\) and fp of shape \(3,\)"):
        np.interp(x, [1.0, 2.0], [0.0, 1.0, 2.0])
    with pytest.raises(ValueError, match=r"xp of shape \(0,\)"):
        np.interp(x, [], [])


def test_unwrap_is_the_identity_but_for_periods():
    x = leaf([0.0, 3.0, 6.5, -1.0])
    np.testing.assert_array_equal(np.unwrap(x).data, np.unwrap(x.data))
    assert gradients(np.unwrap, x.data) == [[1, 1, 1, 1]]


# ---------------------------------------------------------------------------- grids


def test_grids_end_exactly_where_they_should_and_keep_the_dtype():
    for start, stop in ((0.1, 0.7), (-3.0, 1e10), (2.0, 1e-7)):
        grid = mg.linspace(start, stop, 11)
        assert (grid[0], grid[-1]) == (start, stop)
    grid = mg.geomspace(3.0, 1e5, 6)
    assert (grid[0], grid[-1]) == (3.0, 1e5)
    one = leaf(1.0, dtype=np.float32)
    for out in (np.linspace(one, 2, 3), np.geomspace(1, one + 1, 3), np.logspace(one, 2, 3)):
        assert out.dtype == np.float32
    assert mg.linspace(0, 10, 4, dtype=int).tolist() == np.linspace(0, 10, 4, dtype=int).tolist()
    assert np.linspace(leaf(0.0), 1, 4, False, True)[1].item() == 0.25


def test_grids_refuse_what_makes_none():
    with pytest.raises(ValueError, match="num, how many numbers there are, must be 0 or more"):
        np.linspace(leaf(0.0), 1, -1)
    with pytest.raises(ValueError, match="a geometric sequence includes no 0"):
        np.geomspace(leaf(0.0), 1)


# ---------------------------------------------------------------------------- differences


def test_gradient_is_exact_for_parabolas_on_any_grid():
    x = np.array([0.0, 0.5, 2.0, 2.25, 4.0])
    np.testing.assert_allclose(mg.gradient(x**2, x, edge_order=2), 2 * x, atol=1e-14)
    np.testing.assert_allclose(mg.gradient(x**2, x)[1:-1], 2 * x[1:-1], atol=1e-14)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda f: np.gradient(f[:1]), ValueError, "axis 0, of length 1: edge_order=1 needs 2"),
        (lambda f: np.gradient(f, edge_order=3), ValueError, "edge_order must be 1 or 2, not 3"),
        (lambda f: np.gradient(f, [1.0, 2.0]), ValueError, r"shape \(2,\) for an axis of length 3"),
        (lambda f: np.gradient(f, 1.0, 2.0), TypeError, "along 1 axes was given 2 spacings"),
        (lambda f: np.diff(f, n=-1), ValueError, "must be 0 or more, not -1"),
        (lambda f: np.vander(f[None]), ValueError, r"vander of shape \(1, 3\)"),
        (lambda f: np.polyder(f, -1), ValueError, "see polyint"),
        (lambda f: np.polyint(f, -1), ValueError, "see polyder"),
        (lambda f: np.polyfit(f, f[:2], 1), TypeError, r"x of shape \(3,\) and y of shape \(2,\)"),
        (lambda f: np.polyfit(f, f, -1), ValueError, "must be 0 or more, not -1"),
        (lambda f: np.polyfit(f, f, 2, cov=True), ValueError, "3 points are too few"),
        (lambda f: np.linalg.lstsq(f, f), ValueError, r"lstsq of shapes \(3,\) and \(3,\)"),
    ],
)
def test_what_does_not_fit_is_refused(call, error, message):
    with pytest.raises(error, match=message):
        call(leaf([1.0, 2.0, 4.0]))


# ---------------------------------------------------------------------------- least squares


def test_lstsq_returns_what_numpys_does():
    generator = np.random.default_rng(0)
    for shape in ((5, 2), (2, 2), (2, 5)):
        a, b = generator.normal(size=shape), generator.normal(size=shape[0])
        for columns in (b, b[:, None] * [1.0, 2.0]):
            ours, theirs = mg.lstsq(a, columns), np.linalg.lstsq(a, columns)
            for our, their in zip(ours, theirs, strict=True):
                np.testing.assert_allclose(our, their, rtol=1e-12)


def test_lstsq_without_full_rank_has_a_solution_but_no_derivative():
    a = leaf(np.ones((3, 2)))
    x, residuals, rank, _ = np.linalg.lstsq(a, [1.0, 2.0, 6.0])
    np.testing.assert_allclose(x.data, [1.5, 1.5])
    assert (residuals.shape, rank) == ((0,), 1)
    with pytest.raises(np.linalg.LinAlgError, match="has rank 1 and not 2"):
        x.sum().backward()


def test_polyfit_of_too_few_points_warns():
    with pytest.warns(UserWarning, match="degree 2 is not determined by these points, of rank 2"):
        np.polyfit(leaf([0.0, 1.0]), [0.0, 1.0], 2)


# ---------------------------------------------------------------------------- parts


def test_piecewise_takes_each_gradient_from_its_own_piece():
    def function(x):
        return np.piecewise(x, [x < 0, x >= 1], [lambda x: -x, np.log, 7.0])

    x = np.array([-2.0, 0.0, 4.0])
    np.testing.assert_array_equal(function(leaf(x)).data, function(x))
    assert gradients(function, x) == [[-1, 0, 0.25]]
    with pytest.raises(ValueError, match="2 conditions need as many functions, or one more, not 4"):
        np.piecewise(leaf(x), [x < 0, x > 0], [1, 2, 3, 4])


def test_sums_of_groups_by_bincount():
    groups, values = np.array([2, 0, 2]), leaf([1.0, 2.0, 4.0])
    out = np.bincount(groups, values, 4)
    np.testing.assert_array_equal(out.data, [2, 0, 5, 0])
    (out * np.array([1.0, 10, 100, 1000])).sum().backward()
    np.testing.assert_array_equal(values.grad, [100, 1, 100])
    with pytest.raises(ValueError, match=r"weights of shape \(3,\) for integers of shape \(2,\)"):
        np.bincount([0, 1], values)


def test_quotients_and_remainders_by_pythons_function():
    x = leaf([7.0, -7.0])
    for ours, theirs in zip(divmod(x, 2), divmod(x.data, 2), strict=True):
        np.testing.assert_array_equal(ours.data, theirs)
    for ours, theirs in zip(divmod(9, x), divmod(9, x.data), strict=True):
        np.testing.assert_array_equal(ours.data, theirs)


def test_blocks_are_nested_equally_deep():
    with pytest.raises(ValueError, match="nested equally deep everywhere, and not empty"):
        np.block([leaf([1.0]), [2]])
    with pytest.raises(ValueError, match="nested equally deep everywhere, and not empty"):
        mg.block([[], [2]])


def test_numbers_of_choices():
    x = leaf([1.0, 2.0])
    with pytest.raises(IndexError, match="numbers from 0 to 3 are not all among the 2 choices"):
        np.choose([0, 3], [x, x])
    assert np.choose(mg.Tensor([1, 0]), [x, 3 * x]).data.tolist() == [3, 2]
