"""The study of sparse parities: what its claims compute, its grids, and a run of seconds."""

import math
from dataclasses import replace

import pandas as pd
import pytest
import torch

from sandtable.analysis.executor import InProcess
from sandtable.analysis.report import render
from sandtable.analysis.store import RunStore
from sandtable.analysis.studies.hidden_progress import CLAIMS, STUDY, progress_ratio, worst_share
from sandtable.analysis.study import UnavailableError, find_studies, judge, run_study, tabulate
from sandtable.analysis.study_report import study_report
from sandtable.analysis.tasks.parity_experiments import ARCHITECTURE_NAMES, HORIZON, RATES, ParityExperiment
from sandtable.analysis.tasks.parity_figures import histogram_figure
from sandtable.analysis.tasks.parity_tables import architecture_table, law_of_k, size_laws
from sandtable.analysis.tasks.parity_training import measure_gap, train
from sandtable.simulators.tasks.boolean_fourier import majority_gap


def row(times, converged, **settings):
    share = sum(converged) / len(converged)
    usual = {"loss": "hinge", "initialisation": "uniform", "batch": 32, "architecture": "ii", "n": 10, "k": 3}
    usual |= {"steps": max(times), "every": 1, "seeds": len(times), "diverged": 0, "rate": 0.1}
    return {**usual, "times": times, "converged": converged, "share": share, **settings}


def claim(start):
    return next(one for one in CLAIMS if one.statement.startswith(start))


def test_every_architecture_has_its_claim():
    names = [one.statement.split()[1] for one in CLAIMS if one.statement.startswith("Architecture")]
    assert tuple(names) == ARCHITECTURE_NAMES
    assert len(names) == 18


def test_the_worst_loss_and_initialisation_decide_about_an_architecture():
    good, bad = row([1, 1, 9, 9], [True, True, False, False]), row([9] * 4, [False] * 4, rate=0.01)
    assert worst_share(pd.DataFrame([good, bad])) == 0.5
    other = row([HORIZON] * 4, [False] * 4, loss="square")
    assert worst_share(pd.DataFrame([good, bad, other])) == 0.0


def test_what_was_ended_early_is_not_known_to_fail():
    early = row([100] * 4, [False] * 4)
    assert worst_share(pd.DataFrame([early])) is None
    assert worst_share(pd.DataFrame([{**early, "diverged": 4}])) == 0.0


def test_progress_is_compared_at_the_last_look_before_the_accuracy_rises():
    true = {"noise": 0.0, "mean_accuracy": [0.50, 0.51, 0.53], "mean_progress": [0.1, 0.3, 0.9]}
    control = {"noise": 0.5, "mean_accuracy": [0.5] * 3, "mean_progress": [0.1, 0.1, 0.1]}
    assert progress_ratio(pd.DataFrame([true, control])) == pytest.approx(3)
    assert progress_ratio(pd.DataFrame([{**true, "mean_accuracy": [0.5] * 3}, control])) is None


def test_widths_are_compared_by_medians_and_by_spread():
    table = pd.DataFrame([
        row([100, 200, 300, 900], [True] * 4, width=10), row([50, 60, 70, 80], [True] * 4, width=1000),
    ])  # fmt: skip
    assert claim("(40, 3): 100 times").compute(table) == pytest.approx(200 / 60)
    assert claim("(40, 3): it makes").compute(table) == pytest.approx(200 / 20)


def test_laws_are_fitted_for_each_k_and_at_one_n_over_k():
    table = pd.DataFrame([row([n**k] * 3, [True] * 3, n=n, k=k) for k in (2, 3) for n in (10, 20, 40)])
    assert {k: law.slope.value for k, law in size_laws(table).items()} == pytest.approx({2: 2, 3: 3})
    n, law = law_of_k(table)
    assert law.slope.value == pytest.approx(math.log(n))


def test_a_histogram_is_of_the_seeds_of_all_its_runs():
    table = pd.DataFrame([row([100, 200, 900], [True, True, False], steps=900, n=20, seed=seed) for seed in (0, 1)])
    assert "2 of 6 trainings" in histogram_figure(table).caption


def test_the_table_of_architectures_shows_the_best_rate_and_those_that_fail():
    table = pd.DataFrame([row([9] * 4, [False] * 4, rate=0.01), row([5, 5, 9, 9], [True, True, False, False])])
    late = row([9] * 4, [False] * 4, loss="square")
    (cells,) = architecture_table(pd.DataFrame([*table.to_dict("records"), late])).rows
    assert cells[1:] == ("50% at 0.1 in 5 (1/2)", "0% at 0.1 in > 9 (0/1)", 0)


def test_gaps_that_cannot_be_enumerated_are_told_in_closed_form():
    """Majority coefficients: O'Donnell, Analysis of Boolean Functions, section 5.3."""
    small, large = (measure_gap(ParityExperiment("gap", n=n, k=2, width=4, seeds=2)) for n in (9, 101))
    assert small["gap_error"] < 1e-12
    assert small["measured_gap"] == pytest.approx(majority_gap(9, 2))
    assert large == {"closed_gap": majority_gap(101, 2), "measured_gap": None, "gap_error": None}


def test_the_budgets_have_their_runs():
    gpu, cpu = STUDY.grid("gpu"), STUDY.grid("cpu")
    assert {one.architecture for one in cpu if one.part == "architecture"} == set(ARCHITECTURE_NAMES)
    full = [one for one in gpu if one.part == "architecture"]
    assert {(one.n, one.k, one.batch) for one in full} >= {(10, 2, 1), (30, 4, 1024)}
    assert all(one.steps == HORIZON and one.rates == RATES and len(one.initialisations) == 3 for one in full)
    assert max(one.noise for one in gpu if one.part == "noise") == 0.49


@pytest.mark.slow
def test_the_largest_budget_runs_at_a_small_size(tmp_path):
    """One run of each part and architecture, cut down to a few seeds and steps."""
    kinds = {(one.part, one.architecture): one for one in STUDY.grid("gpu") if one.part != "gap"}
    assert len(kinds) == len(ARCHITECTURE_NAMES) + 8
    for one in kinds.values():
        cut = {"device": "cpu", "seeds": 1, "steps": 4, "every": 2, "batch": 4, "width": min(one.width, 10)}
        small = replace(one, **cut)
        rows = STUDY.run(small, RunStore(tmp_path).run("study", small))
        assert len(rows) == len(one.rates) * len(one.initialisations)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_run_for_a_gpu_is_left_out_where_there_is_none(tmp_path):
    experiment = ParityExperiment("try", device="cuda")
    with pytest.raises(UnavailableError, match="CUDA"):
        train(experiment, RunStore(tmp_path).run("study", experiment))


def test_a_training_is_told_seed_by_seed(tmp_path):
    """Learning rates are replicas of one call: the slow one is censored, the fast one is not."""
    experiment = ParityExperiment("try", n=10, k=2, rates=(0.1, 1e-5), seeds=3, steps=400, every=20, curves=True)
    run = RunStore(tmp_path).run("study", experiment)
    fast, slow = train(experiment, run)
    assert (fast["share"], slow["share"]) == (1.0, 0.0)
    assert slow["times"] == [400] * 3
    assert all(time % 20 == 0 and time < 400 for time in fast["times"])
    assert max(fast["half_accuracy"]) < 1
    assert fast["best_accuracy"] == [1.0] * 3
    assert fast["mean_accuracy"][-1] == 1.0
    assert fast["mean_progress"][-1] > 10 * slow["mean_progress"][-1]
    assert run.metrics()[-1]["step"] == 400
    assert not (run.folder / "checkpoint").exists()


def test_weights_that_explode_are_told_and_stop_nobody(tmp_path):
    experiment = ParityExperiment("try", "iv", 10, 2, rates=(0.03, 30.0), loss="square", seeds=2, steps=100, every=20)
    calm, wild = train(experiment, RunStore(tmp_path).run("study", experiment))
    assert (calm["diverged"], wild["diverged"]) == (0, 2)
    assert wild["converged"] == [False, False]


@pytest.mark.slow
def test_the_smoke_budget_runs_and_is_reported(tmp_path):
    assert find_studies()["hidden-progress"] is STUDY
    store = RunStore(tmp_path)
    assert run_study(STUDY, "smoke", store, InProcess()).failed == {}
    outcomes = {one.statement: one for one in judge(STUDY, store, "smoke") if one.status != "not run"}
    assert [one.status for one in outcomes.values() if "closed form" in one.statement] == ["holds", "holds"]
    page = render(study_report(STUDY, store, "smoke"))
    for shown in ("Hidden progress, means of 3 seeds", "Survival curves", "How convergence times grow", "nᵏ"):
        assert shown in page
    assert len(tabulate([run for _, run in STUDY.runs(store, "smoke")])) > 15
