"""nn.functional against PyTorch, values and gradients, in float64."""

import itertools

import numpy as np
import pytest

import microgradx as mg
from microgradx.nn import functional as F

torch = pytest.importorskip("torch")

# PyTorch warns that an odd number of zeros, for padding="same", costs it a copy.
pytestmark = [pytest.mark.parity, pytest.mark.filterwarnings("ignore:Using padding='same'")]


def leaves(arrays):
    """Our Tensors and PyTorch's, of the arrays that are not None."""
    ours = [None if a is None else mg.Tensor(a, requires_grad=True) for a in arrays]
    return ours, [None if a is None else torch.tensor(a, requires_grad=True) for a in arrays]


def compare(out, expected, ours, theirs):
    """Values, and gradients after a random one from above."""
    np.testing.assert_allclose(out.data, expected.detach().numpy(), rtol=1e-9, atol=1e-12)
    g = np.random.default_rng(0).normal(size=out.shape)
    out.backward(g)
    expected.backward(torch.tensor(g))
    for our, their in zip(ours, theirs, strict=True):
        if our is not None:
            np.testing.assert_allclose(our.grad, their.grad.numpy(), rtol=1e-8, atol=1e-9)


def agrees(name, arrays, **settings):
    """The function of that name, ours and PyTorch's."""
    ours, theirs = leaves(arrays)
    out = getattr(F, name)(*ours, **settings)
    compare(out, getattr(torch.nn.functional, name)(*theirs, **settings), ours, theirs)


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("dilation", [1, 2])
@pytest.mark.parametrize("padding", [0, 2, "same", "valid"])
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_conv1d(generator, stride, padding, dilation, groups):
    if padding == "same" and stride != 1:
        return
    for kernel, length, bias in itertools.product((1, 2, 3), (7, 8), (True, False)):
        arrays = (
            generator.normal(size=(3, 4, length)),
            generator.normal(size=(6, 4 // groups, kernel)),
            generator.normal(size=6) if bias else None,
        )
        settings = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
        agrees("conv1d", arrays, **settings)


@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize("dilation", [1, (2, 1), (1, 2)])
@pytest.mark.parametrize("padding", [0, (2, 0), (0, 1), "same", "valid"])
@pytest.mark.parametrize("stride", [1, (1, 2), (3, 1), 2])
def test_conv2d(generator, stride, padding, dilation, groups):
    if padding == "same" and stride != 1:
        return
    for kernel, size in [((3, 3), (7, 8)), ((1, 2), (5, 4)), ((2, 3), (6, 5)), ((1, 1), (3, 2))]:
        arrays = (
            generator.normal(size=(2, 4, *size)),
            generator.normal(size=(4, 4 // groups, *kernel)),
            generator.normal(size=4),
        )
        settings = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
        agrees("conv2d", arrays, **settings)


@pytest.mark.parametrize("ceil_mode", [False, True])
@pytest.mark.parametrize("padding", [0, 1, (1, 0), (0, 1)])
@pytest.mark.parametrize("stride", [None, 1, (1, 3), (3, 2)])
@pytest.mark.parametrize("kernel_size", [2, 3, (2, 4), (3, 2)])
def test_pooling(generator, kernel_size, stride, padding, ceil_mode):
    settings = {
        "kernel_size": kernel_size,
        "stride": stride,
        "padding": padding,
        "ceil_mode": ceil_mode,
    }
    for shape in [(2, 3, 7, 9), (3, 8, 7), (0, 2, 7, 7)]:
        arrays = (generator.normal(size=shape),)
        for dilation in (1, (1, 2), (2, 1)):
            agrees("max_pool2d", arrays, **settings, dilation=dilation)
        for counted, divisor in [(True, None), (False, None), (True, 3), (False, -2)]:
            agrees(
                "avg_pool2d",
                arrays,
                **settings,
                count_include_pad=counted,
                divisor_override=divisor,
            )


@pytest.mark.parametrize("ceil_mode", [False, True])
@pytest.mark.parametrize("padding", [0, 1])
@pytest.mark.parametrize("stride", [None, 1, 3])
def test_pooling_of_signals(generator, stride, padding, ceil_mode):
    settings = {"kernel_size": 3, "stride": stride, "padding": padding, "ceil_mode": ceil_mode}
    for shape in [(2, 3, 8), (3, 7)]:
        arrays = (generator.normal(size=shape),)
        agrees("max_pool1d", arrays, **settings, dilation=2)
        for counted in (True, False):
            agrees("avg_pool1d", arrays, **settings, count_include_pad=counted)


def test_adaptive_pooling(generator):
    for size in (1, 2, 3, 5, 7, 9):
        agrees("adaptive_avg_pool1d", (generator.normal(size=(2, 3, 7)),), output_size=size)
    for sizes in (1, 3, (2, 9), (None, 1), (5, None), (7, 4)):
        for shape in [(2, 3, 7, 4), (3, 5, 6)]:
            arrays = (generator.normal(size=shape),)
            agrees("adaptive_avg_pool2d", arrays, output_size=sizes)


def test_a_window_that_ceil_mode_makes_room_for(generator):
    x = generator.normal(size=(1, 1, 1, 2))
    agrees("max_pool2d", (x,), kernel_size=2, ceil_mode=True)
    agrees("avg_pool2d", (x,), kernel_size=2, ceil_mode=True)


def test_unbatched(generator):
    x = generator.normal(size=(2, 5, 6))
    agrees("conv2d", (x, generator.normal(size=(3, 2, 2, 3)), generator.normal(size=3)))
    agrees("conv1d", (x[0], generator.normal(size=(3, 5, 2)), None), stride=2)
    agrees("max_pool2d", (x,), kernel_size=2)
    agrees("avg_pool2d", (x,), kernel_size=2)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("shape", [(6, 3), (4, 3, 5), (2, 3, 4, 5), (1, 3, 2)])
def test_batch_norm(generator, shape, training):
    for weight, bias in itertools.product((True, False), repeat=2):
        mean, variance = generator.normal(size=3), generator.uniform(0.5, 2, size=3)
        running = torch.tensor(mean), torch.tensor(variance)
        arrays = [
            generator.normal(2, 3, size=shape),
            generator.normal(size=3) if weight else None,
            generator.normal(size=3) if bias else None,
        ]
        ours, theirs = leaves(arrays)
        settings = {"training": training, "momentum": 0.3, "eps": 1e-3}
        out = F.batch_norm(ours[0], mean, variance, *ours[1:], **settings)
        expected = torch.nn.functional.batch_norm(theirs[0], *running, *theirs[1:], **settings)
        np.testing.assert_allclose(mean, running[0].numpy(), rtol=1e-12)
        np.testing.assert_allclose(variance, running[1].numpy(), rtol=1e-12)
        compare(out, expected, ours, theirs)


@pytest.mark.parametrize("normalized", [(5,), (3, 5), (2, 3, 5)])
def test_layer_norm(generator, normalized):
    x = generator.normal(2, 3, size=(2, 3, 5))
    for weight, bias in itertools.product((True, False), repeat=2):
        parameters = [generator.normal(size=normalized) if p else None for p in (weight, bias)]
        arrays = [x, *parameters]
        ours, theirs = leaves(arrays)
        out = F.layer_norm(ours[0], normalized, *ours[1:], eps=1e-3)
        expected = torch.nn.functional.layer_norm(theirs[0], normalized, *theirs[1:], eps=1e-3)
        compare(out, expected, ours, theirs)


@pytest.mark.parametrize("normalized", [(5,), (3, 5), (2, 3, 5)])
def test_rms_norm(generator, normalized):
    x = generator.normal(2, 3, size=(2, 3, 5))
    for weight, eps in itertools.product((True, False), (None, 0.1)):
        parameter = generator.normal(size=normalized) if weight else None
        ours, theirs = leaves([x, parameter])
        out = F.rms_norm(ours[0], normalized, ours[1], eps)
        expected = torch.nn.functional.rms_norm(theirs[0], normalized, theirs[1], eps)
        compare(out, expected, ours, theirs)


def test_second_derivatives(generator):
    x, w = generator.normal(size=(2, 4, 6, 5)), generator.normal(size=(4, 2, 3, 2))

    def penalty(conv2d, max_pool2d, x, w, grad):
        y = conv2d(x, w, None, (2, 1), (1, 2), (1, 2), 2)
        z = max_pool2d(y, 2, 1, 1) * y.sum()
        (g,) = grad((z * z).sum(), x)
        (g * g).sum().backward()
        return x.grad, w.grad

    def our_grad(out, x):
        return (dict(mg.engine.sweep({out: mg.as_tensor(1.0)}, create_graph=True))[x],)

    def their_grad(out, x):
        return torch.autograd.grad(out, x, create_graph=True)

    ours = penalty(
        F.conv2d, F.max_pool2d, *(mg.Tensor(a, requires_grad=True) for a in (x, w)), our_grad
    )
    functional = torch.nn.functional
    theirs = penalty(
        functional.conv2d,
        functional.max_pool2d,
        *(torch.tensor(a, requires_grad=True) for a in (x, w)),
        their_grad,
    )
    for our, their in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(our, their.numpy(), rtol=1e-8)
