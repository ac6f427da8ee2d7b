"""The study of linear estimators: what it measures is what the reference found, and its report is drawn."""

import numpy as np
import pandas as pd
import pytest

from sandtable.analysis.executor import InProcess
from sandtable.analysis.ope.linear_experiments import (
    ARROWS,
    CONDITIONS,
    coverage,
    error_by_iterations,
    error_by_rows,
    implications,
    implied,
    indistinguishable,
    verdicts,
)
from sandtable.analysis.report import render
from sandtable.analysis.store import RunStore
from sandtable.analysis.studies.linear_ope import CLAIMS, STUDY, LinearOPE, grid
from sandtable.analysis.study import find_studies, judge, run_study
from sandtable.analysis.study_report import study_report


def test_the_eight_arrows_leave_27_pairs_that_can_be_separated():
    assert len(ARROWS) == 8
    pairs = len(CONDITIONS) * (len(CONDITIONS) - 1)
    assert pairs - len(implied()) == 27
    assert ("low_distribution_shift", "invertible") in implied()
    assert ("complete", "td_stable") not in implied()


def test_random_worlds_break_no_arrow_and_separate_the_rest(tmp_path):
    found = implications(3000, 1, tmp_path)
    assert found["violations"] == 0
    assert (found["separated"], found["separable"]) == (27, 27)
    assert found["lyapunov_ratio"] <= 1 + 1e-9
    assert sum(count for _, count in found["regimes"]) == 3000
    with np.load(tmp_path / "map.npz") as points:
        assert len(points["regime"]) == len(points["norm"]) == 3000


@pytest.mark.parametrize(
    ("name", "lstd", "fqi"),
    [
        ("R1", 0.0734, {1: 0.810, 5: 0.350, 10: 0.132, 20: 0.0703, 50: 0.0734}),
        ("R6", 0.0196, {1: 1.80, 5: 18.9, 10: 357, 20: 1.3e5, 50: 5.8e12}),
        ("R5", 0.0154, {1: 2.55, 5: 26.7, 10: 505, 20: 1.8e5, 50: 8.2e12}),
    ],
)
def test_errors_of_fqi_and_lstd_are_those_of_the_reference(name, lstd, fqi):
    """The reference's Monte Carlo, 500 logs of 1,000 rows, noise .5; each has an error of some 3 %."""
    found = error_by_iterations(name, 1000, 500, 50, seed=1)
    assert found["lstd_rmse"] == pytest.approx(lstd, rel=0.1)
    for t, error in fqi.items():
        assert found["fqi_rmse"][t - 1] == pytest.approx(error, rel=0.1)


def test_fqi_is_lstd_less_what_has_not_decayed():
    for name in ("R1b", "R3", "R4", "R5"):
        assert error_by_iterations(name, 500, 20, 50, seed=2)["identity"] < 1e-10


def test_errors_fall_with_the_root_of_the_rows():
    assert error_by_rows("R5", (250, 1000, 4000), 100, seed=3)["slope"] == pytest.approx(-0.5, abs=0.08)


def test_two_worlds_that_no_log_tells_apart():
    """R7 with theta 1 and -5; the reference: rewards (0, 1.1111) and (0, -5.5556)."""
    found = indistinguishable(200, seed=0)
    assert found["moments_apart"] == found["log_entries_different"] == 0
    assert found["values_apart"] == pytest.approx(6 * (1 + 1 / 0.9) / 2)  # both states are starts


@pytest.mark.parametrize(
    ("name", "limit"), [("R5", [[0.11792, 0], [0, 0.11792]]), ("R1b", [[3.3493, 3.7288], [3.7288, 6.2394]])]
)
def test_the_limit_of_the_covariance_is_that_of_the_reference(name, limit):
    found = coverage(name, "iid", 500, 12, seed=0)
    np.testing.assert_allclose(found["limit"], limit, atol=1e-4)
    assert 0.6 <= found["coverage_hc0"] <= 1.0


def test_intervals_of_episodes_are_measured():
    found = coverage("R1b", "episodes", 50, 12, seed=0, horizon=5)
    assert found["rows_per_log"] == 250
    assert "limit" not in found
    assert {f"coverage_{one}" for one in ("hc0", "cluster", "one_step_bootstrap", "episode_bootstrap")} < set(found)


def test_verdicts_near_the_threshold_are_measured():
    found = verdicts(5, 4, 200, seed=0)
    assert found["worlds_found"] == 5
    assert found["wrong_share"] <= found["certain_share"] <= 1
    assert 0.5 < found["coverage_percentile"] <= 1


def test_a_claim_takes_the_worst_run():
    (identity,) = (one for one in CLAIMS if one.statement.startswith("FQI(T) ="))
    table = pd.DataFrame({"part": ["iterations"] * 2, "instance": ["R1", "R5"], "identity": [1e-15, 3e-10]})
    assert identity.compute(table) == 3e-10
    assert not identity.accepts(identity.compute(table))
    assert identity.compute(table[:0]) is None
    assert identity.needs(LinearOPE("iterations", "R3"))


def test_larger_budgets_have_the_worlds_that_the_claims_name():
    assert LinearOPE("implications", size=20_000) in grid("cpu")
    assert all(any(claim.needs(config) for config in grid("cpu")) for claim in CLAIMS)
    assert len(grid("gpu")) == len(grid("cpu"))


@pytest.mark.slow
def test_the_smoke_budget_runs_and_is_reported(tmp_path):
    assert find_studies()["linear-ope"] is STUDY
    store = RunStore(tmp_path)
    assert run_study(STUDY, "smoke", store, InProcess()).failed == {}
    judged = [one for one in judge(STUDY, store, "smoke") if one.status != "not run"]
    assert all(one.observed is not None for one in judged)
    assert [one for one in judged if one.status == "holds" and "eight implications" in one.statement]
    page = render(study_report(STUDY, store, "smoke"))
    assert page.count("<svg") == 3
    assert "Worlds in each regime" in page
