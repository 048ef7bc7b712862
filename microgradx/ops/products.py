"""Products of matrices, of vectors, and of arrays of any number of axes.

They raise ValueError for shapes that do not fit, and say which transpose would (`shape_errors`).
"""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from functools import lru_cache, partial
from string import ascii_letters, ascii_lowercase, ascii_uppercase
from typing import Any, Literal

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from microgradx.arrays.dispatch import implements
from microgradx.arrays.summation import (
    FEW,
    SHORT,
    compute_wide,
    multiply_matrices,
    sum_rows,
)
from microgradx.arrays.types import as_array
from microgradx.engine import Op
from microgradx.ops.elementwise import multiply
from microgradx.ops.shape_errors import (
    einsum_error,
    last_axes_error,
    linear_error,
    matmul_error,
    vecdot_error,
)
from microgradx.ops.shapes import expand_dims, reshape, squeeze

__all__ = [
    "matmul",
    "linear",
    "dot",
    "vdot",
    "inner",
    "outer",
    "kron",
    "vecdot",
    "matvec",
    "vecmat",
    "tensordot",
    "multi_dot",
    "cross",
    "convolve",
    "correlate",
    "einsum",
]


def _matmul_by_x(g, out, x, y):
    if y.ndim == 1:
        return np.expand_dims(g, -1) * y
    if x.ndim == 1:
        return np.squeeze(multiply_matrices(np.expand_dims(g, -2), np.swapaxes(y, -1, -2)), -2)
    return multiply_matrices(g, np.swapaxes(y, -1, -2))  # g yᵀ


def _matmul_by_y(g, out, x, y):
    if y.ndim == 1:
        return x * np.expand_dims(g, -1)
    if x.ndim == 1:
        return np.expand_dims(x, -1) * np.expand_dims(g, -2)
    return multiply_matrices(np.swapaxes(x, -1, -2), g)  # xᵀ g


class Matmul(Op):
    """The product of matrices, of stacks of them, or with vectors, as numpy.matmul.

    A vector on the left counts as a row, on the right as a column; leading axes broadcast. Raises
    ValueError for shapes that do not fit, and for single numbers.

    >>> matmul([[1, 2], [3, 4]], [1, 1])
    array([3, 7])
    """

    formula = "x y"
    derivatives = (_matmul_by_x, _matmul_by_y)

    def forward(self, x, y):
        try:
            return multiply_matrices(as_array(x), as_array(y))
        except ValueError as error:
            raise matmul_error(error, x, y) from None


matmul = implements(np.matmul, np.linalg.matmul)(Matmul())


class Linear(Op):
    """A linear layer, x wᵀ + b, as one node: x of shape (…, in), weight (out, in), bias (out,).

    >>> linear([[1, 2]], [[1, 1], [1, -1]], [10, 20])
    array([[13, 19]])
    """

    formula = "x yᵀ + z"
    derivatives = (
        lambda g, out, x, w, b: multiply_matrices(g, w),
        lambda g, out, x, w, b: multiply_matrices(_flatten_rows(g).T, _flatten_rows(x)),
        lambda g, out, x, w, b: sum_rows(g) if g.ndim == 2 else g,
    )

    def forward(self, x, w, b):
        try:
            if type(x) is not np.ndarray or x.ndim != 2:
                return multiply_matrices(as_array(x), np.transpose(w)) + b
            out = multiply_matrices(x, w.T)
            if out.dtype is not b.dtype:
                return out + b
            out += b
            return out
        except ValueError as error:
            raise linear_error(error, x, w, b) from None


def _flatten_rows(x):
    """x as a matrix, with all leading axes as one."""
    return x if x.ndim == 2 else np.reshape(x, (math.prod(x.shape[:-1]), x.shape[-1]))


linear = implements("linear")(Linear())

# ---------------------------------------------------------------------------- compositions


@implements(np.dot)
def dot(a: Any, b: Any) -> Any:
    """`a · b` of numbers, vectors, matrices; else over the last axis of `a` and the last but one.

    >>> dot([1, 2], [3, 4])
    np.int64(11)
    """
    if np.ndim(a) == 0 or np.ndim(b) == 0:
        return multiply(a, b)
    if np.ndim(b) == 1 or (np.ndim(a) <= 2 and np.ndim(b) == 2):
        return matmul(a, b)
    if np.shape(a)[-1] != np.shape(b)[-2]:
        raise last_axes_error("dot", a, b, -2)
    return tensordot(a, b, axes=(-1, -2))


@implements(np.vdot)
def vdot(a: Any, b: Any, /) -> Any:
    """The sum of the products of all elements of two arrays of one size, of any shape.

    >>> vdot([[1, 2], [3, 4]], [1, 1, 1, 1])
    np.int64(10)
    """
    return matmul(reshape(a, -1), reshape(b, -1))


@implements(np.inner)
def inner(a: Any, b: Any, /) -> Any:
    """The sums of products along the last axes of both; with a single number, the product.

    >>> inner([[1, 2], [3, 4]], [1, 1])
    array([3, 7])
    """
    if np.ndim(a) == 0 or np.ndim(b) == 0:
        return multiply(a, b)
    if np.shape(a)[-1] != np.shape(b)[-1]:
        raise last_axes_error("inner", a, b, -1)
    return tensordot(a, b, axes=(-1, -1))


@implements(np.outer, np.linalg.outer)
def outer(a: Any, b: Any) -> Any:
    """`a bᵀ`, the product of each element of `a` with each of `b`; both are flattened.

    >>> outer([1, 2], [3, 4])
    array([[3, 4],
           [6, 8]])
    """
    return multiply(reshape(a, (-1, 1)), reshape(b, (1, -1)))


@implements(np.kron)
def kron(a: Any, b: Any) -> Any:
    """The Kronecker product `a ⊗ b`: `b` once for each element of `a`, times that element.

    >>> kron([1, 10], [1, 2])
    array([ 1,  2, 10, 20])
    """
    ndim = max(np.ndim(a), np.ndim(b))
    rows = (1,) * (ndim - np.ndim(a)) + np.shape(a)
    columns = (1,) * (ndim - np.ndim(b)) + np.shape(b)
    # Each axis of the result is one of `a` and one of `b`, side by side.
    products = multiply(
        reshape(a, [n for row in rows for n in (row, 1)]),
        reshape(b, [n for column in columns for n in (1, column)]),
    )
    return reshape(products, [m * n for m, n in zip(rows, columns, strict=True)])


class Vecdot(Op):
    formula = "Σ x · y"
    derivatives = (
        lambda g, out, x, y: np.expand_dims(g, -1) * y,
        lambda g, out, x, y: np.expand_dims(g, -1) * x,
    )

    def forward(self, x, y):
        try:
            x, y = as_array(x), as_array(y)
            count = max(x.shape[-1:], default=0)
            return compute_wide(np.vecdot, 1 if count <= SHORT else count, x, y)  # by BLAS
        except ValueError as error:
            raise vecdot_error(error, x, y) from None


_vecdot = Vecdot()


@implements(np.vecdot, np.linalg.vecdot)
def vecdot(x1: Any, x2: Any, /, *, axis: int = -1) -> Any:
    """The dot products of the vectors along an axis; the other axes broadcast.

    >>> vecdot([[1, 2], [3, 4]], [1, 10])
    array([21, 43])
    """
    x1, x2 = (x if axis == -1 else np.moveaxis(x, axis, -1) for x in (x1, x2))
    return _vecdot(x1, x2)


# NumPy has the next two since 2.2.


@implements(getattr(np, "matvec", "matvec"))
def matvec(x1: Any, x2: Any, /) -> Any:
    """The products of matrices (…, m, n) with vectors (…, n): unlike `matmul`, of stacks of both.

    >>> matvec([[1, 2], [3, 4]], [[1, 0], [0, 1]])
    array([[1, 3],
           [2, 4]])
    """
    return squeeze(matmul(x1, expand_dims(x2, -1)), -1)


@implements(getattr(np, "vecmat", "vecmat"))
def vecmat(x1: Any, x2: Any, /) -> Any:
    """The products of vectors (…, m) with matrices (…, m, n).

    >>> vecmat([[1, 0], [0, 1]], [[1, 2], [3, 4]])
    array([[1, 2],
           [3, 4]])
    """
    return squeeze(matmul(expand_dims(x1, -2), x2), -2)


@implements(np.tensordot, np.linalg.tensordot)
def tensordot(a: Any, b: Any, axes: Any = 2) -> Any:
    """The sums of products over axes of `a` paired with axes of `b`; the other axes stay.

    `axes` is a number n, for the last n axes of `a` and the first n of `b`, or a pair: the axes (or
    the axis) of `a`, and those of `b`.

    >>> tensordot([[1, 2], [3, 4]], [[1, 0], [0, 1]])
    array(5)
    """
    try:
        of_a, of_b = axes
    except TypeError:
        count = operator.index(axes)
        of_a, of_b = range(np.ndim(a) - count, np.ndim(a)), range(count)
    of_a = normalize_axis_tuple(of_a, np.ndim(a))
    of_b = normalize_axis_tuple(of_b, np.ndim(b))
    lengths = [np.shape(a)[i] for i in of_a]
    if lengths != [np.shape(b)[i] for i in of_b]:
        raise ValueError(
            f"tensordot of shapes {np.shape(a)} and {np.shape(b)}: axes {of_a} of the first and "
            f"{of_b} of the second are summed together, so they must have the same lengths"
        )
    rest_a = [i for i in range(np.ndim(a)) if i not in of_a]
    rest_b = [i for i in range(np.ndim(b)) if i not in of_b]
    shape_a = [np.shape(a)[i] for i in rest_a]
    shape_b = [np.shape(b)[i] for i in rest_b]
    summed = math.prod(lengths)
    x = np.reshape(np.transpose(a, [*rest_a, *of_a]), (math.prod(shape_a), summed))
    y = np.reshape(np.transpose(b, [*of_b, *rest_b]), (summed, math.prod(shape_b)))
    return np.reshape(matmul(x, y), shape_a + shape_b)


@implements(np.linalg.multi_dot)
def multi_dot(arrays: Sequence[Any]) -> Any:
    """The product of several matrices, in the order that takes the fewest multiplications.

    The first may be a vector that counts as a row, the last one that counts as a column.

    Source: Cormen et al., Introduction to Algorithms, 'Matrix-chain multiplication'.

    >>> multi_dot([[[1, 2], [3, 4]], [[0, 1], [1, 0]], [1, 1]])
    array([3, 7])
    """
    if len(arrays) < 2:
        raise ValueError(f"multi_dot needs at least two arrays, not {len(arrays)}")
    ndims = [np.ndim(x) for x in arrays]
    if not {ndims[0], ndims[-1]} <= {1, 2} or set(ndims[1:-1]) - {2}:
        raise np.linalg.LinAlgError(
            f"multi_dot of shapes {[np.shape(x) for x in arrays]}: all must be matrices, "
            "except the first and the last, which may be vectors"
        )
    shapes = [np.shape(x) for x in arrays]
    shapes[0] = shapes[0] if ndims[0] == 2 else (1, *shapes[0])
    shapes[-1] = shapes[-1] if ndims[-1] == 2 else (*shapes[-1], 1)
    lengths = [*(rows for rows, _ in shapes), shapes[-1][1]]

    # The least cost of the product of arrays i to j, and where it is split.
    best: dict[tuple[int, int], tuple[int, int]] = {(i, i): (0, i) for i in range(len(arrays))}
    for span in range(1, len(arrays)):
        for i in range(len(arrays) - span):
            j = i + span
            best[i, j] = min(
                (
                    best[i, k][0]
                    + best[k + 1, j][0]
                    + lengths[i] * lengths[k + 1] * lengths[j + 1],
                    k,
                )
                for k in range(i, j)
            )

    def product(i: int, j: int):
        k = best[i, j][1]
        return arrays[i] if i == j else matmul(product(i, k), product(k + 1, j))

    return product(0, len(arrays) - 1)


@implements(np.cross)
def cross(
    a: Any, b: Any, axisa: int = -1, axisb: int = -1, axisc: int = -1, axis: int | None = None
) -> Any:
    """The cross product of vectors along an axis of each: perpendicular to both.

    `axisc` is the axis of the result, and `axis` is for all three. A vector of two components has a
    third that is 0; of two such vectors, the result is the third component alone. Raises ValueError
    for other vectors.

    >>> cross([1, 0, 0], [0, 1, 0])
    array([0, 0, 1])
    """
    if axis is not None:
        axisa = axisb = axisc = axis
    a, b = np.moveaxis(as_array(a), axisa, -1), np.moveaxis(as_array(b), axisb, -1)
    m, n = a.shape[-1], b.shape[-1]
    if not {m, n} <= {2, 3}:
        raise ValueError(
            f"cross of vectors of {m} and {n} components; they must have 3, or 2 and a third of 0"
        )
    (a0, a1, a2), (b0, b1, b2) = ([*_components(x), 0][:3] for x in (a, b))
    last = a0 * b1 - a1 * b0
    if m == n == 2:
        return last
    vector = np.broadcast_arrays(a1 * b2 - a2 * b1, a2 * b0 - a0 * b2, last)
    return np.moveaxis(np.stack(vector), 0, axisc)


@implements(np.linalg.cross)
def _cross_of_three(x1: Any, x2: Any, /, *, axis: int = -1) -> Any:
    """`cross` of vectors of three components."""
    for x in (x1, x2):
        if np.shape(x)[axis] != 3:
            raise ValueError(f"np.linalg.cross of {np.shape(x)[axis]} components; np.cross takes 2")
    return cross(x1, x2, axis=axis)


def _components(x):
    return [x[..., i] for i in range(x.shape[-1])]


# ---------------------------------------------------------------------------- convolution


class Convolve(Op):
    """The full convolution of two sequences: yₖ₋ᵢ is the factor of xᵢ in the result's element k."""

    name = "convolve"
    formula = "Σᵢ xᵢ yₖ₋ᵢ"
    derivatives = (
        lambda g, out, x, y: compute_wide(np.correlate, len(y), g, y),
        lambda g, out, x, y: compute_wide(np.correlate, len(x), g, x),
    )

    def forward(self, x, y):
        return compute_wide(np.convolve, min(len(x), len(y)), x, y)


_convolve = Convolve()


def _middle(full, m: int, n: int, mode: str, *, is_late: bool = False):
    """The part of a full convolution of m and n elements that a mode keeps."""
    lengths = {"full": m + n - 1, "same": max(m, n), "valid": abs(m - n) + 1}
    if mode not in lengths:
        raise ValueError(f"mode must be {', '.join(map(repr, lengths))}, not {mode!r}")
    if min(m, n) == 0:
        raise ValueError(f"{m} and {n} elements cannot be convolved: there must be one of each")
    start = (m + n - 1 - lengths[mode] + is_late) // 2
    return full()[start : start + lengths[mode]]


@implements(np.convolve)
def convolve(a: Any, v: Any, mode: Literal["full", "same", "valid"] = "full") -> Any:
    """The convolution of two sequences, Σᵢ aᵢ vₖ₋ᵢ: what a filter `v` makes of a signal `a`.

    Of m and n elements "full" has m + n - 1, "same" the middle max(m, n), and "valid" those
    |m - n| + 1 where all of the shorter one is used. Raises ValueError for no elements.

    >>> convolve([1, 2, 3], [1, 10])
    array([ 1, 12, 23, 30])
    """
    a, v = _as_sequence(a), _as_sequence(v)
    return _middle(lambda: _convolve(a, v), len(a), len(v), mode)


@implements(np.correlate)
def correlate(a: Any, v: Any, mode: Literal["full", "same", "valid"] = "valid") -> Any:
    """The correlation of two sequences, Σᵢ aₖ₊ᵢ vᵢ: the convolution with `v` reversed.

    >>> correlate([1, 2, 3], [10, 1])
    array([12, 23])
    """
    a, v = _as_sequence(a), _as_sequence(v)
    # NumPy's "same" of an odd difference, if `v` is the longer one, is cut off one element later.
    return _middle(lambda: _convolve(a, v[::-1]), len(a), len(v), mode, is_late=len(a) < len(v))


def _as_sequence(x):
    x = np.atleast_1d(as_array(x))
    if x.ndim != 1:
        raise ValueError(
            f"sequences have one axis, not the shape {x.shape}; for images there is conv2d"
        )
    return x


# ---------------------------------------------------------------------------- einsum


class Einsum(Op):
    """Sums of products, by letters: the gradient of an einsum is an einsum."""

    formula = "Σ x · y · …"

    def __init__(self, subscripts: str, optimize: Any = False) -> None:
        self.subscripts = subscripts
        self.optimize = optimize

    def forward(self, *arrays):
        try:
            arrays = tuple(map(as_array, arrays))
            return self.contract(self.subscripts, arrays, self.optimize)
        except ValueError as error:
            if self.subscripts.count(",") + 1 != len(arrays):
                raise
            *terms, _, _ = self.spell_out([np.ndim(x) for x in arrays])
            raise einsum_error(error, self.subscripts, terms, arrays) from None

    @property
    def derivatives(self) -> tuple[Any, ...]:  # type: ignore[override]
        return tuple(partial(self.by_operand, k) for k in range(self.subscripts.count(",") + 1))

    def by_operand(self, k: int, g, out, *arrays):
        """The same einsum with `g` and the letters of the result exchanged for operand `k`."""
        if arrays[k].size == 0:
            return np.zeros_like(arrays[k])
        *terms, result, unused = self.spell_out([x.ndim for x in arrays])
        factors = {i: (term, x) for i, (term, x) in enumerate(zip(terms, arrays, strict=True))}
        term, x = factors[k]
        factors[k] = result, g
        others = list(factors.values())
        letters = ""
        for letter, length in zip(term, x.shape, strict=True):
            if letter in letters:  # the gradient of a diagonal is a diagonal
                twin, unused = unused[0], unused[1:]
                others.append((letter + twin, np.eye(length, dtype=x.dtype)))
                letters += twin
                continue
            letters += letter
            lengths = {a.shape[t.index(letter)] for t, a in others if letter in t}
            # Along an axis of x alone, or broadcast with others, all elements have the same factor.
            if not lengths or (length != 1 and length not in lengths):
                others.append((letter, np.ones(length, x.dtype)))
        subscripts = ",".join(t for t, _ in others)
        # An explicit path is for other operands.
        optimize = self.optimize if isinstance(self.optimize, (bool, str)) else True
        return self.contract(f"{subscripts}->{letters}", [a for _, a in others], optimize)

    def contract(self, subscripts: str, arrays: Sequence[Any], optimize: Any):
        """np.einsum, in a type wide enough for the longest sum that there can be."""
        if not arrays:
            return np.einsum(subscripts)  # NumPy's error
        count = max(x.size for x in arrays)
        if count > FEW and subscripts.count(",") + 1 == len(arrays):
            *terms, result, _ = _spell_out(subscripts, tuple(x.ndim for x in arrays))
            lengths: dict[str, int] = {}
            for term, x in zip(terms, arrays, strict=True):
                for letter, length in zip(term, x.shape, strict=False):
                    if letter not in result:
                        lengths[letter] = max(length, lengths.get(letter, 0))
            count = math.prod(lengths.values())
        einsum = partial(np.einsum, subscripts, optimize=optimize)
        return compute_wide(einsum, count, *arrays)

    def spell_out(self, ndims: Sequence[int]) -> list[str]:
        """The letters of each operand and of the result, `...` as letters too; and unused ones."""
        return _spell_out(self.subscripts, tuple(ndims))


@lru_cache(maxsize=64)
def _spell_out(subscripts: str, ndims: tuple[int, ...]) -> list[str]:
    inputs, arrow, result = subscripts.replace(" ", "").partition("->")
    if not arrow:
        given = inputs.replace(",", "").replace(".", "")
        result = "..." + "".join(c for c in sorted(set(given)) if given.count(c) == 1)
    terms = inputs.split(",")
    unused = "".join(c for c in ascii_letters if c not in inputs)
    lengths = [
        ndim - len(term) + 3 if "..." in term else 0
        for term, ndim in zip(terms, ndims, strict=True)
    ]
    dots, unused = unused[: max(lengths)], unused[max(lengths) :]
    written = [
        term.replace("...", dots[len(dots) - length :])
        for term, length in zip(terms, lengths, strict=True)
    ]
    return [*written, result.replace("...", dots), unused]


@implements(np.einsum)
def einsum(*operands: Any, optimize: Any = False) -> Any:
    """Sums of products by Einstein's convention, with a letter for each axis.

    In `einsum("ij,jk->ik", x, y)`, letters that are not in the result are summed over; without
    `->`, the result has those that occur once, in order. `...` stands for further axes, which
    broadcast. `einsum(x, [0, 1], y, [1, 2], [0, 2])` is the same. With `optimize`, several operands
    are multiplied two at a time, in a good order ("greedy", "optimal").

    Raises NumPy's ValueError for subscripts that it cannot read and for shapes that do not fit.

    >>> einsum("ij,j->i", [[1, 2], [3, 4]], [1, 1])
    array([3, 7])
    """
    if not operands or isinstance(operands[0], str):
        return Einsum("".join(operands[:1]), optimize)(*operands[1:])
    pairs = len(operands) // 2
    subscripts = ",".join(map(_to_letters, operands[1 : 2 * pairs : 2]))
    if len(operands) % 2:
        subscripts += "->" + _to_letters(operands[-1])
    return Einsum(subscripts, optimize)(*operands[: 2 * pairs : 2])


def _to_letters(sublist: Sequence[Any]) -> str:
    # In the order of NumPy's implicit result.
    letters = ascii_uppercase + ascii_lowercase
    numbers = [n for n in sublist if n is not Ellipsis]
    if not all(0 <= n < len(letters) for n in numbers):
        raise ValueError(f"einsum's subscripts are from 0 to {len(letters) - 1}, not {numbers}")
    return "".join("..." if n is Ellipsis else letters[n] for n in sublist)
