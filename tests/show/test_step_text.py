"""Steps as text: what a slide shows, in full, and what is done with names, arrays and terminals."""

import io
import re
import sys
from xml.etree import ElementTree

import numpy as np
import pytest

import microgradx as mg
from microgradx.show.step_text import WIDTH, StepText, steps
from tests.helpers import leaf


def lines_of(text):
    """Lines, each as its columns."""
    return [re.split(r"  +", line.strip()) for line in text.splitlines()]


# ---------------------------------------------------------------------------- in full

SLIDE = """\
forward
  1  multiply → v1  a · b     2 · (-3)  = -6
  2  add → v2       v1 + c    -6 + 10   = 4
  3  tanh → L       tanh(v2)  tanh(4)   = 0.9993

backward, the gradients of L
  4  begins at L                                         = 1
  5  L → tanh → v2      g · (1 - L²)  1 · (1 - 0.9993²)  = 0.001341
  6  v2 → add → v1      g · 1         0.001341 · 1       = 0.001341
  7  v2 → add → c       g · 1         0.001341 · 1       = 0.001341
  8  v1 → multiply → a  g · b         0.001341 · (-3)    = -0.004023
  9  v1 → multiply → b  g · a         0.001341 · 2       = 0.002682"""


def test_a_neuron_fits_on_a_slide():
    a, b, c = leaf(2), leaf(-3), leaf(10)
    L = mg.tanh(a * b + c)
    assert str(steps(L)) == SLIDE
    assert repr(steps(L)) == SLIDE
    del a, b, c


def test_the_text_is_the_same_again():
    def text():
        x = leaf(np.arange(6.0).reshape(2, 3), "x")
        return str(steps(mg.cross_entropy(mg.tanh(x * 0.3), np.array([0, 2]))))

    assert text() == text()


CONTRIBUTIONS = """\
  6  v1 → multiply → x               g · x  1 · (-3)   = -3
     second of 3 contributions to x         1 + (-3)   = -2
  7  v1 → multiply → x               g · x  1 · (-3)   = -3
     third of 3 contributions to x          -2 + (-3)  = -5"""


def test_contributions_are_added_up():
    x = leaf(-3)
    text = str(steps(x * x + x))
    assert text.endswith(CONTRIBUTIONS)


def test_arrays_are_summed_up_and_their_first_element_is_an_example():
    x = mg.Tensor(np.eye(4, 2))
    w, b = leaf([[0.5, 1, 2], [-1, 0, 1]]), leaf(np.zeros(3))
    h = x @ w + b
    text = lines_of(str(steps(h.sum())))
    assert text[1] == [
        *("1", "matmul → v1", "x w"),
        *("[0, 0]: 1 · 0.5 + 0 · (-1) = 0.5", "(4, 3), -1 … 2, mean 0.2917"),
    ]
    assert ["8", "summed over axis 0 → b", "[0]: 1 + 1 + 1 + 1 = 4", "= [4, 4, 4]"] in text
    assert ["6", "h → add → v1", "g · 1", "[0, 0]: 1 · 1 = 1", "(4, 3), all 1"] in text


def test_small_arrays_are_written_out():
    x = leaf([[1.5, -2.0], [0.0, 1e-7]])
    rows = lines_of(str(steps((x * 2).sum())))
    assert rows[1] == [
        *("1", "multiply → v1", "x · 2", "[0, 0]: 1.5 · 2 = 3"),
        "= [[3, -4], [0, 2e-07]]",
    ]


def test_small_arrays_of_long_numbers_are_summed_up():
    x = leaf(np.full((2, 3), 1.2345678) * [1, -1, 2])
    assert lines_of(str(steps(x * 1)))[1][-1] == "(2, 3), -1.235 … 2.469, mean 0.823"


def test_what_is_not_finite_is_counted():
    x = leaf([np.nan, np.inf, -np.inf, 1, 2, 3, 6])
    assert lines_of(str(steps(x * 1)))[1][-1] == "(7,), 1 … 6, mean 3, 1 NaN, 2 inf"
    x = leaf(np.full(7, np.nan))
    assert lines_of(str(steps(x * 1)))[1][-1] == "(7,), 7 NaN"
    assert lines_of(str(steps(leaf(np.zeros((0, 3))) * 1)))[1][-1] == "= []"


def test_a_network_fits_its_lines():
    generator = np.random.default_rng(0)
    x, w, v = (leaf(generator.normal(size=shape)) for shape in ((5, 3), (3, 8), (8, 4)))
    b = leaf(np.zeros(8))
    loss = mg.cross_entropy(mg.relu(x @ w + b) @ v, np.array([0, 1, 3, 2, 0]))
    text = str(steps(loss))
    assert max(map(len, text.splitlines())) <= WIDTH
    assert "relu → v" in text
    assert "loss → softmax_cross_entropy → v" in text
    del w, v, b


# ---------------------------------------------------------------------------- names


def test_names_are_the_tensors_own_or_the_callers_or_numbers():
    w = leaf(2.0)
    loss = (w * leaf(3.0, "given")) ** 2 - 1
    rows = [row[:3] for row in lines_of(str(steps(loss)))]
    assert ["1", "multiply → v1", "w · given"] in rows
    assert ["2", "power → v2", "v1²"] in rows
    assert ["3", "subtract → loss", "v2 - 1"] in rows
    assert ["6", "v2 → power → v1", "g · 2 · v1"] in rows


def test_numbers_as_names_stand_in_parentheses():
    x = leaf(2.0)
    rows = lines_of(str(steps((x * -0.5) + np.tanh(x * mg.Tensor(-1e-7)))))
    assert rows[1][2:] == ["x · (-0.5)", "2 · (-0.5)", "= -1"]
    assert rows[2][2:] == ["x · (-1e-07)", "2 · (-1e-07)", "= -2e-07"]


def test_numbered_names_are_free():
    v1, v3 = leaf(2.0), leaf(3.0)
    rows = lines_of(str(steps(np.sin(v1 * v3) + 1)))
    assert [row[1] for row in rows[1:4]] == ["multiply → v2", "sin → v4", "add → output"]


def test_a_variable_called_output_stays_what_it_is():
    output = leaf(2.0)
    assert lines_of(str(steps(output * 3)))[1][1:3] == ["multiply → v1", "output · 3"]


def test_letters_in_names_are_no_letters_of_formulas():
    y, x = leaf(2.0), leaf(3.0)
    out = y / x
    rows = lines_of(str(steps(out)))
    assert rows[1][2] == "y / x"
    assert [row[2] for row in rows if row[1:2] in (["out → divide → y"], ["out → divide → x"])] == [
        "g · (1 / x)",
        "g · (-out / x)",
    ]
    assert "x^2 · x^2" in str(steps(leaf(1.0, "x^2") * leaf(1.0, "x^2")))
    z = leaf([[1.0, 2.0]], "x y")
    assert "x y z" not in str(steps((z @ z.T).sum()))
    assert "x y v1" in str(steps((z @ z.T).sum()))


HOSTILE = "a|b{c}<script>[red]\x1b[31m\n\\"


def test_hostile_names_stay_text():
    x = leaf([1.0, 2.0], HOSTILE)
    told = steps((x * x).sum())
    shown = r"a|b{c}<script>[red]\x1b[31m\n" + "\\"
    assert f"{shown} · {shown}" in str(told)
    assert "\x1b" not in str(told)
    markup = told._repr_html_()
    assert "<script" not in markup
    cells = [cell.text for cell in ElementTree.fromstring(f"<x>{markup}</x>").iter("td")]
    assert f"{shown} · {shown}" in cells


# ---------------------------------------------------------------------------- left out


def test_what_is_left_out_is_said():
    x = leaf(0.5)
    for _ in range(3000):
        x = np.sin(x)
    told = steps(x, max_steps=4)
    lines = str(told).splitlines()
    assert lines[:2] == ["forward", "… 2,998 earlier steps"]
    assert lines[-1] == "… 2,999 more steps"
    assert len(told) == 4
    assert told.steps.left_out == (2998, 2999)


def test_why_there_is_no_way_back_is_said():
    x = leaf([1.0, 2.0])
    assert str(steps(x * x)).endswith("\n\nno gradients: the output has 2 elements, not one")


# ---------------------------------------------------------------------------- data


def test_it_is_a_sequence_of_its_steps():
    x = leaf(2.0)
    told = steps(x * x)
    assert isinstance(told, StepText)
    assert [step.kind for step in told] == ["forward", "seed", "backward", "backward"]
    assert told[-1].total == 4
    assert list(told[:2]) == [told[0], told[1]]
    assert told[0] in told
    assert {told: 1}[told] == 1


def test_the_text_does_not_change_with_the_tensors():
    x = leaf(2.0)
    told = steps(x * x)
    before = str(told)
    x.data = 5.0
    assert str(told) == before


def test_bad_arguments_are_refused():
    with pytest.raises(
        TypeError, match=r"steps\(\) needs the result of a computation on Tensors, not"
    ):
        steps(np.eye(2))
    with pytest.raises(ValueError, match=r"Tensor 'w' .* was not computed from anything"):
        steps(leaf(2.0, "w"))
    with pytest.raises(ValueError, match="max_steps must be at least 1, not 0"):
        steps(leaf(2.0) * 3, max_steps=0)


# ---------------------------------------------------------------------------- where it is shown


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_elsewhere_than_on_a_terminal_it_is_plain_text(capsys):
    told = steps(leaf(2.0) * 3)
    told.show()
    assert capsys.readouterr().out == f"{told}\n"


def test_on_a_terminal_it_is_a_table_in_colours(monkeypatch):
    pytest.importorskip("rich")
    monkeypatch.setattr(sys, "stdout", Terminal())
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.delenv("NO_COLOR", raising=False)
    x = leaf(2.0, "[red]x")
    told = steps(x * x)
    told.show()
    shown = sys.stdout.getvalue()
    assert "\x1b[" in shown
    plain = re.sub(r"\x1b\[[\d;]*m", "", shown)
    words = [re.split(r"  +", line.strip()) for line in plain.splitlines()]
    assert ["1", "multiply → output", "[red]x · [red]x", "2 · 2", "= 4"] in words


def test_on_a_terminal_without_rich_it_is_plain_text(monkeypatch):
    monkeypatch.setattr(sys, "stdout", Terminal())
    monkeypatch.setitem(sys.modules, "rich.console", None)
    told = steps(leaf(2.0) * 3)
    told.show()
    assert sys.stdout.getvalue() == f"{told}\n"
