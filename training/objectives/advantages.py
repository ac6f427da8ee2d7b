"""Advantages of actions, from rewards and values: generalised advantage estimation, also off-policy."""

import torch
from torch import Tensor


def generalised_advantages(
    reward: Tensor,
    value: Tensor,
    next_value: Tensor,
    terminated: Tensor,
    ended: Tensor,
    discount: float,
    trace: float,
    ratio: Tensor | None = None,
) -> Tensor:
    """Return how much better each action was than its state's value promised (Schulman et al., arXiv 1506.02438).

    ``A_t = d_t + discount trace ratio_{t+1} A_{t+1}`` within an episode, with the temporal difference
    ``d_t = reward_t + discount next_value_t - value_t``. After a termination nothing follows, so ``next_value`` does
    not count; after a truncation it is the value of the last observation. The ratios make it the per-decision
    importance weighted estimate from data of another policy (Precup et al., ICML 2000).

    Args:
        reward: [T, ...], one axis of time in front.
        value: [T, ...], of the state in which each action was taken.
        next_value: [T, ...], of the state to which it led, before any restart.
        terminated: bool [T, ...].
        ended: bool [T, ...], terminated or truncated.
        discount: In [0, 1].
        trace: lambda, in [0, 1]: 0 trusts the values, 1 the rewards.
        ratio: [T, ...], probability of each action under the policy that is asked about over that under the data's.

    Returns:
        [T, ...].
    """
    difference = reward + discount * torch.where(terminated, 0, next_value) - value
    decay = torch.where(ended, 0.0, discount * trace).to(reward.dtype)
    if ratio is not None:
        decay = decay * torch.cat([ratio[1:], torch.ones_like(ratio[:1])])
    advantage = torch.empty_like(difference)
    follows = torch.zeros_like(difference[0])
    for now, own, kept in reversed(list(zip(advantage.unbind(), difference.unbind(), decay.unbind(), strict=True))):
        follows = torch.addcmul(own, kept, follows, out=now)
    return advantage


def weights_before(ratio: Tensor, ended: Tensor) -> Tensor:
    """Return the product of the ratios of all earlier actions of the same episode, [T, ...]; 1 for the first action."""
    weight = torch.ones_like(ratio)
    for t in range(1, len(ratio)):
        weight[t] = torch.where(ended[t - 1], 1.0, weight[t - 1] * ratio[t - 1])
    return weight
