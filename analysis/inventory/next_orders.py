"""What to order now: the next order of every product under the best policy, with its reason."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sandtable.agents.rollout import checked_action
from sandtable.analysis.inventory.backtest import Backtest
from sandtable.analysis.inventory.plan import WINDOW
from sandtable.simulators.inventory.order_rules import OrderRules, place
from sandtable.simulators.inventory.replay import InventoryReplay
from sandtable.simulators.inventory.world import Stock
from sandtable.simulators.random import make_key

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Position:
    """Where every product stands after the last period of the history.

    Attributes:
        stock: On hand [N] and on order [J, N], units.
        recorded: Which products' stock the history tells; the others' is where the best policy left it in the test.
    """

    stock: Stock
    recorded: np.ndarray


def position_now(result: Backtest) -> Position:
    """Return the stock and what is on order at the end of the history."""
    panel, run = result.panel, result.trajectories[result.best]
    longest = panel.shares.shape[1] - 1
    supplied = run["supplied"]
    pipeline = np.zeros((longest, panel.products))
    for age in range(1, min(longest, len(supplied)) + 1):  # an order placed ``age`` periods before now
        shares = panel.shares[-age if len(panel.shares) > 1 else 0]
        pipeline[: longest + 1 - age] += shares[age:] * supplied[-age]
    recorded = ~np.isnan(panel.on_hand[-1])
    on_hand = np.where(recorded, panel.on_hand[-1], run["on_hand"][-1] - run["waiting"][-1])
    lead_time = panel.lead_time
    ordered = np.nan_to_num(panel.on_order[-1])
    spread = np.where(np.arange(longest)[:, None] < lead_time, ordered / np.maximum(lead_time, 1), 0.0)
    return Position(Stock(on_hand, np.where(recorded, spread, pipeline)), recorded)


def next_orders(result: Backtest) -> "pd.DataFrame":
    """Return the next order of every product, a row each.

    Columns: ``sku``, ``order`` (units, after minimum, batch and capacity), ``on_hand``, ``on_order``,
    ``expected_demand`` (over the lead time and one review, at the mean of the last known periods), ``lead_time``,
    ``policy``, ``stock`` (``recorded`` or ``simulated``) and ``reason``, a sentence.
    """
    import pandas as pd

    now = position_now(result)
    panel = result.panel.with_next_period()
    last = panel.periods - 1
    world = InventoryReplay(panel, 1, starts=(last, last), history=last, window=WINDOW, dtype="float64")
    products = np.arange(panel.products)
    state = world.reset(make_key(products), product=products, start=last)._replace(stock=now.stock)
    observation = world.observe(state)
    build = result.participants[result.best].build
    assert build is not None, "a bound is never the best policy"
    where = f"{result.best}, the period after the last"
    action = build(panel, last)(observation)
    wanted = checked_action(action, (panel.products, 1), where, result.plan.names(products))[:, 0]
    ordered = place(wanted, OrderRules(*state.rules))

    recent = observation["past_demand"].sum(axis=1) / np.maximum(observation["demand_known"].sum(axis=1), 1)
    recent = np.where(observation["demand_known"].any(axis=1), recent, observation["mean"][:, 0])
    lead_time = panel.lead_time
    expected = recent * (lead_time + 1)
    on_order = now.stock.pipeline.sum(axis=0)
    table = pd.DataFrame(
        {
            "sku": panel.skus,
            "order": np.round(ordered, 6),
            "on_hand": np.round(now.stock.on_hand, 6),
            "on_order": np.round(on_order, 6),
            "expected_demand": np.round(expected, 2),
            "lead_time": lead_time,
            "policy": result.best,
            "stock": np.where(now.recorded, "recorded", "simulated"),
        }
    )
    table["reason"] = [
        _reason(*row)
        for row in zip(
            table.order, wanted, table.on_hand, table.on_order, table.expected_demand, lead_time, strict=True
        )
    ]
    return table


def _reason(order: float, wanted: float, on_hand: float, on_order: float, expected: float, lead_time: float) -> str:
    """Return why an order has its size."""
    has, periods = on_hand + on_order, f"{lead_time + 1:g} periods"
    stands = f"{on_hand:,.0f} on hand and {on_order:,.0f} on order"
    spare = has + order - expected
    doubt = f"{spare:,.0f} to spare" if spare >= 0 else f"{-spare:,.0f} short of it"
    if order == 0:
        small = " (too little for an order)" if wanted >= 0.5 else ""
        return f"no order: {stands} for {expected:,.1f} expected over the next {periods}, {doubt}{small}"
    adjusted = "" if abs(order - wanted) < 0.75 else f"; {wanted:,.1f} wanted, set by minimum, batch or capacity"
    makes = f"makes {has + order:,.0f} for {expected:,.1f} expected over the next {periods}, {doubt}"
    return f"order {order:,.0f}: with {stands} that {makes}{adjusted}"
