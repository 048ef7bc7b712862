"""The parser of the command line, and the types of its arguments."""

from __future__ import annotations

import argparse
import math
import re
from collections.abc import Callable
from typing import Any, NoReturn

from microgradx.common.messages import InputError, quote

__all__ = [
    "Parser",
    "add_header_option",
    "fraction",
    "layer_sizes",
    "nonnegative_float",
    "nonnegative_int",
    "positive_float",
    "positive_int",
    "proper_fraction",
    "temperature",
]


class Parser(argparse.ArgumentParser):
    """A parser that raises InputError, as commands do."""

    #: The positional argument that collects all words that are not options, in any order with them.
    words: str | None = None

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        if self.words is None:
            return super().parse_known_args(args, namespace)
        # argparse takes -2 for a number, but -inf, -1e-3 and -a*b for options, unless they begin
        # with a space.
        args = [f" {word}" if re.match(r"-(?![-ho]|$)", word) else word for word in args]
        namespace, rest = super().parse_known_args(args, namespace)
        words = [word for word in rest if not word.startswith("-")]
        setattr(namespace, self.words, [*getattr(namespace, self.words), *words])
        return namespace, [word for word in rest if word.startswith("-")]

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        namespace, rest = self.parse_known_args(args, namespace)
        if rest:
            hint = self._explain_word(rest[0], namespace)
            self.error(f"unrecognized arguments: {' '.join(rest)}{hint}")
        return namespace

    @staticmethod
    def _explain_word(word: str, namespace: Any) -> str:
        """What a command without such an argument may have been meant to do with it."""
        is_option = word.startswith("-")
        return (
            ""
            if is_option or not hasattr(namespace, "data")
            else f"; a table is given as --data {word}"
        )

    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message}; {self.prog} --help shows how")


def add_header_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--header",
        action=argparse.BooleanOptionalAction,
        help="the first line of the file has the names of the columns, or not (default: as it "
        "looks)",
    )


def argument_type(
    kind: str, read: Callable[[str], Any], is_valid: Callable[[Any], bool]
) -> Callable[[str], Any]:
    """A `type` for `add_argument`, whose error message says what the argument must be."""

    def parse(text: str) -> Any:
        try:
            value = read(text)
            if is_valid(value):
                return value
        except ValueError:
            pass
        raise argparse.ArgumentTypeError(f"must be {kind}, not {quote(text.strip())}")

    return parse


positive_int = argument_type("a whole number from 1 up", int, lambda n: n >= 1)
nonnegative_int = argument_type("a whole number from 0 up", int, lambda n: n >= 0)
positive_float = argument_type("a positive number", float, lambda x: 0 < x < math.inf)
#: Smaller ones would be 0 in float32.
temperature = argument_type("a number from 1e-30 to 1e30", float, lambda x: 1e-30 <= x <= 1e30)
nonnegative_float = argument_type("a number from 0 up", float, lambda x: 0 <= x < math.inf)
proper_fraction = argument_type("a number from 0 up and below 1", float, lambda x: 0 <= x < 1)
fraction = argument_type("a number from 0 to 1", float, lambda x: 0 <= x <= 1)
layer_sizes = argument_type(
    "sizes from 1 up, of less than 10 digits, separated by commas, such as 64,32",
    lambda text: tuple(int(size) for size in text.split(",")) if text.strip() else (),
    lambda sizes: all(1 <= size < 2**31 for size in sizes),
)
