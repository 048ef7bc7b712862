"""Metrics of labels: against their definitions and scikit-learn, for labels of any kind."""

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as reference

from microgradx import Tensor, metrics
from microgradx.metrics import accuracy, confusion_matrix, format_confusion_matrix

NAMES = np.array(["pike", "eel", "cod", "ide", "dab"])
#: The same five classes, as people have them.
KINDS = {
    "integers": lambda i: i,
    "integers from 5 down": lambda i: 5 - i,
    "floats": lambda i: i * 1.0,
    "texts": lambda i: NAMES[i],
    "objects": lambda i: NAMES[i].astype(object),
    "series": lambda i: pd.Series(NAMES[i]),
    "categories": lambda i: pd.Series(NAMES[i]).astype("category"),
    "nullable": lambda i: pd.Series(i, dtype="Int64"),
    "lists": lambda i: NAMES[i].tolist(),
    "booleans": lambda i: i > 2,
}


@pytest.fixture
def pairs(generator):
    labels = generator.integers(0, 5, 200)
    return labels, np.where(generator.random(200) < 0.6, labels, generator.integers(0, 5, 200))


@pytest.mark.parametrize("kind", KINDS)
def test_labels_of_any_kind_have_scikit_learns_numbers(pairs, kind):
    labels, predicted = map(KINDS[kind], pairs)
    plain = [np.asarray(values).tolist() for values in (labels, predicted)]
    assert accuracy(labels, predicted) == reference.accuracy_score(*plain)
    np.testing.assert_array_equal(
        confusion_matrix(labels, predicted), reference.confusion_matrix(*plain)
    )
    balanced = reference.balanced_accuracy_score(*plain)
    assert metrics.balanced_accuracy(labels, predicted) == pytest.approx(balanced, rel=1e-14)
    for average in ("macro", "micro", "weighted"):
        for name, score in (("precision", reference.precision_score), ("f1", reference.f1_score)):
            actual = getattr(metrics, name)(labels, predicted, average=average)
            assert actual == pytest.approx(score(*plain, average=average), rel=1e-14)


def test_of_two_classes_the_second_is_the_positive_one_as_in_scikit_learn(pairs):
    labels, predicted = (values > 2 for values in pairs)
    for kind in (labels, labels.astype(int)):
        assert metrics.recall(kind, predicted) == reference.recall_score(labels, predicted)
        assert metrics.f1(kind, predicted) == reference.f1_score(labels, predicted)
    texts = [np.where(values, "yes", "no") for values in (labels, predicted)]
    positive = reference.precision_score(*texts, pos_label="yes")
    assert metrics.precision(*texts) == positive
    negative = reference.precision_score(*texts, pos_label="no")
    assert metrics.precision(*texts, classes=("yes", "no")) == negative


def test_each_class_has_a_number_with_average_none(pairs):
    np.testing.assert_array_equal(
        metrics.recall(*pairs, average="none"), reference.recall_score(*pairs, average=None)
    )


def test_classes_that_do_not_occur():
    assert confusion_matrix([0], [0], 3).tolist() == [[1, 0, 0], [0, 0, 0], [0, 0, 0]]
    assert confusion_matrix(["b"], ["c"], ["c", "b", "a"]).tolist() == [[0] * 3, [1, 0, 0], [0] * 3]
    assert metrics.balanced_accuracy([0, 0, 1], [0, 2, 1]) == 0.75  # 2 is never true
    assert metrics.precision([0, 0, 1], [0, 0, 0]) == 0  # no warning: 1 is never predicted


def test_tensors_are_taken_too():
    assert accuracy(Tensor([0, 1]), Tensor([1, 1])) == 0.5


@pytest.mark.parametrize(
    ("labels", "predicted", "error", "message"),
    [
        ([0, 1], [0], ValueError, r"shape \(2,\) and predicted labels of shape \(1,\)"),
        ([0, 1], [[0.1, 0.9], [0.5, 0.5]], ValueError, r"take \.argmax\(axis=1\)"),
        ([], [], ValueError, "no rows"),
        (["a", "b"], [0, 1], TypeError, "'a', but predicted labels such as 0"),
        ([0, 1], ["0", "1"], TypeError, "both as texts or both as numbers"),
        ([1.0, np.nan], [1, 1], ValueError, "NaN in row 1"),
        (np.array(["a", None]), ["a", "a"], TypeError, "hold texts and None"),
        (pd.Series([1, None], dtype="Int64"), [1, 1], ValueError, "NaN in row 1"),
        ([1, None], [1, 1], TypeError, "without gaps"),
        ([1j], [1j], TypeError, "complex128"),
    ],
)
def test_labels_that_do_not_fit_are_refused(labels, predicted, error, message):
    for metric in (accuracy, confusion_matrix, metrics.f1):
        with pytest.raises(error, match=message):
            metric(labels, predicted)


def test_labels_outside_the_classes_are_refused():
    for labels, predicted in (([3], [0]), ([0], [3]), ([-1], [0])):
        with pytest.raises(ValueError, match="is none of the classes '0', '1', '2'"):
            confusion_matrix(labels, predicted, 3)
    with pytest.raises(ValueError, match="a class stands twice"):
        confusion_matrix(["a"], ["a"], ["a", "a"])


def test_many_classes_and_long_names_still_make_a_table():
    names = [f"a class with a rather long name, {i}" for i in range(12)]
    labels = np.arange(12)
    lines = format_confusion_matrix(labels, labels, names).splitlines()
    assert len(lines) == 14
    assert all(len(line) <= 100 for line in lines)
    names = [f"{i}" for i in range(60)]
    heading = "The most frequent mistakes (true label, predicted label, rows):"
    assert format_confusion_matrix(np.arange(60), np.arange(60), names) == f"{heading} none"
    predicted = np.where(np.arange(60) < 3, 59, np.arange(60))
    lines = format_confusion_matrix(np.arange(60), predicted, names).splitlines()
    assert [line.split() for line in lines[1:4]] == [[str(i), "59", "1"] for i in range(3)]
    assert lines[4:8] == ["The least recall:", *(f"  {i}   0.0% of 1 rows" for i in range(3))]


def test_the_matrix_ends_with_the_recall_of_each_class():
    lines = format_confusion_matrix([0, 0, 0, 1], [0, 0, 1, 1], ["a", "b", "c"]).splitlines()
    assert [line.split()[-1] for line in lines[1:]] == ["recall", "66.7%", "100.0%", "·"]
