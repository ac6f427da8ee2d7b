"""The report on scaling laws: the answer and its warnings first, then what a scientist needs to check them."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from sandtable.analysis.report import Block, Column, Interval, KeyFigure, Note, Report, Section, Table
from sandtable.analysis.scaling.answer import answer, chosen, number, with_ends
from sandtable.analysis.scaling.document import budgets
from sandtable.analysis.scaling.figures import Drawing
from sandtable.analysis.scaling.fit_runs import Fit, ScalingLaws
from sandtable.estimators.scaling.law_result import LawResult
from sandtable.estimators.scaling.minima import disagreement
from sandtable.estimators.scaling.return_law import return_interval
from sandtable.simulators.scaling.run_columns import name_rows

COUNT = {"parameters": "total", "parameters_non_embedding": "non-embedding"}
INTERVALS = {
    "t": "Student's t", "hc3": "HC3", "hac": "Newey and West", "profile": "profile", "bca": "BCa bootstrap",
    "percentile": "percentile bootstrap",
}  # fmt: skip
BESIDE = {
    "hc3": "HC3", "t": "equal variances", "hac": "residuals correlated along compute",
    "edge_free": "without minima at the edge", "interval_censored": "cells of the grid of sizes",
    "pure": "without an offset", "offset": "with an offset", "power": "power law", "saturating": "saturating",
}  # fmt: skip
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
        _methods(found),
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


def _name(fit: Fit) -> str:
    return fit.job.name + ("" if fit.main else ", non-embedding")


def _warnings(found: ScalingLaws) -> Section:
    if not found.warnings:
        return Section("Warnings", "Nothing was found in the file or in the fits that speaks against them.")
    rows = [
        (CODES[one.code], one.message, name_rows(one.rows, most=6) if one.rows else None) for one in found.warnings
    ]
    columns = [Column("kind"), Column("what was found"), Column("rows of the file")]
    return Section("Warnings", blocks=[Table("What to know before believing the fits", columns, rows)])


def _methods(found: ScalingLaws) -> Section:
    level = f"{found.settings.level:.0%}"
    blocks: list[Block] = []
    exponents = [(name, size, one) for name, size, one in _answers(found) if "N_exponent" in one.names]
    if exponents:
        columns = [Column("law"), Column("parameters"), Column("N exponent", "number", 3),
                   Column("D exponent", "number", 3), Column("interval from")]  # fmt: skip
        cells = [
            (name, size, _cell(one, "N_exponent"), _cell(one, "D_exponent"), _method(one))
            for name, size, one in exponents
        ]
        blocks.append(Table(f"Exponents of optimal size and data in compute, with {level} intervals", columns, cells))
    for fit in found.of("minima"):
        if fit.main and "N_exponent" in fit.result.names:
            blocks.append(Note(disagreement(fit.result), "Do the answers for minima agree?"))
    blocks += [Note(text, "The bias of approach2 here") for text in _biases(found)]
    both = [_counts(found, fit) for fit in found.fits if not fit.main]
    blocks += [Note(text, "Which parameters are counted") for text in dict.fromkeys(filter(None, both))]
    blocks += [Note(text, "Offset, or pure power?") for text in _offsets(found)]
    rows = [
        (_name(fit), name, with_ends(fit.result.params[name], *fit.result.conf_int().loc[name]),
         _number(fit.result.bse[name]))
        for fit in found.fits
        for name in fit.result.names
    ]  # fmt: skip
    columns = [Column("law"), Column("parameter"), Column(f"estimate, {level} interval"), Column("standard error")]
    blocks.append(Table("Every parameter", columns, rows))
    blocks.append(_fits_table(found))
    return Section("The methods side by side", blocks=blocks)


def _answers(found: ScalingLaws) -> Iterable[tuple[str, str, LawResult]]:
    """Yield every fit, and what stands beside it: name, count of parameters, result."""
    for fit in found.fits:
        yield fit.job.name, COUNT[fit.job.size], fit.result
        for key, one in fit.result.beside.items():
            yield f"{fit.job.name}, {BESIDE.get(key, key)}", COUNT[fit.job.size], one


def _method(result: LawResult) -> str | None:
    return None if result.interval is None else INTERVALS.get(result.interval.method, result.interval.method)


def _cell(result: LawResult, name: str) -> Interval | None:
    if name not in result.names:
        return None
    low, high = result.conf_int().loc[name].to_numpy()
    return Interval(float(result.params[name]), float(low), float(high))


def _number(value: float) -> str | None:
    return number(float(value)) if np.isfinite(value) else None


def _fits_table(found: ScalingLaws) -> Table:
    columns = [Column("law"), Column("runs or minima", "number", 0), Column("objective"), Column("its sum"),
               Column("converged"), Column("rank", "number", 0), Column("condition number"),
               Column("resampled")]  # fmt: skip
    rows = []
    for fit in found.fits:
        one, interval = fit.result, fit.result.interval
        resampled = None if interval is None or not interval.resamples else (
            f"{interval.resamples:,}, {interval.failed} failed"
        )  # fmt: skip
        rows.append(
            (_name(fit), one.nobs, one.objective + (f", delta {one.delta:g}" if one.delta else ""),
             number(one.objective_sum), "yes" if one.converged else "no", one.rank, _number(one.condition_number),
             resampled)
        )  # fmt: skip
    return _table("How the fits ended", columns, rows)


def _table(caption: str, columns: Sequence[Column], rows: Sequence[Sequence[Any]], note: str = "") -> Table:
    """Return a table without the columns in which nothing is known."""
    kept = [index for index in range(len(columns)) if any(row[index] is not None for row in rows)]
    chosen_columns = [columns[index] for index in kept]
    return Table(caption, chosen_columns, [[row[index] for index in kept] for row in rows], note=note)


def _biases(found: ScalingLaws) -> Iterable[str]:
    for fit in found.of("approach2"):
        if fit.bias is not None:
            exponent, factors = fit.bias.N_exponent, fit.bias.size_factor
            pairs = zip(factors, fit.bias.flops, strict=True)
            at = ", ".join(f"{number(factor)} at {number(flops)} FLOP" for factor, flops in pairs)
            yield (
                f"Run on the noise-free surface of approach3 at these very sizes, {_name(fit)} misses the exponent by "
                f"{_signed(exponent)} and finds these multiples of the optimal size: {at}. Parabolas are bent where a "
                "surface is not symmetric, and no number of runs mends that."
            )


def _signed(value: float) -> str:
    return "0" if abs(value) < 5e-5 else f"{value:+.4f}".replace("-", "−")


def _counts(found: ScalingLaws, other: Fit) -> str:
    """Return how the count of parameters moves an exponent."""
    same = [fit for fit in found.of(other.job.law) if fit.main and fit.job.group == other.job.group]
    if not same or "N_exponent" not in other.result.names or "N_exponent" not in same[0].result.names:
        return ""
    total, without = (
        with_ends(fit.result.params["N_exponent"], *fit.result.conf_int().loc["N_exponent"]) for fit in (same[0], other)
    )
    return f"By {same[0].job.name} the exponent is {total} with total parameters and {without} without embeddings."


def _offsets(found: ScalingLaws) -> Iterable[str]:
    for fit in found.of("compute"):
        one = next(iter(fit.result.beside.values()), None)
        if one is None:
            continue
        mine = "with an offset" if "offset" in fit.result.names else "without an offset"
        text = (
            f"AICc prefers the law of compute {mine} ({number(fit.result.statistics['aicc'])} against "
            f"{number(one.statistics['aicc'])})."
        )
        scores = {
            name.removeprefix("compute:"): hold.rmse_log for name, hold in fit.hold_outs.items() if ":" in name
        }
        if len(scores) == 2:
            best = min(scores, key=lambda name: scores[name])
            told = ", ".join(f"{number(score)} {BESIDE[name]}" for name, score in scores.items())
            text += f" The hold-out prefers the one {BESIDE[best]} (errors of the logarithm: {told})."
        yield text


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
            (number(row["flops"]), *(_number(row[name]) for name in known), _where(row))
            for row in table.to_dict("records")
        ]
        tables.append(_table(title, columns, rows[:MOST_ROWS]))
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
            rows.append((_name(fit), number(flops), *cells, _return_at(found, fit, row["loss"])))
    if not (rows or drawn):
        return None
    columns = [Column("law"), Column("budget, FLOP"), Column("parameters"), Column("data"), Column("loss"),
               Column("return")]  # fmt: skip
    note = "Returns follow from the losses by the law of return; the interval of the loss is carried through."
    blocks: list[Block] = list(drawn)
    if rows:
        title = f"What a budget should buy, with {found.settings.level:.0%} intervals"
        blocks.append(_table(title, columns, rows, note if any(row[-1] for row in rows) else ""))
    return Section("Size and data against compute", blocks=blocks)


def _return_at(found: ScalingLaws, fit: Fit, loss: np.ndarray) -> str | None:
    laws = [one for one in found.of("return") if one.job.group == fit.job.group]
    if not laws or not np.isfinite(loss).all():
        return None
    value, ends = return_interval(laws[0].result, loss[:1], loss[None, 1:], 1 - found.settings.level)
    return with_ends(float(value[0]), float(ends[0, 0]), float(ends[0, 1]))


def _residuals(found: ScalingLaws, drawn: list[Any]) -> Section | None:
    rows = [
        (_name(fit), {"parameters": "ln N", "data": "ln D", "flops": "ln C"}[trend.variable], _number(trend.slope),
         _number(trend.bend), _number(trend.p_value))
        for fit in found.fits
        for trend in fit.trends
    ]  # fmt: skip
    watson = [
        (_name(fit), name.removeprefix("durbin_watson").strip("_") or "residuals", value)
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
            (one.dropped, one.runs, *(_number(one.params[name]) for name in shown)) for one in fit.sensitivity
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
                (target.replace("_", " "), number(one.flops), _number(one.parameters), _number(one.data),
                 number(one.width_now), number(one.width_after), f"{1 - one.width_after / one.width_now:.1%}")
                for one in own
            ]  # fmt: skip
        if rows:
            columns = [Column("to know better"), Column("budget, FLOP"), Column("parameters"), Column("data"),
                       Column("width now"), Column("width after"), Column("narrower by")]  # fmt: skip
            blocks.append(_table(f"One more run, for {fit.job.name}: the {BEST_BUDGETS} best budgets", columns, rows))
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
