"""Compiled functions against the same functions run eagerly: random programs, and every op."""

import linecache

import numpy as np
import pytest
from hypothesis import given, settings

import microgradx as mg
from microgradx.compiler import module_text as source_module
from microgradx.compiler.tracing import CaptureError
from tests.engine.test_random_programs import programs
from tests.ops.test_table import EVERY_CALL, as_list


def assert_same(compiled, eager, dtype=np.float64):
    """Equal up to rounding, as sums may be added in another order."""
    compiled, eager = as_list(compiled), as_list(eager)
    assert len(compiled) == len(eager)
    for ours, expected in zip(compiled, eager, strict=True):
        expected = np.asarray(expected)
        assert (ours.shape, ours.dtype) == (expected.shape, expected.dtype)
        scale = np.max(np.abs(expected), initial=0, where=np.isfinite(expected))
        tolerance = 1e-13 if dtype == np.float64 else 1e-6
        np.testing.assert_allclose(ours, expected, rtol=tolerance, atol=tolerance * scale)


# Whether they have a gradient at all depends on the values.
DECIDED_BY_VALUES = {"svd", "qr", "eigh", "pinv", "lstsq", "polyfit"}


def flat(structure):
    return [x for item in as_list(structure) for x in as_list(item)]


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@settings(max_examples=100, deadline=None)
@given(program=programs(longest=20))
def test_random_programs_and_their_gradients(dtype, program):
    def total(*arrays):
        return sum(np.sum(np.sin(result)) for result in program(*arrays))

    every = tuple(range(len(program.inputs)))
    eager = mg.value_and_grad(total, every)
    compiled = mg.compile(eager)
    given = [np.asarray(x, dtype) for x in program.inputs.values()]
    for arrays in (given, [np.asarray(x / 2, dtype) for x in given]):
        assert_same(flat(compiled(*arrays)), flat(eager(*arrays)), dtype)


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
        assert request.node.callspec.id.split("-")[0].split(" ")[0].strip(",") in DECIDED_BY_VALUES
    else:
        assert_same(flat(ours), flat(pulled(*arrays)))


# ---------------------------------------------------------------------------- NumPy's finer points

A = np.random.default_rng(0).normal(size=(4, 4))
EXACT = {
    "where= leaves what is in out=": lambda x: np.add(x, 1, out=x.copy(), where=x > 0),
    "the dtype of a scalar": lambda x: x.astype("f") * np.float64(0.1),
    "scalars of two dtypes": lambda x: (
        x.astype("e") * np.float16(0.5),
        x.astype("e") * np.float32(0.5),
    ),
    "a scalar beyond the dtype": lambda x: np.sign(x).astype(np.int8) * np.int32(1000),
    "a comparison with a number beyond the dtype": lambda x: np.sign(x).astype(np.int8) < 1000,
    "zeros of both signs": lambda x: np.copysign(x, np.array([0.0, -0.0, 0.0, -0.0])),
    "negative zeros": lambda x: np.concatenate([x, np.copysign(x, np.full(4, -0.0))]),
    "scalar zeros of both signs": lambda x: (
        np.copysign(x, np.float32(0.0)),
        np.copysign(x, np.float32(-0.0)),
    ),
    "a constant matrix": lambda x: np.ones((4, 4)) @ x,
    "a broadcast matrix": lambda x: np.broadcast_to(x[0], (4, 4)) @ x,
    "Python types": lambda x: np.sum(x.astype("f"), dtype=float) + np.add(x, 1, dtype=float),
    "the mean of many halves": lambda x: np.mean(np.full(2000, 100, "e") + 0 * x[0, 0].astype("e")),
    "arguments by name": lambda x: np.transpose(a=np.sum(a=x * 2, axis=0).reshape(2, 2)),
    "a copy by index that is changed": lambda x: (lambda y: y.__iadd__(1))(x[[0, 2]]),
}


@pytest.mark.parametrize("name", EXACT)
def test_results_are_those_of_numpy(name):
    compiled = mg.compile(EXACT[name])
    for x in (A, -2 * A):
        for ours, expected in zip(as_list(compiled(x)), as_list(EXACT[name](x)), strict=True):
            assert (ours.shape, ours.dtype) == (expected.shape, expected.dtype)
            np.testing.assert_allclose(ours, expected, rtol=1e-12)
            np.testing.assert_array_equal(np.signbit(ours + 0.0), np.signbit(expected + 0.0))


def views_of_what_is_changed(x):
    y = x * 2
    parts = np.split(y, 2)
    y += 1
    return parts[0]


def windows_of_what_is_changed(x):
    y = x[0] * 2
    windows = np.lib.stride_tricks.sliding_window_view(y, 2)
    y += 1
    return windows * 1


def argument_that_is_changed(x):
    x += 1
    return x


@pytest.mark.parametrize(
    "function", [views_of_what_is_changed, windows_of_what_is_changed, argument_that_is_changed]
)
def test_changes_that_others_would_see_are_refused(function):
    with pytest.raises(CaptureError, match="written to"):
        mg.compile(function)(A)


MASKED = np.ma.masked_array([[1.0, 2.0], [3.0, 4.0]], [[0, 1], [0, 0]])


@pytest.mark.parametrize("other", [MASKED, MASKED.filled(0).view(np.matrix)])
@pytest.mark.parametrize(
    "function",
    [
        lambda x, other: other,
        lambda x, other: x * other,
        lambda x, other: other * x,
        lambda x, other: np.where(x > 0, x, other),
        lambda x, other: np.concatenate([x, other]),
        lambda x, other: (lambda y: y.__setitem__(0, other) or y)(x * 2),
        lambda x, other: mg.sum(mg.exp(x) * other),
    ],
)
def test_masked_arrays_and_matrices_are_refused(function, other):
    """As arguments, also inside others, as constants, as results, in functions and in steps."""
    x = np.ones((2, 2))
    for run in (
        lambda: mg.compile(function)(x, other),
        lambda: mg.compile(lambda x, d: function(x, d["others"][0]))(x, {"others": [other]}),
        lambda: mg.compile(lambda x: function(x, other))(x),
    ):
        with pytest.raises((TypeError, CaptureError), match=r"masked array|matrix|plain array"):
            run()
    net = mg.nn.Linear(2, 2)
    step = mg.compile(net, mg.cross_entropy, mg.optim.SGD(net.parameters(), 0.1))
    before = net.weight.data.copy()
    for take in (step, lambda X, y: step.epoch(X, y, 1)):
        with pytest.raises(TypeError, match=r"masked array|matrix"):
            take(other, np.zeros(2, int))
        with pytest.raises(TypeError, match=r"masked array|matrix"):
            take(x, other)
    np.testing.assert_array_equal(net.weight.data, before)


def test_python_functions_as_arguments_are_refused():
    with pytest.raises(CaptureError, match="a Python function or class"):
        mg.compile(lambda x: np.apply_along_axis(np.sum, 0, x))(A)


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x * 1.0,
        lambda x: np.copy(x),
        lambda x: x[1:],
        mg.grad(lambda x, y=A: mg.sum(x * x) / 2),
        lambda x: (np.sort(x), np.sort(x)),
        lambda x: (x * 2, np.zeros(3)),
    ],
)
def test_results_are_the_callers_own(function):
    x = A.copy()
    compiled = mg.compile(function)
    first = as_list(compiled(x))
    expected = [np.copy(result) for result in first]
    for k, result in enumerate(first):
        assert not np.shares_memory(result, x)
        assert not any(np.shares_memory(result, other) for other in first[:k])
        result += 1
    for ours, copied in zip(as_list(compiled(x)), expected, strict=True):
        np.testing.assert_array_equal(ours, copied)


def test_random_numbers():
    def noisy(x, generator):
        generator.random()  # unused, but the generator advances
        return x * generator.random(), generator.random()

    compiled = mg.compile(noisy)
    generators = np.random.default_rng(0), np.random.default_rng(0)
    for _ in range(3):
        for ours, expected in zip(compiled(A, generators[0]), noisy(A, generators[1]), strict=True):
            np.testing.assert_array_equal(ours, expected)
    with pytest.raises(CaptureError, match="of a generator changes an array"):
        mg.compile(lambda x, generator: generator.shuffle(x))(A, generators[0])


def test_a_compiled_function_inside_others():
    inner = mg.compile(lambda x: np.sum(np.sin(x) * x))
    inner(A)
    np.testing.assert_allclose(mg.grad(inner)(A), np.sin(A) + A * np.cos(A))
    outer = mg.compile(lambda x: inner(x) + 1)
    for x in (A, A / 2):
        np.testing.assert_allclose(outer(x), np.sum(np.sin(x) * x) + 1)


def test_zeros_of_both_signs_are_two_numbers():
    compiled = mg.compile(np.copysign)
    np.testing.assert_array_equal(compiled(A, 0.0), abs(A))
    np.testing.assert_array_equal(compiled(A, -0.0), -abs(A))


def test_the_largest_spread_of_many_logits():
    # The sum of all exponentials, divided by the label's, overflows float32.
    logits = np.full((2, 10000), 39.9, np.float32)
    logits[:, 0] = -39.9
    labels = np.zeros(2, int)
    eager = mg.value_and_grad(mg.cross_entropy)
    assert_same(flat(mg.compile(eager)(logits, labels)), flat(eager(logits, labels)), np.float32)


def test_sources_go_with_their_programs():
    compiled = mg.compile(lambda x: np.sin(x) * 2)
    before = len(linecache.cache)
    for size in range(1, 30):
        compiled(np.ones(size))
    assert len(linecache.cache) <= before + source_module.PROGRAMS


def test_the_loss_of_far_logits_has_their_dtype():
    logits = 1000 * A.astype(np.float32)
    loss = mg.compile(mg.cross_entropy)(logits, np.arange(4))
    assert loss.dtype == np.float32
    np.testing.assert_allclose(loss, mg.cross_entropy(logits, np.arange(4)), rtol=1e-6)


def test_arguments_and_constants_stay_as_they_are():
    constant = np.arange(16.0).reshape(4, 4)
    compiled = mg.compile(lambda x: np.exp(np.sin(x)) + np.cos(np.sin(constant + 0 * x)))
    x = A.copy()
    expected = np.exp(np.sin(A)) + np.cos(np.sin(constant))
    for _ in range(2):
        np.testing.assert_allclose(compiled(x), expected, rtol=1e-12)
    np.testing.assert_array_equal(x, A)


def test_numbers_that_are_equal_are_not_the_same():
    def both(x):
        return (
            np.copysign(x, 0.0),
            np.copysign(x, -0.0),
            np.sign(x).astype(np.int8) * 1,
            (x > 0) * 1.0,
        )

    for ours, expected in zip(mg.compile(both)(A), both(A), strict=True):
        assert ours.dtype == expected.dtype
        np.testing.assert_array_equal(ours, expected)


def test_a_choice_of_negative_zero():
    chosen = mg.compile(lambda x: np.where(x > 0, x * 2, np.full(4, -0.0)))(A)
    np.testing.assert_array_equal(np.signbit(chosen), A <= 0)


EXTREME = [
    [17.0, 0.0, 0.0],
    [0.0, 17.0, 0.0],
    [39.0, -39.0, 1.0],
    [100.0, 0.0, -100.0],
    [1e4, 0.0, 9999.0],
    [1e38, 1e38, -1e38],
    [-1e38, 1e38, 0.0],
    [0.0, -np.inf, 3.0],
    [1e-30, 0.0, -1e-30],
]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("row", range(len(EXTREME)))
def test_extreme_logits_keep_all_digits(row, dtype):
    # Each element to its own size: tiny ones are as exact as large ones.
    logits = np.array([EXTREME[row], [0.5, -0.5, 0.0]], dtype)
    labels = np.array([0, 2])

    def loss(z, labels):
        return mg.cross_entropy(z, labels, reduction="sum")

    compiled = mg.compile(mg.value_and_grad(loss))
    value, gradient = compiled(logits, labels)
    assert "far_cross_entropy" in compiled.source  # the lines for labels, not those for any target
    expected, slope = mg.value_and_grad(loss)(logits, labels)
    rtol = 1e-6 if dtype == np.float32 else 1e-14
    np.testing.assert_allclose(value, expected, rtol=rtol)
    np.testing.assert_allclose(gradient, slope, rtol=rtol, atol=np.finfo(dtype).smallest_subnormal)
