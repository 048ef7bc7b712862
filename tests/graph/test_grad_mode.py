"""Recording or not: `no_grad` and `enable_grad`, by block, function, thread and task."""

import asyncio
import contextvars
import threading

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import microgradx as mg
from tests.helpers import leaf, op_with


def test_no_grad_and_enable_grad_nest():
    w = leaf(3.0)
    assert mg.is_grad_enabled()
    with mg.no_grad():
        assert not mg.is_grad_enabled()
        out = w * w
        assert not out.requires_grad
        assert out.op is None
        assert out.inputs == ()
        with mg.enable_grad():
            assert (w * w).requires_grad
            with mg.no_grad():
                assert not (w * w).requires_grad
            assert mg.is_grad_enabled()
        assert not mg.is_grad_enabled()
    assert mg.is_grad_enabled()
    assert (w * w).requires_grad


def test_leaves_made_inside_no_grad_may_require_gradients():
    with mg.no_grad():
        w = leaf(3.0)
    (w * w).backward()
    assert_array_equal(w.grad, 6.0)


def test_backward_inside_no_grad_follows_what_was_recorded():
    w = leaf(3.0)
    y = w * w
    with mg.no_grad():
        y.backward()
    assert_array_equal(w.grad, 6.0)
    assert type(w.grad) is np.ndarray


def test_both_are_decorators_that_work_at_every_call():
    w = leaf(3.0)

    @mg.no_grad()
    def predict(depth):
        """What it predicts."""
        assert not mg.is_grad_enabled()
        return predict(depth - 1) if depth else w * w

    @mg.enable_grad()
    def train():
        return w * w

    for _ in range(2):
        assert not predict(2).requires_grad
        assert mg.is_grad_enabled()
        with mg.no_grad():
            assert train().requires_grad
            assert not mg.is_grad_enabled()
    assert predict.__name__ == "predict"
    assert predict.__doc__ == "What it predicts."


@pytest.mark.parametrize(
    ("mode", "outside"), [(mg.no_grad, mg.enable_grad), (mg.enable_grad, mg.no_grad)]
)
def test_an_exception_restores_the_mode(mode, outside):
    @mode()
    def fail():
        assert mg.is_grad_enabled() is not before
        raise KeyError("as itself")

    with outside():
        before = mg.is_grad_enabled()
        with pytest.raises(KeyError, match="as itself"):
            fail()
        assert mg.is_grad_enabled() is before


def test_a_failed_backward_restores_the_mode():
    y = op_with(lambda self, g, out, x: g[5])(leaf(1.0))
    with mg.no_grad():
        with pytest.raises(IndexError, match="odd"):
            y.backward(create_graph=True)
        assert not mg.is_grad_enabled()


def in_thread(function):
    results = []
    thread = threading.Thread(target=lambda: results.append(function()))
    thread.start()
    thread.join()
    return results[0]


def test_a_thread_has_a_mode_of_its_own():
    w = leaf(3.0)

    with mg.no_grad():
        assert in_thread(lambda: (w * w).requires_grad)
        assert not (w * w).requires_grad


def test_a_thread_leaves_the_mode_of_others_alone():
    entered, checked = threading.Event(), threading.Event()

    def predict():
        with mg.no_grad():
            entered.set()
            checked.wait()

    thread = threading.Thread(target=predict)
    thread.start()
    entered.wait()
    enabled = mg.is_grad_enabled()
    checked.set()
    thread.join()
    assert enabled


@pytest.mark.parametrize(("mode", "inside"), [(mg.no_grad, False), (mg.enable_grad, True)])
def test_calls_of_a_decorated_function_may_overlap_in_threads(mode, inside):
    entered, may_leave = ([threading.Event() for _ in range(2)] for _ in range(2))
    modes = [[], []]

    @mode()
    def wait(i):
        modes[i].append(mg.is_grad_enabled())
        entered[i].set()
        may_leave[i].wait()
        modes[i].append(mg.is_grad_enabled())

    def call(i):
        wait(i)
        modes[i].append(mg.is_grad_enabled())

    threads = [threading.Thread(target=call, args=(i,)) for i in range(2)]
    for i, thread in enumerate(threads):
        thread.start()
        entered[i].wait()
    for i, thread in enumerate(threads):  # the first to enter is the first to leave
        may_leave[i].set()
        thread.join()
    assert modes == [[inside, inside, True]] * 2


def test_a_context_has_a_mode_of_its_own():
    context, off = contextvars.copy_context(), mg.no_grad()
    context.run(off.__enter__)
    assert mg.is_grad_enabled()
    assert not context.run(mg.is_grad_enabled)
    context.run(off.__exit__, None, None, None)
    assert context.run(mg.is_grad_enabled)


def test_tasks_have_modes_of_their_own():
    seen = {}

    async def predict(entered, checked):
        with mg.no_grad():
            entered.set()
            await checked.wait()
            seen["predicting"] = mg.is_grad_enabled()

    async def train(entered, checked):
        await entered.wait()  # now the other task is inside its no_grad
        seen["training"] = mg.is_grad_enabled()
        checked.set()

    async def both():
        events = asyncio.Event(), asyncio.Event()
        await asyncio.gather(predict(*events), train(*events))

    asyncio.run(both())
    assert seen == {"training": True, "predicting": False}


def test_no_grad_does_not_decorate_what_runs_piece_by_piece():
    def values():
        yield 1

    async def later():
        return 1

    for function in (values, later):
        with pytest.raises(TypeError, match=r"cannot decorate (values|later).*write `with` inside"):
            mg.no_grad()(function)


def test_one_no_grad_can_be_entered_again_and_again():
    w, mode = leaf([1.0]), mg.no_grad()
    for _ in range(2):
        with mode, mode:
            assert not (w * w).requires_grad
        assert (w * w).requires_grad
