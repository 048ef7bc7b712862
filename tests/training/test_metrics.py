"""Accuracy and confusion, against their definitions."""

import numpy as np
import pytest

from microgradx import Tensor
from microgradx.training import accuracy, confusion_matrix


def test_confusion_counts_pairs_and_has_accuracy_on_its_diagonal():
    generator = np.random.default_rng(0)
    labels, predicted = generator.integers(0, 5, (2, 300))
    matrix = confusion_matrix(labels, predicted, 5)
    for i in range(5):
        for j in range(5):
            assert matrix[i, j] == sum((labels == i) & (predicted == j))
    assert accuracy(predicted, labels) == np.trace(matrix) / 300


def test_classes_that_never_occur_have_their_place():
    assert confusion_matrix([0], [0], 3).tolist() == [[1, 0, 0], [0, 0, 0], [0, 0, 0]]


def test_tensors_are_taken_too():
    assert accuracy(Tensor([0, 1]), Tensor([1, 1])) == 0.5


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match=r"shape \(2,\) and labels of shape \(1,\)"):
        accuracy([0, 1], [0])
    with pytest.raises(ValueError, match="no rows"):
        accuracy([], [])
    for labels, predicted in (([3], [0]), ([0], [3]), ([-1], [0])):
        with pytest.raises(ValueError, match="do not fit 3 classes"):
            confusion_matrix(labels, predicted, 3)
