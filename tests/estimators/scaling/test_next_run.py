"""A suggested run shrinks the interval by as much as was said, and as much as any run of its cost."""

import numpy as np
import pytest

from sandtable.estimators.scaling.law_result import LawResult
from sandtable.estimators.scaling.next_run import Candidates, budgets_of, candidates, next_run, widths_after
from sandtable.estimators.scaling.parametric import FITTED, Approach3, derive
from sandtable.estimators.scaling.power_law import PowerLaw
from sandtable.estimators.scaling.profile import ProfileInterval
from sandtable.simulators.scaling.runs import Runs
from sandtable.simulators.scaling.synthetic_runs import Surface, isoflop_grid, with_noise

SURFACE = Surface(1.69, 406.4, 410.7, 0.34, 0.28)
NOISE = 0.005


def exponent(params: np.ndarray) -> float:
    return float(derive(params[:FITTED])[FITTED])


def width(parameters, data, loss) -> float:
    """Return the width of the profile interval of the exponent."""
    result = Approach3("ls-log").fit(parameters, data, loss)
    low, high = ProfileInterval(result).of(lambda params: np.array([exponent(params)]), 0.95)[0]
    return float(high - low)


def suggested(runs: Runs, flops: float) -> tuple[LawResult, dict]:
    result = Approach3("ls-log").fit(runs.parameters, runs.data, runs.loss)
    now = width(runs.parameters, runs.data, runs.loss)
    table = next_run(result, (runs.parameters, runs.data), candidates(runs), exponent, now)
    return result, table[np.isclose(table["flops"], flops)].iloc[0].to_dict()


def widths_with(runs: Runs, parameters: float, data: float, seeds) -> float:
    """Return the median width with one run more, over its noise and that of the others."""
    found = []
    for seed in seeds:
        noisy = with_noise(runs, NOISE, seed=seed)
        more = SURFACE.loss(parameters, data) * np.exp(NOISE * np.random.default_rng(seed).standard_normal())
        columns = zip((noisy.parameters, noisy.data, noisy.loss), (parameters, data, more), strict=True)
        found.append(width(*(np.append(old, new) for old, new in columns)))
    return float(np.median(found))


@pytest.mark.slow
def test_the_realised_width_is_the_one_that_was_foretold_and_no_run_of_equal_cost_does_much_better():
    runs = isoflop_grid(SURFACE, 1e18 * 10.0 ** np.arange(3), 7)
    after = np.median([suggested(with_noise(runs, NOISE, seed=seed), 1e21)[1]["width_after"] for seed in range(200)])
    row = suggested(with_noise(runs, NOISE, seed=3), 1e21)[1]
    realised = widths_with(runs, row["parameters"], row["data"], range(1000, 1200))
    assert realised == pytest.approx(after, rel=0.2)
    grid = candidates(runs)
    same = np.isclose(grid.flops, 1e21)
    others = list(zip(grid.parameters[same], grid.data[same], strict=True))[::6]
    assert realised < 1.1 * min(widths_with(runs, *other, range(1000, 1200)) for other in others)


def test_a_run_of_ten_times_the_budget_shrinks_the_exponent_s_interval_as_said():
    runs = with_noise(isoflop_grid(SURFACE, 1e18 * 10.0 ** np.arange(3), 7), NOISE, seed=1)
    result, row = suggested(runs, 1e21)
    assert 0.3 * row["width_now"] < row["width_after"] < 0.95 * row["width_now"]
    more = float(result.predict(row["parameters"], row["data"]))
    columns = zip((runs.parameters, runs.data, runs.loss), (row["parameters"], row["data"], more), strict=True)
    inflated = np.sqrt((len(runs) + 1 - FITTED) / (len(runs) - FITTED))  # a run without noise lowers the scatter
    refitted = width(*(np.append(old, new) for old, new in columns)) * inflated
    assert refitted == pytest.approx(row["width_after"], rel=0.1)


def test_the_first_order_width_of_a_line_is_that_of_a_refit():
    """A line in logs is linear, so the variance of its slope with one more point is exactly s^2 / sum (x - mean)^2."""
    x, y = np.exp(np.arange(5.0)), np.exp([0.1, 1.1, 1.9, 3.0, 4.2])
    result = PowerLaw(offset=False).fit(x, y)
    (factor,) = widths_after(result, (x,), (np.exp([9.0]),), lambda params: float(params[1]))
    old, new = np.arange(5.0), np.append(np.arange(5.0), 9.0)
    ratio = np.sqrt(np.sum((old - old.mean()) ** 2) / np.sum((new - new.mean()) ** 2))
    quantiles = 3.182446, 2.776445  # of Student's t, .975, with 3 and 4 degrees of freedom
    assert factor == pytest.approx(ratio * quantiles[1] / quantiles[0], rel=1e-5)


def test_candidates_stay_within_the_data_for_each_parameter_that_was_run():
    runs = isoflop_grid(SURFACE, 1e18 * 10.0 ** np.arange(3), 7)
    grid = candidates(runs)
    ratio = runs.data / runs.parameters
    assert grid.data / grid.parameters == pytest.approx(np.clip(grid.data / grid.parameters, ratio.min(), ratio.max()))
    assert 6 * grid.parameters * grid.data == pytest.approx(grid.flops)
    assert grid.flops.max() == pytest.approx(10 * budgets_of(runs)[-1])


def test_a_law_that_is_not_determined_suggests_nothing():
    runs = isoflop_grid(SURFACE, [1e18, 1e19], 3)
    result = Approach3("ls-log").fit(*(getattr(runs, name)[:5] for name in ("parameters", "data", "loss")))
    grid = Candidates(np.array([1e20]), np.array([1e9]), np.array([1e11]))
    table = next_run(result, (runs.parameters[:5], runs.data[:5]), grid, exponent, 0.1)
    assert table["width_after"].isna().all()
