"""The ops of convolution and pooling by themselves: any settings, any axes, both of their paths.

On ndarrays they view memory, write in place and cut products into pieces; on Tensors, and on arrays
of other libraries, they are plain NumPy calls.
"""

import functools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.lib.stride_tricks import sliding_window_view

import microgradx as mg
from microgradx.engine import sweep
from microgradx.ops import convolution
from tests.test_other_arrays import Foreign, values


def windows(x, kernel, stride, padding, dilation, value=0.0):
    """By NumPy's sliding_window_view: (N, C, *positions, *kernel)."""
    x = np.pad(x, ((0, 0), (0, 0), *padding), constant_values=value)
    spatial = range(2, x.ndim)
    extent = [d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)]
    view = sliding_window_view(x, extent, tuple(spatial))
    steps = [slice(None, None, step) for step in (*stride, *dilation)]
    return view[(slice(None), slice(None), *steps)]


def convolve(x, w, b, kernel, stride, padding, dilation, groups):
    parts = []
    for group_of_x, group_of_w in zip(np.split(x, groups, 1), np.split(w, groups, 0), strict=True):
        view = windows(group_of_x, kernel, stride, padding, dilation)
        last = range(view.ndim - len(kernel), view.ndim)
        part = np.tensordot(view, group_of_w, ((1, *last), (1, *range(2, w.ndim))))
        parts.append(np.moveaxis(part, -1, 1))
    return np.concatenate(parts, 1) + b.reshape(-1, *(1 for _ in kernel))


@st.composite
def settings_of_windows(draw):
    """Settings, and spatial sizes with room for them; padding may be more than the kernel sees."""
    axes = draw(st.integers(1, 3))
    several = functools.partial(st.lists, min_size=axes, max_size=axes)
    kernel = draw(several(st.integers(1, 3)))
    stride = draw(several(st.integers(1, 3)))
    dilation = draw(several(st.integers(1, 2)))
    padding = draw(several(st.tuples(st.integers(0, 3), st.integers(0, 3))))
    sizes = tuple(
        max(1, d * (k - 1) + 1 - sum(p) + draw(st.integers(0, 3)))
        for k, d, p in zip(kernel, dilation, padding, strict=True)
    )
    return (tuple(kernel), tuple(stride), tuple(padding), tuple(dilation)), sizes


def gradients(op, inputs, g, create_graph=False):
    """Of leaves, by the one path or the other."""
    leaves = [mg.Tensor(x, requires_grad=True) for x in inputs]
    out = op(*leaves)
    seed = mg.as_tensor(g) if create_graph else g
    arrived = dict(sweep({out: seed}, create_graph=create_graph))
    return [np.asarray(mg.as_tensor(arrived[leaf]).detach().data) for leaf in leaves]


@given(settings_of_windows(), st.integers(1, 2), st.integers(0, 3), st.randoms())
def test_convolution_and_its_gradients_on_both_paths(settings_and_sizes, groups, batch, random):
    settings, sizes = settings_and_sizes
    generator = np.random.default_rng(random.randrange(2**32))
    x = generator.normal(size=(batch, 2 * groups, *sizes))
    w = generator.normal(size=(3 * groups, 2, *settings[0]))
    b = generator.normal(size=3 * groups)
    op = mg.Convolution(*settings, groups)
    out = op(x, w, b)
    np.testing.assert_allclose(out, convolve(x, w, b, *settings, groups), rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(values(op(*map(Foreign, (x, w, b)))), out, rtol=1e-12, atol=1e-12)
    g = generator.normal(size=out.shape)
    fast, generic = (gradients(op, (x, w, b), g, create_graph) for create_graph in (False, True))
    # It is linear in each input: the gradient with a direction is the output's change along it.
    directions = [generator.normal(size=each.shape) for each in (x, w, b)]
    zero = np.zeros_like(b)
    changes = [op(directions[0], w, zero), op(x, directions[1], zero), op(0 * x, w, directions[2])]
    for mine, other, direction, change in zip(fast, generic, directions, changes, strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(
            np.sum(mine * direction), np.sum(g * change), rtol=1e-9, atol=1e-9
        )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_products_in_pieces_are_products(generator, dtype, monkeypatch):
    # 16 · 200 weights: pieces of 288 columns, and a last one that is shorter.
    x = generator.normal(size=(32, 8, 5, 14)).astype(dtype)
    w = generator.normal(size=(16, 8, 5, 5)).astype(dtype)
    b = generator.normal(size=16).astype(dtype)
    settings = ((5, 5), (1, 1), ((2, 2), (2, 2)), (1, 1))
    out = mg.Convolution(*settings)(x, w, b)
    assert out.dtype == dtype
    tolerance = {"rtol": 1e3 * np.finfo(dtype).eps, "atol": 1e3 * np.finfo(dtype).eps}
    np.testing.assert_allclose(out, convolve(x, w, b, *settings, 1), **tolerance)
    g = generator.normal(size=out.shape).astype(dtype)
    in_pieces = gradients(mg.Convolution(*settings), (x, w, b), g)
    monkeypatch.setattr(convolution, "matmul_in_pieces", np.matmul)
    for mine, other in zip(
        in_pieces, gradients(mg.Convolution(*settings), (x, w, b), g), strict=True
    ):
        np.testing.assert_allclose(mine, other, **tolerance)


def test_a_bias_of_another_dtype_promotes(generator):
    x, w = (generator.normal(size=shape).astype(np.float32) for shape in [(2, 1, 4), (3, 1, 2)])
    op = mg.Convolution((2,), (1,), ((0, 0),), (1,))
    assert op(x, w, np.ones(3)).dtype == np.float64
    assert op(x, w.astype(np.float64), np.ones(3, np.float32)).dtype == np.float64


@given(settings_of_windows(), st.integers(0, 2), st.randoms())
def test_pooling_and_its_gradients_on_both_paths(settings_and_sizes, batch, random):
    (kernel, stride, padding, dilation), sizes = settings_and_sizes
    generator = np.random.default_rng(random.randrange(2**32))
    # Few different numbers, so that they tie; and some -inf, which padding is not to tie with.
    x = generator.integers(-2, 3, size=(batch, 2, *sizes)).astype(float)
    x[generator.random(x.shape) < 0.1] = -np.inf
    op = mg.MaxPool(kernel, stride, padding, dilation)
    out = op(x)
    view = windows(x, kernel, stride, padding, dilation, -np.inf)
    last = tuple(range(-len(kernel), 0))
    np.testing.assert_array_equal(out, view.max(last))
    np.testing.assert_array_equal(values(op(Foreign(x))), out)
    g = generator.normal(size=out.shape)
    (fast,), (generic,) = (gradients(op, (x,), g, create_graph) for create_graph in (False, True))
    np.testing.assert_allclose(fast, generic, rtol=1e-12, atol=1e-12)
    # Each element's: from each window that it is the largest of, the share of all that are.
    real = windows(np.ones_like(x), kernel, stride, padding, dilation).astype(bool)
    largest = (view == view.max(last, keepdims=True)) & real
    share = np.expand_dims(g, last) / np.maximum(largest.sum(last, keepdims=True), 1)
    where = np.arange(x.size).reshape(x.shape)
    index = windows(where, kernel, stride, padding, dilation, -1)
    expected = np.zeros(x.size)
    np.add.at(expected, index[largest], (largest * share)[largest])
    np.testing.assert_allclose(fast, expected.reshape(x.shape), rtol=1e-12, atol=1e-12)

    if set(dilation) == {1}:
        mean = mg.AveragePool(kernel, stride, padding, padding)
        x = generator.normal(size=x.shape)
        view = windows(x, kernel, stride, padding, dilation)
        np.testing.assert_allclose(mean(x), view.mean(last), rtol=1e-12, atol=1e-12)
        (fast,), (generic,) = (gradients(mean, (x,), g, each) for each in (False, True))
        np.testing.assert_allclose(fast, generic, rtol=1e-12, atol=1e-12)
        direction = generator.normal(size=x.shape)
        np.testing.assert_allclose(
            np.sum(fast * direction), np.sum(g * mean(direction)), rtol=1e-9, atol=1e-9
        )


def test_many_ties_are_counted():
    x = mg.Tensor(np.zeros((1, 1, 20, 20), np.float32), requires_grad=True)
    mg.MaxPool((20, 20), (20, 20), ((0, 0), (0, 0)), (1, 1))(x).sum().backward()
    np.testing.assert_array_equal(x.grad, np.full(x.shape, 1 / 400, np.float32))


def test_images_keep_their_layout_from_op_to_op(generator):
    """Else each op would have to copy the result of the one before it."""
    x = generator.normal(size=(5, 3, 8, 6)).astype(np.float32)
    w = generator.normal(size=(4, 3, 3, 3)).astype(np.float32)
    conv = mg.Convolution((3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1))
    pool = mg.MaxPool((2, 2), (2, 2), ((0, 0), (0, 0)), (1, 1))
    out = conv(x, w)
    pooled = pool(out)
    back = pool.backward(pooled, pooled, out)
    for array in (out, pooled, back):
        assert convolution.to_hcwn(array).flags.c_contiguous
    in_c_order = np.ascontiguousarray(pooled)
    assert convolution.to_hcwn(pool.backward(in_c_order, pooled, out)).flags.c_contiguous
