"""Making Tensors, their flags, and copies of them."""

import copy
import pickle

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import microgradx as mg
from microgradx import Tensor
from tests.helpers import FLOATS, leaf


def test_construction_copies_and_as_tensor_shares():
    array = np.array([1.0, 2.0])
    copied, shared = Tensor(array), mg.as_tensor(array)
    array[0] = 9.0
    assert_array_equal(copied.data, [1.0, 2.0])
    assert_array_equal(shared.data, [9.0, 2.0])
    assert shared.data is array
    assert mg.as_tensor(shared) is shared
    assert not np.shares_memory(Tensor(shared).data, array)
    assert (leaf([1.0, 1.0]) * array).inputs[1].data is array


def test_as_tensor_converts_only_if_it_must():
    array = np.array([1.0, 2.0])
    assert mg.as_tensor(array, np.float64).data is array
    assert mg.as_tensor(array, np.float32).dtype == np.float32
    x = leaf(array)
    assert mg.as_tensor(x, np.float64) is x
    single = mg.as_tensor(x, np.float32)
    assert single.dtype == np.float32
    assert single.requires_grad  # a conversion is an op like any other


@pytest.mark.parametrize(
    "data", [1.0, [1.0, 2.0], ((1.0,), (2.0,)), np.float32(3.0), range(3), True]
)
def test_data_is_always_an_array(data):
    for tensor in (Tensor(data), mg.as_tensor(data)):
        assert type(tensor.data) is np.ndarray
        assert_array_equal(tensor.data, np.asarray(data), strict=True)
    x = leaf(data, dtype=float)
    out = (x * 2.0).sum()
    out.backward()
    assert type(out.data) is type(x.grad) is np.ndarray
    assert out.shape == ()


def test_constant_tensors_inside_lists_count_as_their_arrays():
    x = Tensor([1.0, 2.0])
    made = Tensor([x, [x[0], 3.0]])
    assert_array_equal(made.data, [[1.0, 2.0], [1.0, 3.0]])
    assert made.is_leaf


@pytest.mark.parametrize("data", ["text", None, 1j, [1.0, None], object(), b"bytes"])
def test_data_that_are_not_real_numbers_are_refused(data):
    for make in (Tensor, mg.as_tensor, lambda data: leaf(1.0) * data):
        with pytest.raises(TypeError, match="real numbers"):
            make(data)


@pytest.mark.parametrize("dtype", [complex, object, str])
def test_dtypes_that_are_not_of_real_numbers_are_refused(dtype):
    x = Tensor([1.0])
    for make in (
        lambda: Tensor([1.0], dtype=dtype),
        lambda: mg.as_tensor([1.0], dtype),
        lambda: mg.as_tensor(x, dtype),
        lambda: x.astype(dtype),
        lambda: leaf([1.0]).astype(dtype),
    ):
        with pytest.raises(TypeError, match="real numbers"):
            make()


def test_rows_of_unequal_length_are_refused():
    with pytest.raises(ValueError, match="inhomogeneous"):
        Tensor([[1.0, 2.0], [3.0]])


def test_flags_of_leaves_and_results():
    constant, x = Tensor([1.0]), leaf([1.0])
    y = x * constant
    assert (constant.requires_grad, x.requires_grad, y.requires_grad) == (False, True, True)
    assert (constant.is_leaf, x.is_leaf, y.is_leaf) == (True, True, False)
    assert (x.op, y.op.name) == (None, "multiply")
    assert x.grad is None
    assert x.name is None
    assert (constant * 2.0).is_leaf  # nothing to remember


def test_detach_shares_the_array_and_stops_the_gradient():
    x = leaf([2.0, 3.0])
    y = x * x
    constant = y.detach()
    assert constant.data is y.data
    assert constant.is_leaf
    assert not constant.requires_grad
    (constant * x).sum().backward()
    assert_array_equal(x.grad, constant.data)


def test_in_place_operators_rebind():
    x = leaf([1.0, 2.0])
    y = x
    for step in ("y += 1.0", "y -= 1.0", "y *= 2.0", "y /= 4.0", "y **= 2.0", "y @= np.eye(2)"):
        before, scope = y, {"y": y, "np": np}
        values = before.data.copy()
        exec(step, scope)
        y = scope["y"]
        assert y is not before
        assert_array_equal(before.data, values)
    y.sum().backward()
    assert_allclose(x.grad, x.data / 2)


def test_tensors_hash_by_identity():
    x, y = leaf([1.0, 2.0]), leaf([1.0, 2.0])
    assert len({x, y, x}) == 2
    assert {x: "x", y: "y"}[y] == "y"
    before = hash(x)
    x.data = [3.0, 4.0]
    assert hash(x) == before


def copies(tensor):
    yield copy.deepcopy(tensor)
    yield copy.copy(tensor)
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        yield pickle.loads(pickle.dumps(tensor, protocol))


@pytest.mark.parametrize("requires_grad", [True, False])
@pytest.mark.parametrize("dtype", FLOATS)
def test_copying_and_pickling_keep_data_and_flags(requires_grad, dtype):
    x = Tensor([[1.0, 2.0]], requires_grad, dtype=dtype, name="weight")
    for other in copies(x):
        assert_array_equal(other.data, x.data, strict=True)
        assert not np.shares_memory(other.data, x.data)
        assert other.requires_grad is requires_grad
        assert other.name == "weight"
        assert hash(other) != hash(x)


def test_copying_and_pickling_drop_the_graph():
    x = leaf([1.0, 2.0])
    y = x.exp()
    for other in copies(y):
        assert other.is_leaf
        assert other.inputs == ()
        assert other.requires_grad
        (other * other).sum().backward()
        assert_array_equal(other.grad, 2 * y.data)
    assert x.grad is None
    assert copy.deepcopy(Tensor([1, 2])).dtype == int


def test_a_deep_copy_keeps_shared_tensors_shared():
    x = leaf([1.0])
    one, other = copy.deepcopy([x, x])
    assert one is other
    assert one is not x


def test_subclasses_of_tensor_keep_their_kind():
    class Parameter(Tensor):
        pass

    w = Parameter([1.0, 2.0], requires_grad=True, name="w")
    assert type(w) is Parameter
    out = (w * w).sum()
    out.backward()
    assert type(out) is Tensor
    assert_array_equal(w.grad, [2.0, 4.0])


def test_a_tensor_made_from_tensors_that_require_gradients_is_refused():
    x = leaf([1.0, 2.0])
    for data in (x, [x, x], [x[0] * 2.0, 3.0], x * 2.0):
        with pytest.raises(TypeError, match=r"np\.stack"):
            Tensor(data, requires_grad=True)
    assert_array_equal(Tensor(x.detach()).data, [1.0, 2.0])
    assert_array_equal(Tensor([x.detach(), [3.0, 4.0]]).data, [[1.0, 2.0], [3.0, 4.0]])


def test_requires_grad_is_true_or_false():
    with pytest.raises(TypeError, match=r"must be True or False, not .*a dtype is given by dtype="):
        Tensor([1.0], np.float32)
