"""`fit`: the training loop. Shuffle, and for each batch predict, measure, differentiate, step."""

from __future__ import annotations

import math
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np

from microgradx.arrays.types import Array
from microgradx.common.randomness import as_generator
from microgradx.compiler.compiled import CompiledStep
from microgradx.compiler.tracing import CaptureError
from microgradx.data.batching import Batches, batches
from microgradx.metrics import Metric
from microgradx.nn.module import Module
from microgradx.optim.optimizer import Optimizer
from microgradx.training.arguments import (
    Clipping,
    check_count,
    check_flag,
    check_model,
    check_number,
    explain_arguments,
    find_optimizer,
)
from microgradx.training.callbacks import Callbacks, Training
from microgradx.training.checkpoints import find_checkpoint
from microgradx.training.compiling import reason_not_to_compile
from microgradx.training.history import History
from microgradx.training.interruption import defer_interrupt
from microgradx.training.losses import find_loss
from microgradx.training.measures import find_metrics, measure_loss, measure_metrics, weigh_rows
from microgradx.training.prediction import BATCH_SIZE, compute_outputs
from microgradx.training.preparation import (
    PreparedData,
    check_single_row,
    prepare_data,
    warn_of_one_class,
)
from microgradx.training.progress import Progress, show_progress
from microgradx.training.resuming import (
    identify_training,
    optimizer_settings,
    pack_training,
    unpack_training,
)
from microgradx.training.schedules import Schedule, find_schedule, learning_rate
from microgradx.training.stopping import BestWeights, find_monitor

__all__ = ["DivergenceError", "fit"]

NOT_COMPILED = "The steps were not compiled: "


class DivergenceError(FloatingPointError):
    """The loss became NaN or infinite. `history` is the history until then."""

    def __init__(self, training: Training) -> None:
        self.history = training.history
        step = training.step - (training.epoch - 1) * training.steps_per_epoch
        super().__init__(
            f"the loss became {training.loss} in epoch {training.epoch}, in step {step} of "
            f"{training.steps_per_epoch}: mostly because the steps are too large; lower the "
            f"learning rate, which is {training.lr:g}, or ask microgradx.diagnose(model, data)"
        )


@explain_arguments
def fit(
    model: Any,
    data: Any,
    *,
    label: Any = None,
    loss: Any = "cross_entropy",
    optimizer: Any = "adam",
    lr: float | None = None,
    epochs: int = 10,
    batch_size: int = 32,
    drop_last: bool = False,
    metrics: Any = None,
    validation: Any = None,
    classes: Any = None,
    class_weight: Any = None,
    sample_weight: Any = None,
    early_stopping: bool = False,
    patience: int = 10,
    monitor: str | None = None,
    min_delta: float = 0.0,
    schedule: Any = None,
    schedule_per: Literal["step", "epoch"] | None = None,
    clip_grad_norm: float | None = None,
    clip_grad_value: float | None = None,
    callbacks: Any = (),
    checkpoint: str | Path | None = None,
    resume: bool = False,
    compiled: bool | None = None,
    shuffle: bool = True,
    generator: np.random.Generator | None = None,
    progress: Any = True,
) -> History:
    """Train a model, and return the history of its training.

    data: `(X, y)`: rows of features, and a target for each row. X is an array of any rank, a list,
        or a data frame of pandas or polars. y has labels, which are whole numbers, texts or
        booleans, one-hot rows or rows of probabilities; or numbers, for a regression. Or a data
        frame, of which `label` names the column of labels; or a `Table` of `read_table`, which is
        encoded by what its training rows have.
    loss: a name, such as "cross_entropy", "binary_cross_entropy_with_logits" (of a model with one
        output) or "mse_loss"; or a function of outputs and targets that returns a mean.
    optimizer: a name, such as "adam" or "sgd", with the learning rate `lr`; or an optimiser of the
        model's parameters.
    epochs, batch_size: how often all rows are passed over, and the rows of a step. The last batch
        of an epoch may be smaller, and is left out with `drop_last`.
    metrics: names of `microgradx.metrics`, or functions of labels and probabilities, or of y_true
        and y_pred, predicted labels, as scikit-learn calls them; by default the accuracy.
    validation: the share of the rows to hold out, with the same proportions of the classes, or
        `(X, y)`. Loss and metrics of these rows are measured after each epoch.
    classes: the labels in the order of the model's outputs, where they do not follow from y.
    class_weight: the weights of classes: a dict by label, an array, or "balanced". Losses of rows
        are multiplied by them, divided by their mean over all rows.
    sample_weight: a weight for each row, likewise.
    early_stopping: stop after `patience` epochs in which `monitor`, a column of the history (by
        default the loss of the validation rows, which must be given), did not improve by more than
        `min_delta`. The model then gets the weights of its best epoch, also after Ctrl-C.
    schedule: of the learning rate: "cosine", "linear" or "one_cycle"; a function from the share of
        the training that is done to a factor; or a scheduler of `optim.lr_scheduler`, made for the
        optimiser that is given. It goes on after each epoch, and OneCycleLR after each step;
        `schedule_per`, "step" or "epoch", says otherwise. ReduceLROnPlateau gets `monitor`.
    clip_grad_norm, clip_grad_value: the largest norm of all gradients together, or the largest
        value of each, to which they are scaled or clipped before each step.
    callbacks: `Callback` objects, or functions, called after each epoch: see `Callback`.
    checkpoint: a file that is written after each epoch: weights, the state of the optimiser, of the
        schedule and of random generators, and the history. Killed at any moment, it is whole.
    resume: go on where the checkpoint, if there is one, left off: with the same arguments the
        numbers are to the bit those of a training that was never interrupted. Other data, or
        another setting such as `lr`, are an error; `epochs` may grow.
    compiled: whether steps run as NumPy source (see `compile`). None: where they can, and neither
        the loss nor a `forward` uses a variable from outside, which could change meanwhile.
    shuffle: whether rows come in a new random order in each epoch, drawn by `generator`, which
        also draws the validation rows.
    progress: whether to show it: a bar on a terminal and in a notebook, otherwise lines.

    Ctrl-C ends the training after a step, and the history says `interrupted`. The model keeps what
    it has learnt, and is in training mode. It remembers columns and classes for `predict`.

    >>> import microgradx as mg
    >>> X, y = mg.data.moons(200, generator=np.random.default_rng(0))
    >>> model = mg.nn.MLP(2, [16], 2, generator=np.random.default_rng(0))
    >>> history = mg.fit(model, (X, y), lr=0.02, epochs=30, validation=0.2,
    ...                  generator=np.random.default_rng(0), progress=False)
    >>> history[-1]["validation_accuracy"] > 0.9
    True

    Raises ValueError or TypeError, before anything is changed, for what cannot be trained: it names
    the columns with NaN, the labels without an output, the optimiser of another model, and so on.
    Raises DivergenceError if the loss becomes NaN or infinite.
    """
    check_model(model)
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise ValueError(
            f"{type(model).__name__} has no parameters to train; frozen ones are trained again "
            "after model.unfreeze()"
        )
    epochs, batch_size = check_count("epochs", epochs), check_count("batch_size", batch_size)
    if compiled is not None:
        compiled = check_flag("compiled", compiled)
    early_stopping, patience = (
        check_flag("early_stopping", early_stopping),
        check_count("patience", patience),
    )
    drop_last = check_flag("drop_last", drop_last)
    min_delta, shuffle = check_number("min_delta", min_delta), check_flag("shuffle", shuffle)
    loss, callbacks = find_loss(loss), Callbacks(callbacks)
    saved = find_checkpoint(checkpoint, check_flag("resume", resume))
    prepared = prepare_data(
        model,
        data,
        label,
        loss,
        validation=validation,
        classes=classes,
        class_weight=class_weight,
        sample_weight=sample_weight,
        validation_rows=saved and saved.arrays.get("validation_rows"),
        generator=as_generator(generator),
    )
    warn_of_one_class(model, prepared)
    clip = Clipping(clip_grad_norm, clip_grad_value)
    found_metrics = find_metrics(metrics, prepared.task)
    monitor = find_monitor(monitor, found_metrics, prepared.validation is not None, early_stopping)
    optimizer = find_optimizer(optimizer, lr, model, loss)
    numbers = np.arange(len(prepared.y))
    rows = batches(prepared.X, numbers, batch_size, generator, shuffle, drop_last)
    check_single_row(model, prepared.X, batch_size, drop_last)
    loop = Loop(
        model,
        loss,
        optimizer,
        prepared,
        rows,
        epochs,
        found_metrics,
        find_schedule(schedule, schedule_per, optimizer, epochs * len(rows)),
        BestWeights(monitor, patience, min_delta, restores=early_stopping),
        callbacks,
        clip,
        compiled,
        show_progress(progress),
        generator,
        checkpoint,
    )
    if saved is not None and checkpoint is not None:
        unpack_training(loop, saved, checkpoint)
    return loop.run()


@dataclass(eq=False)
class Loop:
    """A training: all is checked, and nothing was changed yet."""

    model: Module
    loss: Any
    optimizer: Optimizer
    data: PreparedData
    batches: Batches  # features, and the numbers of the rows
    epochs: int
    metrics: list[Metric]
    schedule: Schedule
    best: BestWeights
    callbacks: Callbacks
    clip: Clipping
    compiled: bool | None
    progress: Progress
    generator: np.random.Generator | None
    checkpoint: str | Path | None

    def __post_init__(self) -> None:
        self.history = history = History()
        self.settings = optimizer_settings(self.optimizer)  # before a schedule changes them
        self.training = Training(
            self.model, self.optimizer, history, self.epochs, len(self.batches)
        )

    @cached_property
    def identity(self) -> dict[str, Any]:
        """What its checkpoints must have in common with it. The data are hashed once."""
        return identify_training(self)

    def run(self) -> History:
        """Train, and return the history, also after Ctrl-C."""
        model, data, history, training = self.model, self.data, self.history, self.training
        history.model, history.optimizer, history.loss_function = model, self.optimizer, self.loss
        history.training_data, history.validation_data = (data.X, data.y), data.validation
        self.row_loss, self.targets = weigh_rows(self.loss, data.y, data.weights)
        self._compile()
        model.fitted_data = data.fitted
        with ExitStack() as stack:
            self.is_interrupted = stack.enter_context(defer_interrupt())
            stack.enter_context(self.progress.start(training))
            stack.callback(self._end)
            self.callbacks.call("on_fit_begin", training)
            while training.epoch < self.epochs and not training.is_stopped:
                training.epoch += 1
                self._run_epoch()
        return history

    def _compile(self) -> None:
        """Let steps be compiled, unless something speaks against it, which is said once."""
        if self.compiled is False:
            return
        reason = None if self.compiled else reason_not_to_compile(self.model, self.loss)
        if reason is None:
            self.history.compiled_step = CompiledStep(
                self.model, self.row_loss, self.optimizer, **vars(self.clip)
            )
        else:
            self._note(f"{NOT_COMPILED}{reason}")

    def _note(self, note: str) -> None:
        if note not in self.history.notes:
            self.history.notes.append(note)

    def _end(self) -> None:
        """At the end, however it came."""
        self.schedule.end()
        self.best.restore(self.model)
        self.history.stopped_early = self.training.is_stopped and not self.history.interrupted
        self.callbacks.call("on_fit_end", self.training)

    def _run_epoch(self) -> None:
        training = self.training
        self.callbacks.call("on_epoch_begin", training)
        self.model.train()
        total, seen, outputs = 0.0, [], []
        for X, numbers in self.batches:
            self.schedule.before_step(training.step / (self.epochs * len(self.batches)))
            training.lr = learning_rate(self.optimizer)
            with np.errstate(over="ignore", invalid="ignore"):  # the loss is checked below
                training.loss, output = self._take_step(X, self.targets[numbers])
            training.step += 1
            if not math.isfinite(training.loss):
                raise DivergenceError(training)
            self.schedule.after_step()
            total += training.loss * len(numbers)
            seen.append(numbers)
            outputs.append(output)
            self.callbacks.call("on_batch_end", training)
            self.progress.batch()
            if self.is_interrupted():
                self.history.interrupted = True
                training.stop()
            if training.is_stopped:
                break
        rows = np.concatenate(seen)
        measured = {"loss": total / len(rows)}
        if self.metrics:
            measured |= measure_metrics(
                self.metrics, self.data.task, self.data.y[rows], np.concatenate(outputs)
            )
        self._end_epoch(measured | self._validate())

    def _end_epoch(self, measured: dict[str, float]) -> None:
        training, best = self.training, self.best
        row = {"epoch": training.epoch, "lr": training.lr, **measured}
        self.history.rows.append(row)
        self.callbacks.call("on_epoch_end", training)  # which may add to the row
        should_stop = best.update(row, self.model)
        self.history.best_epoch = best.epoch
        self.schedule.after_epoch(row[best.monitor])
        if should_stop:
            training.stop()
            self._note(
                f"Stopped early: {best.monitor} has not improved for {best.patience} epochs; the "
                f"model has the weights of epoch {best.epoch}."
            )
        if self.checkpoint is not None and not self.history.interrupted:
            pack_training(self).write(self.checkpoint)
        self.progress.epoch()

    def _take_step(self, X: Array, y: Array) -> tuple[float, Array]:
        """One step, compiled where it can be; returns loss and outputs."""
        step = self.history.compiled_step
        if step is not None:
            try:
                return step(X, y), step.output
            except CaptureError as error:
                if self.compiled:
                    raise
                self.history.compiled_step = None
                self._note(f"{NOT_COMPILED}{error}")
        self.optimizer.zero_grad()
        output = self.model(X)
        batch_loss = self.row_loss(output, y)
        batch_loss.backward()
        self.clip(self.optimizer.params)
        self.optimizer.step()
        return batch_loss.item(), output.data

    def _validate(self) -> dict[str, float]:
        """Loss and metrics of the validation rows."""
        if self.data.validation is None:
            return {}
        X, y = self.data.validation
        outputs = compute_outputs(self.model, X, max(self.batches.batch_size, BATCH_SIZE))
        weighted = weigh_rows(self.loss, y, self.data.validation_weights)
        measured = {
            "loss": measure_loss(*weighted, outputs),
            **measure_metrics(self.metrics, self.data.task, y, outputs),
        }
        return {f"validation_{name}": value for name, value in measured.items()}
