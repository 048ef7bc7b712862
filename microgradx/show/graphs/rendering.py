"""Renders DOT source with Graphviz, the program or pygraphviz, in a separate process."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys

HOW_TO_INSTALL = (
    "drawing pictures needs Graphviz: install it from your system's packages (its program is "
    'called dot), or run: pip install "microgradx[drawing]"'
)

#: In seconds. A graph that takes longer is too large to read.
TIME_LIMIT = 60

# The code of the separate process, with the module paths of this one.
_BY_PYGRAPHVIZ = """
import json, sys
sys.path[:] = json.loads(sys.argv[3])
from pygraphviz import AGraph
graph = AGraph(string=sys.stdin.buffer.read().decode())
sys.stdout.buffer.write(graph.draw(format=sys.argv[1], prog="dot", args=sys.argv[2]))
"""


class RenderingError(RuntimeError):
    """Graphviz is not installed, or it failed."""


def render(source: str, format: str) -> bytes:
    """The picture of a graph in the DOT language, as "svg", "png" or "pdf".

    Raises RenderingError if neither the program dot nor pygraphviz is installed, if they fail, or
    if they take longer than a minute.
    """
    settings = ["-Gdpi=144"] if format == "png" else []  # for high-resolution screens
    program = shutil.which("dot")
    if program is not None:
        command = [program, f"-T{format}", *settings]
    elif sys.executable and importlib.util.find_spec("pygraphviz") is not None:
        program = "pygraphviz"
        paths = json.dumps(sys.path, default=str)
        command = [sys.executable, "-I", "-c", _BY_PYGRAPHVIZ, format, " ".join(settings), paths]
    else:
        raise RenderingError(HOW_TO_INSTALL)
    try:
        run = subprocess.run(
            command, input=source.encode(), capture_output=True, check=False, timeout=TIME_LIMIT
        )
    except subprocess.TimeoutExpired:
        raise RenderingError(
            f"{program} did not lay out the graph in {TIME_LIMIT} seconds; draw fewer nodes, by "
            "max_nodes=50, say, or by closing calls: depth=0"
        ) from None
    if run.returncode or not run.stdout:
        errors = run.stderr.decode(errors="replace").strip().splitlines()
        raise RenderingError(
            f"{program} could not draw the graph as {format}: "
            f"{errors[-1] if errors else f'exit status {run.returncode}'}"
        )
    return run.stdout
