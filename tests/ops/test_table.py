"""Every op, by table: both orders of derivative, dtypes, purity, and the ways to call it."""

from __future__ import annotations

import numpy as np
import pytest

import microgradx as mg
from microgradx import functional
from microgradx.array_methods import implementations
from microgradx.ops import elementwise, linalg, products, reductions, shapes, softmax
from tests.ops.table import elementwise as elementwise_rows
from tests.ops.table import linalg as linalg_rows
from tests.ops.table import products as products_rows
from tests.ops.table import reductions as reductions_rows
from tests.ops.table import shapes as shapes_rows
from tests.ops.table import softmax as softmax_rows

TABLE = {
    **elementwise_rows.ROWS,
    **reductions_rows.ROWS,
    **shapes_rows.ROWS,
    **products_rows.ROWS,
    **linalg_rows.ROWS,
    **softmax_rows.ROWS,
}

EVERY_CALL = [
    pytest.param(row, arrays, settings, id=f"{name}-{i}")
    for name, row in TABLE.items()
    for i, (arrays, settings) in enumerate(row.samples(name))
]


def test_every_op_has_a_row():
    families = (elementwise, reductions, shapes, products, linalg, softmax, functional)
    assert set(TABLE) == {name for family in families for name in family.__all__}


def test_every_implementation_is_public_or_named_after_numpy():
    public = [getattr(mg, name) for name in TABLE]
    for key, implementation in implementations.items():
        plain_answer = getattr(implementation, "__name__", "") == "answer"
        assert plain_answer or any(implementation is each for each in public), key


@pytest.mark.parametrize(("row", "arrays", "settings"), EVERY_CALL)
def test_derivatives_of_both_orders(row, arrays, settings):
    if row.function is mg.stop_gradient:
        x = mg.Tensor(arrays[0], requires_grad=True)
        (row.function(x) * x).sum().backward()
        np.testing.assert_array_equal(x.grad, x.data)
        return
    report = mg.gradcheck(lambda *x: row.function(*x, **settings), arrays, order=2, rtol=1e-6)
    assert report
    expected = 2 * sum(array.size for array in arrays)
    assert report.checked == expected


@pytest.mark.parametrize(("row", "arrays", "settings"), EVERY_CALL)
def test_values_are_numpys_and_arrays_stay_arrays(row, arrays, settings):
    before = [array.copy() for array in arrays]
    plain = row.function(*arrays, **settings)
    wrapped = row.function(*[mg.Tensor(array, requires_grad=True) for array in arrays], **settings)
    assert not isinstance(plain, mg.Tensor)
    assert isinstance(wrapped, mg.Tensor)
    np.testing.assert_array_equal(wrapped.data, plain)
    for array, copy in zip(arrays, before, strict=True):
        np.testing.assert_array_equal(array, copy)
    if row.numpy is not None:
        expected = row.numpy(*arrays, **settings)
        np.testing.assert_allclose(plain, expected, rtol=row.rtol, atol=row.rtol)
        through = row.numpy(*[mg.Tensor(array, requires_grad=True) for array in arrays], **settings)
        assert isinstance(through, mg.Tensor)
        assert through.op is None or type(through.op) is type(wrapped.op)
        np.testing.assert_array_equal(through.data, plain)


@pytest.mark.parametrize(("row", "arrays", "settings"), EVERY_CALL)
def test_float32_stays_float32_forwards_and_backwards(row, arrays, settings):
    if row is TABLE["astype"]:
        return
    tensors = [mg.Tensor(array, requires_grad=True, dtype=np.float32) for array in arrays]
    out = row.function(*tensors, **settings)
    assert out.dtype == np.float32
    reached = 0
    for tensor, gradient in mg.engine.sweep({out: np.ones(out.shape, np.float32)}):
        assert gradient.dtype == np.float32
        assert gradient.shape == tensor.shape
        reached += tensor.is_leaf
    assert reached == (0 if row is TABLE["stop_gradient"] else len(tensors))


@pytest.mark.parametrize(("row", "arrays", "settings"), EVERY_CALL)
def test_non_contiguous_inputs_give_the_same(row, arrays, settings):
    def gradients(tensors):
        out = row.function(*tensors, **settings)
        if out.requires_grad:
            out.backward(np.arange(1.0, out.size + 1).reshape(out.shape))
        return [out.data, *(tensor.grad for tensor in tensors)]

    twisted = []
    for array in arrays:
        tensor = mg.as_tensor(np.repeat(array[..., None], 2, axis=-1)[..., 0])
        twisted.append(tensor.requires_grad_())
    straight = [mg.Tensor(array, requires_grad=True) for array in arrays]
    for a, b in zip(gradients(twisted), gradients(straight), strict=True):
        if a is None:
            assert b is None
        else:
            np.testing.assert_allclose(a, b, rtol=1e-12)


METHODS = {
    "exp": (),
    "tanh": (),
    "sigmoid": (),
    "relu": (),
    "abs": (),
    "sum": (0,),
    "mean": (1,),
    "max": (0,),
    "min": (1,),
    "logsumexp": (1,),
    "softmax": (0,),
    "log_softmax": (0,),
    "transpose": ((1, 0),),
    "swapaxes": (0, 1),
    "dot": (np.ones((3, 2)),),
    "reshape": ((3, 2),),
    "clip": (-0.5, 0.5),
    "copy": (),
    "squeeze": (),
    "astype": (np.float32,),
}


@pytest.mark.parametrize("name", METHODS)
def test_methods_are_the_same_ops(name):
    x = mg.Tensor(np.random.default_rng(0).normal(size=(2, 3)), requires_grad=True)
    by_method = getattr(x, name)(*METHODS[name])
    by_function = getattr(mg, name)(x, *METHODS[name])
    assert type(by_method.op) is type(by_function.op)
    np.testing.assert_array_equal(by_method.data, by_function.data)


def test_each_op_carries_a_name_and_a_formula():
    for op in mg.Op.__subclasses__():
        if op.__module__.startswith("microgradx.") and op is not elementwise.Elementwise:
            assert op.name, op
            assert op.formula or op.__subclasses__(), op
    for name in elementwise.__all__:
        op = getattr(elementwise, name)
        if isinstance(op, elementwise.Elementwise):
            assert op.name in (name, "absolute")
            assert op.formula
            assert op in elementwise.EXAMPLES
