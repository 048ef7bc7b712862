"""Adapts the SVGs of Graphviz to light and dark backgrounds, and adds tooltips."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping

from microgradx.show.graphs.palette import DARK
from microgradx.show.notebooks import theme_style

_NOTEBOOK_STYLE = f"""
.microgradx-drawing {{ overflow-x: auto; }}
.microgradx-drawing svg {{ max-width: 100%; height: auto; }}
{theme_style(".microgradx-drawing")}
"""


def adapt_svg(svg: str, description: str, titles: Mapping[str, str]) -> str:
    """Add a description, tooltips by node id, and colours for dark backgrounds to an SVG.

    Graphviz writes colours as attributes, which programs without CSS use. The added style gives
    each its dark counterpart.
    """

    def replace_title(match: re.Match[str]) -> str:
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
    svg = re.sub(r"<title>([^<]*)</title>\n", replace_title, svg)
    return re.sub(r"<svg ([^>]*)>", lambda tag: f"<svg {label} {tag[1]}>\n{style}", svg, count=1)


def inline_svg(svg: str) -> str:
    """The SVG as an element of an HTML page."""
    return svg[svg.index("<svg ") :]


def notebook_svg(svg: str) -> str:
    """The SVG as the output of a notebook cell."""
    # Without ids, which would not be unique with several drawings on a page.
    element = re.sub(r' id="[^"]*"', "", inline_svg(svg))
    return f'<div class="microgradx-drawing"><style>{_NOTEBOOK_STYLE}</style>\n{element}</div>'
