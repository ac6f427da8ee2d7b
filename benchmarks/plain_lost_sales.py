"""The alternative to a native vector environment: the lost-sales problem in plain Python, tuned by hand."""

from typing import Any

import gymnasium as gym
import numpy as np


class PlainLostSales(gym.Env[np.ndarray, np.ndarray]):
    """The problem of ``LostSales`` (Poisson demand), one instance, with lists as state and demand drawn beforehand.

    Args:
        lead_time: Periods from order to arrival, >= 1.
        mean: Mean demand a period.
        holding: Money per unit left.
        shortage: Money per unit of demand lost.
        horizon: Periods an episode.
        demand: Demand of each period, for comparisons; drawn at each reset if it is None.
    """

    def __init__(
        self,
        lead_time: int = 4,
        mean: float = 5.0,
        holding: float = 1.0,
        shortage: float = 4.0,
        horizon: int = 100,
        demand: list[float] | None = None,
    ) -> None:
        self.lead_time, self.mean, self.horizon, self.given = lead_time, mean, horizon, demand
        self.holding, self.shortage = holding, shortage
        self.observation_space = gym.spaces.Box(0.0, np.float32(1e6), (1 + lead_time,), np.float32)
        self.action_space = gym.spaces.Box(0.0, np.float32(10 * np.ceil(mean)), (1,), np.float32)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Empty the shelves and draw the episode's demand."""
        super().reset(seed=seed)
        self.demand = self.given or self.np_random.poisson(self.mean, self.horizon).tolist()
        self.stock = [0.0] * (1 + self.lead_time)
        self.t = 0
        return np.array(self.stock, np.float32), {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Order, receive, meet demand, pay."""
        stock = self.stock
        on_hand = stock[0] + stock[1] - self.demand[self.t]
        lost = 0.0
        if on_hand < 0:
            lost, on_hand = -on_hand, 0.0
        self.stock = [on_hand, *stock[2:], float(round(float(action[0])))]
        self.t += 1
        reward = -self.holding * on_hand - self.shortage * lost
        return np.array(self.stock, np.float32), reward, False, self.t == self.horizon, {}
