"""What is said of an array: its elements if they are few, else the spread and a strip."""

import numpy as np
import pytest

from microgradx.show.graphs.summaries import summarize


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.longdouble])
def test_few_elements_lie_as_in_the_array(dtype):
    shown = summarize((np.arange(6, dtype=dtype) / 3).reshape(1, 2, 3))
    assert shown.lines == [
        [float(dtype(i) / dtype(3)) for i in line] for line in ([0, 1, 2], [3, 4, 5])
    ]
    assert all(type(value) is float for line in shown.lines for value in line)
    assert (shown.shape, shown.spread, shown.strip) == ((1, 2, 3), [], [])
    assert shown.dtype == np.dtype(dtype).name


def test_a_column_is_shown_as_a_line():
    assert summarize(np.arange(3).reshape(3, 1)).lines == [[0, 1, 2]]
    assert summarize(np.array(2.5)).lines == [[2.5]]


def test_many_elements_are_summed_up():
    shown = summarize(np.arange(7))
    assert (shown.lines, shown.spread, shown.strip) == ([], [0, 3.0, 6], list(range(7)))
    assert summarize(np.array([True] * 6 + [False])).spread == [False, pytest.approx(6 / 7), True]
    half = summarize(np.arange(7, dtype=np.float16) / 3)
    assert [type(value) for value in half.spread] == [float] * 3


@pytest.mark.parametrize("shape", [(160,), (4, 40), (16, 2, 5)])
def test_a_strip_has_the_means_of_stretches_in_order(shape, generator):
    array = generator.normal(size=shape)
    np.testing.assert_allclose(summarize(array).strip, array.reshape(16, 10).mean(axis=1))
    assert summarize(array.T).strip != summarize(array).strip or len(shape) == 1


def test_uneven_stretches():
    array = np.arange(37.0)
    assert summarize(array).strip == [part.mean() for part in np.array_split(array, 16)]


def test_what_is_not_finite_is_counted_apart():
    shown = summarize(np.array([np.nan, 1.0, 2.0, 3.0, np.inf, -np.inf, np.nan]))
    assert (shown.spread, shown.nans, shown.infinities) == ([1, 2, 3], 2, 2)
    np.testing.assert_equal(shown.strip, [np.nan, 1, 2, 3, np.nan, np.nan, np.nan])
    assert not shown.is_finite
    assert summarize(np.full(7, np.nan)).spread == []
    assert not summarize(np.array([0.0, -np.inf])).is_finite
    assert summarize(np.arange(9)).is_finite


@pytest.mark.parametrize(
    ("array", "value"),
    [
        (np.full(9, 1.7e308), 1.7e308),
        (np.full(32, -1.7e308), -1.7e308),
        (np.full(9, 60000, np.float16), 60000),
        (np.full(9, 6e-8, np.float16), float(np.float16(6e-8))),
        (np.full(9, 2**62), 2.0**62),
    ],
)
def test_means_of_large_numbers_and_of_small_ones_are_right(array, value):
    shown = summarize(array)
    np.testing.assert_allclose([*shown.spread, *shown.strip], value, rtol=1e-12)


def test_empty():
    shown = summarize(np.zeros((2, 0)))
    assert (shown.lines, shown.spread, shown.strip, shown.is_finite) == ([], [], [], True)


def test_later_changes_make_no_difference():
    array = np.arange(9.0)
    before = summarize(array)
    array[:] = 7
    assert before.spread == [0, 4, 8]
