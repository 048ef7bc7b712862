"""Compiled code returns eager's values and gradients wherever the numbers lie, or refuses at once.

Every row of the table of ops, in both dtypes, at zeros of both signs, infinities, NaN, the largest
and smallest numbers, in functions and in steps, with constants in the place of any argument.
"""

import itertools
import re
import warnings
import zlib

import numpy as np
import pytest

import microgradx as mg
from microgradx import optim
from microgradx.compiler.tracing import CaptureError
from tests.compiler.test_programs import DECIDED_BY_VALUES, flat
from tests.ops.test_table import SPECIAL, TABLE, as_list

pytestmark = pytest.mark.slow  # a sweep over the whole table

DTYPES = (np.float32, np.float64)

# LAPACK may not come to an end with infinities, or decide otherwise from one call to the next.
OF_MATRICES = {"inv", "solve", "det", "slogdet", "cholesky", "pinv", "tensorsolve", "tensorinv"}
OF_MATRICES |= {"cond", "eigh", "eigvalsh", "svd", "svdvals", "qr", "norm", "matrix_norm", "lstsq"}
OF_MATRICES |= {"polyfit", "matrix_power"}

# Products that BLAS may add up in another order.
IN_ANY_ORDER = {"einsum", "vecdot"}


def kind_of(name):
    return re.match(r"[\w.]+", name)[0]


def extremes(dtype):
    limits = np.finfo(dtype)
    numbers = [0, 1, 0.5, 40, 1e30, limits.max, limits.tiny, limits.smallest_subnormal, np.inf]
    return np.array([*numbers, *(-x for x in numbers), np.nan], dtype)


def pick(name, count):
    """Calls of a row: the first, the last, and some between."""
    samples = list(TABLE[name].samples(name))
    positions = {round(k * (len(samples) - 1) / (count - 1)) for k in range(count)}
    return [samples[k] for k in sorted(positions)]


def draw(name, arrays, dtype):
    """Arrays of the same shapes, in which extremes stand, unless they are of matrices."""
    generator = np.random.default_rng(zlib.crc32(name.encode()))
    ordinary = [np.asarray(x, dtype) if x.dtype.kind == "f" else x for x in arrays]
    if kind_of(name) in OF_MATRICES:
        return ordinary
    return [
        np.where(generator.random(x.shape) < 0.4, generator.choice(extremes(dtype), x.shape), x)
        if x.dtype.kind == "f"
        else x
        for x in ordinary
    ]


def assert_same(ours, expected, name):
    """Equal to within some units in the last place of each number itself."""
    ours, expected = flat(ours), flat(expected)
    assert len(ours) == len(expected)
    for a, b in zip(ours, expected, strict=True):
        a, b = np.asarray(a), np.asarray(b)
        assert (a.shape, a.dtype) == (b.shape, b.dtype)
        if a.dtype.kind != "f":
            np.testing.assert_array_equal(a, b)
            continue
        limits = np.finfo(a.dtype)
        size = np.where(np.isfinite(b), np.abs(b), 0)
        if kind_of(name) in IN_ANY_ORDER:
            size = np.max(size, initial=0)
        with np.errstate(all="ignore"):
            tolerance = np.maximum(8 * limits.eps * size, limits.smallest_subnormal)
            same = (a == b) | (np.isnan(a) & np.isnan(b)) | (abs(a - b) <= tolerance)
        assert np.all(same), (a[~same], b[~same])


def call(function, *arguments):
    """What a function returns, or the error that it raises."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            return function(*arguments)
        except (ArithmeticError, LookupError, RuntimeError, TypeError, ValueError) as error:
            return error


def assert_as_eager(name, eager, arguments):
    """A first call of what is compiled is as eager: the same values, or an error."""
    ours, expected = call(mg.compile(eager), *arguments), call(eager, *arguments)
    if isinstance(expected, Exception):
        assert isinstance(ours, (type(expected), CaptureError)), (ours, expected)
    elif isinstance(ours, Exception):
        assert isinstance(ours, CaptureError), ours
        assert re.search(r"line \d+", str(ours))
        assert kind_of(name) in DECIDED_BY_VALUES
    else:
        assert_same(ours, expected, name)


def weights_like(value):
    """Gradients to begin with: ordinary numbers."""
    weights = [np.cos(np.arange(v.size)).reshape(v.shape).astype(v.dtype) for v in as_list(value)]
    return type(value)(weights) if isinstance(value, (list, tuple)) else weights[0]


def value_and_pulled(function):
    def run(arrays, weights):
        value, pull = mg.vjp(function, *arrays)
        return value, pull(weights)

    return run


# ---------------------------------------------------------------------------- functions

EVERY_ROW = sorted(name for name in TABLE if name not in SPECIAL)


@pytest.mark.parametrize("name", EVERY_ROW)
def test_every_op_at_extremes(name):
    for dtype, (arrays, settings) in zip(DTYPES, itertools.cycle(pick(name, 2)), strict=False):

        def function(*x, settings=settings):
            return TABLE[name].function(*x, **settings)

        assert_gradients_as_eager(name, function, draw(name, arrays, dtype))


def assert_gradients_as_eager(name, function, arrays):
    """Of a function of the arrays, of the gradients it begins with, of one array, of the others."""
    value = call(function, *arrays)
    if isinstance(value, Exception):
        assert_as_eager(name, function, arrays)
        return
    weights = weights_like(value)
    run = value_and_pulled(function)
    first, *others = arrays
    assert_as_eager(name, lambda *x: run(x, weights), arrays)
    assert_as_eager(name, lambda w: run(arrays, w), [weights])
    if others:
        assert_as_eager(name, lambda x: run([x, *others], weights), [first])
        assert_as_eager(name, lambda *x: run([first, *x], weights), others)


# ---------------------------------------------------------------------------- softmax, losses

NAN, INF = np.nan, np.inf
ROWS = [
    *([40, 0], [0, 40], [-INF, -INF], [INF, 0], [INF, INF], [-INF, 0], [NAN, 0], [0, 0], [-0.0, 0]),
    *([1e30, -1e30], [3e38, -3e38], [1e-45, -1e-45], [88, -88], [-104, 0], [17, 16.9], [1e4, 9999]),
]
SHAPES = [(), (0,), (1,), (3, 0), (0, 3), (2, 0, 3), (1, 1)]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("name", ["softmax", "log_softmax", "logsumexp"])
def test_the_softmax_family_at_its_ends(name, fused, dtype):
    settings = {} if name == "logsumexp" else {"fused": fused}
    arrays = [np.array(row, dtype) for row in ROWS] + [np.array(ROWS, dtype)]
    arrays += [np.ones(shape, dtype) for shape in SHAPES]
    for x, axis in [*((x, -1) for x in arrays), *((x, 0) for x in arrays if x.ndim > 1)]:

        def function(x, axis=axis):
            return getattr(mg, name)(x, axis, **settings)

        assert_gradients_as_eager(name, function, [x])


def test_log_softmax_keeps_its_smallest_numbers():
    first, _ = mg.compile(mg.log_softmax)(np.array([40.0, 0.0]))
    np.testing.assert_allclose(first, -np.exp(-40), rtol=1e-15)  # -ln(1 + e⁻⁴⁰)


@pytest.mark.parametrize("name", ["softmax", "log_softmax", "logsumexp", "cross_entropy"])
def test_infinite_logits_warn_no_more_than_in_eager_execution(name):
    rows = np.array([row for row in ROWS if not np.isnan(row).any()])
    labels = np.zeros(len(rows), int)
    functions = {
        "cross_entropy": lambda z: mg.cross_entropy(z, labels, weight=[1.0, 2.0], reduction="sum")
    }
    eager = mg.value_and_grad(lambda z: mg.sum(functions.get(name, getattr(mg, name))(z)))
    compiled = mg.compile(eager)
    warned = []
    for function in (eager, compiled, compiled):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            function(rows)
        warned.append({str(warning.message) for warning in caught})
    assert warned[1] <= warned[0]
    assert warned[2] <= warned[0]


def test_warnings_are_silenced_where_eager_execution_silences_them():
    def halves(x):
        with np.errstate(divide="ignore"):
            first = 1 / x
        return first, np.log(x)

    compiled = mg.compile(halves)
    for _ in range(2):
        with pytest.warns(RuntimeWarning, match="divide by zero") as caught:
            compiled(np.array([0.0, 1.0]))
        assert len(caught) == 1
    assert 'with np.errstate(divide="ignore"):' in compiled.source


OPTIONS = [
    {"reduction": reduction, **options}
    for reduction in ("mean", "sum", "none")
    for options in (
        {},
        {"label_smoothing": 0.1},
        {"weight": [0.5, 0.0, 2.0]},
        {"ignore_index": 1},
        {"ignore_index": 1, "weight": [0.5, 0.0, 2.0], "label_smoothing": 0.2},
        {"fused": False},
        {"axis": 0},
    )
]


def logits_of(dtype):
    values = itertools.product([40, -INF, 0, 1e4, -88, INF, 3e38, NAN, -3e38], repeat=3)
    return np.array([*values], dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_losses_at_extreme_logits(options, dtype):
    rows = logits_of(dtype)
    for loss in (mg.cross_entropy, mg.nll_loss):
        if loss is mg.nll_loss and ("label_smoothing" in options or "fused" in options):
            continue

        def slope(z, y, loss=loss):
            total, pull = mg.vjp(lambda z: loss(z, y, **options), z)
            return total, pull(weights_like(total))

        compiled = mg.compile(slope)
        for k in range(0, len(rows) - 3, 7):  # a single row at first, then two, then three
            z = rows[k : k + 1 + k % 3]
            y = (np.arange(len(z)) + k // 3) % 3
            given = (z.T.copy() if options.get("axis") == 0 else z), y
            ours = call(compiled, *given)
            assert_same(ours, call(slope, *given), "loss")


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_labels_that_are_no_classes_are_refused_among_extreme_logits(options):
    for label, logit in ((-1, 0.0), (-3, INF), (3, NAN), (100, 1e30)):
        z, y = np.array([[0.0, 1.0, 2.0], [logit, 0.0, 0.0]]), np.array([0, label])
        compiled = mg.compile(lambda z, y: mg.cross_entropy(z, y, **options))
        z = z.T.copy() if options.get("axis") == 0 else z
        compiled(np.zeros_like(z), np.zeros_like(y))
        with pytest.raises(IndexError, match=f"label {label} "):
            compiled(z, y)


# ---------------------------------------------------------------------------- steps


class KeepGradients(optim.Optimizer):
    """Puts the gradients in the place of the parameters."""

    def update(self, w, g, state):
        w[...] = g


def take_step(name, settings, arrays, compile):
    """The loss of a step in which an op of parameters is added to the loss, and the gradients."""
    tensors = [mg.Tensor(x, requires_grad=True) for x in arrays]
    model = mg.nn.Linear(1, 1, bias=False, generator=np.random.default_rng(0))

    def loss(z, y):
        value = as_list(TABLE[name].function(*tensors, **settings))
        return sum(mg.sum(v * weights_like(v)) for v in value) + mg.sum(z)

    optimizer = KeepGradients([*tensors, *model.parameters()], 1.0)
    total = compile(model, loss, optimizer)(np.ones((1, 1), np.float32), np.zeros(1))
    return [np.asarray(total), *(t.data for t in tensors)]


@pytest.mark.parametrize("name", EVERY_ROW)
def test_every_op_in_the_loss_of_a_step(name):
    for arrays, settings in pick(name, 2):
        if not all(x.dtype.kind == "f" for x in arrays):
            continue
        given = draw(name, arrays, np.float32)
        ours = call(take_step, name, settings, given, mg.compile)
        expected = call(take_step, name, settings, given, take_eagerly)
        if isinstance(expected, Exception):
            assert isinstance(ours, (type(expected), CaptureError)), (ours, expected)
        elif isinstance(ours, Exception):
            assert isinstance(ours, CaptureError), ours
            assert kind_of(name) in DECIDED_BY_VALUES
        else:
            assert_same(ours, expected, name)


def take_eagerly(model, loss, optimizer):
    def step(X, y):
        optimizer.zero_grad()
        total = loss(model(X), y)
        total.backward()
        optimizer.step()
        return total.item()

    return step
