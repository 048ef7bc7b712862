"""Calibration errors: against the definition written out, at ties, edges and empty bins."""

import numpy as np
import pytest

import microgradx as mg
from microgradx.metrics import (
    expected_calibration_error,
    maximum_calibration_error,
    reliability_curve,
)


def gaps_by_definition(labels, p, in_bin):
    """Rows and |accuracy - confidence| of each bin that is not empty, one row after another."""
    found = {}
    for label, row in zip(labels, p, strict=True):
        found.setdefault(in_bin(max(row)), []).append((np.argmax(row) == label, max(row)))
    return [(len(rows), abs(np.mean(rows, axis=0) @ [1, -1])) for rows in found.values()]


@pytest.fixture
def rows(generator):
    p = mg.softmax(generator.normal(size=(217, 5)) * 2)
    return generator.integers(0, 5, 217), p


@pytest.mark.parametrize("n_bins", [1, 2, 7, 15, 100])
def test_bins_of_equal_width_follow_the_definition(rows, n_bins):
    labels, p = rows
    gaps = gaps_by_definition(labels, p, lambda c: int(np.ceil(c * n_bins)))
    ece = sum(n * gap for n, gap in gaps) / len(labels)
    assert expected_calibration_error(labels, p, n_bins=n_bins) == pytest.approx(ece, rel=1e-12)
    mce = max(gap for _, gap in gaps)
    assert maximum_calibration_error(labels, p, n_bins=n_bins) == pytest.approx(mce, rel=1e-12)


@pytest.mark.parametrize("n_bins", [1, 2, 7, 15, 217, 1000])
def test_bins_of_equal_mass_hold_equally_many_rows(rows, n_bins):
    labels, p = rows
    curve = reliability_curve(labels, p, n_bins=n_bins, strategy="quantile")
    assert curve.count.sum() == 217
    assert len(curve.count) == min(n_bins, 217)
    assert curve.count.max() - curve.count.min() <= 1
    order = np.argsort(p.max(axis=1))
    parts = np.split(order, np.cumsum(curve.count)[:-1])
    right = p.argmax(axis=1) == labels
    gaps = [abs(np.mean(right[part]) - np.mean(p.max(axis=1)[part])) for part in parts]
    ece = np.average(gaps, weights=curve.count)
    actual = expected_calibration_error(labels, p, n_bins=n_bins, strategy="quantile")
    assert actual == pytest.approx(ece, rel=1e-12)
    actual = maximum_calibration_error(labels, p, n_bins=n_bins, strategy="quantile")
    assert actual == pytest.approx(max(gaps), rel=1e-12)


@pytest.mark.parametrize("strategy", ["uniform", "quantile"])
def test_the_order_of_rows_does_not_matter_even_with_ties(generator, strategy):
    confidence = generator.choice([0.6, 0.7, 0.8], 60)
    p = np.stack([confidence, 1 - confidence], axis=1)
    labels = generator.integers(0, 2, 60)
    values = set()
    for _ in range(10):
        rows = generator.permutation(60)
        values.add(round(expected_calibration_error(labels[rows], p[rows], strategy=strategy), 12))
    by_value = [
        np.mean(confidence == c) * abs(np.mean(labels[confidence == c] == 0) - c)
        for c in (0.6, 0.7, 0.8)
    ]
    assert values == {round(sum(by_value), 12)}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_confidence_on_an_edge_is_in_the_bin_below(dtype):
    for k in range(6, 11):
        confidence = dtype(k / 10)
        curve = reliability_curve([0], np.array([[confidence, 1 - confidence]], dtype), n_bins=10)
        assert np.flatnonzero(curve.count).tolist() == [k - 1]


def test_empty_bins_are_nan_in_the_curve_and_count_for_nothing():
    curve = reliability_curve([0, 1], [[0.95, 0.05], [0.05, 0.95]], n_bins=10)
    assert curve.count.tolist() == [0] * 9 + [2]
    assert np.isnan(curve.accuracy[:9]).all()
    assert curve.accuracy[9] == 1
    assert curve.gaps == pytest.approx([0.05])
    assert curve.edges.tolist() == [k / 10 for k in range(11)]


def test_probabilities_that_are_right_have_small_errors_and_wrong_ones_large(generator):
    p = np.full((20000, 2), [0.8, 0.2])
    labels = (generator.random(20000) > 0.8).astype(int)
    assert expected_calibration_error(labels, p) < 0.01
    overconfident = np.full((20000, 2), [0.95, 0.05])
    assert expected_calibration_error(labels, overconfident) == pytest.approx(0.15, abs=0.01)
    assert maximum_calibration_error(labels, overconfident) == pytest.approx(0.15, abs=0.01)


def test_settings_that_make_no_bins_are_refused():
    for n_bins in (0, -1, 2.5):
        with pytest.raises(ValueError, match="n_bins must be a whole number"):
            reliability_curve([0], [[1.0, 0.0]], n_bins=n_bins)
    with pytest.raises(ValueError, match='"uniform" or "quantile", not \'equal\''):
        expected_calibration_error([0], [[1.0, 0.0]], strategy="equal")
