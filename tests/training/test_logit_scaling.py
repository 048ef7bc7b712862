"""Calibration: the exact optimum against SciPy, no optimum, too few rows, and what is refused."""

import warnings

import numpy as np
import pytest
from scipy import optimize, special

import microgradx as mg
from microgradx import TemperatureScaling, VectorScaling
from microgradx.training.calibration import scale_logits

SCALINGS = pytest.mark.parametrize("scaling", [TemperatureScaling, VectorScaling])


def draw(rows, classes, scale, seed=0):
    """Logits that are `scale` times too large, and labels."""
    generator = np.random.default_rng(seed)
    logits = generator.normal(size=(rows, classes)) * 1.5
    return scale * logits, mg.sample(logits, generator=generator)


def log_loss(logits, labels):
    return -np.mean(special.log_softmax(logits, axis=1)[np.arange(len(labels)), labels])


def scipy_temperature(logits, labels):
    found = optimize.minimize_scalar(
        lambda log_t: log_loss(logits / np.exp(log_t), labels),
        bounds=(-9, 9), method="bounded", options={"xatol": 1e-12},
    )  # fmt: skip
    return np.exp(found.x)


# ---------------------------------------------------------------------------- the optimum


@pytest.mark.parametrize("classes", [2, 12])
@pytest.mark.parametrize("scale", [0.2, 2.0, 30.0])
def test_the_temperature_is_that_of_the_least_log_loss(classes, scale):
    logits, labels = draw(400, classes, scale)
    scaling = TemperatureScaling().fit(logits, labels)
    assert scaling.helps
    assert scaling.temperature == pytest.approx(scipy_temperature(logits, labels), rel=1e-6)
    # The derivative of the loss is 0 far more exactly than SciPy can see.
    slope = mg.grad(lambda w: mg.cross_entropy(logits * w, labels))(1 / scaling.temperature)
    assert abs(slope / scaling.temperature) < 1e-9


def test_it_follows_the_scale_of_logits_however_large_or_small():
    logits, labels = draw(300, 4, 3.0)
    expected = TemperatureScaling().fit(logits, labels).temperature
    for factor in (1e150, 1e9):
        found = TemperatureScaling().fit(factor * logits, labels).temperature
        assert found == pytest.approx(factor * expected, rel=1e-9)
    huge = logits * (1.7e308 / np.abs(logits).max())
    assert np.all(np.isfinite(TemperatureScaling().fit(huge, labels).predict_proba(huge)))
    tiny = TemperatureScaling().fit(1e-200 * logits, labels)
    assert tiny.temperature == pytest.approx(1e-200 * expected, rel=1e-9)
    as_float32 = TemperatureScaling().fit(logits.astype(np.float32), labels).temperature
    assert as_float32 == pytest.approx(expected, rel=1e-5)
    assert TemperatureScaling().fit(logits + 1e6, labels).temperature == pytest.approx(expected)


def test_excluded_classes_are_as_if_their_logits_were_hugely_negative(generator):
    logits, labels = draw(400, 5, 3.0)
    excluded = (generator.random(logits.shape) < 0.2) & (np.arange(5) != labels[:, None])
    masked = TemperatureScaling().fit(np.where(excluded, -np.inf, logits), labels)
    finite = TemperatureScaling().fit(np.where(excluded, -1e9, logits), labels)
    assert masked.temperature == pytest.approx(finite.temperature, rel=1e-6)
    p = masked.predict_proba(np.where(excluded, -np.inf, logits))
    assert np.all((p == 0) == excluded)
    vector = VectorScaling().fit(np.where(excluded, -np.inf, logits), labels)
    assert np.all((vector.predict_proba(np.where(excluded, -np.inf, logits)) == 0) == excluded)


def test_vector_scaling_has_the_optimum_that_scipy_finds():
    logits, labels = draw(500, 3, 2.0)
    logits = logits * [1.0, 2.0, 0.5] + [0.0, 1.0, -1.0]
    scaling = VectorScaling().fit(logits, labels)
    t = scipy_temperature(logits, labels)

    def objective(parameters):
        weight, bias = parameters[:3], parameters[3:]
        penalty = (np.sum((weight - 1) ** 2) + np.sum(bias**2)) / 1000
        return log_loss(logits / t * weight + bias, labels) + penalty

    found = optimize.minimize(objective, np.repeat([1.0, 0.0], 3), tol=1e-12, method="BFGS")
    np.testing.assert_allclose(scaling.weight * t, found.x[:3], atol=1e-4)
    np.testing.assert_allclose(scaling.bias, found.x[3:], atol=1e-4)
    temperature = TemperatureScaling().fit(logits, labels)
    assert log_loss(scaling.transform(logits), labels) < log_loss(
        temperature.transform(logits), labels
    )


@SCALINGS
def test_labels_may_be_texts_and_calls_agree(scaling):
    logits, labels = draw(200, 3, 3.0)
    fitted = scaling().fit(logits, labels)
    again = scaling().fit(logits.tolist(), np.array(["a", "b", "c"])[labels])
    np.testing.assert_array_equal(fitted.predict_proba(logits), again.predict_proba(logits))
    np.testing.assert_array_equal(mg.softmax(fitted.transform(logits)), again.predict_proba(logits))
    p = fitted.predict_proba(mg.Tensor(logits, requires_grad=True))
    assert p.requires_grad
    np.testing.assert_allclose(p.sum(axis=1).data, 1)
    assert fitted.predict_proba(logits[0]).shape == (3,)
    assert fitted.predict_proba(logits.astype(np.float32)).dtype == np.float32
    assert repr(scaling()) == f"{scaling.__name__}(not fitted)"
    assert repr(fitted).startswith(
        f"{scaling.__name__}({'temperature' if scaling is TemperatureScaling else 'weight'}="
    )


# ---------------------------------------------------------------------------- where it cannot help


def test_rows_that_are_all_right_have_no_best_temperature_and_it_stays_1():
    labels = np.arange(30) % 3
    logits = np.eye(3)[labels] * 4
    with pytest.warns(UserWarning, match="all 30 rows are predicted right.*until the temperature"):
        scaling = TemperatureScaling().fit(logits, labels)
    assert (scaling.temperature, scaling.helps) == (1.0, False)
    np.testing.assert_array_equal(scaling.predict_proba(logits), mg.softmax(logits))
    with pytest.warns(UserWarning, match="stay as they are"):
        vector = VectorScaling().fit(logits, labels)
    np.testing.assert_array_equal(vector.predict_proba(logits), mg.softmax(logits))


def test_one_mistake_among_few_rows_does_not_decide():
    labels = np.arange(30) % 3
    logits = np.eye(3)[labels] * 4
    logits[0] = [0.0, 0.1, 0.0]
    with pytest.warns(UserWarning, match="stay as they are"):
        assert TemperatureScaling().fit(logits, labels).temperature == 1.0


def test_logits_that_say_nothing_become_equal_probabilities():
    logits, labels = draw(400, 4, 3.0)
    wrong = (logits.argmin(axis=1) + labels * 0) % 4
    scaling = TemperatureScaling().fit(logits, wrong)
    assert np.isfinite(scaling.temperature)
    np.testing.assert_allclose(scaling.predict_proba(logits), 0.25, atol=1e-5)


@SCALINGS
def test_logits_that_are_calibrated_already_stay_as_they_are(scaling):
    logits, labels = draw(60, 3, 1.0, seed=2)
    with pytest.warns(UserWarning, match="60 rows do not show that scaling lowers the log-loss"):
        fitted = scaling().fit(logits, labels)
    np.testing.assert_array_equal(fitted.transform(logits), logits)
    assert not fitted.helps


def test_excluded_classes_stay_so_with_a_weight_of_any_sign():
    logits = np.array([[-np.inf, 1.0, 2.0]])
    scaled = scale_logits(logits, np.array([-1.0, 0.0, 2.0]), np.array([1.0, 1.0, 0.0]))
    np.testing.assert_array_equal(scaled, [[-np.inf, 1.0, 4.0]])


@pytest.mark.parametrize(
    ("logits", "labels", "message"),
    [
        (np.zeros((20, 3)), np.arange(20) % 3, "all logits of a row are the same"),
        (np.zeros((20, 1)), np.zeros(20, int), "all logits of a row are the same"),
        (np.ones((20, 1)) * 5, np.zeros(20, int), "all logits of a row are the same"),
        ([[3.0, 1.0]], [1], "1 rows are too few"),
        (draw(19, 2, 5.0)[0], draw(19, 2, 5.0)[1], "19 rows are too few to tell"),
        ([[3.0, 1.0]] * 5 + [[1.0, 3.0]], [0] * 5 + [0], "stay as they are"),
    ],
)
@SCALINGS
def test_where_no_scaling_can_be_found(scaling, logits, labels, message):
    with pytest.warns(UserWarning, match=message):
        fitted = scaling().fit(logits, labels)
    assert not fitted.helps
    np.testing.assert_array_equal(fitted.transform(np.asarray(logits)), logits)


@SCALINGS
def test_a_class_without_rows_keeps_finite_numbers(scaling):
    logits, labels = draw(200, 4, 3.0)
    some = labels < 3
    fitted = scaling().fit(logits[some], labels[some])
    assert fitted.helps
    assert np.all(fitted.predict_proba(logits) > 0)


@pytest.mark.slow
@pytest.mark.parametrize("rows", [10, 30, 100])
@pytest.mark.parametrize("scale", [0.7, 1.0, 3.0])
def test_on_average_few_rows_do_not_make_probabilities_worse(rows, scale):
    """By many small sets of rows; without cross-validation, some make the loss infinite."""
    changes = []
    for seed in range(6):
        logits, labels = draw(rows + 2000, 3, scale, seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            scaling = TemperatureScaling().fit(logits[:rows], labels[:rows])
        test = logits[rows:], labels[rows:]
        changes.append(log_loss(scaling.transform(test[0]), test[1]) - log_loss(*test))
    assert np.mean(changes) < 0.02
    if scale == 3 and rows >= 20:
        assert np.mean(changes) < -0.1


# ---------------------------------------------------------------------------- what is refused


@SCALINGS
@pytest.mark.parametrize(
    ("logits", "labels", "message"),
    [
        ([[0.0, np.nan]], [0], "nan in row 0"),
        ([[0.0, 1.0], [0.0, np.inf]], [0, 1], "inf in row 1"),
        ([[0.0, -np.inf]], [1], "label 1 in row 0 is -inf.* 1 of 1 rows are so"),
        ([0.0, 1.0], [0], r"shape \(2,\)"),
        (np.zeros((0, 2)), [], r"shape \(0, 2\)"),
        ([[0.0, 1.0]], [0, 1], "2 labels, but logits of 1 rows"),
        ([[0.0, 1.0]], [2], "label 2 does not fit 2 classes"),
    ],
)
def test_what_cannot_be_fitted_is_refused(scaling, logits, labels, message):
    with pytest.raises(ValueError, match=message):
        scaling().fit(logits, labels)


@SCALINGS
def test_it_must_be_fitted_first(scaling):
    with pytest.raises(ValueError, match=r"Scaling is not fitted; call fit\(logits, labels\)"):
        scaling().predict_proba([[0.0, 1.0]])
    if scaling is TemperatureScaling:
        with pytest.raises(ValueError, match="is not fitted"):
            _ = scaling().temperature


# ---------------------------------------------------------------------------- probabilities


@SCALINGS
@pytest.mark.parametrize(
    "softmax",
    [
        lambda logits: special.softmax(logits, axis=1),
        lambda logits: special.softmax(logits, axis=1).astype(np.float32),
        lambda logits: special.softmax(logits, axis=1).round(4),
        lambda logits: np.eye(4)[logits.argmax(axis=1)].astype(int),
        lambda logits: mg.softmax(mg.Tensor(logits, requires_grad=True)),
    ],
)
def test_probabilities_given_for_logits_warn_at_the_callers_line(scaling, softmax):
    logits, labels = draw(200, 4, 2.0)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        scaling().fit(softmax(logits), labels)
    of_softmax = [w for w in caught if "applies softmax itself" in str(w.message)]
    (warning,) = of_softmax
    assert str(warning.message).startswith(f"{scaling.__name__}.fit was given ")
    assert "pass the logits, before the softmax" in str(warning.message)
    assert warning.filename == __file__


@SCALINGS
def test_logits_that_only_look_like_probabilities_do_not_warn(scaling):
    logits, labels = draw(200, 4, 2.0)
    p = special.softmax(logits, axis=1)
    rows = [logits, np.log(p), p - 0.5, 2 * p, np.vstack([p[:-1], [[3.0, -1.0, -1.0, 0.0]]])]
    for given in [*rows, special.expit(logits), np.ones((200, 1))]:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            scaling().fit(given, labels if given.shape[1] == 4 else np.zeros(200, int))
        assert not [w for w in caught if "applies softmax" in str(w.message)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scaling().fit(p, labels, warn=False)
