"""HTML pages of one file each, with their styles, scripts and data inside.

A page requests nothing from the network: its content security policy forbids it.
"""

from __future__ import annotations

import html
import json
import os
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from microgradx.common.files import check_directory, replacing
from microgradx.show.notebooks import FOLLOW_THEME, theme_style

__all__ = ["Page", "read_asset", "render_page", "check_page_path"]

_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:; "
    "base-uri 'none'; form-action 'none'"
)


def render_page(
    title: str,
    body: str,
    *,
    styles: Sequence[str] = (),
    scripts: Sequence[str] = (),
    data: Any = None,
) -> str:
    """The text of an HTML file. `title` is text; `body` is markup.

    `styles` and `scripts` are files in `show/assets`; every page has page.css and numbers.js too.
    Scripts find `data`, as JSON, in the element with the id "data".
    """
    style = "\n".join(read_asset(name) for name in ("page.css", *styles))
    script = "\n".join(read_asset(name) for name in ("numbers.js", *scripts)) if scripts else ""
    # In a script element, only "</" and "<!--" are markup.
    content = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False).replace(
        "<", "\\u003c"
    )
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en">',
            "<head>",
            '<meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{html.escape(title)}</title>",
            f"<style>\n{style}\n</style>",
            "</head>",
            "<body>",
            body,
            f'<script type="application/json" id="data">{content}</script>' if scripts else "",
            f"<script>\n{script}\n</script>" if scripts else "",
            "</body>",
            "</html>",
            "",
        ]
    )


def read_asset(name: str) -> str:
    """The text of a file in `show/assets`."""
    return files("microgradx.show").joinpath("assets", name).read_text(encoding="utf-8").strip()


def check_page_path(path: str | os.PathLike[str]) -> Path:
    """`path` as a Path, if a page can be saved there. Raises before any work is done."""
    path = Path(path)
    if path.suffix.lower() not in (".html", ".htm"):
        raise ValueError(f"a page cannot be saved as {path.name!r}; end the name with .html")
    check_directory(path)
    return path


class Page:
    """A page: `html` is its text, `save` writes it to a file, notebooks show it."""

    #: The height of the frame in a notebook, in pixels.
    height = 720

    def __init__(self, html: str) -> None:
        self.html = html

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the page to a file whose name ends in .html, and return its path.

        If anything fails, the file is as before. Raises ValueError for another extension, and
        FileNotFoundError if the directory does not exist.
        """
        path = check_page_path(path)
        with replacing(path) as temporary:
            temporary.write_text(self.html, encoding="utf-8")
        return path

    def __repr__(self) -> str:
        return f'<{type(self).__name__}; .save("page.html") writes it to a file>'

    def _repr_html_(self) -> str:
        """What notebooks show: a frame, in which scripts run without access to the notebook."""
        return (
            f"<style>{theme_style('.microgradx-page')}</style>\n"
            f'<iframe class="microgradx-page" title="{html.escape(type(self).__name__)}" '
            f'style="width: 100%; height: {self.height}px; border: 0" '
            f'sandbox="allow-scripts" onload="{html.escape(FOLLOW_THEME)}" '
            f'srcdoc="{html.escape(self.html)}"></iframe>'
        )
