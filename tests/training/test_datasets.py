"""Data sets by name."""

import sys

import numpy as np
import pytest

from microgradx.training import InputError, load_table


@pytest.mark.parametrize(
    ("name", "shape", "classes"),
    [
        ("digits", (1797, 64), 10),
        ("iris", (150, 4), 3),
        ("wine", (178, 13), 3),
        ("breast_cancer", (569, 30), 2),
    ],
)
def test_bundled_data(name, shape, classes):
    pytest.importorskip("sklearn")
    table = load_table(name)
    assert table.features.shape == shape
    assert len(table.label_names) == classes
    assert sorted(set(table.labels.tolist())) == list(range(classes))
    assert len(table.schema.feature_names) == shape[1]
    assert table.schema.image_shape == ((8, 8) if name == "digits" else None)


@pytest.mark.parametrize("name", ["moons", "spirals"])
def test_toys_come_from_the_generator(name):
    first, again, other = (
        load_table(name, generator=np.random.default_rng(seed)) for seed in (0, 0, 1)
    )
    assert np.array_equal(first.features, again.features)
    assert not np.array_equal(first.features, other.features)
    assert first.features.shape[1] == 2
    assert set(first.labels.tolist()) == set(range(len(first.label_names)))


def test_without_scikit_learn_one_line_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(InputError, match=r'pip install "microgradx\[data\]"'):
        load_table("iris")


def test_unknown_names_are_refused():
    with pytest.raises(InputError, match="no data set called 'digit'; choose digits, iris"):
        load_table("digit")
    with pytest.raises(
        InputError, match="--label: how to read a file, and moons needs no such option"
    ):
        load_table("moons", label="kind")


def test_files(tmp_path):
    path = tmp_path / "table.CSV"
    path.write_text("1,a\n2,b\n3,a\n4,b\n")
    assert load_table(path).label_names == ("a", "b")
