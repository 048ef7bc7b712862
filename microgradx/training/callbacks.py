"""Callbacks: what is called while `fit` trains, and what it is given."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from microgradx.training.history import History

__all__ = ["Callback", "Callbacks", "Training"]


@dataclass(eq=False)
class Training:
    """A training while it runs, as callbacks see it.

    epoch, epochs: the number of this epoch, from 1, and of how many.
    step, steps_per_epoch: the number of steps taken in all epochs, and in each.
    loss, lr: the loss and the learning rate of the latest step.
    history: the rows of the epochs; a callback may add numbers to `history[-1]`.
    """

    model: Any
    optimizer: Any
    history: History
    epochs: int
    steps_per_epoch: int
    epoch: int = 0
    step: int = 0
    loss: float = float("nan")
    lr: float = float("nan")
    is_stopped: bool = field(default=False, repr=False)

    def stop(self) -> None:
        """End the training after this step or epoch."""
        self.is_stopped = True


class Callback:
    """What `fit` calls while it trains: a subclass writes the methods that it needs.

    Each is given the `Training`: model, optimizer, history, epoch, step, loss, lr, and `stop()`,
    which ends the training after this step or epoch. A plain function is called after each epoch.

    >>> class StopBelow(Callback):
    ...     def __init__(self, loss):
    ...         self.loss = loss
    ...     def on_epoch_end(self, training):
    ...         if training.history[-1]["loss"] < self.loss:
    ...             training.stop()
    """

    def on_fit_begin(self, training: Training) -> None:
        """Before the first step."""

    def on_epoch_begin(self, training: Training) -> None:
        """Before the steps of an epoch."""

    def on_batch_end(self, training: Training) -> None:
        """After each step."""

    def on_epoch_end(self, training: Training) -> None:
        """After each epoch, when its row is in the history."""

    def on_fit_end(self, training: Training) -> None:
        """At the end, also after Ctrl-C and errors."""


class Callbacks:
    """Callbacks of all kinds, called in turn.

    Raises TypeError for what has none of the methods of `Callback` and is no function.
    """

    def __init__(self, callbacks: Any) -> None:
        if callbacks is None:
            callbacks = ()
        if not isinstance(callbacks, Iterable):
            callbacks = [callbacks]
        self._methods: dict[str, list[Callable[[Training], Any]]] = {
            name: [] for name in vars(Callback) if name.startswith("on_")
        }
        for callback in callbacks:
            if isinstance(callback, type):
                raise TypeError(
                    f"a callback is the class {callback.__name__}; give an instance of it"
                )
            own = [name for name in self._methods if callable(getattr(callback, name, None))]
            if not own and not callable(callback):
                raise TypeError(
                    f"a callback must be a function or have one of the methods "
                    f"{', '.join(self._methods)}, and {type(callback).__name__} has none"
                )
            for name in own:
                self._methods[name].append(getattr(callback, name))
            if not own:
                self._methods["on_epoch_end"].append(callback)

    def call(self, name: str, training: Training) -> None:
        for method in self._methods[name]:
            method(training)
