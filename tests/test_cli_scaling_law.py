"""What a user types to fit scaling laws, and what comes of it: files and a document, or one line."""

import contextlib
import csv
import io
import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest

from sandtable.cli import main
from sandtable.simulators.scaling.nethack_minima import load_nethack_minima
from sandtable.simulators.scaling.synthetic_runs import Surface, isoflop_grid, with_noise

SURFACE = Surface(1.69, 406.4, 410.7, 0.34, 0.28)
QUICK = ("--objective", "ls-log")
KEYS = {
    "": "schema input settings fits optimum holdout sensitivity next_run skipped warnings report",
    "input": "rows used dropped columns flops_ratio budgets",
    "fit": "law group size n objective params bse conf_int interval converged gradient_norm rank condition_number "
    "minima profiles residuals beside",
    "optimum": "law group flops parameters data loss",
    "holdout": "rows scores",
    "row": "law group row predicted low high observed",
    "score": "law group rmse_log coverage",
    "sensitivity": "law group dropped params",
    "next_run": "law group flops parameters data target width_now width_after",
    "minimum": "flops parameters data loss on_edge",
}


class Said(NamedTuple):
    code: int
    out: str
    err: str


def sandtable(*arguments: str) -> Said:
    """Run a command in this process."""
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
        code = main([str(argument) for argument in arguments])
    return Said(code, out.getvalue(), err.getvalue())


def fitted(*arguments: str) -> dict:
    said = sandtable("scaling-law", *arguments, "--json")
    assert (said.code, said.err) == (0, "")
    assert said.out.count("\n") == 1
    return json.loads(said.out)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The current folder, with runs of a known surface and the published minima of NetHack."""
    monkeypatch.chdir(tmp_path)
    runs = with_noise(isoflop_grid(SURFACE, 1e17 * 10.0 ** np.arange(5), 9), 0.003, seed=1)
    table = pd.DataFrame({"N": runs.parameters, "tokens": runs.data, "C": runs.flops, "final loss": runs.loss})
    table.to_csv("runs.csv", index=False)
    minima = load_nethack_minima()
    columns = {"C": minima.flops, "N": minima.parameters, "frames": minima.data, "L": minima.loss, "R": minima.returns}
    pd.DataFrame(columns).to_csv("nethack.csv", index=False)
    return tmp_path


def of(told: dict, law: str) -> dict:
    return next(fit for fit in told["fits"] if fit["law"] == law)


def test_the_document_has_every_key_and_the_truth_within_its_intervals(folder):
    told = fitted("runs.csv", *QUICK, "--holdout-above", "1e20", "--predict", "1e22", "1e23")
    assert told["schema"] == "sandtable.scaling-law/1"
    approach3 = of(told, "approach3")
    shown = {
        "": told, "input": told["input"], "fit": approach3, "optimum": told["optimum"][0], "holdout": told["holdout"],
        "row": told["holdout"]["rows"][0], "score": told["holdout"]["scores"][0],
        "sensitivity": told["sensitivity"][0], "next_run": told["next_run"][0],
        "minimum": of(told, "approach2")["minima"][0],
    }  # fmt: skip
    assert {name: list(part) for name, part in shown.items()} == {name: keys.split() for name, keys in KEYS.items()}
    assert list(approach3["params"]) == ["E", "A", "B", "alpha", "beta", "N_exponent", "D_exponent", "G"]
    truth = {"E": 1.69, "alpha": 0.34, "beta": 0.28, "N_exponent": SURFACE.N_exponent}
    for name, value in truth.items():
        low, high = approach3["conf_int"][name]
        assert low < value < high
    assert approach3["interval"] == {"method": "profile", "level": 0.95, "resamples": 0, "failed": 0}
    assert approach3["objective"]["name"] == "ls-log"
    assert len(approach3["profiles"]["alpha"]) > 4
    assert len(approach3["residuals"]) == approach3["n"] == 45
    assert [row["flops"] for row in told["optimum"] if row["law"] == "approach3"] == [1e22, 1e23]
    optimum = told["optimum"][0]["parameters"]
    assert optimum["low"] < SURFACE.optimum(1e22)["parameters"] < optimum["high"]
    assert told["input"]["budgets"][0] == {"flops": pytest.approx(1e17), "runs": 9, "sizes": 9}
    assert told["input"]["columns"]["loss"] == "final loss"


@pytest.mark.slow
def test_the_minima_of_nethack_give_the_published_exponents(folder):
    """arXiv 2307.09423 v3 has .61 and .39; ordinary least squares of its minima .605 [.546, .664] and -.172."""
    told = fitted("nethack.csv", "--response", "loss", "--holdout-above", "1e18")
    minima = of(told, "minima")
    assert minima["params"]["N_exponent"] == pytest.approx(0.605, abs=0.002)
    assert minima["conf_int"]["N_exponent"] == pytest.approx([0.546, 0.664], abs=0.002)
    assert minima["params"]["D_exponent"] == pytest.approx(0.395, abs=0.002)
    assert minima["params"]["loss_exponent"] == pytest.approx(-0.172, abs=0.002)
    assert of(told, "compute")["params"]["offset"] == pytest.approx(0.1235, abs=0.002)
    censored = minima["beside"]["interval_censored"]["params"]["N_exponent"]
    assert not minima["conf_int"]["N_exponent"][0] < censored < minima["conf_int"]["N_exponent"][1]
    scores = {score["law"]: score["rmse_log"] for score in told["holdout"]["scores"]}
    assert scores["compute:offset"] < scores["carry_forward:compute"] < scores["compute:pure"]
    assert {one["code"] for one in told["warnings"]} >= {"edge_minimum", "correlated_residuals"}
    text = Path(told["report"]).read_text()
    assert "lies outside the interval of least squares" in text or "lie outside the interval" in text


def test_the_run_holds_report_figures_and_fits_and_is_not_done_again(folder):
    told = fitted("runs.csv", *QUICK, "--runs", "kept")
    report = Path(told["report"])
    names = {path.name for path in report.parent.iterdir()}
    figures = {"isoflop", "optima", "residuals-approach3", "profiles", "next-run"}
    assert names == {"config.json", "provenance.json", "result.json", "results.json", "report.html", "fits.csv"} | {
        f"{name}.{kind}" for name in figures for kind in ("svg", "pdf")
    }
    assert (report.parent / "isoflop.pdf").read_bytes().startswith(b"%PDF")
    assert "<svg" in (report.parent / "isoflop.svg").read_text()
    rows = list(csv.DictReader((report.parent / "fits.csv").open()))
    alpha = next(row for row in rows if row["parameter"] == "alpha")
    assert float(alpha["estimate"]) == of(told, "approach3")["params"]["alpha"]
    written = {path: path.stat().st_mtime_ns for path in Path("kept").rglob("*")}
    assert fitted("runs.csv", *QUICK, "--runs", "kept") == told
    assert {path: path.stat().st_mtime_ns for path in Path("kept").rglob("*")} == written
    assert fitted("runs.csv", *QUICK, "--level", ".9", "--runs", "kept")["report"] != told["report"]


@pytest.mark.slow
def test_the_report_keeps_its_order(folder):
    text = Path(fitted("runs.csv", *QUICK, "--holdout-above", "1e20")["report"]).read_text()
    titles = (
        "Warnings", "The methods side by side", "IsoFLOP curves and their minima", "Size and data against compute",
        "Residuals", "Sensitivity", "Profiles", "Hold-out", "What to run next", "Settings, and what was left out",
    )  # fmt: skip
    places = [text.index(f"{title}</h2>") for title in titles]
    assert places == sorted(places)
    assert text.index("Optimal parameters grow as compute to the power") < places[0]


def test_the_words_end_with_answer_and_report(folder):
    said = sandtable("scaling-law", "runs.csv", "--law", "approach2")
    assert said.code == 0
    lines = said.out.splitlines()
    assert lines[-1].startswith("report: runs/scaling-law/")
    assert any(line.startswith("Optimal parameters grow as compute to the power 0.4") for line in lines)


def test_units_and_bits_are_what_the_user_says(folder):
    table = pd.read_csv("runs.csv")
    table["tokens"] /= 1e9
    table["final loss"] /= np.log(2)
    table.to_csv("scaled.csv", index=False)
    told = fitted("scaled.csv", *QUICK, "--unit", "tokens=1e9", "--loss-unit", "bits", "--law", "approach2")
    plain = fitted("runs.csv", *QUICK, "--law", "approach2")
    assert of(told, "approach2")["params"] == pytest.approx(of(plain, "approach2")["params"], rel=1e-6)


@pytest.mark.slow
def test_dropped_rows_are_named_with_their_reasons(folder):
    lines = Path("runs.csv").read_text().splitlines()
    Path("holes.csv").write_text("\n".join([*lines[:3], lines[3].rsplit(",", 1)[0] + ",nan", *lines[4:]]) + "\n")
    told = fitted("holes.csv", *QUICK, "--law", "approach3")
    assert told["input"]["dropped"] == [{"row": 4, "reason": "loss is not known"}]
    assert (told["input"]["rows"], told["input"]["used"]) == (45, 44)


def refused(*arguments: str) -> str:
    """Return the one line with which a command refuses its input, after making sure that it left nothing behind."""
    said = sandtable("scaling-law", *arguments)
    assert (said.code, said.out) == (2, "")
    assert said.err.count("\n") == 1
    assert not Path("runs").exists()
    return said.err.removeprefix("sandtable: ").strip()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("absent.csv", "absent.csv"),
        ("runs.csv --level 2", "--level: 2 is not between 0 and 1"),
        ("runs.csv --delta 0", "--delta: 0 is not a positive number"),
        ("runs.csv --predict -1", "--predict"),
        ("runs.csv --bootstrap 3", "--bootstrap: 3 is not at least 50"),
        ("runs.csv --min-flops 1e20 --max-flops 1e19", "--min-flops 1e+20 is not below --max-flops 1e+19"),
        ("runs.csv --interval profile", "--interval profile is for least squares"),
        ("runs.csv --response loss --law approach3", "--response is for the law compute"),
        ("runs.csv --unit tokens", "--unit tokens: it must be COLUMN=FACTOR"),
        ("runs.csv --unit epochs=3", "a unit is given for epochs, and there is no such column"),
        ("runs.csv --law approach9", "'approach9'"),
        ("runs.csv --law approach1", "it needs training curves"),
        ("runs.csv --holdout-above 1e30", "no run has more than 1e+30"),
        ("runs.csv --objective ls-log --cluster rack", "there is no column rack"),
    ],
)
def test_what_cannot_be_used_is_refused_in_one_line(folder, arguments, said):
    assert said in refused(*arguments.split())


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("final loss", 0.0, "rows 4, 5: final loss must be above 0 and finite"),
        ("final loss", -1.0, "rows 4, 5: final loss must be above 0 and finite"),
        ("status", "exploded", "rows 4, 5: unknown status"),
    ],
)
def test_bad_rows_are_refused_with_their_places(folder, column, value, said):
    table = pd.read_csv("runs.csv")
    if column == "status":
        table["status"] = "finished"
    table.loc[[2, 3], column] = value
    table.to_csv("bad.csv", index=False)
    assert said in refused("bad.csv")


def test_a_curve_whose_data_goes_down_is_refused(folder):
    rows = {"run": ["a"] * 3, "step": [1, 2, 3], "N": [1e6] * 3, "D": [1e9, 3e9, 2e9], "loss": [4.0, 3.0, 2.9]}
    pd.DataFrame(rows).to_csv("curve.csv", index=False)
    assert "row 4: data goes down along run a" in refused("curve.csv")
