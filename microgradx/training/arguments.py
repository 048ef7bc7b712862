"""Checks of arguments of `fit` and others: what is wrong is said before anything changes."""

from __future__ import annotations

import functools
import inspect
import math
import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from microgradx.arrays.types import Array, unwrap
from microgradx.clipping import clip_grad_norm_, clip_grad_value_
from microgradx.common.messages import find_name
from microgradx.data.frames import is_missing
from microgradx.engine import Tensor
from microgradx.nn.module import Module
from microgradx.optim.optimizer import Optimizer
from microgradx.training.targets import Task

__all__ = [
    "Clipping",
    "check_count",
    "check_flag",
    "check_model",
    "check_number",
    "explain_arguments",
    "find_optimizer",
    "row_weights",
]


F = TypeVar("F", bound=Callable[..., Any])

#: In place of arguments that other libraries have.
INSTEAD = {
    **dict.fromkeys(("verbose", "silent"), "write progress=False for silence"),
    **dict.fromkeys(("learning_rate", "eta"), "it is called lr="),
    **dict.fromkeys(("n_epochs", "num_epochs", "max_epochs", "max_iter"), "it is called epochs="),
    **dict.fromkeys(("validation_split", "validation_fraction"), "write validation=0.2"),
    **dict.fromkeys(("validation_data", "eval_set"), "write validation=(X, y)"),
    **dict.fromkeys(("criterion", "loss_fn", "loss_function"), "it is called loss="),
    **dict.fromkeys(("optim", "solver"), "it is called optimizer="),
    **dict.fromkeys(
        ("seed", "random_state"), "write generator=np.random.default_rng(0), or mg.manual_seed(0)"
    ),
    **dict.fromkeys(("X", "y", "x"), "rows and their labels are one argument, the pair (X, y)"),
    "scheduler": "it is called schedule=",
    "restore_best_weights": "write early_stopping=True, which does so",
}


def explain_arguments(function: F) -> F:
    """Let a function say what to write for arguments that it does not have."""
    signature = inspect.signature(function)
    name = function.__name__
    positional = [
        p.name for p in signature.parameters.values() if p.kind is p.POSITIONAL_OR_KEYWORD
    ]
    call_as = ", ".join(positional).replace("data", "(X, y)")

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        for argument in kwargs:
            if argument in INSTEAD and argument not in signature.parameters:
                raise TypeError(f"{name} has no argument {argument}=; {INSTEAD[argument]}")
        if len(args) > len(positional):
            raise TypeError(
                f"{name} takes {len(positional)} arguments by position, not {len(args)}; write "
                f"{name}({call_as}), and others by name"
            )
        return function(*args, **kwargs)

    return call  # type: ignore[return-value]


def check_model(model: Any) -> None:
    if isinstance(model, type):
        raise TypeError(f"model is the class {model.__name__}; give an instance of it")
    if not isinstance(model, Module):
        raise TypeError(
            f"model must be a microgradx.nn.Module, not {type(model).__name__}; write a class with "
            "forward(self, x), or an nn.Sequential of layers"
        )


def check_count(name: str, value: Any, least: int = 1) -> int:
    """A whole number from `least` up."""
    if isinstance(value, (bool, np.bool_)) or not hasattr(type(value), "__index__"):
        raise TypeError(f"{name} must be a whole number, not {value!r}")
    count = operator.index(value)
    if count < least:
        raise ValueError(f"{name} must be {least} or more, not {count}")
    return count


def check_number(name: str, value: Any, *, positive: bool = False) -> float:
    """A finite number from 0 up, or above 0."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(
        value, (int, float, np.integer, np.floating)
    ):
        raise TypeError(f"{name} must be a number, not {value!r}")
    if not (0 < value < math.inf if positive else 0 <= value < math.inf):
        raise ValueError(
            f"{name} must be {'above 0' if positive else 'at least 0'} and finite, not {value}"
        )
    return float(value)


def check_flag(name: str, value: Any) -> bool:
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name} must be True or False, not {value!r}")
    return bool(value)


@dataclass
class Clipping:
    """Clips gradients by their norm or value, where one of the limits is given.

    Raises TypeError or ValueError for limits that are no numbers above 0, and for both.
    """

    clip_grad_norm: float | None
    clip_grad_value: float | None

    def __post_init__(self) -> None:
        for name, limit in vars(self).items():
            if limit is not None:
                check_number(name, limit, positive=True)
        if self.clip_grad_norm is not None and self.clip_grad_value is not None:
            raise ValueError("clip_grad_norm and clip_grad_value exclude each other; give one")

    def __call__(self, parameters: list[Tensor]) -> None:
        if self.clip_grad_norm is not None:
            clip_grad_norm_(parameters, self.clip_grad_norm)
        if self.clip_grad_value is not None:
            clip_grad_value_(parameters, self.clip_grad_value)


def find_optimizer(optimizer: Any, lr: Any, model: Module, loss: Any) -> Optimizer:
    """An optimiser by its name, for the parameters of a model, or the one that was given.

    Raises TypeError for optimisers of other libraries, and ValueError for one of another model.
    """
    from microgradx import optim

    if isinstance(optimizer, str):
        classes = [getattr(optim, name) for name in optim.__all__]
        kinds = {
            kind.__name__.lower(): kind
            for kind in classes
            if isinstance(kind, type) and issubclass(kind, Optimizer) and kind is not Optimizer
        }
        kind = kinds[find_name("optimiser", optimizer.lower(), kinds)]
        settings = {} if lr is None else {"lr": check_number("lr", lr, positive=True)}
        try:
            made: Optimizer = kind(model.named_parameters(), **settings)
        except TypeError as error:
            if lr is not None:
                raise
            raise ValueError(f"{optimizer} has no default learning rate; give lr=…") from error
        return made
    if isinstance(optimizer, type):
        raise TypeError(
            f"optimizer is the class {optimizer.__name__}; give its name, or an instance, "
            f"{optimizer.__name__}(model.parameters())"
        )
    if not isinstance(optimizer, Optimizer):
        library = type(optimizer).__module__.partition(".")[0]
        raise TypeError(
            "optimizer must be a name such as 'adam', or an optimiser of microgradx.optim, not "
            f"{type(optimizer).__name__} of {library}"
        )
    if lr is not None:
        raise ValueError(
            f"lr is for an optimiser that is given by name; this one has its own, "
            f"{optimizer.lr:g}: set optimizer.lr, or leave lr out"
        )
    own = set(model.parameters())
    trained = set(optimizer.params)
    if isinstance(loss, Module):
        trained -= set(loss.parameters())
    foreign, missing = trained - own, own - trained
    if foreign and (missing or not own):
        raise ValueError(
            f"the optimiser holds {len(foreign)} parameters that are not the model's, such as "
            f"{_name(next(p for p in optimizer.params if p in foreign))}, and lacks {len(missing)} "
            "of the model's; make it with model.parameters(), after the model's layers"
        )
    return optimizer


def _name(parameter: Tensor) -> str:
    return f"{parameter.name!r} of shape {parameter.shape}"


def row_weights(task: Task, encoded: Array, class_weight: Any, sample_weight: Any) -> Array | None:
    """The weight of each row: that of its class times its own; None if all are 1.

    Raises ValueError for weights that are negative, NaN, all 0, or of another length.
    """
    if class_weight is None and sample_weight is None:
        return None
    weights = np.ones(len(encoded))
    if sample_weight is not None:
        weights = _as_weights("sample_weight", sample_weight, len(encoded), "row")
    if class_weight is not None:
        labels = task.labels(encoded)
        if labels is None or labels.ndim != 1:
            raise ValueError("class_weight needs a label for each row; use sample_weight instead")
        assert task.classes is not None
        if isinstance(class_weight, str):
            find_name("class_weight", class_weight, ["balanced"])
            counts = np.bincount(labels, minlength=len(task.classes))
            factors = len(labels) / (np.count_nonzero(counts) * np.maximum(counts, 1))
        elif isinstance(class_weight, dict):
            factors = _factors_of_dict(class_weight, task.classes)
        else:
            factors = _as_weights("class_weight", class_weight, len(task.classes), "class")
        weights = weights * factors[labels]
    if not np.any(weights > 0):
        raise ValueError("all rows that are trained on have weight 0; give some of them more")
    return weights


def _factors_of_dict(given: dict[Any, Any], classes: Array) -> Array:
    """The weights of the classes; of those that a dict does not name, 1."""
    names = classes.tolist()
    unknown = [str(key) for key in given if key not in names]
    if unknown:
        raise ValueError(
            f"class_weight has {', '.join(map(repr, unknown))}, and the classes are "
            f"{', '.join(map(str, names))}"
        )
    return _as_weights(
        "class_weight", [given.get(name, 1.0) for name in names], len(names), "class"
    )


def _as_weights(name: str, given: Any, count: int, each: str) -> Array:
    """Weights as floats; raises ValueError for others than `count` numbers from 0 up."""
    values = np.asarray(unwrap(given), object)
    if any(is_missing(value) for value in values.flat):
        raise ValueError(f"{name} has NaN; give each {each} a number from 0 up")
    try:
        weights = values.astype(np.float64)
    except (TypeError, ValueError):
        raise TypeError(f"{name} must be numbers, not {given!r}") from None
    if weights.shape != (count,):
        raise ValueError(
            f"{name} has shape {weights.shape}, and must have a number for each {each}: {(count,)}"
        )
    if not np.all(np.isfinite(weights)) or np.any(weights < 0):
        wrong = weights[~np.isfinite(weights) | (weights < 0)][0]
        raise ValueError(f"{name} has {wrong:g}; weights must be finite and at least 0")
    return weights
