"""A computation and its backpropagation, step by step: what is computed, from what, and how."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from microgradx.arrays.types import Array
from microgradx.engine import Tensor


def letters(count: int) -> list[str]:
    """What formulas call the inputs of an op: x, y, z, x4, x5, …"""
    return [*"xyz"[:count], *(f"x{i}" for i in range(4, count + 1))]


# ---------------------------------------------------------------------------- how elements arise


@dataclass(frozen=True, eq=False)
class Formula:
    """Each element by a formula of the operands' elements at its place.

    In `template`, {x}, {y}, … stand for the operands, which broadcast to the result.
    """

    template: str
    operands: dict[str, Array]


@dataclass(frozen=True, eq=False)
class Products:
    """Each element as a sum of products, with `subscripts` as in np.einsum, plus a bias if any."""

    subscripts: str
    operands: tuple[Array, ...]
    bias: Array | None = None


@dataclass(frozen=True, eq=False)
class Reduced:
    """Each element from all of the operand's along `axes`: opening, elements joined, closing."""

    operand: Array
    axes: tuple[int, ...]
    opening: str
    joiner: str
    closing: str


@dataclass(frozen=True, eq=False)
class Picked:
    """Each element is one of the operands', which are counted through; -1 is a 0 filled in."""

    operands: tuple[Array, ...]
    source: Array


@dataclass(frozen=True, eq=False)
class Weighted:
    """Each element as a sum of the operand's, weighed, plus a bias if any.

    `weights` are of shape (operand.size, *result.shape), the operand's elements in C order.
    """

    operand: Array
    weights: Array
    bias: Array | None = None


How = Formula | Products | Reduced | Picked | Weighted

# ---------------------------------------------------------------------------- steps


@dataclass(frozen=True, eq=False)
class Bars:
    """What a fused softmax computes on the way, for each row: arrays of (rows, classes).

    `targets` and `differences`, p - y, are there for the cross-entropy alone.
    """

    logits: Array
    exponentials: Array  # of the logits, shifted by their row's largest
    sums: Array  # (rows,)
    probabilities: Array
    targets: Array | None = None
    differences: Array | None = None


@dataclass(frozen=True, eq=False)
class Step:
    """One step.

    forward: `tensor` is computed from its inputs. seed: the gradient at the output begins as ones.
    backward: `tensor` passes its gradient on to `receiver`, the input at `position`. sum: what was
    passed on is summed over the axes along which the receiver was broadcast.
    """

    number: int  # from 1
    kind: Literal["forward", "seed", "backward", "sum"]
    tensor: Tensor
    receiver: Tensor  # of a forward step, the tensor itself
    value: Array  # what the step gives: the result, the seed, upstream times local, the sum
    formula: str  # with the letters x, y, z, out, g
    how: How | None  # of `value`; None where it takes more than a line to say
    position: int | None = None
    upstream: Array | None = None
    #: The derivative of each element by the one at its place, where there is only this one.
    local: Array | None = None
    local_formula: str | None = None
    local_how: How | None = None
    axes: tuple[int, ...] = ()
    #: Which contribution to the receiver's gradient, of how many; 0 where the sum still follows.
    contribution: int = 0
    contributions: int = 0
    total: Array | None = None  # the receiver's gradient so far, with this contribution
    bars: Bars | None = None


def axes_in_words(axes: tuple[int, ...]) -> str:
    """What a sum goes over: "axis 0", "axes 0 and 1"."""
    return f"{'axis' if len(axes) == 1 else 'axes'} {listed(list(map(str, axes)))}"


def listed(words: list[str]) -> str:
    """Words with commas and an "and" between them."""
    return " and ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))
