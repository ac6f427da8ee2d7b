"""Every kind of table gets a document that is JSON and a report that can be read."""

import json

import numpy as np
import pandas as pd
import pytest

from sandtable.analysis.report import render
from sandtable.analysis.scaling import figures
from sandtable.analysis.scaling.answer import answer
from sandtable.analysis.scaling.document import document
from sandtable.analysis.scaling.fit_runs import fit_runs
from sandtable.analysis.scaling.run_scaling_law import fits_csv
from sandtable.analysis.scaling.scaling_report import scaling_report
from sandtable.analysis.scaling.settings import ScalingLawSettings
from sandtable.analysis.store import to_plain
from sandtable.simulators.scaling.runs_file import read_runs
from sandtable.simulators.scaling.synthetic_runs import Surface, isoflop_grid, training_curves, with_noise

SURFACE = Surface(1.69, 406.4, 410.7, 0.34, 0.28)


def grid(seed: int = 0) -> pd.DataFrame:
    runs = with_noise(isoflop_grid(SURFACE, 1e17 * 10.0 ** np.arange(4), 7), 0.003, seed=seed)
    return pd.DataFrame({"N": runs.parameters, "D": runs.data, "loss": runs.loss})


def curves() -> pd.DataFrame:
    told = training_curves(SURFACE, np.geomspace(1e7, 1e9, 7), np.geomspace(1e8, 1e12, 20))
    return pd.DataFrame({"run": told.run, "step": told.step, "N": told.parameters, "D": told.data, "loss": told.loss})


def returns() -> pd.DataFrame:
    loss = np.linspace(0.2, 1.2, 9)
    return pd.DataFrame({"loss": loss, "score": 100 * loss**-2.0 * np.exp(0.05 * np.cos(7 * loss))})


def dollars() -> pd.DataFrame:
    """Two groups whose names would be mathematics to matplotlib, tags to a browser, and folders to a file system."""
    return pd.concat([grid(1).assign(group="a$b$c"), grid(2).assign(group="<b>/../x")])


TABLES = {
    "grid": (grid(), {}),
    "both counts": (grid().assign(parameters_non_embedding=lambda one: 0.8 * one["N"] ** 1.01), {}),
    "curves": (curves(), {"law": "approach1"}),
    "returns alone": (returns(), {}),
    "groups": (dollars(), {"law": "approach2"}),
    "response": (grid().assign(score=lambda one: one["loss"] ** -3), {"law": "compute", "response": "return"}),
}


@pytest.mark.parametrize("name", TABLES)
def test_document_report_and_figures_of(name, tmp_path):
    table, settings = TABLES[name]
    table.to_csv(tmp_path / "runs.csv", index=False)
    chosen = {"objective": "ls-log", "interval": "t", **settings}
    found = fit_runs(read_runs(tmp_path / "runs.csv"), ScalingLawSettings(**chosen))
    told, drawn = document(found, "report.html"), figures.every(found)
    json.dumps(to_plain(told), allow_nan=False)
    text = render(scaling_report(found, told, drawn, {}))
    assert answer(found).replace("<", "&lt;").replace(">", "&gt;")[:60] in text
    assert ">nan<" not in text
    assert all(one.pdf_file.startswith(b"%PDF") and b"<svg" in one.svg_file for one in drawn)
    names = [one.name for one in drawn]
    assert len(set(names)) == len(names)
    assert all(letter not in name for name in names for letter in "/.$<")
    assert len(fits_csv(found).splitlines()) == 1 + sum(len(fit.result.params) for fit in found.fits)


def test_the_report_tells_how_the_count_of_parameters_moves_the_exponent(tmp_path):
    table, _ = TABLES["both counts"]
    table.to_csv(tmp_path / "runs.csv", index=False)
    found = fit_runs(read_runs(tmp_path / "runs.csv"), ScalingLawSettings(law="approach2"))
    text = render(scaling_report(found, document(found, ""), [], {}))
    assert "with total parameters and" in text
    assert [fit["size"] for fit in document(found, "")["fits"]] == ["parameters", "parameters_non_embedding"]
