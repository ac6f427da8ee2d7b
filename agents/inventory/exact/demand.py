"""Laws of demand over one or several periods, and the checks that all problem descriptions share."""

from typing import Any

import numpy as np
from scipy import stats

MEMORY = 2**32
"""Bytes that a solver may use unless it is told otherwise."""


def checked_number(name: str, value: float, positive: bool = False) -> float:
    """Return a finite number that is not negative (or is positive), or say which argument is none."""
    if not (np.isfinite(value) and (value > 0 if positive else value >= 0)):
        raise ValueError(f"{name} must be finite and {'positive' if positive else 'not negative'}, not {value}")
    return float(value)


def checked_lead_time(name: str, value: float, least: int = 0) -> int:
    """Return a whole number of periods, at least ``least``, or say which argument is none."""
    if not np.isfinite(value) or int(value) != value or value < least:
        raise ValueError(f"{name} must be a whole number of periods, at least {least}, not {value}")
    return int(value)


def demand_law(demand: str, mean: float, periods: int = 1) -> Any:
    """Return the law of demand over some periods, independent and alike.

    Args:
        demand: ``poisson``, or ``geometric`` on 0, 1, ...; as in ``LostSales``.
        mean: Of one period, units, > 0.
        periods: How many, >= 1.

    Returns:
        A frozen distribution of scipy.stats: Poisson, or negative binomial (the sum of geometric variables).
    """
    checked_number("mean", mean, positive=True)
    if demand == "poisson":
        return stats.poisson(mean * periods)
    if demand == "geometric":
        return stats.nbinom(periods, 1.0 / (1.0 + mean))
    raise ValueError(f"demand must be 'geometric' or 'poisson', not {demand!r}")


def period_cost(law: Any, levels: np.ndarray, holding: float, shortage: float) -> np.ndarray:
    """Return the expected cost of a period, ``h E(x - D)^+ + p E(D - x)^+``, of whole stock levels x.

    Exact for unbounded demand: ``E(x - D)^+`` is the sum of P(D <= k) over k < x, and E(D - x)^+ = E(x - D)^+ + m - x.

    Args:
        law: Of demand, on 0, 1, ...; a frozen distribution of scipy.stats.
        levels: x, whole units, [n], of any sign.
        holding: h, money per unit left.
        shortage: p, money per unit of unmet demand.
    """
    levels = np.asarray(levels, dtype=np.int64)
    cumulative = np.concatenate([[0.0], np.cumsum(law.cdf(np.arange(max(int(levels.max()), 0))))])
    left = cumulative[np.maximum(levels, 0)]
    cost: np.ndarray = holding * left + shortage * (left + law.mean() - levels)
    return cost


def left_after_demand(law: Any, largest: int) -> np.ndarray:
    """Return P((x - D)^+ = y), float64 [largest + 1 (x), largest + 1 (y)]: exact, as all of the tail falls on y = 0."""
    units = np.arange(largest + 1)
    left = units[:, None] - units
    probability = np.where(left >= 0, law.pmf(np.maximum(left, 0)), 0.0)
    probability[:, 0] = law.sf(units - 1)
    return probability
