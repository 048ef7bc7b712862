"""The progress of a training: a bar on a terminal, plain lines elsewhere."""

import io
import sys
from types import SimpleNamespace

import pytest

from microgradx.training import History, Training
from microgradx.training.progress import (
    NotebookProgress,
    Progress,
    ProgressLines,
    show_progress,
)


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


# ---------------------------------------------------------------------------- notebooks


class Handle:
    def __init__(self):
        self.shown = []

    def update(self, content):
        self.shown.append(content._repr_html_())


def make_kernel(monkeypatch, has_kernel):
    """An IPython, as a notebook's kernel or a terminal has it."""
    handle = Handle()
    shell = SimpleNamespace(kernel=object()) if has_kernel else SimpleNamespace()
    display = SimpleNamespace(display=lambda content, display_id: handle)
    module = SimpleNamespace(get_ipython=lambda: shell, display=display)
    monkeypatch.setitem(sys.modules, "IPython", module)
    return handle


def test_in_a_notebook_one_output_is_updated(monkeypatch):
    handle = make_kernel(monkeypatch, has_kernel=True)
    monkeypatch.setattr(NotebookProgress, "INTERVAL", 0)
    stream = io.StringIO()
    assert run(stream, 3) == ""
    assert '<progress value="1" max="6"></progress> epoch 1/3' in handle.shown[0]
    assert '<progress value="6" max="6"></progress> epoch 3/3  loss 0.3333' in handle.shown[-1]


def test_a_fast_training_is_shown_a_few_times_and_at_its_end(monkeypatch):
    handle = make_kernel(monkeypatch, has_kernel=True)
    monkeypatch.setattr(NotebookProgress, "INTERVAL", 3600)
    run(io.StringIO(), 50)
    assert len(handle.shown) == 1
    assert "epoch 50/50" in handle.shown[0]


def test_ipython_on_a_terminal_is_a_terminal(monkeypatch):
    make_kernel(monkeypatch, has_kernel=False)
    assert isinstance(show_progress(True, io.StringIO()), ProgressLines)


def test_nothing_is_shown_unless_asked_for(capsys):
    assert type(show_progress(False)) is Progress
    with show_progress(False).start(Training(None, None, History(), 1, 1)):
        pass
    assert capsys.readouterr() == ("", "")


def test_notes_are_shown_once_at_the_end(capsys):
    history = History([{"epoch": 1, "loss": 0.5}])
    history.notes.append("Something was noticed.")
    progress = show_progress(True)
    with progress.start(Training(None, None, history, 1, 1, epoch=1)):
        progress.epoch()
    assert capsys.readouterr().out.splitlines() == [
        "epoch 1/1  loss 0.5000",
        "Something was noticed.",
    ]
