"""Batches: every row once a pass, with its label, in an order that the seed decides."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from microgradx import Tensor
from microgradx.data import batches


@given(
    rows=st.integers(1, 40),
    batch_size=st.integers(1, 45),
    shuffle=st.booleans(),
    drop_last=st.booleans(),
)
def test_every_row_comes_once_with_its_label(rows, batch_size, shuffle, drop_last):
    X = np.arange(2 * rows).reshape(rows, 2)
    y = 10 * np.arange(rows)
    if drop_last and batch_size > rows:
        with pytest.raises(ValueError, match=f"{rows} rows give no batch of {batch_size}"):
            batches(X, y, batch_size, drop_last=True)
        return
    passes = batches(X, y, batch_size, None, shuffle, drop_last)
    pairs = list(passes)
    assert len(pairs) == len(passes)
    sizes = [len(y_batch) for _, y_batch in pairs]
    assert all(size == batch_size for size in sizes[:-1])
    assert 1 <= sizes[-1] <= batch_size
    assert sum(sizes) == (rows // batch_size * batch_size if drop_last else rows)
    for X_batch, y_batch in pairs:
        assert np.array_equal(X_batch[:, 0] * 5, y_batch)
    seen = np.concatenate([y_batch for _, y_batch in pairs])
    assert len(set(seen.tolist())) == len(seen)
    if not shuffle:
        assert np.array_equal(seen, y[: len(seen)])


def order(passes):
    return np.concatenate([y for _, y in passes]).tolist()


def test_each_pass_has_an_order_of_its_own_and_the_seed_decides_it():
    X, y = np.zeros((50, 1)), np.arange(50)
    passes = batches(X, y, 8, np.random.default_rng(0))
    first, second = order(passes), order(passes)
    assert first != second
    assert first != list(range(50))
    again = batches(X, y, 8, np.random.default_rng(0))
    assert [order(again), order(again)] == [first, second]
    other_size = batches(X, y, 13, np.random.default_rng(0))  # one permutation a pass, whole
    assert [order(other_size), order(other_size)] == [first, second]


def test_lists_and_tensors_are_taken_and_dtypes_kept():
    X, y = Tensor(np.ones((3, 2), np.float32), requires_grad=True), [0, 1, 2]
    for X_batch, y_batch in batches(X, y, 2):
        assert type(X_batch) is np.ndarray
        assert X_batch.dtype == np.float32
        assert y_batch.dtype == np.dtype(int)


def test_batches_in_order_are_views():
    X = np.ones((4, 2))
    X_batch, _ = next(iter(batches(X, X, 2, shuffle=False)))
    assert np.shares_memory(X_batch, X)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((np.ones((3, 2)), [0, 1], 2), r"X of shape \(3, 2\) and y of shape \(2,\) must have the"),
        ((1.0, 0, 1), "the same number of rows"),
        ((np.ones((0, 2)), [], 2), r"X of shape \(0, 2\) .* have no rows"),
        ((np.ones((3, 2)), [0, 1, 2], 0), "batch_size must be 1 or more, not 0"),
    ],
)
def test_what_does_not_fit_is_refused_at_once(arguments, message):
    with pytest.raises(ValueError, match=message):
        batches(*arguments)


def test_a_batch_size_that_is_not_an_integer_is_refused_at_once():
    with pytest.raises(TypeError, match="integer"):
        batches([1.0], [0], 2.5)
