"""Embedding: rows of a table, their gradients, the row for padding, what is refused."""

import numpy as np
import pytest

import microgradx as mg
from microgradx import nn
from tests.helpers import leaf


def seeded():
    return np.random.default_rng(3)


@pytest.mark.parametrize("shape", [(), (4,), (2, 3), (0,)])
def test_rows_of_the_table(shape):
    table = nn.Embedding(5, 3, dtype=np.float64, generator=seeded())
    indices = seeded().integers(5, size=shape)
    out = table(indices)
    assert out.shape == (*shape, 3)
    np.testing.assert_array_equal(out.data, table.weight.data[indices])
    g = seeded().normal(size=out.shape)
    out.backward(g)
    expected = np.zeros((5, 3))
    np.add.at(expected, indices, g)
    np.testing.assert_allclose(table.weight.grad, expected, rtol=1e-14)


@pytest.mark.parametrize("padding_idx", [0, 2, -1])
def test_the_row_for_padding_starts_at_0_and_stays(padding_idx):
    table = nn.Embedding(4, 3, padding_idx, dtype=np.float64)
    assert not table.weight.data[padding_idx].any()
    assert table.weight.data.any(axis=1).sum() == 3
    weights = seeded().normal(size=(2, 4, 3))
    (table([[0, 1, 2, 3], [3, 2, 1, 0]]) * weights).sum().backward()
    assert not table.weight.grad[padding_idx].any()
    assert table.weight.grad.any(axis=1).sum() == 3
    for optimizer in (mg.optim.SGD, mg.optim.Adam):
        optimizer(table.parameters(), lr=0.1).step()
        assert not table.weight.data[padding_idx].any()
    assert f"padding_idx={padding_idx % 4}" in repr(table)


def test_gradients_of_both_orders():
    table = nn.Embedding(4, 2, padding_idx=1, dtype=np.float64)
    mg.gradcheck(
        lambda w: mg.tanh(mg.nn.functional.embedding([[0, 3], [3, 2]], w, 1)), table.weight, order=2
    )


def test_initial_numbers_are_normal():
    weight = nn.Embedding(200, 100, generator=seeded()).weight.data
    assert weight.dtype == np.float32
    assert abs(weight.mean()) < 0.03
    assert abs(weight.std() - 1) < 0.02


def test_pretrained_rows_are_frozen_unless_they_are_to_be_trained():
    rows = seeded().normal(size=(3, 2))
    before = mg.manual_seed(0).bit_generator.state
    table = nn.Embedding.from_pretrained(rows)
    assert mg.common.randomness.default_generator().bit_generator.state == before
    assert [p.requires_grad for p in table.parameters()] == [False]
    assert list(table.state_dict()) == ["weight"]
    assert not table([1]).requires_grad
    np.testing.assert_array_equal(table([1]).data, rows[[1]])
    trained = nn.Embedding.from_pretrained(rows, freeze=False, padding_idx=0)
    trained([0, 1]).sum().backward()
    np.testing.assert_array_equal(trained.weight.grad, [[0, 0], [1, 1], [0, 0]])
    with pytest.raises(ValueError, match=r"embeddings of shape \(3,\); they need 2 axes"):
        nn.Embedding.from_pretrained(rows[:, 0])


def test_frozen_by_requires_grad():
    table = nn.Embedding(3, 2)
    table.weight.requires_grad = False
    assert not table([1]).requires_grad


def test_what_is_refused():
    table = nn.Embedding(3, 2)
    for indices, kind in (([1.0], "float64"), (np.array([True]), "bool")):
        with pytest.raises(TypeError, match=rf"integers, not by {kind}; write x\.astype\(int\)"):
            table(indices)
    for wrong in (3, -1):
        with pytest.raises(
            IndexError, match=f"index {wrong} in row 1 is not one of the 3 rows of the embedding"
        ):
            table([0, wrong])
    for sizes in ((0, 2), (3, 0)):
        with pytest.raises(ValueError, match="at least 1 row and 1 column, not num_embeddings="):
            nn.Embedding(*sizes)
    for padding_idx in (3, -4):
        with pytest.raises(ValueError, match=f"padding_idx={padding_idx} is not one of the 3 rows"):
            nn.Embedding(3, 2, padding_idx)
        with pytest.raises(ValueError, match=f"padding_idx={padding_idx} is not one of the 3 rows"):
            mg.nn.functional.embedding([1], table.weight, padding_idx)


@pytest.mark.parity
@pytest.mark.parametrize("padding_idx", [None, 2, -4])
def test_an_embedding_equals_pytorchs(padding_idx):
    torch = pytest.importorskip("torch")
    ours = nn.Embedding(5, 3, padding_idx, dtype=np.float64)
    theirs = torch.nn.Embedding(5, 3, padding_idx).double()
    ours.load_state_dict({k: v.numpy() for k, v in theirs.state_dict().items()})
    theirs.load_state_dict({k: torch.tensor(v) for k, v in ours.state_dict().items()})
    indices = seeded().integers(5, size=(4, 6))
    g = seeded().normal(size=(4, 6, 3))
    out, expected = ours(indices), theirs(torch.tensor(indices))
    np.testing.assert_array_equal(out.data, expected.detach().numpy())
    out.backward(g)
    expected.backward(torch.tensor(g))
    np.testing.assert_allclose(ours.weight.grad, theirs.weight.grad.numpy(), rtol=1e-13)


def test_an_integer_leaf_of_a_table_is_a_lookup_too():
    weight = leaf([[1.0, 2.0], [3.0, 4.0]])
    out = mg.nn.functional.embedding(mg.Tensor([1, 1]), weight)
    out.sum().backward()
    np.testing.assert_array_equal(weight.grad, [[0, 0], [2, 2]])
