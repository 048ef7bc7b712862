"""The command `explain`: steps of expressions."""

import re
import sys

import pytest

import microgradx as mg
from microgradx.commands.expressions import compute_expression
from microgradx.show.graphs.rendering import RenderingError, render

EXAMPLE = ("(a*b + c).tanh()", "a=2", "b=-3", "c=10")


@pytest.fixture
def explain(run):
    def explain(*arguments):
        return run("explain", *arguments)

    return explain


@pytest.fixture
def graphviz():
    try:
        render("digraph { a }", "svg")
    except RenderingError:
        pytest.skip("needs Graphviz")


def expected_steps(text, variables):
    return f"{mg.Tensor.steps(compute_expression(text, variables))}\n"


def test_without_a_file_the_steps_are_printed(explain):
    status, out, err = explain(*EXAMPLE)
    assert (status, err) == (0, "")
    assert out == expected_steps(EXAMPLE[0], {"a": 2, "b": -3, "c": 10})
    assert [line for line in out.splitlines() if "tanh(4)" in line and "0.9993" in line]


def test_names_of_parts_are_shown(explain):
    _, out, _ = explain("d = a*b; L = (d + c).tanh()", *EXAMPLE[1:])
    assert "the gradients of L" in out
    assert re.search(r"multiply → d +a · b +2 · \(-3\) += -6", out)


def test_the_text_has_colours_only_on_a_terminal(explain, monkeypatch):
    pytest.importorskip("rich")
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert "\x1b[" not in explain(*EXAMPLE)[1]
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    assert "\x1b[" in explain(*EXAMPLE)[1]
    monkeypatch.setitem(sys.modules, "rich", None)
    monkeypatch.setitem(sys.modules, "rich.console", None)
    assert "\x1b[" not in explain(*EXAMPLE)[1]


def test_a_page_is_written(explain, tmp_path, graphviz):
    status, out, err = explain(*EXAMPLE, "-o", "page.html")
    assert (status, out, err) == (0, "Written: page.html; open it in a browser\n", "")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>")
    assert "0.9993" in page
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("a a=1", "a alone has no steps; compute something from it, such as 2*a"),
        ("a*a a=1 -o none/page.html", "there is no directory 'none'"),
        ("a*a a=1 -o page.pdf", "end the name with .html"),
        ("a*a b=1", "a has no value"),
        ("a*a a=one", "a must be a number"),
        ("", "the following arguments are required: EXPRESSION;"),
    ],
)
def test_errors_are_one_line(explain, tmp_path, graphviz, arguments, message):
    status, out, err = explain(*arguments.split())
    assert (status, out) == (2, "")
    assert err.startswith("microgradx: error: ")
    assert message in err
    assert list(tmp_path.iterdir()) == []


def test_a_result_of_several_elements_has_only_forward_steps(explain):
    status, out, err = explain("2*x", "x=1,2")
    assert (status, err) == (0, "")
    assert "no gradients" in out


def test_warnings_are_lines_of_the_command(explain):
    status, _, err = explain("cross_entropy(softmax(z), 0)", "z=2,1")
    assert status == 0
    assert err.count("\n") == 1
    assert err.startswith("microgradx: cross_entropy was given the output of a softmax")


def test_overflow_is_shown_without_a_warning(explain):
    status, out, err = explain("exp(a) / b", "a=1000", "b=0")
    assert (status, err) == (0, "")
    assert "inf" in out
