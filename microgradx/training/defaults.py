"""How a network is trained where nothing else is asked for: chosen by the size of the table."""

from __future__ import annotations

import math
from typing import Any, Literal, NamedTuple

from microgradx.optim import SGD, AdamW

__all__ = ["LEARNING_RATES", "OptimizerName", "Settings", "choose_settings", "make_optimizer"]

OptimizerName = Literal["sgd", "momentum", "adam"]
LEARNING_RATES = {"sgd": 0.2, "momentum": 0.05, "adam": 0.003}
MOMENTUM = 0.9

#: Below so many rows a network of 256 units learns them by heart.
FEW_ROWS = 300
EPOCHS, STEPS = 40, 1500


class Settings(NamedTuple):
    """What decides how well a network generalises. The weight decay is that of AdamW."""

    hidden_sizes: tuple[int, ...]
    weight_decay: float
    epochs: int


def choose_settings(rows: int, batch_size: int = 32) -> Settings:
    """The settings for so many rows to learn from.

    Chosen by the log-loss and accuracy of rows held out of 34 public tables, of 120 to 1,500 rows:
    see `docs/defaults.md`.

    >>> choose_settings(100).hidden_sizes, choose_settings(1000).hidden_sizes
    ((64,), (256,))
    """
    steps = math.ceil(rows / batch_size)
    return Settings(
        hidden_sizes=(64,) if rows < FEW_ROWS else (256,),
        weight_decay=1.0 if rows < FEW_ROWS else 0.3,
        epochs=max(EPOCHS, math.ceil(STEPS / steps)),
    )


def make_optimizer(
    model: Any,
    name: OptimizerName,
    lr: float | None = None,
    weight_decay: float | None = None,
    *,
    settings: Settings,
) -> AdamW | SGD:
    """An optimiser by name: "adam" is AdamW, and "momentum" is SGD with a momentum of 0.9.

    The default of weight_decay is that of the settings, for SGD scaled so that the weights shrink
    as much in each step.
    """
    rate = LEARNING_RATES[name] if lr is None else lr
    momentum = MOMENTUM if name == "momentum" else 0.0
    if weight_decay is None:
        per_step = LEARNING_RATES["adam"] * settings.weight_decay
        weight_decay = settings.weight_decay
        if name != "adam":
            weight_decay = per_step / LEARNING_RATES[name] * (1 - momentum)
    if name == "adam":
        return AdamW(model.parameters(), rate, weight_decay=weight_decay)
    return SGD(model.parameters(), rate, momentum=momentum, weight_decay=weight_decay)
