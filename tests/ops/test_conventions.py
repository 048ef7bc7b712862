"""At kinks, ties and zeros the table of conventions is the reference, not finite differences."""

import numpy as np
import pytest

import microgradx as mg


def gradient(f, *arrays):
    tensors = [mg.Tensor(array, requires_grad=True, dtype=float) for array in arrays]
    with np.errstate(all="raise"):
        f(*tensors).sum().backward()
    gradients = [tensor.grad.tolist() for tensor in tensors]
    return gradients[0] if len(gradients) == 1 else gradients


def test_kinks():
    assert gradient(mg.relu, [-1, 0, 2]) == [0, 0, 1]
    assert gradient(mg.abs, [-1, 0, 2]) == [-1, 0, 1]
    assert gradient(lambda x: mg.clip(x, -1, 2), [-2, -1, 0, 2, 3]) == [0, 1, 1, 1, 0]
    assert gradient(lambda x: mg.sign(x) + x // 1, [-1.5, 0.5]) == [0, 0]


def test_clip_gives_bounds_the_gradient_of_what_they_cut_off():
    of_x, of_low, of_high = gradient(mg.clip, [-2, -1, 0, 2, 3], -1, 2)
    assert (of_x, of_low, of_high) == ([0, 1, 1, 1, 0], 1, 1)
    # Where the bounds cross, NumPy gives the upper one.
    assert gradient(mg.clip, [0.0], [2.0], [1.0]) == [[0], [0], [1]]


def test_ties_share_equally():
    assert gradient(mg.maximum, [1, 2, 3], [2, 2, 2]) == [[0, 0.5, 1], [1, 0.5, 0]]
    assert gradient(mg.minimum, [1, 2, 3], [2, 2, 2]) == [[1, 0.5, 0], [0, 0.5, 1]]
    assert gradient(mg.max, [3, 1, 3, 3]) == [1 / 3, 0, 1 / 3, 1 / 3]
    assert gradient(lambda x: mg.max(x, axis=0), [[3, 1], [3, 2]]) == [[0.5, 0], [0.5, 1]]
    assert gradient(lambda x: mg.min(x, axis=1), [[3, 1], [2, 2]]) == [[0, 1], [0.5, 0.5]]


def test_powers_are_exact_at_zero():
    assert gradient(lambda x: x**0, [0, 2]) == [0, 0]
    assert gradient(lambda x: x**1, [0, 2]) == [1, 1]
    assert gradient(lambda x: x**2, [0, 2]) == [0, 4]
    assert gradient(lambda x: x**2.0, [-3]) == [-6]
    assert gradient(lambda y: 0.0**y, [0, 1, 2]) == [0, 0, 0]
    assert gradient(mg.power, [0, 2], [2, 2]) == [[0, 4], [0, 4 * np.log(2)]]


def test_second_derivatives_of_powers_are_exact_at_zero():
    for exponent, expected in [(0, 0), (1, 0), (2, 2), (3, 0), (4, 0)]:
        x = mg.Tensor([0.0], requires_grad=True)
        (x**exponent).backward([1.0], create_graph=True)
        first, x.grad = x.grad, None
        if first.requires_grad:
            first.backward([1.0])
        assert (0 if x.grad is None else x.grad[0]) == expected, exponent


def test_the_derivative_by_base_and_exponent_at_exponent_0():
    # d/dy d/dx xʸ = xʸ⁻¹ (1 + y ln x), which is 1 / x at y = 0.
    x, y = mg.Tensor(2.0, requires_grad=True), mg.Tensor(0.0, requires_grad=True)
    (x**y).backward(create_graph=True)
    of_x, y.grad = x.grad, None
    of_x.backward()
    assert y.grad.item() == 0.5


def test_repeated_indices_count_each_time():
    assert gradient(lambda x: x[[0, 0, 1]], [5, 6, 7]) == [2, 1, 0]
    assert gradient(lambda x: x[np.array([True, False, True])], [5, 6, 7]) == [1, 0, 1]


def test_uneven_shapes_cannot_be_stacked():
    with pytest.raises(ValueError, match=r"arrays of one shape, not of \[\(2,\), \(3,\)\]"):
        mg.stack([mg.Tensor([1.0, 2.0]), np.ones(3)])


def test_what_is_no_index_is_refused_by_name():
    x = mg.Tensor([1.0, 2.0], requires_grad=True)
    for index in ("array", 1.5, (0, 0)):
        with pytest.raises(IndexError, match=r"getitem.* of float64"):
            x[index]
