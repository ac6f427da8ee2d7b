"""The compiled rollouts as a differentiable function of the levels, for torch."""

from typing import Any

import numpy as np
import torch
from torch.autograd.function import once_differentiable

from sandtable.simulators.inventory.kernels.rollout import OrderUpTo, rollout, rollout_drawn
from sandtable.simulators.inventory.lost_sales import LostSales
from sandtable.simulators.inventory.process import InventoryProcess, InventoryState


def total_reward(
    world: InventoryProcess,
    start: InventoryState | np.ndarray,
    policy: OrderUpTo,
    *,
    episode: Any = 0,
    discount: float = 1.0,
) -> torch.Tensor:
    """Return the discounted reward of each row over the horizon, differentiable in the level and the cap.

    The exact adjoint, found by the kernel on the way: it agrees with autograd through ``world.step`` off the ties, and
    keeps two numbers a row instead of a tape. It cannot be differentiated twice.

    Args:
        world: See ``kernels.rollout``.
        start: A state of numpy arrays, N rows; or, for ``LostSales``, int64 keys [N], whose demand is drawn on the way.
        policy: Tensors on the CPU, or numbers; one for all rows, or [N].
        episode: Which episode of the keys.
        discount: Worth of next period's money.

    Returns:
        [N], in the world's element type.

    Raises:
        ImportError: numba is not installed.
        ValueError: See ``kernels.rollout``.
    """
    rows = len(start.key) if isinstance(start, InventoryState) else len(start)
    element = getattr(torch, world.dtype)
    tensors = (None if value is None else torch.as_tensor(value, dtype=element) for value in policy)
    level, cap, reorder_point = (
        None if tensor is None else tensor.expand(rows) if tensor.ndim == 0 else tensor for tensor in tensors
    )
    if reorder_point is not None and reorder_point.requires_grad:
        raise ValueError("the reward jumps in the reorder point, so it has no gradient there; detach it")

    def play(gradient: bool) -> Any:
        levels = OrderUpTo(*(None if x is None else x.detach().numpy() for x in (level, cap, reorder_point)))
        if isinstance(start, InventoryState):
            return rollout(world, start, levels, discount=discount, gradient=gradient)
        if not isinstance(world, LostSales):
            raise ValueError(f"{type(world).__name__} is played from a state, not from keys: world.reset(key)")
        return rollout_drawn(world, start, levels, episode=episode, discount=discount, gradient=gradient)

    reward: torch.Tensor = _TotalReward.apply(play, level, cap)
    return reward


class _TotalReward(torch.autograd.Function):
    """The rollout; its slopes by row are found going forward, where any is needed."""

    @staticmethod
    def forward(context: Any, play: Any, level: torch.Tensor, cap: torch.Tensor | None) -> torch.Tensor:
        done = play(any(context.needs_input_grad))
        if done.gradient is not None:
            slopes = (slope for slope in done.gradient[:2] if slope is not None)
            context.save_for_backward(*(torch.from_numpy(slope) for slope in slopes))
        return torch.from_numpy(done.reward)

    @staticmethod
    @once_differentiable
    def backward(context: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        slopes = [gradients[0] * slope for slope in context.saved_tensors]
        return None, slopes[0], slopes[1] if len(slopes) > 1 else None
