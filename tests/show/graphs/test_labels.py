"""What stands in nodes: legible, and never markup."""

import sys
from xml.etree import ElementTree

import numpy as np
import pytest

import microgradx as mg
from microgradx.graph.scopes import scope
from microgradx.show.graphs.graph import build_graph
from microgradx.show.graphs.labels import (
    box_label,
    count_elided,
    escape,
    format_value,
    node_titles,
    op_label,
)
from microgradx.show.graphs.palette import ALARM, HEAT


def graph(output, **settings):
    return build_graph(output, sys._getframe(1), **settings)


def table(label):
    return ElementTree.fromstring(label[1:-1])


def texts(label):
    return [
        ["".join(cell.itertext()).strip() for cell in row.findall("TD")]
        for row in table(label).findall("TR")
    ]


def rows(tensor, output=None):
    """The rows of a Tensor's box, without those that are colours alone."""
    graph = build_graph(tensor if output is None else output, sys._getframe(1))
    box = graph.boxes[tensor]
    return [row for row in texts(box_label(box)) if any(row)]


def strips(tensor):
    """The colours of the strips in a Tensor's box."""
    label = table(box_label(graph(tensor).boxes[tensor]))
    return [
        [cell.get("BGCOLOR") for cell in strip.iter("TD")] for strip in label.findall(".//TABLE")
    ]


# ---------------------------------------------------------------------------- numbers


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (-0.0, "0"),
        (1.0, "1"),
        (1 / 3, "0.3333"),
        (-123456.0, "-1.235e+05"),
        (1e-30, "1e-30"),
        (float("nan"), "NaN"),
        (float("-inf"), "-inf"),
        (123456, "123456"),
        (True, "True"),
    ],
)
def test_numbers_have_four_digits_and_integers_all(value, text):
    assert format_value(value) == text


def test_elements_lie_as_in_the_array():
    x = mg.Tensor(np.arange(6).reshape(1, 2, 3), name="x")
    assert rows(x) == [["x  (1, 2, 3) int64"], ["value", "0", "1", "2"], ["", "3", "4", "5"]]


def test_many_elements_are_summed_up():
    assert rows(mg.Tensor(np.arange(7)))[1:] == [
        ["", "min", "mean", "max"],
        ["value", "0", "3", "6"],
    ]
    w = mg.Tensor(np.arange(7.0), requires_grad=True)
    assert rows(w, mg.sum(w * w))[1:] == [
        ["", "min", "mean", "max"],
        ["value", "0", "3", "6"],
        ["gradient", "0", "6", "12"],
    ]


def test_a_summary_counts_what_is_not_finite_apart():
    x = mg.Tensor([np.nan, 1.0, 2.0, 3.0, np.inf, -np.inf, np.nan])
    assert rows(x)[2] == ["value", "1", "2", "3", "2 NaN", "2 inf"]
    assert rows(mg.Tensor([np.nan] * 7))[2] == ["value", "", "", "7 NaN"]


def test_what_is_not_finite_is_red():
    x = mg.Tensor([1.0, np.nan, -np.inf])
    label = table(box_label(graph(x).boxes[x]))
    red = ["".join(font.itertext()) for font in label.iter("FONT") if font.get("COLOR") == ALARM]
    assert red == ["NaN", "-inf"]


def test_empty_single_and_without_a_gradient():
    assert rows(mg.Tensor(np.zeros((2, 0)))) == [["(2, 0) float64"], ["value", "empty"]]
    assert rows(mg.Tensor(2.5)) == [["() float64"], ["value", "2.5"]]
    x = mg.Tensor([1.0, 3.0], requires_grad=True)
    peak = mg.max(x)
    assert rows(peak, mg.sum(x - mg.stop_gradient(peak)))[-1] == ["gradient", "none"]
    assert rows(x, mg.sum(x))[-1] == ["gradient", "1", "1"]
    assert rows(x, x * 2)[-1] == ["value", "1", "3"]


def test_a_changed_leaf_says_so():
    x = mg.Tensor([1.0, 3.0], requires_grad=True)
    out = mg.sum(x)
    x.data = [2.0, 2.0]
    assert rows(x, out)[0] == ["x  (2,) float64  changed since"]


# ---------------------------------------------------------------------------- strips


def test_a_strip_is_blue_below_zero_and_orange_above_scaled_by_the_largest():
    assert strips(mg.Tensor([-2.0, -1.0, 0.0, 1.0, 2.0, 0.1, -0.1])) == [
        [HEAT[0], HEAT[3], HEAT[5], HEAT[7], HEAT[10], HEAT[5], HEAT[5]]
    ]
    assert strips(mg.Tensor([4.0] * 7)) == [[HEAT[10]] * 7]
    assert strips(mg.Tensor([0.0] * 7)) == [[HEAT[5]] * 7]
    assert strips(mg.Tensor([0.0] * 6)) == []


def test_a_strip_is_alarming_where_it_is_not_finite():
    assert strips(mg.Tensor([np.nan, 0.0, 1.0, np.inf, 0.0, -1.0, 0.0])) == [
        [ALARM, HEAT[5], HEAT[10], ALARM, HEAT[5], HEAT[0], HEAT[5]]
    ]
    assert strips(mg.Tensor([np.nan] * 7)) == [[ALARM] * 7]


def test_gradients_have_a_strip_too():
    w = mg.Tensor(np.arange(-3.0, 4.0), requires_grad=True)
    box = graph(mg.sum(w * w)).boxes[w]
    assert len(table(box_label(box)).findall(".//TABLE")) == 2


# ---------------------------------------------------------------------------- calls


def test_ops_have_their_formula_and_blocks_what_is_in_them():
    @scope
    def f(x):
        return mg.tanh(mg.exp(x)) * 2.0

    x = mg.Tensor(0.5, requires_grad=True)
    op, *_ = graph(mg.exp(x)).op_nodes.values()
    assert texts(op_label(op)) == [["exp"], ["eˣ"]]
    block, *_ = graph(f(f(f(x))), depth=0).op_nodes.values()
    assert texts(op_label(block)) == [["f ×3"], ["9 ops"]]
    layer = mg.nn.Linear(3, 4)(mg.Tensor(np.ones((1, 3), np.float32)))
    block, *_ = graph(layer, depth=0).op_nodes.values()
    assert texts(op_label(block)) == [["Linear"], ["linear · 16 parameters"]]


def test_chains_count_their_ops():
    x = mg.Tensor(0.5, requires_grad=True)
    for _ in range(1500):
        x = mg.tanh(x)
    chain, *_ = graph(mg.exp(x)).op_nodes.values()
    assert texts(op_label(chain)) == [["… 1,500 ops"], ["tanh ×1,500"]]


def test_what_is_left_out_is_counted():
    x = y = mg.Tensor(0.5, requires_grad=True)
    for _ in range(3):
        x, y = mg.sin(x), mg.cos(x * y)
    assert count_elided(graph(x * y, max_nodes=6)) == "8 ops"
    assert count_elided(graph(x * y, max_nodes=20)) == "1 op"
    leaves = [mg.Tensor([1.0], requires_grad=True) for _ in range(10)]
    assert count_elided(graph(np.concatenate(leaves), max_nodes=8)) == "5 inputs"


def test_nodes_have_titles_in_plain_words():
    x = mg.Tensor([[1.0, 2.0]], requires_grad=True, name="<w>\n")
    said = node_titles(graph(mg.sum(x * 2.0, axis=1)))
    assert said["t1"] == r"<w>\n, parameter, shape (1, 2), float64"
    assert said["t2"] == "constant, shape (), float64"
    assert said["t4_op"] == "sum(axis=1)"


# ---------------------------------------------------------------------------- any text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ('a|b{c}<script>&"', 'a|b{c}<script>&"'),
        ("&lt;&#60;&eacute;", "&lt;&#60;&eacute;"),
        ("two\nlines\ttab", r"two\nlines\ttab"),
        ("\x00\x1b\u202e\ud800", r"\x00\x1b\u202e\ud800"),
        (r"\N \G \l", r"\N \G \l"),
        ("]]> <!-- <B>", "]]> <!-- <B>"),
        ("größe θ 重み", "größe θ 重み"),
    ],
)
def test_any_text_is_shown_as_it_is(text, shown):
    assert "".join(ElementTree.fromstring(f"<x>{escape(text)}</x>").itertext()) == shown
    assert rows(mg.Tensor(1.0, name=text))[0] == [f"{shown}  () float64"]
