"""Hooks: functions that are told of a Tensor's gradient, and may replace it."""

import copy

import numpy as np
import pytest

import microgradx as mg
from microgradx import autograd
from microgradx.graph.hooks import RemovableHook


@pytest.fixture
def x():
    return mg.Tensor([1.0, 2.0], requires_grad=True, name="x")


@pytest.fixture
def seen():
    return []


def test_a_hook_is_called_once_with_the_sum_of_all_contributions(x, seen):
    y = x * 1
    handle = y.register_hook(seen.append)
    np.sum(y * y + y + 3 * y).backward()
    assert [g.tolist() for g in seen] == [[6, 8]]
    assert type(seen[0]) is np.ndarray
    assert isinstance(handle, RemovableHook)


def test_a_hook_is_called_in_each_backward_and_each_grad(x, seen):
    x.register_hook(seen.append)
    out = np.sum(x**2)
    out.backward()
    out.backward()
    autograd.grad(out, x)
    assert [g.tolist() for g in seen] == [[2, 4]] * 3
    np.testing.assert_array_equal(x.grad, [4, 8])


def test_an_answer_goes_on_in_the_gradients_place(x):
    y = x * 2
    y.register_hook(lambda g: g * 10)
    x.register_hook(lambda g: -g)
    np.sum(y * 3).backward()
    np.testing.assert_array_equal(x.grad, [-60, -60])
    assert x.grad.flags.writeable
    np.testing.assert_array_equal(autograd.grad(np.sum(y * 3), y)[0], [30, 30])


def test_no_answer_changes_nothing(x):
    x.register_hook(lambda g: None)
    np.sum(x * 3).backward()
    np.testing.assert_array_equal(x.grad, [3, 3])


@pytest.mark.parametrize(
    "answer", [[1, 2], (1.0, 2.0), np.array([1, 2], np.int8), mg.Tensor([1.0, 2.0])]
)
def test_an_answer_becomes_an_array_of_the_tensors_dtype(answer):
    x = mg.Tensor([1.0, 2.0], requires_grad=True, dtype=np.float32)
    x.register_hook(lambda g: answer)
    np.sum(x * 3).backward()
    assert type(x.grad) is np.ndarray
    assert x.grad.dtype == np.float32
    np.testing.assert_array_equal(x.grad, [1, 2])


def test_an_answer_is_not_kept_by_the_gradient(x):
    answer = np.array([1.0, 2.0])
    x.register_hook(lambda g: answer)
    np.sum(x).backward()
    x.grad += 1
    np.testing.assert_array_equal(answer, [1, 2])


def test_an_answer_of_another_shape_is_refused(x):
    x.register_hook(lambda g: np.sum(g))
    with pytest.raises(ValueError, match=r"a hook of .*x.* returned .* of shape \(\); it must"):
        np.sum(x).backward()
    assert x.grad is None


def test_hooks_run_in_the_order_of_their_registration_each_on_the_last_ones_answer(x, seen):
    x.register_hook(lambda g: g + 1)
    x.register_hook(lambda g: seen.append(g.tolist()))
    x.register_hook(lambda g: g * 10)
    np.sum(x).backward()
    assert seen == [[2, 2]]
    np.testing.assert_array_equal(x.grad, [20, 20])


def test_a_function_registered_twice_is_two_hooks(x):
    def double(g):
        return 2 * g

    first = x.register_hook(double)
    x.register_hook(double)
    assert autograd.grad(np.sum(x), x)[0].tolist() == [4, 4]
    first.remove()
    assert autograd.grad(np.sum(x), x)[0].tolist() == [2, 2]
    first.remove()  # nothing happens
    assert autograd.grad(np.sum(x), x)[0].tolist() == [2, 2]


def test_hooks_are_added_and_removed_without_a_copy_of_all_others(x, seen):
    handles = [x.register_hook(seen.append) for _ in range(2)]
    hooks = x.hooks
    handles += [x.register_hook(seen.append) for _ in range(100_000)]
    np.sum(x).backward()
    assert len(seen) == 100_002
    for handle in handles[1:]:
        handle.remove()
    assert x.hooks is hooks
    handles[0].remove()
    assert x.hooks == ()  # which compiled steps look for


def test_leaving_a_with_block_removes_the_hook_also_after_an_error(x, seen):
    out = np.sum(x)
    with x.register_hook(seen.append) as handle:
        out.backward()
        assert isinstance(handle, RemovableHook)
    out.backward()
    assert len(seen) == 1
    with pytest.raises(KeyError), x.register_hook(seen.append):
        raise KeyError
    out.backward()
    assert len(seen) == 1


def test_removing_inside_a_with_block_or_inside_the_hook(x, seen):
    out = np.sum(x)
    with x.register_hook(seen.append) as handle:
        handle.remove()
        out.backward()
    assert seen == []

    def once(g):
        seen.append(g)
        handle.remove()

    handle = x.register_hook(once)
    out.backward()
    out.backward()
    assert len(seen) == 1


def test_retain_grad_keeps_what_the_hooks_made_of_it(x):
    before, after = x * 2, x * 2
    before.retain_grad()
    before.register_hook(lambda g: g * 10)
    after.register_hook(lambda g: g * 10)
    after.retain_grad()
    (np.sum(before) + np.sum(after)).backward()
    np.testing.assert_array_equal(before.grad, [10, 10])
    np.testing.assert_array_equal(after.grad, [10, 10])
    np.testing.assert_array_equal(x.grad, [40, 40])


def test_removing_a_hook_leaves_retain_grad(x):
    y = x * 2
    handle = y.register_hook(lambda g: g)
    y.retain_grad()
    handle.remove()
    np.sum(y).backward()
    np.testing.assert_array_equal(y.grad, [1, 1])


def test_a_hook_of_the_output_sees_the_seed(x, seen):
    out = np.sum(x)
    out.register_hook(lambda g: seen.append(g.item()) or g * 5)
    out.backward()
    out.backward(2.0)
    assert seen == [1, 2]
    np.testing.assert_array_equal(x.grad, [15, 15])


def test_under_create_graph_a_hook_is_given_a_tensor_and_is_differentiated(seen):
    x = mg.Tensor(3.0, requires_grad=True)
    x.register_hook(lambda g: seen.append(g) or g * g)
    (first,) = autograd.grad(x**2, x, create_graph=True)
    assert isinstance(seen[0], mg.Tensor)
    assert first.item() == 36  # (2x)²
    first.backward()
    # 8x = 24, and then the hook squares that too.
    assert x.grad == 24**2


def test_a_hook_that_is_never_reached_is_not_called(x, seen):
    unused = x * 5
    unused.register_hook(seen.append)
    np.sum(x).backward()
    constant = mg.stop_gradient(x * 2)
    constant.inputs[0].register_hook(seen.append)
    np.sum(constant + x).backward()
    assert seen == []


def test_hooks_of_tensors_from_outside_run_in_transforms(seen):
    w = mg.Tensor(3.0, requires_grad=True)
    w.register_hook(seen.append)
    mg.grad(lambda x: x * 2)(1.0)
    assert seen == []
    mg.grad(lambda x: w * x)(1.0).backward()
    assert seen[-1] == 1


def test_what_cannot_be_hooked_is_refused(x):
    with pytest.raises(ValueError, match="requires no gradient, so no hook is ever called"):
        mg.Tensor(1.0).register_hook(print)
    with pytest.raises(TypeError, match="a hook is a function of the gradient, not 3"):
        x.register_hook(3)


def test_a_hook_that_raises_leaves_no_gradient_half_accumulated(x):
    other = mg.Tensor([1.0, 1.0], requires_grad=True)

    def fail(g):
        raise RuntimeError("of the user")

    x.register_hook(fail)
    with pytest.raises(RuntimeError, match="of the user"):
        np.sum(x * other).backward()
    assert (x.grad, other.grad) == (None, None)


def test_a_copy_has_no_hooks(x, seen):
    x.register_hook(seen.append)
    for other in (copy.deepcopy(x), x.detach().requires_grad_(), mg.Tensor(x.data, True)):
        np.sum(other).backward()
    assert seen == []


def test_gradcheck_runs_no_hooks(x, seen):
    x.register_hook(lambda g: seen.append(g) or 10 * g)
    assert mg.gradcheck(lambda x: np.tanh(x), x, order=2)
    assert seen == []


def test_drawing_runs_no_hooks(x, seen):
    pytest.importorskip("pygraphviz")
    y = x * 2
    y.register_hook(seen.append)
    x.register_hook(seen.append)
    assert "<svg" in mg.draw(np.sum(y)).svg()
    assert seen == []
    assert x.grad is None
