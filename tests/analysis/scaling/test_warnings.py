"""What is told about a table of runs: each finding has a file that triggers it, and one that nearly does."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from sandtable.analysis.scaling.fit_runs import fit_runs
from sandtable.analysis.scaling.settings import ScalingLawSettings
from sandtable.simulators.scaling.runs import CODES
from sandtable.simulators.scaling.runs_file import read_runs
from sandtable.simulators.scaling.synthetic_runs import Surface, isoflop_grid, with_noise

SURFACE = Surface(1.69, 406.4, 410.7, 0.34, 0.28)
Case = tuple[pd.DataFrame, dict]


def table(budgets: int = 6, points: int = 9, off_centre: float = 1.0, surface: Surface = SURFACE) -> pd.DataFrame:
    """Return runs at budgets of ten times each other, their sizes within a factor 8 of the optimum."""
    grid = isoflop_grid(surface, 1e17 * 10.0 ** np.arange(budgets), points, 8.0, off_centre)
    runs = with_noise(grid, 0.001, seed=5)
    names = ("parameters", "data", "flops", "loss", "budget")
    return pd.DataFrame({name: runs.column(name) for name in names})


def without(runs: pd.DataFrame, budget: int, kept: Callable[[np.ndarray], np.ndarray]) -> pd.DataFrame:
    """Return the runs with only some of the places of the sizes of one budget, counted from the smallest."""
    place = runs.groupby("budget")["parameters"].rank().to_numpy() - 1
    return runs[(runs["budget"] != budget) | kept(place)]


def edge_minimum(triggers: bool) -> Case:
    """The optimum has place 4 of 0..8."""
    return without(table(), 2, lambda place: place <= (2 if triggers else 5)), {"law": "approach2"}


def no_minimum(triggers: bool) -> Case:
    runs = table()
    here = runs["budget"] == 2
    mean = runs.loc[here, "loss"].mean()
    runs.loc[here, "loss"] = mean + (runs.loc[here, "loss"] - mean) * (-1 if triggers else 0.5)
    return runs, {"law": "approach2"}


def few_sizes(triggers: bool) -> Case:
    return without(table(), 2, lambda place: abs(place - 4) <= (1 if triggers else 2)), {"law": "approach2"}


def few_budgets(triggers: bool) -> Case:
    return table(budgets=4 if triggers else 5), {"law": "approach2"}


def off_centre(triggers: bool) -> Case:
    """Off the middle by seven, or by three tenths of the half-range."""
    return table(off_centre=8 ** (0.7 if triggers else 0.3)), {"law": "approach2"}


def duplicate_rows(triggers: bool) -> Case:
    runs = table()
    again = runs.iloc[[3]] if triggers else runs.iloc[[3]].assign(loss=runs["loss"][3] + 1e-6)
    return pd.concat([runs, again]), {}


def flops_mismatch(triggers: bool) -> Case:
    runs = table()
    return runs.assign(flops=runs["flops"] * (1.26 if triggers else 1.24)), {}


def mixed_units(triggers: bool) -> Case:
    """The data of the smallest budget leap away from the others."""
    runs = table()
    small = runs["budget"] == 0
    gap = runs.loc[~small, "data"].min() / runs.loc[small, "data"].max()
    runs.loc[small, "data"] *= gap / (1001 if triggers else 999)
    return runs[["parameters", "data", "loss"]], {"law": "approach3"}


def not_converged(triggers: bool) -> Case:
    """Of six runs many resamples hold fewer than five different ones, which determine no fit; of 54 none does."""
    runs = table()
    return runs.iloc[[0, 8, 13, 26, 40, 53]] if triggers else runs, {
        "law": "approach3",
        "objective": "huber-log",
        "interval": "bca",
        "bootstrap": 60,
    }


def at_bound(triggers: bool) -> Case:
    """The least loss is zero, or below zero, which no law of losses can say."""
    surface = Surface(0.2, 406.4, 410.7, 0.34, 0.28)
    runs = table(surface=surface)
    return runs.assign(loss=runs["loss"] - (0.5 if triggers else 0.1)), {"law": "approach3"}


def correlated_residuals(triggers: bool) -> Case:
    """Thirty minima about a line, on one side of it for long, or by turns of two."""
    flops = np.geomspace(1e17, 1e21, 32)
    wave = np.sin(np.arange(32) / 5) if triggers else np.tile([1.0, 1.0, -1.0, -1.0], 8)
    return pd.DataFrame({"flops": flops, "parameters": 0.1 * flops**0.5 * np.exp(0.1 * wave)}), {"law": "minima"}


def mixed_schedule(triggers: bool) -> Case:
    runs = table()
    return runs.assign(data_planned=runs["data"] * (1.06 if triggers else 1.04)), {}


def repeated_data(triggers: bool) -> Case:
    runs = table()
    return runs.assign(data_unique=runs["data"] * (0.99 if triggers else 1.0)), {}


def diverged_rows(triggers: bool) -> Case:
    runs = table().assign(status="finished")
    runs.loc[3, "status"] = "diverged" if triggers else "stopped"
    return runs, {}


def extrapolation(triggers: bool) -> Case:
    return table(), {"predict": (1.01e23 if triggers else 1e23,)}


CASES = [
    edge_minimum, no_minimum, few_sizes, few_budgets, off_centre, duplicate_rows, flops_mismatch, mixed_units,
    not_converged, at_bound, correlated_residuals, mixed_schedule, repeated_data, diverged_rows, extrapolation,
]  # fmt: skip


def told(case: Callable[[bool], Case], triggers: bool, folder) -> list:
    runs, settings = case(triggers)
    runs.to_csv(folder / "runs.csv", index=False)
    chosen = {"objective": "ls-log", "interval": "t", "law": "auto", **settings}
    return list(fit_runs(read_runs(folder / "runs.csv"), ScalingLawSettings(**chosen)).warnings)


def test_every_code_has_a_case():
    assert [case.__name__ for case in CASES] == list(CODES)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_a_file_triggers_the_warning_and_another_nearly_does(case, tmp_path):
    found = [one for one in told(case, True, tmp_path) if one.code == case.__name__]
    assert found
    assert all(one.message for one in found)
    assert case.__name__ not in {one.code for one in told(case, False, tmp_path)}


def test_clean_runs_raise_no_warning(tmp_path):
    assert told(lambda triggers: (table(), {}), True, tmp_path) == []


def test_warnings_name_the_rows_of_the_file(tmp_path):
    (found,) = (one for one in told(diverged_rows, True, tmp_path) if one.code == "diverged_rows")
    assert found.rows == (5,)
