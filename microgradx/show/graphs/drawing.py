"""Drawings of computation graphs: for notebooks, and as files in several formats."""

from __future__ import annotations

import html
import os
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np

from microgradx.common.files import check_directory, replacing
from microgradx.common.messages import find_caller_frame, printable, warn_caller
from microgradx.engine import Tensor
from microgradx.show.graphs.dot import digraph
from microgradx.show.graphs.graph import Graph, build_graph
from microgradx.show.graphs.labels import count_elided, node_titles
from microgradx.show.graphs.mermaid import mermaid
from microgradx.show.graphs.rendering import RenderingError, render
from microgradx.show.graphs.svg import adapt_svg, inline_svg, notebook_svg
from microgradx.show.pages import render_page

__all__ = ["Drawing", "draw", "draw_dot"]

FORMATS = (".svg", ".png", ".pdf", ".dot", ".gv", ".mmd", ".html")


def draw(
    tensor: Tensor,
    *,
    gradients: bool = True,
    depth: int | None = None,
    expand: str | Iterable[str] = (),
    max_nodes: int = 200,
) -> Drawing:
    """The computation graph of a Tensor, from its leaves at the top down to itself.

    Boxes are Tensors: the name (its own, or that of your variable), shape, dtype, up to six
    elements (for larger arrays minimum, mean and maximum, and the means of up to 16 sections as
    colours), and likewise the gradient of the drawn Tensor with respect to them. The gradients are
    computed for the drawing only: no `grad` is read or written. There are none, and the drawing
    says why, if the drawn Tensor is not a single number, if a leaf was changed after use (its box
    says so), if the graph was released, or if the rule of an op fails. Boxes with NaN or infinities
    are red. Ellipses are ops; if the order of operands matters, x, y, z mark it.

    Frames are calls of modules and composed functions. Calls nested in more than `depth` others are
    closed, that is, drawn as one node (0: all are), except those named in `expand`. Equal closed
    calls in a row are one node that counts them. If there are more than `max_nodes` nodes and
    boxes, calls are closed from the deepest up, then straight runs of ops become one node each, and
    finally the oldest ops are left out, with a warning.

    Raises TypeError for anything but a Tensor, and ValueError for `max_nodes` below 1, `depth`
    below 0, and an unknown name in `expand`.

    >>> import microgradx as mg
    >>> w = mg.Tensor([1.0, -2.0], requires_grad=True)
    >>> mg.draw((w * w).sum())
    <Drawing of 5 nodes; .save("graph.svg") makes a picture of it>
    """
    if not isinstance(tensor, Tensor):
        raise TypeError(
            f"draw() needs the result of a computation on Tensors, not {type(tensor).__name__}"
        )
    if max_nodes < 1:
        raise ValueError(f"max_nodes must be at least 1, not {max_nodes}")
    if depth is not None and depth < 0:
        raise ValueError(f"depth must be 0 or more, or None to open every call, not {depth}")
    frame = find_caller_frame()
    with np.errstate(all="ignore"):  # the drawing shows what overflows
        graph = build_graph(
            tensor,
            frame,
            gradients=gradients,
            depth=depth,
            expand=(expand,) if isinstance(expand, str) else tuple(expand),
            max_nodes=max_nodes,
        )
    if graph.is_cut:
        warn_caller(
            f"the graph has more than max_nodes={max_nodes} nodes: {count_elided(graph)}, the "
            "oldest, are left out of the drawing; pass a larger max_nodes to see more of them"
        )
    return Drawing(graph)


def draw_dot(root: Tensor, format: str = "svg", rankdir: Literal["LR", "TB"] = "LR") -> Any:
    """micrograd's function of this name: the graph as a `graphviz.Digraph`, from left to right.

    `format` is what its `render` will write, "svg" or "png", say; `rankdir` is "LR" or "TB".
    """
    if rankdir not in ("LR", "TB"):
        raise ValueError(f'rankdir must be "LR" or "TB", not {rankdir!r}')
    dot = digraph(draw(root).graph, rankdir)
    dot.format = format
    return dot


class Drawing:
    """A computation graph, to be shown in a notebook or saved. Returned by `draw`."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph

    @property
    def nodes(self) -> int:
        """The number of boxes and nodes."""
        return self.graph.nodes

    @cached_property
    def digraph(self) -> Any:
        """The `graphviz.Digraph` behind the picture."""
        return digraph(self.graph)

    @property
    def source(self) -> str:
        """The graph in the DOT language; the same computation has the same source."""
        source: str = self.digraph.source
        return source

    def svg(self) -> str:
        """The picture as the text of an SVG file, for light and dark backgrounds.

        Raises RenderingError without Graphviz.
        """
        svg = render(self.source, "svg").decode()
        return adapt_svg(svg, printable(self.graph.title), node_titles(self.graph))

    def to_mermaid(self) -> str:
        """The graph as a flowchart in Mermaid's language, which GitHub draws in Markdown.

        If it exceeds GitHub's limits, more of the oldest ops are left out.
        """
        return mermaid(self.graph)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the picture to a file, in the format of its extension, and return its path.

        The formats are .svg, .png and .pdf; .html, a page with zoom and pan; .dot or .gv, source
        for Graphviz; and .mmd, source for Mermaid. If anything fails, the file is as before. Raises
        ValueError for another format, FileNotFoundError if the directory does not exist, and
        RenderingError without Graphviz.
        """
        path = Path(path)
        extension = path.suffix.lower()
        if extension not in FORMATS:
            raise ValueError(
                f"a drawing cannot be saved as {path.name!r}; end the name with one of "
                f"{', '.join(FORMATS)}"
            )
        check_directory(path)
        if extension in (".png", ".pdf"):
            content = render(self.source, extension[1:])
        elif extension == ".svg":
            content = self.svg().encode()
        elif extension == ".html":
            content = self._page().encode()
        elif extension == ".mmd":
            content = self.to_mermaid().encode()
        else:
            content = self.source.encode()
        with replacing(path) as temporary:
            temporary.write_bytes(content)
        return path

    def _page(self) -> str:
        title = printable(self.graph.title)
        picture = f'<div class="graph">{inline_svg(self.svg())}</div>'
        body = f'<main class="drawing"><h1>{html.escape(title)}</h1>{picture}</main>'
        return render_page(title, body, styles=["graph.css"], scripts=["graph.js", "drawing.js"])

    def __repr__(self) -> str:
        return f'<Drawing of {self.nodes} nodes; .save("graph.svg") makes a picture of it>'

    def _repr_html_(self) -> str | None:
        """What notebooks show, if Graphviz is installed."""
        return self._repr_mimebundle_().get("text/html")

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        """What notebooks show: the picture, or one line that says what is missing."""
        try:
            return {"text/html": notebook_svg(self.svg()), "text/plain": repr(self)}
        except RenderingError as error:
            return {"text/plain": str(error)}
