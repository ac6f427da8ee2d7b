"""The alternative to a native vector environment of a task: sparse parity as a plain Gymnasium environment."""

from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import numpy as np


class PlainParity(gym.Env[np.ndarray, np.int64]):
    """The online problem of ``SparseParity`` with bandit feedback, one instance.

    Args:
        n: Bits.
        subset: The bits that count.
    """

    def __init__(self, n: int = 50, subset: Sequence[int] = (0, 1, 2)) -> None:
        self.observation_space = gym.spaces.MultiBinary(n)
        self.action_space = gym.spaces.Discrete(2)
        self.n, self.subset = n, subset

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Draw the bits."""
        super().reset(seed=seed)
        self.bits = self.np_random.integers(0, 2, self.n, dtype=np.int8)
        self.target = sum(self.bits[i] for i in self.subset) % 2
        return self.bits, {}

    def step(self, action: np.int64) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Pay 1 for the target."""
        return self.bits, float(action == self.target), True, False, {"target": int(self.target)}
