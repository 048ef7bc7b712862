"""Whether what is said of numbers is so."""

import numpy as np
import pytest

from microgradx.show.formulas.derivations import Einsum, Formula, Gather, LinearCombination, Reduce
from microgradx.show.formulas.verification import MAX_ELEMENTS, is_close, reproduces

X = np.array([1.0, -2.0, 3.0])


def test_arrays_agree_up_to_rounding():
    assert is_close(X * (1 + 1e-9), X)
    assert not is_close(X * (1 + 1e-7), X)
    assert is_close(X.astype(np.float32), np.float32(X) * np.float32(1 + 1e-5))
    assert not is_close([1.0, -2.0, 3.001], X)
    assert not is_close(np.array([1.0, 0.0]), np.array([1.0, 1e-20]))


def test_the_rest_of_a_sum_is_rounded_as_its_terms_are():
    rest, value = np.array(2e-17), np.array(-3e-17)
    assert not is_close(rest, value)
    assert is_close(rest, value, terms=np.array(0.5))


def test_nan_agrees_with_nan_alone_and_infinities_with_themselves():
    special = np.array([np.nan, np.inf, -np.inf])
    assert is_close(special, special)
    for number in special:
        for other in {0.0, 1e300, np.inf, -np.inf, np.nan} - {number}:
            if not (np.isnan(number) and np.isnan(other)):
                assert not is_close(other, np.array(number), terms=1.0)
                assert not is_close(number, np.array(other), terms=1.0)


def test_shapes_must_fit():
    assert is_close(1.0, np.ones((2, 3)))
    assert not is_close(np.ones((2, 3)), np.array(1.0))


@pytest.mark.parametrize(
    ("derivation", "value", "wrong"),
    [
        (Formula("{x}² - 1", {"x": X}), X**2 - 1, X**2),
        (Einsum("i,i->", (X, X), np.array(1.0)), np.array(15.0), np.array(14.0)),
        (LinearCombination(X, np.eye(3)[::-1], np.array(1.0)), X[::-1] + 1, X + 1),
        (Gather((X, X), np.array([5, -1, 0])), np.array([3.0, 0, 1]), np.array([3.0, 1, 1])),
        (Reduce(X, (0,), "max(", ", ", ")"), np.array(3.0), np.array(1.0)),
        (Reduce(X[None], (1,), "√(", "² + ", "²)"), np.array([14**0.5]), np.array([2.0])),
    ],
)
def test_a_derivation_holds_for_its_own_value_alone(derivation, value, wrong):
    assert reproduces(derivation, value)
    assert not reproduces(derivation, wrong)


def test_what_says_nothing_does_not_hold():
    assert not reproduces(Formula("{x}, rounded", {"x": X}), X)
    assert not reproduces(Formula("{x} + {y}", {"x": X, "y": np.ones(2)}), X)
    assert not reproduces(Einsum("ij->i", (X,)), X)
    assert not reproduces(Gather((X,), np.array([9])), X[:1])


def test_what_weighs_nothing_may_be_infinite():
    assert reproduces(
        LinearCombination(np.array([np.inf, 2.0]), np.array([[0.0], [3.0]])), np.array([6.0])
    )


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
    assert len(x) > MAX_ELEMENTS
    derivation = Reduce(x, (0,), opening, joiner, closing)
    assert reproduces(derivation, function(x, axis=0))
    assert not reproduces(derivation, function(x[:-1], axis=0) + 1e-3)
    assert not reproduces(Reduce(x, (0,), "ln(e^", " + e^", ")"), np.log(np.sum(np.exp(x), axis=0)))
