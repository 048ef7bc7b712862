"""The lines of softmax cross-entropy of class labels, which are written by hand.

With label_exp the exponential of the label's logit and rest_sum that of all others, the loss is
ln(1 + rest_sum / label_exp), and p - 1 at the label is -rest_sum / (label_exp + rest_sum), without
cancellation.
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

from microgradx.arrays.bounds import check_range
from microgradx.compiler.buffers import new_array
from microgradx.compiler.ir import Constant, FunctionCall
from microgradx.compiler.writer import Writer
from microgradx.ops.softmax_rows import (
    label_losses_and_gradients,
    losses_and_gradients,
    shifted_exponentials,
)

__all__ = ["function_source", "write_softmax_cross_entropy"]

#: Up to this many classes, labels become one-hot rows.
FEW = 64

# Few classes: a product with one-hot rows selects the exponential of the label.
_ONE_HOT = """\
try:
    {class_rows}.take({y}, axis=0, out={one_hot})
except IndexError:
    check_range({y}, {classes})
    raise
"""

_FEW_CLASSES = """\
# the exponential of the label, and the sum of the rest
exp({z}, out={exponentials})
multiply({exponentials}, {one_hot}, out={at_label})
subtract({exponentials}, {at_label}, out={exponentials})
dot({at_label}, {ones}, out={label_exp})
dot({exponentials}, {ones}, out={rest_sum})
divide({rest_sum}, {label_exp}, out={losses})
log1p({losses}, out={losses})
{loss} = dot({losses}, {weights})
# p - y: at the label, p - 1 = -rest_sum / (label_exp + rest_sum)
multiply({one_hot}, {rest_column}, out={at_label})
subtract({exponentials}, {at_label}, out={exponentials})
add({rest_sum}, {label_exp}, out={total})
multiply({total}, {divisor}, out={total})
divide({exponentials}, {total_column}, out={dlogits})
"""

_FEW_SMOOTHED = """\
# label smoothing
multiply({one_hot}, {share}, out={at_label})
add({dlogits}, {at_label}, out={dlogits})
"""

# Many classes: by its index, as one-hot rows would take longer than all the rest.
_AT_LABELS = """\
check_range({y}, {classes})
add({row_starts}, {y}, out={at_labels})
"""

_MANY_CLASSES = """\
# the exponential of the label, and the sum of the rest
exp({z}, out={exponentials})
{flat}.take({at_labels}, out={label_exp}, mode="clip")
{flat}[{at_labels}] = 0
dot({exponentials}, {ones}, out={rest_sum})
divide({rest_sum}, {label_exp}, out={losses})
log1p({losses}, out={losses})
{loss} = dot({losses}, {weights})
# p - y: at the label, p - 1 = -rest_sum / (label_exp + rest_sum)
add({rest_sum}, {label_exp}, out={total})
multiply({total}, {divisor}, out={total})
negative({rest_sum}, out={rest_sum})
{flat}[{at_labels}] = {rest_sum}
divide({exponentials}, {total_column}, out={dlogits})
"""

_MANY_SMOOTHED = """\
# label smoothing
{flat}[{at_labels}] += {share}
"""

# Label smoothing: the target is (1 - smoothing) y + smoothing / classes.
_SMOOTHED = """\
subtract({dlogits}, {each}, out={dlogits})
divide({total}, {divisor}, out={total})
log({total}, out={total})
dot({z}, {ones}, out={rest_sum})
{loss} *= {hard_share!r}
{loss} += {smoothing!r} * dot({total}, {weights})
{loss} -= {soft_share!r} * dot({rest_sum}, {weights})
"""

_FAR = '''def far_cross_entropy(logits, y, weights, gradient):
    """The loss, and in `gradient` p - y, of logits whose exponentials could overflow or vanish."""
    with np.errstate(all="ignore"):  # logits may be infinite
        losses, each = {kernel}(logits, y)
        np.multiply(each, weights[:, None], out=gradient)
        return np.dot(losses, weights).astype(gradient.dtype)
'''


@cache
def function_source(function: Callable[..., Any]) -> str:
    """The source of a function, without annotations."""
    empty = inspect.Parameter.empty
    signature = inspect.signature(function)
    parameters = [p.replace(annotation=empty) for p in signature.parameters.values()]
    bare = signature.replace(parameters=parameters, return_annotation=empty)
    head = f"def {function.__name__}{bare}:"
    source = inspect.getsource(function)
    return re.sub(r"def .*?\)( -> [^\n]+)?:\n", lambda _: f"{head}\n", source, count=1, flags=re.S)


def write_softmax_cross_entropy(writer: Writer, call: FunctionCall) -> None:
    """Write the loss of logits with class labels, and its gradient p - y."""
    logits, labels, divisor, smoothing = call.args
    (rows, classes), dtype = logits.shape, logits.dtype
    is_few = classes <= FEW
    matrices = ["exponentials", "one_hot", "at_label"] if is_few else ["exponentials"]
    vectors = ["label_exp", "rest_sum", "total", "losses"]
    locations = {name: writer.allocate((rows, classes), dtype, name) for name in matrices}
    locations |= {name: writer.allocate((rows,), dtype, name) for name in vectors}
    if not is_few:
        locations["at_labels"] = writer.allocate((rows,), np.int64, "at_labels")
    names: dict[str, Any] = {name: location.name for name, location in locations.items()}
    gradient = replace(locations["exponentials"], name=writer.new_name("dlogits"))
    names["dlogits"] = gradient.name
    writer.add_setup(
        f"{gradient.name} = {names['exponentials']}  # p - y, in the place of the exponentials"
    )
    names |= {
        "z": writer.text(logits),
        "y": writer.text(labels),
        "loss": writer.new_name("loss"),
        "classes": classes,
        "ones": writer.ones(classes, dtype),
        "weights": writer.full("weights", (rows,), 1 / divisor, dtype),
        "divisor": writer.scalar(divisor, dtype),
        "hard_share": 1 - smoothing,
        "smoothing": smoothing,
        "soft_share": smoothing / classes,
    }
    if smoothing:
        names["share"] = writer.scalar(smoothing / divisor, dtype)
        names["each"] = writer.scalar(smoothing / divisor / classes, dtype)

    def add_view(name: str, expression: str) -> None:
        names[name] = writer.new_name(name)
        writer.add_setup(f"{names[name]} = {expression.format(**names)}")

    def add_lines(template: str, prefix: str = "") -> None:
        for line in template.format(**names).splitlines():
            writer.add_line(prefix + line)
        for name in re.findall(r"(?<![\w.])(\w+)\(", template):
            if hasattr(np, name):
                writer.use(name)

    add_view("total_column", "{total}[:, None]")
    if is_few:
        add_view("rest_column", "{rest_sum}[:, None]")
        writer.use("eye")
        float_type = writer.text(dtype)
        add_view("class_rows", f"np.full(({2 * classes}, {classes}), np.nan, {float_type})")
        writer.add_setup(
            f"{names['class_rows']}[:{classes}] = eye({classes}, dtype={float_type})"
            "  # and rows of NaN for what is not a class"
        )
        add_lines(_ONE_HOT)
    else:
        add_view("flat", "{exponentials}.reshape(-1)")
        add_view("row_starts", f"np.arange(0, {rows * classes}, {classes})")
        add_lines(_AT_LABELS)
    # Within it the sum of all exponentials over the smallest cannot overflow.
    limit = math.floor((math.log(np.finfo(dtype).max) - math.log(classes)) / 2)
    limit = min(limit, 40 if dtype != np.float64 else 350)
    z = names["z"]
    near = f"vdot({z}, {z}) < {limit**2} or ({z}.min() > -{limit} and {z}.max() < {limit})"
    writer.use("vdot")
    writer.add_line(f"if {near}:")
    add_lines(_FEW_CLASSES if is_few else _MANY_CLASSES, "    ")
    if smoothing:
        add_lines((_FEW_SMOOTHED if is_few else _MANY_SMOOTHED) + _SMOOTHED, "    ")
    kernel, target = label_losses_and_gradients, names["y"]
    if smoothing:
        kernel = losses_and_gradients
        hits = names["one_hot"] if is_few else f"({names['y']}[:, None] == np.arange({classes}))"
        target = f"{1 - smoothing!r} * {hits} + {smoothing / classes!r}"
    writer.add_line("else:")
    if is_few and not smoothing:
        writer.add_line(f"    check_range({names['y']}, {classes})")
    arguments = f"{z}, {target}, {names['weights']}, {names['dlogits']}"
    writer.add_line(f"    {names['loss']} = far_cross_entropy({arguments})")
    if is_few:  # the row of what is not a class is NaN
        writer.add_line(f"if not {names['loss']} < np.inf:")
        writer.add_line(f"    check_range({names['y']}, {classes})")
    for function in (check_range, shifted_exponentials, kernel):
        writer.add_helper(function_source(function))
    writer.add_helper(_FAR.format(kernel=kernel.__name__))
    loss = new_array(names["loss"], Constant((), dtype, np.empty((), dtype)))
    writer.plan.items[call] = {0: loss, 1: gradient}
    for name, location in locations.items():
        if name != "exponentials":
            writer.plan.free(location.buffer)
