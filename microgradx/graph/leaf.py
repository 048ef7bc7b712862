"""What may be set on a leaf: its values, and whether it requires gradients."""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING, Any

import numpy as np

from microgradx.arrays.types import Array, ArrayHolder, as_array, unwrap
from microgradx.common.messages import describe, warn_caller
from microgradx.graph.creation_order import creation_counter
from microgradx.graph.hooks import Hooks

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["Leaf"]


class Leaf(ArrayHolder):
    """The side of Tensor that may be changed, as long as no op made it."""

    __slots__ = ("_was_trained",)  # set where gradients are no longer required
    op: Any
    shape: tuple[int, ...]
    sequence_number: int
    inputs: tuple[Any, ...]
    _grad: Array
    _requires_grad: bool
    retains_grad: bool
    hooks: Hooks

    @property
    def data(self) -> Array:
        """The array itself. `t.data = v` gives it other values, of the same shape (leaves only).

        Where gradients are required, `v` is copied into the array that is there; a constant, which
        may share its array with others, takes a copy of `v` instead. The graph learns of it, and
        refuses a `backward` through results of the old values. It cannot see writes through the
        array, `t.data[...] = v`, nor into an array that an operand shares: avoid them while a
        graph that used it still waits for its `backward`.
        """
        return self.array

    @data.setter
    def data(self, value: Any) -> None:
        value = as_array(unwrap(value))
        if self.op is not None:
            raise ValueError(
                f"{describe(self)} is not a leaf, so its data cannot be set; set the data of the "
                "leaves it was computed from, or make a new Tensor"
            )
        if value.shape != self.shape:
            raise ValueError(
                f"data of shape {value.shape} cannot replace that of {describe(self)}; the shape "
                "must stay as it is: make a new Tensor for another shape"
            )
        if not self._requires_grad:
            self.array = self.array.copy()
        elif isinstance(self.array, np.ndarray) and not self.array.flags.writeable:
            raise ValueError(
                f"the array of {describe(self)} is read-only; make the Tensor from a copy, which "
                "mg.Tensor(array, requires_grad=True) takes"
            )
        np.copyto(self.array, value, casting="same_kind")
        self.mark_changed()

    @property
    def grad(self) -> Array:
        """The gradient that `backward` has added up: an array, or None. Of leaves, unless retained.

        It may be set to None, or to an array of the Tensor's shape.
        """
        if self._grad is None and self.op is not None and not self.retains_grad:
            self._warn_if_updated_by_hand()
        return self._grad

    @grad.setter
    def grad(self, value: Any) -> None:
        self._grad = value

    def _warn_if_updated_by_hand(self) -> None:
        """Warn that `w = w - 0.1 * w.grad` has made a result of w, which receives no gradient."""
        x: Any = self
        while x.op is not None:
            differentiable = [each for each in x.inputs if each.requires_grad]
            if len(differentiable) != 1 or differentiable[0].shape != self.shape:
                return
            x = differentiable[0]
        if x.grad is not None and self.op.name in ("subtract", "add"):
            warn_caller(
                f"the gradient of {describe(self)} is None: it is a result, and backward() fills "
                "`grad` of leaves; to update a leaf w and keep it one, write "
                "w.data = w.data - 0.1 * w.grad, and not w = w - 0.1 * w.grad"
            )

    def mark_changed(self) -> None:
        """Say that the array was written to: graphs that used its old values are now refused."""
        self.sequence_number = next(creation_counter)  # type: ignore[misc]

    def requires_grad_(self, value: bool = True) -> Self:
        """Set whether a leaf requires gradients (False also ends its hooks); returns the Tensor.

        Raises TypeError for what is not of floats, ValueError to set it False for a result.
        """
        if not isinstance(value, (bool, np.bool_)):
            raise TypeError(
                f"requires_grad must be True or False, not {value!r}; a dtype is given by dtype="
            )
        if self.op is not None and not value:
            raise ValueError(
                f"{describe(self)} was computed from Tensors that require gradients, so it does "
                "too; use t.detach() for its value alone"
            )
        if value and self.array.dtype.kind != "f":
            raise TypeError(
                f"only floats can require gradients, and {describe(self)} is not of floats; "
                "write 2.0 instead of 2, or pass dtype=float (np.float32, np.float64)"
            )
        if self._requires_grad and not value:
            self._was_trained = True
        self._requires_grad = bool(value)  # type: ignore[misc]
        if not value:
            self.hooks, self.retains_grad = (), False  # type: ignore[misc]
        return self

    # Read by C code, as most calls of ops ask for it.
    requires_grad = property(
        attrgetter("_requires_grad"),
        requires_grad_,
        doc="Whether gradients are computed for it, and for what is computed from it.",
    )

    @property
    def is_frozen(self) -> bool:
        """Whether it required gradients until `requires_grad_(False)`: no constant, but frozen."""
        return not self._requires_grad and hasattr(self, "_was_trained")

    @property
    def is_leaf(self) -> bool:
        """Whether no op made it, so that gradients end here."""
        return self.op is None

    def zero_grad(self) -> None:
        """Forget the accumulated gradient: `grad` is None again."""
        self._grad = None
