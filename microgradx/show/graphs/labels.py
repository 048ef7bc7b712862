"""Labels of the nodes of a graph, as plain text and in Graphviz's HTML."""

from __future__ import annotations

import html
from typing import Any

import numpy as np

from microgradx.common.messages import printable
from microgradx.show.formulas import numbers_in_formula
from microgradx.show.graphs.collapsing import OpNode
from microgradx.show.graphs.graph import Box, Graph
from microgradx.show.graphs.palette import ALARM, CHANGED, FRAME, HEAT, QUIET
from microgradx.show.graphs.summaries import Summary

PLAIN = 'BORDER="0" CELLBORDER="0" CELLSPACING="0"'

# ---------------------------------------------------------------------------- plain text


def format_value(value: Any) -> str:
    """A float with four significant digits, an integer in full."""
    return numbers_in_formula.format_number(value) if isinstance(value, float) else str(value)


def format_count(count: int, what: str) -> str:
    """A count with its noun: "1 op", "1,234 ops"."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def op_lines(node: OpNode) -> tuple[str, str]:
    """The name and formula of an op; for several, what they are and how much is hidden."""
    op = node.members[0].op
    ops = format_count(len(node.members), "op")
    if node.kind == "chain":
        return f"… {ops}", node.name
    if node.kind == "op" and op is not None:
        return op.name, op.formula
    inside = ops if len(node.members) > 1 or op is None else op.name
    parameters = sum(leaf.size for leaf in node.hidden if leaf.requires_grad)
    if parameters:
        inside += f" · {format_count(parameters, 'parameter')}"
    return f"{node.name} ×{node.times:,}" if node.times > 1 else node.name, inside


def count_elided(graph: Graph) -> str:
    """The number of ops that are left out, or of inputs, in words."""
    if graph.elided:
        return format_count(graph.elided, "op")
    inputs = {x for node in graph.op_nodes.values() for x in node.inputs if x not in graph.boxes}
    return format_count(len(inputs), "input")


def node_titles(graph: Graph) -> dict[str, str]:
    """Tooltips by node id, which screen readers read too."""
    texts = {
        id: repr(node.members[0].op) for id, node in graph.op_nodes.items() if node.kind == "op"
    }
    for box in graph.boxes.values():
        name = f"{printable(box.name)}, " if box.name else ""
        texts[box.id] = f"{name}{box.kind}, shape {box.value.shape}, {box.value.dtype}"
    return texts


# ---------------------------------------------------------------------------- markup


def escape(text: str) -> str:
    """Text that a label shows literally."""
    # Graphviz replaces \N and \G, unless the backslash is separated from the letter.
    return html.escape(printable(text)).replace("\\", "<FONT>&#92;</FONT>")


def small_text(text: str) -> str:
    return f'<FONT POINT-SIZE="10" COLOR="{QUIET}">{text}</FONT>'


def alarm_text(text: str) -> str:
    return f'<FONT COLOR="{ALARM}"><B>{text}</B></FONT>'


def op_label(node: OpNode) -> str:
    """The name in a first line, and the formula or contents in small text below."""
    name, more = map(escape, op_lines(node))
    if node.kind == "block":
        name = f"<B>{name}</B>"
    lines = [name, small_text(more)] if more else [name]
    rows = "".join(f"<TR><TD>{line}</TD></TR>" for line in lines)
    return f'<<TABLE {PLAIN} CELLPADDING="0">{rows}</TABLE>>'


def box_label(box: Box) -> str:
    """Name, shape and dtype; below them, in columns, the values and the gradient."""
    title = [f"<B>{escape(box.name)}</B>"] if box.name else []
    title.append(small_text(f"{box.value.shape} {box.value.dtype}"))
    if box.has_changed:
        title.append(f'<FONT COLOR="{CHANGED}"><B>changed since</B></FONT>')
    rows = [["", *map(small_text, ("min", "mean", "max"))]] if box.value.strip else []
    rows += value_rows("value", box.value)
    if box.gradient is not None:
        rows += value_rows("gradient", box.gradient)
    elif box.lacks_gradient:
        rows.append([small_text("gradient"), small_text("none")])
    columns = max(map(len, rows))
    return (
        f'<<TABLE {PLAIN} CELLPADDING="2">'
        f'<TR><TD ALIGN="LEFT" COLSPAN="{columns}">{"  ".join(title)}</TD></TR>'
        f"{''.join(map(_row, rows))}</TABLE>>"
    )


def value_rows(what: str, shown: Summary) -> list[list[str]]:
    """The elements in the array's own layout, or a summary if there are many."""
    if shown.lines:
        return [
            ["" if i else small_text(what), *map(_cell, line)] for i, line in enumerate(shown.lines)
        ]
    if not shown.strip:
        return [[small_text(what), small_text("empty")]]
    alarms = [alarm_text(alarm) for alarm in shown.alarms]
    cells = [_cell(value) for value in shown.spread] or [""] * (3 - len(alarms))
    return [[small_text(what), *cells, *alarms], [_strip(shown.strip)]]


def _row(cells: list[str]) -> str:
    if len(cells) == 1:  # a strip as wide as the three columns above
        return f'<TR><TD></TD><TD COLSPAN="3" ALIGN="RIGHT">{cells[0]}</TD></TR>'
    first, *others = cells
    numbers = "".join(f'<TD ALIGN="RIGHT">   {cell}</TD>' for cell in others)
    return f'<TR><TD ALIGN="LEFT">{first}</TD>{numbers}</TR>'


def _cell(value: Any) -> str:
    text = format_value(value)
    return text if np.isfinite(value) else alarm_text(text)


def _strip(means: list[float]) -> str:
    """Means as colours: blue below 0, orange above, the largest magnitude saturated."""
    largest = max((abs(mean) for mean in means if np.isfinite(mean)), default=0.0)
    cells = ""
    for mean in means:
        level = round(5 * mean / largest) if largest and np.isfinite(mean) else 0
        colour = HEAT[5 + level] if np.isfinite(mean) else ALARM
        cells += f'<TD BGCOLOR="{colour}" WIDTH="8" HEIGHT="8"></TD>'
    look = f'BORDER="1" COLOR="{FRAME}" CELLBORDER="0" CELLSPACING="0" CELLPADDING="0"'
    return f"<TABLE {look}><TR>{cells}</TR></TABLE>"
