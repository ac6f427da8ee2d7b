"""Figures and tables of the study of scaling-law methods."""

from typing import TYPE_CHECKING, Any

import numpy as np

from sandtable.analysis.figures import COLOURS, INK, MARKERS, house_style, new_figure, to_svg
from sandtable.analysis.report import Block, Column, Figure, Interval, Table
from sandtable.analysis.scaling.method_experiments import EACH, QUANTITIES, SURFACES
from sandtable.analysis.studies.scaling_law_methods import CHOSEN, WIDE, independent, monte_carlo_interval

if TYPE_CHECKING:
    import pandas as pd

LABELS = ("E", "alpha", "beta", "exponent", "N*", "L*")
_INTERVALS = ("profile", "bca", "percentile", "t", "hc3", "bca_budgets", "percentile_budgets")
_WORDS = {"bca_budgets": "BCa, whole budgets", "percentile_budgets": "percentile, whole budgets", "bca": "BCa"}


def blocks(table: "pd.DataFrame") -> list[Block]:
    """Return a figure or tables for each part that was run, of the tidy table."""
    found: list[Block] = []
    covered = table[table.part == "coverage"]
    usual = covered[(covered.noise == "iid") & (covered.half_width == WIDE)]
    if len(usual):
        found += [figure_of_coverage(usual), table_of_intervals("Normal noise", usual, "coverage")]
        found.append(table_of_intervals("Normal noise", usual, "width"))
    others = covered.drop(usual.index)
    if len(others):
        found += [table_of_intervals("Other noise, and narrow grids", others, what) for what in ("coverage", "width")]
    forecasts = table[table.part == "forecast"]
    if len(forecasts):
        found.append(table_of_forecasts(forecasts))
    for _, row in table[table.part == "bias"].iterrows():
        found.append(table_of_bias(row))
    return found


def figure_of_coverage(rows: "pd.DataFrame") -> Figure:
    """Return how often the chosen intervals hold the truth, with Monte-Carlo errors."""
    with house_style():
        figure, axes = new_figure(height=3.4)
        axes.axhspan(0.93, 0.97, color=INK, alpha=0.08, lw=0)
        axes.axhline(0.95, color=INK, lw=0.9, ls="-")
        for index, (_, row) in enumerate(rows.iterrows()):
            values = np.array([row[f"coverage.{CHOSEN[row.objective]}.{name}"] for name in QUANTITIES])
            ends = np.array([monte_carlo_interval(value, row.simulations) for value in values])
            errors = np.abs(ends.T - values)
            places = np.arange(len(QUANTITIES)) + 0.12 * (index - (len(rows) - 1) / 2)
            colour, marker = COLOURS[index % len(COLOURS)], MARKERS[index % len(MARKERS)]
            label = f"{_word(CHOSEN[row.objective])}, {row.table_size} runs"
            axes.errorbar(places, values, errors, fmt=marker, color=colour, ms=4, lw=1, label=label)
        axes.set_xticks(range(len(LABELS)), LABELS)
        axes.set(ylabel="share of intervals that hold the truth")
        axes.legend(loc="upper left", bbox_to_anchor=(0, -0.1), ncols=2)
    caption = (
        f"Nominally .95; the band is .93 to .97, the bars are Monte-Carlo intervals at 95 %, of "
        f"{int(rows.simulations.iloc[0]):,} simulations. N* and L* are the optimum at 100 times the largest budget."
    )
    about = "Profile intervals of least squares and BCa intervals of Huber's loss, by number of runs."
    return Figure(caption, to_svg(figure, "Coverage of the intervals of Approach 3", about))


def _word(interval: str) -> str:
    return _WORDS.get(interval, interval)


def table_of_intervals(what: str, rows: "pd.DataFrame", measure: str) -> Table:
    """Return the coverage or the median width of every interval of some runs."""
    columns = [Column("objective"), Column("runs", "number", 0), Column("noise"), Column("interval")]
    columns += [Column(label, "percent", 1) for label in LABELS]
    cells = []
    for _, row in rows.iterrows():
        noise = row.noise if row.half_width == WIDE else f"{row.noise}, sizes within {row.half_width:g} times"
        for interval in _INTERVALS:
            values = [_number(row.get(f"{measure}.{interval}.{name}")) for name in QUANTITIES]
            if np.isfinite(values).any():
                cells.append((row.objective, row.table_size, noise, _word(interval), *values))
    simulations = int(rows.simulations.iloc[0])
    if measure == "coverage":
        low, high = monte_carlo_interval(0.95, simulations)
        note = f"{simulations:,} simulations: where 95 % are counted, {low:.1%} to {high:.1%} may be meant."
        return Table(f"{what}: how often 95 % intervals hold the truth", columns, cells, note=note)
    return Table(f"{what}: median width of the intervals, relative to the true value", columns, cells)


def _number(value: Any) -> float:
    return float("nan") if value is None else float(value)


def table_of_forecasts(rows: "pd.DataFrame") -> Table:
    """Return how often forecasts of larger runs hold them."""
    columns = [Column("objective"), Column("runs", "number", 0), Column("interval"), Column("coverage", "percent", 1)]
    columns.append(Column("median width", "percent", 2))
    cells = []
    for _, row in rows.iterrows():
        chosen = CHOSEN[row.objective]
        covered, width = row[f"coverage.{chosen}"], row[f"width.{chosen}"]
        count = independent(covered, row.se, row.simulations, EACH)
        covered = Interval(covered, *monte_carlo_interval(covered, count))
        cells.append((row.objective, row.table_size, _word(chosen), covered, width))
    note = (
        f"{EACH} runs at ten times the largest fitted budget; in brackets the Monte-Carlo interval, at 95 %. "
        "Widths are relative to the loss."
    )
    return Table("How often 95 % prediction intervals hold larger runs", columns, cells, note=note)


def table_of_bias(row: Any) -> Table:
    """Return what parabolas make of exact losses."""
    columns = [Column("surface"), Column("exponent", "number", 6), Column("fitted over optimal size", "number", 5)]
    cells = [(name, row[f"{name}.exponent"], row[f"{name}.factor"]) for name in SURFACES]
    note = "Five budgets, fifteen sizes over a factor of 8 either way of the optimum; no noise."
    return Table("What Approach 2 makes of exact losses", columns, cells, note=note)
