"""Forecasts of a fitted law: what to train with a budget, and how well the law would have told what came next.

A hold-out fits the law to the runs up to a budget and predicts those above it. A prediction interval joins the doubt of
the law and the scatter of a run about it; it is right or wrong run by run, which is what its coverage counts. The rival
that a law has to beat is to carry the last budget forward: what was seen there will be seen again.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from sandtable.estimators.scaling.law_result import LawResult
from sandtable.simulators.errors import InputError
from sandtable.simulators.scaling.runs import Runs

QUANTITIES = ("parameters", "data", "loss")
SAME_BUDGET = 1.05
"""Runs whose compute differs by less are of one budget."""

_MAD_TO_SD = 1.4826
_MAD_EFFICIENCY = 0.37  # of the median absolute deviation beside the standard deviation, for normal noise

Values = Callable[[np.ndarray], np.ndarray]
"""From parameters [p] to predictions [m]."""


def compute_optimal(result: LawResult, flops: np.ndarray, level: float = 0.95) -> list[dict[str, np.ndarray]]:
    """Return the compute-optimal parameters, data and loss of budgets, with intervals.

    Args:
        result: A law with an optimum.
        flops: Budgets C, > 0, [m].
        level: Confidence of the intervals, in (0, 1).

    Returns:
        A mapping a budget from ``parameters``, ``data``, ``loss`` to estimate, low and high, [3]; NaN where the law
        does not know.
    """
    budgets = np.atleast_1d(np.asarray(flops, float))
    known, ends = result.optimum(budgets), result.optimum_interval(budgets, 1 - level)
    rows: list[dict[str, np.ndarray]] = [{} for _ in budgets]
    for name in QUANTITIES:
        for index, row in enumerate(rows):
            row[name] = np.full(3, np.nan)
            if name in known:
                row[name] = np.array([known[name][index], *ends[name][index]])
    return rows


@dataclass(frozen=True)
class HoldOut:
    """Runs above a budget, predicted by a law that did not see them.

    Attributes:
        law: Name of the law.
        result: The law, fitted to the runs up to the budget.
        rows: A row a run held out: ``row``, ``flops``, ``predicted``, ``low``, ``high``, ``observed``, and ``carried``,
            what carrying the last budget forward says.
        rmse_log: Root mean square of ln observed less ln predicted.
        coverage: Share of observed values inside of their prediction interval; NaN where there is no interval.
        rmse_log_carried: Of carrying the last budget forward.
    """

    law: str
    result: LawResult
    rows: pd.DataFrame
    rmse_log: float
    coverage: float
    rmse_log_carried: float


def hold_out(
    fit: Callable[[Runs], LawResult], runs: Runs, above: float, response: str = "loss", level: float = 0.95
) -> HoldOut:
    """Fit a law to the runs up to a budget and score it on those above.

    Args:
        fit: Returns the law of runs, with an interval.
        runs: With flops and the response.
        above: C; runs with more compute are held out.
        response: Column that is predicted, of the ``Runs``.
        level: Confidence of the prediction intervals.

    Raises:
        InputError: No run lies above the budget, or too few below.
    """
    flops = runs.column("flops")
    held = flops > above * (1 + 1e-9)
    if not held.any():
        raise InputError(f"no run has more than {above:g} FLOP, so none can be held out")
    if held.all():
        raise InputError(f"every run has more than {above:g} FLOP, so no law can be fitted below it")
    before, after = runs.select(~held), runs.select(held)
    result = fit(before)
    predicted, ends = prediction_interval(result, before, after, response, level)
    observed, carried = after.column(response), carry_forward(before, after, response)
    with np.errstate(divide="ignore", invalid="ignore"):
        errors, rival = np.log(observed / predicted), np.log(observed / carried)
    known = np.isfinite(ends).all(axis=1)
    inside = (ends[:, 0] <= observed) & (observed <= ends[:, 1])
    table = pd.DataFrame(
        {
            "row": after.rows, "flops": flops[held], "predicted": predicted, "low": ends[:, 0], "high": ends[:, 1],
            "observed": observed, "carried": carried,
        }
    )  # fmt: skip
    return HoldOut(
        law=result.law,
        result=result,
        rows=table,
        rmse_log=float(np.sqrt(np.mean(errors**2))),
        coverage=float(np.mean(inside)) if known.all() else float("nan"),
        rmse_log_carried=float(np.sqrt(np.mean(rival**2))),
    )


def prediction_interval(
    result: LawResult, fitted: Runs, new: Runs, response: str = "loss", level: float = 0.95
) -> tuple[np.ndarray, np.ndarray]:
    """Return predictions of new runs [m] and the ends of their prediction intervals [m, 2].

    The distance from the prediction to either end is the root of two squares: the law's own distance to that end, and
    Student's quantile times the scatter of runs (Zou and Donner 2008 join intervals so; for symmetric ones it is the
    textbook's prediction interval). In logs, unless the law was fitted in levels.

    Args:
        result: The law.
        fitted: The runs that it was fitted to.
        new: What is predicted.
        response: Column that is predicted.
        level: Confidence, in (0, 1).
    """
    params = result.params.to_numpy()
    values = values_of(result, new, response)
    centre = values(params)
    if result.interval is None:
        return centre, np.full((len(new), 2), np.nan)
    ends = result.interval.of(values, level)
    free = 2 if result.law == "minima" else result.rank
    before, at = fitted.column(response), values_of(result, fitted, response)(params)
    with np.errstate(divide="ignore", invalid="ignore"):
        if result.objective == "ls":
            scatter = _scatter(before - at, free, False, level)
            reach = np.hypot(ends - centre[:, None], scatter)
            return centre, np.column_stack([centre - reach[:, 0], centre + reach[:, 1]])
        scatter = _scatter(np.log(before / at), free, result.objective.startswith("huber"), level)
        reach = np.exp(np.hypot(np.log(ends / centre[:, None]), scatter))
    return centre, np.column_stack([centre / reach[:, 0], centre * reach[:, 1]])


def _scatter(residuals: np.ndarray, free: int, robust: bool, level: float) -> float:
    """Return the half-width of a run's own scatter: a quantile of Student's t times its standard deviation.

    A robust law passes through as many runs as it has parameters, so these are left out of the median.
    """
    residuals = residuals[np.isfinite(residuals)]
    df = float(len(residuals) - free)
    if df < 1:
        return float("nan")
    if robust:
        sizes = np.sort(np.abs(residuals))[free:]
        spread, df = _MAD_TO_SD * float(np.median(sizes)), max(1.0, _MAD_EFFICIENCY * df)
    else:
        spread = float(np.sqrt(np.sum(residuals**2) / df))
    return float(stats.t.ppf((1 + level) / 2, df)) * spread


def values_of(result: LawResult, runs: Runs, response: str = "loss") -> Values:
    """Return what a law predicts of runs, as a function of its parameters.

    Raises:
        ValueError: The law predicts no response of a run.
    """
    function, optimum = result.function, result.optimum_function
    if result.law == "minima" and optimum is not None:
        name, flops = {"returns": "return"}.get(response, response), runs.column("flops")
        return lambda params: optimum(params, flops)[name]
    inputs = {"approach3": ("parameters", "data"), "compute": ("flops",), "return": ("loss",)}.get(result.law)
    if function is None or inputs is None:
        raise ValueError(f"{result.law} predicts no response of a run")
    columns = [runs.column(name) for name in inputs]
    return lambda params: function(params, *columns)


def carry_forward(before: Runs, after: Runs, response: str = "loss") -> np.ndarray:
    """Return what the last budget says of later runs [m]: the mean response of its runs of the nearest size.

    Where the runs have no sizes, or one a budget, that is the mean response of the last budget.
    """
    flops, values = before.column("flops"), before.column(response)
    last = flops >= flops.max() / SAME_BUDGET
    if before.parameters is None or after.parameters is None:
        return np.full(len(after), float(np.mean(values[last])))
    sizes = np.log(before.parameters[last])
    apart = np.abs(np.log(after.parameters)[:, None] - sizes)
    nearest = apart <= apart.min(axis=1, keepdims=True) + 1e-9
    return np.where(nearest, values[last], 0.0).sum(axis=1) / nearest.sum(axis=1)
