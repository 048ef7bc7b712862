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
    # Where the bounds cross, NumPy returns the upper one.
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


# ---------------------------------------------------------------------------- of other ops


def test_equal_infinities_share_in_logaddexp():
    assert gradient(np.logaddexp, [np.inf, np.inf], [np.inf, 0.0]) == [[0.5, 1], [0.5, 0]]
    assert gradient(np.logaddexp, [-np.inf], [-np.inf]) == [[0.5], [0.5]]


def test_fmax_and_fmin_pass_over_nan():
    for f in (np.fmax, np.fmin):
        assert gradient(f, [np.nan, 1.0], [2.0, np.nan]) == [[0, 1], [1, 0]]


def test_two_nans_share_and_a_power_of_0_is_constant():
    nan = np.nan
    for f in (np.fmax, np.fmin, np.maximum, np.minimum):
        assert gradient(f, [nan, nan], [nan, nan]) == [[0.5, 0.5], [0.5, 0.5]]
    for f in (np.maximum, np.minimum):
        assert gradient(f, [nan, 1.0], [2.0, nan]) == [[1, 0], [0, 1]]
    assert gradient(lambda x: x**0, [nan, np.inf, 0.0]) == [0, 0, 0]
    assert gradient(lambda x: np.power(x, [0.0, 0.0]), [nan, 0.0]) == [0, 0]


def test_hardtanh_refuses_bounds_that_cross():
    with pytest.raises(ValueError, match=r"not 0\.5 and -0\.5; exchange them"):
        mg.hardtanh(mg.Tensor([0.0]), 0.5, -0.5)
    with pytest.raises(ValueError, match="min_val that is not above max_val"):
        mg.nn.functional.hardtanh([0.0], max_val=-2.0)
    assert mg.hardtanh(3.0, 1.0, 1.0) == 1


def test_a_nan_that_is_the_extreme_receives_the_gradient():
    assert gradient(np.max, [1.0, np.nan, 2.0]) == [0, 1, 0]
    assert gradient(np.min, [np.nan, np.nan]) == [0.5, 0.5]


def test_activations_at_their_kinks():
    assert gradient(mg.hardtanh, [-2.0, -1.0, 0.0, 1.0, 2.0]) == [0, 0, 1, 0, 0]
    of_x, of_low, of_high = gradient(mg.hardtanh, [-2.0, -1.0, 0.0, 1.0, 2.0], -1.0, 1.0)
    assert (of_x, of_low, of_high) == ([0, 0, 1, 0, 0], 2, 2)
    assert gradient(mg.relu6, [0.0, 3.0, 6.0]) == [0, 1, 0]
    assert gradient(lambda x: mg.leaky_relu(x, 0.5), [-1.0, 0.0, 1.0]) == [0.5, 0.5, 1]
    assert gradient(mg.elu, [0.0, 1.0]) == [1, 1]
    assert mg.hessian(lambda x: mg.elu(x))(0.0) == 1  # of the exponential: all of it


@pytest.mark.parametrize(
    ("dtype", "far"), [(np.float16, 3000.0), (np.float32, 1e8), (np.float64, 1e160)]
)
def test_silu_and_mish_are_the_identity_far_out(dtype, far):
    for f in (mg.silu, mg.mish, mg.gelu):
        x = mg.Tensor([far, -far], requires_grad=True, dtype=dtype)
        with np.errstate(over="ignore", under="ignore"):  # of x², in the normal density
            f(x).sum().backward()
        np.testing.assert_array_equal(x.grad, [1, 0])


def test_the_standard_deviation_of_equal_numbers_has_derivative_0():
    x = np.array([[1.0, 1.0, 1.0], [1.0, 2.0, 3.0]])
    expected = (x - x.mean(1, keepdims=True)) / 3 / np.array([[1.0], [np.sqrt(2 / 3)]])
    np.testing.assert_allclose(mg.grad(lambda x: np.std(x, axis=1).sum())(x), expected)
    assert gradient(np.std, [0.1, 0.1, 0.1]) == [0, 0, 0]  # whose mean is rounded


@pytest.mark.parametrize(
    "f",
    [
        lambda x: np.linalg.norm(x) ** 2,
        lambda x: np.linalg.norm(np.reshape(x, (1, 2)), "fro") ** 2,
        lambda x: np.hypot(x[0], x[1]) ** 2,
        lambda x: np.std(x) ** 2,
        lambda x: np.std(x, ddof=1),
        lambda x: np.exp(-(np.linalg.norm(x - np.zeros(2)) ** 2)),
        lambda x: x[0] * np.arctan2(x[0], x[1]),
    ],
)
def test_where_the_curvature_is_infinite_a_second_derivative_is_nan(f):
    assert mg.grad(f)(np.zeros(2)).tolist() == [0, 0]
    assert np.all(np.isnan(mg.hessian(f)(np.zeros(2))))
    assert np.all(np.isnan(mg.hvp(f, np.zeros(2), np.array([1.0, 2.0]))))


def test_too_few_elements_for_the_degrees_of_freedom_have_no_gradient():
    x = mg.Tensor([1.0, 2.0], requires_grad=True)
    with np.errstate(all="ignore"):
        with pytest.warns(RuntimeWarning, match="Degrees of freedom"):
            out = np.var(x, ddof=2)
        out.backward()
    assert np.all(np.isnan(x.grad))


def test_the_median_of_a_nan_is_nan():
    x = np.array([[1.0, np.nan, 3.0], [1.0, 2.0, 3.0]])
    np.testing.assert_array_equal(mg.median(x, axis=1), [np.nan, 2.0])
    np.testing.assert_array_equal(mg.median(x, axis=1, keepdims=True), [[np.nan], [2.0]])


def test_an_average_over_axes_in_any_order():
    generator = np.random.default_rng(0)
    a, weights = generator.normal(size=(2, 3, 4)), generator.uniform(size=(4, 2))
    expected = np.einsum("ijk,ki->j", a, weights) / weights.sum()
    np.testing.assert_allclose(mg.average(a, axis=(2, 0), weights=weights), expected)
    with pytest.raises(ZeroDivisionError, match="add up to 0"):
        mg.average(mg.Tensor([1.0, 2.0]), weights=[1.0, -1.0])
    with pytest.raises(ValueError, match=r"weights of shape \(3,\) for an array of shape \(2,\)"):
        mg.average([1.0, 2.0], weights=[1, 2, 3])


def test_a_single_number_has_the_axis_0_that_numpy_gives_it():
    x = mg.Tensor(3.0, requires_grad=True)
    for f in (np.prod, np.cumsum, np.cumprod, np.sum, np.max):
        x.grad = None
        out = f(x, axis=0)
        assert out.shape == f(3.0, axis=0).shape
        out.sum().backward()
        assert x.grad == 1


def test_sums_of_many_float16_gradients_do_not_stand_still():
    b = mg.Tensor([1.0, 1.0], requires_grad=True, dtype=np.float16)
    out = (b + np.zeros((5000, 2), np.float16)).sum(1)
    out.backward(np.ones(5000))
    np.testing.assert_array_equal(b.grad, [5000, 5000])


# ---------------------------------------------------------------------------- what is refused


def test_functional_updates_keep_the_dtype_and_refuse_what_it_cannot_hold():
    x = mg.Tensor([1.0, 2.0], requires_grad=True, dtype=np.float32)
    assert x.at[0].set(np.float64(3.0)).dtype == np.float32
    with pytest.raises(TypeError, match=r"float64 cannot be put into .* t\.astype\(float64\)"):
        mg.Tensor([1, 2]).at[0].set(0.5)
    with pytest.raises(ValueError, match="broadcast"):
        x.at[:].set(np.ones(3))
    np.testing.assert_array_equal(x.at[1].get().data, 2.0)


def test_the_later_of_two_values_for_one_place_stays_and_gets_the_gradient():
    _, of_v = gradient(lambda x, v: x.at[[1, 1, 0]].set(v) * [5.0, 7.0], [1, 2], [3, 4, 5])
    assert of_v == [0, 7, 5]


def test_padding_with_what_has_no_rule_is_refused():
    x = mg.Tensor([1.0, 2.0], requires_grad=True)
    with pytest.raises(ValueError, match="without a gradient, for mode='constant'"):
        np.pad(x, 1, constant_values=mg.Tensor(3.0))
    with pytest.raises(ValueError, match="with even reflections"):
        np.pad(x, 1, mode="reflect", reflect_type="odd")
    with pytest.raises(ValueError, match="not for mode='linear_ramp'"):
        np.pad(x, 1, mode="linear_ramp")


def test_an_embedding_passes_over_its_padding_also_from_the_end():
    for padding in (2, -1):
        of_weight = gradient(
            lambda w, padding=padding: mg.embedding([0, 2, 2], w, padding), np.ones((3, 1))
        )
        assert of_weight == [[1], [0], [0]]
    with pytest.raises(IndexError, match="index 3 in row 1 is not one of the 3 rows"):
        mg.embedding([0, 3], np.ones((3, 1)))
    with pytest.raises(TypeError, match="looked up by integers"):
        mg.embedding([0.5], np.ones((3, 1)))


def test_labels_for_one_hot_are_checked():
    with pytest.raises(IndexError, match="class 3 in row 1 is not one of the 3 classes"):
        mg.one_hot([0, 3], 3)
    with pytest.raises(TypeError, match="labels must be integers"):
        mg.one_hot([0.5])


def test_full_like_converts_a_value_to_the_dtype_and_gives_it_its_gradient():
    value = mg.Tensor(2.5, requires_grad=True)
    out = np.full_like(mg.Tensor([1, 2]), 2.5)
    assert (out.dtype, out.tolist()) == (np.dtype(int), [2, 2])
    assert mg.full_like(np.zeros(2, np.float32), value).dtype == np.float32
    assert gradient(lambda value: mg.full_like(np.zeros((2, 3)), value), 2.5) == 6


def test_numpys_out_is_refused_wherever_it_is_given():
    t = mg.Tensor([1.0, 2.0], requires_grad=True)
    u = t * 3
    for call in (
        lambda: np.greater(np.ones(2), 0, out=u),
        lambda: np.isnan(np.zeros(2), out=u),
        lambda: np.any(t, out=u),
        lambda: np.greater(np.ones(2), 0, u),
        lambda: mg.exp(t, u),
        lambda: mg.multiply(np.ones(2), np.ones(2), u),
        lambda: np.exp(t, out=u),
    ):
        with pytest.raises(TypeError, match=r"out=|takes \d inputs, not \d"):
            call()
    (u * u).sum().backward()
    np.testing.assert_array_equal(t.grad, [18, 36])
    assert np.sum(t, dtype=None, out=None).item() == 3  # which asks for nothing


def test_bounds_are_given_once_and_take_counts():
    with pytest.raises(ValueError, match="given a bound twice"):
        np.clip(mg.Tensor([0.5]), 0, 1, min=0.5)
    np.testing.assert_array_equal(np.take(mg.Tensor([10, 20]), [True, False]).data, [20, 10])
