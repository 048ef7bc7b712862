"""Hooks: functions that are told of a Tensor's gradient, and may put another in its place."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from microgradx.array_methods import as_array, plain
from microgradx.messages import described

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["RemovableHook"]


class GradientHooks:
    """The side of Tensor that hooks are registered at."""

    __slots__ = ()
    #: None where no gradient is wanted, and so no hook is ever called.
    _hooks: tuple[Callable[[Any], Any], ...] | None

    def retain_grad(self) -> Self:
        """Let `backward` fill `grad` here too, though this is not a leaf; gives the Tensor."""
        if self._hooks is None:
            raise ValueError(f"{described(self)} requires no gradient, so it cannot retain one")
        if retain not in self._hooks:
            self._hooks += (retain,)  # type: ignore[misc]
        return self

    def register_hook(self, hook: Callable[[Any], Any]) -> RemovableHook:
        """Call `hook` with the gradient of this Tensor, whenever one has been computed.

        That is once in each `backward` or `autograd.grad`, when all contributions are added up.
        What the hook gives, unless None, goes on in the gradient's place, in its shape; the
        gradient itself is not to be written to. `remove()` of the result ends it. Drawings and
        gradcheck run no hooks.

        >>> import microgradx as mg
        >>> w = mg.Tensor([3.0, 4.0], requires_grad=True)
        >>> handle = w.register_hook(lambda g: g / 10)
        >>> w.sum().backward()
        >>> w.grad
        array([0.1, 0.1])
        >>> handle.remove()

        Raises ValueError if this requires no gradient, TypeError if `hook` cannot be called.
        """
        if self._hooks is None:
            raise ValueError(f"{described(self)} requires no gradient, so no hook is ever called")
        if not callable(hook):
            raise TypeError(f"a hook is a function of the gradient, not {hook!r}")
        # Wrapped, so that a function registered twice is two hooks.
        registered = partial(hook)
        self._hooks += (registered,)  # type: ignore[misc]
        return RemovableHook(self, registered)


class RemovableHook:
    """What `Tensor.register_hook` gives: `remove()` ends the hook, as does leaving a `with`."""

    def __init__(self, tensor: Any, hook: Callable[[Any], Any]) -> None:
        self._tensor = tensor
        self._hook = hook

    def remove(self) -> None:
        """Take the hook away; once it is gone, nothing happens."""
        hooks = self._tensor._hooks
        if hooks:
            self._tensor._hooks = tuple(hook for hook in hooks if hook is not self._hook)

    def __enter__(self) -> RemovableHook:
        return self

    def __exit__(self, *error: object) -> None:
        self.remove()


def retain(g: Any) -> None:
    """The hook that changes nothing: `backward` fills `grad` where it finds it."""


def hooked(tensor: Any, g: Any, create_graph: bool) -> Any:
    """The gradient of a Tensor after its hooks: an array, or with create_graph perhaps a Tensor."""
    for hook in tensor._hooks:
        answer = hook(g)
        if answer is None:
            continue
        if np.shape(plain(answer)) != tensor.shape:
            raise ValueError(
                f"a hook of {described(tensor)} gave a gradient of shape "
                f"{np.shape(plain(answer))}; it must have the Tensor's shape"
            )
        g = as_array(answer if create_graph else plain(answer))
        if g.dtype != tensor.dtype:
            g = g.astype(tensor.dtype)
    return g
