"""What the fused softmax family computes on the way."""

import numpy as np
import pytest

import microgradx as mg
from microgradx.show.formulas.numbers_in_formula import substitute_numbers
from microgradx.show.steps.step_builder import steps_of
from tests.helpers import leaf

LOGITS = np.random.default_rng(0).normal(size=(2, 3, 4)) * 3


def step_of(out, kind):
    return next(s for s in steps_of(out.sum()) if s.kind == kind and s.tensor is out)


def rows_of(array, axis):
    return np.moveaxis(array, axis, -1).reshape(-1, array.shape[axis])


@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("function", [mg.softmax, mg.log_softmax])
def test_softmax_shows_exponentials_sums_and_probabilities(function, axis):
    out = function(leaf(LOGITS), axis=axis)
    expected = rows_of(LOGITS, axis)
    e = np.exp(expected - expected.max(axis=1, keepdims=True))
    for kind in ("forward", "backward"):
        bars = step_of(out, kind).bars
        np.testing.assert_array_equal(bars.logits, expected)
        np.testing.assert_allclose(bars.exponentials, e, rtol=1e-15)
        np.testing.assert_allclose(bars.sums, e.sum(axis=1))
        np.testing.assert_allclose(bars.probabilities, e / e.sum(axis=1, keepdims=True))
        assert bars.targets is bars.differences is None


def test_a_temperature_divides_the_logits_first():
    out = mg.softmax(leaf([2.0, 1.0, 0.0]), temperature=0.5)
    step = step_of(out, "forward")
    np.testing.assert_array_equal(step.bars.logits, [[4, 2, 0]])
    np.testing.assert_allclose(step.bars.probabilities, [[0.8668, 0.1173, 0.0159]], atol=5e-5)
    assert substitute_numbers(step.derivation, (1,)) == "e^((1 - 2) / 0.5) / 1.154"
    # By the temperature, where it requires a gradient, they are not shown again.
    temperature = leaf(0.5)
    out = mg.softmax(leaf([2.0, 1.0]), temperature=temperature)
    shown = [s.bars is not None for s in steps_of(out.sum()) if s.tensor is out]
    assert shown == [True, True, False, False]


def test_the_log_of_a_sum_of_exponentials_is_over_all_its_axes():
    for axis, rows in ((None, LOGITS.reshape(1, -1)), ((0, 2), None), (1, rows_of(LOGITS, 1))):
        out = mg.logsumexp(leaf(LOGITS), axis=axis)
        bars = step_of(out, "forward").bars
        if rows is None:
            rows = np.transpose(LOGITS, (1, 0, 2)).reshape(3, 8)
        np.testing.assert_array_equal(bars.logits, rows)
        np.testing.assert_allclose(np.log(bars.sums) + rows.max(axis=1), out.data.ravel())


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize(
    ("axis", "target", "options"),
    [
        (-1, [0, 2], {}),
        (1, [0, 2], {"label_smoothing": 0.15}),
        (1, [1, 2], {"weight": np.array([0.5, 2, 1])}),
        (1, [1, 2], {"weight": np.array([0.5, 2, 1]), "ignore_index": 1, "label_smoothing": 0.3}),
        (1, [[0.2, 0.3, 0.5], [0, 1, 0]], {}),
        (0, [0, 1, 1], {"ignore_index": 0}),
    ],
)
def test_a_loss_shows_targets_and_differences(axis, target, options, reduction, dtype):
    logits = leaf(LOGITS[:, :, 0], dtype)
    out = mg.cross_entropy(logits, np.array(target), axis=axis, reduction=reduction, **options)
    step, back = step_of(out, "forward"), step_of(out, "backward")
    bars = step.bars
    total = np.sum(bars.targets * -np.log(bars.probabilities), axis=1)
    expected = mg.cross_entropy(
        logits.data, np.array(target), axis=axis, reduction="none", **options
    )
    np.testing.assert_allclose(total, expected, rtol=1e-5)
    mass = bars.targets.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(
        bars.differences, mass * bars.probabilities - bars.targets, atol=1e-6
    )
    losses = mg.cross_entropy(logits, np.array(target), axis=axis, reduction="sum", **options)
    losses.backward()
    np.testing.assert_allclose(bars.differences, rows_of(logits.grad, axis), rtol=1e-6)
    assert step.derivation is not None
    assert back.local_formula.replace("(", "").startswith("p - y")
    assert back.bars is not None


def test_the_loss_of_one_row_is_the_logarithm_of_its_probability():
    logits = leaf([[2.0, 1.0, 0.1]])
    forward, _, back = steps_of(mg.cross_entropy(logits, np.array([0])))
    assert substitute_numbers(forward.derivation, ()) == "-ln(0.659)"
    assert (back.formula, back.local_formula) == ("g · (p - y)", "p - y")
    assert [substitute_numbers(back.local_derivation, (0, i)) for i in range(3)] == [
        "0.659 - 1",
        "0.2424 - 0",
        "0.09857 - 0",
    ]
    soft = mg.cross_entropy(logits, np.array([[0.9, 0.05, 0.05]]))
    assert (
        substitute_numbers(steps_of(soft)[0].derivation, ())
        == "0.9 · 0.417 + 0.05 · 1.417 + 0.05 · 2.317"
    )


def test_the_loss_of_several_rows_is_their_mean():
    logits = leaf([[2.0, 1.0, 0.1], [1.0, 3.0, 0.5]])
    forward, _, back = steps_of(mg.cross_entropy(logits, np.array([0, 1])))
    assert substitute_numbers(forward.derivation, ()) == "(0.417 + 0.1967) / 2"
    assert back.formula == "g · ((p - y) / 2)"
    assert substitute_numbers(back.local_derivation, (1, 0)) == "(0.1112 - 0) / 2"


def test_a_confident_row_is_explained_although_p_minus_y_cancels():
    logits = leaf([[40.0, 0.0]])
    _, _, back = steps_of(mg.cross_entropy(logits, np.array([0])))
    assert back.local_formula == "p - y"
    np.testing.assert_allclose(back.bars.differences, [[-np.exp(-40), np.exp(-40)]])


def test_logits_of_minus_infinity_have_no_bar():
    out = mg.softmax(leaf([0.0, -np.inf, 0.0]))
    np.testing.assert_array_equal(step_of(out, "forward").bars.probabilities, [[0.5, 0, 0.5]])


def test_composed_softmax_and_other_ops_have_no_bars():
    out = mg.softmax(leaf([0.0, 1.0]), fused=False)
    assert all(step.bars is None for step in steps_of(out.sum()))
    assert step_of(mg.softmax(leaf(np.zeros((0, 3)))), "forward").bars is None
