"""Initial weights: their variance, range, dtype and reproducibility, and what they are for."""

import functools
import inspect
import math

import numpy as np
import pytest

import microgradx as mg
from microgradx import nn
from microgradx.nn import init

SHAPES = [(200, 300), (30, 40, 5, 5)]
VARIANCES = {
    nn.he_normal: lambda fan_in, fan_out: 2 / fan_in,
    nn.he_uniform: lambda fan_in, fan_out: 2 / fan_in,
    nn.glorot_normal: lambda fan_in, fan_out: 2 / (fan_in + fan_out),
    nn.glorot_uniform: lambda fan_in, fan_out: 2 / (fan_in + fan_out),
}
functions = pytest.mark.parametrize("function", VARIANCES)


@functions
@pytest.mark.parametrize("shape", SHAPES)
def test_mean_and_variance(function, shape, generator):
    weights = function(shape, generator, np.float64)
    field = math.prod(shape[2:])
    variance = VARIANCES[function](shape[1] * field, shape[0] * field)
    assert weights.shape == shape
    assert abs(weights.mean()) < 5 * math.sqrt(variance / weights.size)
    assert weights.var() == pytest.approx(variance, rel=0.04)
    if "uniform" in function.__name__:
        limit = math.sqrt(3 * variance)
        assert 0.99 * limit < abs(weights).max() <= limit
    else:
        assert abs(weights).max() > 3 * math.sqrt(variance)


@functions
def test_a_seed_means_the_same_weights_in_every_dtype(function):
    double = function((5, 4), np.random.default_rng(3), np.float64)
    single = function((5, 4), np.random.default_rng(3))
    assert single.dtype == np.float32
    assert np.array_equal(single, double.astype(np.float32))


@functions
@pytest.mark.parametrize("shape", [(3,), (), (0, 4), (4, 0)])
def test_shapes_without_fans_are_refused(function, shape):
    with pytest.raises(ValueError, match=r"no fan-in and fan-out; give \(out, in\)"):
        function(shape)


def test_he_keeps_the_size_of_signals_through_relu_and_glorot_through_linear_layers(generator):
    def size_after(layers, function, activation):
        x = generator.normal(size=(100, 100))
        for _ in range(layers):
            x = activation(x @ function((100, 100), generator, np.float64).T)
        return np.mean(x * x)

    assert 0.2 < size_after(20, nn.he_normal, lambda x: np.maximum(x, 0)) < 5
    assert 0.2 < size_after(20, nn.glorot_normal, lambda x: x) < 5
    assert size_after(20, nn.glorot_normal, lambda x: np.maximum(x, 0)) < 1e-4


# ---------------------------------------------------------------------------- by PyTorch's names

SHAPE = (60, 8, 5, 5)
FAN_IN, FAN_OUT = 200, 1500
#: For each: what is called, and the mean and deviation that it must have, and its greatest number.
DISTRIBUTIONS = {
    "uniform": (functools.partial(init.uniform_, a=-1, b=3), 1, 2 / math.sqrt(3), 3),
    "normal": (functools.partial(init.normal_, mean=1, std=3), 1, 3, math.inf),
    "xavier_uniform": (
        functools.partial(init.xavier_uniform_, gain=2),
        0,
        2 * math.sqrt(2 / (FAN_IN + FAN_OUT)),
        2 * math.sqrt(6 / (FAN_IN + FAN_OUT)),
    ),
    "xavier_normal": (init.xavier_normal_, 0, math.sqrt(2 / (FAN_IN + FAN_OUT)), math.inf),
    "kaiming_uniform": (
        functools.partial(init.kaiming_uniform_, a=math.sqrt(5)),
        0,
        1 / math.sqrt(3 * FAN_IN),
        1 / math.sqrt(FAN_IN),
    ),
    "kaiming_normal": (init.kaiming_normal_, 0, math.sqrt(2 / FAN_IN), math.inf),
    "kaiming_normal, fan_out": (
        functools.partial(init.kaiming_normal_, mode="fan_out", nonlinearity="tanh"),
        0,
        5 / 3 / math.sqrt(FAN_OUT),
        math.inf,
    ),
    "orthogonal": (functools.partial(init.orthogonal_, gain=3), 0, 3 / math.sqrt(200), math.inf),
}


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_mean_deviation_and_range(name, generator):
    function, mean, deviation, greatest = DISTRIBUTIONS[name]
    weight = mg.Tensor(np.zeros(SHAPE), requires_grad=True)
    array = weight.data
    assert function(weight, generator=generator) is weight
    assert weight.data is array
    assert array.mean() == pytest.approx(mean, abs=5 * deviation / math.sqrt(array.size))
    assert array.std() == pytest.approx(deviation, rel=0.03)
    if greatest < math.inf:
        assert 0.99 * greatest < array.max() <= greatest
    else:
        assert array.max() > mean + 3 * deviation


@pytest.mark.parametrize("name", init.__all__[1:])
def test_a_shape_is_drawn_as_a_tensor_is_filled(name):
    settings = {"val": 0.5, "sparsity": 0.2}
    function = getattr(init, name)
    needed = {k: v for k, v in settings.items() if k in inspect.signature(function).parameters}
    shape = (4, 3, 3) if name == "dirac_" else (4, 3)
    function = functools.partial(function, **needed)
    for dtype in (np.float16, np.float32, np.float64):
        weight = mg.Tensor(np.full(shape, 9.0), requires_grad=True, dtype=dtype)
        function(weight, generator=np.random.default_rng(3))
        drawn = function(shape, generator=np.random.default_rng(3), dtype=dtype)
        assert drawn.dtype == weight.dtype == dtype
        np.testing.assert_array_equal(drawn, weight.data)
        assert not (drawn == 9).any()
    assert function(list(shape)).shape == shape
    layer = nn.Linear(3, 4, initialisation=function) if len(shape) == 2 else None
    layer = layer or nn.Conv1d(3, 4, 3, initialisation=function)
    assert layer.weight.shape == shape
    loss = layer.weight.sum()
    function(layer.weight)
    with pytest.raises(ValueError, match="was changed after"):  # the graph saw it
        loss.backward()
    with pytest.raises(TypeError, match=r"a Tensor is needed, .* or a shape, not ndarray"):
        function(np.ones(shape))


def test_he_and_glorot_are_kaiming_and_xavier():
    pairs = {
        nn.he_normal: init.kaiming_normal_,
        nn.he_uniform: init.kaiming_uniform_,
        nn.glorot_normal: init.xavier_normal_,
        nn.glorot_uniform: init.xavier_uniform_,
    }
    for one, other in pairs.items():
        drawn = other((5, 4), generator=np.random.default_rng(3), dtype=np.float64)
        expected = one((5, 4), np.random.default_rng(3), np.float64)
        np.testing.assert_allclose(drawn, expected, rtol=1e-14)


@pytest.mark.parametrize(
    ("mean", "std", "a", "b"),
    [(0, 1, -2, 2), (1, 0.02, -2, 2), (0, 1, 3, 5), (0, 1, -9, -7), (2, 3, -1, 1), (0, 1, 8, 99)],
)
def test_a_truncated_normal_has_the_quantiles_of_its_distribution(mean, std, a, b, generator):
    x = init.trunc_normal_((4000,), mean, std, a, b, generator=generator, dtype=np.float64)
    assert a <= x.min() <= x.max() <= b
    sign = 1 if a > mean else -1  # which tail is computed: the other one is rounded to 1
    below = np.vectorize(lambda v: math.erfc(sign * (v - mean) / std / math.sqrt(2)) / 2)
    low, high = sorted(below([a, b]))
    share = np.sort((below(x) - low) / (high - low))  # uniform, if x is as it must be
    assert abs(share - np.linspace(0, 1, x.size)).max() < 1.95 / math.sqrt(x.size)  # Kolmogorov
    assert len(np.unique(x)) == x.size


def test_matrices_that_keep_lengths_and_kernels_that_copy(generator):
    for shape in [(4, 4), (3, 7), (7, 3), (4, 2, 3)]:
        w = init.orthogonal_(shape, generator=generator, dtype=np.float64).reshape(shape[0], -1)
        w = w if len(w) <= len(w.T) else w.T
        np.testing.assert_allclose(w @ w.T, np.eye(len(w)), atol=1e-14)
    assert {init.orthogonal_((1, 1), generator=generator).item() for _ in range(20)} == {-1, 1}
    x = generator.normal(size=(2, 4, 5, 6))
    for groups in (1, 2):
        layer = nn.Conv2d(4, 4, 3, padding=1, groups=groups, dtype=np.float64)
        init.dirac_(layer.weight, groups)
        np.testing.assert_array_equal(layer(x).data, x)
    layer = nn.Linear(6, 6, initialisation=init.eye_, dtype=np.float64)
    np.testing.assert_array_equal(layer(x).data, x)
    counts = (init.sparse_((10, 50), 0.25, generator=generator) == 0).sum(axis=0)
    assert set(counts) == {3}


def test_settings_that_cannot_be():
    for call, message in [
        (lambda: init.calculate_gain("gelu"), "no gain for 'gelu', but for leaky_relu, linear"),
        (lambda: init.kaiming_normal_((2, 2), mode="in"), "fan_in or fan_out, not 'in'"),
        (lambda: init.kaiming_normal_((2,)), "no fan-in and fan-out"),
        (lambda: init.xavier_normal_(nn.Linear(2, 2).bias), "no fan-in and fan-out"),
        (lambda: init.trunc_normal_((2,), a=1, b=1), "a must be less than b"),
        (lambda: init.eye_((2, 2, 2)), "needs two axes"),
        (lambda: init.dirac_((2, 2)), "of a convolution"),
        (lambda: init.orthogonal_((2,)), "at least two axes"),
        (lambda: init.sparse_((2, 2), 1.5), "a share from 0 to 1"),
    ]:
        with pytest.raises(ValueError, match=message):
            call()


@pytest.mark.parity
@pytest.mark.parametrize("name", [n for n in init.__all__[1:] if n != "sparse_"])
def test_the_spread_is_pytorchs(name, generator):
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    shape = (60, 8, 5) if name == "dirac_" else (300, 80)
    settings = {"val": 0.5} if name == "constant_" else {}
    ours = getattr(init, name)(shape, **settings, dtype=np.float64)
    theirs = getattr(torch.nn.init, name)(torch.zeros(shape), **settings).numpy()
    assert ours.mean() == pytest.approx(theirs.mean(), abs=0.03)
    assert ours.std() == pytest.approx(theirs.std(), rel=0.03)
    if name in ("constant_", "dirac_", "eye_", "ones_", "zeros_"):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parity
def test_gains_are_pytorchs():
    torch = pytest.importorskip("torch")
    names = ["linear", "conv1d", "conv2d", "sigmoid", "tanh", "relu", "selu", "leaky_relu"]
    for name in names:
        assert init.calculate_gain(name) == pytest.approx(torch.nn.init.calculate_gain(name))
    theirs = torch.nn.init.calculate_gain("leaky_relu", 0.3)
    assert init.calculate_gain("leaky_relu", 0.3) == pytest.approx(theirs)
