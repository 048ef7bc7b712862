"""Initial weights: their variance, range, dtype and reproducibility, and what they are for."""

import math

import numpy as np
import pytest

from microgradx import nn

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
