"""`train`: a classifier from a table, with a report of what it learnt and pictures of it."""

from __future__ import annotations

import argparse
import math
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from microgradx.commands.arguments import count, positive, share, sizes, whole
from microgradx.common.messages import InputError

if TYPE_CHECKING:
    from microgradx.arrays.types import Array
    from microgradx.training.classifier import Classifier
    from microgradx.training.tables import Table

__all__ = ["add_to", "run"]

# Like the other defaults, by cross-validation on training rows of the digits.
LEARNING_RATES = {"sgd": 0.2, "momentum": 0.05, "adam": 0.003}
EPOCHS = 40
STEPS = 1500


def add_to(commands: Any) -> None:
    parser = commands.add_parser(
        "train",
        help="train a classifier; write it, and pictures of it, to a directory",
        description="Train a multilayer perceptron on four fifths of the rows, measure it on the "
        "rest, and write the model and pictures to a directory.",
    )
    parser.set_defaults(run=run)
    add = parser.add_argument
    add(
        "--data",
        default="digits",
        help="digits, iris, wine, breast_cancer (from scikit-learn), moons, spirals, or a file: "
        "FILE.csv with numeric columns and a label column, FILE.npz with arrays X and y "
        "(default: %(default)s)",
    )
    add(
        "--label",
        metavar="NAME",
        help="the column (CSV) or array (NPZ) that has the labels (default: the last column, or "
        "the array y)",
    )
    add(
        "--hidden",
        type=sizes,
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
        type=count,
        metavar="N",
        help=f"passes over the training rows (default: {EPOCHS}, or as many as make {STEPS:,} "
        "steps, which small tables need)",
    )
    add(
        "--batch-size",
        type=count,
        default=32,
        metavar="N",
        help="rows in a step (default: %(default)s)",
    )
    add(
        "--optimizer",
        choices=tuple(LEARNING_RATES),
        default="adam",
        help="how the parameters follow their gradients (default: %(default)s)",
    )
    add(
        "--lr",
        type=positive,
        metavar="RATE",
        help="learning rate at the start, which falls to 0 along a cosine (default: "
        + ", ".join(f"{rate:g} for {name}" for name, rate in LEARNING_RATES.items())
        + ")",
    )
    add(
        "--label-smoothing",
        type=share,
        default=0.05,
        metavar="SHARE",
        help="the share of each target that is spread over all classes: more rows are told apart, "
        "but the probabilities are too modest; 0 for probabilities to be taken at their word "
        "(default: %(default)s)",
    )
    add(
        "--temperature",
        type=positive,
        default=1.0,
        metavar="T",
        help="divides the logits of the probabilities that are shown: above 1 less certain, "
        "below 1 more (default: %(default)s)",
    )
    add(
        "--compile",
        action="store_true",
        help="take the training steps as NumPy source that is written for them, which is faster, "
        "and keep it: step.py in DIR",
    )
    add(
        "--seed",
        type=whole,
        default=0,
        metavar="N",
        help="the same seed gives the same bits (default: %(default)s)",
    )
    add(
        "--out",
        type=Path,
        default="trained",
        metavar="DIR",
        help="where the files go (default: %(default)s)",
    )


def run(arguments: argparse.Namespace) -> int:
    import numpy as np

    from microgradx.data import stratified_split
    from microgradx.functional import cross_entropy
    from microgradx.training.classifier import Classifier, fit_scaler
    from microgradx.training.datasets import load_table
    from microgradx.training.loop import cosine_decay, evaluate, train
    from microgradx.training.persistence import save_classifier
    from microgradx.training.progress import progress_on

    # A stream for each use: more rows, say, must not change the weights that are drawn.
    streams = np.random.SeedSequence(arguments.seed).spawn(4)
    for_data, for_split, for_weights, for_batches = map(np.random.default_rng, streams)

    table = load_table(arguments.data, label=arguments.label, generator=for_data)
    out: Path = arguments.out
    _make_directory(out)
    training, held_out = stratified_split(table.labels, 0.2, for_split)
    classifier = Classifier.from_architecture(
        fit_scaler(table.features[training], table.schema),
        table.schema,
        table.label_names,
        hidden_sizes=arguments.hidden,
        activation=arguments.activation,
        temperature=arguments.temperature,
        generator=for_weights,
    )
    _introduce(arguments.data, table, classifier, len(training), len(held_out))
    x, y = classifier.standardise(table.features[training]), table.labels[training]
    x_held_out = classifier.standardise(table.features[held_out])
    y_held_out = table.labels[held_out]
    _verify(classifier, x, y, arguments)

    batches = math.ceil(len(y) / arguments.batch_size)
    epochs = arguments.epochs or max(EPOCHS, math.ceil(STEPS / batches))
    loss_of_training = partial(cross_entropy, label_smoothing=arguments.label_smoothing)
    optimizer = _optimizer(classifier, arguments)
    compiled = None
    if arguments.compile:
        from microgradx.compiler.compiled import CompiledStep

        compiled = CompiledStep(classifier.model, loss_of_training, optimizer)
    with (
        progress_on(sys.stdout, epochs, batches) as progress,
        _interruptible() as interrupted,
    ):
        history = train(
            classifier.model,
            x,
            y,
            optimizer=optimizer,
            epochs=epochs,
            batch_size=arguments.batch_size,
            loss=loss_of_training,
            compiled=compiled,
            decay=cosine_decay,
            validation=(x_held_out, y_held_out),
            generator=for_batches,
            on_batch=progress.batch,
            on_epoch=progress.epoch,
            should_stop=interrupted,
        )
    if history.interrupted:
        print(
            f"Stopped by Ctrl-C in epoch {len(history.epochs)} of {epochs}; what was "
            "learnt until then is kept. Ctrl-C again quits at once."
        )
    model_file = out / "model.npz"
    save_classifier(classifier, model_file)

    loss, accuracy = evaluate(classifier.model, x_held_out, y_held_out)
    wrong = len(y_held_out) - round(accuracy * len(y_held_out))
    print(
        f"\nHeld-out accuracy: {accuracy:.2%} ({wrong} of {len(y_held_out)} rows wrong), "
        f"cross-entropy {loss:.4f}{_without(arguments.label_smoothing)}\n"
    )
    predicted = np.argmax(classifier.logits(table.features[held_out]), axis=1)
    print(_confusion(y_held_out, predicted, table.label_names))

    written = [(model_file, "the model: weights, standardisation, label names")]
    if compiled is not None:
        compiled.save(out / "step.py")
        written.append((out / "step.py", "a training step as NumPy source, which trains when run"))
    written += _draw(classifier, table, held_out, history.epochs, (x, y), arguments)
    print("\nWritten:")
    width = max(len(str(path)) for path, _ in written)
    for path, what in written:
        print(f"  {path!s:{width}}  {what}")
    print(f'\nUse it on new rows: python -m microgradx predict "{model_file}" FILE.csv')
    return 130 if history.interrupted else 0


def _without(label_smoothing: float) -> str:
    """That a loss is not the one of the training, where it is not."""
    return f" (without the label smoothing of {label_smoothing:g})" if label_smoothing else ""


def _make_directory(out: Path) -> None:
    """Now, as nobody wants to learn after the training that there is nowhere to write."""
    if out.exists() and not out.is_dir():
        raise InputError(f"--out {out} is a file; give a directory")
    out.mkdir(parents=True, exist_ok=True)
    if not os.access(out, os.W_OK | os.X_OK):
        raise InputError(f"--out {out}: no permission to write there; give another directory")


def _introduce(
    data: str, table: Table, classifier: Classifier, training: int, held_out: int
) -> None:
    rows, columns = table.features.shape
    classes = len(table.label_names)
    sizes = (columns, *classifier.hidden_sizes, classes)
    parameters = sum(parameter.size for parameter in classifier.model.parameters())
    print(
        f"Data       {data}: {rows:,} rows of {columns:,} features, {classes} classes; "
        f"{training:,} rows to learn from, {held_out:,} held out"
    )
    print(
        f"Network    {' → '.join(map(str, sizes))}, "
        f"{classifier.activation if classifier.hidden_sizes else 'no hidden layer'}; "
        f"{parameters:,} parameters"
    )


def _verify(classifier: Classifier, x: Array, y: Array, arguments: argparse.Namespace) -> None:
    """Show, on a few rows, that the gradients are right, in the precision in which that shows."""
    import numpy as np

    from microgradx.nn import MLP
    from microgradx.training.verification import verify_gradients

    twin = MLP(
        classifier.schema.columns,
        classifier.hidden_sizes,
        len(classifier.label_names),
        classifier.activation,
        dtype=np.float64,
        generator=np.random.default_rng(0),
    )
    twin.load_state_dict(classifier.model.state_dict())
    found = verify_gradients(
        twin,
        x[:16].astype(np.float64),
        y[:16],
        label_smoothing=arguments.label_smoothing,
        seed=arguments.seed,
    )
    print(
        f"Gradients  of the fused loss, on {found.rows} rows: those at the logits are (p - y)/"
        f"{found.rows}, to within {found.logits_error:.1e};\n"
        f"           those at {found.checked} of the {found.parameters:,} parameters agree with "
        f"finite differences\n"
    )


def _optimizer(classifier: Classifier, arguments: argparse.Namespace) -> Any:
    from microgradx import optim

    lr = LEARNING_RATES[arguments.optimizer] if arguments.lr is None else arguments.lr
    parameters = classifier.model.parameters()
    if arguments.optimizer == "adam":
        return optim.Adam(parameters, lr)
    return optim.SGD(parameters, lr, momentum=0.9 if arguments.optimizer == "momentum" else 0.0)


@contextmanager
def _interruptible() -> Iterator[Callable[[], bool]]:
    """Gives a function that says whether Ctrl-C was pressed. Pressed again, it interrupts.

    An exception might strike in the middle of an optimiser's step; asked for between steps, the
    parameters are always those of a whole one.
    """
    if (
        threading.current_thread() is not threading.main_thread()
        or signal.getsignal(signal.SIGINT) is not signal.default_int_handler
    ):
        yield lambda: False
        return
    pressed = threading.Event()

    def note(number: int, frame: Any) -> None:
        pressed.set()
        signal.signal(signal.SIGINT, signal.default_int_handler)

    signal.signal(signal.SIGINT, note)
    try:
        yield pressed.is_set
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _confusion(labels: Array, predicted: Array, names: Sequence[str]) -> str:
    """The confusion matrix as text: a row for each true label, a column for each predicted one.

    Of very many classes it lists the most frequent mistakes instead.
    """
    from microgradx.training.metrics import confusion_matrix

    counts = confusion_matrix(labels, predicted, len(names))
    # The middle is left out: long names often differ at their ends.
    names = [name if len(name) <= 16 else f"{name[:7]}…{name[-8:]}" for name in names]
    first = max(map(len, names))
    if len(names) > 26:
        mistakes = sorted(
            (-int(counts[i, j]), i, j) for i, j in zip(*counts.nonzero(), strict=True) if i != j
        )
        return "\n".join(
            ["The most frequent mistakes (true label, what was predicted, rows):"]
            + [f"  {names[i]:{first}}  {names[j]:{first}}  {-n}" for n, i, j in mistakes[:20]]
        )
    width = max(first, len(str(counts.max())))
    headings = names
    if width * len(names) > 80:  # too wide: columns go by number
        width = max(len(str(len(names))), len(str(counts.max())))
        headings = [str(i + 1) for i in range(len(names))]
        names = [f"{i + 1:2} {name}" for i, name in enumerate(names)]
        first += 3
    lines = ["True label (down) and what was predicted (across):"]
    lines.append(" " * (first + 2) + "".join(f"  {name:>{width}}" for name in headings))
    for name, row in zip(names, counts.tolist(), strict=True):
        cells = "".join(f"  {n or '·':>{width}}" for n in row)
        lines.append(f"  {name:{first}}{cells}")
    return "\n".join(lines)


def _draw(
    classifier: Classifier,
    table: Table,
    held_out: Array,
    epochs: Sequence[Any],
    training: tuple[Array, Array],
    arguments: argparse.Namespace,
) -> list[tuple[Path, str]]:
    """Draw what can be drawn; what lacks a program is passed over, with a line that says which."""
    from microgradx.engine import Tensor
    from microgradx.functional import cross_entropy
    from microgradx.show.graphs.drawing import draw
    from microgradx.show.graphs.rendering import RenderingError
    from microgradx.show.plots import PlottingError, plot_curves, plot_predictions

    def graph(path: Path) -> None:
        x, y = (values[:4] for values in training)
        classifier.model.train()
        logits = classifier.model(Tensor(x, name="features"))
        labels = Tensor(y, name="labels")
        loss = cross_entropy(logits, labels, label_smoothing=arguments.label_smoothing)
        loss.name = "loss"
        draw(loss).save(path)

    def curves(path: Path) -> None:
        smoothing = arguments.label_smoothing
        plot_curves(
            epochs, path, f"Loss, with label smoothing {smoothing:g}" if smoothing else "Loss"
        )

    def predictions(path: Path) -> None:
        plot_predictions(classifier, table.features[held_out], table.labels[held_out], path)

    drawn = []
    for drawing, name, what in (
        (graph, "graph.svg", "the graph of one training step, on 4 rows, with gradients"),
        (curves, "curves.png", "loss and accuracy in each epoch"),
        (predictions, "predictions.png", "held-out rows, and what the network says of them"),
    ):
        try:
            drawing(arguments.out / name)
            drawn.append((arguments.out / name, what))
        except (PlottingError, RenderingError) as error:
            print(f"microgradx: {name} was not drawn: {error}", file=sys.stderr)
    return drawn
