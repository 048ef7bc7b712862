"""Recurrent cells and layers: formulas, shapes, errors; and PyTorch's, state dicts both ways."""

import numpy as np
import pytest
from scipy.special import expit

import microgradx as mg
from microgradx import nn
from tests.helpers import leaf


def seeded():
    return np.random.default_rng(7)


CELLS = {
    "RNNCell": (nn.RNNCell, {}),
    "RNNCell relu": (nn.RNNCell, {"nonlinearity": "relu"}),
    "GRUCell": (nn.GRUCell, {}),
    "LSTMCell": (nn.LSTMCell, {}),
    "GRUCell, no bias": (nn.GRUCell, {"bias": False}),
}
LAYERS = {
    "RNN": (nn.RNN, {}),
    "RNN relu": (nn.RNN, {"nonlinearity": "relu", "batch_first": True}),
    "GRU": (nn.GRU, {"bidirectional": True}),
    "GRU, 2 layers": (nn.GRU, {"num_layers": 2, "bias": False, "batch_first": True}),
    "LSTM": (nn.LSTM, {}),
    "LSTM, 2 layers": (nn.LSTM, {"num_layers": 2, "bidirectional": True}),
}


def make(name, table, dtype=np.float64):
    kind, settings = table[name]
    return kind(3, 4, **settings, dtype=dtype, generator=seeded())


def draw_state(module, *lead):
    """A random state, as the module takes it."""
    states = [seeded().normal(size=(*lead, 4)) + i for i in range(module.states)]
    return tuple(states) if len(states) > 1 else states[0]


def as_list(state):
    return list(state) if isinstance(state, tuple) else [state]


# ---------------------------------------------------------------------------- cells


def test_formulas_of_the_cells():
    x, h, c = seeded().normal(size=(3, 2, 4))
    x = x[:, :3]

    def contributions(cell):
        p = {name: parameter.data for name, parameter in cell.named_parameters()}
        return x @ p["weight_ih"].T + p["bias_ih"], h @ p["weight_hh"].T + p["bias_hh"]

    cell = make("RNNCell", CELLS)
    np.testing.assert_allclose(cell(x, h).data, np.tanh(sum(contributions(cell))), rtol=1e-13)
    cell = make("RNNCell relu", CELLS)
    np.testing.assert_allclose(cell(x, h).data, np.maximum(sum(contributions(cell)), 0))
    cell = make("GRUCell", CELLS)
    (x_r, x_z, x_n), (u_r, u_z, u_n) = (np.split(a, 3, 1) for a in contributions(cell))
    z, n = expit(x_z + u_z), np.tanh(x_n + expit(x_r + u_r) * u_n)
    np.testing.assert_allclose(cell(x, h).data, (1 - z) * n + z * h, rtol=1e-13)
    cell = make("LSTMCell", CELLS)
    i, f, g, o = np.split(sum(contributions(cell)), 4, 1)
    c_after = expit(f) * c + expit(i) * np.tanh(g)
    after = cell(x, (h, c))
    np.testing.assert_allclose(after[0].data, expit(o) * np.tanh(c_after), rtol=1e-13)
    np.testing.assert_allclose(after[1].data, c_after, rtol=1e-13)


@pytest.mark.parametrize("name", CELLS)
def test_a_state_is_zeros_unless_it_is_given(name):
    cell = make(name, CELLS)
    x = seeded().normal(size=(2, 3))
    zeros = np.zeros((2, 4))
    given = (zeros, zeros) if cell.states == 2 else zeros
    for out, expected in zip(as_list(cell(x)), as_list(cell(x, given)), strict=True):
        np.testing.assert_array_equal(out.data, expected.data)
    one = as_list(cell(x[0], draw_state(cell)))
    many = as_list(cell(x[:1], draw_state(cell, 1)))
    for out, expected in zip(one, many, strict=True):
        assert out.shape == (4,)
        np.testing.assert_allclose(out.data, expected.data[0], rtol=1e-13)


@pytest.mark.parametrize("name", CELLS)
def test_gradients_of_a_cell(name):
    cell = make(name, CELLS)
    x, state = seeded().normal(size=(2, 3)), as_list(draw_state(cell, 2))

    def step(x, *rest):
        return as_list(cell(x, tuple(rest[: cell.states]) if cell.states == 2 else rest[0]))[-1]

    mg.gradcheck(step, [x, *state, *cell.parameters()])
    mg.gradcheck(step, [x, *state], order=2)


@pytest.mark.parametrize("name", CELLS)
def test_extreme_inputs_saturate(name):
    cell = make(name, CELLS, np.float32)
    x = leaf(np.full((2, 3), 1e4), dtype=np.float32)
    outs = as_list(cell(x))
    outs[0].sum().backward()
    assert all(np.isfinite(out.data).all() and out.dtype == np.float32 for out in outs)
    assert np.isfinite(x.grad).all()


def test_what_cells_refuse():
    with pytest.raises(ValueError, match="at least 1 input and 1 hidden unit, not input_size=0"):
        nn.GRUCell(0, 4)
    with pytest.raises(ValueError, match='nonlinearity must be "tanh" or "relu", not \'gelu\''):
        nn.RNNCell(3, 4, nonlinearity="gelu")
    cell = nn.LSTMCell(3, 4)
    with pytest.raises(ValueError, match=r"shape \(2, 5\) does not fit LSTMCell\(3, 4\)"):
        cell(np.ones((2, 5)))
    with pytest.raises(ValueError, match=r"it must be 2 of shape \(2, 4\)"):
        cell(np.ones((2, 3)), (np.ones((2, 4)), np.ones((1, 4))))
    with pytest.raises(ValueError, match=r"it must be 1 of shape \(2, 4\)"):
        nn.GRUCell(3, 4)(np.ones((2, 3)), np.ones(4))


# ---------------------------------------------------------------------------- layers


@pytest.mark.parametrize(("layer", "cell"), [("RNN", "RNNCell"), ("LSTM", "LSTMCell")])
def test_a_layer_is_its_cell_over_a_sequence(layer, cell):
    layer, cell = make(layer, LAYERS), make(cell, CELLS)
    x = seeded().normal(size=(5, 2, 3))
    outputs, last = layer(x)
    state = None
    for t in range(5):
        state = cell(x[t], state)
        np.testing.assert_allclose(outputs.data[t], as_list(state)[0].data, rtol=1e-13)
    for part, expected in zip(as_list(last), as_list(state), strict=True):
        np.testing.assert_allclose(part.data[0], expected.data, rtol=1e-13)


@pytest.mark.parametrize("name", LAYERS)
def test_sequences_with_and_without_a_batch(name):
    layer = make(name, LAYERS)
    runs = layer.num_layers * (1 + layer.bidirectional)
    x = seeded().normal(size=(2, 5, 3) if layer.batch_first else (5, 2, 3))
    state = draw_state(layer, runs, 2)
    outputs, last = layer(x, state)
    assert outputs.shape == (*x.shape[:2], 4 * (1 + layer.bidirectional))
    assert {part.shape for part in as_list(last)} == {(runs, 2, 4)}
    first = tuple(part[:, 0] for part in as_list(state))
    one, of_one = layer(
        x[0] if layer.batch_first else x[:, 0], first if len(first) > 1 else first[0]
    )
    expected = outputs.data[0] if layer.batch_first else outputs.data[:, 0]
    np.testing.assert_allclose(one.data, expected, rtol=1e-12)
    for part, full in zip(as_list(of_one), as_list(last), strict=True):
        np.testing.assert_allclose(part.data, full.data[:, 0], rtol=1e-12)


@pytest.mark.parametrize("name", ["GRU", "GRU, 2 layers", "LSTM, 2 layers"])
def test_each_layer_and_direction_has_a_state_of_its_own(name):
    layer = make(name, LAYERS)
    x = seeded().normal(size=(1, 1, 3))
    runs = layer.num_layers * (1 + layer.bidirectional)
    state = as_list(draw_state(layer, runs, 1))
    _, before = layer(x, tuple(state) if len(state) > 1 else state[0])
    for i in range(runs):
        changed = [part + (np.arange(runs) == i)[:, None, None] for part in state]
        _, after = layer(x, tuple(changed) if len(changed) > 1 else changed[0])
        moved = np.any(as_list(after)[0].data != as_list(before)[0].data, axis=(1, 2))
        first_of_layer = i - i % (1 + layer.bidirectional)
        of_later_layers = np.arange(runs) >= first_of_layer + 1 + layer.bidirectional
        assert moved[i]
        assert not moved[: i if not layer.bidirectional else first_of_layer].any()
        assert moved[of_later_layers].all()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["GRU", "LSTM"])
def test_gradients_of_a_layer(name):
    layer = make(name, LAYERS)
    x = seeded().normal(size=(3, 2, 3))
    mg.gradcheck(lambda x, *p: layer(x)[0], [x, *layer.parameters()])


def test_dropout_is_between_layers_and_in_training_only():
    x = seeded().normal(size=(5, 2, 3))
    layer = nn.GRU(3, 4, num_layers=2, dropout=0.5, dtype=np.float64, generator=seeded())
    assert not np.array_equal(layer(x)[0].data, layer(x)[0].data)
    layer.eval()
    np.testing.assert_array_equal(layer(x)[0].data, layer(x)[0].data)
    single = nn.GRU(3, 4, dropout=0.5)
    np.testing.assert_array_equal(single(x)[0].data, single(x)[0].data)
    assert repr(layer) == "GRU(3, 4, num_layers=2, dropout=0.5)"


def test_drawings_show_steps():
    outputs, _ = make("GRU", LAYERS)(np.ones((2, 2, 3)))
    assert [scope.name for scope in outputs.scopes] == ["GRU"]
    names = {scope.name for t in mg.engine.reverse_topological_order(outputs) for scope in t.scopes}
    assert {"GRU", "gru_step"} <= names


def test_a_network_learns_to_remember():
    """The first number of a sequence, told from the last state."""
    generator = seeded()
    x = generator.choice([-1.0, 1.0], size=(6, 40, 1))
    layer = nn.GRU(1, 8, dtype=np.float64, generator=generator)
    head = nn.Linear(8, 1, dtype=np.float64, generator=generator)
    optimizer = mg.optim.Adam([*layer.parameters(), *head.parameters()], lr=0.02)
    for _ in range(60):
        loss = mg.binary_cross_entropy_with_logits(head(layer(x)[1][0])[:, 0], x[0, :, 0] > 0)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.2


def test_what_layers_refuse():
    with pytest.raises(ValueError, match="GRU needs at least 1 layer, not 0"):
        nn.GRU(3, 4, 0)
    with pytest.raises(ValueError, match="must be from 0 to 1"):
        nn.GRU(3, 4, dropout=2.0)
    with pytest.raises(TypeError, match=r"must be a numpy\.random\.Generator"):
        nn.GRU(3, 4, generator=3)
    layer = nn.GRU(3, 4)
    with pytest.raises(ValueError, match=r"must have shape \(L, N, input_size\), or \(L, input"):
        layer(np.ones((5, 2, 4)))
    with pytest.raises(ValueError, match="has no steps"):
        layer(np.ones((0, 2, 3)))
    with pytest.raises(ValueError, match=r"it must be 1 of shape \(1, 2, 4\)"):
        layer(np.ones((5, 2, 3)), np.ones((2, 4)))


# ---------------------------------------------------------------------------- against PyTorch


def compare_states(ours, theirs):
    assert {k: v.shape for k, v in ours.state_dict().items()} == {
        k: tuple(v.shape) for k, v in theirs.state_dict().items()
    }
    ours.load_state_dict({k: v.numpy() for k, v in theirs.state_dict().items()})
    theirs.load_state_dict({k: __import__("torch").tensor(v) for k, v in ours.state_dict().items()})


@pytest.mark.parity
@pytest.mark.parametrize("name", [*CELLS, *LAYERS])
def test_recurrent_modules_equal_pytorchs(name):
    torch = pytest.importorskip("torch")
    table = CELLS if name in CELLS else LAYERS
    kind, settings = table[name]
    ours = make(name, table)
    theirs = getattr(torch.nn, kind.__name__)(3, 4, **settings).double()
    compare_states(ours, theirs)
    lead = (2,)
    if table is LAYERS:
        lead = (ours.num_layers * (1 + ours.bidirectional), 2 if not ours.batch_first else 5)
    x = seeded().normal(size=(2, 3) if table is CELLS else (5, 2, 3))
    for given in (None, draw_state(ours, *lead)):
        ours.zero_grad()
        theirs.zero_grad()
        inputs = [leaf(a) for a in [x, *([] if given is None else as_list(given))]]
        others = [torch.tensor(a.data, requires_grad=True) for a in inputs]
        state, their_state = (
            None if given is None else tuple(a[1:]) if ours.states == 2 else a[1]
            for a in (inputs, others)
        )
        outs, expected = ours(inputs[0], state), theirs(others[0], their_state)
        flat, their_flat = (
            [part for out in as_list(results) for part in as_list(out)]
            for results in (outs, expected)
        )
        total, their_total = 0, 0
        for i, (out, other) in enumerate(zip(flat, their_flat, strict=True)):
            np.testing.assert_allclose(out.data, other.detach().numpy(), rtol=1e-11, atol=1e-14)
            g = np.random.default_rng(i).normal(size=out.shape)
            total, their_total = (
                total + (out * g).sum(),
                their_total + (other * torch.tensor(g)).sum(),
            )
        total.backward()
        their_total.backward()
        for a, b in zip(
            [*inputs, *ours.parameters()], [*others, *theirs.parameters()], strict=True
        ):
            np.testing.assert_allclose(a.grad, b.grad.numpy(), rtol=1e-9, atol=1e-13)


@pytest.mark.parity
@pytest.mark.parametrize("name", ["GRUCell", "LSTM, 2 layers"])
def test_initial_distributions_are_pytorchs(name):
    torch = pytest.importorskip("torch")
    kind, settings = {**CELLS, **LAYERS}[name]
    ours = dict(kind(50, 64, **settings).named_parameters())
    for key, theirs in getattr(torch.nn, kind.__name__)(50, 64, **settings).named_parameters():
        theirs = theirs.detach().numpy()
        np.testing.assert_allclose(np.abs(ours[key].data).max(), abs(theirs).max(), rtol=0.05)
        np.testing.assert_allclose(ours[key].data.std(), theirs.std(), rtol=0.15)
