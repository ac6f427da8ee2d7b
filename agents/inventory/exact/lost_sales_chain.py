"""Exact evaluation of any policy of the lost-sales problem: the stationary law of its Markov chain.

A state is (x, z_1, ..., z_{L-1}): units to be had in this period, what was left and what arrives, then units due in
1, 2, ... periods. With the order q it becomes ``((x - D)^+ + z_1, z_2, ..., z_{L-1}, q)``. As (x - D)^+ takes finitely
many values, no tail of the demand is cut off. Only states that can be reached from empty shelves are visited.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from sandtable.agents.inventory.exact.demand import MEMORY, left_after_demand
from sandtable.agents.inventory.exact.lost_sales_problem import LostSalesProblem

BYTES_A_TRANSITION = 64  # in the lists, and in the sparse matrix made of them


@dataclass(frozen=True, eq=False)
class Chain:
    """The stationary behaviour of a policy.

    Attributes:
        cost: Average a period.
        states: (x, z_1, ..., z_{L-1}), int64 [n, L].
        orders: Units, int64 [n].
        probability: Stationary, [n].
        residual: Sum of the absolute changes of the probabilities in the last step of the iteration.
        iterations: How many steps it took.
        converged: Whether the residual fell below the tolerance.
    """

    cost: float
    states: np.ndarray
    orders: np.ndarray
    probability: np.ndarray
    residual: float
    iterations: int
    converged: bool


def evaluate(
    problem: LostSalesProblem,
    order: Callable[[np.ndarray], np.ndarray],
    largest_position: int,
    largest_order: int,
    *,
    tolerance: float = 1e-12,
    most_iterations: int = 100_000,
    memory: float = MEMORY,
) -> Chain:
    """Return the stationary behaviour of a policy that starts from empty shelves.

    Args:
        problem: The problem; lead time at least 1.
        order: Maps states [n, L] to whole orders [n].
        largest_position: The inventory position is never above it after an order.
        largest_order: No order is above it.
        tolerance: On the residual.
        most_iterations: Steps of the power iteration after which it gives up.
        memory: Bytes that may be used.

    Raises:
        ValueError: The chain does not fit in memory.
    """
    states, orders, transitions = _reachable(problem, order, largest_position, largest_order, memory)
    probability: np.ndarray = np.zeros(len(states))
    probability[0] = 1.0  # empty shelves: the least of all codes
    residual, iterations = np.inf, 0
    while residual > tolerance and iterations < most_iterations:
        following = transitions @ probability
        following /= following.sum()
        residual, iterations = float(np.abs(following - probability).sum()), iterations + 1
        probability = following
    cost = float(problem.period_cost(largest_position)[states[:, 0]] @ probability)
    return Chain(cost, states, orders, probability, residual, iterations, residual <= tolerance)


def _reachable(
    problem: LostSalesProblem,
    order: Callable[[np.ndarray], np.ndarray],
    largest_position: int,
    largest_order: int,
    memory: float,
) -> tuple[np.ndarray, np.ndarray, sparse.csr_array]:
    """Return the states that can be reached, their orders, and the transitions [to, from]."""
    lead_time, radix = problem.lead_time, largest_order + 1
    weights = radix ** np.arange(lead_time - 1, -1, -1, dtype=object)
    if (largest_position + 1) * weights[0] >= 2**62:
        raise ValueError(
            f"the chain of lead time {lead_time} with orders up to {largest_order} has more states than can be "
            "numbered; simulate the policy instead (sandtable.agents.rollout)"
        )
    weights = weights.astype(np.int64)
    law = left_after_demand(problem.law(), largest_position)
    known: np.ndarray = np.zeros(1, dtype=np.int64)
    frontier = known
    sources: list[np.ndarray] = []
    targets: list[np.ndarray] = []
    probabilities: list[np.ndarray] = []
    count = 0
    while len(frontier):
        state = frontier[:, None] // weights
        state[:, 1:] %= radix
        x = state[:, 0]
        orders = order(state)
        if orders.min() < 0 or orders.max() > largest_order or (state.sum(axis=1) + orders).max() > largest_position:
            raise ValueError(
                f"the policy orders below 0, above largest_order {largest_order}, or to a position above "
                f"largest_position {largest_position}"
            )
        kept = np.append(state[:, 1:], orders[:, None], axis=1)  # z_1, ..., z_{L-1}, q
        base = kept @ weights  # z_1 is added to what is left
        count += int((x + 1).sum())
        if count * BYTES_A_TRANSITION > memory:
            raise ValueError(
                f"the chain of lead time {lead_time} has more than {count:.3g} transitions, "
                f"{count * BYTES_A_TRANSITION / 2**30:.1f} GiB, and {memory / 2**30:.1f} GiB are allowed; "
                "simulate the policy instead (sandtable.agents.rollout)"
            )
        source = np.repeat(np.arange(len(x)), x + 1)
        left = np.arange(len(source)) - np.repeat(np.cumsum(x + 1) - (x + 1), x + 1)
        sources.append(frontier[source])
        targets.append(base[source] + left * weights[0])
        probabilities.append(law[x[source], left])
        frontier = np.setdiff1d(targets[-1], known)
        known = np.union1d(known, frontier)
    row, column = (np.searchsorted(known, np.concatenate(codes)) for codes in (targets, sources))
    transitions = sparse.csr_array((np.concatenate(probabilities), (row, column)), shape=(len(known), len(known)))
    states = known[:, None] // weights
    states[:, 1:] %= radix
    return states, order(states), transitions
