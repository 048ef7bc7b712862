"""The README's program does what the README says, and its commands exist."""

import html
import re
import shlex
from pathlib import Path

import pytest

from microgradx.cli import main

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


def test_the_twelve_lines(tmp_path, monkeypatch, capsys):
    pytest.importorskip("pygraphviz")
    monkeypatch.chdir(tmp_path)
    (program,) = blocks("python")
    exec(compile(program, "README.md", "exec"), {})
    assert capsys.readouterr().out.count("[-0.34099886  0.24243297  0.09856589]") == 3
    assert (tmp_path / "softmax.svg").read_text(encoding="utf-8").rstrip().endswith("</svg>")
    after_imports = program.partition("import microgradx as mg\n\n")[2]
    assert len(after_imports.splitlines()) + 2 == 12


def test_the_picture_shows_what_the_program_draws():
    picture = html.unescape((ROOT / "docs/images/softmax.svg").read_text(encoding="utf-8"))
    for text in ("logits", "0.659", "0.2424", "-0.341", "divide", "max"):
        assert text in picture


def test_the_make_targets_exist():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = re.findall(r"^make (\w+)", "".join(blocks("sh")), flags=re.MULTILINE)
    assert targets == ["demo", "test"]
    for target in targets:
        assert f"\n{target}:" in makefile


@pytest.mark.parametrize("page", ["README.md", "docs/guide.md"])
def test_the_commands_that_show_things_run(page, tmp_path, monkeypatch, capsys):
    pytest.importorskip("pygraphviz")
    monkeypatch.chdir(tmp_path)
    text = (ROOT / page).read_text(encoding="utf-8")
    lines = map(shlex.split, re.findall(r"^python -m microgradx (.*)$", text, re.M))
    # The others take minutes, or files that are not here.
    commands = [words for words in lines if words[0] not in ("train", "predict", "doctor")]
    assert {words[0] for words in commands} >= {"explain", "draw", "softmax", "info"}
    for words in commands:
        assert main(words) == 0
    files = {words[words.index("-o") + 1] for words in commands if "-o" in words}
    assert files >= {"page.html", "graph.svg"}
    assert {path.name for path in tmp_path.iterdir()} == files


@pytest.mark.parametrize("path", re.findall(r"\]\(([^)]+)\)|src=\"([^\"]+)\"", README))
def test_links_lead_somewhere(path):
    assert (ROOT / "".join(path)).exists()
