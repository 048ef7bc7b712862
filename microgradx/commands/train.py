"""`train`: a classifier from a table, with a report of its accuracy and pictures of it."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from microgradx.commands.arguments import (
    add_header_option,
    fraction,
    layer_sizes,
    nonnegative_float,
    nonnegative_int,
    positive_float,
    positive_int,
    proper_fraction,
    temperature,
)
from microgradx.common.messages import InputError, printable, quote
from microgradx.data.tables.schema import Missing
from microgradx.training.defaults import EPOCHS, FEW_ROWS, LEARNING_RATES, STEPS

if TYPE_CHECKING:
    from microgradx.training.experiment import Experiment
    from microgradx.training.history import History

__all__ = [
    "WrongGradientError",
    "add_parser",
    "add_training_options",
    "make_experiment",
    "run",
    "train_experiment",
]


class WrongGradientError(Exception):
    """The gradients of the model are not those of its loss."""


def add_parser(commands: Any) -> None:
    parser = commands.add_parser(
        "train",
        help="train a classifier; write the model and pictures to a directory",
        description="Train a multilayer perceptron on four fifths of the rows, measure it on the "
        "rest, and write the model and pictures to a directory. A fifth of the training rows first "
        "tells when to stop, and which temperature makes the probabilities right; then all of them "
        "are learnt. Defaults are chosen by the number of rows.",
    )
    parser.set_defaults(run=run)
    add_training_options(parser)
    add = parser.add_argument
    add(
        "--temperature",
        type=temperature,
        metavar="T",
        help="divides the logits, for probabilities: above 1 less confident, below 1 more "
        "(default: fitted to the calibration rows)",
    )
    add(
        "--compile",
        action="store_true",
        help="save a training step as step.py in DIR: the NumPy source that was run",
    )
    add(
        "--out",
        type=Path,
        default="trained",
        metavar="DIR",
        help="the directory to write to (default: %(default)s)",
    )


def add_training_options(parser: Any) -> None:
    """What is trained, on what, and how."""
    add = parser.add_argument
    add(
        "--data",
        default="digits",
        metavar="DATA",
        help="digits, iris, wine, breast_cancer (from scikit-learn), moons, spirals, or a file: a "
        "table in a text with any separator, or an .npz file with arrays (default: %(default)s)",
    )
    add(
        "--label",
        metavar="NAME",
        help="the column or array of labels: its name, or the column's position, from 1 on "
        "(default: the column that is called so, or else the last)",
    )
    add(
        "--drop",
        nargs="+",
        action="extend",
        metavar="NAME",
        help="columns to leave out, such as one that identifies the rows: names or positions",
    )
    add(
        "--missing",
        choices=get_args(Missing),
        help="what becomes of missing values: the mean of the column instead, or no category; the "
        "row left out; or as by mean, and a column that says where (default: mean)",
    )
    add_header_option(parser)
    add(
        "--image",
        metavar="HxW",
        help="the columns are the pixels of images of this shape, such as 28x28 or 32x32x3",
    )
    add("--features", metavar="NAME", help="the array of features in an .npz file")
    add(
        "--hidden",
        type=layer_sizes,
        metavar="SIZES",
        help='sizes of the hidden layers, such as 64,32; "" for none (default: 256, or 64 for '
        f"fewer than {FEW_ROWS} rows to learn from)",
    )
    add(
        "--activation",
        choices=("relu", "tanh", "sigmoid"),
        default="relu",
        help="after each hidden layer (default: %(default)s)",
    )
    add(
        "--epochs",
        type=positive_int,
        metavar="N",
        help=f"passes over the training rows, at most (default: {EPOCHS}, or more for small "
        f"tables: {STEPS:,} steps)",
    )
    add(
        "--early-stopping",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="stop when the loss of the calibration rows no longer falls, and take the best epoch "
        "(default: on)",
    )
    add(
        "--patience",
        type=positive_int,
        metavar="N",
        help="for how many epochs that loss may not fall (default: a quarter of all epochs)",
    )
    add(
        "--batch-size",
        type=positive_int,
        default=32,
        metavar="N",
        help="rows per step (default: %(default)s)",
    )
    add(
        "--optimizer",
        choices=tuple(LEARNING_RATES),
        default="adam",
        help="the optimiser; adam is AdamW (default: %(default)s)",
    )
    add(
        "--lr",
        type=positive_float,
        metavar="RATE",
        help="initial learning rate, which falls to 0 along a cosine (default: "
        + ", ".join(f"{rate:g} for {name}" for name, rate in LEARNING_RATES.items())
        + ")",
    )
    add(
        "--label-smoothing",
        type=fraction,
        default=0.0,
        metavar="SHARE",
        help="the share of each target that is spread over all classes (default: %(default)s)",
    )
    add(
        "--weight-decay",
        type=nonnegative_float,
        metavar="RATE",
        help="how fast weights shrink: in each step by this share of the learning rate (default: "
        "0.3, or 1 for small tables; for sgd and momentum, 0.015 and 0.006 of that)",
    )
    add(
        "--dropout",
        type=proper_fraction,
        default=0.0,
        metavar="SHARE",
        help="the share of hidden units that are left out of each step, at random (default: "
        "%(default)s)",
    )
    add(
        "--class-weight",
        choices=("balanced",),
        help="balanced: rare classes count as much as frequent ones in the loss; more of their "
        "rows are found, but their probabilities are larger than their frequencies",
    )
    add(
        "--seed",
        type=nonnegative_int,
        default=0,
        metavar="N",
        help="the same seed gives the same bits (default: %(default)s)",
    )


def run(arguments: argparse.Namespace) -> int:
    from microgradx.training.interruption import defer_interrupt
    from microgradx.training.persistence import save_classifier

    experiment = make_experiment(arguments, arguments.temperature)
    out: Path = arguments.out
    _make_directory(out)
    _print_introduction(arguments.data, experiment)
    _print_verification(experiment)

    model_file = out / "model.npz"
    with defer_interrupt() as is_interrupted:
        history = train_experiment(experiment, arguments, compiled=arguments.compile or None)
        if history.interrupted:
            print(
                f"Stopped by Ctrl-C in epoch {len(history)} of {experiment.epochs}; what was "
                "learnt until then is kept. Ctrl-C again quits at once."
            )
        experiment.calibrate()
        stopped = history.interrupted or _refit(experiment)
        save_classifier(experiment.classifier, model_file)
    if is_interrupted() and not stopped:  # after the last step
        raise KeyboardInterrupt

    _print_report(experiment)
    files = [(model_file, "the model: weights, standardisation, label names")]
    if arguments.compile and history.compiled_step is not None:
        history.compiled_step.save(out / "step.py")
        files.append((out / "step.py", "a training step as NumPy source; run it to train"))
    files += _save_pictures(out, experiment, history)
    print("\nWritten:")
    width = max(len(printable(str(path))) for path, _ in files)
    for path, content in files:
        print(f"  {printable(str(path)):{width}}  {content}")
    shown = printable(str(model_file))
    print(f'\nUse it on new rows: python -m microgradx predict "{shown}" FILE.csv')
    return 130 if stopped else 0


def make_experiment(arguments: argparse.Namespace, temperature: float | None = None) -> Experiment:
    """The experiment that the training options describe."""
    from microgradx.training.experiment import Experiment

    return Experiment(
        arguments.data,
        reading=_reading_options(arguments),
        hidden_sizes=arguments.hidden,
        activation=arguments.activation,
        temperature=temperature,
        label_smoothing=arguments.label_smoothing,
        weight_decay=arguments.weight_decay,
        dropout=arguments.dropout,
        class_weight=arguments.class_weight,
        batch_size=arguments.batch_size,
        seed=arguments.seed,
    )


def train_experiment(
    experiment: Experiment, arguments: argparse.Namespace, *, compiled: bool | None = None
) -> History:
    """Train as the training options say, and show the progress."""
    return experiment.train(
        arguments.optimizer,
        lr=arguments.lr,
        epochs=arguments.epochs,
        early_stopping=arguments.early_stopping,
        patience=arguments.patience,
        compiled=compiled,
        progress=True,
    )


def _reading_options(arguments: argparse.Namespace) -> dict[str, Any]:
    """The options of `read_table` that were given."""
    names = ("label", "drop", "missing", "header", "image", "features")
    options = {name: getattr(arguments, name) for name in names}
    return {name: value for name, value in options.items() if value is not None}


def _make_directory(out: Path) -> None:
    """Before the training, so that it is not lost for lack of a place to write to."""
    if out.exists() and not out.is_dir():
        raise InputError(f"--out {out} is a file; give a directory")
    out.mkdir(parents=True, exist_ok=True)
    if not os.access(out, os.W_OK | os.X_OK):
        raise InputError(f"--out {out}: no permission to write there; give another directory")


def _print_introduction(data: str, experiment: Experiment) -> None:
    classifier = experiment.classifier
    rows, columns = experiment.table.features.shape
    classes = len(classifier.label_names)
    layers = " → ".join(map(str, (classifier.encoder.width, *classifier.hidden_sizes, classes)))
    parameters = sum(parameter.size for parameter in classifier.model.parameters())
    print(
        f"Data       {printable(data)}: {rows:,} rows of {columns:,} features, {classes} classes; "
        f"{len(experiment.y_training):,} rows to learn from, "
        f"{len(experiment.y_held_out):,} held out\n"
        + "".join(f"{line}\n" for line in str(experiment.table).splitlines())
        + f"Network    {layers}, "
        f"{classifier.activation if classifier.hidden_sizes else 'no hidden layer'}; "
        f"{parameters:,} parameters"
    )


def _print_verification(experiment: Experiment) -> None:
    try:
        found = experiment.verify_gradients()
    except (ArithmeticError, AssertionError) as error:
        raise WrongGradientError(str(error)) from error
    print(
        f"Gradients  of the fused loss, on {found.rows} rows: those at the logits are (p - y)/"
        f"{found.rows}, to within {found.logits_error:.1e};\n"
        f"           those at {found.checked} of the {found.parameters:,} parameters agree with "
        f"finite differences\n"
    )


def _refit(experiment: Experiment) -> bool:
    """Train on all training rows; returns whether Ctrl-C stopped it."""
    rows, held_out = len(experiment.y_training), len(experiment.y_calibration)
    if not held_out:
        return False
    print(
        f"\nNow on all {rows:,} training rows, of which {held_out:,} were kept for calibration, "
        f"for {experiment.refit_epochs:,} of {experiment.epochs:,} epochs:"
    )
    history = experiment.refit()
    if history.interrupted:
        print("Stopped by Ctrl-C; the model is the one before. Ctrl-C again quits at once.")
    return history.interrupted


def _print_report(experiment: Experiment) -> None:
    """Accuracy, what it is worth, and how far the probabilities are right, on the rows held out."""
    from microgradx.metrics import confusion_matrix, format_confusion_matrix

    labels, names = experiment.y_held_out, experiment.table.label_names
    p = experiment.held_out_probabilities()
    counts = confusion_matrix(labels, p.argmax(axis=1), len(names))
    rows, right = len(labels), int(np.trace(counts))
    of_class = counts.sum(axis=1)
    majority = int(of_class.argmax())
    recalls = np.diagonal(counts)[of_class > 0] / of_class[of_class > 0]
    print(
        f"\nHeld-out accuracy: {right / rows:.2%} ({rows - right} of {rows} rows wrong)\n"
        f"Majority share:    {of_class[majority] / rows:.2%}, the accuracy of always answering "
        f"{quote(names[majority])}\n"
        f"Balanced accuracy: {np.mean(recalls):.2%}, the mean of the recall of each class\n\n"
        f"{format_confusion_matrix(labels, p.argmax(axis=1), names)}\n"
    )
    before, after = experiment.evaluate(temperature=1.0), experiment.evaluate()
    temperature = experiment.classifier.temperature
    print(f"Temperature {temperature:.4g}: {experiment.temperature_note}")
    for name, title in (
        ("log_loss", "log-loss"),
        ("expected_calibration_error", "expected calibration error"),
    ):
        change = f", and {before[name]:.4f} at temperature 1" if temperature != 1 else ""
        print(f"Held-out {title}: {after[name]:.4f}{change}")


def _save_pictures(out: Path, experiment: Experiment, history: History) -> list[tuple[Path, str]]:
    """Draw what can be drawn, and print a line for each picture that lacks a program."""
    from microgradx.show.graphs.drawing import draw
    from microgradx.show.graphs.rendering import RenderingError
    from microgradx.show.plots import PlottingError, plot_history, plot_predictions
    from microgradx.show.reliability import plot_reliability

    smoothing = experiment.label_smoothing
    title = f"Loss, with label smoothing {smoothing:g}" if smoothing else "Loss"
    held_out = experiment.rows_held_out, experiment.y_held_out
    temperature = experiment.classifier.temperature
    probabilities = {
        f"temperature {T:.3g}": experiment.held_out_probabilities(T)
        for T in dict.fromkeys((1.0, temperature))
    }
    saved = []
    for name, content, save in (
        (
            "graph.svg",
            "the graph of one training step, on 4 rows, with gradients",
            lambda path: draw(experiment.loss_of_few_rows()).save(path),
        ),
        (
            "curves.png",
            "loss and accuracy in each epoch",
            lambda path: plot_history(history, path, title, "calibration rows"),
        ),
        (
            "predictions.png",
            "rows held out, and the network's predictions",
            lambda path: plot_predictions(experiment.classifier, *held_out, path),
        ),
        (
            "reliability.png",
            "how often predictions of rows held out are right, against their probabilities",
            lambda path: plot_reliability(experiment.y_held_out, probabilities, path),
        ),
    ):
        try:
            save(out / name)
            saved.append((out / name, content))
        except (PlottingError, RenderingError) as error:
            print(f"microgradx: {name} was not drawn: {error}", file=sys.stderr)
    return saved
