"""What came out of the trainings on sparse parities, as tables of a report."""

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from sandtable.agents.tasks.parity_networks import ARCHITECTURES
from sandtable.analysis.report import Column, Interval, Table
from sandtable.analysis.tasks.convergence_times import ConvergenceTimes, Law, fit_law
from sandtable.analysis.tasks.parity_experiments import ENOUGH
from sandtable.simulators.errors import InputError

if TYPE_CHECKING:
    import pandas as pd


def times_of(row: Any) -> ConvergenceTimes:
    """Return the times of a row of the study's table."""
    return ConvergenceTimes(row.times, row.converged, int(row.every))


def size_law(rows: "pd.DataFrame") -> Law:
    """Return the law of log t_c in log n, of rows that differ in n.

    Raises:
        InputError: Fewer than two sizes have a median.
    """
    return fit_law(np.log(rows.n.astype(float)).tolist(), [times_of(row) for _, row in rows.iterrows()])


def size_laws(rows: "pd.DataFrame") -> dict[int, Law | None]:
    """Return the law in n for each k; None where two sizes do not have a median."""
    laws: dict[int, Law | None] = {}
    for k, own in rows.groupby("k"):
        try:
            laws[int(str(k))] = size_law(own)
        except InputError:
            laws[int(str(k))] = None
    return laws


def law_of_k(rows: "pd.DataFrame") -> tuple[int, Law] | None:
    """Return the law of log t_c in k, and the n with most values of k at which it was fitted; None if there is none."""
    n = int(str(rows.groupby("n").k.nunique().idxmax()))
    own = rows[rows.n == n]
    try:
        return n, fit_law(own.k.astype(float).tolist(), [times_of(row) for _, row in own.iterrows()])
    except InputError:
        return None


def law_table(rows: "pd.DataFrame") -> Table:
    """Return the exponents of n for each k, and the growth with k."""
    columns = [
        Column("law"),
        Column("exponent", "number", 2),
        Column("exponent / k", "number", 2),
        Column("R²", "number", 3),
        Column("settings", "number", 0),
        Column("left out", "number", 0),
    ]
    cells: list[tuple[Any, ...]] = []
    for k, law in size_laws(rows).items():
        if law is not None:
            slope = law.slope
            share = Interval(*(value / k for value in slope))
            cells.append((f"n^b, k = {k}", Interval(*slope), share, law.r_squared, law.settings, law.censored))
    if found := law_of_k(rows):
        n, law = found
        cells.append((f"e^(b k), n = {n}", Interval(*law.slope), None, law.r_squared, law.settings, law.censored))
    return Table(
        "How convergence times grow",
        columns,
        cells,
        note="Least squares of log medians, with Student's intervals of 95 %. Settings in which less than half of the "
        "seeds converged have no median and are left out. Exponents depend on the learning rate.",
    )


def times_table(rows: "pd.DataFrame", setting: str, caption: str) -> Table:
    """Return shares and medians against a setting."""
    columns = [
        Column(setting, "percent", 0),
        Column("share that converged", "percent", 0),
        Column("median t_c", "number", 0),
        Column("interquartile range", "number", 0),
        Column("best accuracy, median", "number", 3),
        Column("horizon", "number", 0),
        Column("seeds", "number", 0),
    ]
    cells = []
    for _, row in rows.sort_values(setting).iterrows():
        times = times_of(row)
        best = float(np.median([value for value in row.best_accuracy if value is not None]))
        share, median = Interval(*times.success_rate), Interval(*times.median)
        cells.append((row[setting], share, median, times.interquartile_range, best, row.steps, row.seeds))
    return Table(caption, columns, cells, note="∞: less than half (three quarters) of the seeds converged.")


def architecture_table(rows: "pd.DataFrame") -> Table:
    """Return, for each architecture, what its best learning rate reached with each loss and initialisation."""
    kinds = list(dict.fromkeys(zip(rows.loss, rows.initialisation, strict=True)))
    columns = [Column("architecture"), *(Column(f"{loss}, {initial}") for loss, initial in kinds)]
    columns.append(Column("diverged", "number", 0))
    cells = []
    for name, own in rows.groupby("architecture", sort=False):
        of_kinds = [own[(own.loss == loss) & (own.initialisation == initial)] for loss, initial in kinds]
        told = [None if part.empty else _best_rate(part) for part in of_kinds]
        cells.append((f"{name}: {ARCHITECTURES[str(name)].title}", *told, int(own.diverged.sum())))
    first = rows.iloc[0]
    return Table(
        f"Architectures at ({first.n}, {first.k}): the best learning rate by loss and initialisation",
        columns,
        cells,
        note="Share of the seeds that converged, at which rate, in how many steps (median), and in brackets at how "
        "many of the rates at least 20 % of them did. Diverged: seeds of all rates, with infinite loss or weights.",
    )


def _best_rate(rows: "pd.DataFrame") -> str:
    order = rows.assign(late=[times_of(row).median.value for _, row in rows.iterrows()])
    best = order.sort_values(["share", "late", "steps"], ascending=[False, True, False]).iloc[0]
    by_rate = rows.groupby("rate").share.max()
    median = f"{best.late:,.0f}" if math.isfinite(best.late) else f"> {best.steps:,}"
    return f"{best.share:.0%} at {best.rate:g} in {median} ({int((by_rate >= ENOUGH).sum())}/{len(by_rate)})"


def gap_table(rows: "pd.DataFrame") -> Table:
    """Return Fourier gaps in closed form and measured."""
    columns = [
        Column("n", "number", 0),
        Column("k", "number", 0),
        Column("closed form", "number", 9),
        Column("of a first gradient", "number", 9),
        Column("largest deviation"),
    ]
    cells = []
    for _, row in rows.sort_values(["k", "n"]).iterrows():
        known = not math.isnan(row.gap_error)
        measured = row.measured_gap if known else None
        cells.append((row.n, row.k, row.closed_gap, measured, f"{row.gap_error:.1e}" if known else None))
    return Table("Fourier gaps of the majority, and of perceptrons that start with signs", columns, cells)
