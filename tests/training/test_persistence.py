"""A model in a file: everything is restored, and no code is ever loaded."""

import json
import pickle
import zipfile

import numpy as np
import pytest

from microgradx.data import StandardScaler
from microgradx.training import (
    Classifier,
    InputError,
    TableSchema,
    load_classifier,
    save_classifier,
)


@pytest.fixture
def classifier():
    generator = np.random.default_rng(0)
    return Classifier.from_architecture(
        StandardScaler().fit(generator.normal(3, 2, (20, 4))),
        TableSchema(4, ("a", "b b", "ç", "'"), "kind", 2, (2, 2)),
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


def test_the_same_model_gives_the_same_bytes_without_pickle(classifier, tmp_path):
    save_classifier(classifier, tmp_path / "a.npz")
    save_classifier(classifier, tmp_path / "b.npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    with np.load(tmp_path / "a.npz", allow_pickle=False) as arrays:
        assert all(arrays[name].dtype.kind in "fU" for name in arrays.files)
        assert json.loads(str(arrays["description"]))["version"] == 1


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


def test_a_newer_format_is_refused(classifier, tmp_path):
    path = tmp_path / "model.npz"
    save_classifier(classifier, path)
    change_file(path, version=2)
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
