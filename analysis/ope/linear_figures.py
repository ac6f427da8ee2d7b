"""Figures and tables of the study of linear estimators."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from sandtable.analysis.figures import COLOURS, INK, LINE_STYLES, MARKERS, SOFT, house_style, new_figure, to_svg
from sandtable.analysis.ope.linear_experiments import CONDITIONS, implied
from sandtable.analysis.report import Block, Column, Figure, Table
from sandtable.simulators.ope.diagnostics import REGIMES

if TYPE_CHECKING:
    import pandas as pd

    from sandtable.analysis.store import Run

INTERVALS = ("hc0", "cluster", "one_step_bootstrap", "episode_bootstrap")


def blocks(table: "pd.DataFrame", runs: "Sequence[Run]") -> list[Block]:
    """Return a figure or a table for each part that was run, of the tidy table and the runs in its order."""
    parts = dict(list(table.groupby("part", sort=False)))
    found: list[Block] = []
    for run, (_, row) in zip(runs, table.iterrows(), strict=True):
        if row.part == "implications":
            found += [map_of_regimes(run), table_of_regimes(row), table_of_implications(row)]
    if "iterations" in parts:
        found.append(errors_by_iterations(parts["iterations"]))
    if "rows" in parts:
        found.append(errors_by_rows(parts["rows"]))
    covered = table[table.part.isin(["iid", "episodes"])]
    if len(covered):
        found.append(table_of_coverage(covered))
    if "verdicts" in parts:
        found.append(table_of_verdicts(parts["verdicts"].iloc[0]))
    return found


def map_of_regimes(run: "Run") -> Figure:
    """Return the worlds in the plane of spectral radius and symmetric part."""
    with np.load(run.folder / "map.npz") as held:
        x, y, regime = held["spectral_radius"], held["symmetric_part"], held["regime"]
    with house_style():
        figure, axes = new_figure(height=4.0)
        shown = [name for name in REGIMES if name not in ("singular", "boundary") and (regime == name).any()]
        for name, colour, marker in zip(shown, COLOURS, MARKERS, strict=False):
            of = regime == name
            axes.plot(x[of], y[of], marker, color=colour, ms=2.8, alpha=0.55, mew=0, ls="", label=name)
        for line in (axes.axvline, axes.axhline):
            line(1.0, color=INK, lw=0.9, ls="-")
        axes.set(xlabel="spectral radius of A", ylabel="largest eigenvalue of its symmetric part", xlim=(0, 2.2))
        axes.set_yscale("symlog", linthresh=2.0)
        axes.set_ylim(-2.2, 1e4)
        axes.set_yticks([-1, 0, 1, 10, 100, 1000, 10_000], ["−1", "0", "1", "10", "100", "1,000", "10,000"])
        axes.minorticks_off()
        axes.legend(loc="upper left", bbox_to_anchor=(0, -0.16), ncols=2, markerscale=2.2, handletextpad=0.2)
    caption = (
        f"{len(x):,} random MDPs. FQI converges left of the vertical line; below the horizontal one the system is "
        "symmetric stable, which is enough for LSTD and TD(0) and not for FQI. Tabular worlds lie at .9, the discount."
    )
    title = "Regimes of random MDPs"
    about = "Most worlds are stable but not symmetric stable; all six regimes occur."
    return Figure(caption, to_svg(figure, title, about))


def table_of_regimes(row: Any) -> Table:
    """Return how many worlds are in each regime."""
    counts = dict(row.regimes)
    cells = [(name, counts.get(name, 0), counts.get(name, 0) / sum(counts.values())) for name in REGIMES]
    note = f"Of {int(row.rank_deficient):,} worlds the data do not show all directions of the features."
    return Table("Worlds in each regime", [Column("regime"), Column("worlds", "number", 0), Column("share", "percent")],
                 cells, note=note)  # fmt: skip


def table_of_implications(row: Any) -> Table:
    """Return how many worlds meet the row's condition and not the column's."""
    counts = {(a, b): count for a, b, count, _ in [*row.arrows, *row.witnesses]}
    follows = implied()
    cells = [
        [
            name,
            *("" if a == b else f"{counts[a, b]:,}" + ("*" if (a, b) in follows else "") for b in CONDITIONS),
        ]
        for a, name in CONDITIONS.items()
    ]
    columns = [Column("holds"), *(Column(f"not {name}") for name in CONDITIONS.values())]
    note = (
        "*: the column's condition follows from the row's, by one of the eight implications or several. Complete: and "
        "the covariance has full rank. What lies within the tolerance counts on neither side."
    )
    return Table("Worlds that meet the condition of the row and not that of the column", columns, cells, note=note)


def errors_by_iterations(rows: "pd.DataFrame") -> Figure:
    """Return FQI's errors against the number of iterations, where it converges and where it does not."""
    with house_style():
        figure, axes = new_figure(1, 2, height=3.4)
        places = [0, 0]
        for _, row in rows.iterrows():
            side = int(row.spectral_radius > 1)
            colour, style = COLOURS[places[side]], LINE_STYLES[places[side]]
            places[side] += 1
            label = f"{row.instance} (radius {row.spectral_radius:.2g})"
            axes[side].plot(row.iterations, row.fqi_rmse, color=colour, ls=style, marker="", label=label)
            axes[side].plot([50], [row.lstd_rmse], marker="D", color=colour, ms=5, clip_on=False, zorder=5)
        for side, title in enumerate(("FQI converges", "FQI diverges")):
            axes[side].set_yscale("log")
            axes[side].set(title=title, xlabel="iterations T", xlim=(0, 50))
            if places[side]:
                axes[side].legend(loc="best")
        axes[0].set_ylabel("error of the parameters")
    caption = (
        "Root mean square error of the parameters of FQI(T) from logs of 1,000 rows; the diamonds at the right are "
        "LSTD's from the same logs. Scales differ."
    )
    about = "Where the radius is below 1 the error falls to that of LSTD; above, it grows without bound."
    return Figure(caption, to_svg(figure, "Error of FQI against iterations", about))


def errors_by_rows(rows: "pd.DataFrame") -> Figure:
    """Return LSTD's errors against the number of rows."""
    with house_style():
        figure, axes = new_figure()
        for place, (_, row) in enumerate(rows.iterrows()):
            sizes = np.asarray(row.rows, float)
            label = f"{row.instance}, slope {row.slope:.3f}".replace("-", "−")
            axes.loglog(sizes, row.rmse, color=COLOURS[place], marker=MARKERS[place], label=label)
            axes.loglog(sizes, row.rmse[0] * (sizes / sizes[0]) ** -0.5, color=SOFT, ls=":", marker="", lw=1.1)
        axes.set(xlabel="rows n", ylabel="error of the parameters")
        axes.legend()
    caption = "Root mean square error of LSTD's parameters; the dotted lines fall with the root of n."
    about = "Errors lie on lines of slope −1/2."
    return Figure(caption, to_svg(figure, "Error of LSTD against rows", about))


def table_of_coverage(rows: "pd.DataFrame") -> Table:
    """Return how often each interval held the true value."""
    names = ("HC0", "cluster", "one-step bootstrap", "episode bootstrap")
    columns = [Column("world"), Column("log"), *(Column(name, "percent", 1) for name in names)]
    cells = []
    for _, row in rows.iterrows():
        log = f"{row['size']:,} rows" if row.part == "iid" else f"{row['size']:,} episodes"
        cells.append((row.instance, log, *(getattr(row, f"coverage_{one}") for one in INTERVALS)))
    note = (
        f"Of {int(rows.replications.iloc[0]):,} logs, the bootstraps of the first 300: standard error "
        "1.3 % where it is 95 %. Independent rows: the initial features are known, and each row is its own cluster."
    )
    return Table("How often 95 % intervals of LSTD's value hold the true one", columns, cells, note=note)


def table_of_verdicts(row: Any) -> Table:
    """Return how sure verdicts are near the threshold."""
    cells = [
        ("percentile intervals of the spectral radius hold the true one", row.coverage_percentile),
        ("basic intervals hold it", row.coverage_basic),
        ("the verdict on FQI is certain", row.certain_share),
        ("it is certain and wrong", row.wrong_share),
        ("the log's own radius is on the wrong side of 1", row.wrong_without_interval),
    ]
    caption = f"Verdicts on FQI from logs of 200 rows, {int(row.worlds_found)} worlds with a radius in [.8, 1.2]"
    return Table(caption, [Column("what"), Column("share of logs", "percent", 1)], cells)
