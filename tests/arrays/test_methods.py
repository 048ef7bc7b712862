"""Tensors look like NumPy arrays: operators, methods, both protocols, conversions, comparisons.

NumPy's own answers are the reference wherever a Tensor should behave as an array does.
"""

import contextlib
import inspect
import math
import operator
import re

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import microgradx as mg
from microgradx import Tensor
from microgradx.arrays.dispatch import implementations
from microgradx.arrays.methods import ArrayMethods
from microgradx.arrays.pytorch_habits import MissingAttribute
from tests.helpers import leaf


def assert_same(tensor, expected):
    """A Tensor with NumPy's values, shape and dtype."""
    assert isinstance(tensor, Tensor)
    assert type(tensor.data) is np.ndarray
    assert_array_equal(tensor.data, np.asarray(expected), strict=True)


# ---------------------------------------------------------------------------- operators

OPERATORS = [
    operator.add,
    operator.sub,
    operator.mul,
    operator.truediv,
    operator.floordiv,
    operator.pow,
    operator.matmul,
]
OTHERS = {
    "Python's float": 2.5,
    "Python's integer": 2,
    "Python's bool": True,
    "NumPy's float": np.float64(2.5),
    "NumPy's float32": np.float32(2.5),
    "0-d array": np.array(2.5),
    "list": [1.0, 2.0, 3.0],
    "tuple": (1, 2, 3),
    "array": np.array([1.0, 2.0, 3.0]),
    "array of integers": np.array([1, 2, 3]),
    "matrix": np.arange(1.0, 10.0).reshape(3, 3),
    "empty array": np.zeros((0, 3)),
}


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS)
@pytest.mark.parametrize("operate", OPERATORS, ids=lambda f: f.__name__)
def test_operators_take_numbers_lists_and_arrays_on_either_side(operate, other, dtype):
    array = np.array([1.5, 2.0, 3.0], dtype)
    for swap in (False, True):
        x = leaf(array)
        sides, references = [x, other], [array, other]
        if swap:
            sides.reverse()
            references.reverse()
        try:
            expected = operate(*references)
        except ValueError:  # a matrix product of shapes that do not fit
            with pytest.raises(ValueError, match="matmul"):
                operate(*sides)
            continue
        out = operate(*sides)
        assert_same(out, expected)
        assert out.requires_grad
        out.sum().backward()
        assert_array_equal(x.grad.shape, array.shape)
        assert x.grad.dtype == dtype


@pytest.mark.parametrize("operate", OPERATORS, ids=lambda f: f.__name__)
def test_operators_between_tensors(operate):
    one, other = np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[2.0, 1.0], [0.5, 3.0]])
    assert_same(operate(leaf(one), Tensor(other)), operate(one, other))


@pytest.mark.parametrize("operate", [operator.neg, operator.pos, operator.abs])
def test_operators_on_one_tensor(operate):
    array = np.array([-1.0, 0.0, 2.0])
    assert_same(operate(leaf(array)), operate(array))


def test_operators_of_integers_promote_as_numpys_do():
    array = np.array([1, 2, 3], np.int32)
    x = Tensor(array)
    assert_same(x * 2, array * 2)
    assert_same(x * 2.0, array * 2.0)
    assert_same(x / 2, array / 2)
    assert_same(x // 2, array // 2)
    assert_same(x**2, array**2)
    assert_same(True + x, True + array)


def test_numpy_does_not_swallow_a_tensor_on_the_right():
    x = leaf([2.0, 3.0])
    out = np.array([10.0, 100.0]) * x
    assert isinstance(out, Tensor)
    assert out.shape == (2,)
    out.sum().backward()
    assert_array_equal(x.grad, [10.0, 100.0])
    out = np.float64(2) * x
    assert isinstance(out, Tensor)
    assert out.op.name == "multiply"


@pytest.mark.parametrize("name", ["iadd", "isub", "imul", "itruediv", "ipow", "imatmul"])
def test_an_array_refuses_to_be_changed_by_a_tensor(name):
    array = np.eye(2)
    with pytest.raises(TypeError, match=r"out=.*a = a \+ tensor"):
        getattr(operator, name)(array, Tensor(np.ones((2, 2))))
    assert_array_equal(array, np.eye(2))


def test_a_scalar_of_numpys_rebinds_and_so_takes_a_tensor():
    total = np.float64(1.0)
    total += leaf(2.0)
    assert_same(total, 3.0)


@pytest.mark.parametrize("other", ["text", None, 1j, object(), {1.0}, [1.0, None]])
@pytest.mark.parametrize("operate", OPERATORS, ids=lambda f: f.__name__)
def test_operators_refuse_what_is_no_number(operate, other):
    for sides in ((leaf([1.0]), other), (other, leaf([1.0]))):
        with pytest.raises(TypeError):
            operate(*sides)


def test_an_error_in_an_operator_names_it_and_both_shapes():
    with pytest.raises(ValueError, match=r"add of bias \(2,\) and float64 \(3,\)"):
        leaf([1.0, 2.0], name="bias") + np.ones(3)
    with pytest.raises(ValueError, match=r"matmul of x \(3,\) and bias \(2,\)"):
        np.ones(3) @ leaf([1.0, 2.0], name="bias")


def test_the_sum_of_python_works():
    x = leaf([1.0, 2.0])
    sum([x, x * 2.0]).sum().backward()
    assert_array_equal(x.grad, [3.0, 3.0])


# ---------------------------------------------------------------------------- comparisons

COMPARISONS = [operator.eq, operator.ne, operator.lt, operator.le, operator.gt, operator.ge]


@pytest.mark.parametrize("compare", COMPARISONS, ids=lambda f: f.__name__)
@pytest.mark.parametrize(
    "other", [2.0, 2, [3.0, 2.0, 1.0], np.array([3, 2, 1]), np.array(2.0), np.ones((2, 1))]
)
def test_comparisons_give_plain_arrays_of_booleans(compare, other):
    array = np.array([1.0, 2.0, 3.0])
    x = leaf(array)
    for answer, expected in [
        (compare(x, other), compare(array, other)),
        (compare(other, x), compare(np.asarray(other), array)),
        (compare(x, Tensor(other)), compare(array, other)),
    ]:
        assert type(answer) is np.ndarray
        assert_array_equal(answer, expected, strict=True)


def test_comparisons_of_single_numbers_decide_an_if():
    x = leaf(2.0)
    assert x > 1
    assert 1 < x <= 2
    assert x == [2.0]
    assert x != 3


def test_equality_with_none_is_elementwise_as_for_arrays():
    assert_array_equal(leaf([1.0, 2.0]) == None, [False, False])  # noqa: E711


# ---------------------------------------------------------------------------- methods

X = np.array([[0.3, -1.2, 2.0], [1.5, 0.0, -0.7]])
POSITIVE = np.abs(X) + 0.5
# For each method: the array, a call of it, and what NumPy says; Tensors come out.
METHODS = {
    "exp": (X, lambda t: t.exp(), np.exp(X)),
    "log": (POSITIVE, lambda t: t.log(), np.log(POSITIVE)),
    "expm1": (X, lambda t: t.expm1(), np.expm1(X)),
    "log1p": (POSITIVE, lambda t: t.log1p(), np.log1p(POSITIVE)),
    "square": (X, lambda t: t.square(), np.square(X)),
    "sin": (X, lambda t: t.sin(), np.sin(X)),
    "cos": (X, lambda t: t.cos(), np.cos(X)),
    "round": (X, lambda t: t.round(1), X.round(1)),
    "prod": (X, lambda t: t.prod(axis=1), X.prod(axis=1)),
    "var": (X, lambda t: t.var(0, ddof=1), X.var(0, ddof=1)),
    "std": (X, lambda t: t.std(), X.std()),
    "cumsum": (X, lambda t: t.cumsum(), X.cumsum()),
    "cumprod": (X, lambda t: t.cumprod(axis=1), X.cumprod(axis=1)),
    "ravel": (X, lambda t: t.ravel(), X.ravel()),
    "flatten": (X, lambda t: t.flatten(), X.flatten()),
    "repeat": (X, lambda t: t.repeat(2, axis=0), X.repeat(2, axis=0)),
    "take": (X, lambda t: t.take([0, 2], axis=1), X.take([0, 2], axis=1)),
    "compress": (X, lambda t: t.compress([False, True], axis=0), X[1:]),
    "conj": (X, lambda t: t.conj(), X),
    "conjugate": (X, lambda t: t.conjugate(), X),
    "diagonal": (X, lambda t: t.diagonal(1), X.diagonal(1)),
    "trace": (X, lambda t: t.trace(1), X.trace(1)),
    "at": (X, lambda t: t.at[0].set(1.0), np.array([[1.0, 1.0, 1.0], X[1]])),
    "sqrt": (POSITIVE, lambda t: t.sqrt(), np.sqrt(POSITIVE)),
    "tanh": (X, lambda t: t.tanh(), np.tanh(X)),
    "abs": (X, lambda t: t.abs(), np.abs(X)),
    "sigmoid": (X, lambda t: t.sigmoid(), mg.sigmoid(X)),
    "relu": (X, lambda t: t.relu(), np.maximum(X, 0)),
    "clip": (X, lambda t: t.clip(-1, 1), np.clip(X, -1, 1)),
    "sum": (X, lambda t: t.sum(), np.sum(X)),
    "mean": (X, lambda t: t.mean(1), np.mean(X, 1)),
    "max": (X, lambda t: t.max(axis=0), np.max(X, axis=0)),
    "min": (X, lambda t: t.min(axis=(0, 1), keepdims=True), np.min(X, keepdims=True)),
    "logsumexp": (X, lambda t: t.logsumexp(axis=1), mg.logsumexp(X, axis=1)),
    "softmax": (X, lambda t: t.softmax(), mg.softmax(X)),
    "log_softmax": (X, lambda t: t.log_softmax(axis=0), mg.log_softmax(X, axis=0)),
    "dot": (X, lambda t: t.dot(X.T), X.dot(X.T)),
    "reshape": (X, lambda t: t.reshape(3, -1), X.reshape(3, 2)),
    "transpose": (X, lambda t: t.transpose(), X.T),
    "swapaxes": (X, lambda t: t.swapaxes(0, -1), X.T),
    "squeeze": (X[None], lambda t: t.squeeze(0), X),
    "astype": (X, lambda t: t.astype(np.float32), X.astype(np.float32)),
    "copy": (X, lambda t: t.copy(), X),
    "T": (X, lambda t: t.T, X.T),
    "mT": (X[None], lambda t: t.mT, X.T[None]),
}
# The same for what gives plain arrays, numbers and lists, or reads something off.
PLAIN = {
    "any": (X, lambda t: t.any(axis=0), np.any(X, axis=0)),
    "all": (X, lambda t: t.all(axis=1, keepdims=True), np.all(X, axis=1, keepdims=True)),
    "argmax": (X, lambda t: t.argmax(axis=1), np.argmax(X, axis=1)),
    "argmin": (X, lambda t: t.argmin(), np.argmin(X)),
    "argsort": (X, lambda t: t.argsort(), np.argsort(X)),
    "argpartition": (X, lambda t: t.argpartition(1), np.argpartition(X, 1)),
    "searchsorted": (X[1, ::-1], lambda t: t.searchsorted(0.5), np.searchsorted(X[1, ::-1], 0.5)),
    "nonzero": (X, lambda t: t.nonzero(), np.nonzero(X)),
    "shape": (X, lambda t: t.shape, (2, 3)),
    "ndim": (X, lambda t: t.ndim, 2),
    "size": (X, lambda t: t.size, 6),
    "dtype": (X, lambda t: t.dtype, np.dtype(float)),
    "numpy": (X, lambda t: t.detach().numpy(), X),
    "item": (X[:1, :1], lambda t: t.item(), 0.3),
    "tolist": (X, lambda t: t.tolist(), X.tolist()),
}


@pytest.mark.parametrize("name", METHODS)
def test_methods_give_tensors_with_numpys_values_and_a_gradient(name):
    array, call, expected = METHODS[name]
    x = leaf(array)
    out = call(x)
    assert_same(out, expected)
    assert out.requires_grad
    out.sum().backward()
    assert x.grad.shape == x.shape
    assert call(Tensor(array)).is_leaf


@pytest.mark.parametrize("name", PLAIN)
def test_methods_and_properties_that_answer_plainly(name):
    array, call, expected = PLAIN[name]
    answer = call(leaf(array))
    assert type(answer) is type(expected)
    assert_array_equal(answer, expected)


# Those of an array change it in place.
IN_PLACE = {
    "sort": (lambda t: t.sort(), r"np\.sort\(t\)"),
    "partition": (lambda t: t.partition(1), r"np\.partition\(t, kth\)"),
    "fill": (lambda t: t.fill(0.0), r"np\.full_like\(t, value\)"),
    "put": (lambda t: t.put([0], 1.0), r"t\.at\[indices\]\.set\(values\)"),
    "resize": (lambda t: t.resize(3, 2), r"t\.reshape\(shape\)"),
}


@pytest.mark.parametrize("name", IN_PLACE)
def test_methods_that_would_change_a_tensor_are_refused_with_what_to_write(name):
    call, instead = IN_PLACE[name]
    x = leaf(X)
    with pytest.raises(TypeError, match=f"a Tensor's {name} would change it in place.*{instead}"):
        call(x)
    assert_array_equal(x.data, X)


def test_every_public_method_is_in_one_of_the_tables():
    public = {
        name
        for name, member in vars(ArrayMethods).items()
        if not (name.startswith("_") or isinstance(member, MissingAttribute))
    }
    assert {*public, "numpy"} - {"op", "name"} == {*METHODS, *PLAIN, *IN_PLACE}


@pytest.mark.parametrize(
    "name", ["sum", "mean", "max", "min", "any", "all", "argmax", "argmin", "argsort", "squeeze"]
)
def test_the_default_axis_is_that_of_the_arrays_method(name):
    answer = getattr(Tensor(X[:, :, None]), name)()
    assert_array_equal(mg.as_tensor(answer).data, getattr(X[:, :, None], name)())


def test_methods_take_their_arguments_as_numpys_do():
    x = Tensor(np.arange(24.0).reshape(2, 3, 4))
    assert x.reshape((4, 6)).shape == x.reshape(4, 6).shape == x.reshape([4, 6]).shape == (4, 6)
    assert x.reshape(24).shape == x.reshape(-1).shape == (24,)
    assert x.transpose(2, 0, 1).shape == x.transpose((2, 0, 1)).shape == (4, 2, 3)
    assert x.transpose(None).shape == x.transpose().shape == (4, 3, 2)
    assert x.sum(axis=(0, -1)).shape == (3,)
    assert x.mean(1, keepdims=True).shape == (2, 1, 4)
    assert x.clip(min=3.0).data.min() == 3.0
    assert x.clip(max=3.0).data.max() == 3.0
    with pytest.raises(ValueError, match="size 1"):
        x.item()


@pytest.mark.parametrize(
    ("of_numpy", "ours", "method"),
    [
        (np.exp, mg.exp, Tensor.exp),
        (np.log, mg.log, Tensor.log),
        (np.sqrt, mg.sqrt, Tensor.sqrt),
        (np.tanh, mg.tanh, Tensor.tanh),
        (np.abs, mg.abs, Tensor.abs),
        (np.sum, mg.sum, Tensor.sum),
        (np.mean, mg.mean, Tensor.mean),
        (np.max, mg.max, Tensor.max),
        (np.amax, mg.max, Tensor.max),
        (np.min, mg.min, Tensor.min),
        (np.transpose, mg.transpose, Tensor.transpose),
        (np.negative, mg.negative, Tensor.__neg__),
        (np.copy, mg.copy, Tensor.copy),
    ],
    ids=lambda f: getattr(f, "__name__", ""),
)
def test_numpys_function_ours_and_the_method_are_one_op(of_numpy, ours, method):
    x = leaf(POSITIVE)
    outs = of_numpy(x), ours(x), method(x)
    assert len({repr(out.op) for out in outs}) == 1
    assert len({type(out.op) for out in outs}) == 1
    for out in outs:
        assert_same(out, of_numpy(POSITIVE))
        assert out.inputs == (x,)


def test_errors_about_arguments_speak_of_tensor():
    with pytest.raises(TypeError, match=r"Tensor\.mean has no argument dim=; it is called axis="):
        leaf([1.0]).mean(dim=0)
    with pytest.raises(
        TypeError, match=r"Tensor\.mean\(\) got an unexpected keyword argument 'dimension'"
    ):
        leaf([1.0]).mean(dimension=0)


# ---------------------------------------------------------------------------- as a container


def test_length_iteration_and_unpacking_go_along_the_first_axis():
    x = leaf(X)
    assert len(x) == 2
    rows = list(x)
    for row, expected in zip(rows, X, strict=True):
        assert_same(row, expected)
    one, other = x
    (one * 10.0 + other).sum().backward()
    assert_array_equal(x.grad, [[10.0] * 3, [1.0] * 3])
    assert [row.tolist() for row in reversed(x)] == X[::-1].tolist()
    assert list(Tensor(np.zeros((0, 3)))) == []


def test_a_single_number_has_no_length_and_no_rows():
    x = leaf(3.0)
    with pytest.raises(TypeError, match="0-d"):
        iter(x)
    with pytest.raises(TypeError, match="unsized"):
        len(x)
    with pytest.raises(TypeError, match="0-d"):
        _a, _b = x


def test_membership_is_that_of_values():
    x = leaf([1.0, 2.0])
    assert 1.0 in x
    assert 1 in x
    assert 3.0 not in x
    assert Tensor(2.0) in x
    assert [1.0, 2.0] in leaf([[1.0, 2.0], [3.0, 4.0]])


@pytest.mark.parametrize("data", [0.0, 2.0, [0.0], [[3.0]], [1.0, 2.0], [True], 0])
def test_bool_float_and_int_are_those_of_arrays(data):
    array = np.asarray(data)
    for convert in (bool, float, int, complex, math.floor, operator.index):
        try:
            expected = convert(array)
        except Exception as error:  # older NumPys only warn of some, which is an error here
            with pytest.raises(type(error)):
                convert(Tensor(data))
        else:
            assert convert(Tensor(data)) == expected
            assert type(convert(Tensor(data))) is type(expected)


def test_the_truth_of_several_numbers_or_of_none_is_ambiguous():
    for data in ([1.0, 2.0], []):
        with pytest.raises(ValueError, match=r"ambiguous"):
            bool(leaf(data))


def test_conversions_work_for_tensors_that_require_gradients():
    loss = leaf(2.5) * 1.0
    assert type(loss.item()) is float
    assert loss.item() == 2.5
    assert leaf([[1.0, 2.0]]).tolist() == [[1.0, 2.0]]
    with pytest.warns(UserWarning, match="plain (float|int)"):  # see tests/graph/test_conversion.py
        assert (float(loss), int(loss), math.sqrt(leaf(4.0))) == (2.5, 2, 2.0)


def test_an_integer_tensor_is_an_index():
    assert [10, 20, 30][Tensor(1)] == 20
    assert list(range(Tensor(3))) == [0, 1, 2]
    with pytest.raises(TypeError):
        [10, 20, 30][Tensor(1.0)]


@pytest.mark.parametrize(
    "index",
    [
        0,
        -1,
        (1, 2),
        slice(None, None, -1),
        (slice(None), 1),
        (..., 0),
        (None, 0),
        [1, 0, 1],
        ([0, 1], [2, 2]),
        np.array([1, 0]),
        np.array([True, False]),
        X > 0,
        (slice(None), np.array([0, 2])),
    ],
    ids=str,
)
def test_indices_are_numpys(index):
    x = leaf(X)
    out = x[index]
    assert_same(out, X[index])
    out.sum().backward()
    counts = np.zeros_like(X)
    np.add.at(counts, index, 1.0)
    assert_array_equal(x.grad, counts)


def test_an_empty_list_is_an_index_too():
    assert_same(leaf(X)[[]], X[[]])


def test_tensors_can_be_indices():
    x = leaf([10.0, 20.0, 30.0])
    assert_same(x[Tensor([2, 0])], [30.0, 10.0])
    assert_same(x[Tensor([True, False, True])], [10.0, 30.0])
    assert_same(x[x > 15.0], [20.0, 30.0])
    assert_same(x[Tensor(1)], 20.0)


def test_a_bad_index_is_an_index_error_that_names_the_tensor():
    x = leaf([1.0, 2.0], name="scores")
    for index in (2, (0, 0), "a", 0.5, [0.5], np.array([True])):
        with pytest.raises(IndexError, match=r"getitem.*scores \(2,\)"):
            x[index]


def test_elements_cannot_be_assigned():
    x = leaf([1.0, 2.0])
    with pytest.raises(TypeError, match=r"cannot be assigned.*np\.where\(mask, value, t\)"):
        x[0] = 3.0
    assert_array_equal(x.data, [1.0, 2.0])


# ---------------------------------------------------------------------------- repr and format


@pytest.mark.parametrize(
    ("tensor", "text"),
    [
        (Tensor(1.0), "Tensor(1.)"),
        (Tensor([1.0, 2.5]), "Tensor([1. , 2.5])"),
        (Tensor([1, 2]), "Tensor([1, 2])"),
        (Tensor([True, False]), "Tensor([ True, False])"),
        (Tensor([1.0], dtype=np.float32), "Tensor([1.], dtype=float32)"),
        (Tensor([1], dtype=np.uint8), "Tensor([1], dtype=uint8)"),
        (leaf([1.0]), "Tensor([1.], requires_grad=True)"),
        (leaf([1.0], name="w"), "Tensor([1.], requires_grad=True, name='w')"),
        (leaf([1.0]).exp(), "Tensor([2.71828183], op=exp, requires_grad=True)"),
        (leaf([1.0]) + 1, "Tensor([2.], op=add, requires_grad=True)"),
        (leaf([[1.0]]).sum(axis=0), "Tensor([1.], op=sum(axis=0), requires_grad=True)"),
        (Tensor([1.0]) + 1, "Tensor([2.])"),
        (Tensor([]), "Tensor([])"),
        (Tensor(np.zeros((0, 3))), "Tensor([], shape=(0, 3))"),
        (Tensor([[1.0, 2.0], [3.0, 4.0]]), "Tensor([[1., 2.],\n        [3., 4.]])"),
    ],
    ids=lambda value: value.replace("\n", " ") if isinstance(value, str) else "",
)
def test_a_repr_shows_values_dtype_if_unusual_op_and_flags(tensor, text):
    assert repr(tensor) == str(tensor) == f"{tensor}" == text


def test_a_repr_of_a_large_tensor_is_short():
    text = repr(leaf(np.zeros((1000, 1000))))
    assert "..." in text
    assert len(text) < 600


def test_a_repr_follows_numpys_print_options():
    with np.printoptions(precision=2):
        assert repr(Tensor([1 / 3])) == "Tensor([0.33])"


@pytest.mark.parametrize("specification", [".3f", "8.2e", "+.1f", "g", "%"])
def test_a_single_number_can_be_formatted_in_an_f_string(specification):
    loss = leaf(1 / 3) * 1.0
    assert f"{loss:{specification}}" == f"{1 / 3:{specification}}"
    assert f"{Tensor(7):03d}" == "007"


def test_several_numbers_have_no_format_as_for_arrays():
    with pytest.raises(TypeError, match="format"):
        f"{leaf([1.0, 2.0]):.2f}"


# ------------------------------------------------------------------------ plain arrays from Tensors


def test_a_constant_gives_its_own_array():
    constant = Tensor([1.0, 2.0])
    assert constant.numpy() is constant.data
    assert np.asarray(constant) is constant.data
    assert np.shares_memory(np.array(constant, copy=False), constant.data)
    assert not np.shares_memory(np.array(constant), constant.data)
    single = np.asarray(constant, dtype=np.float32)
    assert_array_equal(single, np.array([1, 2], np.float32), strict=True)
    assert_array_equal(np.array([constant, constant]), [[1.0, 2.0], [1.0, 2.0]])
    assert np.array([Tensor(1.0), Tensor(2.0)]).dtype == float


def test_a_conversion_that_needs_a_copy_is_refused_where_none_is_allowed():
    with pytest.raises(ValueError, match="copy"):
        np.array(Tensor([1.0, 2.0]), dtype=np.float32, copy=False)


@pytest.mark.parametrize(
    "convert",
    [
        np.asarray,
        np.array,
        lambda t: np.asarray(t, dtype=np.float32),
        lambda t: np.asarray(t, dtype=object),
        lambda t: np.array([t, t]),
        lambda t: np.array([[t, t]]),
        lambda t: np.array([t, 1.0]),
        lambda t: np.array((t,), dtype=object),
        lambda t: np.full(3, t),
        lambda t: np.zeros((2, *t.shape)).__setitem__(..., t),
        lambda t: t.numpy(),
        lambda t: Tensor([1.0, 2.0]) * [t, t],
    ],
    ids=[
        "asarray",
        "array",
        "asarray with dtype",
        "asarray of objects",
        "list",
        "nested list",
        "mixed list",
        "tuple of objects",
        "full",
        "assignment",
        "numpy",
        "operand",
    ],
)
@pytest.mark.parametrize("data", [2.0, [1.0, 2.0]], ids=["0-d", "1-d"])
def test_a_tensor_that_requires_gradients_does_not_drop_out_unnoticed(convert, data):
    for tensor in (leaf(data, name="w"), leaf(data, name="w") * 1.0):
        with pytest.raises(TypeError, match=r"requires gradients.*t\.detach\(\)\.numpy\(\)"):
            convert(tensor)


@pytest.mark.parametrize("data", [2.0, [1.0, 2.0]], ids=["0-d", "1-d"])
def test_no_array_of_objects_forms_from_constants_either(data):
    x, array = Tensor(data), np.array(data)
    assert_array_equal(np.array([x, x]), np.array([array, array]), strict=True)
    assert_array_equal(np.full((3, *x.shape), x), np.full((3, *x.shape), array), strict=True)


# ---------------------------------------------------------------------------- NumPy's functions

PLAIN_FUNCTIONS = {
    "isnan": lambda x: np.isnan(x),
    "isfinite": lambda x: np.isfinite(x),
    "isinf": lambda x: np.isinf(x),
    "allclose": lambda x: np.allclose(x, x),
    "array_equal": lambda x: np.array_equal(x, x, equal_nan=True),
    "isclose": lambda x: np.isclose(x, 1.0, atol=0.5),
    "argmax": lambda x: np.argmax(x, axis=0),
    "argmin": lambda x: np.argmin(x),
    "argsort": lambda x: np.argsort(x, axis=None),
    "nonzero": lambda x: np.nonzero(x),
    "flatnonzero": lambda x: np.flatnonzero(x),
    "less": lambda x: np.less(x, 1.0),
    "equal": lambda x: np.equal(1.0, x),
    "logical_not": lambda x: np.logical_not(x),
    "any": lambda x: np.any(x, axis=1),
    "all": lambda x: np.all(x),
    "count_nonzero": lambda x: np.count_nonzero(x),
    "shape": lambda x: np.shape(x),
    "ndim": lambda x: np.ndim(x),
    "size": lambda x: np.size(x),
    "result_type": lambda x: np.result_type(x, np.float32),
    "shares_memory": lambda x: np.shares_memory(x, x),
}


@pytest.mark.parametrize("name", PLAIN_FUNCTIONS)
def test_questions_to_numpy_are_answered_with_plain_arrays(name):
    ask = PLAIN_FUNCTIONS[name]
    array = np.array([[1.0, np.nan, -np.inf], [0.0, 1.25, 2.0]])
    for x in (leaf(array), leaf(array) * 1.0):
        answer, expected = ask(x), ask(array)
        assert type(answer) is type(expected)
        assert_array_equal(answer, expected)
        if isinstance(expected, np.ndarray):
            assert answer.dtype == expected.dtype


def test_questions_find_tensors_among_keywords_and_in_lists():
    x = leaf([1.0, 2.0])
    assert np.allclose(a=[1.0, 2.0], b=x)
    assert np.result_type(x, np.float32) == np.dtype(float)
    assert np.array_equal(x, [x[0], x[1]])


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda t: np.roots(t), "np.roots"),
        (lambda t: np.spacing(t), "np.spacing"),
        (lambda t: np.nextafter(t, t), "np.nextafter"),
        (lambda t: np.linalg.eigvals(t), "np.linalg.eigvals"),
        (lambda t: np.fft.rfft(t), "np.fft.rfft"),
        (lambda t: np.add.reduce(t), "np.add.reduce"),
        (lambda t: np.multiply.accumulate(t), "np.multiply.accumulate"),
        (lambda t: np.multiply.outer([1.0], t), "np.multiply.outer"),
        (lambda t: np.add.at(np.zeros(2), [0], t), "np.add.at"),
        (lambda t: np.full_like(np.zeros(2), t), "np.copyto"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
@pytest.mark.parametrize("make", [leaf, Tensor], ids=["leaf", "constant"])
def test_an_unknown_function_of_numpys_names_itself(call, name, make):
    with pytest.raises(
        TypeError, match=rf"{re.escape(name)} has no rule.*t\.detach\(\)\.numpy\(\)"
    ):
        call(make([[1.0, 2.0], [3.0, 4.0]]))


@pytest.mark.parametrize(
    ("call", "instead"),
    [
        (lambda t: np.add.at(t, [0], 1.0), r"t\.at\[index\]\.add\(v\)"),
        (lambda t: np.add.reduce(t), r"np\.sum"),
        (lambda t: np.multiply.accumulate(t), r"np\.cumprod"),
        (lambda t: np.multiply.outer(t, t), r"call np\.multiply itself"),
        (lambda t: t.__setitem__(0, 1.0), r"t\.at\[index\]\.set\(value\)"),
    ],
)
def test_what_would_write_in_place_says_what_to_write_instead(call, instead):
    with pytest.raises(TypeError, match=instead):
        call(leaf([1.0, 2.0]))


def signatures():
    """Functions of NumPy's in Python, beside what stands for them."""
    for function, implementation in implementations.items():
        is_ufunc = isinstance(function, (np.ufunc, str)) or isinstance(implementation, mg.Op)
        if is_ufunc or hasattr(implementation, "__wrapped__"):
            continue
        with contextlib.suppress(ValueError):  # older NumPys tell no signature of some
            inspect.signature(function)
            yield pytest.param(function, implementation, id=function.__name__)


@pytest.mark.parametrize(("function", "implementation"), list(signatures()))
def test_arguments_have_numpys_names_order_and_defaults(function, implementation):
    theirs = inspect.signature(function).parameters
    ours = inspect.signature(implementation).parameters
    accepts_any = any(p.kind is p.VAR_KEYWORD for p in theirs.values())
    for place, (name, parameter) in enumerate(ours.items()):
        if parameter.kind is parameter.KEYWORD_ONLY:
            assert name in theirs or accepts_any, name
        else:
            their_name, their = list(theirs.items())[place]
            assert their.kind is their.POSITIONAL_ONLY or name == their_name
    for name, parameter in ours.items():
        if name in theirs and parameter.default is not parameter.empty:
            default = theirs[name].default
            assert default in (parameter.default, np._NoValue, parameter.empty), name


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda t: np.add(t, 1.0, out=np.zeros(2)), r"np\.add .*out=.*a = a \+ tensor"),
        (lambda t: np.add(t, 1.0, np.zeros(2)), r"np\.add .*out="),
        (lambda t: np.exp(t, where=[True, False]), r"np\.exp .*where=.*np\.where"),
        (lambda t: np.sum(t, dtype=np.float32), r"np\.sum .*dtype=.*astype"),
        (lambda t: np.max(t, initial=0.0), r"np\.max .*initial="),
        (lambda t: np.mean(t, where=[True, False]), r"np\.mean .*where="),
    ],
)
def test_an_argument_without_a_rule_is_refused_with_what_to_do_instead(call, message):
    with pytest.raises(TypeError, match=message):
        call(leaf([1.0, 2.0]))


def test_functions_reach_tensors_inside_lists():
    x, y = leaf([1.0, 2.0]), leaf([3.0])
    joined = np.concatenate([x, [5.0], y])
    assert_same(joined, [1.0, 2.0, 5.0, 3.0])
    joined.backward([1.0, 2.0, 3.0, 4.0])
    assert_array_equal(x.grad, [1.0, 2.0])
    assert_array_equal(y.grad, [4.0])
    assert_same(np.stack([x, [7.0, 8.0]], axis=1), [[1.0, 7.0], [2.0, 8.0]])


def test_a_tensor_in_any_place_is_noticed():
    mask, x = np.array([True, False]), leaf([5.0, 6.0])
    assert_same(np.where(mask, 0.0, x), [0.0, 6.0])
    assert_same(np.where(Tensor(mask), x, 0.0), [5.0, 0.0])
    assert_same(np.clip([1.0, 9.0], 2.0, x), [2.0, 6.0])
    assert_same(np.maximum([5.5, 5.5], x), [5.5, 6.0])
    assert_same(np.matmul(np.eye(2), x), [5.0, 6.0])


def test_results_through_numpy_have_numpys_values():
    x = leaf(X)
    for call in (
        lambda x: np.exp(x) + np.tanh(x) * np.sqrt(np.abs(x)),
        lambda x: np.sum(np.reshape(x, (3, 2)), axis=1, keepdims=True),
        lambda x: np.swapaxes(np.expand_dims(x, 0), 0, 2),
        lambda x: np.broadcast_to(np.squeeze(x[:1]), (4, 3)),
        lambda x: np.astype(x, np.float32),
    ):
        assert_same(call(x), call(X))
    assert_allclose(np.mean(x).item(), X.mean())


def test_ops_say_what_to_write_for_arguments_of_pytorch():
    for call, message in [
        (lambda: mg.relu(leaf(X), inplace=True), "relu has no argument inplace=; leave it out"),
        (lambda: mg.softplus(leaf(X), beta=2), "no argument beta=; nn.functional.softplus has it"),
        (lambda: mg.exp(x=leaf(X)), "exp has no argument x=; its inputs are given by position"),
    ]:
        with pytest.raises(TypeError, match=message):
            call()
