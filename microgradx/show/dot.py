"""From a graph to Graphviz's DOT language: boxes, ellipses, arrows and frames."""

from __future__ import annotations

from typing import Any

from microgradx.engine import Tensor
from microgradx.recording import Scope
from microgradx.show.graph import Graph
from microgradx.show.labels import QUIET, box_label, escaped, op_label, printable, quiet

# Colours of Okabe and Ito (2008), lightened: readers with any colour vision can tell them apart,
# and in black and white the borders still differ.
KINDS = {
    "parameter": {"fillcolor": "#fdf1dc", "color": "#d58900", "penwidth": "1.5"},
    "constant": {"fillcolor": "#ffffff", "color": QUIET, "style": "filled,rounded,dashed"},
    "intermediate": {"fillcolor": "#edf4fa", "color": "#6a9cc4"},
    "output": {"fillcolor": "#e0f2ec", "color": "#00795a", "penwidth": "2.5"},
}
OP = {"color": "#9aa4b0"}
FRAME = {"style": "rounded", "color": "#b4bcc6", "fontcolor": QUIET, "labeljust": "l"}

FONT = {"fontname": "Helvetica,Arial,sans-serif"}
GRAPH = {
    **FONT,
    "fontsize": "11",
    "nodesep": "0.3",
    "ranksep": "0.3",
    "nslimit": "4",  # seconds instead of minutes where one leaf is used all the way down
}
NODE = {**FONT, "fontsize": "12", "margin": "0.08,0.03", "height": "0.3"}
EDGE = {
    **FONT,
    "fontsize": "10",
    "fontcolor": QUIET,
    "color": QUIET,
    "arrowsize": "0.6",
}

#: For these ops, which operand comes first makes no difference to the result.
COMMUTATIVE = {"add", "multiply", "maximum", "minimum"}


def digraph(graph: Graph) -> Any:
    """The `graphviz.Digraph` of a graph; the same computation gives the same source."""
    import graphviz

    whole = graphviz.Digraph(
        "computation graph",
        graph_attr={**GRAPH, "label": _caption(graph)},
        node_attr=NODE,
        edge_attr=EDGE,
    )
    # Ids count in the order of the computation, so that they are the same in every run.
    ids = {tensor: f"t{i}" for i, tensor in enumerate(graph.tensors, start=1)}
    _add_nodes(whole, graph, ids)
    _add_edges(whole, graph, ids)
    return whole


def _add_nodes(whole: Any, graph: Graph, ids: dict[Tensor, str]) -> None:
    import graphviz

    frames: dict[tuple[Scope, ...], Any] = {(): whole}
    for tensor, name in ids.items():
        scopes = tuple(graph.scopes[tensor])
        for depth, scope in enumerate(scopes, start=1):
            if scopes[:depth] not in frames:
                frames[scopes[:depth]] = graphviz.Digraph(
                    f"cluster{len(frames)}",
                    graph_attr={**FRAME, "label": f"<{escaped(scope.name)}>"},
                )
        look = {"style": "filled,rounded", **KINDS[_kind(tensor, graph)]}
        frames[scopes].node(name, box_label(tensor, graph), shape="box", **look)
        if tensor.op is not None:
            settings = graphviz.escape(printable(repr(tensor.op)))
            frames[scopes].node(f"{name}_op", op_label(tensor.op), tooltip=settings, **OP)
    # Each frame goes into the one around it when all that it holds is in place.
    for scopes in sorted(frames, key=len, reverse=True):
        if scopes:
            frames[scopes[:-1]].subgraph(frames[scopes])
    if graph.elided:
        more = f"… {graph.elided:,} more op{'' if graph.elided == 1 else 's'}"
        whole.node("elided", f"<{quiet(more)}>", shape="plaintext")


def _add_edges(whole: Any, graph: Graph, ids: dict[Tensor, str]) -> None:
    for tensor, name in ids.items():
        if tensor.op is None:
            continue
        ordered = len(tensor.inputs) > 1 and tensor.op.name not in COMMUTATIVE
        for i, x in enumerate(tensor.inputs):
            # Formulas call the inputs x, y, z. The letters stand on the upper side of the arrows,
            # if the first one comes from the left; from the third on, further from its head.
            letter = {
                "headlabel": "xyz"[i] if i < 3 else str(i + 1),
                "labelangle": ("-40", "40", "20")[min(i, 2)],
                "labeldistance": ("1.8", "1.8", "3.2")[min(i, 2)],
            }
            # The way through the ops is drawn straight, and the leaves stand beside it.
            weight = "1" if x.op is None else "5"
            whole.edge(
                ids.get(x, "elided"), f"{name}_op", weight=weight, **(letter if ordered else {})
            )
        whole.edge(f"{name}_op", name, weight="5")


def _kind(tensor: Tensor, graph: Graph) -> str:
    if tensor.op is None:
        return "parameter" if tensor.requires_grad else "constant"
    return "output" if tensor is graph.output else "intermediate"


def _caption(graph: Graph) -> str:
    """The legend of the kinds of boxes that there are, and what the gradients are of."""
    present = {_kind(tensor, graph) for tensor in graph.tensors}
    legend = ""
    for kind, look in KINDS.items():
        if kind in present:
            border = "2" if kind == "output" else "1"
            style = look.get("style", "rounded").removeprefix("filled,")
            legend += (
                f'<TD BORDER="{border}" STYLE="{style}" COLOR="{look["color"]}" '
                f'BGCOLOR="{look["fillcolor"]}">{quiet(kind)}</TD>'
            )
    rows = f"<TR>{legend}</TR>"
    if graph.note:
        rows += f'<TR><TD COLSPAN="{len(present)}">{quiet(escaped(graph.note))}</TD></TR>'
    return f'<<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="6" CELLPADDING="3">{rows}</TABLE>>'
