"""The study of maximum margins: its claims, what it says of explosions, and that its smoke budget runs."""

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from sandtable.analysis.executor import InProcess
from sandtable.analysis.report import render
from sandtable.analysis.store import RunStore
from sandtable.analysis.studies.margin_features import CLAIMS, STUDY, grid
from sandtable.analysis.study import find_studies, judge, run_study, tabulate
from sandtable.analysis.study_report import study_report
from sandtable.analysis.tasks import margin_experiments, margin_recipes
from sandtable.analysis.tasks.margin_recipes import Recipe
from sandtable.analysis.tasks.margins import group_network_margin
from sandtable.simulators.errors import InputError
from sandtable.simulators.tasks.groups import parse

BRIEF = Recipe(12, 40, (1e-3,), 0.1)


def claim(start):
    (found,) = (one for one in CLAIMS if one.statement.startswith(start))
    return found


@pytest.fixture(scope="module")
def smoke(tmp_path_factory):
    store = RunStore(tmp_path_factory.mktemp("runs"))
    assert run_study(STUDY, "smoke", store, InProcess()).failed == {}
    return store


@pytest.mark.slow
def test_the_smoke_budget_runs_and_is_reported(smoke):
    assert find_studies()["margin-features"] is STUDY
    page = render(study_report(STUDY, smoke, "smoke"))
    assert "loss or weights were no longer finite by step" in page
    for figure in ("Margin against training", "Power of neurons", "Weights and spectrum of a neuron", "on a parity"):
        assert figure in page
    assert "theorem 9 of arXiv 2311.07568 does not hold for Q_8" in page


def test_an_exploding_network_is_stopped_and_told_and_its_neighbour_goes_on(smoke):
    table = tabulate(smoke.finished("margin-features"))
    first, second = (row for _, row in table[table.part == "parity"].iterrows())
    assert "no longer finite by step" in second.exploded
    assert math.isnan(second.ratio)
    assert first.exploded == ""
    assert 0 < first.ratio < 1
    assert np.isfinite(first.loss_curve[-1])


def test_claims_about_trainings_are_not_judged_on_others(smoke):
    outcomes = judge(STUDY, smoke, "smoke")
    judged = {one.statement for one in outcomes if one.status != "not run"}
    assert judged == {claim("No trained network has more than").statement}


def test_penalties_have_a_network_each_from_one_start(tmp_path):
    recipe = Recipe(12, 40, (1e-3, 1e-1), 0.1)
    rows = margin_experiments.train_group("Z_5", "power-2", recipe, tmp_path)
    assert [row["penalty_weight"] for row in rows] == [1e-3, 1e-1]
    with np.load(tmp_path / margin_experiments.NEURONS) as held:
        first, last = held["first"], held["last"]
    assert first.shape == last.shape == (2, 3, 12, 5)
    assert (first[0] == first[1]).all()
    assert (last[0] != last[1]).all()
    margin = group_network_margin(last[:, 0], last[:, 1], last[:, 2], parse("Z_5")).normalised
    assert [row["margin"] for row in rows] == margin.tolist()
    assert [row["margin_curve"][-1] for row in rows] == pytest.approx(margin.tolist())


def test_a_training_that_was_interrupted_goes_on(tmp_path):
    def interrupt(step, steps, row):
        if step == 30:
            raise KeyboardInterrupt

    (whole,) = margin_experiments.train_group("S_3", "power-2", BRIEF, tmp_path)
    other = tmp_path / "interrupted"
    with pytest.raises(KeyboardInterrupt):
        margin_experiments.train_group("S_3", "power-2", BRIEF, other, interrupt)
    (again,) = margin_experiments.train_group("S_3", "power-2", BRIEF, other)
    del whole["cpu_seconds_spent"], again["cpu_seconds_spent"]
    assert whole == again


def test_more_neurons_than_the_memory_allows_are_refused(tmp_path):
    with pytest.raises(InputError, match="the table of S_4 through 100000000 neurons"):
        margin_experiments.train_group("S_4", "power-2", replace(BRIEF, width=10**8), tmp_path)


def test_relu_networks_have_powers_and_no_maximum(tmp_path):
    (row,) = margin_experiments.train_group("Z_5", "relu", BRIEF, tmp_path)
    assert row["maximum"] is None
    assert "margin" not in row
    assert 0 < row["mean_power"] <= 1


def test_batches_are_judged_on_the_whole_table(tmp_path):
    """The same start and rate: a batch of all pairs, drawn at random, goes about the way of the table."""
    recipe = replace(BRIEF, batch=400)
    folders = [tmp_path / name for name in ("batch", "whole")]
    for folder in folders:
        folder.mkdir()
    (row,) = margin_experiments.train_group("S_3", "power-2", recipe, folders[0])
    (whole,) = margin_experiments.train_group("S_3", "power-2", BRIEF, folders[1])
    assert row["loss_curve"][-1] == pytest.approx(whole["loss_curve"][-1], rel=0.05)
    assert row["loss_curve"] != whole["loss_curve"]


def test_closed_forms_are_enumerated():
    rows = margin_experiments.closed_forms((3,), ("S_3",), (2,))
    assert [row["name"] for row in rows] == ["Z_3", "S_3", "2 bits"]
    assert max(row["relative_error"] for row in rows) < 1e-14
    assert rows[1]["dimensions_apart"] == 0


def test_ascents_and_refusals_tell_each_group():
    (row,) = margin_experiments.ascents(["Z_3"], 3, 0)
    assert row["lowest"] <= row["highest"] <= 1 + 1e-10
    assert [row["refused"] for row in margin_experiments.refusals(["Q_8", "Z_3"])] == [1, 0]


def test_the_gap_of_the_right_training_is_claimed():
    gap = claim("S_3, 60 neurons, penalty 0.0001, 8,000 steps: gap")
    settings = {"group": "S_3", "activation": "power-2"}
    rows = [
        {**settings, "recipe.steps": steps, "penalty_weight": weight, "gap": left}
        for steps, weight, left in ((8_000, 1e-4, 0.1), (8_000, 1e-6, 0.2), (40_000, 1e-4, 0.01))
    ]
    table = pd.DataFrame(rows)
    assert gap.compute(table) == 0.1
    assert gap.accepts(0.1)
    assert not gap.accepts(0.16)
    assert gap.compute(table[1:]) is None
    assert [gap.needs(config) for config in grid("cpu")].count(True) == 1


def test_budgets_share_their_runs():
    assert set(grid("cpu")) < set(grid("gpu"))
    assert all(any(one.needs(config) for config in grid("gpu")) for one in CLAIMS)


def test_the_papers_rates_end_as_they_are_published():
    """arXiv 2311.07568, appendix B: learning rates at the end 51.2, 1638.4 and 12.8."""
    ends = {margin_recipes.Z_71_PAPER: 51.2, margin_recipes.S_3_PAPER: 1638.4, margin_recipes.S_5_PAPER: 12.8}
    for recipe, rate in ends.items():
        assert recipe.learning_rate * 2 ** len(recipe.doubled) == pytest.approx(rate)
