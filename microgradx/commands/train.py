"""`train`: a classifier from a table, with a report of its accuracy and pictures of it."""

from __future__ import annotations

import argparse
import math
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from microgradx.commands.arguments import (
    add_header_option,
    fraction,
    layer_sizes,
    nonnegative_int,
    positive_float,
    positive_int,
    temperature,
)
from microgradx.common.messages import InputError, printable
from microgradx.data.tables.schema import Missing

if TYPE_CHECKING:
    from microgradx.training.experiment import Experiment
    from microgradx.training.history import History

__all__ = ["WrongGradientError", "add_parser", "run"]

# Like the other defaults, chosen by cross-validation on training rows of the digits.
LEARNING_RATES = {"sgd": 0.2, "momentum": 0.05, "adam": 0.003}
EPOCHS = 40
STEPS = 1500


class WrongGradientError(Exception):
    """The gradients of the model are not those of its loss."""


def add_parser(commands: Any) -> None:
    parser = commands.add_parser(
        "train",
        help="train a classifier; write the model and pictures to a directory",
        description="Train a multilayer perceptron on four fifths of the rows, measure it on the "
        "rest, and write the model and pictures to a directory.",
    )
    parser.set_defaults(run=run)
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
        help="what becomes of missing values: the mean of the column instead, the row left out, or "
        "the mean and a column that says where (default: mean)",
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
        default="256",
        metavar="SIZES",
        help='sizes of the hidden layers, such as 64,32; "" for none (default: %(default)s)',
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
        help=f"passes over the training rows (default: {EPOCHS}, or more for small tables: at "
        f"least {STEPS:,} steps)",
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
        help="the optimiser (default: %(default)s)",
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
        default=0.05,
        metavar="SHARE",
        help="the share of each target that is spread over all classes: better accuracy, but "
        "underconfident probabilities; 0 for calibrated ones (default: %(default)s)",
    )
    add(
        "--temperature",
        type=temperature,
        default=1.0,
        metavar="T",
        help="divides the logits when probabilities are shown: above 1 less confident, below 1 "
        "more (default: %(default)s)",
    )
    add(
        "--compile",
        action="store_true",
        help="run the training steps as generated NumPy source, which is faster, and save the "
        "source as step.py in DIR",
    )
    add(
        "--seed",
        type=nonnegative_int,
        default=0,
        metavar="N",
        help="the same seed gives the same bits (default: %(default)s)",
    )
    add(
        "--out",
        type=Path,
        default="trained",
        metavar="DIR",
        help="the directory to write to (default: %(default)s)",
    )


def run(arguments: argparse.Namespace) -> int:
    from microgradx.metrics import format_confusion_matrix
    from microgradx.training.experiment import Experiment
    from microgradx.training.interruption import defer_interrupt
    from microgradx.training.persistence import save_classifier

    experiment = Experiment(
        arguments.data,
        reading=_reading_options(arguments),
        hidden_sizes=arguments.hidden,
        activation=arguments.activation,
        temperature=arguments.temperature,
        label_smoothing=arguments.label_smoothing,
        batch_size=arguments.batch_size,
        seed=arguments.seed,
    )
    out: Path = arguments.out
    _make_directory(out)
    _print_introduction(arguments.data, experiment)
    _print_verification(experiment)

    steps = experiment.steps_per_epoch
    epochs = arguments.epochs or max(EPOCHS, math.ceil(STEPS / steps))
    model_file = out / "model.npz"
    with defer_interrupt() as is_interrupted:
        history = experiment.train(
            arguments.optimizer,
            lr=LEARNING_RATES[arguments.optimizer] if arguments.lr is None else arguments.lr,
            epochs=epochs,
            compiled=arguments.compile,
            progress=True,
        )
        if history.interrupted:
            print(
                f"Stopped by Ctrl-C in epoch {len(history)} of {epochs}; what was "
                "learnt until then is kept. Ctrl-C again quits at once."
            )
        save_classifier(experiment.classifier, model_file)
    if is_interrupted() and not history.interrupted:  # after the last step
        raise KeyboardInterrupt

    measured = experiment.evaluate()
    accuracy = measured["accuracy"]
    rows = len(experiment.y_held_out)
    smoothing = arguments.label_smoothing
    print(
        f"\nHeld-out accuracy: {accuracy:.2%} ({rows - round(accuracy * rows)} of {rows} rows "
        f"wrong), cross-entropy {measured['loss']:.4f}"
        + (f" (without the label smoothing of {smoothing:g})" if smoothing else "")
        + "\n"
    )
    predicted = experiment.classifier.logits(experiment.rows_held_out).argmax(axis=1)
    names = experiment.table.label_names
    print(format_confusion_matrix(experiment.y_held_out, predicted, names))

    files = [(model_file, "the model: weights, standardisation, label names")]
    if history.compiled_step is not None:
        history.compiled_step.save(out / "step.py")
        files.append((out / "step.py", "a training step as NumPy source; run it to train"))
    files += _save_pictures(out, experiment, history)
    print("\nWritten:")
    width = max(len(printable(str(path))) for path, _ in files)
    for path, content in files:
        print(f"  {printable(str(path)):{width}}  {content}")
    shown = printable(str(model_file))
    print(f'\nUse it on new rows: python -m microgradx predict "{shown}" FILE.csv')
    return 130 if history.interrupted else 0


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
        f"{len(experiment.y):,} rows to learn from, {len(experiment.y_held_out):,} held out\n"
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


def _save_pictures(out: Path, experiment: Experiment, history: History) -> list[tuple[Path, str]]:
    """Draw what can be drawn, and print a line for each picture that lacks a program."""
    from microgradx.show.graphs.drawing import draw
    from microgradx.show.graphs.rendering import RenderingError
    from microgradx.show.plots import PlottingError, plot_history, plot_predictions

    smoothing = experiment.label_smoothing
    title = f"Loss, with label smoothing {smoothing:g}" if smoothing else "Loss"
    held_out = experiment.rows_held_out, experiment.y_held_out
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
            lambda path: plot_history(history, path, title),
        ),
        (
            "predictions.png",
            "rows held out, and the network's predictions",
            lambda path: plot_predictions(experiment.classifier, *held_out, path),
        ),
    ):
        try:
            save(out / name)
            saved.append((out / name, content))
        except (PlottingError, RenderingError) as error:
            print(f"microgradx: {name} was not drawn: {error}", file=sys.stderr)
    return saved
