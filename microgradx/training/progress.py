"""The progress of a training: a moving bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

from typing import Any, TextIO

from microgradx.training.loop import Epoch

__all__ = ["ProgressBar", "ProgressLines", "format_epoch", "show_progress"]


def show_progress(stream: TextIO, epochs: int, batches: int) -> ProgressBar | ProgressLines:
    """A bar if `stream` is a terminal and rich is installed, else about ten lines.

    `batches` is the number of batches in an epoch. The result is used in a `with` statement; its
    methods `batch` and `epoch` are called after each.
    """
    if stream.isatty():
        try:
            return ProgressBar(stream, epochs, batches)
        except ImportError:
            pass
    return ProgressLines(stream, epochs)


def format_epoch(epoch: Epoch) -> str:
    """The numbers of an epoch as text of constant width.

    >>> format_epoch(Epoch(3, 0.52, 0.8912, 0.61, 0.87))
    'loss 0.5200  accuracy  89.1%  held out  87.0%'
    """
    text = f"loss {epoch.loss:.4f}  accuracy {epoch.accuracy:6.1%}"
    if epoch.validation_accuracy is not None:
        text += f"  held out {epoch.validation_accuracy:6.1%}"
    return text


class ProgressLines:
    """A line for every tenth of the training, for logs and pipes."""

    def __init__(self, stream: TextIO, epochs: int) -> None:
        self.stream = stream
        self.epochs = epochs
        self.printed: Epoch | None = None
        self.last: Epoch | None = None

    def batch(self) -> None:
        pass

    def epoch(self, epoch: Epoch) -> None:
        self.last = epoch
        tenth = -(-self.epochs // 10)
        if epoch.number == 1 or epoch.number % tenth == 0 or epoch.number == self.epochs:
            self._print(epoch)

    def _print(self, epoch: Epoch) -> None:
        width = len(str(self.epochs))
        print(
            f"epoch {epoch.number:{width}}/{self.epochs}  {format_epoch(epoch)}",
            file=self.stream,
            flush=True,
        )
        self.printed = epoch

    def __enter__(self) -> ProgressLines:
        return self

    def __exit__(self, *exception: Any) -> None:
        if self.last is not self.printed and self.last is not None:
            self._print(self.last)


class ProgressBar:
    """A bar that moves with every batch and shows the numbers of the latest epoch."""

    def __init__(self, stream: TextIO, epochs: int, batches: int) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as RichProgress

        self.epochs = epochs
        self.bar = RichProgress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            TextColumn("{task.fields[numbers]}"),
            TimeElapsedColumn(),
            console=Console(file=stream, highlight=False),
        )
        self.task = self.bar.add_task(self._title(1), total=epochs * batches, numbers="")

    def _title(self, epoch: int) -> str:
        return f"epoch {epoch:{len(str(self.epochs))}}/{self.epochs}"

    def batch(self) -> None:
        self.bar.advance(self.task)

    def epoch(self, epoch: Epoch) -> None:
        self.bar.update(
            self.task, description=self._title(epoch.number), numbers=format_epoch(epoch)
        )

    def __enter__(self) -> ProgressBar:
        self.bar.start()
        return self

    def __exit__(self, *exception: Any) -> None:
        self.bar.stop()
