"""One step of a computation or of its backpropagation: what is computed, from what, and how."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from microgradx.arrays.types import Array
from microgradx.engine import Tensor
from microgradx.show.formulas.derivations import Derivation


@dataclass(frozen=True, eq=False)
class Bars:
    """The intermediate values of a fused softmax: arrays of shape (rows, classes).

    Only the cross-entropy has `targets`, and `differences`, p - y.
    """

    logits: Array
    exponentials: Array  # of the logits minus the maximum of their row
    sums: Array  # (rows,)
    probabilities: Array
    targets: Array | None = None
    differences: Array | None = None


@dataclass(frozen=True, eq=False)
class Step:
    """One step.

    forward: `tensor` is computed from its inputs. seed: the gradient of the output starts as ones.
    backward: `tensor` contributes to the gradient of `receiver`, its input at `position`. sum: the
    contribution is summed over the axes along which the receiver was broadcast.
    """

    number: int  # from 1
    kind: Literal["forward", "seed", "backward", "sum"]
    tensor: Tensor
    receiver: Tensor  # in a forward step, the tensor itself
    value: Array  # the result, the seed, upstream times local, or the sum
    formula: str  # with the letters x, y, z, out, g
    derivation: Derivation | None  # of `value`; None if a line cannot say it
    position: int | None = None
    upstream: Array | None = None
    #: The derivative of each element, if it depends on one element of the input only.
    local: Array | None = None
    local_formula: str | None = None
    local_derivation: Derivation | None = None
    axes: tuple[int, ...] = ()
    #: Which contribution to the receiver's gradient, of how many; 0 if a sum step follows.
    contribution: int = 0
    contributions: int = 0
    total: Array | None = None  # the receiver's gradient so far, including this contribution
    bars: Bars | None = None


def axes_in_words(axes: tuple[int, ...]) -> str:
    """The axes of a sum in words: "axis 0", "axes 0 and 1"."""
    return f"{'axis' if len(axes) == 1 else 'axes'} {join_words(list(map(str, axes)))}"


def shorten_list(words: list[str], most: int = 8) -> list[str]:
    """The first words, and how many more there are.

    >>> shorten_list(["a", "b", "c", "d"], most=3)
    ['a', 'b', 'c', '1 more']
    """
    return words if len(words) <= most else [*words[:most], f"{len(words) - most:,} more"]


def join_words(words: list[str]) -> str:
    """Words with commas and an "and" between."""
    return " and ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))
