"""What those who come from PyTorch write out of habit, and what is written here instead.

Array functions have NumPy's names and arguments. These tables only serve error messages.
"""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

__all__ = [
    "INSTEAD_OF_ATTRIBUTE",
    "INSTEAD_OF_MODULE_ATTRIBUTE",
    "INSTEAD_OF_NAME",
    "MissingAttribute",
    "hint_at_arguments",
    "hint_at_attribute",
    "hint_at_names",
    "refuse_arguments",
    "takes_axis",
    "wrong_arguments",
]

F = TypeVar("F", bound=Callable[..., Any])

_NO_DEVICE = "leave it out: arrays are NumPy's, in the computer's own memory"

#: In place of an argument of PyTorch's.
INSTEAD_OF_ARGUMENT = {
    "dim": "it is called axis=, as in NumPy",
    "dims": "it is called axis=, as in NumPy",
    "keepdim": "it is called keepdims=, as in NumPy",
    "inplace": "leave it out: nothing is changed in place; write x = f(x)",
    "unbiased": "write ddof=1 for unbiased=True, ddof=0 for unbiased=False",
    "correction": "it is called ddof=, as in NumPy",
    "device": _NO_DEVICE,
    "descending": "write np.sort(-t), with another sign",
    "beta": "nn.functional.softplus has it",
    "threshold": "nn.functional.softplus has it",
    "sparse": "leave it out: gradients are arrays",
    "max_norm": "scale the rows yourself: t.data = t.data / norms (of a leaf)",
    "scale_grad_by_freq": "divide the rows of the gradient by np.bincount(indices)",
    "add_bias_kv": "join a row that is learnt to key and value, by np.concatenate",
    "add_zero_attn": "join a row of zeros to key and value, by np.concatenate",
    "proj_size": "apply a Linear to the outputs",
    "size_average": "it is called reduction=",
    "reduce": "it is called reduction=",
    **dict.fromkeys(
        ("foreach", "fused", "capturable", "differentiable"),
        "leave it out: small parameters are updated together as they are",
    ),
}

#: In place of a method or attribute of PyTorch's Tensors, or of a function of its root.
INSTEAD_OF_ATTRIBUTE = {
    "view": "t.reshape(shape)",
    "view_as": "t.reshape(other.shape)",
    "reshape_as": "t.reshape(other.shape)",
    "permute": "t.transpose(axes), or np.transpose(t, axes)",
    "unsqueeze": "np.expand_dims(t, axis), or t[:, None]",
    "expand": "np.broadcast_to(t, shape)",
    "expand_as": "np.broadcast_to(t, other.shape)",
    "t": "t.T",
    "mm": "a @ b",
    "bmm": "a @ b",
    "matmul": "a @ b",
    "mv": "a @ b",
    "ger": "np.outer(a, b)",
    "pow": "t ** p",
    "neg": "-t",
    "add": "a + b",
    "sub": "a - b",
    "mul": "a * b",
    "div": "a / b",
    "rsqrt": "1 / np.sqrt(t)",
    "clamp": "np.clip(t, min, max)",
    "norm": "np.linalg.norm(t, axis=axis)",
    "cat": "np.concatenate(tensors, axis)",
    "chunk": "np.split(t, sections, axis)",
    "unbind": "list(t)",
    "masked_fill": "np.where(mask, value, t)",
    "masked_select": "t[mask]",
    "index_select": "np.take(t, indices, axis)",
    "gather": "np.take_along_axis(t, indices, axis)",
    "scatter": "t.at[index].set(values)",
    "scatter_add": "t.at[index].add(values)",
    "topk": "np.sort(t)[..., -k:]",
    "eq": "a == b",
    "ne": "a != b",
    "lt": "a < b",
    "gt": "a > b",
    "le": "a <= b",
    "ge": "a >= b",
    "numel": "t.size",
    "nelement": "t.size",
    "dim": "t.ndim",
    "clone": "t.copy()",
    "contiguous": "t itself: arrays of any layout are taken",
    "to": "t.astype(dtype); there are no devices",
    "type": "t.astype(dtype)",
    "type_as": "t.astype(other.dtype)",
    "float": "t.astype(np.float32)",
    "double": "t.astype(np.float64)",
    "half": "t.astype(np.float16)",
    "int": "t.astype(np.int32)",
    "long": "t.astype(np.int64)",
    "bool": "t.astype(bool)",
    "cpu": "t itself: there are no devices",
    "cuda": "t itself: there are no devices",
    "device": "t itself: there are no devices",
    "is_cuda": "t itself: there are no devices",
    "grad_fn": "t.op",
    "detach_": "t.detach()",
    "zero_": "t.data = 0 * t.data (of a leaf)",
    "fill_": "t.data = np.full(t.shape, value) (of a leaf)",
    "copy_": "t.data = values (of a leaf)",
    "add_": "t.data = t.data + other (of a leaf)",
    "sub_": "t.data = t.data - other (of a leaf)",
    "mul_": "t.data = t.data * other (of a leaf)",
    "div_": "t.data = t.data / other (of a leaf)",
    # Of its root alone:
    "tensor": "mg.Tensor(data, requires_grad=True)",
    "from_numpy": "mg.as_tensor(array)",
    "zeros": "mg.Tensor(np.zeros(shape))",
    "ones": "mg.Tensor(np.ones(shape))",
    "empty": "mg.Tensor(np.empty(shape))",
    "full": "mg.Tensor(np.full(shape, value))",
    "eye": "mg.Tensor(np.eye(n))",
    "arange": "mg.Tensor(np.arange(n, dtype=float))",
    "rand": "mg.Tensor(np.random.default_rng(0).random(shape))",
    "randn": "mg.Tensor(np.random.default_rng(0).normal(size=shape))",
    "save": "np.savez(path, **model.state_dict())",
    "load": "model.load_state_dict(np.load(path))",
}

_NO_DEVICES_OF_MODULES = "the module itself: there are no devices"
_DTYPE_OF_MODULES = "dtype=… where its layers are made, such as nn.Linear(4, 3, dtype=np.float64)"

#: In place of a method of PyTorch's Modules, or of a model of Keras, Lightning or scikit-learn.
INSTEAD_OF_MODULE_ATTRIBUTE = {
    **dict.fromkeys(
        ("cuda", "cpu", "xpu", "mps", "device", "share_memory"), _NO_DEVICES_OF_MODULES
    ),
    **dict.fromkeys(("float", "double", "half", "bfloat16", "type"), _DTYPE_OF_MODULES),
    "dtype": "parameter.dtype, of each of its parameters()",
    "to": f"{_NO_DEVICES_OF_MODULES}; or {_DTYPE_OF_MODULES}",
    "fit": "mg.fit(model, (X, y))",
    "evaluate": "mg.evaluate(model, (X, y))",
    "score": 'mg.evaluate(model, (X, y), metrics=["accuracy"])',
    "predict": "mg.predict(model, X)",
    "predict_proba": "mg.predict_proba(model, X)",
    "compile": "mg.compile(model, loss, optimizer)",
    "save": "np.savez(path, **model.state_dict())",
    "save_weights": "np.savez(path, **model.state_dict())",
    "load": "model.load_state_dict(np.load(path))",
    "load_weights": "model.load_state_dict(np.load(path))",
    "get_weights": "model.state_dict()",
    "set_weights": "model.load_state_dict(state)",
    "count_params": "sum(p.size for p in model.parameters())",
    "num_parameters": "sum(p.size for p in model.parameters())",
    "register_module": "model.add_module(name, module)",
    "register_parameter": "self.name = mg.Tensor(data, requires_grad=True)",
    **dict.fromkeys(
        ("register_forward_hook", "register_forward_pre_hook"),
        "what it does into the module's forward, or that of a subclass",
    ),
    **dict.fromkeys(
        ("register_full_backward_hook", "register_backward_hook"),
        "t.register_hook(function), of a Tensor in forward",
    ),
}

_ADAM = "optim.Adam or optim.AdamW"
_OWN_LAYER = "it as a subclass of nn.Module with a forward"

#: In place of a name in one of the package's modules.
INSTEAD_OF_NAME: dict[str, dict[str, str]] = {
    "microgradx": {
        **INSTEAD_OF_ATTRIBUTE,
        "inference_mode": "mg.no_grad()",
        "set_grad_enabled": "mg.no_grad() or mg.enable_grad()",
        "get_default_dtype": "dtype=… where Tensors and layers are made",
        "set_default_dtype": "dtype=… where Tensors and layers are made",
        "is_tensor": "isinstance(x, mg.Tensor)",
        "randint": "np.random.default_rng(0).integers(low, high, shape)",
        "randperm": "np.random.default_rng(0).permutation(n)",
        "Generator": "np.random.default_rng(0)",
        "multinomial": "mg.sample(logits)",
        "utils": "mg.data or mg.nn.utils",
        "Module": "mg.nn.Module",
        "Parameter": "mg.Tensor(data, requires_grad=True)",
        "DataLoader": "mg.data.batches(X, y, batch_size)",
        **{name: f"np.{name}" for name in ("float16", "float32", "float64", "int32", "int64")},
    },
    "microgradx.nn": {
        "Parameter": "mg.Tensor(data, requires_grad=True)",
        "ParameterList": "a list of Tensors that require gradients",
        "ParameterDict": "a dict of Tensors that require gradients",
        "Buffer": "self.register_buffer(name, array)",
        **dict.fromkeys(
            ("GroupNorm", "InstanceNorm1d", "InstanceNorm2d"),
            "nn.LayerNorm, of x.reshape(…) with an axis for each group",
        ),
        **dict.fromkeys(
            ("BatchNorm3d", "SyncBatchNorm", "Conv3d", "ConvTranspose1d", "ConvTranspose2d"),
            _OWN_LAYER,
        ),
        **dict.fromkeys(("Dropout1d", "Dropout2d", "Dropout3d", "AlphaDropout"), "nn.Dropout"),
        **dict.fromkeys(
            ("LazyLinear", "LazyConv2d"), "the layer without Lazy: its sizes are given"
        ),
        **dict.fromkeys(
            ("Transformer", "TransformerEncoderLayer", "TransformerDecoderLayer"),
            "it of nn.MultiheadAttention, nn.LayerNorm and nn.Linear",
        ),
        **dict.fromkeys(("DataParallel",), "the module itself: there are no devices"),
        "Softmax2d": "nn.Softmax(axis=1)",
        "Unflatten": "x.reshape(shape)",
        "Upsample": "np.repeat(x, scale, axis)",
        "ZeroPad2d": "np.pad(x, widths)",
        "EmbeddingBag": "nn.Embedding, and a mean or sum along its axis",
    },
    "microgradx.optim": {
        **dict.fromkeys(("Adamax", "NAdam", "RAdam", "Adadelta", "SparseAdam", "Muon"), _ADAM),
        **dict.fromkeys(("Rprop", "ASGD"), "optim.SGD"),
        "LBFGS": f"{_ADAM}; or scipy.optimize.minimize, with mg.value_and_grad(f) and jac=True",
    },
    "microgradx.data": {
        "DataLoader": "mg.data.batches(X, y, batch_size)",
        **dict.fromkeys(
            ("Dataset", "TensorDataset", "Subset"), "arrays X and y themselves, or mg.data.Table"
        ),
        "random_split": "mg.data.train_test_split(X, y)",
    },
}


def hint_at_attribute(
    owner: str, name: str, hints: Mapping[str, str] = INSTEAD_OF_ATTRIBUTE
) -> str:
    """The message of an AttributeError: that `owner` has no such attribute, and what to write."""
    instead = hints.get(name)
    return f"{owner} has no attribute {name!r}" + (f"; write {instead}" if instead else "")


def hint_at_names(module: str) -> None:
    """Let one of the package's modules say what to write for names that only PyTorch's has.

    Its `__getattr__` is set here, where type checkers do not see it: to them it would be any name.
    """

    def refuse(name: str) -> Any:
        raise AttributeError(hint_at_attribute(f"module {module!r}", name, INSTEAD_OF_NAME[module]))

    vars(sys.modules[module])["__getattr__"] = refuse


class MissingAttribute:
    """An attribute of PyTorch's objects that there is not: the error says what to write."""

    def __init__(self, name: str, hints: Mapping[str, str] = INSTEAD_OF_ATTRIBUTE) -> None:
        self.name, self.hints = name, hints

    def __get__(self, instance: Any, owner: type) -> Any:
        kind = (
            f"type object {owner.__name__!r}" if instance is None else f"{owner.__name__!r} object"
        )
        message = hint_at_attribute(kind, self.name, self.hints)
        raise AttributeError(message, name=self.name, obj=instance)


def refuse_arguments(name: str, function: Callable[..., Any], given: Iterable[str]) -> None:
    """Raise TypeError for arguments by name that only PyTorch's function has."""
    parameters = inspect.signature(function).parameters
    if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return
    for argument in given:
        if argument not in parameters and argument in INSTEAD_OF_ARGUMENT:
            raise TypeError(f"{name} has no argument {argument}=; {INSTEAD_OF_ARGUMENT[argument]}")


def wrong_arguments(name: str, arity: int, inputs: Any, settings: Iterable[str]) -> TypeError:
    """The error for a call of an op, which takes `arity` inputs and no arguments by name."""
    for argument in settings:
        instead = INSTEAD_OF_ARGUMENT.get(argument, "its inputs are given by position")
        return TypeError(f"{name} has no argument {argument}=; {instead}")
    return TypeError(f"{name} takes {arity} inputs, not {len(inputs)}")


def takes_axis(function: Any) -> bool:
    """Whether a function has an argument `axis`, which PyTorch calls `dim`."""
    code = getattr(inspect.unwrap(function), "__code__", None)
    return (
        code is not None and "axis" in code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    )


def hint_at_arguments(function: F) -> F:
    """Let a function that is given an argument of PyTorch's say what it is called here."""

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except TypeError:
            refuse_arguments(function.__qualname__, function, kwargs)
            raise

    return call  # type: ignore[return-value]
