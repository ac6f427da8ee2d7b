"""The study of data, width and luck: what its claims compute, its grids, its parts, and a run of seconds."""

import pandas as pd
import pytest

from sandtable.analysis.executor import InProcess
from sandtable.analysis.report import render
from sandtable.analysis.store import RunStore
from sandtable.analysis.studies.pareto_frontiers import (
    CLAIMS,
    STUDY,
    best_lead,
    largest_rise,
    least_delay,
    least_gain,
    rewound_over_anew,
    share_gained,
    sparse_over_dense,
)
from sandtable.analysis.study import find_studies, run_study
from sandtable.analysis.study_report import study_report
from sandtable.analysis.tasks.frontier_experiments import DENSE, LotteryTicket, OfflineParity, TableContest


def row(width, sparsity, times, converged, **settings):
    share = sum(converged) / len(converged)
    usual = {"samples": 400, "every": 100, "steps": 20_000, "seeds": len(times), "delays": [8.0] * sum(converged)}
    return {**usual, "width": width, "sparsity": sparsity, "times": times, "converged": converged, "share": share,
            **settings}  # fmt: skip


NARROW, HALF, WIDE = [False] * 4, [True, True, False, False], [True] * 4


def test_the_start_that_gains_least_from_width_decides():
    table = pd.DataFrame([
        row(30, DENSE, [20_000] * 4, NARROW), row(300, DENSE, [9000, 9000, 20_000, 20_000], HALF),
        row(30, 2, [20_000] * 4, NARROW), row(300, 2, [5000] * 4, WIDE),
    ])  # fmt: skip
    assert share_gained(table) == 0.5
    more = table.assign(samples=600, share=[1.0, 0.75, 1.0, 1.0])
    assert least_gain(pd.concat([table, more])) == -0.25


def test_the_shorter_delay_at_the_largest_width_decides():
    rows = [row(300, DENSE, [5000] * 4, WIDE, delays=[9, 10, 11]), row(300, 2, [5000] * 4, WIDE, delays=[6, 7, 20])]
    narrow = row(30, 2, [5000] * 4, WIDE, delays=[1, 1, 1])
    assert least_delay(pd.DataFrame([*rows, narrow])) == 7
    assert least_delay(pd.DataFrame([row(300, 2, [20_000] * 4, NARROW, delays=[])])) is None


def test_a_rise_of_the_test_error_with_more_data_is_told_in_standard_errors():
    def rows(*errors):
        return pd.DataFrame([{"sparsity": 2, "samples": m, "test_errors": e} for m, e in enumerate(errors)])

    assert largest_rise(rows([0.5, 0.52], [0.3, 0.32], [0.4, 0.42])) == pytest.approx(0.1 / 0.02 * 2**0.5)
    assert largest_rise(rows([0.5, 0.52], [0.3, 0.32])) == 0


def test_a_median_beyond_the_horizon_counts_as_the_horizon():
    dense, sparse = row(300, DENSE, [20_000] * 4, NARROW), row(300, 2, [4000] * 4, WIDE)
    assert sparse_over_dense(pd.DataFrame([dense, sparse])) == pytest.approx(0.2)
    neurons = [row(100, 2, [2000] * 4, WIDE, neurons="rewound"),
               row(100, 2, [20_000] * 4, NARROW, neurons="re-randomised")]  # fmt: skip
    assert rewound_over_anew(pd.DataFrame(neurons)) == pytest.approx(0.1)
    neurons[0] = row(100, 2, [20_000] * 4, NARROW, neurons="rewound")
    assert rewound_over_anew(pd.DataFrame(neurons)) == float("inf")


def test_perceptrons_tie_where_the_best_of_them_does_on_one_table():
    def told(data, learner, accuracy):
        return {"data": data, "rows": 9, "learner": learner, "accuracy": accuracy, "accuracies": [accuracy]}

    table = pd.DataFrame([
        told("a", "perceptron", 0.6), told("a", "perceptron", 0.7), told("a", "random forest", 0.8),
        told("b", "perceptron", 0.72), told("b", "random forest", 0.71),
    ])  # fmt: skip
    assert best_lead(table) == pytest.approx(0.01)


def test_the_budgets_have_their_runs():
    cpu, gpu = STUDY.grid("cpu"), STUDY.grid("gpu")
    b1 = [one for one in cpu if isinstance(one, OfflineParity) and one.samples == 400 and one.seeds == 16]
    assert {(one.width, one.steps, one.batch, one.rate, one.weight_decay) for one in b1} == {
        (30, 20_000, 32, 0.1, 0.01), (300, 20_000, 32, 0.1, 0.01)
    }  # fmt: skip
    assert all(one.sparsities == (DENSE, 2) for one in b1)
    frontier = [one for one in gpu if isinstance(one, OfflineParity) and one.n > 30]
    assert max(one.width for one in frontier) == 100_000
    assert max(one.samples for one in frontier) == 1_000_000
    assert any(isinstance(one, LotteryTicket) and (one.n, one.k) == (50, 5) for one in gpu)
    assert {one.data for one in cpu if isinstance(one, TableContest)} == {"randhie", "fair"}


def test_every_claim_is_judged_by_runs_of_the_cpu_budget():
    assert all(any(claim.needs(config) for config in STUDY.grid("cpu")) for claim in CLAIMS)


@pytest.mark.slow
def test_the_smoke_budget_runs_and_is_reported(tmp_path):
    assert find_studies()["pareto-frontiers"] is STUDY
    store = RunStore(tmp_path)
    assert run_study(STUDY, "smoke", store, InProcess()).failed == {}
    page = render(study_report(STUDY, store, "smoke"))
    for shown in ("The frontier of data and width", "Grokking", "Test error and hinge loss", "Lottery tickets at",
                  "Perceptrons and random forests on tables"):  # fmt: skip
        assert shown in page
