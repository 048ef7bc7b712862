"""An op of one's own: two methods, what they may return, and what is refused by name."""

import re

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import microgradx as mg
from microgradx import Op, Tensor
from tests.helpers import Cube, SavingSquare, first, leaf, op_with


class Product(Op):
    formula = "x y"

    def forward(self, x, y):
        return x * y

    def backward(self, g, out, x, y):
        return g * y, g * x


def test_an_op_is_a_subclass_with_two_methods():
    x = leaf([1.0, 2.0, -3.0])
    y = Cube()(x)
    assert y.op.name == "cube"
    assert y.inputs == (x,)
    y.backward([1.0, 10.0, 100.0])
    assert_array_equal(x.grad, [3.0, 120.0, 2700.0])


def test_an_op_of_several_inputs_returns_a_tuple():
    x, y = leaf([2.0, 3.0]), leaf([5.0, 7.0])
    Product()(x, y).backward([1.0, 10.0])
    assert_array_equal(x.grad, [5.0, 70.0])
    assert_array_equal(y.grad, [2.0, 30.0])


def test_an_op_on_arrays_returns_an_array_and_on_any_tensor_a_tensor():
    array = np.array([1.0, 2.0])
    assert type(Product()(array, array)) is np.ndarray
    for inputs in [(leaf(array), array), (array, leaf(array)), (leaf(array), [1.0, 2.0])]:
        out = Product()(*inputs)
        assert isinstance(out, Tensor)
        assert_array_equal(out.data, [1.0, 4.0])
    constant = Product()(Tensor(array), array)
    assert constant.is_leaf
    assert not constant.requires_grad


def test_rules_see_arrays_in_the_ordinary_sweep_and_tensors_under_create_graph():
    seen = []

    def backward(self, g, out, x):
        seen.append({type(g), type(out), type(x)})
        return mg.exp(g)  # any op may serve in a rule

    x = leaf([0.0])
    y = op_with(backward)(x)
    y.backward([0.0])
    y.backward([0.0], create_graph=True)
    assert seen == [{np.ndarray}, {Tensor}]


def test_none_means_that_no_gradient_flows():
    x, y = leaf([2.0]), leaf([3.0])
    op_with(lambda self, g, out, x, y: (None, g))(x, y).backward()
    assert x.grad is None
    assert_array_equal(y.grad, [1.0])
    op_with(lambda self, g, out, x: (None,))(x).backward()
    assert x.grad is None


def test_inputs_that_need_no_gradient_get_none_whatever_the_rule_says():
    x, y = leaf([2.0]), Tensor([3.0])
    Product()(x, y).backward()
    assert_array_equal(x.grad, [3.0])
    assert y.grad is None


@pytest.mark.parametrize("count", [0, 1, 3])
def test_a_wrong_number_of_gradients_is_refused(count):
    x, y = leaf([1.0], name="width"), leaf([1.0], name="height")
    area = op_with(lambda self, g, out, x, y: (g,) * count, name="area")(x, y)
    with pytest.raises(ValueError, match=rf"area of width \(1,\) and height \(1,\).*{count}.*2"):
        area.backward()


def forgets_to_return(self, g, out, *inputs):
    g * out


@pytest.mark.parametrize("inputs", [1, 2])
@pytest.mark.parametrize("create_graph", [False, True])
def test_a_forgotten_return_is_refused_and_says_so(inputs, create_graph):
    xs = [leaf([1.0], name=name) for name in ("width", "height")[:inputs]]
    area = op_with(forgets_to_return, forward=lambda self, x, *_: x * 1.0, name="area")(*xs)
    what = {1: "the gradient", 2: "a tuple of 2 gradients"}[inputs]
    with pytest.raises(ValueError, match=rf"area of width .*`return` missing\? .* {what}"):
        area.backward(create_graph=create_graph)
    assert xs[0].grad is None


def test_a_list_is_taken_for_the_gradients_of_several_inputs():
    bend = op_with(lambda self, g, out, x: [3.0, 4.0], name="bend")(leaf([1.0, 2.0]))
    with pytest.raises(ValueError, match=r"2 gradients for 1 input.*np\.array\(\.\.\.\)"):
        bend.sum().backward()


@pytest.mark.parametrize(
    "backward", [lambda self, g, x: g, lambda self, g, out, x, y: g, lambda self: 1.0]
)
def test_a_rule_with_other_arguments_is_told_which_it_is_called_with(backward):
    backward.__name__ = backward.__qualname__ = "backward"
    bend = op_with(backward, name="bend")(leaf([1.0]))
    with pytest.raises(TypeError, match=r"bend.*those of backward\(self, g, out, \*inputs\)"):
        bend.backward()


@pytest.mark.parametrize(
    ("wrong", "right"),
    [((2,), (3,)), ((1,), (3,)), ((), (1,)), ((3,), (3, 1)), ((4, 3), (2, 3)), ((3, 1), (3, 2))],
)
def test_a_gradient_of_a_wrong_shape_is_refused(wrong, right):
    x = leaf(np.ones(right), name="x")
    out = op_with(lambda self, g, out, x: np.ones(wrong), name="bend")(x)
    message = rf"bend of x {re.escape(str(right))}.*{re.escape(str(wrong))}"
    with pytest.raises(ValueError, match=message):
        out.sum().backward()
    assert x.grad is None


@pytest.mark.parametrize(
    ("gradient", "error"),
    [("steep", TypeError), (1j, TypeError), ([[1.0], [1.0, 2.0]], ValueError)],
)
def test_a_gradient_that_is_not_an_array_of_numbers_is_refused(gradient, error):
    out = op_with(lambda self, g, out, x: (gradient,), name="bend")(leaf([1.0]))
    with pytest.raises(error, match="bend"):
        out.backward()


def test_a_gradient_may_be_a_list_of_lists_or_of_another_dtype():
    x = leaf([1.0, 2.0], dtype=np.float32)
    op_with(lambda self, g, out, x: ([3, 4],))(x).sum().backward()
    assert_array_equal(x.grad, np.array([3, 4], np.float32), strict=True)


def test_forgotten_methods_are_named():
    class Half(Op):
        pass

    with pytest.raises(NotImplementedError, match="half has no forward"):
        Half()(leaf(1.0))
    Half.forward = first
    with pytest.raises(NotImplementedError, match="half has no backward"):
        Half()(leaf(1.0)).backward()


@pytest.mark.parametrize(
    "error", [ValueError, TypeError, IndexError, np.exceptions.AxisError], ids=lambda e: e.__name__
)
def test_errors_in_a_rule_keep_their_kind_and_name_the_op_and_its_inputs(error):
    def fail(*_):
        raise error("the reason")

    weight, x = leaf(np.ones((2, 3)), name="weight"), Tensor(np.ones(3, np.float32))
    where = r"layer of weight \(2, 3\) and float32 \(3,\): the reason"
    with pytest.raises(error, match=where) as forward_error:
        op_with(None, forward=fail, name="layer")(weight, x)
    assert isinstance(forward_error.value.__cause__, error)
    out = op_with(fail, name="layer")(weight, x)
    with pytest.raises(error, match="backward of " + where) as backward_error:
        out.sum().backward()
    assert isinstance(backward_error.value.__cause__, error)


def test_derivatives_are_asked_only_where_a_gradient_is_wanted():
    asked = []

    class Weighed(Op):
        derivatives = (
            lambda g, out, x, y, z: asked.append("x") or g * y,
            lambda g, out, x, y, z: asked.append("y") or g * x,
            None,
        )

        def forward(self, x, y, z):
            return x * y + z

    x, y, z = leaf([2.0]), Tensor([3.0]), leaf([4.0])
    Weighed()(x, y, z).backward()
    assert asked == ["x"]
    assert_array_equal(x.grad, [3.0])
    assert y.grad is None
    assert z.grad is None


def test_too_few_derivatives_are_refused():
    class Weighed(Op):
        derivatives = (lambda g, out, x, y: g,)

        def forward(self, x, y):
            return x + y

    with pytest.raises(ValueError, match="weighed"):
        Weighed()(leaf(1.0), leaf(1.0)).backward()


def test_something_is_saved_only_if_a_gradient_will_be_wanted():
    op = SavingSquare()
    op(np.ones(2))
    op(Tensor([1.0]))
    with mg.no_grad():
        op(leaf([1.0]))
    assert op.calls == ["forward"] * 3
    assert op.saved is None
    op(leaf([1.0]))
    assert op.calls[3:] == ["forward_saving"]


def test_what_is_saved_belongs_to_one_call():
    op = SavingSquare()
    x, y = leaf([3.0]), leaf([5.0])
    first_out, second_out = op(x), op(y)
    first_out.backward()
    second_out.backward()
    assert_array_equal(x.grad, [6.0])
    assert_array_equal(y.grad, [10.0])


def test_a_shared_cross_entropy_op_separates_its_calls():
    op = mg.SoftmaxCrossEntropy()
    x, y = leaf([[1.0, 2.0, 3.0]]), leaf([[3.0, 2.0, 9.0]])
    loss = op(x, np.array([0]))
    op(y, np.array([1]))
    loss.backward()
    assert_allclose(x.grad, mg.softmax(x.data) - [[1.0, 0.0, 0.0]], rtol=1e-14)


def test_an_op_shows_its_name_and_those_settings_that_are_not_the_default():
    class Power(Op):
        def __init__(self, exponent, scale=1.0):
            self.exponent = exponent
            self.scale = scale
            self.hidden = "not an argument"

    class Named(Op):
        name = "by another name"

    assert repr(Power(2)) == "power(exponent=2)"
    assert repr(Power(2, scale=3.0)) == "power(exponent=2, scale=3.0)"
    assert repr(Cube()) == "cube"
    assert repr(Named()) == "by another name"
    assert repr((leaf(1.0) + 1).op) == "add"
    assert repr(leaf(1.0).exp().op) == "exp"


def test_what_is_not_a_float_requires_no_gradient():
    positive = op_with(None, forward=lambda self, x: x > 0)(leaf([1.0, -1.0]))
    assert not positive.requires_grad
    with pytest.raises(TypeError, match=r"spectrum.*complex128"):
        op_with(None, forward=lambda self, x: np.fft.fft(x), name="spectrum")(leaf([1.0, 2.0]))


def test_a_forward_with_several_results_is_refused_by_name():
    op = op_with(lambda self, g, out, x: g, lambda self, x: (x, x), name="pair")
    with pytest.raises(TypeError, match=r"pair of float64.*: forward returned 2 results"):
        op(leaf([1.0]))


def test_a_forward_that_returns_a_tensor_is_refused():
    scale = leaf(3.0)
    op = op_with(lambda self, g, out, x: g, lambda self, x: x * scale, name="scale")
    with pytest.raises(TypeError, match=r"scale of float64.*must be an input"):
        op(leaf([1.0]))
