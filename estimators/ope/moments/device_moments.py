"""Moments of torch tensors, in float64 on the device where they are."""

import numpy as np
import torch

from sandtable.simulators.errors import InputError
from sandtable.simulators.ope.moments import Moments, NextFeatures

CHUNK_BYTES = 2**28
"""Of a chunk of float64 features: what is converted at once."""


def moments_of_tensors(
    features: torch.Tensor,
    next_features: torch.Tensor,
    reward: torch.Tensor,
    *,
    weight: torch.Tensor | None = None,
    initial_features: torch.Tensor | None = None,
    next_taken: NextFeatures = "mean",
) -> Moments:
    """Return the moments of rows on a device; only the sums leave it, once.

    Args:
        features: phi, [n, d], of any real type.
        next_features: phi', [n, d], on the same device, 0 after a termination.
        reward: [n].
        weight: [n], >= 0; None for 1 each.
        initial_features: [m, d]; None where no start is known.
        next_taken: As of ``moments_of_rows``.

    Raises:
        ValueError: The shapes do not agree.
        InputError: A number is not finite, a weight negative, or there are no rows.
    """
    n, d = features.shape
    if next_features.shape != features.shape or reward.shape != (n,):
        shapes = f"{tuple(features.shape)}, {tuple(next_features.shape)} and {tuple(reward.shape)}"
        raise ValueError(f"features, next_features and reward must be [n, d], [n, d] and [n], not {shapes}")
    # of the rows (phi, phi', r), the upper left part of whose products is asked for
    drawn = next_taken == "drawn"
    left, step = 2 * d if drawn else d, max(1, CHUNK_BYTES // (8 * (2 * d + 1)))
    sums = torch.zeros(left, 2 * d + 1, dtype=torch.float64, device=features.device)
    square, total = sums.new_zeros(()), sums.new_zeros(())
    for start in range(0, n, step):
        part = slice(start, start + step)
        rows = torch.cat([features[part].double(), next_features[part].double(), reward[part, None].double()], dim=1)
        if weight is None:
            weighted = rows
            total += len(rows)
        else:
            weighted = rows * weight[part, None].double()
            total += weight[part].sum(dtype=torch.float64)
        sums.addmm_(weighted[:, :left].T, rows)
        square += (weighted[:, -1] * rows[:, -1]).sum()
    held, squares, weights = (tensor.cpu().numpy() for tensor in (sums, square, total))
    if not (np.isfinite(held).all() and np.isfinite(squares)):
        raise InputError(_not_finite(features, next_features, reward))
    if (weight is not None and bool((weight < 0).any())) or not weights > 0 or not np.isfinite(weights):
        raise InputError("the weights must be finite and >= 0, and one of them positive")
    starts = None if initial_features is None else initial_features.double().sum(dim=0).cpu().numpy()
    return Moments(
        weight=float(weights),
        rows=n,
        covariance=held[:d, :d],
        cross_covariance=held[:d, d:-1],
        reward_moment=held[:d, -1],
        reward_square=squares,
        initial_features=np.zeros(d) if starts is None else starts,
        initial_weight=0.0 if initial_features is None else float(len(initial_features)),
        next_covariance=held[d:, d:-1] if drawn else None,
        next_features=next_taken,
        next_covariance_from="drawn" if drawn else None,
        next_reward_moment=held[d:, -1] if drawn else None,
    )


def _not_finite(features: torch.Tensor, next_features: torch.Tensor, reward: torch.Tensor) -> str:
    """Return the sentence that names the first row with a number that is not finite."""
    for name, tensor in (("reward", reward[:, None]), ("features", features), ("next_features", next_features)):
        bad = ~torch.isfinite(tensor).all(dim=1)
        if bool(bad.any()):
            return f"{name}, row {int(bad.to(torch.uint8).argmax())}: every number must be finite"
    return "the rows' squares, or their weights, overflow; scale the features or the rewards"
