"""What is shown of a computation: kinds of boxes, gradients, arrows, and where everything is."""

import sys
from collections import Counter

import numpy as np
import pytest

import microgradx as mg
from microgradx.graph.observers import observe
from microgradx.graph.scopes import scope
from microgradx.show.graphs.graph import build_graph
from tests.helpers import leaf


def graph(output, **settings):
    return build_graph(output, sys._getframe(1), **settings)


def network(generator):
    x = mg.Tensor(generator.normal(size=(5, 2)), name="x")
    w, b, v = (
        leaf(generator.normal(size=s), n) for s, n in (((2, 3), "w"), (3, "b"), ((3, 2), "v"))
    )
    h = mg.tanh(x @ w + b)
    h.name = "h"
    loss = mg.cross_entropy(h @ v, mg.Tensor([0, 1, 1, 0, 1], name="labels"))
    loss.name = "loss"
    return loss, {"w": w, "b": b, "v": v, "h": h}


# ---------------------------------------------------------------------------- kinds


def test_the_kinds_of_boxes():
    w, inputs = leaf([1.0, 2.0]), np.array([3.0, 4.0])

    @scope
    def f(x):
        return x * np.array([5.0, 6.0]) + np.float64(7.0)

    temperature = mg.Tensor(2.0)
    out = mg.sum(f(w * inputs * np.array([8.0, 9.0]) * 10.0) / temperature)
    kinds = {(box.name or box.value.lines[0][0]): box.kind for box in graph(out).boxes.values()}
    assert kinds["w"] == "parameter"
    assert kinds["inputs"] == kinds["temperature"] == kinds[8.0] == "input"
    assert kinds[5.0] == kinds[7.0] == kinds[10.0] == "constant"
    assert kinds["out"] == "output"
    assert Counter(kinds.values())["intermediate"] > 0


def test_a_leaf_alone_is_one_box():
    x = leaf([1.0])
    shown = graph(x)
    assert [(box.id, box.kind, box.name) for box in shown.boxes.values()] == [
        ("t1", "parameter", "x")
    ]
    assert (shown.op_nodes, shown.arrows, shown.nodes) == ({}, [], 1)
    assert shown.boxes[x].gradient.lines == [[1.0]]
    constant = graph(mg.Tensor([1.0]))
    assert [(box.kind, box.gradient) for box in constant.boxes.values()] == [("input", None)]


def test_ids_count_in_the_order_of_the_computation():
    x, y = leaf(1.0), leaf(2.0)
    a = x * y
    b = mg.tanh(x)
    shown = graph(a + b)
    assert [box.id for box in shown.boxes.values()] == ["t1", "t2", "t3", "t4", "t5"]
    assert [box.name for box in shown.boxes.values()] == ["x", "y", "a", "b", None]
    assert list(shown.op_nodes) == ["t3_op", "t4_op", "t5_op"]


# ---------------------------------------------------------------------------- gradients


def test_gradients_are_the_engines(generator):
    loss, tensors = network(generator)
    tensors["h"].retain_grad()
    shown = graph(loss)
    assert all(tensor.grad is None for tensor in tensors.values())
    assert shown.note == "gradients of loss"
    loss.backward()
    for tensor in tensors.values():
        gradient, g = shown.boxes[tensor].gradient, tensor.grad
        assert gradient.shape == g.shape
        elements = np.ravel(gradient.lines or gradient.spread)
        expected = g.ravel() if g.size <= 6 else [g.min(), g.mean(), g.max()]
        np.testing.assert_allclose(elements, expected, rtol=1e-12, atol=1e-15)


def test_grad_is_neither_read_nor_written(generator):
    loss, tensors = network(generator)
    leaves = [tensor for tensor in tensors.values() if tensor.is_leaf]
    for tensor in leaves:
        tensor.grad = np.full(tensor.shape, 777.0)
    kept = [tensor.grad for tensor in leaves]
    graph(loss)
    for tensor, grad in zip(leaves, kept, strict=True):
        assert tensor.grad is grad
        assert np.all(grad == 777)


def test_hooks_are_not_run(generator):
    loss, tensors = network(generator)
    tensors["w"].register_hook(lambda g: pytest.fail("the hook was run"))
    assert graph(loss).boxes[tensors["w"]].gradient is not None


def test_gradients_can_be_left_out(generator):
    loss, _ = network(generator)
    shown = graph(loss, gradients=False)
    assert shown.note == ""
    assert all(box.gradient is None and not box.lacks_gradient for box in shown.boxes.values())


def test_gradients_older_than_what_is_shown_are_not_computed():
    class Counting:
        rules = 0

        def forward(self, op, inputs, out):
            pass

        def backward(self, out, x, g, gradient):
            self.rules += 1

    x, y = leaf(0.5), leaf(0.4)
    for _ in range(1000):
        x, y = mg.sin(x - y), mg.cos(x * y)
    counting = Counting()
    with observe(counting):
        shown = graph(x - y, max_nodes=20)
    assert shown.is_cut
    assert 0 < counting.rules < 40
    assert all(box.gradient is not None for box in shown.boxes.values())


def test_where_no_gradient_arrives():
    x = leaf([1.0, 3.0])
    peak = mg.max(x)
    shown = graph(mg.sum(x - mg.stop_gradient(peak)))
    assert shown.boxes[peak].lacks_gradient
    assert not shown.boxes[x].lacks_gradient


def test_a_result_of_many_elements_has_values_only():
    out = leaf([1.0, 2.0, 3.0]) * 2
    shown = graph(out)
    assert shown.note == "no gradients: out has 3 elements, not one"
    assert not any(box.gradient or box.lacks_gradient for box in shown.boxes.values())


def test_a_leaf_changed_since(generator):
    loss, tensors = network(generator)
    tensors["v"].data = tensors["v"].data * 0 + 5
    shown = graph(loss)
    assert [box.name for box in shown.boxes.values() if box.has_changed] == ["v"]
    assert shown.boxes[tensors["v"]].value.lines == [[5, 5]] * 3
    assert shown.note == "no gradients: leaves have changed since they were used"
    assert not any(box.gradient for box in shown.boxes.values())
    with pytest.raises(ValueError, match="was changed after"):
        loss.backward()


def test_a_freed_graph_shows_what_is_left():
    kept = mg.exp(leaf([1.0, 2.0]))
    loss = mg.sum(kept)
    loss.backward(retain_graph=False)
    shown = graph(loss)
    assert [(arrow.tail, arrow.head) for arrow in shown.arrows] == [("t1_op", "t1")]
    assert shown.note == "no gradients: the graph has been freed"


def test_what_is_not_finite():
    x = leaf([0.0, 1.0])
    with np.errstate(all="ignore"):
        shown = graph(mg.sum(mg.sqrt(x)))
    assert shown.boxes[x].value.is_finite
    assert not shown.boxes[x].is_finite  # its gradient is infinite
    assert shown.boxes[shown.output].is_finite


def test_boxes_are_of_the_time_of_the_picture():
    x = leaf([1.0, 2.0])
    shown = graph(mg.sum(x * x))
    x.data = np.array([7.0, 7.0])
    assert shown.boxes[x].value.lines == [[1.0, 2.0]]
    assert shown.boxes[x].gradient.lines == [[2.0, 4.0]]


# ---------------------------------------------------------------------------- arrows and places


def test_a_product_with_itself_has_both_arrows():
    x = leaf([1.0, -2.0])
    shown = graph(x * x)
    assert [(arrow.id, arrow.letter) for arrow in shown.arrows] == [
        ("e-t1-t2_op-0", ""),
        ("e-t1-t2_op-1", ""),
        ("e-t2_op-t2-0", ""),
    ]
    assert [shown.arrow_into(shown.output, i) for i in (0, 1)] == ["e-t1-t2_op-0", "e-t1-t2_op-1"]
    assert shown.arrow_from(shown.output) == "e-t2_op-t2-0"


@pytest.mark.parametrize(
    ("function", "letters"),
    [
        (lambda x, y: x - y, {"x": "x", "y": "y"}),
        (lambda x, y: y - x, {"y": "x", "x": "y"}),
        (lambda x, y: x + y, {"x": "", "y": ""}),
        (lambda x, y: mg.maximum(x, y), {"x": "", "y": ""}),
        (lambda x, y: mg.where(np.array(True), y, x), {"y": "y", "x": "z"}),
        (lambda x, y: mg.tanh(x), {"x": ""}),
    ],
)
def test_operands_are_told_apart_where_their_order_matters(function, letters):
    shown = graph(function(leaf(1.0, "x"), leaf(2.0, "y")))
    names = {box.id: box.name for box in shown.boxes.values()}
    said = {names[arrow.tail]: arrow.letter for arrow in shown.arrows if arrow.tail in names}
    assert {name: letter for name, letter in said.items() if name} == letters


def test_many_operands_are_numbered():
    shown = graph(np.concatenate([leaf([0.0], c) for c in "abcde"]))
    assert [arrow.letter for arrow in shown.arrows] == ["x", "y", "z", "4", "5", ""]


def test_many_arrows_side_by_side_are_one():
    x = leaf([1.0])
    few = graph(np.concatenate([x, x, x]))
    assert [arrow.letter for arrow in few.arrows[:-1]] == ["x", "y", "z"]
    many = graph(np.concatenate([x] * 40_000))
    arrow, _ = many.arrows
    assert (arrow.tail, arrow.head, arrow.letter, arrow.times) == ("t1", "t2_op", "", 40_000)
    assert many.arrow_into(many.output, 39_999) == arrow.id


def test_everything_has_a_place_also_what_is_hidden():
    @scope
    def f(x):
        return mg.tanh(mg.exp(x) * 3.0)

    x = leaf(0.5)
    inner = f(x)
    out = f(inner) + x
    closed = graph(out, depth=0)
    assert list(closed.op_nodes) == ["block1", "t3_op"]
    (node, _) = closed.op_nodes.values()
    hidden = [*node.members[:-1], *node.hidden]
    assert {closed.node_of(tensor) for tensor in hidden} == {"block1"}
    assert {closed.op_node_of(tensor) for tensor in node.members} == {"block1"}
    assert closed.node_of(out.inputs[0]) == "t2"
    assert closed.arrow_into(node.members[0], 0) == "e-t1-block1-0"
    assert closed.arrow_into(node.members[1], 0) is None
    assert closed.arrow_from(node.members[1]) is None
    assert closed.arrow_from(out.inputs[0]) == "e-block1-t2-0"


def test_what_is_left_out_has_a_place_too():
    x = y = leaf(0.5)
    for _ in range(50):
        x, y = mg.sin(x - y), mg.cos(x * y)
    out = x - y
    cut = graph(out, max_nodes=12)
    oldest = out
    while oldest.inputs[0].inputs:
        oldest = oldest.inputs[0]
    assert cut.node_of(oldest.inputs[0]) == cut.node_of(oldest) == "elided"
    assert cut.op_node_of(oldest) == "elided"
    assert cut.arrow_into(oldest, 0) is None
    heads = [arrow.head for arrow in cut.arrows if arrow.tail == "elided"]
    assert len(heads) == len(set(heads)) > 0
    both = [arrow for arrow in cut.arrows if arrow.tail == "elided" and arrow.times == 2]
    assert both
    assert not any(arrow.letter for arrow in both)


def test_fewer_nodes():
    x, y = leaf(0.5), leaf(0.25)
    for _ in range(10):
        x, y = mg.sin(x - y), mg.cos(x * y)
    whole = graph(x - y)
    cut = whole.keep_newest(15)
    assert cut.nodes <= 15
    assert cut.elided + len(cut.op_nodes) == whole.elided + len(whole.op_nodes) == 41
    assert list(cut.op_nodes) == list(whole.op_nodes)[-len(cut.op_nodes) :]
    assert all(cut.boxes[tensor] is whole.boxes[tensor] for tensor in cut.boxes)
    again = cut.keep_newest(8)
    assert again.nodes <= 8
    assert again.elided + len(again.op_nodes) == 41
