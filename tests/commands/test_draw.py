"""The command `draw`: drawings of expressions."""

import sys
from xml.etree import ElementTree

import pytest

import microgradx as mg
from microgradx.commands.expressions import compute_expression
from microgradx.show.graphs.rendering import RenderingError, render

EXAMPLE = ("(a*b + c).tanh()", "a=2", "b=-3", "c=10")


@pytest.fixture
def draw(run):
    def draw(*arguments):
        return run("draw", *arguments)

    return draw


def expected_source(text, variables):
    return mg.draw(compute_expression(text, variables)).source


def test_without_a_file_the_source_is_printed(draw):
    status, out, err = draw(*EXAMPLE)
    assert (status, err) == (0, "")
    assert out == expected_source(EXAMPLE[0], {"a": 2, "b": -3, "c": 10})


@pytest.mark.parametrize(
    ("name", "beginning"),
    [
        ("graph.svg", b"<?xml"),
        ("graph.PNG", b"\x89PNG"),
        ("graph.pdf", b"%PDF"),
        ("graph.dot", b"digraph"),
        ("graph.gv", b"digraph"),
        ("graph.mmd", b""),
        ("graph.html", b"<!doctype html>"),
    ],
)
def test_the_name_of_the_file_sets_the_format(draw, tmp_path, name, beginning):
    try:
        render("digraph { a }", "svg")
    except RenderingError:
        pytest.skip("needs Graphviz")
    status, out, err = draw(*EXAMPLE, "-o", name)
    assert (status, out, err) == (0, f"Written: {name}\n", "")
    assert (tmp_path / name).read_bytes().startswith(beginning)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_names_values_and_gradients_are_in_the_picture(draw, tmp_path):
    assert draw("L = a*b", "a=2", "b=-3", "-o", "graph.dot")[0] == 0
    source = (tmp_path / "graph.dot").read_text(encoding="utf-8")
    for text in (">a<", ">b<", ">L<", "-6", "gradient"):
        assert text in source
    assert draw("L = a*b", "a=2", "b=-3", "--no-gradients")[1].count("gradient") == 0


def test_options_and_values_stand_in_any_order(draw):
    _, expected, _ = draw(*EXAMPLE)
    text, a, b, c = EXAMPLE
    for words in (
        ("--max-nodes", "50", text, a, b, c),
        (text, "--max-nodes", "50", a, b, c),
        (text, a, "--max-nodes", "50", b, c),
        (text, a, b, "--max-nodes=50", c),
        (f" {text}", a, "--", b, c),
    ):
        assert draw(*words) == (0, expected, "")


@pytest.mark.parametrize("text", ["-a*b", "-a", "-a**2 - b", "-tanh(a)", "-2*a"])
def test_an_expression_may_begin_with_a_minus(draw, text):
    variables = {"a": 2, "b": 3} if "b" in text else {"a": 2}
    status, out, err = draw(text, *(f"{name}={value}" for name, value in variables.items()))
    assert (status, err) == (0, "")
    assert out == expected_source(text, variables)


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("x=2", 2.0),
        ("x=-3", -3.0),
        ("x=.5", 0.5),
        ("x=1e-3", 1e-3),
        ("x=-inf", float("-inf")),
        ("x = 4", 4.0),
        ("x=1,2,3", [1.0, 2.0, 3.0]),
        ("x=[1]", [1.0]),
        ("x=[[1,2],[3,4]]", [[1.0, 2.0], [3.0, 4.0]]),
        ("x=[[1., -.5], [inf, 1e3]]", [[1.0, -0.5], [float("inf"), 1e3]]),
        ("x=[1,2],[3,4]", "x must be a number, or numbers in rows of equal length"),
        ("x=[[1,2],[3]]", "such as x=1,2,3 or x=[[1,2],[3,4]], not '[[1,2],[3]]'"),
        ("x=two", "not 'two'"),
        ("x=", "not ''"),
        ("x==2", "not '=2'"),
        ("x=1,", "not '1,'"),
        ("x=[1,2", "not '[1,2'"),
        ("x=__import__('os')", """not "__import__('os')"\n"""),
        ("x=" + "[" * 5000, "not '[[["),
        (
            "x",
            "'x' does not give a variable a value; write NAME=VALUE, without spaces, such as a=2",
        ),
        ("2x=1", "'2x' cannot be the name of a variable"),
        ("-x", "'-x' does not give a variable a value"),
    ],
)
def test_values_are_numbers_or_arrays(draw, word, value):
    status, out, err = draw("x*x", word)
    if isinstance(value, str):
        assert (status, out, err.count("\n")) == (2, "", 1)
        assert err.startswith("microgradx: error: ")
        assert value in err
    else:
        assert (status, err) == (0, "")
        assert out == expected_source("x*x", {"x": value})


def test_each_variable_is_given_once_and_used(draw):
    assert draw("a*b", "a=1", "b=2", "a=1") == (
        2,
        "",
        "microgradx: error: a is given twice; give it once\n",
    )
    assert draw("a*a", "a=1", "b=2") == (
        2,
        "",
        "microgradx: error: b is given, but the expression does not use it; leave it out\n",
    )
    assert draw("a*b", "a=1") == (
        2,
        "",
        "microgradx: error: in the expression, at column 3:\n"
        "  a*b\n"
        "    ^\n"
        "b has no value; give it one after the expression: b=1\n",
    )


def test_a_large_graph_is_drawn_in_part_with_a_warning(draw):
    text = "a" + " + exp(a)" * 30
    status, out, err = draw(text, "a=1", "--max-nodes", "9")
    assert status == 0
    assert out.startswith("digraph")
    assert err.startswith("microgradx: ")
    assert err.count("\n") == 1


def test_calls_can_be_drawn_closed(draw):
    arguments = ("cross_entropy(z, 0, fused=False)", "z=2,1,0.1")
    open_, closed = draw(*arguments)[1], draw(*arguments, "--depth", "0")[1]
    assert "exp" in open_
    assert "exp" not in closed
    assert "cross_entropy" in closed


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("a*a a=1 -o graph.jpg", ".svg"),
        ("a*a a=1 -o graph", ".svg"),
        ("a*a a=1 -o none/graph.svg", "there is no directory 'none'"),
        ("a*a a=1 --max-nodes 0", "argument --max-nodes: must be a whole number from 1 up"),
        ("a*a a=1 --depth -1", "argument --depth: must be a whole number from 0 up, not '-1'"),
        ("", "the following arguments are required: EXPRESSION;"),
        ("a*a a=1 --size 3", "unrecognized arguments: --size"),
    ],
)
def test_errors_are_one_line(draw, tmp_path, arguments, message):
    status, out, err = draw(*arguments.split())
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert message in err
    assert list(tmp_path.iterdir()) == []


def test_without_graphviz_the_message_says_how_to_install_it(draw, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pygraphviz", None)
    monkeypatch.setenv("PATH", "")
    status, out, err = draw(*EXAMPLE, "-o", "graph.svg")
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert 'pip install "microgradx[drawing]"' in err
    assert draw(*EXAMPLE, "-o", "graph.dot")[0] == 0


def test_hostile_names_stay_text(draw, tmp_path):
    status, _, err = draw("a<script>", "a<script>=1")
    assert status == 2
    assert "cannot be the name of a variable" in err


def test_a_picture_is_an_xml_file(draw, tmp_path):
    status, _, err = draw("α*x.sum()", "α=0.1", "x=[[1,2],[3,4]]", "-o", "graph.svg")
    if "needs Graphviz" in err:
        pytest.skip("needs Graphviz")
    assert status == 0
    assert "α" in "".join(ElementTree.parse(tmp_path / "graph.svg").getroot().itertext())
