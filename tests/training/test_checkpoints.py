"""Checkpoints: whole at any moment, and a training that resumes from one is the same to the bit."""

import contextlib
import os
import signal
import subprocess
import sys

import numpy as np
import pytest

import microgradx as mg
from microgradx import nn, optim
from microgradx.common.messages import InputError
from microgradx.optim import lr_scheduler
from microgradx.training import Callback, load_model, save_model
from microgradx.training.checkpoints import read_checkpoint


class Killed(Exception):
    pass


class Kill(Callback):
    """Ends the training in the middle of an epoch, as a crash would."""

    def __init__(self, epoch):
        self.epoch = epoch

    def on_batch_end(self, training):
        if training.epoch == self.epoch and training.step % training.steps_per_epoch == 2:
            raise Killed


def make_data():
    generator = np.random.default_rng(0)
    X = generator.normal(size=(60, 4))
    return X, np.where(X[:, 0] + generator.normal(size=60) > 0, "yes", "no")


def make_model(**settings):
    generator = np.random.default_rng(1)
    return nn.MLP(4, [6], 2, generator=generator, **{"dropout": 0.3, **settings})


def make_normalised():
    """Batch normalisation, whose statistics are buffers, and Dropout with its own generator."""
    generator = np.random.default_rng(1)
    return nn.Sequential(
        nn.Linear(4, 6, generator=generator), nn.BatchNorm1d(6), nn.Tanh(),
        nn.Dropout(0.3, generator=np.random.default_rng(2)), nn.Linear(6, 2, generator=generator),
    )  # fmt: skip


#: Arguments of fit by what they are about; a function is called for each training.
CASES = {
    "eager": {},
    "compiled": {"compiled": True},
    "generator": {"generator": lambda: np.random.default_rng(5)},
    "schedule": {"schedule": "one_cycle", "optimizer": "sgd", "lr": 0.1},
    "early stopping": {"early_stopping": True, "patience": 3, "validation": 0.3, "lr": 0.3},
    "scheduler": {"schedule": [lambda optimizer: lr_scheduler.StepLR(optimizer, 3)]},
    "plateau": {
        "schedule": [lambda optimizer: lr_scheduler.ReduceLROnPlateau(optimizer, patience=0)],
        "validation": 0.3,
    },
    "one cycle": {
        "schedule": [lambda optimizer: lr_scheduler.OneCycleLR(optimizer, 0.5, total_steps=40)],
    },
    "compiled velocity": {
        "compiled": True,
        "schedule": [lambda optimizer: lr_scheduler.StepLR(optimizer, 3)],
    },
    "buffers": {
        "compiled": True,
        "model": make_normalised,
        "early_stopping": True,
        "validation": 0.3,
    },
    "buffers, eager": {"model": make_normalised, "compiled": False},
    "weights": {"class_weight": "balanced", "sample_weight": np.arange(60.0)},
    "mersenne": {"generator": lambda: np.random.Generator(np.random.MT19937(3))},
}


def train(path, *, epochs=8, callbacks=(), resume=False, seed=3, **settings):
    mg.manual_seed(seed)
    settings.setdefault("compiled", False)
    settings = {
        name: value() if callable(value) and name != "model" else value
        for name, value in settings.items()
    }
    model = settings.pop("model", make_model)()
    if "schedule" in settings and not isinstance(settings["schedule"], str):
        (make_scheduler,) = settings["schedule"]
        settings["optimizer"] = optim.SGD(model.parameters(), 0.2, momentum=0.9)
        settings["schedule"] = make_scheduler(settings["optimizer"])
    history = mg.fit(
        model, make_data(), epochs=epochs, batch_size=13, progress=False, callbacks=callbacks,
        checkpoint=path, resume=resume, **settings,
    )  # fmt: skip
    return model, history


#: Those that are tried each time.
QUICK = "early stopping", "plateau", "compiled velocity", "buffers, eager"


@pytest.mark.parametrize(
    "case",
    [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in CASES],
)
def test_resuming_is_the_same_to_the_bit(tmp_path, case):
    settings = CASES[case]
    model, history = train(tmp_path / "whole.npz", **settings)
    for epoch in (2, 5):  # killed twice
        if len(history) > epoch:
            with pytest.raises(Killed):
                train(tmp_path / "run.npz", callbacks=[Kill(epoch)], resume=epoch > 2, **settings)
            assert read_checkpoint(tmp_path / "run.npz").description["epoch"] == epoch - 1
    resumed, its_history = train(tmp_path / "run.npz", resume=True, **settings)
    assert its_history.rows == history.rows
    assert its_history.best_epoch == history.best_epoch
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(resumed.state_dict()[name], value, strict=True)
    # One that has ended is not trained any further.
    again, its_history = train(tmp_path / "run.npz", resume=True, **settings)
    assert its_history.rows == history.rows
    np.testing.assert_array_equal(again.state_dict()["0.weight"], model.state_dict()["0.weight"])


def test_without_a_file_resuming_starts_anew(tmp_path):
    _, history = train(tmp_path / "new.npz", epochs=2, resume=True)
    assert len(history) == 2
    assert sorted(os.listdir(tmp_path)) == ["new.npz"]


def test_the_generators_and_the_split_go_on_whatever_the_seed_is_now(tmp_path):
    _, history = train(None, epochs=4, validation=0.3)
    train(tmp_path / "run.npz", epochs=2, validation=0.3)
    _, resumed = train(tmp_path / "run.npz", epochs=4, validation=0.3, resume=True, seed=8)
    assert resumed.rows == history.rows


def test_more_epochs_go_on_from_the_end(tmp_path):
    train(tmp_path / "run.npz", epochs=3)
    _, history = train(tmp_path / "run.npz", epochs=5, resume=True)
    _, whole = train(None, epochs=5)
    assert history.rows == whole.rows


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"sample_weight": np.arange(60.0) + 1}, "the rows to train on, their weights or labels"),
        ({"validation": 0.4}, "the rows to train on"),
        ({"optimizer": "sgd", "lr": 0.1}, "the optimiser was Adam and is SGD"),
        ({"monitor": "accuracy"}, "monitor was loss and is accuracy"),
        ({"lr": 0.3}, "lr was 0.001 and is 0.3. Give the same"),
        ({"loss": "focal_loss"}, "loss was cross_entropy and is focal_loss"),
        ({"schedule": "cosine"}, "schedule was none and is cosine_decay"),
        ({"clip_grad_norm": 1.0}, "clip_grad_norm was None and is 1.0"),
        ({"shuffle": False}, "shuffle was True and is False"),
        ({"drop_last": True}, "drop_last was False and is True"),
        ({"patience": 3}, "patience was 10 and is 3"),
        ({"model": lambda: nn.MLP(4, [6], 2, dropout=0.5)}, "the generators of random numbers"),
    ],
)
def test_a_checkpoint_of_another_training_is_refused(tmp_path, settings, message):
    train(tmp_path / "run.npz", epochs=1)
    content = (tmp_path / "run.npz").read_bytes()
    with pytest.raises(InputError, match=f"another training: .*{message}"):
        train(tmp_path / "run.npz", resume=True, **settings)
    assert (tmp_path / "run.npz").read_bytes() == content


def test_a_setting_of_the_optimiser_that_changed_is_named(tmp_path):
    def train_with(momentum, **more):
        mg.manual_seed(3)
        model = make_model()
        optimizer = optim.SGD(model.parameters(), 0.2, momentum=momentum)
        return mg.fit(
            model, make_data(), optimizer=optimizer, checkpoint=tmp_path / "run.npz",
            schedule=lr_scheduler.StepLR(optimizer, 1), progress=False, **more,
        )  # fmt: skip

    train_with(0.9, epochs=2)
    with pytest.raises(InputError, match=r"training: momentum was 0\.9 and is 0\.5\. Give"):
        train_with(0.5, epochs=3, resume=True)
    history = train_with(0.9, epochs=3, resume=True)
    np.testing.assert_allclose(history["lr"], [0.2, 0.02, 0.002])


def test_layers_that_differ_are_named_first(tmp_path):
    train(tmp_path / "run.npz", epochs=1)
    with pytest.raises(InputError, match=r"another model: .*0.weight has shape \(6, 4\)"):
        train(tmp_path / "run.npz", resume=True, lr=0.1, model=lambda: nn.MLP(4, [7], 2))


def test_a_checkpoint_of_another_model_changes_nothing(tmp_path):
    train(tmp_path / "run.npz", epochs=1)
    model = nn.MLP(4, [7], 2)
    before = model.state_dict()
    with pytest.raises(ValueError, match=r"does not fit this MLP.*0.weight has shape \(6, 4\)"):
        load_model(model, tmp_path / "run.npz")
    assert not hasattr(model, "fitted_data")
    np.testing.assert_array_equal(model.state_dict()["0.weight"], before["0.weight"])


@pytest.mark.parametrize("content", [b"", b"PK\3\4 no archive", None])
def test_a_file_of_another_kind_is_refused(tmp_path, content):
    path = tmp_path / "run.npz"
    np.savez(path, description=np.array("{}")) if content is None else path.write_bytes(content)
    with pytest.raises(InputError, match="damaged"):
        load_model(make_model(), path)
    with pytest.raises(InputError, match="damaged"):
        train(path, resume=True)


def test_where_no_file_can_be_is_said_before_the_training(tmp_path):
    with pytest.raises(FileNotFoundError, match="no directory"):
        train(tmp_path / "missing" / "run.npz")
    with pytest.raises(InputError, match="is a directory"):
        train(tmp_path)
    with pytest.raises(ValueError, match="resume needs checkpoint="):
        train(None, resume=True)


def test_a_model_keeps_columns_classes_and_buffers(tmp_path):
    X, y = make_data()
    frame = {"a": X[:, 0], "b": X[:, 1], "c": X[:, 2], "d": X[:, 3]}
    model = make_model()
    mg.fit(model, (frame, y), epochs=2, progress=False)
    save_model(model, tmp_path / "model.npz")
    twin = make_model()
    load_model(twin, tmp_path / "model.npz")
    assert twin.fitted_data.columns == ("a", "b", "c", "d")
    reordered = {name: frame[name] for name in "dbca"}
    np.testing.assert_array_equal(mg.predict(twin, reordered), mg.predict(model, X))
    assert mg.evaluate(twin, (reordered, y)) == mg.evaluate(model, (X, y))


# ---------------------------------------------------------------------------- killed

KILLED = """
import sys
import numpy as np
import microgradx as mg

generator = np.random.default_rng(0)
X = generator.normal(size=(64, 4))
model = mg.nn.MLP(4, [200, 100], 2, generator=generator)
print("ready", flush=True)
mg.fit(model, (X, (X[:, 0] > 0).astype(int)), epochs=100000, checkpoint=sys.argv[1],
       batch_size=64, progress=False, generator=generator)
"""


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_killed_at_any_moment_the_file_is_whole(tmp_path):
    path = tmp_path / "run.npz"
    generator = np.random.default_rng(0)
    epochs = []
    for _ in range(6):
        with subprocess.Popen(
            [sys.executable, "-c", KILLED, path], stdout=subprocess.PIPE
        ) as process:
            assert process.stdout.readline() == b"ready\n"
            # Watch the directory, and kill it somewhere in the middle of a writing.
            writes = int(generator.integers(2, 40))
            seen = set()
            while len(seen) < writes:
                for file in os.scandir(tmp_path):
                    with contextlib.suppress(FileNotFoundError):
                        seen.add((file.name, file.stat().st_mtime_ns, file.stat().st_size))
            process.send_signal(signal.SIGKILL)
        if path.exists():
            checkpoint = read_checkpoint(path)
            epochs.append(checkpoint.description["epoch"])
            assert len(checkpoint.description["rows"]) == epochs[-1]
            load_model(mg.nn.MLP(4, [200, 100], 2), path)
    assert len(epochs) > 3
    assert len([name for name in os.listdir(tmp_path) if name != "run.npz"]) <= 1
