"""What the study of scaling-law methods measures, on surfaces of which the truth is known."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from sandtable.estimators.scaling.bootstrap import BootstrapInterval, bootstrap_interval
from sandtable.estimators.scaling.forecast import prediction_interval
from sandtable.estimators.scaling.isoflop import IsoFlop, procedure_bias
from sandtable.estimators.scaling.law_result import Interval
from sandtable.estimators.scaling.parametric import PARAMETERS, Approach3, Objective, Optimum, ParametricResult, derive
from sandtable.estimators.scaling.profile import ProfileInterval
from sandtable.simulators import random
from sandtable.simulators.scaling.runs import Runs
from sandtable.simulators.scaling.synthetic_runs import Noise, Surface, isoflop_grid, log_noise

TRUTH = Surface(1.69, 406.4, 410.7, 0.34, 0.28)
"""Where the runs of the coverage lie: the rounded surface of arXiv 2203.15556, appendix D.3."""

NOISE = 0.01  # root mean square, of ln L
LEVEL = 0.95
LARGEST = 1e21  # FLOP, of the fitted budgets
FARTHER = 100.0  # at which the optimum is told, over the largest budget
ABOVE = 10.0  # where runs are forecast, over the largest budget
EACH = 5  # of them, a table
DESIGNS = {30: (5, 6), 60: (6, 10), 240: (8, 30)}
"""Budgets, and sizes at each, by the number of runs."""

QUANTITIES = ("E", "alpha", "beta", "N_exponent", "N_optimum", "L_optimum")
_INDEX = [PARAMETERS.index(name) for name in QUANTITIES[:4]]

_Fitted = tuple[Runs, ParametricResult]


@dataclass(frozen=True)
class Design:
    """Where runs are made, and with which noise.

    Attributes:
        runs: How many, a key of ``DESIGNS``.
        noise: Of the logarithms of the losses.
        half_width: The largest size of a budget over the central, optimal one.
    """

    runs: int
    noise: Noise = "iid"
    half_width: float = 8.0

    def grid(self) -> Runs:
        """Return the runs without noise."""
        budgets, sizes = DESIGNS[self.runs]
        return isoflop_grid(TRUTH, np.geomspace(1e18, LARGEST, budgets), sizes, self.half_width)


def _simulated(design: Design, grid: Runs, objective: Objective, count: int, seed: int) -> Sequence[_Fitted]:
    """Return tables of runs with noise, and the law of each."""
    keys = random.fold_in(random.make_key(seed), np.arange(count))
    tables = []
    for noise in log_noise(grid, NOISE, design.noise, keys):
        runs = Runs.of(parameters=grid.parameters, data=grid.data, flops=grid.flops, budget=grid.budget,
                       loss=grid.column("loss") * np.exp(noise))  # fmt: skip
        tables.append((runs, Approach3(objective).fit(runs.parameters, runs.data, runs.loss)))
    return tables


def _intervals(fitted: _Fitted, resamples: int, seed: int, shared: bool) -> dict[str, Interval]:
    """Return the intervals that are compared: for least squares the profile, for Huber's loss bootstraps."""
    runs, result = fitted
    both = {"t": result.interval, "hc3": result.beside["hc3"].interval}
    intervals = {name: interval for name, interval in both.items() if interval is not None}
    if not np.isfinite(result.sample.delta):
        intervals["profile"] = ProfileInterval(result)
    else:
        _bootstrap(intervals, "", bootstrap_interval(result, "bca", LEVEL, resamples, seed))
    if shared:
        whole = bootstrap_interval(result, "bca", LEVEL, resamples, seed, runs.budget)
        _bootstrap(intervals, "_budgets", whole)
    return intervals


def _bootstrap(intervals: dict[str, Interval], suffix: str, bca: BootstrapInterval) -> None:
    """Add a bootstrap's intervals, by BCa and by percentiles of the same refits."""
    intervals[f"bca{suffix}"] = bca
    intervals[f"percentile{suffix}"] = replace(bca, method="percentile")


def _optimum(params: np.ndarray) -> np.ndarray:
    """Return the optimal size and its loss far above the budgets, [..., 2] of params [..., 8]."""
    found = Optimum()(params, FARTHER * LARGEST)
    return np.stack([found["parameters"], found["loss"]], axis=-1)


def _quantities(params: np.ndarray) -> np.ndarray:
    """Return ``QUANTITIES``, [..., 6] of params [..., 8]."""
    return np.concatenate([params[..., _INDEX], _optimum(params)], axis=-1)


def _ends(interval: Interval) -> np.ndarray:
    """Return the ends of the intervals of ``QUANTITIES``, [6, 2]."""
    if isinstance(interval, ProfileInterval):  # all at once
        return interval.trace(_quantities, LEVEL)[0][-1]
    return np.concatenate([interval.ends(LEVEL)[_INDEX], interval.of(_optimum, LEVEL)])


def coverage(design: Design, objective: Objective, simulations: int, resamples: int, seed: int) -> Mapping[str, Any]:
    """Return how often each interval holds each quantity, their median widths, and how many are missing.

    Args:
        design: Where the runs are made.
        objective: That is fitted.
        simulations: Tables of runs.
        resamples: Of each bootstrap.
        seed: Of the noise.

    Returns:
        ``coverage``, ``width`` (relative to the true value) and ``missing`` (share of intervals without ends) by
        interval and quantity, and ``failed``, the share of refits.
    """
    truth = _quantities(derive(np.array([TRUTH.E, TRUTH.A, TRUTH.B, TRUTH.alpha, TRUTH.beta])))
    ends: dict[str, list[np.ndarray]] = {}
    failed = []
    for index, fitted in enumerate(_simulated(design, design.grid(), objective, simulations, seed)):
        for name, interval in _intervals(fitted, resamples, index, design.noise == "shared").items():
            ends.setdefault(name, []).append(_ends(interval))
            failed += [interval.failed / interval.resamples] if interval.resamples else []
    found = {name: np.array(one) for name, one in ends.items()}

    def table(measure: Callable[[np.ndarray], np.ndarray]) -> dict[str, dict[str, float]]:
        return {
            name: dict(zip(QUANTITIES, map(float, measure(one)), strict=True)) for name, one in found.items()
        }

    with np.errstate(invalid="ignore"):
        held = table(lambda one: np.mean((one[..., 0] <= truth) & (truth <= one[..., 1]), axis=0))
    return {
        "coverage": held,
        "width": table(lambda one: np.nanmedian(np.ptp(one, axis=-1), axis=0) / truth),
        "missing": table(lambda one: np.mean(np.isnan(one).any(axis=-1), axis=0)),
        "failed": float(np.mean(failed)) if failed else 0.0,
    }


def forecast(design: Design, objective: Objective, simulations: int, resamples: int, seed: int) -> Mapping[str, Any]:
    """Return how often prediction intervals hold runs ten times above the fitted budgets.

    Returns:
        ``coverage``, its Monte-Carlo standard error ``se`` (over tables, as runs of one table go together) and the
        median ``width`` over the loss, by interval.
    """
    best = "profile" if objective != "huber-log" else "bca"
    above = isoflop_grid(TRUTH, [ABOVE * LARGEST], EACH, design.half_width)
    noise = log_noise(above, NOISE, "iid", random.fold_in(random.make_key(seed + 1), np.arange(simulations)))
    held, widths = [], []
    for index, fitted in enumerate(_simulated(design, design.grid(), objective, simulations, seed)):
        runs, result = fitted
        interval = _intervals(fitted, resamples, index, False)[best]
        _, ends = prediction_interval(result.with_interval(interval), runs, above, "loss", LEVEL)
        observed = above.column("loss") * np.exp(noise[index])
        held.append(np.mean((ends[:, 0] <= observed) & (observed <= ends[:, 1])))
        widths.append(np.median(np.ptp(ends, axis=1) / above.column("loss")))
    error = float(np.std(held) / np.sqrt(simulations))
    return {"coverage": {best: float(np.mean(held))}, "se": error, "width": {best: float(np.nanmedian(widths))}}


SURFACES = {
    "equal exponents": Surface(1.69, 400.0, 400.0, 0.31, 0.31),
    "Chinchilla": TRUTH,
    "unequal exponents": Surface(1.69, 406.4, 410.7, 0.46, 0.15),
}


def parabola_bias() -> Mapping[str, Any]:
    """Return what Approach 2 makes of noise-free losses at five budgets, fifteen sizes over a factor of 8 either way.

    Returns:
        By surface: ``exponent``, that of the line through the vertices, ``factor``, the fitted size over the optimal
        one at 1e19 FLOP, and ``recovered``, the largest relative error of Approach 3 on the same runs.
    """
    found = {}
    for name, surface in SURFACES.items():
        runs = isoflop_grid(surface, np.geomspace(1e17, 1e21, 5), 15, 8.0)
        bias = procedure_bias(IsoFlop(), runs, surface, np.array([1e19]))
        found[name] = {
            "exponent": float(bias.fit.params["N_exponent"]),
            "factor": float(bias.size_factor[0]),
            "recovered": _error(runs, surface),
        }
    return found


def _error(runs: Runs, surface: Surface, objective: Objective = "huber-log") -> float:
    """Return the largest relative error of Approach 3's five parameters."""
    params = Approach3(objective).fit(runs.parameters, runs.data, runs.loss).params.to_numpy()[:5]
    truth = np.array([surface.E, surface.A, surface.B, surface.alpha, surface.beta])
    return float(np.max(np.abs(params / truth - 1)))


def random_truth(key: Any) -> tuple[Surface, Runs]:
    """Return a surface and runs on it: exponents in .1 to 1, a floor of .05 to .9 of the loss, a half-width of 2 to 64.

    The loss is 3 at 1e19 FLOP and 5e8 parameters; the grid is off the optimum by a factor of up to 30 either way.

    Args:
        key: See ``random.make_key``.
    """
    draws = random.uniform(np.asarray(key, np.int64), np.arange(6))
    alpha, beta = 0.1 ** (1 - draws[:2])
    floor, share = 3 * (0.05 + 0.85 * draws[2]), 0.2 + 0.6 * draws[3]
    size = 5e8
    data = 1e19 / (6 * size)
    surface = Surface(
        float(floor), float(share * (3 - floor) * size**alpha), float((1 - share) * (3 - floor) * data**beta),
        float(alpha), float(beta),
    )  # fmt: skip
    half_width, off_centre = 2 * 32 ** draws[4], 30 ** (2 * draws[5] - 1)
    return surface, isoflop_grid(surface, np.geomspace(1e17, 1e21, 5), 15, float(half_width), float(off_centre))


def recovery(truths: int, seed: int) -> Mapping[str, Any]:
    """Return the largest relative error of any parameter over random noise-free surfaces, by objective."""
    objectives: tuple[Objective, ...] = ("huber-log", "ls-log", "ls")
    worst = dict.fromkeys(objectives, 0.0)
    for key in random.fold_in(random.make_key(seed), np.arange(truths)):
        surface, runs = random_truth(key)
        for objective in objectives:
            worst[objective] = max(worst[objective], _error(runs, surface, objective))
    return {"error": max(worst.values())}
