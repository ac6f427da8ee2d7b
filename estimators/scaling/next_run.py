"""What to run next: the budget and size that would shrink an interval most.

To first order a law moves with its parameters along the columns of its Jacobian J, and the variance of a target with
gradient g is s^2 g'M g, M = (J'WJ)^-1. One more run adds one row j to J, so the variance falls by
s^2 (g'M j)^2 / (1 + j'M j): no loss need be known, only where the run would be (a c-optimal design, Atkinson, Donev and
Tobias 2007, chapter 10). The width of the interval that the law has already, whatever its kind, falls in proportion.
The law is taken to hold where the run would be.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from sandtable.estimators.scaling.law_result import LawResult, gradient_of
from sandtable.simulators.scaling.runs import Runs

BEYOND = (10**0.5, 10.0)
"""Candidate budgets above the largest that was run, as multiples of it."""

SIZES = 25
"""Candidate sizes of a budget."""

_MOST_BUDGETS = 6

Target = Callable[[np.ndarray], float]
"""From all parameters of a law to what should be known better."""


@dataclass(frozen=True)
class Candidates:
    """Runs that could be made.

    Attributes:
        flops: C, [m].
        parameters: N, [m].
        data: D, [m].
    """

    flops: np.ndarray
    parameters: np.ndarray
    data: np.ndarray

    def __len__(self) -> int:
        return len(self.flops)


def candidates(runs: Runs, flops_factor: float = 6.0) -> Candidates:
    """Return a grid of budgets, those of the runs and two above, and of sizes.

    The sizes of a budget are those whose data for each parameter are no scarcer and no richer than in some run: further
    out a run would tell more if the law held there, of which there is no sign.

    Args:
        runs: What was run: flops, parameters and data.
        flops_factor: k of C = k N D, which gives the data.
    """
    levels = budgets_of(runs)
    picked = levels[np.unique(np.linspace(0, len(levels) - 1, min(_MOST_BUDGETS, len(levels))).round().astype(int))]
    budgets = np.concatenate([picked, levels[-1] * np.array(BEYOND)])
    ratio = runs.column("data") / runs.column("parameters")
    ladder = np.geomspace(ratio.max(), ratio.min(), SIZES)
    flops, ratios = (grid.ravel() for grid in np.meshgrid(budgets, ladder, indexing="ij"))
    parameters = np.sqrt(flops / (flops_factor * ratios))
    return Candidates(flops, parameters, flops / (flops_factor * parameters))


def budgets_of(runs: Runs) -> np.ndarray:
    """Return the compute of each budget, the median of its runs, increasing [b]."""
    flops = runs.column("flops")
    labels = runs.budget if runs.budget is not None else np.unique(flops, return_inverse=True)[1]
    return np.sort(np.array([np.median(flops[labels == one]) for one in np.unique(labels)]))


def widths_after(
    result: LawResult,
    now: tuple[np.ndarray, ...],
    new: tuple[np.ndarray, ...],
    target: Target,
    weights: np.ndarray | None = None,
) -> np.ndarray:
    """Return by which factor an interval's width would fall with each of several runs added, [m].

    Args:
        result: A law with a ``function``.
        now: Inputs of the function for the runs that were fitted, each [n].
        new: The same for the candidates, each [m].
        target: What should be known better.
        weights: Of the fitted runs, mean 1, [n]; a new run has weight 1.

    Returns:
        1 where a run would tell nothing of the target; NaN where the law is not determined.
    """
    params = result.params.to_numpy()
    jacobian, rows = _jacobian(result, params, now), _jacobian(result, params, new)
    gradient = gradient_of(lambda one: np.atleast_1d(target(one)), params)[0]
    scale = np.linalg.norm(jacobian, axis=0)
    free = scale > 0
    jacobian, rows, gradient = (part[..., free] / scale[free] for part in (jacobian, rows, gradient))
    count = len(jacobian)
    weighted = jacobian * (np.ones(count) if weights is None else weights)[:, None]
    information = weighted.T @ jacobian
    rank = int(np.linalg.matrix_rank(information, hermitian=True))
    if rank < len(information) or count <= rank:
        return np.full(len(rows), np.nan)
    inverse = np.linalg.inv(information)
    variance = float(gradient @ inverse @ gradient)
    reached = rows @ inverse
    gain = (reached @ gradient) ** 2 / (1 + np.einsum("mi,mi->m", reached, rows))
    left = np.sqrt(np.clip(1 - gain / variance, 0.0, 1.0))
    before, after = (float(stats.t.ppf(0.975, df)) for df in (count - rank, count + 1 - rank))
    return left * after / before


def _jacobian(result: LawResult, params: np.ndarray, inputs: tuple[np.ndarray, ...]) -> np.ndarray:
    """Return the derivatives of what is fitted in the parameters, [n, p]: of the logarithm, unless in levels."""
    function, log = result.function, result.objective != "ls"
    if function is None:
        raise ValueError(f"{result.law} predicts no response, so no design can be weighed")

    def fitted(one: np.ndarray) -> np.ndarray:
        values = function(one, *inputs)
        return np.log(values) if log else values

    return gradient_of(fitted, params)


def next_run(
    result: LawResult,
    now: tuple[np.ndarray, ...],
    grid: Candidates,
    target: Target,
    width_now: float,
    inputs: tuple[str, ...] = ("parameters", "data"),
    weights: np.ndarray | None = None,
) -> pd.DataFrame:
    """Return the best size of each budget, the one that would shrink the interval most first.

    Args:
        result: A law with a ``function``.
        now: Inputs of the function for the runs that were fitted.
        grid: What could be run.
        target: What should be known better, a function of the law's parameters.
        width_now: Of its interval.
        inputs: Which attributes of the candidates are the inputs of the function.
        weights: Of the fitted runs.

    Returns:
        ``flops``, ``parameters``, ``data``, ``width_now``, ``width_after``; a row a budget.
    """
    factors = widths_after(result, now, tuple(getattr(grid, name) for name in inputs), target, weights)
    table = pd.DataFrame(
        {
            "flops": grid.flops, "parameters": grid.parameters, "data": grid.data, "width_now": width_now,
            "width_after": width_now * factors,
        }
    )  # fmt: skip
    order = table.sort_values("width_after", kind="stable")
    return order.drop_duplicates("flops").reset_index(drop=True)
