"""How error messages speak of Tensors and ops."""

from __future__ import annotations

from typing import Any

import numpy as np


def described(x: Any) -> str:
    """A Tensor or array in a message: its name if it has one, dtype and shape."""
    name = getattr(x, "name", None)
    return f"{f'Tensor {name!r}' if name else 'a Tensor'} ({x.dtype}, shape {x.shape})"


def listed(inputs: tuple[Any, ...]) -> str:
    """The inputs of an op in a message."""
    return " and ".join(f"{x.name or x.dtype} {x.shape}" for x in inputs)


def explained(error: Exception, where: str) -> Exception:
    """An error of NumPy's again, of its kind, that also says which op met it, on which inputs."""
    kinds = (np.exceptions.AxisError, IndexError, ValueError, TypeError)
    kind = next(kind for kind in kinds if isinstance(error, kind))
    return kind(f"{where}: {error}")
