"""Inventory control as Gymnasium environments: what makes ``sandtable/LostSales-v0`` and its kin.

All arguments are numbers, texts and lists of them, so that an ``EnvSpec`` can be written as JSON.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from sandtable.envs.adapter import ProcessEnv, ProcessVectorEnv
from sandtable.simulators.inventory.arrivals import random_lead_time
from sandtable.simulators.inventory.dual_sourcing import DualSourcing
from sandtable.simulators.inventory.history import SalesHistory
from sandtable.simulators.inventory.lost_sales import LostSales
from sandtable.simulators.inventory.panel import Assumptions, assume
from sandtable.simulators.inventory.replay import InventoryReplay
from sandtable.simulators.inventory.sales_file import read_sales
from sandtable.simulators.inventory.serial import SerialInventory
from sandtable.simulators.inventory.synthetic_sales import synthetic_sales


def lost_sales_env(render_mode: str | None = None, **problem: Any) -> ProcessEnv:
    """Return the classic lost-sales problem as an environment; ``problem`` are the arguments of ``LostSales``."""
    return ProcessEnv(LostSales(**problem), render_mode)


def lost_sales_vector_env(
    num_envs: int = 1, autoreset_mode: str | None = None, device: str | None = None, **problem: Any
) -> ProcessVectorEnv:
    """Return the lost-sales problem as a vector environment; see ``lost_sales_env`` and ``ProcessVectorEnv``."""
    return ProcessVectorEnv(LostSales(**problem), num_envs, autoreset_mode, device)


def dual_sourcing_env(render_mode: str | None = None, **problem: Any) -> ProcessEnv:
    """Return the dual-sourcing problem as an environment; ``problem`` are the arguments of ``DualSourcing``."""
    return ProcessEnv(DualSourcing(**problem), render_mode)


def dual_sourcing_vector_env(
    num_envs: int = 1, autoreset_mode: str | None = None, device: str | None = None, **problem: Any
) -> ProcessVectorEnv:
    """Return dual sourcing as a vector environment; see ``dual_sourcing_env`` and ``ProcessVectorEnv``."""
    return ProcessVectorEnv(DualSourcing(**problem), num_envs, autoreset_mode, device)


def serial_inventory_env(render_mode: str | None = None, **system: Any) -> ProcessEnv:
    """Return a serial system as an environment; ``system`` are the arguments of ``SerialInventory``."""
    return ProcessEnv(SerialInventory(**system), render_mode)


def serial_inventory_vector_env(
    num_envs: int = 1, autoreset_mode: str | None = None, device: str | None = None, **system: Any
) -> ProcessVectorEnv:
    """Return a serial system as a vector environment; see ``serial_inventory_env`` and ``ProcessVectorEnv``."""
    return ProcessVectorEnv(SerialInventory(**system), num_envs, autoreset_mode, device)


def inventory_env(sales: str | None = None, render_mode: str | None = None, **replay: Any) -> ProcessEnv:
    """Return the replay of a sales history as an environment; ``replay`` are the arguments of ``inventory_replay``."""
    return ProcessEnv(inventory_replay(sales, **replay), render_mode)


def inventory_vector_env(
    num_envs: int = 1,
    sales: str | None = None,
    autoreset_mode: str | None = None,
    device: str | None = None,
    **replay: Any,
) -> ProcessVectorEnv:
    """Return the replay of a sales history as a vector environment; see ``inventory_env`` and ``ProcessVectorEnv``."""
    return ProcessVectorEnv(inventory_replay(sales, **replay), num_envs, autoreset_mode, device)


def inventory_replay(
    sales: str | None = None,
    *,
    horizon: int = 52,
    review_period: str = "W",
    date_format: str | None = None,
    min_sale_days: int = 1,
    starts: Sequence[int] | None = None,
    products: Sequence[int] | None = None,
    history: int | None = None,
    window: int = 16,
    initial_stock: str | float = "base-stock",
    initial_spread: float = 0.0,
    dtype: str = "float32",
    lead_time_probabilities: Sequence[float] | None = None,
    **assumptions: Any,
) -> InventoryReplay:
    """Return the replay of a sales file, or of the embedded history (200 products, 156 weeks).

    Args:
        sales: Path of a CSV or Parquet file, as ``sandtable backtest`` reads it; None for the embedded history.
        horizon: See ``InventoryReplay``, as for ``starts`` to ``dtype``.
        review_period: How often orders are placed, as a pandas offset alias.
        date_format: How dates are written, needed only where it is ambiguous.
        min_sale_days: Leave out products with fewer days on which something was sold.
        starts: First and last period in which an episode may start.
        products: Columns of the panel that take part.
        history: Periods whose demand gives the mean and the deviation that are seen.
        window: Periods of past demand that are seen.
        initial_stock: Stock at the start of an episode.
        initial_spread: How much that stock varies.
        dtype: Element type.
        lead_time_probabilities: Of lead times of 0, 1, ... periods, drawn anew for every order, if they are random; by
            default each product has the one lead time of the file or of the assumptions.
        **assumptions: What is taken for granted where the file does not tell: the fields of ``Assumptions``.

    Raises:
        InputError: Something is wrong with the file or an assumption.
    """
    if sales is None:
        past = _embedded_history("W-MON" if review_period == "W" else review_period)
    else:
        past = read_sales(sales, review_period=review_period, date_format=date_format, min_sale_days=min_sale_days)
    panel = assume(past, Assumptions(**assumptions))
    if lead_time_probabilities is not None:
        panel = panel.with_shares(random_lead_time(lead_time_probabilities, panel.periods, panel.products))
    return InventoryReplay(
        panel,
        horizon,
        starts=None if starts is None else (int(starts[0]), int(starts[1])),
        products=products,
        history=history,
        window=window,
        initial_stock=initial_stock,
        initial_spread=initial_spread,
        dtype=dtype,
    )


@lru_cache(maxsize=2)
def _embedded_history(review_period: str) -> SalesHistory:
    """Return the embedded history, drawn once a process."""
    return synthetic_sales(review_period=review_period)
