"""Derivations: how each element of an array is computed from the elements of others."""

from __future__ import annotations

from dataclasses import dataclass

from microgradx.arrays.types import Array


@dataclass(frozen=True, eq=False)
class Formula:
    """An elementwise formula: {x}, {y}, … in `template` are the operands, which broadcast."""

    template: str
    operands: dict[str, Array]


@dataclass(frozen=True, eq=False)
class Einsum:
    """Sums of products, with `subscripts` as in np.einsum, plus a bias if any."""

    subscripts: str
    operands: tuple[Array, ...]
    bias: Array | None = None


@dataclass(frozen=True, eq=False)
class Reduce:
    """A reduction along `axes`: an opening, the elements with a joiner between, a closing."""

    operand: Array
    axes: tuple[int, ...]
    opening: str
    joiner: str
    closing: str


@dataclass(frozen=True, eq=False)
class Gather:
    """Each element is a copy: `source` indexes the flattened, concatenated operands; -1 is a 0."""

    operands: tuple[Array, ...]
    source: Array


@dataclass(frozen=True, eq=False)
class LinearCombination:
    """A weighted sum of the operand's elements, plus a bias if any.

    `weights` has shape (operand.size, *result.shape), the operand's elements in C order.
    """

    operand: Array
    weights: Array
    bias: Array | None = None


Derivation = Formula | Einsum | Reduce | Gather | LinearCombination


def input_letter(position: int) -> str:
    """The name of an op's input in formulas: x, y, z, x4, x5, …"""
    return "xyz"[position] if position < 3 else f"x{position + 1}"


def input_letters(count: int) -> list[str]:
    """The names of all inputs of an op."""
    return [input_letter(position) for position in range(count)]
