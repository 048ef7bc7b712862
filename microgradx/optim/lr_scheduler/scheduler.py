"""What schedulers share: the epoch, the learning rates of the groups, and the state."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

from microgradx.arrays.types import Array
from microgradx.common.flat_state import from_array, refuse_misfits, require_mapping, to_array
from microgradx.optim.optimizer import Optimizer
from microgradx.optim.parameter_groups import ParameterGroup, as_plain, check_setting

__all__ = ["LRScheduler", "check_count", "check_factor"]


class LRScheduler:
    """The base of schedulers: a subclass writes `get_lr`, the learning rates of an epoch.

    A scheduler sets the learning rate of each parameter group for the first epoch when it is made,
    and for the next at each `step()`: call it after the optimiser's. Whether an epoch is a pass
    over the data or a batch is for the caller to say. `last_epoch` counts from 0; to go on after
    epoch k without a saved state, give `last_epoch=k` and groups that have "initial_lr".

    In `get_lr`, `self.last_epoch` is the epoch, `self.base_lrs` are the groups' learning rates when
    the first scheduler was made, and `group["lr"]` of `self.optimizer.param_groups` is that of the
    epoch before, which others may have changed.

    >>> import microgradx as mg
    >>> class Halving(mg.optim.lr_scheduler.LRScheduler):
    ...     def get_lr(self):
    ...         return [base_lr / 2**self.last_epoch for base_lr in self.base_lrs]
    >>> optimizer = mg.optim.SGD([mg.Tensor(0.0, requires_grad=True)], lr=0.4)
    >>> scheduler = Halving(optimizer)
    >>> scheduler.step()
    >>> scheduler.get_last_lr()
    [0.2]

    Raises TypeError for anything but an optimiser, and ValueError for settings that cannot be.
    """

    #: The attributes that a state holds besides the epoch and the learning rates.
    saved: tuple[str, ...] = ()
    #: The settings of a group that it changes.
    scheduled: tuple[str, ...] = ("lr",)

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        if not isinstance(optimizer, Optimizer):
            raise TypeError(
                f"a scheduler takes an optimiser of microgradx.optim, not "
                f"{type(optimizer).__name__}"
            )
        self.check_settings()
        if last_epoch != -1:
            check_count("last_epoch", last_epoch)
            for k, group in enumerate(optimizer.param_groups):
                if "initial_lr" not in group:
                    raise ValueError(
                        f"parameter group {k} has no 'initial_lr', which last_epoch={last_epoch} "
                        "needs; load the optimiser's state first, or set group['initial_lr']"
                    )
        self.optimizer = optimizer
        self.last_epoch = last_epoch
        self.base_lrs: list[float] = []
        self._is_initial = False
        self._take_initial_step()

    def check_settings(self) -> None:
        """Raise TypeError or ValueError for attributes that cannot be."""

    def get_lr(self) -> list[float]:
        """The learning rate of each group in the epoch `last_epoch`."""
        raise NotImplementedError(f"{type(self).__name__} has no get_lr(self)")

    def get_closed_form_lr(self) -> list[float]:
        """The same from `last_epoch` and `base_lrs` alone, as `SequentialLR` begins a schedule."""
        return self.get_lr()

    def get_last_lr(self) -> list[float]:
        """The learning rate of each group as this scheduler left it."""
        return list(self._last_lr)

    def step(self) -> None:
        """Go to the next epoch. If that raises, everything stays as it is."""
        self._go_to(self.last_epoch + 1, self.get_lr)

    # ------------------------------------------------------------------ epochs

    def _take_initial_step(self) -> None:
        self._is_initial = True
        self.step()
        self._is_initial = False

    def _undo_initial_step(self) -> None:
        self.last_epoch -= 1

    def _restart(self) -> None:
        """Begin with epoch 0, whatever the learning rates are now."""
        self._go_to(0, self.get_closed_form_lr)

    def _go_to(self, epoch: int, get_lr: Callable[[], list[float]]) -> None:
        self._find_base_lrs()
        before, self.last_epoch = self.last_epoch, epoch
        try:
            self._write(get_lr())
        except BaseException:
            self.last_epoch = before
            raise

    def _find_base_lrs(self) -> None:
        """Read the first learning rates of the groups that are new."""
        for group in self.optimizer.param_groups[len(self.base_lrs) :]:
            self.base_lrs.append(group.setdefault("initial_lr", group["lr"]))

    def _write(self, lrs: list[float]) -> None:
        groups = self.optimizer.param_groups
        if len(lrs) != len(groups):
            raise ValueError(
                f"this {type(self).__name__} is for {len(lrs)} parameter groups, and the optimiser "
                f"has {len(groups)}; add groups before the scheduler is made"
            )
        lrs = [check_setting("lr", as_plain(lr)) for lr in lrs]
        for group, lr in zip(groups, lrs, strict=True):
            group["lr"] = lr
        self._last_lr = [group["lr"] for group in groups]

    def _for_groups(self, name: str, value: Any) -> list[float]:
        """A number for each group, of one for all or a list."""
        count = len(self.optimizer.param_groups)
        values = list(value) if isinstance(value, (list, tuple)) else [value] * count
        if len(values) != count:
            raise ValueError(f"{name} has {len(values)} numbers for {count} parameter groups")
        return [check_setting(name, as_plain(each)) for each in values]

    # ------------------------------------------------------------------ state

    def state_dict(self) -> dict[str, Array]:
        """A copy of settings and state: a flat dict of names and arrays, which `np.savez` writes.

        Functions are not in it.
        """
        return {name: to_array(name, value) for name, value in self._list_entries().items()}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Restore what `state_dict` returned, or `np.load` of a file that `np.savez` made of it.

        The groups of the optimiser get the learning rates that they had then. Raises ValueError,
        which lists all differences, and changes nothing if the state does not fit.
        """
        require_mapping(state_dict, "scheduler")
        entries = self._list_entries()
        misfits = [f"{name} is unexpected" for name in state_dict if name not in entries]
        values: dict[str, Any] = {}
        for name, present in entries.items():
            if name not in state_dict:
                misfits.append(f"{name} is missing")
                continue
            values[name] = from_array(state_dict[name])
            if not _is_like(values[name], present):
                misfits.append(f"{name} is {values[name]!r} and must be like {present!r}")
        if not misfits:
            misfits = self._find_misfits(values)
        refuse_misfits(misfits, self, "make the scheduler as it was when its state was saved")
        self._restore(values)

    def _list_entries(self) -> dict[str, Any]:
        """The entries of a state, by name."""
        names = ("last_epoch", "base_lrs", *self.saved)
        groups = self.optimizer.param_groups
        return {
            **{name: getattr(self, name) for name in names},
            "last_lr": self._last_lr,
            **{f"groups.{name}": [group[name] for group in groups] for name in self.scheduled},
        }

    def _find_misfits(self, values: Mapping[str, Any]) -> list[str]:
        """What is wrong with entries that are of the right kinds."""
        other = copy.copy(self)
        vars(other).update({name: values[name] for name in self.saved})
        misfits = []
        try:
            check_count("last_epoch", values["last_epoch"], least=-1)
            other.check_settings()
            for k, group in enumerate(self.optimizer.param_groups):
                changes = {name: values[f"groups.{name}"][k] for name in self.scheduled}
                ParameterGroup(group.kind).replace_settings({**group, **changes})
        except (TypeError, ValueError) as error:
            misfits.append(str(error))
        return misfits

    def _restore(self, values: Mapping[str, Any]) -> None:
        for name in ("last_epoch", "base_lrs", *self.saved):
            setattr(self, name, values[name])
        self._last_lr = values["last_lr"]
        for k, group in enumerate(self.optimizer.param_groups):
            for name in self.scheduled:
                group[name] = values[f"groups.{name}"][k]
        for group, base_lr in zip(self.optimizer.param_groups, self.base_lrs, strict=False):
            group["initial_lr"] = base_lr

    def __repr__(self) -> str:
        settings = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.saved)
        return f"{type(self).__name__}({settings})"


def _is_like(value: Any, present: Any) -> bool:
    """Whether a value is of the kind of the present one, and as long."""
    if isinstance(present, (list, tuple)):
        return (
            isinstance(value, list)
            and len(value) == len(present)
            and all(map(_is_like, value, present))
        )
    if type(present) in (int, float):
        return type(value) in (int, float)
    return type(value) is type(present)


def check_count(name: str, value: Any, *, least: int = 0) -> None:
    """Raise TypeError or ValueError unless a value is a whole number of at least `least`."""
    if type(value) is not int:
        raise TypeError(f"{name} must be a whole number, not {value!r}")
    if value < least:
        raise ValueError(f"{name} must be at least {least}, not {value}")


def check_factor(name: str, value: Any) -> None:
    """Raise TypeError or ValueError unless a value is a number from 0 to 1."""
    if check_setting(name, value) > 1:
        raise ValueError(f"{name} must be at most 1, not {value}")
