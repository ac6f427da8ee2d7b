"""Residuals of a right law have no trend as often as the test says; those of a wrong one have."""

import numpy as np

from sandtable.estimators.scaling.law_result import LawResult
from sandtable.estimators.scaling.parametric import Approach3
from sandtable.estimators.scaling.power_law import PowerLaw
from sandtable.estimators.scaling.residual_trends import Trend, residual_trends
from sandtable.simulators.scaling.runs import Runs
from sandtable.simulators.scaling.synthetic_runs import Surface, isoflop_grid, with_noise

SURFACE = Surface(1.69, 406.4, 410.7, 0.34, 0.28)
GRID = isoflop_grid(SURFACE, 1e18 * 10.0 ** np.arange(4), 10)


def trends(runs: Runs, loss: np.ndarray) -> dict[str, Trend]:
    result: LawResult = Approach3("ls-log").fit(runs.parameters, runs.data, loss)
    variables = {"parameters": runs.parameters, "data": runs.data, "flops": runs.flops}
    found = residual_trends(result, variables, (runs.parameters, runs.data))
    return {trend.variable: trend for trend in found}


def test_p_values_of_a_right_law_are_uniform():
    """Five in a hundred fall below .05; 100 tables have a standard error of .022."""
    found = [trends(GRID, with_noise(GRID, 0.005, seed=seed).loss)["flops"].p_value for seed in range(100)]
    assert 0.0 <= np.mean(np.array(found) < 0.05) < 0.05 + 3 * 0.022
    assert 0.4 < np.mean(found) < 0.6


def test_a_bend_in_compute_that_the_law_lacks_is_found():
    wrong = with_noise(GRID, 0.002, seed=1).loss * np.exp(0.02 * np.sin(np.log(GRID.flops)))
    assert trends(GRID, wrong)["flops"].p_value < 0.01


def test_residuals_without_noise_have_no_p_value():
    assert np.isnan(trends(GRID, GRID.loss)["parameters"].p_value)


def test_a_pure_power_law_of_what_has_an_offset_leaves_a_bend():
    flops = np.geomspace(1e14, 1e19, 20)
    loss = 1e5 * flops**-0.36 + 0.12
    result = PowerLaw(offset=False).fit(flops, loss)
    (trend,) = residual_trends(result, {"flops": flops}, (flops,))
    assert trend.bend > 0
    assert trend.p_value < 1e-6


def test_a_variable_that_does_not_vary_has_no_trend():
    flops = np.geomspace(1e14, 1e19, 20)
    result = PowerLaw(offset=False).fit(flops, flops**-0.1 * np.exp(0.01 * np.cos(np.arange(20))))
    (trend,) = residual_trends(result, {"parameters": np.full(20, 1e6)}, (flops,))
    assert np.isnan(trend.p_value)
