"""Softmax cross-entropy as a program's lines: the one op for which these are written by hand.

With O the sum of a row's exponentials but the label's, and e that one, the loss is ln(1 + O / e)
and the gradient at the label -O / (O + e): p - 1 without its cancellation.
"""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np

from microgradx.compiler.buffers import Writer, fresh
from microgradx.compiler.ir import Call, Constant
from microgradx.compiler.primitives import check_labels
from microgradx.ops.softmax_rows import losses_and_gradients, shifted_exponentials

__all__ = ["source_of", "write_softmax_cross_entropy"]

#: Up to so many classes labels are made rows of 0 and one 1, which many calls can work on.
FEW = 64

# Few classes: the label's exponential is told apart by a product with the rows of 0 and 1.
_ONE_HOT = """\
try:
    {class_rows}.take({y}, axis=0, out={one_hot})
except IndexError:
    check_labels({y}, {classes})
    raise
"""

_FEW_CLASSES = """\
# the label's exponential, and apart from it the sum of all others
exp({z}, out={exponentials})
multiply({exponentials}, {one_hot}, out={at_label})
subtract({exponentials}, {at_label}, out={exponentials})
dot({at_label}, {ones}, out={e_label})
dot({exponentials}, {ones}, out={others})
divide({others}, {e_label}, out={losses})
log1p({losses}, out={losses})
{loss} = dot({losses}, {weights})
# p - y: at the label, p - 1 is minus the others' share
multiply({one_hot}, {others_column}, out={at_label})
subtract({exponentials}, {at_label}, out={exponentials})
add({others}, {e_label}, out={total})
multiply({total}, {divisor}, out={total})
divide({exponentials}, {total_column}, out={dlogits})
"""

_FEW_SMOOTHED = """\
# label smoothing
multiply({one_hot}, {share}, out={at_label})
add({dlogits}, {at_label}, out={dlogits})
"""

# Many classes: by where it stands, as rows of 0 and 1 would take longer than all the rest.
_AT_LABELS = """\
check_labels({y}, {classes})
add({row_starts}, {y}, out={at_labels})
"""

_MANY_CLASSES = """\
# the label's exponential, and apart from it the sum of all others
exp({z}, out={exponentials})
{flat}.take({at_labels}, out={e_label}, mode="clip")
{flat}[{at_labels}] = 0
dot({exponentials}, {ones}, out={others})
divide({others}, {e_label}, out={losses})
log1p({losses}, out={losses})
{loss} = dot({losses}, {weights})
# p - y: at the label, p - 1 is minus the others' share
add({others}, {e_label}, out={total})
multiply({total}, {divisor}, out={total})
negative({others}, out={others})
{flat}[{at_labels}] = {others}
divide({exponentials}, {total_column}, out={dlogits})
"""

_MANY_SMOOTHED = """\
# label smoothing
{flat}[{at_labels}] += {share}
"""

# Label smoothing: a share of each target is that of all classes.
_SMOOTHED = """\
subtract({dlogits}, {each}, out={dlogits})
divide({total}, {divisor}, out={total})
log({total}, out={total})
dot({z}, {ones}, out={others})
{loss} *= {certain!r}
{loss} += {smoothing!r} * dot({total}, {weights})
{loss} -= {smoothing_each!r} * dot({others}, {weights})
"""

_FAR = '''def far_cross_entropy(logits, y, weights, gradient):
    """The loss, and in `gradient` p - y, of logits whose exponentials could overflow or vanish."""
    with np.errstate(all="ignore"):  # infinite logits are no mistake
        losses, each = losses_and_gradients(logits, y)
        np.multiply(each, weights[:, None], out=gradient)
        return np.dot(losses, weights).astype(gradient.dtype)
'''


@cache
def source_of(function: Callable[..., Any]) -> str:
    """The source of a function, without what only type checkers read."""
    empty = inspect.Parameter.empty
    signature = inspect.signature(function)
    parameters = [p.replace(annotation=empty) for p in signature.parameters.values()]
    bare = signature.replace(parameters=parameters, return_annotation=empty)
    head = f"def {function.__name__}{bare}:"
    return re.sub(r"def [^:]*(:[^:\n]+)*:\n", f"{head}\n", inspect.getsource(function), count=1)


def write_softmax_cross_entropy(writer: Writer, call: Call) -> None:
    """The loss of labelled rows, and p - y, its gradient at the logits."""
    logits, labels, divisor, smoothing = call.args
    (rows, classes), dtype = logits.shape, logits.dtype
    is_few = classes <= FEW
    matrices = ["exponentials", "one_hot", "at_label"] if is_few else ["exponentials"]
    vectors = ["e_label", "others", "total", "losses"]
    places = {name: writer.buffer((rows, classes), dtype, name) for name in matrices}
    places |= {name: writer.buffer((rows,), dtype, name) for name in vectors}
    if not is_few:
        places["at_labels"] = writer.buffer((rows,), np.int64, "at_labels")
    names: dict[str, Any] = {name: place.name for name, place in places.items()}
    gradient = replace(places["exponentials"], name=writer.name("dlogits"))
    names["dlogits"] = gradient.name
    writer.setup(
        f"{gradient.name} = {names['exponentials']}  # p - y, in the place of the exponentials"
    )
    names |= {
        "z": writer.text(logits),
        "y": writer.text(labels),
        "loss": writer.name("loss"),
        "classes": classes,
        "ones": writer.ones(classes, dtype),
        "weights": writer.filled("weights", (rows,), 1 / divisor, dtype),
        "divisor": writer.scalar(divisor, dtype),
        "certain": 1 - smoothing,
        "smoothing": smoothing,
        "smoothing_each": smoothing / classes,
    }
    if smoothing:
        names["share"] = writer.scalar(smoothing / divisor, dtype)
        names["each"] = writer.scalar(smoothing / divisor / classes, dtype)

    def view(name: str, expression: str) -> None:
        names[name] = writer.name(name)
        writer.setup(f"{names[name]} = {expression.format(**names)}")

    def lines(template: str, prefix: str = "") -> None:
        for line in template.format(**names).splitlines():
            writer.step(prefix + line)
        for name in re.findall(r"(?<![\w.])(\w+)\(", template):
            if hasattr(np, name):
                writer.use(name)

    view("total_column", "{total}[:, None]")
    if is_few:
        view("others_column", "{others}[:, None]")
        writer.use("eye")
        float_type = writer.text(dtype)
        view("class_rows", f"np.full(({2 * classes}, {classes}), np.nan, {float_type})")
        writer.setup(
            f"{names['class_rows']}[:{classes}] = eye({classes}, dtype={float_type})"
            "  # and rows of NaN for what is no class"
        )
        lines(_ONE_HOT)
    else:
        view("flat", "{exponentials}.reshape(-1)")
        view("row_starts", f"np.arange(0, {rows * classes}, {classes})")
        lines(_AT_LABELS)
    # Within it the sum of all exponentials over the smallest cannot overflow.
    limit = math.floor((math.log(np.finfo(dtype).max) - math.log(classes)) / 2)
    limit = min(limit, 40 if dtype != np.float64 else 350)
    z = names["z"]
    near = f"vdot({z}, {z}) < {limit**2} or ({z}.min() > -{limit} and {z}.max() < {limit})"
    writer.use("vdot")
    writer.step(f"if {near}:")
    lines(_FEW_CLASSES if is_few else _MANY_CLASSES, "    ")
    if smoothing:
        lines((_FEW_SMOOTHED if is_few else _MANY_SMOOTHED) + _SMOOTHED, "    ")
    target = names["one_hot"] if is_few else f"({names['y']}[:, None] == np.arange({classes}))"
    if smoothing:
        target = f"{1 - smoothing!r} * {target} + {smoothing / classes!r}"
    elif not is_few:
        target = f"1.0 * {target}"
    writer.step("else:")
    arguments = f"{z}, {target}, {names['weights']}, {names['dlogits']}"
    writer.step(f"    {names['loss']} = far_cross_entropy({arguments})")
    if is_few:
        writer.step(f"if not {names['loss']} < np.inf:")
        writer.step(f"    check_labels({names['y']}, {classes})")
    for function in (check_labels, shifted_exponentials, losses_and_gradients):
        writer.help(source_of(function))
    writer.help(_FAR)
    of_loss = fresh(names["loss"], Constant((), dtype, np.empty((), dtype)))
    writer.several[call] = {0: of_loss, 1: gradient}
    for name, place in places.items():
        if name != "exponentials":
            writer.give_back(place)
