"""autograd.grad: gradients of Tensors with respect to Tensors, each sentence of its docstring."""

import gc
import weakref

import numpy as np
import pytest

import microgradx as mg
from microgradx import autograd


@pytest.fixture
def x():
    return mg.Tensor([1.0, 2.0], requires_grad=True, name="x")


def test_a_tuple_of_arrays_that_touches_no_grad(x):
    w = mg.Tensor(3.0, requires_grad=True)
    x.grad = before = np.array([7.0, 7.0])
    out = np.sum(w * x**2)
    of_x, of_w = autograd.grad(out, [x, w])
    np.testing.assert_array_equal(of_x, [6, 12])
    assert of_w == 5
    assert type(of_x) is type(of_w) is np.ndarray
    assert x.grad is before
    assert (w.grad, out.grad) == (None, None)
    assert type(autograd.grad(out, x)) is tuple


def test_the_graph_is_kept(x):
    out = np.sum(x**2)
    for _ in range(2):
        np.testing.assert_array_equal(autograd.grad(out, x)[0], [2, 4])
    out.backward()
    np.testing.assert_array_equal(x.grad, [2, 4])


def test_gradients_at_inner_tensors_and_at_the_output_itself(x):
    y = x * 3
    z = np.sum(y**2)
    of_y, of_x, of_z = autograd.grad(z, (y, x, z))
    np.testing.assert_array_equal(of_y, [6, 12])
    np.testing.assert_array_equal(of_x, [18, 36])
    assert of_z == 1
    assert y.grad is None
    # An output that is an input of another has both: what comes, and what it is itself.
    np.testing.assert_array_equal(autograd.grad([z, y], y, [None, np.ones(2)])[0], [7, 13])


def test_gradients_share_memory_with_nothing(x):
    y = mg.Tensor([1.0, 1.0], requires_grad=True)
    out, weight = x + y, np.ones(2)
    of_x, of_y, again, of_out = autograd.grad(out, [x, y, x, out], weight)
    of_x += 1
    for other in (of_y, again, of_out, weight):
        np.testing.assert_array_equal(other, [1, 1])


def test_several_outputs_add_up(x):
    a, b = np.sum(x**2), np.sum(x**3)
    np.testing.assert_array_equal(autograd.grad([a, b], x)[0], [5, 16])
    np.testing.assert_array_equal(autograd.grad((a, a), x)[0], [4, 8])
    np.testing.assert_array_equal(autograd.grad([a, a, b], x, [10.0, None, 0.0])[0], [22, 44])
    (scalar,) = autograd.grad([a, a], a)
    assert scalar == 2
    assert type(scalar) is np.ndarray


def test_grad_outputs_weigh_elements(x):
    y = x**2
    np.testing.assert_array_equal(autograd.grad(y, x, [1.0, 10.0])[0], [2, 40])
    np.testing.assert_array_equal(autograd.grad(y, x, np.array([1, 10]))[0], [2, 40])
    np.testing.assert_array_equal(autograd.grad([y], [x], [[1.0, 10.0]])[0], [2, 40])
    np.testing.assert_array_equal(autograd.grad(y, x, mg.Tensor([1.0, 10.0]))[0], [2, 40])


def test_create_graph_gives_tensors_for_higher_orders():
    x = mg.Tensor(2.0, requires_grad=True)
    y = x**5
    for expected in (80, 160, 240, 240, 120):
        (y,) = autograd.grad(y, x, create_graph=True)
        assert isinstance(y, mg.Tensor)
        assert y.item() == expected
    assert x.grad is None


def test_create_graph_differentiates_by_the_weights_too(x):
    v = mg.Tensor([1.0, 10.0], requires_grad=True)
    (of_x,) = autograd.grad(x**3, x, v, create_graph=True)
    of_v, again = autograd.grad(np.sum(of_x), [v, x])
    np.testing.assert_array_equal(of_v, [3, 12])
    np.testing.assert_array_equal(again, [6, 120])


def test_create_graph_records_under_no_grad(x):
    y = np.sum(x**2)
    with mg.no_grad():
        (first,) = autograd.grad(y, x, create_graph=True)
        np.testing.assert_array_equal(autograd.grad(y, x)[0], [2, 4])
        assert not mg.is_grad_enabled()
    assert first.requires_grad


def test_create_graph_leaves_no_cycle():
    gc.collect()
    gc.disable()
    try:
        x = mg.Tensor(2.0, requires_grad=True)
        y = np.sin(x) * x
        first = autograd.grad(y, x, create_graph=True)[0]
        second = autograd.grad(first, x)[0]
        assert np.isfinite(second)
        dead = [weakref.ref(each) for each in (x, y, first)]
        del x, y, first
        assert [reference() for reference in dead] == [None] * 3
    finally:
        gc.enable()


def test_unused_inputs(x):
    other = mg.Tensor(np.ones((2, 3)), requires_grad=True, dtype=np.float32, name="other")
    constant = mg.Tensor(1.0)
    out = np.sum(x * constant)
    with pytest.raises(ValueError, match=r"not computed from .*other.*allow_unused=True to"):
        autograd.grad(out, [x, other])
    with pytest.raises(ValueError, match="or it required no gradient"):
        autograd.grad(out, constant)
    of_x, of_other = autograd.grad(out, [x, other], allow_unused=True)
    assert of_other is None
    np.testing.assert_array_equal(of_x, [1, 1])
    _, zeros = autograd.grad(out, [x, other], materialize_grads=True)
    np.testing.assert_array_equal(zeros, np.zeros((2, 3)))
    assert zeros.dtype == np.float32
    _, zeros = autograd.grad(out, [x, other], materialize_grads=True, create_graph=True)
    assert isinstance(zeros, mg.Tensor)
    # What is computed from it later does not count.
    later = out * 2
    with pytest.raises(ValueError, match="not computed from"):
        autograd.grad(out, later)


def test_dtypes_stay():
    x = mg.Tensor([1.0, 2.0], requires_grad=True, dtype=np.float32)
    for create_graph in (False, True):
        (gradient,) = autograd.grad(np.sum(x**2), x, np.float64(1.0), create_graph=create_graph)
        assert gradient.dtype == np.float32
    (gradient,) = autograd.grad(np.sum(x.astype(np.float64) * np.ones(2)), x)
    assert gradient.dtype == np.float32


def test_arrays_come_also_from_a_broadcast_0_d_input():
    t = mg.Tensor(2.0, requires_grad=True)
    (gradient,) = autograd.grad(np.sum(t * np.ones(3)), t)
    assert gradient == 3
    assert type(gradient) is np.ndarray


def test_shapes_and_numbers_of_weights_must_fit(x):
    y = x**2
    with pytest.raises(ValueError, match="needs a gradient of its shape"):
        autograd.grad(y, x)
    with pytest.raises(ValueError, match="needs a gradient of its shape"):
        autograd.grad([y, np.sum(y)], x, [None, None])
    with pytest.raises(ValueError, match=r"a gradient of shape \(3,\)"):
        autograd.grad(y, x, np.ones(3))
    with pytest.raises(ValueError, match="2 grad_outputs for 1 outputs; pass one each"):
        autograd.grad([y], x, [np.ones(2), np.ones(2)])


def test_what_cannot_be_differentiated_is_refused(x):
    with pytest.raises(ValueError, match="does not require gradients"):
        autograd.grad(mg.Tensor(1.0), x)
    with pytest.raises(TypeError, match=r"outputs must be a Tensor or several, not function; "):
        autograd.grad(lambda x: x, x)
    with pytest.raises(TypeError, match=r"not ndarray; .*microgradx.grad\(f\)"):
        autograd.grad(np.ones(2), x)
    with pytest.raises(TypeError, match="inputs must be Tensors, not ndarray"):
        autograd.grad(np.sum(x), [x, np.ones(2)])
    with pytest.raises(TypeError, match="outputs must be Tensors, not float"):
        autograd.grad([np.sum(x), 1.0], x)
    out = np.sum(x**2)
    x.data = [5.0, 6.0]
    with pytest.raises(ValueError, match="was changed after"):
        autograd.grad(out, x)
    out = np.sum(x**2)
    out.backward(retain_graph=False)
    with pytest.raises(ValueError, match="was released"):
        autograd.grad(out, x)


def test_no_inputs_and_no_outputs(x):
    assert autograd.grad(np.sum(x), []) == ()
    assert autograd.grad([], x, allow_unused=True) == (None,)


def test_sixty_doublings_count_each_path_and_walk_none_twice():
    x = mg.Tensor(1.0, requires_grad=True)
    y = x
    for _ in range(60):
        y = y + y
    (gradient,) = autograd.grad(y, x)
    assert gradient == 2.0**60


def test_the_grad_of_a_broadcast_0_d_leaf_is_an_array():
    t = mg.Tensor(2.0, requires_grad=True)
    np.sum(t * np.ones(3)).backward()
    assert type(t.grad) is np.ndarray


def test_the_graph_is_released_on_request():
    x = mg.Tensor([1.0, 2.0], requires_grad=True)
    y = (x * x).sum()
    mg.autograd.grad(y, x, retain_graph=True)
    np.testing.assert_array_equal(mg.autograd.grad(y, x, retain_graph=False)[0], [2, 4])
    with pytest.raises(ValueError, match="was released"):
        mg.autograd.grad(y, x)


def test_one_output_may_have_its_weight_in_a_sequence():
    x = mg.Tensor([1.0, 2.0], requires_grad=True)
    for weights in ([np.array([3.0, 5.0])], (mg.Tensor([3.0, 5.0]),), [3.0, 5.0]):
        np.testing.assert_array_equal(mg.autograd.grad(x * x, x, weights)[0], [6, 20])
