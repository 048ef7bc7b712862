"""The learning-rate range test: what rates a training takes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from microgradx.arrays.types import Array
from microgradx.common.files import replacing
from microgradx.common.messages import format_count
from microgradx.training.doctor.case import Case, Setup, quiet
from microgradx.training.doctor.optimizer_settings import set_rate

__all__ = ["RateRange", "find_rate", "measure_rates"]

#: How many rows the loss is measured on.
ROWS = 128


@dataclass(frozen=True)
class RateRange:
    """What `lr_range_test` returns: the loss at each learning rate, while it grew.

    rates, losses: (steps,), the losses being those of the same rows after each step. `suggestion`
    is a tenth of the rate at which the loss is the lowest, before it first rises by a quarter.
    """

    rates: Array
    losses: Array

    @property
    def suggestion(self) -> float:
        return self.best / 10

    @property
    def best(self) -> float:
        """The rate at which the loss is the lowest, before it first rises by a quarter."""
        has_risen = self.losses > 1.25 * np.minimum.accumulate(self.losses)
        until = int(np.argmax(has_risen)) if has_risen.any() else len(self.losses)
        return float(self.rates[np.argmin(self.losses[:until])])

    def __repr__(self) -> str:
        low, high = self.rates[0], self.rates[-1]
        return (
            f"RateRange of {format_count(len(self.rates), 'step')}, from {low:.1e} to {high:.1e}: "
            f"the loss is lowest at {self.best:.2g}, so the suggestion is {self.suggestion:.2g}"
        )

    def plot(self, path: str | Path | None = None) -> Any:
        """Loss against learning rate as a figure of matplotlib, also written to `path` if given.

        Raises ImportError without matplotlib.
        """
        try:
            from matplotlib.figure import Figure
        except ImportError:
            raise ImportError(
                'plot() draws with matplotlib: pip install "microgradx[plots]"'
            ) from None
        figure = Figure(figsize=(6.0, 3.6), layout="constrained")
        axes = figure.subplots()
        axes.semilogx(self.rates, self.losses, color="#0072b2", label="loss")
        axes.axvline(self.suggestion, color="#d55e00", label=f"suggestion, {self.suggestion:.2g}")
        axes.set_xlabel("learning rate")
        axes.set_ylabel("loss")
        axes.legend(frameon=False)
        if path is not None:
            with replacing(path) as temporary:
                figure.savefig(temporary, dpi=160)
        return figure


def measure_rates(
    setup: Setup,
    case: Case,
    *,
    lowest: float = 1e-6,
    highest: float = 10.0,
    steps: int = 100,
) -> RateRange:
    """Train a copy at rates that grow from step to step, until the loss is far above its least.

    Source: L. N. Smith, "Cyclical learning rates for training neural networks", 2017.
    """
    rates = np.geomspace(lowest, highest, steps)
    losses: list[float] = []
    few = Setup(setup.model, setup.loss, setup.optimizer, setup.X[:ROWS], setup.y[:ROWS])
    with quiet():
        for rate, (x, y) in zip(rates, case.draw_batches(setup, steps), strict=True):
            set_rate(setup.optimizer, rate)
            setup.take_step(x, y)
            loss = few.measure_loss()
            if not math.isfinite(loss) or (losses and loss > 4 * losses[0]):
                break
            losses.append(loss)
    return RateRange(rates[: len(losses)], np.array(losses))


def find_rate(setup: Setup, case: Case, steps: int) -> float:
    """The rate that a range test suggests; the lowest if no step worked."""
    found = measure_rates(setup, case, steps=steps)
    return found.suggestion if len(found.losses) else 1e-6
