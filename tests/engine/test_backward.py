"""What backward starts from: a gradient of the right shape, or one number."""

import re

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import microgradx as mg
from microgradx import Tensor
from tests.helpers import leaf


@pytest.mark.parametrize("shape", [(), (1,), (1, 1)])
def test_one_number_needs_no_gradient(shape):
    x = leaf(np.full(shape, 3.0))
    (x * x).backward()
    assert_array_equal(x.grad, np.full(shape, 6.0), strict=True)


@pytest.mark.parametrize("shape", [(2,), (0,), (1, 3)])
def test_more_or_less_than_one_number_needs_a_gradient(shape):
    y = leaf(np.ones(shape)) * 2.0
    with pytest.raises(ValueError, match=rf"shape {re.escape(str(shape))}.*t\.sum\(\)\.backward"):
        y.backward()


def test_errors_of_backward_name_the_tensor_or_the_op_that_made_it():
    x = leaf([1.0, 2.0], name="scores")
    with pytest.raises(ValueError, match="scores"):
        x.backward()
    with pytest.raises(ValueError, match=r"scores.*"):
        x.backward([1.0])
    with pytest.raises(ValueError, match="exp"):
        x.exp().backward()
    with pytest.raises(ValueError, match="exp"):
        x.exp().backward([1.0])


@pytest.mark.parametrize("shape", [(), (1,), (3,), (2, 1), (1, 2)])
def test_a_gradient_of_another_shape_is_refused_even_if_it_would_broadcast(shape):
    x = leaf([1.0, 2.0])
    with pytest.raises(ValueError, match=rf"{re.escape(str(shape))}.*\(2,\)"):
        (x * 2.0).backward(np.ones(shape))
    assert x.grad is None


@pytest.mark.parametrize(
    "gradient", [[1, 10], (1.0, 10.0), np.array([1, 10], np.int8), Tensor([1.0, 10.0])]
)
@pytest.mark.parametrize("create_graph", [False, True])
def test_the_gradient_may_be_a_list_an_array_or_a_tensor(gradient, create_graph):
    x = leaf([1.0, 2.0], dtype=np.float32)
    (x * x).backward(gradient, create_graph=create_graph)
    assert x.grad.dtype == np.float32
    assert type(x.grad) is (Tensor if create_graph else np.ndarray)
    assert_array_equal(np.asarray(mg.as_tensor(x.grad).detach()), [2.0, 40.0])


def test_a_tensor_without_gradients_has_no_backward():
    for constant in (Tensor(1.0), Tensor(1.0) * 2.0, leaf(1.0).detach()):
        with pytest.raises(ValueError, match="requires_grad=True"):
            constant.backward()
