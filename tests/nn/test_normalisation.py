"""Normalisation as modules: running statistics over several steps, modes, states, errors."""

import copy

import numpy as np
import pytest

import microgradx as mg
from microgradx import Tensor, nn


def batches(shape, steps, generator):
    return [generator.normal(2, 3, size=shape) for _ in range(steps)]


@pytest.mark.parametrize("momentum", [0.1, 1.0, 0.0, None])
@pytest.mark.parametrize(("kind", "shape"), [(nn.BatchNorm1d, (6, 3)), (nn.BatchNorm2d, (2, 3, 4))])
def test_running_statistics_follow_the_batches(kind, shape, momentum, generator):
    if kind is nn.BatchNorm2d:
        shape = (*shape, 2)
    norm = kind(3, momentum=momentum, dtype=np.float64)
    mean, variance = np.zeros(3), np.ones(3)
    axes = (0, *range(2, len(shape)))
    for step, x in enumerate(batches(shape, 4, generator), 1):
        out = norm(x)
        share = 1 / step if momentum is None else momentum
        mean = (1 - share) * mean + share * x.mean(axis=axes)
        variance = (1 - share) * variance + share * x.var(axis=axes, ddof=1)
        assert abs(out.data.mean(axis=axes)).max() < 1e-12
        np.testing.assert_allclose(out.data.var(axis=axes), 1, rtol=1e-5)
    np.testing.assert_allclose(norm.running_mean.data, mean, rtol=1e-12)
    np.testing.assert_allclose(norm.running_var.data, variance, rtol=1e-12)
    assert norm.num_batches_tracked.data == 4
    assert norm.num_batches_tracked.dtype == np.int64
    norm.eval()
    before = norm.state_dict()
    x = x[:1]  # one example, which is normalised as it would be in any batch
    aligned = (1, 3, *(1 for _ in shape[2:]))
    expected = (x - mean.reshape(aligned)) / np.sqrt(variance.reshape(aligned) + 1e-5)
    np.testing.assert_allclose(norm(x).data, expected, rtol=1e-12)
    assert all(np.array_equal(before[name], each) for name, each in norm.state_dict().items())


def test_the_statistics_are_buffers():
    norm = nn.Sequential(nn.BatchNorm1d(3))
    assert [name for name, _ in norm.named_parameters()] == ["0.weight", "0.bias"]
    assert [name for name, _ in norm.named_buffers()] == [
        *("0.running_mean", "0.running_var", "0.num_batches_tracked")
    ]
    assert {name: x.dtype.name for name, x in norm.state_dict().items()} == {
        **dict.fromkeys(["0.weight", "0.bias", "0.running_mean", "0.running_var"], "float32"),
        "0.num_batches_tracked": "int64",
    }
    norm(np.ones((4, 3)))
    other = copy.deepcopy(norm)
    other(np.ones((4, 3)))
    assert norm[0].num_batches_tracked.data == 1
    fresh = nn.Sequential(nn.BatchNorm1d(3))
    fresh.load_state_dict(other.state_dict())
    assert fresh[0].num_batches_tracked.data == 2
    np.testing.assert_array_equal(fresh[0].running_mean.data, other[0].running_mean.data)


def test_without_parameters_or_statistics():
    x = np.array([[1.0, 2.0], [3.0, 6.0]])
    norm = nn.BatchNorm1d(2, affine=False, track_running_stats=False)
    assert norm.state_dict() == {}
    for mode in (True, False):  # always those of the batch
        np.testing.assert_allclose(norm.train(mode)(x), [[-1, -1], [1, 1]], rtol=1e-4)
    assert type(norm(x)) is np.ndarray
    norm = nn.BatchNorm1d(2, momentum=None, affine=False)
    norm(x)
    assert norm.running_mean.tolist() == [2, 4]


def test_frozen_parameters_do_not_stop_the_statistics_but_eval_does():
    norm = nn.BatchNorm1d(2).freeze()
    norm(np.array([[1.0, 2.0], [3.0, 6.0]]))
    assert norm.running_mean.data.tolist() == [np.float32(0.2), np.float32(0.4)]
    before = norm.state_dict()
    norm.eval()(np.array([[1.0, 2.0], [3.0, 7.0]]))
    assert all(np.array_equal(before[name], each) for name, each in norm.state_dict().items())


def test_a_graph_in_evaluation_outlives_an_update_of_the_statistics():
    norm = nn.BatchNorm1d(2, dtype=np.float64).eval()
    x = Tensor([[1.0, 2.0], [3.0, 7.0]], requires_grad=True)
    loss = norm(x).sum()
    norm.train()(np.array([[1.0, 2.0], [3.0, 7.0]]))
    loss.backward()
    np.testing.assert_allclose(x.grad, 1 / np.sqrt(1 + 1e-5))


@pytest.mark.parametrize(
    ("norm", "shape", "message"),
    [
        (nn.BatchNorm1d(3), (4, 2), r"BatchNorm1d\(3, .*shape \(N, C\) or \(N, C, L\) with C = 3"),
        (nn.BatchNorm1d(3), (3,), r"shape \(3,\) does not fit"),
        (nn.BatchNorm1d(3), (2, 3, 4, 4), r"does not fit BatchNorm1d"),
        (nn.BatchNorm2d(3), (4, 3), r"does not fit BatchNorm2d.*\(N, C, H, W\) with C = 3"),
        (nn.BatchNorm2d(3), (3, 4, 4), r"does not fit BatchNorm2d"),
        (nn.BatchNorm1d(3), (1, 3), "has 1 values per channel, and in training"),
        (nn.LayerNorm(3), (3, 4), r"normalized_shape=\(3,\)"),
        (nn.RMSNorm((3, 4)), (4,), r"rms_norm: .* shape \(4,\) and normalized_shape=\(3, 4\)"),
    ],
)
def test_inputs_that_do_not_fit_change_nothing(norm, shape, message):
    before = norm.state_dict()
    with pytest.raises(ValueError, match=message):
        norm(np.ones(shape))
    assert all(np.array_equal(before[name], each) for name, each in norm.state_dict().items())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: nn.BatchNorm1d(0), "BatchNorm1d: num_features=0; it must be an integer of at"),
        (lambda: nn.BatchNorm2d(3.0), "BatchNorm2d: num_features must be an integer, .*not 3.0"),
        (lambda: nn.BatchNorm1d(3, momentum=1.1), "momentum=1.1; it must be from 0 to 1, or None"),
        (lambda: nn.BatchNorm1d(3, eps=-1), "BatchNorm1d: eps=-1; it must be a small number"),
        (lambda: nn.LayerNorm("a"), "LayerNorm: normalized_shape must be an integer, .* not 'a'"),
        (lambda: nn.LayerNorm(()), r"LayerNorm: normalized_shape=\(\); .* at least one"),
        (lambda: nn.LayerNorm((3, 0)), r"normalized_shape=\(3, 0\); .* each 1 or more"),
        (lambda: nn.LayerNorm(3, eps=np.nan), "LayerNorm: eps=nan"),
        (lambda: nn.RMSNorm(-3), r"RMSNorm: normalized_shape=\(-3,\)"),
        (lambda: nn.RMSNorm(3, eps=-1.0), "RMSNorm: eps=-1.0"),
    ],
)
def test_settings_that_cannot_be(make, message):
    with pytest.raises((ValueError, TypeError), match=message):
        make()


def test_rms_norm_of_small_numbers_in_float16(generator):
    x = (generator.normal(size=(4, 50)) / 100).astype(np.float16)  # whose squares are next to 0
    wide = x.astype(np.float64)
    expected = wide / np.sqrt(np.mean(wide**2, axis=1, keepdims=True) + np.finfo(np.float32).eps)
    out = nn.RMSNorm(50, dtype=np.float16)(x)
    assert out.dtype == np.float16
    np.testing.assert_allclose(out.data, expected, rtol=1e-3)


def test_layer_norm_has_the_parameters_that_are_asked_for():
    assert [*nn.LayerNorm((2, 3)).state_dict()] == ["weight", "bias"]
    assert nn.LayerNorm([2, 3]).weight.shape == (2, 3)
    assert [*nn.LayerNorm(3, bias=False).state_dict()] == ["weight"]
    assert [*nn.LayerNorm(3, elementwise_affine=False).state_dict()] == []


# ---------------------------------------------------------------------------- against PyTorch

PAIRS = {
    "BatchNorm1d": ((3,), {}, (8, 3)),
    "BatchNorm1d of signals": ((3,), {"momentum": 0.3, "eps": 1e-3}, (4, 3, 5)),
    "BatchNorm1d, cumulative": ((3,), {"momentum": None}, (8, 3)),
    "BatchNorm2d": ((3,), {}, (4, 3, 5, 2)),
    "BatchNorm2d, no affine": ((3,), {"affine": False}, (4, 3, 5, 2)),
    "BatchNorm2d, no statistics": ((3,), {"track_running_stats": False}, (4, 3, 5, 2)),
    "LayerNorm": (((3, 5),), {"eps": 1e-3}, (4, 3, 5)),
    "LayerNorm, no bias": ((5,), {"bias": False}, (4, 3, 5)),
    "RMSNorm": (((3, 5),), {}, (4, 3, 5)),
    "RMSNorm, no weight": ((5,), {"eps": 0.1, "elementwise_affine": False}, (4, 3, 5)),
}


@pytest.mark.parity
@pytest.mark.parametrize("name", PAIRS)
def test_several_steps_equal_pytorchs(name, generator):
    torch = pytest.importorskip("torch")
    arguments, settings, shape = PAIRS[name]
    kind = name.split()[0].rstrip(",")
    ours = getattr(nn, kind)(*arguments, **settings, dtype=np.float64)
    theirs = getattr(torch.nn, kind)(*arguments, **settings, dtype=torch.float64)
    start = {key: generator.normal(size=x.shape).astype(x.dtype) for key, x in _floats(ours)}
    ours.load_state_dict(ours.state_dict() | start)
    theirs.load_state_dict({key: torch.tensor(x) for key, x in ours.state_dict().items()})
    parameters = [*ours.parameters()]
    optimizer = mg.optim.SGD(parameters, lr=0.1) if parameters else None
    other = torch.optim.SGD(theirs.parameters(), lr=0.1) if parameters else None
    for step in range(5):
        if step == 4:
            ours.eval()
            theirs.eval()
        data, g = generator.normal(2, 3, size=shape), generator.normal(size=shape)
        x, t = Tensor(data, requires_grad=True), torch.tensor(data, requires_grad=True)
        out, expected = ours(x), theirs(t)
        np.testing.assert_allclose(out.data, expected.detach().numpy(), rtol=1e-9, atol=1e-11)
        ours.zero_grad()
        theirs.zero_grad()
        out.backward(g)
        expected.backward(torch.tensor(g))
        np.testing.assert_allclose(x.grad, t.grad.numpy(), rtol=1e-8, atol=1e-10)
        if optimizer is not None:
            optimizer.step()
            other.step()
    state = {key: x.numpy() for key, x in theirs.state_dict().items()}
    assert state.keys() == ours.state_dict().keys()
    for key, x in ours.state_dict().items():
        assert x.dtype == state[key].dtype
        np.testing.assert_allclose(x, state[key], rtol=1e-10, atol=1e-12)
    ours.load_state_dict(theirs.state_dict())


def _floats(module):
    return [(key, x) for key, x in module.state_dict().items() if key in ("weight", "bias")]
