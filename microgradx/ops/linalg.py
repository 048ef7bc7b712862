"""Linear algebra: the functions of numpy.linalg, on matrices and stacks of them.

The rules are those of M. Giles, 'Collected matrix derivative results for forward and reverse mode
algorithmic differentiation' (2008), where no other source is named. Like NumPy's functions, these
raise LinAlgError, which is a ValueError, for matrices that are not square, singular, or otherwise
have no result. Arrays, and Tensors, have the matrices' rows and columns as their last two axes.
"""

from __future__ import annotations

import math
import operator
from typing import Any, NamedTuple

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from microgradx.arrays.dispatch import implements, nondifferentiable
from microgradx.arrays.types import Array, Axis, as_array, as_floats, unwrap
from microgradx.engine import Op, Tensor
from microgradx.graph.grad_mode import is_grad_enabled
from microgradx.ops.elementwise import where
from microgradx.ops.products import matmul
from microgradx.ops.reductions import Reduction

__all__ = [
    "matrix_transpose",
    "inv",
    "solve",
    "det",
    "slogdet",
    "cholesky",
    "pinv",
    "matrix_power",
    "eigh",
    "eigvalsh",
    "svd",
    "svdvals",
    "qr",
    "norm",
    "matrix_norm",
    "vector_norm",
]

nondifferentiable(np.linalg.matrix_rank)


def _t(x):
    return np.swapaxes(x, -1, -2)


def _beside(x):
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
    return _t(x)


# ---------------------------------------------------------------------------- inverses


class Inv(Op):
    formula = "x⁻¹"

    def forward(self, x):
        return np.linalg.inv(x)

    def backward(self, g, out, x):
        return -_t(out) @ g @ _t(out)


_inv = Inv()


@implements(np.linalg.inv)
def inv(a: Any) -> Any:
    """The inverse of each matrix: d(a⁻¹) = -a⁻¹ da a⁻¹. To solve equations, `solve` is better.

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
        by_y = np.linalg.solve(_t(x), g if y.ndim > 1 else np.expand_dims(g, -1))
        if y.ndim > 1:
            return -by_y @ _t(out), by_y
        return -by_y * np.expand_dims(out, -2), np.squeeze(by_y, -1)


_solve = Solve()


@implements(np.linalg.solve)
def solve(a: Any, b: Any) -> Any:
    """The x of `a x = b`, for matrices `a` (…, n, n) and `b` (n,) or (…, n, k), which broadcast.

    The gradient at `b` solves `aᵀ y = g`, and that at `a` is -y xᵀ. Raises LinAlgError where `a`
    is singular.

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
        pinv: Any = np.linalg.pinv  # for NumPy, rtol=None means something
        return pinv(x, self.rcond) if self.rtol is None else pinv(x, self.rcond, rtol=self.rtol)

    def backward(self, g, out, x):
        self.check_rank(unwrap(x))
        p, pt, gt = out, _t(out), _t(g)
        rows, columns = (np.eye(n, dtype=x.dtype) for n in x.shape[-2:])
        # One of the projections, on what x does not reach and on what it does not see, is 0.
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
                f"the matrix has rank {np.min(rank)} and not {full}, so its pseudo-inverse jumps "
                "when it is changed a little and has no derivative; add a multiple of the "
                "identity and use solve: (aᵀ a + λ I)⁻¹ aᵀ"
            )


@implements(np.linalg.pinv)
def pinv(a: Any, rcond: Any = None, *, rtol: Any = None) -> Any:
    """The pseudo-inverse of each matrix.

    Singular values of up to `rcond`, or `rtol`, times the largest count as 0.

    The backward raises LinAlgError for a matrix that has not full rank.

    Source: Golub and Pereyra, 'The differentiation of pseudo-inverses and nonlinear least squares
    problems whose variables separate' (1973), equation 4.12.

    >>> pinv([[2.0], [0.0]])
    array([[0.5, 0. ]])
    """
    # One for each matrix of a stack, perhaps. As numbers, an op can show them.
    rcond, rtol = (c if c is None else np.asarray(c).tolist() for c in (rcond, rtol))
    return Pinv(rcond, rtol)(a)


@implements(np.linalg.matrix_power)
def matrix_power(a: Any, n: int) -> Any:
    """The product of `n` times the matrix `a`, by repeated squaring; of its inverse for n < 0.

    >>> matrix_power([[1, 1], [0, 1]], 5)
    array([[1, 5],
           [0, 1]])
    """
    a, n = as_array(a), operator.index(n)
    np.linalg.matrix_power(np.broadcast_to(0, a.shape), 1)  # NumPy's own word on a wrong shape
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


# ---------------------------------------------------------------------------- determinants


def _product_of_others(s):
    """For each element along the last axis, the product of all the others. No division."""
    one = np.ones_like(s[..., :1]) if s.shape[-1] else s
    before = np.cumprod(np.concatenate([one, s[..., :-1]], -1), -1)
    after = np.cumprod(np.concatenate([one, s[..., :0:-1]], -1), -1)[..., ::-1]
    return before * after


def _svd_and_sign(x: Array) -> tuple[Array, Array, Array, Array]:
    """u, s and vᵀ with x = u diag(s) vᵀ, and the sign det u det v."""
    u, s, vt = np.linalg.svd(x)
    return u, s, vt, _beside(np.sign(np.linalg.det(u) * np.linalg.det(vt)))


class Cofactors(Op):
    """The matrix of cofactors, (det x) x⁻ᵀ, which exists also where x⁻¹ does not.

    With x = u diag(s) vᵀ it is det u det v · u c vᵀ, where c is the diagonal matrix of the
    products of all s but one; its own derivative has the products of all s but two.
    """

    formula = "det x · x⁻ᵀ"

    def forward(self, x):
        u, s, vt, sign = _svd_and_sign(x)
        return sign * u * _product_of_others(s)[..., None, :] @ vt

    def backward(self, g, out, x):
        if not isinstance(x, np.ndarray):
            y = _t(np.linalg.inv(x))
            return _beside(np.sum(g * out, axis=(-2, -1))) * y - y @ _t(g) @ out
        u, s, vt, sign = _svd_and_sign(x)
        eye = np.eye(s.shape[-1], dtype=bool)
        but_two = _product_of_others(np.where(eye, 1, s[..., None, :]))
        h = _t(u) @ g @ _t(vt)
        of_diagonal = np.sum(np.where(eye, 0, but_two) * np.sum(h * eye, -1)[..., None, :], -1)
        return sign * u @ np.where(eye, of_diagonal[..., None], -but_two * _t(h)) @ vt


_cofactors = Cofactors()


class Det(Op):
    formula = "det x"

    def forward(self, x):
        return np.linalg.det(x)

    def backward(self, g, out, x):
        return _beside(g) * _cofactors(x)


_det = Det()


@implements(np.linalg.det)
def det(a: Any) -> Any:
    """The determinant of each matrix. Its gradient is the matrix of cofactors.

    First and second derivatives are exact at singular matrices too; the third raises LinAlgError
    there.

    >>> det([[1.0, 2.0], [0.0, 1.0]])
    np.float64(1.0)
    """
    return _det(a)


class Slogdet(Op):
    """[sign, ln |det x|]"""

    formula = "ln |det x|"

    def forward(self, x):
        return np.stack(np.linalg.slogdet(x))

    def backward(self, g, out, x):
        return _beside(g[1]) * _t(np.linalg.inv(x))


_slogdet = Slogdet()


class SlogdetResult(NamedTuple):
    """What `slogdet` gives."""

    sign: Any
    logabsdet: Any


@implements(np.linalg.slogdet)
def slogdet(a: Any) -> SlogdetResult:
    """The sign of each determinant, a constant without gradient, and the logarithm of its size.

    The gradient of the logarithm is a⁻ᵀ; the backward raises LinAlgError for a singular matrix.

    >>> slogdet([[2.0, 0.0], [0.0, -4.0]]).sign
    np.float64(-1.0)
    """
    if not isinstance(a, Tensor):
        return SlogdetResult(*np.linalg.slogdet(a))
    packed = _slogdet(a)
    return SlogdetResult(packed[0].detach(), packed[1])


# ---------------------------------------------------------------------------- symmetric matrices


def _of_triangle(s, lower: bool):
    """The gradient at a triangle that stands for a symmetric matrix, from that at the matrix.

    An element off the diagonal stands in two places, so it receives what both do; the other
    triangle is not read and receives nothing: tril(s + sᵀ, -1) + diag(s).
    """
    n = s.shape[-1]
    once = np.tri(n, k=-1, dtype=s.dtype) + np.eye(n, dtype=s.dtype) / 2
    return (s + _t(s)) * (once if lower else once.T)


class Cholesky(Op):
    formula = "y with x = y yᵀ"

    def __init__(self, upper: bool = False) -> None:
        self.upper = upper

    def forward(self, x):
        return np.linalg.cholesky(x, upper=self.upper)

    def backward(self, g, out, x):
        lt, g = (out, _t(g)) if self.upper else (_t(out), g)
        n = x.shape[-1]
        half = np.tri(n, k=-1, dtype=x.dtype) + np.eye(n, dtype=x.dtype) / 2
        s = np.linalg.solve(lt, _t(np.linalg.solve(lt, _t(lt @ g * half))))  # l⁻ᵀ Φ(lᵀ g) l⁻¹
        return _of_triangle(s, lower=not self.upper)


@implements(np.linalg.cholesky)
def cholesky(a: Any, /, *, upper: bool = False) -> Any:
    """The triangular l with `a = l lᵀ`, of positive-definite matrices; lᵀ if `upper`.

    Only the lower triangle of `a` is read (the upper one if `upper`), so the gradient in the other
    is 0, and each element of this one has what it does in both its places. PyTorch shares it
    between the two; there is no difference once `a` comes from a symmetric expression such as x xᵀ.
    Raises LinAlgError for a matrix that is not positive definite.

    Source: Murray, 'Differentiation of the Cholesky decomposition' (2016), equation 10.

    >>> cholesky([[4.0, 2.0], [2.0, 5.0]])
    array([[2., 0.],
           [1., 2.]])
    """
    return Cholesky(upper)(a)


#: Values this many roundings apart count as equal: a decomposition cannot tell them apart.
_ROUNDINGS = 8


def _rounding(x: Array):
    """What rounding may make of the elements of each matrix, of the largest's size."""
    largest = np.max(np.abs(x), axis=(-2, -1), keepdims=True) if x.size else 0
    return _ROUNDINGS * max(x.shape[-2:]) * np.finfo(x.dtype).eps * largest


def _refuse_equal(what: str, values: Array, depends: Array, instead: str) -> None:
    """Raise, if the result depends on the vectors of equal values, which are arbitrary."""
    if np.any(depends):
        *stack, i, j = (int(k) for k in np.argwhere(depends)[0])
        i, j = min(i, j), max(i, j)
        a, b = values[tuple(stack)][[i, j]]
        where_ = f" of matrix {tuple(stack)}" if stack else ""
        raise ValueError(
            f"{what} {i} and {j}{where_} are equal to within rounding ({a:.6g} and {b:.6g}), so "
            "their vectors could be any that span the same space, and a result that depends on "
            f"them has no derivative here; {instead}, or move the values apart"
        )


def _used(g) -> Array:
    """Of which vectors, in columns, the result makes use: those that receive a gradient.

    One vector of several that are arbitrary may be used in ways that no gradient at the one basis
    which NumPy chose can tell apart, so none may.
    """
    return np.any(np.abs(unwrap(g)) > _rounding(unwrap(g)), axis=-2, keepdims=True)


class Eigh(Op):
    """[w; v]: the eigenvalues as a row on top of the eigenvectors' matrix."""

    formula = "w, v with x = v w vᵀ"

    def __init__(self, UPLO: Any = "L") -> None:
        self.UPLO = UPLO

    def forward(self, x):
        w, v = np.linalg.eigh(x, self.UPLO)
        return np.concatenate([w[..., None, :], v], axis=-2)

    def backward(self, g, out, x):
        w, v = out[..., :1, :], out[..., 1:, :]
        gw, gv = g[..., :1, :], g[..., 1:, :]
        m = _t(v) @ gv
        gaps = w - _t(w)  # wⱼ - wᵢ
        equal = np.abs(unwrap(gaps)) <= _rounding(unwrap(w))
        eye = np.eye(x.shape[-1], dtype=bool)
        _refuse_equal(
            "eigenvalues",
            unwrap(w)[..., 0, :],
            equal & ~eye & _used(gv),
            "use eigvalsh if only the values matter",
        )
        turned = (m - _t(m)) / (2 * np.where(equal, np.inf, gaps))
        return _of_triangle(v @ np.where(eye, gw, turned) @ _t(v), self.UPLO.upper() == "L")


class EighResult(NamedTuple):
    """What `eigh` gives."""

    eigenvalues: Any
    eigenvectors: Any


@implements(np.linalg.eigh)
def eigh(a: Any, UPLO: Any = "L") -> EighResult:
    """Eigenvalues (…, n), ascending, and eigenvectors, in columns, of symmetric matrices.

    With m = vᵀ gᵥ, the gradient is v (diag(g_w) + (m - mᵀ)ᵢⱼ / 2(wⱼ - wᵢ)) vᵀ.

    Only the lower triangle of `a` is read ("U": the upper one), so the gradient in the other is 0,
    and each element of this one has what it does in both its places. PyTorch shares it between the
    two; there is no difference once `a` comes from a symmetric expression such as x xᵀ.

    Where eigenvalues are equal, their eigenvectors are arbitrary, and the backward raises
    ValueError if the result is made from these. So it does for results that do not show the
    choice, such as v diag(f(w)) vᵀ: how it changes as the values part depends on f, of which the
    gradients at one w and one v do not tell enough, and what can be had from them would be wrong.

    >>> eigh([[2.0, 0.0], [0.0, 1.0]]).eigenvalues
    array([1., 2.])
    """
    if not isinstance(a, Tensor):
        return EighResult(*np.linalg.eigh(a, UPLO))
    packed = Eigh(UPLO)(a)
    return EighResult(packed[..., 0, :], packed[..., 1:, :])


class Eigvalsh(Op):
    formula = "w with x = v w vᵀ"

    def __init__(self, UPLO: Any = "L") -> None:
        self.UPLO = UPLO

    def forward(self, x):
        return np.linalg.eigvalsh(x, self.UPLO)

    def backward(self, g, out, x):
        v = np.linalg.eigh(x, self.UPLO).eigenvectors
        return _of_triangle(v * np.expand_dims(g, -2) @ _t(v), self.UPLO.upper() == "L")


@implements(np.linalg.eigvalsh)
def eigvalsh(a: Any, UPLO: Any = "L") -> Any:
    """The eigenvalues (…, n), ascending, of symmetric matrices: their gradients are v vᵀ.

    Equal eigenvalues have gradients too (each its v vᵀ, as NumPy chooses v), but no second ones.
    As for the triangles of `a`, see `eigh`.

    >>> eigvalsh([[2.0, 0.0], [0.0, 1.0]])
    array([1., 2.])
    """
    return Eigvalsh(UPLO)(a)


# ---------------------------------------------------------------------------- any matrix


class Svd(Op):
    """[u; s; v]: matrices of k = min(m, n) columns, with the singular values as a row between."""

    formula = "u, s, v with x = u s vᵀ"

    def forward(self, x):
        u, s, vt = np.linalg.svd(x, full_matrices=False)
        return np.concatenate([u, s[..., None, :], _t(vt)], axis=-2)

    def backward(self, g, out, x):
        m, n = x.shape[-2:]
        u, s, v = out[..., :m, :], out[..., m : m + 1, :], out[..., m + 1 :, :]
        gu, gs, gv = g[..., :m, :], g[..., m : m + 1, :], g[..., m + 1 :, :]
        a, b = _t(u) @ gu, _t(v) @ gv
        together, apart = a + b, a - b  # u and v turn the same way, or against each other
        # What leaves the spaces that u and v span; a space of all dimensions cannot be left.
        out_u = gu - u @ a if m > n else np.zeros_like(gu)
        out_v = gv - v @ b if n > m else np.zeros_like(gv)

        eye = np.eye(min(m, n), dtype=bool)
        gaps, sums = s - _t(s), s + _t(s)  # sⱼ - sᵢ, sⱼ + sᵢ
        rounding, noise = _rounding(unwrap(s)), _rounding(unwrap(g))
        zero = unwrap(s) <= rounding
        equal, both_zero = np.abs(unwrap(gaps)) <= rounding, unwrap(sums) <= rounding
        depends = equal & (_used(gu) | _used(gv))
        instead = "use svdvals if only the values matter"
        _refuse_equal("singular values", unwrap(s)[..., 0, :], depends & ~eye, instead)
        if any(np.any(zero & (np.abs(unwrap(x)) > noise)) for x in (out_u, out_v)):
            raise np.linalg.LinAlgError(
                "the matrix has not full rank: the vectors of a singular value that is 0 are "
                f"arbitrary, and a result that depends on them has no derivative; {instead}"
            )
        turned = (together - _t(together)) / np.where(equal, np.inf, gaps)
        turned = turned + (apart - _t(apart)) / np.where(both_zero, np.inf, sums)
        inside = np.where(eye, gs * np.sign(s), turned / 2)
        s = np.where(zero, np.inf, s)
        return (u @ inside + out_u / s) @ _t(v) + u @ _t(out_v / s)


_svd = Svd()


class SVDResult(NamedTuple):
    """What `svd` gives."""

    U: Any
    S: Any
    Vh: Any


@implements(np.linalg.svd)
def svd(a: Any, full_matrices: bool = True, compute_uv: bool = True) -> Any:
    """The singular-value decomposition `a = U diag(S) Vh`, S descending; or S if not `compute_uv`.

    For `a` of shape (…, m, n) and k = min(m, n), S has shape (…, k). With `full_matrices=False`, U
    has k columns and Vh k rows; with NumPy's default m and n, of which those beyond k are
    arbitrary: where gradients are required, a ValueError asks for `full_matrices=False`.

    Where singular values are equal, or 0, their vectors are arbitrary. The backward raises
    ValueError if the result depends on these (see `eigh`).

    Source: Townsend, 'Differentiating the singular value decomposition' (2016).

    >>> svd([[0.0, 2.0], [1.0, 0.0]]).S
    array([2., 1.])
    """
    if not compute_uv:
        return svdvals(a)
    if not isinstance(a, Tensor):
        return SVDResult(*np.linalg.svd(a, full_matrices))
    m, n = a.shape[-2:] if a.ndim > 1 else (0, 0)
    if full_matrices and m != n:
        if a.requires_grad and is_grad_enabled():
            raise ValueError(
                f"svd of a Tensor of shape {a.shape}, which requires gradients, with "
                f"full_matrices=True: {abs(m - n)} of the vectors are arbitrary and have no "
                "derivative; write full_matrices=False"
            )
        return SVDResult(*map(Tensor, np.linalg.svd(a.data, full_matrices)))
    packed = _svd(a)
    return SVDResult(packed[..., :m, :], packed[..., m, :], _t(packed[..., m + 1 :, :]))


class Svdvals(Op):
    formula = "s with x = u s vᵀ"

    def forward(self, x):
        return np.linalg.svd(x, compute_uv=False)

    def backward(self, g, out, x):
        u, s, vt = np.linalg.svd(x, full_matrices=False)
        # A singular value is never below 0, so at 0 it has a kink, where the derivative is 0.
        return u * np.expand_dims(g * np.sign(s), -2) @ vt


_svdvals = Svdvals()


@implements(np.linalg.svdvals)
def svdvals(x: Any, /) -> Any:
    """The singular values (…, min(m, n)), descending: their gradients are u vᵀ, or 0 for a 0.

    Equal singular values have gradients too (each its u vᵀ, as NumPy chooses u and v), but no
    second ones.

    >>> svdvals([[0.0, 2.0], [1.0, 0.0]])
    array([2., 1.])
    """
    return _svdvals(x)


class Qr(Op):
    """[q; rᵀ]: both of k = min(m, n) columns."""

    formula = "q, r with x = q r"

    def forward(self, x):
        q, r = np.linalg.qr(x)
        return np.concatenate([q, _t(r)], axis=-2)

    def backward(self, g, out, x):
        m, n = x.shape[-2:]
        k = min(m, n)
        q, gq = out[..., :m, :], g[..., :m, :]
        # The first k columns of x give q and the square part of r; of further columns y, if any,
        # the part of r is qᵀ y.
        r, gr = _t(out[..., m : m + k, :]), _t(g[..., m : m + k, :])
        y, gy = x[..., k:], _t(g[..., m + k :, :])
        self.check_rank(unwrap(r))
        gq = gq + y @ _t(gy)
        a = r @ _t(gr) - _t(gq) @ q
        lower = a * np.tri(k, dtype=x.dtype)
        s = lower + _t(a * np.tri(k, k=-1, dtype=x.dtype))
        gx = _t(np.linalg.solve(r, _t(gq + q @ s)))
        return np.concatenate([gx, q @ gy], axis=-1)

    def check_rank(self, r: Array) -> None:
        diagonal = np.abs(np.diagonal(r, axis1=-2, axis2=-1))
        if np.any(diagonal[..., None, :] <= _rounding(r)):
            raise np.linalg.LinAlgError(
                f"the first {r.shape[-1]} columns are linearly dependent, to within rounding, so "
                "q is arbitrary, and neither it nor r has a derivative"
            )


_qr = Qr()


class QRResult(NamedTuple):
    """What `qr` gives."""

    Q: Any
    R: Any


@implements(np.linalg.qr)
def qr(a: Any, mode: Any = "reduced") -> Any:
    """`a = Q R`, with Qᵀ Q = 1 and R upper triangular, of shapes (…, m, k) and (…, k, n).

    k is min(m, n). With mode "r", R alone; of NumPy's other modes, Tensors have none. The backward
    raises LinAlgError where the first k columns of `a` are linearly dependent.

    Source: Walter and Lehmann, 'Algorithmic differentiation of linear algebra functions' (2012);
    for m < n, Roberts and Roberts, 'QR and LQ decomposition matrix backpropagation' (2020).

    >>> np.abs(qr([[0.0, 2.0], [1.0, 0.0]], mode="r"))
    array([[1., 0.],
           [0., 2.]])
    """
    if not isinstance(a, Tensor):
        result: Any = np.linalg.qr(a, mode)
        return QRResult(*result) if mode == "reduced" else result
    if mode not in ("reduced", "r"):
        raise ValueError(f"qr of a Tensor does not support mode={mode!r}; use 'reduced' or 'r'")
    packed = _qr(a)
    m = a.shape[-2]
    r = _t(packed[..., m:, :])
    return r if mode == "r" else QRResult(packed[..., :m, :], r)


# ---------------------------------------------------------------------------- norms


class Norm(Reduction):
    """(Σ |x|ᵖ)¹ᐟᵖ; its derivative is 0 where it is 0, by convention."""

    formula = "(Σ |x|ᵖ)¹ᐟᵖ"

    def __init__(self, p: Any = 2, axis: Axis = None, keepdims: bool = False) -> None:
        super().__init__(axis, keepdims)
        self.p = p

    def forward(self, x):
        return np.linalg.norm(x, None if self.p == 2 else self.p, self.axis, self.keepdims)

    def backward(self, g, out, x):
        g, out = self.expand(g, x), self.expand(out, x)
        g, out = np.where(out == 0, 0, g), np.where(out == 0, 1, out)
        if self.p == 2:
            return g * x / out
        # (|x| / out)ᵖ⁻¹ sign x; at x = 0 it is 0, also where the power of 0 is infinite.
        size = np.where(x == 0, 1, np.abs(x))
        return g * np.sign(x) * (size / out) ** (self.p - 1)


@implements(np.linalg.norm)
def norm(x: Any, ord: Any = None, axis: Axis = None, keepdims: bool = False) -> Any:
    """The norm of vectors along an axis, or of matrices along two; of all elements by default.

    `ord` for vectors: the p of (Σ |x|ᵖ)¹ᐟᵖ, 2 by default; inf, -inf, or 0 (how many are not 0). For
    matrices: "fro", the root of the sum of squares, by default; "nuc", the sum of the singular
    values; 2 and -2, the largest and the smallest; 1 and -1, the largest and smallest sum of |x| in
    a column, inf and -inf in a row. Where a norm has a kink, its derivative is 0 at 0, and ties
    share equally. Raises NumPy's ValueError for other orders.

    >>> norm([3.0, 4.0])
    np.float64(5.0)
    """
    if not isinstance(x, Tensor):
        return np.linalg.norm(x, ord, axis, keepdims)
    x = as_floats(x)
    np.linalg.norm(np.ones((1,) * x.ndim), ord, axis)  # NumPy's own word on what is wrong
    if ord is None and axis is None:
        return Norm(2, None, keepdims)(x)
    axes = tuple(range(x.ndim)) if axis is None else normalize_axis_tuple(axis, x.ndim)
    if len(axes) == 1:
        return _vector_norm(x, 2 if ord is None else ord, axes[0], keepdims)
    if ord in (None, "fro", "f"):
        return Norm(2, axes, keepdims)(x)
    matrices = np.transpose(x, [*(i for i in range(x.ndim) if i not in axes), *axes])
    result = _matrix_norm(matrices, ord)
    return np.expand_dims(result, axes) if keepdims else result


def _vector_norm(x, p, axis: int, keepdims: bool):
    if p == 0:
        return np.sum(np.abs(np.sign(x)), axis=axis, keepdims=keepdims)
    reduction: Any = {1: np.sum, np.inf: _largest, -np.inf: np.min}.get(p)
    if reduction is None:
        return Norm(p, axis, keepdims)(x)
    return reduction(np.abs(x), axis=axis, keepdims=keepdims)


def _largest(x, axis: int, keepdims: bool = False):
    """The maximum of what is not negative: 0 if there is nothing, and so is then the sum."""
    reduction = np.max if x.shape[axis] else np.sum
    return reduction(x, axis=axis, keepdims=keepdims)


def _matrix_norm(x, order):
    if order == "nuc":
        return np.sum(svdvals(x), axis=-1)
    extreme: Any = _largest if order > 0 else np.min
    if abs(order) == 2:
        return extreme(svdvals(x), axis=-1)
    along, across = (-2, -1) if abs(order) == 1 else (-1, -2)
    sums = np.sum(np.abs(x), axis=along, keepdims=True)
    return np.squeeze(extreme(sums, axis=across, keepdims=True), (-2, -1))


@implements(np.linalg.matrix_norm)
def matrix_norm(x: Any, /, *, keepdims: bool = False, ord: Any = "fro") -> Any:
    """The norm of each matrix in a stack; for `ord` see `norm`.

    >>> matrix_norm([[[3.0, 0.0], [0.0, 4.0]]], ord=2)
    array([4.])
    """
    return norm(x if isinstance(x, Tensor) else np.asarray(x), ord, (-2, -1), keepdims)


@implements(np.linalg.vector_norm)
def vector_norm(x: Any, /, *, axis: Axis = None, keepdims: bool = False, ord: Any = 2) -> Any:
    """The norm of vectors along an axis, or of all elements along several, taken as one vector.

    >>> vector_norm([[1.0, 2.0], [2.0, 0.0]])
    np.float64(3.0)
    """
    if not isinstance(x, Tensor):
        of_arrays: Any = np.linalg.vector_norm
        return of_arrays(x, axis=axis, keepdims=keepdims, ord=ord)
    axes = tuple(range(x.ndim)) if axis is None else normalize_axis_tuple(axis, x.ndim)
    rest = [i for i in range(x.ndim) if i not in axes]
    shape = [math.prod(x.shape[i] for i in axes), *(x.shape[i] for i in rest)]
    vectors = np.reshape(np.transpose(x, [*axes, *rest]), shape)
    result = norm(vectors, ord, 0)
    return np.expand_dims(result, axes) if keepdims else result
