"""The colours of drawings, on light and on dark backgrounds.

They are the colours of Okabe and Ito (2008), lightened or darkened, which readers with any colour
vision can tell apart.
"""

from __future__ import annotations

# Text. Its colours only emphasise what the words say.
INK = "#1b222b"
QUIET = "#5f6b78"
ALARM = "#c1121f"
CHANGED = "#8a4b00"

# The background.
PAPER = "#ffffff"

# Lines.
LINE = "#9aa4b0"
FRAME = "#b4bcc6"

#: The fill and border of each kind of box and node.
KINDS = {
    "input": ("#e1f0fa", "#2f7fb5"),
    "parameter": ("#fdf1dc", "#d58900"),
    "constant": (PAPER, QUIET),
    "intermediate": ("#f5f7f9", LINE),
    "output": ("#e0f2ec", "#00795a"),
    "not-finite": ("#fdeaea", ALARM),
    "block": ("#f3ecf6", "#8c5a9e"),
    "op": (PAPER, LINE),
    "chain": (PAPER, LINE),
}

#: From the most negative value over zero to the most positive one.
HEAT = (
    *("#1f6fb4", "#5a93c6", "#8db4d6", "#b9d1e4", "#dbe5ee"),
    "#f7f7f5",
    *("#f8e3d2", "#f2c7a4", "#eaa874", "#df8944", "#d1690b"),
)
_HEAT_IN_THE_DARK = (
    *("#5aa5e6", "#4f8abf", "#437098", "#395874", "#2f4254"),
    "#262c34",
    *("#4a4038", "#6f533c", "#976940", "#c48145", "#f0994a"),
)

#: The colours on a dark background.
DARK = {
    INK: "#e4e9ef",
    QUIET: "#9aa6b4",
    ALARM: "#ff8078",
    CHANGED: "#f0b35e",
    PAPER: "#14171c",
    LINE: "#66717e",
    FRAME: "#4a5460",
    "#e1f0fa": "#163041",
    "#2f7fb5": "#5aa9dc",
    "#fdf1dc": "#3a2e17",
    "#d58900": "#e8a735",
    "#f5f7f9": "#20262e",
    "#e0f2ec": "#14352c",
    "#00795a": "#3fb995",
    "#fdeaea": "#3b181b",
    "#f3ecf6": "#2f2436",
    "#8c5a9e": "#bd8fce",
    **dict(zip(HEAT, _HEAT_IN_THE_DARK, strict=True)),
}
