"""Drawings: what their DOT source says, what they warn of and refuse, and micrograd's draw_dot."""

import re
import sys
import warnings

import numpy as np
import pytest

import microgradx as mg
from microgradx.graph.scopes import scope
from microgradx.show.graphs.drawing import Drawing, draw, draw_dot
from tests.helpers import leaf


class Parsed:
    """DOT source, read back: attributes of nodes and arrows, and the clusters that nodes are in."""

    def __init__(self, source):
        self.nodes, self.clusters, self.arrows, self.around = {}, {}, [], {}
        path = []
        for line in map(str.strip, source.splitlines()):
            if line.startswith("subgraph"):
                path.append(line.split()[1])
            elif line == "}" and path:
                path.pop()
            elif match := re.match(r"(\w+) -> (\w+) \[(.*)\]$", line):
                tail, head, attributes = match.groups()
                self.arrows.append((tail, head, self.attributes(attributes)))
            elif match := re.match(r"(\w+) \[label=<(.*)> (\w+=.*)\]$", line):
                node, label, attributes = match.groups()
                self.nodes[node] = self.attributes(attributes) | {"label": label}
                self.clusters[node] = tuple(path)
            elif path and (match := re.match(r"graph \[(.*)label=<(.*?)> (.*)\]$", line)):
                self.around[path[-1]] = match[2]

    @staticmethod
    def attributes(text):
        pairs = re.findall(r'(\w+)=("[^"]*"|\S+)', text)
        return {name: value.strip('"') for name, value in pairs}


# ---------------------------------------------------------------------------- DOT


def test_every_node_and_arrow_has_its_id_and_class():
    x, y = leaf([1.0, np.inf]), np.array([3.0, 4.0])
    drawing = draw(mg.sum((x - y) * 2.0))
    parsed = Parsed(drawing.source)
    assert {node: look["id"] for node, look in parsed.nodes.items()} == {n: n for n in parsed.nodes}
    assert {node: look["class"] for node, look in parsed.nodes.items()} == {
        "t1": "parameter not-finite",
        "t2": "input",
        "t3": "intermediate not-finite",
        "t3_op": "op",
        "t4": "constant",
        "t5": "intermediate not-finite",
        "t5_op": "op",
        "t6": "output not-finite",
        "t6_op": "op",
    }
    arrows = [(*ends, look["id"], look.get("headlabel", "")) for *ends, look in parsed.arrows]
    assert arrows == [(a.tail, a.head, a.id, a.letter) for a in drawing.graph.arrows]


def test_the_kinds_of_boxes_differ_in_colour_and_in_border():
    x, y = leaf([1.0, 2.0]), np.array([3.0, 4.0])
    parsed = Parsed(draw(mg.sum((x - y) * 2.0)).source)
    looks = {look["class"]: look for look in parsed.nodes.values() if look["class"] != "op"}
    assert len(looks) == 5
    for attributes in (("fillcolor", "color"), ("style", "penwidth", "peripheries")):
        assert len({tuple(look.get(a) for a in attributes) for look in looks.values()}) == 5


def test_frames_are_nested_as_the_calls_were():
    z = leaf([[1.0, 2.0, 3.0]])
    parsed = Parsed(draw(mg.cross_entropy(z, [2], fused=False)).source)
    inside = {tuple(map(parsed.around.get, path)) for path in parsed.clusters.values()}
    assert inside == {(), ("cross_entropy",), ("cross_entropy", "log_softmax")}
    assert parsed.clusters["t1"] == ()
    assert "subgraph" not in draw(mg.cross_entropy(z, [2])).source


def test_names_of_calls_are_text():
    @scope
    def f(x):
        return mg.tanh(mg.exp(x))

    f.__wrapped__.__name__ = "<b>&"
    parsed = Parsed(draw(f(leaf(2.0))).source)
    assert parsed.around == {"cluster1": "&lt;b&gt;&amp;"}


def test_what_stands_for_several_ops_looks_different():
    x = leaf(1.0)
    for _ in range(20):
        x = mg.tanh(x)
    layer = mg.nn.Linear(1, 1, dtype=np.float64)
    parsed = Parsed(draw(mg.exp(layer(mg.reshape(x, (1, 1)))), depth=0, max_nodes=9).source)
    looks = {look["class"]: look for look in parsed.nodes.values()}
    assert looks["chain"]["style"] != looks["op"]["style"]
    assert "… 2" in looks["chain"]["label"]


def test_what_is_left_out_is_a_node_of_its_own():
    x, y = leaf(0.5), leaf(0.25)
    for _ in range(10):
        x, y = mg.sin(x - y), mg.cos(x * y)
    with pytest.warns(UserWarning, match="left out"):
        drawing = draw(x - y, max_nodes=12)
    parsed = Parsed(drawing.source)
    assert f"… {drawing.graph.elided} ops" in drawing.source
    assert parsed.nodes["elided"]["class"] == "elided"
    assert {"elided"} < {tail for tail, _, _ in parsed.arrows}


def test_letters_of_arrows_side_by_side_are_on_their_outer_sides():
    x = leaf(2.0)
    (_, _, first), (_, _, second), _ = Parsed(draw(x / x).source).arrows
    assert (first["headlabel"], first["labelangle"]) == ("x", "40")
    assert (second["headlabel"], second["labelangle"]) == ("y", "-40")
    many = Parsed(draw(np.concatenate([mg.reshape(x, (1,))] * 9)).source)
    assert "×9" in [look.get("headlabel") for _, _, look in many.arrows]


def test_the_legend_has_the_kinds_that_there_are():
    x = leaf([1.0, 2.0])
    caption = re.search(r"graph \[.*\]", draw(mg.sum(x)).source)[0]
    assert [kind for kind in KINDS if f">{kind}<" in caption] == ["parameter", "output"]
    assert "gradients of the output" in caption
    assert "negative" not in caption
    assert ">negative<" in draw(mg.sum(leaf(range(7)))).source


KINDS = ("input", "parameter", "constant", "intermediate", "output")


def test_the_same_computation_gives_the_same_source():
    def source():
        generator = np.random.default_rng(7)
        x = mg.Tensor(generator.normal(size=(5, 3)).astype(np.float32))
        mg.manual_seed(0)
        model = mg.nn.MLP(3, [4], 2)
        return draw(mg.cross_entropy(model(x), [0, 1, 1, 0, 1], fused=False), max_nodes=30).source

    assert source() == source()


# ---------------------------------------------------------------------------- draw


def test_names_are_those_of_the_callers_variables():
    weight = mg.Tensor(2.0, requires_grad=True)
    drawing = mg.draw(weight * weight)
    assert [box.name for box in drawing.graph.boxes.values()] == ["weight", None]
    loss = weight * 3.0
    assert mg.draw(loss).graph.title == "Computation graph of loss"
    assert drawing.graph.title == "Computation graph"


def test_what_is_refused():
    with pytest.raises(TypeError, match="needs the result of a computation on Tensors, not nd"):
        draw(np.ones(3))
    with pytest.raises(ValueError, match="max_nodes must be at least 1, not 0"):
        draw(leaf(1.0), max_nodes=0)
    with pytest.raises(ValueError, match=r"depth must be 0 or more, or None .*, not -1"):
        draw(leaf(1.0), depth=-1)
    with pytest.raises(ValueError, match="nothing is called 'MLP'"):
        draw(leaf(1.0), expand="MLP")


def test_one_name_or_several_are_expanded():
    x = leaf([[1.0, 2.0]])
    loss = mg.cross_entropy(x, [1], fused=False)
    closed = draw(loss, depth=0)
    assert closed.nodes == 3
    assert draw(loss, depth=0, expand="cross_entropy").nodes > closed.nodes
    both = draw(loss, depth=0, expand=["cross_entropy", "log_softmax"])
    assert both.nodes == draw(loss).nodes


def test_what_is_left_out_is_warned_of_once_at_the_callers_line():
    x = y = leaf(0.5)
    for _ in range(1000):
        x, y = mg.sin(x - y), mg.cos(x * y)
    said = r"the graph has more than max_nodes=200 nodes: 3,\d{3} ops, the oldest, are left out"
    line = sys._getframe().f_lineno + 2
    with pytest.warns(UserWarning, match=said) as caught:
        drawing = draw(x - y)
    assert [(warning.filename, warning.lineno) for warning in caught] == [(__file__, line)]
    assert "pass a larger max_nodes to see more" in str(caught[0].message)
    assert drawing.nodes <= 200
    with pytest.warns(UserWarning, match="9 inputs, the oldest, are left out"):
        draw(np.concatenate([leaf([1.0]) for _ in range(16)]), max_nodes=10)


def test_what_is_closed_or_joined_is_not_warned_of():
    x = leaf(0.5)
    for _ in range(100_000):
        x = mg.tanh(x)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert "chains joined" in draw(mg.exp(x)).source


def test_infinite_gradients_are_drawn_without_warnings():
    x = leaf([0.0])
    assert not draw(mg.sum(mg.sqrt(x))).graph.boxes[x].is_finite


def test_drawings_say_what_they_are():
    x = leaf(1.0)
    assert repr(draw(x * x)) == '<Drawing of 3 nodes; .save("graph.svg") makes a picture of it>'
    assert isinstance(draw(x), Drawing)


# ---------------------------------------------------------------------------- draw_dot


def test_draw_dot_gives_what_micrograd_gives():
    x = leaf(2.0)
    dot = draw_dot(x * x)
    assert (type(dot).__name__, dot.format) == ("Digraph", "svg")
    assert "rankdir=LR" in dot.source
    assert dot.source.replace("rankdir=LR", "rankdir=TB") == draw(x * x).source
    assert draw_dot(x, format="png", rankdir="TB").format == "png"
    with pytest.raises(ValueError, match='rankdir must be "LR" or "TB", not \'RL\''):
        draw_dot(x, rankdir="RL")
