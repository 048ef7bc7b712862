"""A classifier on raw features: standardised as in training, finite for any input."""

import numpy as np
import pytest

from microgradx import softmax
from microgradx.data import StandardScaler
from microgradx.training import Classifier, InputError, TableSchema
from microgradx.training.classifier import fit_scaler


@pytest.fixture
def classifier():
    generator = np.random.default_rng(0)
    return Classifier.from_architecture(
        StandardScaler([1.0, 2.0], [2.0, 4.0]), TableSchema(2), ("a", "b", "c"), generator=generator
    )


def test_features_are_standardised_and_probabilities_at_the_temperature(classifier):
    x = np.array([[3.0, 2.0], [1.0, -6.0]])
    assert classifier.standardise(x).tolist() == [[1.0, 0.0], [0.0, -2.0]]
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


def test_columns_have_scales_of_their_own_and_pixels_share_one():
    x = np.array([[0.0, 10.0, 7.0], [2.0, 30.0, 7.0]])
    columns = fit_scaler(x, TableSchema(3))
    assert columns.mean.tolist() == [1, 20, 7]
    assert columns.scale.tolist() == [1, 10, 1]
    pixels = fit_scaler(x, TableSchema(3, image_shape=(1, 3)))
    np.testing.assert_allclose(pixels.mean, x.mean())
    np.testing.assert_allclose(pixels.scale, x.std())
    assert pixels.mean.shape == pixels.scale.shape == (3,)


def test_numbers_too_large_to_standardise_are_refused():
    with pytest.raises(InputError, match="'width' are too large"):
        fit_scaler(np.array([[1.0, 1e300], [2.0, -1e300]]), TableSchema(2, ("id", "width")))
