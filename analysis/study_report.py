"""The report of a study from its runs: which claims hold, the figures, and every run in a table."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sandtable.analysis.report import Column, KeyFigure, Note, Report, Section, Table
from sandtable.analysis.store import Run, RunStore
from sandtable.analysis.study import Budget, ClaimOutcome, Study, judge, tabulate

if TYPE_CHECKING:
    import pandas as pd


def study_report(study: Study, store: RunStore, budget: Budget) -> Report:
    """Return the report of the runs of a budget that are finished; it says what is missing."""
    runs = [run for _, run in study.runs(store, budget)]
    finished = [run for run in runs if run.finished]
    outcomes = judge(study, store, budget)
    table = tabulate(finished)
    figures = study.figures(table, finished) if finished else ()
    sections = [Section("What was done", study.summary, _missing_runs(len(runs) - len(finished), len(runs)))]
    if figures:
        sections.append(Section("Results", blocks=figures))
    if finished:
        sections.append(Section("Runs", _fixed_settings(finished), [_runs_table(table, finished)]))
    return Report(
        title=study.title,
        question=f"Do the claims of {study.paper} hold at the {budget} budget?",
        answer=_answer(outcomes),
        sections=sections,
        claims=outcomes,
        provenance=_provenance(study, budget, finished),
        data={"claims": [outcome.as_json() for outcome in outcomes], "runs": table.to_dict("records")},
        key_figures=_key_figures(outcomes, len(finished), len(runs)),
    )


def _answer(outcomes: Sequence[ClaimOutcome]) -> str:
    counts = _counts(outcomes)
    judged = counts["holds"] + counts["fails"]
    if not judged:
        return "No claim has been checked yet: the runs are missing." if outcomes else "The study makes no claims."
    sentence = f"{counts['holds']} of {judged} checked claims hold" if judged > 1 else "The checked claim "
    if judged == 1:
        sentence += "holds" if counts["holds"] else "does not hold"
    return sentence + (f"; {counts['not run']} not run." if counts["not run"] else ".")


def _counts(outcomes: Sequence[ClaimOutcome]) -> dict[str, int]:
    statuses = [outcome.status for outcome in outcomes]
    return {status: statuses.count(status) for status in ("holds", "fails", "not run")}


def _key_figures(outcomes: Sequence[ClaimOutcome], finished: int, runs: int) -> list[KeyFigure]:
    counts = _counts(outcomes)
    labels = {"Claims that hold": counts["holds"], "Claims that fail": counts["fails"], "Not run": counts["not run"]}
    claims = [KeyFigure(label, str(count)) for label, count in labels.items()] if outcomes else []
    return [*claims, KeyFigure("Runs finished", f"{finished} of {runs}")]


def _missing_runs(missing: int, runs: int) -> list[Note]:
    text = f"{missing} of {runs} runs are missing: they failed, were left out, or have not been started."
    return [Note(text, "Incomplete.")] if missing else []


def _fixed_settings(runs: Sequence[Run]) -> str:
    """Return a sentence that names the settings that all runs have and in which they do not differ."""
    first = runs[0].config
    fixed = [
        f"{name} = {value}"
        for name, value in first.items()
        if all(name in run.config and run.config[name] == value for run in runs)
    ]
    return f"In all runs: {', '.join(fixed)}." if fixed and len(runs) > 1 else ""


def _runs_table(table: "pd.DataFrame", runs: Sequence[Run]) -> Table:
    """Return the runs' names, the settings that vary and the metrics that are numbers or short texts."""
    shown = [name for name in table.columns if name == "run" or _worth_showing(list(table[name]), name, runs)]
    columns = [_column(name, list(table[name])) for name in shown]
    rows = [[None if _is_nan(value) else value for value in row] for row in table[shown].itertuples(index=False)]
    return Table("Every finished run", columns, rows, note="The name of a run is that of its folder in the store.")


def _worth_showing(values: list[Any], name: str, runs: Sequence[Run]) -> bool:
    if not all(isinstance(value, int | float | str) or value is None for value in values):
        return False
    is_setting = name.partition(".")[0] in runs[0].config
    return len(set(values)) > 1 or len(runs) == 1 or not is_setting


def _column(name: str, values: list[Any]) -> Column:
    """Return a column of text, or of numbers with as many decimals as show four digits of the largest."""
    if any(isinstance(value, str | bool) for value in values):
        return Column(name)
    sizes = [abs(value) for value in values if value is not None and math.isfinite(value)]
    if all(float(size).is_integer() for size in sizes):
        return Column(name, "number", decimals=0)
    return Column(name, "number", decimals=max(0, 3 - math.floor(math.log10(max(sizes)))))


def _is_nan(value: Any) -> bool:
    return isinstance(value, float) and math.isnan(value)


def _provenance(study: Study, budget: Budget, runs: Sequence[Run]) -> dict[str, Any]:
    """Return what the last attempts of the runs ran on, each different value once, and what they cost together."""
    attempts = [run.attempts()[-1] for run in runs if run.attempts()]
    facts: dict[str, Any] = {"study": f"{study.name}, version {study.version}", "paper": study.paper, "budget": budget}
    for name in ("commit", "dirty", "python", "platform", "cpus", "device"):
        facts[name] = list(dict.fromkeys(str(attempt[name]) for attempt in attempts if attempt.get(name) is not None))
    if attempts:
        facts["started"] = min(attempt["started"] for attempt in attempts)
        facts["CPU seconds"] = f"{sum(attempt.get('cpu_seconds', 0.0) for attempt in attempts):,.1f}"
        facts["wall seconds, all runs"] = f"{sum(attempt.get('wall_seconds', 0.0) for attempt in attempts):,.1f}"
        facts["packages"] = _versions([attempt["packages"] for attempt in attempts])
    return {name: value for name, value in facts.items() if value != []}


def _versions(packages: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """Return the versions of each package, joined by ``or`` where runs differ."""
    names = dict.fromkeys(name for versions in packages for name in versions)
    return {name: " or ".join(dict.fromkeys(v[name] for v in packages if name in v)) for name in names}
