"""What was broadcast is summed back to the shape of its Tensor."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import mutually_broadcastable_shapes
from numpy.testing import assert_allclose, assert_array_equal

import microgradx as mg
from tests.helpers import leaf


def sum_back(gradient, shape):
    """Each element's gradients, added up one by one at the place that it was broadcast from."""
    places = np.broadcast_to(np.arange(np.prod(shape, dtype=int)).reshape(shape), gradient.shape)
    out = np.zeros(np.prod(shape, dtype=int))
    np.add.at(out, places.ravel(), gradient.ravel())
    return out.reshape(shape)


@given(
    shapes=mutually_broadcastable_shapes(num_shapes=3, min_dims=0, max_dims=4, min_side=0),
    seed=st.integers(0, 2**32 - 1),
)
def test_what_was_broadcast_is_summed_back(shapes, seed):
    generator = np.random.default_rng(seed)
    values = [generator.normal(size=shape) for shape in shapes.input_shapes]
    x, y, z = (leaf(value) for value in values)
    out = mg.broadcast_to(x * y + z, shapes.result_shape)
    g = generator.normal(size=shapes.result_shape)
    out.backward(g)
    for tensor, factor in [(x, values[1]), (y, values[0]), (z, 1.0)]:
        expected = sum_back(np.asarray(g * factor), tensor.shape)
        assert tensor.grad.shape == tensor.shape
        assert_allclose(tensor.grad, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("shape", "other"),
    [
        ((), (2, 3)),
        ((1,), ()),
        ((1, 1), (3,)),
        ((3,), (2, 3)),
        ((2, 1), (2, 3)),
        ((1, 3), (2, 1, 1)),
        ((), (0,)),
        ((1,), (0,)),
        ((1, 3), (0, 3)),
        ((0, 1), (2, 0, 3)),
        ((0,), (1, 0)),
    ],
)
def test_size_1_axes_0_d_and_empty_arrays(shape, other):
    x, y = leaf(np.ones(shape)), leaf(np.ones(other))
    (x + y).sum().backward()
    out = np.broadcast_shapes(shape, other)
    for tensor in (x, y):
        expected = sum_back(np.ones(out), tensor.shape)
        assert_array_equal(tensor.grad, expected, strict=True)


def test_repeated_indices_count_as_often_as_they_occur():
    x = leaf([5.0, 6.0, 7.0])
    x[[0, 0, 1]].sum().backward()
    assert_array_equal(x.grad, [2.0, 1.0, 0.0])
    x.zero_grad()
    (x[[0, 0, 2]] * [1.0, 10.0, 100.0]).sum().backward()
    assert_array_equal(x.grad, [11.0, 0.0, 100.0])
