"""Activations as modules: each is its function, with its settings, by its name too."""

import inspect

import numpy as np
import pytest

import microgradx as mg
from microgradx import nn
from microgradx.nn import functional as F
from microgradx.nn.activations import ACTIVATIONS
from tests.helpers import leaf

X = np.linspace(-4, 4, 24).reshape(4, 6) + 0.03

#: Each module with settings that are not its defaults, and the function that it is.
MODULES = {
    "ReLU": ({}, F.relu),
    "ReLU6": ({}, F.relu6),
    "LeakyReLU": ({"negative_slope": 0.2}, F.leaky_relu),
    "RReLU": ({"lower": 0.1, "upper": 0.5}, F.rrelu),
    "ELU": ({"alpha": 0.7}, F.elu),
    "CELU": ({"alpha": 0.7}, F.celu),
    "SELU": ({}, F.selu),
    "GELU": ({"approximate": "tanh"}, F.gelu),
    "SiLU": ({}, F.silu),
    "Mish": ({}, F.mish),
    "Softplus": ({"beta": 2.0, "threshold": 1.0}, F.softplus),
    "Sigmoid": ({}, F.sigmoid),
    "LogSigmoid": ({}, F.logsigmoid),
    "Hardsigmoid": ({}, F.hardsigmoid),
    "Hardswish": ({}, F.hardswish),
    "Tanh": ({}, F.tanh),
    "Hardtanh": ({"min_val": -0.3, "max_val": 0.8}, F.hardtanh),
    "Tanhshrink": ({}, F.tanhshrink),
    "Softsign": ({}, F.softsign),
    "Softshrink": ({"lambd": 0.9}, F.softshrink),
    "Hardshrink": ({"lambd": 0.9}, F.hardshrink),
    "Threshold": ({"threshold": 0.5, "value": -2.0}, F.threshold),
    "GLU": ({"axis": 0}, F.glu),
    "Softmax": ({"axis": 0}, F.softmax),
    "Softmin": ({"axis": 0}, F.softmin),
    "LogSoftmax": ({"axis": 0}, F.log_softmax),
}


@pytest.mark.parametrize("name", MODULES)
def test_a_module_is_its_function_with_its_settings(name):
    settings, function = MODULES[name]
    module = getattr(nn, name)
    made = module(**settings).eval()
    np.testing.assert_array_equal(made(X), function(X, **settings))
    by_position = module(*settings.values()).eval()
    np.testing.assert_array_equal(by_position(X), function(X, **settings))
    assert list(made.parameters()) == []
    for setting, value in settings.items():
        assert f"{setting}={value!r}" in repr(made)
    needed = {"Threshold": (0.5, -2.0)}.get(name, ())
    assert np.array_equal(module(*needed).eval()(X), function(X, *needed))


@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_activations_by_name(name, dtype):
    """Names are those of the functions, in networks too, whose dtype they keep."""
    expected = X if name == "identity" else None
    if name not in ("identity", "prelu"):
        expected = getattr(F, name)(X)
    generator = np.random.default_rng(0)
    net = nn.MLP(6, (5, 5), 3, name, dtype=dtype, generator=generator)
    assert {type(net[1]), type(net[3])} == {ACTIVATIONS[name]}
    if expected is not None:
        np.testing.assert_array_equal(ACTIVATIONS[name]().eval()(X), expected)
    out = net(X.astype(dtype))
    out.sum().backward()
    assert {p.grad.dtype for p in net.parameters()} == {out.dtype} == {np.dtype(dtype)}
    again = nn.Sequential(net[0], name, net[2])
    assert type(again[1]) is ACTIVATIONS[name]


def test_every_activation_has_a_name():
    needed = {"Threshold", "GLU", "Softmax", "Softmin", "LogSoftmax"}
    assert {kind.__name__ for kind in ACTIVATIONS.values()} == (
        (set(MODULES) - needed) | {"PReLU", "Identity"}
    )


def test_an_unknown_name_is_refused():
    with pytest.raises(ValueError, match=r"one of relu, relu6, .*, identity, not 'rel'"):
        nn.MLP(2, (3,), 2, "rel")
    with pytest.raises(ValueError, match="not 'softmax'"):
        nn.Sequential(nn.Linear(2, 3), "softmax")


# ---------------------------------------------------------------------------- with parameters


def test_a_slope_that_is_learnt():
    module = nn.PReLU(dtype=np.float64)
    out = module(X)
    np.testing.assert_array_equal(out.data, np.where(X > 0, X, 0.25 * X))
    out.sum().backward()
    np.testing.assert_allclose(module.weight.grad, [X[X < 0].sum()])
    assert module.weight.shape == (1,)
    assert list(module.state_dict()) == ["weight"]
    assert nn.PReLU()(X).dtype == np.float32
    assert repr(nn.PReLU(3)) == "PReLU(num_parameters=3)"


@pytest.mark.parametrize("shape", [(2, 3), (2, 3, 4), (2, 3, 4, 5)])
def test_a_slope_for_each_channel(shape, generator):
    x = generator.normal(size=shape)
    module = nn.PReLU(3, dtype=np.float64)
    module.weight.data = [0.1, 0.5, -0.2]
    slopes = np.reshape([0.1, 0.5, -0.2], (3, *(1 for _ in shape[2:])))
    np.testing.assert_array_equal(module(x).data, np.where(x > 0, x, slopes * x))
    mg.gradcheck(lambda x, w: F.prelu(x, w), [x, module.weight], order=2)


def test_what_prelu_refuses():
    with pytest.raises(ValueError, match=r"weight of shape \(3,\) for an input of shape \(2, 4\)"):
        nn.PReLU(3)(np.ones((2, 4)))
    with pytest.raises(ValueError, match="at least 1 parameter, not 0"):
        nn.PReLU(0)


def test_random_slopes_are_drawn_in_training_only():
    x = -np.ones((100, 100), np.float32)
    module = nn.RReLU(0.1, 0.3, generator=np.random.default_rng(0))
    slopes = -module(x)
    assert slopes.dtype == np.float32
    assert 0.1 <= slopes.min() < 0.11
    assert 0.29 < slopes.max() <= 0.3
    assert not np.array_equal(slopes, -module(x))
    again = nn.RReLU(0.1, 0.3, generator=np.random.default_rng(0))
    np.testing.assert_array_equal(-again(x), slopes)
    np.testing.assert_array_equal(module.eval()(x), np.float32(0.2) * x)
    with pytest.raises(ValueError, match=r"lower that is not above upper, not 0\.3 and 0\.1"):
        F.rrelu(x, 0.3, 0.1)
    with pytest.raises(TypeError, match=r"must be a numpy\.random\.Generator"):
        nn.RReLU(generator=7)


def test_identity_stands_for_any_module():
    assert nn.Identity(54, unused=0.1)(X) is X


# ---------------------------------------------------------------------------- errors, extremes


def test_settings_that_do_not_fit():
    with pytest.raises(ValueError, match="celu divides by alpha, which must not be 0"):
        mg.celu(X, 0)
    for name in ("softshrink", "hardshrink"):
        with pytest.raises(ValueError, match=f"{name} needs a lambd of 0 or more, not -1"):
            getattr(mg, name)(X, -1)
    with pytest.raises(ValueError, match=r"shape \(4, 6\) has 6 .* 4 would|has 4|along axis 1"):
        mg.glu(X[:, :5], axis=1)


@pytest.mark.parametrize("name", MODULES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_extreme_numbers_have_finite_gradients(name, dtype):
    """Up to the largest float; the dtype is kept."""
    largest = float(np.finfo(dtype).max)
    x = leaf(np.array([-largest, -1e4, 0, 1e4, largest / 2, largest], dtype))
    settings, function = MODULES[name]
    with np.errstate(all="ignore"):
        out = function(x, **settings)
        out.backward(np.ones(out.shape, dtype))
    assert out.dtype == x.grad.dtype == dtype
    assert np.isfinite(out.data).all() or name in ("SELU", "Softplus", "LogSoftmax")
    assert np.isfinite(x.grad).all()


# ---------------------------------------------------------------------------- against PyTorch


@pytest.mark.parity
@pytest.mark.parametrize("name", [*MODULES, "PReLU"])
def test_modules_equal_pytorchs(name):
    torch = pytest.importorskip("torch")
    settings = MODULES.get(name, ({"num_parameters": 6, "init": 0.4}, None))[0]
    ours = getattr(nn, name)(**settings, **({"dtype": np.float64} if name == "PReLU" else {}))
    settings = {"dim" if key == "axis" else key: value for key, value in settings.items()}
    theirs = getattr(torch.nn, name)(**settings).double()
    theirs.load_state_dict({k: torch.tensor(v) for k, v in ours.state_dict().items()})
    x, z = leaf(X), torch.tensor(X, requires_grad=True)
    out, expected = ours.eval()(x), theirs.eval()(z)
    np.testing.assert_allclose(out.data, expected.detach().numpy(), rtol=1e-12, atol=1e-15)
    g = np.random.default_rng(0).normal(size=out.shape)
    out.backward(g)
    expected.backward(torch.tensor(g))
    in_float32 = name in ("CELU", "Hardsigmoid")  # PyTorch's 1 / alpha and 1 / 6
    rtol = 1e-7 if in_float32 else 1e-11
    np.testing.assert_allclose(x.grad, z.grad.numpy(), rtol=rtol, atol=1e-15)
    for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
        np.testing.assert_allclose(p.grad, q.grad.numpy(), rtol=1e-11)


@pytest.mark.parity
def test_no_activation_of_pytorchs_is_missing():
    torch = pytest.importorskip("torch")
    others = {"MultiheadAttention", "Softmax2d"}  # a layer; Softmax(axis=-3)
    theirs = {
        name
        for name, kind in vars(torch.nn.modules.activation).items()
        if inspect.isclass(kind) and kind.__module__ == "torch.nn.modules.activation"
    }
    assert theirs - others - set(dir(nn)) == set()
