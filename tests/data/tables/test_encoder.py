"""The encoder learns from the training rows alone."""

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
