"""Tables whose rows are images: the shape that is given, or that the names of pixels tell."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from microgradx.common.messages import InputError

__all__ = ["check_image_shape", "describe_shape", "parse_image_shape", "recognise_image"]

CHANNELS = (1, 3, 4)

#: pixel0, pixel_12, px3, and with row and column: pixel_0_7, 1x28.
NUMBERED = re.compile(r"(?:pixel|pix|px|p)[ _.-]?(\d+)", re.IGNORECASE)
LOCATED = re.compile(r"(?:(?:pixel|pix|px|p)[ _.-]?)?(\d+)[x_, .-](\d+)", re.IGNORECASE)


def parse_image_shape(text: str) -> tuple[int, ...]:
    """28x28, or with channels 32x32x3 or 3x32x32, as a shape.

    >>> parse_image_shape("28x28"), parse_image_shape("3×32×32")
    ((28, 28), (3, 32, 32))
    """
    parts = re.split(r"[x×*,]", text.strip().lower())
    if not all(part.strip().isdecimal() for part in parts):
        raise InputError(f"{text!r} is no shape of images; give height and width, such as 28x28")
    return check_image_shape(tuple(map(int, parts)))


def check_image_shape(shape: Sequence[int]) -> tuple[int, ...]:
    """The shape, if it is height and width, with 1, 3 or 4 channels first or last, or none."""
    shape = tuple(map(int, shape))
    is_plane = len(shape) == 2 or (len(shape) == 3 and {shape[0], shape[2]} & {*CHANNELS})
    if not is_plane or min(shape) < 1:
        raise InputError(
            f"{describe_shape(shape)} is no shape of images: give height and width, such as 28x28, "
            "and 1, 3 or 4 channels before or after them, as in 32x32x3 and 3x32x32"
        )
    return shape


def describe_shape(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape))


def recognise_image(names: Sequence[str]) -> tuple[int, ...] | None:
    """The shape of the images that columns with these names are pixels of; None: no pixels.

    >>> recognise_image([f"pixel{i}" for i in range(12)]) is None  # 12 is no square
    True
    >>> recognise_image(["1x1", "1x2", "2x1", "2x2"])
    (2, 2)
    """
    located = [LOCATED.fullmatch(name) for name in names]
    if len(names) >= 4 and all(located):
        places = [(int(match[1]), int(match[2])) for match in located if match]
        start = min(places)
        height, width = (max(p[i] for p in places) - start[i] + 1 for i in (0, 1))
        rows = range(start[0], start[0] + height)
        columns = range(start[1], start[1] + width)
        if places == [(row, column) for row in rows for column in columns]:
            return height, width
    numbered = [NUMBERED.fullmatch(name) for name in names]
    if len(names) >= 4 and all(numbered):
        numbers = [int(match[1]) for match in numbered if match]
        side = math.isqrt(len(names))
        if numbers == list(range(numbers[0], numbers[0] + len(names))) and side**2 == len(names):
            return side, side
    return None
