"""The best (s, S) policy under backlog with a fixed order cost, by the algorithm of Zheng and Federgruen (1991).

Operations Research 39(4). With G(y) the cost of a period that starts with position y, m(j) the expected number of
periods in which the position is j below S, and M(k) the sum of m(j) over j < k, a cycle costs on average

    c(s, S) = (K + sum over j < S - s of m(j) G(S - j)) / M(S - s),
    m(0) = 1 / (1 - p_0),    m(j) = sum over i = 1 .. j of p_i m(j - i) / (1 - p_0).

An order is placed when the position is at or below s. All sums are finite: no demand is cut off.
"""

from dataclasses import dataclass

import numpy as np

from sandtable.agents.inventory.exact.demand import checked_lead_time, checked_number, demand_law, period_cost
from sandtable.agents.inventory.order_up_to import ReorderPoint
from sandtable.simulators.inventory.lost_sales import LostSales

MOST_UNITS = 20_000  # the work grows with the square


@dataclass(frozen=True)
class ReorderPointProblem:
    """A product with a fixed cost of ordering; unmet demand waits.

    Attributes:
        fixed: K, money per order, >= 0.
        holding: h, money per unit left at the end of a period, > 0.
        shortage: p, money per unit waiting at the end of a period, > 0.
        demand: ``poisson``, or ``geometric`` on 0, 1, ....
        mean: Of demand a period, units, > 0.
        lead_time: L, periods from order to arrival, >= 0.
    """

    fixed: float = 64.0
    holding: float = 1.0
    shortage: float = 9.0
    demand: str = "poisson"
    mean: float = 10.0
    lead_time: int = 0

    def __post_init__(self) -> None:
        checked_number("fixed", self.fixed)
        checked_number("holding", self.holding, positive=True)
        checked_number("shortage", self.shortage, positive=True)  # at 0 it never pays to order, and no (s, S) is best
        object.__setattr__(self, "lead_time", checked_lead_time("lead_time", self.lead_time))
        demand_law(self.demand, self.mean)

    def world(self, horizon: int = 100, dtype: str = "float64") -> LostSales:
        """Return the simulator; its reward leaves out ``fixed``, to be paid in each period with ``ordered`` > 0."""
        return LostSales(
            self.lead_time, self.demand, self.mean, self.holding, self.shortage, "backlog", horizon=horizon, dtype=dtype
        )


@dataclass(frozen=True)
class ReorderPointOptimum:
    """The best (s, S).

    Attributes:
        cost: Average a period, fixed cost included.
        reorder_point: s, units.
        level: S, units.
        policy: Order up to S when the position is at or below s.
        evaluated: Levels S that were tried before the period cost alone was above the best average.
    """

    cost: float
    reorder_point: int
    level: int
    policy: ReorderPoint
    evaluated: int


class _Cycles:
    """Costs of (s, S), on tables that grow as they are needed."""

    def __init__(self, problem: ReorderPointProblem) -> None:
        self.problem = problem
        self.law = demand_law(problem.demand, problem.mean)
        self.ahead = demand_law(problem.demand, problem.mean, problem.lead_time + 1)
        self.visits = np.asarray([1.0 / (1.0 - self.law.pmf(0))])  # m(j)
        self.lowest, self.costs = 0, np.zeros(0)  # G from this position on

    def period(self, lowest: int, highest: int) -> np.ndarray:
        """Return G(y), y from lowest to highest: the cost of the period in which an order of now has arrived."""
        if lowest < self.lowest or highest >= self.lowest + len(self.costs):
            room = highest - lowest + 64
            self.lowest = lowest - room
            positions = np.arange(self.lowest, highest + room)
            self.costs = period_cost(self.ahead, positions, self.problem.holding, self.problem.shortage)
        return self.costs[lowest - self.lowest : highest + 1 - self.lowest]

    def average(self, reorder_point: int, level: int) -> float:
        """Return c(s, S)."""
        length, known = level - reorder_point, len(self.visits)
        if length > known:
            grown = np.empty(2 * length)
            grown[:known] = self.visits
            probability = self.law.pmf(np.arange(2 * length))
            for j in range(known, 2 * length):
                grown[j] = probability[1 : j + 1] @ grown[j - 1 :: -1][:j] * grown[0]
            self.visits = grown
        visits = self.visits[:length]
        costs = self.period(reorder_point + 1, level)[::-1]
        return float((self.problem.fixed + visits @ costs) / visits.sum())


def solve_reorder_point(problem: ReorderPointProblem) -> ReorderPointOptimum:
    """Return the best s and S.

    Raises:
        ValueError: S - s, about the economic order quantity, is too large to tabulate.
    """
    holding, shortage = problem.holding, problem.shortage
    quantity = np.sqrt(2 * problem.fixed * problem.mean * (holding + shortage) / (holding * shortage))
    if quantity + problem.mean > MOST_UNITS:
        raise ValueError(
            f"the economic order quantity is {quantity:.3g} units at a mean demand of {problem.mean:.3g}, above "
            f"{MOST_UNITS} units together; state the problem in larger units"
        )
    cycles = _Cycles(problem)
    start = int(cycles.ahead.ppf(shortage / (shortage + holding)))  # G is least here
    reorder_point = start - 1
    while cycles.average(reorder_point, start) > cycles.period(reorder_point, reorder_point)[0]:
        reorder_point -= 1
    best, best_level = cycles.average(reorder_point, start), start
    level = start + 1
    while cycles.period(level, level)[0] <= best:
        if cycles.average(reorder_point, level) < best:
            best_level = level
            while cycles.average(reorder_point, level) <= cycles.period(reorder_point + 1, reorder_point + 1)[0]:
                reorder_point += 1
            best = cycles.average(reorder_point, level)
        level += 1
    policy = ReorderPoint(float(reorder_point), float(best_level))
    return ReorderPointOptimum(best, reorder_point, best_level, policy, level - start)
