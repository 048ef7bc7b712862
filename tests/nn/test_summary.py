"""Summaries: shapes, counts and the table, for any inputs, and nothing is changed."""

import numpy as np
import pytest

import microgradx as mg
from microgradx import Tensor, nn


class Noisy(nn.Module):
    """Changes itself, its buffer and every random state, also after `eval()`."""

    def __init__(self):
        self.register_buffer("calls", 0)
        self.seen = []

    def forward(self, x):
        self.calls.data = self.calls.data + 1
        self.seen.append(self.training)
        mg.common.randomness.default_generator().random()
        np.random.random()  # noqa: NPY002
        return x


class Network(nn.Module):
    """A layer that is used twice, shared weights, a list, a module that is not called."""

    def __init__(self):
        self.embedding = nn.Embedding(10, 4)
        self.mix = nn.Linear(4, 4)
        self.blocks = [nn.Sequential(nn.LayerNorm(4), nn.ReLU())]
        self.decode = nn.Linear(4, 10, bias=False)
        self.decode.weight = self.embedding.weight
        self.unused = nn.Linear(3, 3).freeze()
        self.scale = Tensor(1.0, requires_grad=True)
        self.register_buffer("offset", np.zeros(4, np.float32))

    def forward(self, words):
        x = self.blocks[0](self.mix(self.mix(self.embedding(words))) * self.scale + self.offset)
        return self.decode(x), {"hidden": x}


def test_the_table():
    summary = Network().summary((1, 7))
    assert str(summary).splitlines() == [
        "layer                    output shape                         parameters  frozen  buffers",
        "Network                  ((1, 7, 10), {'hidden': (1, 7, 4)})           1                4",
        "  (embedding) Embedding  (1, 7, 4)                                    40",
        "  (mix) Linear           (1, 7, 4) × 2                                20",
        "  (blocks.0) Sequential  (1, 7, 4)",
        "    (0) LayerNorm        (1, 7, 4)                                     8",
        "    (1) ReLU             (1, 7, 4)",
        "  (decode) Linear        (1, 7, 10)",
        "  (unused) Linear        not called                                   12      12",
        "",
        "81 parameters, 69 trainable and 12 frozen; 4 numbers in buffers",
    ]


def test_the_values():
    network = Network()
    summary = network.summary((1, 7))
    assert [layer.path for layer in summary] == [path for path, _ in network.named_modules()]
    assert len(summary) == 8
    assert summary.parameters == sum(p.size for p in network.parameters()) == 81
    assert (summary.trainable, summary.frozen, summary.buffers) == (69, 12, 4)
    assert summary["mix"].output_shapes == [(1, 7, 4)] * 2
    assert summary["blocks.0.0"].output_shape == (1, 7, 4)
    assert summary["unused"].output_shape is None
    assert summary[0].output_shape == ((1, 7, 10), {"hidden": (1, 7, 4)})
    assert summary[-1].parameters == summary[-1].frozen == 12
    assert [layer.kind for layer in summary[1:3]] == ["Embedding", "Linear"]
    with pytest.raises(KeyError, match="head"):
        summary["head"]


def cnn():
    return nn.Sequential(
        nn.Conv2d(1, 4, 3),
        nn.BatchNorm2d(4),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Dropout(),
        nn.Linear(36, 3),
    )


@pytest.mark.parametrize(
    ("model", "inputs", "output"),
    [
        (cnn(), [(1, 8, 8)], (1, 3)),  # one sample
        (cnn(), [[5, 1, 8, 8]], (5, 3)),
        (cnn(), [(None, 1, 8, 8)], (1, 3)),
        (cnn(), [np.zeros((2, 1, 8, 8))], (2, 3)),
        (cnn(), [Tensor(np.zeros((2, 1, 8, 8)))], (2, 3)),
        (nn.MLP(4, (3,), 2), [4], (2,)),
        (nn.MLP(4, (3,), 2), [(6, 5, 4)], (6, 5, 2)),
        (nn.Sequential(nn.Flatten(), nn.Linear(64, 2)), [(8, 8)], (1, 2)),
        (nn.Sequential(nn.Embedding(5, 2), nn.Flatten(), nn.Linear(6, 2)), [(3,)], (1, 2)),
        (nn.Embedding(5, 2), [()], (2,)),
        (nn.Conv1d(2, 3, 2), [(2, 9)], (3, 8)),
        (nn.ReLU(), [(2, 0)], (2, 0)),
        (nn.BatchNorm1d(3), [(3,)], (1, 3)),  # in training, one row would be too few
        (nn.BatchNorm1d(3, track_running_stats=False), [(3,)], (2, 3)),  # always is in training
    ],
)
def test_any_rank_of_input_as_a_shape_or_an_array(model, inputs, output):
    assert model.summary(*inputs)[0].output_shape == output


def test_several_inputs_and_dtypes():
    class Two(nn.Module):
        def __init__(self):
            self.table = nn.Embedding(5, 3)
            self.seen = []

        def forward(self, x, index):
            assert x.dtype == np.float64
            assert not self.training
            assert not mg.is_grad_enabled()
            return x @ self.table(index).T

    summary = Two().summary(np.zeros((2, 3)), np.zeros(4, int))
    assert summary[0].output_shape == (2, 4)
    model = nn.MLP(4, (3,), 2, dtype=np.float64)
    kinds = []
    model[0].__dict__["forward"] = lambda x: kinds.append(x.dtype) or np.zeros(3)
    model.summary(4)
    model.summary(4, dtype=np.float16)
    assert kinds == [np.float64, np.float16]


def test_nothing_is_changed():
    model = nn.Sequential(Noisy(), nn.BatchNorm1d(3), nn.Dropout(0.5), nn.Linear(3, 2))
    model[1].eval()
    model[3](np.ones((2, 3))).sum().backward()
    graph = model[3](np.ones((2, 3))).sum()
    before, gradient = model.state_dict(), model[3].weight.grad.copy()
    generator = mg.manual_seed(3)
    np.random.seed(5)  # noqa: NPY002
    states = generator.bit_generator.state, np.random.get_state()[1].copy()  # noqa: NPY002
    attributes = [dict(vars(module)) for module in model.modules()]
    summary = model.summary((4, 3))
    assert summary["0"].output_shape == (4, 3)
    assert all(np.array_equal(before[name], x) for name, x in model.state_dict().items())
    assert np.array_equal(model[3].weight.grad, gradient)
    assert generator.bit_generator.state == states[0]
    assert np.array_equal(np.random.get_state()[1], states[1])  # noqa: NPY002
    assert [dict(vars(module)) for module in model.modules()] == attributes
    assert model[0].seen == []
    assert [module.training for module in model.modules()] == [True, True, False, True, True]
    graph.backward()  # no parameter was touched


def test_what_the_model_does_not_take():
    with pytest.raises(
        ValueError, match=r"^Sequential takes no input of shape \(3, 8, 8\)"
    ) as info:
        cnn().summary((3, 8, 8))
    assert "with 3 channels, and a weight of shape (4, 1, 3, 3)" in str(info.value)
    assert "nor one with a batch axis before it (conv2d: " in str(info.value)
    with pytest.raises(
        ValueError, match=r"takes no input of shape \(3,\).*\(1, 3, 2\) does not fit"
    ):
        nn.Sequential(nn.Embedding(5, 2), nn.Linear(3, 3)).summary((3,))
    with pytest.raises(ValueError, match=r"shape \(2, 3\) does not fit Linear"):
        nn.Linear(4, 2).summary(np.zeros((2, 3)))
    with pytest.raises(NotImplementedError, match="ModuleList has no forward"):
        nn.ModuleList().summary((3,))
    with pytest.raises(ValueError, match="PermissionLike"):
        Failing().summary((3,))


class Failing(nn.Module):
    def forward(self, x):
        raise ValueError("PermissionLike")


def test_without_inputs_there_are_no_shapes():
    assert str(nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2)).summary()).splitlines() == [
        "layer              parameters  buffers",
        "Sequential",
        "  (0) Linear                8",
        "  (1) BatchNorm1d           4        5",
        "",
        "12 parameters, all trainable; 5 numbers in buffers",
    ]
    assert str(nn.ReLU().summary()).splitlines() == [
        "layer  parameters",
        "ReLU",
        "",
        "0 parameters",
    ]
