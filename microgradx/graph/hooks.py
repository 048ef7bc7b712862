"""Hooks: functions that are told of a Tensor's gradient, and may put another in its place."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from microgradx.arrays.types import as_array, unwrap
from microgradx.common.messages import describe

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["GradientHooks", "Hooks", "RemovableHook", "apply_hooks"]

#: In the order of their registration; a dict, so that many can be added and removed.
Hooks = dict[Callable[[Any], Any], None] | tuple[()]


class GradientHooks:
    """The side of Tensor that is told of its gradient."""

    __slots__ = ()
    requires_grad: bool
    hooks: Hooks
    retains_grad: bool

    def retain_grad(self) -> Self:
        """Let `backward` fill `grad` here too, though this is not a leaf; returns the Tensor.

        Raises ValueError if this requires no gradient.
        """
        if not self.requires_grad:
            raise ValueError(f"{describe(self)} requires no gradient, so it cannot retain one")
        self.retains_grad = True  # type: ignore[misc]
        return self

    def register_hook(self, hook: Callable[[Any], Any]) -> RemovableHook:
        """Call `hook` with the gradient of this Tensor, whenever one has been computed.

        That is once in each `backward` or `autograd.grad`, when all contributions are added up.
        What the hook returns, unless None, replaces the gradient, and must have its shape; the
        gradient itself must not be written to. `remove()` of the result ends it. Drawings and
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
        if not self.requires_grad:
            raise ValueError(f"{describe(self)} requires no gradient, so no hook is ever called")
        if not callable(hook):
            raise TypeError(f"a hook is a function of the gradient, not {hook!r}")
        # Wrapped, so that a function registered twice is two hooks.
        registered = partial(hook)
        if isinstance(self.hooks, tuple):
            self.hooks = {}  # type: ignore[misc]
        self.hooks[registered] = None
        return RemovableHook(self, registered)


class RemovableHook:
    """What `Tensor.register_hook` returns: `remove()` ends the hook, as does leaving a `with`."""

    def __init__(self, tensor: Any, hook: Callable[[Any], Any]) -> None:
        self._tensor = tensor
        self._hook = hook

    def remove(self) -> None:
        """Remove the hook; if it has been removed before, nothing happens."""
        if self._tensor.hooks:
            self._tensor.hooks.pop(self._hook, None)
            self._tensor.hooks = self._tensor.hooks or ()

    def __enter__(self) -> RemovableHook:
        return self

    def __exit__(self, *error: object) -> None:
        self.remove()


def apply_hooks(tensor: Any, g: Any, create_graph: bool) -> Any:
    """The gradient of a Tensor after its hooks: an array, or with create_graph perhaps a Tensor."""
    for hook in tuple(tensor.hooks):  # a hook may remove itself
        replacement = hook(g)
        if replacement is None:
            if hasattr(g, "refuse_observer"):  # a traced array, whose program calls no hooks
                g.refuse_observer(hook)
            continue
        if np.shape(unwrap(replacement)) != tensor.shape:
            raise ValueError(
                f"a hook of {describe(tensor)} returned a gradient of shape "
                f"{np.shape(unwrap(replacement))}; it must have the Tensor's shape"
            )
        g = as_array(replacement if create_graph else unwrap(replacement))
        if g.dtype != tensor.dtype:
            g = g.astype(tensor.dtype)
    return g
