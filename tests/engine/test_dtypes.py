"""Dtypes: scalars are weak, and a gradient has the dtype of its Tensor."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import microgradx as mg
from microgradx import Tensor
from tests.helpers import FLOATS, leaf, op_with


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("scalar", [2.0, 2, True])
def test_python_scalars_leave_the_dtype_alone_in_both_directions(dtype, scalar):
    x = leaf([1.0, 2.0], dtype=dtype)
    for out in (x + scalar, scalar - x, x * scalar, scalar / x, x**scalar, scalar**x, x @ [2.0, 3]):
        reference = dtype if out.ndim else np.float64  # a list is an array of its own dtype
        assert out.dtype == reference
        x.zero_grad()
        out.sum().backward()
        assert x.grad.dtype == dtype


@pytest.mark.parametrize("dtype", FLOATS)
def test_gradients_have_their_tensors_dtype_all_the_way(dtype):
    dtypes = []

    def backward(self, g, out, x):
        dtypes.append(g.dtype)
        return g.astype(np.float64)  # the sweep casts it back

    x = leaf([1.0, 2.0], dtype=dtype)
    watch = op_with(backward)
    watch(watch(x).mean()).backward()
    assert dtypes == [dtype, dtype]  # also where the sweep starts
    assert x.grad.dtype == dtype
    assert_array_equal(x.grad, [0.5, 0.5])


@pytest.mark.parametrize("one", FLOATS)
@pytest.mark.parametrize("other", FLOATS)
def test_mixed_dtypes_promote_and_every_gradient_returns_to_its_own(one, other):
    x, y = leaf([1.5, 2.5], dtype=one), leaf([3.5, 4.5], dtype=other)
    out = x * y
    assert out.dtype == np.result_type(one, other)
    out.backward([1.0, 2.0])
    assert_array_equal(x.grad, np.array([3.5, 9.0], one), strict=True)
    assert_array_equal(y.grad, np.array([1.5, 5.0], other), strict=True)


def test_a_small_network_in_float16():
    x = Tensor(np.linspace(-1, 1, 12).reshape(4, 3), dtype=np.float16)
    w = leaf(np.linspace(-1, 1, 6).reshape(3, 2), dtype=np.float16)
    loss = mg.cross_entropy(mg.tanh(x @ w * 2.0), [0, 1, 1, 0])
    loss.backward()
    assert loss.dtype == w.grad.dtype == np.float16
    exact = leaf(w.data, dtype=np.float64)
    mg.cross_entropy(mg.tanh(x.astype(float) @ exact * 2.0), [0, 1, 1, 0]).backward()
    assert_allclose(w.grad, exact.grad, atol=2e-3)


@pytest.mark.parametrize("data", [[1, 2], [True, False], np.array([1], np.uint8)])
def test_only_floats_can_require_gradients(data):
    with pytest.raises(TypeError, match=r"only floats can require gradients.*2\.0.*dtype="):
        Tensor(data, requires_grad=True)
    constant = Tensor(data, name="labels")
    for ask in (constant.requires_grad_, lambda: setattr(constant, "requires_grad", True)):
        with pytest.raises(TypeError, match="labels"):
            ask()
    assert not constant.requires_grad
    assert Tensor(data, requires_grad=True, dtype=float).requires_grad
    assert (constant * leaf(1.0)).requires_grad
