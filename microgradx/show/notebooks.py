"""How what is shown in a notebook follows its theme, light or dark."""

from __future__ import annotations

__all__ = ["FOLLOW_THEME", "theme_style"]

#: What notebooks, and sites made of them, mark their pages with.
_LIGHT = (
    '[data-jp-theme-light="true"], .vscode-light, .vscode-high-contrast-light, .light, '
    '[data-theme="light"]'
)
_DARK = (
    '[data-jp-theme-light="false"], .vscode-dark, .dark, [data-theme="dark"], [theme="dark"], '
    ".vscode-high-contrast:not(.vscode-high-contrast-light)"
)

#: The `onload` of a frame, whose page may not look at the notebook around it: tells it the theme,
#: and again when the marks change.
FOLLOW_THEME = """\
((frame) => {
  const tell = () =>
    frame.contentWindow?.postMessage({ theme: getComputedStyle(frame).colorScheme }, "*");
  const observer = new MutationObserver(() =>
    frame.isConnected ? tell() : observer.disconnect());
  for (const marked of [document.documentElement, document.body])
    observer.observe(marked, { attributes: true });
  tell();
})(this)"""


def theme_style(selector: str) -> str:
    """CSS for elements that have the colours of the notebook; elsewhere the system decides."""
    return (
        f"{selector} {{ color-scheme: light dark; }}\n"
        f":is({_LIGHT}) {selector} {{ color-scheme: light; }}\n"
        f":is({_DARK}) {selector} {{ color-scheme: dark; }}"
    )
