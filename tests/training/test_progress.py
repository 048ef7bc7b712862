"""The progress of a training: a bar on a terminal, plain lines elsewhere."""

import io
import sys

import pytest

from microgradx.training import History, Training
from microgradx.training.progress import ProgressLines, show_progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


def run(stream, epochs, until=None):
    history = History()
    progress = show_progress(True, stream)
    training = Training(None, None, history, epochs, steps_per_epoch=2)
    with progress.start(training):
        for number in range(1, (until or epochs) + 1):
            training.epoch = number
            for _ in range(2):
                training.step += 1
                progress.batch()
            row = {"loss": 1 / number, "accuracy": 0.5, "validation_accuracy": 0.25}
            history.rows.append({"epoch": number, "lr": 0.1, **row})
            progress.epoch()
    return stream.getvalue()


@pytest.mark.parametrize(("epochs", "lines"), [(1, 1), (7, 7), (10, 10), (40, 11), (1000, 11)])
def test_about_ten_lines_the_first_and_the_last_among_them(epochs, lines):
    shown = run(io.StringIO(), epochs).splitlines()
    assert len(shown) == lines
    assert shown[0].split()[1:2] == [f"1/{epochs}"]
    assert f"{epochs}/{epochs}" in shown[-1]
    assert "accuracy  50.0%" in shown[-1]
    assert "validation_accuracy  25.0%" in shown[-1]
    assert len({len(line) for line in shown}) == 1


def test_the_last_epoch_of_a_stopped_training_is_shown():
    assert " 7/100" in run(io.StringIO(), 100, until=7).splitlines()[-1]


def test_a_bar_on_a_terminal(monkeypatch):
    pytest.importorskip("rich")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "160")
    shown = run(Terminal(), 3)
    assert "epoch 3/3" in shown
    assert "loss 0.3333" in shown
    assert "━" in shown


def test_a_terminal_without_rich_gets_lines(monkeypatch):
    for name in [name for name in sys.modules if name.partition(".")[0] == "rich"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "rich", None)
    monkeypatch.setitem(sys.modules, "rich.console", None)
    assert isinstance(show_progress(True, Terminal()), ProgressLines)
