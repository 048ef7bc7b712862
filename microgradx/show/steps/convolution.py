"""Derivations of convolution and pooling: what they compute from each window of an image."""

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
from microgradx.show.formulas.derivations import Einsum, Reduce
from microgradx.show.steps.op_probe import OpProbe

__all__ = ["convolution_gradients", "convolution_derivations"]


def convolution_derivations(probe: OpProbe) -> Iterator[Einsum | Reduce]:
    """The sum of products, the maximum or the mean of each window."""
    op = probe.op
    if isinstance(op, Convolution):
        _, weights, *bias = probe.inputs
        kernel, positions = axis_letters(op)
        beside = bias[0].reshape(-1, *(1 for _ in positions)) if bias else None
        factors = windows_of(op, probe.inputs[0], 0), weights
        yield Einsum(f"nc{kernel}{positions},oc{kernel}->no{positions}", factors, beside)
    elif isinstance(op, (MaxPool, AveragePool)):
        axes = tuple(range(2, 2 + len(op.axes)))
        if isinstance(op, MaxPool):
            yield Reduce(windows_of(op, probe.inputs[0], -np.inf), axes, "max(", ", ", ")")
        else:
            n = np.unique(op.divisors(probe.inputs[0])).item()  # the same everywhere
            yield Reduce(windows_of(op, probe.inputs[0], 0), axes, "(", " + ", f") / {n:.9g}")


def convolution_gradients(probe: OpProbe, position: int, g: Array) -> Iterator[Einsum | Reduce]:
    """At the weights, g times the windows, summed; at the bias, the sum of g."""
    op = probe.op
    if isinstance(op, Convolution) and position == 1:
        kernel, positions = axis_letters(op)
        factors = g, windows_of(op, probe.inputs[0], 0)
        yield Einsum(f"no{positions},nc{kernel}{positions}->oc{kernel}", factors)
    elif isinstance(op, Convolution) and position == 2:
        yield Reduce(g, (0, *range(2, g.ndim)), "", " + ", "")


def axis_letters(op: SlidingWindow) -> tuple[str, str]:
    """Einsum letters for the axes of the kernel, and for those of its positions."""
    return "abdef"[: len(op.axes)], "ijklm"[: len(op.axes)]


def windows_of(op: SlidingWindow, x: Array, margin: float) -> Array:
    """The windows of an array (N, C, …), as a view of shape (N, C, *kernel, *positions)."""
    whole = np.ascontiguousarray(add_padding(x, ((0, 0), (0, 0), *op.padding), margin))
    return windows(whole, 2, op.axes)
