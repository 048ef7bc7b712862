"""From DOT source to pictures, by whichever Graphviz there is."""

from __future__ import annotations

import shutil
import subprocess

HOW_TO_INSTALL = (
    "drawing pictures needs Graphviz: install it from your system's packages (its program is "
    'called dot), or run: pip install "microgradx[drawing]"'
)


class RenderingError(RuntimeError):
    """There is no Graphviz, or it failed."""


def render(source: str, format: str) -> bytes:
    """The picture of a graph in the DOT language, as "svg", "png" or "pdf".

    Raises RenderingError if neither the program dot nor pygraphviz is installed, or if they fail.
    """
    settings = "-Gdpi=144" if format == "png" else ""  # sharp on today's screens
    program = shutil.which("dot")
    if program is None:
        return _by_pygraphviz(source, format, settings)
    command = [program, f"-T{format}", *settings.split()]
    run = subprocess.run(command, input=source.encode(), capture_output=True, check=False)
    if run.returncode or not run.stdout:
        said = run.stderr.decode(errors="replace").strip().splitlines()
        raise RenderingError(
            f"{program} could not draw the graph as {format}: "
            f"{said[-1] if said else f'exit status {run.returncode}'}"
        )
    return run.stdout


def _by_pygraphviz(source: str, format: str, settings: str) -> bytes:
    try:
        import pygraphviz
    except ImportError as error:
        raise RenderingError(HOW_TO_INSTALL) from error
    try:
        picture: bytes = pygraphviz.AGraph(string=source).draw(
            format=format, prog="dot", args=settings
        )
    except (ValueError, OSError) as error:
        raise RenderingError(f"pygraphviz could not draw the graph as {format}: {error}") from error
    return picture
