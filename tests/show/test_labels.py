"""Numbers and names in labels: legible, and never markup."""

from xml.etree import ElementTree

import numpy as np
import pytest

import microgradx as mg
from microgradx.show.graph import graph_behind
from microgradx.show.labels import ALARM, box_label, escaped, number


def rows(tensor):
    label = box_label(tensor, graph_behind(tensor, gradients=True, max_nodes=9))
    return [
        ["".join(cell.itertext()).strip() for cell in row]
        for row in ElementTree.fromstring(label[1:-1]).iter("TR")
    ]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (-0.0, "0"),
        (1.0, "1"),
        (1 / 3, "0.3333"),
        (-123456.0, "-1.235e+05"),
        (1e-30, "1e-30"),
        (123456, "123456"),
        (True, "True"),
    ],
)
def test_numbers_have_four_digits_and_integers_all(value, text):
    assert number(value) == text


@pytest.mark.parametrize(("value", "text"), [("nan", "NaN"), ("inf", "inf"), ("-inf", "-inf")])
def test_what_is_not_finite_is_red(value, text):
    assert number(float(value)) == f'<FONT COLOR="{ALARM}"><B>{text}</B></FONT>'


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.longdouble])
def test_elements_lie_as_in_the_array(dtype):
    x = mg.Tensor(np.arange(6, dtype=dtype).reshape(1, 2, 3) / 3, name="x")
    assert rows(x) == [
        [f"x  (1, 2, 3) {np.dtype(dtype)}"],
        ["value", "0", number(float(dtype(1) / 3)), number(float(dtype(2) / 3))],
        ["", "1", number(float(dtype(4) / 3)), number(float(dtype(5) / 3))],
    ]


def test_many_elements_are_summarised():
    assert rows(mg.Tensor(np.arange(7)))[1:] == [
        ["", "min", "mean", "max"],
        ["value", "0", "3", "6"],
    ]
    assert rows(mg.Tensor([True] * 6 + [False]))[2] == ["value", "False", "0.8571", "True"]


def test_a_summary_counts_what_is_not_finite_apart():
    x = mg.Tensor([np.nan, 1.0, 2.0, 3.0, np.inf, -np.inf, np.nan])
    assert rows(x)[2] == ["value", "1", "2", "3", "2 NaN", "2 inf"]
    assert rows(mg.Tensor([np.nan] * 7))[2] == ["value", "", "", "", "7 NaN"]


def test_the_mean_of_large_numbers_and_of_small_ones_is_right():
    assert rows(mg.Tensor([1.7e308] * 9))[2] == ["value"] + ["1.7e+308"] * 3
    assert rows(mg.Tensor(np.full(9, 60000, np.float16)))[2] == ["value"] + ["6e+04"] * 3
    assert rows(mg.Tensor(np.full(9, 6e-8, np.float16)))[2] == ["value"] + ["5.96e-08"] * 3


def test_empty_and_single():
    assert rows(mg.Tensor(np.zeros((2, 0)))) == [["(2, 0) float64"], ["value", "empty"]]
    assert rows(mg.Tensor(2.5)) == [["() float64"], ["value", "2.5"]]


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
    assert "".join(ElementTree.fromstring(f"<x>{escaped(text)}</x>").itertext()) == shown
    assert rows(mg.Tensor(1.0, name=text))[0] == [f"{shown}  () float64"]
