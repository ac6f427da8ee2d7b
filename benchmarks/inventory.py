"""Product-steps a second of the inventory world, through the very ``step`` that a backtest calls."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from sandtable.benchmarks import hdpo
from sandtable.benchmarks.timing import memory_bandwidth, rates_in_turns, timing
from sandtable.simulators.arrays import Array, positive
from sandtable.simulators.inventory.panel import assume
from sandtable.simulators.inventory.process import InventoryState
from sandtable.simulators.inventory.replay import InventoryReplay
from sandtable.simulators.inventory.synthetic_sales import synthetic_sales
from sandtable.simulators.inventory.world import Flow, fixed_lead_time, inventory_position

LEAD_TIME, PERIODS = 4, 52


def benchmark(quick: bool = False) -> list[dict[str, Any]]:
    """Time a base-stock policy on the embedded products: numpy, torch, and torch with the gradient of the levels.

    A step takes shares, price and cost of the period and the supplier's rules, and gives all flows of ``world.Flow``.
    The alternative is the simulator of arXiv 2306.11246, which knows neither prices nor shares, where it is at hand.
    """
    products = 500 if quick else 10_000
    replay = replay_of(products)
    keys = np.arange(products), torch.arange(products)
    state, state_torch = (replay.reset(key, product=np.arange(products)) for key in keys)
    level = state.context.mean * (LEAD_TIME + 2)
    limit = memory_bandwidth(quick) / bytes_per_step(state)

    def forward(state: InventoryState, level: Array) -> Callable[[], Any]:
        return lambda: total_reward(replay, state, level)

    def gradient() -> Any:
        levels = torch.tensor(level, requires_grad=True)
        return torch.autograd.grad(total_reward(replay, state_torch, levels), levels)

    def forward_without_gradient() -> Any:
        with torch.no_grad():
            return total_reward(replay, state_torch, torch.tensor(level))

    peer = hdpo.base_stock_rollouts(state, level)
    cases = [
        ("forward, numpy (40 M asked)", forward(state, level), peer and peer.forward, limit),
        ("forward, torch (40 M asked)", forward_without_gradient, peer and peer.forward, limit),
        ("forward and backward, torch (10 M asked)", gradient, peer and peer.gradient, None),
    ]
    rows = []
    for name, ours, alternative, bound in cases:
        work = float(products * PERIODS)
        rates = rates_in_turns(ours, alternative or None, (work, work), quick)
        case = f"{name}; {products:,} products, L = {LEAD_TIME}, {PERIODS} periods"
        rows.append(timing("inventory", case, "product-steps/s", rates, hdpo.NAME, None, bound))
    return rows


def replay_of(products: int) -> InventoryReplay:
    """Return the replay of that many embedded products over a year, all with lead time 4 and rules of their own."""
    panel = assume(synthetic_sales(products=products, periods=2 * PERIODS))
    panel = panel.with_shares(np.asarray(fixed_lead_time(LEAD_TIME))[None, :, None])
    return InventoryReplay(panel, PERIODS, starts=(PERIODS, PERIODS))


def total_reward(replay: InventoryReplay, state: InventoryState, level: Array) -> Array:
    """Play a base-stock policy over the horizon and return the sum of all rewards."""
    total = 0.0
    for _ in range(replay.horizon):
        order = positive(level - inventory_position(state.stock))
        step = replay.step(state, order[..., None])
        state, total = step.state, total + step.reward
    return total.sum()  # type: ignore[attr-defined]  # there is at least one period


def bytes_per_step(state: InventoryState) -> float:
    """Return the bytes of a product-step if every array were read or written once."""
    shares = state.paths.shares.shape[1]
    read = 3 + shares + 1 + len(state.stock.pipeline) + 2  # demand, price, cost; shares; stock; level and running total
    written = 1 + len(state.stock.pipeline) + len(Flow._fields) + 1
    return float(state.paths.demand.dtype.itemsize * (read + written))
