"""A model in a file: everything is restored, and no code is ever loaded."""

import collections
import json
import pickle
import tracemalloc
import zipfile
from dataclasses import replace

import numpy as np
import pytest

from microgradx.data.tables import Dropped
from microgradx.nn import MLP, Linear, Tanh
from microgradx.training import (
    Classifier,
    InputError,
    Table,
    TableEncoder,
    TableSchema,
    load_classifier,
    load_model,
    save_classifier,
    save_model,
)
from tests.training.model_file_mutations import MUTATIONS, read_members


@pytest.fixture
def classifier():
    generator = np.random.default_rng(0)
    schema = TableSchema(4, ("a", "b b", "ç", "'"), "kind", 2, (2, 2))
    return Classifier.from_architecture(
        TableEncoder(schema, generator.normal(3, 2, 4), generator.uniform(1, 2, 4)),
        ("no", "yes", "perhaps, or not\n"),
        hidden_sizes=(5, 3),
        activation="tanh",
        temperature=0.7,
        generator=generator,
    )


def test_everything_is_restored(classifier, tmp_path):
    path = tmp_path / "model.npz"
    save_classifier(classifier, path)
    loaded = load_classifier(path)
    for name in ("hidden_sizes", "activation", "schema", "label_names", "temperature"):
        assert getattr(loaded, name) == getattr(classifier, name)
    x = np.random.default_rng(1).normal(size=(50, 4))
    assert np.array_equal(loaded.predict_proba(x), classifier.predict_proba(x))
    assert [path.name for path in tmp_path.iterdir()] == ["model.npz"]


@pytest.fixture
def mixed_classifier():
    """One of a table with categories, missing values and columns that were left out."""
    schema = TableSchema(
        *(3, ("age", "sex", "open"), "kind", 0, None, ("number", "category", "boolean")),
        dropped=(Dropped(2, "Id", "asked for"),),
        missing="indicator",
    )
    encoder = TableEncoder(schema, np.ones(6), np.ones(6), ((), ("f", "m"), ()), (0, 1))
    classifier = Classifier.from_architecture(encoder, ("no", "yes"), hidden_sizes=(2,))
    table = Table(np.zeros((2, 3)), np.array([0, 1]), ("no", "yes"), schema, ((), ("f", "m"), ()))
    classifier.preview = str(table)
    return classifier


def test_schema_and_encoder_are_restored(mixed_classifier, tmp_path):
    path = tmp_path / "model.npz"
    save_classifier(mixed_classifier, path)
    loaded = load_classifier(path)
    assert loaded.schema == mixed_classifier.schema
    assert loaded.encoder.names == mixed_classifier.encoder.names
    assert loaded.preview == mixed_classifier.preview


def test_truth_values_without_categories_are_restored(tmp_path):
    schema = TableSchema(2, kinds=("number", "boolean"))
    table = Table(np.eye(2), np.array([0, 1]), ("a", "b"), schema, ((), ()))
    encoder = TableEncoder.fit(table)
    classifier = Classifier.from_architecture(encoder, ("a", "b"), hidden_sizes=(2,))
    save_classifier(classifier, tmp_path / "model.npz")
    assert load_classifier(tmp_path / "model.npz").schema == schema


@pytest.mark.parametrize("version", [1, 2])
def test_a_file_of_an_older_version_is_read(classifier, tmp_path, version):
    path = tmp_path / "model.npz"
    save_classifier(classifier, path)
    change_file(path, version=version)
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    description = json.loads(str(arrays["description"]))
    first = ("kinds", "dropped", "missing", "categories", "indicators", "preview")
    for name in ("decimal", *(first if version == 1 else ())):
        del description[name]
    np.savez(path, **{**arrays, "description": np.array(json.dumps(description))})
    x = np.random.default_rng(1).normal(size=(50, 4))
    assert np.array_equal(load_classifier(path).predict_proba(x), classifier.predict_proba(x))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"kinds": ["number"]}, "kinds must be 3 of number, boolean, category"),
        ({"kinds": ["number", "text", "boolean"]}, "kinds must be 3 of number, boolean, category"),
        ({"dropped": [[0, "Id", "why"]]}, "label_position must be from 0 to 4"),
        ({"dropped": [[9, "Id", "why"]]}, "dropped must be a position, a name and a reason"),
        ({"dropped": [[2, "Id"]]}, "dropped must be a position, a name and a reason"),
        ({"missing": "guess"}, "missing must be mean or drop or indicator"),
        ({"categories": [["a"], ["f", "m"], []]}, "categories must be 3 lists of texts"),
        ({"categories": [[], ["f", "f"], []]}, "categories must be 3 lists of texts"),
        ({"categories": [[], ["f", "m", "x"], []]}, "mean has shape (6,) and must have (7,)"),
        ({"indicators": [1, 0]}, "indicators must be columns from 0 to 2, in order"),
        ({"indicators": [0, 3]}, "indicators must be columns from 0 to 2, in order"),
        ({"preview": 3}, "preview must be a text"),
        ({"decimal": "'"}, "decimal must be . or , or ;, or nothing"),
    ],
)
def test_each_field_of_schema_and_encoder_is_checked(mixed_classifier, tmp_path, changes, reason):
    path = tmp_path / "model.npz"
    save_classifier(mixed_classifier, path)
    change_file(path, **changes)
    assert reason in error_message(path)


def test_the_same_model_gives_the_same_bytes_without_pickle(classifier, tmp_path):
    save_classifier(classifier, tmp_path / "a.npz")
    save_classifier(classifier, tmp_path / "b.npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    with np.load(tmp_path / "a.npz", allow_pickle=False) as arrays:
        assert all(arrays[name].dtype.kind in "fU" for name in arrays.files)
        assert json.loads(str(arrays["description"]))["version"] == 3


def test_a_failure_leaves_the_old_file_and_nothing_else(classifier, tmp_path, monkeypatch):
    path = tmp_path / "model.npz"
    save_classifier(classifier, path)
    old = path.read_bytes()

    def fail(file, **arrays):
        file.write(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(np, "savez", fail)
    with pytest.raises(OSError, match="disk full"):
        save_classifier(classifier, path)
    assert path.read_bytes() == old
    assert len(list(tmp_path.iterdir())) == 1


def error_message(path):
    with pytest.raises(InputError) as caught:
        load_classifier(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_files_without_a_model_are_refused(classifier, tmp_path):
    path = tmp_path / "model.npz"
    assert "no such file" in error_message(path)
    assert "directory" in error_message(tmp_path)
    np.savez(path, X=np.ones(3))
    assert "has no model, only 'X'" in error_message(path)
    path.write_text("hello")
    assert "damaged" in error_message(path)
    np.savez(path, description=np.array("{}"))
    assert "damaged" in error_message(path)
    np.savez(path, description=np.array("nonsense"))
    assert "damaged" in error_message(path)


def test_code_is_never_run(tmp_path):
    class Trap:
        def __reduce__(self):
            return pytest.fail, ("the pickle was run",)

    path = tmp_path / "model.npz"
    np.savez(path, description=np.array([Trap()], dtype=object), allow_pickle=True)
    assert "never loaded" in error_message(path)
    path.write_bytes(pickle.dumps(Trap()))
    assert "damaged" in error_message(path)


def change_file(path, **changes):
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    description = json.loads(str(arrays["description"]))
    for name, value in changes.items():
        if name in description:
            description[name] = value
        elif value is None:
            del arrays[name]
        else:
            arrays[name] = value
    arrays["description"] = np.array(json.dumps(description))
    np.savez(path, **arrays)


@pytest.mark.parametrize(
    "changes",
    [
        {"hidden_sizes": [5, 4]},
        {"hidden_sizes": 5},
        {"activation": "sine"},
        {"format": "something else"},
        {"label_names": ["no", "yes"]},
        {"weights/0.bias": None},
        {"weights/0.bias": np.zeros(3, np.float32)},
        {"mean": None},
    ],
)
def test_inconsistent_files_are_refused(classifier, tmp_path, changes):
    path = tmp_path / "model.npz"
    save_classifier(classifier, path)
    change_file(path, **changes)
    assert "damaged, or not a model" in error_message(path)


def test_whole_numbers_of_json_are_floats_again(classifier, tmp_path):
    path = tmp_path / "model.npz"
    save_classifier(classifier, path)
    for temperature in (1, 10**30):
        change_file(path, temperature=temperature)
        loaded = load_classifier(path)
        assert type(loaded.temperature) is float
        assert np.all(np.isfinite(loaded.predict_proba(np.ones((1, 4)))))


def test_a_newer_format_is_refused(classifier, tmp_path):
    path = tmp_path / "model.npz"
    save_classifier(classifier, path)
    change_file(path, version=4)
    assert "newer microgradx" in error_message(path)


def test_every_truncation_is_noticed(classifier, tmp_path):
    path = tmp_path / "model.npz"
    save_classifier(classifier, path)
    whole = path.read_bytes()
    for length in range(0, len(whole), 97):
        path.write_bytes(whole[:length])
        error_message(path)


def test_a_flipped_bit_is_noticed(classifier, tmp_path):
    path = tmp_path / "model.npz"
    save_classifier(classifier, path)
    with zipfile.ZipFile(path) as archive:
        at = archive.getinfo("weights/0.weight.npy").header_offset + 200
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)
    assert "damaged" in error_message(path)


# ---------------------------------------------------------------------------- bad files


def assert_is_a_classifier(loaded):
    """What holds for every classifier that was read, whatever its file had."""
    numbers = {
        **loaded.model.state_dict(),
        "mean": loaded.encoder.mean,
        "scale": loaded.encoder.scale,
    }
    for name, array in numbers.items():
        assert array.dtype.kind == "f", name
        assert np.all(np.isfinite(array)), name
    assert np.all(loaded.encoder.scale > 0)
    assert 0 < loaded.temperature < np.inf
    assert len(set(loaded.label_names)) == len(loaded.label_names)
    assert all(type(name) is str for name in loaded.label_names)
    assert loaded.encoder.width == len(loaded.encoder.mean)


def test_mutated_files_are_refused_or_have_other_finite_numbers(classifier, tmp_path):
    path = tmp_path / "model.npz"
    save_classifier(classifier, path)
    members = read_members(path)
    random, x = np.random.default_rng(0), np.random.default_rng(1).normal(size=(20, 4))
    expected = classifier.predict_proba(x)
    outcomes = collections.Counter()
    for mutate in MUTATIONS:
        for _ in range(40):
            path.write_bytes(mutate(random, members))
            try:
                loaded = load_classifier(path)
            except InputError as error:
                outcomes["refused" if "\n" not in str(error) else "several lines"] += 1
                continue
            assert_is_a_classifier(loaded)
            predicted = loaded.predict_proba(x)
            if same_numbers(loaded, classifier):
                np.testing.assert_array_equal(predicted, expected)
                outcomes["same"] += 1
            else:
                outcomes["other numbers"] += 1
    assert outcomes["several lines"] == 0
    assert outcomes["refused"] > 500
    assert outcomes["same"] > 5
    assert outcomes["other numbers"] > 5


def numbers_of(classifier):
    scaler, state = classifier.encoder, classifier.model.state_dict()
    return [*state.values(), scaler.mean, scaler.scale, np.array(float(classifier.temperature))]


def same_numbers(one, other):
    return all(map(np.array_equal, numbers_of(one), numbers_of(other)))


def test_a_long_text_promises_layers_that_are_not_there(classifier, tmp_path):
    path = tmp_path / "model.npz"
    save_classifier(classifier, path)
    for sizes in ([1] * 100_000, [10**9] * 3, [2**31 - 1]):
        change_file(path, hidden_sizes=sizes)
        tracemalloc.start()
        try:
            assert "damaged, or not a model" in error_message(path)
            assert tracemalloc.get_traced_memory()[1] < 20_000_000
        finally:
            tracemalloc.stop()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"weights/0.weight": np.full((5, 4), np.nan, np.float32)}, "weights/0.weight has nan"),
        ({"weights/4.bias": np.full(3, np.inf, np.float32)}, "weights/4.bias has inf"),
        ({"weights/0.bias": np.zeros(5, int)}, "has dtype int64 and must be of floats"),
        ({"weights/0.bias": np.zeros(5)}, "its weights have several dtypes, float32, float64"),
        ({"mean": np.array([0, np.nan, 0, 0])}, "mean has nan"),
        ({"scale": np.array([1, 0.0, 1, 1])}, "scale must be positive, and has 0.0"),
        ({"scale": -np.ones(4)}, "scale must be positive, and has -1.0"),
        ({"more": np.zeros(3)}, "3 layers need 8 arrays, not 9"),
        ({"temperature": np.inf}, "temperature must be from 1e-30 to 1e+30, not inf"),
        ({"temperature": 0}, "temperature must be from 1e-30 to 1e+30, not 0"),
        ({"temperature": True}, "temperature must be from 1e-30 to 1e+30, not True"),
        ({"label_names": ["no", "no", "yes"]}, "label_names must be texts that differ"),
        ({"label_names": ["no", None, "yes"]}, "label_names must be texts that differ"),
        ({"hidden_sizes": [5, 3.0]}, "hidden_sizes must be whole numbers from 1 up"),
        ({"columns": 10**30}, "columns must be a whole number"),
        ({"feature_names": ["a"] * 4}, "feature_names must be 4 texts that differ"),
        (
            {"image_shape": [4, 4]},
            "image_shape must be height and width, and perhaps channels, of 4 pixels",
        ),
        ({"label_position": 9}, "label_position must be from 0 to 4"),
        ({"version": "1"}, "version must be a whole number"),
    ],
)
def test_the_message_says_what_is_wrong(classifier, tmp_path, changes, reason):
    path = tmp_path / "model.npz"
    save_classifier(classifier, path)
    change_file(path, **changes)
    assert reason in error_message(path)


# ---------------------------------------------------------------------------- bad classifiers


def build_like(classifier, *layers, **attributes):
    model = MLP(4, (5, 3), 3, "tanh", generator=np.random.default_rng(0))
    for i, layer in enumerate(layers):
        setattr(model, str(i), layer)
    vars(model).update(attributes)
    return replace(classifier, model=model)


def rectified(classifier):
    return replace(classifier, activation="relu")


def with_another_forward(classifier):
    other = build_like(classifier)
    other.model[1].forward = lambda x: x
    return other


class Doubled(MLP):
    def forward(self, x):
        return 2 * super().forward(x)


class Steep(Tanh):
    def __repr__(self):
        return "Tanh()"

    def forward(self, x):
        return np.tanh(9 * x)


def with_tied_weights(classifier):
    other = build_like(classifier)
    other.model[0].bias = other.model[2].weight = other.model[4].weight
    return other


def with_encoder(classifier, **changes):
    return replace(classifier, encoder=replace(classifier.encoder, **changes))


BAD_CLASSIFIERS = {
    "another activation": rectified,
    "dropout": lambda c: replace(c, model=MLP(4, (5, 3), 3, "tanh", dropout=0.5)),
    "other sizes": lambda c: replace(c, hidden_sizes=(3, 5)),
    "fewer layers": lambda c: replace(c, hidden_sizes=(5,)),
    "huge sizes": lambda c: replace(c, hidden_sizes=(10**9, 10**9)),
    "more labels": lambda c: replace(c, label_names=("a", "b", "c", "d")),
    "the same label twice": lambda c: replace(c, label_names=("a", "b", "a")),
    "another class of model": lambda c: replace(c, model=Doubled(4, (5, 3), 3, "tanh")),
    "another class of layer": lambda c: build_like(c, c.model[0], Steep()),
    "another forward of a layer": with_another_forward,
    "another forward of the model": lambda c: build_like(c, forward=lambda x: x),
    "a part of its own": lambda c: build_like(c, gate=Tanh()),
    "no bias": lambda c: build_like(c, Linear(4, 5, bias=False)),
    "tied weights": with_tied_weights,
    "NaN": lambda c: build_like(c, filled(np.nan)),
    "a temperature of 0": lambda c: replace(c, temperature=0.0),
    "a temperature of inf": lambda c: replace(c, temperature=np.inf),
    "a scale of 0": lambda c: with_encoder(c, scale=np.zeros(4)),
    "a scale of another length": lambda c: with_encoder(c, scale=np.ones(3)),
    "another schema": lambda c: with_encoder(c, schema=TableSchema(5)),
}


def filled(number):
    layer = Linear(4, 5)
    layer.weight.data[...] = number
    return layer


@pytest.mark.parametrize("kind", BAD_CLASSIFIERS)
def test_what_would_not_be_read_as_the_same_is_not_saved(classifier, tmp_path, kind):
    path = tmp_path / "model.npz"
    with pytest.raises(InputError, match="this classifier cannot be saved") as caught:
        save_classifier(BAD_CLASSIFIERS[kind](classifier), path)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_every_dtype_comes_back(tmp_path, dtype):
    classifier = Classifier.from_architecture(
        TableEncoder(TableSchema(2), np.zeros(2), np.ones(2)), ("a", "b"), dtype=dtype
    )
    save_classifier(classifier, tmp_path / "model.npz")
    loaded = load_classifier(tmp_path / "model.npz")
    assert {p.dtype for p in loaded.model.parameters()} == {np.dtype(dtype)}
    x = np.random.default_rng(1).normal(size=(50, 2))
    assert np.array_equal(loaded.predict_proba(x), classifier.predict_proba(x))


def test_each_kind_of_file_names_the_function_that_reads_it(classifier, tmp_path):
    path = tmp_path / "model.npz"
    save_classifier(classifier, path)
    with pytest.raises(InputError, match=r"train wrote; read it with .*load_classifier"):
        load_model(classifier.model, path)
    save_model(classifier.model, path)
    assert "load_model(model, path)" in error_message(path)
