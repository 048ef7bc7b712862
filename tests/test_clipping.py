"""Clipped gradients against formulas written down once more, and against PyTorch."""

import math
import warnings

import numpy as np
import pytest

import microgradx as mg
from microgradx import nn
from microgradx.nn.utils import clip_grad_norm_, clip_grad_value_

SHAPES = [(3, 4), (4,), (), (0, 2)]
NORM_TYPES = [1, 2, 3.0, 0.5, math.inf, "inf"]


def make_parameters(dtype=np.float64, scale=1.0):
    generator = np.random.default_rng(5)
    parameters = [mg.Tensor(np.zeros(shape, dtype), requires_grad=True) for shape in SHAPES]
    for p in parameters:
        p.grad = np.asarray(scale * generator.normal(size=p.shape), dtype)
    parameters.append(mg.Tensor([1.0], requires_grad=True))  # without gradient
    return parameters


def norm_by_hand(arrays, norm_type):
    numbers = [abs(float(x)) for array in arrays for x in np.ravel(array)]
    if norm_type in (math.inf, "inf"):
        return max(numbers)
    return sum(x**norm_type for x in numbers) ** (1 / norm_type)


@pytest.mark.parametrize("norm_type", NORM_TYPES)
@pytest.mark.parametrize("max_norm", [0.0, 1e-3, 1, 1e3, math.inf])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_the_norm_is_that_of_all_elements_and_no_larger_than_asked_for(norm_type, max_norm, dtype):
    parameters = make_parameters(dtype)
    before = [p.grad for p in parameters[:-1]]
    copies = [g.copy() for g in before]
    norm = clip_grad_norm_(iter(parameters), max_norm, norm_type)
    assert type(norm) is float
    expected = norm_by_hand(before, norm_type)
    assert norm == pytest.approx(expected, rel=1e-14)
    factor = 1.0 if max_norm == math.inf else min(1.0, max_norm / (expected + 1e-6))
    for p, g, copy in zip(parameters, before, copies, strict=False):
        assert p.grad.dtype == dtype
        rtol = 2 * np.finfo(dtype).eps
        np.testing.assert_allclose(
            p.grad, factor * g.astype(np.float64), rtol, atol=1e-7 * (dtype == np.float16)
        )
        np.testing.assert_array_equal(g, copy)  # an array that someone else may hold
    assert parameters[-1].grad is None


@pytest.mark.parametrize("scale", [1e-200, 1e200])
@pytest.mark.parametrize("norm_type", [1, 2, 8])
def test_no_power_overflows_or_vanishes(scale, norm_type):
    norm = clip_grad_norm_(make_parameters(scale=scale), math.inf, norm_type)
    assert norm == pytest.approx(scale * clip_grad_norm_(make_parameters(), 1.0, norm_type))


@pytest.mark.parametrize("clip_value", [0.0, 0.3, 1e9, math.inf])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_values_are_clipped(clip_value, dtype):
    parameters = make_parameters(dtype)
    before = [p.grad for p in parameters[:-1]]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert clip_grad_value_(parameters, clip_value) is None
    for p, g in zip(parameters, before, strict=False):
        expected = np.sign(g) * np.minimum(
            np.abs(g), dtype(min(clip_value, float(np.finfo(dtype).max)))
        )
        np.testing.assert_array_equal(p.grad, expected, strict=True)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("norm_type", NORM_TYPES)
def test_gradients_that_are_not_finite(bad, norm_type):
    parameters = make_parameters()
    parameters[1].grad[2] = bad
    before = [p.grad.copy() for p in parameters[:-1]]
    with pytest.raises(FloatingPointError, match=rf"is {bad}, so they cannot be scaled to 1; look"):
        clip_grad_norm_(parameters, 1.0, norm_type, error_if_nonfinite=True)
    for p, g in zip(parameters, before, strict=False):
        np.testing.assert_array_equal(p.grad, g)
    norm = clip_grad_norm_(parameters, 1.0, norm_type)
    np.testing.assert_equal(norm, bad)
    assert np.isnan(parameters[1].grad[2])
    if bad == math.inf:
        assert np.all(parameters[0].grad == 0)
    else:
        assert np.all(np.isnan(parameters[0].grad))


def test_one_tensor_a_shared_one_a_gradient_with_a_graph_and_none():
    w = mg.Tensor([3.0, 4.0], requires_grad=True)
    (w**2 / 2).sum().backward(create_graph=True)
    assert clip_grad_norm_([w, w], 1.0) == 5.0
    assert type(w.grad) is np.ndarray
    clip_grad_value_(w, 0.5)
    np.testing.assert_array_equal(w.grad, [0.5, 0.5])
    w.grad = None
    assert clip_grad_norm_(w, 1.0) == 0.0
    clip_grad_value_(w, 1.0)
    assert w.grad is None


def test_the_norm_of_zeros_is_zero():
    w = mg.Tensor([3.0, 4.0], requires_grad=True)
    w.grad = np.zeros(2)
    for norm_type in NORM_TYPES:
        assert clip_grad_norm_(w, 1.0, norm_type) == 0.0
        np.testing.assert_array_equal(w.grad, 0.0)


def test_it_is_where_a_user_looks_for_it():
    assert nn.utils.clip_grad_norm_ is mg.optim.clip_grad_norm_ is clip_grad_norm_
    assert nn.utils.clip_grad_value_ is mg.optim.clip_grad_value_ is clip_grad_value_


@pytest.mark.parametrize("clip", [clip_grad_norm_, clip_grad_value_])
def test_what_is_refused(clip):
    w = mg.Tensor([3.0], requires_grad=True)
    with pytest.raises(ValueError, match=r"(max_norm|clip_value) must be at least 0, not -1"):
        clip(w, -1)
    with pytest.raises(ValueError, match="must be at least 0, not nan"):
        clip(w, math.nan)
    with pytest.raises(TypeError, match="must be a number, not 'large'"):
        clip(w, "large")
    with pytest.raises(TypeError, match="parameters must be Tensors, not int; write model"):
        clip(3, 1.0)
    with pytest.raises(TypeError, match="parameter 1 is not a Tensor but float"):
        clip([w, 1.0], 1.0)
    w.grad = np.ones((2, 2))
    with pytest.raises(ValueError, match=r"a Tensor .* has a gradient of shape \(2, 2\)"):
        clip(w, 1.0)
    for norm_type, message in ((0, "above 0, not 0"), (-1, "at least 0"), ("two", "numb")):
        with pytest.raises((TypeError, ValueError), match=f"norm_type must be .*{message}"):
            clip_grad_norm_(w, 1.0, norm_type)
    used = iter([])
    with pytest.warns(UserWarning, match="there are no parameters, so no gradient was clipped"):
        clip(used, 1.0)


@pytest.mark.parity
@pytest.mark.parametrize("norm_type", [1, 2, 3.0, math.inf])
@pytest.mark.parametrize("max_norm", [0.0, 1e-3, 1.0, 1e3])
def test_clipped_gradients_are_pytorchs(norm_type, max_norm):
    torch = pytest.importorskip("torch")
    ours = [p for p in make_parameters() if p.size]  # PyTorch has no largest of nothing
    theirs = [torch.zeros(p.shape, dtype=torch.float64, requires_grad=True) for p in ours]
    for p, q in zip(ours[:-1], theirs, strict=False):
        q.grad = torch.tensor(p.grad)
    expected = torch.nn.utils.clip_grad_norm_(theirs, max_norm, norm_type)
    assert clip_grad_norm_(ours, max_norm, norm_type) == pytest.approx(expected.item(), rel=1e-12)
    for p, q in zip(ours[:-1], theirs, strict=False):
        np.testing.assert_allclose(p.grad, q.grad.numpy(), rtol=1e-12)
    clip_grad_value_(ours, 0.3)
    torch.nn.utils.clip_grad_value_(theirs, 0.3)
    for p, q in zip(ours[:-1], theirs, strict=False):
        np.testing.assert_allclose(p.grad, q.grad.numpy(), rtol=1e-12)
