"""Convolution and pooling as modules: the functions of their names, their errors, PyTorch's."""

import numpy as np
import pytest

import microgradx as mg
from microgradx import Tensor, nn
from microgradx.nn import functional as F


def test_convolutions_are_the_functions_of_their_names(generator):
    x = generator.normal(size=(2, 4, 9, 7)).astype(np.float32)
    layer = nn.Conv2d(4, 6, (3, 2), (2, 1), (1, 0), (1, 2), 2, generator=generator)
    layer.bias.data = generator.normal(size=6)
    expected = F.conv2d(x, layer.weight.data, layer.bias.data, (2, 1), (1, 0), (1, 2), 2)
    np.testing.assert_array_equal(layer(x).data, expected)
    np.testing.assert_array_equal(layer(x[0]).data, expected[0])
    layer = nn.Conv1d(4, 6, 3, padding="same", bias=False, generator=generator)
    assert layer.bias is None
    np.testing.assert_array_equal(
        layer(x[:, :, 0]).data, F.conv1d(x[:, :, 0], layer.weight, None, 1, 1).data
    )


@pytest.mark.parametrize("mode", ["reflect", "replicate", "circular"])
def test_padding_with_the_image_itself(mode, generator):
    x = generator.normal(size=(2, 1, 4, 5))
    layer = nn.Conv2d(1, 1, (5, 2), padding="same", padding_mode=mode, dtype=np.float64)
    numpy_mode = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}[mode]
    padded = np.pad(x, [(0, 0), (0, 0), (2, 2), (0, 1)], mode=numpy_mode)
    expected = F.conv2d(padded, layer.weight.data, layer.bias.data)
    np.testing.assert_array_equal(layer(x).data, expected)
    assert layer(x).shape == x.shape
    np.testing.assert_array_equal(layer(x[0]).data, expected[0])


def test_representations():
    assert repr(nn.Conv2d(1, 2, 3)) == "Conv2d(1, 2, kernel_size=(3, 3))"
    assert repr(nn.Conv1d(2, 4, 3, 2, "valid", groups=2, bias=False)) == (
        "Conv1d(2, 4, kernel_size=(3,), stride=(2,), padding='valid', groups=2, bias=False)"
    )
    assert repr(nn.MaxPool2d(2)) == "MaxPool2d(kernel_size=2, stride=2, padding=0)"
    assert repr(nn.AdaptiveAvgPool2d(1)) == "AdaptiveAvgPool2d(output_size=1)"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: nn.Conv2d(0, 2, 3), "Conv2d: in_channels=0; it must be an integer of at least 1"),
        (lambda: nn.Conv2d(1, 2.0, 3), "Conv2d: out_channels must be an integer, .* not 2.0"),
        (lambda: nn.Conv2d(4, 6, 3, groups=4), "groups must divide both numbers of channels"),
        (lambda: nn.Conv2d(1, 2, 0), "Conv2d: kernel_size=0; it must be an integer of at least 1"),
        (lambda: nn.Conv2d(1, 2, (1, 2, 3)), r"kernel_size=\(1, 2, 3\)"),
        (lambda: nn.Conv1d(1, 2, 3, stride=0), "Conv1d: stride=0"),
        (lambda: nn.Conv2d(1, 2, 3, padding=-1), "Conv2d: padding=-1"),
        (lambda: nn.Conv2d(1, 2, 3, padding="full"), "padding='full'; it is"),
        (lambda: nn.Conv2d(1, 2, 3, 2, "same"), 'padding="same" with stride'),
        (lambda: nn.Conv2d(1, 2, 3, padding_mode="edge"), "one of zeros, reflect, replicate, circ"),
        (lambda: nn.MaxPool2d(0), "MaxPool2d: kernel_size=0"),
        (lambda: nn.AvgPool1d(2, 0), "AvgPool1d: stride=0"),
        (lambda: nn.MaxPool1d(2, dilation=0), "MaxPool1d: dilation=0"),
        (lambda: nn.Conv2d(3, 4, 3)(np.ones((1, 1, 8, 8))), "with 1 channels, and a weight of"),
        (lambda: nn.Conv2d(1, 4, 3)(np.ones((9, 8, 8))), r"one channel, pass x\[:, None\]$"),
        (lambda: nn.Conv2d(3, 4, 3)(np.ones((2, 8, 8, 3))), r"pass np.moveaxis\(x, -1, 1\)$"),
        (lambda: nn.Conv2d(3, 4, 3)(np.ones((8, 8, 3))), r"pass np.moveaxis\(x, -1, 0\)$"),
        (lambda: nn.Conv1d(3, 4, 3)(np.ones((2, 5, 4))), "channels out that 1 divides$"),
        (lambda: nn.Conv2d(3, 4, 3)(np.ones((8, 8))), r"an input of shape \(8, 8\)"),
        (lambda: nn.MaxPool2d(9)(np.ones((1, 1, 8, 8))), "no room for a window"),
        (lambda: nn.AdaptiveAvgPool2d(0), "AdaptiveAvgPool2d: output_size="),
        (lambda: nn.AdaptiveAvgPool2d((1, 2, 3)), "AdaptiveAvgPool2d: output_size="),
        (lambda: nn.AdaptiveAvgPool1d("a"), "AdaptiveAvgPool1d: output_size must be an integer"),
        (lambda: F.adaptive_avg_pool2d(np.ones((1, 8, 8)), (0, 1)), "avg_pool2d: output_size="),
        (lambda: nn.AdaptiveAvgPool2d(1)(np.ones((1, 0, 8))), "has no elements to take means of"),
    ],
)
def test_what_does_not_fit_is_refused(make, message):
    with pytest.raises((ValueError, TypeError), match=message):
        make()


def test_adaptive_means_of_parts_and_only_of_them(generator):
    x = generator.normal(size=(2, 3, 7, 5))
    np.testing.assert_allclose(nn.AdaptiveAvgPool2d(1)(x)[..., 0, 0], x.mean(axis=(2, 3)))
    parts = nn.AdaptiveAvgPool2d((2, None))(x)
    np.testing.assert_allclose(parts[:, :, 0, 3], x[:, :, :4, 3].mean(axis=2))
    np.testing.assert_allclose(parts[:, :, 1, 3], x[:, :, 3:, 3].mean(axis=2))
    x[0, 0, 6, 4] = np.inf
    out = nn.AdaptiveAvgPool2d(2)(x)
    assert np.isinf(out[0, 0, 1, 1])
    assert np.isfinite(out).sum() == out.size - 1


# ---------------------------------------------------------------------------- against PyTorch


class Net:
    """The same network, of the modules of either package."""

    def __new__(cls, nn, **settings):
        return nn.Sequential(
            nn.Conv2d(2, 6, 3, padding=1, **settings),
            nn.BatchNorm2d(6, **settings),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(
                6,
                4,
                (3, 2),
                stride=(2, 1),
                groups=2,
                padding_mode="circular",
                padding=1,
                **settings,
            ),
            nn.AvgPool2d(2, 1),
            nn.Flatten(2),
            nn.Conv1d(4, 5, 3, padding="same", **settings),
            nn.BatchNorm1d(5, momentum=None, **settings),
            nn.MaxPool1d(2),
            nn.AdaptiveAvgPool1d(2),
            nn.Flatten(),
            nn.LayerNorm(10, **settings),
            nn.Linear(10, 3, **settings),
            nn.RMSNorm(3, **settings),
        )


@pytest.mark.parity
def test_a_network_learns_as_pytorchs_does(generator):
    torch = pytest.importorskip("torch")
    ours, theirs = Net(nn, dtype=np.float64), Net(torch.nn, dtype=torch.float64)
    assert [(name, x.shape) for name, x in ours.state_dict().items()] == [
        (name, tuple(x.shape)) for name, x in theirs.state_dict().items()
    ]
    assert [name for name, _ in ours.named_buffers()] == [n for n, _ in theirs.named_buffers()]
    ours.load_state_dict(theirs.state_dict())
    ours[0].freeze()
    theirs[0].requires_grad_(False)
    optimizer = mg.optim.SGD(ours.parameters(), lr=0.05, momentum=0.9)
    other = torch.optim.SGD(theirs.parameters(), lr=0.05, momentum=0.9)
    for _ in range(6):
        data, labels = generator.normal(size=(8, 2, 8, 7)), generator.integers(3, size=8)
        x, t = Tensor(data, requires_grad=True), torch.tensor(data, requires_grad=True)
        loss = mg.cross_entropy(ours(x), labels)
        expected = torch.nn.functional.cross_entropy(theirs(t), torch.tensor(labels))
        assert loss.item() == pytest.approx(expected.item(), rel=1e-10)
        for each in (optimizer, other):
            each.zero_grad()
        loss.backward()
        expected.backward()
        np.testing.assert_allclose(x.grad, t.grad.numpy(), rtol=1e-7, atol=1e-12)
        for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
            if q.requires_grad:
                np.testing.assert_allclose(p.grad, q.grad.numpy(), rtol=1e-7, atol=1e-11)
            else:
                assert p.grad is None
        optimizer.step()
        other.step()
    for name, value in theirs.state_dict().items():
        np.testing.assert_allclose(ours.state_dict()[name], value.numpy(), rtol=1e-8, atol=1e-11)
    ours.eval()
    theirs.eval()
    expected = theirs(torch.tensor(data)).detach().numpy()
    np.testing.assert_allclose(ours(data).data, expected, rtol=1e-8)
    fresh = Net(torch.nn, dtype=torch.float64).eval()
    fresh.load_state_dict({name: torch.tensor(x) for name, x in ours.state_dict().items()})
    np.testing.assert_allclose(fresh(torch.tensor(data)).detach().numpy(), expected, rtol=1e-8)


@pytest.mark.parity
@pytest.mark.parametrize("mode", ["reflect", "replicate", "circular"])
@pytest.mark.parametrize("padding", ["same", 2, (1, 2)])
def test_padding_modes_equal_pytorchs(mode, padding, generator):
    torch = pytest.importorskip("torch")
    settings = {"padding": padding, "padding_mode": mode}
    ours = nn.Conv2d(2, 3, (3, 2), **settings, dtype=np.float64)
    theirs = torch.nn.Conv2d(2, 3, (3, 2), **settings, dtype=torch.float64)
    ours.load_state_dict(theirs.state_dict())
    data = generator.normal(size=(2, 2, 5, 6))
    x, t = Tensor(data, requires_grad=True), torch.tensor(data, requires_grad=True)
    out, expected = ours(x), theirs(t)
    np.testing.assert_allclose(out.data, expected.detach().numpy(), rtol=1e-9, atol=1e-12)
    g = generator.normal(size=out.shape)
    out.backward(g)
    expected.backward(torch.tensor(g))
    np.testing.assert_allclose(x.grad, t.grad.numpy(), rtol=1e-9, atol=1e-12)
