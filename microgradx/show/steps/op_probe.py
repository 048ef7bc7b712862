"""Probes of ops: an op is called again, on other inputs, to find out what it computes.

On symbols it records its formula. Positions instead of elements show where these are copied.
Gradients of single elements are the rows of its Jacobian. This works for user-defined ops too.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from microgradx.arrays.types import Array, as_read_only
from microgradx.engine import Op, Tensor
from microgradx.ops.elementwise import power
from microgradx.show.formulas.derivations import Derivation, input_letters
from microgradx.show.formulas.symbolic import literal, slot
from microgradx.show.formulas.verification import reproduces

__all__ = ["MAX_INPUTS", "OpProbe", "Finder", "first_that_reproduces", "distinct_numbers"]

#: Ops of arrays with more elements than this, or of more inputs, are not probed.
MAX_SIZE, MAX_INPUTS = 1 << 18, 100


class OpProbe:
    """The op that made a Tensor, to be called on other arrays; its own arrays are read-only."""

    def __init__(self, tensor: Tensor) -> None:
        assert tensor.op is not None
        self.op: Op = tensor.op
        self.out = as_read_only(tensor.data)
        self.inputs = tuple(as_read_only(x.data) for x in tensor.inputs)
        self.symbols = {
            letter: slot(letter, x)
            for letter, x in zip(input_letters(len(self.inputs)), self.inputs, strict=True)
        }
        if tensor.op is power and is_small_integer(tensor.inputs[1]):
            self.symbols["y"] = literal(self.inputs[1])  # x², not xʸ with 2 for y
        self.has_few_inputs = len(self.inputs) <= MAX_INPUTS
        self.is_small = (
            self.has_few_inputs and max(x.size for x in (self.out, *self.inputs)) <= MAX_SIZE
        )

    def forward(self, *inputs: Any) -> Any:
        op = self._copy()
        op.saved = None  # it belongs to the op's own inputs
        return op.forward(*inputs)

    def rule(self, position: int, g: Any, out: Any = None, inputs: tuple[Any, ...] = ()) -> Any:
        """The gradient at an input, by the op's rule, on its own or other arrays, or symbols."""
        op = self._copy()
        arguments = (g, self.out if out is None else out, *(inputs or self.inputs))
        return op.gradient_at(position, *arguments)

    def which_have_gradients(self, g: Any) -> list[bool]:
        """For each input, whether the rule returns a gradient at it."""
        op, arguments = self._copy(), (g, self.out, *self.inputs)
        if op.derivatives:
            return [derivative is not None for derivative in op.derivatives]
        return [gradient is not None for gradient in op.all_gradients(*arguments)]

    def _copy(self) -> Op:
        """The op with a copy of its saved arrays, which a backward may write to."""
        op = self.op.for_this_call()
        if op.saved is not None:
            op.saved = copy.deepcopy(op.saved)
        return op


def is_small_integer(exponent: Tensor) -> bool:
    """Whether a Tensor is a constant, and a small integer."""
    is_constant = exponent.size == 1 and not exponent.requires_grad
    return is_constant and np.asarray(exponent.data).item() in range(-9, 10)


def distinct_numbers(shape: tuple[int, ...], dtype: Any = np.float64) -> Array:
    """Random numbers: each differs from all others, and from sums of them."""
    return np.random.default_rng(7).uniform(0.5, 1.5, shape).astype(dtype)


Finder = Callable[[], Iterator[Derivation]]


def first_that_reproduces(finders: Iterable[Finder], value: Array) -> Derivation | None:
    """The first derivation that reproduces the value; a finder that raises finds none."""
    with np.errstate(all="ignore"):
        for find in finders:
            try:
                for derivation in find():
                    if reproduces(derivation, value):
                        return derivation
            except Exception:
                pass
    return None
