"""Ctrl-C in `fit`: what was learnt is kept, and the history says so."""

import signal
import threading

import numpy as np
import pytest

import microgradx as mg
from microgradx import nn
from microgradx.training import Callback
from microgradx.training.interruption import defer_interrupt

pytestmark = pytest.mark.skipif(
    threading.current_thread() is not threading.main_thread(), reason="signals"
)

X = np.random.default_rng(0).normal(size=(20, 3))
Y = (X[:, 0] > 0).astype(int)


@pytest.fixture(autouse=True)
def default_handler():
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    signal.signal(signal.SIGINT, before)


class PressCtrlC(Callback):
    def __init__(self, *steps):
        self.steps = steps

    def on_batch_end(self, training):
        for step in self.steps:
            if training.step == step:
                signal.raise_signal(signal.SIGINT)


def train(*callbacks, **settings):
    model = nn.MLP(3, [4], 2, generator=np.random.default_rng(0))
    history = mg.fit(
        model, (X, Y), epochs=10, batch_size=5, validation=(X, Y), callbacks=callbacks,
        progress=False, generator=np.random.default_rng(0), compiled=False, **settings,
    )  # fmt: skip
    return model, history


@pytest.mark.parametrize("step", [1, 6, 8, 40])
def test_it_ends_after_the_step(step):
    seen = []
    model, history = train(PressCtrlC(step), lambda training: seen.append(training.epoch))
    assert history.interrupted
    assert not history.stopped_early
    epochs = -(-step // 4)
    assert len(history) == len(seen) == epochs
    assert history[-1]["validation_loss"] == mg.evaluate(model, (X, Y))["loss"]


def test_with_early_stopping_the_best_weights_are_kept():
    model, history = train(PressCtrlC(10), early_stopping=True)
    best = history["validation_loss"].min()
    assert mg.evaluate(model, (X, Y))["loss"] == best


def test_the_checkpoint_stays_that_of_the_last_whole_epoch(tmp_path):
    path = tmp_path / "run.npz"
    whole, history = train(checkpoint=tmp_path / "whole.npz")
    train(PressCtrlC(10), checkpoint=path)
    model, resumed = train(checkpoint=path, resume=True)
    assert resumed.rows == history.rows
    for name, value in whole.state_dict().items():
        np.testing.assert_array_equal(model.state_dict()[name], value)


def test_twice_interrupts_at_once():
    with pytest.raises(KeyboardInterrupt):
        train(PressCtrlC(3, 3))


def test_whoever_defers_it_around_a_training_is_told_too():
    with defer_interrupt() as is_interrupted:
        _, history = train(PressCtrlC(3))
        assert history.interrupted
        assert is_interrupted()
        assert train()[1].interrupted  # it is still to be dealt with


def test_in_another_thread_it_is_left_to_the_main_one():
    histories = []
    thread = threading.Thread(target=lambda: histories.append(train()[1]))
    thread.start()
    thread.join()
    assert not histories[0].interrupted
    assert len(histories[0]) == 10
