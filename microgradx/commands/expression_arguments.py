"""The arguments that `explain` and `draw` share: an expression and the values of its variables."""

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
from microgradx.commands.expressions import compute_expression
from microgradx.common.messages import InputError, quote

if TYPE_CHECKING:
    from microgradx.engine import Tensor

__all__ = ["NOTES", "add_expression", "check_gradients", "compute_result", "print_warnings"]

NOTES = """\
An expression can use numbers, variables, + - * / // % ** @, comparisons, the
functions of microgradx that have derivatives (exp, log, tanh, relu, softmax,
cross_entropy, sum, max, where and so on), methods such as x.sum(axis=0), x.T,
and indices such as x[0]. Intermediate values can be named:
"d = a*b; L = (d + c).tanh()". It is never run as a Python program.

The value of a variable is a number, a=2, or an array, x=1,2,3 or
"x=[[1,2],[3,4]]": floats that require gradients.
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


def compute_result(arguments: argparse.Namespace) -> Tensor:
    """The result of the expression for the given values."""
    return compute_expression(arguments.expression, _parse_variables(arguments.variables))


def _parse_variables(words: Sequence[str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for word in words:
        name, equals, text = map(str.strip, word.partition("="))
        if not equals:
            raise InputError(
                f"{quote(word.strip())} does not give a variable a value; write NAME=VALUE, "
                "without spaces, such as a=2"
            )
        if name in values:
            raise InputError(f"{name} is given twice; give it once")
        try:
            values[name] = _parse_numbers(text)
        except (ValueError, RecursionError):
            raise InputError(
                f"{name} must be a number, or numbers in rows of equal length, such as "
                f"{name}=1,2,3 or {name}=[[1,2],[3,4]], not {quote(text)}"
            ) from None
    return values


def _parse_numbers(text: str) -> Any:
    """A number, or an array of numbers as Python or JSON writes it."""
    if not re.search(r"[,\[]", text):
        return float(text)
    # JSON has neither 1. nor .5 nor inf.
    text = re.sub(r"[^\[\],\s]+", lambda number: json.dumps(float(number[0])), text)
    return np.array(json.loads(text if text.startswith("[") else f"[{text}]"), float)


def check_gradients(result: Tensor, remedy: str = "") -> None:
    """Raise InputError if a rule cannot differentiate the result at the given values."""
    from microgradx.engine import sweep

    try:
        for _ in sweep({result: np.ones_like(result.data)}):
            pass
    except (ValueError, TypeError, IndexError, ArithmeticError) as error:
        raise InputError(f"there are no gradients here: {error}{remedy}") from error


@contextmanager
def print_warnings() -> Iterator[None]:
    """Print the warnings of the package as lines of the command, and no others."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", UserWarning)
        warnings.showwarning = lambda message, *_, **__: print(
            f"microgradx: {message}", file=sys.stderr
        )
        yield
