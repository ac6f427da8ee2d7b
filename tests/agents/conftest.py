from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from sandtable.simulators.inventory import arrivals
from sandtable.simulators.inventory.order_rules import OrderRules
from sandtable.simulators.inventory.panel import Panel
from sandtable.simulators.inventory.world import Economics

FREE = OrderRules()
WEEK = Economics(holding_rate=0.01, salvage=1.0)


@pytest.fixture
def make_panel() -> Callable[..., Panel]:
    """Return a function that makes a weekly panel of demand [T, N], all of it known by default."""

    def make(
        demand: Any,
        *,
        price: Any = 2.0,
        cost: Any = 1.0,
        lead_time: Any = 1,
        rules: OrderRules = FREE,
        economics: Economics = WEEK,
        known: Any = True,
    ) -> Panel:
        demand = np.asarray(demand, dtype=np.float64)
        periods, products = demand.shape
        unknown = np.full(demand.shape, np.nan)
        return Panel(
            skus=tuple(f"P{i}" for i in range(products)),
            starts=np.datetime64("2024-01-01") + 7 * np.arange(periods),
            review_period="W-MON",
            demand=demand,
            known=np.broadcast_to(known, demand.shape),
            price=np.broadcast_to(np.asarray(price, np.float64), demand.shape),
            cost=np.broadcast_to(np.asarray(cost, np.float64), demand.shape),
            shares=arrivals.fixed(np.broadcast_to(np.asarray(lead_time, np.int64), (products,))),
            rules=rules,
            economics=economics,
            on_hand=unknown,
            on_order=unknown,
        )

    return make
