"""The study runs at its smallest budget, judges its claims, and says what it lacks where data are absent."""

from dataclasses import replace

import pytest

from sandtable.analysis.executor import InProcess
from sandtable.analysis.report import render
from sandtable.analysis.store import RunStore
from sandtable.analysis.studies.retail_backtest import STUDY, UCI, RetailBacktest
from sandtable.analysis.study import find_studies, judge, run_study, tabulate
from sandtable.analysis.study_report import study_report
from sandtable.simulators.data_folder import data_folder


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> RunStore:
    """The runs of the smoke budget."""
    store = RunStore(tmp_path_factory.mktemp("runs"))
    sweep = run_study(STUDY, "smoke", store, InProcess())
    assert (sweep.finished, sweep.failed, sweep.unavailable) == (1, {}, {})
    return store


def claims(store, study=STUDY, budget="smoke"):
    return {one.statement: one for one in judge(study, store, budget)}


def test_the_study_is_found_by_its_name():
    assert find_studies()["retail-backtest"] is STUDY


def test_the_smoke_budget_judges_the_claims_about_the_embedded_panel(store):
    outcomes = claims(store)
    embedded = [one for statement, one in outcomes.items() if "embedded panel" in statement]
    assert len(embedded) == 5
    assert {one.status for one in embedded} <= {"holds", "fails"}
    assert all(one.observed is not None for one in embedded)
    assert outcomes[
        "On the embedded panel, no policy earns more than the clairvoyant (least gap in money)."
    ].status == ("holds")


def test_claims_about_data_that_the_budget_leaves_out_are_not_run(store):
    others = [one for statement, one in claims(store).items() if "UCI panel" in statement]
    assert len(others) == 5
    assert {(one.status, one.note) for one in others} == {("not run", "no run of this budget tells")}


def test_claims_are_computed_from_the_runs_rows(store):
    table = tabulate([run for _, run in STUDY.runs(store, "smoke")])
    row = table[(table.policy == "DirectBackprop") & (table.split == "unseen")].iloc[0]
    base = table[(table.policy == row.baseline) & (table.split == "unseen")].iloc[0]
    outcomes = claims(store)
    gain = outcomes[
        "On the embedded panel, DirectBackprop earns more than the best classical policy on unseen products "
        "(relative gain)."
    ]
    assert gain.observed == pytest.approx((row.profit - base.profit) / base.profit)
    assert gain.status == ("holds" if row.profit >= base.profit else "fails")
    nothing = table[(table.policy == "order nothing") & (table.split == "test")].iloc[0].profit
    learned = table[(table.policy == "DirectBackprop") & (table.split == "test")].iloc[0].profit
    told = outcomes["On the embedded panel, DirectBackprop earns more than ordering nothing (money)."]
    assert told.observed == pytest.approx(learned - nothing)


def test_the_run_leaves_the_files_of_a_backtest(store):
    ((_, run),) = STUDY.runs(store, "smoke")
    names = {path.name for path in run.folder.iterdir()}
    assert {"report.html", "results.csv", "results.json", "orders.csv", "result.json"} <= names


def test_the_studys_report_shows_the_policies_of_each_panel(store):
    page = render(study_report(STUDY, store, "smoke"))
    assert "Policies on the embedded panel; baseline: " in page
    assert "DirectBackprop" in page
    assert "Policies on the uci panel" not in page


def test_without_the_retailers_file_its_runs_are_left_out_with_a_reason(tmp_path, monkeypatch):
    monkeypatch.setenv("SANDTABLE_DATA", str(tmp_path))
    study, store = replace(STUDY, grid=lambda budget: [RetailBacktest("uci")]), RunStore(tmp_path / "runs")
    sweep = run_study(study, "cpu", store, InProcess())
    assert (sweep.finished, sweep.failed) == (0, {})
    (reason,) = sweep.unavailable.values()
    assert reason == f"the file {UCI} is not in the data folder (SANDTABLE_DATA names it)"
    outcomes = [one for statement, one in claims(store, study, "cpu").items() if "UCI panel" in statement]
    assert {(one.status, one.note) for one in outcomes} == {("not run", "1 of 1 runs are missing")}


@pytest.mark.slow
def test_on_the_retailers_sales_no_policy_earns_more_than_the_clairvoyant(tmp_path):
    folder = data_folder()
    if folder is None or not (folder / UCI).exists():
        pytest.skip(f"the file {UCI} is not in the data folder (SANDTABLE_DATA names it)")
    study = replace(STUDY, grid=lambda budget: [RetailBacktest("uci", learn=5, seeds=1)])
    store = RunStore(tmp_path)
    assert run_study(study, "cpu", store, InProcess()).finished == 1
    outcomes = claims(store, study, "cpu")
    assert (
        outcomes["On the UCI panel, no policy earns more than the clairvoyant (least gap in money)."].status == "holds"
    )
    assert outcomes["On the UCI panel, DirectBackprop earns more than ordering nothing (money)."].status == "holds"
