"""Labels and features in every form that `fit` and `predict` take, and what they mean."""

import numpy as np
import pandas as pd
import polars as pl
import pytest

import microgradx as mg
from microgradx import nn
from microgradx.training import losses

ROWS = 24
NUMBERS = np.arange(ROWS) % 3  # of the classes


def make_features():
    generator = np.random.default_rng(0)
    return generator.normal(size=(ROWS, 3)) + 3 * np.eye(3)[NUMBERS]


def make_model(outputs=3):
    return nn.MLP(3, [], outputs, generator=np.random.default_rng(1))


def train(data, model=None, **settings):
    model = make_model() if model is None else model
    settings = {"epochs": 40, "lr": 0.2, "compiled": False, "progress": False, **settings}
    history = mg.fit(model, data, generator=np.random.default_rng(2), **settings)
    return model, history


@pytest.fixture(scope="module")
def reference():
    """The weights that labels 0, 1 and 2 lead to."""
    model, _ = train((make_features(), NUMBERS))
    return model.state_dict()


def of_names(*names):
    return [names[number] for number in NUMBERS]


# Labels, and the classes that are predicted.
LABELS = {
    "integers": (NUMBERS, [0, 1, 2]),
    "small integers": (NUMBERS.astype(np.uint8), [0, 1, 2]),
    "not from 0": (NUMBERS * 10 + 5, [5, 15, 25]),
    "negative": (NUMBERS - 7, [-7, -6, -5]),
    "whole floats": (NUMBERS + 1.0, [1, 2, 3]),
    "texts": (of_names("ape", "bee", "cat"), ["ape", "bee", "cat"]),
    "array of texts": (np.array(of_names("ape", "bee", "cat")), ["ape", "bee", "cat"]),
    "objects": (np.array(of_names("ape", "bee", "cat"), object), ["ape", "bee", "cat"]),
    "bytes": (np.array(of_names(b"a", b"b", b"c")), [b"a", b"b", b"c"]),
    "a column": (NUMBERS[:, None], [0, 1, 2]),
    "one-hot": (np.eye(3)[NUMBERS], [0, 1, 2]),
    "one-hot integers": (np.eye(3, dtype=int)[NUMBERS], [0, 1, 2]),
    "one-hot booleans": (np.eye(3, dtype=bool)[NUMBERS], [0, 1, 2]),
    "one-hot list": (np.eye(3)[NUMBERS].tolist(), [0, 1, 2]),
    "Tensor": (mg.Tensor(NUMBERS), [0, 1, 2]),
    "pandas": (pd.Series(of_names("ape", "bee", "cat")), ["ape", "bee", "cat"]),
    "pandas strings": (pd.Series(of_names("a", "b", "c"), dtype="string"), ["a", "b", "c"]),
    "pandas categories": (pd.Series(of_names("a", "b", "c"), dtype="category"), ["a", "b", "c"]),
    "pandas nullable": (pd.Series(NUMBERS + 1, dtype="Int64"), [1, 2, 3]),
    "pandas one-hot": (pd.get_dummies(of_names("ape", "bee", "cat")), ["ape", "bee", "cat"]),
    "pandas frame of a column": (pd.DataFrame({"kind": of_names("a", "b", "c")}), ["a", "b", "c"]),
    "polars": (pl.Series(of_names("ape", "bee", "cat")), ["ape", "bee", "cat"]),
    "polars categories": (
        pl.Series(of_names("a", "b", "c"), dtype=pl.Categorical),
        ["a", "b", "c"],
    ),
    "polars numbers": (pl.Series(NUMBERS + 4), [4, 5, 6]),
    "polars one-hot": (pl.Series("k", of_names("a", "b", "c")).to_dummies(), ["k_a", "k_b", "k_c"]),
}


@pytest.mark.parametrize("form", LABELS)
def test_labels_of_all_forms_train_the_same_and_come_back(reference, form):
    labels, classes = LABELS[form]
    X = make_features()
    model, history = train((X, labels))
    for name, value in reference.items():
        np.testing.assert_array_equal(model.state_dict()[name], value)
    predicted = mg.predict(model, X)
    assert predicted.tolist() == np.array(classes)[NUMBERS].tolist()
    assert history[-1]["accuracy"] == 1
    assert model.fitted_data.classes.tolist() == classes
    assert mg.evaluate(model, (X, labels))["accuracy"] == 1


def test_two_classes_of_booleans():
    y = NUMBERS != 1
    for labels in (y, y.tolist(), pd.Series(y), pd.Series(y, dtype="boolean"), pl.Series(y)):
        model, _ = train((make_features(), labels), make_model(2), lr=1.0)
        assert mg.predict(model, make_features()).tolist() == y.tolist()


def test_probabilities_are_targets():
    targets = 0.9 * np.eye(3)[NUMBERS] + 0.1 / 3
    _, history = train((make_features(), targets), epochs=100)
    assert history[-1]["accuracy"] == 1
    # The loss falls no further than to the entropy of the targets.
    entropy = -np.sum(targets * np.log(targets), axis=1).mean()
    assert entropy < history[-1]["loss"] < entropy + 0.2


def test_labels_among_the_outputs_keep_their_numbers():
    """Digits 0 to 9 of which some do not occur."""
    model, _ = train((make_features(), NUMBERS * 2), make_model(6))
    assert model.fitted_data.classes.tolist() == [0, 1, 2, 3, 4, 5]
    assert set(mg.predict(model, make_features()).tolist()) == {0, 2, 4}


def test_classes_name_the_outputs():
    classes = ["cat", "ape", "dog", "bee"]
    labels = of_names("ape", "bee", "cat")
    model, _ = train((make_features(), labels), make_model(4), classes=classes)
    assert mg.predict(model, make_features()).tolist() == labels
    p = mg.predict_proba(model, make_features())
    assert [classes[k] for k in p.argmax(axis=1)] == labels


@pytest.mark.parametrize(
    "labels", [NUMBERS == 1, of_names("no", "yes", "no"), 1.0 * (NUMBERS == 1)]
)
def test_a_single_output_is_binary(labels):
    loss = "binary_cross_entropy_with_logits"
    model, history = train((make_features(), labels), make_model(1), loss=loss)
    assert history[-1]["accuracy"] == 1
    assert mg.predict(model, make_features()).tolist() == list(labels)
    p = mg.predict_proba(model, make_features())
    assert p.shape == (ROWS, 2)
    np.testing.assert_allclose(p.sum(axis=1), 1, rtol=1e-6)
    assert ((p[:, 1] > 0.5) == (NUMBERS == 1)).all()


def test_several_labels_in_a_row():
    targets = np.stack([NUMBERS == 1, NUMBERS > 0], axis=1)
    loss = nn.BCEWithLogitsLoss()
    model, _ = train((make_features(), targets), make_model(2), loss=loss, epochs=100)
    np.testing.assert_array_equal(mg.predict(model, make_features()), targets)


@pytest.mark.parametrize("loss", ["mse_loss", "l1_loss", "huber_loss", nn.SmoothL1Loss()])
@pytest.mark.parametrize("shape", [(ROWS,), (ROWS, 1)])
def test_numbers_are_targets_of_a_regression(loss, shape):
    X = make_features()
    y = X @ [1.0, -2.0, 0.5] + 1
    model, history = train(
        (X, y.reshape(shape)), make_model(1), loss=loss, epochs=150, lr=0.3, schedule="cosine"
    )
    assert history.columns == ["epoch", "lr", "loss"]
    np.testing.assert_allclose(mg.predict(model, X), y.reshape(shape), atol=0.2)
    with pytest.raises(ValueError, match="no classes"):
        mg.predict_proba(model, X)


def test_log_probabilities():
    class Logistic(nn.Module):
        def __init__(self):
            self.layer = nn.Linear(3, 3, generator=np.random.default_rng(0))

        def forward(self, x):
            return mg.log_softmax(self.layer(x))

    model = Logistic()
    _, history = train((make_features(), of_names("a", "b", "c")), model, loss="nll_loss")
    assert history[-1]["accuracy"] == 1
    np.testing.assert_allclose(mg.predict_proba(model, make_features()).sum(axis=1), 1, rtol=1e-6)


def test_a_label_for_each_step_of_a_sequence():
    """Outputs (rows, steps, classes), labels (rows, steps), of which some do not count."""
    generator = np.random.default_rng(0)
    X = generator.normal(size=(40, 5, 2))
    y = (X[..., 0] > 0).astype(int)
    y[::4, 3] = -100
    loss = nn.CrossEntropyLoss(ignore_index=-100)
    model = nn.Linear(2, 2, generator=generator)
    _, history = train((X, y), model, loss=loss)
    assert history[-1]["accuracy"] > 0.95
    assert mg.predict(model, X).shape == (40, 5)


def test_a_loss_of_ones_own():
    """Numbers go to it as they are; whole numbers and texts as the numbers of classes."""
    model, _ = train(
        (make_features(), make_features()[:, :2]),
        make_model(2),
        loss=lambda outputs, targets: ((outputs - targets) ** 2).mean(),
        epochs=100,
    )
    np.testing.assert_allclose(mg.predict(model, make_features()), make_features()[:, :2], atol=0.1)
    model, history = train(
        (make_features(), of_names("a", "b", "c")),
        loss=lambda outputs, labels: mg.cross_entropy(outputs, labels) + 0.01 * (outputs**2).mean(),
    )
    assert history[-1]["accuracy"] == 1


# ---------------------------------------------------------------------------- features


def columns_of(frame):
    return {"pandas": pd.DataFrame, "polars": pl.DataFrame, "dict": dict}[frame]


@pytest.mark.parametrize("frame", ["pandas", "polars", "dict"])
def test_columns_are_found_by_their_names(reference, frame):
    make, X = columns_of(frame), make_features()
    columns = dict(zip("abc", X.T, strict=True))
    model, _ = train((make(columns), NUMBERS))
    np.testing.assert_array_equal(model.state_dict()["0.weight"], reference["0.weight"])
    assert model.fitted_data.columns == ("a", "b", "c")
    expected = mg.predict_proba(model, X)
    turned = make({"more": X[:, 0], "c": X[:, 2], "a": X[:, 0], "text": ["x"] * ROWS, "b": X[:, 1]})
    np.testing.assert_array_equal(mg.predict_proba(model, turned), expected)
    with pytest.raises(ValueError, match="columns 'a', 'b' are missing, and the model was fitted"):
        mg.predict(model, make({"c": X[:, 2]}))
    with pytest.raises(ValueError, match="has 2 columns, and the model was fitted on 3"):
        mg.predict(model, X[:, :2])


@pytest.mark.parametrize("frame", ["pandas", "polars", "dict"])
def test_a_frame_with_its_labels(reference, frame):
    X = make_features()
    columns = {"a": X[:, 0], "kind": of_names("ape", "bee", "cat"), "b": X[:, 1], "c": X[:, 2]}
    data = columns_of(frame)(columns)
    model, history = train(data, label="kind")
    np.testing.assert_array_equal(model.state_dict()["0.weight"], reference["0.weight"])
    assert mg.predict(model, data).tolist() == columns["kind"]
    assert mg.evaluate(model, data, label="kind")["accuracy"] == 1
    _, history = train(data, label="kind", validation=data)
    assert history[-1]["validation_accuracy"] == 1


FEATURES = {
    "list": lambda X: X.tolist(),
    "list of arrays": list,
    "Tensor": mg.Tensor,
    "float32": lambda X: X.astype(np.float32),
    "Fortran": np.asfortranarray,
    "pandas": pd.DataFrame,
    "pandas nullable": lambda X: pd.DataFrame(X).convert_dtypes(),
    "pandas objects": lambda X: pd.DataFrame(X).astype(object),
    "polars": pl.DataFrame,
    "polars floats": lambda X: pl.DataFrame(X, schema=dict.fromkeys("abc", pl.Float64)),
}


@pytest.mark.parametrize("form", FEATURES)
def test_features_of_all_forms_train_the_same(reference, form):
    X = FEATURES[form](make_features())
    model, _ = train((X, NUMBERS))
    for name, value in reference.items():
        np.testing.assert_array_equal(model.state_dict()[name], value)
    assert mg.predict(model, X).tolist() == NUMBERS.tolist()


def test_columns_of_mixed_numbers():
    X = pd.DataFrame({"a": [1, 2] * 12, "b": [True, False] * 12, "c": [0.5, 1.5] * 12})
    for frame in (X, pl.from_pandas(X), X.astype({"a": "Int8", "b": "boolean"})):
        model, _ = train((frame, [1, 0] * 12), make_model(2))
        assert mg.predict(model, frame).tolist() == [1, 0] * 12


def test_images_sequences_and_single_numbers():
    generator = np.random.default_rng(0)

    class Mean(nn.Module):
        def __init__(self):
            self.layer = nn.Linear(2, 2, generator=generator)

        def forward(self, x):
            x = mg.as_tensor(x, np.float32).reshape(len(x), -1)
            return self.layer(mg.stack([x.mean(axis=1), (x * x).mean(axis=1)], axis=1))

    for shape in ((20,), (20, 3), (20, 3, 4), (20, 1, 5, 5), (20, 2, 2, 2, 2)):
        X = generator.normal(size=shape)
        y = (X.reshape(20, -1).mean(axis=1) > 0).astype(int)
        model, _ = train((X, y), Mean())
        assert mg.predict(model, X).shape == (20,)


def test_prediction_is_computed_in_batches():
    seen = []

    class Count(nn.Module):
        def forward(self, x):
            seen.append(len(x))
            return mg.as_tensor(x)

    X = np.random.default_rng(0).normal(size=(1000, 2))
    p = mg.predict_proba(Count(), X)
    assert max(seen) == 512
    seen.clear()
    np.testing.assert_array_equal(mg.predict_proba(Count(), X, batch_size=7), p)
    assert seen == [7] * 142 + [6]
    assert mg.predict(Count(), X).tolist() == X.argmax(axis=1).tolist()


# ---------------------------------------------------------------------------- tables

TABLE = """age;sex;weight;kind
30;f;60,5;no
41;m;?;yes
25;f;58,0;no
37;m;80,1;yes
52;f;61,2;no
47;m;77,7;yes
29;f;55,4;no
33;m;90,3;yes
"""


@pytest.fixture
def table(tmp_path):
    (tmp_path / "people.csv").write_text(TABLE)
    return mg.training.read_table(tmp_path / "people.csv")


def test_a_table_is_encoded_by_its_training_rows(table, tmp_path):
    model = nn.MLP(4, [], 2, generator=np.random.default_rng(0))  # age, sex=f, sex=m, weight
    model, history = train(table, model, validation=0.25, epochs=60)
    encoder = model.fitted_data.encoder
    ages = table.features[:, 0]
    assert len(history.training_data[0]) == 6
    assert not np.isclose(encoder.mean[0], np.mean(ages))
    np.testing.assert_allclose(history.training_data[0][:, 0].mean(), 0, atol=1e-6)
    expected = ["no", "yes"] * 4
    assert mg.predict(model, table).tolist() == expected
    assert mg.evaluate(model, table)["accuracy"] == 1
    # New rows as a data frame: columns in another order, a category that nobody had.
    rows = pd.DataFrame(
        {"weight": [60.0, 80.0], "more": [1, 2], "sex": ["f", "m"], "age": [30, 40]}
    )
    assert mg.predict(model, rows).tolist() == ["no", "yes"]
    with pytest.warns(UserWarning, match="'sex' has categories that the training rows did not"):
        mg.predict(model, rows.assign(sex=["x", "m"]))
    with pytest.raises(ValueError, match="lacks 'weight'"):
        mg.predict(model, rows.drop(columns="weight"))
    # All of it is in the file.
    mg.training.save_model(model, tmp_path / "model.npz")
    twin = nn.MLP(4, [], 2)
    mg.training.load_model(twin, tmp_path / "model.npz")
    np.testing.assert_array_equal(mg.predict_proba(twin, rows), mg.predict_proba(model, rows))


def test_a_table_needs_a_model_of_its_width(table):
    with pytest.raises(ValueError, match=r"becomes 4 numbers, .*'sex=m'.*in_features=3"):
        train(table, make_model(2))
    with pytest.raises(ValueError, match="leave it out"):
        train(table, nn.MLP(4, [], 2), label="kind")
    model, _ = train((make_features(), NUMBERS))
    with pytest.raises(ValueError, match="was not fitted on a Table"):
        mg.predict(model, table)


def test_a_training_on_a_table_resumes(table, tmp_path):
    def run(path, epochs):
        model = nn.MLP(4, [3], 2, generator=np.random.default_rng(0))
        settings = {"validation": 0.25, "epochs": epochs, "checkpoint": path, "resume": True}
        return train(table, model, **settings)[1]

    run(tmp_path / "run.npz", 2)
    assert run(tmp_path / "run.npz", 5).rows == run(tmp_path / "whole.npz", 5).rows


# ---------------------------------------------------------------------------- losses


def test_every_loss_is_known_by_name_and_as_module():
    """With what it expects of outputs; one that is added needs a row too."""
    functions = {
        name
        for name in dir(mg.nn.functional)
        if name.endswith(("_loss", "entropy", "entropy_with_logits", "kl_div"))
    }
    modules = {name for name in nn.__all__ if name.endswith("Loss")}
    assert functions == set(losses.LOSSES)
    assert modules == set(losses.MODULES)
    for name, function in losses.MODULES.items():
        assert losses.find_loss(function).__name__ == function
        assert losses.loss_name(getattr(nn, name)()) == function
        assert losses.find_loss(name) is losses.find_loss(function)


# ---------------------------------------------------------------------------- shapes of numbers


@pytest.mark.parametrize("shape", [(20,), (20, 1)])
@pytest.mark.parametrize("loss", ["mse_loss", "own", "binary_cross_entropy_with_logits"])
def test_numbers_are_predicted_in_the_shape_of_y(tmp_path, shape, loss):
    X = np.random.default_rng(0).normal(size=(20, 2))
    y = np.linspace(0.0, 1.0, 20).reshape(shape)
    model = nn.MLP(2, [3], 1)
    if loss == "own":

        def loss(outputs, y):
            return ((outputs.reshape(*y.shape) - y) ** 2).mean()

    mg.fit(model, (X, y), loss=loss, epochs=1, progress=False)
    assert mg.predict(model, X).shape == shape
    assert mg.predict(model, X[:3]).shape == (3, *shape[1:])
    twin = nn.MLP(2, [3], 1)
    mg.training.save_model(model, tmp_path / "model.npz")
    mg.training.load_model(twin, tmp_path / "model.npz")
    np.testing.assert_array_equal(mg.predict(twin, X), mg.predict(model, X), strict=True)


# ---------------------------------------------------------------------------- indexes of pandas


def test_rows_of_pandas_belong_together_by_their_index():
    frame = pd.DataFrame({"a": [0.0, 1.0, 2.0, 3.0]}, index=list("pqrs"))
    y = pd.Series([0, 1, 0, 1], index=list("pqrs"))
    model = nn.MLP(1, [], 2)
    mg.fit(model, (frame, y), epochs=1, progress=False, sample_weight=y + 1)
    other = y[::-1]
    message = r"different indexes, 'p' and 's' in row 0; .*to_numpy\(\)"
    for call in (
        lambda: mg.fit(model, (frame, other), progress=False),
        lambda: mg.fit(model, (frame, y), sample_weight=other, progress=False),
        lambda: mg.fit(model, (frame, y), validation=(frame, other), progress=False),
        lambda: mg.fit(model, (frame.assign(y=y), None)[0], label="y", sample_weight=other),
        lambda: mg.evaluate(model, (frame, other)),
        lambda: mg.fit(nn.MLP(2, [], 2), ({"a": frame["a"], "b": other}, y), progress=False),
    ):
        with pytest.raises(ValueError, match=message):
            call()
    mg.fit(model, (frame, other.to_numpy()), epochs=1, progress=False)
