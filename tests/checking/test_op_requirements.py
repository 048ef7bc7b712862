"""check_op: it must pass correct ops, and catch every way in which an op can be wrong."""

import numpy as np
import pytest

import microgradx as mg
from tests.helpers import Cube

X = np.array([[0.5, -1.2, 2.0], [1.5, 0.3, -0.7]])


def broken(forward=Cube.forward, backward=Cube.backward):
    return type("Broken", (mg.Op,), {"forward": forward, "backward": backward})


def failures(op, *samples, **options):
    report = mg.check_op(op, *samples, raise_exception=False, **options)
    return {check.name: check.message for check in report.failures}


def test_a_correct_op_passes_as_a_class_an_instance_and_a_function():
    for op in (Cube, Cube(), lambda x: x**3):
        report = mg.check_op(op, X, X[0], np.float64(2.0), reference=lambda x: x * x * x)
        assert report
        assert not report.failures
        assert report.message.splitlines()[0] == "✓ forward (3 samples)"


def add_in_place(x):
    x += 1
    return x * 1.0


def write_into_out(g, out, x):
    out *= 3
    return g * out / x


def remember(self, x):
    self.squared = x**2
    return x**3


BROKEN = {
    "the reference differs": (
        broken(forward=lambda self, x: x**2, backward=lambda self, g, out, x: 2 * g * x),
        {"forward": "but the reference"},
    ),
    "the forward writes into its input": (
        broken(forward=lambda self, x: add_in_place(x)),
        {"forward": "x = x * 2, not x *= 2"},
    ),
    "the forward returns a string": (
        broken(forward=lambda self, x: "cube"),
        {"forward": "it returns str of dtype"},
    ),
    "the forward returns a Tensor": (
        broken(forward=lambda self, x: mg.Tensor(x**3)),
        {"forward": "arrays in must give arrays out"},
    ),
    "a wrong factor": (
        broken(backward=lambda self, g, out, x: g * 2 * x**2),
        {"derivatives": "analytic / numeric is 0.666667"},
    ),
    "a wrong second derivative": (
        broken(backward=lambda self, g, out, x: g * 3 * np.square(mg.as_tensor(x).data)),
        {"derivatives": "constant in the rule"},
    ),
    "the backward writes into the output": (
        broken(backward=lambda self, g, out, x: write_into_out(g, out, x)),
        {"derivatives": "a rule may not write into what it is given"},
    ),
    "state stored by the forward": (
        broken(forward=remember, backward=lambda self, g, out, x: g * 3 * self.squared),
        {"no state": "do not store anything on self"},
    ),
    "float64 constants": (
        broken(
            forward=lambda self, x: x**3 * np.ones(1), backward=lambda self, g, out, x: g * 3 * x**2
        ),
        {"float32": "for float32 it returns float64; use Python numbers"},
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_an_op_must_not_do_is_caught_and_named(name):
    op, expected = BROKEN[name]
    found = failures(op, X, reference=lambda x: x**3)
    for requirement, message in expected.items():
        assert message in " ".join(found[requirement].split()), found


def test_broadcast_inputs_are_tried_where_shapes_are_equal():
    class Scale(mg.Op):
        def forward(self, x, y):
            return x * y

        def backward(self, g, out, x, y):
            return g * y, g * x

    class OnlyOne(Scale):
        def backward(self, g, out, x, y):
            return g * y, g[:1] * x[:1] if y.shape[0] == 1 else g * x

    assert mg.check_op(Scale, (X, X + 1)).message.count("broadcasting (6 samples)") == 1
    assert "missing sum" in failures(OnlyOne, (X, X + 1))["broadcasting"]


@pytest.mark.parametrize(
    "backward",
    [
        lambda self, g, out, x, y: (g * y, g * x if y.shape[-1] > 1 else 2 * g * x),
        lambda self, g, out, x, y: (g * y, g * x if y.ndim == g.ndim else 2 * g * x),
    ],
)
def test_rules_wrong_only_for_one_way_of_broadcasting_are_caught(backward):
    scale = type("Scale", (mg.Op,), {"forward": lambda self, x, y: x * y, "backward": backward})
    assert "constant factor" in failures(scale, (X, X + 1))["broadcasting"]


def test_the_memory_layout_and_the_dtype_of_gradients_are_checked():
    in_memory = broken(
        forward=lambda self, x: x.ravel("K").reshape(x.shape), backward=lambda self, g, out, x: g
    )
    assert "x.T" in failures(in_memory, X)["not contiguous"]
    wide = broken(backward=lambda self, g, out, x: g * 3 * x**2 * np.ones(1))
    assert "returns a float64 gradient" in failures(wide, X)["float32"]


def test_empty_inputs_are_tried_where_the_forward_takes_them():
    last = broken(forward=lambda self, x: 2 * x, backward=lambda self, g, out, x: g * 2 + 0 * g[-1])
    assert "out of bounds" in failures(last, X)["empty"]


def test_first_order_alone_may_be_asked_for():
    op = broken(backward=lambda self, g, out, x: g * 3 * np.square(mg.as_tensor(x).data))
    assert mg.check_op(op, X, order=1)


def test_the_error_carries_the_report_and_shows_what_passed_and_what_not():
    with pytest.raises(mg.OpCheckError) as caught:
        mg.check_op(broken(backward=lambda self, g, out, x: -g * 3 * x**2), X)
    message = str(caught.value)
    assert "✓ forward (1 samples)" in message
    assert "✗ derivatives (1 samples)\n    on float64 (2, 3):" in message
    assert "the sign is wrong" in message
    assert [check.name for check in caught.value.report.failures] == ["derivatives"]
    assert not caught.value.report


def test_samples_are_needed_and_not_changed():
    with pytest.raises(ValueError, match="check_op needs samples"):
        mg.check_op(Cube)
    x = X.copy()
    mg.check_op(broken(forward=lambda self, x: add_in_place(x)), x, raise_exception=False)
    np.testing.assert_array_equal(x, X)
