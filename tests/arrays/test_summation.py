"""Sums of many numbers, along every axis, in every layout: as exact as `summation` says."""

import numpy as np
import pytest

from microgradx.arrays.summation import cumsum_along, mean_along, sum_along, sum_rows

SHAPES = [
    (7,),
    (9, 3),
    (65, 30),
    (257, 129),
    (30_000, 2),
    (2, 30_000),
    (3, 5000, 7),
    (50, 4, 30, 9),
]


def axes_of(shape):
    pairs = [(i, j) for j in range(len(shape)) for i in range(j)]
    return [None, (), *range(-1, len(shape)), *pairs, *([(0, 2, 3)] if len(shape) == 4 else [])]


def layouts(x):
    yield x
    yield np.asfortranarray(x)
    yield np.repeat(x, 2, axis=-1)[..., ::2]
    yield x[::-1]


def assert_rounded(result, exact, dtype, scale=None):
    """Within 10⁻⁶ in float32, and half a unit in the last place (and a trifle) in float16."""
    assert result.dtype == dtype
    if dtype == np.float32:
        np.testing.assert_array_less(
            np.abs(result - exact), 1e-6 * (exact if scale is None else scale)
        )
    else:
        with np.errstate(over="ignore"):
            np.testing.assert_array_equal(result, np.asarray(exact).astype(np.float16))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("dtype", [np.float16, np.float32])
@pytest.mark.filterwarnings("ignore:overflow encountered in cast")
def test_sums_and_means_along_every_axis_in_every_layout(shape, dtype, generator):
    for x in (np.full(shape, 0.1, dtype), (generator.random(shape) + 0.1).astype(dtype)):
        for array in layouts(x):
            for axis in axes_of(shape):
                for keepdims in (False, True):
                    exact = np.sum(array, axis=axis, dtype=np.longdouble, keepdims=keepdims)
                    ours = sum_along(array, axis, keepdims)
                    assert ours.shape == exact.shape
                    assert not np.shares_memory(ours, array)
                    assert_rounded(ours, exact.astype(float), dtype)
                mean = exact / (array.size // exact.size)
                assert_rounded(mean_along(array, axis, True), mean.astype(float), dtype)


@pytest.mark.parametrize("shape", [(10**7,), (10**7, 1), (5 * 10**6, 2), (2, 5 * 10**6)], ids=str)
def test_ten_million_numbers(shape):
    x = np.full(shape, 0.1, np.float32)
    for axis in (None, *range(len(shape))):
        exact = float(x.flat[0]) * (x.size if axis is None else shape[axis])
        assert_rounded(sum_along(x, axis), exact, np.float32)
        assert_rounded(mean_along(x, axis), x.flat[0], np.float32)


def test_integers_booleans_and_wider_floats_are_as_in_numpy(generator):
    for dtype in (bool, np.int8, np.uint8, np.int64, np.float64, np.longdouble):
        x = (generator.random((300, 50)) * 100).astype(dtype)
        for axis in (None, 0, 1, (0, 1)):
            for ours, numpys in ((sum_along, np.sum), (mean_along, np.mean)):
                result, expected = ours(x, axis), numpys(x, axis=axis)
                assert result.dtype == expected.dtype
                np.testing.assert_allclose(result, expected, rtol=1e-13)


@pytest.mark.parametrize("function", [sum_along, mean_along])
def test_an_axis_out_of_range_or_given_twice_is_an_error_as_in_numpy(function):
    for shape in ((2, 3), (200, 300)):
        x = np.ones(shape, np.float32)
        for axis, message in (
            (2, "axis 2 is out of bounds"),
            ((0, 0), "(duplicate value|repeated axis)"),
        ):
            with pytest.raises(ValueError, match=message):
                function(x, axis)


@pytest.mark.parametrize("count", [0, 1, 64, 128, 129, 5000])
def test_sums_of_rows(count, generator):
    for dtype in (np.float16, np.float32, np.float64):
        x = generator.random((count, 3)).astype(dtype)
        exact = x.sum(0, dtype=float)
        result = sum_rows(x)
        assert result.dtype == dtype
        tolerance = {2: 5e-4, 4: 1e-6, 8: 1e-13}[x.itemsize]
        np.testing.assert_allclose(result, exact, rtol=tolerance)


def test_cumulative_sums(generator):
    x = generator.random((200_000, 2)).astype(np.float32)
    assert_rounded(cumsum_along(x, 0), np.cumsum(x, axis=0, dtype=float), np.float32)
    x = np.ones((3000, 2), np.float16)
    assert_rounded(cumsum_along(x, 0), np.cumsum(x, axis=0, dtype=float), np.float16)


def test_a_result_may_have_another_dtype():
    x = np.full(70_000, 1, np.float16)
    assert sum_along(x, dtype=np.dtype(np.float32)) == 70_000
    assert mean_along(np.full(3, 2**24 + 1), dtype=np.dtype(np.float64)) == 2**24 + 1
