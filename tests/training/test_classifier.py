"""A classifier on raw features: standardised as in training, finite for any input."""

import numpy as np
import pytest

import microgradx as mg
from microgradx import softmax
from microgradx.data.tables import read_new_rows, read_table
from microgradx.training import Classifier, TableEncoder, TableSchema


@pytest.fixture
def classifier():
    generator = np.random.default_rng(0)
    encoder = TableEncoder(TableSchema(2), np.array([1.0, 2.0]), np.array([2.0, 4.0]))
    return Classifier.from_architecture(encoder, ("a", "b", "c"), generator=generator)


def test_features_are_standardised_and_probabilities_at_the_temperature(classifier):
    x = np.array([[3.0, 2.0], [1.0, -6.0]])
    assert classifier.encoder.transform(x).tolist() == [[1.0, 0.0], [0.0, -2.0]]
    logits = classifier.model(np.array([[1.0, 0.0], [0.0, -2.0]])).data
    assert np.array_equal(classifier.logits(x), logits)
    assert np.array_equal(classifier.predict_proba(x), softmax(logits))
    assert np.array_equal(classifier.predict_proba(x, 3.0), softmax(logits, temperature=3.0))
    classifier.temperature = 3.0
    assert np.array_equal(classifier.predict_proba(x), softmax(logits, temperature=3.0))


def test_outliers_overflow_nowhere(classifier):
    p = classifier.predict_proba(np.array([[1e308, -1e308], [1e30, 0]]))
    assert np.all(np.isfinite(p))
    np.testing.assert_allclose(p.sum(axis=1), 1, rtol=1e-6)


FRAME = {"size": ["1,5", "2.279", None], "colour": ["red", "blue", "red"], "more": [1, 2, 3]}


@pytest.fixture
def trained():
    """A classifier of a table with numbers and categories, and a temperature."""
    columns = {"size": ["1,5", "2,5"] * 2, "colour": ["red", "blue"] * 2, "y": list("abab")}
    table = read_table(columns)
    return Classifier.from_architecture(
        TableEncoder.fit(table),
        table.label_names,
        temperature=2.0,
        generator=np.random.default_rng(0),
    )


@pytest.mark.parametrize("library", ["dict", "pandas"])
def test_new_rows_may_be_a_data_frame_everywhere(trained, library):
    frame = FRAME if library == "dict" else pytest.importorskip(library).DataFrame(FRAME)
    table = read_new_rows(FRAME, trained.schema, trained.label_names)
    p = trained.predict_proba(table)
    assert np.array_equal(trained.predict_proba(frame), p)
    assert np.array_equal(mg.predict_proba(trained, frame), p)
    assert np.array_equal(mg.predict_proba(trained, table), p)
    names = [trained.label_names[k] for k in p.argmax(axis=1)]
    assert mg.predict(trained, frame).tolist() == trained.predict(frame).tolist() == names


def test_unseen_categories_of_a_data_frame_are_said(trained):
    with pytest.warns(UserWarning, match="'colour' has categories .* 'green'"):
        mg.predict(trained, {"size": [1], "colour": ["green"]})


def test_an_array_of_texts_is_told_the_columns(trained):
    rows = np.array([["K-1", "1.5", "red"]], object)
    with pytest.raises(ValueError, match=r"\(1, 3\).*\(rows, 2\): 'size', 'colour'.*data frame"):
        mg.predict(trained, rows)
    with pytest.raises(ValueError, match="from a Table or a data frame"):
        trained.predict(rows[:, 1:])
    numbers = TableEncoder(TableSchema(2), np.zeros(2), np.ones(2))
    with pytest.raises(ValueError, match=r"must be numbers, or a data frame: .*'red'"):
        numbers.transform(rows[:, 1:])
