"""Rows of numerical analysis."""

import numpy as np

import microgradx as mg
from tests.ops.table.row import calls, positive

ENDS = [((), ()), ((3,), ()), ((2, 1), (3,)), ((0,), ())]
GRIDS = [
    *[(pair, {}) for pair in ENDS],
    *[(pair, {"num": 4, "endpoint": endpoint}) for pair in ENDS for endpoint in (True, False)],
    *[(((2,), (2,)), {"num": num}) for num in (0, 1, 2)],
    *[(((2, 3), (3,)), {"num": 5, "axis": axis}) for axis in (1, -1)],
]


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
    "vander": calls(
        mg.vander,
        *[((3,), {}), ((2,), {"N": 4}), ((3,), {"N": 2, "increasing": True}), ((3,), {"N": 0})],
        numpy=np.vander,
        rtol=1e-15,
    ),
}
