"""Compiled functions against the same functions run eagerly: random programs, and every op."""

import numpy as np
import pytest
from hypothesis import given, settings

import microgradx as mg
from microgradx.compiler.recording import CaptureError
from tests.ops.test_table import EVERY_CALL, several
from tests.test_random_programs import programs


def assert_same(compiled, eager, dtype=np.float64):
    """To rounding, as sums may be added in another order."""
    compiled, eager = several(compiled), several(eager)
    assert len(compiled) == len(eager)
    for ours, expected in zip(compiled, eager, strict=True):
        expected = np.asarray(expected)
        assert (ours.shape, ours.dtype) == (expected.shape, expected.dtype)
        scale = np.max(np.abs(expected), initial=0, where=np.isfinite(expected))
        tolerance = 1e-13 if dtype == np.float64 else 1e-6
        np.testing.assert_allclose(ours, expected, rtol=tolerance, atol=tolerance * scale)


# Whether they have a gradient at all depends on the values.
DECIDED_BY_VALUES = {"svd", "qr", "eigh", "pinv"}


def flat(structure):
    return [x for item in several(structure) for x in several(item)]


@settings(max_examples=150, deadline=None)
@given(programs(longest=20))
def test_random_programs_and_their_gradients(program):
    def total(*arrays):
        return sum(np.sum(np.sin(result)) for result in program(*arrays))

    every = tuple(range(len(program.inputs)))
    eager = mg.value_and_grad(total, every)
    compiled = mg.compile(eager)
    given = list(program.inputs.values())
    for arrays in (given, [x / 2 for x in given]):
        assert_same(flat(compiled(*arrays)), flat(eager(*arrays)))


@pytest.mark.parametrize(("row", "arrays", "settings"), EVERY_CALL)
def test_every_op_and_its_gradient(row, arrays, settings, request):
    def pulled(*arrays):
        value, pull = mg.vjp(lambda *x: row.function(*x, **settings), *arrays)
        weights = [np.cos(v) for v in value] if isinstance(value, (list, tuple)) else np.cos(value)
        return value, pull(type(value)(weights) if isinstance(value, tuple) else weights)

    compiled = mg.compile(pulled)
    try:
        ours = compiled(*arrays)
    except CaptureError:
        assert request.node.callspec.id.split("-")[0].split(" ")[0] in DECIDED_BY_VALUES
    else:
        assert_same(flat(ours), flat(pulled(*arrays)))
