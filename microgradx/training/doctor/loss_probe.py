"""How a loss is computed from a model's output: seen in the graph of one evaluation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from microgradx.arrays.types import Array
from microgradx.checking.anomaly_diagnosis import walk_ancestors
from microgradx.engine import Tensor, as_tensor

__all__ = ["LossProbe"]

#: The losses whose argument is a row of numbers for each label ...
LABEL_LOSSES = ("cross_entropy", "nll_loss", "focal_loss")
#: ... and those of predictions in the shape of the target.
BINARY_LOSSES = ("binary_cross_entropy_with_logits",)
ERROR_LOSSES = ("mse_loss", "l1_loss", "huber_loss", "smooth_l1_loss")


class LossProbe:
    """One evaluation of loss(model(X), y), and what its graph shows.

    output: the model's. argument: what entered the loss function, the output or a function of it.
    kind: the name of the loss function in the graph, or "" if it is none of the package's.
    settings: of the op cross_entropy, or {}.
    """

    def __init__(self, model: Any, loss: Callable[[Any, Any], Any], X: Array, y: Array) -> None:
        try:
            output = model(X)
        except (ValueError, TypeError, IndexError) as error:
            raise type(error)(f"the model does not take X of shape {X.shape}: {error}") from error
        self.output: Tensor = as_tensor(output)
        try:
            value = loss(output, y)
        except (ValueError, TypeError, IndexError) as error:
            raise type(error)(
                f"the loss does not take an output of shape {self.output.shape} and y of shape "
                f"{y.shape}: {error}"
            ) from error
        self.value: Tensor = as_tensor(value)
        self.ancestors = list(walk_ancestors(self.value)) if self.value.op is not None else []
        self.kind, self.argument = self._find_argument()
        self.settings = self._find_settings()

    def _find_argument(self) -> tuple[str, Tensor]:
        for tensor in sorted(self.ancestors, key=lambda t: -t.sequence_number):
            for scope in tensor.scopes:
                if scope.name in (*LABEL_LOSSES, *BINARY_LOSSES, *ERROR_LOSSES):
                    return scope.name, self._argument_of(tensor, scope.start)
        return "", self.output

    def _argument_of(self, result: Tensor, start: int) -> Tensor:
        """The newest result from before a call, of those that the call's result came from."""
        before = [t for t in walk_ancestors(result) if t.sequence_number <= start]
        computed = [t for t in before if t.op is not None or t is self.output]
        return max(computed, key=lambda t: t.sequence_number, default=self.output)

    def _find_settings(self) -> dict[str, Any]:
        for tensor in self.ancestors:
            if tensor.op is not None and tensor.op.name == "softmax_cross_entropy":
                return dict(vars(tensor.op))
        return {}

    @property
    def axis(self) -> int:
        """The axis of classes of the argument, as the loss takes it."""
        return int(self.settings.get("axis", -1)) % max(self.argument.ndim, 1)

    @property
    def is_sum(self) -> bool:
        """Whether the loss is a sum over the rows, not a mean."""
        return self.settings.get("reduction") == "sum"

    def find_labels(self, y: Array) -> Array | None:
        """Labels as whole numbers from 0, if the loss is a classifier's."""
        shape = self.output.shape
        if y.ndim == 1 and y.dtype.kind in "iub" and self.kind not in ERROR_LOSSES:
            is_label = self.kind in (*LABEL_LOSSES, *BINARY_LOSSES) or len(shape) == 2
            return y.astype(int) if is_label and y.min() >= 0 else None
        if self.kind in BINARY_LOSSES and y.size == len(y) and np.isin(y, (0, 1)).all():
            return y.reshape(-1).astype(int)
        if y.ndim == 2 and y.shape == shape and y.shape[1] > 1 and self.kind in LABEL_LOSSES:
            return np.argmax(y, axis=1)
        return None
