"""Charts of a training and of a classifier's predictions, drawn by matplotlib."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from microgradx.arrays.types import Array
from microgradx.common.files import replacing
from microgradx.data.tables import Table
from microgradx.training.classifier import Classifier
from microgradx.training.history import History

__all__ = ["PlottingError", "plot_history", "plot_predictions"]

# Colours of Okabe and Ito (2008), which readers with any colour vision can tell apart.
PALETTE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#b8a800")
TRAINING, HELD_OUT = "#8a94a0", "#0072b2"
RIGHT, WRONG, OTHER = "#009e73", "#d55e00", "#c9cfd6"
INK, QUIET, RULE = "#22272e", "#68727e", "#e3e7eb"
STYLE: Any = {
    "font.family": "sans-serif",
    "font.size": 9,
    "text.parse_math": False,  # a dollar sign in a name is a dollar sign
    "text.color": INK,
    "axes.edgecolor": "#b4bcc6",
    "axes.labelcolor": QUIET,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": QUIET,
    "ytick.color": QUIET,
    "xtick.major.width": 0.8,
    "ytick.major.width": 0.8,
}


class PlottingError(RuntimeError):
    """matplotlib is not installed."""


class Chart:
    """A figure of matplotlib, `figure`, which notebooks show."""

    def __init__(self, figure: Any) -> None:
        self.figure = figure

    def _repr_png_(self) -> bytes:
        content = io.BytesIO()
        self.figure.savefig(content, dpi=160, facecolor="white")
        return content.getvalue()


# ---------------------------------------------------------------------------- curves


def plot_history(
    history: History,
    path: str | Path | None = None,
    loss: str = "Loss",
    validation: str = "held out",
) -> Any:
    """Draw loss and metrics, training and held out, against the epochs, into an image file.

    `loss` is the title of the first panel, `validation` what the validation rows are called. The
    extension of `path` is the format: .png, .svg or .pdf. Without a path, returns a `Chart`, which
    notebooks show. Raises PlottingError without matplotlib, and ValueError if there are no epochs.
    """
    if not history.rows:
        raise ValueError("there are no epochs to draw; train for one at least")
    numbers = history["epoch"].tolist()
    columns = {name: history[name].tolist() for name in history.columns}
    names = [n for n in columns if n not in ("epoch", "lr") and not n.startswith("validation_")]
    panels = {
        loss if name == "loss" else name.replace("_", " ").capitalize(): name for name in names
    }
    with _style() as figure_of:
        figure = figure_of(figsize=(4.5 * len(panels), 3.6), layout="constrained")
        grid = figure.subplots(1, len(panels), squeeze=False)[0]
        for axes, (title, name) in zip(grid, panels.items(), strict=True):
            curves = [("training", TRAINING, columns[name])]
            if f"validation_{name}" in columns:
                curves.append((validation, HELD_OUT, columns[f"validation_{name}"]))
            is_share = name.endswith(("accuracy", "precision", "recall"))
            for _, colour, values in curves:
                axes.plot(
                    numbers,
                    values,
                    color=colour,
                    linewidth=1.8,
                    marker="o" if len(numbers) == 1 else None,
                    solid_capstyle="round",
                )
            axes.set_title(title, loc="left", fontsize=11, fontweight="bold")
            axes.set_xlabel("epoch")
            axes.xaxis.get_major_locator().set_params(integer=True)
            axes.grid(axis="y", color=RULE, linewidth=0.8)
            axes.set_axisbelow(True)
            axes.margins(x=0.02)
            if is_share:
                from matplotlib.ticker import PercentFormatter

                # Steps of 2.5% have no whole numbers, and as such labels would be rounded.
                axes.yaxis.get_major_locator().set_params(steps=[1, 2, 5, 10])
                low, high = axes.get_ylim()
                decimals = 0 if high - low > 0.05 else None
                axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals))
            elif min(min(values) for _, _, values in curves) >= 0:
                axes.set_ylim(bottom=0)
            _label_ends(axes, numbers[-1], curves, ".1%" if is_share else ".3f")
        if path is None:
            return Chart(figure)
        _save(figure, path)
        return None


def _label_ends(axes: Any, x: int, curves: list[tuple[str, str, list[float]]], form: str) -> None:
    """Each curve's name and last value at its end, far enough apart to be read."""
    low, high = axes.get_ylim()
    apart = 0.065 * (high - low)
    ends = sorted((values[-1], name, colour) for name, colour, values in curves)
    middle = sum(value for value, *_ in ends) / len(ends)
    if len(ends) == 2 and ends[1][0] - ends[0][0] < apart:
        places = [middle - apart / 2, middle + apart / 2]
    else:
        places = [value for value, *_ in ends]
    for place, (value, name, colour) in zip(places, ends, strict=True):
        axes.annotate(
            f"{name} {value:{form}}",
            (x, place),
            xytext=(8, 0),
            textcoords="offset points",
            va="center",
            color=colour,
            fontweight="bold",
            annotation_clip=False,
        )


# ---------------------------------------------------------------------------- predictions


def plot_predictions(
    classifier: Classifier, rows: Table | Array, labels: Array, path: str | Path
) -> None:
    """Draw the predictions of a classifier for rows with known labels, into an image file.

    For images, and tables with many columns: a few correct rows and the worst mistakes, each with
    bars of its probabilities. For two columns: the plane, coloured by the probabilities, with the
    rows as points. Probabilities are at the classifier's temperature.

    rows: a table, or raw features (rows, columns). labels: (rows,) of integers.

    Raises PlottingError without matplotlib, ValueError if there are no rows.
    """
    if len(labels) == 0:
        raise ValueError("there are no rows to draw; give at least one")
    table = rows if isinstance(rows, Table) else _table_of(classifier, rows, labels)
    probabilities = classifier.predict_proba(table)
    is_plane = classifier.encoder.width == 2 == classifier.schema.columns
    with _style() as figure_of:
        if is_plane and not np.any(np.isnan(table.features)):
            figure = _plane(figure_of, classifier, table.features, labels, probabilities)
        else:
            figure = _cards(figure_of, classifier, table, labels, probabilities)
        _save(figure, path)


def _table_of(classifier: Classifier, features: Array, labels: Array) -> Table:
    return Table(np.asarray(features), labels, classifier.label_names, classifier.schema)


def _cards(
    figure_of: Any, classifier: Classifier, table: Table, labels: Array, probabilities: Array
) -> Any:
    """Cards with a row of the table on the left and bars of its probabilities on the right."""
    image_shape = classifier.schema.image_shape
    across = 4 if image_shape else 3
    groups = _choose_rows(labels, probabilities, across)
    bars = min(probabilities.shape[1], 10)
    height = 0.75 + (max(1.5, 0.155 * bars) if image_shape else 1.6)
    figure = figure_of(figsize=(11.0, height * len(groups) + 0.35), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.06, h_pad=0.06)
    sheets = figure.subfigures(len(groups), 1, squeeze=False)[:, 0]
    for sheet, (title, rows) in zip(sheets, groups, strict=True):
        sheet.suptitle(title, x=0.01, ha="left", fontsize=11, fontweight="bold")
        cells = sheet.subfigures(1, across, squeeze=False)[0]
        for cell, row in zip(cells, rows, strict=False):
            left, right = cell.subplots(1, 2, width_ratios=(1.25 if image_shape else 1.6, 1))
            if image_shape:
                picture = _picture_of(table.features[row], image_shape)
                left.imshow(picture, cmap="gray_r", interpolation="nearest")
                left.set(xticks=[], yticks=[])
                left.spines[["top", "right"]].set_visible(True)
            else:
                _write_features(left, classifier, table, int(row))
            _bars(right, classifier.label_names, int(labels[row]), probabilities[row], bars)
            cell.suptitle(
                _verdict(classifier.label_names, int(labels[row]), probabilities[row]),
                x=0.02,
                ha="left",
                fontsize=9,
                color=INK if probabilities[row].argmax() == labels[row] else WRONG,
            )
    figure.supxlabel(_legend(classifier.temperature), fontsize=8.5, color=QUIET)
    return figure


def _choose_rows(labels: Array, probabilities: Array, n: int) -> list[tuple[str, Array]]:
    """Headings with at most n rows each: correct ones of several classes, the worst mistakes."""
    predicted = np.argmax(probabilities, axis=1)
    certainty = np.max(probabilities, axis=1)
    right = np.flatnonzero(predicted == labels)
    wrong = np.flatnonzero(predicted != labels)
    groups = []
    if len(right):
        # One of each class first, then a second of each, and so on; of one each, evenly many.
        turn = np.array([np.sum(labels[right[:i]] == labels[row]) for i, row in enumerate(right)])
        each = right[np.lexsort((labels[right], turn))]
        each = each[: max(n, np.sum(turn == 0))]
        each = each[np.argsort(labels[each], kind="stable")]
        evenly = np.linspace(0, len(each) - 1, min(n, len(each))).round().astype(int)
        groups.append(("Right", each[evenly]))
    if len(wrong):
        worst = wrong[np.argsort(-certainty[wrong], kind="stable")]
        which = "The worst of " if len(wrong) > n else ""
        mistakes = "1 mistake" if len(wrong) == 1 else f"{len(wrong)} mistakes"
        groups.append((f"{which}{mistakes} in {len(labels)} rows held out", worst[:n]))
    else:
        unsure = right[np.argsort(certainty[right], kind="stable")]
        groups.append((f"No mistake in {len(labels)} rows held out: the least certain", unsure[:n]))
    return groups


def _bars(axes: Any, names: Sequence[str], label: int, p: Array, n: int) -> None:
    """Horizontal bars of the n largest probabilities, in the order of the classes."""
    shown = np.sort(np.argsort(-p, kind="stable")[:n])
    colours = [RIGHT if i == label else WRONG if i == p.argmax() else OTHER for i in shown.tolist()]
    axes.barh(np.arange(n), p[shown], color=colours, height=0.72)
    axes.set_yticks(np.arange(n), [_short(names[i]) for i in shown.tolist()], fontsize=8)
    axes.set_ylim(max(n, 6) - 0.5, -0.5)  # so that two classes don't have bars like towers
    axes.set_xlim(0, 1)
    axes.set_xticks([0, 0.5, 1], ["0", "0.5", "1"], fontsize=7.5)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x", color=RULE, linewidth=0.7)
    axes.set_axisbelow(True)


def _write_features(axes: Any, classifier: Classifier, table: Table, row: int) -> None:
    """The features furthest from their means, with their values."""
    distance = np.zeros(classifier.schema.columns)
    encoded = np.abs(classifier.encoder.transform(table.take([row]))[0])
    np.maximum.at(distance, classifier.encoder.origins, encoded)
    shown = np.sort(np.argsort(-distance, kind="stable")[:6])
    axes.axis("off")
    for line, i in enumerate(shown.tolist()):
        y = 0.94 - 0.168 * line
        value = _short(table.cell(row, i) or "missing", 12)
        name = _short(classifier.schema.feature_name(i), 20 - len(value))
        place = {"transform": axes.transAxes, "fontsize": 7.5, "va": "top"}
        axes.text(0.0, y, name, color=QUIET, **place)
        # Away from the right edge, where the names of the classes begin.
        axes.text(0.93, y, value, ha="right", **place)


def _picture_of(pixels: Array, shape: tuple[int, ...]) -> Array:
    """Pixels as matplotlib shows them: colours last, from 0 to 1; a single channel as none."""
    picture = pixels.reshape(shape)
    if len(shape) == 3 and shape[2] not in (1, 3, 4):
        picture = np.moveaxis(picture, 0, 2)
    if picture.ndim == 3 and picture.shape[2] == 1:
        return picture[..., 0]
    if picture.ndim == 3:
        low, high = np.nanmin(picture), np.nanmax(picture)
        picture = (picture - low) / (high - low if high > low else 1)
    return picture


def _verdict(names: Sequence[str], label: int, p: Array) -> str:
    answer = f"{_short(names[int(p.argmax())])}, {p.max():.1%}"
    return f"{answer}" if p.argmax() == label else f"{answer}, but it is {_short(names[label])}"


def _legend(temperature: float) -> str:
    return (
        f"Predicted probabilities at temperature {temperature:g}. "
        "Green: the true class. Orange: predicted, but wrong."
    )


def _plane(
    figure_of: Any, classifier: Classifier, features: Array, labels: Array, probabilities: Array
) -> Any:
    """The plane of two features, each point in a mixture of the colours of the classes."""
    from matplotlib.colors import to_rgb

    classes = probabilities.shape[1]
    colours = np.array([to_rgb(PALETTE[i % len(PALETTE)]) for i in range(classes)])
    low, high = features.min(axis=0), features.max(axis=0)
    margin = 0.08 * np.where(high > low, high - low, 1)
    low, high = low - margin, high + margin
    x, y = (np.linspace(low[i], high[i], 240) for i in (0, 1))
    grid = np.stack(np.meshgrid(x, y), axis=-1)
    p = classifier.predict_proba(grid.reshape(-1, 2)).reshape(240, 240, classes)
    wrong = np.argmax(probabilities, axis=1) != labels

    figure = figure_of(figsize=(7.2, 6.0), layout="constrained")
    axes = figure.subplots()
    axes.imshow(
        1 - 0.45 * (1 - p @ colours),
        extent=(low[0], high[0], low[1], high[1]),
        origin="lower",
        aspect="auto",
        interpolation="bilinear",
    )
    for k in range(classes if classes > 2 else 1):
        ahead = p[..., k] - np.delete(p, k, axis=-1).max(axis=-1)
        if ahead.min() < 0 < ahead.max():
            axes.contour(x, y, ahead, levels=[0], colors=["white"], linewidths=1.2)
    for label, name in enumerate(classifier.label_names):
        here = labels == label
        axes.scatter(
            *features[here].T,
            s=30,
            color=colours[label],
            edgecolors="white",
            linewidths=0.7,
            label=_short(name),
        )
    if np.any(wrong):
        axes.scatter(
            *features[wrong].T,
            s=80,
            facecolors="none",
            edgecolors=INK,
            linewidths=1.3,
            label="wrong",
        )
    axes.set_xlabel(classifier.schema.feature_name(0))
    axes.set_ylabel(classifier.schema.feature_name(1))
    axes.set_title(
        f"{len(labels)} rows held out, {np.sum(wrong)} wrong; "
        f"probabilities at temperature {classifier.temperature:g}",
        loc="left",
        fontsize=11,
        fontweight="bold",
        pad=26,
    )
    axes.legend(
        loc="lower left",
        bbox_to_anchor=(-0.01, 1.0),
        ncols=6,
        frameon=False,
        handletextpad=0.2,
        columnspacing=1.2,
        borderpad=0.2,
    )
    return figure


def _short(name: str, length: int = 14) -> str:
    return name if len(name) <= length else name[: length - 1] + "…"


# ---------------------------------------------------------------------------- figures


@contextmanager
def _style() -> Iterator[Any]:
    """Yields matplotlib's Figure, styled; the user's settings are restored afterwards."""
    try:
        import matplotlib
        from matplotlib.figure import Figure
    except ImportError:
        raise PlottingError(
            'drawing curves and predictions needs matplotlib: pip install "microgradx[plots]"'
        ) from None
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(STYLE)
        yield Figure


def _save(figure: Any, path: str | Path) -> None:
    with replacing(path) as temporary, warnings.catch_warnings():
        # Labels in a script that the font lacks are drawn as far as possible, without a warning.
        warnings.filterwarnings("ignore", message="Glyph .* missing from|Matplotlib .* support")
        figure.savefig(temporary, dpi=160, facecolor="white")
