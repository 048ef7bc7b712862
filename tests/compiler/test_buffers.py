"""Buffers that a forward changes, and hooks: compiled steps leave what eager ones leave."""

import copy

import numpy as np
import pytest

import microgradx as mg
from microgradx import nn, optim
from tests.compiler.test_steps import batch


class Net(nn.Module):
    """Batch norm, one of which is used twice, between layers."""

    def __init__(self, **settings):
        g = np.random.default_rng(0)
        self.layers = nn.ModuleList(
            nn.Linear(a, b, dtype=np.float64, generator=g) for a, b in ((5, 6), (6, 6), (6, 3))
        )
        self.norms = nn.ModuleList(nn.BatchNorm1d(6, dtype=np.float64, **settings) for _ in "ab")

    def forward(self, x):
        h = mg.relu(self.norms[0](self.layers[0](x)))
        h = mg.relu(self.norms[1](self.layers[1](self.norms[0](h))))
        return self.layers[2](h)


class Pair:
    """A model that is trained eagerly, and a copy that is trained by compiled steps."""

    def __init__(self, model, make_optimizer, loss=mg.cross_entropy):
        self.models = model, copy.deepcopy(model)
        self.optimizers = [make_optimizer(each.parameters()) for each in self.models]
        self.loss = loss
        self.compiled = mg.compile(self.models[1], loss, self.optimizers[1])

    def step(self, X, y):
        loss = self.eager(0, X, y)
        np.testing.assert_allclose(self.compiled(X, y), loss, rtol=1e-9)
        self.compare()

    def eager(self, i, X, y):
        self.optimizers[i].zero_grad()
        loss = self.loss(self.models[i](X), y)
        loss.backward()
        self.optimizers[i].step()
        return loss.item()

    def compare(self):
        expected, ours = (model.state_dict() for model in self.models)
        assert expected.keys() == ours.keys()
        for name, values in expected.items():
            assert ours[name].dtype == values.dtype
            np.testing.assert_allclose(ours[name], values, rtol=1e-7, atol=1e-10, err_msg=name)


def sgd(params):
    return optim.SGD(params, lr=0.1)


def adam(params):
    return optim.Adam(params, lr=0.01)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("momentum", "make_optimizer"),
    [(0.1, adam), pytest.param(None, sgd, marks=pytest.mark.slow)],
)
def test_batch_norm_while_all_changes_that_may(momentum, make_optimizer):
    pair = Pair(Net(momentum=momentum), make_optimizer)
    g = np.random.default_rng(1)
    for rows in (8, 8, 3):
        pair.step(*batch(g, rows, np.float64))
    state = pair.models[0].state_dict()
    for change in (
        lambda model: model.eval(),
        lambda model: model.train(),
        lambda model: model.layers[0].requires_grad_(False),
        lambda model: model.norms[0].eval(),
        lambda model: model.layers[0].requires_grad_(True),
        lambda model: model.train().load_state_dict(state),
    ):
        for model in pair.models:
            change(model)
        pair.step(*batch(g, 8, np.float64))
        pair.step(*batch(g, 8, np.float64))
    X, y = batch(g, 8, np.float64)
    for _ in range(2):  # eager steps of the same model between compiled ones
        pair.eager(0, X, y)
        pair.eager(1, X, y)
        pair.step(X, y)


def test_epochs_of_batch_norm():
    pair = Pair(Net(), adam)
    X, y = batch(np.random.default_rng(1), 27, np.float64)
    for seed in range(2):
        for rows in mg.data.batches(X, y, 8, np.random.default_rng(seed)):
            pair.eager(0, *rows)
        pair.compiled.epoch(X, y, 8, np.random.default_rng(seed))
        pair.compare()
    counts = [int(norm.num_batches_tracked.data) for norm in pair.models[1].norms]
    assert counts == [16, 8]


def test_a_bad_label_or_a_refusal_leaves_running_statistics():
    model = Net()
    step = mg.compile(model, mg.cross_entropy, adam(model.parameters()))
    X, y = batch(np.random.default_rng(1), 8, np.float64)
    for _ in range(3):
        before = model.state_dict()
        with pytest.raises(IndexError, match="label 3 in row 5 is not one of the 3 classes"):
            step(X, np.where(np.arange(8) == 5, 3, y))
        for name, values in model.state_dict().items():
            np.testing.assert_array_equal(values, before[name])
        step(X, y)


class Scaled(nn.Module):
    """Changes a buffer that it has used in the graph."""

    def __init__(self):
        self.weight = mg.Tensor(np.ones((5, 3)), requires_grad=True)
        self.scale = mg.Tensor(np.ones((5, 1)))

    def forward(self, x):
        z = x @ (self.weight * self.scale)
        self.scale.data = self.scale.data * 2
        return z


def test_a_graph_that_used_the_old_values_of_a_buffer_is_refused_as_in_eager_steps():
    X, y = batch(np.random.default_rng(1), 8, np.float64)
    model = Scaled()
    step = mg.compile(model, mg.cross_entropy, sgd([model.weight]))
    with pytest.raises(ValueError, match="was changed after"):  # within the step
        step(X, y)

    model = Net()
    step = mg.compile(model, mg.cross_entropy, sgd(model.parameters()))
    step(X, y)
    scaled = mg.sum(mg.Tensor(1.0, requires_grad=True) * model.norms[0].running_mean)
    step(X, y)
    with pytest.raises(ValueError, match="was changed after"):  # and between them
        scaled.backward()


class Shifting(nn.Module):
    """Buffers that are constants, that exchange their values, and that keep earlier ones."""

    def __init__(self):
        self.weight = mg.Tensor(np.ones((5, 3)), requires_grad=True)
        names = ("first", "second", "latest", "previous", "one_before", "flag", "total", "same")
        for k, name in enumerate(names):
            setattr(self, name, mg.Tensor(np.full(3, float(k))))
        self.count = mg.Tensor(np.array(0, np.int8))

    def forward(self, x):
        z = x @ self.weight
        mean = np.mean(z.data, axis=0)
        self.first.data, self.second.data = self.second.data, self.first.data
        self.one_before.data = self.previous.data
        self.previous.data = self.latest.data
        self.latest.data = mean
        self.flag.data = np.ones(3)
        self.total.data = self.total.data + mean.sum()
        self.total.data = self.total.data + self.latest.data
        self.same.data = self.same.data
        self.count.data = self.count.data + 1
        return z


def test_buffers_that_depend_on_each_other():
    pair = Pair(Shifting(), sgd)
    g = np.random.default_rng(1)
    for _ in range(4):
        pair.step(*batch(g, 4, np.float64))
    assert int(pair.models[1].count.data) == 4


def test_arrays_that_share_memory_with_a_buffer_keep_their_values():
    model = Shifting()
    shared = np.arange(3.0)
    model.latest = mg.as_tensor(shared)
    other = model.latest.detach()
    step = mg.compile(model, mg.cross_entropy, sgd([model.weight]))
    steps = [step, mg.compile(model, mg.cross_entropy, sgd([model.weight]))]
    X, y = batch(np.random.default_rng(1), 4, np.float64)
    for k in range(4):
        steps[k % 2](X, y)
    np.testing.assert_array_equal(shared, np.arange(3.0))
    np.testing.assert_array_equal(other.data, np.arange(3.0))
    assert not np.array_equal(model.latest.data, shared)
    assert all(len(each._programs) == 1 for each in steps)


def test_what_a_buffer_cannot_hold_is_refused_as_in_eager_steps():
    for values, error in ((np.ones(4), ValueError), (np.ones(3, complex), TypeError)):
        model = Shifting()

        def forward(x, model=model, values=values):
            model.flag.data = values
            return x @ model.weight

        with pytest.raises(error):
            mg.compile(forward, mg.cross_entropy, sgd([model.weight]))(
                np.ones((2, 5)), np.array([0, 1])
            )
    model = Shifting()

    def count(x):
        model.count.data = model.count.data + 0.5
        return x @ model.weight

    with pytest.raises(TypeError, match="Cannot cast"):
        mg.compile(count, mg.cross_entropy, sgd([model.weight]))(np.ones((2, 5)), np.array([0, 1]))


def test_the_source_of_batch_norm_can_be_read():
    pair = Pair(Net(), sgd)
    pair.step(*batch(np.random.default_rng(1), 8, np.float64))
    source = pair.compiled.source
    assert "# a new value for running_mean" in source.replace("norms_0_", "")
    assert "integers: Array" not in source  # without annotations of what the file does not import
    exec(compile(source, "training.py", "exec", dont_inherit=True), {"__name__": "training"})


# ---------------------------------------------------------------------------- hooks


HOOKS = {
    "scaled": lambda g: g * 0.5,
    "clipped": lambda g: np.clip(g, -0.01, 0.01),
    "normalised": lambda g: g / (1e-3 + np.sqrt(np.sum(g * g))),
    "selected": lambda g: np.where(np.abs(g) > 0.01, g, 0),
    "of the same size": lambda g: g - np.mean(g),
    "Tensors": lambda g: mg.tanh(mg.as_tensor(g)),
    "another dtype": lambda g: g.astype(np.float32),
}


@pytest.mark.parametrize("name", HOOKS)
def test_hooks_of_parameters_and_of_inner_tensors(name):
    class Hooked(nn.Module):
        def __init__(self):
            g = np.random.default_rng(0)
            self.first = nn.Linear(5, 4, dtype=np.float64, generator=g)
            self.last = nn.Linear(4, 3, dtype=np.float64, generator=g)

        def forward(self, x):
            h = mg.tanh(self.first(x))
            h.register_hook(HOOKS[name])
            return self.last(h)

    pair = Pair(Hooked(), adam)
    g = np.random.default_rng(1)
    handles = [model.last.weight.register_hook(HOOKS[name]) for model in pair.models]
    handles += [model.last.weight.register_hook(HOOKS["scaled"]) for model in pair.models]
    for rows in (8, 8, 3):
        pair.step(*batch(g, rows, np.float64))
    for handle in handles:
        handle.remove()
    pair.step(*batch(g, 8, np.float64))
    for model in pair.models:
        model.first.bias.register_hook(HOOKS[name])
    pair.step(*batch(g, 8, np.float64))


def test_a_hook_of_another_shape_is_refused_as_in_eager_steps():
    model = nn.Linear(5, 3)
    model.weight.register_hook(lambda g: g[0])
    step = mg.compile(model, mg.cross_entropy, sgd(model.parameters()))
    with pytest.raises(ValueError, match="returned a gradient of shape"):
        step(*batch(np.random.default_rng(0)))
