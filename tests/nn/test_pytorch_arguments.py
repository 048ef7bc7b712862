"""Where PyTorch takes arguments by position, the same order or none; its habits get a hint."""

import functools
import inspect
import operator
import re
import sys

import numpy as np
import pytest

import microgradx as mg
from microgradx import nn, optim
from microgradx.arrays.pytorch_habits import (
    INSTEAD_OF_ATTRIBUTE,
    INSTEAD_OF_MODULE_ATTRIBUTE,
    INSTEAD_OF_NAME,
)
from microgradx.nn import functional as F
from microgradx.ops import activations
from tests.helpers import leaf

# The arguments that PyTorch takes by position; those that `import torch` says are compared below.
PYTORCH = {
    "optim": {
        "SGD": "params lr momentum dampening weight_decay nesterov",
        "Adam": "params lr betas eps weight_decay amsgrad",
        "AdamW": "params lr betas eps weight_decay amsgrad",
        "RMSprop": "params lr alpha eps weight_decay momentum centered",
        "Adagrad": "params lr lr_decay weight_decay initial_accumulator_value eps",
    },
    "nn": {
        "Linear": "in_features out_features bias device dtype",
        "Dropout": "p inplace",
        "Flatten": "start_dim end_dim",
        "Identity": "args kwargs",
        "Conv1d": "in_channels out_channels kernel_size stride padding dilation groups bias"
        " padding_mode device dtype",
        "Conv2d": "in_channels out_channels kernel_size stride padding dilation groups bias"
        " padding_mode device dtype",
        "MaxPool1d": "kernel_size stride padding dilation return_indices ceil_mode",
        "MaxPool2d": "kernel_size stride padding dilation return_indices ceil_mode",
        "AvgPool1d": "kernel_size stride padding ceil_mode count_include_pad",
        "AvgPool2d": "kernel_size stride padding ceil_mode count_include_pad divisor_override",
        "AdaptiveAvgPool1d": "output_size",
        "AdaptiveAvgPool2d": "output_size",
        "BatchNorm1d": "num_features eps momentum affine track_running_stats device dtype",
        "BatchNorm2d": "num_features eps momentum affine track_running_stats device dtype",
        "LayerNorm": "normalized_shape eps elementwise_affine bias device dtype",
        "RMSNorm": "normalized_shape eps elementwise_affine device dtype",
        "ModuleList": "modules",
        "ModuleDict": "modules",
        "ReLU": "inplace",
        "Tanh": "",
        "Sigmoid": "",
        "Softplus": "beta threshold",
        "ReLU6": "inplace",
        "LeakyReLU": "negative_slope inplace",
        "PReLU": "num_parameters init device dtype",
        "RReLU": "lower upper inplace",
        "ELU": "alpha inplace",
        "CELU": "alpha inplace",
        "SELU": "inplace",
        "GELU": "approximate",
        "SiLU": "inplace",
        "Mish": "inplace",
        "LogSigmoid": "",
        "Hardsigmoid": "inplace",
        "Hardswish": "inplace",
        "Hardtanh": "min_val max_val inplace",
        "Tanhshrink": "",
        "Softsign": "",
        "Softshrink": "lambd",
        "Hardshrink": "lambd",
        "Threshold": "threshold value inplace",
        "GLU": "dim",
        "Softmin": "dim",
        "Softmax": "dim",
        "LogSoftmax": "dim",
        "Bilinear": "in1_features in2_features out_features bias device dtype",
        "MultiheadAttention": "embed_dim num_heads dropout bias add_bias_kv add_zero_attn kdim vdim"
        " batch_first device dtype",
        "RNNCell": "input_size hidden_size bias nonlinearity device dtype",
        "GRUCell": "input_size hidden_size bias device dtype",
        "LSTMCell": "input_size hidden_size bias device dtype",
        "RNN": "input_size hidden_size num_layers nonlinearity bias batch_first dropout"
        " bidirectional",
        "GRU": "input_size hidden_size num_layers bias batch_first dropout bidirectional",
        "LSTM": "input_size hidden_size num_layers bias batch_first dropout bidirectional",
        "Embedding": "num_embeddings embedding_dim padding_idx max_norm norm_type"
        " scale_grad_by_freq sparse _weight _freeze device dtype",
        "KLDivLoss": "size_average reduce reduction log_target",
        "BCELoss": "weight size_average reduce reduction",
        "CrossEntropyLoss": "weight size_average ignore_index reduce reduction label_smoothing",
        "MSELoss": "size_average reduce reduction",
        "L1Loss": "size_average reduce reduction",
        "SmoothL1Loss": "size_average reduce reduction beta",
        "HuberLoss": "reduction delta",
        "NLLLoss": "weight size_average ignore_index reduce reduction",
        "BCEWithLogitsLoss": "weight size_average reduce reduction pos_weight",
    },
    "nn.init": {
        "calculate_gain": "nonlinearity param",
        "uniform_": "tensor a b generator",
        "normal_": "tensor mean std generator",
        "trunc_normal_": "tensor mean std a b generator",
        "constant_": "tensor val",
        "ones_": "tensor",
        "zeros_": "tensor",
        "eye_": "tensor",
        "dirac_": "tensor groups",
        "xavier_uniform_": "tensor gain generator",
        "xavier_normal_": "tensor gain generator",
        "kaiming_uniform_": "tensor a mode nonlinearity generator",
        "kaiming_normal_": "tensor a mode nonlinearity generator",
        "orthogonal_": "tensor gain generator",
        "sparse_": "tensor sparsity std generator",
    },
    "nn.functional": {
        "linear": "input weight bias",
        "bilinear": "input1 input2 weight bias",
        "dropout": "input p training inplace",
        "scaled_dot_product_attention": "query key value attn_mask dropout_p is_causal scale"
        " enable_gqa",
        "conv1d": "input weight bias stride padding dilation groups",
        "conv2d": "input weight bias stride padding dilation groups",
        "max_pool1d": "input kernel_size stride padding dilation ceil_mode return_indices",
        "max_pool2d": "input kernel_size stride padding dilation ceil_mode return_indices",
        "adaptive_avg_pool1d": "input output_size",
        "adaptive_avg_pool2d": "input output_size",
        "avg_pool1d": "input kernel_size stride padding ceil_mode count_include_pad",
        "avg_pool2d": "input kernel_size stride padding ceil_mode count_include_pad"
        " divisor_override",
        "batch_norm": "input running_mean running_var weight bias training momentum eps",
        "layer_norm": "input normalized_shape weight bias eps",
        "rms_norm": "input normalized_shape weight eps",
        "embedding": "input weight padding_idx max_norm norm_type scale_grad_by_freq sparse",
        "one_hot": "input num_classes",
        "relu": "input inplace",
        "relu6": "input inplace",
        "leaky_relu": "input negative_slope inplace",
        "elu": "input alpha inplace",
        "selu": "input inplace",
        "celu": "input alpha inplace",
        "prelu": "input weight",
        "rrelu": "input lower upper training inplace",
        "hardsigmoid": "input inplace",
        "hardswish": "input inplace",
        "softsign": "input",
        "tanhshrink": "input",
        "softshrink": "input lambd",
        "hardshrink": "input lambd",
        "threshold": "input threshold value inplace",
        "glu": "input dim",
        "softmin": "input dim _stacklevel dtype",
        "silu": "input inplace",
        "mish": "input inplace",
        "hardtanh": "input min_val max_val inplace",
        "gelu": "input approximate",
        "softplus": "input beta threshold",
        "sigmoid": "input",
        "logsigmoid": "input",
        "tanh": "input",
        "softmax": "input dim _stacklevel dtype",
        "log_softmax": "input dim _stacklevel dtype",
        "cross_entropy": "input target weight size_average ignore_index reduce reduction"
        " label_smoothing",
        "nll_loss": "input target weight size_average ignore_index reduce reduction",
        "binary_cross_entropy_with_logits": "input target weight size_average reduce reduction"
        " pos_weight",
        "kl_div": "input target size_average reduce reduction log_target",
        "mse_loss": "input target size_average reduce reduction weight",
        "l1_loss": "input target size_average reduce reduction weight",
        "huber_loss": "input target reduction delta weight",
        "smooth_l1_loss": "input target size_average reduce reduction beta",
        "binary_cross_entropy": "input target weight size_average reduce reduction",
    },
}
OWN = {"Optimizer", "Module", "Sequential", "MLP"}  # of no or of any arguments
OWN |= {"functional", "init", "utils", "lr_scheduler"}
OWN |= {"FocalLoss", "focal_loss", "Lion"}  # PyTorch has none
OWN |= {"clip_grad_norm_", "clip_grad_value_"}  # PyTorch has them in nn.utils alone
OWN |= {"he_normal", "he_uniform", "glorot_normal", "glorot_uniform"}  # PyTorch's fill a tensor

# In PyTorch's words, and where another one cannot be taken for it.
SYNONYMS = {"axis": "dim", "x": "input", "logits": "input", "log_probabilities": "input"}
SYNONYMS |= {"labels": "input"}
HARMLESS = {
    ("Dropout", "generator"),  # True, for inplace, is refused, as it is no generator
    ("softmin", "temperature"),
    ("Softmin", "temperature"),
    ("softmax", "temperature"),  # nobody passes _stacklevel
    ("log_softmax", "temperature"),
    ("Softmax", "temperature"),  # PyTorch's has no second one
    ("LogSoftmax", "temperature"),
}
ACTIVATIONS = [name for name in activations.__all__ if name in F.__all__] + ["tanh"]
PUBLIC = [
    *[("optim", name) for name in optim.__all__ if name not in OWN],
    *[("nn", name) for name in nn.__all__ if name not in OWN],
    *[("nn.init", name) for name in nn.init.__all__],
    *[("nn.functional", name) for name in F.__all__ if name not in OWN],
]


def positional_names(function):
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return [p.name for p in inspect.signature(function).parameters.values() if p.kind in kinds]


@pytest.mark.parametrize(("room", "name"), PUBLIC)
def test_arguments_by_position_are_in_pytorchs_order(room, name):
    assert name in PYTORCH[room], "say what PyTorch takes by position"
    module = operator.attrgetter(room)(mg)
    theirs = PYTORCH[room][name].split()
    for i, argument in enumerate(positional_names(getattr(module, name))):
        if (name, argument) not in HARMLESS:
            assert theirs[i : i + 1] == [SYNONYMS.get(argument, argument)]


@pytest.mark.parity
@pytest.mark.parametrize(("room", "name"), [(r, n) for r, names in PYTORCH.items() for n in names])
def test_the_table_is_pytorchs(room, name):
    torch = pytest.importorskip("torch")
    module = operator.attrgetter(room)(torch)
    try:
        theirs = positional_names(getattr(module, name))
    except ValueError:  # written in C, without a signature
        return
    written = PYTORCH[room][name].split()
    assert not theirs or theirs[: len(written)] == written  # some take *args, and pass them on


def test_sgd_by_position():
    """Weight decay, which was once taken for nesterov."""
    optimizer = optim.SGD([leaf([1.0])], 0.1, 0.9, 0, 1e-4)
    assert (optimizer.weight_decay, optimizer.nesterov) == (1e-4, False)
    assert optim.SGD([leaf([1.0])], 0.1, 0.9, 0, 1e-4, True).nesterov


# ---------------------------------------------------------------------------- activations


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_take_pytorchs_names(name):
    x = np.linspace(-3, 3, 14)
    needed = {"prelu": {"weight": 0.3}, "threshold": {"threshold": 0.5, "value": -1.0}}
    ours, theirs = (
        functools.partial(getattr(module, name), **needed.get(name, {})) for module in (mg, F)
    )
    w, v = leaf(x), leaf(x)
    ours(w).sum().backward()
    theirs(input=v).sum().backward()
    np.testing.assert_array_equal(v.grad, w.grad)
    np.testing.assert_array_equal(theirs(x), ours(x))
    if "inplace" in PYTORCH["nn.functional"][name]:
        np.testing.assert_array_equal(theirs(x, inplace=False), ours(x))
        with pytest.raises(TypeError, match=r"has no inplace=True; .* write x = f\(x\)"):
            theirs(x, inplace=True)


@pytest.mark.parametrize(
    ("name", "settings", "expected"),
    [
        ("leaky_relu", {"negative_slope": 0.5}, lambda x: np.where(x > 0, x, 0.5 * x)),
        ("elu", {"alpha": 2.0}, lambda x: np.where(x > 0, x, 2 * np.expm1(x))),
        ("hardtanh", {"min_val": -2.0, "max_val": 0.5}, lambda x: np.clip(x, -2, 0.5)),
        ("softplus", {"beta": 2.0}, lambda x: np.log1p(np.exp(2 * x)) / 2),
        ("softplus", {"beta": 2}, lambda x: np.log1p(np.exp(2 * x)) / 2),
        ("softplus", {"threshold": 1}, lambda x: np.where(x > 1, x, np.log1p(np.exp(x)))),
        (
            "softplus",
            {"beta": 0.5, "threshold": 1},
            lambda x: np.where(x / 2 > 1, x, 2 * np.log1p(np.exp(x / 2))),
        ),
        ("gelu", {"approximate": "tanh"}, lambda x: mg.gelu(x, "tanh")),
        ("celu", {"alpha": 2.0}, lambda x: np.where(x > 0, x, 2 * np.expm1(x / 2))),
        ("rrelu", {"lower": 0.2, "upper": 0.6}, lambda x: np.where(x > 0, x, 0.4 * x)),
        ("softshrink", {"lambd": 1.0}, lambda x: np.sign(x) * np.maximum(np.abs(x) - 1, 0)),
        ("hardshrink", {"lambd": 1.0}, lambda x: np.where(np.abs(x) > 1, x, 0)),
        ("threshold", {"threshold": 1, "value": 7}, lambda x: np.where(x > 1, x, 7)),
    ],
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_settings_of_activations(name, settings, expected, dtype):
    x = np.linspace(-3, 3, 14).astype(dtype)
    function = getattr(F, name)
    out = function(mg.Tensor(x), **settings)
    assert out.dtype == dtype
    np.testing.assert_allclose(out.data, expected(x), rtol=1e-6)
    assert mg.gradcheck(lambda t: function(t, **settings), x.astype(float))


# ---------------------------------------------------------------------------- hints

x = mg.Tensor(np.ones((2, 3)), requires_grad=True)


@pytest.mark.parametrize(
    ("call", "hint"),
    [
        (lambda: x.sum(dim=1), "Tensor.sum has no argument dim=; it is called axis="),
        (lambda: x.mean(1, keepdim=True), "Tensor.mean has no argument keepdim=.*keepdims="),
        (lambda: x.argmax(dim=0), "Tensor.argmax .* axis="),
        (lambda: x.squeeze(dim=0), "Tensor.squeeze .* axis="),
        (lambda: x.softmax(dim=1), "Tensor.softmax .* axis="),
        (lambda: x.var(unbiased=False), "ddof=0 for unbiased=False"),
        (lambda: mg.sum(x, dim=1), "sum .* axis="),
        (lambda: mg.argmax(x, dim=1), "argmax .* axis="),
        (lambda: mg.stack([x, x], dim=0), "stack .* axis="),
        (lambda: mg.concatenate([x, x], dim=0), "concatenate .* axis="),
        (lambda: mg.logsumexp(x, dim=1), "logsumexp .* axis="),
        (lambda: mg.softmax(x, dim=1), "softmax .* axis="),
        (lambda: F.softmax(x, dim=1), "softmax .* axis="),
        (lambda: F.log_softmax(x.data, dim=1), "log_softmax .* axis="),
        (lambda: nn.Softmax(dim=1), "Softmax .* axis="),
        (lambda: nn.ReLU(inplace=True), r"ReLU has no argument inplace=.*x = f\(x\)"),
        (lambda: nn.Dropout(0.5, inplace=True), "Dropout has no argument inplace="),
        (lambda: nn.Linear(2, 3, device="cuda"), "Linear has no argument device="),
        (lambda: nn.GLU(dim=1), "GLU .* axis="),
        (lambda: nn.Embedding(4, 3, sparse=True), "Embedding has no argument sparse=; leave it"),
        (lambda: nn.MultiheadAttention(4, 2, add_zero_attn=True), r"by np\.concatenate"),
        (lambda: nn.LSTM(4, 3, proj_size=2), "proj_size=; apply a Linear to the outputs"),
        (lambda: nn.MSELoss(size_average=False), "it is called reduction="),
    ],
)
def test_an_argument_of_pytorchs_gets_a_hint(call, hint):
    with pytest.raises(TypeError, match=hint):
        call()


def test_any_other_argument_gets_pythons_message():
    for call in (lambda: x.sum(axes=1), lambda: mg.sum(x, axes=1), lambda: nn.Linear(2, 3, size=1)):
        with pytest.raises(TypeError, match="got an unexpected keyword argument"):
            call()
    with pytest.raises(TypeError, match="takes 1 positional argument"):
        nn.ReLU(True)


@pytest.mark.parametrize(
    "name", ["view", "permute", "unsqueeze", "cuda", "to", "numel", "clone", "t"]
)
def test_a_method_of_pytorchs_gets_a_hint(name):
    with pytest.raises(AttributeError, match=f"'Tensor' object has no attribute '{name}'; write "):
        getattr(x, name)
    assert not hasattr(x, name)


def test_no_hint_is_about_what_exists():
    for name in INSTEAD_OF_ATTRIBUTE:
        assert not hasattr(mg.Tensor, name), name

    for name in INSTEAD_OF_MODULE_ATTRIBUTE:
        assert not hasattr(nn.Module, name), name
    for module, hints in INSTEAD_OF_NAME.items():
        for name in set(hints) - set(INSTEAD_OF_ATTRIBUTE):
            assert not hasattr(sys.modules[module], name), (module, name)


@pytest.mark.parametrize(
    "name", ["cuda", "to", "float", "cpu", "save", "fit", "predict", "predict_proba", "compile"]
)
def test_a_method_of_other_librarys_models_gets_a_hint(name):
    model = nn.MLP(2, [3], 2)
    with pytest.raises(AttributeError, match=f"'MLP' object has no attribute '{name}'; write "):
        getattr(model, name)

    class Net(nn.Module):
        def __getattr__(self, name):
            return "found"

    assert getattr(Net(), name) == "found"
    setattr(model, name, "mine")
    assert getattr(model, name) == "mine"
    with pytest.raises(AttributeError, match=r"'MLP' object has no attribute 'fitt'$"):
        model.fitt  # noqa: B018


@pytest.mark.parametrize(
    ("module", "name", "instead"),
    [
        (nn, "Parameter", "mg.Tensor"),
        (nn, "GroupNorm", "nn.LayerNorm"),
        (mg.optim, "LBFGS", "optim.Adam"),
        (mg.data, "DataLoader", "mg.data.batches"),
        (mg.data, "random_split", "mg.data.train_test_split"),
        (mg, "inference_mode", r"mg\.no_grad\(\)"),
        (mg, "set_grad_enabled", r"mg\.no_grad\(\) or mg\.enable_grad\(\)"),
    ],
)
def test_a_name_of_torchs_modules_gets_a_hint(module, name, instead):
    message = f"module '{module.__name__}' has no attribute '{name}'; write {instead}"
    with pytest.raises(AttributeError, match=message):
        getattr(module, name)
    with pytest.raises(AttributeError, match=r"has no attribute 'Nothing'$"):
        module.Nothing  # noqa: B018


def test_what_hints_name_exists():
    tables = [INSTEAD_OF_MODULE_ATTRIBUTE, *INSTEAD_OF_NAME.values()]
    for hint in {hint for table in tables for hint in table.values()}:
        for path in re.findall(r"\b((?:mg|np|nn|optim)(?:\.\w+)+)", hint):
            value = {"mg": mg, "np": np, "nn": nn, "optim": mg.optim}[path.split(".")[0]]
            for name in path.split(".")[1:]:
                value = getattr(value, name)
        for method in re.findall(r"\b(?:model|self)\.(\w+)\(", hint):
            assert hasattr(nn.Module, method), hint


def test_functions_of_torch_get_a_hint():
    with pytest.raises(AttributeError, match=r"has no attribute 'cat'; write np\.concatenate"):
        mg.cat  # noqa: B018
    with pytest.raises(AttributeError, match=r"has no attribute 'catt'$"):
        mg.catt  # noqa: B018
    with pytest.raises(AttributeError, match=r"'Tensor' object has no attribute 'smu'$"):
        x.smu  # noqa: B018


def test_hints_do_not_hide_what_a_subclass_takes():
    class Pool(nn.Module):
        def __init__(self, dim, **settings):
            self.dim, self.settings = dim, settings

        def forward(self, x):
            return x.sum(self.dim)

    assert Pool(dim=1, inplace=True)(x).shape == (2,)
