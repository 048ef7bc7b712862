"""What optimisers share: groups of parameters, their states, and the loop over them."""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from microgradx.arrays.pytorch_habits import refuse_arguments
from microgradx.arrays.types import Array, unwrap
from microgradx.common.messages import describe
from microgradx.engine import Tensor
from microgradx.optim.flat_parameters import FlatParameters, flatten
from microgradx.optim.optimizer_state import pack_state, unpack_state
from microgradx.optim.parameter_groups import (
    READ_ONLY,
    ParameterGroup,
    as_plain,
    check_betas,
    check_group,
    check_setting,
    list_groups,
    read_parameters,
)

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["Optimizer", "check_betas", "check_setting"]


class Optimizer:
    """The base of optimisers: a subclass writes `update`, the rule for one parameter.

    `params` are Tensors, or pairs of name and Tensor; a Tensor without a name takes the name in
    its pair. Or they are groups with settings of their own, `[{"params": tensors, "lr": 0.1}, …]`;
    a setting that a group leaves out is the optimiser's. `param_groups` is the list of the groups:
    `group["lr"] = 0.01`, between steps, is for the next step. With one group, `lr` and the other
    settings are attributes too. Parameters are changed in place, so several optimisers may share
    them, and `p.data = v` is allowed between steps.

    A subclass names its settings in `hyperparameters`, passes their values to `__init__`, and
    reads them in `update` as attributes: they are those of the group whose parameter is updated.

    `elementwise = True` says that `update` treats each number by itself, so that it may be called
    once for all small parameters of a group: their arrays then become views of one flat array
    (unless something else refers to them), and steps take less time. Without it, `update` is called
    for each parameter. Subclasses inherit it, but one that overrides `update`, or another method of
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
    given twice, one that is not a leaf or does not require gradients, for a negative `lr`, and for
    a setting that there is not.
    """

    #: The names of the settings, which are both attributes and arguments.
    hyperparameters: tuple[str, ...] = ("lr",)
    #: What `update` keeps in the state of a parameter: arrays like the `w` that it is given ...
    buffers: tuple[str, ...] = ()
    #: ... and integers.
    counters: tuple[str, ...] = ()
    #: Whether `update` treats each number by itself.
    elementwise: bool = False

    #: Another number after each change of a setting.
    settings_version = 0

    lr: float
    # Of the optimisers that have them:
    weight_decay: float
    maximize: bool

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        refuse_arguments(cls.__name__, cls.__init__, kwargs)
        return super().__new__(cls)

    def __init__(self, params: Iterable[Any], lr: float, **settings: Any) -> None:
        given = {name: getattr(self, name, None) for name in self.hyperparameters}
        given |= {"lr": lr, **settings}
        #: The settings of a group that has none of its own.
        self.defaults = {name: as_plain(x) for name, x in given.items() if x is not None}
        ParameterGroup(type(self)).replace_settings(self.defaults)  # which checks them
        self.param_groups: list[ParameterGroup] = []
        self.params: list[Tensor] = []
        #: The state of each parameter, in their order: empty until its first step.
        self.state: list[dict[str, Any]] = []
        self.flat_parameters: list[FlatParameters] = []
        for group in list_groups(params):
            self.add_param_group(group)
        if not self.params:
            raise ValueError("there are no parameters to train; all groups are empty")

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in self.hyperparameters or "param_groups" not in vars(self):
            super().__setattr__(name, value)
        elif name not in self.defaults:  # while the optimiser is made
            self.defaults[name] = as_plain(value)
            for group in self.param_groups:
                group.setdefault(name, value)
        elif len(self.param_groups) == 1:
            self.param_groups[0][name] = value
        else:
            raise ValueError(
                f"there are {len(self.param_groups)} parameter groups; set {name} of each: "
                f"for group in optimizer.param_groups: group[{name!r}] = {value!r}"
            )

    def __getattr__(self, name: str) -> Any:
        """A setting, where there are several groups: the one that they share."""
        values = [group[name] for group in vars(self).get("param_groups", ()) if name in group]
        if not values or name not in self.hyperparameters:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        if any(value != values[0] for value in values):
            raise ValueError(
                f"the parameter groups differ in {name}, which is {', '.join(map(repr, values))}; "
                f"read optimizer.param_groups[i][{name!r}]"
            )
        return values[0]

    def _expose_settings(self, group: Mapping[str, Any] | None) -> None:
        """Let the attributes, which `update` reads, be the settings of a group, or of none."""
        for name in self.hyperparameters:
            if group is not None and name in group:
                vars(self)[name] = group[name]
            else:
                vars(self).pop(name, None)

    def _expose_only_group(self) -> None:
        groups = self.param_groups
        self._expose_settings(groups[0] if len(groups) == 1 else None)
        self.settings_version += 1

    @classmethod
    def check_settings(cls, settings: Mapping[str, Any]) -> None:
        """Raise TypeError or ValueError for settings that cannot be. A subclass checks its own."""
        check_setting("lr", settings["lr"])

    def add_param_group(self, param_group: Mapping[str, Any]) -> None:
        """Add a group, {"params": tensors}, with its settings, which are else the defaults.

        Raises, before anything is changed, for what the constructor refuses.
        """
        groups = self.param_groups
        check_group(param_group, len(groups))
        where = f" of group {len(groups)}" if groups or len(param_group) > 1 else ""
        known = {
            tensor: f"{position} of group {k}"
            for k, group in enumerate(groups)
            for position, tensor in enumerate(group["params"])
        }
        group = ParameterGroup(type(self))
        try:
            group.replace_settings({**self.defaults, **param_group})
        except (TypeError, ValueError) as error:
            raise type(error)(f"{error}{where and f', in the settings{where}'}") from None
        tensors = read_parameters(param_group["params"], known, where)
        dict.update(group, params=tensors)
        # New lists, as compiled steps ask whether these are the ones that they know.
        self.param_groups = [*groups, group]
        self.params = [*self.params, *tensors]
        self.state = [*self.state, *({} for _ in tensors)]
        self._flatten(group)

    def _flatten(self, *groups: ParameterGroup) -> None:
        """Let the small parameters of new groups become views of flat arrays."""
        if _is_elementwise(type(self)):
            positions = {tensor: position for position, tensor in enumerate(self.params)}
            self.flat_parameters = self.flat_parameters + [
                flat
                for group in groups
                for flat in flatten({positions[t]: t for t in group["params"]}, group)
            ]
        flat_positions = {i for flat in self.flat_parameters for i in flat.positions}
        self._others = [i for i in range(len(self.params)) if i not in flat_positions]
        self._group_of = [group for group in self.param_groups for _ in group["params"]]
        expose = weakref.WeakMethod(self._expose_only_group)
        for group in self.param_groups:
            group.on_change = lambda: method() if (method := expose()) else None
        self._expose_only_group()

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

    def add_weight_decay(self, w: Array, g: Array) -> Array:
        """The gradient of what is minimised: of the negative to maximise, and of λ w² / 2."""
        if self.maximize:
            g = -g
        return g + self.weight_decay * w if self.weight_decay else g

    def step(self) -> None:
        """Update each parameter that has a gradient. `backward` then refuses graphs that used it.

        Raises ValueError, before anything is changed, for a gradient of another shape.
        """
        together, one_by_one = [], self._others
        for flat in self.flat_parameters:
            if flat.gather(self.state):
                together.append(flat)
            else:
                one_by_one = one_by_one + flat.positions
        gradients = {i: _read_gradient(self.params[i]) for i in one_by_one}
        has_several_groups = len(self.param_groups) > 1
        try:
            for flat in together:
                if has_several_groups:
                    self._expose_settings(flat.group)
                self.apply_update(flat.values, flat.gradients, flat.state)
                flat.sync_state(self.state)
            for i, gradient in gradients.items():
                if gradient is not None:
                    if has_several_groups:
                        self._expose_settings(self._group_of[i])
                    self.apply_update(self.params[i].array, gradient, self.state[i])
                    self.params[i].mark_changed()
        finally:
            if has_several_groups:
                self._expose_settings(None)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Set the gradients of the parameters to None, or those that there are to zeros."""
        for parameter in self.params:
            keep = not set_to_none and parameter.grad is not None
            parameter.grad = np.zeros_like(parameter.data) if keep else None

    def with_settings(self, settings: Mapping[str, Any]) -> Self:
        """A shallow copy whose `update` reads these settings, which may be traced numbers."""
        other = object.__new__(type(self))
        vars(other).update(vars(self))
        other._expose_settings(settings)
        return other

    def state_dict(self) -> dict[str, Array]:
        """A copy of settings and state: a flat dict of names and arrays, which `np.savez` writes.

        The setting "lr" of the first group is at "param_groups.0.lr", and what `update` keeps for
        a parameter under the parameter's name, as in "state.0.weight.m".
        """
        return pack_state(self)

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Restore what `state_dict` returned, or `np.load` of a file that `np.savez` made of it.

        The optimiser must be of the same class, with as many groups of the same parameters, by
        name. Raises ValueError, which lists all differences, and changes nothing if names are
        missing or unexpected, or if shapes, kinds of numbers or settings do not fit.
        """
        settings, states = unpack_state(self, state_dict)
        for group, values in zip(self.param_groups, settings, strict=True):
            group.replace_settings(values)
        self.state = states

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "flat_parameters": []}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._flatten(*self.param_groups)  # copies of parameters have arrays of their own

    def __repr__(self) -> str:
        texts = [
            ", ".join(f"{name}={group[name]!r}" for name in self.hyperparameters)
            for group in self.param_groups
        ]
        if len(texts) > 1:
            texts = [f"\n  group {k}: {text}" for k, text in enumerate(texts)] + ["\n"]
        return f"{type(self).__name__}({''.join(texts)})"


def _is_elementwise(kind: type[Optimizer]) -> bool:
    """Whether a class says so, or inherits it together with all methods of the rule."""
    says: Any = next(cls for cls in kind.__mro__ if "elementwise" in vars(cls))
    rule = {"update", "add_weight_decay"}
    rule |= {name for name in dir(says) if not hasattr(Optimizer, name)}
    inherits = all(getattr(kind, name) is getattr(says, name) for name in rule)
    return bool(says.elementwise and inherits)


def _read_gradient(parameter: Tensor) -> Array | None:
    """The gradient of a parameter as an array of its dtype, if there is one.

    Raises ValueError if it has another shape, or the parameter cannot be written to.
    """
    if parameter.grad is None:
        return None
    if not parameter.array.flags.writeable:
        raise ValueError(f"{describe(parameter)} {READ_ONLY}")
    gradient = np.asarray(unwrap(parameter.grad), parameter.dtype)
    if gradient.shape != parameter.shape:
        raise ValueError(
            f"{describe(parameter)} has a gradient of shape {gradient.shape}; "
            "the shapes must be the same: set grad to None, and let backward() fill it"
        )
    return gradient
