"""Attention: its formula, masks, shapes, errors; and PyTorch's, state dicts both ways."""

import numpy as np
import pytest
from scipy import special

import microgradx as mg
from microgradx import nn
from microgradx.nn import functional as F
from tests.helpers import leaf


def seeded():
    return np.random.default_rng(5)


def draw(*shapes):
    generator = seeded()
    return [generator.normal(size=shape) for shape in shapes]


# ---------------------------------------------------------------------------- the function


def by_hand(q, k, v, added=0.0):
    scores = q @ np.swapaxes(k, -1, -2) / np.sqrt(q.shape[-1]) + added
    return special.softmax(scores, -1) @ v


@pytest.mark.parametrize("lead", [(), (2,), (2, 3)])
def test_attention_is_a_mean_of_values(lead):
    q, k, v = draw((*lead, 4, 5), (*lead, 6, 5), (*lead, 6, 2))
    np.testing.assert_allclose(F.scaled_dot_product_attention(q, k, v), by_hand(q, k, v))
    out = F.scaled_dot_product_attention(q, k, v, scale=1 / np.sqrt(5))
    np.testing.assert_allclose(out, by_hand(q, k, v))


def test_masks_of_booleans_and_of_scores():
    q, k, v = draw((2, 3, 4, 5), (2, 3, 6, 5), (2, 3, 6, 2))
    generator = seeded()
    for shape in [(4, 6), (2, 1, 4, 6), (2, 3, 4, 6), (1, 6), (2, 1, 1, 6)]:
        attends = generator.random(shape) < 0.6
        attends[..., 0] = True
        expected = by_hand(q, k, v, np.where(attends, 0, -np.inf))
        out = F.scaled_dot_product_attention(q, k, v, attends)
        np.testing.assert_allclose(out, expected)
        added = generator.normal(size=shape)
        out = F.scaled_dot_product_attention(q, k, v, added)
        np.testing.assert_allclose(out, by_hand(q, k, v, added))


@pytest.mark.parametrize("keys", [3, 5])
def test_a_causal_mask_hides_the_future(keys):
    """The result at i does not change with keys behind i, to the bit."""
    q, k, v = draw((4, 2), (keys, 2), (keys, 3))
    out = F.scaled_dot_product_attention(q, k, v, is_causal=True)
    for i in range(min(4, keys)):
        k, v = k.copy(), v.copy()
        k[i + 1 :] += 7
        v[i + 1 :] -= 7
        again = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        np.testing.assert_array_equal(again[: i + 1], out[: i + 1])
        k, v = draw((4, 2), (keys, 2), (keys, 3))[1:]
    with_mask = F.scaled_dot_product_attention(q, k, v, np.zeros((4, keys)), is_causal=True)
    np.testing.assert_array_equal(with_mask, out)


def test_a_masked_key_receives_no_gradient():
    q, k, v = (leaf(x) for x in draw((3, 4), (5, 4), (5, 2)))
    mask = np.array([True, False, True, True, False])
    F.scaled_dot_product_attention(q, k, v, mask[None]).sum().backward()
    assert not k.grad[~mask].any()
    assert not v.grad[~mask].any()
    assert k.grad[mask].any(axis=1).all()


def test_a_query_without_keys_is_nan_and_the_others_are_not():
    q, k, v = draw((3, 4), (5, 4), (5, 2))
    mask = np.ones((3, 5), bool)
    mask[1] = False
    out = F.scaled_dot_product_attention(q, k, v, mask)
    assert np.isnan(out[1]).all()
    np.testing.assert_allclose(out[[0, 2]], by_hand(q, k, v)[[0, 2]])
    with mg.detect_anomaly(), pytest.raises(mg.AnomalyError, match="softmax"):
        F.scaled_dot_product_attention(leaf(q), k, v, mask)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_extreme_scores(dtype):
    """Scores of 1e4 choose one key; gradients are finite."""
    q, k = leaf([[1e3, 0], [0, -1e3]], dtype=dtype), leaf([[10.0, 0], [0, 10]], dtype=dtype)
    v = leaf([[1.0], [2.0]], dtype=dtype)
    out = F.scaled_dot_product_attention(q, k, v)
    np.testing.assert_allclose(out.data, [[1], [1]])
    out.sum().backward()
    assert out.dtype == dtype
    assert all(np.isfinite(x.grad).all() and x.grad.dtype == dtype for x in (q, k, v))


def test_what_attention_refuses():
    q, k, v = draw((4, 5), (6, 5), (6, 2))
    for wrong in ((q, k[:, :4], v), (q, k, v[:5]), (q[0], k, v)):
        with pytest.raises(ValueError, match=r"must have the shapes \(…, L, E\), \(…, S, E\)"):
            F.scaled_dot_product_attention(*wrong)
    with pytest.raises(TypeError, match=r"booleans, or of floats .* not int64; .*astype\(bool\)"):
        F.scaled_dot_product_attention(q, k, v, np.ones((4, 6), int))
    with pytest.raises(ValueError, match=r"shape \(6, 4\), which does not broadcast .* \(4, 6\)"):
        F.scaled_dot_product_attention(q, k, v, np.ones((6, 4)))
    with pytest.raises(ValueError, match="must be from 0 to 1"):
        F.scaled_dot_product_attention(q, k, v, dropout_p=2)


def test_dropped_weights_keep_the_mean():
    q, k = np.zeros((1, 2)), np.zeros((4000, 2))
    generator = seeded()
    out = F.scaled_dot_product_attention(
        q, k, np.ones((4000, 1)), dropout_p=0.25, generator=generator
    )
    assert abs(out - 1) < 0.05
    assert out != 1


# ---------------------------------------------------------------------------- the module


def layer(**settings):
    return nn.MultiheadAttention(6, 2, dtype=np.float64, generator=seeded(), **settings)


def test_shapes_with_and_without_a_batch():
    q, k, v = draw((4, 3, 6), (5, 3, 6), (5, 3, 6))
    out, weights = layer()(q, k, v)
    assert (out.shape, weights.shape) == ((4, 3, 6), (3, 4, 5))
    first = layer(batch_first=True)
    swapped, same = first(*(x.swapaxes(0, 1) for x in (q, k, v)))
    np.testing.assert_array_equal(swapped.data, out.data.swapaxes(0, 1))
    np.testing.assert_array_equal(same.data, weights.data)
    one, of_one = first(q[:, 0], k[:, 0], v[:, 0])
    np.testing.assert_allclose(one.data, out.data[:, 0], rtol=1e-13)
    np.testing.assert_allclose(of_one.data, weights.data[0], rtol=1e-13)
    np.testing.assert_allclose(weights.data.sum(-1), 1)
    _, each = layer()(q, k, v, average_attn_weights=False)
    assert each.shape == (3, 2, 4, 5)
    np.testing.assert_allclose(each.data.mean(1), weights.data)
    assert layer()(q, k, v, need_weights=False)[1] is None


@pytest.mark.parametrize("kind", [bool, float])
def test_padding_is_not_attended_to(kind):
    """What the padding holds changes nothing, and receives no gradient."""
    (x,) = draw((2, 5, 6))
    padding = np.array([[0, 0, 0, 1, 1], [0, 0, 0, 0, 0]], bool)
    mask = padding if kind is bool else np.where(padding, -np.inf, 0)
    attention = layer(batch_first=True)
    key = leaf(x)
    out, weights = attention(x, key, key, key_padding_mask=mask)
    assert not weights.data[0, :, 3:].any()
    out.sum().backward()
    assert not key.grad[padding].any()
    other = x.copy()
    other[0, 3:] = 99
    again, _ = attention(x, other, other, key_padding_mask=mask)
    np.testing.assert_array_equal(again.data, out.data)


def test_masks_of_each_head_and_causal_ones():
    (x,) = draw((2, 3, 6))
    attention = layer(batch_first=True)
    causal, _ = attention(x, x, x, is_causal=True)
    hidden = np.triu(np.ones((3, 3), bool), 1)
    for mask in (hidden, np.where(hidden, -np.inf, 0), np.broadcast_to(hidden, (4, 3, 3))):
        out, _ = attention(x, x, x, attn_mask=mask)
        np.testing.assert_array_equal(out.data, causal.data)
    of_heads = np.zeros((4, 3, 3), bool)
    of_heads[1, :, 0] = True  # the first sequence, the second head
    _, weights = attention(x, x, x, attn_mask=of_heads, average_attn_weights=False)
    assert not weights.data[0, 1, :, 0].any()
    assert weights.data[0, 0, :, 0].all()
    assert weights.data[1].all()


@pytest.mark.parametrize(
    ("settings", "order"),
    [
        ({"bias": False, "kdim": 3, "vdim": 5}, 1),
        pytest.param({}, 1, marks=pytest.mark.slow),
        pytest.param({}, 2, marks=pytest.mark.slow),
    ],
)
def test_gradients_of_inputs_and_parameters(settings, order):
    attention = nn.MultiheadAttention(
        4, 2, batch_first=True, dtype=np.float64, generator=seeded(), **settings
    )
    inputs = draw((2, 2, 4), (2, 3, attention.kdim), (2, 3, attention.vdim))
    mask = np.triu(np.ones((2, 3), bool), 2)
    padding = np.array([[0, 0, 1], [0, 0, 0]], bool)

    def attend(q, k, v, *parameters):
        return attention(q, k, v, padding, attn_mask=mask)[0]

    # Of a bias of keys both orders are 0, which finite differences of the second cannot tell.
    parameters = attention.parameters() if order == 1 else ()
    mg.gradcheck(attend, [*inputs, *parameters], order=order)


def test_dropout_of_weights_in_training_only():
    (x,) = draw((3, 6))
    attention = layer(dropout=0.5)
    assert not np.array_equal(attention(x, x, x)[0].data, attention(x, x, x)[0].data)
    attention.eval()
    np.testing.assert_array_equal(attention(x, x, x)[0].data, attention(x, x, x)[0].data)
    assert repr(attention).startswith(
        "MultiheadAttention(\n  embed_dim=6, num_heads=2, dropout=0.5\n  (out_proj)"
    )


def test_float32_stays_float32_whatever_comes_in():
    attention = nn.MultiheadAttention(6, 2)
    (x,) = draw((3, 6))
    out, weights = attention(x, x, x, attn_mask=np.zeros((3, 3)))
    assert out.dtype == weights.dtype == np.float32
    out.sum().backward()
    assert {p.grad.dtype for p in attention.parameters()} == {np.dtype(np.float32)}


def test_drawings_show_its_scope_and_softmax():
    (x,) = draw((3, 6))
    out, _ = layer()(x, x, x)
    assert [scope.name for scope in out.scopes] == ["MultiheadAttention"]
    picture = mg.draw_dot(out.sum())
    assert "MultiheadAttention" in str(picture)
    assert "softmax" in str(picture)
    names = {scope.name for t in mg.engine.reverse_topological_order(out) for scope in t.scopes}
    assert {"attention", "softmax", "Linear"} <= names


def test_what_the_module_refuses():
    for sizes in ((6, 4), (6, 0), (0, 1)):
        with pytest.raises(ValueError, match="the number of heads must divide the dimension"):
            nn.MultiheadAttention(*sizes)
    attention = layer()
    q, k = draw((4, 3, 6), (5, 3, 6))
    for wrong in ((q, k[:, :2], k[:, :2]), (q, k, k[:4]), (q[..., :5], k, k), (q[:, 0], k, k)):
        with pytest.raises(ValueError, match=r"shapes \(L, N, 6\), \(S, N, 6\), \(S, N, 6\), or"):
            attention(*wrong)
    with pytest.raises(ValueError, match=r"shape \(5, 4\); it must be \(4, 5\).*\(6, 4, 5\)"):
        attention(q, k, k, attn_mask=np.zeros((5, 4)))
    with pytest.raises(ValueError, match=r"key_padding_mask has shape \(5, 3\).*must be \(3, 5\)"):
        attention(q, k, k, key_padding_mask=np.zeros((5, 3), bool))
    with pytest.raises(TypeError, match="key_padding_mask must be of booleans"):
        attention(q, k, k, key_padding_mask=np.zeros((3, 5), int))


# ---------------------------------------------------------------------------- against PyTorch


@pytest.mark.parity
@pytest.mark.parametrize("settings", [{}, {"bias": False}, {"kdim": 3, "vdim": 5}, {"vdim": 4}])
@pytest.mark.parametrize("batch_first", [True, False])
def test_the_module_equals_pytorchs(settings, batch_first):
    torch = pytest.importorskip("torch")
    ours = layer(batch_first=batch_first, **settings)
    theirs = torch.nn.MultiheadAttention(6, 2, batch_first=batch_first, **settings).double()
    assert {k: v.shape for k, v in ours.state_dict().items()} == {
        k: tuple(v.shape) for k, v in theirs.state_dict().items()
    }
    ours.load_state_dict({k: v.numpy() for k, v in theirs.state_dict().items()})
    theirs.load_state_dict({k: torch.tensor(v) for k, v in ours.state_dict().items()})
    arrays = draw((3, 4, 6), (3, 5, ours.kdim), (3, 5, ours.vdim))
    if not batch_first:
        arrays = [x.swapaxes(0, 1) for x in arrays]
    padding = np.array([[0, 0, 0, 1, 1], [0, 0, 0, 0, 0], [0, 1, 0, 0, 0]], bool)
    added = seeded().normal(size=(6, 4, 5))
    for masks in (
        {},
        {"attn_mask": np.triu(np.ones((4, 5), bool), 1)},
        {"attn_mask": added},
        {"key_padding_mask": padding, "average_attn_weights": False},
        {"key_padding_mask": np.where(padding, -np.inf, 0), "attn_mask": added},
    ):
        ours.zero_grad()
        theirs.zero_grad()
        inputs = [leaf(x) for x in arrays]
        others = [torch.tensor(x, requires_grad=True) for x in arrays]
        out, weights = ours(*inputs, **masks)
        masks = {k: torch.tensor(v) if isinstance(v, np.ndarray) else v for k, v in masks.items()}
        expected, their_weights = theirs(*others, **masks)
        np.testing.assert_allclose(out.data, expected.detach().numpy(), rtol=1e-11, atol=1e-14)
        np.testing.assert_allclose(weights.data, their_weights.detach().numpy(), rtol=1e-11)
        g = seeded().normal(size=out.shape)
        out.backward(g)
        expected.backward(torch.tensor(g))
        for x, y in zip(
            [*inputs, *ours.parameters()], [*others, *theirs.parameters()], strict=True
        ):
            np.testing.assert_allclose(x.grad, y.grad.numpy(), rtol=1e-9, atol=1e-13)


@pytest.mark.parity
def test_the_function_equals_pytorchs():
    torch = pytest.importorskip("torch")
    arrays = draw((2, 3, 4, 5), (2, 3, 6, 5), (2, 3, 6, 2))
    attends = seeded().random((4, 6)) < 0.7
    attends[:, 0] = True
    for settings in (
        {},
        {"is_causal": True},
        {"scale": 0.3},
        {"attn_mask": attends},
        {"attn_mask": seeded().normal(size=(2, 1, 4, 6))},
    ):
        inputs = [leaf(x) for x in arrays]
        others = [torch.tensor(x, requires_grad=True) for x in arrays]
        out = F.scaled_dot_product_attention(*inputs, **settings)
        settings = {
            k: torch.tensor(v) if isinstance(v, np.ndarray) else v for k, v in settings.items()
        }
        expected = torch.nn.functional.scaled_dot_product_attention(*others, **settings)
        np.testing.assert_allclose(out.data, expected.detach().numpy(), rtol=1e-11)
        out.sum().backward()
        expected.sum().backward()
        for x, y in zip(inputs, others, strict=True):
            np.testing.assert_allclose(x.grad, y.grad.numpy(), rtol=1e-9, atol=1e-13)


@pytest.mark.parity
def test_initial_distributions_are_pytorchs():
    """Both from the same uniform distributions: their largest numbers are near the limits."""
    torch = pytest.importorskip("torch")
    for settings in ({}, {"kdim": 30, "vdim": 50}):
        ours = dict(nn.MultiheadAttention(96, 4, **settings).named_parameters())
        for name, theirs in torch.nn.MultiheadAttention(96, 4, **settings).named_parameters():
            theirs = theirs.detach().numpy()
            np.testing.assert_allclose(np.abs(ours[name].data).max(), abs(theirs).max(), rtol=0.02)
            np.testing.assert_allclose(ours[name].data.std(), theirs.std(), rtol=0.05)
