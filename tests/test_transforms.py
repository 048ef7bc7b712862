"""grad, value_and_grad, vjp, jvp, jacobian, hessian, hvp: each sentence of their docstrings."""

import gc
import math
import re
import weakref
from collections import namedtuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes

import microgradx as mg
from microgradx import grad, hessian, hvp, jacobian, jvp, value_and_grad, vjp

Layer = namedtuple("Layer", ["w", "b"])


def arrays_in(structure):
    """The leaves of a nested structure."""
    if isinstance(structure, dict):
        structure = list(structure.values())
    if isinstance(structure, (list, tuple)):
        return [leaf for part in structure for leaf in arrays_in(part)]
    return [structure]


def assert_plain(structure):
    """Writable arrays only, never a Tensor."""
    for leaf in arrays_in(structure):
        assert type(leaf) is np.ndarray
        assert leaf.flags.writeable


def differences(f, x, step=1e-6):
    """The Jacobian of `f` by central differences: the axes of its result, then those of x."""
    columns = []
    for index in np.ndindex(x.shape):
        h = np.zeros(x.shape)
        h[index] = step
        columns.append((np.asarray(f(x + h)) - np.asarray(f(x - h))) / (2 * step))
    return np.stack(columns, -1).reshape((*np.shape(columns[0]), *x.shape))


# ---------------------------------------------------------------------------- grad


@pytest.mark.parametrize(
    ("argnums", "expected"),
    [
        (0, 12),
        (1, 6),
        ("x", 12),
        ("y", 6),
        ((0, 1), (12, 6)),
        ([1, 0], (6, 12)),
        (("y", 0), (6, 12)),
        ((), ()),
        ((0,), (12,)),
        (np.int64(1), 6),
        ((0, 0), (12, 12)),
        ((0, "x"), (12, 12)),
    ],
)
def test_argnums_are_positions_or_names_or_several(argnums, expected):
    gradient = grad(lambda x, y: 3 * x * y, argnums)(2.0, 4.0)
    assert gradient == expected
    assert isinstance(gradient, tuple) == isinstance(expected, tuple)
    assert_plain(gradient)


def test_arguments_by_keyword():
    def f(x, *, y, z=2.0):
        return x * y * z

    assert grad(f, "y")(3.0, y=5.0) == 6
    assert grad(f, ("z", "x"))(3.0, y=5.0, z=2.0) == (15, 10)
    assert grad(f, "x")(x=3.0, y=5.0) == 10
    assert grad(lambda **named: named["a"] ** 2, "a")(a=3.0) == 6


@pytest.mark.parametrize("argnums", [2, -1, "z", "y", (0, 5), 1.5, None])
@pytest.mark.parametrize("transform", [grad, value_and_grad, jacobian, hessian])
def test_arguments_that_are_not_given_are_refused_by_name(transform, argnums):
    def product(x, y=1.0):
        return x * y

    with pytest.raises(TypeError, match=r"product was called without an argument .*by position"):
        transform(product, argnums)(2.0)


def test_the_gradient_has_the_structure_of_the_argument():
    parameters = {"layers": [Layer(np.ones((2, 3)), 2.0), Layer(np.zeros(1), -1.0)], "t": (3.0,)}

    def f(p):
        first, second = p["layers"]
        assert isinstance(first, Layer)
        return np.sum(first.w * first.b) + np.sum(second.w) * p["t"][0]

    gradient = grad(f)(parameters)
    assert list(gradient) == ["layers", "t"]
    first, second = gradient["layers"]
    assert isinstance(first, Layer)
    assert isinstance(gradient["t"], tuple)
    np.testing.assert_array_equal(first.w, np.full((2, 3), 2))
    assert first.b == 6
    np.testing.assert_array_equal(second.w, [3])
    assert second.b == 0  # unused
    assert gradient["t"] == (0,)
    assert_plain(gradient)


def test_gradients_share_memory_with_nothing():
    x, y = np.ones(3), np.ones(3)
    first, second = grad(lambda x, y: np.sum(x + y), (0, 1))(x, y)
    first += 1
    np.testing.assert_array_equal(second, [1, 1, 1])
    value, _ = value_and_grad(lambda x: x)(x[:1])
    value += 1
    np.testing.assert_array_equal(x, [1, 1, 1])
    given_tangent = np.ones(3)
    _, (a, b) = jvp(lambda x: (x, x), x, given_tangent)
    a += 1
    np.testing.assert_array_equal([b, given_tangent], np.ones((2, 3)))


def test_aux_comes_back_plain():
    def f(x):
        return x * x, {"double": [2 * x, x], "text": "kept", "number": 3}

    gradient, aux = grad(f, has_aux=True)(3.0)
    assert gradient == 6
    assert aux == {"double": [6, 3], "text": "kept", "number": 3}
    assert_plain(aux["double"])
    (value, aux), gradient = value_and_grad(f, has_aux=True)(3.0)
    assert (value, gradient) == (9, 6)
    assert_plain([value, gradient, aux["double"]])
    for no_pair in (lambda x: x, lambda x: [x, x], lambda x: (x, x, x)):
        with pytest.raises(TypeError, match=r"must return a pair: \(value, aux\)"):
            grad(no_pair, has_aux=True)(3.0)


def test_the_function_runs_on_arrays_it_is_given_otherwise():
    seen = []

    def f(x, y):
        seen.append(type(y))
        return x * y

    grad(f)(2.0, np.float64(3.0))
    assert seen == [np.float64]


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_dtypes_stay(dtype):
    x = np.array([1, 2], dtype)
    value, gradient = value_and_grad(lambda x: np.sum(np.sin(x) * 2.0))(x)
    assert value.dtype == gradient.dtype == dtype
    assert jacobian(np.tanh)(x).dtype == dtype
    assert hessian(lambda x: np.sum(x**3))(x).dtype == dtype
    assert hvp(lambda x: np.sum(x**3), x, np.ones(2)).dtype == dtype
    value, tangent = jvp(np.tanh, x, np.ones(2))
    assert value.dtype == tangent.dtype == dtype
    value, f_vjp = vjp(np.tanh, x)
    assert value.dtype == f_vjp(np.ones(2))[0].dtype == dtype


def test_what_is_not_used_gets_zeros():
    x, y = np.ones((2, 3)), np.ones(2, np.float32)
    value, gradients = value_and_grad(lambda x, y: 3.0, (0, 1))(x, y)
    assert value == 3
    np.testing.assert_array_equal(gradients[0], np.zeros((2, 3)))
    assert gradients[1].dtype == np.float32
    np.testing.assert_array_equal(jacobian(lambda x: np.ones(4))(x), np.zeros((4, 2, 3)))
    np.testing.assert_array_equal(hessian(lambda x: np.sum(x))(y), np.zeros((2, 2)))
    np.testing.assert_array_equal(hvp(lambda x: 1.0, y, y), [0, 0])
    value, tangent = jvp(lambda x: np.ones(4), x, x)
    np.testing.assert_array_equal(tangent, np.zeros(4))
    assert_plain([value, tangent])
    np.testing.assert_array_equal(vjp(lambda x: np.ones(4), x)[1](np.ones(4))[0], np.zeros((2, 3)))


def test_the_argument_itself_as_the_result():
    assert value_and_grad(lambda x: x)(2.0) == (2, 1)
    assert jvp(lambda x: x, 2.0, 5.0) == (2, 5)
    np.testing.assert_array_equal(jacobian(lambda x: x)(np.ones(2)), np.eye(2))
    assert vjp(lambda x, y: (y, x), 2.0, 3.0)[1]((10.0, 20.0)) == (20, 10)
    assert hvp(lambda x: x, 2.0, 1.0) == 0


def test_a_single_number_may_have_axes():
    x = np.ones((1, 1))
    np.testing.assert_array_equal(grad(lambda x: 3 * x)(x), [[3]])
    np.testing.assert_array_equal(hessian(lambda x: x**3)(x), [[[[6]]]])
    assert grad(lambda x: np.sum(x**2))(np.ones((0, 3))).shape == (0, 3)


@pytest.mark.parametrize("transform", [grad, value_and_grad, jacobian, hessian])
def test_arguments_that_are_not_floats_are_refused(transform):
    with pytest.raises(TypeError, match=r"has dtype int64, shape \(\); .*write 2.0 instead of 2"):
        transform(lambda x: x)(2)
    with pytest.raises(TypeError, match="has dtype bool"):
        transform(lambda p: p["a"])({"a": 1.0, "b": np.array([True])})
    with pytest.raises(TypeError, match=r"contains 'text', a str; .*choose others by argnums"):
        transform(lambda x: 1.0)("text")
    with pytest.raises(TypeError, match="contains None, a NoneType"):
        transform(lambda x: 1.0)([1.0, None])


@pytest.mark.parametrize("transform", [grad, value_and_grad, jacobian, hessian])
def test_what_is_not_a_function_is_refused(transform):
    tensor = mg.Tensor(1.0, requires_grad=True)
    with pytest.raises(TypeError, match=r"not Tensor; .*microgradx.autograd.grad"):
        transform(tensor)
    for call in (lambda: jvp(3, 1.0, 1.0), lambda: vjp(3, 1.0), lambda: hvp(3, 1.0, 1.0)):
        with pytest.raises(TypeError, match="expected a function of arrays, not int"):
            call()


def test_results_that_are_not_a_number_are_refused():
    with pytest.raises(ValueError, match=r"returned shape \(2,\).*sum the result, or use jacobian"):
        grad(lambda x: x)(np.ones(2))
    with pytest.raises(ValueError, match=r"returned shape \(0,\)"):
        hessian(lambda x: x[:0])(np.ones(2))
    for result in (None, "text", {"a": 1.0}):
        with pytest.raises(TypeError, match="which has no derivative"):
            grad(lambda x, result=result: result)(1.0)
    with pytest.raises(TypeError, match="a second result only with has_aux=True"):
        grad(lambda x: (x, x))(1.0)


def test_the_name_and_docstring_of_the_function_are_kept():
    def f(x):
        """What f is."""
        return x

    for transform in (grad, value_and_grad, jacobian):
        assert transform(f).__name__ == "f"
        assert transform(f).__doc__ == "What f is."


# ---------------------------------------------------------------------------- nesting


def test_gradients_of_gradients():
    f = np.sin
    for expected in (np.cos, lambda x: -np.sin(x), lambda x: -np.cos(x), np.sin):
        f = grad(f)
        np.testing.assert_allclose(f(0.7), expected(0.7), rtol=1e-14)
        assert_plain(f(0.7))


def test_perturbations_are_not_confused():
    assert grad(lambda x: x * grad(lambda y: x + y)(1.0))(1.0) == 1
    assert grad(lambda x: x * grad(lambda y: x * y)(2.0))(3.0) == 6
    assert grad(lambda x: x * jvp(lambda y: x + y, 1.0, 1.0)[1])(1.0) == 1
    assert jvp(lambda x: x * jvp(lambda y: x + y, 1.0, 1.0)[1], 1.0, 1.0)[1] == 1
    assert grad(lambda x: grad(lambda y: x * grad(lambda z: x * y * z**2)(1.0))(x))(3.0) == 12


NESTED = {  # f(x, y) = x y³ differentiated inside by y at 2, outside by x
    "grad": lambda f: lambda x: grad(lambda y: f(x, y))(2.0),
    "value_and_grad": lambda f: lambda x: value_and_grad(lambda y: f(x, y))(2.0)[1],
    "jacobian": lambda f: lambda x: jacobian(lambda y: f(x, y))(2.0),
    "vjp": lambda f: lambda x: vjp(lambda y: f(x, y), 2.0)[1](1.0)[0],
    "jvp": lambda f: lambda x: jvp(lambda y: f(x, y), 2.0, 1.0)[1],
}


@pytest.mark.parametrize("inner", NESTED.values(), ids=NESTED)
@pytest.mark.parametrize("outer", [grad, jacobian])
def test_an_outer_derivative_by_what_the_inner_function_closes_over(outer, inner):
    result = outer(inner(lambda x, y: x * y**3))(5.0)
    assert result == 12
    assert_plain(result)
    result = outer(outer(inner(lambda x, y: x**2 * y**3)))(5.0)
    assert result == 24
    assert_plain(result)


def test_an_outer_derivative_of_inner_second_derivatives():
    def by_hvp(x):
        return hvp(lambda y: x * y**3, 2.0, 1.0)

    def by_hessian(x):
        return hessian(lambda y: x * y**3)(2.0)

    for inner in (by_hvp, by_hessian):
        for result in (grad(inner)(5.0), jacobian(inner)(5.0), jvp(inner, 5.0, 1.0)[1]):
            assert result == 12
            assert_plain(result)


def test_derivatives_by_the_point_the_tangent_and_the_weight():
    cases = [
        (lambda x: jvp(lambda y: y**3, x, 1.0)[1], 12),
        (lambda v: jvp(lambda y: y**3, 2.0, v)[1], 12),
        (lambda x: vjp(lambda y: y**3, x)[1](1.0)[0], 12),
        (lambda v: vjp(lambda y: y**3, 2.0)[1](v)[0], 12),
        (lambda x: hvp(lambda y: y**3, x, 1.0), 6),
        (lambda v: hvp(lambda y: y**3, 2.0, v), 12),
        (lambda x: jacobian(lambda y: y**3)(x), 12),
        (lambda x: hessian(lambda y: y**3)(x), 6),
    ]
    for f, expected in cases:
        result = grad(f)(2.0)
        assert result == expected
        assert_plain(result)


def test_a_jacobian_of_a_jacobian():
    third = jacobian(hessian(lambda x: np.sum(x**3) + x[0] * x[1] ** 2))(np.array([1.0, 2.0]))
    expected = np.zeros((2, 2, 2))
    expected[0, 0, 0] = expected[1, 1, 1] = 6
    expected[0, 1, 1] = expected[1, 0, 1] = expected[1, 1, 0] = 2
    np.testing.assert_allclose(third, expected)
    assert_plain(third)


def test_nested_by_different_arguments():
    def f(x, y):
        return np.sum(x**2 * y**3)

    mixed = grad(lambda x, y: np.sum(grad(f, "y")(x, y)), "x")(np.array([1.0, 2.0]), np.ones(2))
    np.testing.assert_allclose(mixed, [6, 12])
    assert_plain(mixed)


# ---------------------------------------------------------------------------- outside


def test_tensors_from_outside_give_tensors_with_a_graph():
    w = mg.Tensor(3.0, requires_grad=True)
    results = {
        "grad": grad(lambda x: w**2 * x)(2.0),
        "jacobian": jacobian(lambda x: w**2 * x)(2.0),
        "jvp": jvp(lambda x: w**2 * x, 2.0, 1.0)[1],
        "vjp": vjp(lambda x: w**2 * x, 2.0)[1](1.0)[0],
        "hvp": hvp(lambda x: w**2 * x**2, 2.0, 0.5),
        "hessian": hessian(lambda x: w**2 * x**2)(2.0) / 2,
        "value": value_and_grad(lambda x: w**2 + 0 * x)(2.0)[0],
        "aux": grad(lambda x: (x, w**2), has_aux=True)(2.0)[1],
    }
    for name, result in results.items():
        assert isinstance(result, mg.Tensor), name
        assert result == 9, name
        result.backward()
        assert w.grad == 6, name
        w.grad = None


def test_a_tensor_argument_that_requires_gradients_is_one_from_outside():
    x = mg.Tensor(3.0, requires_grad=True)
    gradient = grad(lambda x: x**3)(x)
    gradient.backward()
    assert (gradient.item(), x.grad) == (27, 18)
    assert_plain(grad(lambda x: x**3)(mg.Tensor(3.0)))


def test_calls_leave_the_gradients_of_tensors_from_outside_alone():
    w = mg.Tensor(3.0, requires_grad=True)
    grad(lambda x: w * x)(2.0)
    hvp(lambda x: w * x**2, 2.0, 1.0)
    assert w.grad is None


def test_under_no_grad_arrays_come_out_and_derivatives_are_right():
    w = mg.Tensor(3.0, requires_grad=True)
    with mg.no_grad():
        results = [
            grad(lambda x: w * x)(2.0),
            jacobian(lambda x: w * x)(2.0),
            *jvp(lambda x: w * x / 2, 2.0, 2.0)[1:],
            hvp(lambda x: w * x**2, 2.0, 0.5),
            grad(grad(lambda x: w * x**2 / 2))(2.0),
            vjp(lambda x: w * x, 2.0)[1](1.0)[0],
        ]
        assert not mg.is_grad_enabled()
    assert results == [3] * 6
    assert_plain(results)


@pytest.mark.parametrize("enabled", [True, False])
def test_a_function_that_raises_leaves_recording_as_it_was(enabled):
    def f(x):
        raise RuntimeError("of the user")

    with mg.enable_grad() if enabled else mg.no_grad():
        calls = [
            lambda: grad(f)(1.0),
            lambda: jacobian(f)(1.0),
            lambda: hessian(f)(1.0),
            lambda: jvp(f, 1.0, 1.0),
            lambda: vjp(f, 1.0),
            lambda: hvp(f, 1.0, 1.0),
        ]
        for call in calls:
            with pytest.raises(RuntimeError, match="of the user"):
                call()
            assert mg.is_grad_enabled() == enabled


def test_no_reference_cycles_are_left():
    alive = []

    def f(x):
        alive.append(weakref.ref(x))
        y = np.tanh(x) * x
        alive.append(weakref.ref(y))
        return np.sum(y**2)

    x = np.ones(3)
    gc.collect()
    gc.disable()
    try:
        grad(f)(x)
        value_and_grad(f)(x)
        hvp(f, x, x)
        hessian(f)(x)
        jvp(f, x, x)
        f_vjp = vjp(f, x)[1]
        f_vjp(1.0)
        assert alive[-1]() is not None
        del f_vjp
        grad(lambda x: np.sum(grad(f)(x)))(x)
        assert len(alive) == 14
        assert not any(reference() for reference in alive)
    finally:
        gc.enable()


# ---------------------------------------------------------------------------- products


def test_weights_and_tangents_must_fit():
    x = np.ones(2)
    with pytest.raises(ValueError, match=r"a tangent for the argument has shape \(3,\).*\(2,\)"):
        jvp(np.sin, x, np.ones(3))
    with pytest.raises(ValueError, match=r"a tangent for the argument has shape \(3,\).*\(2,\)"):
        hvp(np.sum, x, np.ones(3))
    with pytest.raises(ValueError, match=r"a weight for the result has shape \(\).*\(2,\)"):
        vjp(np.sin, x)[1](1.0)
    for tangents in ((1.0,), 1.0, (1.0, 2.0, 3.0), [1.0, 2.0]):
        with pytest.raises(ValueError, match="does not have the structure of"):
            jvp(np.add, (1.0, 2.0), tangents)
    with pytest.raises(ValueError, match="does not have the structure of"):
        vjp(lambda x: {"a": x}, x)[1]({"b": x})
    with pytest.raises(ValueError, match="does not have the structure of"):
        jvp(lambda p: p["a"], {"a": x}, {"b": x})


def test_the_only_argument_needs_no_tuple():
    p = {"a": np.array([1.0, 2.0])}
    assert jvp(lambda p: np.sum(p["a"] ** 2), p, p) == (5, 10)
    np.testing.assert_array_equal(hvp(lambda p: np.sum(p["a"] ** 3), p, p)["a"], [6, 24])
    layer = Layer(2.0, 3.0)
    assert jvp(lambda layer: layer.w * layer.b, layer, Layer(1.0, 0.0)) == (6, 3)
    assert hvp(lambda layer: layer.w * layer.b, layer, Layer(1.0, 0.0)) == Layer(0, 1)
    assert jvp(lambda pair: pair[0] * pair[1], [2.0, 3.0], [1.0, 0.0]) == (6, 3)
    assert hvp(lambda x, y: x**2 * y, (2.0, 3.0), (1.0, 0.0)) == (6, 4)
    assert hvp(lambda x: x**2, (2.0,), (1.0,)) == (2,)


def test_a_result_that_occurs_twice_weighs_twice():
    def twice(x):
        y = x**2
        return [y, y, {"x": x}]

    value, f_vjp = vjp(twice, 3.0)
    assert value == [9, 9, {"x": 3}]
    assert f_vjp([1.0, 10.0, {"x": 100.0}]) == (166,)
    value, tangent = jvp(twice, 3.0, 2.0)
    assert tangent == [12, 12, {"x": 2}]
    assert_plain([value, tangent])
    np.testing.assert_array_equal(jacobian(twice)(3.0)[:2], [6, 6])


def test_one_gradient_array_for_two_inputs_is_not_added_twice():
    x, y = np.array([1.0, 2.0]), np.array([3.0, 4.0])
    value, tangent = jvp(lambda x, y: x + y, (x, y), (np.ones(2), 10 * np.ones(2)))
    np.testing.assert_array_equal(value, [4, 6])
    np.testing.assert_array_equal(tangent, [11, 11])
    products = hvp(lambda x, y: np.sum((x + y) ** 2), (x, y), (np.ones(2), np.zeros(2)))
    np.testing.assert_array_equal(products, [[2, 2], [2, 2]])
    # One array in two places, and one argument in two of a function's.
    np.testing.assert_array_equal(
        grad(lambda p: np.sum(p[0] * p[1] ** 2))([x, x]), [x**2, 2 * x * x]
    )
    np.testing.assert_array_equal(jvp(np.multiply, (x, x), (np.ones(2), np.zeros(2)))[1], x)


def test_results_of_integers_are_allowed_beside_others():
    value, tangent = jvp(lambda x: (x, np.array([1, 2])), 2.0, 3.0)
    assert tangent[0] == 3
    np.testing.assert_array_equal(tangent[1], [0, 0])
    assert value[1].dtype == int
    assert vjp(lambda x: {"y": 2 * x, "n": 3}, 2.0)[1]({"y": 1.0, "n": 7}) == (2,)


@pytest.mark.parametrize(
    "f", [lambda x: x > 1, lambda x: np.argmax(x), lambda x: x.astype(int), lambda x: 3]
)
def test_a_result_without_any_float_has_no_derivative(f):
    for transform in (grad, value_and_grad, jacobian, hessian):
        with pytest.raises(TypeError, match=r"returned .*, of (bool|int64), which has no deriv"):
            transform(f)(2.0)
    for call in (lambda: vjp(f, 2.0), lambda: jvp(f, 2.0, 1.0), lambda: hvp(f, 2.0, 1.0)):
        with pytest.raises(TypeError, match="return floats: in place of a comparison"):
            call()


def test_a_vjp_function_can_be_called_again():
    value, f_vjp = vjp(lambda x: x**2, 3.0)
    assert (value, f_vjp(1.0), f_vjp(2.0)) == (9, (6,), (12,))
    assert vjp(lambda: 3.0)[1](1.0) == ()


# ---------------------------------------------------------------------------- matrices


def curve(x):
    """A nonlinear function from any shape to (2, 3), smooth everywhere."""
    total = np.sum(np.sin(x))
    return np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]) * total + np.tanh(np.sum(x * x)) * total**2


def scalar(x):
    return np.sum(np.tanh(curve(x) / 10))


@pytest.mark.parametrize("shape", [(), (1,), (3,), (2, 2), (0,), (2, 0)])
def test_jacobians_and_hessians_agree_with_differences(shape, generator):
    x = np.asarray(generator.normal(size=shape))
    of_curve = jacobian(curve)(x)
    of_scalar = hessian(scalar)(x)
    assert of_curve.shape == (2, 3, *shape)
    assert of_scalar.shape == (*shape, *shape)
    assert_plain([of_curve, of_scalar])
    if x.size:
        np.testing.assert_allclose(of_curve, differences(curve, x), rtol=1e-6, atol=1e-7)
        np.testing.assert_allclose(of_scalar, differences(grad(scalar), x), rtol=1e-6, atol=1e-7)


def test_analytic_jacobians():
    A, x = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]), np.array([0.5, -1.0])
    np.testing.assert_allclose(jacobian(lambda x: A @ x)(x), A)
    np.testing.assert_allclose(jacobian(lambda A: A @ x)(A), np.einsum("ik,j->ikj", np.eye(3), x))
    np.testing.assert_allclose(hessian(lambda x: x @ A.T @ A @ x)(x), 2 * A.T @ A)
    assert jacobian(lambda x: x[:0])(x).shape == (0, 2)
    assert jacobian(np.sin)(0.0) == 1
    assert_plain([jacobian(lambda x: x[:0])(x), jacobian(np.sin)(0.0)])


def test_several_arguments_and_structures():
    x, y = np.array([1.0, 2.0]), np.array(3.0)
    by_x, by_y = jacobian(lambda x, y: x * y, (0, 1))(x, y)
    np.testing.assert_array_equal(by_x, 3 * np.eye(2))
    np.testing.assert_array_equal(by_y, x)
    blocks = hessian(lambda x, y: np.sum(x**2) * y, ("x", 1))(x, y)
    np.testing.assert_array_equal(blocks[0][0], 6 * np.eye(2))
    np.testing.assert_array_equal(blocks[0][1], 2 * x)
    np.testing.assert_array_equal(blocks[1][0], 2 * x)
    assert blocks[1][1] == 0
    of_dict = jacobian(lambda p: {"s": np.sum(p["x"]) * p["y"], "x": p["x"]})({"x": x, "y": y})
    np.testing.assert_array_equal(of_dict["s"]["x"], [3, 3])
    np.testing.assert_array_equal(of_dict["s"]["y"], 3)
    np.testing.assert_array_equal(of_dict["x"]["x"], np.eye(2))
    np.testing.assert_array_equal(of_dict["x"]["y"], [0, 0])
    assert_plain([by_x, by_y, blocks, of_dict])


# Small matrices, vectors, numbers, and nothing.
SHAPES = array_shapes(min_dims=0, max_dims=2, min_side=0, max_side=3)


@settings(max_examples=50)
@given(SHAPES, st.integers(0, 2**16))
def test_products_are_those_with_the_matrices(shape, seed):
    generator = np.random.default_rng(seed)
    x, v = np.asarray(generator.normal(size=shape)), np.asarray(generator.normal(size=shape))
    weight = generator.normal(size=(2, 3))
    matrix = jacobian(curve)(x)
    value, pushed = jvp(curve, x, v)
    np.testing.assert_allclose(value, curve(x), rtol=1e-15)
    np.testing.assert_allclose(pushed, np.tensordot(matrix, v, x.ndim), rtol=1e-9, atol=1e-9)
    value, f_vjp = vjp(curve, x)
    np.testing.assert_allclose(value, curve(x), rtol=1e-15)
    np.testing.assert_allclose(
        f_vjp(weight)[0], np.tensordot(weight, matrix, 2), rtol=1e-9, atol=1e-9
    )
    np.testing.assert_allclose(
        hvp(scalar, x, v), np.tensordot(hessian(scalar)(x), v, x.ndim), rtol=1e-8, atol=1e-9
    )


# ---------------------------------------------------------------------------- values that leave


def fill_in_place(x):
    out = np.zeros(3)
    for i in range(3):
        out[i] = x[i] ** 2
    return out.sum()


@pytest.mark.parametrize(
    "f",
    [
        fill_in_place,
        lambda x: x * math.exp(x[0]),
        lambda x: x.sum() * float(x[0]),
        lambda x: x[: int(x[1])],
    ],
)
def test_a_value_that_would_leave_the_graph_unnoticed_is_refused(f):
    x = np.array([0.5, 1.5, 2.5])
    for transform in (
        mg.grad(f),
        mg.jacobian(f),
        lambda x: mg.vjp(f, x),
        lambda x: mg.jvp(f, x, x),
    ):
        with pytest.raises((TypeError, ValueError)) as caught:
            transform(x)
        # NumPy puts an error of its own on top of that of an assignment.
        message = str(caught.value.__cause__ or caught.value)
        assert re.search(r"drop out of the gradient.*np\.stack", message)
    w = mg.Tensor(x, requires_grad=True)
    with pytest.warns(UserWarning, match="plain float"):
        assert float(w.sum()) == 4.5  # in a training loop, say


def test_an_array_is_filled_by_functional_updates():
    def f(x):
        out = mg.as_tensor(np.zeros(3))
        for i in range(3):
            out = out.at[i].set(x[i] ** 2)
        return out.sum() + x[0].item()

    np.testing.assert_array_equal(mg.grad(f)(np.array([0.5, 1.5, 2.5])), [1.0, 3.0, 5.0])
