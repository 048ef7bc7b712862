"""Pictures in files and notebooks, by the dot program, by pygraphviz, and by neither."""

import os
import sys
from xml.etree import ElementTree

import pytest

import microgradx as mg
from microgradx.show.rendering import RenderingError

NAME = 'a|b{c}<script>&"\n&lt;\\N'
BEGINS = {".svg": b"<?xml", ".png": b"\x89PNG", ".pdf": b"%PDF"}


@pytest.fixture
def drawing():
    x = mg.Tensor([1.0, 2.0], requires_grad=True, name=NAME)
    return mg.draw(mg.sum(mg.softmax(x, fused=False) * x))


@pytest.fixture
def without_dot(monkeypatch, tmp_path_factory):
    """A search path with nothing on it."""
    directory = tmp_path_factory.mktemp("bin")
    monkeypatch.setenv("PATH", str(directory))
    return directory


@pytest.fixture
def without_graphviz(without_dot, monkeypatch):
    monkeypatch.setitem(sys.modules, "pygraphviz", None)


def script(directory, text):
    """A stand-in for the dot program."""
    if os.name != "posix":
        pytest.skip("the stand-in is a shell script")
    program = directory / "dot"
    program.write_text(f"#!/bin/sh\n{text}\n")
    program.chmod(0o755)


# ---------------------------------------------------------------------------- saving


@pytest.mark.parametrize("extension", [".dot", ".gv", ".DOT"])
@pytest.mark.usefixtures("without_graphviz")
def test_the_source_needs_no_graphviz(drawing, extension, tmp_path):
    path = drawing.save(tmp_path / f"graph{extension}")
    assert path == tmp_path / f"graph{extension}"
    assert path.read_text(encoding="utf-8") == drawing.source
    assert os.listdir(tmp_path) == [path.name]


@pytest.mark.parametrize("name", ["graph.bmp", "graph", "graph.svg.old", ".svg"])
def test_unknown_formats_are_refused(drawing, name, tmp_path):
    with pytest.raises(ValueError, match=r"end the name with one of \.svg, \.png, \.pdf, \.dot"):
        drawing.save(tmp_path / name)
    assert os.listdir(tmp_path) == []


def test_a_missing_directory_is_named(drawing, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"there is no directory .*missing.*create it"):
        drawing.save(tmp_path / "missing" / "graph.dot")


@pytest.mark.skipif(os.name != "posix", reason="about POSIX permissions")
def test_a_file_has_the_usual_permissions(drawing, tmp_path):
    usual = tmp_path / "usual"
    usual.write_text("")
    assert drawing.save(str(tmp_path / "graph.dot")).stat().st_mode == usual.stat().st_mode


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
def test_a_file_is_left_as_it_was_when_writing_fails(drawing, error, tmp_path, monkeypatch):
    path = tmp_path / "graph.dot"
    path.write_text("before")

    def fail(*_):
        raise error

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(error):
        drawing.save(path)
    assert os.listdir(tmp_path) == ["graph.dot"]
    assert path.read_text() == "before"


# ---------------------------------------------------------------------------- the dot program


def test_the_dot_program_is_used_if_there_is_one(drawing, without_dot, tmp_path):
    script(without_dot, 'while IFS= read -r line; do echo "$line"; done; echo "// $*"')
    path = drawing.save(tmp_path / "graph.svg")
    assert path.read_text(encoding="utf-8") == drawing.source + "// -Tsvg\n"
    assert drawing.save(tmp_path / "graph.PNG").read_text().endswith("// -Tpng -Gdpi=144\n")
    assert sorted(os.listdir(tmp_path)) == ["graph.PNG", "graph.svg"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("echo first >&2; echo 'no such format' >&2; exit 1", "as pdf: no such format"),
        ("echo half a picture; echo out of memory >&2; exit 1", "as pdf: out of memory"),
        ("exit 3", "as pdf: exit status 3"),
        ("echo silent >&2", "as pdf: silent"),
    ],
)
def test_when_the_dot_program_fails(drawing, without_dot, text, message, tmp_path):
    script(without_dot, text)
    path = tmp_path / "graph.pdf"
    path.write_text("before")
    with pytest.raises(RenderingError, match=message):
        drawing.save(path)
    assert os.listdir(tmp_path) == ["graph.pdf"]
    assert path.read_text() == "before"


# ---------------------------------------------------------------------------- pygraphviz


@pytest.mark.parametrize("extension", BEGINS)
@pytest.mark.usefixtures("without_dot")
def test_pygraphviz_draws_all_formats(drawing, extension, tmp_path):
    pytest.importorskip("pygraphviz")
    path = drawing.save(tmp_path / f"graph{extension}")
    assert path.read_bytes().startswith(BEGINS[extension])
    assert os.listdir(tmp_path) == [path.name]


@pytest.mark.usefixtures("without_dot")
def test_names_reach_the_picture_as_they_are(drawing):
    pytest.importorskip("pygraphviz")
    tree = ElementTree.fromstring(drawing.svg())
    texts = [element.text for element in tree.iter("{http://www.w3.org/2000/svg}text")]
    assert 'a|b{c}<script>&"\\n&lt;\\N' in "".join(texts)
    assert "softmax" in texts
    assert "gradients of the output" in texts
    assert not list(tree.iter("{http://www.w3.org/2000/svg}script"))


@pytest.mark.usefixtures("without_dot")
def test_when_pygraphviz_fails(drawing, tmp_path):
    pytest.importorskip("pygraphviz")
    drawing.digraph.body.append("{")
    with pytest.raises(RenderingError, match="pygraphviz could not draw the graph as svg"):
        drawing.save(tmp_path / "graph.svg")
    assert os.listdir(tmp_path) == []


# ---------------------------------------------------------------------------- neither; notebooks


@pytest.mark.usefixtures("without_graphviz")
def test_without_graphviz_one_line_says_how_to_install_it(drawing, tmp_path):
    with pytest.raises(RenderingError) as caught:
        drawing.save(tmp_path / "graph.svg")
    message = str(caught.value)
    assert 'pip install "microgradx[drawing]"' in message
    assert "system's packages" in message
    assert "\n" not in message
    assert os.listdir(tmp_path) == []
    assert drawing._repr_mimebundle_() == {"text/plain": message}


def test_notebooks_show_the_picture(drawing, without_dot):
    script(without_dot, "while read -r line; do :; done; echo '<svg/>'")
    assert drawing._repr_mimebundle_() == {
        "image/svg+xml": "<svg/>\n",
        "text/plain": repr(drawing),
    }
