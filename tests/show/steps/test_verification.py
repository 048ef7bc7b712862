"""Whether what is said of numbers is so."""

import numpy as np
import pytest

from microgradx.show.steps.steps import Formula, Picked, Products, Reduced, Weighted
from microgradx.show.steps.verification import MOST_ELEMENTS, agree, holds

X = np.array([1.0, -2.0, 3.0])


def test_arrays_agree_up_to_rounding():
    assert agree(X * (1 + 1e-9), X)
    assert not agree(X * (1 + 1e-7), X)
    assert agree(X.astype(np.float32), np.float32(X) * np.float32(1 + 1e-5))
    assert not agree([1.0, -2.0, 3.001], X)
    assert not agree(np.array([1.0, 0.0]), np.array([1.0, 1e-20]))


def test_the_rest_of_a_sum_is_rounded_as_its_terms_are():
    rest, value = np.array(2e-17), np.array(-3e-17)
    assert not agree(rest, value)
    assert agree(rest, value, terms=np.array(0.5))


def test_nan_agrees_with_nan_alone_and_infinities_with_themselves():
    special = np.array([np.nan, np.inf, -np.inf])
    assert agree(special, special)
    for number in special:
        for other in {0.0, 1e300, np.inf, -np.inf, np.nan} - {number}:
            if not (np.isnan(number) and np.isnan(other)):
                assert not agree(other, np.array(number), terms=1.0)
                assert not agree(number, np.array(other), terms=1.0)


def test_shapes_must_fit():
    assert agree(1.0, np.ones((2, 3)))
    assert not agree(np.ones((2, 3)), np.array(1.0))


@pytest.mark.parametrize(
    ("how", "value", "wrong"),
    [
        (Formula("{x}² - 1", {"x": X}), X**2 - 1, X**2),
        (Products("i,i->", (X, X), np.array(1.0)), np.array(15.0), np.array(14.0)),
        (Weighted(X, np.eye(3)[::-1], np.array(1.0)), X[::-1] + 1, X + 1),
        (Picked((X, X), np.array([5, -1, 0])), np.array([3.0, 0, 1]), np.array([3.0, 1, 1])),
        (Reduced(X, (0,), "max(", ", ", ")"), np.array(3.0), np.array(1.0)),
        (Reduced(X[None], (1,), "√(", "² + ", "²)"), np.array([14**0.5]), np.array([2.0])),
    ],
)
def test_a_how_holds_for_its_own_value_alone(how, value, wrong):
    assert holds(how, value)
    assert not holds(how, wrong)


def test_what_says_nothing_does_not_hold():
    assert not holds(Formula("{x}, rounded", {"x": X}), X)
    assert not holds(Formula("{x} + {y}", {"x": X, "y": np.ones(2)}), X)
    assert not holds(Products("ij->i", (X,)), X)
    assert not holds(Picked((X,), np.array([9])), X[:1])


def test_what_weighs_nothing_may_be_infinite():
    assert holds(Weighted(np.array([np.inf, 2.0]), np.array([[0.0], [3.0]])), np.array([6.0]))


@pytest.mark.parametrize(
    ("opening", "joiner", "closing", "function"),
    [
        ("", " + ", "", np.sum),
        ("(", " + ", ") / 5000", np.mean),
        ("", " · ", "", np.prod),
        ("max(", ", ", ")", np.max),
        ("min(", ", ", ")", np.min),
    ],
)
def test_long_reductions_are_checked_too(opening, joiner, closing, function):
    x = np.random.default_rng(0).uniform(0.99, 1.01, (5000, 2))
    assert len(x) > MOST_ELEMENTS
    how = Reduced(x, (0,), opening, joiner, closing)
    assert holds(how, function(x, axis=0))
    assert not holds(how, function(x[:-1], axis=0) + 1e-3)
    assert not holds(Reduced(x, (0,), "ln(e^", " + e^", ")"), np.log(np.sum(np.exp(x), axis=0)))
