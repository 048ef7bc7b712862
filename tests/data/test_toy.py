"""Toy data: shapes, dtypes, balance, and the geometry that their descriptions promise."""

import numpy as np
import pytest

from microgradx.data import blobs, moons, spirals

functions = pytest.mark.parametrize("function", [moons, spirals, blobs])


@functions
@pytest.mark.parametrize("n", [10, 101])
def test_shapes_dtypes_balance_and_the_seed(function, n):
    X, y = function(n, generator=np.random.default_rng(0))
    assert X.shape == (n, 2)
    assert X.dtype == np.float64
    assert y.shape == (n,)
    assert y.dtype == np.int64
    assert np.ptp(np.bincount(y)) <= 1
    again, _ = function(n, generator=np.random.default_rng(0))
    assert np.array_equal(X, again)
    other, _ = function(n, generator=np.random.default_rng(1))
    assert not np.array_equal(X, other)


def test_moons_are_half_circles(generator):
    X, y = moons(500, noise=0, generator=generator)
    upper, lower = X[y == 0], X[y == 1]
    assert np.allclose(np.hypot(*upper.T), 1)
    assert upper[:, 1].min() >= 0
    assert np.allclose(np.hypot(*(lower - [1, 0.5]).T), 1)
    assert lower[:, 1].max() <= 0.5
    assert np.ptp(upper[:, 0]) > 1.9
    assert np.ptp(lower[:, 0]) > 1.9


@pytest.mark.parametrize("classes", [2, 3, 5])
def test_spirals_wind_once_in_arms_that_are_turned_copies(classes, generator):
    X, y = spirals(600, classes, noise=0, generator=generator)
    radius = np.hypot(*X.T)
    assert radius.min() >= 0.1
    assert radius.max() <= 1
    turns = np.arctan2(X[:, 1], X[:, 0]) / (2 * np.pi) - radius - y / classes
    assert np.allclose(turns, np.round(turns))


@pytest.mark.parametrize("classes", [2, 3, 5])
def test_blobs_are_around_the_unit_circle(classes, generator):
    X, y = blobs(3000 * classes, classes, noise=0.3, generator=generator)
    for label in range(classes):
        cloud = X[y == label]
        angle = 2 * np.pi * label / classes
        assert np.allclose(cloud.mean(axis=0), [np.cos(angle), np.sin(angle)], atol=0.03)
        assert np.allclose(np.cov(cloud.T), 0.09 * np.eye(2), atol=0.012)


@functions
def test_noise_is_a_standard_deviation(function):
    def drawn(noise):
        return function(4000, noise=noise, generator=np.random.default_rng(0))[0]

    added = drawn(0.25) - drawn(0)
    assert np.allclose(added.std(axis=0), 0.25, rtol=0.06)
    assert np.allclose(added.mean(axis=0), 0, atol=0.02)


@functions
def test_what_makes_no_data_is_refused(function):
    with pytest.raises(ValueError, match=r"n must be . or more, a point for each class, not 1"):
        function(1)
    with pytest.raises(ValueError, match="noise must be at least 0 and finite, not -1"):
        function(10, noise=-1)
    with pytest.raises(ValueError, match="noise must be at least 0 and finite, not nan"):
        function(10, noise=float("nan"))
    with pytest.raises(TypeError, match="integer"):
        function(10.5)
    if function is not moons:
        with pytest.raises(ValueError, match="classes must be 2 or more, not 1"):
            function(10, 1)
