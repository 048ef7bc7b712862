"""Decompositions of matrices and stacks of them: Cholesky, eigenvalues, singular values, QR.

Where vectors are arbitrary, as of equal eigenvalues, a result that depends on them has no
derivative, and the backward raises ValueError. The rules are those of M. Giles (see `linalg`),
where no other source is named.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from microgradx.arrays.dispatch import implements
from microgradx.arrays.types import Array, as_array, unwrap
from microgradx.engine import Op, Tensor
from microgradx.graph.grad_mode import is_grad_enabled
from microgradx.ops.linalg import mT
from microgradx.ops.reductions import NormGradient

__all__ = [
    "cholesky",
    "eigh",
    "eigvalsh",
    "svd",
    "svdvals",
    "qr",
]


# ---------------------------------------------------------------------------- symmetric matrices


def _fold_to_triangle(s, lower: bool):
    """The gradient at one triangle of a symmetric matrix, from the gradient s at the matrix.

    An element off the diagonal receives the gradients of both its places; the other triangle is
    not read and receives none: tril(s + sᵀ, -1) + diag(s).
    """
    phi = _half_diagonal(s)
    return (s + mT(s)) * (phi if lower else phi.T)


def _half_diagonal(x):
    """Murray's Φ, as a factor: the lower triangle, with half of the diagonal."""
    n = x.shape[-1]
    return np.tri(n, k=-1, dtype=x.dtype) + np.eye(n, dtype=x.dtype) / 2


class Cholesky(Op):
    formula = "y with x = y yᵀ"

    def __init__(self, upper: bool = False) -> None:
        self.upper = upper

    def forward(self, x):
        return np.linalg.cholesky(x, upper=self.upper)

    def backward(self, g, out, x):
        lt, g = (out, mT(g)) if self.upper else (mT(out), g)
        s = lt @ g * _half_diagonal(x)
        s = np.linalg.solve(lt, mT(np.linalg.solve(lt, mT(s))))  # l⁻ᵀ Φ(lᵀ g) l⁻¹
        return _fold_to_triangle(s, lower=not self.upper)


@implements(np.linalg.cholesky)
def cholesky(a: Any, /, *, upper: bool = False) -> Any:
    """The lower triangular l with `a = l lᵀ`, of positive-definite matrices; lᵀ if `upper`.

    Only the lower triangle of `a` is read (the upper one if `upper`): it receives the gradients of
    both, and the other one 0. PyTorch shares them between the two, which makes no difference where
    `a` is a symmetric expression such as x xᵀ. Raises LinAlgError for a matrix that is not positive
    definite.

    Source: Murray, 'Differentiation of the Cholesky decomposition' (2016), equation 10.

    >>> cholesky([[4.0, 2.0], [2.0, 5.0]])
    array([[2., 0.],
           [1., 2.]])
    """
    return Cholesky(upper)(a)


#: Values that differ by at most this many rounding errors count as equal.
_ROUNDINGS = 8


def _rounding_error(x: Array):
    """The rounding error of a decomposition, relative to the largest element of each matrix."""
    largest = np.max(np.abs(x), axis=(-2, -1), keepdims=True) if x.size else 0
    return _ROUNDINGS * max(x.shape[-2:]) * np.finfo(x.dtype).eps * largest


def _refuse_equal(what: str, values: Array, depends: Array, instead: str) -> None:
    """Raise ValueError if the result depends on vectors of equal values, which are arbitrary."""
    if np.any(depends):
        *stack, i, j = (int(k) for k in np.argwhere(depends)[0])
        i, j = min(i, j), max(i, j)
        a, b = values[tuple(stack)][[i, j]]
        where_ = f" of matrix {tuple(stack)}" if stack else ""
        raise ValueError(
            f"{what} {i} and {j}{where_} are equal to within rounding ({a:.6g} and {b:.6g}), so "
            "their vectors are any basis of a subspace, and a result that depends on them has no "
            f"derivative here; {instead}, or change the matrix so that the values differ"
        )


def _receives_gradient(g) -> Array:
    """Which vectors, in columns, receive a gradient, so that the result depends on them.

    If one of several with equal values does, it might be another one in another basis.
    """
    return np.any(np.abs(unwrap(g)) > _rounding_error(unwrap(g)), axis=-2, keepdims=True)


class Eigh(Op):
    """[w; v]: the eigenvalues as a row above the matrix of eigenvectors."""

    formula = "w, v with x = v w vᵀ"

    def __init__(self, UPLO: Any = "L") -> None:
        self.UPLO = UPLO

    def forward(self, x):
        w, v = np.linalg.eigh(x, self.UPLO)
        return np.concatenate([w[..., None, :], v], axis=-2)

    def backward(self, g, out, x):
        w, v = out[..., :1, :], out[..., 1:, :]
        gw, gv = g[..., :1, :], g[..., 1:, :]
        m = mT(v) @ gv
        gaps = w - mT(w)  # wⱼ - wᵢ
        equal = np.abs(unwrap(gaps)) <= _rounding_error(unwrap(w))
        eye = np.eye(x.shape[-1], dtype=bool)
        _refuse_equal(
            "eigenvalues",
            unwrap(w)[..., 0, :],
            equal & ~eye & _receives_gradient(gv),
            "use eigvalsh if only the values matter",
        )
        rotation = (m - mT(m)) / (2 * np.where(equal, np.inf, gaps))
        return _fold_to_triangle(v @ np.where(eye, gw, rotation) @ mT(v), self.UPLO.upper() == "L")


class EighResult(NamedTuple):
    """The result of `eigh`."""

    eigenvalues: Any
    eigenvectors: Any


@implements(np.linalg.eigh)
def eigh(a: Any, UPLO: Any = "L") -> EighResult:
    """Eigenvalues (…, n), ascending, and eigenvectors, in columns, of symmetric matrices.

    With m = vᵀ gᵥ, the gradient is v (diag(g_w) + (m - mᵀ)ᵢⱼ / 2(wⱼ - wᵢ)) vᵀ.

    Only the lower triangle of `a` is read ("U": the upper one): it receives the gradients of both,
    and the other one 0. PyTorch shares them between the two, which makes no difference where `a` is
    a symmetric expression such as x xᵀ.

    Where eigenvalues are equal, their eigenvectors are arbitrary, and the backward raises
    ValueError if the result depends on them. It does so also for results that are the same for
    every choice, such as v diag(f(w)) vᵀ: their derivative depends on f' at w, which the gradients
    at w and v do not determine.

    >>> eigh([[2.0, 0.0], [0.0, 1.0]]).eigenvalues
    array([1., 2.])
    """
    if not isinstance(a, Tensor):
        return EighResult(*np.linalg.eigh(as_array(a), UPLO))
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
        return _fold_to_triangle(v * np.expand_dims(g, -2) @ mT(v), self.UPLO.upper() == "L")


@implements(np.linalg.eigvalsh)
def eigvalsh(a: Any, UPLO: Any = "L") -> Any:
    """The eigenvalues (…, n), ascending, of symmetric matrices: their gradients are v vᵀ.

    Equal eigenvalues have first derivatives (with the v that NumPy chooses), but no second ones.
    For the triangles of `a`, see `eigh`.

    >>> eigvalsh([[2.0, 0.0], [0.0, 1.0]])
    array([1., 2.])
    """
    return Eigvalsh(UPLO)(a)


# ---------------------------------------------------------------------------- any matrix


class Svd(Op):
    """[u; s; v]: matrices of k = min(m, n) columns, and the singular values as a row between."""

    formula = "u, s, v with x = u s vᵀ"

    def forward(self, x):
        u, s, vt = np.linalg.svd(x, full_matrices=False)
        return np.concatenate([u, s[..., None, :], mT(vt)], axis=-2)

    def backward(self, g, out, x):
        m, n = x.shape[-2:]
        u, s, v = out[..., :m, :], out[..., m : m + 1, :], out[..., m + 1 :, :]
        gu, gs, gv = g[..., :m, :], g[..., m : m + 1, :], g[..., m + 1 :, :]
        a, b = mT(u) @ gu, mT(v) @ gv
        # The components of the gradients outside the column spaces of u and v; 0 of full spaces.
        out_u = gu - u @ a if m > n else np.zeros_like(gu)
        out_v = gv - v @ b if n > m else np.zeros_like(gv)

        eye = np.eye(min(m, n), dtype=bool)
        gaps, sums = s - mT(s), s + mT(s)  # sⱼ - sᵢ, sⱼ + sᵢ
        rounding, noise = _rounding_error(unwrap(s)), _rounding_error(unwrap(g))
        zero = unwrap(s) <= rounding
        equal, both_zero = np.abs(unwrap(gaps)) <= rounding, unwrap(sums) <= rounding
        depends = equal & (_receives_gradient(gu) | _receives_gradient(gv))
        instead = "use svdvals if only the values matter"
        _refuse_equal("singular values", unwrap(s)[..., 0, :], depends & ~eye, instead)
        if any(np.any(zero & (np.abs(unwrap(x)) > noise)) for x in (out_u, out_v)):
            raise np.linalg.LinAlgError(
                "the matrix does not have full rank: the vectors of a singular value that is 0 are "
                f"arbitrary, and a result that depends on them has no derivative; {instead}"
            )
        same, opposite = a + b, a - b  # directions in which u and v rotate
        rotation = (same - mT(same)) / np.where(equal, np.inf, gaps)
        rotation = rotation + (opposite - mT(opposite)) / np.where(both_zero, np.inf, sums)
        inside = np.where(eye, gs * np.sign(s), rotation / 2)
        s = np.where(zero, np.inf, s)
        return (u @ inside + out_u / s) @ mT(v) + u @ mT(out_v / s)


_svd = Svd()


class SVDResult(NamedTuple):
    """The result of `svd`."""

    U: Any
    S: Any
    Vh: Any


@implements(np.linalg.svd)
def svd(a: Any, full_matrices: bool = True, compute_uv: bool = True) -> Any:
    """The singular-value decomposition `a = U diag(S) Vh`, S descending; or S if not `compute_uv`.

    For `a` of shape (…, m, n) and k = min(m, n), S has shape (…, k). With `full_matrices=False`, U
    has k columns and Vh k rows. By default, as in NumPy, they have m and n, of which those beyond k
    are arbitrary: where gradients are required, a ValueError asks for `full_matrices=False`.

    Where singular values are equal, or 0, their vectors are arbitrary. The backward raises
    ValueError if the result depends on these (see `eigh`).

    Source: Townsend, 'Differentiating the singular value decomposition' (2016).

    >>> svd([[0.0, 2.0], [1.0, 0.0]]).S
    array([2., 1.])
    """
    if not compute_uv:
        return svdvals(a)
    if not isinstance(a, Tensor):
        return SVDResult(*np.linalg.svd(as_array(a), full_matrices))
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
    return SVDResult(packed[..., :m, :], packed[..., m, :], mT(packed[..., m + 1 :, :]))


class Svdvals(Op):
    formula = "s with x = u s vᵀ"

    def forward(self, x):
        return np.linalg.svd(x, compute_uv=False)

    def backward(self, g, out, x):
        u, s, vt = np.linalg.svd(x, full_matrices=False)
        # A singular value is never negative, so it has a kink at 0, where the derivative is 0, and
        # the second one NaN, as of a norm; unless others alone receive gradients, as the largest.
        is_unused = (unwrap(g) == 0) & np.any(unwrap(s) != 0, axis=-1, keepdims=True)
        sign = NormGradient(2, axis=())(np.where(is_unused, 1, s))
        return u * np.expand_dims(g * sign, -2) @ vt


_svdvals = Svdvals()


@implements(np.linalg.svdvals)
def svdvals(x: Any, /) -> Any:
    """The singular values (…, min(m, n)), descending: their gradients are u vᵀ, or 0 for a 0.

    Equal singular values have first derivatives (with the u and v that NumPy chooses), but no
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
        return np.concatenate([q, mT(r)], axis=-2)

    def backward(self, g, out, x):
        m, n = x.shape[-2:]
        k = min(m, n)
        q, gq = out[..., :m, :], g[..., :m, :]
        # The first k columns of x determine q and the square part of r. Further columns y, if any,
        # have the part qᵀ y of r.
        r, gr = mT(out[..., m : m + k, :]), mT(g[..., m : m + k, :])
        y, gy = x[..., k:], mT(g[..., m + k :, :])
        self.check_rank(unwrap(r))
        gq = gq + y @ mT(gy)
        a = r @ mT(gr) - mT(gq) @ q
        lower = a * np.tri(k, dtype=x.dtype)
        s = lower + mT(a * np.tri(k, k=-1, dtype=x.dtype))
        gx = mT(np.linalg.solve(r, mT(gq + q @ s)))
        return np.concatenate([gx, q @ gy], axis=-1)

    def check_rank(self, r: Array) -> None:
        diagonal = np.abs(np.diagonal(r, axis1=-2, axis2=-1))
        if np.any(diagonal[..., None, :] <= _rounding_error(r)):
            raise np.linalg.LinAlgError(
                f"the first {r.shape[-1]} columns are linearly dependent, to within rounding, so "
                "q is arbitrary, and neither q nor r has a derivative"
            )


_qr = Qr()


class QRResult(NamedTuple):
    """The result of `qr`."""

    Q: Any
    R: Any


@implements(np.linalg.qr)
def qr(a: Any, mode: Any = "reduced") -> Any:
    """`a = Q R`, with Qᵀ Q = 1 and R upper triangular, of shapes (…, m, k) and (…, k, n).

    k is min(m, n). With mode "r", R alone; NumPy's other modes are for arrays only. The backward
    raises LinAlgError where the first k columns of `a` are linearly dependent.

    Source: Walter and Lehmann, 'Algorithmic differentiation of linear algebra functions' (2012);
    for m < n, Roberts and Roberts, 'QR and LQ decomposition matrix backpropagation' (2020).

    >>> np.abs(qr([[0.0, 2.0], [1.0, 0.0]], mode="r"))
    array([[1., 0.],
           [0., 2.]])
    """
    if not isinstance(a, Tensor):
        result: Any = np.linalg.qr(as_array(a), mode)
        return QRResult(*result) if mode == "reduced" else result
    if mode not in ("reduced", "r"):
        raise ValueError(f"qr of a Tensor does not support mode={mode!r}; use 'reduced' or 'r'")
    packed = _qr(a)
    m = a.shape[-2]
    r = mT(packed[..., m:, :])
    return r if mode == "r" else QRResult(packed[..., :m, :], r)
