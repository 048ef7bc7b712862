"""Rows of logits in blocks, on threads, unshifted and shifted: all ways give the same losses."""

import itertools

import mpmath
import numpy as np
import pytest

import microgradx as mg
from benchmarks.accuracy import errors_in_ulps, exact_quantities, logit_rows
from microgradx.arrays.types import filled_vector
from microgradx.common import threads
from microgradx.ops import softmax_rows

TOLERANCE = {np.float16: 1e-3, np.float32: 2e-6, np.float64: 4e-15}


@pytest.fixture
def in_blocks(monkeypatch):
    """As if all arrays were large, and caches small: blocks of a few hundred logits."""
    monkeypatch.setattr(softmax_rows, "SMALL", 0)
    monkeypatch.setattr(softmax_rows, "BLOCK_BYTES", 4096)
    monkeypatch.setattr(threads, "_num_threads", 2)


def loss_and_gradient(z, labels, upstream=None, **options):
    t = mg.Tensor(z, requires_grad=True)
    loss = mg.cross_entropy(t, labels, **options)
    loss.backward(upstream)
    return loss.data, t.grad


def shifted_only(z, labels):
    """The losses and gradients of the rows one by one, in float64, from shifted exponentials."""
    z = np.asarray(z, np.float64)
    with np.errstate(all="ignore"):
        m = np.max(z, axis=1, keepdims=True)
        e = np.exp(z - m)
        p = e / np.sum(e, axis=1, keepdims=True)
        row = np.arange(len(z))
        losses = np.log(np.sum(e, axis=1)) - (z - m)[row, labels]
        p[row, labels] -= 1
    return losses, p


def close(actual, expected, dtype):
    np.testing.assert_allclose(
        np.asarray(actual, np.float64), expected, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype]
    )


# ---------------------------------------------------------------------------- blocks


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize(
    "shape", [(1, 1), (1, 70), (5, 64), (3, 2000), (37, 127), (300, 65), (300, 3), (16, 256)]
)
def test_blocks_of_rows_give_the_losses_of_the_rows(in_blocks, generator, shape, dtype):
    z = (2 * generator.normal(size=shape)).astype(dtype)
    labels = generator.integers(shape[1], size=shape[0])
    losses, gradient = shifted_only(z, labels)
    weights = generator.uniform(0.5, 2, size=shape[0]).astype(dtype)
    for reduction, loss, upstream, expected in [
        ("none", losses, weights, gradient * weights[:, None]),
        ("sum", np.sum(losses), None, gradient),
        ("mean", np.mean(losses), None, gradient / len(z)),
        ("mean", np.mean(losses), np.asarray(3, dtype), gradient * 3 / len(z)),
    ]:
        ours, grad = loss_and_gradient(z, labels, upstream, reduction=reduction)
        assert (ours.dtype, grad.dtype) == (dtype, dtype)
        scale = max(1, np.max(np.abs(loss)))
        close(ours / scale, loss / scale, dtype)
        close(grad, expected, dtype)
        with mg.no_grad():
            np.testing.assert_array_equal(mg.cross_entropy(z, labels, reduction=reduction), ours)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_blocks_serve_any_axis_and_layout(in_blocks, generator, axis):
    z = generator.normal(size=(6, 7, 80)).astype(np.float32)
    labels = generator.integers(6, size=np.delete(z.shape, axis))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(softmax_rows, "SMALL", 1 << 14)
        loss, gradient = loss_and_gradient(z, labels, axis=axis)
    for layout in (z, np.asfortranarray(z), np.repeat(z, 2, axis=1)[:, ::2]):
        ours, grad = loss_and_gradient(layout, labels, axis=axis)
        close(ours, loss, np.float32)
        close(grad, gradient, np.float32)
        op = mg.SoftmaxCrossEntropy(axis)
        close(op(layout, labels), loss, np.float32)


@pytest.mark.parametrize("small", [0, 1 << 14])
def test_the_layout_of_a_matrix_changes_no_result(monkeypatch, generator, small):
    monkeypatch.setattr(softmax_rows, "SMALL", small)
    z, labels = generator.normal(size=(42, 60)).astype(np.float32), generator.integers(60, size=42)
    assert softmax_rows.cannot_overflow(z) == (small > 0)
    loss, gradient = loss_and_gradient(z, labels)
    for layout in (np.asfortranarray(z), np.repeat(z, 2, axis=1)[:, ::2], z[::-1][::-1]):
        op = mg.SoftmaxCrossEntropy()
        np.testing.assert_array_equal(op.forward_saving(layout, labels), loss)
        np.testing.assert_array_equal(op.saved, gradient)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_no_rows_have_no_gradient(dtype):
    for reduction, expected in [("mean", np.nan), ("sum", 0), ("none", [])]:
        z, labels = np.zeros((0, 3), dtype), np.zeros(0, int)
        upstream = np.ones(np.shape(expected), dtype)
        loss, gradient = loss_and_gradient(z, labels, upstream, reduction=reduction)
        np.testing.assert_array_equal(loss, np.array(expected, dtype))
        assert gradient.shape == (0, 3)


def test_blocks_depend_on_nothing_but_the_array():
    blocks = softmax_rows.split_rows((1000, 300), 4)
    assert [row for block in blocks for row in range(1000)[block]] == list(range(1000))
    assert all(len(range(1000)[block]) * 300 * 4 <= 1 << 20 for block in blocks)
    assert len(softmax_rows.split_rows((3, 1 << 20), 4)) == 3  # at least a row
    assert softmax_rows.split_rows((0, 10), 4) == []


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("options", [{}, {"reduction": "sum"}, {"ignore_index": 3}])
def test_results_are_the_same_bits_for_any_number_of_threads(in_blocks, generator, dtype, options):
    z = (generator.normal(size=(301, 77)) * np.geomspace(0.1, 1e3, 301)[:, None]).astype(dtype)
    labels = generator.integers(77, size=301)
    results = []
    for n in (1, 2, 3, 7):
        mg.set_num_threads(n)
        results += [loss_and_gradient(z, labels, **options) for _ in range(3)]
    for loss, gradient in results:
        np.testing.assert_array_equal(loss, results[0][0])
        np.testing.assert_array_equal(gradient, results[0][1])


def test_several_threads_take_part(in_blocks, monkeypatch, generator):
    import threading

    both, idents = threading.Barrier(2, timeout=20), []
    sums = softmax_rows.sum_rows

    def meeting(e):
        if len(idents) < 2:
            idents.append(threading.get_ident())
            both.wait()
        return sums(e)

    monkeypatch.setattr(softmax_rows, "sum_rows", meeting)
    mg.cross_entropy(generator.normal(size=(100, 100)).astype(np.float32), np.zeros(100, int))
    assert len(set(idents)) == 2


# ---------------------------------------------------------------------------- the careful way

#: Rows of which exponentials as they are would lose digits, and one of which they do not.
EXTREME = {
    "ordinary": [0.5, -1, 2],
    "confident": [17, 0, 0],
    "too large": [1000, 999, 998],
    "too small": [-1000, -1001, -999],
    "subnormal exponentials": [-100, -101, -102],
    "large, but no overflow": [86, 85, 20],
    "a weight that underflows": [80, 86.5, -1],
    "the label far behind": [-700, 0, 1],
    "the label very far behind": [-1e4, 0, 1],
    "masked": [1, -np.inf, 0],
    "the label masked": [-np.inf, 1, 0],
    "the largest": [1e38, 1e38, -1e38],
    "all masked": [-np.inf] * 3,
    "infinite": [np.inf, 0, 1],
    "infinite twice": [0, np.inf, np.inf],
    "no number": [np.nan, 0, 1],
}


@pytest.mark.parametrize("few", [1, 64])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rows_that_exponentials_as_they_are_would_ruin_are_shifted(
    in_blocks, monkeypatch, dtype, few
):
    monkeypatch.setattr(softmax_rows, "FEW_CLASSES", few)
    monkeypatch.setattr(softmax_rows, "BLOCK_BYTES", 64)
    z = np.array(list(EXTREME.values()), dtype)
    for label in range(3):
        labels = np.full(len(z), label)
        losses, gradient = loss_and_gradient(z, labels, np.ones(len(z), dtype), reduction="none")
        for name, row, loss, grad in zip(EXTREME, z, losses, gradient, strict=True):
            expected_loss, expected = shifted_only(row[None], [label])
            if np.all(np.isfinite(row)):
                true = exact_quantities(row, label)
                assert errors_in_ulps(loss, true["loss"], dtype) <= 3, (name, label)
                assert errors_in_ulps(grad, true["gradient"], dtype) <= 6, (name, label)
            else:
                np.testing.assert_allclose(loss, expected_loss[0], rtol=1e-6, err_msg=name)
                np.testing.assert_allclose(grad, expected[0], 1e-6, 1e-7, err_msg=name)


@pytest.mark.parametrize("weight", [1e-30, 1.0, 1e30])
def test_weights_of_any_size_leave_the_gradient_its_digits(in_blocks, monkeypatch, weight):
    monkeypatch.setattr(softmax_rows, "FEW_CLASSES", 1)
    z = np.array([[60, 59, 40], [0, 1, 2], [-60, -61, -62], [0, 0, -95]], np.float32)
    labels = np.array([2, 0, 1, 0])
    _, gradient = loss_and_gradient(z, labels, weight=np.full(3, weight), reduction="sum")
    for row, label, grad in zip(z, labels, gradient, strict=True):
        factor = mpmath.mpf(float(np.float32(weight)))
        true = [factor * value for value in exact_quantities(row, label)["gradient"]]
        assert errors_in_ulps(grad, true, np.float32) <= 7


def test_ignored_rows_count_for_nothing_whatever_they_hold(in_blocks, generator):
    z = generator.normal(size=(40, 70)).astype(np.float32)
    labels = generator.integers(70, size=40)
    z[::3], labels[::3] = np.nan, -1
    z[0] = 1e38
    counted = labels >= 0
    loss, gradient = loss_and_gradient(z, labels, ignore_index=-1)
    expected, part = loss_and_gradient(z[counted], labels[counted])
    close(loss, expected, np.float32)
    np.testing.assert_array_equal(gradient[~counted], 0)
    close(gradient[counted], part, np.float32)


def test_no_error_state_of_the_callers_is_seen(in_blocks):
    z = np.array(list(EXTREME.values()), np.float32)
    quiet = loss_and_gradient(z, np.zeros(len(z), int), np.ones(len(z), "f"), reduction="none")
    with np.errstate(all="raise"):
        loud = loss_and_gradient(z, np.zeros(len(z), int), np.ones(len(z), "f"), reduction="none")
        for small in (0, 1 << 14):
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(softmax_rows, "SMALL", small)
                for scale in (1, 30, 55, 100, 1e4):
                    one = np.float32([[scale, -scale, 0.0]] * 3)
                    loss_and_gradient(one, np.array([0, 1, 2]))
                    loss_and_gradient(one.astype(np.float64) * 8, np.array([0, 1, 2]))
    for ours, theirs in zip(loud, quiet, strict=True):
        np.testing.assert_array_equal(ours, theirs)


# ---------------------------------------------------------------------------- digits


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_large_arrays_are_nearly_as_exact_as_small_ones(in_blocks, monkeypatch, dtype):
    # float32's own exponentials, as NumPy computes them, are up to 2.5 units off, and one of them
    # may be nearly all of a loss.
    monkeypatch.setattr(softmax_rows, "FEW_CLASSES", 1)
    for kind, z, label in logit_rows(dtype, seed=4, repeats=2):
        true = exact_quantities(z, label)
        loss, gradient = loss_and_gradient(z[None], np.array([label]))
        assert errors_in_ulps(loss, true["loss"], dtype) <= {np.float32: 3, np.float64: 2}[dtype], (
            kind
        )
        assert errors_in_ulps(gradient, true["gradient"], dtype) <= 6, kind


def test_sums_of_many_exponentials_are_exact_to_a_unit(generator):
    for classes in (64, 250, 1000, 10_000, 10_007, 32_000, 50_257):
        e = np.exp(generator.normal(size=(5, classes))).astype(np.float32)
        exactly = np.sum(e, axis=1, dtype=np.float64)
        unit = np.spacing(exactly.astype(np.float32))
        error = np.abs(softmax_rows.sum_rows(e) - exactly) / unit
        assert np.max(error) <= 2, classes
    assert [softmax_rows.piece_length(classes) for classes in (1000, 10_000, 10_007)] == [
        250,
        250,
        0,
    ]


def test_few_rows_and_many_meet(generator):
    for shape, scale in itertools.product([(128, 127), (128, 128), (129, 128)], [0.1, 1, 5]):
        z = (scale * generator.normal(size=shape)).astype(np.float32)
        labels = generator.integers(shape[1], size=shape[0])
        losses, gradient = shifted_only(z, labels)
        loss, grad = loss_and_gradient(z, labels)
        np.testing.assert_allclose(loss, np.mean(losses), rtol=1e-6)
        np.testing.assert_allclose(grad, gradient / len(z), rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("small", [0, 1 << 14])
@pytest.mark.parametrize("dtype", "bBhHiIlLqQ")
def test_labels_may_be_integers_of_any_kind(monkeypatch, generator, dtype, small):
    monkeypatch.setattr(softmax_rows, "SMALL", small)
    z, labels = (
        generator.normal(size=(30, 100)).astype(np.float32),
        generator.integers(100, size=30),
    )
    expected = loss_and_gradient(z, labels)
    for ours, theirs in zip(loss_and_gradient(z, labels.astype(dtype)), expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    labels[3] = 100 if dtype in "BHILQ" else -1
    with pytest.raises(IndexError, match=f"label {labels[3]} in row 3"):
        mg.cross_entropy(z, labels.astype(dtype))


def test_the_weights_of_many_rows_are_not_kept(generator):
    mg.cross_entropy(generator.normal(size=(20_011, 3)), np.zeros(20_011, int))
    misses = filled_vector.cache_info().misses
    filled_vector(1 / 20_011, 20_011)
    assert filled_vector.cache_info().misses == misses + 1


# ---------------------------------------------------------------------------- giving away


@pytest.mark.parametrize("size", [3, 300])
def test_a_gradient_given_away_is_computed_again_to_the_bit(in_blocks, generator, size):
    z = generator.normal(size=(size, 70)).astype(np.float32)
    t = mg.Tensor(z, requires_grad=True)
    loss = mg.cross_entropy(t, generator.integers(70, size=size))
    gradients = []
    for upstream in (1, 1, -2.5, 1):
        t.grad = None
        loss.backward(np.float32(upstream))
        gradients.append((t.grad, upstream))
    for gradient, upstream in gradients:
        np.testing.assert_array_equal(gradient, gradients[0][0] * np.float32(upstream))
    for (one, _), (other, _) in itertools.combinations(gradients, 2):
        assert not np.shares_memory(one, other)
    for gradient, _ in gradients:
        gradient[...] = np.nan
    t.grad = None
    loss.backward()
    assert np.all(np.isfinite(t.grad))


def test_a_gradient_given_away_is_nobody_elses(generator):
    op = mg.SoftmaxCrossEntropy()
    z, labels = generator.normal(size=(4, 3)), np.array([0, 1, 2, 0])
    out = op.forward_saving(z, labels)
    first = op.by_logits(np.ones(()), out, z, labels)
    assert op.saved is None
    second = op.by_logits(np.ones(()), out, z, labels)
    assert not np.shares_memory(first, second)
    np.testing.assert_array_equal(first, second)
