"""What PyTorch has under this name: the clipping of gradients."""

from microgradx.clipping import clip_grad_norm_, clip_grad_value_

__all__ = ["clip_grad_norm_", "clip_grad_value_"]
