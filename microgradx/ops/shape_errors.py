"""Products of shapes that do not fit: which axes must have the same length, and what would fit.

Each function takes the error that NumPy raised and the operands, and returns an error that explains
it, or else the same one. In its text, {0}, {1} and so on stand for the names of the operands.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import numpy as np

from microgradx.common.messages import OperandError

__all__ = ["einsum_error", "last_axes_error", "linear_error", "matmul_error", "vecdot_error"]

Shape = tuple[int, ...]


def matmul_error(error: ValueError, *operands) -> ValueError:
    x, y = map(np.shape, operands)
    if not (x and y):
        reason = f"{{{1 if x else 0}}} has no axis to sum over; write {{0}} * {{1}}"
    elif x[-1] != y[_row_axis(y)]:
        reason = _unequal_lengths((0, x, len(x) - 1), (1, y, _row_axis(y)))
        reason += _suggest("{} @ {}", x, y, _matmul_fits) or (
            "; {1} @ {0} would fit" if _matmul_fits(y, x) else ""
        )
    elif not _broadcast(x[:-2], y[:-2]):
        reason = _unequal_stacks(x[:-2], y[:-2])
    else:
        return error
    return OperandError("matmul", operands, reason)


def vecdot_error(error: ValueError, *operands) -> ValueError:
    x, y = map(np.shape, operands)
    if not (x and y):
        reason = f"{{{1 if x else 0}}} has no axis to sum over"
    elif x[-1] != y[-1]:
        reason = _unequal_lengths((0, x, len(x) - 1), (1, y, len(y) - 1))
        reason += _suggest("vecdot({}, {})", x, y, _vecdot_fits)
    elif not _broadcast(x[:-1], y[:-1]):
        reason = _unequal_stacks(x[:-1], y[:-1])
    else:
        return error
    return OperandError("vecdot", operands, reason)


def linear_error(error: ValueError, *operands) -> ValueError:
    """Of an input and a weight, with a bias or without."""
    x, w, *rest = map(np.shape, operands)
    b = rest[0] if rest else w[:1]
    if not x or len(w) != 2:
        reason = "an input (…, in), a weight (out, in) and a bias (out,) are needed"
    elif x[-1] != w[1]:
        reason = _unequal_lengths((0, x, len(x) - 1), (1, w, 1))
        reason += ", since a weight has shape (out, in)"
        call = "linear({}, {}, {{2}})" if rest else "linear({}, {})"
        reason += _suggest(call, x, w, lambda x, w: x[-1] == w[1] and b == w[:1])
    elif not _broadcast((*x[:-1], w[0]), b):
        reason = f"the bias {{2}} must have shape ({w[0]},), one number for each output"
    else:
        return error
    return OperandError("linear", operands, reason)


def last_axes_error(function: str, a, b, axis: int) -> ValueError:
    """For a sum over the last axis of `a` and the given axis of `b`, as in np.inner and np.dot."""
    x, y = np.shape(a), np.shape(b)
    reason = _unequal_lengths((0, x, len(x) - 1), (1, y, len(y) + axis))
    reason += _suggest(f"{function}({{}}, {{}})", x, y, lambda x, y: x[-1] == y[axis])
    return OperandError(function, (a, b), reason)


def einsum_error(
    error: ValueError, subscripts: str, terms: Sequence[str], operands: Sequence[np.ndarray]
) -> ValueError:
    """`terms` are the letters of each operand."""
    shapes = [np.shape(x) for x in operands]
    if any(len(term) != len(shape) for term, shape in zip(terms, shapes, strict=True)):
        return error
    clash = _find_clash(terms, shapes)
    if clash is None:
        return error
    letter, i, j = clash
    reason = f"of the letter {letter!r}, " + _unequal_lengths(
        *((k, shapes[k], terms[k].index(letter)) for k in (i, j))
    )
    inputs, arrow, result = subscripts.partition("->")
    names = ", ".join(f"{{{k}}}" for k in range(len(terms)))
    expressions = []
    for k, term in enumerate(inputs.split(",")):
        transposed = [*terms[:k], term[::-1], *terms[k + 1 :]]
        if term == terms[k] and len(term) == 2 and _find_clash(transposed, shapes) is None:
            written = [*inputs.split(",")[:k], term[::-1], *inputs.split(",")[k + 1 :]]
            expressions.append(f'einsum("{",".join(written)}{arrow}{result}", {names})')
    return OperandError("einsum", operands, reason + _would_fit(expressions))


def _find_clash(terms: Sequence[str], shapes: Sequence[Shape]) -> tuple[str, int, int] | None:
    """A letter with two lengths, neither of them 1, and the two operands that have them."""
    found: dict[str, tuple[int, int]] = {}
    for k, (term, shape) in enumerate(zip(terms, shapes, strict=True)):
        for letter, length in zip(term, shape, strict=True):
            if length != 1:
                known, i = found.setdefault(letter, (length, k))
                if known != length and i != k:
                    return letter, i, k
    return None


# ---------------------------------------------------------------------------- reasons


def _unequal_lengths(*axes: tuple[int, Shape, int]) -> str:
    """What two axes must have in common, each given as operand, its shape, and axis."""
    return " must be as long as ".join(
        f"axis {axis} of {{{operand}}}, of length {shape[axis]}," for operand, shape, axis in axes
    ).removesuffix(",")


def _unequal_stacks(x: Shape, y: Shape) -> str:
    return f"the leading axes {x} of {{0}} and {y} of {{1}} do not broadcast"


def _broadcast(*shapes: Shape) -> bool:
    try:
        np.broadcast_shapes(*shapes)
    except ValueError:
        return False
    return True


# ---------------------------------------------------------------------------- remedies


def _row_axis(shape: Shape) -> int:
    """The axis of a right operand that matmul sums over."""
    return max(len(shape) - 2, 0)


def _matmul_fits(x: Shape, y: Shape) -> bool:
    return x[-1] == y[_row_axis(y)] and _broadcast(x[:-2], y[:-2])


def _vecdot_fits(x: Shape, y: Shape) -> bool:
    return x[-1] == y[-1] and _broadcast(x[:-1], y[:-1])


def _suggest(expression: str, x: Shape, y: Shape, fits: Callable[[Shape, Shape], bool]) -> str:
    """The expressions that would fit, of those with one of two operands transposed."""
    return _would_fit(
        [
            expression.format(f"{{0}}{i}", f"{{1}}{j}")
            for (i, of_x), (j, of_y) in itertools.product(_transposes(x), _transposes(y))
            if bool(i) != bool(j) and fits(of_x, of_y)
        ]
    )


def _transposes(shape: Shape) -> list[tuple[str, Shape]]:
    """A shape as it is, and transposed, with what to write for it."""
    if len(shape) < 2:
        return [("", shape)]
    transposed = (*shape[:-2], shape[-1], shape[-2])
    return [("", shape), (".T" if len(shape) == 2 else ".mT", transposed)]


def _would_fit(expressions: Sequence[str]) -> str:
    return f"; {' or '.join(expressions)} would fit" if expressions else ""
