"""`softmax`: probabilities, loss and gradient of one row of logits, as a table or a page."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from microgradx.commands.arguments import fraction, temperature
from microgradx.common.messages import InputError, printable, quote

__all__ = ["add_parser", "format_report", "run"]

EXAMPLES = """\
Examples:
  python -m microgradx softmax 2 1 0.1 --target 0 --temperature 0.5
  python -m microgradx softmax 1 3 0.5 --names cat,dog,bird --target dog \\
      -o page.html
"""


def add_parser(commands: Any) -> None:
    parser = commands.add_parser(
        "softmax",
        help="compute softmax, cross-entropy and its gradient p - y",
        description="Compute softmax, cross-entropy and its gradient for one row of logits. With\n"
        "-o, also write an HTML page on which all numbers can be changed.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    parser.words = "logits"
    add = parser.add_argument
    add("logits", metavar="LOGIT", nargs="+", help="scores, one for each class; -inf is allowed")
    add("--target", required=True, metavar="CLASS", help="the right class: its name, or 0, 1, …")
    add(
        "--temperature",
        type=temperature,
        default=1.0,
        metavar="T",
        help="divides the logits: above 1 less confident, below 1 more (default: %(default)s)",
    )
    add(
        "--label-smoothing",
        type=fraction,
        default=0.0,
        metavar="SHARE",
        help="the share of the target that is spread over all classes (default: %(default)s)",
    )
    add("--names", metavar="NAMES", help="names of the classes, separated by commas: cat,dog,bird")
    add("-o", "--out", metavar="FILE", help="the page's file, such as page.html")


def run(arguments: argparse.Namespace) -> int:
    logits = [_parse_logit(word) for word in arguments.logits]
    names = _parse_names(arguments.names, len(logits))
    target = _find_class(arguments.target, names)
    temperature, smoothing = arguments.temperature, arguments.label_smoothing
    print(format_report(logits, target, names, temperature, smoothing))
    if arguments.out is not None:
        from microgradx.show.softmax_page import explain_softmax

        try:
            explain_softmax(
                logits,
                target,
                temperature=temperature,
                label_smoothing=smoothing,
                names=names if arguments.names else None,
                path=arguments.out,
            )
        except ValueError as error:
            raise InputError(str(error)) from error
        print(f"\nWritten: {printable(arguments.out)}; open it in a browser")
    return 0


# ---------------------------------------------------------------------------- arguments


def _parse_logit(word: str) -> float:
    try:
        return float(word)
    except ValueError:
        raise InputError(f"a logit must be a number, not {quote(word.strip())}") from None


def _parse_names(text: str | None, classes: int) -> list[str]:
    if text is None:
        return [str(i) for i in range(classes)]
    names = [name.strip() for name in text.split(",")]
    if len(names) != classes:
        raise InputError(f"{len(names)} names for {classes} logits; give one for each")
    return names


def _find_class(text: str, names: Sequence[str]) -> int:
    """The index of a class that is given by name or by index."""
    if text in names:
        return names.index(text)
    if text.isdecimal() and len(text) < 10 and int(text) < len(names):
        return int(text)
    raise InputError(
        f"there is no class {quote(text.strip())}; --target takes a number from 0 to "
        f"{len(names) - 1}, or one of the --names"
    )


# ---------------------------------------------------------------------------- the report


def format_report(
    logits: Sequence[float],
    target: int,
    names: Sequence[str],
    temperature: float,
    smoothing: float,
) -> str:
    import numpy as np

    from microgradx.engine import Tensor
    from microgradx.functional import cross_entropy, softmax

    z = Tensor(logits, requires_grad=True, dtype=float)
    with np.errstate(all="ignore"):  # infinite logits
        x = z / temperature
        loss = cross_entropy(x, target, label_smoothing=smoothing)
        loss.backward()
        p = softmax(x.data)
        largest = np.max(x.data)
        e = np.exp(x.data - largest)
    y = np.eye(len(logits))[target] * (1 - smoothing) + smoothing / len(logits)

    is_tempered = temperature != 1
    x_name = "z/T" if is_tempered else "z"
    columns: dict[str, Sequence[float]] = {"logit z": logits}
    if is_tempered:
        columns["z/T"] = x.data
    columns |= {f"exp({x_name} - m)": e, "p": p, "y": y, "p - y": p - y}
    if is_tempered:
        columns["gradient"] = z.grad
    rows = [["class", *columns]]
    for i, name in enumerate(names):
        rows.append([printable(name), *(_format_number(column[i]) for column in columns.values())])
    sums = {f"exp({x_name} - m)": _format_number(np.sum(e)), "p": _format_number(np.sum(p))}
    rows.append(["sum", *(sums.get(title, "") for title in columns)])

    with_t = f", T = {temperature:g}" if is_tempered else ""
    name = printable(names[target])
    loss_formula = "-Σ y ln p" if smoothing else f"-ln p({name}) = -ln {_format_number(p[target])}"
    gradient = "(p - y) / T" if is_tempered else "p - y"
    return "\n".join(
        [
            f"p = exp({x_name} - m) / Σ exp({x_name} - m), with m = max({x_name}) = "
            f"{largest:.4g}{with_t}",
            "",
            *_align(rows),
            "",
            f"loss = {loss_formula} = {_format_number(loss.item())}",
            f"gradient of the loss with respect to z = {gradient}",
        ]
    )


def _format_number(value: float) -> str:
    """A number with four decimals, or with four digits if it is very small or large."""
    value = float(value) + 0.0  # -0.0 + 0.0 is 0.0
    is_plain = value == 0 or 5e-5 <= abs(value) < 1e6
    return f"{value:.4f}" if is_plain else f"{value:.4g}"


def _align(rows: Sequence[Sequence[str]]) -> list[str]:
    """The rows of a table as lines: the first column flush left, the others flush right."""
    first, *others = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            [
                f"{row[0]:{first}}",
                *(f"{cell:>{n}}" for cell, n in zip(row[1:], others, strict=True)),
            ]
        ).rstrip()
        for row in rows
    ]
