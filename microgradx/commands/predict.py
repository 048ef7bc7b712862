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
        "--probabilities",
        action="store_true",
        help="print the probabilities of all classes too, in a column for each class",
    )
    parser.add_argument(
        "--temperature",
        type=temperature,
        metavar="T",
        help="divides the logits (default: the temperature of the model, which was fitted to rows "
        "held out, or given to train)",
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
    of_classes = map(csv_cell, names) if arguments.probabilities else ()
    rows.writerow(("label", "probability", *of_classes))
    for label, p in zip(predicted.tolist(), probabilities.tolist(), strict=True):
        all_of_them = [f"{value:.6f}" for value in p] if arguments.probabilities else ()
        rows.writerow((csv_cell(names[label]), f"{p[label]:.4f}", *all_of_them))
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
