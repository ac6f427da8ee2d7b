"""Clipping of gradients by their global norm, for each replica apart."""

import torch
from torch import Tensor

from sandtable.training.optimizers import Tensors, along


def clip_by_norm(gradients: Tensors, threshold: Tensor) -> tuple[Tensors, Tensor]:
    """Scale the gradient of each replica to a norm of at most its threshold (Pascanu et al., arXiv 1211.5063).

    Args:
        gradients: By parameter, each [R, ...].
        threshold: [R], positive.

    Returns:
        The gradients, and their Euclidean norms over all parameters before clipping, [R].
    """
    norm = torch.stack([gradient.flatten(1).square().sum(-1) for gradient in gradients.values()], -1).sum(-1).sqrt()
    scale = (threshold.to(norm.dtype) / (norm + 1e-6)).clamp(max=1)
    return {name: gradient * along(scale, gradient) for name, gradient in gradients.items()}, norm
