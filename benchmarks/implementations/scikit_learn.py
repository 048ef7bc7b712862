"""scikit-learn's MLPClassifier: it shows no gradients, so only its steps are compared."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier

from benchmarks.harness import Ready, Unavailable, implements
from benchmarks.problems import Arrays, Digits, Training, prepare_training, prepare_whole_training

NAME = "scikit-learn"

warnings.filterwarnings("ignore", category=ConvergenceWarning)  # it is to stop after 30 epochs


def classifier(training: Training, classes: np.ndarray) -> Any:
    """A classifier with the problem's parameters."""
    X, y = training.batches[0]
    model = MLPClassifier(
        training.sizes[1:-1],
        activation=training.activation,
        solver=training.optimizer.lower(),
        alpha=0,
        learning_rate_init=training.lr,
        momentum=0,
        nesterovs_momentum=False,
        shuffle=False,
    )
    model.partial_fit(X, y, classes=classes)  # creates the arrays and the optimiser
    given = training.parameters()
    for array, weight in zip(model.coefs_, given[::2], strict=True):
        array[...] = weight.T
    for array, bias in zip(model.intercepts_, given[1::2], strict=True):
        array[...] = bias
    optimizer = model._optimizer
    if training.optimizer == "Adam":
        optimizer.t = 0
        for moment in (*optimizer.ms, *optimizer.vs):
            moment[...] = 0
    return model


@implements("training step", NAME)
def training_step(training: Training) -> Ready:
    if training.sizes[-1] == 2:
        raise Unavailable("for two classes it has one output: another network")
    model = classifier(training, np.arange(training.sizes[-1]))
    batches = training.turns()

    def run() -> float:
        model.partial_fit(*next(batches))
        return float(model.loss_)

    def parameters() -> Arrays:
        pairs = zip(model.coefs_, model.intercepts_, strict=True)
        return [array for weight, bias in pairs for array in (weight.T, bias)]

    if training.optimizer == "Adam":
        # It adds ε to √v instead of √v̂, which matters where gradients are tiny, not in the losses.
        return Ready(run, lambda: {"loss of three steps": [run() for _ in range(3)]})
    return prepare_training(run, parameters)


@implements("digits", NAME)
def digits(problem: Digits) -> Ready:
    """`fit`, from its own random weights and in its own random order."""
    X, y = problem.train

    def run() -> np.ndarray:
        model = MLPClassifier(
            problem.training.sizes[1:-1],
            alpha=0,
            learning_rate_init=problem.training.lr,
            batch_size=problem.batch_size,
            max_iter=problem.epochs,
            n_iter_no_change=problem.epochs + 1,
            random_state=0,
        )
        model.fit(X, y)
        return model.predict_proba(problem.test[0])

    return prepare_whole_training(run, problem.test)
