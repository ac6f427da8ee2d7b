"""The study of scaling-law methods: what it counts is right, and its smoke budget runs and is reported."""

import numpy as np
import pandas as pd
import pytest

from sandtable.analysis.executor import InProcess
from sandtable.analysis.report import render
from sandtable.analysis.scaling.method_experiments import (
    EACH,
    QUANTITIES,
    Design,
    coverage,
    forecast,
    parabola_bias,
    random_truth,
    recovery,
)
from sandtable.analysis.store import RunStore
from sandtable.analysis.studies import scaling_law_methods
from sandtable.analysis.studies.scaling_law_methods import (
    CLAIMS,
    STUDY,
    ScalingLawMethods,
    grid,
    independent,
    monte_carlo_interval,
    nearest,
)
from sandtable.analysis.study import find_studies, judge, run_study
from sandtable.analysis.study_report import study_report
from sandtable.simulators import random


def test_random_truths_span_what_they_should():
    keys = random.fold_in(random.make_key(0), np.arange(300))
    truths = [random_truth(key) for key in keys]
    exponents = np.array([[surface.alpha, surface.beta] for surface, _ in truths])
    assert 0.1 <= exponents.min() < 0.12
    assert 0.85 < exponents.max() <= 1
    floors = np.array([surface.E / surface.loss(5e8, 1e19 / 3e9) for surface, _ in truths])
    assert 0.05 <= floors.min() < 0.08
    assert 0.87 < floors.max() <= 0.9
    ratios = np.array([runs.parameters[14] / runs.parameters[0] for _, runs in truths]) ** 0.5
    assert 2 <= ratios.min() < 2.2
    assert 58 < ratios.max() <= 64
    off = np.array([runs.parameters[7] / surface.optimum(runs.flops[7])["parameters"] for surface, runs in truths])
    assert 1 / 30 <= off.min() < 1 / 25
    assert 25 < off.max() <= 30


def test_surfaces_without_noise_are_found():
    assert recovery(5, seed=3)["error"] < 1e-6


def test_parabolas_are_off_by_the_factors_of_the_reference():
    """Fitted over optimal size 1.00000, 1.02990, 1.16158; exponents those of the surfaces (arXiv 2603.22339)."""
    found = parabola_bias().values()
    np.testing.assert_allclose([one["factor"] for one in found], [1.0, 1.02990, 1.16158], atol=1e-5)
    np.testing.assert_allclose([one["exponent"] for one in found], [0.5, 0.451613, 0.245902], atol=1e-5)
    assert max(one["recovered"] for one in found) < 1e-6


@pytest.mark.parametrize(("objective", "interval"), [("ls-log", "profile"), ("huber-log", "bca")])
def test_intervals_are_counted_by_quantity(objective, interval):
    found = coverage(Design(30), objective, 6, 50, seed=1)
    assert set(found["coverage"][interval]) == set(QUANTITIES)
    assert all(0.5 <= value <= 1 for value in found["coverage"][interval].values())
    assert all(0 < value < 3 for value in found["width"][interval].values())
    assert set(found["missing"][interval].values()) == {0.0}
    assert found["failed"] == 0


def test_noise_shared_by_budgets_has_intervals_from_whole_budgets():
    assert "bca_budgets" in coverage(Design(60, "shared"), "ls-log", 3, 40, seed=1)["coverage"]


def test_forecasts_are_counted():
    found = forecast(Design(30), "ls-log", 8, 0, seed=1)
    assert 0.6 <= found["coverage"]["profile"] <= 1
    assert 0 < found["width"]["profile"] < 0.2


def test_a_monte_carlo_interval_is_wilsons():
    """Wilson 1927; 36 of 40: .7695 to .9604."""
    np.testing.assert_allclose(monte_carlo_interval(0.9, 40), [0.7695, 0.9604], atol=1e-4)
    assert monte_carlo_interval(1.0, 40)[1] == pytest.approx(1)
    assert [nearest((0.9, 0.94), target) for target in (0.95, 0.92, 0.8)] == [0.94, 0.92, 0.9]


def test_counts_of_one_table_are_worth_between_one_and_all():
    assert independent(0.95, 0.0, 400, 5) == 2000
    assert independent(0.95, 0.5, 400, 5) == 400
    assert independent(0.95, np.sqrt(0.95 * 0.05 / 1000), 400, 5) == pytest.approx(1000)
    assert scaling_law_methods._FORECAST_EACH == EACH


def test_a_claim_takes_the_quantity_that_is_farthest_off():
    (claim,) = (one for one in CLAIMS if one.statement.startswith("profile intervals (ls-log, 60 runs)"))
    row = {"run": "a", "part": "coverage", "objective": "ls-log", "table_size": 60, "noise": "iid", "half_width": 8.0,
           "simulations": 10_000}  # fmt: skip
    names = [f"coverage.profile.{name}" for name in QUANTITIES]
    good = row | dict(zip(names, [0.95, 0.951, 0.948, 0.95, 0.96, 0.94], strict=True))
    bad = row | dict(zip(names, [0.95, 0.951, 0.90, 0.95, 0.96, 0.94], strict=True))
    other = bad | {"noise": "t3", "run": "b"}
    assert claim.accepts(claim.compute(pd.DataFrame([good, other])))
    assert claim.compute(pd.DataFrame([bad])) == pytest.approx(0.9, abs=0.01)
    assert not claim.accepts(claim.compute(pd.DataFrame([bad])))
    assert claim.compute(pd.DataFrame([other])) is None
    assert claim.needs(ScalingLawMethods("coverage", "ls-log", 60))


def test_larger_budgets_have_the_runs_that_the_claims_need():
    for budget, simulations, resamples in (("cpu", 400, 500), ("gpu", 2000, 1000)):
        configs = grid(budget)
        assert all(any(claim.needs(config) for config in configs) for claim in CLAIMS)
        measured = [one for one in configs if one.part in ("coverage", "forecast")]
        assert {(one.simulations, one.resamples) for one in measured} == {(simulations, resamples)}
        assert {one.noise for one in measured} == {"iid", "t3", "heteroscedastic", "shared"}


@pytest.mark.slow
def test_the_smoke_budget_runs_and_is_reported(tmp_path):
    assert find_studies()["scaling-law-methods"] is STUDY
    store = RunStore(tmp_path)
    assert run_study(STUDY, "smoke", store, InProcess()).failed == {}
    judged = [one for one in judge(STUDY, store, "smoke") if one.status != "not run"]
    assert all(one.observed is not None for one in judged)
    assert len(judged) == 13
    page = render(study_report(STUDY, store, "smoke"))
    assert page.count("<svg") == 1
    assert "What Approach 2 makes of exact losses" in page
