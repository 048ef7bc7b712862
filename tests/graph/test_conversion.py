"""Ways out of the graph: what becomes a plain number warns, at the user's line, once."""

import array
import math
import struct
import warnings

import numpy as np
import pytest

import microgradx as mg
from tests.helpers import leaf


def assign(t):
    np.zeros(2)[0] = t


def assign_to_flat(t):
    np.zeros(2).flat[1] = t


def add_to_an_element(t):
    values = np.zeros(2)
    values[0] += t


WAYS_OUT = {
    "float": float,
    "int": int,
    "complex": complex,
    "math.exp": lambda t: t * math.exp(t),
    "math.hypot": lambda t: math.hypot(1.0, t),
    "math.floor": math.floor,
    "math.fsum": lambda t: math.fsum([t, t]),
    "float64": np.float64,
    "assignment": assign,
    "assignment to flat": assign_to_flat,
    "in-place addition": add_to_an_element,
    "fill": lambda t: np.zeros(2).fill(t),
    "fromiter": lambda t: np.fromiter([t], float),
    "array": lambda t: array.array("d", [t]),
    "struct": lambda t: struct.pack("d", t),
    "percent": lambda t: "%.2f" % t,  # noqa: UP031
}


@pytest.mark.parametrize("way_out", WAYS_OUT.values(), ids=WAYS_OUT)
def test_a_number_that_leaves_the_graph_warns(way_out):
    for t in (leaf(0.5), leaf([0.5, 0.25])[0] * 2):
        with pytest.warns(
            UserWarning, match=r"t\.item\(\) or t\.detach\(\).*mg\.exp.*\.at\[i\]"
        ) as seen:
            way_out(t)
        assert {warning.filename for warning in seen} == {__file__}


@pytest.mark.parametrize("way_out", WAYS_OUT.values(), ids=WAYS_OUT)
def test_a_constant_may_leave_and_so_may_anything_without_a_graph(way_out):
    way_out(mg.Tensor(0.5))
    way_out(leaf(0.5).detach())
    with mg.no_grad():
        way_out(leaf(0.5))


@pytest.mark.parametrize(
    "use",
    [
        bool,
        str,
        repr,
        "{}".format,
        "{:.2f}".format,
        lambda t: t.item(),
        lambda t: t.tolist(),
        lambda t: t < 1.0 and t > t - 1 and t == t,
        lambda t: max(t, t * 2),
        lambda t: min([t, t * 2]),
        lambda t: sorted([t * 2, t]),
        lambda t: sum([t, t]),
        lambda t: math.prod([t, t]),
        lambda t: [1, 2].append(t),
        lambda t: np.float64(2.0) * t + np.ones(()) * t,
        lambda t: np.stack([t, t]),
        lambda t: mg.as_tensor(np.zeros(2)).at[0].set(t),
        np.isnan,
    ],
)
def test_what_is_shown_compared_or_computed_does_not_warn(use):
    use(leaf(0.5))


def test_a_line_warns_once_whatever_the_tensor():
    w = leaf([1.0, 2.0, 3.0], name="w")
    out = np.zeros(3)
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("default")
        for i in range(3):
            out[i] = w[i] * w[i]
            out[i] = w[i]
    assert len(seen) == 2
    assert seen[1].lineno == seen[0].lineno + 1
    np.testing.assert_array_equal(out, w.data)


def test_arrays_raise_instead():
    t = leaf([1.0, 2.0])
    for use in (np.array, np.asarray, np.float32, lambda t: np.array([t[0], t[1]])):
        with pytest.raises(TypeError, match=r"drop out of the graph.*detach\(\)"):
            use(t)


def test_round_names_what_to_write():
    for arguments in ((), (1,)):
        with pytest.raises(TypeError, match=r"np\.round\(t\).*round\(t\.item\(\)\)"):
            round(leaf(0.5), *arguments)
