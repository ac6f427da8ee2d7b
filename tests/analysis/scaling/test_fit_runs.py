"""Which laws a table gets, how it is split, and what is told of each fit."""

import numpy as np
import pandas as pd
import pytest

from sandtable.analysis.scaling.answer import answer, chosen, number, with_ends
from sandtable.analysis.scaling.fit_runs import ScalingLaws, fit_runs
from sandtable.analysis.scaling.settings import ScalingLawSettings
from sandtable.simulators.errors import InputError
from sandtable.simulators.scaling.runs_file import read_runs
from sandtable.simulators.scaling.synthetic_runs import Surface, isoflop_grid, training_curves, with_noise

SURFACE = Surface(1.69, 406.4, 410.7, 0.34, 0.28)
QUICK = {"objective": "ls-log", "interval": "t"}


def table(noise: float = 0.002, budgets: int = 5, points: int = 9, surface: Surface = SURFACE) -> pd.DataFrame:
    runs = isoflop_grid(surface, 1e17 * 10.0 ** np.arange(budgets), points)
    runs = with_noise(runs, noise, seed=3) if noise else runs
    return pd.DataFrame({"N": runs.parameters, "D": runs.data, "C": runs.flops, "loss": runs.loss})


def fitted(folder, runs: pd.DataFrame, **settings) -> ScalingLaws:
    runs.to_csv(folder / "runs.csv", index=False)
    return fit_runs(read_runs(folder / "runs.csv"), ScalingLawSettings(**{**QUICK, **settings}))


def reasons(found: ScalingLaws) -> dict[str, str]:
    return {one.law: one.reason for one in found.skipped}


def test_auto_fits_what_the_columns_allow_and_says_why_not_the_rest(tmp_path):
    found = fitted(tmp_path, table())
    assert [fit.job.law for fit in found.fits] == ["approach3", "approach2"]
    assert {law: reason.split(";")[0] for law, reason in reasons(found).items()} == {
        "approach1": "it needs training curves: loss and two of parameters, data and flops, with run and step, several "
        "rows a run",
        "minima": "several runs have one budget, so these runs are no minima",
        "compute": "it needs --response loss, return, parameters or data",
        "return": "it needs loss and return",
    }


def test_curves_serve_approach1_and_their_last_rows_the_others(tmp_path):
    curves = training_curves(SURFACE, np.geomspace(1e7, 1e10, 25), np.geomspace(1e7, 1e13, 60))
    runs = pd.DataFrame({"run": curves.run, "step": curves.step, "N": curves.parameters, "D": curves.data,
                         "loss": curves.loss})  # fmt: skip
    found = fitted(tmp_path, runs, law="approach1")
    (fit,) = found.fits
    assert len(fit.job.runs) == 1500
    assert fit.result.params["N_exponent"] == pytest.approx(SURFACE.N_exponent, abs=0.02)
    assert len(found.file.runs) == 25


def test_groups_are_fitted_alone(tmp_path):
    other = Surface(1.0, 300.0, 500.0, 0.4, 0.35)
    runs = pd.concat([table(0).assign(arch="old"), table(0, surface=other).assign(arch="new")])
    found = fitted(tmp_path, runs, law="approach3")
    exponents = {fit.job.group: fit.result.params["N_exponent"] for fit in found.fits}
    assert exponents["old"] == pytest.approx(SURFACE.N_exponent, abs=1e-5)
    assert exponents["new"] == pytest.approx(other.N_exponent, abs=1e-5)
    assert answer(found).startswith("In old, optimal parameters grow as compute to the power 0.452")
    assert "In new, " in answer(found)


def test_both_counts_of_parameters_stand_side_by_side(tmp_path):
    """Without embeddings small models lose more, so the exponent rises (arXiv 2406.12907)."""
    runs = table()
    found = fitted(tmp_path, runs.assign(parameters_non_embedding=runs["N"] - 20 * runs["N"] ** 0.75), law="approach2")
    total, without = found.of("approach2")
    assert (total.main, without.main) == (True, False)
    assert without.result.params["N_exponent"] > total.result.params["N_exponent"]
    assert total.sensitivity
    assert not without.sensitivity


def test_the_bias_of_approach2_is_measured_on_the_user_s_sizes(tmp_path):
    """Sizes within a factor 8 give a vertex 1.0299 times the optimum (the setting of arXiv 2603.22339)."""
    runs = isoflop_grid(SURFACE, 10.0 ** np.arange(17, 22), 15)
    columns = {"N": runs.parameters, "D": runs.data, "C": runs.flops, "loss": runs.loss}
    (fit,) = fitted(tmp_path, pd.DataFrame(columns)).of("approach2")
    assert fit.bias is not None
    assert fit.bias.size_factor == pytest.approx([1.02990] * 2, abs=1e-4)
    assert abs(fit.bias.N_exponent) < 1e-5


def test_sparse_minima_get_lines_and_no_surface(tmp_path):
    flops = np.geomspace(1e17, 1e21, 12)
    found = fitted(tmp_path, pd.DataFrame({"C": flops, "N": 0.1 * flops**0.5}), law="auto")
    assert [fit.job.law for fit in found.fits] == ["minima"]
    assert chosen(found).result.params["N_exponent"] == pytest.approx(0.5)


def test_losses_of_minima_alone_get_a_line_and_a_sentence(tmp_path):
    flops = np.geomspace(1e17, 1e21, 12)
    found = fitted(tmp_path, pd.DataFrame({"C": flops, "loss": 30 * flops**-0.06}))
    assert answer(found).startswith("The loss of minima goes as compute to the power −0.06")


def test_runs_of_one_loss_determine_nothing_and_that_is_told(tmp_path):
    found = fitted(tmp_path, table().assign(loss=3.0), law="approach3")
    assert {one.code for one in found.warnings} == {"at_bound"}
    assert chosen(found).result.conf_int().isna().to_numpy().any()


def test_budgets_outside_the_bounds_are_left_out_and_told(tmp_path):
    found = fitted(tmp_path, table(), min_flops=1e18, max_flops=1e20)
    assert len(found.file.runs) == 27
    assert {one.reason for one in found.file.dropped} == {
        "it has less compute than --min-flops", "it has more compute than --max-flops",
    }  # fmt: skip
    with pytest.raises(InputError, match="no run lies between"):
        fitted(tmp_path, table(), min_flops=1e30)


def test_a_hold_out_scores_every_law_that_predicts_runs(tmp_path):
    runs = table().assign(score=lambda one: one["loss"] ** -2.0)
    found = fitted(tmp_path, runs, response="loss", holdout_above=1e20)
    scored = {fit.job.law: list(fit.hold_outs) for fit in found.fits}
    assert scored == {
        "approach3": ["approach3"], "approach2": [], "compute": ["compute", "compute:pure", "compute:offset"],
        "return": ["return"],
    }  # fmt: skip
    held = found.of("approach3")[0].hold_outs["approach3"]
    assert held.rmse_log < held.rmse_log_carried


@pytest.mark.parametrize("weights", ["loss_se", "seed"])
def test_errors_weigh_and_seeds_are_resampled_together(tmp_path, weights):
    runs = pd.concat([table().assign(seed=0, loss_se=0.01), table().assign(seed=1, loss_se=0.02)])
    runs = runs.drop(columns="seed" if weights == "loss_se" else "loss_se").drop_duplicates()
    found = fitted(tmp_path, runs, law="approach3", objective="huber-log", interval="percentile", bootstrap=60)
    (fit,) = found.fits
    if weights == "seed":
        assert fit.job.clusters is not None
        assert len(set(fit.job.clusters)) == 45
        assert len(fit.job.runs) == 90
    else:
        assert "extra_sd" in fit.result.statistics


def test_a_cluster_column_is_resampled_whole_and_few_are_told(tmp_path):
    runs = table().assign(node=lambda one: np.arange(len(one)) % 4)
    found = fitted(tmp_path, runs, law="approach3", objective="huber-log", interval="bca", bootstrap=60, cluster="node")
    assert any("has 4 clusters" in one.message for one in found.warnings)
    with pytest.raises(InputError, match="there is no column rack"):
        fitted(tmp_path, runs, cluster="rack")


def test_percentiles_run_the_whole_procedure_again_and_hold_the_truth(tmp_path):
    found = fitted(tmp_path, table(), law="approach2", interval="percentile", bootstrap=60)
    (fit,) = found.fits
    assert fit.result.interval is not None
    assert (fit.result.interval.method, fit.result.interval.resamples) == ("percentile", 60)
    low, high = fit.result.conf_int().loc["N_exponent"]
    assert low < SURFACE.N_exponent < high


@pytest.mark.parametrize(
    ("runs", "settings", "said"),
    [
        (table().head(4), {"law": "approach3"}, "approach3 has 5 parameters .* there are 4"),
        (table(budgets=1), {"law": "approach3"}, "all runs are of one budget"),
        (table(budgets=1), {"law": "approach2"}, "runs at two budgets at least"),
        (table(budgets=1), {}, "no law can be fitted: approach3: rows 2, .* all runs are of one budget"),
        (table().assign(loss=0.0), {}, "loss must be above 0"),
        (table()[["C", "loss"]], {"law": "approach3"}, "--law approach3: it needs loss and two of"),
        (table(), {"law": "compute"}, "it needs --response"),
        (table(), {"law": "return"}, "it needs loss and return"),
        (table().assign(score=-1.0), {"law": "return"}, "return must be above 0 for a power law"),
        (table(), {"holdout_above": 1e25}, "no run has more than 1e\\+25"),
    ],
)
def test_what_cannot_be_fitted_is_refused_by_name(tmp_path, runs, settings, said):
    with pytest.raises(InputError, match=said):
        fitted(tmp_path, runs, **settings)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.45161, "0.4516"), (1234.5, "1234"), (1.5e10, "1.5e10"), (-2.5e-5, "−2.5e−5"), (float("nan"), "?"), (0.0, "0")],
)
def test_numbers_read_well(value, text):
    assert number(value) == text


def test_an_estimate_shows_its_ends_where_they_are_known():
    assert with_ends(0.5, 0.4, 0.6) == "0.5 [0.4, 0.6]"
    assert with_ends(0.5, float("nan"), float("nan")) == "0.5"
