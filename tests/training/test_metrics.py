"""Accuracy and confusion, against their definitions."""

import numpy as np
import pytest

from microgradx import Tensor
from microgradx.training import accuracy, confusion_matrix
from microgradx.training.metrics import format_confusion_matrix


def test_confusion_counts_pairs_and_has_accuracy_on_its_diagonal():
    generator = np.random.default_rng(0)
    labels, predicted = generator.integers(0, 5, (2, 300))
    matrix = confusion_matrix(labels, predicted, 5)
    for i in range(5):
        for j in range(5):
            assert matrix[i, j] == sum((labels == i) & (predicted == j))
    assert accuracy(predicted, labels) == np.trace(matrix) / 300


def test_classes_that_do_not_occur_have_zeros():
    assert confusion_matrix([0], [0], 3).tolist() == [[1, 0, 0], [0, 0, 0], [0, 0, 0]]


def test_tensors_are_taken_too():
    assert accuracy(Tensor([0, 1]), Tensor([1, 1])) == 0.5


def test_shapes_and_labels_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"shape \(2,\) and labels of shape \(1,\)"):
        accuracy([0, 1], [0])
    with pytest.raises(ValueError, match="no rows"):
        accuracy([], [])
    for labels, predicted in (([3], [0]), ([0], [3]), ([-1], [0])):
        with pytest.raises(ValueError, match="do not fit 3 classes"):
            confusion_matrix(labels, predicted, 3)


def test_many_classes_and_long_names_still_make_a_table():
    names = [f"a class with a rather long name, {i}" for i in range(12)]
    labels = np.arange(12)
    lines = format_confusion_matrix(labels, labels, names).splitlines()
    assert len(lines) == 14
    assert all(len(line) <= 100 for line in lines)
    names = [f"{i}" for i in range(60)]
    predicted = np.where(np.arange(60) < 3, 59, np.arange(60))
    lines = format_confusion_matrix(np.arange(60), predicted, names).splitlines()
    assert [line.split() for line in lines[1:]] == [[str(i), "59", "1"] for i in range(3)]
