"""Sampling: frequencies against probabilities, what filters leave, limits, and what is refused."""

import numpy as np
import pytest
from scipy import stats

import microgradx as mg

DRAWS = 4_000
METHODS = pytest.mark.parametrize("method", [mg.sample, mg.gumbel_max])


def frequencies(method, logits, **settings):
    rows = np.broadcast_to(logits, (DRAWS, len(logits)))
    labels = method(rows, generator=np.random.default_rng(0), **settings)
    return np.bincount(labels, minlength=len(logits))


def agree(counts, p):
    """Whether chi-square finds that counts came from p, with no draw of what cannot come."""
    possible = p > 0
    assert counts[~possible].sum() == 0
    if possible.sum() == 1:
        return True
    return stats.chisquare(counts[possible], DRAWS * p[possible] / p.sum()).pvalue > 1e-3


@METHODS
@pytest.mark.parametrize("temperature", [0.3, 1.0])
@pytest.mark.parametrize(
    "logits",
    [[2.0, 1.0, 0.1], [0.0, 0.0, 0.0, 0.0], [-np.inf, 1.0, 0.0, -np.inf], [1000.0, 999.0, -1e300],
     np.linspace(-3, 3, 30), [5.0], np.float32([1.0, 2.0]), [3, 1, 2]],
)  # fmt: skip
def test_frequencies_are_the_probabilities(method, logits, temperature):
    p = mg.softmax(np.asarray(logits, float), temperature=temperature)
    assert agree(frequencies(method, logits, temperature=temperature), p)
    if len(logits) > 1 and np.ptp(p[p > 0]) > 0.01:  # the test can fail
        assert not agree(frequencies(method, logits, temperature=2 * temperature), p)


@METHODS
def test_filters_leave_the_largest_with_their_proportions(method):
    p = np.array([0.05, 0.4, 0.15, 0.3, 0.1])
    logits = np.log(p)
    for settings, kept in [
        ({"top_k": 1}, [1]),
        ({"top_k": 3}, [1, 3, 2]),
        ({"top_k": 99}, range(5)),
        ({"top_p": 0.4}, [1]),
        ({"top_p": 0.41}, [1, 3]),
        ({"top_p": 0.7}, [1, 3]),
        ({"top_p": 0.96}, range(5)),
        ({"top_p": 1.0}, range(5)),
        ({"top_p": 1e-12}, [1]),
        ({"top_p": 1e-300}, [1]),
        ({"top_k": 3, "top_p": 0.8}, [1, 3]),  # 0.4 / 0.85 + 0.3 / 0.85 = 0.82
        ({"top_k": 2, "top_p": 0.99}, [1, 3]),
    ]:
        possible = np.isin(np.arange(5), list(kept))
        assert agree(frequencies(method, logits, **settings), np.where(possible, p, 0)), settings
    # Temperature comes first: at 0.5 the probabilities are as p².
    squares = p**2 / np.sum(p**2)
    kept = np.where(np.isin(np.arange(5), [1, 3]), squares, 0)
    assert squares[1] < 0.6 < squares[1] + squares[3]
    assert agree(frequencies(method, logits, temperature=0.5, top_p=0.6), kept)


@METHODS
def test_limits_and_ties_take_the_first_of_the_largest(method, generator):
    logits = np.round(generator.normal(size=(50, 6)))
    expected = logits.argmax(axis=1)
    for settings in (
        {"temperature": 0},
        {"top_k": 1},
        {"top_p": 1e-9},
        {"temperature": 0.0, "top_p": 1},
    ):
        np.testing.assert_array_equal(method(logits, **settings), expected)
    ties = [1.0, 3.0, 3.0, 3.0]
    assert agree(frequencies(method, ties, top_k=2), np.array([0, 1, 1, 0]))
    assert agree(frequencies(method, ties, temperature=1e-300), np.array([0, 1, 1, 1]))


@pytest.mark.parametrize("drawn", [0.0, 1 - 2.0**-53])
def test_the_ends_of_the_unit_interval_draw_nothing_impossible(drawn):
    class Fixed(np.random.Generator):
        def random(self, size=None):
            return np.full(size, drawn)

    logits = np.array([[-np.inf, 0.1, -1e9, 0.7, -np.inf]] * 3)
    label = 1 if drawn == 0 else 3
    assert mg.sample(logits, generator=Fixed(np.random.PCG64(0))).tolist() == [label] * 3


@METHODS
def test_shapes(method):
    single = method([0.0, 50.0])
    assert single == 1
    assert isinstance(single, np.integer)
    assert method(np.zeros((3, 4, 5))).shape == (3, 4)
    assert method(np.zeros((0, 5))).shape == (0,)
    assert method(mg.Tensor(np.zeros((2, 3)), requires_grad=True)).dtype == np.intp
    hot = np.full((2, 3, 4), -np.inf)
    hot[..., 2] = 0
    assert np.all(method(hot) == 2)


@METHODS
def test_the_same_seed_draws_the_same(method):
    logits = np.zeros((100, 10))
    first, second = (method(logits, generator=np.random.default_rng(3)) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    mg.manual_seed(3)
    np.testing.assert_array_equal(method(logits), first)
    assert np.any(method(logits) != first)


@METHODS
def test_logits_are_not_changed(method):
    logits = np.array([[2.0, 1.0, 0.0]])
    method(logits, top_k=1, top_p=0.5, temperature=0.5)
    assert logits.tolist() == [[2.0, 1.0, 0.0]]


@METHODS
@pytest.mark.parametrize(
    ("logits", "settings", "message"),
    [
        ([0.0, np.nan], {}, "row 0? ?.*is nan"),
        ([[0.0, 1.0], [np.inf, 0.0]], {}, "row 1 is inf"),
        ([[[0.0], [-np.inf]]], {}, r"row \(0, 1\) is -inf"),
        (3.0, {}, r"shape \(\)"),
        (np.zeros((2, 0)), {}, r"shape \(2, 0\)"),
        (["a"], {}, "must be numbers"),
        ([0.0], {"temperature": -1}, "from 0 up, not -1"),
        ([0.0], {"temperature": np.nan}, "from 0 up, not nan"),
        ([0.0], {"temperature": np.inf}, "from 0 up, not inf"),
        ([0.0], {"top_k": 0}, "top_k must be a whole number"),
        ([0.0], {"temperature": "cold"}, "from 0 up, not 'cold'"),
        ([0.0], {"top_k": True}, "top_k must be a whole number"),
        ([0.0], {"top_k": 1.5}, "top_k must be a whole number"),
        ([0.0], {"top_p": 0}, "top_p must be above 0"),
        ([0.0], {"top_p": 1.5}, "top_p must be above 0"),
    ],
)
def test_what_cannot_be_drawn_from_is_refused(method, logits, settings, message):
    with pytest.raises(ValueError, match=message):
        method(logits, **settings)
