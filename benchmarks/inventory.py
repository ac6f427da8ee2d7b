"""Product-steps a second of the inventory world: through the very ``step`` that a backtest calls, and in kernels."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch

from sandtable.agents.inventory.direct_backprop import OrderUpToNetwork
from sandtable.benchmarks import hdpo
from sandtable.benchmarks.timing import memory_bandwidth, rates_in_turns, timing
from sandtable.simulators.arrays import Array, positive
from sandtable.simulators.compilation import AVAILABLE
from sandtable.simulators.inventory.kernels.rollout import OrderUpTo, rollout, rollout_drawn
from sandtable.simulators.inventory.lost_sales import LostSales
from sandtable.simulators.inventory.order_rules import OrderRules
from sandtable.simulators.inventory.panel import assume
from sandtable.simulators.inventory.process import InventoryState
from sandtable.simulators.inventory.replay import InventoryReplay
from sandtable.simulators.inventory.synthetic_sales import synthetic_sales
from sandtable.simulators.inventory.world import Flow, fixed_lead_time, inventory_position
from sandtable.training.objectives import Pathwise

LEAD_TIME, PERIODS = 4, 52


def benchmark(quick: bool = False) -> list[dict[str, Any]]:
    """Time a base-stock policy on the embedded products: numpy, torch, and torch with the gradient of the levels.

    A step takes shares, price and cost of the period and the supplier's rules, and gives all flows of ``world.Flow``.
    The alternative is the simulator of arXiv 2306.11246, which knows neither prices nor shares, where it is at hand.
    Where numba is installed, the compiled rollouts follow: see ``kernel_rows`` and ``peer_rows``.
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
    rows += [learning_row(episodes, quick) for episodes in ((64,) if quick else (2_048, 8_192))]
    return rows + kernel_rows(quick) + peer_rows(quick) if AVAILABLE else rows


def learning_row(batch: int, quick: bool = False) -> dict[str, Any]:
    """Time an update's gradient of DirectBackprop's network, 32-32-32 ReLU, resets of the episodes included."""
    objective = Pathwise(replay_of(500), batch)
    network = OrderUpToNetwork(1, 16, (32, 32, 32), 0)
    key = torch.zeros(1, dtype=torch.int64)

    def gradient() -> Any:
        loss, _, _ = objective.loss(network, key, None, 0)
        return torch.autograd.grad(loss.sum(), list(network.parameters()))

    rates = rates_in_turns(gradient, None, (float(batch * PERIODS), 0.0), quick)
    case = f"DirectBackprop 32-32-32, forward and backward (1 M asked); {batch:,} episodes, {PERIODS} periods"
    return timing("inventory", case, "product-steps/s", rates, "none")


def kernel_rows(quick: bool = False) -> list[dict[str, Any]]:
    """Time the compiled base-stock policy with price, cost and lead time 4 on 100,000 products, without order rules.

    Forward and with the gradient of the levels, without and with the key figures of each product. The limit is that of
    memory which moves demand, price and cost of each product and period once.
    """
    products = 1_000 if quick else 100_000
    replay = replay_of(500)
    state = replay.reset(np.arange(products), product=np.arange(products) % 500)._replace(rules=OrderRules())
    policy = OrderUpTo(state.context.mean * (LEAD_TIME + 2))
    limit = memory_bandwidth(quick) / (3 * state.paths.demand.dtype.itemsize)
    rows = []
    for name, options in {
        "kernel, forward (400 M asked)": {},
        "kernel, forward with key figures": {"figures": True},
        "kernel, forward and gradient (150 M asked)": {"gradient": True},
        "kernel, forward and gradient with key figures": {"gradient": True, "figures": True},
    }.items():
        call = partial(rollout, replay, state, policy, **options)
        rates = rates_in_turns(call, None, (float(products * PERIODS), 0.0), quick)
        case = f"{name}; {products:,} products, L = {LEAD_TIME}, {PERIODS} periods"
        rows.append(timing("inventory", case, "product-steps/s", rates, "none", None, limit))
    return rows


def peer_rows(quick: bool = False) -> list[dict[str, Any]]:
    """Time the kernel beside the peer on one lost-sales task: 4,096 products, 100 periods, the same demand and cost."""
    products, horizon = (256, 20) if quick else (4_096, 100)
    world = LostSales(LEAD_TIME, horizon=horizon, whole_units=False)
    state = world.reset(np.arange(products))
    level = np.full(products, 25.0, np.float32)
    peer = hdpo.base_stock_rollouts(state, level)
    work = float(products * horizon)
    rows = []
    for name, gradient, asked in (("forward", False, 50.0), ("forward and gradient", True, 20.0)):
        call = partial(rollout, world, state, OrderUpTo(level), gradient=gradient)
        theirs = peer and (peer.gradient if gradient else peer.forward)
        rates = rates_in_turns(call, theirs or None, (work, work), quick)
        case = f"kernel, lost sales, {name}; {products:,} products, L = {LEAD_TIME}, {horizon} periods"
        rows.append(timing("inventory", case, "product-steps/s", rates, hdpo.NAME, asked))
    drawn = partial(rollout_drawn, world, np.arange(products), OrderUpTo(level))
    case = f"kernel, lost sales, demand drawn on the way; {products:,} products, L = {LEAD_TIME}, {horizon} periods"
    rates = rates_in_turns(drawn, None, (work, 0.0), quick)
    return [*rows, timing("inventory", case, "product-steps/s", rates, "none")]


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
