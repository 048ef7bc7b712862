"""The engine: ops, Tensors and the backward sweep, and the traps that others fell into.

What an op computes is tested with the ops. Here they only serve to build graphs.
"""

import asyncio
import contextvars
import copy
import gc
import pickle
import re
import sys
import threading
import weakref

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import mutually_broadcastable_shapes
from numpy.testing import assert_allclose, assert_array_equal

import microgradx as mg
from microgradx import Op, Tensor
from microgradx.engine import reverse_topological_order, sweep
from microgradx.graph.observers import observe


def leaf(data, **options):
    return Tensor(data, requires_grad=True, **options)


def first(self, *inputs):
    return inputs[0] * 1


def op_with(backward, forward=first, name="odd"):
    """An op with the rule given: what a user might get right or wrong."""
    return type(name, (Op,), {"forward": forward, "backward": backward})()


class Cube(Op):
    formula = "x³"

    def forward(self, x):
        return x**3

    def backward(self, g, out, x):
        return g * 3 * x**2


class Product(Op):
    formula = "x y"

    def forward(self, x, y):
        return x * y

    def backward(self, g, out, x, y):
        return g * y, g * x


# ---------------------------------------------------------------------------- ops of one's own


def test_an_op_is_a_subclass_with_two_methods():
    x = leaf([1.0, 2.0, -3.0])
    y = Cube()(x)
    assert y.op.name == "cube"
    assert y.inputs == (x,)
    y.backward([1.0, 10.0, 100.0])
    assert_array_equal(x.grad, [3.0, 120.0, 2700.0])


def test_an_op_of_several_inputs_answers_with_a_tuple():
    x, y = leaf([2.0, 3.0]), leaf([5.0, 7.0])
    Product()(x, y).backward([1.0, 10.0])
    assert_array_equal(x.grad, [5.0, 70.0])
    assert_array_equal(y.grad, [2.0, 30.0])


def test_an_op_on_arrays_gives_an_array_and_on_any_tensor_a_tensor():
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
    op_with(lambda self, g, out, x: None)(x).backward()
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
def test_a_gradient_that_is_no_array_of_numbers_is_refused(gradient, error):
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


class Keeping(Op):
    """x², whose rule works from what forward kept, as long as it is given arrays."""

    def __init__(self):
        self.calls = []

    def forward(self, x):
        self.calls.append("forward")
        return x * x

    def forward_saving(self, x):
        self.calls.append("forward_saving")
        self.saved = 2 * x
        return x * x

    def backward(self, g, out, x):
        return g * self.saved if self.saved is not None and isinstance(g, np.ndarray) else g * 2 * x


def test_something_is_kept_only_if_a_gradient_will_be_wanted():
    op = Keeping()
    op(np.ones(2))
    op(Tensor([1.0]))
    with mg.no_grad():
        op(leaf([1.0]))
    assert op.calls == ["forward"] * 3
    assert op.saved is None
    op(leaf([1.0]))
    assert op.calls[3:] == ["forward_saving"]


def test_what_is_kept_belongs_to_one_call():
    op = Keeping()
    x, y = leaf([3.0]), leaf([5.0])
    first_out, second_out = op(x), op(y)
    first_out.backward()
    second_out.backward()
    assert_array_equal(x.grad, [6.0])
    assert_array_equal(y.grad, [10.0])


def test_a_shared_cross_entropy_op_keeps_its_calls_apart():
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


def test_what_is_no_float_requires_no_gradient():
    positive = op_with(None, forward=lambda self, x: x > 0)(leaf([1.0, -1.0]))
    assert not positive.requires_grad
    with pytest.raises(TypeError, match=r"spectrum.*complex128"):
        op_with(None, forward=lambda self, x: np.fft.fft(x), name="spectrum")(leaf([1.0, 2.0]))


# ---------------------------------------------------------------------------- the sweep


def test_both_edges_to_the_same_input_count():
    x = leaf(3.0)
    y = x * x
    assert y.inputs == (x, x)
    y.backward()
    assert_array_equal(x.grad, 6.0)

    a = leaf(1.0)
    b = a + a
    c = b + b
    c.backward()
    assert_array_equal(a.grad, 4.0)


def test_an_inner_tensor_used_twice_is_complete_before_its_turn():
    x = leaf(2.0)
    inner = x * x  # used at once, and again after further ops
    far = mg.exp(inner * 0.5) * 3.0
    (inner + far).backward()
    assert_allclose(x.grad, 4.0 + 3.0 * np.exp(2.0) * 2.0, rtol=1e-15)


def test_thirty_doublings_ask_thirty_rules():
    calls = []
    double = op_with(lambda self, g, out, x, y: calls.append(1) or (g, g), lambda self, x, y: x + y)
    y = x = leaf(1.0)
    for _ in range(30):
        y = double(y, y)
    assert len(reverse_topological_order(y)) == 31
    y.backward()
    assert len(calls) == 30
    assert_array_equal(x.grad, 2.0**30)


@pytest.mark.slow  # a million of anything takes a while
def test_a_chain_of_a_million_ops_runs_differentiates_and_is_freed():
    gc.disable()
    try:
        y = x = leaf(1.0)
        for _ in range(1_000_000):
            y = -y
        y.backward()
        assert_array_equal(x.grad, 1.0)
        assert y.sequence_number - x.sequence_number >= 1_000_000
        inner = weakref.ref(y.inputs[0].inputs[0])
        del y
        assert inner() is None
    finally:
        gc.enable()


def test_nothing_else_recurses_along_a_chain_either():
    y = x = leaf(1.0)
    for _ in range(20_000):
        y = -y
    assert "op=negative" in repr(y)
    for other in (copy.deepcopy(y), copy.copy(y), pickle.loads(pickle.dumps(y))):
        assert other.is_leaf
    ((_, gradient),) = [pair for pair in sweep({y: Tensor(1.0)}, create_graph=True) if pair[0] is x]
    assert_array_equal(gradient.data, 1.0)
    y.backward(retain_graph=False)
    assert_array_equal(x.grad, 1.0)


def test_every_further_backward_adds_the_same_again():
    x, w = leaf([1.0, 2.0]), leaf([3.0, 4.0])
    inner = x * w
    loss = mg.sum(inner * inner + inner)
    loss.backward()
    once = x.grad.copy(), w.grad.copy()
    for times in (2, 3):
        loss.backward()
        assert_array_equal(x.grad, times * once[0])
        assert_array_equal(w.grad, times * once[1])
    x.zero_grad()
    assert x.grad is None
    loss.backward()
    assert_array_equal(x.grad, once[0])
    assert_array_equal(w.grad, 4 * once[1])


def test_other_graphs_add_to_the_same_leaf():
    x = leaf(3.0)
    (x * 2.0).backward()
    (x * x).backward()
    assert_array_equal(x.grad, 8.0)


def test_a_leaf_may_be_its_own_result():
    x = leaf([2.0, 3.0])
    x.backward([1.0, 10.0])
    assert_array_equal(x.grad, [1.0, 10.0])


def test_inner_tensors_have_a_gradient_only_if_asked_to_retain_it():
    x = leaf([1.0, 2.0])
    lost, kept = x * 2.0, x * 3.0
    assert kept.retain_grad() is kept
    loss = mg.sum(lost * kept)
    loss.backward()
    loss.backward()
    assert lost.grad is None
    assert loss.grad is None
    assert_array_equal(kept.grad, 2 * lost.data)
    assert_array_equal(x.grad, 2 * 12.0 * x.data)
    with pytest.raises(ValueError, match=r"Tensor 'c' \(float64, shape \(2,\)\).*retain"):
        Tensor([1.0, 2.0], name="c").retain_grad()


def test_constants_receive_no_gradient():
    constant = Tensor([1.0, 2.0])
    x = leaf([3.0, 4.0])
    mg.sum(x * constant + constant.exp()).backward()
    assert constant.grad is None
    assert_array_equal(x.grad, constant.data)


def test_the_sweep_gives_every_gradient_newest_first_and_writes_to_no_tensor():
    x = leaf([1.0, 2.0])
    square = (x * x).retain_grad()
    y = square * 3.0
    seeds = {y: np.array([1.0, 10.0])}
    swept = list(sweep(seeds))
    assert [tensor for tensor, _ in swept] == [y, square, x]
    assert_array_equal(swept[1][1], [3.0, 30.0])
    assert_array_equal(swept[2][1], [6.0, 120.0])
    assert all(tensor.grad is None for tensor, _ in swept)
    assert list(seeds) == [y]
    assert_array_equal(seeds[y], [1.0, 10.0])


def test_the_sweep_starts_from_several_outputs_even_one_inside_another():
    x = leaf(3.0)
    inner = x * x
    outer = inner * 5.0
    gradients = dict(sweep({inner: np.array(100.0), outer: np.array(1.0)}))
    assert_array_equal(gradients[inner], 105.0)
    assert_array_equal(gradients[x], 105.0 * 6.0)


def test_a_rule_that_fails_leaves_every_grad_as_it_was():
    def fail(self, g, out, x):
        raise ValueError("no derivative known")

    x = leaf([1.0, 2.0])
    failing = op_with(fail)(x)
    y = leaf([3.0, 4.0])  # newer, so the sweep is done with y before the rule that fails
    retained = (y * 2.0).retain_grad()
    loss = mg.sum(failing + retained)
    (x * y).sum().backward()
    before = x.grad, y.grad
    values = x.grad.copy(), y.grad.copy()
    with pytest.raises(ValueError, match="no derivative known"):
        loss.backward(retain_graph=False)
    assert (x.grad, y.grad) == before
    assert_array_equal(x.grad, values[0])
    assert_array_equal(y.grad, values[1])
    assert retained.grad is None
    assert loss.inputs  # the graph too is as it was


# ---------------------------------------------------------------------------- un-broadcasting


def summed_back(gradient, shape):
    """Each element's gradients, added up one by one at the place that it was broadcast from."""
    places = np.broadcast_to(np.arange(np.prod(shape, dtype=int)).reshape(shape), gradient.shape)
    out = np.zeros(np.prod(shape, dtype=int))
    np.add.at(out, places.ravel(), gradient.ravel())
    return out.reshape(shape)


@given(
    shapes=mutually_broadcastable_shapes(num_shapes=3, min_dims=0, max_dims=4, min_side=0),
    seed=st.integers(0, 2**32 - 1),
)
def test_what_was_broadcast_is_summed_back(shapes, seed):
    generator = np.random.default_rng(seed)
    values = [generator.normal(size=shape) for shape in shapes.input_shapes]
    x, y, z = (leaf(value) for value in values)
    out = mg.broadcast_to(x * y + z, shapes.result_shape)
    g = generator.normal(size=shapes.result_shape)
    out.backward(g)
    for tensor, factor in [(x, values[1]), (y, values[0]), (z, 1.0)]:
        expected = summed_back(np.asarray(g * factor), tensor.shape)
        assert tensor.grad.shape == tensor.shape
        assert_allclose(tensor.grad, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("shape", "other"),
    [
        ((), (2, 3)),
        ((1,), ()),
        ((1, 1), (3,)),
        ((3,), (2, 3)),
        ((2, 1), (2, 3)),
        ((1, 3), (2, 1, 1)),
        ((), (0,)),
        ((1,), (0,)),
        ((1, 3), (0, 3)),
        ((0, 1), (2, 0, 3)),
        ((0,), (1, 0)),
    ],
)
def test_size_1_axes_0_d_and_empty_arrays(shape, other):
    x, y = leaf(np.ones(shape)), leaf(np.ones(other))
    (x + y).sum().backward()
    out = np.broadcast_shapes(shape, other)
    for tensor in (x, y):
        expected = summed_back(np.ones(out), tensor.shape)
        assert_array_equal(tensor.grad, expected, strict=True)


def test_repeated_indices_count_as_often_as_they_occur():
    x = leaf([5.0, 6.0, 7.0])
    x[[0, 0, 1]].sum().backward()
    assert_array_equal(x.grad, [2.0, 1.0, 0.0])
    x.zero_grad()
    (x[[0, 0, 2]] * [1.0, 10.0, 100.0]).sum().backward()
    assert_array_equal(x.grad, [11.0, 0.0, 100.0])


# ---------------------------------------------------------------------------- gradients as arrays


def assert_owned(grad, *others):
    """A writable array that shares memory with none of the others."""
    assert type(grad) is np.ndarray
    assert grad.flags.writeable
    assert grad.base is None
    for other in others:
        assert not np.shares_memory(grad, other)


def test_gradients_of_a_sum_are_two_writable_arrays():
    x, y = leaf(np.ones((2, 3))), leaf(np.ones((2, 3)))
    (x + y).sum().backward()
    assert_owned(x.grad, y.grad)
    assert_owned(y.grad, x.grad)
    x.grad += 1
    assert_array_equal(y.grad, np.ones((2, 3)))


@pytest.mark.parametrize("backwards", [1, 2])
def test_a_grad_shares_memory_with_no_array_of_a_rule(backwards):
    saved = np.array([7.0, 8.0])
    x, y, z = leaf([1.0, 2.0]), leaf([3.0, 4.0]), leaf([5.0, 6.0])
    seed = np.array([10.0, 20.0])
    # To x goes the incoming gradient, to y the data of x, to z an array of the rule's own.
    out = op_with(lambda self, g, out, x, y, z: (g, x, saved))(x, y, z).retain_grad()
    for _ in range(backwards):
        out.backward(seed)
    everything = [x.data, y.data, z.data, out.data, saved, seed]
    grads = [x.grad, y.grad, z.grad, out.grad]
    for i, grad in enumerate(grads):
        assert_owned(grad, *everything, *grads[:i])
    assert_array_equal(x.grad, backwards * np.array([10.0, 20.0]))
    assert_array_equal(y.grad, backwards * np.array([1.0, 2.0]))
    assert_array_equal(z.grad, backwards * np.array([7.0, 8.0]))
    assert_array_equal(saved, [7.0, 8.0])
    assert_array_equal(seed, [10.0, 20.0])


def test_a_gradient_that_nobody_else_can_see_is_not_copied():
    made = []

    def rule(self, g, out, x):
        gradient = g * 2
        made.append(id(gradient))
        return gradient

    x = leaf([1.0, 2.0])
    op_with(rule)(x).backward([1.0, 1.0])
    assert [id(x.grad)] == made
    assert_owned(x.grad)


def kept(g):
    KEPT.append(g)
    return g


def a_view(g):
    KEPT.append(g[:1])
    return g


def of_kept(g):
    KEPT.append(g)
    return g[:]


def a_buffer(g):
    KEPT.append(np.asarray(memoryview(g)))
    return g


def frozen(g):
    g.flags.writeable = False
    return g


def of_another_order(g):
    return np.asfortranarray(g)


KEPT = []


@pytest.mark.parametrize("seen_by", [kept, a_view, of_kept, a_buffer, frozen, of_another_order])
def test_a_gradient_that_somebody_sees_is_copied(seen_by):
    KEPT.clear()
    x = leaf([[1.0, 2.0], [3.0, 4.0]])
    op_with(lambda self, g, out, x: seen_by(g * 2.0))(x).backward(np.ones((2, 2)))
    assert_owned(x.grad, *KEPT)
    assert x.grad.flags.c_contiguous
    assert_array_equal(x.grad, np.full((2, 2), 2.0))


def test_a_gradient_that_a_hook_or_an_observer_keeps_is_copied():
    x, seen = leaf([1.0, 2.0]), []

    class Observer:
        def forward(self, op, inputs, out):
            pass

        def backward(self, out, x, g, gradient):
            seen.append(gradient)

    x.register_hook(seen.append)
    (x * 2.0).backward([1.0, 1.0])
    assert len(seen) == 1
    assert_owned(x.grad, *seen)
    x = leaf([1.0, 2.0])
    with observe(Observer()):
        (x * 2.0).backward([1.0, 1.0])
    assert len(seen) == 2
    assert_owned(x.grad, *seen)


@pytest.mark.parametrize("shape", [(), (1,), (1, 1)])
def test_what_a_sweep_starts_from_is_shared_and_cannot_be_written_to(shape):
    x = leaf(np.zeros(shape))
    x.backward()
    assert_owned(x.grad)
    x.grad += 5
    x.grad = None
    x.backward()
    assert_array_equal(x.grad, np.ones(shape), strict=True)

    def spoil(g, out, x):
        g *= 2

    class Spoil(Op):
        derivatives = (spoil,)

        def forward(self, x):
            return x * 1

    with pytest.raises(ValueError, match="read-only"):
        Spoil()(leaf(np.zeros(shape))).backward()


def test_adding_up_gradients_writes_into_no_array_of_a_rule():
    saved = np.array([7.0, 8.0])
    constant = op_with(lambda self, g, out, x: saved)
    through = op_with(lambda self, g, out, x, y: (g, g), lambda self, x, y: x + y)
    x = leaf([1.0, 2.0])
    seed = np.array([10.0, 20.0])
    out = through(through(x, x), constant(x) + constant(x))
    out.backward(seed)
    assert_array_equal(x.grad, 2 * seed + 2 * saved)
    assert_array_equal(saved, [7.0, 8.0])
    assert_array_equal(seed, [10.0, 20.0])


def test_a_rule_that_writes_into_its_incoming_gradient_harms_nobody_else():
    def double_in_place(self, g, out, x):
        g *= 2
        return g

    x, y, seed = leaf([1.0, 1.0]), leaf([1.0, 1.0]), np.ones(2)
    doubled = op_with(double_in_place, name="spoil")(x).retain_grad()
    try:
        (doubled + y).backward(seed)
        refused = False
    except ValueError:  # which would be as good
        refused = True
    for tensor, gradient in [(x, [2.0, 2.0]), (y, [1.0, 1.0]), (doubled, [1.0, 1.0])]:
        if refused:
            assert tensor.grad is None
        else:
            assert_array_equal(tensor.grad, gradient)
    assert_array_equal(seed, [1.0, 1.0])


TABLE_OF_OPS = {
    "arithmetic": lambda x: -x + x * 2.0 - x / 3.0 + (x * x + 1.0) ** 1.5 + 2.0**x,
    "functions": lambda x: mg.exp(x) + mg.tanh(x) + mg.sigmoid(x) + mg.softplus(x),
    "of positive numbers": lambda x: mg.log(x * x + 1.0) + mg.sqrt(x * x + 1.0) + mg.log1p(x * x),
    "kinks": lambda x: mg.relu(x) + mg.abs(x) + mg.maximum(x, 0.1) + mg.minimum(x, 0.1),
    "choices": lambda x: mg.clip(x, -1.0, 1.0) + mg.where(x > 0, x, 2.0 * x),
    "same values": lambda x: x.copy() + (+x) + x.astype(np.float32),
    "reductions": lambda x: x.sum(0) + x.mean(0) + x.max(0) + x.min(0) + x.logsumexp(0),
    "shapes": lambda x: x.T.reshape(-1) + mg.broadcast_to(x.reshape(-1), (2, 9)),
    "indices": lambda x: x[[0, 0, 1]] + x[1] + x[:, 1:2] + x[x.data > -9].reshape(3, 3),
    "joining": lambda x: mg.concatenate([x, x]) + mg.stack([x, x]).reshape(6, 3),
    "products": lambda x: x @ x + x @ x[0] + mg.linear(x, x, x[0]),
    "softmax": lambda x: mg.softmax(x) + mg.log_softmax(x) + mg.softmax(x, fused=False),
    "cross-entropy": lambda x: mg.cross_entropy(x, [0, 2, 1]) + mg.cross_entropy(x, mg.softmax(x)),
}


@pytest.mark.filterwarnings("ignore:.*output of a softmax")
@pytest.mark.parametrize("name", TABLE_OF_OPS)
def test_our_own_rules_write_into_no_array_that_they_are_given(name, generator):
    x = leaf(generator.normal(size=(3, 3)))
    out = mg.sum(TABLE_OF_OPS[name](x))
    for tensor in reverse_topological_order(out):
        tensor.data.flags.writeable = False
    for _, g in sweep({out: np.ones(())}):
        if g.flags.owndata:
            g.flags.writeable = False  # the rule that comes next receives this very array


# ------------------------------------------------------------------------ what backward starts from


@pytest.mark.parametrize("shape", [(), (1,), (1, 1)])
def test_one_number_needs_no_gradient(shape):
    x = leaf(np.full(shape, 3.0))
    (x * x).backward()
    assert_array_equal(x.grad, np.full(shape, 6.0), strict=True)


@pytest.mark.parametrize("shape", [(2,), (0,), (1, 3)])
def test_more_or_less_than_one_number_needs_a_gradient(shape):
    y = leaf(np.ones(shape)) * 2.0
    with pytest.raises(ValueError, match=rf"shape {re.escape(str(shape))}.*t\.sum\(\)\.backward"):
        y.backward()


def test_errors_of_backward_name_the_tensor_or_the_op_that_made_it():
    x = leaf([1.0, 2.0], name="scores")
    with pytest.raises(ValueError, match="scores"):
        x.backward()
    with pytest.raises(ValueError, match=r"scores.*"):
        x.backward([1.0])
    with pytest.raises(ValueError, match="exp"):
        x.exp().backward()
    with pytest.raises(ValueError, match="exp"):
        x.exp().backward([1.0])


@pytest.mark.parametrize("shape", [(), (1,), (3,), (2, 1), (1, 2)])
def test_a_gradient_of_another_shape_is_refused_even_if_it_would_broadcast(shape):
    x = leaf([1.0, 2.0])
    with pytest.raises(ValueError, match=rf"{re.escape(str(shape))}.*\(2,\)"):
        (x * 2.0).backward(np.ones(shape))
    assert x.grad is None


@pytest.mark.parametrize(
    "gradient", [[1, 10], (1.0, 10.0), np.array([1, 10], np.int8), Tensor([1.0, 10.0])]
)
@pytest.mark.parametrize("create_graph", [False, True])
def test_the_gradient_may_be_a_list_an_array_or_a_tensor(gradient, create_graph):
    x = leaf([1.0, 2.0], dtype=np.float32)
    (x * x).backward(gradient, create_graph=create_graph)
    assert x.grad.dtype == np.float32
    assert type(x.grad) is (Tensor if create_graph else np.ndarray)
    assert_array_equal(np.asarray(mg.as_tensor(x.grad).detach()), [2.0, 40.0])


def test_a_tensor_without_gradients_has_no_backward():
    for constant in (Tensor(1.0), Tensor(1.0) * 2.0, leaf(1.0).detach()):
        with pytest.raises(ValueError, match="requires_grad=True"):
            constant.backward()


# ---------------------------------------------------------------------------- dtypes

FLOATS = [np.float16, np.float32, np.float64]


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("scalar", [2.0, 2, True])
def test_python_scalars_leave_the_dtype_alone_in_both_directions(dtype, scalar):
    x = leaf([1.0, 2.0], dtype=dtype)
    for out in (x + scalar, scalar - x, x * scalar, scalar / x, x**scalar, scalar**x, x @ [2.0, 3]):
        reference = dtype if out.ndim else np.float64  # a list is an array of its own dtype
        assert out.dtype == reference
        x.zero_grad()
        out.sum().backward()
        assert x.grad.dtype == dtype


@pytest.mark.parametrize("dtype", FLOATS)
def test_gradients_have_their_tensors_dtype_all_the_way(dtype):
    dtypes = []

    def backward(self, g, out, x):
        dtypes.append(g.dtype)
        return g.astype(np.float64)  # the sweep casts it back

    x = leaf([1.0, 2.0], dtype=dtype)
    watch = op_with(backward)
    watch(watch(x).mean()).backward()
    assert dtypes == [dtype, dtype]  # also where the sweep starts
    assert x.grad.dtype == dtype
    assert_array_equal(x.grad, [0.5, 0.5])


@pytest.mark.parametrize("one", FLOATS)
@pytest.mark.parametrize("other", FLOATS)
def test_mixed_dtypes_promote_and_every_gradient_returns_to_its_own(one, other):
    x, y = leaf([1.5, 2.5], dtype=one), leaf([3.5, 4.5], dtype=other)
    out = x * y
    assert out.dtype == np.result_type(one, other)
    out.backward([1.0, 2.0])
    assert_array_equal(x.grad, np.array([3.5, 9.0], one), strict=True)
    assert_array_equal(y.grad, np.array([1.5, 5.0], other), strict=True)


def test_a_small_network_in_float16():
    x = Tensor(np.linspace(-1, 1, 12).reshape(4, 3), dtype=np.float16)
    w = leaf(np.linspace(-1, 1, 6).reshape(3, 2), dtype=np.float16)
    loss = mg.cross_entropy(mg.tanh(x @ w * 2.0), [0, 1, 1, 0])
    loss.backward()
    assert loss.dtype == w.grad.dtype == np.float16
    exact = leaf(w.data, dtype=np.float64)
    mg.cross_entropy(mg.tanh(x.astype(float) @ exact * 2.0), [0, 1, 1, 0]).backward()
    assert_allclose(w.grad, exact.grad, atol=2e-3)


@pytest.mark.parametrize("data", [[1, 2], [True, False], np.array([1], np.uint8)])
def test_only_floats_can_require_gradients(data):
    with pytest.raises(TypeError, match=r"only floats can require gradients.*2\.0.*dtype="):
        Tensor(data, requires_grad=True)
    constant = Tensor(data, name="labels")
    for ask in (constant.requires_grad_, lambda: setattr(constant, "requires_grad", True)):
        with pytest.raises(TypeError, match="labels"):
            ask()
    assert not constant.requires_grad
    assert Tensor(data, requires_grad=True, dtype=float).requires_grad
    assert (constant * leaf(1.0)).requires_grad


# ----------------------------------------------------------------------- derivatives of derivatives


def test_the_hessian_of_a_cubic():
    x = leaf([1.0, 2.0, -3.0])
    x_cubed = mg.sum(x**3)
    x_cubed.backward(create_graph=True)
    slope = x.grad
    assert isinstance(slope, Tensor)
    assert_array_equal(slope.data, 3 * x.data**2)
    x.grad = None
    slope.sum().backward(create_graph=True)
    curvature = x.grad
    assert_array_equal(curvature.data, 6 * x.data)
    x.grad = None
    curvature.sum().backward()
    assert_array_equal(x.grad, [6.0, 6.0, 6.0])


def test_the_full_hessian_by_sweeps_with_mixed_terms():
    x, y = leaf(2.0), leaf(3.0)
    f = Cube()(x) * y + mg.exp(x * y)
    gradients = dict(sweep({f: Tensor(1.0)}, create_graph=True))
    rows = [dict(sweep({gradients[v]: np.ones(())})) for v in (x, y)]
    e = np.exp(6.0)
    mixed = 3 * 4.0 + e + 6.0 * e
    hessian = [[float(row[v]) for v in (x, y)] for row in rows]
    assert_allclose(hessian, [[6 * 2.0 * 3.0 + 9 * e, mixed], [mixed, 4 * e]])


def test_a_gradient_of_gradients_reaches_the_gradient_that_was_passed_in():
    x, weight = leaf([1.0, 2.0]), leaf([3.0, 4.0])
    (x * x).backward(weight, create_graph=True)
    x.grad.backward([1.0, 10.0])
    assert_array_equal(weight.grad, [2.0, 40.0])


def test_what_forward_kept_is_no_constant_for_the_second_derivative(generator):
    x = leaf(generator.normal(size=(1, 4)))
    mg.cross_entropy(x, [2]).backward(create_graph=True)
    slope = x.grad
    p = mg.softmax(x.data)[0]
    for row in range(4):
        x.grad = None
        slope[0, row].backward()
        assert_allclose(x.grad[0], p[row] * (np.eye(4)[row] - p), atol=1e-15)

    y = leaf([3.0])
    Keeping()(y).backward(create_graph=True)
    slope, y.grad = y.grad, None
    slope.backward()
    assert_array_equal(y.grad, [2.0])


@pytest.mark.parametrize("function", [np.sign, lambda x: x // 2.0], ids=["sign", "floor_divide"])
def test_constant_gradients_are_tensors_too_under_create_graph(function):
    x = leaf([1.0, -2.0])
    function(x).sum().backward(create_graph=True)
    assert isinstance(x.grad, Tensor)
    assert_array_equal(x.grad.data, [0.0, 0.0])


def test_gradients_that_are_tensors_share_no_memory_either():
    x, y, z = leaf(np.ones(3)), leaf(np.ones(3)), leaf(np.ones(3))
    seed = Tensor(np.ones(3))
    (x + y + 0.0 * z).sum().backward(create_graph=True)
    z.grad = None
    z.backward(seed, create_graph=True)
    arrays = [x.grad.data, y.grad.data, z.grad.data]
    for i, array in enumerate(arrays):
        assert_owned(array, seed.data, *arrays[:i])


def test_without_create_graph_gradients_are_plain_arrays():
    x = leaf([1.0])
    (x * x).sum().backward()
    assert type(x.grad) is np.ndarray


def test_create_graph_records_inside_no_grad_as_well():
    x = leaf(2.0)
    y = x * x * x
    with mg.no_grad():
        y.backward(create_graph=True)
        assert not mg.is_grad_enabled()
    slope, x.grad = x.grad, None
    slope.backward()
    assert_array_equal(x.grad, 12.0)


# ---------------------------------------------------------------------------- leaves that change


@pytest.mark.parametrize(
    "change",
    [
        lambda t: setattr(t, "data", [5.0, 6.0]),
        lambda t: setattr(t, "data", t.data),
        lambda t: t.mark_changed(),
    ],
    ids=["data", "same data", "mark_changed"],
)
@pytest.mark.parametrize("requires_grad", [True, False], ids=["leaf", "constant"])
def test_a_leaf_changed_after_use_is_refused_by_name(change, requires_grad):
    x, w = leaf([1.0, 2.0]), Tensor([3.0, 4.0], requires_grad, name="the weight")
    out = x * w
    change(w)
    for later in (out, out.sum()):
        with pytest.raises(ValueError, match=r"'the weight'.*changed after multiply.*backward\(\)"):
            later.backward([1.0, 1.0] if later is out else None)
    assert x.grad is None
    assert w.grad is None
    (x * w).sum().backward()  # computed again, all is well
    assert_array_equal(x.grad, w.data)


def test_a_change_before_use_or_elsewhere_or_after_backward_is_fine():
    x, other = leaf([1.0]), leaf([1.0])
    x.data = [2.0]
    loss = (x * x).sum()
    other.data = [7.0]
    loss.backward()
    assert_array_equal(x.grad, [4.0])
    x.data = [3.0]
    assert_array_equal(x.grad, [4.0])
    with pytest.raises(ValueError, match="changed"):
        loss.backward()


def test_setting_data_copies_into_the_same_array():
    x = leaf([1.0, 2.0], dtype=np.float32)
    array, view, new = x.data, x.data[1:], np.array([3.0, 4.0])
    x.data = new
    assert x.data is array
    assert_array_equal(view, [4.0])
    new[:] = 0
    assert_array_equal(x.data, np.array([3.0, 4.0], np.float32), strict=True)
    x.data += 1
    assert x.data is array
    assert_array_equal(x.data, [4.0, 5.0])
    x.data = Tensor([6.0, 7.0])
    assert_array_equal(array, [6.0, 7.0])


@pytest.mark.parametrize("value", [1.0, [1.0], [1.0, 2.0, 3.0], [[1.0, 2.0]]])
def test_new_data_must_have_the_same_shape(value):
    x = leaf([1.0, 2.0], name="bias")
    y = x * 2.0
    with pytest.raises(ValueError, match=r"'bias'.*\(2,\)"):
        x.data = value
    assert_array_equal(x.data, [1.0, 2.0])
    y.sum().backward()  # nothing was changed, so nothing is refused


def test_only_leaves_can_be_given_data():
    y = leaf([1.0, 2.0]).exp()
    with pytest.raises(ValueError, match=r"made by exp.*is not a leaf"):
        y.data = [1.0, 2.0]


def test_new_data_must_fit_the_dtype():
    labels = Tensor([1, 2])
    with pytest.raises(TypeError):
        labels.data = [1.5, 2.5]
    assert_array_equal(labels.data, [1, 2])


# ----------------------------------------------------------------------- keeping and freeing graphs


def test_backward_keeps_the_graph():
    x = leaf(3.0)
    y = x * x
    y.backward()
    assert y.inputs == (x, x)


def test_a_graph_can_be_freed_early_and_says_so_afterwards():
    x = leaf([3.0], name="x")
    inner = x.exp()
    alive = weakref.ref(inner)
    loss = (inner * 2.0).sum()
    other = inner.tanh().sum()
    del inner
    loss.backward(retain_graph=False)
    assert_allclose(x.grad, 2 * np.exp([3.0]))
    with pytest.raises(ValueError, match=r"sum.*retain_graph=False.*again"):
        loss.backward()
    with pytest.raises(ValueError, match=r"exp.*retain_graph=False"):
        other.backward()
    del other
    assert alive() is None
    assert_allclose(x.grad, 2 * np.exp([3.0]))
    x.exp().sum().backward()  # the leaf is as good as ever


def test_freeing_lets_go_of_what_forward_kept():
    x = leaf([[1.0, 2.0, 3.0]])
    loss = mg.cross_entropy(x * 1.0, [0])  # of a leaf itself, it would become the gradient
    kept = weakref.ref(loss.op.saved)
    loss.backward(retain_graph=False)
    assert kept() is None


def plain_graph(x):
    return mg.sum(mg.tanh(x @ x) * x)


def after_backward(x):
    loss = plain_graph(x)
    loss.backward()
    loss.backward()
    return loss


def after_freeing(x):
    loss = plain_graph(x)
    inner = loss.inputs[0]
    loss.backward(retain_graph=False)
    return loss, inner


def fused_cross_entropy(x):
    loss = mg.cross_entropy(x, [0, 1])
    loss.backward()
    return loss


def composed_cross_entropy(x):
    loss = mg.cross_entropy(x, [0, 1], weight=[1.0, 2.0], label_smoothing=0.1, fused=False)
    loss.backward()
    return loss


def after_no_grad(x):
    with mg.no_grad():
        constant = x * x
    y = constant * x
    mg.no_grad()(plain_graph)(x)
    return constant, y


def retained(x):
    inner = mg.exp(x).retain_grad()
    inner.sum().backward()
    return inner


def failed(x):
    loss = mg.sum(x[0] * op_with(lambda self, g, out, x: 1 / g[5])(x[1]))
    for attempt in (loss.backward, lambda: x @ mg.concatenate([x, x]), lambda: np.sort(loss)):
        with pytest.raises((IndexError, ValueError, TypeError)):
            attempt()
    return loss


def swept_twice(x):
    gradients = dict(sweep({plain_graph(x): Tensor(1.0)}, create_graph=True))
    mg.sum(gradients[x]).backward()
    return tuple(gradients.values())


def create_graph_and_reset(x):
    loss = plain_graph(x)
    loss.backward(create_graph=True)
    slope, x.grad = x.grad, None
    return loss, slope


@pytest.mark.parametrize(
    "build",
    [
        plain_graph,
        after_backward,
        after_freeing,
        fused_cross_entropy,
        composed_cross_entropy,
        after_no_grad,
        retained,
        failed,
        swept_twice,
        create_graph_and_reset,
    ],
    ids=lambda build: build.__name__,
)
def test_a_dropped_graph_dies_at_once_without_the_garbage_collector(build, generator):
    gc.collect()
    gc.disable()
    try:
        x = leaf(generator.normal(size=(2, 2)))
        results = build(x)
        results = results if isinstance(results, tuple) else (results,)
        tensors = {
            t for result in results if result.inputs for t in reverse_topological_order(result)
        } | {*results}
        references = [weakref.ref(t) for t in tensors if t is not x]
        arrays = [weakref.ref(t.data) for t in tensors if t is not x and t.data.base is None]
        assert references
        del results, tensors
        assert [r() for r in references if r() is not None] == []
        assert [r() for r in arrays if r() is not None] == []
        leaf_alive = weakref.ref(x)
        del x
        assert leaf_alive() is None
    finally:
        gc.enable()


# ---------------------------------------------------------------------------- recording or not


def test_no_grad_and_enable_grad_nest():
    w = leaf(3.0)
    assert mg.is_grad_enabled()
    with mg.no_grad():
        assert not mg.is_grad_enabled()
        out = w * w
        assert not out.requires_grad
        assert out.op is None
        assert out.inputs == ()
        with mg.enable_grad():
            assert (w * w).requires_grad
            with mg.no_grad():
                assert not (w * w).requires_grad
            assert mg.is_grad_enabled()
        assert not mg.is_grad_enabled()
    assert mg.is_grad_enabled()
    assert (w * w).requires_grad


def test_leaves_made_inside_no_grad_may_require_gradients():
    with mg.no_grad():
        w = leaf(3.0)
    (w * w).backward()
    assert_array_equal(w.grad, 6.0)


def test_backward_inside_no_grad_follows_what_was_recorded():
    w = leaf(3.0)
    y = w * w
    with mg.no_grad():
        y.backward()
    assert_array_equal(w.grad, 6.0)
    assert type(w.grad) is np.ndarray


def test_both_are_decorators_that_work_at_every_call():
    w = leaf(3.0)

    @mg.no_grad()
    def predict(depth):
        """What it predicts."""
        assert not mg.is_grad_enabled()
        return predict(depth - 1) if depth else w * w

    @mg.enable_grad()
    def train():
        return w * w

    for _ in range(2):
        assert not predict(2).requires_grad
        assert mg.is_grad_enabled()
        with mg.no_grad():
            assert train().requires_grad
            assert not mg.is_grad_enabled()
    assert predict.__name__ == "predict"
    assert predict.__doc__ == "What it predicts."


@pytest.mark.parametrize(
    ("mode", "outside"), [(mg.no_grad, mg.enable_grad), (mg.enable_grad, mg.no_grad)]
)
def test_an_exception_restores_the_mode(mode, outside):
    @mode()
    def fail():
        assert mg.is_grad_enabled() is not before
        raise KeyError("as itself")

    with outside():
        before = mg.is_grad_enabled()
        with pytest.raises(KeyError, match="as itself"):
            fail()
        assert mg.is_grad_enabled() is before


def test_a_failed_backward_restores_the_mode():
    y = op_with(lambda self, g, out, x: g[5])(leaf(1.0))
    with mg.no_grad():
        with pytest.raises(IndexError, match="odd"):
            y.backward(create_graph=True)
        assert not mg.is_grad_enabled()


def in_thread(function):
    results = []
    thread = threading.Thread(target=lambda: results.append(function()))
    thread.start()
    thread.join()
    return results[0]


def test_a_thread_has_a_mode_of_its_own():
    w = leaf(3.0)

    with mg.no_grad():
        assert in_thread(lambda: (w * w).requires_grad)
        assert not (w * w).requires_grad


def test_a_thread_leaves_the_mode_of_others_alone():
    entered, checked = threading.Event(), threading.Event()

    def predict():
        with mg.no_grad():
            entered.set()
            checked.wait()

    thread = threading.Thread(target=predict)
    thread.start()
    entered.wait()
    enabled = mg.is_grad_enabled()
    checked.set()
    thread.join()
    assert enabled


def test_a_context_has_a_mode_of_its_own():
    context, off = contextvars.copy_context(), mg.no_grad()
    context.run(off.__enter__)
    assert mg.is_grad_enabled()
    assert not context.run(mg.is_grad_enabled)
    context.run(off.__exit__, None, None, None)
    assert context.run(mg.is_grad_enabled)


def test_tasks_have_modes_of_their_own():
    seen = {}

    async def predict(entered, checked):
        with mg.no_grad():
            entered.set()
            await checked.wait()
            seen["predicting"] = mg.is_grad_enabled()

    async def train(entered, checked):
        await entered.wait()  # now the other task is inside its no_grad
        seen["training"] = mg.is_grad_enabled()
        checked.set()

    async def both():
        events = asyncio.Event(), asyncio.Event()
        await asyncio.gather(predict(*events), train(*events))

    asyncio.run(both())
    assert seen == {"training": True, "predicting": False}


# ------------------------------------------------------------------ making Tensors, and their flags


def test_construction_copies_and_as_tensor_shares():
    array = np.array([1.0, 2.0])
    copied, shared = Tensor(array), mg.as_tensor(array)
    array[0] = 9.0
    assert_array_equal(copied.data, [1.0, 2.0])
    assert_array_equal(shared.data, [9.0, 2.0])
    assert shared.data is array
    assert mg.as_tensor(shared) is shared
    assert not np.shares_memory(Tensor(shared).data, array)
    assert (leaf([1.0, 1.0]) * array).inputs[1].data is array


def test_as_tensor_converts_only_if_it_must():
    array = np.array([1.0, 2.0])
    assert mg.as_tensor(array, np.float64).data is array
    assert mg.as_tensor(array, np.float32).dtype == np.float32
    x = leaf(array)
    assert mg.as_tensor(x, np.float64) is x
    single = mg.as_tensor(x, np.float32)
    assert single.dtype == np.float32
    assert single.requires_grad  # a conversion is an op like any other


@pytest.mark.parametrize(
    "data", [1.0, [1.0, 2.0], ((1.0,), (2.0,)), np.float32(3.0), range(3), True]
)
def test_data_is_always_an_array(data):
    for tensor in (Tensor(data), mg.as_tensor(data)):
        assert type(tensor.data) is np.ndarray
        assert_array_equal(tensor.data, np.asarray(data), strict=True)
    x = leaf(data, dtype=float)
    out = (x * 2.0).sum()
    out.backward()
    assert type(out.data) is type(x.grad) is np.ndarray
    assert out.shape == ()


def test_constant_tensors_inside_lists_count_as_their_arrays():
    x = Tensor([1.0, 2.0])
    made = Tensor([x, [x[0], 3.0]])
    assert_array_equal(made.data, [[1.0, 2.0], [1.0, 3.0]])
    assert made.is_leaf


def test_subclasses_of_ndarray_are_taken_as_plain_arrays():
    masked = np.ma.masked_array([1.0, 2.0])
    assert type(mg.as_tensor(masked).data) is np.ndarray
    assert type((leaf([1.0, 2.0]) * masked).data) is np.ndarray


@pytest.mark.parametrize("data", ["text", None, 1j, [1.0, None], object(), b"bytes"])
def test_data_that_are_no_real_numbers_are_refused(data):
    for make in (Tensor, mg.as_tensor, lambda data: leaf(1.0) * data):
        with pytest.raises(TypeError, match="real numbers"):
            make(data)


@pytest.mark.parametrize("dtype", [complex, object, str])
def test_dtypes_that_are_not_of_real_numbers_are_refused(dtype):
    x = Tensor([1.0])
    for make in (
        lambda: Tensor([1.0], dtype=dtype),
        lambda: mg.as_tensor([1.0], dtype),
        lambda: mg.as_tensor(x, dtype),
        lambda: x.astype(dtype),
        lambda: leaf([1.0]).astype(dtype),
    ):
        with pytest.raises(TypeError, match="real numbers"):
            make()


def test_rows_of_unequal_length_are_refused():
    with pytest.raises(ValueError, match="inhomogeneous"):
        Tensor([[1.0, 2.0], [3.0]])


def test_flags_of_leaves_and_results():
    constant, x = Tensor([1.0]), leaf([1.0])
    y = x * constant
    assert (constant.requires_grad, x.requires_grad, y.requires_grad) == (False, True, True)
    assert (constant.is_leaf, x.is_leaf, y.is_leaf) == (True, True, False)
    assert (x.op, y.op.name) == (None, "multiply")
    assert x.grad is None
    assert x.name is None
    assert (constant * 2.0).is_leaf  # nothing to remember


def test_requires_grad_can_be_set_on_leaves():
    x = Tensor([1.0])
    assert x.requires_grad_() is x
    assert x.requires_grad
    x.requires_grad = False
    assert not (x * 2.0).requires_grad
    y = leaf([1.0]).exp()
    assert y.requires_grad_() is y
    with pytest.raises(ValueError, match=r"exp.*detach\(\)"):
        y.requires_grad_(False)
    assert y.requires_grad


def test_detach_shares_the_array_and_stops_the_gradient():
    x = leaf([2.0, 3.0])
    y = x * x
    constant = y.detach()
    assert constant.data is y.data
    assert constant.is_leaf
    assert not constant.requires_grad
    (constant * x).sum().backward()
    assert_array_equal(x.grad, constant.data)


def test_in_place_operators_rebind():
    x = leaf([1.0, 2.0])
    y = x
    for step in ("y += 1.0", "y -= 1.0", "y *= 2.0", "y /= 4.0", "y **= 2.0", "y @= np.eye(2)"):
        before, scope = y, {"y": y, "np": np}
        values = before.data.copy()
        exec(step, scope)
        y = scope["y"]
        assert y is not before
        assert_array_equal(before.data, values)
    y.sum().backward()
    assert_allclose(x.grad, x.data / 2)


def test_tensors_hash_by_identity():
    x, y = leaf([1.0, 2.0]), leaf([1.0, 2.0])
    assert len({x, y, x}) == 2
    assert {x: "x", y: "y"}[y] == "y"
    before = hash(x)
    x.data = [3.0, 4.0]
    assert hash(x) == before


def copies(tensor):
    yield copy.deepcopy(tensor)
    yield copy.copy(tensor)
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        yield pickle.loads(pickle.dumps(tensor, protocol))


@pytest.mark.parametrize("requires_grad", [True, False])
@pytest.mark.parametrize("dtype", FLOATS)
def test_copying_and_pickling_keep_data_and_flags(requires_grad, dtype):
    x = Tensor([[1.0, 2.0]], requires_grad, dtype=dtype, name="weight")
    for other in copies(x):
        assert_array_equal(other.data, x.data, strict=True)
        assert not np.shares_memory(other.data, x.data)
        assert other.requires_grad is requires_grad
        assert other.name == "weight"
        assert hash(other) != hash(x)


def test_copying_and_pickling_drop_the_graph():
    x = leaf([1.0, 2.0])
    y = x.exp()
    for other in copies(y):
        assert other.is_leaf
        assert other.inputs == ()
        assert other.requires_grad
        (other * other).sum().backward()
        assert_array_equal(other.grad, 2 * y.data)
    assert x.grad is None
    assert copy.deepcopy(Tensor([1, 2])).dtype == int


def test_a_deep_copy_keeps_shared_tensors_shared():
    x = leaf([1.0])
    one, other = copy.deepcopy([x, x])
    assert one is other
    assert one is not x


# ---------------------------------------------------------------------------- random programs

ONE_INPUT = {
    "exp": np.exp,
    "tanh": np.tanh,
    "negative": np.negative,
    "sum": np.sum,
    "sum of columns": lambda x: np.sum(x, axis=0, keepdims=True),
    "mean of rows": lambda x: np.mean(x, axis=-1),
    "column": lambda x: np.reshape(x, (-1, 1)),
    "flat": lambda x: np.reshape(x, -1),
    "part": lambda x: x[..., 1:],
    "repeated": lambda x: x[[0, 0, -1]],
}
TWO_INPUTS = {"+": np.add, "-": np.subtract, "*": np.multiply, "@": np.matmul}


def random_program(length, seed):
    """Leaves, and steps: an operation and which of the values so far it takes."""
    generator = np.random.default_rng(seed)
    shapes = [(), (3,), (3, 3)]
    leaves = [generator.uniform(-1, 1, shapes[i]) for i in generator.integers(3, size=2)]
    values = list(leaves)
    steps = []
    while len(steps) < length:
        name = str(generator.choice([*ONE_INPUT, *TWO_INPUTS, "@", "@"]))  # whose shapes seldom fit
        taken = generator.integers(len(values), size=1 if name in ONE_INPUT else 2).tolist()
        if any(np.max(np.abs(values[i])) > 4 for i in taken):
            continue
        try:
            value = (ONE_INPUT | TWO_INPUTS)[name](*(values[i] for i in taken))
        except (ValueError, IndexError):
            continue
        if np.size(value):
            steps.append((name, taken))
            values.append(value)
    return leaves, steps


PROGRAMS = st.builds(random_program, length=st.integers(2, 15), seed=st.integers(0, 2**32 - 1))


def run(steps, leaves):
    """A number to which every value of the program contributes."""
    values = list(leaves)
    for name, taken in steps:
        values.append((ONE_INPUT | TWO_INPUTS)[name](*(values[i] for i in taken)))
    weights = [np.cos(np.arange(np.size(v))).reshape(np.shape(v)) for v in values]
    return sum(np.sum(v * w) for v, w in zip(values, weights, strict=True))


def by_complex_steps(f, leaves):
    """∂f/∂x = Im f(x + ih) / h: a difference quotient that nothing cancels in, so h can be tiny."""
    gradients = []
    for i, x in enumerate(leaves):
        gradient = np.zeros_like(x)
        for place in np.ndindex(x.shape):
            stepped = x.astype(complex)
            stepped[place] += 1e-30j
            gradient[place] = f([*leaves[:i], stepped, *leaves[i + 1 :]]).imag / 1e-30
        gradients.append(gradient)
    return gradients


@settings(max_examples=200)
@given(PROGRAMS)
def test_backward_of_random_programs_equals_difference_quotients(program):
    arrays, steps = program
    leaves = [leaf(x) for x in arrays]
    out = run(steps, leaves)
    assert_array_equal(out.data, run(steps, arrays), strict=False)
    out.backward()
    for x, expected in zip(leaves, by_complex_steps(lambda a: run(steps, a), arrays), strict=True):
        scale = 1 + np.max(np.abs(expected))
        assert_allclose(x.grad, expected, rtol=0, atol=1e-12 * scale)


@settings(max_examples=100)
@given(PROGRAMS)
def test_gradients_of_gradients_of_random_programs_equal_central_differences(program):
    arrays, steps = program

    def gradients_at(arrays):
        leaves = [leaf(x) for x in arrays]
        run(steps, leaves).backward()
        return [x.grad for x in leaves]

    leaves = [leaf(x) for x in arrays]
    direction = [np.cos(3 * np.arange(x.size) + 1).reshape(x.shape) for x in arrays]
    gradients = dict(sweep({run(steps, leaves): Tensor(1.0)}, create_graph=True))
    slope = sum(np.sum(gradients[x] * v) for x, v in zip(leaves, direction, strict=True))
    products = dict(sweep({slope: np.ones(())})) if slope.requires_grad else {}

    h = 1e-5
    ahead = gradients_at([x + h * v for x, v in zip(arrays, direction, strict=True)])
    behind = gradients_at([x - h * v for x, v in zip(arrays, direction, strict=True)])
    for x, up, down in zip(leaves, ahead, behind, strict=True):
        expected = (up - down) / (2 * h)
        scale = 1 + np.max(np.abs(expected)) + np.max(np.abs(up))
        product = products.get(x, np.zeros(x.shape))
        assert_allclose(product, expected, rtol=0, atol=1e-6 * scale)


def test_subclasses_of_tensor_keep_their_kind():
    class Parameter(Tensor):
        pass

    w = Parameter([1.0, 2.0], requires_grad=True, name="w")
    assert type(w) is Parameter
    out = (w * w).sum()
    out.backward()
    assert type(out) is Tensor
    assert_array_equal(w.grad, [2.0, 4.0])


def test_no_grad_does_not_decorate_what_runs_piece_by_piece():
    def values():
        yield 1

    async def later():
        return 1

    for function in (values, later):
        with pytest.raises(TypeError, match=r"cannot decorate (values|later).*write `with` inside"):
            mg.no_grad()(function)


def test_one_no_grad_can_be_entered_again_and_again():
    w, mode = leaf([1.0]), mg.no_grad()
    for _ in range(2):
        with mode, mode:
            assert not (w * w).requires_grad
        assert (w * w).requires_grad


def test_a_tensor_made_from_tensors_that_require_gradients_is_refused():
    x = leaf([1.0, 2.0])
    for data in (x, [x, x], [x[0] * 2.0, 3.0], x * 2.0):
        with pytest.raises(TypeError, match=r"np\.stack"):
            Tensor(data, requires_grad=True)
    assert_array_equal(Tensor(x.detach()).data, [1.0, 2.0])
    assert_array_equal(Tensor([x.detach(), [3.0, 4.0]]).data, [[1.0, 2.0], [3.0, 4.0]])


def test_a_forward_with_several_results_is_refused_by_name():
    op = op_with(lambda self, g, out, x: g, lambda self, x: (x, x), name="pair")
    with pytest.raises(TypeError, match=r"pair of float64.*: forward returned 2 results"):
        op(leaf([1.0]))


def test_errors_about_arguments_speak_of_tensor():
    with pytest.raises(
        TypeError, match=r"Tensor\.mean\(\) got an unexpected keyword argument 'dim'"
    ):
        leaf([1.0]).mean(dim=0)


def test_data_set_on_a_constant_leaves_those_alone_that_share_its_array():
    w = leaf([2.0])
    y = (w * w).sum()
    w.detach().data = [5.0]
    with mg.no_grad():
        view = w.reshape(1)
    view.data = [7.0]
    assert_array_equal(view.data, [7.0])
    assert_array_equal(w.data, [2.0])
    y.backward()
    assert_array_equal(w.grad, [4.0])


def test_a_forward_that_gives_a_tensor_is_refused():
    scale = leaf(3.0)
    op = op_with(lambda self, g, out, x: g, lambda self, x: x * scale, name="scale")
    with pytest.raises(TypeError, match=r"scale of float64.*must be an input"):
        op(leaf([1.0]))


def test_requires_grad_is_true_or_false():
    with pytest.raises(TypeError, match=r"must be True or False, not .*a dtype is given by dtype="):
        Tensor([1.0], np.float32)


def test_threads_that_share_a_leaf_lose_nothing():
    w = leaf(1.0)
    switch = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [
            threading.Thread(target=lambda: [(w * 1.0).backward() for _ in range(500)])
            for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(switch)
    assert w.grad == 2000
