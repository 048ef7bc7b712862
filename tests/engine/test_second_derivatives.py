"""Derivatives of derivatives: `create_graph=True`."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import microgradx as mg
from microgradx import Tensor
from microgradx.engine import sweep
from tests.helpers import Cube, SavingSquare, assert_owned, leaf


def test_the_hessian_of_a_cubic():
    x = leaf([1.0, 2.0, -3.0])
    x_cubed = mg.sum(x**3)
    x_cubed.backward(create_graph=True)
    slope = x.grad
    assert isinstance(slope, Tensor)
    assert_array_equal(slope.data, 3 * x.data**2)
    x.grad = None
    slope.sum().backward(create_graph=True)
    curvature = x.grad
    assert_array_equal(curvature.data, 6 * x.data)
    x.grad = None
    curvature.sum().backward()
    assert_array_equal(x.grad, [6.0, 6.0, 6.0])


def test_the_full_hessian_by_sweeps_with_mixed_terms():
    x, y = leaf(2.0), leaf(3.0)
    f = Cube()(x) * y + mg.exp(x * y)
    gradients = dict(sweep({f: Tensor(1.0)}, create_graph=True))
    rows = [dict(sweep({gradients[v]: np.ones(())})) for v in (x, y)]
    e = np.exp(6.0)
    mixed = 3 * 4.0 + e + 6.0 * e
    hessian = [[float(row[v]) for v in (x, y)] for row in rows]
    assert_allclose(hessian, [[6 * 2.0 * 3.0 + 9 * e, mixed], [mixed, 4 * e]])


def test_a_gradient_of_gradients_reaches_the_gradient_that_was_passed_in():
    x, weight = leaf([1.0, 2.0]), leaf([3.0, 4.0])
    (x * x).backward(weight, create_graph=True)
    x.grad.backward([1.0, 10.0])
    assert_array_equal(weight.grad, [2.0, 40.0])


def test_what_forward_saved_is_not_a_constant_for_the_second_derivative(generator):
    x = leaf(generator.normal(size=(1, 4)))
    mg.cross_entropy(x, [2]).backward(create_graph=True)
    slope = x.grad
    p = mg.softmax(x.data)[0]
    for row in range(4):
        x.grad = None
        slope[0, row].backward()
        assert_allclose(x.grad[0], p[row] * (np.eye(4)[row] - p), atol=1e-15)

    y = leaf([3.0])
    SavingSquare()(y).backward(create_graph=True)
    slope, y.grad = y.grad, None
    slope.backward()
    assert_array_equal(y.grad, [2.0])


@pytest.mark.parametrize("function", [np.sign, lambda x: x // 2.0], ids=["sign", "floor_divide"])
def test_constant_gradients_are_tensors_too_under_create_graph(function):
    x = leaf([1.0, -2.0])
    function(x).sum().backward(create_graph=True)
    assert isinstance(x.grad, Tensor)
    assert_array_equal(x.grad.data, [0.0, 0.0])


def test_gradients_that_are_tensors_share_no_memory_either():
    x, y, z = leaf(np.ones(3)), leaf(np.ones(3)), leaf(np.ones(3))
    seed = Tensor(np.ones(3))
    (x + y + 0.0 * z).sum().backward(create_graph=True)
    z.grad = None
    z.backward(seed, create_graph=True)
    arrays = [x.grad.data, y.grad.data, z.grad.data]
    for i, array in enumerate(arrays):
        assert_owned(array, seed.data, *arrays[:i])


def test_without_create_graph_gradients_are_plain_arrays():
    x = leaf([1.0])
    (x * x).sum().backward()
    assert type(x.grad) is np.ndarray


def test_create_graph_records_inside_no_grad_as_well():
    x = leaf(2.0)
    y = x * x * x
    with mg.no_grad():
        y.backward(create_graph=True)
        assert not mg.is_grad_enabled()
    slope, x.grad = x.grad, None
    slope.backward()
    assert_array_equal(x.grad, 12.0)
