"""Derivations of the softmax family, and its intermediate values as bars: exp, sums, p, p - y."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from microgradx.arrays.types import Array
from microgradx.ops.softmax import LogSoftmax, LogSumExp, Softmax, SoftmaxCrossEntropy
from microgradx.ops.softmax_rows import as_rows, shifted_exponentials
from microgradx.show.formulas.derivations import Derivation, Einsum, Formula, Reduce
from microgradx.show.formulas.symbolic import Symbol, parse_formula, slot
from microgradx.show.formulas.verification import is_close
from microgradx.show.steps.op_probe import OpProbe
from microgradx.show.steps.steps import Bars

__all__ = ["softmax_bars", "loss_derivative", "softmax_derivations"]

FAMILY = (Softmax, LogSoftmax, LogSumExp, SoftmaxCrossEntropy)


def softmax_bars(probe: OpProbe) -> Bars | None:
    """The bars of each row of logits, divided by the temperature; None for another op."""
    op, inputs = probe.op, probe.inputs
    if not (isinstance(op, FAMILY) and inputs and probe.is_small):
        return None
    logits, *others = inputs
    if not logits.size:
        return None
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
        differences = as_rows(with_reduction(op, "sum").by_logits(one, None, *inputs), axes)
    return Bars(
        rows if temperature is None else rows / temperature,
        e,
        sums[:, 0],
        e / sums,
        targets,
        differences,
    )


def with_reduction(op: SoftmaxCrossEntropy, reduction: str) -> SoftmaxCrossEntropy:
    """The same loss with another reduction."""
    return SoftmaxCrossEntropy(op.axis, op.label_smoothing, op.ignore_index, reduction)


def softmax_derivations(probe: OpProbe) -> Iterator[Derivation]:
    """Derivations of a result of the family, the most explanatory first."""
    op, inputs = probe.op, probe.inputs
    if isinstance(op, SoftmaxCrossEntropy):
        yield from loss_derivations(op, *inputs)
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


def loss_derivations(
    op: SoftmaxCrossEntropy, logits: Array, target: Array, weight: Array | None = None
) -> Iterator[Derivation]:
    losses = np.asarray(with_reduction(op, "none").forward(logits, target, weight))
    y, divisor = op.target_distribution(logits, target, weight)
    if op.reduction != "none" and losses.size > 1:
        is_mean = op.reduction == "mean"
        opening, closing = ("(", f") / {divisor:.9g}") if is_mean else ("", "")
        yield Reduce(losses, tuple(range(losses.ndim)), opening, " + ", closing)
        return
    shape = losses.shape if op.reduction == "none" else ()
    axis = op.axis % logits.ndim
    if target.ndim < logits.ndim and not np.any(target == op.ignore_index):
        p = Softmax(axis).forward(logits)
        chosen = np.take_along_axis(p, np.expand_dims(target, axis), axis)
        yield Formula("-ln({p})", {"p": chosen.reshape(shape)})
    letters = "abcdefgh"[: logits.ndim]
    others = letters.replace(letters[axis], "") if shape else ""
    yield Einsum(f"{letters},{letters}->{others}", (y, -LogSoftmax(axis).forward(logits)))


def loss_derivative(probe: OpProbe, position: int, value: Array) -> Symbol | None:
    """The derivative of a loss with respect to the logits, as p - y."""
    op, inputs = probe.op, probe.inputs
    if not isinstance(op, SoftmaxCrossEntropy) or position:
        return None
    y, divisor = op.target_distribution(*inputs)
    p = np.sum(y, axis=op.axis, keepdims=True) * Softmax(op.axis).forward(inputs[0])
    is_mean = op.reduction == "mean" and divisor != 1
    symbol = parse_formula(
        f"(p - y) / {divisor:.9g}" if is_mean else "p - y", {"p": slot("p", p), "y": slot("y", y)}
    )
    # The op avoids the cancellation in p - y where p is almost 1.
    return symbol if symbol is not None and is_close(symbol.value, value, p + y) else None
