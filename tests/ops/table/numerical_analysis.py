"""Rows of numerical analysis."""

import numpy as np

import microgradx as mg
from tests.ops.table.row import anywhere, calls, full_rank, positive

ENDS = [((), ()), ((3,), ()), ((2, 1), (3,)), ((0,), ())]
GRIDS = [
    *[(pair, {}) for pair in ENDS],
    *[(pair, {"num": 4, "endpoint": endpoint}) for pair in ENDS for endpoint in (True, False)],
    *[(((2,), (2,)), {"num": num}) for num in (0, 1, 2)],
    *[(((2, 3), (3,)), {"num": 5, "axis": axis}) for axis in (1, -1)],
]


def points(generator, shape):
    """In ascending order, from 0; a single one, positive."""
    return np.cumsum(generator.uniform(0.5, 1.5, shape)).reshape(shape)


def between(generator, shape):
    """From before the first of four such points to behind the last, and never on one."""
    return np.asarray(generator.uniform(-1, 6, shape))


def trapezoid(y, x, **settings):
    return mg.trapezoid(y, x=x, **settings)


ROWS = {
    "linspace": calls(
        mg.linspace,
        *GRIDS,
        (((2,), ()), {"num": 3, "retstep": True}),
        (((), ()), {"num": 3, "retstep": True, "endpoint": False}),
        numpy=np.linspace,
        rtol=1e-15,
    ),
    "logspace": calls(
        mg.logspace, *GRIDS, (((2,), ()), {"num": 3, "base": 2.0}), numpy=np.logspace, rtol=1e-14
    ),
    "logspace of bases": calls(
        lambda start, stop, base: mg.logspace(start, stop, 3, base=base, axis=-1),
        (((2,), (), ()), {}),
        (((), (2,), (2,)), {}),
        inputs=(positive,),
    ),
    "geomspace": calls(
        mg.geomspace,
        *GRIDS,
        numpy=np.geomspace,
        inputs=(positive,),
        rtol=1e-14,
    ),
    "geomspace of negative numbers": calls(
        lambda start, stop: mg.geomspace(-start, -stop, 3), (((2,), ()), {}), inputs=(positive,)
    ),
    "interp": calls(
        mg.interp,
        *[((shape, (4,), (4,)), {}) for shape in [(), (5,), (2, 3), (0,)]],
        (((5,), (1,), (1,)), {}),
        (((5,), (4,), (4,)), {"left": 0.5, "right": -1.0}),
        (((5,), (4,), (4,)), {"period": 1.25}),
        (((5,), (4,), (4,)), {"period": -9.0, "left": 1.0}),
        numpy=np.interp,
        inputs=(between, points, anywhere),
        rtol=1e-14,
    ),
    "interp with ends": calls(
        lambda x, xp, fp, left, right: mg.interp(x, xp, fp, left, right),
        (((2, 4), (3,), (3,), (), ()), {}),
        inputs=(between, points, anywhere, anywhere, anywhere),
    ),
    "unwrap": calls(
        mg.unwrap,
        *[((5,), {}), ((3, 4), {"period": 1.0}), ((3, 4), {"axis": 0, "discont": 5.0})],
        *[((3, 4), {"axis": 0, "period": 0.5, "discont": 0.4}), ((1,), {}), ((2, 0), {})],
        numpy=np.unwrap,
    ),
    "gradient": calls(
        mg.gradient,
        *[((shape,), {}) for shape in [(2,), (5,), (3, 4), (0, 3)][:3]],
        *[((5,), {"edge_order": 2}), ((3, 4), {"axis": 1}), ((3, 4, 3), {"axis": (2, 0)})],
        ((3,), {"axis": 0, "edge_order": 2}),
        numpy=np.gradient,
        rtol=1e-14,
    ),
    "gradient of spacings": calls(
        lambda f, *spacings, **settings: mg.gradient(f, *spacings, **settings),
        (((5,), ()), {}),
        (((5,), (5,)), {"edge_order": 2}),
        (((4, 3), ()), {"edge_order": 2}),
        (((4, 3), (), (3,)), {}),
        (((4, 3), (4,)), {"axis": 0}),
        numpy=np.gradient,
        inputs=(anywhere, points, points),
        rtol=1e-13,
    ),
    "trapezoid": calls(
        mg.trapezoid,
        *[((shape,), {}) for shape in [(4,), (2, 3), (1,), (2, 0)]],
        (((3, 4),), {"dx": 0.5, "axis": 0}),
        numpy=np.trapezoid,
    ),
    "trapezoid of samples": calls(
        trapezoid,
        (((4,), (4,)), {}),
        (((2, 4), (4,)), {}),
        (((3, 2), (3, 2)), {"axis": 0}),
        (((3, 2), (3,)), {"axis": 0}),
        numpy=lambda y, x, **settings: np.trapezoid(y, x=x, **settings),
    ),
    "polyval": calls(
        mg.polyval,
        *[(pair, {}) for pair in [((3,), ()), ((4,), (2, 3)), ((1,), (2,)), ((0,), (2,))]],
        numpy=np.polyval,
    ),
    "polyadd": calls(
        mg.polyadd, *[(p, {}) for p in [((3,), (1,)), ((2,), (4,)), ((), (2,))]], numpy=np.polyadd
    ),
    "polysub": calls(
        mg.polysub, *[(p, {}) for p in [((3,), (1,)), ((2,), (4,)), ((), (2,))]], numpy=np.polysub
    ),
    "polyder": calls(
        mg.polyder,
        *[((4,), {"m": m}) for m in (0, 1, 2, 4, 5)],
        ((1,), {}),
        numpy=np.polyder,
    ),
    "polyint": calls(
        mg.polyint,
        *[((3,), {"m": m}) for m in (0, 1, 2)],
        ((3,), {"m": 2, "k": [1.0, 2.0]}),
        ((3,), {"m": 2, "k": 3.0}),
        numpy=np.polyint,
        rtol=1e-15,
    ),
    "polyfit": calls(
        mg.polyfit,
        *[(((5,), (5,)), {"deg": deg}) for deg in (0, 1, 2)],
        (((3,), (3,)), {"deg": 2}),
        (((5,), (5, 2)), {"deg": 1, "rcond": 1e-6}),
        numpy=np.polyfit,
        inputs=(points, anywhere),
        rtol=1e-12,
    ),
    "polyfit of weights": calls(
        lambda x, y, w, deg: mg.polyfit(x, y, deg, w=w),
        (((5,), (5,), (5,)), {"deg": 2}),
        (((4,), (4, 2), (4,)), {"deg": 1}),
        numpy=lambda x, y, w, deg: np.polyfit(x, y, deg, w=w),
        inputs=(points, anywhere, positive),
        rtol=1e-12,
    ),
    "polyfit with covariance": calls(
        lambda x, y, **settings: mg.polyfit(x, y, 1, **settings),
        (((5,), (5,)), {"cov": "unscaled"}),
        (((5,), (5,)), {"cov": True}),
        (((5,), (5, 2)), {"cov": True}),
        numpy=lambda x, y, **settings: np.polyfit(x, y, 1, **settings),
        inputs=(points, anywhere),
        rtol=1e-12,
    ),
    "lstsq": calls(
        lambda a, b: mg.lstsq(a, b)[0],
        *[(p, {}) for p in [((4, 2), (4,)), ((4, 2), (4, 3)), ((2, 2), (2,)), ((2, 3), (2,))]],
        numpy=lambda a, b: np.linalg.lstsq(a, b)[0],
        inputs=(full_rank, anywhere),
        rtol=1e-13,
    ),
    "lstsq, residuals and singular values": calls(
        lambda a, b: mg.lstsq(a, b)[1::2],
        *[(p, {}) for p in [((4, 2), (4,)), ((4, 2), (4, 3)), ((2, 2), (2,)), ((2, 3), (2,))]],
        numpy=lambda a, b: np.linalg.lstsq(a, b)[1::2],
        inputs=(full_rank, anywhere),
        rtol=1e-13,
    ),
    "vander": calls(
        mg.vander,
        *[((3,), {}), ((2,), {"N": 4}), ((3,), {"N": 2, "increasing": True}), ((3,), {"N": 0})],
        numpy=np.vander,
        rtol=1e-15,
    ),
}
