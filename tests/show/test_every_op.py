"""Every op can be shown: drawn, explained and told in steps, whatever its numbers and its rank."""

import json
import re
from xml.etree import ElementTree

import numpy as np
import pytest

import microgradx as mg
from microgradx.show import explanation
from microgradx.show.graphs import drawing
from tests.helpers import leaf, op_with
from tests.ops.test_table import TABLE, as_list

pytestmark = pytest.mark.slow  # a sweep over the whole table

PICTURE = '<svg width="1pt" height="1pt" viewBox="0 0 1 1"></svg>'


@pytest.fixture(autouse=True)
def _without_graphviz(monkeypatch):
    """A picture takes a process each; that Graphviz draws such graphs is tested below."""
    monkeypatch.setattr(drawing, "render", lambda source, format: PICTURE.encode())


def show_everywhere(tensor):
    """Draw, explain and tell a Tensor in steps, in every format; return the page's data."""
    drawn = mg.draw(tensor)
    for label in re.findall(r"label=<(<TABLE .*</TABLE>)>", drawn.source):
        ElementTree.fromstring(label)
    assert drawn.to_mermaid()
    told = tensor.steps()
    assert str(told)
    assert told._repr_html_()
    page = explanation.explain(tensor).html
    (data,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page)
    return json.loads(data, parse_constant=pytest.fail)


def alternatives(arrays):
    """The inputs in other dtypes, and with numbers that are not finite."""
    floats = [a.dtype.kind == "f" for a in arrays]

    def where_float(change):
        return [change(a) if is_float else a for a, is_float in zip(arrays, floats, strict=True)]

    def ending_in(number):
        def change(a):
            a = a.copy()
            a.reshape(-1)[-1:] = number
            return a

        return where_float(change)

    yield [a.astype(np.float32) if a.dtype.kind == "f" else a for a in ending_in(np.nan)]
    yield [a.astype(a.dtype.newbyteorder(">")) for a in ending_in(-np.inf)]
    if sum(floats) > 1:
        yield [arrays[0], *(np.rint(a).astype(int) for a in arrays[1:])]
        yield [arrays[0], *(a > 0 for a in arrays[1:])]


def calls_of(row, name):
    """A call of a row for each combination of ranks, and one of them with the alternatives."""
    calls = {}
    for arrays, settings in row.samples(name):
        arrays = [np.asarray(a) for a in arrays]
        kind = tuple(a.ndim for a in arrays), all(a.size for a in arrays)
        calls.setdefault(kind, (arrays, settings))
    arrays, settings = max(calls.values(), key=lambda call: min(a.size for a in call[0]))
    others = ((given, settings) for given in alternatives(arrays))
    for given, settings in [*calls.values(), *others]:
        yield [leaf(a) if a.dtype.kind == "f" else mg.Tensor(a) for a in given], settings


@pytest.mark.parametrize("name", TABLE)
def test_every_op_is_shown(name):
    row = TABLE[name]
    for i, (tensors, settings) in enumerate(calls_of(row, name)):
        with np.errstate(all="ignore"):
            try:
                results = as_list(row.function(*tensors, **settings))
            except (TypeError, ValueError, ArithmeticError):  # of NaN, integers, …
                continue
            result = results[-1]
            if result.op is not None:
                if result.size > 1 and i % 2:  # as a part of a computation of one number
                    result = mg.square(result[(-1,) * result.ndim])
                show_everywhere(result)


def test_graphviz_draws_what_is_asked_of_it(monkeypatch):
    monkeypatch.undo()
    pytest.importorskip("pygraphviz")
    x = leaf(np.arange(8.0).astype(">f8"), name="<x>")
    index = mg.Tensor(np.array(2, ">i2"), name="i & j")
    picked = mg.take(x * np.array(3, ">f4"), index)
    svg = picked.draw().svg()
    ElementTree.fromstring(svg)
    assert "(8,) float64" in svg
    assert "() int16" in svg


def test_a_computation_is_shown_although_a_rule_fails():
    def fail(self, g, out, x):
        raise ZeroDivisionError("no derivative here")

    x = leaf([1.0, 2.0], "x")
    total = mg.sum(op_with(fail)(x))
    said = "no gradients: no derivative here"
    assert total.draw().graph.note == said
    assert said in total.draw().source
    assert str(total.steps()).endswith(said)
    assert [step.kind for step in total.steps()] == ["forward", "forward"]
    assert f"Forward steps only; {said}." in total.explain().html


def test_single_elements_are_shown():
    """Elements of arrays, picked one by one: each a 0-d result."""
    x, z, p = (
        leaf(data, name) for data, name in (([2.0, 3.0], "x"), ([3, 1, 2], "z"), ([0.5], "p"))
    )
    for picked in (
        x[0] * x[1],
        -np.log(p[0]),
        np.sort(z)[-1],
        mg.nll_loss(mg.log_softmax(z), 0),
        mg.cross_entropy(z, 0, fused=False),
        mg.take(z, 1),
        mg.max(z)[...],
    ):
        data = show_everywhere(picked)
        assert {step["kind"] for step in data["steps"]} >= {"forward", "seed", "backward"}
        assert data["steps"][0]["derivation"] is not None
