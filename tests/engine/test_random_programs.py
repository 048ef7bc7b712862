"""Programs that nobody thought of: random ones, their gradients against finite differences.

A program is a few lines of NumPy over named arrays, as a person would write them, and a failure
prints it so that it can be pasted and run. Its functions are smooth and its values are kept
small, so that difference quotients can be trusted.
"""

from __future__ import annotations

import string
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import microgradx as mg
from microgradx.engine import sweep
from tests.helpers import leaf

SHAPES = [(), (1,), (3,), (2, 1), (1, 3), (2, 3), (3, 2), (2, 1, 2)]
LARGEST = 18  # elements of an array

# What is written, with x and y as arrays, k as an axis of x.
OF_ONE = [
    "np.tanh({x})",
    "np.sin({x})",
    "np.cos({x})",
    "np.arctan({x})",
    "np.exp(np.tanh({x}))",
    "np.logaddexp({x}, 0)",
    "np.log1p({x} ** 2)",
    "np.sqrt(1 + {x} * {x})",
    "{x} / (1 + {x} * {x})",
    "1 - {x}",
    "-{x}",
    "{x} ** 3",
    "np.sum({x})",
    "np.mean({x})",
    "np.transpose({x})",
    "np.reshape({x}, -1)",
    "{x}[..., None]",
    "np.stack([{x}, {x} * {x}])",
]
OF_AN_AXIS = [
    "np.sum({x}, axis={k})",
    "np.mean({x}, axis={k}, keepdims=True)",
    "np.var({x}, axis={k})",
    "np.prod(np.cos({x}), axis={k}, keepdims=True)",
    "np.cumsum({x}, axis={k})",
    "np.cumprod(np.sin({x}), axis={k})",
    "{x} - np.sum({x}, axis={k}, keepdims=True)",
    "np.flip({x}, {k})",
    "np.roll({x}, 1, axis={k})",
    "np.concatenate([{x}, np.tanh({x})], axis={k})",
    "np.take({x}, [0, 0, -1], axis={k})",
    "np.moveaxis({x}, {k}, 0)",
    "np.expand_dims({x}, {k})",
    "np.broadcast_to({x}, (2, *np.shape({x})))",
    "np.pad({x}, 1)",
    "{x}[::2]",
    "{x}[-1]",
]
OF_TWO = [
    "{x} + {y}",
    "{x} - {y}",
    "{x} * {y}",
    "{x} / (1 + {y} * {y})",
    "np.hypot({x}, np.exp(np.tanh({y})))",
    "np.logaddexp({x}, {y})",
    "np.arctan2({x}, 2 + np.sin({y}))",
    "np.power(1 + {x} * {x}, np.tanh({y}))",
]
NOT_COMPLEX = ("logaddexp", "hypot", "arctan2", "var")


@dataclass
class Program:
    """Lines of NumPy, and numbers to run them on. Its results are what no later line uses."""

    inputs: dict[str, Any]
    lines: list[tuple[str, str]] = field(default_factory=list)
    results: list[str] = field(default_factory=list)

    def __call__(self, *arrays):
        values = dict(zip(self.inputs, arrays, strict=True))
        for name, expression in self.lines:
            result = eval(expression, {"np": np}, values)
            # NumPy's scalars have a power of their own, which may differ in the last place.
            values[name] = result if isinstance(result, mg.Tensor) else np.asarray(result)
        return [values[name] for name in self.results]

    def __str__(self):
        given = [f"{name} = np.array({array.tolist()})" for name, array in self.inputs.items()]
        lines = [f"{name} = {expression}" for name, expression in self.lines]
        return "\n".join(["", *given, *lines, f"results = [{', '.join(self.results)}]"])

    def _repr_pretty_(self, printer, cycle):
        """How Hypothesis prints it."""
        printer.text(str(self))


@st.composite
def programs(draw, longest=30, analytic=False):
    """Each line works on arrays that there are by then, rather on the latest, often on others.

    An analytic program also runs on complex numbers.
    """
    generator = np.random.default_rng(draw(st.integers(0, 3)))
    shapes = draw(st.lists(st.sampled_from(SHAPES), min_size=1, max_size=3))
    names = iter(string.ascii_lowercase + string.ascii_uppercase)
    inputs = {
        next(names): np.asarray(generator.uniform(-1.5, 1.5, shape).round(2)) for shape in shapes
    }
    program = Program(inputs)
    values = dict(inputs)
    unused = set(values)
    for _ in range(draw(st.integers(2, longest))):
        latest = [*values][::-1]
        x = draw(st.sampled_from(latest[:3]) | st.sampled_from(latest))
        shape = np.shape(values[x])
        templates = [*OF_ONE, *(OF_AN_AXIS if shape else ())]
        partners = [y for y in latest if fit(shape, np.shape(values[y]))]
        factors = [y for y in latest if multiply(shape, np.shape(values[y]))]
        templates += OF_TWO * 3 + ["{x} @ {y}"] * (6 if factors else 0)
        if analytic:
            templates = [t for t in templates if not any(name in t for name in NOT_COMPLEX)]
        template = draw(st.sampled_from(templates))
        y = draw(st.sampled_from(factors if "@" in template else partners))
        axis = draw(st.integers(0, len(shape) - 1)) if "{k}" in template else None
        expression = template.format(x=x, y=y, k=axis)
        result = np.asarray(eval(expression, {"np": np}, values))
        if np.size(result) > LARGEST or np.ndim(result) > 3:
            continue
        if np.max(np.abs(result)) > 3:
            expression = f"np.tanh({expression})"
            result = np.asarray(np.tanh(result))
        unused -= {x, y} if "{y}" in template else {x}
        name = next(names)
        values[name] = result
        unused.add(name)
        program.lines.append((name, expression))
    assume(program.lines)
    program.results = [name for name in values if name in unused and name not in inputs]
    return program


def fit(a, b):
    return all(m == n or 1 in (m, n) for m, n in zip(a[::-1], b[::-1], strict=False))


def multiply(a, b):
    return bool(a and b) and a[-1] == b[max(len(b) - 2, 0)] and fit(a[:-2], b[:-2])


def leaves_of(program):
    return [leaf(array) for array in program.inputs.values()]


def weighted(program):
    """The results of a program as one number, with weights that differ."""

    def function(*arrays):
        results = program(*arrays)
        generator = np.random.default_rng(7)
        return sum(np.sum(generator.normal(size=np.shape(out)) * out) for out in results)

    return function


@pytest.mark.slow
@settings(max_examples=100)
@given(programs())
def test_gradients_agree_with_finite_differences(program):
    assert mg.gradcheck(program, list(program.inputs.values()))


def complex_step_gradients(function, arrays):
    """∂f/∂x = Im f(x + ih) / h: a difference quotient without cancellation, so h can be tiny."""
    gradients = [np.zeros_like(x) for x in arrays]
    for i, gradient in enumerate(gradients):
        for index in np.ndindex(gradient.shape):
            moved = [x.astype(complex) for x in arrays]
            moved[i][index] += 1e-30j
            gradient[index] = function(*moved).imag / 1e-30
    return gradients


@settings(max_examples=200)
@given(programs(longest=15, analytic=True))
def test_gradients_equal_complex_steps(program):
    function, leaves = weighted(program), leaves_of(program)
    function(*leaves).backward()
    expected = complex_step_gradients(function, list(program.inputs.values()))
    for x, gradient in zip(leaves, expected, strict=True):
        ours = np.zeros(x.shape) if x.grad is None else x.grad  # an input that no line uses
        scale = 1 + np.max(np.abs(gradient))
        np.testing.assert_allclose(ours, gradient, rtol=0, atol=1e-12 * scale)


def hvp_by_two_sweeps(function, primals, tangents):
    leaves = [leaf(x) for x in primals]
    gradients = dict(sweep({function(*leaves): mg.Tensor(1.0)}, create_graph=True))
    slope = sum(
        np.sum(gradients[x] * v) for x, v in zip(leaves, tangents, strict=True) if x in gradients
    )
    products = dict(sweep({slope: np.ones(())})) if slope.requires_grad else {}
    return [products.get(x, np.zeros(x.shape)) for x in leaves]


@pytest.mark.parametrize("hvp", [mg.hvp, hvp_by_two_sweeps])
@settings(max_examples=40)
@given(programs(longest=10))
def test_hessian_vector_products_are_differences_of_gradients(hvp, program):
    function, primals = weighted(program), tuple(program.inputs.values())
    generator = np.random.default_rng(11)
    tangents = tuple(np.asarray(generator.normal(size=x.shape)) for x in primals)
    every = tuple(range(len(primals)))
    step = 1e-5
    forward, backward = (
        mg.grad(function, every)(*[x + h * v for x, v in zip(primals, tangents, strict=True)])
        for h in (step, -step)
    )
    products = hvp(function, primals, tangents)
    for product, up, down in zip(products, forward, backward, strict=True):
        size = max(1.0, np.max(np.abs(up)))
        np.testing.assert_allclose(product, (up - down) / (2 * step), rtol=1e-6, atol=1e-7 * size)


@settings(max_examples=100)
@given(programs())
def test_values_are_numpys_bit_by_bit_and_a_second_backward_doubles(program):
    leaves = leaves_of(program)
    for ours, plain in zip(program(*leaves), program(*program.inputs.values()), strict=True):
        assert isinstance(ours, mg.Tensor)
        assert not isinstance(plain, mg.Tensor)
        np.testing.assert_array_equal(ours.data, plain)
    loss = weighted(program)(*leaves)
    loss.backward()
    once = [None if x.grad is None else x.grad.copy() for x in leaves]
    loss.backward()
    for x, gradient in zip(leaves, once, strict=True):
        assert (x.grad is None) == (gradient is None)
        if gradient is not None:
            np.testing.assert_array_equal(x.grad, 2 * gradient)


@settings(max_examples=40)
@given(programs(), st.data())
def test_the_order_of_the_contributions_matters_only_to_rounding(program, data):
    # A sweep from each result alone, added up, is the sweep from all of them.
    leaves = leaves_of(program)
    results = program(*leaves)
    apart = [
        mg.autograd.grad(out, leaves, np.ones(out.shape), materialize_grads=True)
        for out in data.draw(st.permutations(results))
    ]
    together = mg.autograd.grad(
        results, leaves, [np.ones(out.shape) for out in results], materialize_grads=True
    )
    for gradient, *parts in zip(together, *apart, strict=True):
        size = max(1.0, *(np.max(np.abs(part)) for part in parts))
        np.testing.assert_allclose(gradient, sum(parts), rtol=1e-10, atol=1e-12 * size)
