"""Graphs as flowcharts in Mermaid's language, which GitHub draws in Markdown."""

from __future__ import annotations

from collections.abc import Iterable

from microgradx.common.messages import printable
from microgradx.show.graphs.clusters import Cluster
from microgradx.show.graphs.graph import Box, Graph
from microgradx.show.graphs.labels import count_elided, format_value, op_lines
from microgradx.show.graphs.palette import FRAME, INK, KINDS
from microgradx.show.graphs.summaries import Summary

# GitHub's limits.
MAX_CHARACTERS = 50_000
MAX_ARROWS = 500

# Lines are not wrapped.
UNWRAPPED = '%%{init: {"flowchart": {"wrappingWidth": 1000}}}%%'

# These start a line break, a formula or an icon, even as codes.
SPECIAL = "\\$:"

# Shapes and borders tell the kinds apart in black and white too.
SHAPES = {
    "input": ("[", "]"),
    "parameter": ("(", ")"),
    "constant": ("(", ")"),
    "intermediate": ("(", ")"),
    "output": ("(", ")"),
    "op": ("([", "])"),
    "block": ("[[", "]]"),
    "chain": ("([", "])"),
}
BORDERS = {
    "parameter": ",stroke-width:3px",
    "constant": ",stroke-dasharray:5 3",
    "output": ",stroke-width:5px",
    "chain": ",stroke-dasharray:5 3",
}


def mermaid(graph: Graph) -> str:
    """The flowchart of a graph; more of the oldest ops are left out if it would be too large."""
    text = _flowchart(graph)
    while (len(text) > MAX_CHARACTERS or len(graph.arrows) > MAX_ARROWS) and graph.nodes > 3:
        graph = graph.keep_newest(graph.nodes * 4 // 5)
        text = _flowchart(graph)
    return text


def _flowchart(graph: Graph) -> str:
    parts: dict[Cluster | None, list[str]] = {cluster: [] for cluster in (None, *graph.clusters)}
    for box in graph.boxes.values():
        look = box.kind if box.is_finite else "not-finite"
        parts[box.cluster].append(_node(box.id, _box_lines(box), box.kind, look))
    for id, node in graph.op_nodes.items():
        parts[node.cluster].append(_node(id, map(escape, op_lines(node)), node.kind, node.kind))
    if graph.is_cut:
        parts[None].append(_node("elided", [f"… {count_elided(graph)}"], "chain", "chain"))
    # The innermost first: each is complete before it is added to the one around it.
    for cluster in sorted(graph.clusters, key=lambda cluster: -cluster.depth):
        inside = [f"  {line}" for line in parts[cluster]]
        title = f'subgraph {graph.clusters[cluster]}["{escape(cluster.scope.name)}"]'
        parts[cluster.around] += [title, *inside, "end", f"class {graph.clusters[cluster]} frame"]
    arrows = []
    for arrow in graph.arrows:
        said = arrow.letter or (f"×{arrow.times:,}" if arrow.times > 1 else "")
        arrows.append(f"{arrow.tail} -->{f'|{said}|' if said else ''} {arrow.head}")
    looks = [
        f"classDef {kind} fill:{fill},stroke:{border},color:{INK}{BORDERS.get(kind, '')}"
        for kind, (fill, border) in KINDS.items()
    ]
    looks.append(f"classDef frame fill:none,stroke:{FRAME}")
    lines = [f"  {line}" for line in (*parts[None], *arrows, *looks)]
    return "\n".join([UNWRAPPED, "flowchart TB", *lines, ""])


def _node(id: str, lines: Iterable[str], shape: str, look: str) -> str:
    opening, closing = SHAPES[shape]
    return f'{id}{opening}"{"<br/>".join(filter(None, lines))}"{closing}:::{look}'


def _box_lines(box: Box) -> list[str]:
    title = f"{escape(box.name)} · " if box.name else ""
    title += f"{box.value.shape} {box.value.dtype}"
    lines = [f"{title} · changed since" if box.has_changed else title]
    lines.append(f"value {describe_values(box.value)}")
    if box.gradient is not None:
        lines.append(f"gradient {describe_values(box.gradient)}")
    elif box.lacks_gradient:
        lines.append("gradient none")
    return lines


def describe_values(shown: Summary) -> str:
    """The elements of an array, or a summary if there are many."""
    if shown.lines:
        return "; ".join(", ".join(map(format_value, line)) for line in shown.lines)
    values = zip(("min", "mean", "max"), map(format_value, shown.spread), strict=False)
    return ", ".join([*map(" ".join, values), *shown.alarms]) or "empty"


def escape(text: str) -> str:
    """Text that a label shows literally: all but letters and digits as Mermaid's codes."""
    # Some would still start a line break, a formula or an icon: a zero-width space follows them.
    return "".join(
        c if c.isalnum() or c in " _·×…" else f"#{ord(c)};{'#8203;' if c in SPECIAL else ''}"
        for c in printable(text)
    )
