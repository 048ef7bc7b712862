"""`doctor`: why a network does not learn, or not what it should."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from microgradx.commands.train import add_training_options, make_experiment, train_experiment
from microgradx.common.messages import InputError, printable, quote

if TYPE_CHECKING:
    from microgradx.training.doctor import Diagnosis

__all__ = ["add_parser", "run"]


def add_parser(commands: Any) -> None:
    parser = commands.add_parser(
        "doctor",
        help="say why a network does not learn",
        description="Train as the command train would, with the same options, and print what "
        "keeps the network from learning: causes in order of importance, with numbers and what to "
        "change. With MODEL, a trained classifier is examined on the rows of --data instead.",
    )
    parser.set_defaults(run=run)
    parser.add_argument(
        "model",
        nargs="?",
        metavar="MODEL",
        help="model.npz, as written by train (optional); before --drop, which takes all words "
        "after it",
    )
    add_training_options(parser)


def run(arguments: argparse.Namespace) -> int:
    _require_model_first(arguments)
    diagnosis = _examine_model(arguments) if arguments.model else _examine_training(arguments)
    print("\n".join(printable(line) for line in str(diagnosis).splitlines()))
    return 0


def _require_model_first(arguments: argparse.Namespace) -> None:
    """Raise InputError if --drop was given the model too."""
    models = [name for name in arguments.drop or () if name.lower().endswith(".npz")]
    if arguments.model is None and models:
        raise InputError(
            f"--drop takes all words after it, {quote(models[0])} too; write the model first: "
            f"doctor {printable(models[0])} --data … --drop …"
        )


def _examine_training(arguments: argparse.Namespace) -> Diagnosis:
    from microgradx.training.doctor import diagnose_history
    from microgradx.training.loop import DivergenceError

    experiment = make_experiment(arguments)
    try:
        history = train_experiment(experiment, arguments)
    except DivergenceError as error:
        history = error.history
    history.validation_data = experiment.x_held_out, experiment.y_held_out
    print()
    return diagnose_history(history, experiment.classifier.encoder.names)


def _examine_model(arguments: argparse.Namespace) -> Diagnosis:
    from microgradx.data.tables import read_new_rows
    from microgradx.training.doctor import diagnose
    from microgradx.training.persistence import load_classifier

    classifier = load_classifier(arguments.model)
    table = read_new_rows(
        arguments.data,
        classifier.schema,
        classifier.label_names,
        label=arguments.label,
        header=arguments.header,
        features=arguments.features,
    )
    known = table.labels >= 0
    if not known.any():
        raise InputError(f"{arguments.data} has no labels; the doctor needs rows that have some")
    X = classifier.encoder.transform(table)[known]
    return diagnose(classifier.model, (X, table.labels[known]), batch_size=arguments.batch_size)
