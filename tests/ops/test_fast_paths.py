"""The fast paths of ndarrays, against the generic path."""

import numpy as np
import pytest

import microgradx as mg
from microgradx import Tensor
from microgradx.arrays.types import ONE, ZERO
from microgradx.ops.elementwise import mask_gradient
from microgradx.ops.products import linear

SPECIAL = [0.0, -0.0, 1.5, -1.5, np.inf, -np.inf, np.nan, 1e-45, -6e-8, 65504.0]


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.longdouble])
@pytest.mark.parametrize(
    ("shape", "mask_shape"),
    [((10,), (10,)), ((2, 10), (10,)), ((2, 10), (2, 1)), ((10,), ()), ((), ()), ((0, 3), (3,))],
)
def test_mask_gradient_is_where_to_the_bit(dtype, shape, mask_shape, generator):
    g = np.resize(np.array(SPECIAL), shape).astype(dtype)
    mask = generator.random(mask_shape) < 0.5
    before = g.tobytes()
    with np.errstate(all="raise"):
        passed = np.asarray(mask_gradient(g, mask))
    expected = np.where(mask, g, np.zeros((), dtype))
    assert passed.dtype == dtype
    assert passed.shape == expected.shape
    assert np.array_equal(passed, expected, equal_nan=True)
    assert np.array_equal(np.signbit(passed), np.signbit(expected))
    assert g.tobytes() == before


def test_mask_gradient_of_arrays_in_other_memory_orders(generator):
    g, mask = generator.normal(size=(6, 4)), generator.random((6, 4)) < 0.5
    for key in (np.s_[::2], np.s_[:, 1:3], np.s_[::-1]):
        assert np.array_equal(mask_gradient(g[key], mask[key]), np.where(mask[key], g[key], 0))
        assert np.array_equal(
            mask_gradient(g[key].T, mask[key].T), np.where(mask[key], g[key], 0).T
        )
    swapped = g.astype(">f8")
    assert np.array_equal(mask_gradient(swapped, mask), np.where(mask, g, 0))


@pytest.mark.parametrize("f", [mg.relu, mg.tanh, lambda x: mg.clip(x, -1.0, 1.0), mg.relu6])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_gradients_of_arrays_are_those_of_tensors_to_the_bit(f, dtype, generator):
    x = Tensor(np.array([*generator.normal(size=30) * 3, *SPECIAL[:4]], dtype), requires_grad=True)
    g = generator.normal(size=34).astype(dtype)
    f(x).backward(g)
    ours, x.grad = x.grad, None
    f(x).backward(g, create_graph=True)
    assert np.array_equal(ours, x.grad.data)
    assert ours.dtype == dtype
    x.grad = None


@pytest.mark.parametrize("shape", [(5, 3), (1, 3), (0, 3), (3,), (2, 4, 3)])
@pytest.mark.parametrize("dtypes", ["fff", "ddd", "ffd", "dff", "fdf", "eee"])
def test_linear_of_matrices_is_linear_of_everything_else(shape, dtypes, generator):
    x, w, b = (
        generator.normal(size=size).astype(dtype)
        for size, dtype in zip((shape, (4, 3), (4,)), dtypes, strict=True)
    )
    expected = np.matmul(x, w.T) + b
    originals = [a.copy() for a in (x, w, b)]
    inputs = [Tensor(a, requires_grad=True) for a in (x, w, b)]
    out = linear(*inputs)
    assert out.dtype == expected.dtype
    tolerance = 50 * np.finfo(min((x, w, b), key=lambda a: a.dtype.itemsize).dtype).eps
    np.testing.assert_allclose(out.data, expected, rtol=tolerance, atol=tolerance)
    np.testing.assert_array_equal(linear(x, w, b), out.data)
    g = generator.normal(size=out.shape).astype(out.dtype)
    out.backward(g)
    rows, row_gradients = x.reshape(-1, 3), g.reshape(-1, 4)
    references = g @ w, row_gradients.T @ rows, row_gradients.sum(axis=0)
    for tensor, reference in zip(inputs, references, strict=True):
        assert tensor.grad.dtype == tensor.dtype
        np.testing.assert_allclose(
            tensor.grad, reference.reshape(tensor.shape), rtol=tolerance, atol=tolerance
        )
    for tensor, original in zip(inputs, originals, strict=True):
        np.testing.assert_array_equal(tensor.data, original)


def test_a_sum_of_many_float16_rows_does_not_stand_still():
    x, w = np.zeros((5000, 1), np.float16), np.ones((1, 1), np.float16)
    b = Tensor(np.zeros(1, np.float16), requires_grad=True)
    linear(Tensor(x), Tensor(w), b).backward(np.ones((5000, 1)))
    assert b.grad == 5000


@pytest.mark.parametrize("dtype", [np.float32, np.int64, bool])
def test_constants_are_of_their_dtype_and_nobody_can_change_them(dtype):
    for constant, number in ((ZERO, 0), (ONE, 1)):
        array = constant[np.dtype(dtype)]
        assert array is constant[np.dtype(dtype)]
        assert array.dtype == dtype
        assert array == number
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 5
