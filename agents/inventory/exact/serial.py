"""The optimum of a serial system: echelon base-stock policies, by the recursion of Clark and Scarf (1960).

Stage 1 serves the customers, stage j + 1 supplies stage j, and a supplier without limits stage N. With h_j the echelon
holding cost of stage j, H = h_1 + ... + h_N, p the cost of a unit that waits, and D_j the demand of L_j periods,

    C^_1(x) = h_1 x + (p + H) x^-,               C_j(y) = E C^_j(y - D_j),   S_j = argmin C_j,
    C^_{j+1}(x) = h_{j+1} x + C_j(min(S_j, x)),  and the optimal cost is C_N(S_N)

(Snyder and Shen, Fundamentals of Supply Chain Theory, section 6.2). C_1 is a closed form for normal demand; the others
are convolutions on a grid.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import signal, stats

from sandtable.agents.inventory.exact.demand import MEMORY, checked_lead_time, checked_number
from sandtable.agents.inventory.policy import OrderingPolicy
from sandtable.simulators.arrays import Array, like, namespace, positive
from sandtable.simulators.inventory.serial import SerialInventory

WIDTH = 9.0  # of the grid, standard deviations of demand on both sides: 2e-19 of it lies beyond


@dataclass(frozen=True)
class SerialProblem:
    """A serial system with normal demand; unmet demand waits.

    Attributes:
        lead_times: L_j, periods, >= 1, stage 1 (the customers') first; see ``SerialInventory`` for what a period is.
        holding: Local holding costs, money per unit and period in stock at a stage or on its way from there; none is
            above that of the stage downstream.
        shortage: p, money per unit that customers wait for, a period, > 0.
        mean: Of demand a period, units, > 0.
        deviation: Standard deviation of demand, units, > 0.
    """

    lead_times: tuple[int, ...] = (1, 1, 2)
    holding: tuple[float, ...] = (7.0, 4.0, 2.0)
    shortage: float = 37.12
    mean: float = 5.0
    deviation: float = 1.0

    def __post_init__(self) -> None:
        if not self.lead_times or len(self.lead_times) != len(self.holding):
            raise ValueError("lead_times and holding must have one entry a stage, and at least one stage")
        for name, value in (("shortage", self.shortage), ("mean", self.mean), ("deviation", self.deviation)):
            checked_number(name, value, positive=True)
        for stage, (lead_time, holding) in enumerate(zip(self.lead_times, self.holding, strict=True), start=1):
            checked_lead_time(f"the lead time of stage {stage}", lead_time, least=1)
            checked_number(f"the holding cost of stage {stage}", holding)
        if min(self.echelon_holding) < 0 or self.holding[-1] <= 0:
            raise ValueError(
                "holding must be positive and not rise upstream: else stock would be pushed down for nothing"
            )

    @property
    def echelon_holding(self) -> tuple[float, ...]:
        """Return h_j, what a stage adds to the holding cost of the one upstream."""
        return tuple(a - b for a, b in zip(self.holding, (*self.holding[1:], 0.0), strict=True))

    def world(self, horizon: int = 100, dtype: str = "float64") -> SerialInventory:
        """Return the simulator of this problem."""
        return SerialInventory(
            self.lead_times, self.holding, self.shortage, self.mean, self.deviation, horizon=horizon, dtype=dtype
        )


@dataclass(frozen=True, eq=False)
class EchelonBaseStock(OrderingPolicy):
    """Every stage orders up to a level of its echelon: what it and all stages downstream have, or is on its way there.

    Attributes:
        levels: S_j, units, [N], stage 1 first.
    """

    levels: Any

    def __call__(self, observation: Any) -> Array:
        """Return units to order, [*batch, N], of what ``SerialInventory`` shows."""
        xp = namespace(observation)
        levels = xp.astype(like(observation, self.levels), observation.dtype)
        stages = xp.reshape(observation, (*observation.shape[:-1], levels.shape[0], -1))
        return positive(levels - xp.cumulative_sum(xp.sum(stages, axis=-1), axis=-1))


@dataclass(frozen=True, eq=False)
class SerialOptimum:
    """The optimum, and how far it can be trusted.

    Attributes:
        cost: Average a period, of stock at the stages and between them, and of customers that wait.
        levels: S_j, echelon base-stock levels, units, stage 1 first.
        policy: Order up to them; runs in ``SerialInventory``.
        step: Of the grid, units.
        error: Of the cost: how much it changed when the step was halved.
        mass_below_zero: Probability of a negative demand: the simulator makes it 0, so that the two differ where this
            is not negligible.
    """

    cost: float
    levels: tuple[float, ...]
    policy: EchelonBaseStock
    step: float
    error: float
    mass_below_zero: float


def solve_serial(problem: SerialProblem, *, step: float | None = None, memory: float = MEMORY) -> SerialOptimum:
    """Return the optimum.

    Args:
        problem: The system.
        step: Of the grid, units; by default a hundredth of the standard deviation. It is halved once, to see the error.
        memory: Bytes that may be used.

    Raises:
        ValueError: The grid does not fit in memory.
    """
    step = problem.deviation / 100 if step is None else checked_number("step", step, positive=True)
    coarse, _ = _recursion(problem, step, memory)
    cost, levels = _recursion(problem, step / 2, memory)
    negative = float(stats.norm.cdf(-problem.mean / problem.deviation))
    return SerialOptimum(cost, levels, EchelonBaseStock(np.asarray(levels)), step / 2, abs(cost - coarse), negative)


def _recursion(problem: SerialProblem, step: float, memory: float) -> tuple[float, tuple[float, ...]]:
    """Return the cost and the levels on a grid of this step."""
    spread = WIDTH * problem.deviation * np.sqrt(problem.lead_times)
    demands = problem.mean * np.asarray(problem.lead_times)
    points = (2 * (demands + spread).sum() + spread.max()) / step
    if 8 * 8 * points > memory:
        raise ValueError(
            f"the grid has {points:.3g} points, {64 * points / 2**30:.3g} GiB, and {memory / 2**30:.3g} GiB are "
            "allowed; take a larger step, or tune the levels of EchelonBaseStock in the simulator"
        )
    y = np.arange(-(demands + spread).sum(), (demands + spread).sum() + spread.max(), step)
    # stage 1: E(y - D) = y - m, and E(y - D)^- = s (phi(z) - z (1 - Phi(z))) with z = (y - m) / s
    deviation = problem.deviation * np.sqrt(problem.lead_times[0])
    z = (y - demands[0]) / deviation
    waiting = deviation * (stats.norm.pdf(z) - z * stats.norm.sf(z))
    cost = problem.echelon_holding[0] * (y - demands[0]) + (problem.shortage + problem.holding[0]) * waiting
    least, level = _minimum(y, cost)
    levels = [level]
    for stage in range(1, len(demands)):
        arrived = problem.echelon_holding[stage] * y + np.where(y < level, cost, least)
        reach = int(np.ceil(spread[stage] / step))
        offset = np.arange(-reach, reach + 1) * step
        edges = np.append(offset - step / 2, offset[-1] + step / 2)
        weight = np.diff(stats.norm.cdf(edges, scale=problem.deviation * np.sqrt(problem.lead_times[stage])))
        cost = signal.oaconvolve(arrived, weight / weight.sum(), mode="valid")
        y = y[reach : len(y) - reach] + demands[stage]
        least, level = _minimum(y, cost)
        levels.append(level)
    return least, tuple(levels)


def _minimum(y: np.ndarray, cost: np.ndarray) -> tuple[float, float]:
    """Return the least cost and where it is, by the parabola through the three points around the least."""
    i = int(cost.argmin())
    if i in (0, len(cost) - 1):
        raise ValueError(
            "the cost has no minimum on the grid: the cost of waiting is too small, or too large, to resolve"
        )
    before, here, after = cost[i - 1 : i + 2]
    curvature = before - 2 * here + after
    shift = 0.5 * (before - after) / curvature if curvature > 0 else 0.0
    return float(here - 0.25 * (before - after) * shift), float(y[i] + shift * (y[1] - y[0]))
