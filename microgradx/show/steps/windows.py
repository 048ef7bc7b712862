"""What convolution and pooling make of each window that slides over an image."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from microgradx.arrays.types import Array
from microgradx.ops.convolution import (
    AveragePool,
    Convolution,
    MaxPool,
    SlidingWindow,
    add_padding,
    windows,
)
from microgradx.show.steps.op_probe import Application
from microgradx.show.steps.steps import Products, Reduced

__all__ = ["convolution_passed_on", "windows_computed"]


def windows_computed(applied: Application) -> Iterator[Products | Reduced]:
    """Each result as the products of a window, the largest element in it, or their mean."""
    op = applied.op
    if isinstance(op, Convolution):
        _, weights, *bias = applied.inputs
        kernel, positions = letters(op)
        beside = bias[0].reshape(-1, *(1 for _ in positions)) if bias else None
        factors = windows_of(op, applied.inputs[0], 0), weights
        yield Products(f"nc{kernel}{positions},oc{kernel}->no{positions}", factors, beside)
    elif isinstance(op, (MaxPool, AveragePool)):
        axes = tuple(range(2, 2 + len(op.axes)))
        if isinstance(op, MaxPool):
            yield Reduced(windows_of(op, applied.inputs[0], -np.inf), axes, "max(", ", ", ")")
        else:
            n = np.unique(op.divisors(applied.inputs[0])).item()  # the same everywhere
            yield Reduced(windows_of(op, applied.inputs[0], 0), axes, "(", " + ", f") / {n:.9g}")


def convolution_passed_on(
    applied: Application, position: int, g: Array
) -> Iterator[Products | Reduced]:
    """To the weights, what arrives times what the windows saw; to the bias, all that arrives."""
    op = applied.op
    if isinstance(op, Convolution) and position == 1:
        kernel, positions = letters(op)
        factors = g, windows_of(op, applied.inputs[0], 0)
        yield Products(f"no{positions},nc{kernel}{positions}->oc{kernel}", factors)
    elif isinstance(op, Convolution) and position == 2:
        yield Reduced(g, (0, *range(2, g.ndim)), "", " + ", "")


def letters(op: SlidingWindow) -> tuple[str, str]:
    """For the axes of the kernel, and of the positions that it takes."""
    return "abdef"[: len(op.axes)], "ijklm"[: len(op.axes)]


def windows_of(op: SlidingWindow, x: Array, margin: float) -> Array:
    """What the windows see, of (N, C, …): (N, C, *kernel, *positions). Nothing is copied twice."""
    whole = np.ascontiguousarray(add_padding(x, ((0, 0), (0, 0), *op.padding), margin))
    return windows(whole, 2, op.axes)
