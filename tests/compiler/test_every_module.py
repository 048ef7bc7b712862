"""Compiled steps of every module, with every loss and optimiser, against eager ones.

The tables must name all that `nn` exports: a new module, or loss, needs a row.
"""

import copy
import inspect
import itertools

import numpy as np
import pytest

import microgradx as mg
from microgradx import nn, optim

# What makes the module, and the shape of a row of its input; integers are below 7.
SETTINGS = {"dtype": np.float64}
MODULES = {
    "Linear": (lambda g: nn.Linear(4, 5, **SETTINGS, generator=g), (4,)),
    "Sequential": (
        lambda g: nn.Sequential(nn.Linear(4, 5, **SETTINGS, generator=g), nn.Tanh()),
        (4,),
    ),
    "ModuleList": (lambda g: InTurn(nn.ModuleList, g), (4,)),
    "ModuleDict": (lambda g: InTurn(nn.ModuleDict, g), (4,)),
    "MLP": (lambda g: nn.MLP(4, [6, 5], 4, "gelu", dropout=0.2, **SETTINGS, generator=g), (4,)),
    "Dropout": (lambda g: nn.Dropout(0.4), (4,)),
    "Flatten": (lambda g: nn.Flatten(), (2, 3)),
    "Identity": (lambda g: nn.Identity(), (4,)),
    "Conv1d": (lambda g: nn.Conv1d(2, 3, 3, padding=1, **SETTINGS, generator=g), (2, 6)),
    "Conv2d": (lambda g: nn.Conv2d(2, 3, 3, stride=2, **SETTINGS, generator=g), (2, 6, 6)),
    "MaxPool1d": (lambda g: nn.MaxPool1d(2), (2, 6)),
    "MaxPool2d": (lambda g: nn.MaxPool2d(2), (2, 6, 4)),
    "AvgPool1d": (lambda g: nn.AvgPool1d(2), (2, 6)),
    "AvgPool2d": (lambda g: nn.AvgPool2d(2), (2, 6, 4)),
    "AdaptiveAvgPool1d": (lambda g: nn.AdaptiveAvgPool1d(3), (2, 7)),
    "AdaptiveAvgPool2d": (lambda g: nn.AdaptiveAvgPool2d(2), (2, 5, 3)),
    "Embedding": (lambda g: nn.Embedding(7, 3, padding_idx=0, **SETTINGS, generator=g), int),
    "BatchNorm1d": (lambda g: nn.BatchNorm1d(4, **SETTINGS), (4,)),
    "BatchNorm1d, a cumulative mean": (
        lambda g: nn.BatchNorm1d(4, momentum=None, **SETTINGS),
        (4, 3),
    ),
    "BatchNorm1d, twice": (lambda g: Twice(nn.BatchNorm1d(4, **SETTINGS)), (4,)),
    "BatchNorm1d, two of them": (
        lambda g: nn.Sequential(
            nn.BatchNorm1d(4, **SETTINGS), nn.ReLU(), nn.BatchNorm1d(4, **SETTINGS)
        ),
        (4,),
    ),
    "BatchNorm1d, without parameters": (
        lambda g: nn.BatchNorm1d(4, affine=False, **SETTINGS),
        (4,),
    ),
    "BatchNorm1d, of the batch alone": (
        lambda g: nn.BatchNorm1d(4, track_running_stats=False, **SETTINGS),
        (4,),
    ),
    "BatchNorm2d": (lambda g: nn.BatchNorm2d(2, **SETTINGS), (2, 3, 3)),
    "LayerNorm": (lambda g: nn.LayerNorm(4, **SETTINGS), (4,)),
    "RMSNorm": (lambda g: nn.RMSNorm(4, **SETTINGS), (4,)),
    "Bilinear": (
        lambda g: First(nn.Bilinear(4, 4, 3, **SETTINGS, generator=g), lambda f, x: (f(x, x),)),
        (4,),
    ),
    "MultiheadAttention": (
        lambda g: First(
            nn.MultiheadAttention(4, 2, dropout=0.2, batch_first=True, **SETTINGS, generator=g),
            lambda f, x: f(x, x, x, is_causal=True),
        ),
        (3, 4),
    ),
    **{
        name: (lambda g, name=name: First(getattr(nn, name)(4, 3, **SETTINGS, generator=g)), (4,))
        for name in ("RNNCell", "GRUCell", "LSTMCell")
    },
    **{
        name: (
            lambda g, name=name: First(
                getattr(nn, name)(4, 3, batch_first=True, **SETTINGS, generator=g)
            ),
            (3, 4),
        )
        for name in ("RNN", "GRU", "LSTM")
    },
    "GRU, all options": (
        lambda g: First(
            nn.GRU(4, 3, 2, False, True, 0.3, bidirectional=True, **SETTINGS, generator=g)
        ),
        (3, 4),
    ),
    "PReLU": (lambda g: nn.PReLU(4, **SETTINGS), (4,)),
    "GLU": (lambda g: nn.GLU(), (4,)),
    "Threshold": (lambda g: nn.Threshold(0.1, 0.2), (4,)),
}
# Activations of no arguments, of rows of four numbers.
OTHERS = {
    *("ReLU", "ReLU6", "LeakyReLU", "RReLU", "ELU", "CELU", "SELU", "GELU", "SiLU", "Mish"),
    *("Softplus", "Sigmoid", "LogSigmoid", "Hardsigmoid", "Hardswish", "Tanh", "Hardtanh"),
    *("Tanhshrink", "Softsign", "Softshrink", "Hardshrink", "Softmax", "Softmin", "LogSoftmax"),
}
MODULES |= {name: (lambda g, name=name: getattr(nn, name)(), (4,)) for name in OTHERS}


def labels(g, rows):
    return g.integers(0, 3, rows)


def numbers(g, rows):
    return g.normal(size=(rows, 3))


def probabilities(g, rows):
    return np.asarray(mg.softmax(g.normal(size=(rows, 3))))


def zeros_and_ones(g, rows):
    return g.integers(0, 2, (rows, 3)).astype(np.float64)


# The loss of an output of shape (rows, 3), and what draws targets.
LOSSES = {
    "CrossEntropyLoss": (nn.CrossEntropyLoss(), labels),
    "CrossEntropyLoss, all options": (
        nn.CrossEntropyLoss(weight=[0.5, 2.0, 1.0], ignore_index=1, label_smoothing=0.1),
        labels,
    ),
    "CrossEntropyLoss, probabilities": (nn.CrossEntropyLoss(), probabilities),
    "NLLLoss": (lambda z, y: nn.NLLLoss(weight=[0.5, 2.0, 1.0])(mg.log_softmax(z), y), labels),
    "FocalLoss": (nn.FocalLoss(), labels),
    "KLDivLoss": (
        lambda z, y: nn.KLDivLoss(reduction="batchmean")(mg.log_softmax(z), y),
        probabilities,
    ),
    "BCEWithLogitsLoss": (nn.BCEWithLogitsLoss(pos_weight=[1.0, 2.0, 3.0]), zeros_and_ones),
    "BCELoss": (lambda z, y: nn.BCELoss()(mg.sigmoid(z), y), zeros_and_ones),
    "MSELoss": (nn.MSELoss(), numbers),
    "L1Loss": (nn.L1Loss(), numbers),
    "HuberLoss": (nn.HuberLoss(delta=0.5), numbers),
    "SmoothL1Loss": (nn.SmoothL1Loss(), numbers),
}

OPTIMISERS = {
    "SGD": lambda params: optim.SGD(params, lr=0.1),
    "momentum": lambda params: optim.SGD(params, lr=0.05, momentum=0.9, nesterov=True),
    "Adam": lambda params: optim.Adam(params, lr=0.01),
    "AdamW": lambda params: optim.AdamW(params, lr=0.01, amsgrad=True),
    "RMSprop": lambda params: optim.RMSprop(params, lr=0.01),
}


class InTurn(nn.Module):
    def __init__(self, container, g):
        layers = {str(k): nn.Linear(4, 4, **SETTINGS, generator=g) for k in range(2)}
        self.layers = container(layers if container is nn.ModuleDict else layers.values())

    def forward(self, x):
        for layer in (
            self.layers.values() if isinstance(self.layers, nn.ModuleDict) else self.layers
        ):
            x = mg.tanh(layer(x))
        return x


class First(nn.Module):
    """The first of the module's results."""

    def __init__(self, module, call=lambda module, x: module(x)):
        self.module = module
        self.call = call

    def forward(self, x):
        results = self.call(self.module, x)
        return results[0] if isinstance(results, tuple) else results


class Twice(nn.Module):
    def __init__(self, module):
        self.module = module

    def forward(self, x):
        return self.module(mg.tanh(self.module(x)))


class Net(nn.Module):
    """The module between parameters, with a frozen layer beside it."""

    def __init__(self, name):
        g = np.random.default_rng(0)
        make, self.shape = MODULES[name]
        self.module = make(g)
        if self.shape is int:
            self.scale, width = None, 3
        else:
            self.scale = mg.Tensor(g.normal(size=self.shape), requires_grad=True)
            example = copy.deepcopy(self.module)(np.ones((2, *self.shape)))
            width = np.size(getattr(example, "data", example)) // 2
        self.head = nn.Linear(width, 3, **SETTINGS, generator=g)
        self.frozen = nn.Linear(3, 3, **SETTINGS, generator=g).requires_grad_(False)

    def forward(self, x):
        inner = self.module(x if self.scale is None else x * self.scale)
        z = self.head(mg.reshape(inner, (len(x), -1)))
        return z + 0.1 * self.frozen(z)


def compare_steps(module, loss, optimiser, rows=(5, 5, 3, 5)):
    """Output, loss, parameters, buffers and state, over steps of which one has a smaller batch."""
    nets = [Net(module) for _ in "ab"]
    optimizers = [OPTIMISERS[optimiser](net.parameters()) for net in nets]
    function, draw = LOSSES[loss]
    step = mg.compile(nets[1], function, optimizers[1])
    g = np.random.default_rng(1)
    for k, n in enumerate(rows):
        shape = nets[0].shape
        X = g.integers(0, 7, n) if shape is int else g.normal(size=(n, *shape))
        y = draw(g, n)
        mg.manual_seed(k)
        optimizers[0].zero_grad()
        output = nets[0](X)
        expected = function(output, y)
        expected.backward()
        optimizers[0].step()
        mg.manual_seed(k)
        np.testing.assert_allclose(step(X, y), expected.item(), rtol=1e-9)
        np.testing.assert_allclose(step.output, output.data, rtol=1e-7, atol=1e-9)
        assert_equal_states(*(net.state_dict() for net in nets))
        assert_equal_states(*(optimizer.state_dict() for optimizer in optimizers))


def assert_equal_states(expected, ours):
    assert ours.keys() == expected.keys()
    for name, value in expected.items():
        value, our_value = np.asarray(value), np.asarray(ours[name])
        assert (our_value.shape, our_value.dtype) == (value.shape, value.dtype), name
        if value.dtype.kind in "fiub":
            np.testing.assert_allclose(our_value, value, rtol=1e-6, atol=1e-8, err_msg=name)
        else:
            assert our_value.tolist() == value.tolist(), name


def exported(is_loss):
    kinds = {name: getattr(nn, name) for name in nn.__all__}
    return {
        name
        for name, kind in kinds.items()
        if inspect.isclass(kind) and kind is not nn.Module and name.endswith("Loss") == is_loss
    }


def test_every_module_and_loss_has_a_row():
    assert {name.partition(",")[0] for name in MODULES} == exported(is_loss=False)
    assert {name.partition(",")[0] for name in LOSSES} == exported(is_loss=True)


# Modules that differ most; all others are in the pairs below, which take longer.
CHARACTERS = ["MLP", "BatchNorm1d", "Embedding", "Conv2d", "MultiheadAttention"]


@pytest.mark.parametrize(
    ("module", "loss", "optimiser"), [*zip(CHARACTERS, LOSSES, OPTIMISERS, strict=False)]
)
def test_modules_that_differ_most(module, loss, optimiser):
    compare_steps(module, loss, optimiser, rows=(5, 3))


# Each module with a loss, the first of these with each, and with each optimiser.
PAIRS = [
    *zip(
        sorted(MODULES), itertools.cycle([*LOSSES][::-1]), itertools.cycle(OPTIMISERS), strict=False
    ),
    *((module, loss, "Adam") for module in CHARACTERS[:3] for loss in LOSSES),
    *((module, "CrossEntropyLoss", name) for module in CHARACTERS for name in OPTIMISERS),
]


@pytest.mark.slow
@pytest.mark.parametrize(("module", "loss", "optimiser"), PAIRS)
def test_pairs(module, loss, optimiser):
    compare_steps(module, loss, optimiser)
