"""What `diagnose` refuses, and that it changes nothing; one cause of each family."""

import copy
import pickle

import numpy as np
import pytest

import microgradx as mg
from tests.training.doctor.cases import adam, generator, mlp, sgd, table, train


def test_nothing_that_is_diagnosed_changes():
    X, y = (rows[:64] for rows in table("moons"))
    model = mlp(2, (8,), 2, dropout=0.2)
    optimizer = adam(model, 0.05)
    train(model, optimizer, (X, y), 1)
    draw = mg.manual_seed(7)
    penalty_reaches_the_model = lambda out, labels: (  # noqa: E731
        mg.cross_entropy(out, labels) + 1e-3 * sum((p * p).sum() for p in model.parameters())
    )
    step_reaches_both = lambda x, labels: (  # noqa: E731
        optimizer.zero_grad(),
        mg.cross_entropy(model(x), labels).backward(),
        optimizer.step(),
    )
    kept_loss = mg.cross_entropy(model(X), y)  # whose backward must still work

    def everything():
        return copy.deepcopy(
            [
                [p.data for p in model.parameters()],
                [p.grad for p in model.parameters()],
                [list(vars(module)) for module in model.modules()],
                [module.training for module in model.modules()],
                optimizer.state,
                optimizer.lr,
                [name for name in vars(optimizer) if name in ("step", "zero_grad")],
                model[2].generator.bit_generator.state,
                draw.bit_generator.state,
                X,
                y,
            ]
        )

    before = everything()
    mg.diagnose(
        model, (X, y), optimizer=optimizer, loss=penalty_reaches_the_model, step=step_reaches_both
    )
    mg.lr_range_test(model, (X, y), optimizer=optimizer)
    assert pickle.dumps(everything()) == pickle.dumps(before)
    kept_loss.backward()


@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        ((np.zeros((0, 2)), np.zeros(0, int)), ValueError, "has no rows"),
        ((np.zeros((4, 2)), np.zeros(3, int)), ValueError, "X has 4 rows and y has 3"),
        ((np.ones((4, 3)), np.zeros(4, int)), ValueError, r"shape \(2, 3\) does not fit Linear"),
        ((np.ones((4, 2)), np.full(4, 7)), ValueError, "y has 1 class, '7', and the model has 2"),
        ((np.ones((4, 2)), np.zeros((4, 3))), ValueError, "does not fit outputs of shape"),
        (np.ones((4, 2)), TypeError, r"data must be a pair \(X, y\)"),
    ],
)
def test_bad_input_is_refused(data, error, message):
    with pytest.raises(error, match=message):
        mg.diagnose(mlp(2, (4,), 2), data)


def test_a_model_that_cannot_be_copied_is_refused(tmp_path):
    model = mlp(2, (4,), 2)
    message = "the doctor trains copies, and copy\\.deepcopy of model"
    with (tmp_path / "log").open("w") as model.log, pytest.raises(TypeError, match=message):
        mg.diagnose(model, table("moons"))


def test_bad_settings_are_refused():
    model, data = mlp(2, (4,), 2), table("moons")
    with pytest.raises(ValueError, match="batch_size must be 1 or more"):
        mg.diagnose(model, data, batch_size=0)
    with pytest.raises(TypeError, match=r"step must be a function of a batch, step\(X, y\)"):
        mg.diagnose(model, data, optimizer=sgd(model), step=lambda a, b, c: None)
    with pytest.raises(ValueError, match="rates must be positive and ascend"):
        mg.lr_range_test(model, data, lowest=1.0, highest=0.1)


@pytest.mark.slow
def test_the_range_test_suggests_a_rate_that_works(tmp_path):
    X, y = table("moons")
    model = mlp(2, (16,), 2)
    found = mg.lr_range_test(model, (X, y), optimizer=sgd(model))
    assert len(found.rates) == len(found.losses)
    assert np.all(np.diff(found.rates) > 0)
    assert f"{found.suggestion:.2g}" in repr(found)
    optimizer = sgd(model, found.suggestion)
    train(model, optimizer, (X, y), 10)
    assert float(mg.cross_entropy(model(X).data, y)) < 0.3
    found.plot(tmp_path / "rates.png")
    assert (tmp_path / "rates.png").stat().st_size > 1000


def test_the_largest_curvature_is_that_of_the_hessian():
    from microgradx.training.doctor.case import Case
    from microgradx.training.doctor.curvature import largest_curvature, largest_stable_rate

    X, y = table("iris")
    model = mlp(4, (3,), 3, "tanh", dtype=np.float64)
    case = Case(model, X, y, mg.cross_entropy, sgd(model, 0.1, momentum=0.5))
    parameters = list(model.parameters())
    sizes = np.cumsum([p.size for p in parameters])[:-1]

    def loss(flat):
        parts = np.split(flat, sizes)
        w1, b1, w2, b2 = (part.reshape(p.shape) for part, p in zip(parts, parameters, strict=True))
        return mg.cross_entropy(np.tanh(X @ w1.T + b1) @ w2.T + b2, y)

    matrix = mg.hessian(loss)(np.concatenate([p.data.ravel() for p in parameters]))
    expected = max(np.linalg.eigvalsh(matrix), key=abs)
    assert largest_curvature(case, iterations=200) == pytest.approx(expected, rel=1e-3)
    _, rate = largest_stable_rate(case, case.optimizer)
    assert rate == pytest.approx(2 * 1.5 / expected, rel=0.05)
    assert largest_stable_rate(case, adam(model)) is None


def test_gradient_descent_diverges_beyond_the_largest_stable_rate_and_not_below():
    from microgradx.training.doctor.case import Case
    from microgradx.training.doctor.curvature import largest_stable_rate

    X = generator().normal(size=(100, 3)) * [1, 2, 5]
    y = (X @ [1.0, -1.0, 2.0])[:, None]
    for factor, diverges in ((0.95, False), (1.1, True)):
        model = mlp(3, (), 1, dtype=np.float64)  # of a quadratic loss
        case = Case(model, X, y, mg.mse_loss, sgd(model))
        _, rate = largest_stable_rate(case, case.optimizer)
        optimizer = sgd(model, factor * rate)
        before = float(mg.mse_loss(model(X).data, y))
        train(model, optimizer, (X, y), 60, mg.mse_loss, batch_size=100)
        assert (float(mg.mse_loss(model(X).data, y)) > before) is diverges


def test_the_loss_of_constant_predictions_is_the_entropy():
    from microgradx.training.doctor.case import Case

    y = np.repeat([0, 1, 2], [60, 30, 10])
    X = generator().normal(size=(100, 2))
    p = np.array([0.6, 0.3, 0.1])
    entropy = -np.sum(p * np.log(p))
    model = mlp(2, (4,), 3)
    assert Case(model, X, y, mg.cross_entropy, None).constant_loss == pytest.approx(entropy)
    one_hot = Case(model, X, np.eye(3)[y], mg.cross_entropy, None)
    assert one_hot.constant_loss == pytest.approx(entropy, rel=1e-4)
    smoothed = Case(model, X, y, lambda out, t: mg.cross_entropy(out, t, label_smoothing=0.1), None)
    q = 0.9 * p + 0.1 / 3
    assert smoothed.constant_loss == pytest.approx(-np.sum(q * np.log(q)), rel=1e-4)
    lowest = -(0.9 + 0.1 / 3) * np.log(0.9 + 0.1 / 3) - 2 * 0.1 / 3 * np.log(0.1 / 3)
    assert smoothed.lowest_loss == pytest.approx(lowest, rel=1e-6)
    squared = Case(mlp(2, (4,), 1), X, X[:, :1], mg.mse_loss, None)
    assert squared.constant_loss == pytest.approx(X[:, 0].var(), rel=1e-4)
    binary = Case(
        mlp(2, (4,), 1),
        X,
        (y[:, None] == 0).astype(float),
        mg.binary_cross_entropy_with_logits,
        None,
    )
    assert binary.constant_loss == pytest.approx(-0.6 * np.log(0.6) - 0.4 * np.log(0.4), rel=1e-4)
