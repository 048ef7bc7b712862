"""The backward sweep: each op once, every path counted, no recursion."""

import copy
import gc
import pickle
import sys
import threading
import weakref

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import microgradx as mg
from microgradx import Tensor
from microgradx.engine import reverse_topological_order, sweep
from tests.helpers import leaf, op_with


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


def test_the_sweep_yields_every_gradient_newest_first_and_writes_to_no_tensor():
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
