"""Groups of parameters, each with settings of its own."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, MutableMapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from microgradx.common.messages import describe
from microgradx.engine import Tensor

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = [
    "READ_ONLY",
    "ParameterGroup",
    "as_plain",
    "check_betas",
    "check_group",
    "check_setting",
    "list_groups",
    "read_parameters",
]

READ_ONLY = (
    "has an array that is read-only, and an optimiser changes it in place; make the parameter from "
    "a copy, which mg.Tensor(array, requires_grad=True) takes"
)


class ParameterGroup(dict[str, Any]):
    """A dict of the settings of a group, such as "lr", and of its parameters, "params".

    A setting that is written is checked at once, and the next step takes it. A scheduler adds
    "initial_lr".
    """

    def __init__(
        self,
        kind: Any,
        entries: Mapping[str, Any] | None = None,
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(entries or {})
        #: The class of the optimiser, which knows its settings.
        self.kind = kind
        #: Called when a setting was written.
        self.on_change = on_change

    def __setitem__(self, name: str, value: Any) -> None:
        if name == "params":
            raise ValueError(
                "the parameters of a group stay the same; give new ones to "
                "optimizer.add_param_group({'params': …})"
            )
        self.replace_settings({**self, name: value})

    def __delitem__(self, name: str) -> None:
        raise ValueError(f"{name!r} cannot be left out of a group; write another value instead")

    # A dict's own would not go through the two above.
    update = MutableMapping.update
    setdefault = MutableMapping.setdefault
    pop, popitem, clear = MutableMapping.pop, MutableMapping.popitem, MutableMapping.clear

    def __ior__(self, other: Any) -> Self:  # type: ignore[override,misc]
        self.update(other)
        return self

    def replace_settings(self, settings: Mapping[str, Any]) -> None:
        """Take all settings from another dict; raises, before anything changes, if one is wrong."""
        names = self.kind.hyperparameters
        for name in settings:
            if name not in (*names, "initial_lr", "params"):
                raise ValueError(
                    f"{self.kind.__name__} has no setting {name!r}; its settings are "
                    f"{', '.join(names)}"
                )
        plain = {name: as_plain(value) for name, value in settings.items() if name != "params"}
        if all(name in plain for name in names):
            self.kind.check_settings(plain)
        if "initial_lr" in plain:
            check_setting("initial_lr", plain["initial_lr"])
        dict.update(self, plain)
        self.on_change()

    def __reduce__(self) -> Any:
        return type(self), (self.kind, dict(self))


def as_plain(value: Any) -> Any:
    """A setting in Python's numbers: NumPy's scalars would turn float32 arrays into float64."""
    if isinstance(value, (np.generic, np.ndarray)):
        value = value.tolist()
    return tuple(map(as_plain, value)) if isinstance(value, (list, tuple)) else value


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


def check_betas(betas: Any) -> None:
    """Raise TypeError or ValueError unless these are two numbers in [0, 1)."""
    if np.shape(betas) != (2,):
        raise ValueError(f"betas must be two numbers, such as (0.9, 0.999), not {betas!r}")
    for i, beta in enumerate(betas):
        check_setting(f"betas[{i}]", beta, below=1)


# ---------------------------------------------------------------------------- parameters


def list_groups(params: Any) -> list[Mapping[str, Any]]:
    """The groups that an optimiser is given: dicts, or parameters that are one group."""
    if isinstance(params, Tensor) or not isinstance(params, Iterable):
        raise TypeError(
            f"params must be several Tensors, not {type(params).__name__}; "
            "write model.parameters(), or a list of Tensors"
        )
    if isinstance(params, Mapping):
        raise TypeError("params must be a list of groups, not one dict; write [group]")
    items = list(params)
    if not items:
        raise ValueError(
            "there are no parameters to train; a generator such as model.parameters() is empty "
            "after its first use, and a parameter needs requires_grad=True"
        )
    if not any(isinstance(item, Mapping) for item in items):
        return [{"params": items}]
    for position, item in enumerate(items):
        check_group(item, position)
    return items


def check_group(group: Any, position: int) -> None:
    """Raise TypeError for what is no group."""
    if not isinstance(group, Mapping) or "params" not in group:
        raise TypeError(
            f"parameter group {position} is no dict with 'params', but {group!r}; "
            "write {'params': model.parameters(), 'lr': 0.1}"
        )


def read_parameters(params: Any, known: Mapping[Tensor, str], where: str = "") -> list[Tensor]:
    """The Tensors of a group, which take the names that they are paired with.

    `known` are those of earlier groups, with their places; `where` is the end of the places of
    these. Raises TypeError or ValueError for what cannot be trained.
    """
    items = list(params) if isinstance(params, Iterable) and not isinstance(params, Tensor) else []
    if isinstance(params, Tensor):
        items = [params]
    elif not items and not isinstance(params, Sequence):
        raise ValueError(
            f"there are no parameters{where}; a generator such as model.parameters() is empty "
            "after its first use"
        )
    places = dict(known)
    names: dict[Tensor, str | None] = {}
    for position, item in enumerate(items):
        is_named = isinstance(item, tuple) and len(item) == 2 and isinstance(item[0], str)
        name, parameter = item if is_named else (None, item)
        if not isinstance(parameter, Tensor):
            raise TypeError(
                f"parameter {position}{where} is not a Tensor but {type(parameter).__name__}; "
                "write model.parameters(), or a list of Tensors"
            )
        at = f"parameter {position}{where}, {describe(parameter)},"
        if parameter in places:
            raise ValueError(
                f"{at} was given before, at position {places[parameter]}; give it once, "
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
            raise ValueError(f"{at} {READ_ONLY}")
        places[parameter] = f"{position}{where}"
        names[parameter] = name
    for parameter, name in names.items():
        parameter.name = parameter.name or name
    return list(names)
