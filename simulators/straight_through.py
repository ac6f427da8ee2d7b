"""The straight-through estimator as an autograd function, so that its forward value keeps the exact bits."""

from typing import Any

import torch


class StraightThrough(torch.autograd.Function):
    """Forward: the first argument. Backward: the whole gradient goes to the second."""

    @staticmethod
    def forward(context: Any, exact: torch.Tensor, relaxed: torch.Tensor) -> torch.Tensor:
        """Return ``exact`` as it is."""
        return exact.clone()

    @staticmethod
    def backward(context: Any, *gradients: torch.Tensor) -> tuple[None, torch.Tensor]:
        """Hand the gradient to ``relaxed``."""
        return None, gradients[0]
