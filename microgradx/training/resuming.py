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
from microgradx.training.losses import loss_name

__all__ = ["identify_training", "optimizer_settings", "pack_training", "unpack_training"]


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
        "training": {**loop.identity, "last_settings": optimizer_settings(loop.optimizer)},
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
    """What must be the same for a training to be taken up again, as JSON has it."""
    data, best = loop.data, loop.best
    return {
        "data": fingerprint(data.X, data.y, data.weights),
        "validation": fingerprint(*(data.validation or ())),
        "loss": _describe(loop.loss),
        "optimizer": type(loop.optimizer).__name__,
        "settings": loop.settings,
        "schedule": loop.schedule.name,
        "batch_size": loop.batches.batch_size,
        "drop_last": loop.batches.drop_last,
        "shuffle": loop.batches.shuffle,
        **vars(loop.clip),
        "monitor": best.monitor,
        "early_stopping": best.restores,
        "patience": best.patience,
        "min_delta": best.min_delta,
    }


def optimizer_settings(optimizer: Any) -> list[dict[str, Any]]:
    """The settings of each parameter group, as JSON has them."""
    return [
        {name: _as_list(value) for name, value in group.items() if name != "params"}
        for group in optimizer.param_groups
    ]


def _as_list(value: Any) -> Any:
    return [*value] if isinstance(value, tuple) else value


def _describe(loss: Any) -> str:
    """A loss by its name, with its settings that are plain values."""
    values = getattr(loss, "keywords", None) or getattr(loss, "__dict__", {})
    plain = [f"{k}={v!r}" for k, v in values.items() if isinstance(v, (bool, int, float, str))]
    return f"{loss_name(loss)}({', '.join(plain)})" if plain else loss_name(loss)


#: What to call the parts of the description that are fingerprints.
ROWS = {
    "data": "the rows to train on, their weights or labels",
    "validation": "the validation rows",
}


def _list_differences(saved: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """In what the description of a training differs; what an older file does not say is the same.

    An optimiser that has been trained may have come to the rates of now by its schedule.
    """
    found = []
    for name, value in now.items():
        before = saved.get(name, value)
        if before == value or (name == "settings" and saved.get("last_settings") == value):
            continue
        if name in ROWS:
            found.append(f"{ROWS[name]} are others")
        elif name == "settings" and len(before) != len(value):
            found.append(f"there were {len(before)} parameter groups and are {len(value)}")
        elif name == "settings" and saved.get("optimizer") == now["optimizer"]:
            found += [
                f"{key} was {old.get(key)!r} and is {new[key]!r}"
                for old, new in zip(before, value, strict=True)
                for key in new
                if old.get(key) != new[key]
            ]
        elif name != "settings":
            what = "the optimiser" if name == "optimizer" else name
            found.append(f"{what} was {before} and is {value}")
    return found


def unpack_training(loop: Any, checkpoint: Checkpoint, path: str | Path) -> None:
    """Take up a training where a checkpoint left it.

    Raises InputError, before anything is changed, for a checkpoint of another training.
    """
    found, model = checkpoint.description, loop.model
    saved = found.get("training")
    if not isinstance(saved, dict):
        raise InputError(f"{path} has a model and no training; read it with load_model")
    _check_weights(model, checkpoint, path)
    differences = _list_differences(saved, loop.identity)
    generators = find_generators(model, loop.generator)
    if not differences and set(found["generators"]) != set(generators):
        differences = [
            f"the generators of random numbers were {', '.join(found['generators'])} and are "
            f"{', '.join(generators)}"
        ]
    if differences:
        raise InputError(
            f"{path} is a checkpoint of another training: {'; '.join(differences)}. Give the same, "
            "or start anew with resume=False, or another file"
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


def _check_weights(model: Module, checkpoint: Checkpoint, path: str | Path) -> None:
    """Raise InputError for a checkpoint of a model with other layers, which is left unchanged."""
    weights = checkpoint.group("weights")
    if {n: a.shape for n, a in weights.items()} == {
        n: a.shape for n, a in model.state_dict().items()
    }:
        return
    try:
        model.load_state_dict(weights)
    except (ValueError, TypeError) as error:
        raise InputError(f"{path} is a checkpoint of another model: {error}") from None


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
