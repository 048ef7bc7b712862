"""What optimisers share: the parameters, a state for each, and the loop over them."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from microgradx.arrays.types import Array, as_array, fits_dtype, unwrap
from microgradx.common.messages import describe
from microgradx.engine import Tensor
from microgradx.optim.flat_parameters import flatten

__all__ = ["Optimizer", "check_setting"]


_READ_ONLY = (
    "has an array that is read-only, and an optimiser changes it in place; make the parameter from "
    "a copy, which mg.Tensor(array, requires_grad=True) takes"
)


class Optimizer:
    """The base of optimisers: a subclass writes `update`, the rule for one parameter.

    `params` are Tensors, or pairs of name and Tensor; a Tensor without a name takes the name in
    its pair. `lr`, the learning rate, may be set between steps. Parameters are changed in place, so
    several optimisers may share them, and `p.data = v` is allowed between steps.

    `elementwise = True` says that `update` treats each number by itself, so that it may be called
    once for all small parameters: their arrays then become views of one flat array (unless
    something else refers to them), and steps take less time. Without it, `update` is called for
    each parameter. Subclasses inherit it, but one that overrides `update`, or another method of
    the rule, must say it again.

    >>> import microgradx as mg
    >>> class SignDescent(mg.optim.Optimizer):
    ...     elementwise = True
    ...     def update(self, w, g, state):
    ...         w -= self.lr * np.sign(g)
    >>> w = mg.Tensor([1.0, -3.0], requires_grad=True)
    >>> optimiser = SignDescent([w], lr=0.5)
    >>> (w * w).sum().backward()
    >>> optimiser.step()
    >>> w.data
    array([ 0.5, -2.5])

    Raises TypeError for anything but Tensors of NumPy arrays, and ValueError for no parameters, one
    given twice, one that is not a leaf or does not require gradients, and for a negative `lr`.
    """

    #: The names of the settings, which are both attributes and arguments.
    hyperparameters: tuple[str, ...] = ("lr",)
    #: What `update` keeps in the state of a parameter: arrays like the `w` that it is given ...
    buffers: tuple[str, ...] = ()
    #: ... and integers.
    counters: tuple[str, ...] = ()
    #: Whether `update` treats each number by itself.
    elementwise: bool = False

    def __init__(self, params: Iterable[Tensor] | Iterable[tuple[str, Tensor]], lr: float) -> None:
        self.lr = check_setting("lr", lr)
        self.params = _check_parameters(params)
        #: The state of each parameter, in their order: empty until its first step.
        self.state: list[dict[str, Any]] = [{} for _ in self.params]
        self._flatten()

    def _flatten(self) -> None:
        self.flat_parameters = flatten(self.params) if _is_elementwise(type(self)) else []
        flat = {position for group in self.flat_parameters for position in group.positions}
        self._others = [i for i in range(len(self.params)) if i not in flat]

    def update(self, w: Array, g: Array, state: dict[str, Any]) -> None:
        """Change the array `w` in place, but not its gradient `g`, which has the same dtype."""
        raise NotImplementedError(f"{type(self).__name__} has no update(self, w, g, state)")

    def apply_update(self, w: Array, g: Array, state: dict[str, Any]) -> None:
        """`update`; of float16 on a copy in float32, as small squares, and ε, are 0 in float16.

        What it keeps in the state is then float32 too.
        """
        if w.dtype.char != "e":
            self.update(w, g, state)
            return
        wide = w.astype(np.float32)
        self.update(wide, g.astype(np.float32), state)
        w[...] = wide

    def step(self) -> None:
        """Update each parameter that has a gradient. `backward` then refuses graphs that used it.

        Raises ValueError, before anything is changed, for a gradient of another shape.
        """
        self.lr = float(self.lr)  # a NumPy scalar would turn float32 into float64
        together, one_by_one = [], self._others
        for group in self.flat_parameters:
            if group.gather(self.state):
                together.append(group)
            else:
                one_by_one = one_by_one + group.positions
        gradients = {i: _read_gradient(self.params[i]) for i in one_by_one}
        for group in together:
            self.apply_update(group.values, group.gradients, group.state)
            group.sync_state(self.state)
        for i, gradient in gradients.items():
            if gradient is not None:
                self.apply_update(self.params[i].array, gradient, self.state[i])
                self.params[i].mark_changed()

    def zero_grad(self) -> None:
        """Set the gradients of the parameters to None."""
        for parameter in self.params:
            parameter.grad = None

    def state_dict(self) -> dict[str, Any]:
        """A copy of settings and state, as plain numbers and arrays, for `load_state_dict`."""
        return {
            "hyperparameters": {name: getattr(self, name) for name in self.hyperparameters},
            "state": copy.deepcopy(self.state),
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Restore what `state_dict` returned, for the same parameters in the same order.

        Raises ValueError, before anything is changed, for settings or states that do not fit.
        """
        settings, states = _get_parts(state_dict)
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
        state = [self._copy_state(*pair) for pair in zip(self.params, states, strict=True)]
        vars(self).update({name: settings[name] for name in self.hyperparameters}, state=state)

    def _copy_state(self, parameter: Tensor, state: Mapping[str, Any]) -> dict[str, Any]:
        """A copy of the saved state of a parameter; raises ValueError if it does not fit."""
        names = {*self.buffers, *self.counters}
        if not isinstance(state, Mapping):
            raise TypeError(f"the state of {describe(parameter)} must be a dict, not {state!r}")
        if state and set(state) != names:
            raise ValueError(
                f"the state of {describe(parameter)} has {', '.join(state)}, and "
                f"{type(self).__name__} keeps {', '.join(sorted(names)) or 'none'}"
            )
        copied: dict[str, Any] = {}
        for name, value in state.items():
            array = as_array(unwrap(value))
            if name in self.counters:
                if array.shape != () or array.dtype.kind not in "iu" or array < 0:
                    raise ValueError(f"{name} must be a whole number from 0 up, not {value!r}")
                copied[name] = int(array)
                continue
            dtype = np.promote_types(parameter.dtype, np.float32)
            if not fits_dtype(array, dtype):
                raise ValueError(f"{name} has numbers that are too large for {dtype}")
            copied[name] = np.array(array, dtype)
            if copied[name].shape != parameter.shape:
                raise ValueError(
                    f"{name} has shape {copied[name].shape}, and does not fit "
                    f"{describe(parameter)}; the shapes must be the same"
                )
        return copied

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "flat_parameters": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._flatten()  # copies of parameters have arrays of their own

    def __repr__(self) -> str:
        settings = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.hyperparameters)
        return f"{type(self).__name__}({settings})"


def _get_parts(state_dict: Any) -> tuple[dict[str, Any], Any]:
    """Settings and states of what `state_dict` returned; raises TypeError for anything else."""
    try:
        settings, states = state_dict["hyperparameters"], state_dict["state"]
        len(states)
        return dict(settings), states
    except (TypeError, KeyError, IndexError, ValueError):
        raise TypeError(
            "a state is a dict of 'hyperparameters' and 'state', as state_dict() returns it"
        ) from None


def check_setting(name: str, value: Any, *, below: float = math.inf) -> float:
    """A setting as a Python float, which leaves float32 arrays float32.

    Raises TypeError if it is not a number, and ValueError if it is not in [0, below).
    """
    if not isinstance(value, (int, float, np.integer, np.floating)):
        raise TypeError(f"{name} must be a number, not {value!r}")
    if not 0 <= value < below:
        limit = "finite" if below == math.inf else f"less than {below}"
        raise ValueError(f"{name} must be at least 0 and {limit}, not {value}")
    return float(value)


def _is_elementwise(kind: type[Optimizer]) -> bool:
    """Whether a class says so, or inherits it together with all methods of the rule."""
    says: Any = next(cls for cls in kind.__mro__ if "elementwise" in vars(cls))
    rule = {"update"} | {name for name in dir(says) if not hasattr(Optimizer, name)}
    inherits = all(getattr(kind, name) is getattr(says, name) for name in rule)
    return bool(says.elementwise and inherits)


def _read_gradient(parameter: Tensor) -> Array | None:
    """The gradient of a parameter as an array of its dtype, if there is one.

    Raises ValueError if it has another shape, or the parameter cannot be written to.
    """
    if parameter.grad is None:
        return None
    if not parameter.array.flags.writeable:
        raise ValueError(f"{describe(parameter)} {_READ_ONLY}")
    gradient = np.asarray(unwrap(parameter.grad), parameter.dtype)
    if gradient.shape != parameter.shape:
        raise ValueError(
            f"{describe(parameter)} has a gradient of shape {gradient.shape}; "
            "the shapes must be the same: set grad to None, and let backward() fill it"
        )
    return gradient


def _check_parameters(params: Any) -> list[Tensor]:
    """The Tensors of `params`; raises TypeError or ValueError if they cannot be trained."""
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
                f"{at} was given before, at position {positions[parameter]}; give it once, "
                "or each step would change it twice"
            )
        if not parameter.is_leaf:
            raise ValueError(
                f"{at} was computed by {parameter.op!r}; train the leaves that it was computed from"
            )
        if not (parameter.requires_grad or parameter.is_frozen):  # frozen: may be trained again
            raise ValueError(
                f"{at} requires no gradient; make it with requires_grad=True, or leave it out"
            )
        if not isinstance(parameter.data, np.ndarray):
            raise TypeError(
                f"{at} holds {type(parameter.data).__name__}; an optimiser changes "
                "NumPy arrays in place, so make the parameter from one"
            )
        if not parameter.data.flags.writeable:
            raise ValueError(f"{at} {_READ_ONLY}")
        positions[parameter] = position
        names.append(name)
    if not positions:
        raise ValueError(
            "there are no parameters to train; a generator such as model.parameters() is empty "
            "after its first use, and a parameter needs requires_grad=True"
        )
    for parameter, name in zip(positions, names, strict=True):
        parameter.name = parameter.name or name
    return list(positions)
