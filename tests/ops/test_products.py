"""Products of arrays: what einsum reads, the order of multi_dot, and messages about shapes."""

import itertools

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import microgradx as mg
from tests.helpers import leaf
from tests.ops.table.products import EINSUMS

# ---------------------------------------------------------------------------- einsum


@pytest.mark.parametrize("optimize", [False, True, "optimal"])
@pytest.mark.parametrize(("subscripts", "shapes"), [(e[0], e[1:]) for e in EINSUMS])
def test_einsum_of_an_operand_alone_is_linear_in_it(subscripts, shapes, optimize, generator):
    # ⟨g, f(x)⟩ = ⟨∇, x⟩ for each operand, exactly, as the sum is linear in each.
    tensors = [leaf(generator.normal(size=shape)) for shape in shapes]
    out = mg.einsum(subscripts, *tensors, optimize=optimize)
    expected = np.einsum(subscripts, *(t.data for t in tensors), optimize=optimize)
    assert_array_equal(out.data, expected)
    g = generator.normal(size=out.shape)
    out.backward(g)
    for t in tensors:
        assert_allclose(np.sum(t.grad * t.data), np.sum(g * out.data), rtol=1e-11, atol=1e-13)


LISTS = [
    ([[0, 1], [1, 2], [0, 2]], [(2, 3), (3, 4)]),
    ([[0, 1], [1, 2]], [(2, 3), (3, 4)]),
    ([[1, 0]], [(2, 3)]),
    ([[0, 0]], [(3, 3)]),
    ([[0, 0], [0]], [(3, 3)]),
    ([[..., 0], [0, 1], [..., 1]], [(4, 2, 3), (3, 2)]),
    ([[30, 2], [2, 51]], [(2, 3), (3, 4)]),
    ([[30, 2], [2, 5]], [(2, 3), (3, 4)]),
    ([[], [0]], [(), (3,)]),
    ([[], []], [()]),
]


@pytest.mark.parametrize(("lists", "shapes"), LISTS)
def test_einsum_takes_lists_of_numbers(lists, shapes, generator):
    def operands(arrays):
        given = [each for pair in zip(arrays, lists, strict=False) for each in pair]
        return given + lists[len(arrays) :]

    arrays = [generator.normal(size=shape) for shape in shapes]
    expected = np.einsum(*operands(arrays))
    assert_array_equal(mg.einsum(*operands(arrays)), expected)
    tensors = [leaf(x) for x in arrays]
    for out in (mg.einsum(*operands(tensors)), np.einsum(*operands(tensors))):
        assert_array_equal(out.data, expected)
    assert mg.gradcheck(lambda *x: mg.einsum(*operands(x)), arrays, order=2)


def test_einsum_is_one_node_and_says_what_it_sums():
    x = leaf(np.ones((2, 3)))
    out = np.einsum("ij,kj->ik", x, x)
    assert repr(out.op) == "einsum(subscripts='ij,kj->ik')"
    assert out.inputs == (x, x)


@pytest.mark.parametrize(
    ("operands", "message"),
    [
        (("ij", [1.0, 2.0]), "einstein sum subscripts string contains too many subscripts"),
        (("i,j", [1.0]), "more operands provided"),
        (("i.", [1.0]), "ellipsis"),
        (("i->j", [1.0]), "output subscript 'j'|subscript 'j'"),
        (("i->ii", [1.0]), "multiple times"),
        (("i,i", [1.0, 2.0], [1.0, 2.0, 3.0]), "of the letter 'i', axis 0 of x, of length 2, must"),
        (("ii", np.ones((2, 3))), r"collapsing index 'i'|don't match"),
        (("...i->i", np.ones((2, 3))), "ellipsis"),
        (("i?", [1.0]), "invalid subscript"),
        ((), "einstein sum"),
        (([1.0], [52]), "from 0 to 51"),
    ],
)
def test_einsum_says_what_it_cannot_read(operands, message):
    tensors = [leaf(x) if isinstance(x, (list, np.ndarray)) else x for x in operands]
    if operands and not isinstance(operands[0], str):
        tensors[1] = operands[1]
    with pytest.raises(ValueError, match=message):
        mg.einsum(*tensors)


def test_einsum_optimizes_gradients_of_many_operands_too(generator):
    arrays = [generator.normal(size=(3, 3)) for _ in range(5)]
    tensors = [leaf(x) for x in arrays]
    mg.einsum("ab,bc,cd,de,ef->af", *tensors, optimize="greedy").sum().backward()
    before, after = np.linalg.multi_dot(arrays[:2]), np.linalg.multi_dot(arrays[3:])
    assert_allclose(tensors[2].grad, before.T @ np.ones((3, 3)) @ after.T, rtol=1e-12)


# ---------------------------------------------------------------------------- products


def test_dot_of_up_to_two_axes_is_the_node_of_matmul_or_multiply():
    x = leaf(np.ones((2, 2)))
    assert type(np.dot(x, x).op) is type((x @ x).op)
    assert np.dot(x, 2.0).op is mg.multiply
    assert x.dot(np.ones(2)).op is mg.matmul


def test_multi_dot_multiplies_in_the_cheapest_order():
    column, row, matrix = (leaf(np.ones(s)) for s in [(9, 1), (1, 9), (9, 9)])
    assert mg.multi_dot([matrix, column, row]).inputs[1] is row
    assert mg.multi_dot([column, row, matrix]).inputs[0] is column


def test_multi_dot_multiplies_in_an_order_that_costs_least():
    for order in itertools.permutations([2, 3, 7, 5, 4]):
        check_multi_dot(order)


def check_multi_dot(order):
    arrays = [np.ones(pair) for pair in itertools.pairwise(order)]
    out = mg.multi_dot([leaf(x) for x in arrays])
    assert_allclose(out.data, np.linalg.multi_dot(arrays))

    def cost(tensor):
        if tensor.op is None:
            return 0
        x, y = tensor.inputs
        return x.shape[0] * x.shape[1] * y.shape[1] + cost(x) + cost(y)

    def least(lengths):
        inner = range(1, len(lengths) - 1)
        products = (
            least(lengths[: k + 1]) + least(lengths[k:]) + lengths[0] * lengths[k] * lengths[-1]
            for k in inner
        )
        return min(products, default=0)

    assert cost(out) == least(order)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda t: mg.tensordot(t, np.ones((3, 2))), r"tensordot of shapes \(2, 3\) and \(3, 2\)"),
        (lambda t: mg.tensordot(t, t, axes=([5], [0])), "axis 5 is out of bounds"),
        (lambda t: mg.tensordot(t, t, axes=([0, 1], [0])), "same lengths"),
        (lambda t: mg.inner(t, np.ones(2)), "inner .*axis 1 of x, of length 3, must be as long as"),
        (lambda t: mg.dot(t, t), r"matmul of x \(2, 3\) and y \(2, 3\)"),
        (lambda t: mg.vdot(t, np.ones(5)), "matmul"),
        (lambda t: mg.vecdot(t, np.ones(2)), r"vecdot of x \(2, 3\) and y \(2,\)"),
        (lambda t: mg.vecdot(t, t, axis=2), "axis 2 is out of bounds"),
        (lambda t: mg.matvec(t, np.ones(2)), r"matmul of x \(2, 3\) and y \(2, 1\)"),
        (lambda t: mg.multi_dot([t]), "at least two arrays, not 1"),
        (lambda t: mg.multi_dot([t, np.ones(3), t]), r"\(3,\).*all must be matrices"),
        (lambda t: mg.multi_dot([t, t]), "matmul"),
        (lambda t: mg.matrix_transpose(t[0]), r"shape \(3,\): a matrix has two axes"),
    ],
)
def test_products_say_which_shapes_do_not_fit(call, message):
    with pytest.raises(ValueError, match=message):
        call(leaf(np.ones((2, 3))))
