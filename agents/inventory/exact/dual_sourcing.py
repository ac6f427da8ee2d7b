"""The optimum of dual sourcing with backlog, by relative value iteration.

The state is (x, z_1, ..., z_{l-1}): units to be had in this period before expediting (negative: customers wait), and
regular units due in 1, 2, ... periods. With y = x + q_e after expediting and Y(y) = h E(y - D)^+ + b E(D - y)^+,

    g + v(x, z) = min over y >= x of  c_e (y - x) + Y(y) + B(y + z_1, z_2, ..., z_{l-1}),
    B(u, z_2, ...) = min over q of  c_r q + E v(u - D, z_2, ..., z_{l-1}, q),

so that an iteration is one expectation, one minimum over q, and a running minimum over y from above. The bounds on x
and q are widened until the policy that is found never reaches them from empty shelves.
"""

from dataclasses import dataclass

import numpy as np

from sandtable.agents.inventory.exact.demand import MEMORY, checked_number
from sandtable.agents.inventory.exact.table_policy import TablePolicy
from sandtable.simulators.inventory.dual_sourcing import DualSourcing

NUMBERS_A_STATE = 8  # of 8 bytes: three values, the expectation, its minimum and the orders


@dataclass(frozen=True)
class DualSourcingProblem:
    """The problem of ``DualSourcing``; the expedited supplier delivers at once.

    Attributes:
        regular_lead_time: l, periods, >= 1.
        regular_cost: c_r, money a unit, >= 0.
        expedited_cost: c_e, money a unit, >= 0.
        holding: h, money per unit left at the end of a period, > 0.
        shortage: b, money per unit waiting at the end of a period, > 0.
        lowest_demand: Units a period; demand is uniform on whole numbers.
        highest_demand: Units a period.
    """

    regular_lead_time: int = 2
    regular_cost: float = 0.0
    expedited_cost: float = 10.0
    holding: float = 5.0
    shortage: float = 95.0
    lowest_demand: int = 0
    highest_demand: int = 8

    def __post_init__(self) -> None:
        checked_number("holding", self.holding, positive=True)
        checked_number("shortage", self.shortage, positive=True)
        self.world()
        for name in ("regular_lead_time", "lowest_demand", "highest_demand"):
            object.__setattr__(self, name, int(getattr(self, name)))

    def world(self, horizon: int = 100, dtype: str = "float64") -> DualSourcing:
        """Return the simulator of this problem."""
        return DualSourcing(
            self.regular_lead_time, self.regular_cost, self.expedited_cost, self.holding, self.shortage,
            self.lowest_demand, self.highest_demand, horizon=horizon, dtype=dtype,
        )  # fmt: skip


@dataclass(frozen=True)
class DualSourcingOptimum:
    """The optimum, and how far it can be trusted.

    Attributes:
        cost: Average a period; the true one of the bounded problem lies within half the span of it.
        policy: Of least average cost, regular and expedited orders; runs in ``DualSourcing``.
        span: Greatest less least change of the values in the last iteration.
        iterations: Of the last value iteration.
        converged: Whether the span fell below the tolerance.
        lowest: Bound on x, units.
        highest: Bound on x, units.
        largest_order: Bound on regular orders, units.
        states: How many the value iteration had.
    """

    cost: float
    policy: TablePolicy
    span: float
    iterations: int
    converged: bool
    lowest: int
    highest: int
    largest_order: int
    states: int


def solve_dual_sourcing(
    problem: DualSourcingProblem,
    *,
    tolerance: float = 1e-6,
    most_iterations: int = 20_000,
    memory: float = MEMORY,
) -> DualSourcingOptimum:
    """Return the optimum.

    Args:
        problem: The problem.
        tolerance: On the span.
        most_iterations: After which the iteration gives up (``converged`` tells).
        memory: Bytes that may be used.

    Raises:
        ValueError: The states do not fit in memory.
    """
    largest, periods = problem.highest_demand, problem.regular_lead_time
    lowest, highest, most = -2 * largest, (periods + 1) * largest, largest
    while True:
        cost, orders, span, iterations = _iterate(problem, lowest, highest, most, tolerance, most_iterations, memory)
        below, above, ordered = _bounds_reached(problem, orders, lowest, most)
        if not (below or above or ordered):
            break
        lowest -= largest * periods if below else 0
        highest += largest * periods if above else 0
        most += largest if ordered else 0
    policy, states = TablePolicy(orders.astype(np.float64), lowest), orders[..., 0].size
    return DualSourcingOptimum(cost, policy, span, iterations, span <= tolerance, lowest, highest, most, states)


def _iterate(
    problem: DualSourcingProblem,
    lowest: int,
    highest: int,
    most: int,
    tolerance: float,
    most_iterations: int,
    memory: float,
) -> tuple[float, np.ndarray, float, int]:
    """Return cost, orders [X, most + 1, ..., 2], span and iterations of the problem with these bounds."""
    x = np.arange(lowest, highest + 1)
    shape = (len(x),) + (most + 1,) * (problem.regular_lead_time - 1)
    states = float(np.prod(shape, dtype=np.float64))
    needed = 8.0 * NUMBERS_A_STATE * states * (1 + most / len(x))
    if needed > memory:
        raise ValueError(
            f"value iteration with regular lead time {problem.regular_lead_time} has {states:.3g} states, "
            f"{needed / 2**30:.3g} GiB, and {memory / 2**30:.3g} GiB are allowed; use a heuristic: capped dual index "
            "policies can be tuned in the simulator"
        )
    demand = np.arange(problem.lowest_demand, problem.highest_demand + 1)
    after = x[:, None] - demand
    money = problem.holding * np.maximum(after, 0) + problem.shortage * np.maximum(-after, 0)
    column = (-1,) + (1,) * (len(shape) - 1)
    paid = (money.mean(axis=1) + problem.expedited_cost * x).reshape(column)  # Y(y) + c_e y
    value = np.zeros(shape)
    span, iterations = np.inf, 0
    while span > tolerance and iterations < most_iterations:
        total = paid + _regular(problem, value, lowest, highest, most)[0]
        following = np.minimum.accumulate(total[::-1])[::-1] - problem.expedited_cost * x.reshape(column)
        change = following - value
        low, high = float(change.min()), float(change.max())
        span, iterations = high - low, iterations + 1
        value = following - following.flat[0]
    to_go, regular = _regular(problem, value, lowest, highest, most)
    total = paid + to_go
    best = np.minimum.accumulate(total[::-1])[::-1]
    orders = np.zeros((*shape, 2), np.int64)
    orders[-1, ..., 0] = regular[-1]
    for i in range(len(x) - 2, -1, -1):  # stay at x where that is best, else go where x + 1 goes
        stay = total[i] <= best[i]
        orders[i, ..., 0] = np.where(stay, regular[i], orders[i + 1, ..., 0])
        orders[i, ..., 1] = np.where(stay, 0, orders[i + 1, ..., 1] + 1)
    return (low + high) / 2, orders, span, iterations


def _regular(
    problem: DualSourcingProblem, value: np.ndarray, lowest: int, highest: int, most: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return B(y + z_1, z_2, ...) and its regular order, both by (y, z_1, ..., z_{l-1})."""
    demand = np.arange(problem.lowest_demand, problem.highest_demand + 1)
    reached = np.arange(lowest, highest + most + 1)  # u
    expected = np.zeros((len(reached), *value.shape[1:]))
    for units in demand:
        expected += value[np.clip(reached - units, lowest, highest) - lowest] / len(demand)
    order = np.arange(most + 1)
    later = np.arange(highest - lowest + 1)[:, None] + order  # by y and what is added to it
    if value.ndim == 1:  # the order itself is what arrives next
        options = problem.regular_cost * order + expected[later]
        return options.min(axis=1), options.argmin(axis=1)
    expected += problem.regular_cost * order
    return expected.min(axis=-1)[later], expected.argmin(axis=-1)[later]


def _bounds_reached(problem: DualSourcingProblem, orders: np.ndarray, lowest: int, most: int) -> tuple[bool, ...]:
    """Tell whether the policy, from empty shelves, ever reaches the lowest x, the highest x, or the largest order."""
    sizes = orders.shape[:-1]
    frontier = known = np.ravel_multi_index((-lowest, *(0,) * (len(sizes) - 1)), sizes, mode="raise").reshape(1)
    table = orders.reshape(-1, 2)
    demand = np.arange(problem.lowest_demand, problem.highest_demand + 1)
    below = above = ordered = False
    while len(frontier):
        state = np.stack(np.unravel_index(frontier, sizes), axis=1)
        regular, expedited = table[frontier].T
        kept = np.append(state[:, 1:], regular[:, None], axis=1)  # z_1, ..., z_{l-1}, q
        following = (state[:, 0] + expedited + kept[:, 0])[:, None] - demand
        below |= bool((following <= 0).any())
        above |= bool((state[:, 0] + expedited + kept[:, 0] >= sizes[0] - 1).any())
        ordered |= bool((regular >= most).any())
        after = np.clip(following, 0, sizes[0] - 1)
        columns = [np.broadcast_to(kept[:, i, None], after.shape).ravel() for i in range(1, kept.shape[1])]
        frontier = np.setdiff1d(np.ravel_multi_index((after.ravel(), *columns), sizes), known)
        known = np.union1d(known, frontier)
    return below, above, ordered
