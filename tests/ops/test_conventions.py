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


def test_norms_and_angles_at_0_and_at_scales_whose_squares_are_not_there():
    assert gradient(np.hypot, [0.0, 3.0], [0.0, 4.0]) == [[0, 0.6], [0, 0.8]]
    for scale in (1e-200, 1e200):
        of_y, of_x = gradient(np.arctan2, [0.0, scale], [0.0, scale])
        np.testing.assert_allclose(of_y, [0, 0.5 / scale], rtol=1e-12)
        np.testing.assert_allclose(of_x, [0, -0.5 / scale], rtol=1e-12)


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


@pytest.mark.parametrize(
    "f",
    [
        lambda x: np.sqrt(mg.relu(x)),
        lambda x: np.sqrt(np.maximum(x, 0.0)),
        lambda x: np.sqrt(-np.minimum(-x, 0.0)),
        lambda x: np.sqrt(np.clip(x, 0.0, None)),
        lambda x: np.sqrt(mg.max(mg.stack([x, np.zeros(2)]), axis=0)),
    ],
)
def test_what_was_not_chosen_gets_0_even_from_an_infinite_gradient(f):
    x = mg.Tensor([-4.0, 4.0], requires_grad=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        f(x).sum().backward()
    np.testing.assert_array_equal(x.grad, [0, 0.25])


def test_powers_with_unsigned_and_negative_exponents():
    x = mg.Tensor([3.0, 1e3], requires_grad=True, dtype=np.float32)
    (x ** np.array([0, 2], np.uint8)).sum().backward()
    np.testing.assert_array_equal(x.grad, [0, 2000])
    y = mg.Tensor(-1.0, requires_grad=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        (0.0**y).backward()
    assert y.grad == -np.inf


def test_functions_of_unsigned_integers_and_booleans():
    expected = 1 / (1 + np.exp(-np.array([1.0, 2.0])))
    np.testing.assert_allclose(mg.sigmoid(np.array([1, 2], np.uint8)), expected)
    np.testing.assert_allclose(mg.sigmoid(np.array([True])), expected[:1])
    x = mg.Tensor([5.0, 6.0], requires_grad=True)
    x[np.array([0, 0], np.uint8)].sum().backward()
    np.testing.assert_array_equal(x.grad, [2, 0])


def test_means_and_ties_of_many_float16():
    for f in (mg.mean, mg.max):
        x = mg.Tensor(np.ones(100_000), dtype=np.float16, requires_grad=True)
        f(x).backward()
        np.testing.assert_allclose(x.grad, 1e-5, rtol=0.01)


@pytest.mark.parametrize(
    ("shape", "index"),
    [
        ((0, 3), np.zeros((0, 3), bool)),
        ((2, 0, 2), (np.zeros((2, 0), bool), -1)),
        ((3,), np.zeros(3, bool)),
        ((3,), []),
        ((3,), np.zeros(0, int)),
    ],
)
def test_empty_indices_are_numpys(shape, index):
    x = np.ones(shape)
    assert mg.Tensor(x)[index].shape == x[index].shape
    tensor = mg.Tensor(x, requires_grad=True)
    tensor[index].sum().backward()
    np.testing.assert_array_equal(tensor.grad, np.zeros(shape))


def test_axes_and_shapes_of_numpys_integers_and_wrong_ones():
    x = mg.Tensor(np.ones((2, 3)), requires_grad=True)
    assert x.reshape(np.int64(6)).shape == (6,)
    assert mg.broadcast_to(mg.Tensor(1.0), np.int64(2)).shape == (2,)
    for wrong in (lambda: x.swapaxes(0, 3), lambda: x.transpose(0), lambda: x.transpose(())):
        with pytest.raises(ValueError, match=r"axis|axes"):
            wrong()


def test_where_gives_a_tensor_for_a_condition_that_is_one():
    assert isinstance(np.where(mg.Tensor([True, False]), 1.0, 2.0), mg.Tensor)
