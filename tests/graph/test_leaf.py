"""Leaves: what may be set on them, and that a change between use and backward is noticed."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import microgradx as mg
from microgradx import Tensor
from tests.helpers import leaf


@pytest.mark.parametrize(
    "change",
    [
        lambda t: setattr(t, "data", [5.0, 6.0]),
        lambda t: setattr(t, "data", t.data),
        lambda t: t.mark_changed(),
    ],
    ids=["data", "same data", "mark_changed"],
)
@pytest.mark.parametrize("requires_grad", [True, False], ids=["leaf", "constant"])
def test_a_leaf_changed_after_use_is_refused_by_name(change, requires_grad):
    x, w = leaf([1.0, 2.0]), Tensor([3.0, 4.0], requires_grad, name="the weight")
    out = x * w
    change(w)
    for later in (out, out.sum()):
        with pytest.raises(ValueError, match=r"'the weight'.*changed after multiply.*backward\(\)"):
            later.backward([1.0, 1.0] if later is out else None)
    assert x.grad is None
    assert w.grad is None
    (x * w).sum().backward()  # computed again, all is well
    assert_array_equal(x.grad, w.data)


def test_a_change_before_use_or_elsewhere_or_after_backward_is_fine():
    x, other = leaf([1.0]), leaf([1.0])
    x.data = [2.0]
    loss = (x * x).sum()
    other.data = [7.0]
    loss.backward()
    assert_array_equal(x.grad, [4.0])
    x.data = [3.0]
    assert_array_equal(x.grad, [4.0])
    with pytest.raises(ValueError, match="changed"):
        loss.backward()


def test_setting_data_copies_into_the_same_array():
    x = leaf([1.0, 2.0], dtype=np.float32)
    array, view, new = x.data, x.data[1:], np.array([3.0, 4.0])
    x.data = new
    assert x.data is array
    assert_array_equal(view, [4.0])
    new[:] = 0
    assert_array_equal(x.data, np.array([3.0, 4.0], np.float32), strict=True)
    x.data += 1
    assert x.data is array
    assert_array_equal(x.data, [4.0, 5.0])
    x.data = Tensor([6.0, 7.0])
    assert_array_equal(array, [6.0, 7.0])


@pytest.mark.parametrize("value", [1.0, [1.0], [1.0, 2.0, 3.0], [[1.0, 2.0]]])
def test_new_data_must_have_the_same_shape(value):
    x = leaf([1.0, 2.0], name="bias")
    y = x * 2.0
    with pytest.raises(ValueError, match=r"'bias'.*\(2,\)"):
        x.data = value
    assert_array_equal(x.data, [1.0, 2.0])
    y.sum().backward()  # nothing was changed, so nothing is refused


def test_only_leaves_can_be_given_data():
    y = leaf([1.0, 2.0]).exp()
    with pytest.raises(ValueError, match=r"made by exp.*is not a leaf"):
        y.data = [1.0, 2.0]


def test_new_data_must_fit_the_dtype():
    labels = Tensor([1, 2])
    with pytest.raises(TypeError):
        labels.data = [1.5, 2.5]
    assert_array_equal(labels.data, [1, 2])


def test_requires_grad_can_be_set_on_leaves():
    x = Tensor([1.0])
    assert x.requires_grad_() is x
    assert x.requires_grad
    x.requires_grad = False
    assert not (x * 2.0).requires_grad
    y = leaf([1.0]).exp()
    assert y.requires_grad_() is y
    with pytest.raises(ValueError, match=r"exp.*detach\(\)"):
        y.requires_grad_(False)
    assert y.requires_grad


def test_data_set_on_a_constant_leaves_those_alone_that_share_its_array():
    w = leaf([2.0])
    y = (w * w).sum()
    w.detach().data = [5.0]
    with mg.no_grad():
        view = w.reshape(1)
    view.data = [7.0]
    assert_array_equal(view.data, [7.0])
    assert_array_equal(w.data, [2.0])
    y.backward()
    assert_array_equal(w.grad, [4.0])


UPDATES = {
    "w - 0.1 * w.grad": lambda w: w - 0.1 * w.grad,
    "w + step": lambda w: w + -0.1 * w.grad,
    "with weight decay": lambda w: 0.99 * w - 0.1 * w.grad,
    "with momentum": lambda w: w - 0.1 * w.grad - 0.9 * np.ones(2),
    "subtract": lambda w: np.subtract(w, 0.1 * w.grad),
}


@pytest.mark.parametrize("update", UPDATES.values(), ids=UPDATES)
def test_a_leaf_that_an_update_made_a_result_of_says_so_in_the_second_round(update):
    w = leaf([1.0, 2.0], name="w")
    (w * w).sum().backward()
    w = update(w)
    (w * w).sum().backward()
    with (
        pytest.warns(UserWarning, match=r"is None: it is a result.*w\.data = w\.data - 0") as seen,
        pytest.raises(TypeError, match="NoneType"),
    ):
        update(w)
    assert {warning.filename for warning in seen} == {__file__}


def test_what_it_says_to_write_trains():
    w = leaf([1.0, 2.0])
    for _ in range(2):
        w.zero_grad()
        (w * w).sum().backward()
        w.data = w.data - 0.1 * w.grad
    assert_allclose(w.data, [0.64, 1.28])


def test_other_results_have_no_gradient_in_silence():
    w, b = leaf([1.0, 2.0]), leaf([1.0, 2.0])
    results = [w - 1.0, w * 2.0, w + b, w.sum()]
    assert [each.grad for each in results] == [None] * 4  # before any backward
    sum(each.sum() for each in results).backward()
    assert [each.grad for each in results[1:]] == [None] * 3
    kept = (w - 1.0).retain_grad()
    assert kept.grad is None
