"""What base-stock and capped base-stock policies cost on the lost-sales problem, exactly, and the best of each.

The policies are those of ``order_up_to``; their cost is that of the stationary law of their chain
(``lost_sales_chain``). The cost of base-stock policies is convex in the level (Janakiraman and Roundy 2004, Operations
Research 52), so that the best level is found by descent. Caps are tried one by one: a cap r < m loses at least
m - r units a period.
"""

from dataclasses import dataclass

import numpy as np

from sandtable.agents.inventory.exact.demand import MEMORY
from sandtable.agents.inventory.exact.lost_sales_chain import evaluate
from sandtable.agents.inventory.exact.lost_sales_problem import LostSalesProblem
from sandtable.agents.inventory.exact.newsvendor import NewsvendorProblem, newsvendor_cost
from sandtable.agents.inventory.order_up_to import BaseStock, CappedBaseStock

FLAT = 1e-7  # an improvement below it is none: with a cap below the mean the cost only levels off as the level grows


@dataclass(frozen=True)
class BaseStockEvaluation:
    """What a policy costs.

    Attributes:
        cost: Average a period.
        policy: The policy, with its level and cap.
        residual: Of the stationary probabilities, sum of absolute changes in the last step; 0 without a lead time.
        iterations: Steps of the power iteration.
        converged: Whether the residual fell below the tolerance.
        states: How many can be reached.
    """

    cost: float
    policy: BaseStock | CappedBaseStock
    residual: float
    iterations: int
    converged: bool
    states: int


def evaluate_base_stock(
    problem: LostSalesProblem, level: int, cap: int | None = None, *, memory: float = MEMORY
) -> BaseStockEvaluation:
    """Return what ordering up to a level costs.

    Args:
        problem: The problem.
        level: S, whole units >= 0; 0 never orders.
        cap: r, most units an order, whole, >= 0 (0 never orders); None for none.
        memory: Bytes that may be used.

    Raises:
        ValueError: Level or cap is no whole number >= 0, or the chain does not fit in memory.
    """
    for name, units in (("level", level), ("cap", cap)):
        if units is not None and (not np.isfinite(units) or int(units) != units or units < 0):
            raise ValueError(f"{name} must be a whole number of units, not negative, not {units}")
    policy = BaseStock(float(level)) if cap is None else CappedBaseStock(float(level), float(cap))
    most = int(level if cap is None else min(cap, level))
    if most == 0:
        return BaseStockEvaluation(problem.shortage * problem.mean, policy, 0.0, 0, True, 1)
    if problem.lead_time == 0 and most == level:
        newsvendor = NewsvendorProblem(problem.law(), problem.holding, problem.shortage)
        return BaseStockEvaluation(newsvendor_cost(newsvendor, level)[0], policy, 0.0, 0, True, 1)
    if problem.lead_time == 0:
        raise ValueError("without a lead time a cap is not evaluated; use base-stock, which is optimal")
    chain = evaluate(
        problem, lambda state: np.clip(level - state.sum(axis=1), 0, most), int(level), most, memory=memory
    )
    return BaseStockEvaluation(
        chain.cost, policy, chain.residual, chain.iterations, chain.converged, len(chain.probability)
    )


def best_base_stock(problem: LostSalesProblem, *, memory: float = MEMORY) -> BaseStockEvaluation:
    """Return the best base-stock policy: by descent from the backlog's best level, which is never below it."""
    return _descend(problem, problem.fractile(problem.lead_time + 1), None, memory)


def best_capped_base_stock(problem: LostSalesProblem, *, memory: float = MEMORY) -> BaseStockEvaluation:
    """Return the best capped base-stock policy, over whole levels and caps.

    Caps run down from the newsvendor's level of a period, above which no optimal policy orders, while a cap below the
    mean can still beat the best: it loses ``p (m - r)`` a period at least. For each, levels descend from the last best.
    """
    if problem.lead_time == 0:
        return best_base_stock(problem)
    best = _descend(problem, problem.fractile(problem.lead_time + 1), problem.fractile(1), memory)
    level = int(best.policy.level)
    for cap in range(problem.fractile(1) - 1, 0, -1):
        if problem.shortage * (problem.mean - cap) >= best.cost:
            break
        tried = _descend(problem, level, cap, memory)
        level = int(tried.policy.level)
        if tried.cost < best.cost:
            best = tried
    return best


def _descend(problem: LostSalesProblem, level: int, cap: int | None, memory: float) -> BaseStockEvaluation:
    """Return the best of the levels that are reached by steps of one that lower the cost."""
    best = evaluate_base_stock(problem, level, cap, memory=memory)
    for step in (1, -1):
        start = best
        while best.policy.level + step >= 0:
            tried = evaluate_base_stock(problem, int(best.policy.level) + step, cap, memory=memory)
            if tried.cost >= best.cost - FLAT:
                break
            best = tried
        if best is not start:
            break
    return best
