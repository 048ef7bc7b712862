"""Pictures in files, by the dot program, by pygraphviz, and by neither."""

import os
import signal
import subprocess
import sys
from xml.etree import ElementTree

import pytest

import microgradx as mg
from microgradx.show.graphs import rendering
from microgradx.show.graphs.drawing import FORMATS
from microgradx.show.graphs.rendering import RenderingError, render

NAME = 'a|b{c}<script>&"\n&lt;\\N'
BEGINS = {".svg": b"<?xml", ".png": b"\x89PNG", ".pdf": b"%PDF", ".html": b"<!doctype html>"}


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


@pytest.mark.parametrize("extension", [".dot", ".gv", ".DOT", ".mmd"])
@pytest.mark.usefixtures("without_graphviz")
def test_sources_need_no_graphviz(drawing, extension, tmp_path):
    path = drawing.save(tmp_path / f"graph{extension}")
    assert path == tmp_path / f"graph{extension}"
    source = drawing.to_mermaid() if extension == ".mmd" else drawing.source
    assert path.read_text(encoding="utf-8") == source
    assert os.listdir(tmp_path) == [path.name]


@pytest.mark.parametrize("name", ["graph.bmp", "graph", "graph.svg.old", ".svg"])
def test_unknown_formats_are_refused_with_those_there_are(drawing, name, tmp_path):
    formats = r"\.svg, \.png, \.pdf, \.dot, \.gv, \.mmd, \.html$"
    with pytest.raises(ValueError, match=f"end the name with one of {formats}"):
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
    path = drawing.save(tmp_path / "graph.pdf")
    assert path.read_text(encoding="utf-8") == drawing.source + "// -Tpdf\n"
    assert drawing.save(tmp_path / "graph.PNG").read_text().endswith("// -Tpng -Gdpi=144\n")
    assert sorted(os.listdir(tmp_path)) == ["graph.PNG", "graph.pdf"]


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


@pytest.fixture
def fifo(tmp_path):
    if not hasattr(os, "mkfifo"):
        pytest.skip("the stand-in waits at a POSIX named pipe")
    path = tmp_path / "pipe"
    os.mkfifo(path)
    return path


def test_what_takes_too_long_is_stopped_and_the_message_says_what_to_do(
    without_dot, fifo, monkeypatch
):
    script(without_dot, f"read line < {fifo}")  # which nobody writes to
    monkeypatch.setattr(rendering, "TIME_LIMIT", 0.1)
    with pytest.raises(RenderingError, match=r"in 0\.1 seconds; draw fewer.*max_nodes=.*depth=0"):
        render("digraph {}", "svg")


def test_ctrl_c_stops_it(without_dot, fifo):
    script(without_dot, f"echo $$ > {fifo}; read line < {fifo}")
    code = (
        # Processes that are started in the background by a shell ignore it otherwise.
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler);"
        "from microgradx.show.graphs.rendering import render; render('digraph {}', 'svg')"
    )
    python = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True)
    partition = int(fifo.read_text())  # waits until the program runs
    python.send_signal(signal.SIGINT)
    _, said = python.communicate(timeout=60)
    assert said.rstrip().endswith("KeyboardInterrupt")
    with pytest.raises(ProcessLookupError):
        os.kill(partition, 0)


# ---------------------------------------------------------------------------- pygraphviz


@pytest.mark.parametrize("extension", BEGINS)
@pytest.mark.usefixtures("without_dot")
def test_pygraphviz_draws_all_formats(drawing, extension, tmp_path):
    pytest.importorskip("pygraphviz")
    path = drawing.save(tmp_path / f"graph{extension}")
    assert path.read_bytes().startswith(BEGINS[extension])
    assert os.listdir(tmp_path) == [path.name]
    assert set(BEGINS) < set(FORMATS)


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
def test_when_pygraphviz_fails(tmp_path):
    pytest.importorskip("pygraphviz")
    with pytest.raises(RenderingError, match="pygraphviz could not draw the graph as svg: "):
        render("digraph { {", "svg")


@pytest.mark.usefixtures("without_dot")
def test_pygraphviz_is_found_where_this_process_finds_it(tmp_path, monkeypatch):
    (tmp_path / "pygraphviz.py").write_text(
        "class AGraph:\n"
        "    def __init__(self, string):\n"
        "        self.string = string\n"
        "    def draw(self, **settings):\n"
        "        return f'{self.string} {sorted(settings.items())}'.encode()\n"
    )
    monkeypatch.delitem(sys.modules, "pygraphviz", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    settings = [("args", "-Gdpi=144"), ("format", "png"), ("prog", "dot")]
    assert render("größe", "png").decode() == f"größe {settings}"


# ---------------------------------------------------------------------------- neither


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
    assert drawing._repr_html_() is None
    dot = mg.draw_dot(drawing.graph.output)
    assert dot._repr_mimebundle_() == {"text/plain": message}
    with pytest.raises(RenderingError, match="needs Graphviz"):
        dot.pipe()


# ---------------------------------------------------------------------------- draw_dot


@pytest.mark.usefixtures("without_dot")
def test_draw_dot_needs_no_program(drawing, tmp_path):
    """All that micrograd's users do with it, by pygraphviz alone."""
    pytest.importorskip("pygraphviz")
    dot = mg.draw_dot(drawing.graph.output)
    (shown,) = dot._repr_mimebundle_().items()
    assert shown[0] == "image/svg+xml"
    assert shown[1].lstrip().startswith("<?xml")
    assert dot.pipe(format="png").startswith(b"\x89PNG")
    assert "</svg>" in dot.pipe(encoding="utf-8")
    assert list(dot._repr_mimebundle_(include=["image/png"])) == ["image/png"]

    path = dot.render(tmp_path / "gout")
    assert path == str(tmp_path / "gout.svg")
    assert "</svg>" in (tmp_path / "gout.svg").read_text(encoding="utf-8")
    assert (tmp_path / "gout").read_text(encoding="utf-8") == dot.source
    assert dot.render("gout", tmp_path, cleanup=True, format="png") == str(tmp_path / "gout.png")
    assert sorted(os.listdir(tmp_path)) == ["gout.png", "gout.svg"]
    dot.render(outfile=tmp_path / "other.pdf")
    assert (tmp_path / "other.pdf").read_bytes().startswith(b"%PDF")
    assert sorted(os.listdir(tmp_path)) == ["gout.png", "gout.svg", "other.gv", "other.pdf"]


def test_draw_dot_uses_the_program_if_there_is_one(drawing, without_dot, tmp_path):
    script(without_dot, 'while IFS= read -r line; do :; done; echo "$*"')
    dot = mg.draw_dot(drawing.graph.output)
    assert dot.pipe(encoding="utf-8").split() == ["-Kdot", "-Tsvg"]
