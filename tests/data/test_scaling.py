"""Standardisation: from the training rows alone, and safe where a column does not vary."""

import numpy as np
import pytest

from microgradx.data import StandardScaler


def test_training_rows_get_mean_0_and_deviation_1(generator):
    X = generator.normal([5.0, -3.0, 1e6], [2.0, 1e-3, 1e3], (200, 3))
    scaler = StandardScaler()
    assert scaler.fit(X) is scaler
    Z = scaler.transform(X)
    assert np.allclose(Z.mean(axis=0), 0, atol=1e-9)
    assert np.allclose(Z.std(axis=0), 1)
    assert np.allclose(scaler.mean, X.mean(axis=0))
    assert np.allclose(scaler.scale, X.std(axis=0))


def test_other_rows_are_transformed_as_the_training_rows_were(generator):
    X, rows = generator.normal(size=(50, 2)), generator.normal(3, 2, (5, 2))
    scaler = StandardScaler().fit(X)
    expected = (rows - X.mean(axis=0)) / X.std(axis=0)
    assert np.allclose(scaler.transform(rows), expected)
    again = StandardScaler(scaler.mean.tolist(), scaler.scale)
    assert np.array_equal(again.transform(rows), scaler.transform(rows))


@pytest.mark.parametrize("value", [0.0, 0.1, 1e10 / 3, -7.7])
def test_a_constant_column_has_scale_1_even_if_its_mean_is_rounded(value):
    X = np.column_stack([np.full(11, value), np.arange(11)])
    scaler = StandardScaler().fit(X)
    assert scaler.scale[0] == 1
    assert abs(scaler.transform(X)[:, 0]).max() <= 1e-5


def test_a_column_whose_variance_underflows_has_scale_1():
    X = np.array([[1e-200], [2e-200]])
    assert StandardScaler().fit(X).scale.tolist() == [1.0]


def test_integers_and_float32_are_taken_and_give_float64():
    for dtype in (int, np.float32):
        Z = StandardScaler().fit(np.array([[1], [3]], dtype)).transform(np.array([[5]], dtype))
        assert Z.dtype == np.float64
        assert Z.tolist() == [[3.0]]


def test_what_cannot_be_standardised_is_refused():
    scaler = StandardScaler()
    with pytest.raises(ValueError, match=r"call fit\(X\) first"):
        scaler.transform([[1.0]])
    with pytest.raises(ValueError, match=r"X of shape \(2,\) must be a table"):
        scaler.fit([1.0, 2.0])
    with pytest.raises(ValueError, match="has no rows"):
        scaler.fit(np.ones((0, 2)))
    with pytest.raises(ValueError, match="X has nan in row 1, column 0; leave such rows out"):
        scaler.fit([[1.0, 2.0], [np.nan, np.inf]])
    scaler.fit([[1.0, 2.0], [3.0, 4.0]])
    with pytest.raises(ValueError, match=r"has 3 columns, and the rows that were fitted had 2"):
        scaler.transform(np.ones((4, 3)))
    with pytest.raises(ValueError, match="X has inf in row 0, column 1"):
        scaler.transform([[1.0, np.inf]])
