"""Losses of single numbers whose derivatives a composition would lose at their ends."""

from __future__ import annotations

import numpy as np

from microgradx.engine import Op
from microgradx.ops.elementwise import TableRow

__all__ = ["FocalLoss", "binary_cross_entropy_of"]


class FocalLoss(Op):
    """x (1 - e⁻ˣ)ᵞ, with x = -ln p: the loss x, little of it where p is nearly 1.

    Its derivative is (1 - p)ᵞ (1 + γ x p / (1 - p)). That of a product would be 0 · ∞ where p is 0,
    and for γ < 1 where p is 1.
    """

    name = "focal_loss"
    formula = "x (1 - e⁻ˣ)ᵞ"

    def __init__(self, gamma: float = 2.0) -> None:
        self.gamma = gamma

    def forward(self, x):
        return x * np.negative(np.expm1(np.negative(x))) ** self.gamma

    def backward(self, g, out, x):
        x = np.minimum(x, 1000)  # beyond which p is 0 in any dtype
        is_0 = x == 0
        safe = np.where(is_0, 1, x)
        ratio = np.where(is_0, 1, safe * np.exp(-safe) / -np.expm1(-safe))  # x p / (1 - p)
        return g * (-np.expm1(-x)) ** self.gamma * (1 + self.gamma * ratio)


def _limited_log(p):
    """ln p, but at least -100."""
    is_0 = np.equal(p, 0)
    return np.where(is_0, -100, np.maximum(np.log(np.where(is_0, 1, p)), -100))


def _limited_reciprocal(p):
    """1 / p, but at most 10¹², or what the dtype can hold."""
    return 1 / np.maximum(p, max(1e-12, float(np.finfo(p.dtype).tiny)))


# The limits are PyTorch's.
# fmt: off

binary_cross_entropy_of = TableRow(
    lambda x, y: 0 - (y * _limited_log(x) + (1 - y) * _limited_log(1 - x)),
    "-y ln x - (1 - y) ln(1 - x)",
    lambda g, out, x, y: g * ((1 - y) * _limited_reciprocal(1 - x) - y * _limited_reciprocal(x)),
    lambda g, out, x, y: g * (_limited_log(1 - x) - _limited_log(x)), name="binary_cross_entropy")

# fmt: on
