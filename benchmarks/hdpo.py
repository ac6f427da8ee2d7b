"""The peer of the inventory benchmark: the differentiable simulator of arXiv 2306.11246, run from its own sources.

They are not part of this project (MIT licence, MatiasAlvo/Neural_inventory_control): the folder ``hdpo`` of those that
``SANDTABLE_PEERS`` names, or of ``shared/peers`` beside the checkout. Where it is absent, nothing is compared.
"""

import os
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from sandtable.simulators.inventory.process import InventoryState

NAME = "HDPO simulator (2306.11246)"
PROBLEM = {"n_stores": 1, "n_warehouses": 0, "n_extra_echelons": 0, "lost_demand": True, "maximize_profit": False}
SEEN = {
    "include_warehouse_inventory": False,
    "include_static_features": {"holding_costs": True, "underage_costs": True, "lead_times": True},
    "demand": {"past_periods": 0, "period_shift": 0},
    "time_features": None,
    "sample_features": None,
}


class Rollouts(NamedTuple):
    """A base-stock policy over all periods, without and with the gradient of the levels."""

    forward: Callable[[], Any]
    gradient: Callable[[], Any]


def folder() -> Path | None:
    """Return where the peer's sources are, or None."""
    named = os.environ.get("SANDTABLE_PEERS")
    beside = Path(__file__).resolve().parents[1].parent / "shared" / "peers"
    found = (Path(named) if named else beside) / "hdpo"
    return found if (found / "environment.py").is_file() else None


def base_stock_rollouts(state: InventoryState, level: np.ndarray) -> Rollouts | None:
    """Return the peer's rollouts of the same products and demand, or None where its sources are absent.

    Each returns, or differentiates, the sum of units left and four times units lost.

    Args:
        state: The start, of numpy arrays, N products with one fixed lead time of at least 1.
        level: float32 [N], the base-stock levels.
    """
    sources = folder()
    if sources is None:
        return None
    sys.path.insert(0, str(sources))
    try:
        simulator = import_module("environment").Simulator()
    finally:
        sys.path.remove(str(sources))
    periods, products = state.paths.demand.shape
    on_hand, pipeline = state.stock
    stock = np.stack([on_hand + pipeline[0], *pipeline[1:]], axis=-1)  # what arrives in the period counts as on hand
    ones = torch.ones(products, 1)
    data = {
        "demands": torch.tensor(state.paths.demand.T[:, None]),
        "initial_inventories": torch.tensor(stock[:, None]),
        "holding_costs": ones,
        "underage_costs": 4 * ones,
        "lead_times": torch.full((products, 1, 1), len(pipeline), dtype=torch.int64),
    }

    def play(levels: torch.Tensor) -> torch.Tensor:
        observation, _ = simulator.reset(periods, PROBLEM, dict(data), SEEN)
        total = torch.zeros(products)
        for _ in range(periods):
            order = (levels - observation["store_inventories"].sum(-1)[:, 0]).clamp_min(0)
            observation, cost, *_ = simulator.step({"stores": order[:, None, None]})
            total = total + cost
        return total.sum()

    def forward() -> torch.Tensor:
        with torch.no_grad():
            return play(torch.tensor(level))

    def gradient() -> Any:
        levels = torch.tensor(level, requires_grad=True)
        return torch.autograd.grad(play(levels), levels)

    return Rollouts(forward, gradient)
