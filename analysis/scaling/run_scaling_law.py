"""A fit of scaling laws as a run of the store: what the command line calls."""

import csv
import hashlib
import io
import warnings
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from sandtable.analysis.provenance import Recorder
from sandtable.analysis.report import render
from sandtable.analysis.scaling import figures
from sandtable.analysis.scaling.answer import answer
from sandtable.analysis.scaling.document import document
from sandtable.analysis.scaling.fit_runs import ScalingLaws, fit_runs
from sandtable.analysis.scaling.scaling_report import scaling_report
from sandtable.analysis.scaling.settings import ScalingLawSettings
from sandtable.analysis.store import Run
from sandtable.simulators.csv_file import require_file
from sandtable.simulators.errors import InputError
from sandtable.simulators.scaling.runs_file import RunsFile, read_runs

REPORT, RESULTS, FITS = "report.html", "results.json", "fits.csv"
VERSION = 1
"""Enters the names of the runs: raise it when what is computed of the same file changes."""
LEAST_RESAMPLES = 50


def identity(path: str, settings: ScalingLawSettings) -> dict[str, Any]:
    """Return what names a run: the settings, and the contents of the file.

    Raises:
        InputError: A setting or the file cannot be used.
    """
    check_settings(settings)
    require_file(Path(path), "a CSV file of runs")
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {**asdict(settings), "file": Path(path).name, "sha256": digest}


def check_settings(settings: ScalingLawSettings) -> None:
    """Raise an ``InputError`` that names the first option that cannot be used."""
    positive = {
        "flops-factor": settings.flops_factor,
        "delta": settings.delta,
        "min-flops": settings.min_flops,
        "max-flops": settings.max_flops,
        "holdout-above": settings.holdout_above,
    }
    for name, value in [*positive.items(), *(("predict", one) for one in settings.predict)]:
        if value is not None and not 0 < value < np.inf:
            raise InputError(f"--{name}: {value:g} is not a positive number")
    if not 0 < settings.level < 1:
        raise InputError(f"--level: {settings.level:g} is not between 0 and 1")
    if settings.bootstrap < LEAST_RESAMPLES:
        raise InputError(f"--bootstrap: {settings.bootstrap} is not at least {LEAST_RESAMPLES}")
    if settings.min_flops is not None and settings.max_flops is not None and settings.min_flops >= settings.max_flops:
        raise InputError(f"--min-flops {settings.min_flops:g} is not below --max-flops {settings.max_flops:g}")
    if settings.interval == "profile" and settings.objective == "huber-log":
        raise InputError("--interval profile is for least squares; take --objective ls-log, or --interval bca")
    if settings.response is not None and settings.law not in ("auto", "compute"):
        raise InputError(f"--response is for the law compute, not for {settings.law}")
    units_of(settings)


def units_of(settings: ScalingLawSettings) -> dict[str, float]:
    """Return the factors of ``--unit COLUMN=FACTOR`` by column."""
    units = {}
    for text in settings.unit:
        name, equals, factor = text.partition("=")
        try:
            units[name] = float(factor)
        except ValueError:
            equals = ""
        if not (name and equals):
            raise InputError(f"--unit {text}: it must be COLUMN=FACTOR, for example tokens=1e9")
    return units


def load_runs(path: str, settings: ScalingLawSettings) -> RunsFile:
    """Read the table of runs as the settings say."""
    return read_runs(
        path, units=units_of(settings), loss_unit=settings.loss_unit, flops_factor=settings.flops_factor
    )  # fmt: skip


def run_scaling_law(
    run: Run,
    file: RunsFile,
    name: str,
    settings: ScalingLawSettings,
    stage: Callable[[str], None] = lambda title: None,
    usable: Callable[[], None] = lambda: None,
) -> dict[str, Any]:
    """Fit scaling laws and write report, results, figures and fits into the run's folder.

    Input that cannot be used is refused before anything is written.

    Args:
        run: Whose folder takes the files.
        file: The runs, as their reader returned them.
        name: Of the file.
        settings: What the user decided.
        stage: Told the title of each stage as it begins.
        usable: Called when the input was found to be usable, before anything is written.

    Returns:
        ``document``: what ``sandtable scaling-law --json`` prints, with the report's file name for its path, and
        ``answer``, a sentence.
    """
    recorder = Recorder()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of logarithms of laws that the runs do not determine
        found = fit_runs(file, settings, stage)
        usable()
        stage("writing the report")
        told, drawn = document(found, REPORT), figures.every(found)
    provenance = {"source": name, "settings": asdict(settings), **recorder.finished()}
    run.write_json(RESULTS, told)
    run.write_text(FITS, fits_csv(found))
    for one in drawn:
        run.write_bytes(f"{one.name}.svg", one.svg_file)
        run.write_bytes(f"{one.name}.pdf", one.pdf_file)
    run.write_text(REPORT, render(scaling_report(found, told, drawn, provenance)))
    return {"document": told, "answer": answer(found)}


def fits_csv(found: ScalingLaws) -> str:
    """Return the fits as CSV: a row a parameter of a law."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(
        ["law", "group", "size", "n", "objective", "parameter", "estimate", "bse", "low", "high", "interval", "level"]
    )
    for fit in found.fits:
        result, ends, errors = fit.result, fit.result.conf_int(), fit.result.bse
        method = "" if result.interval is None else result.interval.method
        for name in result.names:
            numbers = (result.params[name], errors[name], *ends.loc[name])
            estimate, error, low, high = ("" if np.isnan(one) else repr(float(one)) for one in numbers)
            about = (fit.job.law, fit.job.group, fit.job.size, result.nobs, result.objective)
            table.writerow([*about, name, estimate, error, low, high, method, found.settings.level])
    return text.getvalue()
