"""How gradients come into `.grad`: whatever interrupts a backward, those of all leaves, or none."""

import itertools
import sys

import numpy as np
import pytest

import microgradx as mg
from microgradx.graph import accumulation
from tests.helpers import assert_owned, leaf

# Nothing else writes to `grad`, and it takes minutes to interrupt the sweep everywhere.
WHERE = (mg.Tensor.backward.__code__, accumulation.accumulate_gradients.__code__)


class Interrupt(BaseException):
    """As Ctrl-C raises KeyboardInterrupt, at any moment."""


def interrupted_at(moment, function):
    """Raise Interrupt at the given instruction of a function; returns whether it came that far."""
    moments = itertools.count()

    def trace(frame, event, _):
        if frame.f_code not in WHERE:
            return None
        frame.f_trace_opcodes = True
        if event == "opcode" and next(moments) == moment:
            raise Interrupt
        return trace

    outside = sys.gettrace()  # of a measurement of coverage, say
    sys.settrace(trace)
    try:
        function()
    except Interrupt:
        if accumulation._accumulating.locked():  # interrupted as it left `with`, where no signal is
            accumulation._accumulating.release()  # handled
        return True
    finally:
        sys.settrace(outside)
    return False


@pytest.mark.parametrize("settings", [{}, {"retain_graph": False}, {"create_graph": True}], ids=str)
@pytest.mark.parametrize("before", [None, 10.0], ids=["the first", "an accumulating"])
def test_an_interrupted_backward_adds_all_gradients_or_none(before, settings):
    moment, outcomes = 0, set()
    while True:
        leaves = [leaf([1.0, 2.0]) for _ in range(3)]
        for w in leaves:
            w.grad = before if before is None else np.full(2, before)
        inner = [(w * w).retain_grad() for w in leaves]
        loss = sum(x.sum() for x in inner)
        was_interrupted = interrupted_at(moment, lambda: loss.backward(**settings))  # noqa: B023
        has_been_added = {
            w.grad is not None
            and not np.array_equal(np.asarray(mg.as_tensor(w.grad).data), [before] * 2)
            for w in [*leaves, *inner]
        }
        assert len(has_been_added) == 1, f"half of them, at instruction {moment}"
        outcomes |= has_been_added
        for w in leaves:
            w.grad = None
        if not was_interrupted:
            assert outcomes == {True, False}
            return
        moment += 1


def test_sums_are_owned_also_when_a_gradient_is_shared():
    a, b = leaf([1.0, 2.0]), leaf([3.0, 4.0])
    for _ in range(2):
        (a + b).sum().backward()
        assert_owned(a.grad, b.grad, a.data, b.data)
    np.testing.assert_array_equal(a.grad, [2.0, 2.0])
