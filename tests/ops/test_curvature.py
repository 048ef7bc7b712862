"""Second derivatives of every op, and of its square, where points are special: 0, ±1, all equal.

The reference are one-sided difference quotients along a line. A finite second derivative must lie
between them; where the curvature is infinite it must not be finite.
"""

import contextlib

import numpy as np
import pytest

import microgradx as mg
from tests.ops.test_table import SPECIAL, TABLE, as_list

pytestmark = pytest.mark.slow

#: Piecewise linear: at a kink their second derivative is 0 by convention, so that of their square
#: need not lie between the quotients. The rest jump, have slopes that jump, bend within a step, or
#: depend on vectors that are arbitrary at equal singular values.
KINKED = {
    *("abs", "absolute", "fabs", "relu", "relu6", "leaky_relu", "hardtanh", "clip", "copysign"),
    *("maximum", "minimum", "fmax", "fmin", "max", "min", "ptp", "nanmax", "nanmin", "interp"),
    *("sort", "partition", "median", "nanmedian", "quantile", "nanquantile", "percentile"),
    *("nanpercentile", "quantile of weights", "MaxPool", "max_pool2d", "l1_loss", "svdvals"),
    *("sign", "floor", "ceil", "trunc", "fix", "rint", "round", "floor_divide", "remainder", "mod"),
    *("fmod", "divmod", "modf", "heaviside", "svd", "eigh", "eigvalsh", "qr", "cond"),
    *("lstsq", "lstsq, residuals and singular values", "pinv", "interp with ends", "unwrap"),
    *("polyfit", "polyfit of weights", "polyfit with covariance", "elu", "selu"),
    *("Normalise", "batch_norm", "layer_norm", "max_pool1d", "prelu", "hardshrink"),
}

POINTS = (0.0, 1.0, -1.0, 0.5)
STEPS = (2e-3, 1e-3, 5e-4)


def total(row, settings, power):
    def f(*inputs):
        outputs = as_list(row.function(*inputs, **settings))
        weights = np.random.default_rng(1)
        return sum(mg.sum(out**power * weights.uniform(0.5, 1, np.shape(out))) for out in outputs)

    return f


def second_derivative_along(f, inputs, directions):
    product = mg.hvp(f, tuple(inputs), tuple(directions))
    return sum(np.sum(v * p) for v, p in zip(directions, product, strict=True))


def quotient(f, inputs, directions, step):
    a, b, c = (
        float(f(*(np.asarray(x + k * step * v) for x, v in zip(inputs, directions, strict=True))))
        for k in (0, 1, 2)
    )
    return (c - 2 * b + a) / step**2


@pytest.mark.parametrize("name", sorted(set(TABLE) - KINKED - set(SPECIAL)))
def test_no_second_derivative_is_a_quiet_0(name):
    row, generator = TABLE[name], np.random.default_rng(0)
    small = [
        call for call in row.samples(name) if 0 < sum(np.size(array) for array in call[0]) <= 6
    ]
    for (arrays, settings), point, power in (
        (call, point, power) for call in small[:2] for point in POINTS for power in (1, 2)
    ):
        f = total(row, settings, power)
        inputs = [np.full(array.shape, point) for array in arrays]
        directions = [
            generator.uniform(0.5, 1.5, x.shape) * generator.choice([-1, 1], x.shape)
            for x in inputs
        ]
        with np.errstate(all="ignore"), contextlib.suppress(ValueError, ZeroDivisionError):
            found = second_derivative_along(f, inputs, directions)
            sides = [
                [quotient(f, inputs, [sign * v for v in directions], h) for h in STEPS]
                for sign in (1, -1)
            ]
            if not np.isfinite(found) or not np.all(np.isfinite(sides)):
                continue
            where = (point, power, settings, found, sides)
            assert all(abs(c) <= 1.2 * abs(b) + 0.1 for _, b, c in sides), where  # they converge
            limits = sorted(2 * c - b for _, b, c in sides)
            slack = 2e-2 * (1 + abs(limits[0]) + abs(limits[1]))
            assert limits[0] - slack <= found <= limits[1] + slack, where
