"""A page about softmax and cross-entropy of one row of logits: every number can be dragged.

The template is `assets/softmax.html`. It is filled here, so that the page reads and prints without
scripts, and by `assets/softmax.js` after each change. Both fill in texts of the same names, and set
the same CSS variables, from which the style sheet draws the bars and the dots.
"""

from __future__ import annotations

import html
import math
import os
import re
from collections.abc import Sequence
from string import Template
from typing import Any, NamedTuple
from urllib.parse import quote

import numpy as np

from microgradx.arrays.types import Array, as_floats, unwrap
from microgradx.common.messages import printable
from microgradx.functional import cross_entropy, log_softmax, softmax
from microgradx.ops.softmax import SoftmaxCrossEntropy, scale_logits
from microgradx.ops.softmax_rows import losses_and_gradients
from microgradx.show.formulas.numbers_in_formula import format_number
from microgradx.show.pages import Page, read_asset, render_page

__all__ = ["SoftmaxExplanation", "explain_softmax"]

MAX_CLASSES = 20  # more do not fit on one page


class SoftmaxExplanation(Page):
    """The page that `explain_softmax` returns."""

    height = 1000


def explain_softmax(
    logits: Any,
    target: Any,
    *,
    temperature: float = 1.0,
    label_smoothing: float = 0.0,
    names: Sequence[str] | None = None,
    path: str | os.PathLike[str] | None = None,
) -> SoftmaxExplanation:
    """A page that computes softmax and cross-entropy of one row of logits, and lets you change it.

    For each class it shows the steps from the logit to the probability, the class's share of the
    loss, and the gradient p - y; beside them the curve -ln p, and both the textbook formula and the
    shifted one in float32. Logits, temperature, label smoothing and the right class can be dragged,
    typed and chosen. The page is one file that needs no network; notebooks show it.

    logits: 2 to 20 numbers, finite or -inf, but not all of them -inf.
    target: the label of the right class, an integer, or a probability for each class.
    temperature: divides the logits.
    label_smoothing: the share ε of the target that is spread over all C classes: y (1 - ε) + ε / C.
    names: of the classes; "class 0", "class 1", … if not given.
    path: a file, ending in .html, to save the page to as well.

    The numbers are those of `softmax` and `cross_entropy` in float64. Raises ValueError, TypeError
    or IndexError for invalid arguments, as they do.

    >>> explain_softmax([1.0, 3.0, 0.5], 1, names=["cat", "dog", "bird"])
    <SoftmaxExplanation; .save("page.html") writes it to a file>
    """
    case = _check_case(logits, target, float(temperature), float(label_smoothing), names)
    explanation = SoftmaxExplanation(
        render_page(
            "Softmax and cross-entropy",
            _fill_template(read_asset("softmax.html"), case),
            styles=("softmax.css",),
            scripts=("theme.js", "softmax_numbers.js", "softmax.js"),
            data=_format_fragment(case),
        )
    )
    if path is not None:
        explanation.save(path)
    return explanation


# ---------------------------------------------------------------------------- the case


class _Case(NamedTuple):
    """The numbers of a page."""

    logits: Array  # float64
    target: Array  # probabilities, float64
    temperature: float
    smoothing: float
    names: list[str]


def _check_case(
    logits: Any, target: Any, temperature: float, smoothing: float, names: Sequence[str] | None
) -> _Case:
    z = np.asarray(as_floats(unwrap(logits)), np.float64)
    if z.ndim != 1 or not 2 <= z.size <= MAX_CLASSES:
        raise ValueError(
            f"explain_softmax shows one row of 2 to {MAX_CLASSES} logits, not an array of shape "
            f"{z.shape}; choose a row, as in logits[0], or some of the classes"
        )
    if not np.all(z < np.inf) or np.all(z == -np.inf):
        raise ValueError(
            f"logits must be finite or -inf, and not all of them -inf, unlike {z.tolist()}: "
            "their softmax is undefined"
        )
    if not 0 < temperature < math.inf:
        raise ValueError(f"temperature must be positive and finite, not {temperature}")
    y = np.asarray(unwrap(target))
    cross_entropy(z, y, label_smoothing=smoothing)  # for its checks
    y, _ = SoftmaxCrossEntropy().target_distribution(z, y)
    if not (np.all(np.isfinite(y)) and np.any(y)):
        raise ValueError(f"the target must hold probabilities that add up to 1, not {y.tolist()}")
    if names is None:
        names = [f"class {i}" for i in range(z.size)]
    elif isinstance(names, str) or len(names) != z.size:
        raise ValueError(f"names must be a list of {z.size} names, one for each class: {names!r}")
    shown = [printable(str(name)) for name in names]
    return _Case(z, y.astype(np.float64), temperature, smoothing, shown)


def _format_fragment(case: _Case) -> str:
    """The case as the fragment of a link to the page."""
    return "&".join(
        [
            f"z={','.join(map(repr, case.logits.tolist()))}",
            f"T={case.temperature!r}",
            f"smoothing={case.smoothing!r}",
            f"y={','.join(map(repr, case.target.tolist()))}",
            f"names={','.join(quote(name, safe='') for name in case.names)}",
        ]
    )


# ---------------------------------------------------------------------------- its numbers


def _compute_columns(case: _Case) -> dict[str, Array]:
    """The steps from each class's logit to its loss and gradient; also in float32, in two ways."""
    z, temperature = case.logits, case.temperature
    y, _ = SoftmaxCrossEntropy(label_smoothing=case.smoothing).target_distribution(z, case.target)
    shifted = scale_logits(z, -1, temperature)
    surprise = -log_softmax(z, temperature=temperature)
    _, (difference,) = losses_and_gradients(shifted[None], y[None])
    columns = {
        "z": z,
        "scaled": z / temperature,
        "shifted": shifted,
        "exponential": np.exp(shifted),
        "p": softmax(z, temperature=temperature),
        "surprise": surprise,
        "target": case.target,
        "y": y,
        "loss": _class_losses(y, surprise),
        "difference": difference,
        "gradient": difference / temperature,
    }
    x = z.astype(np.float32) / np.float32(temperature)
    e = np.exp(x)
    p = e / np.sum(e)
    columns |= {"naiveE": e, "naiveP": p, "naiveLoss": _class_losses(y, -np.log(p))}
    x = x - np.max(x)
    e = np.exp(x)
    total = np.sum(e)
    return columns | {
        "shiftedE": e,
        "shiftedP": e / total,
        "shiftedLoss": _class_losses(y, np.log(total) - x),
    }


def _class_losses(y: Array, surprise: Array) -> Array:
    """Each class's share of the loss; 0 where y is 0, even if p is 0."""
    return np.where(y == 0, 0, y.astype(surprise.dtype) * surprise)


def _choose_remark(naive_total: float, naive_loss: float, shifted_loss: float) -> str:
    """How the unshifted formula fares in float32: which of the template's remarks applies."""
    if naive_total == math.inf:
        return "overflow"
    if naive_total == 0:
        return "underflow"
    if naive_loss == math.inf != shifted_loss:
        return "vanished"
    if abs(naive_loss - shifted_loss) > 1e-3 * (1 + shifted_loss):
        return "coarse"
    return "agree"


# ---------------------------------------------------------------------------- the template


def _fill_template(template: str, case: _Case) -> str:
    """The template with the numbers of the case."""
    with np.errstate(all="ignore"):  # the page is about overflow
        columns = _compute_columns(case)
        sums = {key: float(np.sum(column)) for key, column in columns.items()}
    right = int(np.argmax(case.target))
    rows = []
    for i, name in enumerate(case.names):
        row = {key: float(column[i]) for key, column in columns.items()}
        texts = {key: _format_computed(value) for key, value in row.items()}
        texts |= {"z": _format_typed(row["z"]), "name": name}
        # The bar of the gradient is as long as the bar of p - y if T < 1, else shorter by T.
        bars = {key: row[key] for key in ("exponential", "p", "y", "surprise", "difference")}
        bars |= {"gradient": row["difference"] / max(1, case.temperature), "right": i == right}
        rows.append((texts, _write_variables(bars)))

    classes = len(case.names)
    largest = _format_computed(float(np.max(columns["scaled"])))
    texts, variables = rows[right]
    texts = texts | {
        "T": _format_typed(case.temperature),
        "smoothing": _format_typed(case.smoothing),
        "C": str(classes),
        "lnC": _format_computed(math.log(classes)),
        "largest": largest,
        "subtrahend": f"({largest})" if largest.startswith("-") else largest,
        "sumE": _format_computed(sums["exponential"]),
        "sumY": _format_typed(sums["y"]),
        "sumLoss": _format_computed(sums["loss"]),
        "sumNaiveE": _format_computed(sums["naiveE"]),
        "sumNaiveLoss": _format_computed(sums["naiveLoss"]),
        "sumShiftedE": _format_computed(sums["shiftedE"]),
        "sumShiftedLoss": _format_computed(sums["shiftedLoss"]),
        "termsOfE": _abbreviate_sum([row["exponential"] for row, _ in rows]),
        "termsOfLoss": _abbreviate_sum(
            [f"{row['y']} · {row['surprise']}" for row, _ in rows if row["y"] != "0"]
        ),
    }
    variables += _write_variables({"loss": sums["loss"], "ignorance": math.log(classes)})
    whole = {
        "variables": variables,
        "verdict": _choose_remark(sums["naiveE"], sums["naiveLoss"], sums["shiftedLoss"]),
        "targetSum": texts["sumY"],
        "curve": _curve_points(),
    }
    # Every second piece is repeated for each class.
    pieces = re.split("<!-- each class -->\n?(.*?)<!-- so far -->\n?", template, flags=re.DOTALL)
    return "".join(
        "".join(_fill_piece(piece, row, {"variables": bars}) for row, bars in rows)
        if i % 2
        else _fill_piece(piece, texts, whole)
        for i, piece in enumerate(pieces)
    )


def _fill_piece(markup: str, texts: dict[str, str], attributes: dict[str, str]) -> str:
    """Markup with its attributes, and the texts of its elements."""

    def insert_text(tag: re.Match[str]) -> str:
        text = texts[tag[2]]
        if tag[1] and re.fullmatch(r"-?\d+", text):
            text += 5 * " "  # in a column of numbers with four decimals
        return tag[0] + html.escape(text)

    opening_tags = r'(class="number" )?data-text="(\w+)"[^>]*>'
    return re.sub(opening_tags, insert_text, Template(markup).substitute(attributes))


def _write_variables(values: dict[str, float]) -> str:
    """CSS variables; CSS has no infinity."""
    return "".join(f"--{key}:{min(float(value), 1e9)!r};" for key, value in values.items())


def _format_computed(value: float) -> str:
    """A computed number with four decimals, so that nothing moves while it changes.

    A whole number has none, and a very large or small one has four significant digits.
    """
    if abs(value) < 1e4 and value == int(value):
        return str(int(value))
    return f"{value:.4f}" if 1e-4 <= abs(value) < 1e4 else format_number(value)


def _format_typed(value: float) -> str:
    return f"{value + 0.0:.6g}"  # -0.0 + 0.0 is 0.0


def _abbreviate_sum(terms: list[str]) -> str:
    """A sum; the middle of many terms is left out."""
    return " + ".join(terms if len(terms) <= 4 else [*terms[:3], "…"])


def _curve_points() -> str:
    """-ln p over p, in the units of the template: 326 for p = 1, and 40 upwards for a loss of 1."""
    losses = np.linspace(5, 0, 101)
    return " ".join(f"{326 * math.exp(-loss):.4g},{-40 * loss:.4g}" for loss in losses)
