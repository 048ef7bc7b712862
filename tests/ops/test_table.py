"""Every op, by table: both orders of derivative, dtypes, purity, and the ways to call it."""

from __future__ import annotations

import functools
import itertools

import numpy as np
import pytest

import microgradx as mg
from microgradx import functional
from microgradx.arrays.dispatch import implementations
from microgradx.nn import functional as nn_functional
from microgradx.ops import (
    activations,
    convolution,
    decompositions,
    elementwise,
    indexing,
    linalg,
    normalisation,
    norms,
    numerical_analysis,
    products,
    rearrangements,
    reductions,
    shapes,
    softmax,
    statistics,
)
from tests.ops.table import attention as attention_rows
from tests.ops.table import convolution as convolution_rows
from tests.ops.table import elementwise as elementwise_rows
from tests.ops.table import indexing as indexing_rows
from tests.ops.table import linalg as linalg_rows
from tests.ops.table import normalisation as normalisation_rows
from tests.ops.table import numerical_analysis as numerical_analysis_rows
from tests.ops.table import products as products_rows
from tests.ops.table import rearrangements as rearrangements_rows
from tests.ops.table import reductions as reductions_rows
from tests.ops.table import shapes as shapes_rows
from tests.ops.table import softmax as softmax_rows
from tests.ops.table import statistics as statistics_rows

TABLE = {
    **elementwise_rows.ROWS,
    **reductions_rows.ROWS,
    **shapes_rows.ROWS,
    **indexing_rows.ROWS,
    **rearrangements_rows.ROWS,
    **products_rows.ROWS,
    **linalg_rows.ROWS,
    **numerical_analysis_rows.ROWS,
    **softmax_rows.ROWS,
    **statistics_rows.ROWS,
    **convolution_rows.ROWS,
    **normalisation_rows.ROWS,
    **attention_rows.ROWS,
}


def as_list(result):
    """A function's results as a list, also if there is but one."""
    return list(result) if isinstance(result, (list, tuple)) else [result]


SPECIAL = ("stop_gradient", "astype", "float_power")  # have tests of their own below

# `make slow` makes all calls, `make test` every sixth of a row, the first included.
EVERY_CALL = [
    pytest.param(row, arrays, settings, id=f"{name}-{i}", marks=[pytest.mark.slow] if i % 6 else [])
    for name, row in TABLE.items()
    if name not in SPECIAL
    for i, (arrays, settings) in enumerate(row.samples(name))
]


FAMILIES = (
    elementwise,
    activations,
    reductions,
    shapes,
    indexing,
    rearrangements,
    products,
    linalg,
    decompositions,
    norms,
    numerical_analysis,
    statistics,
    softmax,
    functional,
    convolution,
    normalisation,
)

# They return plain arrays, so there is no derivative to check.
PLAIN = {
    *("argmax", "argmin", "nanargmax", "nanargmin", "any", "all", "count_nonzero", "one_hot"),
    *("zeros_like", "ones_like"),
}


def test_every_op_has_a_row():
    public = {name for family in FAMILIES for name in family.__all__}
    hidden = public - set(dir(mg))
    assert not hidden, f"microgradx/__init__.py does not import the file of {sorted(hidden)}"
    public |= set(nn_functional.__all__)
    untested = public - PLAIN - set(TABLE)
    assert not untested, f"these have no row in tests/ops/table/: {sorted(untested)}"
    assert not PLAIN & set(TABLE)


def test_every_implementation_is_public_or_named_after_numpy():
    public = [getattr(mg, name) for family in FAMILIES for name in family.__all__]
    for key, implementation in implementations.items():
        plain_answer = hasattr(implementation, "__wrapped__") and key is implementation.__wrapped__
        is_public = any(
            implementation in (each, getattr(each, "__wrapped__", each)) for each in public
        )
        # np.linalg.trace, say, which has other arguments than np.trace
        is_variant = key in vars(np.linalg).values() and hasattr(mg, key.__name__)
        message = f"{key} is missing in its file's __all__"
        assert plain_answer or key == "at" or is_public or is_variant, message


@pytest.mark.parametrize(("row", "arrays", "settings"), EVERY_CALL)
def test_an_op_keeps_to_what_ops_must(row, arrays, settings):
    """Both orders of derivative, dtypes, side effects, layouts, broadcast and empty inputs."""
    assert mg.check_op(lambda *x: row.function(*x, **settings), tuple(arrays))


@pytest.mark.parametrize(("row", "arrays", "settings"), EVERY_CALL)
def test_values_are_numpys_and_arrays_stay_arrays(row, arrays, settings):
    before = [array.copy() for array in arrays]
    tensors = [mg.Tensor(array, requires_grad=True) for array in arrays]
    plain = as_list(row.function(*arrays, **settings))
    wrapped = as_list(row.function(*tensors, **settings))
    assert not any(isinstance(each, mg.Tensor) for each in plain)
    assert all(isinstance(each, mg.Tensor) for each in wrapped)
    for tensor, array in zip(wrapped, plain, strict=True):
        np.testing.assert_array_equal(tensor.data, array)
    for array, copy in zip(arrays, before, strict=True):
        np.testing.assert_array_equal(array, copy)
    if row.numpy is not None:
        reference = as_list(row.numpy(*arrays, **settings))
        through = as_list(row.numpy(*tensors, **settings))
        assert len(plain) == len(reference) == len(through)
        for array, expected, tensor, ours in zip(plain, reference, through, wrapped, strict=True):
            np.testing.assert_allclose(array, expected, rtol=row.rtol, atol=row.rtol)
            assert isinstance(tensor, mg.Tensor)
            assert tensor.op is None or type(tensor.op) is type(ours.op)
            np.testing.assert_array_equal(tensor.data, array)


ARRAYS_ONLY = {"astype"}  # NumPy's takes no list either


@pytest.mark.parametrize(
    "name", [n for n, row in TABLE.items() if row.function is getattr(mg, n, None)]
)
def test_any_input_may_be_a_list(name):
    """Beside arrays too: no input is asked for what only an array has."""
    if name in ARRAYS_ONLY:
        return
    row = TABLE[name]
    for arrays, settings in row.samples(name):
        if len(arrays) > 3 or not all(array.size for array in arrays):
            continue  # an empty list has no shape
        expected = as_list(row.function(*arrays, **settings))
        for are_lists in itertools.product([False, True], repeat=len(arrays)):
            inputs = [a.tolist() if yes else a for a, yes in zip(arrays, are_lists, strict=True)]
            for out, array in zip(
                as_list(row.function(*inputs, **settings)), expected, strict=True
            ):
                np.testing.assert_array_equal(out, array)


@pytest.mark.parametrize("dtype", [np.uint8, np.int8])
@pytest.mark.parametrize("name", activations.__all__)
def test_activations_of_small_integers_do_not_wrap(name, dtype):
    """NumPy computes 1 + x and -x in the dtype of x, where they may not fit."""
    x = np.array([np.iinfo(dtype).min, 0, 1, 2, 7, np.iinfo(dtype).max], dtype)
    needed = {"prelu": {"weight": 0.3}, "threshold": {"threshold": 0.5, "value": -1.0}}
    function = functools.partial(getattr(mg, name), **needed.get(name, {}))
    float16 = 2e-3  # to which NumPy's functions convert such integers
    np.testing.assert_allclose(function(x), function(x.astype(float)), rtol=float16, atol=float16)


def test_stop_gradient_is_a_constant():
    x = mg.Tensor([1.0, 2.0], requires_grad=True)
    (mg.stop_gradient(x) * x).sum().backward()
    np.testing.assert_array_equal(x.grad, x.data)


def test_astype_converts_and_its_gradient_is_converted_back():
    report = mg.check_op(lambda x: mg.astype(x, np.float64), np.ones(3), raise_exception=False)
    assert [check.name for check in report.failures] == ["float32"]  # as it is there to do
    x = mg.Tensor([1.0, 2.0], requires_grad=True, dtype=np.float32)
    mg.astype(x, np.float64).sum().backward()
    assert x.grad.dtype == np.float32


def test_float_power_is_a_power_in_float64():
    samples = np.array([0.5, 2.0]), np.array([[1.5], [-1.0]])
    report = mg.check_op(mg.float_power, samples, reference=np.float_power, raise_exception=False)
    assert [check.name for check in report.failures] == ["float32"]
    x = mg.Tensor([0.0, 3.0], requires_grad=True, dtype=np.float32)
    out = np.float_power(x, 2)
    out.sum().backward()
    assert (out.dtype, x.grad.dtype, x.grad.tolist()) == (np.float64, np.float32, [0.0, 6.0])


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
    for family in (elementwise, activations):
        for name in family.__all__:
            op = getattr(family, name)
            if isinstance(op, elementwise.Elementwise):
                assert op.name == name or getattr(family, op.name) is op
                assert op.formula
                assert op.name in family.__test__, f"write_docstrings has no example of {name}"
                assert family.__test__[op.name] == op.__doc__
