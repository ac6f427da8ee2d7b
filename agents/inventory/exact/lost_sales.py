"""The optimum of the lost-sales problem with a lead time, by relative value iteration.

The state is (x, z_1, ..., z_{L-1}) as in ``lost_sales_chain``; with c(x) = h E(x - D)^+ + p E(D - x)^+ and g the
average cost, the optimality equation is

    g + v(x, z) = c(x) + min over q of E v((x - D)^+ + z_1, z_2, ..., z_{L-1}, q).

The expectation over D is a product with the small matrix P((x - D)^+ = y), exact for demand without a bound. Orders are
bounded by newsvendors' levels: q* is at most that of one period, and the position after an order at most that of L + 1
periods (Morton 1969; Zipkin 2008, "Old and new methods for lost-sales inventory systems", Operations Research 56). One
unit is added to both; if the policy found uses it, the bounds are widened and the problem is solved again.
"""

from dataclasses import dataclass

import numpy as np

from sandtable.agents.inventory.exact.demand import MEMORY, checked_lead_time, left_after_demand
from sandtable.agents.inventory.exact.lost_sales_chain import evaluate
from sandtable.agents.inventory.exact.lost_sales_problem import LostSalesProblem
from sandtable.agents.inventory.exact.newsvendor import NewsvendorProblem, solve_newsvendor
from sandtable.agents.inventory.exact.table_policy import TablePolicy
from sandtable.agents.inventory.policy import OrderingPolicy

NUMBERS_A_STATE = 6  # of 8 bytes: two values, an order, and two work arrays with their mask


@dataclass(frozen=True)
class LostSalesOptimum:
    """The optimum, and how far it can be trusted.

    Attributes:
        cost: Average a period; the true one of the bounded problem lies within half the span of it.
        policy: Of least average cost; runs in ``LostSales``.
        span: Greatest less least change of the values in the last iteration: the bounds on the cost.
        iterations: Of the last value iteration.
        converged: Whether the span fell below the tolerance.
        largest_order: Bound on an order, units.
        largest_position: Bound on the inventory position after an order, units.
        mass_at_bound: Probability, in the long run, of a period in which the policy uses a bound; below 1e-9, as bounds
            are widened until it is.
        states: How many the value iteration had.
    """

    cost: float
    policy: OrderingPolicy
    span: float
    iterations: int
    converged: bool
    largest_order: int
    largest_position: int
    mass_at_bound: float
    states: int


def solve_lost_sales(
    problem: LostSalesProblem,
    *,
    tolerance: float = 1e-6,
    most_iterations: int = 20_000,
    memory: float = MEMORY,
    largest_order: int | None = None,
    largest_position: int | None = None,
) -> LostSalesOptimum:
    """Return the optimum.

    Args:
        problem: With lead time 0 it is a newsvendor's.
        tolerance: On the span.
        most_iterations: After which the iteration gives up (``converged`` tells).
        memory: Bytes that may be used.
        largest_order: First bound on an order; by default the newsvendor's level of a period and 1.
        largest_position: First bound on the position; by default the newsvendor's level of L + 1 periods and 1.

    Raises:
        ValueError: The states do not fit in memory.
    """
    if problem.lead_time == 0:
        level = solve_newsvendor(NewsvendorProblem(problem.law(), problem.holding, problem.shortage))
        bound = int(level.level)
        return LostSalesOptimum(level.cost, level.policy, 0.0, 0, True, bound, bound, 0.0, 1)
    most = problem.fractile(1) + 1 if largest_order is None else checked_lead_time("largest_order", largest_order, 1)
    position = problem.fractile(problem.lead_time + 1) + 1 if largest_position is None else int(largest_position)
    position = max(position, most)
    while True:
        cost, orders, span, iterations = _iterate(problem, most, position, tolerance, most_iterations, memory)
        at_order, at_position = _mass_at_bounds(problem, orders, most, position, memory)
        if max(at_order, at_position) < 1e-9:
            break
        most += (most + 1) // 2 if at_order >= 1e-9 else 0
        position = max(position + (position + 3) // 4 if at_position >= 1e-9 else position, most)
    return LostSalesOptimum(
        cost=cost,
        policy=TablePolicy(orders[..., None].astype(np.float64)),
        span=span,
        iterations=iterations,
        converged=span <= tolerance,
        largest_order=most,
        largest_position=position,
        mass_at_bound=at_order + at_position,
        states=orders.size,
    )


def _iterate(
    problem: LostSalesProblem, most: int, position: int, tolerance: float, most_iterations: int, memory: float
) -> tuple[float, np.ndarray, float, int]:
    """Return cost, orders [position + 1, most + 1, ...], span and iterations of the problem with these bounds."""
    shape = (position + 1,) + (most + 1,) * (problem.lead_time - 1)
    states = float(np.prod(shape, dtype=np.float64))
    needed = 8.0 * (NUMBERS_A_STATE * states + 3.0 * (position + 1) * (position + 1 + most))
    if needed > memory:
        raise ValueError(
            f"value iteration with lead time {problem.lead_time} has {states:.3g} states, {needed / 2**30:.3g} GiB, "
            f"and {memory / 2**30:.3g} GiB are allowed; use a heuristic: best_capped_base_stock evaluates capped "
            "base-stock policies, and CappedBaseStock can be simulated at any lead time"
        )
    law, cost = left_after_demand(problem.law(), position), problem.period_cost(position)
    in_transit = np.add.reduce(np.indices(shape[1:]), axis=0) if problem.lead_time > 1 else np.zeros((), np.int64)
    possible = np.arange(position + 1).reshape(-1, *(1,) * in_transit.ndim) + in_transit <= position
    value = np.zeros(shape)
    span, iterations = np.inf, 0
    while span > tolerance and iterations < most_iterations:
        following = cost.reshape(-1, *(1,) * in_transit.ndim) + _best(value, law, most, position)[0]
        change = (following - value)[possible]
        low, high = float(change.min()), float(change.max())
        span, iterations = high - low, iterations + 1
        value = following - following.flat[0]
    return (low + high) / 2, _best(value, law, most, position)[1], span, iterations


def _best(value: np.ndarray, law: np.ndarray, most: int, position: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the least expected value to go of each state, and the least order that reaches it.

    Args:
        value: By (x, z_1, ..., z_{L-1}); L = 1: by x.
        law: P((x - D)^+ = y), [x, y].
        most: Largest order.
        position: Largest position after an order; states above it cannot be reached, and their values mean nothing.
    """
    left = np.arange(position + 1)
    order = np.arange(most + 1)
    if value.ndim == 1:
        expected = law @ value[np.minimum(left[:, None] + order, position)]
        expected[(left[:, None] + order > position) & (order > 0)] = np.inf
        return expected.min(axis=1), expected.argmin(axis=1).astype(np.int32)
    least, orders = np.empty(value.shape), np.empty(value.shape, np.int32)
    later = np.add.reduce(np.indices((*value.shape[2:], most + 1)), axis=0).reshape(-1, most + 1)
    for due in order:  # z_1
        shifted = value[np.minimum(left + due, position)].reshape(position + 1, -1)
        expected = (law @ shifted).reshape(position + 1, -1, most + 1)
        room = position - due - left[:, None, None]
        expected[:, :, 1:][(later[:, 1:] > room)] = np.inf
        choice = expected.argmin(axis=2)
        least[:, due] = np.take_along_axis(expected, choice[..., None], 2).reshape(least[:, due].shape)
        orders[:, due] = choice.reshape(least[:, due].shape)
    return least, orders


def _mass_at_bounds(
    problem: LostSalesProblem, orders: np.ndarray, most: int, position: int, memory: float
) -> tuple[float, float]:
    """Return the stationary probabilities of ordering the largest order, and of reaching the largest position."""
    chain = evaluate(
        problem, lambda state: orders[tuple(state.T)].astype(np.int64), position, most, tolerance=1e-9, memory=memory
    )
    reached = chain.states.sum(axis=1) + chain.orders
    return float(chain.probability[chain.orders >= most].sum()), float(chain.probability[reached >= position].sum())
