"""Compiled training steps against eager ones, while everything changes that may change."""

import runpy
import subprocess
import sys

import numpy as np
import pytest

import microgradx as mg
from microgradx import nn, optim
from microgradx.compiler import module_text as source_module

OPTIMISERS = {
    "SGD": lambda params: optim.SGD(params, lr=0.1),
    "momentum": lambda params: optim.SGD(params, lr=0.05, momentum=0.9, dampening=0.1),
    "Nesterov": lambda params: optim.SGD(params, lr=0.05, momentum=0.9, nesterov=True),
    "weight decay": lambda params: optim.SGD(params, lr=0.05, weight_decay=0.1),
    "Adam": lambda params: optim.Adam(params, lr=0.01, weight_decay=0.01),
    "AdamW": lambda params: optim.AdamW(params, lr=0.01),
    "AMSGrad": lambda params: optim.AdamW(params, lr=0.01, amsgrad=True, maximize=True),
    "RMSprop": lambda params: optim.RMSprop(params, lr=0.01, weight_decay=0.1),
    "RMSprop, centered": lambda params: optim.RMSprop(
        params, lr=0.01, momentum=0.9, centered=True, eps=1e-3
    ),
    "Adagrad": lambda params: optim.Adagrad(params, lr_decay=0.1, initial_accumulator_value=0.1),
    "Lion": lambda params: optim.Lion(params, lr=0.01, weight_decay=0.1),
    "own": lambda params: SignDescent(params, lr=0.01),
    "own, with a state": lambda params: Rolling(params, lr=0.01),
}


class SignDescent(optim.Optimizer):
    """A user's optimiser, called for each parameter."""

    def update(self, w, g, state):
        w -= self.lr * np.sign(g) * np.sqrt(np.mean(g * g))


class Rolling(optim.Optimizer):
    """Keeps an array and a count in its state."""

    buffers = ("mean",)
    counters = ("t",)

    def update(self, w, g, state):
        if not state:
            state.update(t=0, mean=np.zeros_like(w))
        state["t"] += 1
        state["mean"] *= 0.5
        state["mean"] += g
        w -= self.lr / state["t"] * state["mean"]


def batch(generator, rows=8, dtype=np.float32):
    return generator.normal(size=(rows, 5)).astype(dtype), generator.integers(0, 3, rows)


class Pair:
    """Two copies of a model with its optimiser: one is trained eagerly, one compiled."""

    def __init__(self, make_model, make_optimizer, loss=mg.cross_entropy, dtype=np.float32):
        self.dtype = dtype
        self.loss = loss
        self.models = [make_model(np.random.default_rng(3)) for _ in range(2)]
        self.optimizers = [make_optimizer(model.parameters()) for model in self.models]
        self.compiled = mg.compile(self.models[1], loss, self.optimizers[1])

    def eager(self, X, y):
        self.optimizers[0].zero_grad()
        loss = self.loss(self.models[0](X), y)
        loss.backward()
        self.optimizers[0].step()
        return loss.item()

    def step(self, X, y):
        expected, loss = self.eager(X, y), self.compiled(X, y)
        assert type(loss) is float
        assert loss == pytest.approx(expected, rel=self.rtol)
        self.compare()

    @property
    def rtol(self):
        # Adam divides rounding errors of sums by the size of a gradient, which may be small.
        return {np.float64: 1e-12, np.float32: 1e-5, np.float16: 4e-3}[self.dtype]

    def compare(self):
        for eager, ours in zip(*(model.parameters() for model in self.models), strict=True):
            close(ours.data, eager.data, self.rtol)
        for eager, ours in zip(*(each.state for each in self.optimizers), strict=True):
            assert ours.keys() == eager.keys()
            for name, value in eager.items():
                close(np.asarray(ours[name]), np.asarray(value), self.rtol)


def close(ours, expected, rtol):
    assert (ours.shape, ours.dtype) == (expected.shape, expected.dtype)
    size = np.max(np.abs(expected), initial=0)
    np.testing.assert_allclose(ours, expected, rtol=rtol, atol=rtol * size)


def run_source(step, path):
    """Save the source and run it: returns the losses that it prints."""
    step.save(path)
    run = subprocess.run([sys.executable, "-I", path], capture_output=True, text=True, check=True)
    return [float(line.rpartition(" ")[2]) for line in run.stdout.splitlines()]


def mlp(dtype=np.float32, **settings):
    return lambda generator: nn.MLP(5, (7, 6), 3, dtype=dtype, generator=generator, **settings)


@pytest.fixture
def generator():
    return np.random.default_rng(0)


# ---------------------------------------------------------------------------- the same numbers


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", OPTIMISERS)
def test_every_optimiser(name, dtype, generator):
    pair = Pair(mlp(dtype), OPTIMISERS[name], dtype=dtype)
    for _ in range(5):
        pair.step(*batch(generator, dtype=dtype))


@pytest.mark.parametrize("activation", ["relu", "tanh", "sigmoid"])
def test_every_activation(activation, generator):
    pair = Pair(mlp(np.float64, activation=activation), OPTIMISERS["SGD"], dtype=np.float64)
    for _ in range(3):
        pair.step(*batch(generator, dtype=np.float64))


LOSSES = {
    "sum": lambda z, y: mg.cross_entropy(z, y, reduction="sum"),
    "smoothed": lambda z, y: mg.cross_entropy(z, y, label_smoothing=0.1),
    "weighed": lambda z, y: mg.cross_entropy(z, y, weight=[0.2, 1.0, 3.0]),
    "ignoring": lambda z, y: mg.cross_entropy(z, y, ignore_index=2),
    "composed": lambda z, y: mg.cross_entropy(z, y, fused=False),
    "penalty": lambda z, y: mg.cross_entropy(z, y) + 0.01 * mg.sum(z * z),
    "rows": lambda z, y: mg.mean(mg.cross_entropy(z, y, reduction="none")),
    "nll": lambda z, y: mg.nll_loss(mg.log_softmax(z), y),
    "hinge": lambda z, y: mg.mean(mg.relu(1 - z[np.arange(len(z)), y])),
    "module": nn.CrossEntropyLoss(),
    "squares": lambda z, y: mg.mse_loss(z, y[:, None] == np.arange(3)),
    "absolute": lambda z, y: mg.l1_loss(z[:, 0], y * 1.0),
    "huber": lambda z, y: nn.HuberLoss(delta=0.3)(z[:, 1], y),
}


@pytest.mark.parametrize("name", LOSSES)
def test_losses(name, generator):
    pair = Pair(mlp(np.float64), OPTIMISERS["Adam"], LOSSES[name], dtype=np.float64)
    for _ in range(3):
        pair.step(*batch(generator, dtype=np.float64))


def test_probabilities_as_targets(generator):
    pair = Pair(mlp(np.float64), OPTIMISERS["SGD"], dtype=np.float64)
    for _ in range(3):
        X, _ = batch(generator, dtype=np.float64)
        pair.step(X, np.asarray(mg.softmax(generator.normal(size=(8, 3)))))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("classes", [2, 3, 70])
@pytest.mark.parametrize("size", [1, 30, 300, 3e4])
def test_logits_of_any_size(size, classes, dtype, generator):
    # Exponentials of large logits overflow, or all but the largest vanish.
    def make(g):
        return nn.Linear(5, classes, dtype=dtype, generator=g)

    pair = Pair(make, OPTIMISERS["SGD"], dtype=dtype)
    for _ in range(3):
        X, _ = batch(generator, dtype=dtype)
        pair.step(X * dtype(size), generator.integers(0, classes, 8))


def test_a_float64_table_trains_a_float32_net(generator):
    pair = Pair(mlp(), OPTIMISERS["Adam"])
    for _ in range(3):
        pair.step(*batch(generator, dtype=np.float64))


# ---------------------------------------------------------------------------- what changes


def test_dropout_draws_other_masks_in_each_step_the_same_as_eager(generator):
    pair = Pair(mlp(dropout=0.5), OPTIMISERS["Adam"])
    X, y = batch(generator)
    losses = []
    for _ in range(5):
        pair.step(X, y)
        losses.append(pair.eager(X, y))
        pair.compiled(X, y)
    assert len(set(losses)) == 5


def test_the_default_generator_is_that_of_each_step(generator):
    drop = nn.Dropout(0.5)

    def loss_of_some(z, y):
        return mg.cross_entropy(drop(z), y)

    pair = Pair(mlp(), OPTIMISERS["SGD"], loss_of_some)
    for seed in range(3):
        X, y = batch(generator)
        mg.manual_seed(seed)
        loss = pair.eager(X, y)
        mg.manual_seed(seed)
        assert pair.compiled(X, y) == pytest.approx(loss, rel=pair.rtol)
        pair.compare()


def test_a_scheduled_learning_rate_is_followed_without_a_new_trace(generator):
    pair = Pair(mlp(), OPTIMISERS["Adam"])
    pair.step(*batch(generator))
    pair.step(*batch(generator))
    source = pair.compiled.source
    for rate in (0.1, 0.0, 1e-3):
        for optimizer in pair.optimizers:
            optimizer.lr = rate
        pair.step(*batch(generator))
    assert pair.compiled.source is source


def test_other_settings_of_the_optimiser_are_traced_anew(generator):
    pair = Pair(mlp(), OPTIMISERS["weight decay"])
    for decay in (0.1, 0.5, 0.0):
        for optimizer in pair.optimizers:
            optimizer.weight_decay = decay
        pair.step(*batch(generator))


def test_evaluation_mode_and_frozen_parameters_are_traced_anew(generator):
    pair = Pair(mlp(dropout=0.5), OPTIMISERS["SGD"])
    pair.step(*batch(generator))
    for model in pair.models:
        model.eval()
    pair.step(*batch(generator))
    pair.step(*batch(generator))
    for model in pair.models:
        model.train()
    pair.step(*batch(generator))


def test_other_shapes_and_dtypes_are_traced_anew_and_kept_in_bounds(generator):
    pair = Pair(mlp(), OPTIMISERS["Adam"])
    for rows in (8, 3, 8, 1, 3):
        pair.step(*batch(generator, rows))
    for rows in range(1, 2 * source_module.PROGRAMS):
        pair.step(*batch(generator, rows))
    assert len(pair.compiled._programs) == source_module.PROGRAMS
    X, y = batch(generator)
    pair.step(X.tolist(), y.astype(np.int32))


def test_arrays_of_any_layout(generator):
    pair = Pair(mlp(), OPTIMISERS["SGD"])
    X, y = batch(generator, 16)
    for _ in range(2):
        pair.step(X[::2], y[::2])
        pair.step(np.asfortranarray(X[:8]), y[8:])


def test_eager_and_compiled_steps_take_turns(generator):
    pair = Pair(mlp(), OPTIMISERS["Adam"])
    for _ in range(3):
        pair.step(*batch(generator))
        X, y = batch(generator)
        pair.eager(X, y)
        pair.optimizers[1].zero_grad()
        mg.cross_entropy(pair.models[1](X), y).backward()
        pair.optimizers[1].step()
        pair.compare()


def test_new_values_of_parameters_and_states_that_are_loaded_are_used(generator):
    pair = Pair(mlp(), OPTIMISERS["Adam"])
    for _ in range(3):
        pair.step(*batch(generator))
    states = [model.state_dict() for model in pair.models]
    of_optimisers = [optimizer.state_dict() for optimizer in pair.optimizers]
    pair.step(*batch(generator))
    for model, state in zip(pair.models, states, strict=True):
        model.load_state_dict(state)
    for optimizer, state in zip(pair.optimizers, of_optimisers, strict=True):
        optimizer.load_state_dict(state)
    for _ in range(2):
        pair.step(*batch(generator))
    for model in pair.models:
        first = next(iter(model.parameters()))
        first.data = first.data * 2
    pair.step(*batch(generator))


def test_parameters_that_the_loss_does_not_use_stay(generator):
    class Half(nn.Module):
        def __init__(self, g):
            self.used = nn.Linear(5, 3, generator=g)
            self.unused = nn.Linear(5, 3, generator=g)
            self.scale = mg.Tensor(np.float32(2.0))

        def forward(self, x):
            return self.used(x) * self.scale

    pair = Pair(Half, OPTIMISERS["Adam"])
    for _ in range(3):
        pair.step(*batch(generator))
    for model in pair.models:
        model.scale.data = np.float32(3.0)  # a constant, not a parameter
    pair.step(*batch(generator))


def test_constants_of_the_model_are_not_written_over(generator):
    class Shifted(nn.Module):
        def __init__(self, g):
            self.linear = nn.Linear(5, 3, dtype=np.float64, generator=g)
            self.shift = mg.Tensor(g.normal(size=(8, 3)))

        def forward(self, x):
            return self.linear(x) + mg.tanh(self.shift)

    pair = Pair(Shifted, OPTIMISERS["SGD"], dtype=np.float64)
    before = pair.models[1].shift.data.copy()
    for _ in range(3):
        pair.step(*batch(generator, dtype=np.float64))
    np.testing.assert_array_equal(pair.models[1].shift.data, before)


def test_a_parameter_used_twice_and_a_convolution(generator):
    class Twice(nn.Module):
        def __init__(self, g):
            self.kernel = mg.Tensor(g.normal(size=(2, 1, 2, 2)).astype("f"), requires_grad=True)
            self.square = nn.Linear(5, 5, generator=g)
            self.out = nn.Linear(2 * 4, 3, generator=g)

        def forward(self, x):
            x = self.square(mg.tanh(self.square(x)))
            image = x.reshape(-1, 1, 1, 5)
            image = mg.concatenate([image, image], axis=2)
            maps = mg.relu(nn.functional.conv2d(image, self.kernel))
            return self.out(maps.reshape(len(x), -1))

    pair = Pair(Twice, OPTIMISERS["Adam"])
    for _ in range(3):
        pair.step(*batch(generator))


def test_a_graph_from_before_a_compiled_step_is_refused(generator):
    model = mlp()(generator)
    X, y = batch(generator)
    step = mg.compile(model, mg.cross_entropy, optim.SGD(model.parameters(), lr=0.1))
    step(X, y)
    loss = mg.cross_entropy(model(X), y)
    step(X, y)
    with pytest.raises(ValueError, match="was changed after"):
        loss.backward()


# ---------------------------------------------------------------------------- what may be changed


class Branches(nn.Module):
    """Tensors and modules under names that could be mistaken for others, in lists and dicts."""

    def __init__(self, g):
        def make(*shape):
            return mg.Tensor(g.normal(size=shape), requires_grad=True)

        self.W2, self.X_rows, self.lr = make(5, 5), make(5), make(5)
        self.generator, self.make_step = make(5), make(5)
        self.lin = nn.Linear(5, 3, dtype=np.float64, generator=g)
        self.layers = [nn.Linear(5, 5, dtype=np.float64, generator=g), mg.tanh]
        self.scales = {"a": 1.0, "b": np.ones(3)}
        vars(self)["x²"] = make(5)

    def forward(self, x):
        shift = self.X_rows + self.lr + self.generator + self.make_step + vars(self)["x²"]
        x = self.layers[1](self.layers[0](x @ self.W2 + shift))
        return self.lin(x) * self.scales["a"] * self.scales["b"]


def test_names_that_could_clash(generator, tmp_path):
    pair = Pair(Branches, OPTIMISERS["Adam"], dtype=np.float64)
    for _ in range(3):
        pair.step(*batch(generator, dtype=np.float64))
    X, y = batch(generator, 16, np.float64)
    for X_batch, y_batch in mg.data.batches(X, y, 8, np.random.default_rng(0)):
        pair.eager(X_batch, y_batch)
    pair.compiled.epoch(X, y, 8, np.random.default_rng(0))
    pair.compare()
    run_source(pair.compiled, tmp_path / "training.py")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["order", "losses", "rows", "start", "number", "history"])
def test_counters_by_names_that_could_clash(name, generator, tmp_path):
    class Slowing(optim.Optimizer):
        counters = (name,)

        def update(self, w, g, state):
            state.setdefault(name, 0)
            state[name] += 1
            w -= self.lr / state[name] * g

    pair = Pair(mlp(np.float64), lambda params: Slowing(params, lr=0.1), dtype=np.float64)
    for _ in range(2):
        pair.step(*batch(generator, dtype=np.float64))
    X, y = batch(generator, 16, np.float64)
    for seed in range(2):
        for X_batch, y_batch in mg.data.batches(X, y, 8, np.random.default_rng(seed)):
            pair.eager(X_batch, y_batch)
        pair.compiled.epoch(X, y, 8, np.random.default_rng(seed))
        pair.compare()
    run_source(pair.compiled, tmp_path / "training.py")


def freeze(model):
    model.lin.weight.requires_grad_(False)


def replace_in_a_list(model):
    model.layers[1] = mg.relu


def replace_in_a_dict(model):
    model.scales["a"] = 3.0


def replace_an_array(model):
    for factor in (2.0, 3.0, 4.0):  # the third may have the address of the first
        model.scales["b"] = np.full(3, factor)


@pytest.mark.parametrize("change", [freeze, replace_in_a_list, replace_in_a_dict, replace_an_array])
def test_other_parts_of_the_model_are_traced_anew(change, generator):
    pair = Pair(Branches, OPTIMISERS["momentum"], dtype=np.float64)
    for _ in range(2):
        pair.step(*batch(generator, dtype=np.float64))
    for model in pair.models:
        change(model)
    for _ in range(2):
        pair.step(*batch(generator, dtype=np.float64))


def test_arrays_that_come_and_go_are_told_apart(generator):
    pair = Pair(Branches, OPTIMISERS["SGD"], dtype=np.float64)
    for factor in range(1, 6):
        for model in pair.models:
            model.lin.mask = model.scales["b"] = np.full(3, float(factor))
        pair.step(*batch(generator, dtype=np.float64))


def test_functions_as_models_and_modules_as_losses(generator):
    nets = [mlp(np.float64, dropout=0.5)(np.random.default_rng(k)) for k in (0, 0)]
    heads = [nn.Linear(3, 3, dtype=np.float64, generator=np.random.default_rng(1)) for _ in "ab"]
    losses = [nn.CrossEntropyLoss() for _ in "ab"]
    scales = [mg.Tensor(np.ones(3)) for _ in "ab"]
    optimizers = [
        optim.Adam([*net.parameters(), *head.parameters()], lr=0.01)
        for net, head in zip(nets, heads, strict=True)
    ]
    step = mg.compile(lambda x: heads[1](nets[1](x)) * scales[1], losses[1], optimizers[1])

    def both():
        X, y = batch(generator, dtype=np.float64)
        mg.manual_seed(0)
        optimizers[0].zero_grad()
        loss = losses[0](heads[0](nets[0](X)) * scales[0], y)
        loss.backward()
        optimizers[0].step()
        mg.manual_seed(0)
        assert step(X, y) == pytest.approx(loss.item(), rel=1e-12)
        for ours, expected in zip(nets[1].parameters(), nets[0].parameters(), strict=True):
            close(ours.data, expected.data, 1e-12)
        close(heads[1].weight.data, heads[0].weight.data, 1e-12)

    for _ in range(3):
        both()
    for net in nets:
        net.eval()
    both()
    for loss in losses:
        loss.label_smoothing = 0.3
    both()
    for scale in scales:
        scale.data = np.full(3, 2.0)
    both()


@pytest.mark.parametrize("width", [5, 2000])
def test_states_that_got_out_of_step(width, generator):
    class Two(nn.Module):
        def __init__(self, g):
            self.a = nn.Linear(5, width, dtype=np.float64, generator=g)
            self.b = nn.Linear(width, 5, dtype=np.float64, generator=g)

        def forward(self, x):
            return self.b(mg.tanh(self.a(x)))

    pair = Pair(Two, OPTIMISERS["Adam"], dtype=np.float64)
    for _ in range(3):
        pair.step(*batch(generator, dtype=np.float64))
    X, _ = batch(generator, dtype=np.float64)
    for model, optimizer in zip(pair.models, pair.optimizers, strict=True):
        for _ in range(2):
            optimizer.zero_grad()
            mg.sum(model.a(X) ** 2).backward()
            optimizer.step()
    for _ in range(3):
        pair.step(*batch(generator, dtype=np.float64))


def test_learning_rates_of_any_kind_and_losses_of_any_shape(generator):
    def loss(z, y):
        return mg.cross_entropy(z, y).reshape(1, 1)

    pair = Pair(mlp(), OPTIMISERS["AdamW"], loss)
    for rate in (np.float64(0.1), np.float32(0.05), 1):
        for optimizer in pair.optimizers:
            optimizer.lr = rate
        pair.step(*batch(generator))


def test_arrays_in_the_other_byte_order(generator):
    pair = Pair(mlp(), OPTIMISERS["SGD"])
    X, y = batch(generator)
    pair.step(X.astype(">f4"), y.astype(">i2"))
    pair.eager(X, y)
    pair.compiled.epoch(X.astype(">f4"), y.astype(">i2"), 8)
    pair.compare()


def test_a_parameter_that_is_a_transpose(generator):
    class Transposed(nn.Module):
        def __init__(self, g):
            self.weight = mg.as_tensor(g.normal(size=(3, 5)).T).requires_grad_()

        def forward(self, x):
            return x @ self.weight.reshape(-1).reshape(5, 3)

    pair = Pair(Transposed, OPTIMISERS["SGD"], dtype=np.float64)
    for _ in range(3):
        pair.step(*batch(generator, dtype=np.float64))


def test_a_loss_that_is_a_parameter():
    w = mg.Tensor(2.0, requires_grad=True)
    step = mg.compile(lambda x: x, lambda z, y: w * 1.0, optim.SGD([w], lr=0.5))
    assert step(np.ones(1), np.ones(1)) == 2.0
    assert step(np.ones(1), np.ones(1)) == 1.5


def test_the_output_of_a_step_that_was_not_compiled(generator):
    pair = Pair(mlp(), OPTIMISERS["SGD"])
    X, y = batch(generator)
    pair.step(X, y)
    expected = pair.models[1](2 * X).data
    with mg.detect_anomaly():
        pair.compiled(2 * X, y)
    np.testing.assert_array_equal(pair.compiled.output, expected)


class Periodic(Rolling):
    def update(self, w, g, state):
        super().update(w, g, state)
        if state["t"] % 2 == 0:
            w -= g


class Noisy(optim.Optimizer):
    random = np.random.default_rng(0)

    def update(self, w, g, state):
        w -= self.lr * (g + self.random.normal(size=w.shape))


class Counting(optim.Optimizer):
    count = 0

    def update(self, w, g, state):
        self.count += 1
        w -= self.lr / self.count * g


@pytest.mark.parametrize("kind", [Periodic, Noisy, Counting])
def test_updates_that_differ_each_time_are_refused(kind, generator):
    model = mlp()(generator)
    step = mg.compile(model, mg.cross_entropy, kind(model.parameters(), lr=0.1))
    with pytest.raises(mg.CaptureError, match=r"changes from call to call|something else each"):
        step(*batch(generator))


def test_layers_that_take_turns_are_refused(generator):
    class Turns(nn.Module):
        def __init__(self, g):
            self.layers = [nn.Linear(5, 3, generator=g) for _ in range(2)]
            self.turn = 0

        def forward(self, x):
            self.turn += 1
            return self.layers[self.turn % 2](x)

    model = Turns(generator)
    step = mg.compile(model, mg.cross_entropy, optim.SGD(model.parameters(), lr=0.1))
    with pytest.raises(mg.CaptureError, match="something else each time"):
        step(*batch(generator))


# ---------------------------------------------------------------------------- epochs


@pytest.mark.parametrize("rows", [24, 27, 5])
def test_an_epoch_is_the_steps_of_its_batches(rows, generator):
    pair = Pair(mlp(dropout=0.2), OPTIMISERS["Adam"])
    X, y = batch(generator, rows)
    for seed in range(3):
        lost = 0.0
        for X_batch, y_batch in mg.data.batches(X, y, 8, np.random.default_rng(seed)):
            lost += pair.eager(X_batch, y_batch) * len(y_batch)
        mean = pair.compiled.epoch(X, y, 8, np.random.default_rng(seed))
        assert mean == pytest.approx(lost / rows, rel=1e-5)
        pair.compare()


def test_an_epoch_that_is_interrupted_has_counted_its_steps(generator):
    pair = Pair(mlp(), OPTIMISERS["Adam"])
    X, y = batch(generator, 32)
    pair.compiled.epoch(X, y, 8, np.random.default_rng(0))
    order = np.random.default_rng(1).permutation(32)
    wrong = y.copy()
    wrong[order[20]] = 3
    before = pair.optimizers[1].state[0]["t"]
    with pytest.raises(IndexError, match=r"label 3 in row \d is not one of the 3 classes"):
        pair.compiled.epoch(X, wrong, 8, np.random.default_rng(1))
    assert pair.optimizers[1].state[0]["t"] == before + 2


# ---------------------------------------------------------------------------- what is refused


@pytest.mark.parametrize("label", [-1, 3, -3, 100, -100])
def test_labels_that_are_not_classes_are_refused_before_anything_changes(label, generator):
    model = mlp()(generator)
    optimizer = OPTIMISERS["Adam"](model.parameters())
    step = mg.compile(model, mg.cross_entropy, optimizer)
    X, y = batch(generator)
    step(X, y)
    step(X, y)
    before = model.state_dict(), optimizer.state_dict()
    wrong = y.copy()
    wrong[3] = label
    with pytest.raises(
        IndexError, match=f"label {label} in row \\d is not one of the 3 classes, 0 to 2"
    ):
        step(X, wrong)
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value, before[0][name])
    for name, value in optimizer.state_dict().items():
        np.testing.assert_array_equal(value, before[1][name])
    assert np.isfinite(step(X, y))


REFUSED = {
    "branch": lambda z, y: mg.cross_entropy(z if z.sum() > 0 else -z, y),
    "item": lambda z, y: mg.cross_entropy(z, y) * z[0, 0].item(),
    "float": lambda z, y: mg.cross_entropy(z, y) * float(z[0, 0].detach()),
    "plain array": lambda z, y: mg.cross_entropy(z, np.array(y)),
    "shape": lambda z, y: mg.sum(z[np.asarray(z.detach().data > 0)]),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_traced_is_refused_at_its_line(name, generator):
    model = mlp()(generator)
    step = mg.compile(model, REFUSED[name], optim.SGD(model.parameters(), lr=0.1))
    state = model.state_dict()
    with pytest.raises(mg.CaptureError) as refused:
        step(*batch(generator))
    line = REFUSED[name].__code__.co_firstlineno
    assert f"{__file__}, line {line}" in str(refused.value)
    for path, value in model.state_dict().items():
        np.testing.assert_array_equal(value, state[path])
    assert all(type(p.data) is np.ndarray for p in model.parameters())


def test_numbers_drawn_elsewhere_are_refused(generator):
    model = mlp()(generator)
    noise = np.random.default_rng(0)
    step = mg.compile(
        model,
        lambda z, y: mg.cross_entropy(z + noise.normal(size=z.shape), y),
        optim.SGD(model.parameters(), lr=0.1),
    )
    with pytest.raises(mg.CaptureError, match="something else each time"):
        step(*batch(generator))


def test_a_loss_that_is_not_a_loss(generator):
    model = mlp()(generator)
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    with pytest.raises(ValueError, match=r"the loss is shape \(8, 3\)"):
        mg.compile(model, lambda z, y: z, optimizer)(*batch(generator))
    with pytest.raises(ValueError, match="the loss is float"):
        mg.compile(model, lambda z, y: 1.0, optimizer)(*batch(generator))
    with pytest.raises(TypeError, match=r"compile takes a model, a loss .* not MLP, str and SGD"):
        mg.compile(model, "cross_entropy", optimizer)
    with pytest.raises(ValueError, match="there is no source yet"):
        mg.compile(model, mg.cross_entropy, optimizer).source  # noqa: B018


# ---------------------------------------------------------------------------- the source


@pytest.mark.slow
@pytest.mark.parametrize("name", ["SGD", "Adam", "own", "own, with a state"])
def test_the_source_runs_by_itself_and_trains_as_eager_steps_do(name, generator, tmp_path):
    pair = Pair(mlp(), OPTIMISERS[name])
    for _ in range(2):
        pair.step(*batch(generator))
    path = tmp_path / "training.py"
    printed = run_source(pair.compiled, path)
    module = runpy.run_path(str(path))
    *_, X, y = example = module["make_example"]()
    imported = [line for line in path.read_text().splitlines() if "import" in line]
    assert imported[0] == "import numpy as np"
    assert all(line.startswith(("import numpy", "from numpy import")) for line in imported)

    model = mlp()(generator)
    start = np.concatenate([np.ravel(each) for each in example[: _arrays_of_parameters(module)]])
    position = 0
    for parameter in model.parameters():
        values = start[position : position + parameter.size]
        parameter.data = values.reshape(parameter.shape)
        position += parameter.size
    optimizer = OPTIMISERS[name](model.parameters())
    order, expected = np.random.default_rng(0), []
    for _ in printed:
        losses = []
        for X_batch, y_batch in mg.data.batches(X, y, 8, order):
            optimizer.zero_grad()
            loss = mg.cross_entropy(model(X_batch), y_batch)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        expected.append(np.mean(losses))
    assert printed == pytest.approx(expected, rel=1e-3)
    assert len(printed) == 10


def _arrays_of_parameters(module):
    names = module["make_step"].__code__.co_varnames[: module["make_step"].__code__.co_argcount]
    return sum(name.startswith(("parameters", "W", "b")) for name in names)


def test_the_source_reads_as_if_written_by_hand(generator):
    model = nn.MLP(5, (7,), 3, "tanh", generator=generator)
    step = mg.compile(model, mg.cross_entropy, optim.SGD(model.parameters(), lr=0.1))
    step(*batch(generator))
    body = step.source.partition("def step(X, y, lr):")[2].partition("return float")[0]
    lines = [line.strip() for line in body.splitlines() if line.strip()]
    assert lines[:9] == [
        "# z1 = X W1ᵀ + b1",
        "dot(X, W1_T, out=z1)",
        "add(z1, b1, out=z1)",
        "# h1 = tanh z1",
        "tanh(z1, out=h1)",
        "# logits = h1 W2ᵀ + b2",
        "dot(h1, W2_T, out=logits)",
        "add(logits, b2, out=logits)",
        "# loss = -Σ y ln softmax(logits)",
    ]
    assert "dot(dlogits_T, h1, out=dW2)" in lines
    assert lines[-2:] == [
        "multiply(learning_rate, gradients, out=gradients)",
        "subtract(parameters, gradients, out=parameters)",
    ]


def test_labels_are_checked_where_the_loss_is_not_the_common_one(generator):
    losses = {
        "weight": lambda z, y: mg.cross_entropy(z, y, weight=[0.2, 1.0, 3.0]),
        "ignored": lambda z, y: mg.cross_entropy(z, y, ignore_index=-1),
        "rows": lambda z, y: mg.mean(mg.cross_entropy(z, y, reduction="none")),
        "nll": lambda z, y: mg.nll_loss(mg.log_softmax(z), y),
    }
    for name, loss in losses.items():
        model = mlp()(generator)
        step = mg.compile(model, loss, optim.SGD(model.parameters(), lr=0.1))
        X, y = batch(generator)
        for _ in range(2):
            step(X, y)
        state = model.state_dict()
        for label in (3, -1, -2):
            wrong = y.copy()
            wrong[1] = label
            if (name, label) == ("ignored", -1):
                step(X, wrong)
                state = model.state_dict()
                continue
            with pytest.raises(
                IndexError, match=f"label {label} in row \\d is not one of the 3 classes"
            ):
                step(X, wrong)
            for path, values in model.state_dict().items():
                np.testing.assert_array_equal(values, state[path])


def test_what_forward_sets_is_restored_and_does_not_trace_again(generator):
    class Remembering(nn.Module):
        def __init__(self, g):
            self.layer = nn.Linear(5, 3, generator=g)
            self.latest = None

        def forward(self, x):
            self.latest = self.layer(x)
            return self.latest

    pair = Pair(lambda g: Remembering(g), OPTIMISERS["SGD"])
    for rows in (8, 4, 8, 4, 8):
        pair.step(*batch(generator, rows))
    assert pair.models[1].latest is None
    assert len(pair.compiled._programs) == 2


def test_a_function_that_would_keep_the_values_of_parameters_is_refused(generator):
    model = mlp()(generator)
    with pytest.raises(mg.CaptureError, match=r"uses Tensor '0.weight' .* none of its arguments"):
        mg.compile(lambda x: model(x).data)(batch(generator)[0])
    frozen = mg.Tensor([1.0, 2.0])
    assert mg.compile(lambda x: (frozen * x).data)(np.ones(2)).tolist() == [1.0, 2.0]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_many_classes_with_and_without_smoothing(dtype, generator):
    for smoothing in (0.0, 0.1):
        pair = Pair(
            lambda g: nn.Linear(5, 100, dtype=dtype, generator=g),
            OPTIMISERS["SGD"],
            lambda z, y, smoothing=smoothing: mg.cross_entropy(z, y, label_smoothing=smoothing),
            dtype=dtype,
        )
        for scale in (1, 1e4, 1):
            X, _ = batch(generator, dtype=dtype)
            pair.step(X * dtype(scale), generator.integers(0, 100, 8))
        with pytest.raises(IndexError, match="label 100 in row 0 is not one of the 100 classes"):
            pair.compiled(X, np.full(8, 100))


def test_saved_sources_learn_whatever_they_were_traced_from(generator, tmp_path):
    cases = {
        "wide": (nn.MLP(64, [256], 10, generator=generator), mg.cross_entropy, (32, 64), 10),
        "soft": (nn.MLP(4, [8], 3, generator=generator), mg.cross_entropy, (8, 4), (8, 3)),
        "numbers": (
            nn.MLP(4, [8], 1, generator=generator),
            lambda z, y: mg.mean((z[:, 0] - y) ** 2),
            (8, 4),
            (8,),
        ),
    }
    for name, (model, loss, shape, target) in cases.items():
        step = mg.compile(model, loss, optim.Adam(model.parameters(), lr=0.01))
        y = np.arange(32) % 10 if target == 10 else np.full(target, 1 / 3, np.float32)
        step(np.ones(shape, np.float32), y)
        losses = run_source(step, tmp_path / f"{name}.py")
        assert losses[-1] < 0.8 * losses[0]
        assert min(losses) >= 0


def test_the_source_is_that_of_most_batches_and_there_after_one_step(generator):
    model = mlp()(generator)
    step = mg.compile(model, mg.cross_entropy, optim.Adam(model.parameters()))
    X, y = batch(generator, 19)
    step(X[:8], y[:8])
    assert "X has shape (8, 5)" in step.source
    assert step.output.shape == (8, 3)
    step.epoch(X, y, 8)
    assert "X has shape (8, 5)" in step.source


def test_the_optimiser_of_another_model(generator):
    model, other = mlp()(generator), mlp()(generator)
    step = mg.compile(model, mg.cross_entropy, optim.SGD(other.parameters(), lr=0.1))
    with pytest.raises(ValueError, match="none of the optimiser's parameters"):
        step(*batch(generator))
    with pytest.raises(TypeError, match="y must hold numbers"):
        step(batch(generator)[0], np.array(["a"] * 8))


@pytest.mark.parametrize("name", ["momentum", "Adam", "AdamW"])
def test_float16_is_updated_in_float32_as_by_eager_steps(name, generator):
    pair = Pair(mlp(np.float16), OPTIMISERS[name], dtype=np.float16)
    for _ in range(5):
        pair.step(*batch(generator, dtype=np.float16))
    kept = [x for x in pair.optimizers[1].state[0].values() if isinstance(x, np.ndarray)]
    assert {x.dtype for x in kept} == {np.dtype(np.float32)}
