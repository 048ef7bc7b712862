"""Drawings as DOT source: what is in them, and that making them changes nothing."""

import re
import warnings
from collections import Counter
from xml.etree import ElementTree

import numpy as np
import pytest

import microgradx as mg
from microgradx.recording import leave_scope, numbers


class Parsed:
    """DOT source, read back: rows of cells, attributes and frames of nodes; arrows, letters."""

    def __init__(self, drawing):
        self.rows, self.attributes, self.frames, self.edges, self.letters = {}, {}, {}, [], {}
        around = []
        for line in drawing.source.splitlines():
            line = line.strip()
            if line.startswith("subgraph"):
                around.append("")
            elif line == "}" and around:
                around.pop()
            elif match := re.match(r"(\w+) -> (\w+) \[(.*)\]$", line):
                tail, head, attributes = match.groups()
                self.edges.append((tail, head))
                self.letters.setdefault((tail, head), []).extend(
                    re.findall(r"headlabel=(\w+)", attributes)
                )
            elif match := re.match(r"(t\d+(?:_op)?|elided) \[label=<(.*)> (\w+=.*)\]$", line):
                node, label, self.attributes[node] = match.groups()
                self.rows[node] = [
                    ["".join(cell.itertext()).strip() for cell in row]
                    for row in ElementTree.fromstring(f"<x>{label}</x>").iter("TR")
                ] or ["".join(ElementTree.fromstring(f"<x>{label}</x>").itertext())]
                self.frames[node] = tuple(around)
            elif around and (match := re.match(r"graph \[.*label=<(.*?)> ", line)):
                around[-1] = match[1]

    def box(self, name):
        (node,) = (n for n, rows in self.rows.items() if rows[0][0].split("  ")[0] == name)
        return node

    def numbers(self, node, what):
        """The numbers in the rows that begin with a word, and in those that continue them."""
        found, inside = [], False
        for row in self.rows[node][1:]:
            inside = row[0] == what or (inside and row[0] == "")
            found += map(float, row[1:]) if inside else []
        return found

    def op(self, name):
        (node,) = (n for n, rows in self.rows.items() if n.endswith("_op") and rows[0] == [name])
        return node


def leaf(values, name):
    return mg.Tensor(np.array(values, dtype=float), requires_grad=True, name=name)


def network(generator):
    x = mg.Tensor(generator.normal(size=(5, 2)), name="x")
    w, b, v = (
        leaf(generator.normal(size=s), n) for s, n in (((2, 3), "w"), (3, "b"), ((3, 2), "v"))
    )
    h = mg.tanh(x @ w + b)
    h.name = "h"
    loss = mg.cross_entropy(h @ v, mg.Tensor([0, 1, 1, 0, 1], name="labels"))
    loss.name = "loss"
    return loss, {"w": w, "b": b, "v": v}, h


# ---------------------------------------------------------------------------- structure


def test_a_product_with_itself_has_both_arrows():
    x = leaf([1.0, -2.0], "x")
    parsed = Parsed(mg.draw((x * x).sum()))
    assert Counter(parsed.edges) == {
        ("t1", "t2_op"): 2,
        ("t2_op", "t2"): 1,
        ("t2", "t3_op"): 1,
        ("t3_op", "t3"): 1,
    }
    assert parsed.rows["t2_op"] == [["multiply"], ["x · y"]]
    assert parsed.numbers("t1", "value") == [1, -2]
    assert parsed.numbers("t1", "gradient") == [2, -4]


def test_operands_are_told_apart_where_their_order_matters():
    x, y = leaf(1.0, "x"), leaf(2.0, "y")
    parsed = Parsed(mg.draw(y - x))
    assert parsed.letters[parsed.box("y"), parsed.op("subtract")] == ["x"]
    assert parsed.letters[parsed.box("x"), parsed.op("subtract")] == ["y"]
    same = Parsed(mg.draw(x / x))
    assert same.letters[same.box("x"), same.op("divide")] == ["x", "y"]
    either = Parsed(mg.draw(x + y))
    assert either.letters[either.box("x"), either.op("add")] == []
    many = Parsed(mg.draw(np.concatenate([leaf([0.0], c) for c in "abcde"]).sum()))
    letters = [many.letters[many.box(c), many.op("concatenate")] for c in "abcde"]
    assert letters == [["x"], ["y"], ["z"], ["4"], ["5"]]


def test_the_kinds_of_boxes_differ_in_colour_and_border():
    loss, _, _ = network(np.random.default_rng(0))
    parsed = Parsed(mg.draw(loss))
    looks = {
        kind: parsed.attributes[parsed.box(name)]
        for kind, name in (("parameter", "w"), ("constant", "x"), ("between", "h"), ("out", "loss"))
    }
    borders = {kind: re.sub(r'\s*(fill)?color="[^"]*"', "", look) for kind, look in looks.items()}
    assert len(set(borders.values())) == 4
    assert parsed.attributes[parsed.box("w")] == parsed.attributes[parsed.box("b")]


def test_ops_tell_their_settings():
    x = leaf([[1.0, 2.0]], "x")
    assert 'tooltip="sum(axis=1)"' in mg.draw(mg.sum(x, axis=1)).source


@pytest.mark.parametrize("requires_grad", [False, True])
def test_a_leaf_alone_is_one_box(requires_grad):
    parsed = Parsed(mg.draw(mg.Tensor([1.0], requires_grad, name="x")))
    assert list(parsed.rows) == ["t1"]
    assert parsed.edges == []
    assert parsed.numbers("t1", "gradient") == ([1.0] if requires_grad else [])


def test_the_same_computation_gives_the_same_source():
    one, other = (mg.draw(network(np.random.default_rng(7))[0]).source for _ in range(2))
    assert one == other
    composed = [
        mg.draw(mg.cross_entropy(leaf([[1.0, 2.0]], "z"), [1], fused=False)).source
        for _ in range(2)
    ]
    assert composed[0] == composed[1]


def test_what_is_not_a_tensor_is_refused():
    with pytest.raises(TypeError, match="was given ndarray; give it the result"):
        mg.draw(np.ones(3))
    with pytest.raises(ValueError, match="max_nodes must be at least 1, not 0"):
        mg.draw(leaf(1.0, "x"), max_nodes=0)


# ---------------------------------------------------------------------------- gradients


def test_gradients_are_the_engines(generator):
    loss, leaves, h = network(generator)
    h.retain_grad()
    drawing = mg.draw(loss)
    assert all(tensor.grad is None for tensor in (*leaves.values(), h))
    parsed = Parsed(drawing)
    loss.backward()
    for name, tensor in {**leaves, "h": h}.items():
        shown = parsed.numbers(parsed.box(name), "gradient")
        g = tensor.grad
        expected = g.ravel() if g.size <= 6 else [g.min(), g.mean(), g.max()]
        np.testing.assert_allclose(shown, expected, rtol=1e-3, atol=1e-12)
    assert "gradients of loss" in drawing.source


def test_grad_is_neither_read_nor_written(generator):
    loss, leaves, _ = network(generator)
    for tensor in leaves.values():
        tensor.grad = np.full(tensor.shape, 777.0)
    kept = {name: tensor.grad for name, tensor in leaves.items()}
    assert "777" not in mg.draw(loss).source
    for name, tensor in leaves.items():
        assert tensor.grad is kept[name]
        assert np.all(tensor.grad == 777)


def test_gradients_can_be_left_out(generator):
    loss, _, _ = network(generator)
    assert "gradient" not in mg.draw(loss, gradients=False).source


def test_where_no_gradient_arrives():
    x = leaf([1.0, 3.0], "x")
    peak = mg.max(x)
    peak.name = "peak"
    parsed = Parsed(mg.draw(mg.sum(x - mg.stop_gradient(peak))))
    assert ["gradient", "none"] in parsed.rows[parsed.box("peak")]


def test_a_result_of_many_elements_has_values_only():
    x = leaf([1.0, 2.0, 3.0], "x")
    source = mg.draw(x * 2).source
    assert "no gradients: the output has 3 elements, not one" in source
    assert ">gradient<" not in source


def test_a_leaf_changed_since(generator):
    loss, leaves, _ = network(generator)
    leaves["v"].data = leaves["v"].data * 0 + 5
    parsed = Parsed(drawing := mg.draw(loss))
    assert [n for n, rows in parsed.rows.items() if "changed since" in rows[0][0]] == [
        parsed.box("v")
    ]
    assert parsed.numbers(parsed.box("v"), "value") == [5] * 6
    assert ">gradient<" not in drawing.source
    assert "no gradients: leaves have changed since they were used" in drawing.source
    with pytest.raises(ValueError, match="was changed after"):
        loss.backward()


def test_a_freed_graph_shows_what_is_left():
    x = leaf([1.0, 2.0], "x")
    kept = mg.exp(x)
    loss = mg.sum(kept)
    loss.backward(retain_graph=False)
    parsed = Parsed(drawing := mg.draw(loss))
    assert parsed.edges == [("t1_op", "t1")]
    assert "no gradients: the graph has been freed" in drawing.source


def test_a_gradient_that_is_not_finite_is_drawn_without_warnings():
    x = leaf([0.0], "x")
    parsed = Parsed(mg.draw(mg.sum(mg.sqrt(x))))
    assert parsed.rows[parsed.box("x")][1:] == [["value", "0"], ["gradient", "inf"]]


# ---------------------------------------------------------------------------- frames


def test_composed_functions_are_framed_and_nested():
    z = leaf([[1.0, 2.0, 3.0]], "z")
    parsed = Parsed(mg.draw(mg.cross_entropy(z, [2], fused=False)))
    assert parsed.frames[parsed.box("z")] == ()
    assert parsed.frames[parsed.op("max")] == ("cross_entropy", "log_softmax")
    assert parsed.frames[parsed.op("log")] == ("cross_entropy", "log_softmax")
    assert parsed.frames[parsed.op("getitem")] == ("cross_entropy",)


def test_each_call_has_a_frame_of_its_own_and_what_follows_has_none():
    x = leaf([1.0, 2.0], "x")
    drawing = mg.draw(mg.sum(mg.softmax(mg.softmax(x, fused=False), fused=False)))
    assert len(re.findall(r"subgraph cluster\d", drawing.source)) == 2
    assert Parsed(drawing).frames["t1"] == ()
    last = max(Parsed(drawing).frames, key=lambda node: int(re.search(r"\d+", node)[0]))
    assert Parsed(drawing).frames[last] == ()


def test_one_op_alone_is_not_framed():
    assert "subgraph" not in mg.draw(mg.softmax(leaf([1.0, 2.0], "x"))).source


def test_a_frame_holds_what_its_result_was_computed_from_inside():
    x = leaf(2.0, "x")
    before = mg.exp(x)

    def named(): ...

    named.__name__ = "<b>&"
    start = next(numbers)
    aside = mg.log(x)  # made inside, but the result does not depend on it
    out = leave_scope(named, start, mg.tanh(before * 3.0))
    parsed = Parsed(mg.draw(out + aside))
    assert parsed.frames[parsed.op("exp")] == parsed.frames[parsed.op("log")] == ()
    assert parsed.frames[parsed.op("multiply")] == parsed.frames[parsed.op("tanh")]
    assert parsed.frames[parsed.op("tanh")] == ("&lt;b&gt;&amp;",)


# ---------------------------------------------------------------------------- large graphs


def test_the_newest_part_of_a_long_chain():
    w = x = leaf(1.0, "w")
    for _ in range(100_000):
        x = mg.negative(x)
    with pytest.warns(UserWarning, match="graph, 99,902, are left out") as caught:
        drawing = mg.draw(x + w)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    parsed = Parsed(drawing)
    # The leaf stays beside the op that uses it, with all of its gradient.
    assert parsed.numbers(parsed.box("w"), "gradient") == [2]
    assert "… 99,902 more ops" in drawing.source
    assert ("elided", "t1_op") in parsed.edges
    assert drawing.nodes == 199


@pytest.mark.parametrize("max_nodes", [1, 2, 3, 10, 11, 12, 40, 41, 42])
def test_as_many_nodes_as_allowed(max_nodes):
    w = x = leaf(1.0, "w")
    for _ in range(10):
        x = mg.tanh(x) * w
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        drawing = mg.draw(x, max_nodes=max_nodes)
    assert bool(caught) == (max_nodes < 41)
    nodes = [node for node in Parsed(drawing).rows if node != "elided"]
    assert len(nodes) == drawing.nodes
    # The output and its op are always there, whatever they need.
    assert drawing.nodes <= max(max_nodes, 3)
    assert drawing.nodes >= min(max_nodes, 41) - 1
    ops = sum(node.endswith("_op") for node in nodes)
    counted = re.search(r"… (\d+) more op", drawing.source)
    assert ops + (int(counted[1]) if counted else 0) == 20
