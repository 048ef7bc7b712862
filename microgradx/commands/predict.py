"""`predict`: labels and their probabilities, by a trained classifier."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from microgradx.commands.arguments import temperature
from microgradx.commands.output import csv_cell
from microgradx.common.messages import printable, shorten

__all__ = ["add_parser", "run"]


def add_parser(commands: Any) -> None:
    parser = commands.add_parser(
        "predict",
        help="predict labels of new rows with a trained classifier",
        description="Print, as CSV, a predicted label and its probability for each row of FILE. "
        "If FILE has labels too, the accuracy is printed on stderr.",
    )
    parser.set_defaults(run=run)
    parser.add_argument("model", metavar="MODEL", help="model.npz, as written by train")
    parser.add_argument(
        "file", metavar="FILE", help="a .csv or .npz file with the columns the model was trained on"
    )
    parser.add_argument(
        "--temperature",
        type=temperature,
        metavar="T",
        help="divides the logits (default: the temperature given to train)",
    )


def run(arguments: argparse.Namespace) -> int:
    import csv

    import numpy as np

    from microgradx.training.persistence import load_classifier
    from microgradx.training.tables import read_new_rows

    classifier = load_classifier(arguments.model)
    features, labels = read_new_rows(arguments.file, classifier.schema)
    probabilities = classifier.predict_proba(features, arguments.temperature)
    predicted = [classifier.label_names[i] for i in np.argmax(probabilities, axis=1)]
    rows = csv.writer(sys.stdout, lineterminator="\n")
    rows.writerow(("label", "probability"))
    for label, probability in zip(predicted, np.max(probabilities, axis=1), strict=True):
        rows.writerow((csv_cell(label), f"{probability:.4f}"))
    if labels is not None:
        file = printable(arguments.file)
        known = [(a, b) for a, b in zip(labels, predicted, strict=True) if a]
        right = sum(a == b for a, b in known)
        if known and not {label for label, _ in known} & set(classifier.label_names):
            print(
                f"microgradx: none of the labels in {file} is known to the model, whose "
                f"classes are {shorten(classifier.label_names)}",
                file=sys.stderr,
            )
        elif known:
            print(
                f"microgradx: {right / len(known):.2%} of the {len(known)} rows that have a label "
                f"in {file} were predicted right",
                file=sys.stderr,
            )
    return 0
