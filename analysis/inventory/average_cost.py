"""What a policy costs a period in the long run, by simulation, with its standard error."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from sandtable.agents.rollout import checked_action
from sandtable.simulators.arrays import Array
from sandtable.simulators.inventory.process import InventoryProcess
from sandtable.simulators.random import fold_in, make_key


@dataclass(frozen=True)
class AverageCost:
    """The cost of a policy.

    Attributes:
        rows: Mean cost a period of each row, after the warm-up, [rows]; rows are independent.
    """

    rows: np.ndarray

    @property
    def mean(self) -> float:
        """Mean cost a period."""
        return float(self.rows.mean())

    @property
    def standard_error(self) -> float:
        """Standard error of the mean, over rows."""
        return float(self.rows.std(ddof=1) / len(self.rows) ** 0.5)

    def less(self, other: "AverageCost") -> "AverageCost":
        """Return the paired difference, row by row, from the cost of another policy in the same world."""
        return AverageCost(self.rows - other.rows)


def average_cost(
    world: InventoryProcess,
    policy: Callable[[Any], Array],
    rows: int = 2_000,
    warm_up: int = 100,
    seed: int = 0,
    name: str = "policy",
) -> AverageCost:
    """Play a policy over the world's horizon in many rows; policies with the same seed face the same demand.

    Args:
        world: Its horizon is the number of periods, the warm-up included.
        policy: Maps an observation [rows, k] to units to order, [rows, 1].
        rows: Independent rows, at least 2.
        warm_up: Periods that do not count, fewer than the horizon: a stationary cost forgets the first stock.
        seed: Of the demand; its stream differs from that of any training with the same seed.
        name: Of the policy, for messages.

    Raises:
        InputError: The policy returns no usable orders.
        ValueError: An argument is out of its range.
    """
    if rows < 2 or not 0 <= warm_up < world.horizon:
        raise ValueError(f"rows must be at least 2 and warm_up in [0, {world.horizon}), not {rows} and {warm_up}")
    keys = fold_in(fold_in(make_key(seed), 0x6A75646765), np.arange(rows))
    state, total = world.reset(keys), np.zeros(rows)
    for period in range(world.horizon):
        action = checked_action(policy(world.observe(state)), (rows, 1), f"{name}, period {period}")
        step = world.step(state, action.astype(world.dtype))
        state = step.state
        if period >= warm_up:
            total -= step.reward
    return AverageCost(total / (world.horizon - warm_up))
