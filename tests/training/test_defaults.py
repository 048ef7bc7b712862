"""The defaults: by the size of the table, and what they are worth."""

import numpy as np
import pytest

from microgradx import metrics, nn
from microgradx.training.defaults import choose_settings, make_optimizer
from microgradx.training.experiment import Experiment


def test_small_tables_have_smaller_networks_more_decay_and_more_epochs():
    small, large = choose_settings(100), choose_settings(5000)
    assert small.hidden_sizes < large.hidden_sizes
    assert small.weight_decay > large.weight_decay
    assert (small.epochs * 4, large.epochs) == (1500, 40)  # 4 steps an epoch
    assert choose_settings(100, batch_size=100).epochs == 1500


@pytest.mark.parametrize("name", ["sgd", "momentum"])
def test_weights_shrink_as_fast_with_every_optimizer(name):
    """Without a gradient, to within what momentum needs to get going."""
    left = []
    for kind in ("adam", name):
        model = nn.Linear(1, 1, dtype=np.float64)
        model.weight.data = np.array([[1.0]])
        optimizer = make_optimizer(model, kind, settings=choose_settings(1000))
        for _ in range(300):
            for parameter in model.parameters():
                parameter.grad = np.zeros_like(parameter.data)
            optimizer.step()
        left.append(model.weight.data.item())
    assert 0.5 < left[0] < 0.9
    assert left[1] == pytest.approx(left[0], abs=0.02)


def test_what_is_given_counts():
    optimizer = make_optimizer(nn.Linear(1, 1), "momentum", 0.5, 0.25, settings=choose_settings(10))
    assert (optimizer.lr, optimizer.momentum, optimizer.weight_decay) == (0.5, 0.9, 0.25)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")  # scikit-learn stops after 200 epochs
def test_small_tables_are_learnt_as_well_as_by_scikit_learn_and_more_rightly():
    pytest.importorskip("sklearn")
    from sklearn.neural_network import MLPClassifier

    ours, theirs = [], []
    for name in ("iris", "wine", "breast_cancer"):
        for seed in range(2):
            experiment = Experiment(name, seed=seed)
            experiment.train()
            experiment.calibrate()
            experiment.refit()
            found = experiment.evaluate()
            ours.append((found["accuracy"], found["log_loss"]))
            network = MLPClassifier(random_state=seed, max_iter=200)
            network.fit(experiment.x_training, experiment.y_training)
            p = network.predict_proba(experiment.x_held_out)
            labels = experiment.y_held_out
            theirs.append((metrics.accuracy(labels, p.argmax(axis=1)), metrics.log_loss(labels, p)))
    accuracy, log_loss = np.mean(ours, axis=0) - np.mean(theirs, axis=0)
    assert accuracy > -0.01
    assert log_loss < 0.01


def test_one_row_of_a_class_is_learnt_and_rows_for_calibration_are_others(monkeypatch):
    from microgradx.data.tables import read_table

    generator = np.random.default_rng(0)
    labels = np.array(["a", "b"])[np.arange(200) % 2].astype(object)
    labels[:2] = "rare"
    table = read_table({"x": generator.normal(size=200), "label": labels}, label="label")
    experiment = Experiment(table, hidden_sizes=(4,))
    rare = table.label_names.index("rare")
    assert np.sum(experiment.y == rare) == 1
    assert np.sum(experiment.y_held_out == rare) == 1
    assert len(experiment.y_calibration) == 32
    rows = np.concatenate([experiment.x, experiment.x_calibration])
    np.testing.assert_array_equal(np.sort(rows, axis=0), np.sort(experiment.x_training, axis=0))


def test_the_network_that_learnt_all_rows_starts_from_the_same_weights():
    first, second = (Experiment("moons", hidden_sizes=(4,), seed=1) for _ in range(2))
    first.train(epochs=2, early_stopping=False)
    first.calibrate()
    before = first.classifier.model.state_dict()
    first.refit()
    after = first.classifier.model.state_dict()
    assert all(not np.array_equal(before[name], after[name]) for name in before)
    second.train(epochs=2, early_stopping=False)
    second.calibrate()
    second.refit()
    for name, weight in second.classifier.model.state_dict().items():
        np.testing.assert_array_equal(weight, after[name])
