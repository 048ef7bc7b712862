"""The `graphviz.Digraph` of a drawing, which needs no program: pygraphviz can draw it too."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import graphviz

from microgradx.show.graphs.rendering import RenderingError, render


class Digraph(graphviz.Digraph):  # type: ignore[misc]
    """A `graphviz.Digraph` that pygraphviz draws where the program dot is not installed.

    Raises RenderingError if neither is.
    """

    def pipe(
        self, format: str | None = None, *, encoding: str | None = None, **settings: Any
    ) -> Any:
        """The picture as bytes, or as text in an encoding."""
        try:
            return super().pipe(format, encoding=encoding, **settings)
        except graphviz.ExecutableNotFound:
            picture = render(self.source, format or self.format)
            return picture.decode(encoding) if encoding else picture

    def render(
        self,
        filename: Any = None,
        directory: Any = None,
        view: bool = False,
        cleanup: bool = False,
        format: str | None = None,
        outfile: Any = None,
        **settings: Any,
    ) -> str:
        """Write the source and, beside it, the picture; return the path of the picture."""
        settings |= {"directory": directory, "view": view, "cleanup": cleanup, "outfile": outfile}
        try:
            return str(super().render(filename, format=format, **settings))
        except graphviz.ExecutableNotFound:
            if outfile is not None:
                filename = filename or Path(outfile).with_suffix(".gv")
                format = format or Path(outfile).suffix[1:]
            picture = render(self.source, format or self.format)
            source = self.save(filename, directory=directory)
            path = outfile or f"{source}.{format or self.format}"
            Path(path).write_bytes(picture)
            if cleanup:
                os.remove(source)
            if view:
                graphviz.view(path)
            return str(path)

    def _repr_mimebundle_(self, *args: Any, **settings: Any) -> Any:
        """What notebooks show: the picture, or one line that says what is missing."""
        try:
            return super()._repr_mimebundle_(*args, **settings)
        except RenderingError as error:
            return {"text/plain": str(error)}
