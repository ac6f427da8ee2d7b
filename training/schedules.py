"""Schedules of the learning rate: pure functions from the step, a tensor, to a multiplier.

The step is the number of steps that are done, 0 at the first; it may be a tensor of any shape, and the multiplier has
the same.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from sandtable.simulators.arrays import Constant

Schedule = Callable[[Tensor], Tensor]
"""From int64 [] to float64 []."""


def constant(step: Tensor) -> Tensor:
    """Return 1."""
    return torch.ones_like(step, dtype=torch.float64)


def linear(steps: int, warmup: int = 0) -> Schedule:
    """Rise from ``1 / warmup`` to 1 over ``warmup`` steps, then fall along a line to 0 at ``steps``.

    Raises:
        ValueError: Not ``0 <= warmup < steps``.
    """
    _check(steps, warmup)

    def multiplier(step: Tensor) -> Tensor:
        return _rise(step, warmup) * (1 - _progress(step, steps, warmup))

    return multiplier


def cosine(steps: int, warmup: int = 0) -> Schedule:
    """Rise from ``1 / warmup`` to 1 over ``warmup`` steps, then fall along half a cosine to 0 at ``steps``.

    The annealing of Loshchilov and Hutter, arXiv 1608.03983, equation 5, without restarts.

    Raises:
        ValueError: Not ``0 <= warmup < steps``.
    """
    _check(steps, warmup)

    def multiplier(step: Tensor) -> Tensor:
        return _rise(step, warmup) * (1 + torch.cos(math.pi * _progress(step, steps, warmup))) / 2

    return multiplier


def doubling(at: Sequence[int]) -> Schedule:
    """Start at 1, and double when each of these numbers of steps is done.

    For losses whose gradient falls exponentially as margins grow (arXiv 2311.07568, appendix B).

    Args:
        at: In any order, each at least 1; one that is there twice doubles twice.

    Raises:
        ValueError: One is less than 1.
    """
    if any(steps < 1 for steps in at):
        raise ValueError(f"at must hold numbers of at least 1, not {list(at)}")
    bounds = Constant(np.asarray(sorted(at), dtype=np.int64))

    def multiplier(step: Tensor) -> Tensor:
        return torch.exp2((step[..., None] >= bounds.on(step)).sum(-1).double())

    return multiplier


def _check(steps: int, warmup: int) -> None:
    if not 0 <= warmup < steps:
        raise ValueError(f"warmup must lie in [0, steps), not {warmup} with steps {steps}")


def _rise(step: Tensor, warmup: int) -> Tensor:
    return ((step.double() + 1) / max(warmup, 1)).clamp(max=1)


def _progress(step: Tensor, steps: int, warmup: int) -> Tensor:
    """Return the fraction of the fall that is done, in [0, 1]."""
    return ((step.double() - warmup) / (steps - warmup)).clamp(0, 1)
