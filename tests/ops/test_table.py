"""Every op, by table: both orders of derivative, dtypes, purity, and the ways to call it."""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

import microgradx as mg
from microgradx import functional
from microgradx.array_methods import implementations
from microgradx.ops import elementwise, linalg, reductions, shapes, softmax

SHAPES = [(), (0,), (1,), (3,), (2, 3), (2, 1, 3), (0, 2)]
PAIRS = [((), ()), ((3,), ()), ((), (2, 3)), ((2, 3), (3,)), ((1, 3), (2, 1)), ((0, 3), (1, 3))]
REDUCED = [
    ((), None),
    ((3,), None),
    ((3,), 0),
    ((2, 3), -1),
    ((2, 3), (0, 1)),
    ((2, 1, 4), (0, -1)),
    ((2, 3, 4), 1),
]


def anywhere(generator, shape):
    return np.asarray(generator.normal(size=shape))


def positive(generator, shape):
    return np.asarray(generator.uniform(0.5, 2, size=shape))


def probability(generator, shape):
    return np.asarray(generator.uniform(0.1, 0.9, size=shape))


def apart(generator, shape):
    """Values that differ from one another, and from 0 and ±0.6, by far more than a step."""
    values = np.arange(1, np.prod(shape, dtype=int) + 1) / 4 - 0.05
    return np.asarray(
        generator.permutation(values) * generator.choice([-1, 1], values.size)
    ).reshape(shape)


@dataclass
class Row:
    """A function, and calls of it: arrays to differentiate by, and settings."""

    function: Callable[..., Any]
    calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = field(default_factory=list)
    inputs: tuple[Callable[..., Any], ...] = (anywhere,)
    numpy: Any = None  # NumPy's function of the same meaning

    def samples(self, name):
        generator = np.random.default_rng(zlib.crc32(name.encode()))
        for shapes_, settings in self.calls:
            makers = itertools.cycle(self.inputs)
            yield [make(generator, s) for make, s in zip(makers, shapes_, strict=False)], settings


def unary(function, numpy=None, inputs=anywhere):
    return Row(function, [((s,), {}) for s in SHAPES], (inputs,), numpy)


def binary(function, numpy=None, first=anywhere, second=anywhere):
    calls = [(pair, {}) for a, b in PAIRS for pair in ((a, b), (b, a))]
    return Row(function, calls, (first, second), numpy)


def reduction(function, numpy=None, inputs=anywhere):
    calls = [
        ((shape,), {"axis": axis, "keepdims": keepdims})
        for shape, axis in REDUCED
        for keepdims in (False, True)
    ]
    return Row(function, calls, (inputs,), numpy)


def calls(function, *of, numpy=None, inputs=(anywhere,)):
    return Row(function, list(of), inputs, numpy)


def along_axes(function):
    on = [((3,), -1), ((2, 3), -1), ((2, 3), 0), ((2, 3, 2), 1), ((1, 1), -1)]
    return calls(function, *[((shape,), {"axis": axis}) for shape, axis in on])


TABLE = {
    # elementwise
    "add": binary(mg.add, np.add),
    "subtract": binary(mg.subtract, np.subtract),
    "multiply": binary(mg.multiply, np.multiply),
    "divide": binary(mg.divide, np.divide, second=positive),
    "floor_divide": binary(mg.floor_divide, np.floor_divide, second=positive),
    "power": binary(mg.power, np.power, first=positive),
    "negative": unary(mg.negative, np.negative),
    "positive": unary(mg.positive, np.positive),
    "sign": unary(mg.sign, np.sign, apart),
    "exp": unary(mg.exp, np.exp),
    "log": unary(mg.log, np.log, positive),
    "log1p": unary(mg.log1p, np.log1p, positive),
    "sqrt": unary(mg.sqrt, np.sqrt, positive),
    "tanh": unary(mg.tanh, np.tanh),
    "sigmoid": unary(mg.sigmoid),
    "softplus": unary(mg.softplus),
    "relu": unary(mg.relu, inputs=apart),
    "absolute": unary(mg.absolute, np.absolute, apart),
    "abs": unary(mg.abs, np.abs, apart),
    "maximum": binary(mg.maximum, np.maximum, first=apart),
    "minimum": binary(mg.minimum, np.minimum, first=apart),
    "clip": calls(
        mg.clip,
        *[((s,), {"a_min": -0.6, "a_max": 0.6}) for s in SHAPES],
        ((4,), {"a_min": None, "a_max": 0.6}),
        ((4,), {"min": 0.6}),
        ((4,), {"a_min": None, "a_max": None}),
        numpy=np.clip,
        inputs=(apart,),
    ),
    "where": calls(
        lambda x, y: mg.where(np.array([True, False, True]), x, y),
        *[(pair, {}) for pair in [((3,), (3,)), ((2, 3), ()), ((), (2, 1))]],
    ),
    "copy": unary(mg.copy, np.copy),
    "stop_gradient": unary(mg.stop_gradient),
    "astype": unary(lambda x: mg.astype(x, np.float64)),
    # reductions
    "sum": reduction(mg.sum, np.sum),
    "mean": reduction(mg.mean, np.mean),
    "max": reduction(mg.max, np.max, apart),
    "min": reduction(mg.min, np.min, apart),
    "logsumexp": reduction(mg.logsumexp),
    # shapes
    "reshape": calls(
        mg.reshape,
        ((2, 3), {"shape": (3, 2)}),
        ((2, 3), {"shape": -1}),
        ((2, 3), {"shape": (1, 6, -1)}),
        ((), {"shape": (1,)}),
        ((0, 3), {"shape": (3, 0)}),
        numpy=np.reshape,
    ),
    "transpose": calls(
        mg.transpose,
        *[(s, {}) for s in [((),), ((3,),), ((2, 3),), ((2, 0, 3),)]],
        (((2, 3, 4),), {"axes": (2, 0, 1)}),
        (((2, 3, 4),), {"axes": (-1, 0, -2)}),
        numpy=np.transpose,
    ),
    "swapaxes": calls(mg.swapaxes, (((2, 3, 4),), {"axis1": 0, "axis2": -1}), numpy=np.swapaxes),
    "expand_dims": calls(
        mg.expand_dims,
        (((2, 3),), {"axis": -1}),
        (((2, 3),), {"axis": (0, 2)}),
        (((),), {"axis": 0}),
        numpy=np.expand_dims,
    ),
    "squeeze": calls(
        mg.squeeze,
        (((2, 1, 3, 1),), {}),
        (((2, 1, 3, 1),), {"axis": -1}),
        (((1,),), {}),
        numpy=np.squeeze,
    ),
    "broadcast_to": calls(
        mg.broadcast_to,
        (((3,),), {"shape": (2, 3)}),
        (((2, 1),), {"shape": (4, 2, 3)}),
        (((),), {"shape": (2,)}),
        (((1, 3),), {"shape": (0, 3)}),
        numpy=np.broadcast_to,
    ),
    "getitem": calls(
        mg.getitem,
        *[
            (((4, 3),), {"index": index})
            for index in [
                1,
                -1,
                slice(None, None, -2),
                (slice(1, 3), 0),
                (..., None, 1),
                None,
                [0, 0, 1],
                (np.array([0, 3, 0]), np.array([1, 1, 1])),
                (slice(None), [2, 0, 2]),
                np.arange(12).reshape(4, 3) % 2 == 0,
                (np.array([True, False, True, True]), 1),
                [],
                (np.array([[0], [3]]), [0, 2]),
            ]
        ],
    ),
    "concatenate": calls(
        lambda *x, axis: mg.concatenate(x, axis),
        (((2, 3), (1, 3)), {"axis": 0}),
        (((2, 3), (2, 1), (2, 0)), {"axis": -1}),
        (((2, 3), (2,)), {"axis": None}),
    ),
    "stack": calls(
        lambda *x, axis: mg.stack(x, axis),
        (((2, 3), (2, 3)), {"axis": 0}),
        (((2,), (2,)), {"axis": -1}),
        (((), (), ()), {"axis": 0}),
    ),
    # products
    "matmul": calls(
        mg.matmul,
        *[
            (pair, {})
            for pair in [
                ((3,), (3,)),
                ((2, 3), (3,)),
                ((3,), (3, 2)),
                ((2, 3), (3, 4)),
                ((5, 2, 3), (3, 4)),
                ((2, 3), (5, 3, 4)),
                ((5, 1, 2, 3), (4, 3, 2)),
                ((3,), (5, 3, 2)),
                ((5, 2, 3), (3,)),
                ((0, 3), (3, 2)),
                ((2, 0), (0, 2)),
            ]
        ],
        numpy=np.matmul,
    ),
    "linear": calls(
        mg.linear,
        *[((x, (4, 3), (4,)), {}) for x in [(2, 3), (3,), (5, 2, 3), (0, 3)]],
    ),
    # softmax and losses
    "Softmax": along_axes(lambda x, axis: mg.Softmax(axis)(x)),
    "LogSoftmax": along_axes(lambda x, axis: mg.LogSoftmax(axis)(x)),
    "LogSumExp": along_axes(lambda x, axis: mg.LogSumExp(axis)(x)),
    "SoftmaxCrossEntropy": calls(
        lambda x: mg.SoftmaxCrossEntropy()(x, np.array([0, 2])), (((2, 3),), {})
    ),
    "softmax": calls(
        lambda x, t, **settings: mg.softmax(x, temperature=t, **settings),
        *[
            ((shape, t), {"axis": axis, "fused": fused})
            for shape, t, axis in [((3,), (), -1), ((2, 3), (), 0), ((2, 3), (2, 1), -1)]
            for fused in (True, False)
        ],
        inputs=(anywhere, positive),
    ),
    "log_softmax": calls(
        lambda x, t, **settings: mg.log_softmax(x, temperature=t, **settings),
        *[
            ((shape, t), {"axis": axis, "fused": fused})
            for shape, t, axis in [((3,), (), -1), ((2, 3), (), 0), ((2, 3), (2, 1), -1)]
            for fused in (True, False)
        ],
        inputs=(anywhere, positive),
    ),
    "cross_entropy": calls(
        lambda x, **settings: mg.cross_entropy(x, np.array([0, 2, 1, 0]), **settings),
        *[
            (((4, 3),), {"fused": fused, "reduction": reduction_, **settings})
            for fused in (True, False)
            for reduction_ in ("mean", "sum", "none")
            for settings in (
                {},
                {"label_smoothing": 0.15},
                {"weight": np.array([0.5, 2, 1])},
                {"weight": np.array([0.5, 2, 1]), "ignore_index": 1, "label_smoothing": 0.3},
            )
        ],
    ),
    "nll_loss": calls(
        lambda x, **settings: mg.nll_loss(x, np.array([[0, 2], [1, 0]]), **settings),
        *[
            (((2, 3, 2),), {"axis": 1, "reduction": reduction_, "ignore_index": 2})
            for reduction_ in ("mean", "sum", "none")
        ],
    ),
    "binary_cross_entropy_with_logits": calls(
        mg.binary_cross_entropy_with_logits,
        (((2, 3), (2, 3)), {}),
        (((3,), (3,)), {"reduction": "none", "pos_weight": np.array([2.0, 1.0, 0.5])}),
        (((3,), (3,)), {"reduction": "sum", "weight": 3.0}),
        inputs=(anywhere, probability),
    ),
}
for row in TABLE.values():  # `((2, 3), {…})` stands for one input of that shape
    row.calls = [
        (s if (s and isinstance(s[0], tuple)) or s == ((),) else (s,), k) for s, k in row.calls
    ]

EVERY_CALL = [
    pytest.param(row, arrays, settings, id=f"{name}-{i}")
    for name, row in TABLE.items()
    for i, (arrays, settings) in enumerate(row.samples(name))
]


def test_every_op_has_a_row():
    families = (elementwise, reductions, shapes, linalg, softmax, functional)
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
        np.testing.assert_array_equal(plain, row.numpy(*arrays, **settings))
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
