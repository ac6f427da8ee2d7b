"""The classic lost-sales problem: one product, i.i.d. demand, a fixed lead time, holding and shortage costs."""

from typing import Any

import gymnasium as gym
import numpy as np

from sandtable.simulators.arrays import Array, at_most, namespace
from sandtable.simulators.inventory.order_rules import OrderRules
from sandtable.simulators.inventory.process import InventoryProcess, InventoryState, Paths
from sandtable.simulators.inventory.world import Economics, Stock, fixed_lead_time
from sandtable.simulators.random import categorical, fold_in, geometric_table, poisson_table

TABLES = {"poisson": poisson_table, "geometric": geometric_table}


class LostSales(InventoryProcess):
    """Order a product whose demand is drawn anew each period.

    A period: see the stock, order, receive what was ordered ``lead_time`` periods ago, meet demand, pay ``holding`` per
    unit left and ``shortage`` per unit of demand that is lost. The reward is minus that cost. With lead time 1 an order
    can be sold in the next period; with 0 at once, and every period is a newsvendor's. The problem is that of Zipkin
    (2008), "Old and new methods for lost-sales inventory systems", Operations Research 56.

    Seen: units on hand, then units due in this period, in the next, ... (``lead_time`` of them): float [1 + lead_time].
    Done: units to order, float [1], in [0, ``largest_order``]; with ``whole_units`` rounded to the nearest integer.
    An episode is ``horizon`` periods and is truncated there; it starts with empty shelves and nothing on order.
    """

    streams = {"demand": 0}  # noqa: RUF012

    def __init__(
        self,
        lead_time: int = 4,
        demand: str = "poisson",
        mean: float = 5.0,
        holding: float = 1.0,
        shortage: float = 4.0,
        unmet: str = "lost",
        whole_units: bool = True,
        horizon: int = 100,
        dtype: str = "float32",
    ) -> None:
        """Describe the problem.

        Args:
            lead_time: Periods from order to arrival, >= 0.
            demand: ``poisson`` or ``geometric`` (on 0, 1, ...).
            mean: Mean demand a period, > 0.
            holding: Money per unit left at the end of a period, >= 0.
            shortage: Money per unit of demand lost (or waiting, under backlog), >= 0.
            unmet: ``lost`` or ``backlog``.
            whole_units: Whether orders are rounded to integers.
            horizon: Periods an episode, >= 1.
            dtype: ``float32`` or ``float64``.
        """
        if lead_time < 0 or int(lead_time) != lead_time:
            raise ValueError(f"lead_time must be a whole number of periods, at least 0, not {lead_time}")
        if demand not in TABLES:
            raise ValueError(f"demand must be one of {sorted(TABLES)}, not {demand!r}")
        if not mean > 0:
            raise ValueError(f"mean must be positive, not {mean}")
        economics = Economics(holding=holding, shortage=shortage, unmet=unmet)  # type: ignore[arg-type]  # checked next
        self._prepare(horizon, economics, OrderRules(batch_size=1.0 if whole_units else None), dtype)
        self.longest_lead_time = lead_time
        self.table = TABLES[demand](float(mean))
        self.largest_order = float(10 * np.ceil(mean))
        largest_stock = float(self.largest_order * (horizon + lead_time + 1))
        lowest = -float(len(self.table)) * horizon if unmet == "backlog" else 0.0
        self.observation_space = gym.spaces.Box(lowest, largest_stock, (1 + lead_time,), np.dtype(dtype).type)
        self.action_space = gym.spaces.Box(0.0, self.largest_order, (1,), np.dtype(dtype).type)

    def _start(self, key: Array, **options: Any) -> tuple[Stock, Paths, OrderRules, Any]:
        if options:
            raise ValueError(f"LostSales takes no reset options, not {sorted(options)}")
        xp = namespace(key)
        periods = xp.reshape(xp.arange(self.horizon, device=key.device), (-1,) + (1,) * key.ndim)
        demand = categorical(fold_in(key, self.streams["demand"]), periods, self.table)
        demand = xp.astype(demand, getattr(xp, self.dtype))
        constants = (np.zeros(1, self.dtype), np.asarray([fixed_lead_time(self.longest_lead_time)], self.dtype))
        zero, shares = self._on(key, "constants", constants)
        zero = xp.reshape(zero, (1,) + (1,) * key.ndim)
        shares = xp.reshape(shares, shares.shape + (1,) * key.ndim)
        on_hand = xp.zeros_like(demand[0])
        pipeline = xp.zeros((self.longest_lead_time, *key.shape), dtype=on_hand.dtype, device=key.device)
        return Stock(on_hand, pipeline), Paths(demand, zero, zero, shares), self._on(key, "rules", self.rules), None

    def observe(self, state: InventoryState) -> Array:
        """Return units on hand and due in 0, 1, ... periods, [*batch, 1 + lead_time]."""
        xp = namespace(state.key)
        stock = xp.concat([state.stock.on_hand[None], state.stock.pipeline], axis=0)
        return stock.T if stock.ndim == 2 else xp.permute_dims(stock, (*range(1, stock.ndim), 0))

    def step(self, state: InventoryState, action: Array) -> Any:
        """Order; see ``InventoryProcess.step``. Orders above ``largest_order`` are cut to it."""
        return super().step(state, at_most(action, self.largest_order))
