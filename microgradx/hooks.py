"""The handle of a hook: a function that is told of a Tensor's gradient."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["RemovableHook"]


class RemovableHook:
    """What `Tensor.register_hook` gives: `remove()` ends the hook, as does leaving a `with`."""

    def __init__(self, tensor: Any, hook: Callable[[Any], Any]) -> None:
        self._tensor = tensor
        self._hook = hook

    def remove(self) -> None:
        """Take the hook away; once it is gone, nothing happens."""
        self._tensor._hooks = tuple(hook for hook in self._tensor._hooks if hook is not self._hook)

    def __enter__(self) -> RemovableHook:
        return self

    def __exit__(self, *error: object) -> None:
        self.remove()
