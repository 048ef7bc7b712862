"""Ways out of the graph: a Tensor as a plain array or number, which remembers nothing."""

from __future__ import annotations

from typing import Any

import numpy as np

from microgradx.arrays.types import NO_MASKED_ARRAYS, Array, ArrayHolder
from microgradx.common.messages import describe
from microgradx.graph.grad_mode import transforming

__all__ = ["Conversion"]


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
        self._refuse_to_leave("float")
        return float(self.array)

    def __int__(self) -> int:
        self._refuse_to_leave("int")
        return int(self.array)

    def _refuse_to_leave(self, kind: str) -> None:
        """Raise in a function that is being differentiated: its gradient would be wrong."""
        if self.requires_grad and transforming.get():
            raise TypeError(
                f"{describe(self)} was to become a plain {kind}, by {kind}(t), by a function of "
                "math's, or by an assignment array[i] = t, and would drop out of the gradient "
                "unnoticed; use NumPy's functions, and build arrays by np.stack([...]) or by "
                "array = mg.as_tensor(array).at[i].set(t); t.item() gives the number as a constant"
            )
