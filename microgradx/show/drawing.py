"""Drawings of computation graphs: Graphviz lays them out, notebooks show them, files keep them."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from microgradx.engine import Tensor
from microgradx.files import replacing
from microgradx.show.dot import digraph
from microgradx.show.graph import graph_behind
from microgradx.show.rendering import RenderingError, render

__all__ = ["Drawing", "draw"]

FORMATS = (".svg", ".png", ".pdf", ".dot", ".gv")


def draw(tensor: Tensor, *, gradients: bool = True, max_nodes: int = 200) -> Drawing:
    """The computation graph of a Tensor, from its leaves at the top down to itself.

    Boxes are Tensors: name, shape, dtype, up to six elements (of more, the least, the mean and the
    greatest), and likewise the gradient of the drawn Tensor with respect to them. The gradients
    are computed for the picture alone: no `grad` is read or written. There are none if the drawn
    Tensor is not a single number, if a leaf was changed since it was used (the box says which), or
    if the graph was freed; the picture says so. Ellipses are ops; where the order of operands
    matters, x, y, z say which is which. Frames are calls of composed functions and modules.

    Of a graph with more than `max_nodes` boxes and ellipses the newest part is drawn, with a
    warning. Raises TypeError for what is not a Tensor, and ValueError for `max_nodes` below 1.

    >>> import microgradx as mg
    >>> w = mg.Tensor([1.0, -2.0], requires_grad=True, name="w")
    >>> mg.draw((w * w).sum())
    <Drawing of 5 nodes; .save("graph.svg") makes a picture of it>
    """
    if not isinstance(tensor, Tensor):
        raise TypeError(
            f"draw() shows how a Tensor was computed, and was given {type(tensor).__name__}; "
            "give it the result of a computation on Tensors"
        )
    if max_nodes < 1:
        raise ValueError(f"max_nodes must be at least 1, not {max_nodes}")
    with np.errstate(all="ignore"):  # what overflows is seen in the picture
        graph = graph_behind(tensor, gradients, max_nodes)
        drawing = Drawing(digraph(graph), graph.nodes)
    if graph.elided:
        warnings.warn(
            f"the oldest ops of the graph, {graph.elided:,}, are left out of the drawing; pass a "
            f"larger max_nodes than {max_nodes} to draw them too",
            stacklevel=2,
        )
    return drawing


class Drawing:
    """A computation graph, ready to be shown in a notebook or saved. Made by `draw`.

    `digraph` is the `graphviz.Digraph` behind it.
    """

    def __init__(self, digraph: Any, nodes: int) -> None:
        self.digraph = digraph
        self.nodes = nodes

    @property
    def source(self) -> str:
        """The graph in Graphviz's DOT language; the same computation gives the same text."""
        source: str = self.digraph.source
        return source

    def svg(self) -> str:
        """The picture as the text of an SVG file. Raises RenderingError without Graphviz."""
        return render(self.source, "svg").decode()

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the picture to a file, in the format that its name ends in; gives the path.

        The formats are .svg, .png, .pdf, and .dot or .gv for the source alone. The file is
        complete or, if anything fails, as it was before. Raises ValueError for another format,
        FileNotFoundError if there is no such directory, and RenderingError without Graphviz.
        """
        path = Path(path)
        extension = path.suffix.lower()
        if extension not in FORMATS:
            raise ValueError(
                f"a drawing cannot be saved as {path.name!r}; end the name with one of "
                f"{', '.join(FORMATS)}"
            )
        if not path.parent.is_dir():
            raise FileNotFoundError(
                f"there is no directory {str(path.parent)!r} to save {path.name!r} in; create it "
                "first"
            )
        if extension in (".dot", ".gv"):
            content = self.source.encode()
        else:
            content = render(self.source, extension[1:])
        with replacing(path) as temporary:
            temporary.write_bytes(content)
        return path

    def __repr__(self) -> str:
        return f'<Drawing of {self.nodes} nodes; .save("graph.svg") makes a picture of it>'

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        """What notebooks show: the picture, or one line about what is missing for it."""
        try:
            return {"image/svg+xml": self.svg(), "text/plain": repr(self)}
        except RenderingError as error:
            return {"text/plain": str(error)}
