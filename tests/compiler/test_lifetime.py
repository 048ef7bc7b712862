"""What is compiled is freed as soon as nothing refers to it, without the garbage collector."""

import gc
import linecache
import weakref

import numpy as np
import pytest

import microgradx as mg
from microgradx import nn, optim
from microgradx.compiler.module_text import PROGRAMS
from microgradx.compiler.tracing import CaptureError
from tests.compiler.test_steps import OPTIMISERS

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def no_collector():
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def train(make_optimizer=lambda params: optim.Adam(params, 0.01)):
    """A step on batches of many shapes: more than the programs that are kept."""
    net = nn.MLP(5, (6,), 3, dropout=0.5)
    step = mg.compile(net, mg.cross_entropy, make_optimizer(net.parameters()))
    for rows in range(1, PROGRAMS + 4):
        step(np.ones((rows, 5), np.float32), np.zeros(rows, int))
    step.epoch(np.ones((9, 5), np.float32), np.zeros(9, int), 4)
    assert step.source
    return step


def call_functions():
    compiled = mg.compile(mg.grad(lambda x: np.sum(mg.erf(x) * mg.softmax(np.exp(x)))))
    for size in range(1, PROGRAMS + 4):
        compiled(np.ones(size))
    return compiled


def be_refused():
    net = nn.Linear(2, 3)
    step = mg.compile(net, lambda z, y: z.sum().item(), optim.SGD(net.parameters(), 0.1))
    for run in (
        lambda: mg.compile(lambda x: x if x[0] > 0 else -x)(np.ones(3)),
        lambda: step(np.ones((2, 2), np.float32), np.zeros(2, int)),
    ):
        with pytest.raises(CaptureError):
            run()


@pytest.mark.parametrize("run", [train, call_functions, be_refused])
def test_nothing_is_left_for_the_garbage_collector(run):
    for _ in range(2):  # the first time, caches are filled
        gc.collect()
        run()
        found = gc.collect()
    assert found == 0


@pytest.mark.parametrize("name", OPTIMISERS)
def test_steps_of_every_optimiser_leave_nothing(name):
    train(OPTIMISERS[name])
    gc.collect()
    train(OPTIMISERS[name])
    assert gc.collect() == 0


def test_programs_and_their_text_go_with_what_was_compiled():
    def sources():
        return [name for name in linecache.cache if name.startswith("<compiled")]

    before = sources()
    for make in (train, call_functions):
        compiled = make()
        programs = [weakref.ref(program) for program in compiled._programs.values()]
        assert len(programs) == PROGRAMS
        assert len(sources()) == len(before) + PROGRAMS
        del compiled
        assert not any(program() for program in programs)
        assert sources() == before


def test_a_trace_keeps_no_array_alive():
    class Model(nn.Module):
        def __init__(self):
            self.linear = nn.Linear(2, 3)

        def forward(self, x):
            out = self.linear(x)
            seen.append(weakref.ref(out))
            return out

    seen = []
    net = Model()
    step = mg.compile(net, mg.cross_entropy, optim.SGD(net.parameters(), 0.1))
    step(np.ones((4, 2), np.float32), np.zeros(4, int))
    assert seen
    assert not any(out() for out in seen)
