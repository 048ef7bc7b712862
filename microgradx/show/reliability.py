"""The reliability diagram: how often predictions are right, against how sure they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from microgradx.metrics import Reliability, reliability_curve
from microgradx.metrics.calibration import BinStrategy
from microgradx.show.plots import HELD_OUT, QUIET, RULE, TRAINING, _save, _style

__all__ = ["plot_reliability"]


def plot_reliability(
    labels: Any,
    probabilities: Any,
    path: str | Path | None = None,
    *,
    n_bins: int = 15,
    strategy: BinStrategy = "uniform",
    classes: Sequence[Any] | None = None,
) -> Any:
    """Draw the reliability diagram of predictions into an image file.

    There is a point for each bin of confidence: across the mean confidence, up the share of right
    predictions. Calibrated ones lie on the diagonal, and below it predictions are surer than they
    are right. The line through a point is the standard deviation, up and down, of what chance does
    to so few predictions if they are calibrated. The bars count the predictions in each bin.

    labels, n_bins, strategy, classes: as for `metrics.reliability_curve`.
    probabilities: likewise; or a dict of several, by name, such as before and after calibration, of
        which the last is emphasised.
    path: its extension is the format: .png, .svg or .pdf. Without a path, returns the figure.

    Raises PlottingError without matplotlib, and ValueError where `reliability_curve` does.
    """
    named = probabilities if isinstance(probabilities, Mapping) else {"": probabilities}
    curves = {
        name: reliability_curve(labels, p, n_bins=n_bins, strategy=strategy, classes=classes)
        for name, p in named.items()
    }
    *_, last = curves
    with _style() as figure_of:
        figure = figure_of(figsize=(5.4, 5.8), layout="constrained")
        above, below = figure.subplots(2, 1, height_ratios=(4, 1), sharex=True)
        above.plot([0, 1], [0, 1], color=QUIET, linewidth=1, linestyle=(0, (4, 3)))
        for name, curve in curves.items():
            _draw_curve(above, name, curve, is_last=name == last)
        edges = curves[last].edges
        below.bar(
            edges[:-1], curves[last].count, np.diff(edges), align="edge",
            color=HELD_OUT, edgecolor="white", linewidth=0.8,
        )  # fmt: skip
        for axes in (above, below):
            axes.grid(axis="y", color=RULE, linewidth=0.8)
            axes.set_axisbelow(True)
        lowest = min(np.nanmin([curve.confidence, curve.accuracy]) for curve in curves.values())
        low = max(0.0, np.floor(10 * lowest - 0.5) / 10)  # confidence is at least 1 / classes
        above.set(xlim=(low, 1.01), ylim=(low, 1.02), ylabel="share that is right")
        below.set(xlabel="confidence: the probability of the predicted class", ylabel="predictions")
        title_pad = 8 + 15 * len(curves)  # the legend lies between title and axes
        above.set_title("Reliability", loc="left", fontsize=11, fontweight="bold", pad=title_pad)
        above.legend(loc="lower left", bbox_to_anchor=(-0.03, 1.0), frameon=False)
        if path is None:
            return figure
        _save(figure, path)
        return None


def _draw_curve(axes: Any, name: str, curve: Reliability, *, is_last: bool) -> None:
    """The points of a curve, larger where there are more predictions, and what chance does."""
    colour = HELD_OUT if is_last else TRAINING
    filled = curve.count > 0
    count, confidence, accuracy = (
        values[filled] for values in (curve.count, curve.confidence, curve.accuracy)
    )
    if is_last:
        deviation = np.sqrt(confidence * (1 - confidence).clip(0) / count)
        axes.errorbar(
            confidence, accuracy, deviation, fmt="none", ecolor=colour, alpha=0.45, linewidth=1.4
        )
    axes.plot(confidence, accuracy, color=colour, linewidth=1.6 if is_last else 1.2)
    error = np.average(curve.gaps, weights=count)
    label = f"{name}{', ' if name else ''}expected calibration error {error:.3f}"
    sizes = 16 + 90 * np.sqrt(count / np.sum(count))
    axes.scatter(confidence, accuracy, sizes, colour, edgecolors="white", zorder=3, label=label)
