"""Masked arrays, matrices and their like are refused by name, wherever they meet a Tensor."""

import operator

import numpy as np
import pytest

import microgradx as mg
from microgradx import data, nn, optim
from microgradx.nn import functional as F
from tests.helpers import leaf
from tests.ops.test_table import TABLE

REFUSED = "a masked array .* would lose its mask; write m.filled|numpy.matrix .* np.asarray"


class Metres(np.ndarray):
    """A subclass with rules of its own, as packages for units have."""

    def __array_ufunc__(self, ufunc, method, *inputs, **kwargs):
        return NotImplemented


def masked(array):
    array = np.asarray(array)
    return np.ma.array(array, mask=np.arange(array.size).reshape(array.shape) % 2 == 0)


def as_matrix(array):
    return np.asarray(array).view(np.matrix)  # np.matrix itself warns that it is outdated


def with_one_converted(convert, arrays, others):
    """The arguments once for each of them: that one converted, the others by `others`."""
    for i in range(len(arrays)):
        yield [convert(a) if i == j else others(a) for j, a in enumerate(arrays)]


@pytest.mark.parametrize("name", TABLE)
def test_no_function_takes_them(name):
    """Neither beside Tensors nor alone; NumPy's functions neither, beside Tensors."""
    row = TABLE[name]
    for arrays, settings in row.samples(name):
        for convert in (masked, as_matrix):
            if convert is as_matrix and any(a.ndim != 2 for a in arrays):
                continue
            for others in (np.asarray, leaf):
                for arguments in with_one_converted(convert, arrays, others):
                    functions = [row.function]
                    if row.numpy is not None and any(isinstance(a, mg.Tensor) for a in arguments):
                        functions.append(row.numpy)
                    for function in functions:
                        with pytest.raises(TypeError, match=REFUSED):
                            function(*arguments, **settings)


OPERATORS = [
    *(operator.add, operator.sub, operator.mul, operator.truediv, operator.floordiv),
    *(operator.mod, operator.pow, operator.matmul),
    *(operator.eq, operator.ne, operator.lt, operator.le, operator.gt, operator.ge),
]
IN_PLACE = [
    *(operator.iadd, operator.isub, operator.imul, operator.itruediv, operator.ifloordiv),
    *(operator.imod, operator.ipow, operator.imatmul),
]
M = np.ma.array([[1.0, 2.0], [3.0, 4.0]], mask=[[False, True], [False, False]])


@pytest.mark.parametrize("requires_grad", [True, False])
@pytest.mark.parametrize(
    "array", [M, M[0], np.ma.masked, as_matrix(M.data)], ids=lambda a: str(a.shape)
)
@pytest.mark.parametrize("function", OPERATORS)
def test_no_operator_takes_them_on_either_side(function, array, requires_grad):
    t = mg.Tensor(np.ones(array.shape), requires_grad=requires_grad)
    with pytest.raises(TypeError, match=REFUSED):
        function(t, array)
    with pytest.raises(TypeError, match=f"{REFUSED}|exponent must be an integer"):  # NumPy's words
        function(array, t)


@pytest.mark.parametrize("requires_grad", [True, False])
@pytest.mark.parametrize("array", [M, as_matrix(M.data)], ids=["masked", "matrix"])
@pytest.mark.parametrize("function", IN_PLACE)
def test_nor_does_one_that_works_in_place(function, array, requires_grad):
    t = mg.Tensor(np.ones(array.shape), requires_grad=requires_grad)
    with pytest.raises(TypeError, match=REFUSED):
        function(t, array)
    before = array.copy()
    with pytest.raises(TypeError, match=f"{REFUSED}|does not support out=|exponent must be an"):
        function(array, t)
    np.testing.assert_array_equal(array.data, before.data)


m = M[0]
labels = np.ma.array([0, 1], mask=[False, True])
ones = np.ones(2)


def square(v):
    return (v * v).sum()


def step_with_gradient(gradient):
    w = leaf(ones)
    w.grad = gradient
    optim.SGD([w], lr=0.1).step()


def backward_with_hook(hook):
    w = leaf(ones)
    w.register_hook(hook)
    w.sum().backward()


class MaskingOp(mg.Op):
    def forward(self, x):
        return np.ma.array(x, mask=True)

    def backward(self, g, out, x):
        return g


class MaskingRule(mg.Op):
    def forward(self, x):
        return x * 1

    def backward(self, g, out, x):
        return np.ma.array(g, mask=True)


WAYS_IN = {
    "Tensor": lambda: mg.Tensor(m),
    "as_tensor": lambda: mg.as_tensor(m),
    "a list": lambda: mg.Tensor([m, m]),
    "a nested list": lambda: mg.Tensor([[ones, ones], [ones, m]]),
    "a masked number in a list": lambda: mg.Tensor([1.0, np.ma.masked]),
    "a list beside a Tensor": lambda: leaf(ones) + [1.0, np.ma.masked],  # noqa: RUF005
    "an array with one": lambda: np.stack([leaf(ones), m]),
    "an index": lambda: leaf(ones)[labels],
    "a mask as an index": lambda: leaf(ones)[m > 1],
    "at": lambda: leaf(ones).at[labels].set(1.0),
    "set": lambda: leaf(ones).at[:].set(m),
    "add": lambda: leaf(ones).at[:].add(m),
    "m[:] = t": lambda: m.copy().__setitem__(slice(None), leaf(ones)),
    "m[0] = t": lambda: m.copy().__setitem__(0, leaf(1.0)),
    "in": lambda: np.ma.masked in leaf(ones),
    "isclose": lambda: np.isclose(leaf(ones), m),
    "searchsorted": lambda: leaf(ones).searchsorted(m),
    "repeats": lambda: leaf(ones).repeat(labels),
    "clip": lambda: leaf(ones).clip(m, 2.0),
    "weights": lambda: np.average(leaf(ones), weights=m),
    "numpy.ma": lambda: np.ma.exp(leaf(ones)),
    "data": lambda: setattr(leaf(ones), "data", m),
    "backward": lambda: (leaf(ones) * 2).backward(m),
    "autograd.grad": lambda: mg.autograd.grad(leaf(ones) * 2, [], m),
    "a hook": lambda: backward_with_hook(lambda g: m),
    "an op": lambda: MaskingOp()(leaf(ones)),
    "a rule": lambda: MaskingRule()(leaf(ones)).sum().backward(),
    "grad": lambda: mg.grad(square)(m),
    "grad by a structure": lambda: mg.grad(lambda v: square(v["w"][0]))({"w": [m]}),
    "grad through one": lambda: mg.grad(lambda v: (m * v).sum())(ones),
    "grad through one on the right": lambda: mg.grad(lambda v: (v * m).sum())(ones),
    "vjp": lambda: mg.vjp(square, m),
    "weights of vjp": lambda: mg.vjp(lambda v: v * 2, ones)[1](m),
    "tangents of jvp": lambda: mg.jvp(square, ones, m),
    "tangents of hvp": lambda: mg.hvp(square, ones, m),
    "jacobian": lambda: mg.jacobian(square)(m),
    "hessian": lambda: mg.hessian(square)(m),
    "gradcheck": lambda: mg.gradcheck(square, m),
    "check_op": lambda: mg.check_op(np.exp, (m,)),
    "labels": lambda: mg.cross_entropy(leaf(np.ones((2, 2))), labels),
    "class weights": lambda: mg.cross_entropy(leaf(np.ones((2, 2))), [0, 1], weight=m),
    "targets": lambda: mg.binary_cross_entropy_with_logits(leaf(ones), m),
    "one_hot": lambda: mg.one_hot(labels, 2),
    "a layer": lambda: nn.Linear(2, 1)(M),
    "weights of a layer": lambda: F.linear(leaf(ones), M),
    "state": lambda: nn.Linear(2, 1).load_state_dict({"weight": M[:1], "bias": m[:1]}),
    "running statistics": lambda: F.batch_norm(leaf(np.ones((3, 2))), m, m),
    "an optimiser": lambda: step_with_gradient(m),
    "batches": lambda: data.batches(M, [0, 1], 1),
    "labels of batches": lambda: data.batches(ones, labels, 1),
    "a split": lambda: data.train_test_split(M, [0, 1], 0.5),
    "a scaler": lambda: data.StandardScaler().fit(M),
    "a scaler's mean": lambda: data.StandardScaler(m, ones),
}


@pytest.mark.parametrize("enter", WAYS_IN.values(), ids=WAYS_IN)
def test_masked_arrays_are_refused_at_every_way_in(enter):
    with pytest.raises(TypeError, match=REFUSED):
        enter()


def test_subclasses_with_rules_of_their_own_are_refused():
    with pytest.raises(TypeError, match="Metres, a subclass of ndarray, has rules of its own"):
        leaf(ones) * ones.view(Metres)


def test_other_subclasses_are_arrays(tmp_path):
    class Named(np.ndarray):
        pass

    on_disk = np.memmap(tmp_path / "array", np.float64, "w+", shape=2)
    on_disk[:] = 3.0
    for array in (ones.view(Named) * 3, (ones * 3).view(np.recarray), on_disk):
        w = leaf(ones)
        for product in (array * w, w * array):
            assert type(product.data) is np.ndarray
            product.sum().backward()
        np.testing.assert_array_equal(w.grad, [6.0, 6.0])


def test_a_constant_becomes_a_masked_array_if_that_is_what_was_asked_for():
    array = np.ma.array(mg.Tensor([1.0, 2.0]), mask=[False, True])
    assert array.sum() == 1.0
