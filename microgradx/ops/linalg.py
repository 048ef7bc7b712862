"""Linear algebra: inverses, solutions of equations, determinants, of matrices and stacks of them.

Matrices lie along the last two axes. The rules are those of M. Giles, 'Collected matrix derivative
results for forward and reverse mode algorithmic differentiation' (2008), where no other source is
named. Like NumPy's functions, these raise LinAlgError, which is a ValueError, for matrices that are
not square, singular, or otherwise without a result.
"""

from __future__ import annotations

import math
import operator
from typing import Any, NamedTuple

import numpy as np

from microgradx.arrays.dispatch import implements, nondifferentiable
from microgradx.arrays.types import Array, as_array, as_floats, unwrap
from microgradx.engine import Op, Tensor
from microgradx.ops.elementwise import where
from microgradx.ops.products import matmul
from microgradx.ops.reductions import product_of_others
from microgradx.ops.shapes import swapaxes

__all__ = [
    "matrix_transpose",
    "inv",
    "solve",
    "det",
    "slogdet",
    "pinv",
    "matrix_power",
    "tensorsolve",
    "tensorinv",
]

nondifferentiable(np.linalg.matrix_rank)


def mT(x):
    """xᵀ, of each matrix in a stack."""
    return np.swapaxes(x, -1, -2)


def _per_matrix(x):
    """One number for each matrix, in a shape that broadcasts to the matrices."""
    return np.expand_dims(x, (-2, -1))


@implements(np.matrix_transpose, np.linalg.matrix_transpose)
def matrix_transpose(x: Any, /) -> Any:
    """The transpose of each matrix: the last two axes change places.

    >>> matrix_transpose([[1, 2], [3, 4]])
    array([[1, 3],
           [2, 4]])
    """
    if np.ndim(x) < 2:
        raise ValueError(f"matrix_transpose of shape {np.shape(x)}: a matrix has two axes")
    return swapaxes(x, -1, -2)


# ---------------------------------------------------------------------------- inverses


class Inv(Op):
    formula = "x⁻¹"

    def forward(self, x):
        return np.linalg.inv(x)

    def backward(self, g, out, x):
        return -mT(out) @ g @ mT(out)


_inv = Inv()


@implements(np.linalg.inv)
def inv(a: Any) -> Any:
    """The inverse of each matrix: d(a⁻¹) = -a⁻¹ da a⁻¹. For equations, `solve` is more accurate.

    Raises LinAlgError for a singular matrix.

    >>> inv([[2.0, 0.0], [0.0, 4.0]])
    array([[0.5 , 0.  ],
           [0.  , 0.25]])
    """
    return _inv(a)


class Solve(Op):
    formula = "x⁻¹ y"

    def forward(self, x, y):
        return np.linalg.solve(x, y)

    def backward(self, g, out, x, y):
        by_y = np.linalg.solve(mT(x), g if y.ndim > 1 else np.expand_dims(g, -1))
        if y.ndim > 1:
            return -by_y @ mT(out), by_y
        return -by_y * np.expand_dims(out, -2), np.squeeze(by_y, -1)


_solve = Solve()


@implements(np.linalg.solve)
def solve(a: Any, b: Any) -> Any:
    """The x of `a x = b`, for matrices `a` (…, n, n) and `b` (n,) or (…, n, k), which broadcast.

    The gradient y at `b` solves `aᵀ y = g`, and the gradient at `a` is -y xᵀ. Raises LinAlgError
    where `a` is singular.

    >>> solve([[2.0, 0.0], [0.0, 4.0]], [1.0, 1.0])
    array([0.5 , 0.25])
    """
    return _solve(a, b)


class Pinv(Op):
    formula = "x⁺"

    def __init__(self, rcond: Any = None, rtol: Any = None) -> None:
        self.rcond = rcond
        self.rtol = rtol

    def forward(self, x):
        pinv: Any = np.linalg.pinv  # to NumPy, rtol=None is a value
        return pinv(x, self.rcond) if self.rtol is None else pinv(x, self.rcond, rtol=self.rtol)

    def backward(self, g, out, x):
        self.check_rank(unwrap(x))
        p, pt, gt = out, mT(out), mT(g)
        rows, columns = (np.eye(n, dtype=x.dtype) for n in x.shape[-2:])
        # With full rank, one of the projections 1 - x x⁺ and 1 - x⁺ x is 0.
        return -pt @ g @ pt + (rows - x @ p) @ gt @ p @ pt + pt @ p @ gt @ (columns - p @ x)

    def check_rank(self, x: Array) -> None:
        full = min(x.shape[-2:])
        cutoff: Any = max(x.shape[-2:]) * np.finfo(x.dtype).eps
        for given in (self.rcond, self.rtol):
            if given is not None:
                cutoff = np.maximum(cutoff, given)
        rank = np.linalg.matrix_rank(x, rtol=cutoff) if x.size else full
        if np.any(rank < full):
            raise np.linalg.LinAlgError(
                f"the matrix has rank {np.min(rank)} and not {full}, where its pseudo-inverse is "
                "not continuous and has no derivative; add a multiple of the identity and use "
                "solve: (aᵀ a + λ I)⁻¹ aᵀ"
            )


@implements(np.linalg.pinv)
def pinv(a: Any, rcond: Any = None, *, rtol: Any = None) -> Any:
    """The pseudo-inverse of each matrix.

    Singular values of up to `rcond`, or `rtol`, times the largest count as 0. The backward raises
    LinAlgError for a matrix without full rank.

    Source: Golub and Pereyra, 'The differentiation of pseudo-inverses and nonlinear least squares
    problems whose variables separate' (1973), equation 4.12.

    >>> pinv([[2.0], [0.0]])
    array([[0.5, 0. ]])
    """
    # Numbers, or lists of them for a stack: arrays would not show well in messages.
    rcond, rtol = (c if c is None else np.asarray(c).tolist() for c in (rcond, rtol))
    return Pinv(rcond, rtol)(a)


@implements(np.linalg.matrix_power)
def matrix_power(a: Any, n: int) -> Any:
    """The matrix `a` to the power of an integer, by repeated squaring; of its inverse for n < 0.

    >>> matrix_power([[1, 1], [0, 1]], 5)
    array([[1, 5],
           [0, 1]])
    """
    a, n = as_array(a), operator.index(n)
    np.linalg.matrix_power(np.broadcast_to(0, a.shape), 1)  # its error for a wrong shape
    if n == 0:
        return where(True, np.eye(a.shape[-1], dtype=a.dtype), a)
    square = inv(a) if n < 0 else a
    n = abs(n)
    result = None
    while True:
        if n % 2:
            result = square if result is None else matmul(result, square)
        n //= 2
        if n == 0:
            return result
        square = matmul(square, square)


@implements(np.linalg.tensorsolve)
def tensorsolve(a: Any, b: Any, axes: Any = None) -> Any:
    """The x with `tensordot(a, x, x.ndim) = b`: `solve`, with several axes for rows and columns.

    The first axes of `a` are those of `b`, the others those of x, after `axes` have been moved to
    the end. Raises LinAlgError for sizes that do not fit, or a singular matrix.

    >>> tensorsolve(np.eye(4).reshape(2, 2, 4), np.ones((2, 2)))
    array([1., 1., 1., 1.])
    """
    a, b = as_floats(a), as_floats(b)
    if axes is not None:
        axes = [axes] if np.ndim(axes) == 0 else axes
        a = np.moveaxis(a, axes, range(a.ndim - len(axes), a.ndim))
    shape = a.shape[b.ndim :]
    if math.prod(shape) != b.size:
        raise np.linalg.LinAlgError(
            f"tensorsolve of shapes {a.shape} and {b.shape}: {b.size} equations for "
            f"{math.prod(shape)} unknowns"
        )
    return np.reshape(solve(np.reshape(a, (b.size, b.size)), np.ravel(b)), shape)


@implements(np.linalg.tensorinv)
def tensorinv(a: Any, ind: int = 2) -> Any:
    """The inverse of `tensordot` with `a`, whose first `ind` axes are rows, and the others columns.

    Raises LinAlgError for sizes that differ, or a singular matrix.

    >>> tensorinv(np.eye(4).reshape(4, 2, 2), 1).shape
    (2, 2, 4)
    """
    a = as_floats(a)
    if ind <= 0:
        raise ValueError(f"ind, how many axes are rows, must be 1 or more, not {ind}")
    rows = math.prod(a.shape[:ind])
    return np.reshape(inv(np.reshape(a, (rows, -1))), a.shape[ind:] + a.shape[:ind])


# ---------------------------------------------------------------------------- determinants


def _svd_and_sign(x: Array) -> tuple[Array, Array, Array, Array]:
    """u, s and vᵀ with x = u diag(s) vᵀ, and the sign det u det v."""
    u, s, vt = np.linalg.svd(x)
    return u, s, vt, _per_matrix(np.sign(np.linalg.det(u) * np.linalg.det(vt)))


class Cofactors(Op):
    """The matrix of cofactors, (det x) x⁻ᵀ, which exists also where x⁻¹ does not.

    With x = u diag(s) vᵀ it is det u det v · u diag(c) vᵀ, where each c is the product of all s but
    one. Its derivative has the products of all s but two.
    """

    formula = "det x · x⁻ᵀ"

    def forward(self, x):
        u, s, vt, sign = _svd_and_sign(x)
        return sign * u * product_of_others(s)[..., None, :] @ vt

    def backward(self, g, out, x):
        if not isinstance(x, np.ndarray):
            y = mT(np.linalg.inv(x))
            return _per_matrix(np.sum(g * out, axis=(-2, -1))) * y - y @ mT(g) @ out
        u, s, vt, sign = _svd_and_sign(x)
        eye = np.eye(s.shape[-1], dtype=bool)
        all_but_two = product_of_others(np.where(eye, 1, s[..., None, :]))
        h = mT(u) @ g @ mT(vt)
        diagonal = np.sum(np.where(eye, 0, all_but_two) * np.sum(h * eye, -1)[..., None, :], -1)
        return sign * u @ np.where(eye, diagonal[..., None], -all_but_two * mT(h)) @ vt


_cofactors = Cofactors()


class Det(Op):
    formula = "det x"

    def forward(self, x):
        return np.linalg.det(x)

    def backward(self, g, out, x):
        return _per_matrix(g) * _cofactors(x)


_det = Det()


@implements(np.linalg.det)
def det(a: Any) -> Any:
    """The determinant of each matrix. Its gradient is the matrix of cofactors.

    First and second derivatives are exact at singular matrices too, where the third raises
    LinAlgError.

    >>> det([[1.0, 2.0], [0.0, 1.0]])
    np.float64(1.0)
    """
    return _det(a)


class Slogdet(Op):
    """The sign and ln |det x|, stacked."""

    formula = "ln |det x|"

    def forward(self, x):
        return np.stack(np.linalg.slogdet(x))

    def backward(self, g, out, x):
        return _per_matrix(g[1]) * mT(np.linalg.inv(x))


_slogdet = Slogdet()


class SlogdetResult(NamedTuple):
    """The result of `slogdet`."""

    sign: Any
    logabsdet: Any


@implements(np.linalg.slogdet)
def slogdet(a: Any) -> SlogdetResult:
    """The sign of each determinant, a constant, and ln |det a|.

    The gradient of the logarithm is a⁻ᵀ; the backward raises LinAlgError for a singular matrix.

    >>> slogdet([[2.0, 0.0], [0.0, -4.0]]).sign
    np.float64(-1.0)
    """
    if not isinstance(a, Tensor):
        return SlogdetResult(*np.linalg.slogdet(as_array(a)))
    packed = _slogdet(a)
    return SlogdetResult(packed[0].detach(), packed[1])
