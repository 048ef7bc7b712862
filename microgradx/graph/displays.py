"""The side of Tensor that shows how it was computed: three methods, whose work is done in `show`.

`show` stands far above the engine and is loaded when it is first needed. So, as for the ops, a
table says what does the work; the package itself fills it, as it knows what is loaded when.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["Displays", "displays"]

#: From a method's name to what does its work.
displays: dict[str, Callable[..., Any]] = {}


class Displays:
    """What a Tensor shows of its graph; nothing here writes to it, nor to what it came from."""

    __slots__ = ()

    def draw(self, **settings: Any) -> Any:
        """The graph as a picture: notebooks show it, `.save("x.svg")` writes it; see `draw`."""
        return displays["draw"](self, **settings)

    def explain(self, path: Any = None, **settings: Any) -> Any:
        """A page that steps through the computation and its backpropagation; see `explain`."""
        return displays["explain"](self, path, **settings)

    def steps(self, **settings: Any) -> Any:
        """The steps of the computation and of its backpropagation, as text and as data."""
        return displays["steps"](self, **settings)
