"""`predict`: labels and their probabilities, by a trained classifier."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from microgradx.commands.arguments import add_header_option, temperature
from microgradx.commands.output import csv_cell
from microgradx.common.messages import printable, quote, shorten

if TYPE_CHECKING:
    from microgradx.data.tables import Table
    from microgradx.training.classifier import Classifier

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
        "file", metavar="FILE", help="a table with the columns that the model was trained on"
    )
    parser.add_argument(
        "--label",
        metavar="NAME",
        help="the column or array of labels in FILE, if it has any: its name or position (default: "
        "as in training)",
    )
    add_header_option(parser)
    parser.add_argument(
        "--features", metavar="NAME", help="the array of features, if FILE is an .npz file"
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

    from microgradx.data.tables import read_new_rows
    from microgradx.training.persistence import load_classifier

    classifier = load_classifier(arguments.model)
    names = classifier.label_names
    table = read_new_rows(
        arguments.file,
        classifier.schema,
        names,
        label=arguments.label,
        header=arguments.header,
        features=arguments.features,
    )
    probabilities = classifier.predict_proba(table, arguments.temperature)
    predicted = np.argmax(probabilities, axis=1)
    rows = csv.writer(sys.stdout, lineterminator="\n")
    rows.writerow(("label", "probability"))
    for label, probability in zip(predicted.tolist(), np.max(probabilities, axis=1), strict=True):
        rows.writerow((csv_cell(names[label]), f"{probability:.4f}"))
    for note in (*table.notes, *_describe_unseen(classifier, table)):
        print(f"microgradx: {printable(note)}", file=sys.stderr)
    known = table.labels >= 0
    if np.any(known):
        right = np.mean(table.labels[known] == predicted[known])
        print(
            f"microgradx: {right:.2%} of the {np.sum(known)} rows that have a label in "
            f"{printable(arguments.file)} were predicted right",
            file=sys.stderr,
        )
    return 0


def _describe_unseen(classifier: Classifier, table: Table) -> Iterator[str]:
    for column, categories in classifier.encoder.unseen(table).items():
        yield (
            f"{quote(column)} has categories that the training rows did not have, "
            f"{shorten(categories)}; they count as none"
        )
