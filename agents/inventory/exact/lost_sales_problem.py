"""The description of a lost-sales problem, for all that solve it or evaluate policies on it."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from sandtable.agents.inventory.exact.demand import checked_lead_time, checked_number, demand_law, period_cost
from sandtable.simulators.inventory.lost_sales import LostSales


@dataclass(frozen=True)
class LostSalesProblem:
    """The problem of ``LostSales``: one product, independent demand, a fixed lead time, unmet demand is lost.

    Attributes:
        lead_time: L, periods from order to arrival, >= 0.
        demand: ``poisson``, or ``geometric`` on 0, 1, ....
        mean: Of demand a period, units, > 0.
        holding: h, money per unit left at the end of a period, > 0.
        shortage: p, money per unit of demand lost, >= 0; p < h is allowed. Where p is small, never to order is best.
    """

    lead_time: int = 4
    demand: str = "poisson"
    mean: float = 5.0
    holding: float = 1.0
    shortage: float = 4.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "lead_time", checked_lead_time("lead_time", self.lead_time))
        checked_number("holding", self.holding, positive=True)
        checked_number("shortage", self.shortage)
        self.law()

    def law(self, periods: int = 1) -> Any:
        """Return the law of demand over some periods."""
        return demand_law(self.demand, self.mean, periods)

    def world(self, horizon: int = 100, dtype: str = "float64") -> LostSales:
        """Return the simulator of this problem.

        It cuts orders above ten times the mean demand, which no optimal policy places unless the shortage cost is some
        thousand times the holding cost.
        """
        return LostSales(
            self.lead_time, self.demand, self.mean, self.holding, self.shortage, horizon=horizon, dtype=dtype
        )

    def period_cost(self, largest: int) -> np.ndarray:
        """Return the expected cost of a period with x = 0, ..., largest units to be had, [largest + 1]."""
        return period_cost(self.law(), np.arange(largest + 1), self.holding, self.shortage)

    def fractile(self, periods: int) -> int:
        """Return the newsvendor's level for the demand of some periods, F^-1(p / (p + h)), whole units."""
        return max(int(self.law(periods).ppf(self.shortage / (self.shortage + self.holding))), 0)
