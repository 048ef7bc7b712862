"""What cannot be trained is named before the first step, and nothing was changed."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse

import microgradx as mg
from microgradx import nn, optim

GENERATOR = np.random.default_rng(0)
X = GENERATOR.normal(size=(12, 3))
Y = np.arange(12) % 2
TEXTS = np.array(["no", "yes"])[Y]


def spoil(array, value, *places):
    spoilt = np.array(array, dtype=np.result_type(np.asarray(array), np.min_scalar_type(value)))
    for place in places:
        spoilt[place] = value
    return spoilt


def labels_with(value, *rows):
    labels = list(TEXTS)
    for row in rows:
        labels[row] = value
    return labels


def torch_like():
    """An optimiser of another library: of its own class, with param_groups."""

    class Adam:
        __module__ = "torch.optim.adam"
        param_groups = ()

    return Adam()


def foreign_optimizer(model):
    return optim.Adam(nn.MLP(3, [4], 2).parameters())


def stale_optimizer(model):
    """Made before a layer was replaced."""
    optimizer = optim.Adam(model.parameters())
    setattr(model, "2", nn.Linear(4, 2))
    return optimizer


NAN_FRAME = pd.DataFrame({"width": spoil(X[:, 0], np.nan, 0, 3), "height": X[:, 1],
                          "depth": spoil(X[:, 2], np.inf, 7)})  # fmt: skip

#: Arguments that replace good ones, the error, and what it says. Functions get the model.
CASES = {
    # ------------------------------------------------------------------ features
    "NaN": ({"X": spoil(X, np.nan, (0, 1), (3, 1), (5, 2))}, ValueError,
        r"not finite, in 3 of 12 rows, the first in row 0: column 1 \(2 NaN\), column 2 \(1 NaN\)"),
    "infinite": ({"X": spoil(X, -np.inf, (4, 0))}, ValueError, r"row 4: column 0 \(1 infinite\)"),
    "NaN in a frame": ({"X": NAN_FRAME}, ValueError,
        r"'width' \(2 NaN\), 'depth' \(1 infinite\); leave such rows or columns out"),
    "NaN in polars": ({"X": pl.from_pandas(NAN_FRAME)}, ValueError, r"'width' \(2 NaN\)"),
    "None in polars": ({"X": pl.DataFrame({"a": [None] + [1.0] * 11, "b": [0] * 11 + [None],
                                           "c": [1] * 12})}, ValueError,
        r"'a' \(1 NaN\), 'b' \(1 NaN\)"),
    "NA in pandas": ({"X": pd.DataFrame({"a": pd.array([None] + [1] * 11, "Int64"), "b": 1.0,
                                         "c": 2})}, ValueError, r"'a' \(1 NaN\)"),
    "all missing": ({"X": pd.DataFrame({"a": [None] * 12, "b": 1.0, "c": 2})}, ValueError,
        r"'a' \(12 NaN\)"),
    "NaN in an image": ({"X": spoil(np.ones((12, 1, 3)), np.nan, (2, 0, 0))}, ValueError,
        "in 1 of 12 rows, the first in row 2: 1 NaN and 0 infinite"),
    "NaN in a list": ({"X": [[1.0, None, 2.0]] * 12}, ValueError, r"column 1 \(12 NaN\)"),
    "too large": ({"X": spoil(X, 1e300, (0, 0))}, ValueError, "too large for .* float32"),
    "texts": ({"X": pd.DataFrame({"a": TEXTS, "b": X[:, 0], "c": pd.Series(TEXTS, dtype="category"),
                                  "d": pd.date_range("2020", periods=12)})}, ValueError,
        r"columns 'a', 'c', 'd' have no numbers .*read_table"),
    "texts in polars": ({"X": pl.DataFrame({"a": TEXTS, "b": X[:, 0]})}, ValueError,
        "column 'a' has no numbers"),
    "texts in an array": ({"X": np.array([["a", "b", "c"]] * 12)}, ValueError, "have no numbers"),
    "texts in a list": ({"X": [[1.0, "b", 2.0]] * 12}, ValueError, "column '1' has no numbers"),
    "ragged": ({"X": [[1.0, 2.0, 3.0]] * 11 + [[1.0]]}, ValueError, "rows of different lengths"),
    "sparse": ({"X": scipy.sparse.csr_array(X)}, TypeError, r"write X.toarray\(\)"),
    "complex": ({"X": X + 1j}, TypeError, "complex"),
    "masked": ({"X": np.ma.masked_array(X)}, TypeError, "mask"),
    "no rows": ({"X": np.empty((0, 3)), "y": []}, ValueError, "has no rows"),
    "a number": ({"X": 1.0}, ValueError, "must have rows"),
    "none": ({"X": None}, (TypeError, ValueError), "X must"),
    "other width": ({"X": X[:, :2]}, ValueError, r"\(2, 2\).*in_features=3"),
    "columns twice": ({"X": pd.DataFrame(X, columns=["a", "b", "a"])}, ValueError,
        "columns are called 'a'"),
    "lazy": ({"X": pl.DataFrame(X).lazy()}, TypeError, r"frame.collect\(\)"),
    # ------------------------------------------------------------------ labels
    "too few labels": ({"y": Y[:-1]}, ValueError, "X has 12 rows and y has 11"),
    "NaN labels": ({"y": spoil(1.0 * Y, np.nan, 3, 4)}, ValueError,
        "missing labels in 2 of 12 rows, the first in row 3"),
    "None labels": ({"y": labels_with(None, 5)}, ValueError, "missing labels in 1 of 12 rows"),
    "NaN among texts": ({"y": pd.Series(labels_with(np.nan, 1, 2))}, ValueError,
        "missing labels in 2 of 12 rows, the first in row 1"),
    "NA labels": ({"y": pd.Series(labels_with(pd.NA, 11), dtype="string")}, ValueError,
        "missing labels in 1 of 12"),
    "null labels": ({"y": pl.Series([None, *TEXTS[1:]])}, ValueError, "missing labels in 1 of 12"),
    "mixed labels": ({"y": labels_with(1, 2)}, TypeError, "y mixes int and str"),
    "dates": ({"y": np.array(["2020-01-01"] * 12, "datetime64[D]")}, TypeError, "dtype datetime64"),
    "infinite labels": ({"y": spoil(1.0 * Y, np.inf, 3)}, ValueError, "infinite or missing"),
    "fractions": ({"y": Y + 0.5}, ValueError, "such as 0.5, which are no classes.*mse_loss"),
    "more classes than outputs": ({"y": np.arange(12) % 3}, ValueError,
        "3 classes, '0', '1', '2', and the model has 2 outputs"),
    "one class": ({"y": ["no"] * 12}, ValueError, "1 class, 'no', and the model has 2 outputs"),
    "wide one-hot": ({"y": np.eye(3)[Y]}, ValueError,
        r"y of shape \(12, 3\) does not fit outputs of shape \(12, 2\)"),
    "narrow one-hot": ({"y": np.eye(2)[Y], "model": nn.MLP(3, [4], 3)}, ValueError,
        r"y of shape \(12, 2\) does not fit outputs of shape \(12, 3\)"),
    "no probabilities": ({"y": np.eye(2)[Y] * 2}, ValueError, "in 12 rows .* row 0 is 2"),
    "negative": ({"y": np.tile([2.0, -1.0], (12, 1))}, ValueError, "negative or do not sum to 1"),
    "one output": ({"model": nn.MLP(3, [4], 1)}, ValueError, "binary_cross_entropy_with_logits"),
    "binary of three": ({"model": nn.MLP(3, [4], 1), "y": np.arange(12) % 3,
                         "loss": "binary_cross_entropy_with_logits"}, ValueError, "3 classes"),
    "texts for numbers": ({"y": TEXTS, "loss": "mse_loss"}, ValueError, "loss='cross_entropy'"),
    "numbers of another shape": ({"y": X, "loss": "mse_loss"}, ValueError,
        r"y of shape \(12, 3\) does not fit outputs of shape \(12, 2\)"),
    "classes too few": ({"classes": ["no"], "y": TEXTS}, ValueError, "classes has 1 labels"),
    "classes twice": ({"classes": ["no", "no"], "y": TEXTS}, ValueError, "labels that differ"),
    "unknown class": ({"classes": ["no", "never"], "y": TEXTS}, ValueError,
        "y has the label 'yes' in 6 of 12 rows"),
    # ------------------------------------------------------------------ data
    "no pair": ({"data": X}, TypeError, r"a pair \(X, y\)"),
    "three": ({"data": (X, Y, Y)}, TypeError, r"a pair \(X, y\).*tuple of 3"),
    "frame without label": ({"data": NAN_FRAME}, ValueError, "label=, .* 'width', 'height'"),
    "frame without the label": ({"data": NAN_FRAME, "label": "kind"}, ValueError,
        "no column 'kind'"),
    "label of arrays": ({"label": "kind"}, ValueError, "label= is for a data frame"),
    # ------------------------------------------------------------------ numbers
    **{f"epochs {value!r}": ({"epochs": value}, error, "epochs must be")
       for value, error in ((0, ValueError), (-1, ValueError), (2.5, TypeError), (True, TypeError),
                            ("3", TypeError), (None, TypeError), (float("nan"), TypeError))},
    **{f"batch_size {value!r}": ({"batch_size": value}, error, "batch_size must be")
       for value, error in ((0, ValueError), (-4, ValueError), (1.5, TypeError))},
    **{f"patience {value!r}": ({"early_stopping": True, "patience": value}, error, "patience must")
       for value, error in ((0, ValueError), (1.5, TypeError))},
    **{f"min_delta {value!r}": ({"early_stopping": True, "min_delta": value}, error, "min_delta")
       for value, error in ((-1, ValueError), (float("nan"), ValueError), ("1", TypeError))},
    **{f"lr {value!r}": ({"lr": value}, error, "lr must be")
       for value, error in ((0, ValueError), (-0.1, ValueError), (float("inf"), ValueError),
                            (float("nan"), ValueError), ("1", TypeError), (True, TypeError))},
    **{f"{name} {value!r}": ({name: value}, TypeError, f"{name} must be True or False")
       for name in ("early_stopping", "shuffle", "compiled", "progress", "resume")
       for value in ("yes", 1)},
    # ------------------------------------------------------------------ names and objects
    "unknown loss": ({"loss": "crossentropy"}, ValueError, "did you mean 'cross_entropy'"),
    "loss number": ({"loss": 3}, TypeError, "loss must be a name"),
    "loss class": ({"loss": nn.MSELoss}, TypeError, r"give an instance, MSELoss\(\)"),
    "unknown optimiser": ({"optimizer": "adm"}, ValueError, "did you mean 'adam'"),
    "optimiser class": ({"optimizer": optim.Adam}, TypeError, r"Adam\(model.parameters\(\)\)"),
    "torch's optimiser": ({"optimizer": torch_like()}, TypeError, "not Adam of torch"),
    "no optimiser": ({"optimizer": None}, TypeError, "optimizer must be a name"),
    "foreign optimiser": ({"optimizer": foreign_optimizer}, ValueError,
        "holds 4 parameters that are not the model's.*lacks 4"),
    "stale optimiser": ({"optimizer": stale_optimizer}, ValueError, "after the model's layers"),
    "lr of an optimiser": ({"optimizer": lambda model: optim.Adam(model.parameters()), "lr": 0.1},
        ValueError, "lr is for an optimiser that is given by name"),
    "checkpoint": ({"checkpoint": 3}, TypeError, "checkpoint must be the name of a file"),
    "rate of nothing": ({"schedule": lambda done: None}, TypeError, "schedule.0.0. returns must"),
    "negative rate": ({"schedule": lambda done: -1}, ValueError, "schedule.0.0. returns must"),
    "ragged labels": ({"y": [[0], [1, 2]] * 6}, ValueError, "labels have rows of different"),
    "columns of one value": ({"X": {"a": 1.0, "b": 2.0}}, ValueError, "'a' is a single value"),
    "file": ({"data": "data.csv"}, TypeError, "a Table of read_table"),
    "unknown metric": ({"metrics": ["acuracy"]}, ValueError, "accuracy"),
    "metric number": ({"metrics": 3}, TypeError, "a metric must be a name or a function"),
    "metric twice": ({"metrics": ["accuracy", "accuracy"]}, ValueError, "called 'accuracy'"),
    "metric of numbers": ({"metrics": "accuracy", "loss": "mse_loss", "y": np.eye(2)[Y]},
        ValueError, "accuracy is for classes"),
    "unknown monitor": ({"monitor": "los"}, ValueError, "did you mean 'loss'"),
    "monitor without validation": ({"monitor": "validation_loss"}, ValueError,
        "no validation rows; give validation=0.2"),
    "monitor number": ({"monitor": 3}, TypeError, "monitor must be the name"),
    "unknown schedule": ({"schedule": "cosinus"}, ValueError, "did you mean 'cosine'"),
    "schedule number": ({"schedule": 0.9}, TypeError, "schedule must be"),
    "scheduler of another": ({"schedule": optim.lr_scheduler.StepLR(
        foreign_optimizer(None), 2)}, ValueError, "of another optimiser"),
    "schedule_per": ({"schedule_per": "batch"}, ValueError, "step"),
    "schedule_per of a name": ({"schedule": "cosine", "schedule_per": "step"}, ValueError,
        "is for a scheduler"),

    "clip_grad_norm": ({"clip_grad_norm": -1}, ValueError, "clip_grad_norm must be above 0"),
    "clip_grad_value": ({"clip_grad_value": "1"}, TypeError, "clip_grad_value must be a number"),
    "both limits": ({"clip_grad_norm": 1, "clip_grad_value": 1}, ValueError, "exclude each other"),
    "generator": ({"generator": 0}, TypeError, "generator must be a numpy.random.Generator"),
    "callback": ({"callbacks": [3]}, TypeError, "a callback must be"),
    "model class": ({"model": nn.MLP}, TypeError, "give an instance"),
    "model function": ({"model": lambda x: x}, TypeError, "model must be a microgradx.nn.Module"),
    "model without parameters": ({"model": nn.Flatten(),
                                  "y": np.arange(12) % 3}, ValueError, "no parameters to train"),
    # ------------------------------------------------------------------ weights
    **{f"class_weight {value!r}": ({"class_weight": value}, error, message)
       for value, error, message in (
           ([1.0, np.nan], ValueError, "class_weight has NaN"),
           ([1.0, -1.0], ValueError, "class_weight has -1"),
           ([1.0, np.inf], ValueError, "class_weight has inf"),
           ([1.0], ValueError, r"class_weight has shape \(1,\)"),
           ([1.0, 2.0, 3.0], ValueError, r"class_weight has shape \(3,\).*\(2,\)"),
           ({"no": 1}, ValueError, "class_weight has 'no', and the classes are 0, 1"),
           ({0: np.nan}, ValueError, "class_weight has NaN"),
           ({1: -2}, ValueError, "class_weight has -2"),
           ("balance", ValueError, "did you mean 'balanced'"),
           (["a", "b"], (TypeError, ValueError), "class_weight must be numbers"),
           ([0, 0], ValueError, "weight 0"),
           (len, (TypeError, ValueError), "class_weight must be numbers"),
       )},
    **{f"sample_weight {name}": ({"sample_weight": value}, ValueError, message)
       for name, value, message in (
           ("NaN", spoil(np.ones(12), np.nan, 3), "sample_weight has NaN"),
           ("negative", spoil(np.ones(12), -1, 3), "sample_weight has -1"),
           ("short", np.ones(11), r"shape \(11,\), and must have a number for each row: \(12,\)"),
           ("wide", np.ones((12, 2)), r"shape \(12, 2\)"),
           ("zero", np.zeros(12), "weight 0"),
       )},
    "weights of a loss of one's own": ({"loss": lambda outputs, y: mg.cross_entropy(outputs, y),
                                        "sample_weight": np.ones(12)}, TypeError, "reduction"),
    # ------------------------------------------------------------------ validation
    **{f"validation {value!r}": ({"validation": value}, ValueError, "validation must be a share")
       for value in (0.0, 1.0, -0.1, 1.5, float("nan"))},
    "validation text": ({"validation": "0.2"}, TypeError, "validation must be the share"),
    "validation True": ({"validation": True}, TypeError, "validation must be the share"),
    "validation empty": ({"validation": (X[:0], Y[:0])}, ValueError, "validation: X .* no rows"),
    "validation lengths": ({"validation": (X, Y[:5])}, ValueError, "validation: X has 12 rows"),
    "validation NaN": ({"validation": (spoil(X, np.nan, (0, 0)), Y)}, ValueError, "validation: X"),
    "validation width": ({"validation": (X[:, :2], Y)}, ValueError, "validation: X has 2 columns"),
    "validation label": ({"validation": (X, Y + 1)}, ValueError,
        "validation: y has the label '2' in 6 of 12 rows, and the classes"),
    "validation texts": ({"validation": (X, TEXTS)}, ValueError, "validation: y has the labels"),
    "single row of a class": ({"y": [1] + [0] * 11, "validation": 0.2}, ValueError, "a single row"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_it_is_named_and_nothing_changes(case):
    arguments, error, message = CASES[case]
    given = {"X": X, "y": Y, "model": nn.MLP(3, [4], 2), **arguments}
    model = given.pop("model")
    data = given.pop("data", (given["X"], given["y"]))
    del given["X"], given["y"]
    if callable(given.get("optimizer")) and not isinstance(given["optimizer"], type):
        given["optimizer"] = given["optimizer"](model)
    is_model = isinstance(model, nn.Module)
    if is_model:
        model.eval()
        before = model.state_dict()
    generator = mg.manual_seed(0)
    random = generator.bit_generator.state
    with pytest.raises(error, match=message) as raised:
        mg.fit(model, data, **{"progress": False, **given})
    assert "\n" not in str(raised.value)
    if is_model:
        assert not model.training
        assert not hasattr(model, "fitted_data")
        for name, value in model.state_dict().items():
            np.testing.assert_array_equal(value, before[name])
        assert all(parameter.grad is None for parameter in model.parameters())
    assert generator.bit_generator.state == random


def test_a_cycle_that_is_too_short_is_refused():
    model = nn.MLP(3, [4], 2)
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    cycle = optim.lr_scheduler.OneCycleLR(optimizer, 0.5, total_steps=3)
    with pytest.raises(ValueError, match="made for 3 steps, and the training takes 10"):
        mg.fit(model, (X, Y), optimizer=optimizer, schedule=cycle, progress=False)
    plateau = optim.lr_scheduler.ReduceLROnPlateau(optimizer)
    with pytest.raises(ValueError, match="leave schedule_per out"):
        mg.fit(model, (X, Y), optimizer=optimizer, schedule=plateau, schedule_per="step")


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda m: mg.fit(m, X, Y), TypeError, r"write fit\(model, \(X, y\)\)"),
        (lambda m: mg.evaluate(m, X, Y), TypeError, r"write evaluate\(model, \(X, y\)\)"),
        (lambda m: mg.predict(m, X, Y), TypeError, r"write predict\(model, X\)"),
        (lambda m: mg.fit(m, (X, Y), verbose=0), TypeError, "verbose=; write progress=False"),
        (lambda m: mg.fit(m, (X, Y), learning_rate=1), TypeError, "it is called lr="),
        (lambda m: mg.fit(m, (X, Y), oddity=1), TypeError, "oddity"),
        (lambda m: mg.fit(m, (X, Y), early_stopping=True), ValueError, "validation=0.2"),
        (lambda m: mg.fit(m, (X, Y), loss="mse_loss"), ValueError,
            r"mse_loss compares .* \(12,\) .* \(12, 2\); give the model one output for each row, "
            "or y rows of 2 numbers; .*'cross_entropy'"),
        (lambda m: mg.fit(m, (X, Y), loss="binary_cross_entropy_with_logits"), ValueError,
            "^binary_cross_entropy_with_logits compares .* give the model one output"),
        (lambda m: mg.predict(m, X[0]), ValueError, r"shape \(3,\) is 3 rows .*X\[None\]"),
        (lambda m: mg.predict(nn.MLP(3, [], 3), X[0]), ValueError, r"write X\[None\]"),
    ],
)  # fmt: skip
def test_other_habits(call, error, message):
    with pytest.raises(error, match=message):
        call(nn.MLP(3, [4], 2))


def test_rows_of_one_class_are_warned_of():
    with pytest.warns(UserWarning, match="all 12 rows .* the label '1'"):
        mg.fit(nn.MLP(3, [4], 2), (X, np.ones(12, int)), epochs=1, progress=False)


def test_missing_numbers_of_a_data_frame_point_to_read_table():
    frame = pd.DataFrame({"a": [0.0, np.nan], "b": [1.0, 2.0], "kind": ["no", "yes"]})
    with pytest.raises(ValueError, match=r"mean of the column; microgradx\.read_table"):
        mg.fit(nn.MLP(2, [], 2), frame, label="kind")
