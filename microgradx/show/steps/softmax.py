"""What the fused softmax family computes on the way: exponentials, sums, probabilities, p - y."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from microgradx.arrays.types import Array
from microgradx.ops.softmax import LogSoftmax, LogSumExp, Softmax, SoftmaxCrossEntropy
from microgradx.ops.softmax_rows import as_rows, shifted_exponentials
from microgradx.show.steps.op_probe import Application
from microgradx.show.steps.steps import Bars, Formula, How, Products, Reduced
from microgradx.show.steps.symbolic import Symbol, read, slot
from microgradx.show.steps.verification import agree

__all__ = ["bars_of", "loss_derivative", "softmax_computed"]

FAMILY = (Softmax, LogSoftmax, LogSumExp, SoftmaxCrossEntropy)


def bars_of(applied: Application) -> Bars | None:
    """The bars of each row of logits, which a temperature has divided; None for another op."""
    op, inputs = applied.op, applied.inputs
    if not (isinstance(op, FAMILY) and inputs and applied.is_small and applied.out.size):
        return None
    logits, *others = inputs
    axes = tuple(range(logits.ndim)) if op.axis is None else op.axis
    axes = normalize_axis_tuple(axes, logits.ndim)
    rows = as_rows(logits, axes)
    temperature = None
    if isinstance(op, (Softmax, LogSoftmax)) and others:
        temperature = as_rows(np.broadcast_to(others[0], logits.shape), axes)
    _, _, e, _, others = shifted_exponentials(rows, temperature)
    sums = 1 + others
    targets = differences = None
    if isinstance(op, SoftmaxCrossEntropy):
        targets = as_rows(op.target_distribution(*inputs)[0], axes)
        one = np.ones((), logits.dtype)
        differences = as_rows(summing(op, "sum").by_logits(one, None, *inputs), axes)
    return Bars(
        rows if temperature is None else rows / temperature,
        e,
        sums[:, 0],
        e / sums,
        targets,
        differences,
    )


def summing(op: SoftmaxCrossEntropy, reduction: str) -> SoftmaxCrossEntropy:
    """The same loss with another reduction."""
    return SoftmaxCrossEntropy(op.axis, op.label_smoothing, op.ignore_index, reduction)


def softmax_computed(applied: Application) -> Iterator[How]:
    """How a result of the family may be written, what explains the most first."""
    op, inputs = applied.op, applied.inputs
    if isinstance(op, SoftmaxCrossEntropy):
        yield from _hows_of_loss(op, *inputs)
    elif isinstance(op, FAMILY):
        x = inputs[0]
        largest = np.max(x, axis=op.axis, keepdims=True)
        operands = {"x": x, "max": largest}
        z, shifted = x - largest, "{x} - {max}"
        if len(inputs) > 1:
            operands["y"] = inputs[1]
            z, shifted = z / inputs[1], "({x} - {max}) / {y}"
        operands["sum"] = np.sum(np.exp(z), axis=op.axis, keepdims=True)
        if isinstance(op, LogSumExp):
            del operands["x"]
            if not op.keepdims:
                operands = {name: np.squeeze(y, op.axis) for name, y in operands.items()}
            yield Formula("{max} + ln({sum})", operands)
        elif isinstance(op, LogSoftmax):
            yield Formula(f"{shifted} - ln({{sum}})", operands)
        else:
            yield Formula(f"e^({shifted}) / {{sum}}", operands)


def _hows_of_loss(
    op: SoftmaxCrossEntropy, logits: Array, target: Array, weight: Array | None = None
) -> Iterator[How]:
    losses = np.asarray(summing(op, "none").forward(logits, target, weight))
    y, divisor = op.target_distribution(logits, target, weight)
    if op.reduction != "none" and losses.size > 1:
        is_mean = op.reduction == "mean"
        opening, closing = ("(", f") / {divisor:.9g}") if is_mean else ("", "")
        yield Reduced(losses, tuple(range(losses.ndim)), opening, " + ", closing)
        return
    shape = losses.shape if op.reduction == "none" else ()
    axis = op.axis % logits.ndim
    if target.ndim < logits.ndim and not np.any(target == op.ignore_index):
        p = Softmax(axis).forward(logits)
        chosen = np.take_along_axis(p, np.expand_dims(target, axis), axis)
        yield Formula("-ln({p})", {"p": chosen.reshape(shape)})
    letters = "abcdefgh"[: logits.ndim]
    others = letters.replace(letters[axis], "") if shape else ""
    yield Products(f"{letters},{letters}->{others}", (y, -LogSoftmax(axis).forward(logits)))


def loss_derivative(applied: Application, position: int, value: Array) -> Symbol | None:
    """The derivative of a loss by the logits, written as p - y."""
    op, inputs = applied.op, applied.inputs
    if not isinstance(op, SoftmaxCrossEntropy) or position:
        return None
    y, divisor = op.target_distribution(*inputs)
    p = np.sum(y, axis=op.axis, keepdims=True) * Softmax(op.axis).forward(inputs[0])
    is_mean = op.reduction == "mean" and divisor != 1
    symbol = read(
        f"(p - y) / {divisor:.9g}" if is_mean else "p - y", {"p": slot("p", p), "y": slot("y", y)}
    )
    # The op computes it without the cancellation that p - y has where p is almost 1.
    return symbol if symbol is not None and agree(symbol.value, value, p + y) else None
