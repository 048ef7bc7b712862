"""What a row of the table is: a function, and calls of it to be checked."""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

SHAPES = [(), (0,), (1,), (3,), (2, 3), (2, 1, 3), (0, 2)]
PAIRS = [((), ()), ((3,), ()), ((), (2, 3)), ((2, 3), (3,)), ((1, 3), (2, 1)), ((0, 3), (1, 3))]
REDUCED = [
    ((), None),
    ((3,), None),
    ((3,), 0),
    ((2, 3), -1),
    ((2, 3), (0, 1)),
    ((2, 1, 4), (0, -1)),
    ((2, 3, 4), 1),
]


def anywhere(generator, shape):
    return np.asarray(generator.normal(size=shape))


def positive(generator, shape):
    return np.asarray(generator.uniform(0.5, 2, size=shape))


def probability(generator, shape):
    return np.asarray(generator.uniform(0.1, 0.9, size=shape))


def above_one(generator, shape):
    return np.asarray(generator.uniform(1.5, 3, size=shape))


def apart(generator, shape):
    """Values that differ from one another, and from 0 and ±0.6, by far more than a step."""
    values = np.arange(1, np.prod(shape, dtype=int) + 1) / 4 - 0.05
    return np.asarray(
        generator.permutation(values) * generator.choice([-1, 1], values.size)
    ).reshape(shape)


def full_rank(generator, shape):
    """Matrices whose singular values are 1, 2, …: far from one another and from 0."""
    *stack, m, n = shape
    k = min(m, n)
    u = np.linalg.qr(generator.normal(size=(*stack, m, k))).Q
    v = np.linalg.qr(generator.normal(size=(*stack, n, k))).Q
    return np.ascontiguousarray(u * np.arange(1.0, k + 1) @ v.mT)


def symmetric(generator, shape):
    """Symmetric matrices with eigenvalues 1, 2, …; a product may round to not quite symmetric."""
    q = np.linalg.qr(generator.normal(size=shape)).Q
    x = q * np.arange(1.0, shape[-1] + 1) @ q.mT
    return (x + x.mT) / 2


@dataclass
class Row:
    """A function, and calls of it: arrays to differentiate by, and settings."""

    function: Callable[..., Any]
    calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = field(default_factory=list)
    inputs: tuple[Callable[..., Any], ...] = (anywhere,)
    numpy: Any = None  # NumPy's function of the same meaning
    rtol: float = 0.0  # tolerance for NumPy's values, where BLAS may add in another order

    def samples(self, name):
        generator = np.random.default_rng(zlib.crc32(name.encode()))
        for shapes_, settings in self.calls:
            makers = itertools.cycle(self.inputs)
            yield [make(generator, s) for make, s in zip(makers, shapes_, strict=False)], settings


def unary(function, numpy=None, inputs=anywhere):
    return Row(function, [((s,), {}) for s in SHAPES], (inputs,), numpy)


def binary(function, numpy=None, first=anywhere, second=anywhere):
    calls = [(pair, {}) for a, b in PAIRS for pair in ((a, b), (b, a))]
    return Row(function, calls, (first, second), numpy)


def reduction(function, numpy=None, inputs=anywhere):
    settings = [
        ((shape,), {"axis": axis, "keepdims": keepdims})
        for shape, axis in REDUCED
        for keepdims in (False, True)
    ]
    return Row(function, settings, (inputs,), numpy)


def calls(function, *of, numpy=None, inputs=(anywhere,), rtol=0.0):
    """Of shapes and settings; `((2, 3), {…})` stands for one input of that shape."""
    several = [
        (s if (s and isinstance(s[0], tuple)) or s == ((),) else (s,), settings)
        for s, settings in of
    ]
    return Row(function, several, inputs, numpy, rtol)


def along_axes(function):
    on = [((3,), -1), ((2, 3), -1), ((2, 3), 0), ((2, 3, 2), 1), ((1, 1), -1)]
    return calls(function, *[((shape,), {"axis": axis}) for shape, axis in on])
