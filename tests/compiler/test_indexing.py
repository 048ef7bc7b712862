"""Integers and conditions of the batch that select: compiled steps against eager ones."""

import numpy as np
import pytest

import microgradx as mg
from microgradx import nn, optim

F = nn.functional

ROWS = 10
OUTER_TABLE = np.random.default_rng(7).normal(size=(ROWS, 3))


class Model(nn.Module):
    """Has a table that is trained, one that is a constant Tensor, and plain arrays."""

    def __init__(self, forward):
        generator = np.random.default_rng(0)
        self.weight = mg.Tensor(generator.normal(size=(ROWS, 3)), requires_grad=True)
        self.constant = mg.Tensor(generator.normal(size=(ROWS, 3)))
        self.embedding = nn.Embedding(ROWS, 3, dtype=np.float64, generator=generator)
        self.padded = nn.Embedding(ROWS, 3, padding_idx=2, dtype=np.float64, generator=generator)
        self.linear = nn.Linear(3, 3, dtype=np.float64, generator=generator)
        self.table = generator.normal(size=(ROWS, 3))
        self.tables = {"small": [generator.normal(size=(ROWS, 3)), np.arange(ROWS)[::-1]]}
        self.compute = forward

    def forward(self, x):
        return self.linear(self.compute(self, x))


def look_up_outside(x):
    return OUTER_TABLE[x]


def make_closure():
    table = OUTER_TABLE * 2
    return lambda m, x: table[x] * m.weight[0]


# Of a batch x of integers from 0 to 9, in the shape (rows,).
LOOKUPS = {
    "F.embedding": lambda m, x: F.embedding(x, m.weight),
    "F.embedding with padding": lambda m, x: F.embedding(x, m.weight, padding_idx=-1),
    "nn.Embedding": lambda m, x: m.embedding(x),
    "nn.Embedding with padding": lambda m, x: m.padded(x),
    "two of them": lambda m, x: m.embedding(x) + m.padded(x),
    "of several": lambda m, x: mg.sum(m.embedding(np.stack([x, x // 2], axis=1)), axis=1),
    "t[x]": lambda m, x: m.weight[x],
    "t[x, :]": lambda m, x: m.weight[x, :],
    "t[x][:, ::-1]": lambda m, x: m.weight[x][:, ::-1],
    "t[x, k]": lambda m, x: m.weight[x, x % 3][:, None] * m.weight[0],
    "t[None, x]": lambda m, x: m.weight[None, x][0],
    "t[-x]": lambda m, x: m.weight[-x],
    "constant[x]": lambda m, x: m.constant[x] * m.weight[0],
    "new Tensor[x]": lambda m, x: mg.Tensor(OUTER_TABLE)[x] * m.weight[0],
    "array[x]": lambda m, x: m.table[x] * m.weight[0],
    "array[x] in a dict": lambda m, x: m.tables["small"][0][x] * m.weight[0],
    "array[array[x]]": lambda m, x: m.weight[m.tables["small"][1][x]],
    "global array[x]": lambda m, x: OUTER_TABLE[x] * m.weight[0],
    "global array[x] elsewhere": lambda m, x: look_up_outside(x) * m.weight[0],
    "array[x] of a closure": make_closure(),
    "np.take of a Tensor": lambda m, x: np.take(m.weight, x, axis=0),
    "np.take of an array": lambda m, x: np.take(m.table, x, axis=0) * m.weight[0],
    "np.take by default": lambda m, x: np.take(m.weight, x)[:, None] * m.weight[0],
    "mg.take": lambda m, x: mg.take(m.weight, x, axis=0),
    "mg.take of a new array": lambda m, x: mg.take(np.eye(ROWS), x, axis=0) @ m.weight,
    "take_along_axis": lambda m, x: (
        np.take_along_axis(m.weight[: len(x)], x[:, None] % 3, axis=1) * m.weight[0]
    ),
    "one_hot": lambda m, x: F.one_hot(x, ROWS) @ m.weight,
    "mg.one_hot": lambda m, x: mg.one_hot(x, num_classes=ROWS) @ m.weight,
    "x == arange": lambda m, x: (x[:, None] == np.arange(ROWS)) @ m.weight,
    "np.choose": lambda m, x: (
        np.choose(x % 2, [m.weight[0, 0], m.weight[1, 0]])[:, None] * m.table[0]
    ),
    "np.where": lambda m, x: np.where((x > 4)[:, None], m.weight[0], m.constant[1]),
    "mg.where of a number": lambda m, x: mg.where((x > 4)[:, None], m.weight[x], 0.0),
    "index by where": lambda m, x: m.weight[np.where(x > 4, x, 0)],
    "index by clip": lambda m, x: m.weight[np.clip(x, 2, 5)],
    "index by searchsorted": lambda m, x: m.weight[np.searchsorted(np.arange(0, ROWS, 2), x)],
    "index by argsort": lambda m, x: m.weight[np.argsort(x)],
    "slices of the batch": lambda m, x: mg.concatenate([m.weight[x[:2]], m.weight[x[2:]]]),
    "rows one by one": lambda m, x: mg.stack([m.weight[i] for i in x]),
    "at set": lambda m, x: m.weight.at[x].set(m.table[x])[x] * m.weight[x],
    "at add": lambda m, x: m.weight.at[x].add(1.0)[x],
}

# Of logits z of shape (rows, 3) and labels y.
LOSSES = {
    "z[y]": lambda z, y: mg.sum(z[y % len(z)] ** 2),
    "z[arange, y]": lambda z, y: -mg.mean(mg.log_softmax(z)[np.arange(len(z)), y]),
    "z[:, 0][y]": lambda z, y: mg.sum(z[:, 0][y] ** 2),
    "weights[y]": lambda z, y: mg.mean(
        mg.cross_entropy(z, y, reduction="none") * mg.Tensor([1.0, 2.0, 0.5])[y]
    ),
    "class weights": lambda z, y: mg.cross_entropy(z, y, weight=[1.0, 2.0, 0.5]),
    "one_hot": lambda z, y: mg.mse_loss(z, F.one_hot(y, 3)),
    "take_along_axis": lambda z, y: -mg.sum(np.take_along_axis(mg.log_softmax(z), y[:, None], 1)),
    "where of labels": lambda z, y: mg.sum(np.where((y == 1)[:, None], z, 0.5 * z) ** 2),
    "mask as numbers": lambda z, y: mg.sum(z**2 * (y != 0)[:, None]),
}


def take_steps(forward, loss, make_optimizer, dtype=np.int64, batches=(6, 6)):
    models = [Model(forward) for _ in "ab"]
    optimizers = [make_optimizer(model.parameters()) for model in models]
    step = mg.compile(models[1], loss, optimizers[1])
    generator = np.random.default_rng(1)
    for rows in batches:
        x, y = generator.integers(0, ROWS, rows).astype(dtype), generator.integers(0, 3, rows)
        optimizers[0].zero_grad()
        expected = loss(models[0](x), y)
        expected.backward()
        optimizers[0].step()
        np.testing.assert_allclose(step(x, y), expected.item(), rtol=1e-12)
        for name, values in models[0].state_dict().items():
            np.testing.assert_allclose(models[1].state_dict()[name], values, rtol=1e-9, atol=1e-12)
    return models[1], step


def sgd(params):
    return optim.SGD(params, lr=0.1)


@pytest.mark.parametrize("name", LOOKUPS)
def test_lookups(name):
    def loss(z, y):
        return mg.mean((z - y[: len(z), None]) ** 2)

    take_steps(LOOKUPS[name], loss, sgd, np.int32 if "Embedding" in name else np.int64)


@pytest.mark.parametrize("name", LOSSES)
def test_losses(name):
    def adam(params):
        return optim.Adam(params, lr=0.01)

    take_steps(LOOKUPS["t[x]"], LOSSES[name], adam, batches=(6, 6, 4))


def test_tables_are_there_again_afterwards():
    model, _ = take_steps(LOOKUPS["array[array[x]]"], mg.cross_entropy, sgd)
    arrays = [model.table, OUTER_TABLE, *model.tables["small"]]
    assert all(type(array) is np.ndarray for array in arrays)
    with pytest.raises(mg.CaptureError):
        mg.compile(lambda x: OUTER_TABLE[x] * int(x[0]))(np.arange(3))
    assert type(OUTER_TABLE) is np.ndarray
    np.testing.assert_array_equal(
        mg.compile(lambda x: OUTER_TABLE[x])(np.arange(3)), OUTER_TABLE[:3]
    )


def test_what_has_no_fixed_shape_or_is_made_on_the_way_says_what_to_write():
    for function, message in (
        (
            lambda x: np.eye(ROWS)[x],
            r"a plain array.*test_indexing.*microgradx.take\(array, integers",
        ),
        (lambda x: mg.one_hot(x), "pass num_classes"),
        (lambda x: x[x > 2], "boolean mask depends on values"),
    ):
        with pytest.raises(mg.CaptureError, match=message):
            mg.compile(function)(np.arange(5))


# ---------------------------------------------------------------------------- out of range


class WithStatistics(Model):
    """Counts its calls in a buffer, before it looks anything up."""

    def __init__(self, forward):
        super().__init__(forward)
        self.calls = mg.Tensor(0)

    def forward(self, x):
        self.calls.data = self.calls.data + 1
        return super().forward(x)


@pytest.mark.parametrize("wrong", [ROWS, -1])
@pytest.mark.parametrize(
    "name",
    [
        *("F.embedding", "nn.Embedding", "t[x]", "constant[x]", "array[x]", "global array[x]"),
        *("np.take of a Tensor", "np.take of an array", "mg.take", "one_hot"),
    ],
)
def test_an_index_out_of_range_is_refused_as_in_eager_steps_and_changes_nothing(name, wrong):
    model = WithStatistics(LOOKUPS[name])
    optimizer = optim.Adam(model.parameters(), lr=0.1)
    step = mg.compile(model, mg.cross_entropy, optimizer)
    x, y = np.array([0, 3, 9, 9]), np.array([0, 1, 2, 0])
    bad = x.copy()
    bad[2] = wrong
    before = None
    for _ in range(2):  # before there is a program, and by one
        counts = int(model.calls.data)
        try:
            expected = None
            mg.no_grad()(lambda: LOOKUPS[name](model, bad))()
        except IndexError as error:
            expected = str(error)
        if expected is None:  # from the end, as NumPy counts
            assert -ROWS <= wrong < 0
            return
        before = model.state_dict(), repr(optimizer.state)
        with pytest.raises(IndexError) as refused:
            step(bad, y)
        essential = expected.rpartition(": ")[2].partition(";")[0]
        assert essential in str(refused.value)
        after = model.state_dict()
        for path, values in before[0].items():
            np.testing.assert_array_equal(after[path], values)
        assert repr(optimizer.state) == before[1]
        assert int(model.calls.data) == counts
        step(x, y)
        assert int(model.calls.data) == counts + 1


def test_the_source_of_an_embedding_can_be_read():
    _, step = take_steps(LOOKUPS["nn.Embedding"], mg.cross_entropy, sgd)
    body = step.source.partition("def step(")[2].partition("# loss")[0]
    lines = [line.strip() for line in body.splitlines() if line.strip()]
    assert 'check_range(X, 10, "index", "rows of the embedding")' in [
        line.replace("'", '"') for line in lines
    ]
    assert any(line.endswith("[X]") for line in lines)
