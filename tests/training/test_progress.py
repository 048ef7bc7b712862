"""The progress of a training: a bar on a terminal, plain lines elsewhere."""

import io
import sys

import pytest

from microgradx.training.loop import Epoch
from microgradx.training.progress import ProgressLines, show_progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


def run(stream, epochs, until=None):
    with show_progress(stream, epochs, batches=2) as progress:
        for number in range(1, (until or epochs) + 1):
            progress.batch()
            progress.batch()
            progress.epoch(Epoch(number, 1 / number, 0.5, 0.7, 0.25))
    return stream.getvalue()


@pytest.mark.parametrize(("epochs", "lines"), [(1, 1), (7, 7), (10, 10), (40, 11), (1000, 11)])
def test_about_ten_lines_the_first_and_the_last_among_them(epochs, lines):
    shown = run(io.StringIO(), epochs).splitlines()
    assert len(shown) == lines
    assert shown[0].split()[1:2] == [f"1/{epochs}"]
    assert f"{epochs}/{epochs}" in shown[-1]
    assert "accuracy  50.0%" in shown[-1]
    assert "held out  25.0%" in shown[-1]
    assert len({len(line) for line in shown}) == 1


def test_the_last_epoch_of_a_stopped_training_is_shown():
    assert " 7/100" in run(io.StringIO(), 100, until=7).splitlines()[-1]


def test_a_bar_on_a_terminal(monkeypatch):
    pytest.importorskip("rich")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    shown = run(Terminal(), 3)
    assert "epoch 3/3" in shown
    assert "loss 0.3333" in shown
    assert "━" in shown


def test_a_terminal_without_rich_gets_lines(monkeypatch):
    for name in [name for name in sys.modules if name.partition(".")[0] == "rich"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "rich", None)
    monkeypatch.setitem(sys.modules, "rich.console", None)
    assert isinstance(show_progress(Terminal(), 3, 2), ProgressLines)
