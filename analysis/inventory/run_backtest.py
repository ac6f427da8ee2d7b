"""A backtest as a run of the store: what the command line and the study call."""

import hashlib
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from sandtable.agents.inventory.user_policy import load_policy
from sandtable.analysis.inventory.backtest import Backtest, Hooks, backtest
from sandtable.analysis.inventory.backtest_report import answer, backtest_report
from sandtable.analysis.inventory.frontier import service_frontier
from sandtable.analysis.inventory.next_orders import next_orders
from sandtable.analysis.inventory.sensitivity import sensitivity
from sandtable.analysis.inventory.settings import BacktestSettings
from sandtable.analysis.provenance import Recorder
from sandtable.analysis.report import render
from sandtable.analysis.store import METRICS, Run
from sandtable.simulators.inventory.history import SalesHistory
from sandtable.simulators.inventory.sales_file import read_sales
from sandtable.simulators.inventory.synthetic_sales import synthetic_sales
from sandtable.training.metrics import JsonLines

REPORT, RESULTS, ORDERS = "report.html", "results.csv", "orders.csv"
VERSION = 1
"""Enters the names of the runs: raise it when what is computed of the same file changes."""


def load_history(sales: Path | None, settings: BacktestSettings) -> SalesHistory:
    """Return the history of a sales file, or the embedded one if there is no file."""
    if sales is None:
        return synthetic_sales(review_period="W-MON" if settings.review_period == "W" else settings.review_period)
    return read_sales(
        sales,
        review_period=settings.review_period,
        date_format=settings.date_format,
        min_sale_days=settings.min_sale_days,
    )


def identity(sales: Path | None, settings: BacktestSettings) -> dict[str, Any]:
    """Return what names a backtest's run: the settings, and the contents of the files that it reads."""
    digests = {}
    if sales is not None:
        with open(sales, "rb") as file:
            digests[sales.name] = hashlib.file_digest(file, "sha256").hexdigest()
    for spec in (settings.policy or "").split(","):
        if spec:
            digests[spec] = hashlib.sha256(load_policy(spec).source().encode()).hexdigest()
    return {**asdict(settings), "sha256": digests}


def run_backtest(
    run: Run,
    history: SalesHistory,
    settings: BacktestSettings,
    progress: Any = None,
    stage: Callable[[str], None] = lambda title: None,
    usable: Callable[[], None] = lambda: None,
) -> dict[str, Any]:
    """Do a backtest and write its report, results and orders into the run's folder.

    Interrupted, the training continues where it stopped when the same run is asked for again. Input that cannot be used
    is refused before anything is written.

    Args:
        run: Whose folder takes the files.
        history: What is known of past sales.
        settings: What the user decided.
        progress: Told of every step of the training.
        stage: Told the title of each stage as it begins.
        usable: Called when the input was found to be usable, before anything is written.

    Returns:
        What ``sandtable backtest --json`` prints, with the report's file name instead of its path, and beside it
        ``answer``, the outcome in a sentence, and ``best``, the policy that earned most.
    """
    recorder = Recorder()
    hooks = Hooks(run.folder / "checkpoint", JsonLines(run.folder / METRICS), progress, stage, usable)
    result = backtest(history, settings, hooks)
    moved: tuple[dict[str, Any], ...] = ()
    if settings.sensitivity:
        stage("moving the assumptions")
        moved = sensitivity(history, result)
    stage("moving the service")
    frontier = service_frontier(result)
    stage("writing the report")
    orders = next_orders(result)
    provenance = {"source": history.source, "settings": asdict(settings), **recorder.finished(), **_spent(result)}
    run.write_text(ORDERS, orders.to_csv(index=False))
    run.write_text(RESULTS, _table(result))
    summary = summarise(result)
    run.write_json(
        "results.json",
        {**summary, "sensitivity": moved, "frontier": [asdict(point) for point in frontier], "groups": result.groups},
    )
    run.write_text(REPORT, render(backtest_report(result, moved, frontier, orders, provenance)))
    return summary


def summarise(result: Backtest) -> dict[str, Any]:
    """Return what the results say, as JSON knows it: see ``run_backtest``."""
    panel = result.panel
    return {
        "report": REPORT,
        "answer": answer(result),
        "baseline": result.baseline,
        "best": result.best,
        "panel": {
            "products": panel.products,
            "periods": panel.periods,
            "start": str(panel.starts[0].astype("datetime64[D]")),
            "end": str(panel.starts[-1].astype("datetime64[D]")),
            "repairs": panel.repairs,
        },
        "policies": [
            {name: _finite(value) for name, value in row.as_dict().items() if name != "average_stock"}
            for row in result.rows
        ],
    }


def _spent(result: Backtest) -> dict[str, float]:
    """Return the floating-point operations of all networks' training, where they are known."""
    rows = result.learned.history if result.learned else []
    return {"training_flops": sum(rows[-1]["flops"])} if rows and "flops" in rows[-1] else {}


def _finite(value: Any) -> Any:
    """Return None for a number that JSON lacks."""
    return None if isinstance(value, float) and not np.isfinite(value) else value


def _table(result: Backtest) -> str:
    """Return the rows as CSV."""
    import pandas as pd

    return pd.DataFrame([row.as_dict() for row in result.rows]).to_csv(index=False)
