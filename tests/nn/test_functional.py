"""nn.functional against loops over single numbers; its conventions, its errors, its graphs."""

import itertools
import math
import re

import numpy as np
import pytest

import microgradx as mg
from microgradx.nn import functional as F


def windows(x, kernel, stride, padding, dilation, value):
    """For each position: the elements that a window over (H, W) sees, by indices alone."""
    sizes = [
        (size + 2 * p - d * (k - 1) - 1) // s + 1
        for size, k, s, p, d in zip(x.shape, kernel, stride, padding, dilation, strict=True)
    ]
    for position in itertools.product(*map(range, sizes)):
        seen = np.full(kernel, value)
        for place in itertools.product(*map(range, kernel)):
            at = [
                o * s - p + i * d
                for o, i, s, p, d in zip(position, place, stride, padding, dilation, strict=True)
            ]
            if all(0 <= i < size for i, size in zip(at, x.shape, strict=True)):
                seen[place] = x[tuple(at)]
        yield position, seen


def naive_conv2d(x, w, b, stride, padding, dilation, groups):
    found = {}
    per_group_in, per_group_out = w.shape[1], len(w) // groups
    for n, o, c in itertools.product(range(len(x)), range(len(w)), range(per_group_in)):
        image = x[n, o // per_group_out * per_group_in + c]
        for at, seen in windows(image, w.shape[2:], stride, padding, dilation, 0.0):
            found[(n, o, *at)] = found.get((n, o, *at), b[o]) + float((seen * w[o, c]).sum())
    return found


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("dilation", [(1, 1), (1, 2), (2, 1)])
@pytest.mark.parametrize("padding", [(0, 0), (2, 1)])
@pytest.mark.parametrize("stride", [(1, 1), (2, 1), (1, 3)])
def test_conv2d_is_a_sum_over_windows(generator, stride, padding, dilation, groups):
    x = generator.normal(size=(2, 4, 5, 6))
    w, b = generator.normal(size=(4, 4 // groups, 2, 3)), generator.normal(size=4)
    out = F.conv2d(x, w, b, stride, padding, dilation, groups)
    expected = naive_conv2d(x, w, b, stride, padding, dilation, groups)
    assert out.size == len(expected)
    for index, value in expected.items():
        assert math.isclose(out[index], value, abs_tol=1e-12), index


@pytest.mark.parametrize("dilation", [(1, 1), (1, 2), (2, 1)])
@pytest.mark.parametrize("padding", [(0, 0), (1, 0), (0, 1)])
@pytest.mark.parametrize("stride", [(1, 1), (2, 1), (1, 3)])
def test_pooling_is_the_max_or_mean_of_windows(generator, stride, padding, dilation):
    x = generator.normal(size=(2, 3, 5, 6)) - 3  # so that 0 would win
    largest = F.max_pool2d(x, (3, 2), stride, padding, dilation)
    means = F.avg_pool2d(x, (3, 2), stride, padding)
    inside = F.avg_pool2d(x, (3, 2), stride, padding, count_include_pad=False)
    sums = F.avg_pool2d(x, (3, 2), stride, padding, divisor_override=1)
    for n, c in itertools.product(range(2), range(3)):
        for at, seen in windows(x[n, c], (3, 2), stride, padding, dilation, -np.inf):
            assert largest[(n, c, *at)] == seen.max()
        for at, seen in windows(x[n, c], (3, 2), stride, padding, (1, 1), np.nan):
            assert math.isclose(means[(n, c, *at)], np.nansum(seen) / 6)
            assert math.isclose(inside[(n, c, *at)], np.nanmean(seen))
            assert math.isclose(sums[(n, c, *at)], np.nansum(seen))


def test_sizes_are_those_of_the_guide_to_convolution_arithmetic(generator):
    # Dumoulin and Visin, 2016: input, kernel, stride, padding, output.
    cases = [(4, 3, 1, 0, 2), (5, 4, 1, 2, 6), (5, 3, 1, 1, 5), (5, 3, 1, 2, 7)]
    for i, k, s, p, o in [*cases, (5, 3, 2, 0, 2), (5, 3, 2, 1, 3), (6, 3, 2, 1, 3)]:
        out = F.conv2d(np.ones((1, 1, i, i)), np.ones((1, 1, k, k)), stride=s, padding=p)
        assert out.shape == (1, 1, o, o)
    assert F.conv2d(np.ones((1, 7, 7)), np.ones((1, 1, 3, 3)), dilation=2).shape == (1, 3, 3)


def test_same_padding_of_an_odd_total_has_one_more_after():
    out = F.conv1d(np.ones((1, 1, 4)), np.ones((1, 1, 4)), padding="same")
    np.testing.assert_array_equal(out, [[[3, 4, 3, 2]]])
    for kernel, dilation in itertools.product((1, 2, 5), (1, 2, 3)):
        weight = np.ones((1, 1, kernel))
        assert F.conv1d(np.ones((1, 6)), weight, padding="same", dilation=dilation).shape == (1, 6)


def test_without_a_batch_it_is_a_batch_of_one(generator):
    x, w = generator.normal(size=(2, 4, 5)), generator.normal(size=(3, 2, 2, 2))
    np.testing.assert_array_equal(F.conv2d(x, w), F.conv2d(x[None], w)[0])
    np.testing.assert_array_equal(F.conv1d(x[0], x[:, :4, :3]), F.conv1d(x[:1], x[:, :4, :3])[0])
    np.testing.assert_array_equal(F.max_pool2d(x, 2), F.max_pool2d(x[None], 2)[0])
    np.testing.assert_array_equal(F.avg_pool2d(x, 2), F.avg_pool2d(x[None], 2)[0])


def test_the_layout_in_memory_changes_nothing(generator):
    x, w = generator.normal(size=(3, 2, 6, 5)), generator.normal(size=(4, 2, 3, 2))
    batch_last = x.transpose(1, 2, 3, 0).copy().transpose(3, 0, 1, 2)
    functions = (lambda x: F.conv2d(x, w, padding=1), lambda x: F.max_pool2d(x, 2, 1))
    for f in (*functions, lambda x: F.avg_pool2d(x, 2, 1, 1)):
        results = []
        for array in (x, batch_last, np.asfortranarray(x)):
            tensor = mg.as_tensor(array).requires_grad_()
            out = f(tensor)
            out.backward(np.arange(out.size, dtype=float).reshape(out.shape))
            results.append((out.data, tensor.grad))
        for other in results[1:]:
            np.testing.assert_allclose(other[0], results[0][0], rtol=1e-12)
            np.testing.assert_allclose(other[1], results[0][1], rtol=1e-12)


def test_lists_and_integers_are_taken():
    assert F.conv1d([[1, 2, 3]], [[[1, 1]]]).tolist() == [[3.0, 5.0]]
    assert F.max_pool2d([[[1, 2], [3, 4]]], [2, 2]).tolist() == [[[4.0]]]
    assert F.layer_norm([[1, 3]], [2], eps=0).tolist() == [[-1.0, 1.0]]


# ---------------------------------------------------------------------------- conventions


def gradient(f, x):
    tensor = mg.Tensor(x, requires_grad=True, dtype=float)
    f(tensor).sum().backward()
    return tensor.grad.tolist()


def test_ties_in_a_window_share_equally():
    assert gradient(lambda x: F.max_pool2d(x, 2), [[[1, 1], [0, 1]]]) == [
        [[1 / 3, 1 / 3], [0, 1 / 3]]
    ]
    # Overlapping windows: the middle is the largest of both, and ties in the second.
    assert gradient(lambda x: F.max_pool2d(x, (1, 2), 1), [[[1, 2, 2]]]) == [[[0, 1.5, 0.5]]]


def test_padding_never_wins_and_never_ties():
    for x in (np.full((1, 2, 2), -5.0), np.full((1, 2, 2), -np.inf)):
        out = F.max_pool2d(x, 2, 2, 1)
        np.testing.assert_array_equal(out, x)
        assert gradient(lambda x: F.max_pool2d(x, 2, 2, 1), x) == [[[1, 1], [1, 1]]]


def test_nan_makes_its_windows_nan_and_no_others():
    x = np.array([[[1.0, np.nan, 3.0, 4.0]]])
    np.testing.assert_array_equal(F.max_pool2d(x, (1, 2)), [[[np.nan, 4]]])
    assert gradient(lambda x: F.max_pool2d(x, (1, 2)), x) == [[[0, 0, 0, 1]]]
    np.testing.assert_array_equal(F.avg_pool2d(x, (1, 2)), [[[np.nan, 3.5]]])


def test_what_did_not_win_gets_0_even_from_an_infinite_gradient():
    x = mg.Tensor([[[-4.0, 0.0, 1.0, 4.0]]], requires_grad=True)
    with np.errstate(divide="ignore"):
        np.sqrt(F.max_pool2d(x, (1, 2))).sum().backward()
    np.testing.assert_array_equal(x.grad, [[[0, np.inf, 0, 0.25]]])


def test_a_constant_row_is_normalised_to_the_bias_in_both_orders():
    x = mg.Tensor(np.full((2, 4), 3.0), requires_grad=True)
    bias = np.array([1.0, 2.0, 3.0, 4.0])
    out = F.layer_norm(x, 4, None, bias)
    np.testing.assert_array_equal(out.data, [bias, bias])
    (out * out).sum().backward(create_graph=True)
    first, x.grad = x.grad, None
    (first * first).sum().backward()
    assert np.isfinite(x.grad.data).all()
    constant = F.batch_norm(np.full((3, 2), 7.0), None, None, training=True)
    np.testing.assert_array_equal(constant, np.zeros((3, 2)))


def test_a_bias_without_a_weight_is_added(generator):
    x, bias = generator.normal(size=(5, 3)), generator.normal(size=3)
    np.testing.assert_array_equal(F.layer_norm(x, 3, None, bias), F.layer_norm(x, 3) + bias)
    for training in (True, False):
        running = (np.zeros(3), np.ones(3), None)
        np.testing.assert_array_equal(
            F.batch_norm(x, *running, bias, training=training),
            F.batch_norm(x, *running, training=training) + bias,
        )


def test_normalised_means_are_0_and_variances_1_far_from_0(generator):
    x = 1e6 + generator.normal(size=(50, 3, 4))
    out = F.batch_norm(x, None, None, training=True, eps=0)
    np.testing.assert_allclose(out.mean(axis=(0, 2)), 0, atol=1e-8)
    np.testing.assert_allclose(out.var(axis=(0, 2)), 1, rtol=1e-8)


def test_float32_makes_no_float64(generator):
    x, w = (generator.normal(size=s).astype(np.float32) for s in [(2, 2, 6, 6), (2, 2, 3, 3)])
    b = w[:, 0, 0, 0]
    results = [F.conv2d(x, w, b), F.max_pool2d(x, 2), F.avg_pool2d(x, 2, padding=1)]
    results += [F.layer_norm(x, 6), F.batch_norm(x, np.zeros(2), np.ones(2), b, b)]
    results.append(F.batch_norm(x, np.zeros(2), np.ones(2), b, b, training=True))
    # The rules themselves: the sweep would cast what they return.
    conv = mg.Convolution((3, 3), (1, 1), ((0, 0), (0, 0)), (1, 1))
    pool = mg.MaxPool((2, 2), (2, 2), ((0, 0), (0, 0)), (1, 1))
    mean = mg.AveragePool((2, 2), (2, 2), ((1, 1), (1, 1)), ((0, 0), (0, 0)))
    normalise = mg.Normalise((0, 2, 3), (1,))
    for op, inputs in [(conv, (x, w, b)), (pool, (x,)), (mean, (x,)), (normalise, (x, b, b))]:
        out = op(*inputs)
        results += [rule(out, out, *inputs) for rule in op.derivatives or [op.backward]]
    assert {out.dtype for out in results} == {np.dtype(np.float32)}


# ---------------------------------------------------------------------------- running statistics


@pytest.mark.parametrize("make", [np.array, lambda x: mg.Tensor(x, dtype=np.float32)])
def test_running_statistics_take_the_unbiased_variance(generator, make):
    x = generator.normal(2, 3, size=(4, 2, 5))
    mean, variance = make([1.0, 2.0]), make([3.0, 4.0])
    F.batch_norm(x, mean, variance, training=True, momentum=0.25)
    np.testing.assert_allclose(
        np.asarray(mean), 0.75 * np.array([1, 2]) + 0.25 * x.mean(axis=(0, 2)), rtol=1e-6
    )
    np.testing.assert_allclose(
        np.asarray(variance),
        0.75 * np.array([3, 4]) + 0.25 * x.var(axis=(0, 2), ddof=1),
        rtol=1e-6,
    )


def test_running_statistics_are_used_and_kept_where_there_is_no_training():
    mean, variance = np.array([1.0]), np.array([4.0])
    x = mg.Tensor([[3.0], [5.0]], requires_grad=True)
    out = F.batch_norm(x, mean, variance, eps=0)
    np.testing.assert_array_equal(out.data, [[1], [2]])
    assert (mean, variance) == (1, 4)
    mean[...] = 100.0  # as a later training step would
    variance[...] = 100.0
    (out * out).sum().backward()
    np.testing.assert_array_equal(x.grad, [[1], [2]])


@pytest.mark.parametrize(
    "wrong",
    [
        {"weight": np.ones(3)},
        {"bias": np.ones((1, 2))},
        {"running_var": np.ones(3)},
        {"running_var": None},
        {"running_var": np.ones(2, int)},
        {"input": np.ones((1, 2))},
    ],
)
def test_running_statistics_stay_as_they_are_where_something_failed(wrong):
    mean = np.zeros(2)
    arguments = {"input": np.ones((4, 2)), "running_mean": mean, "running_var": np.ones(2)}
    with pytest.raises((ValueError, TypeError), match=r"^batch_norm: "):
        F.batch_norm(**{**arguments, **wrong}, training=True)
    np.testing.assert_array_equal(mean, 0)


# ---------------------------------------------------------------------------- graphs


def test_each_is_one_node_with_its_formula(generator):
    x = mg.Tensor(generator.normal(size=(2, 2, 4, 4)), requires_grad=True)
    w = mg.Tensor(generator.normal(size=(3, 2, 3, 3)), requires_grad=True)
    edges = "padding=((0, 0), (0, 0)), dilation=(1, 1)"
    expected = {
        f"conv2d(kernel_size=(3, 3), stride=(1, 1), {edges})": F.conv2d(x, w),
        f"max_pool2d(kernel_size=(2, 2), stride=(2, 2), {edges})": F.max_pool2d(x, 2),
        "normalise(axes=(0, 2, 3), parameter_axes=(1,))": F.batch_norm(
            x, None, None, training=True
        ),
        "normalise(axes=(3,), parameter_axes=(3,))": F.layer_norm(x, 4),
    }
    for representation, out in expected.items():
        assert repr(out.op) == representation
        assert out.inputs[0] is x
        assert out.op.formula
    assert F.avg_pool2d(x, 2).op.name == "avg_pool2d"
    assert F.conv1d(x[:, :, 0], w[:, :, 0]).op.name == "conv1d"


def test_gradients_that_are_not_wanted_are_not_computed(generator, monkeypatch):
    def refuse(*arguments):
        raise AssertionError("not wanted")

    x, w = generator.normal(size=(2, 2, 4, 4)), generator.normal(size=(3, 2, 3, 3))
    b = mg.Tensor(np.zeros(3), requires_grad=True)
    monkeypatch.setattr(mg.Convolution, "by_input", refuse)
    monkeypatch.setattr(mg.Convolution, "by_weight", refuse)
    F.conv2d(x, w, b).sum().backward()
    np.testing.assert_array_equal(b.grad, [8, 8, 8])


def test_what_forward_saved_is_released(generator):
    x = mg.Tensor(generator.normal(size=(2, 2, 4, 4)), requires_grad=True)
    out = F.conv2d(x, generator.normal(size=(3, 2, 3, 3)))
    assert out.op.saved is not None
    out.backward(np.ones(out.shape), retain_graph=False)
    assert out.op.saved is None
    with mg.no_grad():
        assert F.conv2d(x, generator.normal(size=(3, 2, 3, 3))).op is None


# ---------------------------------------------------------------------------- errors

IMAGE = np.ones((2, 4, 5, 6))
WEIGHT = np.ones((6, 4, 3, 3))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: F.conv2d(IMAGE[0, 0], WEIGHT),
            r"conv2d: .* \(5, 6\), with 2 axes; it needs 4, .*, height, width\), or 3 without",
        ),
        (
            lambda: F.conv1d(IMAGE, WEIGHT),
            r"conv1d: .* with 4 axes; it needs 3, \(batch, channels, length\), or 2",
        ),
        (
            lambda: F.conv2d(IMAGE, WEIGHT[0]),
            r"a weight of shape \(4, 3, 3\); it needs 4 axes, \(channels out, .* kernel width\)",
        ),
        (lambda: F.conv2d(IMAGE, WEIGHT[:, :, :0]), r"none of them empty"),
        (
            lambda: F.conv2d(IMAGE[:, :3], WEIGHT),
            r"with 3 channels, .* do not fit groups=1; the input needs 4 · 1 = 4 channels",
        ),
        (lambda: F.conv2d(IMAGE[0, :3], WEIGHT), r"shape \(3, 5, 6\), with 3 channels"),
        (
            lambda: F.conv2d(IMAGE, WEIGHT[:, :2], groups=3),
            r"groups=3; the input needs 2 · 3 = 6 channels",
        ),
        (
            lambda: F.conv2d(IMAGE, WEIGHT[:5, :2], groups=2),
            r"and the weight a number of channels out that 2 divides",
        ),
        (
            lambda: F.conv2d(IMAGE, WEIGHT, groups=0),
            r"conv2d: groups=0; it must be an integer of at least 1$",
        ),
        (
            lambda: F.conv2d(IMAGE, WEIGHT, np.ones(4)),
            r"a bias of shape \(4,\) .* one number for each channel out: \(6,\)",
        ),
        (
            lambda: F.conv2d(IMAGE, np.ones((1, 4, 6, 3))),
            r"no room for a window of size \(6, 3\) with dilation \(1, 1\); give a larger input",
        ),
        (lambda: F.conv2d(IMAGE, WEIGHT, dilation=3), r"no room for a window"),
        (lambda: F.conv2d(np.ones((2, 4, 0, 6)), WEIGHT, padding=5), r"no room"),
        (
            lambda: F.conv2d(IMAGE, WEIGHT, stride=0),
            r"conv2d: stride=0; it must be an integer of at least 1, or 2 of them",
        ),
        (lambda: F.conv2d(IMAGE, WEIGHT, dilation=(1, 0)), r"dilation=\(1, 0\); it must be"),
        (
            lambda: F.conv2d(IMAGE, WEIGHT, padding=-1),
            r"padding=-1; it must be an integer of at least 0",
        ),
        (
            lambda: F.conv2d(IMAGE, WEIGHT, stride=(1, 1, 1)),
            r"stride=\(1, 1, 1\); .* 2 of them, one for each spatial axis",
        ),
        (
            lambda: F.conv2d(IMAGE, WEIGHT, stride=1.0),
            r"conv2d: stride must be an integer, or a sequence of them, not 1\.0",
        ),
        (
            lambda: F.conv2d(IMAGE, WEIGHT, padding="same", stride=2),
            r'padding="same" with stride=\(2, 2\); .* only with stride=1',
        ),
        (
            lambda: F.conv2d(IMAGE, WEIGHT, padding="full"),
            r"padding='full'; it is \"same\", \"valid\", an integer",
        ),
        (lambda: F.max_pool2d(IMAGE[0, 0], 2), r"max_pool2d: .* with 2 axes"),
        (lambda: F.max_pool2d(IMAGE, 7), r"max_pool2d: .* no room for a window of size \(7, 7\)"),
        (lambda: F.max_pool2d(IMAGE, 0), r"kernel_size=0; it must be"),
        (
            lambda: F.max_pool2d(IMAGE, 2, "1"),
            r"max_pool2d: stride must be an integer, or a sequence of them, not '1'",
        ),
        (
            lambda: F.max_pool2d(IMAGE, (2, 4), padding=2),
            r"padding=\(2, 2\) is more than half of a window with kernel_size=\(2, 4\)",
        ),
        (
            lambda: F.avg_pool2d(IMAGE, 3, padding=2),
            r"avg_pool2d: padding=\(2, 2\) is more than half",
        ),
        (lambda: F.avg_pool2d(IMAGE, 2, divisor_override=0), r"divisor_override must not be 0"),
        (
            lambda: F.batch_norm(np.ones(3), None, None, training=True),
            r"batch_norm: an input of shape \(3,\); it needs .* \(N, C\)",
        ),
        (
            lambda: F.batch_norm(np.ones((1, 3, 1)), None, None, training=True),
            r"has 1 values per channel, and in training .* at least 2",
        ),
        (
            lambda: F.batch_norm(np.ones((0, 3)), None, None, training=True),
            r"has 0 values per channel",
        ),
        (lambda: F.batch_norm(IMAGE, None, None), r"running_mean is None; give both"),
        (
            lambda: F.batch_norm(IMAGE, np.zeros(4), None, training=True),
            r"running_var is None; give both",
        ),
        (
            lambda: F.batch_norm(IMAGE, np.zeros(3), np.ones(4)),
            r"running_mean of shape \(3,\) .* one number for each channel: \(4,\)",
        ),
        (
            lambda: F.batch_norm(IMAGE, [0.0] * 4, np.ones(4)),
            r"running_mean must be an array of floats",
        ),
        (
            lambda: F.batch_norm(IMAGE, np.zeros(4), mg.Tensor(np.ones(4), requires_grad=True)),
            r"running_var must be .* requires no gradient",
        ),
        (
            lambda: F.batch_norm(IMAGE, np.broadcast_to(0.0, 4), np.ones(4), training=True),
            r"running_mean is read-only",
        ),
        (
            lambda: F.batch_norm(IMAGE, np.zeros(4), np.ones(4), np.ones(5)),
            r"batch_norm: a weight of shape \(5,\) .* must have shape \(4,\)",
        ),
        (
            lambda: F.layer_norm(IMAGE, 5),
            r"layer_norm: .* \(2, 4, 5, 6\) and normalized_shape=\(5,\); .* last axes",
        ),
        (lambda: F.layer_norm(np.ones(3), (2, 3)), r"normalized_shape=\(2, 3\)"),
        (lambda: F.layer_norm(np.ones(3), ()), r"at least one"),
        (lambda: F.layer_norm(np.ones((2, 0)), 0), r"none of them 0"),
        (
            lambda: F.layer_norm(IMAGE, 6, None, np.ones(5)),
            r"layer_norm: a bias of shape \(5,\) .* must have shape \(6,\)",
        ),
        (lambda: F.layer_norm(IMAGE, 6.0), r"layer_norm: normalized_shape must be"),
    ],
)
def test_errors_say_what_happened_and_how_to_fix_it(call, message):
    integers = "must be an integer, or a sequence|must be an array of floats"
    with pytest.raises((ValueError, TypeError), match=message) as raised:
        call()
    assert raised.type is (TypeError if re.search(integers, str(raised.value)) else ValueError)


def test_linear_with_and_without_a_bias():
    generator = np.random.default_rng(0)
    x, w, b = (generator.normal(size=shape) for shape in [(4, 3), (2, 3), (2,)])
    assert mg.gradcheck(F.linear, [x, w, b])
    assert mg.gradcheck(F.linear, [x, w])
    np.testing.assert_allclose(F.linear(x, w), x @ w.T)
    np.testing.assert_allclose(F.linear(x, w, b), x @ w.T + b)


@pytest.mark.parametrize(
    ("weight", "reason"),
    [
        (np.ones((4, 2)), r"x \(2, 3\) and y \(4, 2\): .*\(out, in\); linear\(x\.T, y\) would"),
        (np.ones((3, 4)), r"x \(2, 3\) and y \(3, 4\): .*a weight has shape \(out, in\)$"),
        (2.0, r"a weight \(out, in\) .* are needed"),
    ],
)
def test_linear_without_a_bias_speaks_of_the_weight_that_was_given(weight, reason):
    for x in (np.ones((2, 3)), mg.Tensor(np.ones((2, 3)), requires_grad=True)):
        with pytest.raises(ValueError, match=f"linear of .*{reason}"):
            F.linear(x, weight)
