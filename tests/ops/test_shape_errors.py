"""Products of shapes that do not fit: what the messages say, and that what they suggest works."""

import itertools
import pickle
import re

import numpy as np
import pytest

import microgradx as mg

SHAPES = [shape for ndim in range(3) for shape in itertools.product((1, 2, 3), repeat=ndim)]
SHAPES += itertools.product((2, 3), repeat=3)

FUNCTIONS = {
    "matmul": lambda x, w: x @ w,
    "dot": np.dot,
    "inner": np.inner,
    "vecdot": np.vecdot,
    "linear": lambda x, w: mg.linear(x, w, np.ones(w.shape[:1])),
    "einsum": lambda x, w: np.einsum("ij,jk", x, w),
    "einsum of stacks": lambda x, w: np.einsum("...ij,...kj->...ik", x, w, optimize=True),
}
OF_ARRAYS = {**FUNCTIONS, "matmul": mg.matmul, "dot": mg.dot, "inner": mg.inner}
OF_ARRAYS |= {
    "vecdot": mg.vecdot,
    "einsum": lambda x, w: mg.einsum("ij,jk", x, w),
    "einsum of stacks": lambda x, w: mg.einsum("...ij,...kj->...ik", x, w),
}


def suggestions(message):
    found = re.search(r"; (?:write )?(.*?)(?: would fit)?$", message)
    return found[1].split(" or ") if found else []


@pytest.mark.parametrize("function", FUNCTIONS)
def test_what_a_message_suggests_works_for_shapes_of_all_ranks(function):
    refused = 0
    for shapes in itertools.product(SHAPES, SHAPES):
        x, y = arrays = [np.ones(shape) for shape in shapes]
        bias = np.ones(shapes[1][:1])
        calls = [
            (OF_ARRAYS[function], arrays, {"x": x, "y": y, "z": bias}),
            (FUNCTIONS[function], list(map(mg.Tensor, arrays)), {"x": x, "y": y, "z": bias}),
            (
                FUNCTIONS[function],
                [mg.Tensor(x, name="x"), mg.Tensor(y, name="w")],
                {"x": x, "w": y, "y": bias},
            ),
        ]
        for call, operands, names in calls:
            try:
                call(*operands)
            except ValueError as error:
                refused += 1
                for expression in suggestions(str(error)):
                    eval(expression, {**vars(mg), **names})
    assert refused


@pytest.mark.parametrize(
    ("x", "w", "message"),
    [
        (
            *((5, 4), (3, 4)),
            "matmul of x (5, 4) and w (3, 4): axis 1 of x, of length 4, must be as long as axis 0 "
            "of w, of length 3; x @ w.T would fit",
        ),
        ((4, 5), (4, 3), "; x.T @ w would fit"),
        ((4, 3), (4, 3), "; x @ w.T or x.T @ w would fit"),
        ((4, 3), (5, 4), "; w @ x would fit"),
        ((7, 4, 3), (7, 4, 2), "axis 2 of x, of length 3, .* axis 1 of w, .*; x.mT @ w would fit"),
        ((7, 4, 3), (2, 3), "; x @ w.T would fit"),
        (
            (3,),
            (2, 3),
            "axis 0 of x, of length 3, must be as long as axis 0 of w, .*; x @ w.T would",
        ),
        ((2, 3), (2,), "; x.T @ w would fit"),
        ((3,), (4,), "matmul of x (3,) and w (4,): .* as long as axis 0 of w, of length 4$"),
        ((4, 3), (2, 5), "as long as axis 0 of w, of length 2$"),
        ((2, 3, 4), (5, 4, 3), "the leading axes (2,) of x and (5,) of w do not broadcast$"),
        ((), (5, 4), "x has no axis to sum over; write x [*] w"),
        ((5, 4), (), "w has no axis to sum over; write x [*] w"),
    ],
)
def test_a_product_of_matrices_says_which_axes_must_agree_and_what_would_fit(x, w, message):
    pattern = re.sub(r"[()]", r"\\\g<0>", message)
    tensors = mg.Tensor(np.ones(x), name="x"), mg.Tensor(np.ones(w), name="w")
    for product in (np.matmul, mg.matmul, lambda x, w: x @ w):
        with pytest.raises(ValueError, match=pattern):
            product(*tensors)
    of_arrays = re.sub(r"\bw\b", "y", pattern)
    with pytest.raises(ValueError, match=of_arrays):
        mg.matmul(np.ones(x), np.ones(w))


def test_names_that_cannot_stand_in_an_expression_are_replaced():
    x, w = mg.Tensor(np.ones((5, 4)), name="y"), mg.Tensor(np.ones((3, 4)), name="0.weight")
    with pytest.raises(ValueError, match=r"matmul of y \(5, 4\) and x .*; y @ x\.T would fit"):
        x @ w


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda x: mg.linear(x, np.ones((4, 3)), np.ones(3)),
            r"as long as axis 1 of y, of length 3, since a weight has shape \(out, in\); "
            r"linear\(x, y\.T, z\) would fit",
        ),
        (lambda x: mg.linear(x, np.ones((3, 4)), np.ones(5)), r"bias z must have shape \(3,\)"),
        (lambda x: mg.linear(x, np.ones((2, 3, 4)), np.ones(5)), r"a weight \(out, in\)"),
        (lambda x: mg.inner(x, np.ones((4, 3))), r"inner\(x, y\.T\) would fit"),
        (lambda x: mg.vecdot(x, np.ones((4, 5))), r"vecdot\(x, y\.T\) or vecdot\(x\.T, y\) would"),
        (lambda x: mg.vecdot(x, np.ones((2, 4))), r"leading axes \(5,\) of x and \(2,\) of y"),
        (lambda x: mg.vecdot(x, 2.0), "y has no axis to sum over"),
        (lambda x: mg.dot(np.ones((2, 3, 4)), x), r"dot\(y, x\.T\) would fit"),
        (lambda x: mg.einsum("ij, jk -> ik", x, np.ones((3, 4))), r"axis 0 of y, of length 3$"),
        (lambda x: mg.einsum("ij,jk->ik", x, np.ones((3, 4))), r'einsum\("ij,kj->ik", x, y\)'),
    ],
)
def test_other_products_do_too(call, message):
    with pytest.raises(ValueError, match=message):
        call(mg.Tensor(np.ones((5, 4)), name="x"))


def test_an_error_about_operands_can_be_sent_to_another_process():
    with pytest.raises(ValueError, match="would fit") as caught:
        mg.matmul(np.ones((2, 3)), np.ones((2, 3)))
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)
