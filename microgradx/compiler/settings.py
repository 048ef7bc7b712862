"""The settings of an optimiser: constants of a program, or arguments if they change."""

from __future__ import annotations

from typing import Any

from microgradx.optim.optimizer import Optimizer

__all__ = ["SettingsWatch"]


class SettingsWatch:
    """Which settings are arguments of the programs: the learning rate, and what is scheduled.

    A setting is scheduled if it was seen to change. The programs branch on whether it is 0, as
    updates do, and on all that is not a number.
    """

    def __init__(self, optimizer: Optimizer) -> None:
        self.optimizer = optimizer
        self.scheduled = {"lr"}
        self._can_schedule = True
        self._find_fixed()
        self._seen = self._read_fixed()

    def _find_fixed(self) -> None:
        names = self.optimizer.hyperparameters
        self._fixed = [name for name in names if name not in self.scheduled]
        self._branching = sorted(self.scheduled - {"lr"})
        # The key, and the version of the settings that it is of.
        self._key: tuple[Any, ...] = ()
        self._version = -1

    def _read_fixed(self) -> list[tuple[Any, ...]]:
        return [tuple(map(group.get, self._fixed)) for group in self.optimizer.param_groups]

    def read_key(self) -> tuple[Any, ...]:
        """What a program depends on: equal as long as it fits."""
        optimizer = self.optimizer
        if self._version != optimizer.settings_version or self._key[0] is not optimizer.__class__:
            truths = [
                _truth(group[name]) for group in optimizer.param_groups for name in self._branching
            ]
            self._key = optimizer.__class__, optimizer.hyperparameters, *self._read_fixed(), *truths
            self._version = optimizer.settings_version
        return self._key

    def find_scheduled(self) -> None:
        """Add the numbers that have changed since the last time to what is scheduled."""
        before, after = self._seen, self._read_fixed()
        if before != after and len(before) == len(after) and self._can_schedule:
            pairs = [pair for pair in zip(before, after, strict=True) if pair[0] != pair[1]]
            self.scheduled |= {
                name
                for old, new in pairs
                for name, x, y in zip(self._fixed, old, new, strict=True)
                if x != y and _is_number(x) and _is_number(y)
            }
            self._find_fixed()
            after = self._read_fixed()
        self._seen = after

    def stop_scheduling(self) -> bool:
        """Make all but the learning rate constants again, from now on; False if they were."""
        were_constants = self.scheduled == {"lr"}
        self.scheduled, self._can_schedule = {"lr"}, False
        self._find_fixed()
        return not were_constants


def _is_number(value: Any) -> bool:
    if isinstance(value, tuple):
        return bool(value) and all(map(_is_number, value))
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _truth(value: Any) -> Any:
    return tuple(map(bool, value)) if isinstance(value, tuple) else bool(value)
