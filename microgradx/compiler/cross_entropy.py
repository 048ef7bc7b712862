"""Softmax cross-entropy as a program's lines: the one op for which these are written by hand."""

from __future__ import annotations

import inspect
import math
import re
from dataclasses import replace

import numpy as np

from microgradx.compiler.program import Call, Constant
from microgradx.compiler.writer import Writer, fresh
from microgradx.ops.softmax_rows import losses_and_gradients

__all__ = ["write_softmax_cross_entropy"]


def _source_of_rows() -> str:
    """The function that serves all logits, without what only type checkers read."""
    source = inspect.getsource(losses_and_gradients)
    return re.sub(r"def .*", "def losses_and_gradients(logits, y):", source, count=1)


_CHECK = '''def check_labels(labels, classes):
    """Raise IndexError unless all labels are classes."""
    if labels.min() < 0 or labels.max() >= classes:
        wrong = labels[(labels < 0) | (labels >= classes)][0]
        raise IndexError(f"label {wrong} is not one of the {classes} classes, 0 to {classes - 1}")
'''

_FAR = '''def far_cross_entropy(logits, one_hot, weights, gradient):
    """The loss, and in `gradient` p - y, of logits whose exponentials could overflow or vanish."""
    losses, each = losses_and_gradients(logits, one_hot)
    np.multiply(each, weights[:, None], out=gradient)
    return np.dot(losses, weights).astype(gradient.dtype)
'''


def write_softmax_cross_entropy(writer: Writer, call: Call) -> None:
    """The loss of labelled rows, and p - y, its gradient at the logits.

    With O the sum of a row's exponentials but the label's, and e that one, the loss is
    ln(1 + O / e) and the gradient at the label -O / (O + e): p - 1 without its cancellation.
    """
    logits, labels, divisor, smoothing = call.args
    (rows, classes), dtype = logits.shape, logits.dtype
    z, y = writer.text(logits), writer.text(labels)
    buffers = [writer.buffer((rows, classes), dtype, name) for name in ("p", "one_hot", "at_label")]
    buffers += [
        writer.buffer((rows,), dtype, name) for name in ("e_label", "others", "total", "losses")
    ]
    p, one_hot, at_label, e_label, others, total, losses = (each.name for each in buffers)
    gradient = replace(buffers[0], name=writer.name("dlogits"))
    writer.setup(f"{gradient.name} = {p}  # p - y in its place")
    ones = writer.ones(classes, dtype)
    weights = writer.filled("weights", (rows,), 1 / divisor, dtype)
    scale = writer.scalar(divisor, dtype)
    use, step = writer.use, writer.step

    others_column, total_column = writer.name("others_column"), writer.name("total_column")
    writer.setup(f"{others_column}, {total_column} = {others}[:, None], {total}[:, None]")
    if classes <= 64:
        table, float_type = writer.name("identity"), writer.text(dtype)
        writer.setup(
            f"{table} = np.full(({2 * classes}, {classes}), np.nan, {float_type})  # NaN: no class"
        )
        writer.setup(f"{table}[:{classes}] = {use('eye')}({classes}, dtype={float_type})")
        step("try:")
        step(f"    {table}.take({y}, axis=0, out={one_hot})")
        step("except IndexError:")
        step(f"    check_labels({y}, {classes})")
        step("    raise")
    else:
        every, hits = writer.name("classes"), writer.buffer((rows, classes), np.bool_, "hits").name
        writer.setup(f"{every} = {use('arange')}({classes})")
        step(f"{use('equal')}({y}[:, None], {every}, out={hits})")
        step(f"{use('copyto')}({one_hot}, {hits})")
    # Within it the sum of all exponentials over the smallest cannot overflow.
    limit = math.floor((math.log(np.finfo(dtype).max) - math.log(classes)) / 2)
    limit = min(limit, 40 if dtype != np.float64 else 350)
    square = limit * limit
    near = f"{use('vdot')}({z}, {z}) < {square} or ({z}.min() > -{limit} and {z}.max() < {limit})"
    loss = writer.name("loss")
    step(f"if {near}:")
    for line in (
        f"{use('exp')}({z}, out={p})",
        f"{use('multiply')}({p}, {one_hot}, out={at_label})",
        f"{use('subtract')}({p}, {at_label}, out={p})",
        f"{use('dot')}({at_label}, {ones}, out={e_label})",
        f"{use('dot')}({p}, {ones}, out={others})",
        f"{use('divide')}({others}, {e_label}, out={losses})",
        f"{use('log1p')}({losses}, out={losses})",
        f"{loss} = {use('dot')}({losses}, {weights})",
        f"{use('multiply')}({one_hot}, {others_column}, out={at_label})",
        f"{use('subtract')}({p}, {at_label}, out={p})",
        f"{use('add')}({others}, {e_label}, out={total})",
        f"{use('multiply')}({total}, {scale}, out={total})",
        f"{use('divide')}({p}, {total_column}, out={p})",
    ):
        step(f"    {line}")
    target = one_hot
    if smoothing:
        target = f"{1 - smoothing!r} * {one_hot} + {smoothing / classes!r}"
        share = writer.scalar(smoothing / divisor, dtype)
        each = writer.scalar(smoothing / divisor / classes, dtype)
        for line in (
            "# label smoothing: a share of each target is that of all classes",
            f"{use('divide')}({total}, {scale}, out={total})",
            f"{use('log')}({total}, out={total})",
            f"{use('dot')}({z}, {ones}, out={others})",
            f"{loss} *= {1 - smoothing!r}",
            f"{loss} += {smoothing!r} * {use('dot')}({total}, {weights})",
            f"{loss} -= {smoothing / classes!r} * {use('dot')}({others}, {weights})",
            f"{use('multiply')}({one_hot}, {share}, out={at_label})",
            f"{use('add')}({p}, {at_label}, out={p})",
            f"{use('subtract')}({p}, {each}, out={p})",
        ):
            step(f"    {line}")
    step("else:")
    step(f"    {loss} = far_cross_entropy({z}, {target}, {weights}, {p})")
    step(f"if not {loss} < np.inf:")
    step(f"    check_labels({y}, {classes})")
    for helper in (_CHECK, _source_of_rows(), _FAR):
        if helper not in writer.written.helpers:
            writer.written.helpers.append(helper)
    of_loss = fresh(loss, Constant((), dtype, np.empty((), dtype)))
    writer.several[call] = {0: of_loss, 1: gradient}
    for place in buffers[1:]:
        writer.give_back(place)
