"""Every public function of NumPy's, whatever its version: none does anything silent on a Tensor."""

import re
import warnings

import numpy as np
import pytest

import microgradx as mg
from microgradx.arrays.dispatch import INSTEAD_OF_FUNCTION, implementations
from tests.helpers import leaf


def public_functions():
    """Those that take arrays, by name: no classes, settings, or what prints and reads files."""
    no_arrays = {"test", "info", "show_config", "show_runtime", "seterr", "seterrcall"}
    no_arrays |= {"setbufsize", "set_printoptions", "printoptions"}
    for prefix, module in (("np", np), ("np.linalg", np.linalg), ("np.fft", np.fft)):
        for name in sorted(module.__all__):  # a set orders it, otherwise in each process
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # some are deprecated
                function = getattr(module, name)
            if callable(function) and not isinstance(function, type) and name not in no_arrays:
                yield f"{prefix}.{name}", function


FUNCTIONS = dict(public_functions())
DISPATCHED = {
    name: function
    for name, function in FUNCTIONS.items()
    if isinstance(function, np.ufunc) or hasattr(function, "_implementation")
}

# What they return of a Tensor and other arguments is not computed from its elements: indices, the
# other arguments as arrays, a rank, a text, an answer about its type; or a number was their size.
PLAIN_ANSWERS = {
    *("np.where", "np.compress", "np.extract", "np.linalg.lstsq"),
    *("np.atleast_1d", "np.atleast_2d", "np.atleast_3d", "np.broadcast_arrays", "np.meshgrid"),
    *("np.base_repr", "np.format_float_positional", "np.format_float_scientific"),
    *("np.isscalar", "np.iterable", "np.issubdtype", "np.promote_types"),
    *("np.tri", "np.tril_indices", "np.triu_indices", "np.bmat"),
}


def calls_with(t):
    for count in (1, 2, 3):
        yield [t] * count
        yield [t] + [2] * (count - 1)
        yield [[t, t]] + [2] * (count - 1)


def leaves_in(result):
    if isinstance(result, (list, tuple)):
        for each in result:
            yield from leaves_in(each)
    elif result is not None:
        yield result


@pytest.mark.parametrize("name", FUNCTIONS)
def test_no_function_drops_a_gradient_silently(name):
    """It returns Tensors, or what is known to have no gradient, or it raises or warns."""
    function = FUNCTIONS[name]
    is_plain = name in PLAIN_ANSWERS or hasattr(implementations.get(function), "__wrapped__")
    for shape in ((), (3,), (2, 2), (2, 2, 2)):
        for arguments in calls_with(leaf(np.arange(1.0, 1 + np.prod(shape)).reshape(shape) / 4)):
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                try:
                    result = function(*arguments)
                except Exception:
                    continue
            for each in leaves_in(result):
                assert not hasattr(each, "dtype") or each.dtype != np.dtype(object), arguments
                assert is_plain or isinstance(each, mg.Tensor), arguments


def refusal_of(name):
    """The error of a function without a rule; its arguments may have to be found."""
    t = leaf([[1.0, 2.0], [3.0, 4.0]])
    messages = []
    for count in range(1, 6):
        for arguments in ([t] * count, [np.sum, t] + [t] * (count - 2), [[t] * count]):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                try:
                    FUNCTIONS[name](*arguments)
                except Exception as error:
                    messages.append(str(error))
    return [message for message in messages if "has no rule" in message]


@pytest.mark.parametrize(
    "name", [name for name, function in DISPATCHED.items() if function not in implementations]
)
def test_a_function_without_a_rule_names_itself(name):
    found = refusal_of(name)
    assert found, name
    for message in found:
        assert re.match(r"np\.[\w.]+ has no rule for Tensors.*t\.detach\(\)\.numpy\(\)$", message)


@pytest.mark.parametrize("name", INSTEAD_OF_FUNCTION)
def test_what_to_write_instead_is_said(name):
    if name in FUNCTIONS:
        assert FUNCTIONS[name] not in implementations, "it has a rule now"
        if FUNCTIONS[name] in DISPATCHED.values():
            assert any(INSTEAD_OF_FUNCTION[name] in message for message in refusal_of(name))
    for function in re.findall(r"np\.[a-z_0-9.]*[a-z0-9]", INSTEAD_OF_FUNCTION[name]):
        if function not in ("np.eye", name):
            assert FUNCTIONS[function] in implementations or function == "np.unique"


def test_functions_that_loop_over_elements_make_no_object_arrays():
    t = leaf([1.0, 2.0])
    for function in (np.vectorize(lambda x: x * 2), np.frompyfunc(lambda x: x * 2, 1, 1)):
        with pytest.raises(TypeError, match=r"has no rule|requires gradients"):
            function(t)


# Older names, and what is of no use for real numbers.
NOT_OURS = {"around", "amax", "amin", "conj", "conjugate", "real"}


def test_every_function_with_a_rule_is_microgradxs_too():
    """`np.f(t)` and `mg.f(t)` are the same op, under all of NumPy's names for it."""
    for name, function in DISPATCHED.items():
        implementation = implementations.get(function)
        short = name.rpartition(".")[2]
        if implementation is None or hasattr(implementation, "__wrapped__") or short in NOT_OURS:
            continue
        ours = getattr(mg, short)
        is_variant = name.startswith("np.linalg.") and hasattr(np, short)
        assert implementation in (ours, getattr(ours, "__wrapped__", ours)) or is_variant, name


def test_weights_of_a_histogram_are_not_dropped():
    x, w = np.array([0.1, 0.2, 0.9]), leaf([1.0, 2.0, 4.0])
    for call in (
        lambda: np.histogram(x, 2, weights=w),
        lambda: np.histogram(x, 2, None, None, w),
        lambda: np.histogram2d(x, x, 2, weights=w),
        lambda: np.histogramdd(x[:, None], 2, weights=w),
    ):
        with pytest.raises(TypeError, match=r"np\.histogram\w* .*bincount\(np\.digitize"):
            call()
    edges = np.histogram_bin_edges(x, 2)
    sums = np.bincount(np.digitize(x, edges[:-1]) - 1, w)
    np.testing.assert_array_equal(sums.data, np.histogram(x, 2, weights=w.data)[0])
    (sums * np.array([1.0, 10.0])).sum().backward()
    np.testing.assert_array_equal(w.grad, [1, 1, 10])
    counts, _ = np.histogram(leaf(x), 2)
    np.testing.assert_array_equal(counts, [2, 1])
