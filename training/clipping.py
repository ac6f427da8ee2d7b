"""Clipping of gradients by their global norm, for each replica apart."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from sandtable.training.optimizers import Tensors, along, on_host


def clip_by_norm(gradients: Tensors, threshold: Tensor) -> tuple[Tensors, Tensor]:
    """Scale the gradient of each replica to a norm of at most its threshold (Pascanu et al., arXiv 1211.5063).

    Args:
        gradients: By parameter, each [R, ...].
        threshold: [R], positive.

    Returns:
        The gradients, and their Euclidean norms over all parameters before clipping, [R].
    """
    squares = [gradient.flatten(1).square().sum(-1) for gradient in gradients.values()]
    total = squares[0] if len(squares) == 1 else torch.stack(squares, -1).sum(-1)
    if on_host(total):
        found = _scale(np, total.numpy(), threshold.numpy())
        norm, scale = torch.from_numpy(found[0]), torch.from_numpy(found[1])
    else:
        norm, scale = _scale(torch, total, threshold)
    return {name: gradient * along(scale, gradient) for name, gradient in gradients.items()}, norm


def _scale(xp: Any, total: Any, threshold: Any) -> tuple[Any, Any]:
    """Return the norms, and what brings them to the threshold at most, [R], of the sums of squares."""
    norm = xp.sqrt(total)
    return norm, xp.clip(xp.asarray(threshold, dtype=norm.dtype) / (norm + 1e-6), None, 1)
