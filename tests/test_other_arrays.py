"""Arrays of other libraries that have NumPy's protocols: the same rules run on them."""

import numpy as np
import pytest
from numpy.lib.mixins import NDArrayOperatorsMixin
from numpy.testing import assert_allclose, assert_array_equal

import microgradx as mg
from microgradx import Tensor
from microgradx.engine import sweep


class Foreign(NDArrayOperatorsMixin):
    """An array of another library: it has NumPy's protocols, but refuses to become an ndarray.

    A rule that leaves the protocols, or would copy from a GPU behind the user's back, fails.
    """

    def __init__(self, values):
        assert isinstance(values, (np.ndarray, np.generic))
        self.values = np.asarray(values)

    shape = property(lambda self: self.values.shape)
    ndim = property(lambda self: self.values.ndim)
    size = property(lambda self: self.values.size)
    dtype = property(lambda self: self.values.dtype)

    def __array_ufunc__(self, ufunc, method, *inputs, **kwargs):
        if any(isinstance(x, Tensor) for x in inputs):
            return NotImplemented  # as any library says of types that it does not know
        return of_foreign(getattr(ufunc, method), inputs, kwargs)

    def __array_function__(self, function, types, args, kwargs):
        return NotImplemented if Tensor in types else of_foreign(function, args, kwargs)

    def __array__(self, dtype=None, copy=None):
        raise TypeError("this array is elsewhere")

    def __getitem__(self, index):
        return Foreign(self.values[values_of(index)])

    def __bool__(self):
        return bool(self.values)

    def astype(self, dtype, copy=True):
        return Foreign(self.values.astype(dtype, copy=copy))

    def copy(self):
        return Foreign(self.values.copy())


def values_of(value):
    if isinstance(value, (list, tuple)):
        return type(value)(values_of(item) for item in value)
    return value.values if isinstance(value, Foreign) else value


def of_foreign(function, args, kwargs):
    result = function(*values_of(args), **{name: values_of(kwargs[name]) for name in kwargs})
    return Foreign(result) if isinstance(result, (np.ndarray, np.generic)) else result


def dask_array(values):
    """In chunks of two, so that no axis is whole, and any operation crosses chunks."""
    return pytest.importorskip("dask.array").from_array(values, chunks=2)


KINDS = pytest.mark.parametrize("convert", [Foreign, dask_array], ids=["foreign", "dask"])


def values(array):
    """Back in NumPy, at the end."""
    return array.values if isinstance(array, Foreign) else np.asarray(array)


def two_layers(x, w1, b1, w2, b2):
    return mg.tanh(x @ w1 + b1) @ w2 + b2


@pytest.fixture
def network(generator):
    """Rows of data, and the parameters of two layers, in NumPy's arrays."""
    shapes = [(5, 4), (4, 6), (6,), (6, 3), (3,)]
    return [generator.normal(size=shape) for shape in shapes]


LOSSES = {
    "labels": lambda z, y: mg.cross_entropy(z, [0, 2, 1, 1, 0]),
    "labels, summed": lambda z, y: mg.cross_entropy(z, [0, 2, 1, 1, 0], reduction="sum"),
    "smoothed": lambda z, y: mg.cross_entropy(z, [0, 2, 1, 1, 0], label_smoothing=0.1),
    "probabilities": lambda z, y: mg.cross_entropy(z, y),
    "probabilities, composed": lambda z, y: mg.cross_entropy(z, y, fused=False),
    "for each row": lambda z, y: mg.sum(mg.cross_entropy(z, y, reduction="none")),
    "log_softmax": lambda z, y: -mg.sum(y * mg.log_softmax(z)),
    "softmax": lambda z, y: mg.sum(y * mg.softmax(z, fused=False)),
    "logsumexp": lambda z, y: mg.sum(mg.logsumexp(z, axis=1) - mg.mean(z * y, axis=1)),
    "activations": lambda z, y: mg.mean(mg.relu(z) + mg.sigmoid(z) * y),
}


@KINDS
@pytest.mark.parametrize("name", LOSSES)
def test_a_network_on_other_arrays_has_numpys_loss_and_gradients(convert, name, network):
    x, *parameters = network
    y = mg.softmax(x[:, :3])
    expected = [Tensor(p, requires_grad=True) for p in parameters]
    expected_loss = LOSSES[name](two_layers(Tensor(x), *expected), Tensor(y))
    expected_loss.backward()

    tensors = [mg.as_tensor(convert(p)).requires_grad_() for p in parameters]
    loss = LOSSES[name](two_layers(mg.as_tensor(convert(x)), *tensors), mg.as_tensor(convert(y)))
    loss.backward()
    kind = type(convert(x))
    assert type(loss.data) is kind
    assert_allclose(values(loss.data), expected_loss.data, rtol=1e-13)
    for tensor, reference in zip(tensors, expected, strict=True):
        assert type(tensor.grad) is kind
        assert tensor.grad.dtype == tensor.dtype
        assert_allclose(values(tensor.grad), reference.grad, rtol=1e-12, atol=1e-15)


@KINDS
def test_second_derivatives_of_a_network_on_other_arrays(convert, network):
    def products(convert):
        """The gradient of the gradient's squares: twice a Hessian-vector product."""
        x, *parameters = (mg.as_tensor(convert(array)) for array in network)
        for p in parameters:
            p.requires_grad_()
        loss = mg.cross_entropy(two_layers(x, *parameters), [0, 2, 1, 1, 0])
        gradients = dict(sweep({loss: mg.as_tensor(convert(np.ones(())))}, create_graph=True))
        squares = sum(mg.sum(gradients[p] * gradients[p]) for p in parameters)
        squares.backward()
        return [p.grad for p in parameters]

    for product, reference in zip(products(convert), products(np.asarray), strict=True):
        assert type(product) is type(convert(np.ones(2)))
        assert_allclose(values(product), reference, rtol=1e-11, atol=1e-14)


@KINDS
def test_tensors_keep_other_arrays_as_they_are(convert):
    array = convert(np.array([1.0, 2.0]))
    assert mg.as_tensor(array).data is array
    copied = Tensor(array, requires_grad=True)
    assert type(copied.data) is type(array)
    assert copied.data is not array
    assert (copied.shape, copied.ndim, copied.size, copied.dtype) == ((2,), 1, 2, np.dtype(float))


@KINDS
def test_operators_with_other_arrays_make_tensors_on_either_side(convert):
    values_x = np.array([[1.0, 2.0], [3.0, 4.0]])
    array = convert(np.array([[2.0, 1.0], [0.5, 3.0]]))
    for operate in (
        lambda a, b: a + b,
        lambda a, b: a - b,
        lambda a, b: a * b,
        lambda a, b: a / b,
        lambda a, b: a**b,
        lambda a, b: a @ b,
    ):
        for swap in (False, True):
            x = Tensor(values_x, requires_grad=True)
            out = operate(array, x) if swap else operate(x, array)
            assert isinstance(out, Tensor)
            assert type(out.data) is type(array)
            expected = (values(array), values_x) if swap else (values_x, values(array))
            assert_allclose(values(out.data), operate(*expected))
            out.sum().backward()
            assert x.grad.shape == x.shape


@KINDS
def test_what_was_broadcast_is_summed_back_on_other_arrays(convert):
    x = mg.as_tensor(convert(np.ones((3, 1)))).requires_grad_()
    b = mg.as_tensor(convert(np.array(2.0))).requires_grad_()
    (x * mg.as_tensor(convert(np.arange(4.0))) + b).sum().backward()
    assert_array_equal(values(x.grad), np.full((3, 1), 6.0))
    assert_array_equal(values(b.grad), 12.0)
    (b * b).backward(convert(np.array(10.0)))
    assert_array_equal(values(b.grad), 52.0)


def test_a_repr_shows_a_dask_array_without_computing_it():
    array = dask_array(np.ones((4, 4)))
    computed = []
    watched = array.map_blocks(lambda block: computed.append(1) or block, meta=array)
    text = repr(mg.as_tensor(watched))
    assert "dask.array" in text
    assert "shape=(4, 4)" in text
    assert computed == []


PRODUCTS = {
    "einsum": lambda x, y: mg.einsum("ij,jk->ik", x, y),
    "einsum of a diagonal": lambda x, y: mg.einsum("ii,i...", x, y),
    "tensordot": lambda x, y: mg.tensordot(x, y, 1),
    "outer": mg.outer,
    "kron": mg.kron,
    "inner": lambda x, y: mg.inner(x, x),
    "vdot": lambda x, y: mg.vdot(y, y),
    "multi_dot": lambda x, y: mg.multi_dot([x, x, y]),
    "matvec": lambda x, y: mg.matvec(x, y.T),
    "matrix_power": lambda x, y: mg.matrix_power(x, 3),
    "norm": lambda x, y: mg.norm(x) + mg.norm(x, 3, axis=0),
    "vector_norm": lambda x, y: mg.vector_norm(x, ord=np.inf),
}
LINALG = {
    "inv": lambda x, y: mg.inv(x),
    "solve": mg.solve,
    "det": lambda x, y: mg.det(x),
    "slogdet": lambda x, y: mg.slogdet(x).logabsdet,
    "cholesky": lambda x, y: mg.cholesky(x @ x.mT),
    "pinv": lambda x, y: mg.pinv(y),
    "eigvalsh": lambda x, y: mg.eigvalsh(x),
    "svdvals": lambda x, y: mg.svdvals(y),
}


@pytest.mark.parametrize(
    ("convert", "f"),
    [
        *[pytest.param(Foreign, f, id=f"foreign-{name}") for name, f in LINALG.items()],
        *[
            pytest.param(convert, f, id=f"{kind}-{name}")
            for kind, convert in {"foreign": Foreign, "dask": dask_array}.items()
            for name, f in PRODUCTS.items()
        ],
    ],
)
def test_products_and_linear_algebra_on_other_arrays(convert, f, generator):
    arrays = [generator.normal(size=(3, 3)) + 4 * np.eye(3), generator.normal(size=(3, 2))]
    expected = [Tensor(array, requires_grad=True) for array in arrays]
    f(*expected).sum().backward()
    tensors = [mg.as_tensor(convert(array)).requires_grad_() for array in arrays]
    f(*tensors).sum().backward()
    for tensor, reference in zip(tensors, expected, strict=True):
        if reference.grad is None:
            assert tensor.grad is None
        else:
            assert type(tensor.grad) is type(convert(arrays[0]))
            assert_allclose(values(tensor.grad), reference.grad, rtol=1e-11, atol=1e-13)


# ---------------------------------------------------------------------------- tables


class Column:
    """As pandas does, it leaves an operator to what is of a higher priority."""

    __pandas_priority__ = 4000

    def __sub__(self, other):
        if getattr(other, "__pandas_priority__", 0) > self.__pandas_priority__:
            return NotImplemented
        raise AssertionError("it would make a column of Tensors")

    def __array__(self, dtype=None, copy=None):
        return np.array([1.0, 2.0])


def pandas_tables():
    pandas = pytest.importorskip("pandas")
    yield pandas.Series([1.0, 2.0])
    yield pandas.DataFrame({"a": [1.0, 2.0], "b": [3.0, 4.0]})


@pytest.mark.parametrize("tables", [lambda: [Column()], pandas_tables], ids=["stub", "pandas"])
def test_a_table_on_the_left_is_an_operand(tables):
    for table in tables():
        t = Tensor([3.0, 5.0], requires_grad=True)
        difference = table - t
        assert isinstance(difference, Tensor)
        assert_array_equal(difference.data, np.asarray(table) - t.data)
        difference.sum().backward()
        assert_array_equal(t.grad, -np.ones(np.shape(table)).reshape(-1, 2).sum(0))
