"""Quantiles, covariances and statistics without NaNs: ties, NaN, dtypes, and what is refused."""

from functools import partial

import numpy as np
import pytest

import microgradx as mg
from microgradx.ops.statistics import POSITIONS
from tests.helpers import leaf

NAN = np.nan


def gradients(function, *arrays):
    leaves = [leaf(a) for a in arrays]
    mg.sum(function(*leaves)).backward()
    return [x.grad.tolist() for x in leaves]


@pytest.mark.parametrize("method", POSITIONS)
@pytest.mark.parametrize("n", [1, 2, 5, 8])
def test_quantiles_at_and_between_elements_are_numpys(method, n):
    x = np.random.default_rng(n).permutation(np.arange(1.0, n + 1) ** 2)
    q = np.linspace(0, 1, 8 * n + 1)  # on every element, and halfway, where methods round
    ours, theirs = (f(x, q, method=method) for f in (mg.quantile, np.quantile))
    np.testing.assert_allclose(ours, theirs, rtol=1e-13)
    with_nan = np.insert(x, n // 2, NAN)
    np.testing.assert_allclose(mg.nanquantile(with_nan, q, method=method), theirs, rtol=1e-13)


def test_the_two_elements_beside_a_quantile_share_its_gradient():
    assert gradients(lambda x: np.quantile(x, 0.25), [4.0, 1, 2]) == [[0, 0.5, 0.5]]
    assert gradients(lambda x: np.percentile(x, 50), [3.0, 3, 1, 5]) == [[0.5, 0.5, 0, 0]]
    assert gradients(lambda x: np.quantile(x, 0.5), [3.0, NAN, 1]) == [[0, 1, 0]]
    assert gradients(lambda x: np.nanquantile(x, 0.5), [3.0, NAN, 1]) == [[0.5, 0, 0.5]]
    assert gradients(lambda x: np.nanquantile(x, 0.5), [NAN, NAN]) == [[0, 0]]


def test_a_quantile_that_is_asked_for_receives_the_slope_to_its_right():
    x, q = [3.0, 2, 1, 5], [0.0, 0.5, 1.0]
    assert gradients(np.quantile, x, q)[1] == [3, 3, 0]
    step = partial(np.quantile, method="lower")
    assert gradients(step, x, q)[1] == [0, 0, 0]


def test_quantiles_keep_the_dtype():
    x = leaf([1.0, 2.0, 4.0], dtype=np.float32)
    assert np.quantile(x, 0.3).dtype == np.nanmedian(x).dtype == np.float32
    assert np.quantile(x, [0.3]).dtype == np.quantile(x.data, [0.3]).dtype
    assert mg.quantile(np.array([1, 2, 4]), 0.25) == 1.5


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: np.quantile(x, 1.5), "quantile takes numbers from 0 to 1$"),
        (lambda x: np.nanpercentile(x, -1), "nanpercentile takes numbers from 0 to 100$"),
        (lambda x: np.quantile(x, 0.5, method="middle"), "method must be one of .*, not 'middle'"),
        (lambda x: np.quantile(x[:0], 0.5), r"no elements of shape \(0,\) have a quantile"),
        (lambda x: np.quantile(x, 0.5, weights=[1, 1, 1]), 'for method="inverted_cdf" alone'),
        (
            lambda x: np.quantile(x, 0.5, weights=[1, -1, 1], method="inverted_cdf"),
            "weights of a quantile must be 0 or more",
        ),
        (lambda x: np.cov(x, fweights=[1, 2]), r"fweights of shape \(2,\) for 3 samples"),
        (lambda x: np.cov(x, aweights=[1, -2, 1]), "aweights must be 0 or more"),
        (lambda x: np.cov(np.stack([x, x])[None]), r"cov of shape \(1, 2, 3\)"),
        (lambda x: np.cov(x, ddof=0.5), "ddof must be an integer, not 0.5"),
    ],
)
def test_what_does_not_fit_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call(leaf([1.0, 2.0, 3.0]))


def test_frequencies_are_integers_and_numbers_are_real():
    with pytest.raises(TypeError, match="fweights, how often each sample counts, must be integers"):
        np.cov(leaf([1.0, 2.0]), fweights=[0.5, 1])
    with pytest.raises(TypeError, match="real numbers, not ndarray of dtype complex128"):
        np.cov(leaf([1.0, 2.0]), np.array([1j, 2]))


def test_a_covariance_of_one_sample_warns():
    with pytest.warns(UserWarning, match="too few samples") as caught:
        out = np.cov(leaf([[1.0], [2.0]]))
    assert np.all(np.isnan(out.data))
    assert caught[0].filename == __file__


def test_a_perfect_correlation_has_the_derivative_0():
    (by_x,) = gradients(np.corrcoef, [[1.0, 2, 3], [2, 4, 6]])
    np.testing.assert_allclose(by_x, np.zeros((2, 3)), atol=1e-15)


def test_statistics_without_nans():
    assert gradients(np.nanmax, [1.0, 3, 3, NAN]) == [[0, 0.5, 0.5, 0]]
    assert gradients(np.nanmin, [-np.inf, -np.inf, NAN]) == [[0.5, 0.5, 0]]
    assert gradients(np.nanprod, [2.0, NAN, 3]) == [[3, 0, 2]]
    assert gradients(np.nanstd, [2.0, 2, NAN]) == [[0, 0, 0]]  # as std, where all are equal
    for function in (np.nanvar, np.nanstd):
        x = leaf([[1.0, NAN, 4, 3], [NAN, 9, 2, 5]])
        for axis in (None, 0, 1):
            expected = function(x.data, axis=axis)
            np.testing.assert_allclose(function(x, axis=axis).data, expected, rtol=1e-14)


def test_variances_of_small_floats_do_not_overflow():
    x = np.tile(np.float16([0, 600]), 40_000)
    assert mg.nanvar(x[:2].astype(np.float16) / 10) == 900
    assert mg.nanstd(x) == 300
    assert mg.nanmean(x) == 300
    rows = np.stack([x, 600 - x]) / np.float16(100)
    np.testing.assert_array_equal(mg.cov(rows), np.float16([[9, -9], [-9, 9]]))
    np.testing.assert_array_equal(mg.corrcoef(np.stack([x, -x])), [[1, -1], [-1, 1]])
    assert mg.cov(rows).dtype == mg.corrcoef(rows).dtype == np.float16
