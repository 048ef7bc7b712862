"""The state of a training between two epochs: saved, and taken up again, bit for bit.

The `loop` is that of `loop.py`, which imports this file.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from microgradx.common.messages import InputError
from microgradx.nn.module import Module
from microgradx.training.checkpoints import Checkpoint, find_generators, fingerprint, pack_model

__all__ = ["identify_training", "pack_training", "unpack_training"]


def pack_training(loop: Any) -> Checkpoint:
    """All that the next epochs depend on."""
    data, best, history = loop.data, loop.best, loop.history
    checkpoint = pack_model(loop.model, data.fitted)
    checkpoint.add("optimizer", loop.optimizer.state_dict())
    checkpoint.add("schedule", loop.schedule.state_dict())
    if isinstance(loop.loss, Module):
        checkpoint.add("loss", loop.loss.state_dict())
    if best.weights is not None:
        checkpoint.add("best", best.weights)
    if data.validation_rows is not None:
        checkpoint.arrays["validation_rows"] = data.validation_rows
    generators = find_generators(loop.model, loop.generator)
    checkpoint.description |= {
        "training": loop.identity,
        "epoch": loop.training.epoch,
        "step": loop.training.step,
        "is_stopped": loop.training.is_stopped,
        "rows": history.rows,
        "notes": history.notes,
        "best": best.best,
        "best_epoch": best.epoch,
        "generators": {name: _as_json(g.bit_generator.state) for name, g in generators.items()},
    }
    return checkpoint


def identify_training(loop: Any) -> dict[str, Any]:
    """What must be the same for a training to be taken up again."""
    data = loop.data
    return {
        "data": fingerprint(data.X, data.y, data.weights),
        "validation": fingerprint(*(data.validation or ())),
        "batch_size": loop.batches.batch_size,
        "monitor": loop.best.monitor,
        "optimizer": type(loop.optimizer).__name__,
    }


#: What to say of each part of the description that differs.
DIFFERENCES = {
    "data": "the rows to train on, their weights or labels",
    "validation": "the validation rows",
    "batch_size": "batch_size",
    "monitor": "monitor",
    "optimizer": "the optimiser",
}


def unpack_training(loop: Any, checkpoint: Checkpoint, path: str | Path) -> None:
    """Take up a training where a checkpoint left it.

    Raises InputError, before anything is changed, for a checkpoint of another training.
    """
    found, model = checkpoint.description, loop.model
    saved = found.get("training")
    if not isinstance(saved, dict):
        raise InputError(f"{path} has a model and no training; read it with load_model")
    differences = [
        what for name, what in DIFFERENCES.items() if saved.get(name) != loop.identity[name]
    ]
    generators = find_generators(model, loop.generator)
    if not differences and set(found["generators"]) != set(generators):
        differences = ["the generators of random numbers"]
    if differences:
        raise InputError(
            f"{path} is a checkpoint of another training: {', '.join(differences)} differ; give "
            "the same, or start anew with resume=False, or another file"
        )
    before = model.state_dict()
    model.load_state_dict(checkpoint.group("weights"))
    try:
        loop.optimizer.load_state_dict(checkpoint.group("optimizer"))
    except (ValueError, TypeError) as error:
        model.load_state_dict(before)
        raise InputError(f"{path} is a checkpoint of another training: {error}") from None
    loop.schedule.load_state_dict(checkpoint.group("schedule"))
    if isinstance(loop.loss, Module):
        loop.loss.load_state_dict(checkpoint.group("loss"))
    for name, generator in generators.items():
        generator.bit_generator.state = _from_json(found["generators"][name])
    loop.training.epoch, loop.training.step = found["epoch"], found["step"]
    loop.training.is_stopped = found["is_stopped"]
    loop.history.rows, loop.history.notes = found["rows"], found["notes"]
    loop.history.best_epoch = loop.best.epoch = found["best_epoch"]
    loop.best.best = found["best"]
    loop.best.weights = checkpoint.group("best") or None


def _as_json(state: Any) -> Any:
    """The state of a generator, of whatever kind, with lists for arrays."""
    if isinstance(state, dict):
        return {name: _as_json(value) for name, value in state.items()}
    if isinstance(state, np.ndarray):
        return {"array": state.tolist(), "dtype": str(state.dtype)}
    return state.item() if isinstance(state, np.generic) else state


def _from_json(state: Any) -> Any:
    if not isinstance(state, dict):
        return state
    if set(state) == {"array", "dtype"}:
        return np.array(state["array"], state["dtype"])
    return {name: _from_json(value) for name, value in state.items()}
