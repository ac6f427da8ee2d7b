"""Forecasts are right where the truth is known, and are scored as they should be."""

import numpy as np
import pytest

from sandtable.estimators.scaling.forecast import carry_forward, compute_optimal, hold_out, prediction_interval
from sandtable.estimators.scaling.law_result import LawResult
from sandtable.estimators.scaling.minima import Minima
from sandtable.estimators.scaling.parametric import Approach3
from sandtable.estimators.scaling.power_law import PowerLaw
from sandtable.simulators.errors import InputError
from sandtable.simulators.scaling.nethack_minima import load_nethack_minima
from sandtable.simulators.scaling.runs import Runs
from sandtable.simulators.scaling.synthetic_runs import Surface, isoflop_grid, with_noise

SURFACE = Surface(1.69, 406.4, 410.7, 0.34, 0.28)
BUDGETS = 1e18 * 10.0 ** np.arange(4)


def approach3(runs: Runs) -> LawResult:
    return Approach3("ls-log").fit(runs.parameters, runs.data, runs.loss, rows=runs.rows)


def test_the_optimum_of_a_budget_is_the_closed_form():
    """arXiv 2203.15556, equation 4, with the rounded parameters of Approach 3: 3.219e10 parameters at 5.76e23 FLOP."""
    (row,) = compute_optimal(approach3(isoflop_grid(SURFACE, BUDGETS)), np.array([5.76e23]))
    assert row["parameters"][0] == pytest.approx(3.21899e10, rel=1e-5)
    assert row["data"][0] == pytest.approx(2.98231e12, rel=1e-5)
    assert row["loss"][0] == pytest.approx(1.930748, rel=1e-6)


def test_what_a_law_does_not_know_is_not_a_number():
    (row,) = compute_optimal(PowerLaw(offset=False).fit(BUDGETS, BUDGETS**-0.1), np.array([1e22]))
    assert row["loss"][0] == pytest.approx(1e22**-0.1)
    assert np.isnan(row["parameters"]).all()


def test_a_hold_out_without_noise_is_foretold_exactly_and_beats_the_last_budget():
    held = hold_out(approach3, isoflop_grid(SURFACE, BUDGETS), 1e20)
    assert len(held.rows) == 15
    assert held.result.nobs == 45
    assert held.rmse_log < 1e-7
    assert held.rmse_log_carried > 0.05


def test_prediction_intervals_of_runs_ten_times_above_cover_as_they_say():
    """Ninety-five in a hundred, within three standard errors of the 60 simulations of 15 runs that share a fit."""
    grid = isoflop_grid(SURFACE, BUDGETS, 10)
    shares = [hold_out(approach3, with_noise(grid, 0.01, seed=seed), 1e20).coverage for seed in range(60)]
    assert abs(np.mean(shares) - 0.95) < 3 * np.std(shares) / np.sqrt(len(shares)) + 0.01


def test_a_prediction_interval_of_a_line_is_the_textbook_s():
    """Ordinary least squares through (1, 2, 3, 4): the interval of a new observation by statsmodels."""
    import statsmodels.api as sm

    x, y = np.arange(1.0, 7.0), np.array([1.0, 1.9, 3.2, 3.9, 5.2, 5.9])
    runs = Runs.of(flops=np.exp(x), loss=np.exp(y))
    result = PowerLaw(offset=False).fit(runs.flops, runs.loss)
    new = Runs.of(flops=np.exp([8.0]), loss=[1.0])
    predicted, ends = prediction_interval(result, runs, new, "loss", 0.9)
    reference = sm.OLS(y, sm.add_constant(x)).fit().get_prediction([[1.0, 8.0]]).summary_frame(alpha=0.1)
    assert np.log(predicted[0]) == pytest.approx(reference["mean"][0])
    assert np.log(ends[0]) == pytest.approx(reference[["obs_ci_lower", "obs_ci_upper"]].to_numpy()[0], rel=1e-6)


def test_a_level_s_law_has_prediction_intervals_in_levels():
    runs = with_noise(isoflop_grid(SURFACE, BUDGETS), 0.01, seed=2)
    result = Approach3("ls").fit(runs.parameters, runs.data, runs.loss)
    predicted, ends = prediction_interval(result, runs, runs)
    assert (ends[:, 0] < predicted).all()
    assert np.mean((ends[:, 0] <= runs.loss) & (runs.loss <= ends[:, 1])) > 0.85


def test_bad_runs_do_not_widen_the_scatter_of_a_robust_law():
    runs = with_noise(isoflop_grid(SURFACE, BUDGETS), 0.005, seed=1)
    bad = runs.loss.copy()
    bad[[3, 20, 40]] *= 1.5
    broken = Runs.of(parameters=runs.parameters, data=runs.data, flops=runs.flops, loss=bad)
    widths = []
    for table in (runs, broken):
        result = Approach3("huber-log").fit(table.parameters, table.data, table.loss)
        _, ends = prediction_interval(result, table, runs)
        widths.append(np.median(np.log(ends[:, 1] / ends[:, 0])))
    assert widths[1] < 1.4 * widths[0]


def test_minima_of_nethack_are_foretold_by_the_line_of_their_losses():
    """Losses flatten above 1e18 FLOP (arXiv 2307.09423), so a pure power law foretells too little."""
    held = hold_out(Minima().fit, load_nethack_minima(), 1e18)
    assert len(held.rows) == 9
    assert (held.rows["predicted"] < held.rows["observed"]).all()
    assert held.rmse_log > held.rmse_log_carried


def test_the_last_budget_is_carried_forward_at_the_nearest_size():
    before = Runs.of(parameters=[1e6, 1e7, 1e8], flops=[1e15, 1e16, 1e16], loss=[5.0, 4.0, 3.0])
    after = Runs.of(parameters=[1e6, 2e7, 9e7], flops=[1e17] * 3, loss=[2.0] * 3)
    assert carry_forward(before, after).tolist() == [4.0, 4.0, 3.0]
    flops_alone = [Runs.of(flops=one.flops, loss=one.loss) for one in (before, after)]
    assert carry_forward(*flops_alone).tolist() == [3.5, 3.5, 3.5]


@pytest.mark.parametrize(("above", "said"), [(1e22, "none can be held out"), (1e10, "no law can be fitted below it")])
def test_a_hold_out_needs_runs_on_both_sides(above, said):
    with pytest.raises(InputError, match=said):
        hold_out(approach3, isoflop_grid(SURFACE, BUDGETS), above)
