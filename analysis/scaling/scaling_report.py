"""The report on scaling laws: the answer and its warnings first, then what a scientist needs to check them."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from sandtable.analysis.report import Block, Column, KeyFigure, Note, Report, Section, Table
from sandtable.analysis.scaling.answer import answer, chosen, number, with_ends
from sandtable.analysis.scaling.document import budgets
from sandtable.analysis.scaling.drawing import Drawing
from sandtable.analysis.scaling.fit_runs import Fit, ScalingLaws
from sandtable.analysis.scaling.methods_section import known_number, methods, name_of, table_of_known
from sandtable.estimators.scaling.return_law import return_interval
from sandtable.simulators.scaling.run_columns import name_rows

CODES = {
    "edge_minimum": "minimum at the edge", "no_minimum": "no minimum", "few_sizes": "few sizes",
    "few_budgets": "few budgets", "off_centre": "off centre", "duplicate_rows": "duplicate rows",
    "flops_mismatch": "FLOP mismatch", "mixed_units": "mixed units", "not_converged": "not converged",
    "at_bound": "at a bound", "correlated_residuals": "correlated residuals", "mixed_schedule": "mixed schedule",
    "repeated_data": "repeated data", "diverged_rows": "diverged rows", "extrapolation": "extrapolation",
}  # fmt: skip
BEST_BUDGETS = 4
"""For one more run, of which the page has a table; the figure and results.json have all."""

SHOWN = (
    "E", "alpha", "beta", "N_exponent", "loss_exponent", "return_exponent", "coefficient", "exponent", "offset",
    "a", "b", "delta",
)  # fmt: skip
"""Parameters that the table of sensitivity shows; results.json holds all."""

MOST_ROWS = 200
"""Of a table of runs on the page; files hold the others."""


def scaling_report(
    found: ScalingLaws, document: Mapping[str, Any], drawn: Sequence[Drawing], provenance: Mapping[str, Any]
) -> Report:
    """Return the report.

    Args:
        found: What was found.
        document: What ``--json`` prints; readers can save it.
        drawn: The figures.
        provenance: What the numbers come from.
    """
    figures = {
        place: [one.block for one in drawn if one.place == place]
        for place in ("isoflop", "optima", "residuals", "profiles", "holdout", "next_run")
    }
    sections = [
        _warnings(found),
        methods(found),
        _isoflop(found, figures["isoflop"]),
        _optima(found, figures["optima"]),
        _residuals(found, figures["residuals"]),
        _sensitivity(found),
        _profiles(found, figures["profiles"]),
        _hold_out(found, figures["holdout"]),
        _next_run(found, figures["next_run"]),
        _settings(found, drawn),
    ]
    runs = found.file.runs
    return Report(
        title="Scaling laws",
        question=f"What do {len(runs):,} runs tell of how large to train, on how much data, and to what loss?",
        answer=answer(found),
        sections=[section for section in sections if section is not None],
        provenance=provenance,
        data=document,
        key_figures=_key_figures(found),
    )


def _key_figures(found: ScalingLaws) -> list[KeyFigure]:
    fit = chosen(found)
    ends = fit.result.conf_int()
    names = [name for name in ("N_exponent", "D_exponent", "E", "exponent", "offset", "loss_exponent", "delta")
             if name in fit.result.names]  # fmt: skip
    values = fit.result.params
    told = [KeyFigure(name.replace("_", " "), number(values[name]), _range(*ends.loc[name])) for name in names[:3]]
    if found.file.runs.has("flops"):
        rows = budgets(found.file.runs)
        reach = f"{number(rows[0]['flops'])} to {number(rows[-1]['flops'])} FLOP"
        told.append(KeyFigure("Budgets", f"{len(rows)}", reach))
    return told


def _range(low: float, high: float) -> str:
    return f"{number(low)} to {number(high)}" if np.isfinite(low) and np.isfinite(high) else "no interval"


def _warnings(found: ScalingLaws) -> Section:
    if not found.warnings:
        return Section("Warnings", "Nothing was found in the file or in the fits that speaks against them.")
    rows = [
        (CODES[one.code], one.message, name_rows(one.rows, most=6) if one.rows else None) for one in found.warnings
    ]
    columns = [Column("kind"), Column("what was found"), Column("rows of the file")]
    return Section("Warnings", blocks=[Table("What to know before believing the fits", columns, rows)])


def _isoflop(found: ScalingLaws, drawn: list[Any]) -> Section | None:
    tables = []
    for fit in found.fits:
        table = fit.result.minima
        if table is None or not fit.main:
            continue
        columns = [Column("budget, FLOP"), Column("parameters"), Column("data"), Column("loss"), Column("return"),
                   Column("where")]  # fmt: skip
        known = ("parameters", "data", "loss", "return")
        title = "The minima" if fit.job.law == "minima" else f"Minima of {fit.job.name}"
        rows = [
            (number(row["flops"]), *(known_number(row[name]) for name in known), _where(row))
            for row in table.to_dict("records")
        ]
        tables.append(table_of_known(title, columns, rows[:MOST_ROWS]))
    if not (drawn or tables):
        return None
    return Section("IsoFLOP curves and their minima", blocks=[*drawn, *tables])


def _where(row: Mapping[Any, Any]) -> str:
    if row["on_edge"]:
        return "at the edge of the sizes"
    known = np.isfinite([row["parameters"], row["loss"], row["return"]]).any()
    return "within the sizes" if known else "no minimum"


def _optima(found: ScalingLaws, drawn: list[Any]) -> Section | None:
    rows = []
    for fit in found.fits:
        for flops, row in fit.optimum.items():
            cells = [
                with_ends(*row[name]) if np.isfinite(row[name][0]) else None for name in ("parameters", "data", "loss")
            ]
            rows.append((name_of(fit), number(flops), *cells, _return_at(found, fit, row["loss"])))
    if not (rows or drawn):
        return None
    columns = [Column("law"), Column("budget, FLOP"), Column("parameters"), Column("data"), Column("loss"),
               Column("return")]  # fmt: skip
    note = "Returns follow from the losses by the law of return; the interval of the loss is carried through."
    blocks: list[Block] = list(drawn)
    if rows:
        title = f"What a budget should buy, with {found.settings.level:.0%} intervals"
        blocks.append(table_of_known(title, columns, rows, note if any(row[-1] for row in rows) else ""))
    return Section("Size and data against compute", blocks=blocks)


def _return_at(found: ScalingLaws, fit: Fit, loss: np.ndarray) -> str | None:
    laws = [one for one in found.of("return") if one.job.group == fit.job.group]
    if not laws or not np.isfinite(loss).all():
        return None
    value, ends = return_interval(laws[0].result, loss[:1], loss[None, 1:], 1 - found.settings.level)
    return with_ends(float(value[0]), float(ends[0, 0]), float(ends[0, 1]))


def _residuals(found: ScalingLaws, drawn: list[Any]) -> Section | None:
    rows = [
        (name_of(fit), {"parameters": "ln N", "data": "ln D", "flops": "ln C"}[trend.variable],
         *(known_number(value) for value in (trend.slope, trend.bend, trend.p_value)))
        for fit in found.fits
        for trend in fit.trends
    ]  # fmt: skip
    watson = [
        (name_of(fit), name.removeprefix("durbin_watson").strip("_") or "residuals", value)
        for fit in found.fits
        for name, value in fit.result.statistics.items()
        if name.startswith("durbin_watson")
    ]
    if not (rows or watson):
        return None
    blocks: list[Block] = list(drawn)
    if rows:
        columns = [Column("law"), Column("against"), Column("slope"), Column("bend"), Column("p-value")]
        note = (
            "The p-value is that of slope and bend together, beside what the law itself can take up. A small one says "
            "that the law leaves something out."
        )
        blocks.append(Table("Trends of residuals", columns, rows, note=note))
    if watson:
        columns = [Column("law"), Column("of"), Column("Durbin-Watson", "number", 2)]
        blocks.append(Table("Correlation of residuals along compute", columns, watson, note="Near 2 without any."))
    return Section("Residuals", blocks=blocks)


def _sensitivity(found: ScalingLaws) -> Section | None:
    blocks = []
    for fit in found.fits:
        if not fit.sensitivity:
            continue
        shown = [name for name in fit.result.names if name in SHOWN]
        cells = [("nothing", len(fit.job.runs), *(number(fit.result.params[name]) for name in shown))]
        cells += [
            (one.dropped, one.runs, *(known_number(one.params[name]) for name in shown)) for one in fit.sensitivity
        ]
        columns = [Column("left out"), Column("runs that stay", "number", 0)]
        columns += [Column(name.replace("_", " ")) for name in shown]
        blocks.append(Table(f"{fit.job.name} without some of its runs", columns, cells))
    if not blocks:
        return None
    text = "A law that holds over the whole range gives about the same on a part of it, within its intervals."
    return Section("Sensitivity", text, blocks)


def _profiles(found: ScalingLaws, drawn: list[Any]) -> Section | None:
    if drawn:
        return Section("Profiles", blocks=drawn)
    if found.of("approach3"):
        text = "Profiles are those of least squares: --objective ls-log draws them. Huber's loss has a bootstrap."
        return Section("Profiles", text)
    return None


def _hold_out(found: ScalingLaws, drawn: list[Any]) -> Section | None:
    scores: list[tuple[Any, ...]] = []
    rows: list[tuple[Any, ...]] = []
    for fit in found.fits:
        for name, one in fit.hold_outs.items():
            label = f"{name} of {fit.job.group}" if fit.job.group else name
            rival = number(one.rmse_log_carried)
            scores.append((label, len(one.rows), number(one.rmse_log), _share(one.coverage), rival))
            rows += [
                (label, str(int(row["row"])), number(row["observed"]),
                 with_ends(row["predicted"], row["low"], row["high"]), number(row["carried"]))
                for row in one.rows.to_dict("records")
            ]  # fmt: skip
    if not scores:
        text = "No run was held out; --holdout-above C fits the laws below a budget and scores them above it."
        return Section("Hold-out", text)
    columns = [Column("law"), Column("runs held out", "number", 0), Column("RMSE of the logarithm"),
               Column("inside their interval"), Column("RMSE of carrying the last budget forward")]  # fmt: skip
    several = [Column("law"), Column("row of the file"), Column("observed"), Column("foretold, interval of a run"),
               Column("carried forward")]  # fmt: skip
    note = f"The first {MOST_ROWS} of {len(rows):,}; results.json holds all." if len(rows) > MOST_ROWS else ""
    text = f"The laws were fitted to the runs up to {number(found.settings.holdout_above or 0)} FLOP alone."
    blocks = [
        *drawn, Table("How well the laws foretold", columns, scores),
        Table("The runs that were held out", several, rows[:MOST_ROWS], note=note),
    ]  # fmt: skip
    return Section("Hold-out", text, blocks)


def _share(value: float) -> str | None:
    return f"{value:.0%}" if np.isfinite(value) else None


def _next_run(found: ScalingLaws, drawn: list[Any]) -> Section | None:
    blocks: list[Block] = list(drawn)
    for fit in found.fits:
        rows = []
        for target in dict.fromkeys(one.target for one in fit.suggestions):
            own = [one for one in fit.suggestions if one.target == target][:BEST_BUDGETS]
            rows += [
                (target.replace("_", " "), number(one.flops), known_number(one.parameters), known_number(one.data),
                 number(one.width_now), number(one.width_after), f"{1 - one.width_after / one.width_now:.1%}")
                for one in own
            ]  # fmt: skip
        if rows:
            columns = [Column("to know better"), Column("budget, FLOP"), Column("parameters"), Column("data"),
                       Column("width now"), Column("width after"), Column("narrower by")]  # fmt: skip
            title = f"One more run, for {fit.job.name}: the {BEST_BUDGETS} best budgets"
            blocks.append(table_of_known(title, columns, rows))
    if not blocks:
        return None
    text = (
        "The size that would shrink an interval most, for one run of each budget. Widths of sizes and losses are those "
        "of their logarithms; they follow, to first order, from where a run would be, if the law is right there."
    )
    return Section("What to run next", text, blocks)


def _settings(found: ScalingLaws, drawn: Sequence[Drawing]) -> Section:
    settings, file = found.settings, found.file
    used = {row for fit in found.fits for row in fit.job.runs.rows.tolist()}
    rows = [
        (name.replace("_", "-"), _setting(value)) for name, value in vars(settings).items() if value not in (None, ())
    ]
    blocks: list[Block] = [Table("Settings", [Column("option"), Column("value")], rows)]
    if file.ratio is not None:
        text = (
            f"The file's compute is {number(file.ratio.min)} to {number(file.ratio.max)} times "
            f"{settings.flops_factor:g} x parameters x data (median {number(file.ratio.median)}); it was used as given."
        )
        blocks.append(Note(text, "FLOP"))
    if found.skipped:
        table = [(one.law, one.reason) for one in found.skipped]
        blocks.append(Table("Laws that were not fitted", [Column("law"), Column("why")], table))
    if file.dropped:
        columns = [Column("row", "number", 0), Column("why")]
        table_rows = [(one.row, one.reason) for one in file.dropped[:MOST_ROWS]]
        blocks.append(Table("Rows that were left out", columns, table_rows))
    if file.runs.has("flops"):
        columns = [Column("budget, FLOP"), Column("runs", "number", 0), Column("sizes", "number", 0)]
        table_rows = [(number(row["flops"]), row["runs"], row["sizes"]) for row in budgets(file.runs)]  # type: ignore[misc]
        blocks.append(Table("Budgets", columns, table_rows))
    names = ", ".join(one.name for one in drawn)
    text = (
        f"{file.rows:,} rows, {len(used):,} of them used. Beside this page lie the fits as fits.csv, everything as "
        f"results.json, and the figures as SVG and PDF ({names or 'none'})."
    )
    return Section("Settings, and what was left out", text, blocks)


def _setting(value: Any) -> str:
    return ", ".join(str(one) for one in value) if isinstance(value, tuple) else str(value)
