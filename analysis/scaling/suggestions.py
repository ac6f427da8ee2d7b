"""What to run next: the targets that a fit's intervals are about, and the run that would shrink each most."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from sandtable.analysis.scaling.laws import Job
from sandtable.analysis.scaling.settings import ScalingLawSettings
from sandtable.estimators.scaling.law_result import LawResult
from sandtable.estimators.scaling.next_run import BEYOND, Candidates, Target, budgets_of, candidates, next_run
from sandtable.estimators.scaling.parametric import FITTED, ParametricResult, derive


class Suggestion(NamedTuple):
    """A run that would shrink an interval.

    Attributes:
        flops: Its budget.
        parameters: Its size; NaN where the law knows compute alone.
        data: Its data; NaN likewise.
        target: What would be known better.
        width_now: Of its interval; of optimal sizes and losses, of ln high less ln low.
        width_after: What the width would be with the run.
    """

    flops: float
    parameters: float
    data: float
    target: str
    width_now: float
    width_after: float


def suggest(
    job: Job, result: LawResult, optimum: Mapping[float, Mapping[str, np.ndarray]], settings: ScalingLawSettings
) -> list[Suggestion]:
    """Return the best size of each candidate budget for each target, the best budget first.

    Approach 3 has its exponent for a target, and its optimal size and loss at the largest budget that is foretold; a
    power law of compute has its exponent, and what it predicts there.
    """
    if job.law not in ("approach3", "compute") or result.interval is None:
        return []
    if job.law == "compute":
        flops = budgets_of(job.runs)[-1] * np.array([1.0, *BEYOND])
        grid = Candidates(flops, np.full(len(flops), np.nan), np.full(len(flops), np.nan))
    else:
        grid = candidates(job.runs, settings.flops_factor)
    names = ("parameters", "data") if job.law == "approach3" else ("flops",)
    place = {row: index for index, row in enumerate(job.runs.rows.tolist())}
    order = np.array([place[row] for row in result.rows.tolist()])
    now = tuple(job.runs.column(name)[order] for name in names)
    weights = result.sample.weights if isinstance(result, ParametricResult) else None
    found = []
    for name, (target, width) in _targets(job, result, optimum).items():
        table = next_run(result, now, grid, target, width, names, weights)
        columns = ("flops", "parameters", "data", "width_now", "width_after")
        for flops, parameters, data, before, after in table[list(columns)].to_numpy().tolist():
            if np.isfinite(after):
                found.append(Suggestion(flops, parameters, data, name, before, after))
    return found


def _targets(
    job: Job, result: LawResult, optimum: Mapping[float, Mapping[str, np.ndarray]]
) -> dict[str, tuple[Target, float]]:
    """Return, by name, what should be known better, and the width of its interval now."""
    law = "exponent" if job.law == "compute" else "N_exponent"
    low, high = result.conf_int().loc[law].to_numpy()
    if job.law == "compute":
        return {"exponent": (lambda params: float(params[1]), float(high - low))}
    targets: dict[str, tuple[Target, float]] = {
        "N_exponent": (lambda params: float(derive(params[:FITTED])[FITTED]), float(high - low))
    }
    function = result.optimum_function
    if optimum and function is not None:
        flops = max(optimum)
        for name in ("parameters", "loss"):
            _, low, high = optimum[flops][name]

            def target(params: np.ndarray, name: str = name) -> float:
                return float(np.log(function(params, np.array([flops]))[name][0]))

            targets[f"{name} at {flops:.3g}".replace("e+", "e")] = (target, float(np.log(high / low)))
    return targets
