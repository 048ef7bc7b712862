"""Graphs in the DOT language of Graphviz: boxes, ellipses, arrows and frames."""

from __future__ import annotations

from collections import Counter
from typing import Any

from microgradx.show.graphs.clusters import Cluster
from microgradx.show.graphs.graph import Graph
from microgradx.show.graphs.labels import (
    PLAIN,
    box_label,
    count_elided,
    escape,
    op_label,
    small_text,
)
from microgradx.show.graphs.palette import FRAME, HEAT, INK, KINDS, PAPER, QUIET

# Borders tell the kinds apart in black and white too.
BORDERS = {
    "input": {"style": "filled"},
    "parameter": {"style": "filled,rounded", "penwidth": "2"},
    "constant": {"style": "filled,rounded,dashed"},
    "intermediate": {"style": "filled,rounded"},
    "output": {"style": "filled,rounded", "peripheries": "2"},
}
SHAPES = {
    "op": {"style": "filled"},
    "block": {"style": "filled", "shape": "box3d", "margin": "0.15,0.1"},
    "chain": {"style": "filled,dashed"},
}

FONT = {"fontname": "Helvetica,Arial,sans-serif", "fontcolor": INK}
GRAPH = {
    **FONT,
    "fontsize": "11",
    "nodesep": "0.3",
    "ranksep": "0.3",
    "nslimit": "4",  # seconds instead of minutes if one leaf is used throughout
    "bgcolor": PAPER,
    "class": "microgradx",
}
NODE = {**FONT, "fontsize": "12", "margin": "0.08,0.03", "height": "0.3"}
EDGE = {**FONT, "fontsize": "10", "fontcolor": QUIET, "color": QUIET, "arrowsize": "0.6"}
FRAMES = {"style": "rounded", "color": FRAME, "fontcolor": QUIET, "labeljust": "l"}


def digraph(graph: Graph, rankdir: str = "TB") -> Any:
    """The `graphviz.Digraph` of a graph; the same computation gives the same source."""
    from microgradx.show.graphs.digraph import Digraph  # imports graphviz, which takes a while

    whole = Digraph(
        "computation graph",
        graph_attr={**GRAPH, "label": _caption(graph), "rankdir": rankdir},
        node_attr=NODE,
        edge_attr=EDGE,
    )
    _add_nodes(whole, graph)
    _add_arrows(whole, graph)
    return whole


def _add_nodes(whole: Any, graph: Graph) -> None:
    import graphviz

    parts: dict[Cluster | None, Any] = {None: whole}
    for cluster, id in graph.clusters.items():
        label = f"<{escape(cluster.scope.name)}>"
        attributes = {**FRAMES, "label": label, "id": id, "class": "frame"}
        parts[cluster] = graphviz.Digraph(id, graph_attr=attributes)
    for box in graph.boxes.values():
        fill, border = KINDS[box.kind if box.is_finite else "not-finite"]
        look = {"shape": "box", **BORDERS[box.kind], "fillcolor": fill, "color": border}
        look["class"] = box.kind if box.is_finite else f"{box.kind} not-finite"
        parts[box.cluster].node(box.id, box_label(box), id=box.id, **look)
    for id, node in graph.op_nodes.items():
        fill, border = KINDS[node.kind]
        look = {**SHAPES[node.kind], "fillcolor": fill, "color": border, "class": node.kind}
        parts[node.cluster].node(id, op_label(node), id=id, **look)
    if graph.is_cut:
        fill, border = KINDS["chain"]
        look = {**SHAPES["chain"], "fillcolor": fill, "color": border, "class": "elided"}
        whole.node("elided", f"<… {count_elided(graph)}>", id="elided", **look)
    # The innermost first: each is complete before it is added to the one around it.
    for cluster in sorted(graph.clusters, key=lambda cluster: -cluster.depth):
        parts[cluster.around].subgraph(parts[cluster])


def _add_arrows(whole: Any, graph: Graph) -> None:
    boxes = {box.id: box for box in graph.boxes.values()}
    leaves = {box.id for box in graph.boxes.values() if box.tensor.op is None}
    # Ops with a parameter in their own cluster. Their inputs from outside are placed above the
    # cluster: beside the parameters, they would push each cluster further to the side.
    with_parameters = {
        arrow.head
        for arrow in graph.arrows
        if arrow.tail in leaves
        and boxes[arrow.tail].cluster is graph.op_nodes[arrow.head].cluster is not None
    }
    beside = Counter((arrow.tail, arrow.head) for arrow in graph.arrows)
    for arrow in graph.arrows:
        # The path through the ops is straight, with the leaves beside it.
        look = {"weight": "1" if arrow.tail in leaves else "5"}
        if arrow.head in with_parameters:
            tail = boxes.get(arrow.tail)
            if tail is None or tail.cluster is not graph.op_nodes[arrow.head].cluster:
                look["minlen"] = "2"
        if arrow.letter or arrow.times > 1:
            # Letters go on the upper side of the arrows if the first arrow comes from the left, and
            # on the outer sides of parallel arrows.
            is_later, is_parallel = arrow.position > 0, beside[arrow.tail, arrow.head] > 1
            look |= {
                "headlabel": arrow.letter or f"×{arrow.times:,}",
                "labelangle": "40" if is_later != is_parallel else "-40",
                "labeldistance": "1.8",
            }
        whole.edge(arrow.tail, arrow.head, id=arrow.id, **look)


def _caption(graph: Graph) -> str:
    """The legend of the kinds of boxes in the graph, and its note."""
    present = {box.kind for box in graph.boxes.values()}
    legend = "".join(_sample(kind) for kind in BORDERS if kind in present)
    if any(box.value.strip for box in graph.boxes.values()):
        below, above = (
            f'<TD BGCOLOR="{colour}" WIDTH="8" HEIGHT="7" FIXEDSIZE="TRUE"></TD>'
            for colour in (HEAT[0], HEAT[-1])
        )
        cells = f"{below}<TD>{small_text('negative')}</TD>{above}<TD>{small_text('positive')}</TD>"
        legend += f'<TD><TABLE {PLAIN} CELLPADDING="3"><TR>{cells}</TR></TABLE></TD>'
    rows = f"<TR>{legend}</TR>"
    if graph.note:
        rows += f'<TR><TD COLSPAN="9">{small_text(escape(graph.note))}</TD></TR>'
    return f'<<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="6" CELLPADDING="3">{rows}</TABLE>>'


def _sample(kind: str) -> str:
    """A cell that looks like the boxes of a kind."""
    (fill, border), look = KINDS[kind], BORDERS[kind]
    style = look["style"].removeprefix("filled").removeprefix(",")
    attributes = f'BORDER="{look.get("penwidth", "1")}" COLOR="{border}" BGCOLOR="{fill}"'
    if style:
        attributes += f' STYLE="{style}"'
    text = small_text(kind)
    if "peripheries" in look:
        rows = f"<TR><TD>{text}</TD></TR>"
        text = f'<TABLE {attributes} CELLBORDER="0" CELLSPACING="0" CELLPADDING="2">{rows}</TABLE>'
        return f'<TD {attributes} CELLPADDING="2">{text}</TD>'
    return f"<TD {attributes}>{text}</TD>"
