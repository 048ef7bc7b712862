"""What optimisers have in common: the parameters, a state for each, and the walk over them."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from microgradx.arrays.types import Array, unwrap
from microgradx.common.messages import describe
from microgradx.engine import Tensor
from microgradx.optim.flat_parameters import flatten

__all__ = ["Optimizer"]


class Optimizer:
    """The base of optimisers: a subclass writes `update`, the rule for one parameter.

    `params` are Tensors, or pairs of name and Tensor; a Tensor without a name takes that of its
    pair. `lr`, the learning rate, may be set between steps. The arrays of the parameters are
    changed in place, so several optimisers may share parameters, and `p.data = v` may come between
    steps.

    A class whose `update` treats each number by itself may say so by `elementwise = True`. It is
    then given all small parameters at once, in one array of which theirs become views (if nobody
    else holds them), and takes less time. What a class says of itself, its subclasses say anew.

    >>> import microgradx as mg
    >>> class SignDescent(mg.optim.Optimizer):
    ...     def update(self, w, g, state):
    ...         w -= self.lr * np.sign(g)
    >>> w = mg.Tensor([1.0, -3.0], requires_grad=True)
    >>> optimiser = SignDescent([w], lr=0.5)
    >>> (w * w).sum().backward()
    >>> optimiser.step()
    >>> w.data
    array([ 0.5, -2.5])

    Raises TypeError for what is no Tensor of a NumPy array, and ValueError for no Tensors at all,
    one given twice, one that is not a leaf or requires no gradient, and for a negative `lr`.
    """

    #: The names of its settings, which are attributes and arguments alike.
    hyperparameters: tuple[str, ...] = ("lr",)
    #: What `update` keeps in the state of a parameter: arrays of its shape and dtype ...
    buffers: tuple[str, ...] = ()
    #: ... and integers.
    counters: tuple[str, ...] = ()
    #: Whether the `update` of this very class treats each number by itself.
    elementwise: bool = False

    def __init__(self, params: Iterable[Tensor] | Iterable[tuple[str, Tensor]], lr: float) -> None:
        self.lr = checked("lr", lr)
        self.params = _checked_parameters(params)
        #: What is kept for each parameter, by its position: nothing until its first step.
        self.state: list[dict[str, Any]] = [{} for _ in self.params]
        self._flatten()

    def _flatten(self) -> None:
        is_elementwise = vars(type(self)).get("elementwise", False)
        self.flat_parameters = flatten(self.params) if is_elementwise else []
        laid = {position for several in self.flat_parameters for position in several.positions}
        self._apart = [i for i in range(len(self.params)) if i not in laid]

    def update(self, w: Array, g: Array, state: dict[str, Any]) -> None:
        """Change the array `w` in place; its gradient `g`, of its dtype, must be left as it is."""
        raise NotImplementedError(f"{type(self).__name__} has no update(self, w, g, state)")

    def step(self) -> None:
        """Change each parameter that has a gradient. Graphs that used it are refused from now on.

        Raises ValueError, before anything is changed, for a gradient of another shape.
        """
        self.lr = float(self.lr)  # which leaves float32 arrays float32, unlike a scalar of NumPy's
        together, apart = [], self._apart
        for several in self.flat_parameters:
            if several.gather(self.state):
                together.append(several)
            else:
                apart = apart + several.positions
        gradients = {i: _gradient(self.params[i]) for i in apart}
        for several in together:
            self.update(several.values, several.gradients, several.state)
            several.sync_state(self.state)
        for i, gradient in gradients.items():
            if gradient is not None:
                self.update(self.params[i].array, gradient, self.state[i])
                self.params[i].mark_changed()

    def zero_grad(self) -> None:
        """Forget the accumulated gradients of the parameters."""
        for parameter in self.params:
            parameter.grad = None

    def state_dict(self) -> dict[str, Any]:
        """A copy of settings and state, as plain numbers and arrays, to go on from later."""
        return {
            "hyperparameters": {name: getattr(self, name) for name in self.hyperparameters},
            "state": copy.deepcopy(self.state),
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` gave, for the same parameters in the same order.

        Raises ValueError, before anything is changed, for what does not fit.
        """
        settings, states = dict(state_dict["hyperparameters"]), state_dict["state"]
        if set(settings) != set(self.hyperparameters):
            raise ValueError(
                f"the settings {', '.join(settings)} are not those of {type(self).__name__}, "
                f"{', '.join(self.hyperparameters)}; load them into an optimiser of their class"
            )
        if len(states) != len(self.params):
            raise ValueError(
                f"a state of {len(states)} parameters does not fit an optimiser of "
                f"{len(self.params)}; make it for the parameters that it was saved with"
            )
        settings = vars(type(self)(self.params, **settings))  # which checks them
        state = [self._fitting(*pair) for pair in zip(self.params, states, strict=True)]
        vars(self).update({name: settings[name] for name in self.hyperparameters}, state=state)

    def _fitting(self, parameter: Tensor, state: Mapping[str, Any]) -> dict[str, Any]:
        """A copy of the state of a parameter that was saved, if it can be one."""
        names = {*self.buffers, *self.counters}
        if state and set(state) != names:
            raise ValueError(
                f"the state of {describe(parameter)} has {', '.join(state)}, and "
                f"{type(self).__name__} keeps {', '.join(sorted(names)) or 'none'}"
            )
        fitting: dict[str, Any] = {}
        for name, value in state.items():
            if name in self.counters:
                fitting[name] = int(value)
                continue
            fitting[name] = np.array(value, parameter.dtype)
            if fitting[name].shape != parameter.shape:
                raise ValueError(
                    f"{name} has shape {fitting[name].shape}, and does not fit "
                    f"{describe(parameter)}; the shapes must be the same"
                )
        return fitting

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "flat_parameters": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        # Parameters that were copied lie apart again.
        vars(self).update(state)
        self._flatten()

    def __repr__(self) -> str:
        settings = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.hyperparameters)
        return f"{type(self).__name__}({settings})"


def checked(name: str, value: Any, *, below: float = math.inf) -> float:
    """A setting as a Python float, which leaves float32 arrays float32, if it is in [0, below)."""
    if not isinstance(value, (int, float, np.integer, np.floating)):
        raise TypeError(f"{name} must be a number, not {value!r}")
    if not 0 <= value < below:
        limit = "finite" if below == math.inf else f"less than {below}"
        raise ValueError(f"{name} must be at least 0 and {limit}, not {value}")
    return float(value)


def _gradient(parameter: Tensor) -> Array | None:
    """The gradient of a parameter as an array of its dtype, if it has one and it fits."""
    if parameter.grad is None:
        return None
    gradient = np.asarray(unwrap(parameter.grad), parameter.dtype)
    if gradient.shape != parameter.shape:
        raise ValueError(
            f"{describe(parameter)} has a gradient of shape {gradient.shape}; "
            "they must be the same: set grad to None, and let backward() fill it"
        )
    return gradient


def _checked_parameters(params: Any) -> list[Tensor]:
    """The Tensors, once it is certain that an optimiser can train them."""
    if isinstance(params, Tensor) or not isinstance(params, Iterable):
        raise TypeError(
            f"params must be several Tensors, not {type(params).__name__}; "
            "write model.parameters(), or a list of Tensors"
        )
    positions: dict[Tensor, int] = {}
    names: list[str | None] = []
    for position, item in enumerate(params):
        is_named = isinstance(item, tuple) and len(item) == 2 and isinstance(item[0], str)
        name, parameter = item if is_named else (None, item)
        if not isinstance(parameter, Tensor):
            raise TypeError(
                f"parameter {position} is not a Tensor but {type(parameter).__name__}; "
                "write model.parameters(), or a list of Tensors"
            )
        at = f"parameter {position}, {describe(parameter)},"
        if parameter in positions:
            raise ValueError(
                f"{at} was given before, at position {positions[parameter]}; give it once, as "
                "twice would take two steps at a time"
            )
        if not parameter.is_leaf:
            raise ValueError(
                f"{at} was computed by {parameter.op!r}; train the leaves that it was computed from"
            )
        if not parameter.requires_grad:
            raise ValueError(
                f"{at} requires no gradient; make it with requires_grad=True, or leave it out"
            )
        if not isinstance(parameter.data, np.ndarray):
            raise TypeError(
                f"{at} holds {type(parameter.data).__name__}; an optimiser changes "
                "NumPy arrays in place, so make the parameter from one"
            )
        positions[parameter] = position
        names.append(name)
    if not positions:
        raise ValueError(
            "there are no parameters to train; a generator such as model.parameters() is empty "
            "once it was used, and a parameter needs requires_grad=True"
        )
    for parameter, name in zip(positions, names, strict=True):
        parameter.name = parameter.name or name
    return list(positions)
