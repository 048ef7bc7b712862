"""Rows of linear algebra. Where a function returns several arrays, each is checked alone."""

import math

import numpy as np

import microgradx as mg
from tests.ops.table.row import anywhere, apart, calls, full_rank, symmetric

SQUARE = [(3, 3), (1, 1), (2, 3, 3), (0, 2, 2), (2, 0, 0), (2, 1, 2, 2)]
ANY = [(3, 2), (2, 3), (3, 3), (1, 1), (3, 1), (1, 3), (2, 4, 2), (2, 2, 4), (0, 3, 2), (3, 0)]


def each(function, shapes, *settings, numpy=None, inputs=full_rank, rtol=0.0):
    on = [((shape,), setting) for shape in shapes for setting in (settings or [{}])]
    return calls(function, *on, numpy=numpy, inputs=(inputs,), rtol=rtol)


def part(function):
    """One of the arrays that a function returns."""
    return lambda x, of, **settings: getattr(function(x, **settings), of)


def tensor_of_full_rank(generator, shape):
    """Whose first axes, or last, make up the rows of a matrix of full rank."""
    size = math.isqrt(math.prod(shape))
    return full_rank(generator, (size, size)).reshape(shape)


def norms(of, axes, *orders):
    return [
        ((of,), {"ord": p, "axis": a, "keepdims": k}) for a in axes for p in orders for k in (0, 1)
    ]


ROWS = {
    "matrix_transpose": each(mg.matrix_transpose, ANY, numpy=np.matrix_transpose),
    "inv": each(mg.inv, SQUARE, numpy=np.linalg.inv),
    "solve": calls(
        mg.solve,
        *[
            (pair, {})
            for pair in [
                ((3, 3), (3,)),
                ((3, 3), (3, 2)),
                ((1, 1), (1, 1)),
                ((2, 3, 3), (3,)),
                ((2, 3, 3), (3, 2)),
                ((3, 3), (2, 3, 1)),
                ((2, 1, 2, 2), (3, 2, 2)),
                ((0, 2, 2), (2, 1)),
                ((2, 0, 0), (0, 2)),
                ((0, 0), (0,)),
            ]
        ],
        numpy=np.linalg.solve,
        inputs=(full_rank, lambda g, s: anywhere(g, s)),
    ),
    "det": each(mg.det, SQUARE, numpy=np.linalg.det),
    "slogdet": each(part(mg.slogdet), SQUARE, {"of": "logabsdet"}, numpy=part(np.linalg.slogdet)),
    "cholesky": each(
        mg.cholesky,
        SQUARE,
        {},
        {"upper": True},
        numpy=np.linalg.cholesky,
        inputs=symmetric,
    ),
    "pinv": each(mg.pinv, ANY, {}, {"rcond": 0.01}, {"rtol": None}, numpy=np.linalg.pinv),
    "matrix_power": each(
        mg.matrix_power,
        SQUARE,
        *[{"n": n} for n in (0, 1, 2, 3, 4, 5, 7, -1, -2, -3)],
        numpy=np.linalg.matrix_power,
        rtol=1e-13,
    ),
    "tensorsolve": calls(
        mg.tensorsolve,
        (((4, 2, 2), (4,)), {}),
        (((2, 3, 6), (2, 3)), {}),
        (((2, 6, 3), (6,)), {"axes": (0, 2)}),
        numpy=np.linalg.tensorsolve,
        inputs=(tensor_of_full_rank, anywhere),
        rtol=1e-13,
    ),
    "tensorinv": calls(
        mg.tensorinv,
        ((4, 2, 2), {"ind": 1}),
        ((2, 3, 6), {}),
        numpy=np.linalg.tensorinv,
        inputs=(tensor_of_full_rank,),
        rtol=1e-13,
    ),
    "cond": each(
        mg.cond,
        [(3, 3), (2, 2, 2)],
        *[{"p": p} for p in (None, 2, -2, 1, -1, np.inf, -np.inf, "fro")],
        numpy=np.linalg.cond,
        rtol=1e-13,
    ),
    "eigh": each(
        part(mg.eigh),
        SQUARE,
        *[{"of": of, "UPLO": u} for of in ("eigenvalues", "eigenvectors") for u in ("L", "U")],
        numpy=part(np.linalg.eigh),
        inputs=symmetric,
    ),
    "eigvalsh": each(
        mg.eigvalsh, SQUARE, {}, {"UPLO": "U"}, numpy=np.linalg.eigvalsh, inputs=symmetric
    ),
    "svd": each(
        lambda x, of, **settings: (
            mg.svd(x, **settings) if of is None else getattr(mg.svd(x, **settings), of)
        ),
        ANY,
        *[{"of": of, "full_matrices": False} for of in ("U", "S", "Vh")],
        {"of": None, "compute_uv": False},
        numpy=lambda x, of, **settings: (
            np.linalg.svd(x, **settings)
            if of is None
            else getattr(np.linalg.svd(x, **settings), of)
        ),
    ),
    "svdvals": each(mg.svdvals, ANY, numpy=np.linalg.svdvals),
    "qr": each(
        lambda x, of=None, **settings: (
            mg.qr(x, **settings) if of is None else getattr(mg.qr(x, **settings), of)
        ),
        ANY,
        {"of": "Q"},
        {"of": "R"},
        {"mode": "r"},
        numpy=lambda x, of=None, **settings: (
            np.linalg.qr(x, **settings) if of is None else getattr(np.linalg.qr(x, **settings), of)
        ),
    ),
    "norm": calls(
        mg.norm,
        *[((shape,), {}) for shape in [(), (3,), (2, 3), (2, 2, 3), (0,)]],
        *norms((4,), [None], 0, 1, 2, 3, 2.5, -1, -2, 0.5, np.inf, -np.inf),
        *norms((2, 3), [0, -1, (1,)], None, 0, 1, 2, 3, -np.inf),
        *norms((2, 3), [None], "fro", "nuc", 1, -1, 2, -2, np.inf, -np.inf),
        *norms((2, 3, 2), [(0, 1), (2, 0), (-1, -2)], None, "fro", "nuc", 1, -1, 2, -2, np.inf),
        *norms((0, 2, 3), [(1, 2)], "fro", "nuc", 1, -1, 2, np.inf),
        *norms((2, 0), [1], None, 1, 3),
        numpy=np.linalg.norm,
        inputs=(apart,),
    ),
    "matrix_norm": calls(
        mg.matrix_norm,
        *[
            ((2, 3, 2), {"ord": p, "keepdims": k})
            for p in ("fro", "nuc", 2, 1)
            for k in (False, True)
        ],
        ((3, 3), {}),
        ((0, 2, 2), {}),
        numpy=np.linalg.matrix_norm,
        inputs=(apart,),
    ),
    "vector_norm": calls(
        mg.vector_norm,
        *[((shape,), {}) for shape in [(), (3,), (2, 3), (0,)]],
        *norms((2, 3, 2), [None, 0, -1, (2, 0), (0, 1, 2)], 2, 1, 3, np.inf),
        *norms((3, 0), [0, (0,)], 2, 1, np.inf),
        numpy=np.linalg.vector_norm,
        inputs=(apart,),
    ),
}
