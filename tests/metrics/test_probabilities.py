"""Metrics of probabilities: against scikit-learn, their definitions, and what is refused."""

import warnings

import numpy as np
import pytest
from sklearn import metrics as reference

import microgradx as mg
from microgradx import metrics

NUMBERS = (
    metrics.log_loss,
    metrics.brier_score,
    metrics.roc_auc,
    metrics.top_k_accuracy,
    metrics.expected_calibration_error,
    metrics.maximum_calibration_error,
)


@pytest.fixture
def rows(generator):
    logits = generator.normal(size=(300, 4)) * 2
    p = mg.softmax(logits)
    return np.array([generator.choice(4, p=row) for row in mg.softmax(logits / 2)]), p


def test_numbers_are_scikit_learns(rows):
    labels, p = rows
    close = {"rel": 1e-12}
    assert metrics.log_loss(labels, p) == pytest.approx(reference.log_loss(labels, p), **close)
    brier = reference.brier_score_loss(labels, p, labels=range(4))
    assert metrics.brier_score(labels, p) == pytest.approx(brier, **close)
    assert brier == pytest.approx(np.mean(np.sum((p - np.eye(4)[labels]) ** 2, axis=1)), **close)
    area = reference.roc_auc_score(labels, p, multi_class="ovr")
    assert metrics.roc_auc(labels, p) == pytest.approx(area, **close)
    for k in (1, 2, 3):
        top = reference.top_k_accuracy_score(labels, p, k=k)
        assert metrics.top_k_accuracy(labels, p, k) == pytest.approx(top, **close)


def test_two_classes_may_be_given_as_the_probabilities_of_the_second(rows):
    p = rows[1][:, :2] / rows[1][:, :2].sum(axis=1, keepdims=True)
    labels = np.minimum(rows[0], 1)
    for metric in NUMBERS:
        assert metric(labels, p[:, 1]) == pytest.approx(metric(labels, p), rel=1e-12)
    assert metrics.log_loss(labels, p[:, 1]) == pytest.approx(reference.log_loss(labels, p[:, 1]))
    brier = reference.brier_score_loss(labels, p[:, 1])
    assert metrics.brier_score(labels, p) == pytest.approx(brier)
    area = reference.roc_auc_score(labels, p[:, 1])
    assert metrics.roc_auc(labels, p) == pytest.approx(area)


def test_log_loss_is_the_cross_entropy_of_logits(generator):
    logits = generator.normal(size=(50, 3)) * 5
    labels = generator.integers(0, 3, 50)
    loss = float(mg.cross_entropy(logits, labels))
    assert metrics.log_loss(labels, mg.softmax(logits)) == pytest.approx(loss, rel=1e-13)


def test_a_true_class_of_probability_zero_has_an_infinite_log_loss_without_a_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert metrics.log_loss([0, 1], [[1.0, 0.0], [1.0, 0.0]]) == np.inf
        assert metrics.log_loss([0, 1], [[1.0, 0.0], [0.0, 1.0]]) == 0


def test_classes_name_the_columns(rows):
    labels, p = rows
    names = np.array(["perch", "cod", "eel", "bass"])
    for metric in NUMBERS:
        assert metric(names[labels], p, classes=names) == metric(labels, p)
        in_order = np.argsort(names)
        assert metric(names[labels], p[:, in_order]) == pytest.approx(metric(labels, p), rel=1e-12)
        assert metric(labels + 1, p, classes=range(1, 5)) == metric(labels, p)
    signs = metrics.log_loss([-1, 1], [[0.5, 0.5], [0.1, 0.9]], classes=(-1, 1))
    assert signs == pytest.approx(-np.log(0.45) / 2)


def test_one_class_and_a_class_without_rows(rows):
    labels, p = rows
    assert np.isnan(metrics.roc_auc([1, 1], [0.2, 0.7]))
    some = labels < 3
    each = [metrics.roc_auc(labels[some] == k, p[some, k]) for k in range(3)]
    assert metrics.roc_auc(labels[some], p[some]) == pytest.approx(np.mean(each))
    brier = np.mean(np.sum((p[some] - np.eye(4)[labels[some]]) ** 2, axis=1))
    assert metrics.brier_score(labels[some], p[some]) == pytest.approx(brier)
    for metric in (metrics.log_loss, metrics.brier_score, metrics.expected_calibration_error):
        assert metric([0, 0], [[1.0], [1.0]]) == 0


@pytest.mark.parametrize(
    ("labels", "p", "message"),
    [
        ([0, 1], [[0.5, 0.6], [0.5, 0.5]], "row 0 of the probabilities sums to 1.1"),
        ([0, 1], [[0.5, 0.5], [-0.5, 1.5]], "row 1 of the probabilities goes from -0.5 to 1.5"),
        ([0, 1], [[0.5, 0.5], [np.nan, 0.5]], "have nan in row 1"),
        ([0, 1], [[0.5, 0.5], [np.inf, 0.5]], "have inf in row 1"),
        ([0, 1], [0.5, 1.5], "row 1 .* take the softmax"),
        ([0], [[0.5, 0.5], [0.5, 0.5]], "1 labels, but probabilities of 2 rows"),
        ([0, 2], [[0.5, 0.5], [0.5, 0.5]], "label 2 does not fit 2 classes, 0 to 1"),
        ([0, -1], [[0.5, 0.5], [0.5, 0.5]], "label -1 does not fit"),
        ([0, 0.5], [[0.5, 0.5], [0.5, 0.5]], "label 0.5 does not fit"),
        (["a", "a"], [[0.5, 0.5], [0.5, 0.5]], "2 classes, but 1 labels: 'a'; name the classes"),
        ([], np.zeros((0, 2)), "at least one row"),
        ([0], np.zeros((1, 1, 1)), r"shape \(1, 1, 1\) must be"),
    ],
)
def test_what_are_no_probabilities_is_refused(labels, p, message):
    for metric in (*NUMBERS, metrics.reliability_curve):
        with pytest.raises(ValueError, match=message):
            metric(labels, p)


def test_rows_rounded_to_four_decimals_are_probabilities(rows):
    labels, p = rows
    rounded = metrics.log_loss(labels, p.round(4))
    assert rounded == pytest.approx(metrics.log_loss(labels, p), rel=1e-2)
    for dtype in (np.float16, np.float32):
        assert metrics.brier_score(labels, p.astype(dtype)) == pytest.approx(
            metrics.brier_score(labels, p), rel=1e-3
        )


# ---------------------------------------------------------------------------- by name


def test_every_metric_has_a_name_and_takes_labels_and_probabilities(rows):
    labels, p = rows
    predicted = p.argmax(axis=1)
    for name in metrics.METRICS:
        metric, function = metrics.find_metric(name), getattr(metrics, name)
        of_labels = name in ("accuracy", "balanced_accuracy", "precision", "recall", "f1")
        assert metric.name == name
        assert metric(labels, p) == function(labels, predicted if of_labels else p)
    assert metrics.find_metric("top_2_accuracy")(labels, p) == metrics.top_k_accuracy(labels, p, 2)


def test_a_function_is_a_metric_and_other_things_are_not():
    def worst(labels, p):
        return p.min()

    metric = metrics.find_metric(worst)
    assert (metric.name, metric(np.array([0]), np.array([[0.2, 0.8]]))) == ("worst", 0.2)
    assert metrics.find_metric(metric) is metric
    with pytest.raises(ValueError, match="no metric called 'acuracy'; did you mean 'accuracy'"):
        metrics.find_metric("acuracy")
    with pytest.raises(TypeError, match="a name or a function, not 3"):
        metrics.find_metric(3)


def test_without_scikit_learn_the_extra_is_named(monkeypatch, rows):
    monkeypatch.setitem(__import__("sys").modules, "sklearn", None)
    with pytest.raises(ValueError, match=r'pip install "microgradx\[data\]"'):
        metrics.roc_auc(*rows)
    assert 0 < metrics.accuracy(rows[0], rows[1].argmax(axis=1)) < 1
    assert metrics.log_loss(*rows) > metrics.expected_calibration_error(*rows)


@pytest.mark.parametrize("metric", [*NUMBERS, metrics.reliability_curve])
@pytest.mark.parametrize("dtype", [int, np.uint8, bool])
def test_classes_given_for_probabilities_are_refused(metric, dtype):
    labels = [0, 1, 1, 0]
    p = np.array([[0.9, 0.1], [0.2, 0.8], [0.7, 0.3], [0.6, 0.4]])
    with pytest.raises(TypeError, match=r"shape \(4,\), such as (0|False), are classes, not prob"):
        metric(labels, p.argmax(axis=1).astype(dtype))
    metric(labels, np.eye(2, dtype=dtype)[p.argmax(axis=1)])  # whose columns say what is meant
    metric(labels, (p[:, 1] > 0.5).astype(float))
