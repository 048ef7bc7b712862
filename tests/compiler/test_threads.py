"""Compiled functions and steps in several threads, and what other threads do meanwhile."""

import pickle
import sys
import threading

import numpy as np
import pytest

import microgradx as mg
from microgradx import nn, optim


@pytest.fixture(autouse=True)
def frequent_switches():
    """Threads take turns after every few lines."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def run_together(*functions):
    """Run functions in a thread each, which begin at the same time; their results in order."""
    begin = threading.Barrier(len(functions), timeout=60)
    results, errors = [None] * len(functions), []

    def run(i, function):
        begin.wait()
        try:
            results[i] = function()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=pair) for pair in enumerate(functions)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return results


def make_net(seed=0):
    return nn.MLP(4, (16,), 3, "tanh", dtype=np.float64, generator=np.random.default_rng(seed))


def make_batch(generator):
    return generator.normal(size=(32, 4)), generator.integers(0, 3, 32)


# ---------------------------------------------------------------------------- functions


def test_each_call_of_a_function_has_arrays_of_its_own():
    def slope(x):
        return np.sum(np.tanh(np.sin(x) * x + np.exp(-x * x)) ** 2)

    eager = mg.value_and_grad(slope)
    compiled = mg.compile(eager)
    inputs = [np.full(2000, 0.1 * k) for k in range(8)]
    expected = [compiled(x) for x in inputs]

    def call(x):
        return lambda: [compiled(x) for _ in range(50)]

    for ours, (value, gradient) in zip(run_together(*map(call, inputs)), expected, strict=True):
        for other_value, other_gradient in ours:
            np.testing.assert_array_equal(other_value, value)
            np.testing.assert_array_equal(other_gradient, gradient)


def test_threads_that_call_a_function_with_arrays_of_many_shapes():
    compiled = mg.compile(lambda x: np.sin(x) * 2)

    def call(start):
        def run():
            for k in range(40):
                x = np.full(1 + (start + 3 * k) % 20, 0.1 * k)
                np.testing.assert_array_equal(compiled(x), np.sin(x) * 2)

        return run

    run_together(*map(call, range(6)))
    assert compiled.source


# ---------------------------------------------------------------------------- steps


@pytest.mark.parametrize("make", [lambda p: optim.SGD(p, 0.1), lambda p: optim.Adam(p, 0.01)])
def test_a_step_is_taken_by_one_thread_at_a_time(make):
    """Equal batches in any order are the same steps, if none is torn."""
    X, y = make_batch(np.random.default_rng(0))
    nets = [make_net() for _ in range(2)]
    shared, alone = (mg.compile(net, mg.cross_entropy, make(net.parameters())) for net in nets)
    losses = run_together(*[lambda: [shared(X, y) for _ in range(10)]] * 6)
    expected = [alone(X, y) for _ in range(60)]
    assert sorted(np.ravel(losses), reverse=True) == expected
    for ours, theirs in zip(*(net.parameters() for net in nets), strict=True):
        np.testing.assert_array_equal(ours.data, theirs.data)
    assert shared.source == alone.source


def test_steps_are_traced_alike_while_other_threads_compute():
    X, y = make_batch(np.random.default_rng(1))

    def train(seed):
        net = make_net(seed)
        step = mg.compile(net, mg.cross_entropy, optim.Adam(net.parameters(), 0.01))
        losses = [step(X, y) for _ in range(5)]
        return losses, step.source, [p.data for p in net.parameters()]

    expected = [train(seed) for seed in range(6)]
    together = run_together(*[lambda seed=seed: train(seed) for seed in range(6)])
    for ours, theirs in zip(together, expected, strict=True):
        assert ours[:2] == theirs[:2]
        for p, q in zip(ours[2], theirs[2], strict=True):
            np.testing.assert_array_equal(p, q)


class Paused(nn.Module):
    """In each forward in the thread that made it, waits until another has done something."""

    def __init__(self, net, act):
        self.net = net
        self.act = act
        self.thread = threading.get_ident()

    def forward(self, x):
        if threading.get_ident() == self.thread:
            run_together(self.act)
        return self.net(x)


def test_a_model_that_is_traced_is_as_ever_in_other_threads():
    X, y = make_batch(np.random.default_rng(2))
    net = make_net()
    weight = next(net.parameters())
    total = weight.data.sum()
    expected = net(X).data.copy()
    mg.cross_entropy(net(X), y).backward()
    gradients = [p.grad for p in net.parameters()]
    seen = []

    def act():
        assert type(weight.data) is np.ndarray
        np.testing.assert_array_equal(net(X).data, expected)
        np.testing.assert_array_equal(np.sum(weight).data, total)
        slopes = mg.autograd.grad(mg.cross_entropy(net(X), y), [*net.parameters()])
        for slope, gradient in zip(slopes, gradients, strict=True):
            np.testing.assert_array_equal(slope.data, gradient)
        copy = pickle.loads(pickle.dumps(net))
        assert type(next(copy.parameters())) is mg.Tensor
        np.testing.assert_array_equal(copy(X).data, expected)
        seen.append(1)

    model = Paused(net, act)
    step = mg.compile(model, mg.cross_entropy, optim.SGD(net.parameters(), 0.1))
    alone = make_net()
    step_alone = mg.compile(alone, mg.cross_entropy, optim.SGD(alone.parameters(), 0.1))
    assert step(X, y) == step_alone(X, y)
    assert len(seen) >= 2
    assert step.source.partition("import")[2] == step_alone.source.partition("import")[2]
    for ours, theirs in zip(net.parameters(), alone.parameters(), strict=True):
        assert type(ours) is mg.Tensor
        np.testing.assert_array_equal(ours.data, theirs.data)


def test_attributes_of_modules_stay_while_a_step_is_traced():
    """What forward sets is undone, and what it leaves alone is there at any time."""
    net = make_net()
    done = threading.Event()

    class Counted(nn.Module):
        def __init__(self):
            self.net = net
            self.calls = 0

        def forward(self, x):
            self.calls += 1
            self.latest = x
            return self.net(x)

    model = Counted()

    def look():
        while not done.is_set():
            assert model.net is net

    def train():
        try:
            for rows in range(1, 15):
                step(np.ones((rows, 4)), np.zeros(rows, int))
        finally:
            done.set()

    step = mg.compile(model, mg.cross_entropy, optim.SGD(net.parameters(), 0.1))
    run_together(look, train)
    assert model.calls == 0
    assert not hasattr(model, "latest")


def test_observers_hear_every_op():
    """A step, an epoch and a function that are compiled run eagerly where something observes."""
    from microgradx.graph.observers import observe

    class Heard:
        def __init__(self):
            self.forwards, self.backwards = [], []

        def forward(self, op, inputs, out):
            self.forwards.append(op.name)

        def backward(self, out, x, g, gradient):
            self.backwards.append(out.op.name)

    X, y = make_batch(np.random.default_rng(0))
    net = make_net()
    step = mg.compile(net, mg.cross_entropy, optim.SGD(net.parameters(), 0.1))
    function = mg.compile(mg.grad(lambda x: mg.sum(mg.exp(x))))
    step(X, y), step.epoch(X, y, 16), function(X)  # they are compiled by now
    for run, op in [
        (lambda: step(X, y), "tanh"),
        (lambda: step.epoch(X, y, 16), "tanh"),
        (lambda: function(X), "exp"),
    ]:
        with observe(Heard()), observe(heard := Heard()):
            run()
        assert op in heard.forwards
        assert op in heard.backwards


def test_anomalies_in_compiled_steps_and_functions_are_found():
    net = nn.Linear(2, 2, dtype=np.float64)
    step = mg.compile(net, lambda z, y: mg.sum(mg.log(z * 0)), optim.SGD(net.parameters(), 0.1))
    X, y = np.ones((1, 2)), np.zeros(1, int)
    function = mg.compile(mg.grad(lambda x: mg.sum(mg.log(x * 0))))
    with np.errstate(all="ignore"):
        before = net.state_dict()
        step(X, y), function(X)
        net.load_state_dict(before)
        for run in (lambda: step(X, y), lambda: function(X)):
            with pytest.raises(mg.AnomalyError, match="log"), mg.detect_anomaly():
                run()
