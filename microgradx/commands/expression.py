"""What `explain` and `draw` share: an expression, the values of its variables, and the result."""

from __future__ import annotations

import argparse
import json
import re
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from microgradx.commands.arguments import Parser
from microgradx.common.messages import InputError, quote
from microgradx.expressions import evaluate

if TYPE_CHECKING:
    from microgradx.engine import Tensor

__all__ = ["NOTES", "add_expression", "computed", "warnings_in_lines"]

NOTES = """\
An expression is made of numbers, variables, + - * / // % ** @, comparisons,
the functions of microgradx that gradients flow through (exp, log, tanh, relu,
softmax, cross_entropy, sum, max, where and so on), methods such as
x.sum(axis=0), x.T, and indices such as x[0]. Its parts may have names:
"d = a*b; L = (d + c).tanh()". It is not run as a Python program.

Each variable is given a number, a=2, or numbers, x=1,2,3 or "x=[[1,2],[3,4]]":
floats, which require gradients.
"""


def add_expression(parser: Parser) -> None:
    parser.words = "variables"
    parser.add_argument(
        "expression", metavar="EXPRESSION", help='what to compute, such as "(a*b + c).tanh()"'
    )
    parser.add_argument(
        "variables",
        metavar="NAME=VALUE",
        nargs="*",
        default=[],
        help="the value of each variable in it",
    )


def computed(arguments: argparse.Namespace) -> Tensor:
    """The result of the expression, for the values that are given."""
    return evaluate(arguments.expression, _values(arguments.variables))


def _values(words: Sequence[str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for word in words:
        name, equals, text = map(str.strip, word.partition("="))
        if not equals:
            raise InputError(
                f"{quote(word.strip())} gives no variable a value; write NAME=VALUE, without "
                "spaces, such as a=2"
            )
        if name in values:
            raise InputError(f"{name} is given twice; give it once")
        try:
            values[name] = _numbers(text)
        except (ValueError, RecursionError):
            raise InputError(
                f"{name} must be a number, or numbers in rows of equal length, such as "
                f"{name}=1,2,3 or {name}=[[1,2],[3,4]], not {quote(text)}"
            ) from None
    return values


def _numbers(text: str) -> Any:
    """A number, or an array of them as Python or JSON would have it."""
    if not re.search(r"[,\[]", text):
        return float(text)
    # JSON knows neither 1. nor .5, nor inf as Python has them.
    text = re.sub(r"[^\[\],\s]+", lambda number: json.dumps(float(number[0])), text)
    return np.array(json.loads(text if text.startswith("[") else f"[{text}]"), float)


@contextmanager
def warnings_in_lines() -> Iterator[None]:
    """Print what the package warns of as lines of the command, and nothing else."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", UserWarning)
        warnings.showwarning = lambda message, *_, **__: print(
            f"microgradx: {message}", file=sys.stderr
        )
        yield
