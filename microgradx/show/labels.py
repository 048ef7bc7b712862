"""What stands in the boxes and ellipses, written as Graphviz's HTML-like labels."""

from __future__ import annotations

import html
from typing import Any

import numpy as np

from microgradx.array_methods import Array
from microgradx.engine import Op, Tensor
from microgradx.show.graph import Graph

#: The largest number of elements that are all written out.
FEW = 6

# The colours of text only underline what the words say.
QUIET = "#66707c"
ALARM = "#c1121f"
CHANGED = "#8a4b00"


def printable(text: str) -> str:
    """Text in which line breaks, control characters and their like are spelt out."""
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text
    )


def escaped(text: str) -> str:
    """Text that a label shows as it is, and interprets no part of."""
    # Graphviz replaces \N, \G and the like, unless the backslash stands apart from the letter.
    return html.escape(printable(text)).replace("\\", "<FONT>&#92;</FONT>")


def quiet(text: str) -> str:
    return f'<FONT POINT-SIZE="10" COLOR="{QUIET}">{text}</FONT>'


def alarming(text: str) -> str:
    return f'<FONT COLOR="{ALARM}"><B>{text}</B></FONT>'


def number(value: Any) -> str:
    """A number of four significant digits, an integer in full; NaN and infinities in red."""
    if not isinstance(value, float):
        return str(value)
    if np.isnan(value):
        return alarming("NaN")
    return alarming(str(value)) if np.isinf(value) else f"{value + 0.0:.4g}"  # -0.0 + 0.0 is 0.0


def op_label(op: Op) -> str:
    lines = [escaped(op.name)] + ([quiet(escaped(op.formula))] if op.formula else [])
    rows = "".join(f"<TR><TD>{line}</TD></TR>" for line in lines)
    return f'<<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="0" CELLPADDING="0">{rows}</TABLE>>'


def box_label(tensor: Tensor, graph: Graph) -> str:
    """Name, shape and dtype; below, in columns, the values and the gradient."""
    title = [f"<B>{escaped(tensor.name)}</B>"] if tensor.name else []
    title.append(quiet(f"{tensor.shape} {tensor.dtype}"))
    if tensor in graph.changed:
        title.append(f'<FONT COLOR="{CHANGED}"><B>changed since</B></FONT>')
    rows = [] if tensor.size <= FEW else [["", *map(quiet, ("min", "mean", "max"))]]
    rows += _rows("value", tensor.data)
    if tensor in graph.gradients:
        rows += _rows("gradient", graph.gradients[tensor])
    elif graph.gradients and tensor.requires_grad:
        rows.append([quiet("gradient"), quiet("none")])
    columns = max(map(len, rows))
    return (
        '<<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="0" CELLPADDING="2">'
        f'<TR><TD ALIGN="LEFT" COLSPAN="{columns}">{"  ".join(title)}</TD></TR>'
        f"{''.join(map(_row, rows))}</TABLE>>"
    )


def _row(cells: list[str]) -> str:
    first, *others = cells
    numbers = "".join(f'<TD ALIGN="RIGHT">   {cell}</TD>' for cell in others)
    return f'<TR><TD ALIGN="LEFT">{first}</TD>{numbers}</TR>'


def _rows(what: str, array: Array) -> list[list[str]]:
    """The elements, laid out as they are in the array, or a summary of them if they are many."""
    array = np.asarray(array)
    if array.size == 0:
        return [[quiet(what), quiet("empty")]]
    if array.size > FEW:
        return [[quiet(what), *_summary(array)]]
    lines = array.reshape(-1, array.shape[-1] if array.ndim else 1)
    if array.dtype.kind == "f":
        lines = lines.astype(np.float64)  # whose elements are Python's floats
    return [["" if i else quiet(what), *map(number, line)] for i, line in enumerate(lines.tolist())]


def _summary(array: Array) -> list[str]:
    """Least, mean and greatest of the finite elements, and how many are not finite."""
    finite = array[np.isfinite(array)]
    if finite.size:
        # Divided first, so that a sum of large numbers cannot overflow.
        mean = np.sum(np.divide(finite, finite.size, dtype=np.float64))
        cells = [number(value.item()) for value in (finite.min(), mean, finite.max())]
    else:
        cells = ["", "", ""]
    for count, kind in ((np.isnan(array).sum(), "NaN"), (np.isinf(array).sum(), "inf")):
        if count:
            cells.append(alarming(f"{count} {kind}"))
    return cells
