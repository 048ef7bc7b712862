"""The progress of a training: a bar on a terminal or in a notebook, plain lines elsewhere."""

from __future__ import annotations

import html
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

from microgradx.training.callbacks import Training

__all__ = ["Progress", "format_row", "show_progress"]


def show_progress(progress: Any = True, stream: TextIO | None = None) -> Progress:
    """What shows the progress: in a notebook its own bar, on a terminal that of rich, if it is
    installed, and elsewhere about ten lines. With False, nothing.

    Raises TypeError for anything but True and False.
    """
    if not isinstance(progress, bool):
        raise TypeError(f"progress must be True or False, not {progress!r}")
    if not progress:
        return Progress()
    stream = sys.stdout if stream is None else stream
    if _is_notebook():
        return NotebookProgress()
    if stream.isatty():
        try:
            return ProgressBar(stream)
        except ImportError:
            pass
    return ProgressLines(stream)


def _is_notebook() -> bool:
    """Whether IPython runs as a kernel, which displays HTML."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return getattr(shell, "kernel", None) is not None


def format_row(row: dict[str, float]) -> str:
    """The numbers of an epoch as text of constant width.

    >>> format_row({"epoch": 3, "lr": 0.1, "loss": 0.52, "accuracy": 0.8912})
    'loss 0.5200  accuracy  89.1%'
    """
    texts = []
    for name, value in row.items():
        if name in ("epoch", "lr"):
            continue
        is_share = name.endswith(("accuracy", "precision", "recall"))
        texts.append(f"{name} {value:6.1%}" if is_share else f"{name} {value:.4f}")
    return "  ".join(texts)


class Progress:
    """Shows nothing; a subclass shows what it is told: after each batch, and after each epoch."""

    training: Training

    @contextmanager
    def start(self, training: Training) -> Iterator[None]:
        """Show the progress of a training meanwhile."""
        self.training = training
        self.begin()
        try:
            yield
        finally:
            self.end()

    @property
    def title(self) -> str:
        epochs = self.training.epochs
        return f"epoch {self.training.epoch:{len(str(epochs))}}/{epochs}"

    @property
    def latest(self) -> str:
        rows = self.training.history.rows
        return format_row(rows[-1]) if rows else ""

    def begin(self) -> None: ...

    def batch(self) -> None: ...

    def epoch(self) -> None: ...

    def end(self) -> None: ...


class ProgressLines(Progress):
    """A line for every tenth of the training, for logs and pipes."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self.printed = 0

    def epoch(self) -> None:
        number, epochs = self.training.epoch, self.training.epochs
        tenth = -(-epochs // 10)
        if number == 1 or number % tenth == 0 or number == epochs:
            self._print()

    def _print(self) -> None:
        print(f"{self.title}  {self.latest}", file=self.stream, flush=True)
        self.printed = len(self.training.history)

    def end(self) -> None:
        if self.printed < len(self.training.history):
            self._print()
        for note in self.training.history.notes:
            print(note, file=self.stream, flush=True)


class ProgressBar(Progress):
    """A bar that moves with every batch and shows the numbers of the latest epoch."""

    def __init__(self, stream: TextIO) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as RichProgress

        self.console = Console(file=stream, highlight=False)
        self.bar = RichProgress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            TextColumn("{task.fields[numbers]}"),
            TimeElapsedColumn(),
            console=self.console,
        )

    def begin(self) -> None:
        training = self.training
        total = training.epochs * training.steps_per_epoch
        self.task = self.bar.add_task(self.title, total=total, completed=training.step, numbers="")
        self.bar.start()

    def batch(self) -> None:
        self.bar.update(self.task, advance=1, description=self.title)

    def epoch(self) -> None:
        self.bar.update(self.task, description=self.title, numbers=self.latest)

    def end(self) -> None:
        self.bar.stop()
        for note in self.training.history.notes:
            self.console.print(note, markup=False)


class NotebookProgress(Progress):
    """A bar in the output of a cell, which is updated in place some times a second."""

    INTERVAL = 0.2  # seconds

    def begin(self) -> None:
        display: Any = sys.modules["IPython"].display
        self.handle = display.display(self, display_id=True)
        self.shown = time.monotonic()

    def batch(self) -> None:
        if time.monotonic() - self.shown > self.INTERVAL:
            self._show()

    def epoch(self) -> None:
        self.batch()

    def end(self) -> None:
        self._show()

    def _show(self) -> None:
        self.handle.update(self)
        self.shown = time.monotonic()

    def __repr__(self) -> str:
        return f"{self.title}  {self.latest}"

    def _repr_html_(self) -> str:
        training = self.training
        total = training.epochs * training.steps_per_epoch
        notes = "".join(f"<br>{html.escape(note)}" for note in training.history.notes)
        return (
            f'<div><progress value="{training.step}" max="{total}"></progress> '
            f"{html.escape(repr(self))}{notes}</div>"
        )
