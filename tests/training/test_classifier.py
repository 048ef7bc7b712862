"""A classifier on raw features: standardised as in training, finite for any input."""

import numpy as np
import pytest

from microgradx import softmax
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
