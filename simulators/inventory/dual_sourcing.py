"""Dual sourcing: a slow supplier, and a fast one that costs more. Unmet demand waits."""

import inspect
from typing import Any

import gymnasium as gym
import numpy as np

from sandtable.simulators.arrays import Array, at_most, namespace
from sandtable.simulators.decision_process import Step
from sandtable.simulators.inventory.countable import require_countable
from sandtable.simulators.inventory.order_rules import OrderRules, place
from sandtable.simulators.inventory.process import InventoryProcess, InventoryState, Paths, at
from sandtable.simulators.inventory.world import (
    ORDER_OF_EVENTS,
    Economics,
    Period,
    Stock,
    advance,
    fixed_lead_time,
)
from sandtable.simulators.random import categorical, fold_in


class DualSourcing(InventoryProcess):
    """Order a product from two suppliers: regular orders arrive after some periods, expedited ones at once.

    A period: see the stock, order from both, receive the expedited order and what was ordered ``regular_lead_time``
    periods ago, meet demand and customers that wait, pay ``holding`` per unit left and ``shortage`` per unit waiting,
    and ``regular_cost`` or ``expedited_cost`` per unit ordered. The reward is minus that cost. Demand is uniform on the
    whole numbers from ``lowest_demand`` to ``highest_demand``, independent from period to period. The problem of
    Veeraraghavan and Scheller-Wolf (2008), Operations Research 56, with default numbers of Böttcher, Asikis and Fragkos
    (2023), Table 1.

    Seen: units on hand (negative: waiting customers), then regular units due in this period, in the next, ...
    (``regular_lead_time`` of them): float [1 + regular_lead_time].
    Done: regular and expedited units to order, float [2], in [0, ``largest_order``], rounded to integers with
    ``whole_units``.
    An episode is ``horizon`` periods and is truncated there; it starts with empty shelves and nothing on order.
    """

    streams = {"demand": 0}  # noqa: RUF012

    def __init__(
        self,
        regular_lead_time: int = 2,
        regular_cost: float = 0.0,
        expedited_cost: float = 10.0,
        holding: float = 5.0,
        shortage: float = 95.0,
        lowest_demand: int = 0,
        highest_demand: int = 8,
        whole_units: bool = True,
        horizon: int = 100,
        dtype: str = "float32",
    ) -> None:
        """Describe the problem.

        Args:
            regular_lead_time: Periods, >= 1.
            regular_cost: Money a unit, >= 0.
            expedited_cost: Money a unit, >= 0.
            holding: Money per unit left at the end of a period, >= 0.
            shortage: Money per unit waiting at the end of a period, >= 0.
            lowest_demand: Units, >= 0.
            highest_demand: Units, >= ``lowest_demand`` and >= 1.
            whole_units: Whether orders are rounded to integers.
            horizon: Periods an episode, >= 1.
            dtype: ``float32`` or ``float64``.
        """
        if regular_lead_time < 1 or int(regular_lead_time) != regular_lead_time:
            raise ValueError(
                f"regular_lead_time must be a whole number of periods, at least 1, not {regular_lead_time}; "
                "with 0 nobody pays for the faster supplier"
            )
        for name, money in (("regular_cost", regular_cost), ("expedited_cost", expedited_cost)):
            if not (np.isfinite(money) and money >= 0):
                raise ValueError(f"{name} must be finite and not negative, not {money}")
        whole = int(lowest_demand) == lowest_demand and int(highest_demand) == highest_demand
        if not (whole and 0 <= lowest_demand <= highest_demand and highest_demand >= 1):
            raise ValueError(
                "lowest_demand and highest_demand must be whole numbers with 0 <= lowest <= highest and highest >= 1, "
                f"not {lowest_demand} and {highest_demand}"
            )
        require_countable(float(highest_demand), dtype, "highest_demand")
        economics = Economics(holding=holding, shortage=shortage, unmet="backlog")
        self._prepare(horizon, economics, OrderRules(batch_size=1.0 if whole_units else None), dtype)
        self.longest_lead_time = int(regular_lead_time)
        self.regular_cost, self.expedited_cost = float(regular_cost), float(expedited_cost)
        self.lowest_demand, self.highest_demand = int(lowest_demand), int(highest_demand)
        values = self.highest_demand - self.lowest_demand + 1
        self.table = np.arange(1, values) / values
        self.largest_order = 10.0 * self.highest_demand
        largest_stock = 2 * self.largest_order * (horizon + self.longest_lead_time + 1)
        low = np.zeros(1 + self.longest_lead_time, dtype)
        low[0] = -float(self.highest_demand * horizon)
        kind = np.dtype(dtype).type
        self.observation_space = gym.spaces.Box(low, np.full(low.shape, largest_stock, dtype), dtype=kind)
        self.action_space = gym.spaces.Box(0.0, self.largest_order, (2,), kind)

    def card(self) -> str:
        """Return the rules of the world, and the order of events in a period."""
        return f"{inspect.cleandoc(type(self).__doc__ or '')}\n\nThe order of events:\n\n{ORDER_OF_EVENTS}\n"

    def _start(self, key: Array, **options: Any) -> tuple[Stock, Paths, OrderRules, Any]:
        if options:
            raise ValueError(f"DualSourcing takes no reset options, not {sorted(options)}")
        xp = namespace(key)
        element = getattr(xp, self.dtype)
        periods = xp.reshape(xp.arange(self.horizon, device=key.device), (-1,) + (1,) * key.ndim)
        demand = categorical(fold_in(key, self.streams["demand"]), periods, self.table) + self.lowest_demand
        demand = xp.astype(demand, element)
        constants = (np.zeros(1, self.dtype), np.asarray([fixed_lead_time(self.longest_lead_time)], self.dtype))
        zero, shares = self._on(key, "constants", constants)
        zero = xp.reshape(zero, (1,) + (1,) * key.ndim)
        shares = xp.reshape(shares, shares.shape + (1,) * key.ndim)
        pipeline = xp.zeros((self.longest_lead_time, *key.shape), dtype=element, device=key.device)
        rules = self._on(key, "rules", self.rules)
        return Stock(xp.zeros_like(demand[0]), pipeline), Paths(demand, zero, zero, shares), rules, None

    def observe(self, state: InventoryState) -> Array:
        """Return units on hand and due in 0, 1, ... periods, [*batch, 1 + regular_lead_time]."""
        xp = namespace(state.key)
        stock = xp.concat([state.stock.on_hand[None], state.stock.pipeline], axis=0)
        return xp.permute_dims(stock, (*range(1, stock.ndim), 0))

    def step(self, state: InventoryState, action: Array) -> Step:
        """Order ``action[..., 0]`` regular and ``action[..., 1]`` expedited units, each cut to ``largest_order``.

        ``info`` holds the period's ``Flow`` (``ordered`` and ``supplied`` are of the regular supplier, ``received`` of
        both), and ``expedited``, units.
        """
        xp = namespace(state.key)
        wanted = at_most(action, self.largest_order)
        expedited = place(wanted[..., 1], state.rules)
        pipeline = state.stock.pipeline
        due = xp.concat([(pipeline[0] + expedited)[None], pipeline[1:]], axis=0)  # it arrives with what is due now
        period = Period(*(at(series, state.t) for series in state.paths))
        stock, flow = advance(Stock(state.stock.on_hand, due), wanted[..., 0], period, state.rules, self.economics)
        purchases = self.regular_cost * flow.ordered + self.expedited_cost * expedited
        reward = flow.reward - purchases
        t = state.t + 1
        last = xp.zeros(reward.shape, dtype=xp.bool, device=state.key.device) | (t >= self.horizon)
        info = {**flow._asdict(), "expedited": expedited, "purchases": purchases, "reward": reward}
        return Step(state._replace(t=t, stock=stock), reward, xp.zeros_like(last), last, info)
