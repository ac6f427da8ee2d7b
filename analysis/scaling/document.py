"""What ``sandtable scaling-law --json`` prints: one document, null for what is not known."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from sandtable.analysis.scaling.fit_runs import Fit, ScalingLaws
from sandtable.estimators.scaling.forecast import QUANTITIES
from sandtable.estimators.scaling.law_result import LawResult
from sandtable.simulators.scaling.runs import Runs, split_budgets

SCHEMA = "sandtable.scaling-law/1"
MINIMA = ("flops", "parameters", "data", "loss", "on_edge")


def document(found: ScalingLaws, report: str) -> dict[str, Any]:
    """Return the document; NaN stands for null.

    Args:
        found: What was found.
        report: Where the report is.
    """
    fits = found.fits
    return {
        "schema": SCHEMA,
        "input": _input(found),
        "settings": asdict(found.settings),
        "fits": [_fit(fit) for fit in fits],
        "optimum": [
            {"law": fit.job.law, "group": fit.job.group, "flops": flops, **_optimum(row)}
            for fit in fits
            if fit.main
            for flops, row in fit.optimum.items()
        ],
        "holdout": _hold_out(fits),
        "sensitivity": [
            {"law": fit.job.law, "group": fit.job.group, "dropped": one.dropped, "params": _named(one.params)}
            for fit in fits
            for one in fit.sensitivity
        ],
        "next_run": [
            {"law": fit.job.law, "group": fit.job.group, **one._asdict()} for fit in fits for one in fit.suggestions
        ],
        "skipped": [{"law": one.law, "reason": one.reason} for one in found.skipped],
        "warnings": [{"code": one.code, "message": one.message, "rows": list(one.rows)} for one in found.warnings],
        "report": report,
    }


def _input(found: ScalingLaws) -> dict[str, Any]:
    file = found.file
    used = {row for fit in found.fits for row in fit.job.runs.rows.tolist()}
    return {
        "rows": file.rows,
        "used": len(used),
        "dropped": [{"row": one.row, "reason": one.reason} for one in file.dropped],
        "columns": dict(file.columns),
        "flops_ratio": None if file.ratio is None else file.ratio._asdict(),
        "budgets": budgets(file.runs),
    }


def budgets(runs: Runs) -> list[dict[str, Any]]:
    """Return the budgets: their compute (the median), how many runs and how many sizes each has."""
    if not len(runs) or not runs.has("flops"):
        return []
    flops = runs.column("flops")
    one_group = runs.budget is not None and len(runs.by_group()) == 1
    labels = runs.budget if one_group else split_budgets(flops)
    assert labels is not None
    rows = []
    for label in np.unique(labels):
        here = labels == label
        sizes = None if runs.parameters is None else len(np.unique(runs.parameters[here]))
        rows.append({"flops": float(np.median(flops[here])), "runs": int(here.sum()), "sizes": sizes})
    return rows


def _named(values: Any) -> dict[str, float]:
    return {str(name): float(value) for name, value in values.items()}


def _fit(fit: Fit) -> dict[str, Any]:
    result, interval = fit.result, fit.result.interval
    return {
        "law": fit.job.law,
        "group": fit.job.group,
        "size": fit.job.size,
        "n": result.nobs,
        "objective": {"name": result.objective, "delta": result.delta, "sum": float(result.objective_sum)},
        **_estimates(result),
        "interval": {
            "method": interval.method if interval is not None else None,
            "level": float(interval.level) if interval is not None else None,
            "resamples": int(interval.resamples) if interval is not None else 0,
            "failed": int(interval.failed) if interval is not None else 0,
        },
        "converged": bool(result.converged),
        "gradient_norm": float(result.gradient_norm),
        "rank": int(result.rank),
        "condition_number": float(result.condition_number),
        "minima": _minima(fit),
        "profiles": {name: np.asarray(curve, float).tolist() for name, curve in result.profiles.items()},
        "residuals": [
            {"row": int(row), "fitted": float(at), "residual": float(rest)}
            for row, at, rest in zip(result.rows, result.fitted, result.residuals, strict=True)
        ],
        "beside": {name: _estimates(one) for name, one in result.beside.items()},
    }


def _estimates(result: LawResult) -> dict[str, Any]:
    return {
        "params": _named(result.params),
        "bse": _named(result.bse),
        "conf_int": dict(zip(result.names, result.conf_int().to_numpy().tolist(), strict=True)),
    }


def _minima(fit: Fit) -> list[dict[str, Any]]:
    table = fit.result.minima
    if table is None:
        return []
    return [
        {name: bool(row[name]) if name == "on_edge" else float(row[name]) for name in MINIMA}
        for row in table.to_dict("records")
    ]


def _optimum(row: Mapping[str, np.ndarray]) -> dict[str, dict[str, float]]:
    return {
        name: dict(zip(("estimate", "low", "high"), (float(one) for one in row[name]), strict=True))
        for name in QUANTITIES
    }


def _hold_out(fits: tuple[Fit, ...]) -> dict[str, Any]:
    rows, scores = [], []
    for fit in fits:
        for name, one in fit.hold_outs.items():
            key = {"law": name, "group": fit.job.group}
            columns = ("row", "predicted", "low", "high", "observed")
            rows += [{**key, **{column: told[column] for column in columns}} for told in one.rows.to_dict("records")]
            scores.append({**key, "rmse_log": one.rmse_log, "coverage": one.coverage})
        if fit.hold_outs:
            rival = fit.hold_outs[fit.job.law].rmse_log_carried
            key = {"law": f"carry_forward:{fit.job.law}", "group": fit.job.group}
            scores.append({**key, "rmse_log": rival, "coverage": None})
    return {"rows": rows, "scores": scores}
