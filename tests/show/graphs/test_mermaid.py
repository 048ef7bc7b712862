"""Graphs as Mermaid's flowcharts: what is in them, that names stay text, and GitHub's limits."""

import html
import re
import sys

import numpy as np
import pytest

import microgradx as mg
from microgradx.show.graphs.graph import build_graph
from microgradx.show.graphs.mermaid import MAX_ARROWS, MAX_CHARACTERS, escape, mermaid
from tests.helpers import leaf


def flowchart(output, **settings):
    return mermaid(build_graph(output, sys._getframe(1), **settings))


def decode_label(text):
    """What Mermaid shows of a label; the spaces without width that keep things apart are gone."""
    return html.unescape(re.sub(r"#(\d+);", r"&#\1;", text)).replace("\u200b", "")


NODE = re.compile(r'(\w+)(\[\[|\(\[|\[|\()"([^"]*)"(\]\]|\]\)|\]|\)):::([\w-]+)$')
ARROW = re.compile(r"(\w+) -->(?:\|([^|]*)\|)? (\w+)$")


def parse_flowchart(text):
    """Nodes by id (shape, lines, look, clusters), arrows, and looks; every line must be one."""
    nodes, arrows, looks, around = {}, [], set(), []
    config, kind, *lines = text.splitlines()
    assert config.startswith("%%{init: ")
    assert kind == "flowchart TB"
    for line in map(str.strip, lines):
        if match := NODE.match(line):
            id, opening, label, _, look = match.groups()
            nodes[id] = (
                opening,
                [decode_label(part) for part in label.split("<br/>")],
                look,
                tuple(around),
            )
        elif match := ARROW.match(line):
            arrows.append(match.groups())
        elif match := re.match(r'subgraph \w+\["(.*)"\]$', line):
            around.append(decode_label(match[1]))
        elif line == "end":
            around.pop()
        elif match := re.match(r"classDef ([\w-]+) [\w#:,.\- ]+$", line):
            looks.add(match[1])
        else:
            assert re.match(r"class cluster\d+ frame$", line), line
    assert around == []
    return nodes, arrows, looks


def test_boxes_ops_and_arrows():
    x, y = leaf([1.0, 2.0]), np.array([3.0, 4.0])
    nodes, arrows, looks = parse_flowchart(flowchart(mg.sum(x - y)))
    assert nodes == {
        "t1": ("(", ["x · (2,) float64", "value 1, 2", "gradient 1, 1"], "parameter", ()),
        "t2": ("[", ["y · (2,) float64", "value 3, 4"], "input", ()),
        "t3": ("(", ["(2,) float64", "value -2, -2", "gradient 1, 1"], "intermediate", ()),
        "t4": ("(", ["() float64", "value -4", "gradient 1"], "output", ()),
        "t3_op": ("([", ["subtract", "x - y"], "op", ()),
        "t4_op": ("([", ["sum", "Σ x"], "op", ()),
    }
    assert arrows == [
        ("t1", "x", "t3_op"),
        ("t2", "y", "t3_op"),
        ("t3_op", None, "t3"),
        ("t3", None, "t4_op"),
        ("t4_op", None, "t4"),
    ]
    assert {look for _, _, look, _ in nodes.values()} < looks


def test_values():
    def lines(tensor):
        return parse_flowchart(flowchart(tensor))[0]["t1"][1][1:]

    assert lines(mg.Tensor([[1, 2], [3, 4]])) == ["value 1, 2; 3, 4"]
    assert lines(mg.Tensor(np.arange(7))) == ["value min 0, mean 3, max 6"]
    many = mg.Tensor([np.nan, 1.0, 2.0, 3.0, np.inf, -np.inf, np.nan])
    assert lines(many) == ["value min 1, mean 2, max 3, 2 NaN, 2 inf"]
    assert lines(mg.Tensor(np.zeros((0, 2)))) == ["value empty"]


def test_what_is_not_finite_lacks_a_gradient_or_has_changed():
    x = leaf([1.0, np.inf])
    peak = mg.max(x)
    out = mg.sum(x * mg.stop_gradient(peak))
    nodes, _, _ = parse_flowchart(flowchart(out))
    assert nodes["t1"][2] == "not-finite"
    assert nodes["t2"][1] == ["peak · () float64", "value inf", "gradient none"]
    x.data = [1.0, 2.0]
    assert parse_flowchart(flowchart(out))[0]["t1"][1][0] == "x · (2,) float64 · changed since"


def test_frames_blocks_chains_and_what_is_left_out():
    z = leaf([[1.0, 2.0, 3.0]])
    nodes, _, _ = parse_flowchart(flowchart(mg.cross_entropy(z, [2], fused=False)))
    assert {clusters for *_, clusters in nodes.values()} == {
        (),
        ("cross_entropy",),
        ("cross_entropy", "log_softmax"),
    }
    closed, _, _ = parse_flowchart(flowchart(mg.log_softmax(z, fused=False), depth=0))
    assert closed["block1"] == ("[[", ["log_softmax", "7 ops"], "block", ())
    x, y = leaf(0.5), leaf(0.25)
    for _ in range(20):
        x, y = mg.sin(x - y), mg.cos(x * y)
    for _ in range(50):
        x = mg.tanh(x)
    cut, arrows, _ = parse_flowchart(flowchart(x - y, max_nodes=12))
    assert cut["chain1"][1] == ["… 52 ops", "subtract, sin, tanh ×50"]
    assert cut["elided"][1][0].endswith(" ops")
    assert {tail for tail, _, _ in arrows} > {"elided"}


@pytest.mark.parametrize(
    "name",
    [
        'a|b{c}<script>&"',
        '"]:::op; click t1 "javascript:alert(1)"',
        "1. - # **b** _i_ `c` %% --> end",
        "#35; #quot; &lt;",
        r"\N",
        "größe θ 重み 😀",
    ],
)
def test_names_stay_text(name):
    nodes, _, _ = parse_flowchart(flowchart(mg.Tensor(1.0, name=name)))
    assert nodes["t1"][1][0] == f"{name} · () float64"


def test_what_mermaid_would_make_of_a_code_and_what_follows_is_kept_apart():
    """A backslash and n: a line break; two dollars: a formula; fa:fa-x: an icon. Even as codes."""
    for text in (r"\n", "$$x$$", "fa:fa-car"):
        shown = html.unescape(re.sub(r"#(\d+);", r"&#\1;", escape(text)))
        assert shown.replace("\u200b", "") == text
        assert all(part not in shown for part in (r"\n", "$$", "fa:fa"))


@pytest.mark.parametrize(("name", "count"), [("w", 1000), ("θ" * 70, 300), ("<" * 70, 300)])
def test_what_is_too_large_for_github_is_cut(name, count):
    x, y = leaf(0.5, name), leaf(0.25, name)
    for _ in range(count):
        x, y = mg.sin(x - y), mg.cos(x * leaf(1.0, name))
    out = x - y
    text = flowchart(out, max_nodes=10_000)
    assert len(text) <= MAX_CHARACTERS
    nodes, arrows, _ = parse_flowchart(text)
    assert len(arrows) <= MAX_ARROWS
    assert "elided" in nodes
    assert len(nodes) > 60


def test_an_op_with_more_inputs_than_github_draws_arrows():
    text = flowchart(np.concatenate([leaf([1.0]) for _ in range(1000)]), max_nodes=10_000)
    nodes, arrows, _ = parse_flowchart(text)
    assert len(arrows) <= MAX_ARROWS
    assert "inputs" in nodes["elided"][1][0]


def test_the_same_computation_gives_the_same_text():
    def text():
        return mg.draw(mg.cross_entropy(leaf([[1.0, 2.0]]), [1], fused=False)).to_mermaid()

    assert text() == text()
