"""gradcheck: it must pass right rules, catch wrong ones, and say what it saw."""

import html

import numpy as np
import pytest

import microgradx as mg
from microgradx.checking.gradients import GradcheckError, GradcheckReport
from tests.checking.wrong_rules import wrong
from tests.helpers import op_with

WRONG_RULES = {
    "factor 2": (np.square, lambda g, out, x: 4 * g * x),
    "sign": (np.sin, lambda g, out, x: -g * np.cos(x)),
    "missing upstream": (np.exp, lambda g, out, x: out),
    "missing chain factor": (np.tanh, lambda g, out, x: g),
    "one of two uses": (lambda x: x * x, lambda g, out, x: g * x),
    "sum as mean": (np.sum, lambda g, out, x: np.broadcast_to(g / x.size, x.shape)),
    "wrong axis": (lambda x: np.cumsum(x, axis=1), lambda g, out, x: np.cumsum(g, axis=1)),
    "only the first row": (
        lambda x: x * 2,
        lambda g, out, x: 2 * g * (np.arange(len(x)) == 0)[:, None],
    ),
    "transposed": (lambda x: x @ x, lambda g, out, x: g @ x + x @ g),
    "nan": (np.exp, lambda g, out, x: g * np.nan),
    "tiny": (np.exp, lambda g, out, x: g * out * (1 + 1e-3)),
}


@pytest.mark.parametrize("name", WRONG_RULES)
def test_wrong_rules_are_caught(name, generator):
    forward, backward = WRONG_RULES[name]
    x = generator.normal(size=(3, 3))
    with pytest.raises(GradcheckError, match="does not agree with finite differences") as caught:
        mg.gradcheck(wrong(forward, backward), x)
    report = caught.value.report
    assert not report
    assert report.mismatches[0].order == 1
    assert not mg.gradcheck(wrong(forward, backward), x, raise_exception=False)


def test_a_rule_wrong_only_in_second_order_is_caught_there(generator):
    # The factor is right as a number, but a constant where a Tensor was due.
    op = wrong(np.exp, lambda g, out, x: g * np.exp(x.data if isinstance(x, mg.Tensor) else x))
    x = generator.normal(size=3)
    assert mg.gradcheck(op, x)
    with pytest.raises(GradcheckError, match="second-order gradient") as caught:
        mg.gradcheck(op, x, order=2)
    assert caught.value.report.mismatches[0].order == 2


def test_right_rules_pass_at_any_scale():
    for scale in (1e-2, 1.0, 1e6):
        assert mg.gradcheck(lambda x: mg.log(x) * x, scale * np.array([0.5, 1, 2]), order=1)
    assert mg.gradcheck(lambda x: 1e9 * mg.tanh(x), np.array([0.3, -2.0]))


def test_the_message_shows_the_worst_element_and_both_values():
    op = wrong(lambda x: 3 * x, lambda g, out, x: g * np.where(np.arange(4) == 2, 30.0, 3.0))
    with pytest.raises(GradcheckError) as caught:
        mg.gradcheck(op, mg.Tensor(np.ones(4), requires_grad=True, name="w"))
    lines = str(caught.value).splitlines()
    assert lines[2] == "input 0, Tensor 'w' (float64, shape (4,)): wrong at 1 of 4 elements"
    assert lines[3].split() == ["analytic", "│", "numeric", "│", "difference"]
    rows = [line.replace("│", "").split() for line in lines[4:8]]
    assert [row[-1] == "◀" for row in rows] == [False, False, True, False]
    analytic, numeric, difference = map(float, rows[2][:3])
    assert analytic == pytest.approx(10 * numeric, rel=1e-3)
    assert difference == pytest.approx(9 * numeric, rel=1e-3)
    (mismatch,) = caught.value.report.mismatches
    assert (mismatch.input, mismatch.index) == (0, (2,))
    assert mismatch.analytic == pytest.approx(10 * mismatch.numeric)


def test_only_the_wrong_input_is_blamed():
    op = wrong(lambda x, y: x * y, lambda g, out, x, y: (g * y, g * y))
    with pytest.raises(GradcheckError) as caught:
        mg.gradcheck(op, [np.array([2.0, 3.0]), np.array([5.0, 7.0])])
    assert "input 1" in str(caught.value)
    assert "input 0" not in str(caught.value)


def test_a_gradient_that_never_arrives_is_reported():
    op = wrong(lambda x, y: x * y, lambda g, out, x, y: (g * y, None))
    with pytest.raises(GradcheckError, match=r"input 1.*: no gradient reached it"):
        mg.gradcheck(op, [np.array([2.0]), np.array([5.0])])


def test_an_input_without_influence_passes():
    assert mg.gradcheck(lambda x, y: x * 1.0, [np.ones(2), np.ones(2)])


def test_large_inputs_are_sampled_with_a_seed():
    calls = []

    def f(x):
        calls.append(1)
        return mg.sum(x * x)

    report = mg.gradcheck(f, np.ones((100, 100)), samples=7)
    assert report.checked == 7
    assert len(calls) == 2 + 1 + 4 * 7  # two steps, up and down
    wrong_at_one = wrong(
        lambda x: 2.0 * x, lambda g, out, x: 2 * g + (np.arange(x.size).reshape(x.shape) == 17)
    )
    found = [
        bool(mg.gradcheck(wrong_at_one, np.ones((5, 5)), samples=5, seed=s, raise_exception=False))
        for s in range(40)
    ]
    assert not all(found)
    assert any(found)


def test_integers_are_constants_and_several_outputs_are_combined():
    def f(x, labels):
        return mg.log_softmax(x), mg.cross_entropy(x, labels)

    assert mg.gradcheck(f, [np.ones((2, 3)), np.array([0, 2])], order=2).checked == 12


def test_parameters_that_are_not_arguments_are_moved_and_restored(generator):
    w = mg.Tensor(generator.normal(size=(3, 2)), requires_grad=True)
    before = w.data.copy()
    x = generator.normal(size=(4, 3))
    assert mg.gradcheck(lambda *_: mg.cross_entropy(x @ w, [0, 1, 1, 0]), [w], order=2)
    np.testing.assert_array_equal(w.data, before)
    assert w.grad is None


def test_inputs_are_restored_when_the_function_fails():
    x = mg.Tensor([1.0, 2.0], requires_grad=True)

    def f(x):
        if x.data[1] != 2:
            raise RuntimeError("no")
        return x * 1.0

    with pytest.raises(RuntimeError):
        mg.gradcheck(f, x)
    np.testing.assert_array_equal(x.data, [1, 2])


def test_float32_is_refused_unless_told():
    x = np.float32([0.5, 1.0])
    with pytest.raises(TypeError, match="too coarse for finite differences; use float64"):
        mg.gradcheck(mg.exp, x)
    assert mg.gradcheck(mg.exp, x, allow_float32=True)
    with pytest.raises(GradcheckError):
        mg.gradcheck(wrong(np.exp, lambda g, out, x: -g * out), x, allow_float32=True)


def test_what_cannot_be_checked_is_refused():
    with pytest.raises(ValueError, match="no input requires gradients"):
        mg.gradcheck(mg.exp, np.array([1, 2]))
    with pytest.raises(TypeError, match=r"such as an op ReLU\(\), not its class"):
        mg.gradcheck(type("ReLU", (mg.Op,), {}), np.ones(1))
    with pytest.raises(ValueError, match="order must be 1 or 2, not 3"):
        mg.gradcheck(mg.exp, np.ones(1), order=3)
    x = mg.Tensor([1.0], requires_grad=True)
    with pytest.raises(ValueError, match=r"made by multiply.* is not a leaf"):
        mg.gradcheck(mg.exp, x * 2)
    generator = np.random.default_rng(0)
    with pytest.raises(GradcheckError, match="different results"):
        mg.gradcheck(lambda x: x * generator.normal(), np.ones(2))


def test_tolerances_and_steps_are_the_callers():
    slightly = wrong(np.exp, lambda g, out, x: g * out * (1 + 1e-3))
    assert mg.gradcheck(slightly, np.ones(3), rtol=1e-2)
    assert mg.gradcheck(slightly, np.ones(3), atol=1.0)
    assert not mg.gradcheck(mg.exp, np.ones(3), eps=0.5, raise_exception=False)


def test_the_report_is_data():
    report = mg.gradcheck(mg.exp, np.ones((2, 2)))
    assert isinstance(report, GradcheckReport)
    assert (report.checked, report.mismatches) == (4, ())
    assert report.largest_error < 1
    assert report.message == "gradients agree with finite differences at 4 elements"


def test_a_function_that_writes_into_its_input_is_named_for_it():
    def double(x):
        x *= 2
        return x

    x = mg.Tensor([1.0, 2.0], requires_grad=True)
    with pytest.raises(ValueError, match=r"wrote into its input 0, .*x = x \* 2, not x \*= 2"):
        mg.gradcheck(wrong(double, lambda g, out, x: 2 * g), x)


def test_a_report_shows_itself_as_it_reads():
    doubled = op_with(lambda self, g, out, x: 2 * g, name="a<b>")
    report = mg.gradcheck(doubled, np.array([[1.0, 2.0]]), raise_exception=False)
    assert repr(report) == str(report) == report.message
    shown = report._repr_html_()
    assert shown.startswith('<pre style="font-family: monospace; white-space: pre;')
    assert shown.endswith(f">{html.escape(report.message)}</pre>")
