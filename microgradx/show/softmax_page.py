"""Softmax and cross-entropy of one row of logits, as a page on which every number can be dragged.

The layout is `assets/softmax.html`. It is filled twice: here, with the numbers that the page was
made for, so that it reads and prints without scripts, and by `assets/softmax.js` after each change.
Both fill the same places with texts of the same names, and set the same variables, from which the
style sheet draws the bars and the dots.
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
from microgradx.show.pages import Page, asset, page
from microgradx.show.steps.numbers_in_formula import number

__all__ = ["SoftmaxExplanation", "explain_softmax"]

MOST = 20  # classes: more do not fit a page that is looked at as a whole


class SoftmaxExplanation(Page):
    """The page that `explain_softmax` makes."""

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

    It shows, class by class, what leads from a logit to its probability, its part of the loss and
    its gradient p - y, beside the curve -ln p, and what float32 makes of the formula as written
    and of the shifted one. Logits, temperature, label smoothing and the right class can be
    dragged, typed and chosen. The page is one file, which needs no network; notebooks show it.

    logits: 2 to 20 numbers, finite or -inf, but not all of them -inf.
    target: the label of the right class, an integer, or a probability for each class.
    temperature: divides the logits.
    label_smoothing: the share ε of the target that is spread over all C classes: y (1 - ε) + ε / C.
    names: of the classes; "class 0", "class 1", … if not given.
    path: a file, ending in .html, that the page is also saved to.

    The numbers are those of `softmax` and `cross_entropy` in float64. Raises ValueError, TypeError
    or IndexError for what does not fit, as they do.

    >>> explain_softmax([1.0, 3.0, 0.5], 1, names=["cat", "dog", "bird"])
    <SoftmaxExplanation; .save("page.html") writes it to a file>
    """
    case = _checked(logits, target, float(temperature), float(label_smoothing), names)
    explanation = SoftmaxExplanation(
        page(
            "Softmax and cross-entropy",
            _filled(asset("softmax.html"), case),
            styles=("softmax.css",),
            scripts=("theme.js", "softmax_numbers.js", "softmax.js"),
            data=_fragment(case),
        )
    )
    if path is not None:
        explanation.save(path)
    return explanation


# ---------------------------------------------------------------------------- what is explained


class _Case(NamedTuple):
    """Numbers that a page can be about."""

    logits: Array  # in float64, as are
    target: Array  # the probabilities
    temperature: float
    smoothing: float
    names: list[str]


def _checked(
    logits: Any, target: Any, temperature: float, smoothing: float, names: Sequence[str] | None
) -> _Case:
    z = np.asarray(as_floats(unwrap(logits)), np.float64)
    if z.ndim != 1 or not 2 <= z.size <= MOST:
        raise ValueError(
            f"explain_softmax shows one row of 2 to {MOST} logits, not an array of shape "
            f"{z.shape}; choose a row, as in logits[0], or some of the classes"
        )
    if not np.all(z < np.inf) or np.all(z == -np.inf):
        raise ValueError(
            f"logits must be finite or -inf, and not all of them -inf, unlike {z.tolist()}; "
            "of others there is no softmax"
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


def _fragment(case: _Case) -> str:
    """The case as links to the page carry it, after their #."""
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


def _columns(case: _Case) -> dict[str, Array]:
    """What leads from each class's logit to its loss and gradient; the same in float32, twice."""
    z, temperature = case.logits, case.temperature
    y, _ = SoftmaxCrossEntropy(label_smoothing=case.smoothing).target_distribution(z, case.target)
    shifted = scale_logits(z, -1, temperature)
    surprise = -log_softmax(z, temperature=temperature)
    _, (difference,) = losses_and_gradients(shifted[None], y[None])
    columns = {
        "z": z,
        "cooled": z / temperature,
        "shifted": shifted,
        "exponential": np.exp(shifted),
        "p": softmax(z, temperature=temperature),
        "surprise": surprise,
        "target": case.target,
        "y": y,
        "loss": _weighed(y, surprise),
        "difference": difference,
        "gradient": difference / temperature,
    }
    x = z.astype(np.float32) / np.float32(temperature)
    e = np.exp(x)
    p = e / np.sum(e)
    columns |= {"naiveE": e, "naiveP": p, "naiveLoss": _weighed(y, -np.log(p))}
    x = x - np.max(x)
    e = np.exp(x)
    total = np.sum(e)
    return columns | {
        "shiftedE": e,
        "shiftedP": e / total,
        "shiftedLoss": _weighed(y, np.log(total) - x),
    }


def _weighed(y: Array, surprise: Array) -> Array:
    """Each class's part of the loss; one of no weight has none, be it impossible."""
    return np.where(y == 0, 0, y.astype(surprise.dtype) * surprise)


def _verdict(naive_total: float, naive_loss: float, shifted_loss: float) -> str:
    """What became of the formula as written, in float32: which of the layout's remarks fits."""
    if naive_total == math.inf:
        return "overflow"
    if naive_total == 0:
        return "underflow"
    if naive_loss == math.inf != shifted_loss:
        return "vanished"
    if abs(naive_loss - shifted_loss) > 1e-3 * (1 + shifted_loss):
        return "coarse"
    return "agree"


# ---------------------------------------------------------------------------- the layout, filled


def _filled(layout: str, case: _Case) -> str:
    """The layout with the numbers of this case in it."""
    with np.errstate(all="ignore"):  # what overflows is what the page is about
        columns = _columns(case)
        sums = {key: float(np.sum(column)) for key, column in columns.items()}
    right = int(np.argmax(case.target))
    rows = []
    for i, name in enumerate(case.names):
        row = {key: float(column[i]) for key, column in columns.items()}
        texts = {key: _number(value) for key, value in row.items()}
        texts |= {"z": _typed(row["z"]), "name": name}
        # The bar of the gradient is as long as that of p - y where T is less than 1, and else
        # shorter, as the gradient is.
        bars = {key: row[key] for key in ("exponential", "p", "y", "surprise", "difference")}
        bars |= {"gradient": row["difference"] / max(1, case.temperature), "right": i == right}
        rows.append((texts, _variables(bars)))

    classes = len(case.names)
    largest = _number(float(np.max(columns["cooled"])))
    texts, variables = rows[right]
    texts = texts | {
        "T": _typed(case.temperature),
        "smoothing": _typed(case.smoothing),
        "C": str(classes),
        "lnC": _number(math.log(classes)),
        "largest": largest,
        "subtrahend": f"({largest})" if largest.startswith("-") else largest,
        "sumE": _number(sums["exponential"]),
        "sumY": _typed(sums["y"]),
        "sumLoss": _number(sums["loss"]),
        "sumNaiveE": _number(sums["naiveE"]),
        "sumNaiveLoss": _number(sums["naiveLoss"]),
        "sumShiftedE": _number(sums["shiftedE"]),
        "sumShiftedLoss": _number(sums["shiftedLoss"]),
        "termsOfE": _added([row["exponential"] for row, _ in rows]),
        "termsOfLoss": _added(
            [f"{row['y']} · {row['surprise']}" for row, _ in rows if row["y"] != "0"]
        ),
    }
    variables += _variables({"loss": sums["loss"], "ignorance": math.log(classes)})
    whole = {
        "variables": variables,
        "verdict": _verdict(sums["naiveE"], sums["naiveLoss"], sums["shiftedLoss"]),
        "mass": texts["sumY"],
        "curve": _curve(),
    }
    # Every second piece is repeated for each class.
    pieces = re.split("<!-- each class -->\n?(.*?)<!-- so far -->\n?", layout, flags=re.DOTALL)
    return "".join(
        "".join(_completed(piece, row, {"variables": bars}) for row, bars in rows)
        if i % 2
        else _completed(piece, texts, whole)
        for i, piece in enumerate(pieces)
    )


def _completed(markup: str, texts: dict[str, str], attributes: dict[str, str]) -> str:
    """Markup with its attributes, and with a text in each element that asks for one."""

    def opened(tag: re.Match[str]) -> str:
        text = texts[tag[2]]
        if tag[1] and re.fullmatch(r"-?\d+", text):
            text += 5 * " "  # in a column of numbers with four decimals
        return tag[0] + html.escape(text)

    places = r'(class="number" )?data-text="(\w+)"[^>]*>'
    return re.sub(places, opened, Template(markup).substitute(attributes))


def _variables(values: dict[str, float]) -> str:
    """What the style sheet draws from. It knows no infinity."""
    return "".join(f"--{key}:{min(float(value), 1e9)!r};" for key, value in values.items())


def _number(value: float) -> str:
    """A computed number with four decimals, so that nothing moves while it changes.

    Without them if it is whole, and with four significant digits if it is very large or small.
    """
    if abs(value) < 1e4 and value == int(value):
        return str(int(value))
    return f"{value:.4f}" if 1e-4 <= abs(value) < 1e4 else number(value)


def _typed(value: float) -> str:
    return f"{value + 0.0:.6g}"  # -0.0 + 0.0 is 0.0


def _added(terms: list[str]) -> str:
    """A sum, of which many terms are left out."""
    return " + ".join(terms if len(terms) <= 4 else [*terms[:3], "…"])


def _curve() -> str:
    """-ln p over p, in the units of the layout: 326 for p = 1, and 40 for a loss of 1, upwards."""
    losses = np.linspace(5, 0, 101)
    return " ".join(f"{326 * math.exp(-loss):.4g},{-40 * loss:.4g}" for loss in losses)
