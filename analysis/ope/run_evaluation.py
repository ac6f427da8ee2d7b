"""An evaluation as a run of the store: what the command line calls."""

import hashlib
import os
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sandtable.agents.ope.target_policy import load_target
from sandtable.analysis.ope.evaluate import answer, document, evaluate
from sandtable.analysis.ope.evaluation_report import evaluation_report
from sandtable.analysis.ope.prepare import check_settings, prepare
from sandtable.analysis.ope.settings import EvaluateSettings
from sandtable.analysis.provenance import Recorder
from sandtable.analysis.report import render
from sandtable.analysis.store import Run
from sandtable.estimators.ope.features import load_features
from sandtable.simulators.ope.log_file import log_paths
from sandtable.simulators.ope.logged_steps import LoggedSteps

REPORT, RESULTS = "report.html", "results.json"
VERSION = 2
"""Enters the names of the runs: raise it when what is computed of the same log changes."""


def identity(log: str, settings: EvaluateSettings) -> dict[str, Any]:
    """Return what names an evaluation's run: the settings, and the contents of the files that it reads.

    Raises:
        InputError: A setting, a function or a file cannot be used.
    """
    check_settings(settings)
    digests = {"target": _digest(load_target(settings.target, trust=settings.trust).source.encode())}
    if settings.features is not None:
        digests["features"] = _digest(load_features(settings.features).source.encode())
    paths = log_paths(log)
    root = os.path.commonpath([path.parent for path in paths]) if paths else ""
    for path in paths:
        with open(path, "rb") as file:  # files of a folder may share a name
            digests[f"log/{path.relative_to(root).as_posix()}"] = hashlib.file_digest(file, "sha256").hexdigest()
    return {**asdict(settings), "log": Path(log).name, "sha256": digests}


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def run_evaluation(
    run: Run,
    log: LoggedSteps,
    settings: EvaluateSettings,
    stage: Callable[[str], None] = lambda title: None,
    usable: Callable[[], None] = lambda: None,
) -> dict[str, Any]:
    """Evaluate a log and write report and results into the run's folder.

    Input that cannot be used is refused before anything is written.

    Args:
        run: Whose folder takes the files.
        log: As its reader returned it.
        settings: What the user decided.
        stage: Told the title of each stage as it begins.
        usable: Called when the input was found to be usable, before anything is written.

    Returns:
        ``document``: what ``sandtable evaluate --json`` prints, with the report's file name for its path; ``answer``,
        a sentence, and ``regime``, what the log can tell, with what is assumed.
    """
    recorder = Recorder()
    prepared = prepare(log, settings)
    result = evaluate(prepared, settings, stage)
    usable()
    stage("writing the report")
    told = document(result, REPORT)
    provenance = {"source": Path(log.source).name, "settings": asdict(settings), **recorder.finished()}
    run.write_json(RESULTS, told)
    run.write_text(REPORT, render(evaluation_report(result, told, provenance)))
    regime = result.regime if result.verdict is None else result.verdict.summary()
    return {"document": told, "answer": answer(result), "regime": regime}
