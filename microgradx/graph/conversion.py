"""Ways out of the graph: a Tensor as a plain array or number, which remembers nothing."""

from __future__ import annotations

from typing import Any

import numpy as np

from microgradx.arrays.types import NO_MASKED_ARRAYS, Array, ArrayHolder
from microgradx.common.messages import describe, warn_caller
from microgradx.graph.grad_mode import grad_enabled, transforming

__all__ = ["Conversion"]

_STAY = (
    "use NumPy's functions or microgradx's (mg.exp(t) for math.exp(t)), and build arrays by "
    "np.stack([...]) or by array = mg.as_tensor(array).at[i].set(t) for array[i] = t"
)


class Conversion(ArrayHolder):
    """The side of Tensor by which its values leave the graph, or are kept from it."""

    __slots__ = ()
    requires_grad: bool

    def numpy(self) -> Array:
        """The array itself, of a Tensor that requires no gradient; others: `detach()` first."""
        if self.requires_grad:
            raise TypeError(
                f"{describe(self)} requires gradients, and a plain array would drop out of the "
                "graph unnoticed; call NumPy's functions, np.dot(a, t) and not a.dot(t), join "
                "Tensors by np.stack or np.concatenate, or write t.detach().numpy() if a constant "
                "is what you want"
            )
        return self.array

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        return np.array(self.numpy(), dtype=dtype, copy=copy)

    @property
    def _data(self) -> Array:
        # numpy.ma asks its operands for it before all else: m * t would leave the graph unnoticed.
        raise TypeError(NO_MASKED_ARRAYS)

    def __float__(self) -> float:
        self._leave_graph("float")
        return float(self.array)

    def __int__(self) -> int:
        self._leave_graph("int")
        return int(self.array)

    def __round__(self, ndigits: int | None = None) -> Any:
        raise TypeError(
            f"round() of {describe(self)} gives no plain number; write np.round(t), whose "
            "gradient is 0, or round(t.item())"
        )

    def _leave_graph(self, kind: str) -> None:
        """Warn that a number remembers nothing; raise where a function is differentiated.

        The text is the same for every Tensor, so that each line warns once.
        """
        if not self.requires_grad:
            return
        if transforming.get():
            raise TypeError(
                f"{describe(self)} was to become a plain {kind}, by {kind}(t), by a function of "
                f"math's, or by an assignment array[i] = t, and would drop out of the gradient "
                f"unnoticed; {_STAY}; t.item() gives the number as a constant"
            )
        if grad_enabled.get():
            warn_caller(
                f"a Tensor that requires gradients becomes a plain {kind} here, through which no "
                f"gradient flows; if that is meant, write t.item() or t.detach(); if not, {_STAY}"
            )
