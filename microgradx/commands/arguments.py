"""What the arguments of commands may be, and what is said where they are not."""

from __future__ import annotations

import argparse
import math
import re
from collections.abc import Callable
from typing import Any, NoReturn

from microgradx.common.messages import InputError

__all__ = ["Parser", "argument", "count", "positive", "share", "sizes", "whole"]


class Parser(argparse.ArgumentParser):
    """A parser whose errors are exceptions, as are all other errors of a command."""

    #: The argument that receives whatever no option takes, wherever it stands among the options.
    words: str | None = None

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        if self.words is None:
            return super().parse_known_args(args, namespace)
        # Of -2 a parser makes a number, but of -inf, -1e-3 and -a*b options, unless a space stands
        # before them.
        args = [f" {word}" if re.match(r"-(?![-ho]|$)", word) else word for word in args]
        namespace, rest = super().parse_known_args(args, namespace)
        words = [word for word in rest if not word.startswith("-")]
        setattr(namespace, self.words, [*getattr(namespace, self.words), *words])
        return namespace, [word for word in rest if word.startswith("-")]

    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message}; {self.prog} --help shows how")


def argument(kind: str) -> Callable[[Callable[[str], Any]], Callable[[str], Any]]:
    """Say what an argument must be where reading it fails."""

    def decorate(read: Callable[[str], Any]) -> Callable[[str], Any]:
        def checked(text: str) -> Any:
            try:
                return read(text)
            except ValueError:
                message = f"must be {kind}, not {text.strip()!r}"
                raise argparse.ArgumentTypeError(message) from None

        return checked

    return decorate


def require(condition: bool) -> None:
    if not condition:
        raise ValueError


@argument("a whole number from 1 up")
def count(text: str) -> int:
    require(int(text) >= 1)
    return int(text)


@argument("a whole number from 0 up")
def whole(text: str) -> int:
    require(int(text) >= 0)
    return int(text)


@argument("a positive number")
def positive(text: str) -> float:
    require(0 < float(text) < math.inf)
    return float(text)


@argument("a number from 0 to 1")
def share(text: str) -> float:
    require(0 <= float(text) <= 1)
    return float(text)


@argument("sizes from 1 up, separated by commas, such as 64,32")
def sizes(text: str) -> tuple[int, ...]:
    read = tuple(int(size) for size in text.split(",")) if text.strip() else ()
    require(all(size >= 1 for size in read))
    return read
