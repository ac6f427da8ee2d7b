"""The classical policies of a backtest: which settings each has, and how it is built from a training history."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from scipy import stats

from sandtable.agents.inventory.forecast_driven import MovingAverage, QuantileForecast, SeasonalForecast
from sandtable.agents.inventory.order_up_to import BaseStock, CappedBaseStock, OrderNothing, ReorderPoint
from sandtable.agents.inventory.policy import OrderingPolicy
from sandtable.agents.rollout import rollout
from sandtable.estimators.inventory.lead_time_demand import lead_time_demand_quantile
from sandtable.estimators.inventory.quantile_forecast import (
    FEATURES,
    LEAST_WINDOW,
    SEASON,
    Examples,
    QuantileRegression,
    past_examples,
)
from sandtable.estimators.inventory.seasonality import SeasonalIndex
from sandtable.simulators.inventory.arrivals import mean_lead_time
from sandtable.simulators.inventory.panel import Panel
from sandtable.simulators.inventory.replay import InventoryReplay
from sandtable.simulators.random import make_key

BEYOND = 20  # examples above a quantile, the least for it to be fitted
SERVICE = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.995, 0.999, 0.9999)


@dataclass(frozen=True)
class Candidate:
    """A family of policies with settings to choose from.

    Attributes:
        name: Short name, for tables and files.
        rule: The rule in one sentence.
        build: (panel, history, **settings) -> policy; it sees the first ``history`` periods of demand and no later one.
        grid: The settings that are tried.
    """

    name: str
    rule: str
    build: Callable[..., OrderingPolicy]
    grid: Sequence[dict[str, Any]]


def order_up_to_level(panel: Panel, history: int, service: np.ndarray | float) -> np.ndarray:
    """Return the units that cover demand over the lead time and one review with probability ``service``, [N]."""
    mean, deviation = panel.demand_moments(history)
    lead_time = mean_lead_time(panel.shares[: max(1, history)])
    return lead_time_demand_quantile(mean, deviation, lead_time + 1, service)


def critical_ratio(panel: Panel, history: int) -> np.ndarray:
    """Return underage / (underage + overage) cost of each product, [N], clipped to [0.01, 0.999].

    A unit short loses its margin and the shortage cost; a unit too many is held for a period.
    """
    price, cost = np.median(panel.price[:history], axis=0), np.median(panel.cost[:history], axis=0)
    economics = panel.economics
    underage = np.maximum(price - cost, 0) + economics.shortage + economics.shortage_rate * price
    overage = economics.holding + economics.holding_rate * cost
    return np.clip(underage / np.maximum(underage + overage, 1e-12), 0.01, 0.999)


def _newsvendor(panel: Panel, history: int) -> OrderingPolicy:
    return BaseStock(order_up_to_level(panel, history, critical_ratio(panel, history)))


def _base_stock(panel: Panel, history: int, service: float) -> OrderingPolicy:
    return BaseStock(order_up_to_level(panel, history, service))


def _capped_base_stock(panel: Panel, history: int, service: float, cap: float) -> OrderingPolicy:
    mean, deviation = panel.demand_moments(history)
    return CappedBaseStock(order_up_to_level(panel, history, service), np.ceil(mean + cap * deviation))


def _reorder_point(panel: Panel, history: int, service: float, cover: float) -> OrderingPolicy:
    point = order_up_to_level(panel, history, service)
    mean, _ = panel.demand_moments(history)
    return ReorderPoint(point, point + np.maximum(np.ceil(cover * mean), 1.0))


def _moving_average(panel: Panel, history: int, window: int, service: float) -> OrderingPolicy:
    return MovingAverage(window, float(stats.norm.ppf(service)))


def _seasonal(panel: Panel, history: int, products: np.ndarray, window: int, service: float) -> OrderingPolicy:
    parts = round(panel.periods_per_year())
    year = panel.year_fraction()
    demand, known = panel.demand[:history, products], panel.known[:history, products]
    profile = SeasonalIndex(parts).fit(demand, known, year[:history])
    beyond = (year[-1] + np.arange(1, parts + 1) / parts) % 1.0
    return SeasonalForecast(window, float(stats.norm.ppf(service)), profile.factor(np.concatenate([year, beyond])))


def _quantile_examples(panel: Panel, history: int, products: np.ndarray, window: int, seasonal: bool) -> Examples:
    """Return the examples of some products' history that a quantile regression learns from."""
    lead_time = mean_lead_time(panel.shares[: max(1, history)])[products]
    calendar = panel.calendar()[:history] if seasonal else None
    demand, known = panel.demand[:history, products], panel.known[:history, products]
    return past_examples(demand, known, lead_time, window, calendar)


def _quantile_forecast(
    panel: Panel, history: int, products: np.ndarray, window: int, seasonal: bool, service: float
) -> OrderingPolicy:
    examples = _quantile_examples(panel, history, products, window, seasonal)
    names = FEATURES + SEASON if seasonal else FEATURES
    fit = QuantileRegression(service).fit(examples.target, examples.features, examples.group, names)
    return QuantileForecast(fit, seasonal)


def classical_candidates(
    panel: Panel, history: int, window: int = 16, products: np.ndarray | None = None
) -> tuple[Candidate, ...]:
    """Return the classical policies that the history can support.

    Args:
        panel: The history with its assumptions.
        history: Training periods.
        window: Periods of past demand that observations show.
        products: Columns of the panel from which the season and the quantiles are learned, which hold for all; None
            for all of them.
    """
    pooled = np.arange(panel.products) if products is None else products
    windows = [w for w in (4, 8, 16) if w <= window]
    candidates = [
        Candidate("order nothing", "Never orders.", lambda panel, history: OrderNothing(), [{}]),
        Candidate(
            "newsvendor",
            "Orders up to the critical-ratio quantile of demand over lead time and review.",
            _newsvendor,
            [{}],
        ),
        Candidate(
            "base-stock",
            "Orders up to a fixed level: a quantile, tuned, of demand over lead time and review.",
            _base_stock,
            [{"service": service} for service in SERVICE],
        ),
        Candidate(
            "capped base-stock",
            "Base-stock with a cap on each order.",
            _capped_base_stock,
            [{"service": service, "cap": cap} for service in SERVICE for cap in (0.5, 1.0, 2.0)],
        ),
        Candidate(
            "(s, S)",
            "When the position falls to s, orders up to S.",
            _reorder_point,
            [{"service": service, "cover": cover} for service in SERVICE for cover in (1.0, 2.0, 4.0, 8.0)],
        ),
        Candidate(
            "moving average",
            "Orders up to a moving-average forecast of demand over lead time and review, plus a service-level buffer.",
            _moving_average,
            [{"window": window, "service": service} for window in windows for service in SERVICE],
        ),
    ]
    two_years = history >= 2 * round(panel.periods_per_year())
    if two_years:
        candidates.append(
            Candidate(
                "seasonal forecast",
                "The same with a forecast that knows the season of the year.",
                partial(_seasonal, products=pooled),
                [{"window": window, "service": service} for window in windows for service in SERVICE],
            )
        )
    if window >= LEAST_WINDOW:
        rows = len(_quantile_examples(panel, history, pooled, window, two_years).target)
        # a quantile that few examples exceed would be that of those few
        levels = [service for service in SERVICE if rows * (1 - service) >= BEYOND]
        if levels:
            candidates.append(
                Candidate(
                    "quantile forecast",
                    "Orders up to a quantile, by regression on recent demand, of demand over lead time and review.",
                    partial(_quantile_forecast, products=pooled, window=window, seasonal=two_years),
                    [{"service": service} for service in levels],
                )
            )
    return tuple(candidates)


@dataclass(frozen=True)
class Tuned:
    """A candidate with the settings that earned most in training.

    Attributes:
        name: Of the candidate.
        rule: In one sentence.
        settings: The winner.
        policy: Built with them.
        profit: Mean discounted profit a product and period in training, for each settings of the grid; empty where
            there is nothing to choose.
    """

    name: str
    rule: str
    settings: dict[str, Any]
    policy: OrderingPolicy
    profit: tuple[float, ...]


def tune(
    candidate: Candidate,
    panel: Panel,
    history: int,
    products: np.ndarray,
    process: InventoryReplay,
    discount: float = 1.0,
) -> Tuned:
    """Choose the settings with the highest mean profit over the training periods and products.

    Args:
        candidate: What to tune.
        panel: The history with its assumptions.
        history: Training periods; the simulation runs through all that ``process`` covers.
        products: Columns of the panel that take part, int [M].
        process: A replay that starts at period 0 and ends with the training history.
        discount: Worth of next period's money, in (0, 1].
    """
    policies = [candidate.build(panel, history, **settings) for settings in candidate.grid]
    if len(policies) == 1:
        return Tuned(candidate.name, candidate.rule, dict(candidate.grid[0]), policies[0], ())
    state = process.reset(make_key(np.zeros(len(products), np.int64)), product=products, start=0)
    weight = (discount ** np.arange(process.horizon))[:, None]
    profit = tuple(
        float((weight * rollout(process, policy, state, name=candidate.name)["reward"]).mean()) for policy in policies
    )
    best = int(np.argmax(profit))
    return Tuned(candidate.name, candidate.rule, dict(candidate.grid[best]), policies[best], profit)
