"""SVGs that follow light and dark, describe themselves, and get on with others on a page."""

import re
from xml.etree import ElementTree

import numpy as np
import pytest

import microgradx as mg
from microgradx.show.graphs.palette import ALARM, CHANGED, DARK, INK, KINDS, QUIET
from microgradx.show.graphs.svg import adapt_svg, inline_svg, notebook_svg

SVG = "{http://www.w3.org/2000/svg}"

HOSTILE = 'a|b{c}<script>&"\n&lt;\\N'


@pytest.fixture
def drawing():
    pytest.importorskip("pygraphviz")
    x = mg.Tensor([1.0, 2.0], requires_grad=True, name=HOSTILE)
    return mg.draw(mg.sum(mg.softmax(x, fused=False) * x))


def luminance(colour):
    """How bright a colour is, from 0 to 1, by WCAG 2."""
    channels = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return linear @ [0.2126, 0.7152, 0.0722]


def contrast(one, other):
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


# ---------------------------------------------------------------------------- colours


@pytest.mark.parametrize("in_the_dark", [False, True])
def test_text_is_legible_on_every_kind_of_box(in_the_dark):
    for text in (INK, QUIET, ALARM, CHANGED):
        for fill, _ in KINDS.values():
            one, other = (DARK[c] if in_the_dark else c for c in (text, fill))
            assert contrast(one, other) >= 4.5, (text, fill)


def test_every_colour_has_its_counterpart_in_the_dark(drawing):
    style, picture = drawing.svg().split("</style>")
    used = set(re.findall(r' (fill|stroke)="(?!none)([#\w]+)"', picture))
    assert set(re.findall(r'\[(fill|stroke)="([#\w]+)"\]', style)) == used
    for _, colour in used:
        assert f"light-dark({colour}, {DARK[colour]})" in style


# ---------------------------------------------------------------------------- the text of an SVG


def test_nodes_have_titles_and_the_picture_a_description(drawing):
    tree = ElementTree.fromstring(drawing.svg())
    assert tree.get("role") == "img"
    assert tree.get("aria-label") == "Computation graph"
    titles = {group.get("id"): group.findtext(f"{SVG}title") for group in tree.iter(f"{SVG}g")}
    assert titles["t1"] == 'a|b{c}<script>&"\\n&lt;\\N, parameter, shape (2,), float64'
    assert titles["t2_op"] == "max(axis=-1, keepdims=True)"
    assert {title for node, title in titles.items() if node.startswith(("e-", "graph"))} == {None}


def test_every_node_and_arrow_is_found_by_its_id_and_class(drawing):
    tree = ElementTree.fromstring(drawing.svg())
    classes = {group.get("id"): group.get("class") for group in tree.iter(f"{SVG}g")}
    graph = drawing.graph
    for box in graph.boxes.values():
        assert classes[box.id] == f"node {box.kind}"
    for id, call in graph.op_nodes.items():
        assert classes[id] == f"node {call.kind}"
    for arrow in graph.arrows:
        assert classes[arrow.id] == "edge"
    assert classes["cluster1"] == "cluster frame"


def test_a_description_is_text():
    svg = adapt_svg('<svg width="1">\n<g class="graph microgradx"></g></svg>', '<b>"&', {})
    assert (
        ElementTree.fromstring(svg.replace("<svg", f'<svg xmlns="{SVG[1:-1]}"')).get("aria-label")
        == '<b>"&'
    )


# ---------------------------------------------------------------------------- in a browser


def fills(tab, css):
    return tab.eval_on_selector_all(css, "found => found.map(e => getComputedStyle(e).fill)")


def rgb(colour):
    return f"rgb({', '.join(str(int(colour[i : i + 2], 16)) for i in (1, 3, 5))})"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_file_follows_the_readers_system(drawing, open_page, tmp_path, scheme):
    tab = open_page(drawing.save(tmp_path / "graph.svg"), color_scheme=scheme)
    fill, _ = KINDS["parameter"]
    shown = DARK.get if scheme == "dark" else str
    assert fills(tab, ".parameter > path") == [rgb(shown(fill))]
    assert rgb(shown(INK)) in fills(tab, "text")
    assert fills(tab, ".microgradx > polygon") == [rgb(shown("#ffffff"))]


THEMES = {
    '<div data-jp-theme-light="true">': "light",
    '<div data-jp-theme-light="false">': "dark",
    '<div class="vscode-light">': "light",
    '<div class="vscode-dark">': "dark",
    '<div class="dark">': "dark",
    "<div>": None,
}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_notebooks_decide_by_their_theme(drawing, open_page, scheme):
    cells = "".join(f"{theme}{drawing._repr_html_()}</div>" for theme in THEMES)
    tab = open_page(f'<!doctype html><meta charset="utf-8">{cells}', color_scheme=scheme)
    fill, _ = KINDS["parameter"]
    assert fills(tab, ".parameter > path") == [
        rgb(DARK[fill] if (theme or scheme) == "dark" else fill) for theme in THEMES.values()
    ]


def test_two_drawings_on_a_page_do_not_meet(drawing):
    cell = drawing._repr_mimebundle_()["text/html"]
    assert " id=" not in cell
    assert cell == notebook_svg(drawing.svg())
    assert drawing._repr_mimebundle_()["text/plain"] == repr(drawing)


def test_an_element_of_a_page_has_no_prologue(drawing):
    assert inline_svg(drawing.svg()).startswith("<svg ")
