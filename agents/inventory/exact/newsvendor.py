"""The newsvendor: one period, one order, holding and shortage costs; the fractile of demand is optimal.

Also the optimum of a backlog with lead time L: demand of L + 1 periods takes the place of that of one.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import integrate

from sandtable.agents.inventory.exact.demand import checked_number, period_cost
from sandtable.agents.inventory.order_up_to import BaseStock


@dataclass(frozen=True)
class NewsvendorProblem:
    """What a newsvendor faces.

    Attributes:
        demand: A frozen distribution of scipy.stats, discrete on whole units from 0 on or continuous, of finite mean.
        holding: h, money per unit left over, > 0.
        shortage: p, money per unit of unmet demand, >= 0; p < h is allowed, and asks for less than the median.
    """

    demand: Any
    holding: float = 1.0
    shortage: float = 4.0

    def __post_init__(self) -> None:
        checked_number("holding", self.holding, positive=True)
        checked_number("shortage", self.shortage)
        if not np.isfinite(self.demand.mean()):
            raise ValueError("the demand's mean must be finite")
        if self.discrete and self.demand.support()[0] < 0:
            raise ValueError("discrete demand must not be negative")

    @property
    def discrete(self) -> bool:
        """Whether demand comes in whole units."""
        return hasattr(self.demand.dist, "pmf")


@dataclass(frozen=True)
class NewsvendorOptimum:
    """The best level and what it costs.

    Attributes:
        cost: Expected, of one period.
        level: S*, units: the least level with P(D <= S) >= p / (p + h); 0 where that is negative.
        policy: Order up to it.
        error: Estimated absolute error of the cost: 0 for whole units, else that of the quadrature.
    """

    cost: float
    level: float
    policy: BaseStock
    error: float


def solve_newsvendor(problem: NewsvendorProblem) -> NewsvendorOptimum:
    """Return the optimum, S* = F^-1(p / (p + h))."""
    fractile = problem.shortage / (problem.shortage + problem.holding)
    level = max(float(problem.demand.ppf(fractile)), 0.0)
    cost, error = newsvendor_cost(problem, level)
    return NewsvendorOptimum(cost, level, BaseStock(level), error)


def newsvendor_cost(problem: NewsvendorProblem, level: float) -> tuple[float, float]:
    """Return the expected cost of a level, ``h E(S - D)^+ + p E(D - S)^+``, and its estimated error.

    For continuous demand, E(S - D)^+ is the integral of S - F^-1(u) over u from 0 to F(S).

    Args:
        problem: Whose cost.
        level: S, units; whole for discrete demand.
    """
    demand, holding, shortage = problem.demand, problem.holding, problem.shortage
    if problem.discrete:
        if int(level) != level:
            raise ValueError(f"level must be whole, as the demand is, not {level}")
        return float(period_cost(demand, np.asarray([level]), holding, shortage)[0]), 0.0
    below = float(demand.cdf(level))
    left, error = integrate.quad(lambda u: level - demand.ppf(u), 0.0, below, epsabs=1e-11, epsrel=1e-11, limit=200)
    cost = holding * left + shortage * (left + float(demand.mean()) - level)
    return cost, (holding + shortage) * error
