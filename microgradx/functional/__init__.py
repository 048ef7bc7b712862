"""Softmax, log-softmax, and the losses of classifiers and of regressions, composed of ops.

Each takes arrays or Tensors. Arrays in, arrays out; a Tensor anywhere in, a Tensor out.
"""

from microgradx.functional.binary_classification import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
)
from microgradx.functional.classification import cross_entropy, focal_loss, kl_div, nll_loss
from microgradx.functional.probabilities import log_softmax, logsumexp, softmax, softmin
from microgradx.functional.regression import huber_loss, l1_loss, mse_loss, smooth_l1_loss

__all__ = [
    "softmax",
    "softmin",
    "log_softmax",
    "logsumexp",
    "cross_entropy",
    "nll_loss",
    "focal_loss",
    "kl_div",
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "mse_loss",
    "l1_loss",
    "huber_loss",
    "smooth_l1_loss",
]
