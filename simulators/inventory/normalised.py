"""A stock world in numbers of order one, for learners that see rewards alone and expect such numbers."""

from typing import Any

import gymnasium as gym
import numpy as np

from sandtable.simulators.arrays import Array
from sandtable.simulators.decision_process import DecisionProcess, Step
from sandtable.simulators.inventory.process import InventoryProcess, InventoryState


class NormalisedStock(DecisionProcess):
    """A world whose observation is the stock, such as ``LostSales``, with other units of stock, orders and money.

    Seen: ``stock / unit - 1``. Done: a in [-1, 1], an order of ``(a + 1) / 2 * most`` units. The reward is the world's,
    divided by ``money``. The rest is as in the world.
    """

    def __init__(self, world: InventoryProcess, unit: float, most: float, money: float = 1.0) -> None:
        """Describe the units.

        Args:
            world: The world; its observation is a box of stocks, [k].
            unit: Units of stock that count as one, > 0: the mean demand a period.
            most: Units of the largest order, > 0.
            money: Money that counts as one, > 0.
        """
        for name, value in (("unit", unit), ("most", most), ("money", money)):
            if not (np.isfinite(value) and value > 0):
                raise ValueError(f"{name} must be finite and positive, not {value}")
        self.world, self.unit, self.most, self.money = world, unit, most, money
        self.horizon = world.horizon
        space = world.observation_space
        if not isinstance(space, gym.spaces.Box):
            raise ValueError(f"the world must show its stock as a box, not {space}")
        self.observation_space = gym.spaces.Box(
            space.low / unit - 1, space.high / unit - 1, space.shape, np.dtype(world.dtype).type
        )
        self.action_space = gym.spaces.Box(-1.0, 1.0, (1,), np.dtype(world.dtype).type)

    def reset(self, key: Array, *, episode: Any = 0, **options: Any) -> InventoryState:
        """Start an episode a row; see ``DecisionProcess.reset``."""
        return self.world.reset(key, episode=episode, **options)

    def observe(self, state: InventoryState) -> Array:
        """Return the stock in its unit, [*batch, k]."""
        return self.world.observe(state) / self.unit - 1.0

    def orders(self, action: Array) -> Array:
        """Return units to order of actions, of the same shape; actions beyond -1 and 1 are not cut."""
        return (action + 1.0) * (0.5 * self.most)

    def step(self, state: InventoryState, action: Array) -> Step:
        """Order; see ``DecisionProcess.step``."""
        step = self.world.step(state, self.orders(action))
        return step._replace(reward=step.reward / self.money)

    def tally(self, info: dict[str, Array]) -> dict[str, Array]:
        """Return what the world tallies."""
        return self.world.tally(info)

    def summary(self, tallies: dict[str, Array], steps: Array) -> dict[str, Array]:
        """Return the world's summary, in its own units."""
        return self.world.summary(tallies, steps)
