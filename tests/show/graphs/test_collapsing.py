"""Closed calls, repetitions, chains, and what is left out: what they are, and that they fit."""

import sys
from graphlib import TopologicalSorter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import microgradx as mg
from microgradx.graph.scopes import scope
from microgradx.show.graphs.collapsing import OpNode, describe_chain
from microgradx.show.graphs.graph import build_graph


class Block(mg.nn.Module):
    def __init__(self, size=3):
        self.hidden, self.out = mg.nn.Linear(size, size), mg.nn.Linear(size, size)

    def forward(self, x):
        return x + self.out(mg.relu(self.hidden(x)))


class Network(mg.nn.Module):
    def __init__(self, depth):
        self.stem, self.head = mg.nn.Linear(2, 3), mg.nn.Linear(3, 2)
        self.blocks = [Block() for _ in range(depth)]

    def forward(self, x):
        x = self.stem(x)
        for block in self.blocks:
            x = block(x)
        return self.head(x)


def graph(output, **settings):
    return build_graph(output, sys._getframe(1), **settings)


def network(depth=12):
    x = mg.Tensor(np.ones((4, 2), np.float32), name="x")
    return mg.cross_entropy(Network(depth)(x), mg.Tensor([0, 1, 1, 0], name="labels"))


def collapsed_nodes(graph):
    """What is drawn in place of several ops: kind, name, how often, how many ops."""
    return [
        (node.kind, node.name, node.times, len(node.members))
        for node in graph.op_nodes.values()
        if node.kind != "op"
    ]


def scalar(value=1.0, name=None):
    return mg.Tensor(value, requires_grad=True, name=name)


# ---------------------------------------------------------------------------- depth and expand


def test_all_calls_are_open_unless_asked_for():
    assert collapsed_nodes(graph(network(2))) == []


def test_depth_closes_what_is_nested_deeper():
    loss = network()
    outermost = graph(loss, depth=0)
    assert collapsed_nodes(outermost) == [("block", "Network", 1, 50)]
    assert [box.name for box in outermost.boxes.values()] == ["x", None, "labels", "loss"]
    layers = graph(loss, depth=1)
    assert collapsed_nodes(layers) == [
        ("block", "Linear", 1, 1),
        ("block", "Block", 12, 48),
        ("block", "Linear", 1, 1),
    ]
    assert [node.cluster and node.cluster.scope.name for node in layers.op_nodes.values()] == [
        *["Network"] * 3,
        None,
    ]
    assert graph(loss, depth=99).nodes == graph(loss).nodes


def test_what_is_expanded_stays_open_and_what_is_around_it_too():
    loss = network(3)
    opened = graph(loss, depth=0, expand=["Block"])
    assert collapsed_nodes(opened) == [("block", "Linear", 1, 1)] * 8
    assert [cluster.scope.name for cluster in opened.clusters].count("Block") == 3
    assert collapsed_nodes(graph(loss, depth=0, expand=["Linear", "Block"])) == []
    squeezed = graph(loss, expand=["Network"], max_nodes=12)
    assert ("block", "Block", 3, 12) in collapsed_nodes(squeezed)


def test_an_unknown_name_lists_those_that_there_are():
    message = "nothing is called 'MLP' .* there are Block, Linear, Network, cross_entropy$"
    with pytest.raises(ValueError, match=message):
        graph(network(), expand=["MLP"])
    with pytest.raises(ValueError, match=r"nothing is called 'f' .* it has no calls$"):
        graph(scalar() * 2.0, expand=["f"])
    assert graph(network(1), expand=["cross_entropy"]).op_nodes  # of one op, so there is no frame


def test_a_closed_call_takes_and_gives_what_its_ops_do():
    kept = []

    @scope
    def f(x, y):
        kept.append(mg.exp(x) * np.array(3.0))
        return mg.tanh(kept[-1] + y + 1.0)

    x, y = scalar(2.0), scalar(3.0)
    out = f(x, y) * kept[0]
    shown = graph(out, depth=0)
    node, product = shown.op_nodes.values()
    assert [set(map(id, tensors)) for tensors in (node.inputs, node.outputs)] == [
        {id(x), id(y)},
        {id(kept[0]), id(product.inputs[0])},
    ]
    assert [leaf.item() for leaf in node.hidden] == [3.0, 1.0]


def test_a_parameter_of_a_closed_module_is_hidden_and_one_of_a_function_is_not():
    layer, w = Block(), scalar(name="w")
    x = mg.Tensor(np.ones((1, 3), np.float32))
    block = graph(layer(x), depth=0).op_nodes["block1"]
    assert {leaf.name for leaf in block.hidden} == set(dict(layer.named_parameters()))

    @scope
    def f(x):
        return mg.exp(x) * w

    assert [box.name for box in graph(f(scalar(name="v")), depth=0).boxes.values()][:2] == [
        "v",
        "w",
    ]


# ---------------------------------------------------------------------------- repetitions


def nodes_of_blocks(blocks):
    x = mg.Tensor(np.ones((1, 3), np.float32))
    for block in blocks:
        x = block(x)
    return collapsed_nodes(graph(mg.sum(x), depth=0))


def test_alike_blocks_in_a_row_are_one():
    assert nodes_of_blocks([Block(), Block(), Block()]) == [("block", "Block", 3, 12)]
    assert nodes_of_blocks([Block()]) == [("block", "Block", 1, 4)]


def test_arrays_that_ops_save_make_no_difference():
    class Normed(mg.nn.Module):
        def forward(self, x):
            return mg.nn.functional.layer_norm(x * self.scale, 3)

        scale = mg.Tensor(np.ones(3, np.float32), requires_grad=True, name="scale")

    ((kind, name, times, _),) = nodes_of_blocks([Normed(), Normed(), Normed()])
    assert (kind, name, times) == ("block", "Normed", 3)


def test_weights_may_be_shared_and_are_hidden_nevertheless():
    block = Block()
    assert nodes_of_blocks([block] * 5) == [("block", "Block", 5, 20)]
    x = mg.Tensor(np.ones((1, 3), np.float32))
    shown = graph(block(block(x)), depth=0)
    assert [box.kind for box in shown.boxes.values()] == ["input", "output"]


class WithTanh(Block):
    def forward(self, x):
        return x + self.out(mg.tanh(self.hidden(x)))


WithTanh.__name__ = "Block"


class Mean(mg.nn.Module):
    def __init__(self, axis):
        self.axis = axis

    def forward(self, x):
        return x * mg.sum(x, axis=self.axis, keepdims=True)


class Scaled(mg.nn.Module):
    def __init__(self, shape):
        self.scale = mg.Tensor(np.ones(shape, np.float32), requires_grad=True)

    def forward(self, x):
        return mg.tanh(x * self.scale)


class Stretched(Scaled):
    pass


class Wired(mg.nn.Module):
    def __init__(self, first):
        self.first = first

    def forward(self, x):
        values = [x, mg.tanh(x)]
        return mg.tanh(values[1]) * values[self.first]


class Pair(mg.nn.Module):
    def forward(self, x, y):
        return mg.tanh(x + y)


class Widen(mg.nn.Module):
    def forward(self, x):
        return mg.tanh(np.concatenate([x, x], axis=1))


def test_what_differs_is_not_joined():
    assert nodes_of_blocks([Block(), WithTanh(), Block()]) == [("block", "Block", 1, 4)] * 3
    assert nodes_of_blocks([Block(), Mean(0), Mean(0), Mean(1)])[1:] == [
        ("block", "Mean", 2, 4),
        ("block", "Mean", 1, 2),
    ]
    assert nodes_of_blocks([Block(), Widen(), Widen()])[1:] == [("block", "Widen", 1, 2)] * 2
    assert nodes_of_blocks([Scaled(3), Scaled(3), Scaled((1, 3))]) == [
        ("block", "Scaled", 2, 4),
        ("block", "Scaled", 1, 2),
    ]
    assert [name for _, name, _, _ in nodes_of_blocks([Scaled(3), Stretched(3)])] == [
        "Scaled",
        "Stretched",
    ]


def test_what_is_used_in_between_is_seen():
    blocks = [Block(), Block(), Block()]
    x = first = blocks[0](mg.Tensor(np.ones((1, 3), np.float32)))
    for block in blocks[1:]:
        x = block(x)
    shown = graph(mg.sum(x * first), depth=0)
    assert collapsed_nodes(shown) == [("block", "Block", 1, 4), ("block", "Block", 2, 8)]
    assert shown.boxes[first].name == "first"


# ---------------------------------------------------------------------------- chains


def chain(x, times, *ops):
    for _ in range(times):
        for op in ops:
            x = op(x)
    return x


def test_chains_are_joined_only_where_room_is_wanted():
    w = scalar(name="w")
    x = chain(w, 10, mg.tanh, lambda x: x * 1.01)
    out = mg.exp(x)
    assert collapsed_nodes(graph(out, max_nodes=53)) == []
    shown = graph(out, max_nodes=52)
    assert collapsed_nodes(shown) == [("chain", "(tanh, multiply) ×10", 1, 20)]
    assert [box.name for box in shown.boxes.values()] == ["w", "x", "out"]
    assert len(shown.op_nodes["chain1"].hidden) == 10
    assert shown.note == "gradients of out · chains joined, to fit max_nodes=52"


def test_ops_of_chains_are_no_nodes_of_their_own(monkeypatch):
    made = []
    init = OpNode.__init__

    def count(node, *arguments, **settings):
        made.append(node)
        init(node, *arguments, **settings)

    monkeypatch.setattr(OpNode, "__init__", count)
    x = y = scalar(0.5)
    for _ in range(1000):
        y = mg.tanh(y) * 1.1 + mg.Tensor(0.1)
    shown = graph(mg.sum(y), max_nodes=10)
    assert collapsed_nodes(shown) == [("chain", "(tanh, multiply, add) ×1,000", 1, 3000)]
    assert len(made) == 2  # the chain, and the op of the output
    assert shown.boxes[x].gradient is not None


def test_the_longest_chains_first():
    a, b = chain(scalar(), 5, mg.tanh), chain(scalar(), 20, mg.sin)
    out = a * b
    assert collapsed_nodes(graph(out, max_nodes=40)) == [("chain", "sin ×20", 1, 20)]
    assert collapsed_nodes(graph(out, max_nodes=9)) == [
        ("chain", "tanh ×5", 1, 5),
        ("chain", "sin ×20", 1, 20),
    ]


def test_a_chain_ends_where_something_else_is_needed_or_its_result_is_used_twice():
    a = chain(scalar(), 4, mg.tanh)
    b = chain(a, 4, mg.sin)
    out = mg.exp(chain(a * b, 4, mg.cos))
    assert collapsed_nodes(graph(out, max_nodes=13)) == [
        ("chain", "tanh ×4", 1, 4),
        ("chain", "sin ×4", 1, 4),
        ("chain", "multiply, cos ×4", 1, 5),
    ]


def test_a_chain_stays_in_its_frame():
    @scope
    def f(x):
        return chain(x, 4, mg.tanh)

    out = mg.exp(chain(f(scalar()), 4, mg.tanh))
    assert (
        collapsed_nodes(graph(out, expand=["f"], max_nodes=9)) == [("chain", "tanh ×4", 1, 4)] * 2
    )
    assert collapsed_nodes(graph(out, max_nodes=9)) == [
        ("chain", "f, tanh ×4", 1, 8),
    ]


def test_numbers_are_hidden_in_chains_and_what_these_begin_with_is_not():
    first, layer = scalar(name="w"), mg.nn.Linear(2, 2)
    by_number = mg.exp(chain(first, 5, lambda x: x * 2.0, mg.tanh))
    assert first in (shown := graph(by_number, max_nodes=9)).boxes
    assert [leaf.item() for leaf in shown.op_nodes["chain1"].hidden] == [2.0] * 5
    of_array = graph(mg.exp(chain(layer([[1.0, 2.0]]), 9, mg.tanh)), depth=0, max_nodes=9)
    assert [box.kind for box in of_array.boxes.values()] == ["input", "intermediate", "output"]


def test_closed_calls_are_links_of_chains():
    x = first = mg.Tensor(np.ones((1, 3), np.float32))
    for _ in range(30):
        x = mg.tanh(mg.nn.Linear(3, 3)(x))
    shown = graph(mg.sum(x), max_nodes=20)
    assert first in shown.boxes
    assert collapsed_nodes(shown) == [("chain", "(Linear, tanh) ×30", 1, 60)]
    assert sum(leaf.size for leaf in shown.op_nodes["chain1"].hidden) == 30 * 12


def test_inputs_with_names_are_seen_beside_chains():
    x = scalar(name="w")
    for i in range(9):
        x = mg.tanh(x) * mg.Tensor(1.0, name=f"c{i}")
    names = [box.name for box in graph(mg.exp(x), max_nodes=20).boxes.values()]
    assert names[:10] == ["w", *(f"c{i}" for i in range(9))]


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["exp"] * 3, "exp ×3"),
        (["exp", "log"], "exp, log"),
        (["a", "b", "c"] * 5, "(a, b, c) ×5"),
        (["x", *["a", "b"] * 5, "y"], "x, (a, b) ×5, y"),
        (list("abcdefg"), "a, b, c, …"),
        (["a", "a", "b", "a", "a", "b"], "(a, a, b) ×2"),
        (["exp"] * 1234, "exp ×1,234"),
    ],
)
def test_chains_say_what_they_consist_of(names, said):
    assert describe_chain(names) == said


# ---------------------------------------------------------------------------- fitting


def test_calls_are_closed_from_the_deepest_up():
    loss = network()
    assert collapsed_nodes(graph(loss, max_nodes=100)) == [
        ("block", "Linear", 1, 1),
        ("block", "Block", 12, 48),
        ("block", "Linear", 1, 1),
    ]
    assert (
        graph(loss, max_nodes=100).note == "gradients of loss · calls closed, to fit max_nodes=100"
    )
    assert collapsed_nodes(graph(loss, max_nodes=9)) == [("block", "Network", 1, 50)]
    assert graph(loss, max_nodes=9, depth=1).note.endswith("max_nodes=9")
    assert graph(loss, max_nodes=200, depth=1).note == "gradients of loss"


def test_the_newest_part_of_what_cannot_be_joined():
    x, y = scalar(), scalar(2.0)
    for _ in range(100):
        x, y = mg.sin(x - y), mg.cos(x * y)
    out = x - y
    shown = graph(out, max_nodes=30)
    assert 27 <= shown.nodes <= 30
    assert shown.is_cut
    assert shown.elided == 401 - len(shown.op_nodes)
    drawn = [node.members[0].sequence_number for node in shown.op_nodes.values()]
    unseen = [x for node in shown.op_nodes.values() for x in node.inputs if x not in shown.boxes]
    assert max(x.sequence_number for x in unseen) < min(drawn)


def test_an_op_with_more_inputs_than_fit():
    leaves = [scalar([float(i)]) for i in range(100)]
    shown = graph(np.concatenate(leaves), max_nodes=20)
    assert (shown.nodes, shown.elided, shown.is_cut) == (20, 0, True)
    assert [box.tensor for box in shown.boxes.values()][:17] == leaves[:17]


@pytest.mark.parametrize("max_nodes", [1, 2, 3, 4, 10, 40, 41])
def test_the_output_and_its_op_are_always_there(max_nodes):
    w = x = scalar(name="w")
    for _ in range(10):
        x = mg.tanh(x) * w
    shown = graph(x, max_nodes=max_nodes)
    assert shown.nodes <= max(max_nodes, 3)
    assert shown.boxes[x].kind == "output"
    assert shown.op_node_of(x).endswith("_op")


@scope
def twice(x):
    return mg.tanh(x) * 2.0


@scope
def nested(x):
    return twice(twice(x)) + x


SHARED = mg.nn.Linear(1, 1)
STEPS = {
    "tanh": lambda pool: mg.tanh(pool[-1]),
    "add": lambda pool: pool[-1] + pool[len(pool) // 2],
    "square": lambda pool: pool[-1] * pool[-1],
    "leaf": lambda pool: pool[-1] * scalar([[0.5]]),
    "old leaf": lambda pool: pool[-1] - pool[0],
    "constant": lambda pool: pool[-1] * np.array([[0.9]]),
    "join": lambda pool: mg.sum(np.concatenate(pool[-5:]), axis=0, keepdims=True),
    "twice": lambda pool: twice(pool[-1]),
    "nested": lambda pool: nested(pool[-1]),
    "linear": lambda pool: mg.nn.Linear(1, 1, dtype=np.float64)(pool[-1]),
    "shared": lambda pool: SHARED(pool[-1]),
}


@given(
    steps=st.lists(st.sampled_from(sorted(STEPS)), min_size=1, max_size=40),
    times=st.integers(1, 3),
    max_nodes=st.integers(1, 60),
    depth=st.none() | st.integers(0, 3),
)
def test_any_graph_fits_and_is_whole(steps, times, max_nodes, depth):
    pool = [scalar([[0.3]])]
    with np.errstate(all="ignore"):
        for step in steps * times:
            pool.append(STEPS[step](pool))
        output = mg.sum(pool[-1])
        shown = graph(output, max_nodes=max_nodes, depth=depth)
    found = {output}
    unvisited = [output]
    while unvisited:
        new = set(unvisited.pop().inputs) - found
        found |= new
        unvisited += new
    results = [tensor for tensor in found if tensor.op is not None]

    assert shown.nodes <= max(max_nodes, 3)
    # Each op is drawn once: by itself, within something, or left out.
    members = [result for node in shown.op_nodes.values() for result in node.members]
    assert len(members) == len(set(members)) == len(results) - shown.elided
    # Every Tensor has a place, and every arrow has two ends, that are drawn.
    nodes = {box.id for box in shown.boxes.values()} | set(shown.op_nodes)
    if shown.is_cut:
        nodes.add("elided")
    assert shown.nodes == len(nodes)
    assert {shown.node_of(tensor) for tensor in found} <= nodes
    assert {shown.op_node_of(result) for result in results} <= nodes
    assert {end for arrow in shown.arrows for end in (arrow.tail, arrow.head)} <= nodes
    ids = [arrow.id for arrow in shown.arrows]
    assert len(ids) == len(set(ids))
    # What flows is what the ops take: each operand arrives, but within one node, or at what is cut.
    for result in results:
        op = shown.op_node_of(result)
        for position, x in enumerate(result.inputs):
            arrow = shown.arrow_into(result, position)
            assert (arrow is None) == (op in ("elided", shown.node_of(x)))
            assert arrow is None or arrow in ids
    # Nothing goes round in circles.
    tails = {}
    for arrow in shown.arrows:
        tails.setdefault(arrow.head, set()).add(arrow.tail)
    assert set(TopologicalSorter(tails).static_order()) <= nodes
