"""Graphviz's SVGs, made to follow a light or a dark surround, and to say what a pointer is on."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping

from microgradx.show.graphs.palette import DARK

# By what notebooks mark their pages with; elsewhere the reader's system decides.
_IN_NOTEBOOKS = """
.microgradx-drawing { color-scheme: light dark; overflow-x: auto; }
.microgradx-drawing svg { max-width: 100%; height: auto; }
[data-jp-theme-light="true"] .microgradx-drawing,
:is(.vscode-light, .light) .microgradx-drawing { color-scheme: light; }
[data-jp-theme-light="false"] .microgradx-drawing,
:is(.vscode-dark, .dark) .microgradx-drawing { color-scheme: dark; }
"""


def adapt_svg(svg: str, description: str, titles: Mapping[str, str]) -> str:
    """An SVG with a description, titles of nodes by their ids, and colours for the dark.

    Graphviz writes colours as attributes, which other programs than browsers go by. The style that
    is added gives each its counterpart.
    """

    def titled(match: re.Match[str]) -> str:
        title = titles.get(match[1])
        return f"<title>{html.escape(title)}</title>\n" if title else ""

    rules = [
        f'.microgradx [{attribute}="{light}"] {{ {attribute}: light-dark({light}, {dark}); }}'
        for light, dark in DARK.items()
        for attribute in ("fill", "stroke")
        if f'{attribute}="{light}"' in svg
    ]
    style = "\n".join(["<style>", "svg:root { color-scheme: light dark; }", *rules, "</style>"])
    label = f'role="img" aria-label="{html.escape(description)}"'
    svg = re.sub(r"<title>([^<]*)</title>\n", titled, svg)
    return re.sub(r"<svg ([^>]*)>", lambda tag: f"<svg {label} {tag[1]}>\n{style}", svg, count=1)


def inline_svg(svg: str) -> str:
    """The SVG as an element of an HTML page."""
    return svg[svg.index("<svg ") :]


def notebook_svg(svg: str) -> str:
    """The SVG as the output of a notebook's cell."""
    # Ids would not be the only ones of their kind where several drawings are on a page.
    element = re.sub(r' id="[^"]*"', "", inline_svg(svg))
    return f'<div class="microgradx-drawing"><style>{_IN_NOTEBOOKS}</style>\n{element}</div>'
