"""Layers: what they compute, their gradients, their dtypes, their errors."""

import numpy as np
import pytest

import microgradx as mg
from microgradx import Tensor, gradcheck, nn


def modules(dtype):
    """Every module that maps an array to an array, with the shape of an input."""

    def seeded():
        return np.random.default_rng(1)

    return {
        "Linear": (nn.Linear(4, 3, dtype=dtype, generator=seeded()), (5, 4)),
        "Linear, no bias": (nn.Linear(4, 3, bias=False, dtype=dtype, generator=seeded()), (5, 4)),
        "Linear, vector": (nn.Linear(4, 3, dtype=dtype, generator=seeded()), (4,)),
        "Linear, stacked": (nn.Linear(4, 3, dtype=dtype, generator=seeded()), (2, 5, 4)),
        "ReLU": (nn.ReLU(), (5, 4)),
        "Tanh": (nn.Tanh(), (5, 4)),
        "Sigmoid": (nn.Sigmoid(), (5, 4)),
        "Softplus": (nn.Softplus(), (5, 4)),
        "Softmax": (nn.Softmax(axis=0, temperature=0.5), (5, 4)),
        "LogSoftmax": (nn.LogSoftmax(temperature=2.0), (5, 4)),
        "Flatten": (nn.Flatten(), (5, 2, 2)),
        "Identity": (nn.Identity(), (5, 4)),
        "Conv1d": (nn.Conv1d(2, 3, 2, 2, dtype=dtype, generator=seeded()), (2, 2, 5)),
        "Conv2d": (nn.Conv2d(1, 2, 3, dtype=dtype, generator=seeded()), (2, 1, 4, 3)),
        "Conv2d, circular": (
            nn.Conv2d(2, 2, (1, 2), 1, "same", 1, 2, False, "circular", dtype=dtype),
            (1, 2, 2, 3),
        ),
        "MaxPool1d": (nn.MaxPool1d(2), (2, 3, 5)),
        "MaxPool2d": (nn.MaxPool2d(2, 1), (1, 2, 3, 4)),
        "AvgPool1d": (nn.AvgPool1d(2), (2, 3, 5)),
        "AvgPool2d": (nn.AvgPool2d(2), (1, 2, 4, 4)),
        "AdaptiveAvgPool1d": (nn.AdaptiveAvgPool1d(2), (2, 3, 5)),
        "AdaptiveAvgPool2d": (nn.AdaptiveAvgPool2d((None, 2)), (1, 2, 3, 5)),
        "BatchNorm1d": (nn.BatchNorm1d(3, dtype=dtype, momentum=0.0), (4, 3)),
        "BatchNorm1d, in use": (nn.BatchNorm1d(3, dtype=dtype).eval(), (4, 3, 2)),
        "BatchNorm2d": (nn.BatchNorm2d(2, dtype=dtype, momentum=0.0), (2, 2, 3, 2)),
        "LayerNorm": (nn.LayerNorm((2, 3), dtype=dtype), (4, 2, 3)),
        "RMSNorm": (nn.RMSNorm(4, dtype=dtype), (5, 4)),
        "Dropout, in use": (nn.Dropout(0.5).eval(), (5, 4)),
        "MLP relu": (nn.MLP(4, (6, 5), 3, dtype=dtype, generator=seeded()), (5, 4)),
        "MLP tanh": (nn.MLP(4, (6,), 3, "tanh", dtype=dtype, generator=seeded()), (5, 4)),
        "MLP sigmoid": (nn.MLP(4, (6,), 3, "sigmoid", dtype=dtype, generator=seeded()), (5, 4)),
        "MLP linear": (nn.MLP(4, (), 3, dtype=dtype, generator=seeded()), (5, 4)),
    }


every_module = pytest.mark.parametrize("name", modules(np.float32))


@every_module
def test_gradients_of_inputs_and_parameters_against_finite_differences(name, generator):
    module, shape = modules(np.float64)[name]
    x = Tensor(generator.normal(size=shape), requires_grad=True)
    # The parameters are moved in place: the module sees it.
    gradcheck(lambda x, *parameters: module(x), [x, *module.parameters()], order=2)


@every_module
def test_float32_stays_float32_whatever_comes_in(name, generator):
    module, shape = modules(np.float32)[name]
    table = generator.normal(size=shape)
    has_parameters = any(True for _ in module.parameters())
    for values in (table.astype(np.float32), table, (9 * table).astype(np.int64)):
        if not has_parameters and values.dtype != np.float32:
            continue  # without parameters there is no dtype to cast to: NumPy's rules hold
        for data in (
            values,
            Tensor(values),
            Tensor(values, requires_grad=values.dtype.kind == "f"),
        ):
            module.zero_grad()
            out = module(data)
            assert out.dtype == np.float32
            if has_parameters:
                out.sum().backward()
                assert {p.grad.dtype for p in module.parameters()} == {np.dtype(np.float32)}
            if isinstance(data, Tensor) and data.requires_grad and has_parameters:
                assert data.grad.dtype == data.dtype


@pytest.mark.parametrize(
    "name", [n for n, (m, _) in modules(float).items() if not [*m.parameters()]]
)
def test_without_parameters_arrays_give_arrays_equal_to_what_tensors_give(name, generator):
    module, shape = modules(np.float64)[name]
    x = generator.normal(size=shape)
    out = module(x)
    assert type(out) is np.ndarray
    assert np.array_equal(module(Tensor(x)).data, out)


# ---------------------------------------------------------------------------- linear


def test_linear_is_x_w_transposed_plus_b(generator):
    layer = nn.Linear(4, 3, dtype=np.float64, generator=generator)
    assert layer.weight.shape == (3, 4)
    assert layer.bias.shape == (3,)
    assert not layer.bias.data.any()
    layer.bias.data = [1.0, 2.0, 3.0]
    x = generator.normal(size=(2, 5, 4))
    expected = x @ layer.weight.data.T + layer.bias.data
    assert np.allclose(layer(x).data, expected, rtol=1e-14)
    layer.bias = None
    assert np.allclose(layer(x).data, expected - [1.0, 2.0, 3.0], rtol=1e-13)


def test_linear_with_bias_is_one_node():
    out = nn.Linear(4, 3)(np.ones((2, 4)))
    assert out.op.name == "linear"
    assert nn.Linear(4, 3, bias=False).bias is None


def test_linear_draws_what_it_was_told_to():
    def seeded():
        return np.random.default_rng(2)

    weight = nn.Linear(4, 3, generator=seeded()).weight.data
    assert np.array_equal(weight, nn.he_uniform((3, 4), seeded()))
    weight = nn.Linear(4, 3, initialisation=nn.glorot_normal, generator=seeded()).weight.data
    assert np.array_equal(weight, nn.glorot_normal((3, 4), seeded()))
    weight = nn.Linear(4, 3, initialisation=nn.init.orthogonal_, generator=seeded()).weight.data
    assert np.array_equal(weight, nn.init.orthogonal_((3, 4), generator=seeded()))
    assert weight.dtype == np.float32
    weight = nn.Conv2d(2, 3, (2, 1), initialisation=nn.he_normal, generator=seeded()).weight.data
    assert np.array_equal(weight, nn.he_normal((3, 2, 2, 1), seeded()))


@pytest.mark.parametrize("shape", [(5, 3), (3,), (), (4, 5)])
@pytest.mark.parametrize("bias", [True, False])
def test_an_input_that_does_not_fit_is_refused_by_name(shape, bias):
    net = nn.Sequential(nn.Linear(4, 2, bias), nn.ReLU())
    with pytest.raises(ValueError, match="does not fit Linear") as raised:
        net(np.ones(shape))
    assert f"an input of shape {shape}" in str(raised.value)
    assert "Tensor '0.weight' (float32, shape (2, 4))" in str(raised.value)
    assert "last axis must have length 4" in str(raised.value)


@pytest.mark.parametrize("sizes", [(0, 3), (3, 0), (-1, 2)])
def test_sizes_below_1_are_refused(sizes):
    with pytest.raises(ValueError, match="at least 1 input and 1 output, not in_features="):
        nn.Linear(*sizes)


def test_parameters_of_integers_are_refused():
    with pytest.raises(TypeError, match="only floats can require gradients"):
        nn.Linear(2, 2, dtype=int)


# ---------------------------------------------------------------------------- networks


def test_sequential_is_a_sequence_of_its_modules():
    layers = [nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1)]
    net = nn.Sequential(*layers)
    assert list(net) == layers
    assert len(net) == 3
    assert net[-1] is layers[2]
    assert list(net[:2]) == layers[:2]
    x = np.ones((4, 2))
    assert np.array_equal(net(x).data, layers[2](np.tanh(layers[0](x))).data)
    assert nn.Sequential()(x) is x


def test_sequential_of_more_than_ten_keeps_their_order():
    layers = [nn.Flatten() for _ in range(12)]
    assert list(nn.Sequential(*layers)) == layers


def test_another_attribute_of_a_sequential_is_not_called():
    net = nn.Sequential(nn.Linear(2, 3))
    net.loss = nn.CrossEntropyLoss()
    assert net(np.ones((4, 2))).shape == (4, 3)


@pytest.mark.parametrize(("part", "kind"), [(mg.relu, "Elementwise"), ([nn.ReLU()], "list")])
def test_a_part_that_is_not_a_module_is_refused(part, kind):
    with pytest.raises(TypeError, match=f"part 1 is not a Module but {kind}; write"):
        nn.Sequential(nn.Tanh(), part)


def test_mlp_has_its_layers_in_order():
    net = nn.MLP(4, [6, 5], 3, "tanh", 0.2)
    kinds = [nn.Linear, nn.Tanh, nn.Dropout, nn.Linear, nn.Tanh, nn.Dropout, nn.Linear]
    assert [type(layer) for layer in net] == kinds
    assert [p.shape for p in net.parameters()] == [(6, 4), (6,), (5, 6), (5,), (3, 5), (3,)]
    assert [p.name for p in net.parameters()][-2:] == ["6.weight", "6.bias"]
    assert {layer.p for layer in net if isinstance(layer, nn.Dropout)} == {0.2}
    assert [type(layer) for layer in nn.MLP(4, (), 3)] == [nn.Linear]


@pytest.mark.parametrize(
    ("activation", "initialisation"),
    [("relu", nn.he_uniform), ("tanh", nn.glorot_uniform), ("sigmoid", nn.glorot_uniform)],
)
def test_mlp_draws_weights_that_suit_the_activation(activation, initialisation):
    net = nn.MLP(4, (6,), 3, activation, generator=np.random.default_rng(0))
    generator = np.random.default_rng(0)
    assert np.array_equal(net[0].weight.data, initialisation((6, 4), generator))
    assert np.array_equal(net[2].weight.data, nn.glorot_uniform((3, 6), generator))


def test_mlp_refuses_what_it_cannot_build():
    with pytest.raises(ValueError, match=r"an activation is one of relu, relu6, .*, not 'swish'"):
        nn.MLP(4, (6,), 3, "swish")
    with pytest.raises(TypeError, match=r"must be a sequence, such as \(64, 32\), not 64"):
        nn.MLP(4, 64, 3)
    with pytest.raises(ValueError, match="at least 1 input and 1 output"):
        nn.MLP(4, (6, 0), 3)
    with pytest.raises(ValueError, match=r"p, the probability .* is nan"):
        nn.MLP(4, (6,), 3, dropout=float("nan"))


# ---------------------------------------------------------------------------- dropout


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_dropout_drops_that_share_and_keeps_the_mean(p, dtype, generator):
    x = np.ones((300, 300), dtype)
    out = nn.Dropout(p, generator)(x)
    assert out.dtype == dtype
    kept = np.asarray(1 / (1 - p), dtype)
    assert set(np.unique(out).tolist()) == {0.0, kept.item()}
    deviation = np.sqrt(p * (1 - p) / x.size)
    assert abs(np.mean(out == 0) - p) < 5 * deviation


def test_dropout_draws_anew_at_each_call_and_repeats_with_the_seed():
    x = np.ones((20, 20), np.float32)
    layer = nn.Dropout(0.5, np.random.default_rng(4))
    first, second = layer(x), layer(x)
    assert not np.array_equal(first, second)
    again = nn.Dropout(0.5, np.random.default_rng(4))
    assert np.array_equal(again(x), first)


def test_the_gradient_of_dropout_is_dropped_where_its_output_was(generator):
    x = Tensor(np.full((50, 50), 2.0, np.float32), requires_grad=True)
    out = nn.Dropout(0.3, generator)(x)
    out.sum().backward()
    assert x.grad.dtype == np.float32
    assert np.array_equal(x.grad, out.data / 2)


def test_the_ends_of_dropout():
    x = np.ones((5, 5), np.float32)
    assert nn.Dropout(0.0)(x) is x
    assert nn.Dropout(0.5).eval()(x) is x
    assert not nn.Dropout(1.0)(x).any()
    assert nn.Dropout(0.5)(np.ones((5, 5), int)).dtype == np.float64
    assert nn.Dropout(0.5)([1.0, 2.0]).shape == (2,)


@pytest.mark.parametrize("p", [-0.1, 1.1, float("nan")])
def test_a_probability_outside_0_to_1_is_refused(p):
    with pytest.raises(ValueError, match=f"is {p}; it must be from 0 to 1"):
        nn.Dropout(p)


# ---------------------------------------------------------------------------- the others


def test_flatten_merges_the_axes_that_are_asked_for():
    assert nn.Flatten()(np.zeros((0, 8, 8))).shape == (0, 64)
    x = np.arange(120.0).reshape(2, 3, 4, 5)
    assert np.array_equal(nn.Flatten()(x), x.reshape(2, 60))
    for axes, shape in {
        (2,): (2, 3, 20),
        (0, 1): (6, 4, 5),
        (1, 2): (2, 12, 5),
        (-3, -2): (2, 12, 5),
        (0,): (120,),
        (2, 2): (2, 3, 4, 5),
    }.items():
        assert np.array_equal(nn.Flatten(*axes)(x), x.reshape(shape))
    assert nn.Flatten(0)(np.zeros(3)).shape == (3,)


@pytest.mark.parametrize(
    ("axes", "shape", "message"),
    [
        ((), (3,), r"shape \(3,\) does not fit Flatten\(start_dim=1, .* pass x\[None\]"),
        ((), (), r"shape \(\) does not fit"),
        ((1, 3), (2, 3, 4), "merges the axes 1 to 3$"),
        ((2, 1), (2, 3, 4), "merges the axes 2 to 1$"),
        ((-4, 1), (2, 3, 4), "merges the axes -4 to 1$"),
    ],
)
def test_axes_that_flatten_cannot_merge(axes, shape, message):
    with pytest.raises(ValueError, match=message):
        nn.Flatten(*axes)(np.zeros(shape))


def test_identity_takes_any_arguments_and_returns_its_input():
    x = np.ones(3)
    assert nn.Identity(3, size=4)(x) is x


def test_activations_are_the_functions_of_their_names(generator):
    x = generator.normal(size=(3, 4))
    assert np.array_equal(nn.ReLU()(x), mg.relu(x))
    assert np.array_equal(nn.Tanh()(x), np.tanh(x))
    assert np.array_equal(nn.Sigmoid()(x), mg.sigmoid(x))
    assert np.array_equal(nn.Softplus()(x), mg.softplus(x))
    assert np.array_equal(nn.Softmax(0, 0.5)(x), mg.softmax(x, 0, 0.5))
    assert np.array_equal(nn.LogSoftmax(0, 0.5)(x), mg.log_softmax(x, 0, 0.5))
    assert repr(nn.LogSoftmax(0, 0.5)) == "LogSoftmax(axis=0, temperature=0.5)"


def test_a_temperature_can_be_learnt():
    softmax = nn.Softmax(temperature=Tensor(2.0, requires_grad=True))
    assert [name for name, _ in softmax.named_parameters()] == ["temperature"]
    mg.log(softmax([2.0, 1.0]))[0].backward()
    assert softmax.temperature.grad < 0


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"label_smoothing": 0.1, "weight": [1.0, 2.0, 0.5]},
        {"ignore_index": 1, "reduction": "sum"},
        {"reduction": "none", "axis": 0, "fused": False},
    ],
)
def test_cross_entropy_loss_hands_on_every_setting(settings, generator):
    logits, labels = generator.normal(size=(3, 3)), np.array([0, 1, 2])
    loss = nn.CrossEntropyLoss(**settings)(logits, labels)
    assert np.array_equal(loss, mg.cross_entropy(logits, labels, **settings))


def test_the_warning_about_probabilities_names_the_callers_line():
    probabilities = nn.Softmax()(nn.Linear(2, 3)(np.ones((4, 2))))
    with pytest.warns(UserWarning, match="was given the output of a softmax") as caught:
        nn.CrossEntropyLoss()(probabilities, [0, 1, 2, 0])
    assert caught[0].filename == __file__


# ---------------------------------------------------------------------------- against PyTorch


@pytest.mark.parity
def test_a_network_and_its_gradients_equal_pytorchs(generator):
    torch = pytest.importorskip("torch")
    ours = nn.MLP(4, (6, 5), 3, "tanh", dtype=np.float64, generator=generator)
    theirs = torch.nn.Sequential(
        *(torch.nn.Linear(4, 6), torch.nn.Tanh()),
        *(torch.nn.Linear(6, 5), torch.nn.Tanh(), torch.nn.Linear(5, 3)),
    ).double()
    theirs.load_state_dict({k: torch.tensor(v) for k, v in ours.state_dict().items()})
    x, y = generator.normal(size=(7, 4)), generator.integers(3, size=7)
    loss = nn.CrossEntropyLoss(label_smoothing=0.1)(ours(x), y)
    loss.backward()
    expected = torch.nn.CrossEntropyLoss(label_smoothing=0.1)(
        theirs(torch.tensor(x)), torch.tensor(y)
    )
    expected.backward()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-13)
    for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert np.allclose(p.grad, q.grad.numpy(), rtol=1e-11, atol=1e-15)


# ---------------------------------------------------------------------------- bilinear


@pytest.mark.parametrize("lead", [(), (5,), (2, 5)])
@pytest.mark.parametrize("bias", [True, False])
def test_bilinear_is_a_form_for_each_output(lead, bias, generator):
    layer = nn.Bilinear(4, 3, 2, bias, dtype=np.float64, generator=generator)
    x, y = generator.normal(size=(*lead, 4)), generator.normal(size=(*lead, 3))
    expected = np.einsum("...i,oij,...j->...o", x, layer.weight.data, y)
    out = layer(x, y)
    np.testing.assert_allclose(out.data, expected + (layer.bias.data if bias else 0), rtol=1e-12)
    gradcheck(lambda x, y, *p: layer(x, y), [x, y, *layer.parameters()], order=2)
    assert repr(layer).endswith(f"out_features=2, bias={bias})")
    assert nn.Bilinear(4, 3, 2)(x, y).dtype == np.float32


def test_what_bilinear_refuses():
    with pytest.raises(ValueError, match="at least 1 of each, not in1_features=4, in2_features=0"):
        nn.Bilinear(4, 0, 2)
    layer = nn.Bilinear(4, 3, 2)
    for x, y in (((5, 4), (6, 3)), ((5, 3), (5, 3)), ((4,), (5, 3))):
        with pytest.raises(ValueError, match=r"must be \(…, n\), \(…, m\), \(out, n, m\)"):
            layer(np.ones(x), np.ones(y))


@pytest.mark.parity
def test_bilinear_equals_pytorchs(generator):
    torch = pytest.importorskip("torch")
    ours, theirs = nn.Bilinear(4, 3, 2, dtype=np.float64), torch.nn.Bilinear(4, 3, 2).double()
    ours.load_state_dict({k: v.numpy() for k, v in theirs.state_dict().items()})
    x, y = generator.normal(size=(5, 4)), generator.normal(size=(5, 3))
    out, expected = ours(x, y), theirs(torch.tensor(x), torch.tensor(y))
    np.testing.assert_allclose(out.data, expected.detach().numpy(), rtol=1e-12)
    out.sum().backward()
    expected.sum().backward()
    for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
        np.testing.assert_allclose(p.grad, q.grad.numpy(), rtol=1e-11)
    large = nn.Bilinear(100, 20, 30)
    assert 0.099 < np.abs(large.weight.data).max() <= 0.1
    assert np.abs(large.bias.data).max() <= 0.1
