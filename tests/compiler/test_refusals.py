"""What cannot be compiled is refused at the first call, and nothing has changed by then."""

import copy
import random

import numpy as np
import pytest

import microgradx as mg
from microgradx import nn, optim
from tests.compiler.test_steps import Rolling, SignDescent, batch

# ---------------------------------------------------------------------------- models and losses


class Model(nn.Module):
    """Has parameters, a buffer that each forward changes, a generator, a count, and a list."""

    def __init__(self, middle=lambda h: h):
        generator = np.random.default_rng(0)
        self.first = nn.Linear(5, 4, generator=generator)
        self.last = nn.Linear(4, 3, generator=generator)
        self.dropout = nn.Dropout(0.5, np.random.default_rng(1))
        self.mean = mg.Tensor(np.zeros(4, np.float32))
        self.noise = np.random.default_rng(2)
        self.seen = []
        self.table = np.arange(4.0)
        self.calls = 0
        self.middle = middle

    def forward(self, x):
        self.calls += 1
        self.seen.append(x)
        self.table += 1
        h = self.first(x)
        with mg.no_grad():
            self.mean.data = 0.9 * self.mean.data + 0.1 * np.mean(h.data, axis=0)
        return self.last(self.dropout(self.middle(h)))


class Foreign:
    """An array of another library, which knows nothing of NumPy's protocols."""

    def __array__(self, dtype=None, copy=None):
        raise RuntimeError("on another device")


def call_hook(h, hook):
    h.register_hook(hook)
    return h


def raise_hook_values(g):
    return g if float(np.sum(g)) > 0 else -g


outer_noise = np.random.default_rng(3)

MIDDLES = {
    "branch": lambda h: h if h.sum() > 0 else -h,
    "assertion": lambda h: h * bool((h.data == h.data).all()),
    "item": lambda h: h * h.max().item(),
    "float": lambda h: h / float(np.linalg.norm(h.data)),
    "int": lambda h: h * int(h.data.shape[0] + h.data.argmax()),
    "tolist": lambda h: h * len(h.data.tolist()),
    "plain array": lambda h: h * np.asarray(h.data),
    "loop over values": lambda h: h * sum(1 for x in h.data.ravel() if x > 0),
    "nonzero": lambda h: h * np.nonzero(h.data)[0].size,
    "unique": lambda h: h + np.unique(h.data).size,
    "mask": lambda h: h + h[h.data > 0].sum(),
    "where of a condition": lambda h: h + h[np.where(h.data > 0)].sum(),
    "range of values": lambda h: h * len(range(h.data.astype(int).sum())),
    "write into a parameter": lambda h: np.add(h.inputs[1].data, 1, out=h.inputs[1].data).sum() * h,
    "foreign object": lambda h: h * Foreign(),
    "own randomness": lambda h: h + outer_noise.normal(size=h.shape),
    "NumPy's randomness": lambda h: h + np.random.normal(size=h.shape),  # noqa: NPY002
    "Python's randomness": lambda h: h * random.random(),
    "microgradx's randomness": lambda h: h * mg.common.randomness.default_generator().random(),
    "hook that decides": lambda h: call_hook(h, raise_hook_values),
    "hook that only looks": lambda h: call_hook(h, lambda g: print(end="")),
    "hook that counts": lambda h: call_hook(h, [].append),
    "hook with own randomness": lambda h: call_hook(h, lambda g: g * outer_noise.normal()),
    "Python function": lambda h: h + np.apply_along_axis(np.sum, 0, h.data)[0],
}


class ByValue(SignDescent):
    def update(self, w, g, state):
        w -= self.lr * g if np.sum(g * g) < 1 else self.lr * np.sign(g)


class Periodic(Rolling):
    """Branches on its count, which is known in the first step only."""

    def update(self, w, g, state):
        super().update(w, g, state)
        if state["t"] % 2 == 0:
            w -= g


class Growing(Rolling):
    """Keeps more in its second step."""

    def update(self, w, g, state):
        if state:
            state["second"] = g * 1
        super().update(w, g, state)


class Decaying(Rolling):
    """Keeps a number that is not a count."""

    def update(self, w, g, state):
        state["rate"] = state.get("rate", 1.0) * 0.9
        super().update(w, g, {k: v for k, v in state.items() if k != "rate"})
        w -= state["rate"] * g


class Listing(SignDescent):
    """Has randomness of its own."""

    noise = np.random.default_rng(4)

    def update(self, w, g, state):
        w -= self.lr * (g + self.noise.normal(size=w.shape))


def optimise(kind, **settings):
    return lambda params: kind(params, lr=0.1, **settings)


OPTIMISERS = {
    "SGD": optimise(optim.SGD),
    "momentum": optimise(optim.SGD, momentum=0.9),
    "Adam": optimise(optim.Adam),
    "AdamW": optimise(optim.AdamW),
    "own": optimise(SignDescent),
    "own, with a state": optimise(Rolling),
}
REFUSED_OPTIMISERS = {
    kind.__name__: kind for kind in (ByValue, Periodic, Growing, Decaying, Listing)
}


def everything(model, optimizer):
    """All that a step may change, as values that can be compared."""
    generators = [model.dropout.generator, model.noise, outer_noise, Listing.noise]
    generators.append(mg.common.randomness.default_generator())
    return copy.deepcopy(
        {
            "arrays": {name: x.tobytes() for name, x in model.state_dict().items()},
            "changes": [p.sequence_number for p in (*model.parameters(), *model.buffers())],
            "gradients": [p.grad for p in model.parameters()],
            "hooks": [[*map(id, p.hooks)] for p in model.parameters()],
            "state": repr(optimizer.state),
            "settings": repr(optimizer),
            "generators": [generator.bit_generator.state for generator in generators],
            "NumPy's": np.random.get_state()[1].tolist(),  # noqa: NPY002
            "Python's": random.getstate(),
            "attributes": (model.calls, len(model.seen), model.table.tolist()),
        }
    )


def assert_refused(model, loss, optimizer, error=mg.CaptureError):
    """At the first call, of a step and of an epoch, and in each later one: nothing has changed."""
    before = everything(model, optimizer)
    step = mg.compile(model, loss, optimizer)
    X, y = batch(np.random.default_rng(0), 16)
    order = np.random.default_rng(5)
    for take in (
        lambda: step(X[:8], y[:8]),
        lambda: step.epoch(X, y, 8, order),
        lambda: step(X[:8], y[:8]),
    ):
        with pytest.raises(error):
            take()
        assert everything(model, optimizer) == before
    assert all(type(p.data) is np.ndarray for p in model.parameters())


@pytest.mark.parametrize("name", MIDDLES)
def test_models(name):
    model = Model(MIDDLES[name])
    error = (
        (mg.CaptureError, TypeError, RuntimeError) if name == "foreign object" else mg.CaptureError
    )
    assert_refused(model, mg.cross_entropy, OPTIMISERS["Adam"](model.parameters()), error)


@pytest.mark.parametrize("optimiser", OPTIMISERS)
def test_every_optimiser(optimiser):
    model = Model(MIDDLES["item"])
    assert_refused(model, mg.cross_entropy, OPTIMISERS[optimiser](model.parameters()))


@pytest.mark.parametrize("name", ["branch", "item", "nonzero", "own randomness"])
def test_losses(name):
    model = Model()
    loss = lambda z, y: mg.cross_entropy(MIDDLES[name](z), y)  # noqa: E731
    assert_refused(model, loss, OPTIMISERS["Adam"](model.parameters()))


@pytest.mark.parametrize("name", REFUSED_OPTIMISERS)
def test_updates(name):
    model = Model()
    assert_refused(model, mg.cross_entropy, REFUSED_OPTIMISERS[name](model.parameters(), lr=0.1))


@pytest.mark.parametrize("hook", [raise_hook_values, lambda g: None])
@pytest.mark.parametrize("optimiser", ["SGD", "Adam"])
def test_hooks_of_parameters(hook, optimiser):
    model = Model()
    model.first.weight.register_hook(hook)
    assert_refused(model, mg.cross_entropy, OPTIMISERS[optimiser](model.parameters()))


def test_a_hook_that_comes_later_is_refused_before_the_next_step():
    model = Model()
    optimizer = OPTIMISERS["Adam"](model.parameters())
    step = mg.compile(model, mg.cross_entropy, optimizer)
    X, y = batch(np.random.default_rng(0))
    step(X, y)
    step(X, y)
    model.first.weight.register_hook(lambda g: None)
    before = everything(model, optimizer)
    with pytest.raises(mg.CaptureError, match=r"a hook, '<lambda>', returns None"):
        step(X, y)
    assert everything(model, optimizer) == before


def test_integers_are_no_classes_in_the_first_call():
    model = Model()
    optimizer = OPTIMISERS["Adam"](model.parameters())
    X, y = batch(np.random.default_rng(0))
    before = everything(model, optimizer)
    with pytest.raises(IndexError, match="label 7 in row 2 is not one of the 3 classes"):
        mg.compile(model, mg.cross_entropy, optimizer)(X, np.where(np.arange(8) == 2, 7, y))
    assert everything(model, optimizer) == before
