"""Gradients are arrays that share memory with nothing else, and rules write into nobody's."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import microgradx as mg
from microgradx import Op
from microgradx.engine import reverse_topological_order, sweep
from microgradx.graph.observers import observe
from tests.helpers import assert_owned, leaf, op_with


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


def keep(g):
    KEPT.append(g)
    return g


def keep_view(g):
    KEPT.append(g[:1])
    return g


def keep_and_return_view(g):
    KEPT.append(g)
    return g[:]


def keep_buffer(g):
    KEPT.append(np.asarray(memoryview(g)))
    return g


def freeze(g):
    g.flags.writeable = False
    return g


def change_order(g):
    return np.asfortranarray(g)


KEPT = []


@pytest.mark.parametrize(
    "expose", [keep, keep_view, keep_and_return_view, keep_buffer, freeze, change_order]
)
def test_a_gradient_that_somebody_sees_is_copied(expose):
    KEPT.clear()
    x = leaf([[1.0, 2.0], [3.0, 4.0]])
    op_with(lambda self, g, out, x: expose(g * 2.0))(x).backward(np.ones((2, 2)))
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
