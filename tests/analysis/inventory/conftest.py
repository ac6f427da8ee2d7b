from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from sandtable.analysis.inventory.settings import BacktestSettings
from sandtable.simulators.inventory.history import SalesHistory
from sandtable.simulators.inventory.synthetic_sales import synthetic_sales

QUICK = BacktestSettings(learn=4, seeds=1, sensitivity=False, unseen=0.3)


@pytest.fixture
def quick() -> BacktestSettings:
    """Settings of a backtest that takes a second."""
    return QUICK


@pytest.fixture(scope="session")
def small_history() -> SalesHistory:
    """Sixty weeks of ten products of the embedded panel."""
    return synthetic_sales(10, 60)


@pytest.fixture
def make_history() -> Callable[..., SalesHistory]:
    """Return a function that makes a weekly history of units [T, N] of which nothing else is known."""

    def make(units: Any, **known: Any) -> SalesHistory:
        units = np.asarray(units, dtype=np.float64)
        unknown, of_products = np.full(units.shape, np.nan), np.full(units.shape[1], np.nan)
        history = SalesHistory(
            source="made by hand",
            skus=tuple(f"P{i}" for i in range(units.shape[1])),
            starts=np.datetime64("2024-01-01") + 7 * np.arange(len(units)),
            review_period="W-MON",
            units=units,
            **dict.fromkeys(("price", "cost", "in_stock", "on_hand", "on_order"), unknown),
            **dict.fromkeys(("lead_time", "minimum_order", "batch_size", "capacity"), of_products),
        )
        return replace(history, **known)

    return make
