"""The study of the lost-sales problem: its references, its clock, its claims."""

import time

import pandas as pd
import pytest

from sandtable.agents.inventory.exact.lost_sales_problem import LostSalesProblem
from sandtable.analysis.executor import InProcess
from sandtable.analysis.report import render
from sandtable.analysis.store import RunStore
from sandtable.analysis.studies.lost_sales import CLAIMS, STUDY, LostSalesLearning, _within, reference_costs
from sandtable.analysis.study import find_studies, judge, run_study
from sandtable.analysis.study_report import study_report


def rows_of(learner, lead_time, shortage, cost, optimum, spent=20.0, capped=5.0):
    return {
        "policy": learner, "learner": learner, "lead_time": lead_time, "shortage": shortage, "demand": "poisson",
        "cost": cost, "optimum": optimum, "gap": None if optimum is None else cost / optimum - 1,
        "cpu_seconds_spent": spent, "capped_base_stock": capped,
    }  # fmt: skip


def claim(start):
    (found,) = (one for one in CLAIMS if one.statement.startswith(start))
    return found


def test_references_are_the_published_costs():
    """Zipkin (2008), lead time 2, shortage 4: optimum 4.3953, base-stock 4.639, capped base-stock 4.406."""
    costs = reference_costs(LostSalesProblem(2))
    assert costs["optimum"] == pytest.approx(4.3953, abs=1e-3)
    assert costs["base_stock"] == pytest.approx(4.639, abs=2e-3)
    assert costs["capped_base_stock"] == pytest.approx(4.406, abs=2e-3)


@pytest.mark.slow
def test_without_an_optimum_heuristics_are_found_by_simulation():
    """Lead time 10, shortage 4: capped base-stock costs 5.27 in published simulations."""
    costs = reference_costs(LostSalesProblem(10))
    assert costs["optimum"] is None
    assert costs["capped_base_stock"] == pytest.approx(5.27, rel=0.01)
    assert costs["capped_base_stock"] < costs["base_stock"]


def test_learning_ends_when_its_processor_time_is_spent():
    def learn(steps):
        end = time.process_time() + 0.002 * steps
        while time.process_time() < end:
            pass
        return steps

    assert 60 < _within(0.3, 10, learn) < 150
    assert _within(0.0, 10, learn) == 2


def test_the_worst_network_decides_how_near_the_optimum_is():
    near = claim("Lead time 2, shortage 9")
    table = pd.DataFrame([rows_of("DirectBackprop", 2, 9.0, cost, 6.0) for cost in (6.01, 6.06)])
    assert near.compute(table) == pytest.approx(0.01)
    assert not near.accepts(near.compute(table))
    assert near.accepts(near.compute(table[:1]))
    assert near.compute(table[:0]) is None


def test_the_lead_is_the_least_over_problems_of_the_means_over_networks():
    lead = claim("With the same CPU time DirectBackprop costs less than PPO")
    table = pd.DataFrame(
        [
            rows_of("DirectBackprop", 1, 4.0, 4.0, 4.0),
            rows_of("PPO", 1, 4.0, 4.4, 4.0),
            rows_of("DirectBackprop", 2, 4.0, 5.0, 5.0),
            rows_of("PPO", 2, 4.0, 4.9, 5.0),
            rows_of("PPO", 2, 4.0, 5.3, 5.0),
        ]
    )
    assert lead.compute(table) == pytest.approx(5.1 / 5.0 - 1)
    assert lead.compute(table[table.policy == "PPO"]) is None
    assert not lead.needs(LostSalesLearning("SB3 PPO", 1, 4.0))


def test_the_claim_about_the_longest_lead_time_needs_no_optimum():
    capped = claim("Lead time 10")
    table = pd.DataFrame([rows_of("DirectBackprop", 10, 4.0, cost, None) for cost in (4.9, 5.1)])
    assert capped.compute(table) == pytest.approx(1.02)
    assert not capped.accepts(1.02)


@pytest.mark.slow
def test_the_smoke_budget_runs_and_is_reported(tmp_path):
    assert find_studies()["lost-sales"] is STUDY
    store = RunStore(tmp_path)
    sweep = run_study(STUDY, "smoke", store, InProcess())
    assert sweep.failed == {}
    outcomes = judge(STUDY, store, "smoke")
    judged = [one for one in outcomes if one.status != "not run"]
    assert len(judged) >= 2
    assert all(one.observed is not None for one in judged)
    assert "lead time 1, shortage 4" in render(study_report(STUDY, store, "smoke"))
