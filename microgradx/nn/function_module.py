"""A function as a module."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from microgradx.nn.module import Module

__all__ = ["FunctionModule"]


class FunctionModule(Module):
    """A function, and its settings: attributes with the names of the function's arguments."""

    function: Callable[..., Any]
    settings: tuple[str, ...] = ()

    def forward(self, *inputs: Any) -> Any:
        return self.function(*inputs, **{name: getattr(self, name) for name in self.settings})

    def extra_repr(self) -> str:
        values = ((name, getattr(self, name)) for name in self.settings)
        return ", ".join(f"{name}={value!r}" for name, value in values if value is not None)
