"""Learning rates: the range test, and reading and setting the rate of an optimiser."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import numpy as np

from microgradx.arrays.types import Array
from microgradx.common.files import replacing
from microgradx.data import batches
from microgradx.training.doctor.case import Case, Setup, quiet

__all__ = ["RateRange", "find_rate", "get_rate", "measure_rates", "set_rate"]


def get_rate(optimizer: Any) -> float | None:
    """The largest learning rate of an optimiser's groups."""
    groups = getattr(optimizer, "param_groups", None)
    if groups:
        return max(float(group["lr"]) for group in groups)
    return None if optimizer is None else float(optimizer.lr)


def set_rate(optimizer: Any, rate: float) -> None:
    """Set the largest learning rate, and those of other groups in proportion."""
    groups = getattr(optimizer, "param_groups", None)
    largest = get_rate(optimizer)
    for group in groups or ():
        group["lr"] = rate * group["lr"] / largest if largest else rate
    if not groups or len(groups) == 1:
        optimizer.lr = rate


@dataclass(frozen=True)
class RateRange:
    """What `lr_range_test` returns: the loss at each learning rate, while it grew.

    rates, losses: (steps,). `suggestion` is a tenth of the rate with the lowest smoothed loss.
    """

    rates: Array
    losses: Array

    @property
    def smoothed(self) -> Array:
        """A running mean of the losses, corrected for its start, with factor 0.9."""
        mean, smoothed = 0.0, []
        for i, loss in enumerate(self.losses.tolist(), 1):
            mean = 0.9 * mean + 0.1 * loss
            smoothed.append(mean / (1 - 0.9**i))
        return np.array(smoothed)

    @property
    def suggestion(self) -> float:
        return float(self.rates[np.argmin(self.smoothed)] / 10)

    def __repr__(self) -> str:
        low, high = self.rates[0], self.rates[-1]
        return (
            f"RateRange of {len(self.rates)} steps, from {low:.1e} to {high:.1e}: the loss is "
            f"lowest at {10 * self.suggestion:.2g}, so the suggestion is {self.suggestion:.2g}"
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
        axes.semilogx(self.rates, self.losses, color="#c9cfd6", label="loss of a batch")
        axes.semilogx(self.rates, self.smoothed, color="#0072b2", label="smoothed")
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
    size = min(case.batch_size, len(setup.X))
    rows = batches(setup.X, setup.y, size, case.generator(), drop_last=True)
    losses: list[float] = []
    passes = (batch for _ in cycle([0]) for batch in rows)
    with quiet():
        for rate, (x, y) in zip(rates, islice(passes, steps), strict=True):
            set_rate(setup.optimizer, rate)
            loss = setup.take_step(x, y)
            if not math.isfinite(loss) or (losses and loss > 4 * max(losses[0], min(losses))):
                break
            losses.append(loss)
    return RateRange(rates[: len(losses)], np.array(losses))


def find_rate(setup: Setup, case: Case) -> float:
    """The rate that a range test suggests; the lowest if no step worked."""
    found = measure_rates(setup, case)
    return found.suggestion if len(found.losses) else 1e-6
