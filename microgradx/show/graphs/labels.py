"""What stands in the nodes of a picture: as plain text, and as Graphviz's HTML-like labels."""

from __future__ import annotations

import html
from typing import Any

import numpy as np

from microgradx.common.messages import printable
from microgradx.show.graphs.collapsing import Call
from microgradx.show.graphs.graph import Box, Graph
from microgradx.show.graphs.palette import ALARM, CHANGED, FRAME, HEAT, QUIET
from microgradx.show.graphs.summaries import Summary
from microgradx.show.steps import numbers_in_formula

PLAIN = 'BORDER="0" CELLBORDER="0" CELLSPACING="0"'

# ---------------------------------------------------------------------------- plain text


def number(value: Any) -> str:
    """A number of four significant digits, an integer in full."""
    return numbers_in_formula.number(value) if isinstance(value, float) else str(value)


def counted(count: int, what: str) -> str:
    """A count in words: "1 op", "1,234 ops"."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def call_lines(call: Call) -> tuple[str, str]:
    """Of an op its name and formula; of several what they are, and how much is hidden."""
    op = call.members[0].op
    ops = counted(len(call.members), "op")
    if call.kind == "chain":
        return f"… {ops}", call.name
    if call.kind == "op" and op is not None:
        return op.name, op.formula
    inside = ops if len(call.members) > 1 or op is None else op.name
    parameters = sum(leaf.size for leaf in call.hidden if leaf.requires_grad)
    if parameters:
        inside += f" · {counted(parameters, 'parameter')}"
    return f"{call.name} ×{call.times:,}" if call.times > 1 else call.name, inside


def left_out(graph: Graph) -> str:
    """How much of a computation is not shown, in words."""
    if graph.elided:
        return counted(graph.elided, "op")
    inputs = {x for call in graph.calls.values() for x in call.inputs if x not in graph.boxes}
    return counted(len(inputs), "input")


def titles(graph: Graph) -> dict[str, str]:
    """What is said of each node, by its id, to those who point at it or cannot see it."""
    said = {id: repr(call.members[0].op) for id, call in graph.calls.items() if call.kind == "op"}
    for box in graph.boxes.values():
        name = f"{printable(box.name)}, " if box.name else ""
        said[box.id] = f"{name}{box.kind}, shape {box.value.shape}, {box.value.dtype}"
    return said


# ---------------------------------------------------------------------------- markup


def escaped(text: str) -> str:
    """Text that a label shows as it is, and interprets no part of."""
    # Graphviz replaces \N, \G and the like, unless the backslash stands apart from the letter.
    return html.escape(printable(text)).replace("\\", "<FONT>&#92;</FONT>")


def quiet(text: str) -> str:
    return f'<FONT POINT-SIZE="10" COLOR="{QUIET}">{text}</FONT>'


def alarming(text: str) -> str:
    return f'<FONT COLOR="{ALARM}"><B>{text}</B></FONT>'


def call_label(call: Call) -> str:
    """What is called, and below it more quietly what that is."""
    name, more = map(escaped, call_lines(call))
    if call.kind == "block":
        name = f"<B>{name}</B>"
    lines = [name, quiet(more)] if more else [name]
    rows = "".join(f"<TR><TD>{line}</TD></TR>" for line in lines)
    return f'<<TABLE {PLAIN} CELLPADDING="0">{rows}</TABLE>>'


def box_label(box: Box) -> str:
    """Name, shape and dtype; below, in columns, the values and the gradient."""
    title = [f"<B>{escaped(box.name)}</B>"] if box.name else []
    title.append(quiet(f"{box.value.shape} {box.value.dtype}"))
    if box.has_changed:
        title.append(f'<FONT COLOR="{CHANGED}"><B>changed since</B></FONT>')
    rows = [["", *map(quiet, ("min", "mean", "max"))]] if box.value.strip else []
    rows += _rows("value", box.value)
    if box.gradient is not None:
        rows += _rows("gradient", box.gradient)
    elif box.lacks_gradient:
        rows.append([quiet("gradient"), quiet("none")])
    columns = max(map(len, rows))
    return (
        f'<<TABLE {PLAIN} CELLPADDING="2">'
        f'<TR><TD ALIGN="LEFT" COLSPAN="{columns}">{"  ".join(title)}</TD></TR>'
        f"{''.join(map(_row, rows))}</TABLE>>"
    )


def _rows(what: str, shown: Summary) -> list[list[str]]:
    """The elements, laid out as they are in the array, or a summary of them if they are many."""
    if shown.lines:
        return [["" if i else quiet(what), *map(_cell, line)] for i, line in enumerate(shown.lines)]
    if not shown.strip:
        return [[quiet(what), quiet("empty")]]
    alarms = [alarming(alarm) for alarm in shown.alarms]
    cells = [_cell(value) for value in shown.spread] or [""] * (3 - len(alarms))
    return [[quiet(what), *cells, *alarms], [_strip(shown.strip)]]


def _row(cells: list[str]) -> str:
    if len(cells) == 1:  # a strip, as wide as the three columns above it
        return f'<TR><TD></TD><TD COLSPAN="3" ALIGN="RIGHT">{cells[0]}</TD></TR>'
    first, *others = cells
    numbers = "".join(f'<TD ALIGN="RIGHT">   {cell}</TD>' for cell in others)
    return f'<TR><TD ALIGN="LEFT">{first}</TD>{numbers}</TR>'


def _cell(value: Any) -> str:
    text = number(value)
    return text if np.isfinite(value) else alarming(text)


def _strip(means: list[float]) -> str:
    """Values as colours: blue below 0, orange above, the strongest in full."""
    largest = max((abs(mean) for mean in means if np.isfinite(mean)), default=0.0)
    cells = ""
    for mean in means:
        level = round(5 * mean / largest) if largest and np.isfinite(mean) else 0
        colour = HEAT[5 + level] if np.isfinite(mean) else ALARM
        cells += f'<TD BGCOLOR="{colour}" WIDTH="8" HEIGHT="8"></TD>'
    look = f'BORDER="1" COLOR="{FRAME}" CELLBORDER="0" CELLSPACING="0" CELLPADDING="0"'
    return f"<TABLE {look}><TR>{cells}</TR></TABLE>"
