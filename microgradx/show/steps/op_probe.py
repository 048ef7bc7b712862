"""Ops applied to their arrays, to be looked into by applying them to others.

On symbols they write their formulas; positions in place of the elements show where these go; and
gradients of single elements give all derivatives. So users' ops are looked into as ours are.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from microgradx.arrays.types import Array, as_read_only
from microgradx.engine import Op, Tensor
from microgradx.ops.elementwise import power
from microgradx.show.steps.steps import How, letters
from microgradx.show.steps.symbolic import literal, slot
from microgradx.show.steps.verification import holds

__all__ = ["Application", "Finder", "first_that_holds", "probe"]

#: Arrays with more elements than this are not looked into.
LARGEST = 1 << 18


class Application:
    """An op's call, to be repeated on other arrays. What its own arrays hold cannot be changed."""

    def __init__(self, tensor: Tensor) -> None:
        assert tensor.op is not None
        self.op: Op = tensor.op
        self.out = as_read_only(tensor.data)
        self.inputs = tuple(as_read_only(x.data) for x in tensor.inputs)
        self.symbols = {
            letter: slot(letter, x)
            for letter, x in zip(letters(len(self.inputs)), self.inputs, strict=True)
        }
        if tensor.op is power and is_whole(tensor.inputs[1]):
            self.symbols["y"] = literal(self.inputs[1])  # x², and not xʸ with 2 for y
        self.is_small = max(x.size for x in (self.out, *self.inputs)) <= LARGEST

    def forward(self, *inputs: Any) -> Any:
        op = self._copy()
        op.saved = None  # which is of the op's own inputs
        return op.forward(*inputs)

    def rule(self, position: int, g: Any, out: Any = None, inputs: tuple[Any, ...] = ()) -> Any:
        """What the op's rule answers for an input, of these arrays or of others, or of symbols."""
        op = self._copy()
        arguments = (g, self.out if out is None else out, *(inputs or self.inputs))
        return op.gradient_at(position, *arguments)

    def answers(self, g: Array) -> list[int]:
        """The inputs for which the rule has an answer."""
        op = self._copy()
        answers = op.derivatives or op.all_gradients(g, self.out, *self.inputs)
        return [i for i, answer in enumerate(answers) if answer is not None]

    def _copy(self) -> Op:
        """The op with what it kept for its backward, which who asks first may use up."""
        op = self.op.for_this_call()
        if op.saved is not None:
            op.saved = copy.deepcopy(op.saved)
        return op


def is_whole(exponent: Tensor) -> bool:
    """Whether this is a constant, and a small whole number."""
    is_constant = exponent.size == 1 and not exponent.requires_grad
    return is_constant and np.asarray(exponent.data).item() in range(-9, 10)


def probe(shape: tuple[int, ...], dtype: Any = np.float64) -> Array:
    """Numbers by which an element can be told from any other, and from sums of them."""
    return np.random.default_rng(7).uniform(0.5, 1.5, shape).astype(dtype)


Finder = Callable[[], Iterator[How]]


def first_that_holds(finders: Iterable[Finder], value: Array) -> How | None:
    """The first `How` found that says the truth; one that fails on other arrays finds nothing."""
    with np.errstate(all="ignore"):
        for find in finders:
            try:
                for how in find():
                    if holds(how, value):
                        return how
            except Exception:
                pass
    return None
