"""Splits: every row in one part, the classes in both parts as in the whole."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from microgradx.data import stratified_split, train_test_split


@given(
    counts=st.lists(st.integers(2, 30), min_size=1, max_size=8),
    fraction=st.floats(0.01, 0.99),
    seed=st.integers(0, 5),
)
def test_proportions_are_kept(counts, fraction, seed):
    generator = np.random.default_rng(seed)
    y = generator.permutation(np.repeat(np.arange(len(counts)), counts))
    train, test = stratified_split(y, fraction, generator)
    assert np.array_equal(np.sort(np.concatenate([train, test])), np.arange(len(y)))
    assert np.all(np.diff(train) > 0)
    assert np.all(np.diff(test) > 0)
    in_test = np.bincount(y[test], minlength=len(counts))
    in_train = np.bincount(y[train], minlength=len(counts))
    assert in_test.min() >= 1
    assert in_train.min() >= 1
    shares = fraction * np.array(counts)
    assert np.all(abs(in_test - shares) < 1 + 1e-9)
    if np.all((shares >= 1) & (shares <= np.array(counts) - 1)):
        assert len(test) == round(fraction * len(y))


def test_digits_like_data_gives_the_fraction_asked_for():
    y = np.arange(1797) % 10
    train, test = stratified_split(y, 0.2, np.random.default_rng(0))
    assert (len(train), len(test)) == (1438, 359)
    assert set(np.bincount(y[test])) == {35, 36}


def test_remainders_decide_who_gives_one_more():
    y = np.repeat([0, 1, 2], [6, 8, 10])  # shares of 1.5, 2 and 2.5: 6 in all
    _, test = stratified_split(y, 0.25, np.random.default_rng(0))
    assert np.bincount(y[test]).tolist() == [2, 2, 2]


def test_the_seed_decides_the_rows():
    y = np.arange(100) % 3
    _, one = stratified_split(y, 0.3, np.random.default_rng(0))
    _, same = stratified_split(y, 0.3, np.random.default_rng(0))
    _, other = stratified_split(y, 0.3, np.random.default_rng(1))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


def test_every_row_is_as_likely_to_be_tested():
    generator = np.random.default_rng(0)
    y = np.repeat(["a", "b"], [10, 20])
    drawn = np.zeros(30)
    for _ in range(1000):
        drawn[stratified_split(y, 0.3, generator)[1]] += 1
    assert np.all(abs(drawn / 1000 - 0.3) < 5 * np.sqrt(0.3 * 0.7 / 1000))


@pytest.mark.parametrize(
    ("y", "fraction", "message"),
    [
        (["cat", "dog", "cat"], 0.5, "1 of 2 classes have a single row: 'dog'; each needs 2"),
        (np.arange(9), 0.5, "9 of 9 classes have a single row: 0, 1, 2, 3, 4, …;"),
        ([0, 0], 0.0, "test_size must be between 0 and 1, not 0.0"),
        ([0, 0], 1, "test_size must be between 0 and 1, not 1"),
        ([0, 0], float("nan"), "test_size must be between 0 and 1, not nan"),
        ([], 0.5, r"y of shape \(0,\) must have one axis, with a label"),
        ([[0], [0]], 0.5, r"y of shape \(2, 1\) must have one axis"),
    ],
)
def test_what_cannot_be_split_is_refused(y, fraction, message):
    with pytest.raises(ValueError, match=message):
        stratified_split(y, fraction)


def test_train_test_split_keeps_rows_and_labels_together():
    X, y = np.arange(60.0).reshape(30, 2), np.arange(30) % 3
    X_train, X_test, y_train, y_test = train_test_split(X, y, 0.2, np.random.default_rng(0))
    assert (len(X_train), len(X_test)) == (24, 6)
    assert np.bincount(y_test).tolist() == [2, 2, 2]
    assert np.array_equal(X_train[:, 0] / 2 % 3, y_train)
    assert np.array_equal(X_test[:, 0] / 2 % 3, y_test)


def test_targets_that_are_not_labels_are_split_without_regard_to_them():
    X, y = np.ones((10, 2)), np.linspace(0, 1, 10)
    with pytest.raises(ValueError, match="10 of 10 classes have a single row"):
        train_test_split(X, y)
    _, _, y_train, y_test = train_test_split(X, y, 0.3, stratify=False)
    assert (len(y_train), len(y_test)) == (7, 3)
    assert np.array_equal(np.sort(np.concatenate([y_train, y_test])), y)


def test_lengths_that_differ_are_refused():
    with pytest.raises(ValueError, match="must have the same number of rows"):
        train_test_split(np.ones((3, 2)), [0, 0])
