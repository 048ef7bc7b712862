"""Graphs are kept by backward, released when asked, and freed at once when dropped."""

import gc
import weakref

import numpy as np
import pytest
from numpy.testing import assert_allclose

import microgradx as mg
from microgradx import Tensor
from microgradx.engine import reverse_topological_order, sweep
from tests.helpers import leaf, op_with
from tests.ops.test_table import TABLE, as_list


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


def test_freeing_lets_go_of_what_forward_saved():
    x = leaf([[1.0, 2.0, 3.0]])
    loss = mg.cross_entropy(x * 1.0, [0])  # of a leaf itself, it would become the gradient
    kept = weakref.ref(loss.op.saved)
    loss.backward(retain_graph=False)
    assert kept() is None


def test_no_op_keeps_what_it_saved_when_the_graph_is_freed():
    names_of_saving = set()
    for name, row in TABLE.items():
        arrays, settings = next(row.samples(name))
        outs = as_list(row.function(*map(leaf, arrays), **settings))
        total = sum(mg.sum(out) for out in outs)
        if not total.requires_grad:
            continue
        ops = [t.op for t in reverse_topological_order(total) if t.op is not None]
        saving = [op for op in ops if op.saved is not None]
        names_of_saving.update(op.name for op in saving)
        total.backward(retain_graph=False)
        assert all(op.saved is None for op in saving), name
    assert {"softmax_cross_entropy", "normalise", "conv2d"} <= names_of_saving


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
