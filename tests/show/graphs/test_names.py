"""What Tensors are called: their own names, or those of the caller's variables."""

import sys

import numpy as np

import microgradx as mg
from microgradx.show.graphs.names import MAX_LENGTH, Names

at_module_level = mg.Tensor(1.0)
hidden_by_a_local_one = mg.Tensor(1.0)


def names(*tensors):
    return list(map(Names(sys._getframe(1)).find, tensors))


def test_variables_name_tensors_local_ones_first():
    x, _private = mg.Tensor(1.0), mg.Tensor(2.0)
    hidden_by_a_local_one = mg.Tensor(3.0)
    y = x * 2
    found = names(x, _private, hidden_by_a_local_one, y, at_module_level, mg.Tensor(4.0))
    assert found == ["x", None, "hidden_by_a_local_one", "y", "at_module_level", None]
    assert names(globals()["hidden_by_a_local_one"]) == [None]


def test_a_name_of_its_own_comes_first_and_none_is_written():
    x, y = mg.Tensor(1.0, name="theirs"), mg.Tensor(1.0)
    assert names(x, y) == ["theirs", "y"]
    assert y.name is None


def test_the_first_of_several_variables_wins():
    first = second = mg.Tensor(1.0)
    assert names(second) == ["first"]
    assert first is second


def test_a_constant_is_called_by_the_variable_of_its_array():
    w = mg.Tensor(np.ones(3), requires_grad=True)
    array, other = np.arange(3.0), np.arange(3.0)
    product = w * array
    assert names(product.inputs[1]) == ["array"]
    assert names(mg.Tensor(other)) == [None]  # a copy is another array
    data = w.data
    assert names(mg.as_tensor(data), w * 1.0) == ["data", None]
    results = [w * 2.0]
    values = results[0].data
    assert names(*results, mg.as_tensor(values)) == [None, "values"]


def test_what_a_layer_cast_is_called_by_what_it_was_given():
    layer = mg.nn.Linear(2, 3)
    images = np.array([[1.0, np.nan], [0.1, 2.0]])
    features = mg.Tensor([[0.5, 0.1]])
    assert names(layer(images).inputs[0], layer(features).inputs[0]) == ["images", "features"]
    assert names(layer(images + 1).inputs[0]) == [None]
    assert names(mg.as_tensor(np.float32(0.1))) == [None]


def test_variables_of_the_functions_around():
    outer = mg.Tensor(1.0)

    def inner():
        assert outer is not None
        return names(outer)

    assert inner() == ["outer"]


def test_very_long_names_are_cut():
    fits, is_too_long = (mg.Tensor(1.0, name="a" * length) for length in (MAX_LENGTH, 100_000))
    assert names(fits, is_too_long) == ["a" * MAX_LENGTH, "a" * (MAX_LENGTH - 1) + "…"]
