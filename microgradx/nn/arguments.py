"""Arguments of layers: integers, or one for each spatial axis."""

from __future__ import annotations

import operator
from collections.abc import Sequence

from microgradx.ops.convolution import Sizes

__all__ = ["Size", "check_integers", "check_sizes"]

#: One number, or one for each spatial axis.
Size = int | Sequence[int]


def check_integers(name: str, argument: str, value: Size) -> tuple[int, ...]:
    try:
        return tuple(map(operator.index, value if isinstance(value, Sequence) else [value]))
    except TypeError:
        raise TypeError(
            f"{name}: {argument} must be an integer, or a sequence of them, not {value!r}"
        ) from None


def check_sizes(name: str, argument: str, value: Size, spatial: int, least: int = 1) -> Sizes:
    """A setting as one integer for each spatial axis."""
    sizes = check_integers(name, argument, value)
    if len(sizes) == 1:
        sizes *= spatial
    if len(sizes) != spatial or min(sizes) < least:
        raise ValueError(
            f"{name}: {argument}={value}; it must be an integer of at least {least}"
            + (f", or {spatial} of them, one for each spatial axis" if spatial > 1 else "")
        )
    return sizes
