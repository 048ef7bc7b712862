"""The encoder learns from the training rows alone."""

from dataclasses import replace

import numpy as np
import pytest

from microgradx.common.messages import InputError
from microgradx.data.tables import Table, TableEncoder, TableSchema


def table_of(features, **schema):
    features = np.array(features, dtype=float)
    labels = np.arange(len(features)) % 2
    return Table(features, labels, ("a", "b"), TableSchema(features.shape[1], **schema))


def test_columns_have_scales_of_their_own_and_pixels_share_one():
    rows = [[0.0, 10.0, 7.0], [2.0, 30.0, 7.0]]
    columns = TableEncoder.fit(table_of(rows))
    assert columns.mean.tolist() == [1, 20, 7]
    assert columns.scale.tolist() == [1, 10, 1]
    pixels = TableEncoder.fit(table_of(rows, image_shape=(1, 3)))
    np.testing.assert_allclose(pixels.mean, np.mean(rows))
    np.testing.assert_allclose(pixels.scale, np.std(rows))
    assert pixels.mean.shape == pixels.scale.shape == (3,)


def test_numbers_too_large_to_standardise_are_all_named():
    table = table_of([[1.0, 1e300, 1e200], [2, -1e300, -1e200]], feature_names=("id", "w", "h"))
    with pytest.raises(InputError, match="'w', 'h' are too large"):
        TableEncoder.fit(table)


def mixed(**schema):
    """A number and a category, with missing ones."""
    features = [[1.0, 0], [3, 1], [np.nan, 1], [5, np.nan], [3, 2]]
    kinds = ("number", "category")
    table = table_of(features, feature_names=("age", "sex"), kinds=kinds, **schema)
    return replace(table, categories=((), ("f", "m", "x")))


def test_categories_are_columns_of_0_and_1_and_missing_numbers_are_the_mean():
    encoder = TableEncoder.fit(mixed())
    assert encoder.names == ["age", "sex=f", "sex=m", "sex=x"]
    deviation = np.std([1, 3, 5, 3])
    np.testing.assert_allclose(
        encoder.transform(mixed()),
        [
            [-2 / deviation, 1, 0, 0],
            [0, 0, 1, 0],
            [0, 0, 1, 0],
            [2 / deviation, 0, 0, 0],
            [0, 0, 0, 1],
        ],
        rtol=1e-6,
    )


def test_an_indicator_says_what_was_missing():
    encoder = TableEncoder.fit(mixed(missing="indicator"))
    assert encoder.names[4:] == ["age is missing", "sex is missing"]
    assert encoder.transform(mixed())[:, 4:].tolist() == [[0, 0], [0, 0], [1, 0], [0, 1], [0, 0]]
    assert encoder.origins.tolist() == [0, 1, 1, 1, 0, 1]


def test_only_the_training_rows_are_learnt_from():
    encoder = TableEncoder.fit(mixed(missing="indicator"), [0, 1, 3])
    assert encoder.categories == ((), ("f", "m"))
    assert encoder.indicators == (1,)
    assert encoder.mean[0] == 3
    assert encoder.unseen(mixed()) == {"sex": ["x"]}
    assert encoder.transform(mixed())[4].tolist() == [0, 0, 0, 0]  # of a category not known


def test_categories_are_matched_by_their_texts():
    encoder = TableEncoder.fit(mixed())
    other = replace(mixed(), categories=((), ("x", "y", "f")))
    expected = [[0, 0, 1], [0, 0, 0], [0, 0, 0], [0, 0, 0], [1, 0, 0]]
    assert encoder.transform(other)[:, 1:].tolist() == expected
    assert encoder.unseen(other) == {"sex": ["y"]}


def test_a_column_without_any_value_in_the_training_rows_is_harmless():
    encoder = TableEncoder.fit(mixed(), [2])
    assert encoder.transform(mixed())[2].tolist() == [0, 1]
    assert np.all(np.isfinite(encoder.transform(mixed())))


def test_arrays_do_for_numbers_only():
    numbers = table_of([[1.0], [3.0]])
    encoder = TableEncoder.fit(numbers)
    assert np.array_equal(encoder.transform([[1.0], [3.0]]), encoder.transform(numbers))
    with pytest.raises(ValueError, match=r"features of shape \(1, 2\) do not fit"):
        encoder.transform([[1.0, 2.0]])
    with pytest.raises(ValueError, match="categories are encoded from a Table"):
        TableEncoder.fit(mixed()).transform([[1.0, 0.0]])
