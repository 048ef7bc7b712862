"""A small reverse-mode autograd engine on NumPy that shows what it does.

`Tensor`, the ops and the losses are here. `nn`, `optim`, `data` and `metrics` are modules of their
own, and like `draw` and `gradcheck` are loaded when they are first used: `import microgradx` loads
NumPy and nothing else that is heavy.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from microgradx.common import keyboard_interrupt  # first, as Ctrl-C may come during the others

# isort: split
from microgradx.arrays.pytorch_habits import INSTEAD_OF_NAME, hint_at_attribute
from microgradx.common.memory import release_memory
from microgradx.common.threads import get_num_threads, set_num_threads
from microgradx.engine import Op, Tensor, as_tensor
from microgradx.functional import *
from microgradx.graph.displays import displays
from microgradx.graph.grad_mode import enable_grad, is_grad_enabled, no_grad
from microgradx.ops.activations import *
from microgradx.ops.convolution import *
from microgradx.ops.decompositions import *
from microgradx.ops.elementwise import *
from microgradx.ops.indexing import *
from microgradx.ops.linalg import *
from microgradx.ops.normalisation import *
from microgradx.ops.norms import *
from microgradx.ops.numerical_analysis import *
from microgradx.ops.products import *
from microgradx.ops.rearrangements import *
from microgradx.ops.reductions import *
from microgradx.ops.shapes import *
from microgradx.ops.softmax import *
from microgradx.ops.statistics import *

if TYPE_CHECKING:
    from microgradx import autograd, data, metrics, nn, optim
    from microgradx.checking.anomaly import AnomalyError, detect_anomaly
    from microgradx.checking.gradients import GradcheckError, gradcheck
    from microgradx.checking.op_requirements import OpCheckError, check_op
    from microgradx.common.randomness import manual_seed
    from microgradx.compiler.compiled import compile
    from microgradx.compiler.tracing import CaptureError
    from microgradx.data.tables import read_table
    from microgradx.sampling import gumbel_max, sample
    from microgradx.show.explanation import explain
    from microgradx.show.graphs.drawing import draw, draw_dot
    from microgradx.show.reliability import plot_reliability
    from microgradx.show.softmax_page import explain_softmax
    from microgradx.training.calibration import TemperatureScaling, VectorScaling
    from microgradx.training.doctor import diagnose, lr_range_test
    from microgradx.training.history import History
    from microgradx.training.loop import fit
    from microgradx.training.prediction import evaluate, predict, predict_proba
    from microgradx.transforms import grad, hessian, hvp, jacobian, jvp, value_and_grad, vjp

# What is loaded at its first use, and from where.
_LAZY = {
    "CaptureError": "microgradx.compiler.tracing",
    "compile": "microgradx.compiler.compiled",
    "AnomalyError": "microgradx.checking.anomaly",
    "detect_anomaly": "microgradx.checking.anomaly",
    "GradcheckError": "microgradx.checking.gradients",
    "gradcheck": "microgradx.checking.gradients",
    "OpCheckError": "microgradx.checking.op_requirements",
    "check_op": "microgradx.checking.op_requirements",
    "manual_seed": "microgradx.common.randomness",
    "read_table": "microgradx.data.tables",
    "sample": "microgradx.sampling",
    "TemperatureScaling": "microgradx.training.calibration",
    "VectorScaling": "microgradx.training.calibration",
    "gumbel_max": "microgradx.sampling",
    "diagnose": "microgradx.training.doctor.examination",
    "lr_range_test": "microgradx.training.doctor.examination",
    "draw": "microgradx.show.graphs.drawing",
    "draw_dot": "microgradx.show.graphs.drawing",
    "explain": "microgradx.show.explanation",
    "explain_softmax": "microgradx.show.softmax_page",
    "plot_reliability": "microgradx.show.reliability",
    "fit": "microgradx.training.loop",
    "History": "microgradx.training.history",
    **dict.fromkeys(("evaluate", "predict", "predict_proba"), "microgradx.training.prediction"),
    **dict.fromkeys(
        ("grad", "value_and_grad", "vjp", "jvp", "jacobian", "hessian", "hvp"),
        "microgradx.transforms",
    ),
}
_LAZY_MODULES = ("autograd", "data", "metrics", "nn", "optim", "training")


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        value = getattr(importlib.import_module(_LAZY[name]), name)
    elif name in _LAZY_MODULES:
        value = importlib.import_module(f"microgradx.{name}")
    else:
        message = hint_at_attribute("module 'microgradx'", name, INSTEAD_OF_NAME["microgradx"])
        raise AttributeError(message)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    private = {"Any", "INSTEAD_OF_NAME", "TYPE_CHECKING", "annotations", "importlib"}
    private |= {"hint_at_attribute", "keyboard_interrupt"}
    return sorted({*globals(), *_LAZY, *_LAZY_MODULES} - private)


def _at_first_use(module: str, name: str) -> Any:
    """A function of a module that is loaded when it is called."""

    def call(*args: Any, **kwargs: Any) -> Any:
        return getattr(importlib.import_module(module), name)(*args, **kwargs)

    return call


# What the methods of Tensor of these names call, and History.plot.
for _name, _module in (
    ("draw", "graphs.drawing"),
    ("explain", "explanation"),
    ("steps", "step_text"),
    ("plot_history", "plots"),
):
    displays[_name] = _at_first_use(f"microgradx.show.{_module}", _name)
displays["diagnose"] = _at_first_use("microgradx.training.doctor.examination", "diagnose_history")
