"""Steps: the order, the gradients and the totals are the engine's, and nothing else changes."""

import re
import threading
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import microgradx as mg
from microgradx.engine import sweep
from microgradx.graph.observers import observe, observers
from microgradx.show.formulas.derivations import Formula, Reduce
from microgradx.show.steps.step_builder import steps_of
from tests.engine.test_random_programs import leaves_of, programs, weighted
from tests.helpers import leaf


def back(steps):
    return [step for step in steps if step.kind in ("backward", "sum")]


def contributions_of(output):
    """The contributions of the engine's sweep, in its order, as any observer receives them."""

    class Recorder:
        def forward(self, *result):
            pass

        def backward(self, *contribution):
            contributions.append(contribution)

    contributions = []
    with observe(Recorder()):
        for _ in sweep({output: np.ones(output.shape, output.dtype)}):
            pass
    return contributions


# ---------------------------------------------------------------------------- against the engine


@pytest.mark.slow
@settings(max_examples=60)
@given(programs())
def test_the_steps_of_random_programs_are_the_engines(program):
    leaves = leaves_of(program)
    loss = weighted(program)(*leaves)
    steps = steps_of(loss, limit=10_000)
    assert steps.left_out == (0, 0)
    assert [step.number for step in steps] == list(range(1, len(steps) + 1))

    made = [tensor for tensor in steps.tensors if tensor.op is not None]
    forward = [step for step in steps if step.kind == "forward"]
    assert [step.tensor for step in forward] == made
    for step in forward:
        np.testing.assert_array_equal(step.value, step.tensor.data)

    observed = contributions_of(loss)
    passed = [step for step in steps if step.kind == "backward"]
    assert len(observed) == len(passed)
    for (tensor, receiver, g, gradient), step in zip(observed, passed, strict=True):
        assert step.tensor is tensor
        assert step.receiver is receiver is tensor.inputs[step.position]
        np.testing.assert_array_equal(step.upstream, g)
        np.testing.assert_array_equal(step.value, gradient)

    for tensor in made:
        tensor.retain_grad()
    loss.backward()
    totals = {step.receiver: step.total for step in steps if step.total is not None}
    for tensor in steps.tensors:
        if tensor.requires_grad and tensor.grad is not None:
            np.testing.assert_array_equal(totals.pop(tensor), tensor.grad)
    assert not totals


@settings(max_examples=30)
@given(programs(longest=10), st.integers(1, 25))
def test_of_too_many_steps_those_next_to_the_output_are_given(program, limit):
    loss = weighted(program)(*leaves_of(program))
    every, some = steps_of(loss, limit=10_000), steps_of(loss, limit)
    before, after = some.left_out
    assert len(some) == min(limit, len(every))
    assert before + len(some) + after == len(every)
    expected = every[before : len(every) - after]
    for step, of_all in zip(some, expected, strict=True):
        assert (step.kind, step.tensor, step.formula) == (
            of_all.kind,
            of_all.tensor,
            of_all.formula,
        )
        assert (step.contribution, step.contributions) == (
            of_all.contribution,
            of_all.contributions,
        )
    assert some.tensors == every.tensors


# ---------------------------------------------------------------------------- one by one


def test_a_neuron_step_by_step():
    a, b, c = (leaf(value, name) for value, name in ((2, "a"), (-3, "b"), (10, "c")))
    out = mg.tanh(a * b + c)
    steps = steps_of(out)
    assert [(step.kind, step.formula) for step in steps] == [
        ("forward", "x · y"),
        ("forward", "x + y"),
        ("forward", "tanh x"),
        ("seed", "1"),
        ("backward", "g · (1 - out²)"),
        ("backward", "g · 1"),
        ("backward", "g · 1"),
        ("backward", "g · y"),
        ("backward", "g · x"),
    ]
    assert [step.receiver.name for step in steps[-3:]] == ["c", "a", "b"]
    assert steps.tensors[:2] == [a, b]
    assert steps.tensors[3:] == [c, *out.inputs, out]
    assert (steps.output, steps.note, steps.left_out) == (out, "", (0, 0))
    assert isinstance(steps[:2], list)


def test_a_tensor_that_is_used_twice_receives_two_contributions():
    x = leaf([1.0, -2.0], "x")
    product, _, _, to_product, first, second = steps_of((x * x).sum())
    assert product.tensor is to_product.receiver
    assert [first.position, second.position] == [0, 1]
    assert [(s.contribution, s.contributions) for s in (first, second)] == [(1, 2), (2, 2)]
    np.testing.assert_array_equal(first.total, [1, -2])
    np.testing.assert_array_equal(second.total, [2, -4])


def test_inputs_without_an_answer_are_passed_over():
    class Last(mg.Op):
        def forward(self, x, y, z):
            return z * 2

        def backward(self, g, out, x, y, z):
            return None, None, g * 2

    x = leaf([1.0, 2.0])
    step = steps_of(Last()(x, x, x).sum())[-1]
    assert (step.position, step.contributions) == (2, 1)
    stopped = mg.stop_gradient(x) * x
    assert [step.position for step in back(steps_of(stopped.sum()))] == [0, 0, 1]


def test_what_was_broadcast_is_summed_in_a_step_of_its_own():
    x, b = leaf(np.arange(6.0).reshape(2, 3)), leaf([[1.0, 2.0, 3.0]])
    steps = back(steps_of((x * b + leaf(0.5)).sum()))
    for step, total in pairwise(steps):
        if total.kind == "sum":
            assert (step.tensor, step.receiver) == (total.tensor, total.receiver)
            assert step.total is None
            assert (step.contribution, step.contributions) == (0, 1)
            assert (total.contribution, total.contributions) == (1, 1)
            np.testing.assert_array_equal(total.upstream, step.value)
            np.testing.assert_array_equal(total.value, total.total)
    of_number, of_row = (step for step in steps if step.kind == "sum")
    assert (of_number.axes, of_number.formula) == ((0, 1), "summed over axes 0 and 1")
    assert (of_row.axes, of_row.formula) == ((0,), "summed over axis 0")
    np.testing.assert_array_equal(of_number.value, 6)
    np.testing.assert_array_equal(of_row.value, [[3, 5, 7]])
    assert isinstance(of_row.derivation, Reduce)


def test_three_axes_are_listed():
    x = leaf(np.ones((2, 3, 4)))
    assert back(steps_of((x * leaf(2.0)).sum()))[-1].formula == "summed over axes 0, 1 and 2"


def test_gradients_are_cast_as_the_engine_casts_them():
    x = mg.Tensor([1.0, 2.0], requires_grad=True, dtype=np.float32)
    loss = (x * np.array([0.1, 0.3])).sum()
    step = steps_of(loss)[-1]
    assert (step.value.dtype, step.total.dtype) == (np.float64, np.float32)
    loss.backward()
    np.testing.assert_array_equal(step.total, x.grad)


def test_a_leaf_alone_has_the_seed():
    x = leaf(3.0)
    (seed,) = steps_of(x)
    assert (seed.kind, seed.tensor, seed.receiver, seed.value) == ("seed", x, x, 1)
    assert isinstance(seed.derivation, Formula)
    assert steps_of(mg.Tensor(3.0)).tensors


# ---------------------------------------------------------------------------- no steps back


def test_without_gradients_there_are_forward_steps_and_a_reason():
    x = leaf([1.0, 2.0], "x")
    squares = x * x
    steps = steps_of(squares)
    assert [step.kind for step in steps] == ["forward"]
    assert steps.note == "no gradients: the output has 2 elements, not one"
    squares.name = "squares"
    assert steps_of(squares).note == "no gradients: squares has 2 elements, not one"
    assert steps_of(x.detach()).note == "no gradients: the output does not require any"
    loss = squares.sum()
    x.data = [3.0, 4.0]
    assert steps_of(loss).note == "no gradients: leaves have changed since they were used"
    assert [step.kind for step in steps_of(loss)] == ["forward", "forward"]
    assert steps_of(loss)[0].derivation is None  # the numbers that it came from are gone
    other = leaf(2.0) * 3
    other.backward(retain_graph=False)
    steps = steps_of(other)
    assert steps.note == "no gradients: the graph has been freed"
    assert [(step.kind, step.value) for step in steps] == [("forward", 6)]


# ---------------------------------------------------------------------------- nothing else changes


def classifier():
    generator = np.random.default_rng(0)
    x, w = mg.Tensor(generator.normal(size=(2, 1, 5, 5))), leaf(generator.normal(size=(3, 1, 2, 2)))
    v = leaf(generator.normal(size=(48, 4)))
    hidden = mg.relu(mg.nn.functional.conv2d(x, w))
    normal = mg.nn.functional.layer_norm(np.reshape(hidden, (2, 48)), 48)
    return mg.cross_entropy(normal @ v, np.array([0, 3])), [w, v]


def test_what_ops_kept_for_their_backward_is_still_there():
    loss, leaves = classifier()
    loss.backward()
    expected = [leaf.grad for leaf in leaves]
    loss, leaves = classifier()
    for _ in range(2):
        steps = steps_of(loss)
    assert {"conv2d", "normalise", "softmax_cross_entropy"} <= {s.tensor.op.name for s in steps}
    loss.backward()
    for tensor, gradient in zip(leaves, expected, strict=True):
        np.testing.assert_array_equal(tensor.grad, gradient)


class Consuming(mg.Op):
    """Whose rule makes its answer of the very array that was kept."""

    def forward(self, x):
        return 2 * np.cumsum(x)

    def forward_saving(self, x):
        self.saved = np.full(x.shape, 2.0)
        return self.forward(x)

    def backward(self, g, out, x):
        factor = vars(self).pop("kept", None)
        if factor is None:
            factor = np.full(x.shape, 2.0)
        factor *= np.flip(np.cumsum(np.flip(g)))
        return factor


def test_what_a_rule_may_consume_is_not_consumed():
    x = leaf([1.0, 2.0, 3.0])
    out = Consuming()(x)
    assert steps_of(out)[0].derivation.weights.tolist() == [[2, 2, 2], [0, 2, 2], [0, 0, 2]]
    out.sum().backward()
    np.testing.assert_array_equal(x.grad, [6, 4, 2])


def test_no_gradient_no_hook_and_no_name_is_touched():
    loss, leaves = classifier()
    inner = loss.inputs[0]
    for tensor in (*leaves, inner):
        tensor.register_hook(lambda gradient: pytest.fail("a hook was run"))
    inner.retain_grad()
    steps = steps_of(loss)
    assert len(steps) > 10
    for tensor in steps.tensors:
        assert tensor.grad is None
        assert tensor.name is None
    assert observers.get() == ()


def test_steps_cannot_be_used_to_write_into_tensors():
    x = leaf([1.0, 2.0])
    for step in steps_of((x * x).sum()):
        for array in (step.value, step.total, step.upstream, step.local):
            assert array is None or not array.flags.writeable
        for array in getattr(step.derivation, "operands", {}).values():
            assert not array.flags.writeable


def test_numbers_that_overflow_warn_of_nothing():
    x = leaf([1000.0, 0.0])
    with np.errstate(over="ignore"):
        out = np.exp(x)
    assert steps_of(out.sum())[0].derivation.template == "e^{x}"


# ---------------------------------------------------------------------------- errors and threads


class Broken(mg.Op):
    def forward(self, x):
        return x * 1

    def backward(self, g, out, x):
        raise ValueError("broken")


def test_after_an_error_in_a_rule_nobody_listens():
    steps = steps_of(Broken()(leaf(1.0)))
    assert re.fullmatch("no gradients: the backward of broken of float64 .*: broken", steps.note)
    assert observers.get() == ()
    assert contributions_of(leaf(1.0) * 2)


class Busy(mg.Op):
    """Whose rule computes gradients of other graphs meanwhile: here, and in another thread."""

    def forward(self, x):
        return x * 2

    def backward(self, g, out, x):
        (leaf(3.0) * leaf(4.0)).backward()
        thread = threading.Thread(target=lambda: (leaf(5.0) * leaf(6.0)).backward())
        thread.start()
        thread.join()
        return g * 2


def test_only_the_steps_of_this_sweep_are_logged():
    x = leaf(1.0)
    out = Busy()(x * 1)
    assert [step.receiver for step in back(steps_of(out))] == [out.inputs[0], x]


def test_threads_do_not_hear_each_other():
    def formulas(seed):
        x = leaf(np.random.default_rng(seed).normal(size=(3, 2)))
        for _ in range(30):
            x = np.tanh(x) if seed % 2 else x * 0.9
        return [(s.kind, s.formula, s.value.tolist()) for s in steps_of(x.sum())]

    expected = [formulas(seed) for seed in range(4)]
    found = [None] * 4
    together = threading.Barrier(4)

    def run(seed):
        together.wait()
        found[seed] = [formulas(seed) for _ in range(3)]

    threads = [threading.Thread(target=run, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [[each] * 3 for each in expected]
    assert observers.get() == ()


def test_a_long_chain_is_no_recursion():
    x = leaf(0.5)
    for _ in range(20_000):
        x = np.sin(x)
    steps = steps_of(x, limit=10)
    assert [step.kind for step in steps] == ["forward"] * 5 + ["seed"] + ["backward"] * 4
    assert steps.left_out == (19_995, 19_996)


class Observed(mg.Op):
    """Whose rule, once, has another thread go back through the same graph."""

    output = None

    def forward(self, x):
        return x * 2

    def backward(self, g, out, x):
        output, Observed.output = Observed.output, None
        if output is not None:
            other = threading.Thread(target=lambda: list(sweep({output: np.ones(())})))
            other.start()
            other.join()
        return g * 2


def test_another_threads_sweep_of_the_same_graph_is_not_logged():
    w = leaf(3.0)
    alone = steps_of(Observed()(w) * w)
    Observed.output = output = Observed()(w) * w
    steps = steps_of(output)
    assert Observed.output is None
    assert [step.kind for step in steps] == [step.kind for step in alone]
    assert back(steps)[-1].contributions == 2
    assert back(steps)[-1].total == 12


# ---------------------------------------------------------------------------- textbook formulas

U, V = [0.5, -1.5], [2.0, 0.7]


@pytest.mark.parametrize(
    ("op", "values", "formulas"),
    [
        (mg.arctan2, (U, V), ["y / (x² + y²)", "-x / (x² + y²)"]),
        (mg.sinc, (U,), ["(cos(π · x) - out) / x"]),
        (mg.softplus, (U,), ["1 / (1 + e⁻ˣ)"]),
        (mg.logsigmoid, (U,), ["1 / (1 + eˣ)"]),
        (mg.nn.functional.elu, (U,), ["1 if x > 0 else y · eˣ"]),
        (mg.silu, (U,), ["sigmoid(x) · (1 + x · sigmoid(-x))"]),
        (mg.gelu, (U,), ["(1 + erf(x / √2)) / 2 + x · e^(-x² / 2) / √(2 · π)"]),
        (mg.prod, (U,), ["out / x"]),
        (mg.logsumexp, (U,), ["e^(x - out)"]),
    ],
)
def test_local_derivatives_are_written_as_in_textbooks(op, values, formulas):
    """A wrong formula is never shown, as it does not hold; but then a worse one is."""
    out = op(*map(leaf, values))
    steps = [step for step in back(steps_of(out.sum())) if step.tensor is out]
    assert [step.local_formula for step in steps] == formulas
